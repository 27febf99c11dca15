"""What the kernel refuses of statements: at once (wrong family, impossible limits), and by the hooks from which a chain is reached.

A need says from where a statement may be reached: "type:hook,hook" ("" is any type); `tcemu.nft.reach` holds base chains against it.
Source: the validate and init functions in Linux net/netfilter: nft_nat.c, nft_masq.c, nft_redir.c, nft_reject*.c, nft_tproxy.c,
nft_synproxy.c, nft_socket.c, nft_fib.c, nft_rt.c, nft_xfrm.c, nft_osf.c, nft_meta.c, nft_queue.c, nft_flow_offload.c, nft_limit.c,
nft_ct.c; places observed with nft 1.0.6.
"""

from __future__ import annotations

from typing import Final

from tcemu.nft.refusal import ENOENT, EOPNOTSUPP, EOVERFLOW, EPROTO, KernelError
from tcemu.nft.tree import Binop, Concat, Key, MapOf, Stmt

INET: Final = ("ip", "ip6", "inet")
RAW_MAX: Final = 128  # bits of a register
NEVER: Final = ":"
NAT: Final = {
    "snat": "nat:postrouting,input",
    "dnat": "nat:prerouting,output",
    "masquerade": "nat:postrouting",
    "redirect": "nat:prerouting,output",
}
REJECT: Final = {
    **dict.fromkeys(("ip", "ip6"), ":prerouting,input,forward,output"),
    "inet": ":ingress,prerouting,input,forward,output",
    "netdev": ":ingress",
    "bridge": ":prerouting,input",
}
PACKET_TYPE: Final = {"bridge": ":prerouting", "netdev": ":ingress", **dict.fromkeys(INET, ":prerouting")}
CONNTRACK: Final = ("ct set", "ct count", "synproxy")  # statements that bring connection tracking up
READERS: Final = frozenset((Key, Concat, MapOf, Binop))  # expressions with keys in them
KEYLESS: Final = frozenset(("counter", "verdict"))  # statements without
BRIDGE_KEYS: Final = ("ibrname", "obrname", "ibrpvid", "ibrvproto")
# statements and keys by the module that has them
MODULES: Final = {
    "queue": "nft_queue",
    "tproxy": "nft_tproxy",
    "synproxy": "nft_synproxy",
    "ct count": "nft_connlimit",
    "flow offload": "nf_flow_table",
    "socket": "nft_socket",
    "osf": "nft_osf",
    "fib": "nft_fib",
}


# ---------------------------------------------------------------- at once
def check(stmts: list[Stmt], family: str, missing: frozenset[str] = frozenset()) -> None:
    """Raise the kernel's refusal of the first statement that the family does not have, or whose module is ``missing``."""
    from tcemu.nft.statements import limit

    for stmt in stmts:
        for key in keys(stmt):
            _check_key(key, family, stmt)
            if missing:
                _check_key_module(key, family, missing)
        if missing:
            _check_module(stmt, family, missing)
        if family in ("arp", "netdev") and stmt.kind in CONNTRACK:
            raise KernelError(EPROTO, stmt.at)
        if stmt.kind == "limit" and limit.refused(stmt.args):
            raise KernelError(EOVERFLOW, stmt.at)


def _check_key(key: Key, family: str, stmt: Stmt) -> None:
    if key.kind == "ct" and family in ("arp", "netdev"):
        raise KernelError(EPROTO, stmt.at if stmt.kind == "ct set" and stmt.args["target"] is key else key.at)
    if key.kind == "fib" and family in ("arp", "bridge"):
        raise KernelError(ENOENT, key.at)
    if key.kind == "payload" and key.bits > RAW_MAX:
        raise KernelError(EOVERFLOW, key.at)
    if key.kind == "socket" and family not in INET:
        raise KernelError(EOPNOTSUPP, key.at)
    if key.kind == "meta":
        name = key.args[0]
        if (name == "nftrace" and stmt.kind != "meta set") or (name in BRIDGE_KEYS and family != "bridge"):
            raise KernelError(EOPNOTSUPP, key.at)


