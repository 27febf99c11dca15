"""Names of priorities: raw, mangle, dstnat, filter, security, srcnat; and which hooks and types are legal.

Source: man nft, CHAINS, tables 6 and 7; nftables src/rule.c (std_prios, bridge_std_prios).
"""

from __future__ import annotations

from typing import Final

INET: Final = ("ip", "ip6", "inet")
# name -> value, families, hooks (empty: all)
NAMES: Final = (
    ("raw", -300, INET, ()),
    ("mangle", -150, INET, ()),
    ("dstnat", -100, INET, ("prerouting",)),
    ("filter", 0, (*INET, "arp", "netdev"), ()),
    ("security", 50, INET, ()),
    ("srcnat", 100, INET, ("postrouting",)),
    ("dstnat", -300, ("bridge",), ("prerouting",)),
    ("filter", -200, ("bridge",), ()),
    ("out", 100, ("bridge",), ("output",)),
    ("srcnat", 300, ("bridge",), ("postrouting",)),
)
HOOKS: Final = {
    "ip": ("prerouting", "input", "forward", "output", "postrouting"),
    "ip6": ("prerouting", "input", "forward", "output", "postrouting"),
    "inet": ("prerouting", "input", "forward", "output", "postrouting", "ingress"),
    "bridge": ("prerouting", "input", "forward", "output", "postrouting"),
    "arp": ("input", "forward", "output"),
    "netdev": ("ingress", "egress"),
}
NEAR: Final = 10  # a priority at most so far from a named one is written by its name


def lookup(family: str, hook: str, name: str) -> int | None:
    """The value of a name in that family and hook."""
    for known, value, families, hooks in NAMES:
        if known == name and family in families and (not hooks or hook in hooks):
            return value
    return None


def show(family: str, hook: str, value: int) -> str:
    """A priority by the nearest name (rule.c prio2str)."""
    best, least = "", NEAR + 1
    for name, number, families, hooks in NAMES:
        if family in families and (not hooks or hook in hooks) and abs(value - number) < least:
            best, least = name, abs(value - number)
    if not best:
        return str(value)
    number = lookup(family, hook, best) or 0
    offset = value - number
    if not offset:
        return best
    return f"{best} {'+' if offset > 0 else '-'} {abs(offset)}"
