"""What the kernel refuses of statements in a chain: NAT in the wrong place, impossible limits, and the like.

Source: Linux net/netfilter: nft_nat.c, nft_masq.c, nft_redir.c (validate), nft_limit.c, nft_meta.c, nft_tproxy.c, nft_reject.c.
"""

from __future__ import annotations

from typing import Final

from tcemu.ir.ruleset import Table
from tcemu.nft.notes import ChainNote
from tcemu.nft.tree import Command, Key, Stmt

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
        if not chain.hook:
            continue
        if stmt.kind == "nat" and (chain.type != "nat" or chain.hook not in NAT_HOOKS[stmt.args["what"]]):
            raise KernelError(EOPNOTSUPP, command.at)
        if stmt.kind == "tproxy" and chain.hook != "prerouting":
            raise KernelError(EOPNOTSUPP, command.at)
