"""What the kernel refuses of statements in a chain: NAT in the wrong place, impossible limits, and the like.

Source: Linux net/netfilter: nft_nat.c, nft_masq.c, nft_redir.c (validate), nft_limit.c, nft_meta.c, nft_tproxy.c, nft_reject.c.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tcemu.ir.ruleset import Table
from tcemu.nft.notes import ChainNote
from tcemu.nft.tree import Binop, Command, Concat, Key, MapOf, Stmt

NAT_HOOKS: Final = {
    "snat": ("postrouting", "input"),
    "dnat": ("prerouting", "output"),
    "masquerade": ("postrouting",),
    "redirect": ("prerouting", "output"),
}


def check(command: Command, table: Table, chain: ChainNote, stmts: list[Stmt]) -> None:
    """Raise the kernel's refusal of the first statement that it does not take."""
    from tcemu.nft.apply import EOPNOTSUPP, EOVERFLOW, KernelError
    from tcemu.nft.statements import limit

    for stmt in stmts:
        if stmt.kind == "limit" and limit.refused(stmt.args):
            raise KernelError(EOVERFLOW, stmt.at)
        if stmt.kind == "match" and isinstance(stmt.args["left"], Key) and stmt.args["left"].kind == "meta":
            key = stmt.args["left"].args[0]
            if key == "nftrace" or (key in ("ibrname", "obrname", "ibrpvid", "ibrvproto") and table.family != "bridge"):
                raise KernelError(EOPNOTSUPP, stmt.args["left"].at)
        if stmt.kind == "objref" and stmt.args["object"] == "synproxy" and isinstance(stmt.args["expr"], MapOf):
            raise KernelError(EOPNOTSUPP, command.at)
        if not chain.hook:
            continue
        if any(_misplaced(key, table, chain) for key in keys(stmt)):
            raise KernelError(EOPNOTSUPP, command.at)
        if stmt.kind == "nat" and (chain.type != "nat" or chain.hook not in NAT_HOOKS[stmt.args["what"]]):
            raise KernelError(EOPNOTSUPP, command.at)
        if stmt.kind == "tproxy" and chain.hook != "prerouting":
            raise KernelError(EOPNOTSUPP, command.at)


def keys(stmt: Stmt) -> Iterator[Key]:
    """The keys that a statement reads."""
    for value in stmt.args.values():
        yield from _keys(value)


def _keys(value: object) -> Iterator[Key]:
    if isinstance(value, Key):
        yield value
    elif isinstance(value, Concat):
        for part in value.parts:
            yield from _keys(part)
    elif isinstance(value, MapOf):
        yield from _keys(value.key)
    elif isinstance(value, Binop):
        yield from _keys(value.left)


def _misplaced(key: Key, table: Table, chain: ChainNote) -> bool:
    """Keys that exist in some hooks only (nft_fib_validate, nft_osf_validate, nft_socket_validate, nft_rt_validate)."""
    if key.kind == "fib":
        flags, result, _exists = key.args
        if result != "type":
            return chain.hook not in ("prerouting", "input", "forward", "ingress")
        if "iif" in flags:
            return chain.hook not in ("prerouting", "input", "forward", "ingress")
        return "oif" in flags and chain.hook not in ("output", "postrouting", "forward")
    if key.kind == "osf":
        return table.family == "ip6" or chain.hook not in ("prerouting", "input", "forward")
    return False