def _check_module(stmt: Stmt, family: str, missing: frozenset[str]) -> None:
    module = "nft_reject_bridge" if stmt.kind == "reject" and family == "bridge" else MODULES.get(stmt.kind)
    if module in missing:
        raise KernelError(ENOENT, stmt.at)
    if family == "bridge" and stmt.kind in CONNTRACK and "nf_conntrack_bridge" in missing:
        raise KernelError(EPROTO, stmt.at)


def _check_key_module(key: Key, family: str, missing: frozenset[str]) -> None:
    if MODULES.get(key.kind) in missing:
        raise KernelError(ENOENT, key.at)
    if family == "bridge" and key.kind == "ct" and "nf_conntrack_bridge" in missing:
        raise KernelError(EPROTO, key.at)
    if key.kind == "meta" and key.args[0] in BRIDGE_KEYS and "nft_meta_bridge" in missing:
        raise KernelError(EOPNOTSUPP, key.at)


def keys(stmt: Stmt) -> list[Key]:
    """The keys that a statement reads."""
    found: list[Key] = []
    if stmt.kind in KEYLESS:
        return found
    for value in stmt.args.values():
        if type(value) in READERS:
            _gather(value, found)
    return found


def _gather(value: object, found: list[Key]) -> None:
    if isinstance(value, Key):
        found.append(value)
        for inner in value.inner:
            _gather(inner, found)
    elif isinstance(value, Concat):
        for part in value.parts:
            _gather(part, found)
    elif isinstance(value, MapOf):
        _gather(value.key, found)
    elif isinstance(value, Binop):
        _gather(value.left, found)


# ---------------------------------------------------------------- by hook
def needs(stmts: list[Stmt], family: str) -> list[str]:
    """What a rule's statements need of the base chains from which they are reached."""
    found = []
    for stmt in stmts:
        need = _statement(stmt, family)
        if need:
            found.append(need)
        for key in keys(stmt):
            if stmt.kind == "meta set" and stmt.args["target"] is key:
                continue
            need = _key_need(key, family)
            if need:
                found.append(need)
    return found


def _statement(stmt: Stmt, family: str) -> str:
    if stmt.kind == "nat":
        return NAT[stmt.args["what"]]
    if stmt.kind == "reject":
        return REJECT.get(family, NEVER)
    if stmt.kind == "tproxy":
        return ":prerouting"
    if stmt.kind == "synproxy" or (stmt.kind == "objref" and stmt.args["object"] == "synproxy"):
        return ":input,forward"
    if stmt.kind == "flow offload":
        return ":forward"
    if stmt.kind == "queue" and family in ("arp", "netdev"):
        return NEVER
    if stmt.kind == "meta set" and stmt.args["target"].args[0] == "pkttype":
        return PACKET_TYPE.get(family, NEVER)
    if stmt.kind == "meta set" and stmt.args["target"].args[0] == "broute":
        return ":prerouting" if family == "bridge" else NEVER
    return ""


def _key_need(key: Key, family: str) -> str:
    if key.kind == "fib":
        return _fib(key.args[0], key.args[1])
    if key.kind == "socket":
        return ":prerouting,input,output"
    if key.kind == "osf":
        return ":prerouting,input,forward" if family in ("ip", "inet") else NEVER
    if key.kind == "rt":
        if family not in INET:
            return NEVER
        return ":forward,output,postrouting" if key.args[0] == "mtu" else ""
    if key.kind == "ipsec":
        return ":prerouting,input,forward" if key.args[0] == "in" else ":forward,output,postrouting"
    if key.kind == "meta" and key.args[0] == "ipsec":
        return ":ingress" if family == "netdev" else ":prerouting,input,forward" if family in INET else NEVER
    if key.kind == "meta" and key.args[0] in ("sdif", "sdifname"):
        return ":input,forward" if family in INET else NEVER
    return ""


def _fib(flags: tuple[str, ...], result: str) -> str:
    if result != "type" or "iif" in flags:
        return ":prerouting,input,forward,ingress"
    return ":output,postrouting,forward,egress" if "oif" in flags else ""
