"""What a filter must let in, whatever else it is for: neighbours, errors, the machine itself, whoever administers it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tcemu.diagnostics import Span
from tcemu.ir.effect import VerdictMap
from tcemu.ir.verdict import ACCEPT, DROP
from tcemu.lint import claims
from tcemu.lint.asks import (
    ICMP,
    ICMP6,
    IP4,
    IP6,
    NEW,
    RELATED,
    TCP,
    UDP,
    UNTRACKED,
    accepts,
    drops,
    has,
    may_match,
    name_value,
    one,
    someone_accepts,
)
from tcemu.lint.catalogue import Rule, rule
from tcemu.lint.finding import Finding
from tcemu.lint.rules.hooks import chain, table_of
from tcemu.lint.space import Box, Values, apart, both, covers
from tcemu.lint.view import Base, RuleView

if TYPE_CHECKING:
    from tcemu.lint.subject import Subject
from tcemu.lint.rules.state import EST, guarded, maps_field

# a packet of neighbour discovery, by any device but lo
LO: Final = name_value("lo")


ND: Final[dict[str, Values]] = {
    "meta nfproto": one(IP6),
    "meta.l4proto": one(ICMP6),
    "ct.state": one(UNTRACKED),
    "meta.iif": ((2, (1 << 32) - 1),),
    "meta iifname": ((1, LO - 1), (LO + 1, (1 << 128) - 1)),
}


@rule(
    "CT003",
    "warning",
    "IPv6 stops working: neighbour discovery is dropped",
    why="""IPv6 finds neighbours and routers with ICMPv6 (types 133 to 136), which connection tracking leaves untracked, so that no rule on states lets them in.
        A chain that drops what it does not accept must accept them, or IPv6 dies when the neighbour's entry expires.""",
    bad=(
        table_of(chain("input", "iif lo accept", EST, "tcp dport 22 accept", policy="drop")),
        table_of(chain("input", EST, "icmpv6 type echo-request accept", "tcp dport 22 accept", policy="drop"), head="table ip6 f"),
    ),
    good=(
        table_of(chain("input", EST, "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept", policy="drop")),
        table_of(chain("input", "iif lo accept", EST, "meta nfproto ipv6 drop", "tcp dport 22 accept", policy="drop")),
        table_of(chain("input", EST, "tcp dport 22 accept", policy="drop"), head="table ip f"),
    ),
    fix="accept `icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert }`",
    source="RFC 4890 section 4.4; fastfox.pro; Linux nf_conntrack_proto_icmpv6.c (untracked types)",
)
def no_neighbours(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for base in guarded(subject, "input"):
        if base.family not in ("inet", "ip6"):
            continue
        boxes = [Box({**ND, "icmp.type": one(kind)}) for kind in (135, 136)]
        rules = subject.view.path_rules(base)
        if any(drops(other) and any(covers(mine, Box({"meta nfproto": one(IP6)}), frozenset()) for mine in other.boxes) for other in rules):
            continue
        if base.family == "inet" and _only_ip4(subject, base):
            continue
        if any(accepts(other) for other in rules) and not all(someone_accepts(subject.view, base, box) for box in boxes):
            message = "policy drop, and neighbour discovery of IPv6 is not accepted: IPv6 stops working"
            found = rule.at(subject, subject.place(base.chain), message, base.chain)
            arriving = [Box({dim: values for dim, values in box.dims.items() if dim != "ct.state"}) for box in boxes]
            yield found._replace(claim=claims.lost(base, arriving))


def _only_ip4(subject: Subject, base: Base) -> bool:
    """Does another base chain of the hook drop IPv6 altogether?"""
    for other in subject.view.hooked(base.hook, "filter"):
        before = other.family in ("ip6", "inet") and other.chain != base.chain and other.priority <= base.priority
        if before and other.drops and not any(accepts(found) for found in subject.view.path_rules(other)):
            return True
    return False


@rule(
    "CT004",
    "warning",
    "path MTU discovery is broken",
    why="""ICMP "fragmentation needed" (type 3) and ICMPv6 "packet too big" (type 2) tell a sender that its packets are too large. Where they are dropped,
        connections over a smaller link (PPPoE, tunnels) open and then hang.""",
    bad=(
        table_of(chain("input", "ip protocol icmp drop", EST, "tcp dport 22 accept", policy="drop")),
        table_of(chain("forward", "icmpv6 type != { echo-request, echo-reply } drop", EST)),
        table_of(chain("input", "icmp type != echo-request drop", EST, policy="drop"), head="table ip f"),
    ),
    good=(
        table_of(chain("input", EST, "ip protocol icmp drop", "tcp dport 22 accept", policy="drop")),
        table_of(chain("input", "icmp type { redirect, timestamp-request } drop", EST, policy="drop")),
        table_of(chain("input", "icmp type echo-request limit rate over 5/second drop", EST)),
    ),
    fix="accept related packets in front of it, or leave these types out",
    source="RFC 4890 section 4.3.1; RFC 2923; RFC 1191",
)
def black_hole(subject: Subject, rule: Rule) -> Iterator[Finding]:
    too_big = (
        Box({"meta nfproto": one(IP4), "meta.l4proto": one(ICMP), "icmp.type": one(3), "ct.state": one(RELATED)}),
        Box({"meta nfproto": one(IP6), "meta.l4proto": one(ICMP6), "icmp.type": one(2), "ct.state": one(RELATED)}),
    )
    for base in subject.view.bases:
        if base.kind != "filter" or base.hook not in ("prerouting", "input", "forward", "output") or base.table in subject.based:
            continue
        open_boxes = [box for box in too_big if base.family == "inet" or (base.family == "ip") == (box is too_big[0])]
        for other in subject.view.rules(base.chain):
            if accepts(other) or maps_field(other, "ct.state"):
                open_boxes = [box for box in open_boxes if not may_match(other, box)]
                if not open_boxes:
                    break
            if not drops(other) or not has(other, "icmp.", "meta.l4proto") or has(other, "th.", "meta.pkttype"):
                continue
            hit = [box for box in open_boxes if any(mine.exact and _within(box, mine) for mine in other.boxes)]
            if hit:
                what = "ICMP fragmentation-needed" if hit[0] is too_big[0] else "ICMPv6 packet-too-big"
                found = rule.at(subject, subject.place(other.key), f"{what} is dropped here: path MTU discovery stops working", other.key)
                points = [both(box, hit[0]) for box in claims.boxes_at(subject, other, base)]
                yield found._replace(claim=claims.lost(base, points, other))
                break


def _within(box: Box, mine: Box) -> bool:
    """Is the box in the rule's, interfaces and addresses left to be?"""
    dims = {dim: values for dim, values in mine.dims.items() if dim in box.dims}
    others = [dim for dim in mine.dims if dim not in box.dims]
    narrow = any(dim.startswith(("ip.", "ip6.", "(", "@", "frag", "icmp.code")) for dim in others)
    return not narrow and covers(Box(dims), box, frozenset())


@rule(
    "CT011",
    "warning",
    "the machine cannot talk to itself",
    why="""Programs of one machine talk over the loopback device (resolver, database, mail). A chain that drops what it does not accept must accept lo.""",
    bad=(
        table_of(chain("input", EST, "ct state invalid drop", "tcp dport 22 accept", policy="drop"), head="table ip f"),
        table_of(chain("input", EST, 'iifname "eth0" tcp dport 443 accept', policy="drop"), head="table ip f"),
    ),
    good=(
        table_of(chain("input", EST, "iif lo accept", "tcp dport 22 accept", policy="drop"), head="table ip f"),
        table_of(chain("input", EST, 'iifname != "eth0" accept', "tcp dport 22 accept", policy="drop"), head="table ip f"),
        table_of(chain("input", EST, "ip saddr 127.0.0.0/8 accept", policy="drop"), head="table ip f"),
    ),
    fix='add `iif "lo" accept`',
    source="nftables wiki, Simple ruleset for a workstation",
)
def no_loopback(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for base in guarded(subject, "input"):
        rules = subject.view.path_rules(base)
        if not any(accepts(other) for other in rules) or any(_lets_loopback(other) for other in rules):
            continue
        found = rule.at(subject, subject.place(base.chain), "policy drop, and the loopback device is not accepted", base.chain)
        yield found._replace(claim=claims.lost(base, _of_loopback(subject)))


def _of_loopback(subject: Subject) -> tuple[Box, ...]:
    """Packets of the loopback device; its index is that of the host, if there is one."""
    named = {"meta iifname": one(LO), "meta.pkttype": one(0)}
    device = subject.host.devices.get("lo")
    return (Box({**named, "meta.iif": one(device.rank)} if device is not None else dict(named)),)


def _lets_loopback(rule: RuleView) -> bool:
    """Does it accept a packet of lo whatever its protocol?"""
    if any(isinstance(effect, VerdictMap) and ("iif" in repr(effect.key) or "addr" in repr(effect.key)) for _, effect, _ in rule.acts):
        return True
    if not accepts(rule) or has(rule, "th.", "icmp.", "tcp.", "udp.", "meta.l4proto"):
        return False
    packet = Box({"ct.state": one(NEW), "meta.iif": one(1), "meta iifname": one(name_value("lo")), "meta.pkttype": one(0)})
    for box in rule.boxes:
        address = box.dims.get("ip.saddr")
        if address is not None and not any(low <= 0x7F000001 <= high for low, high in address):
            continue
        if not apart(box, packet):
            return True
    return False


@rule(
    "CT012",
    "warning",
    "what was asserted does not get in",
    why="""With `--assert tcp/22` the lint proves that a new connection to the port has a way in: no chain of the input hook may drop all such packets. It keeps you
        from locking yourself out.""",
    bad=(
        table_of(chain("input", EST, "tcp dport 2222 accept", policy="drop")),
        table_of(chain("input", "tcp dport 1-1023 drop", "tcp dport 22 accept")),
    ),
    good=(
        table_of(chain("input", EST, "tcp dport 22 accept", policy="drop")),
        table_of(chain("input", EST, "ip saddr 192.0.2.0/24 accept", policy="drop")),
    ),
    fix="accept it in the chain that drops it",
    source="a common accident",
    options=("--assert", "tcp/22"),
)
def locked_out(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for proto, port in subject.asserts:
        number = {"tcp": TCP, "udp": UDP, "sctp": 132}[proto]
        box = Box({"meta.l4proto": one(number), "th.dport": one(int(port)), "ct.state": one(NEW), "tcp.flags": one(2)})
        for base in subject.view.hooked("input", "filter"):
            found = _blocked(subject, base, box)
            if found is not None:
                made = rule.at(subject, found, f"a new connection to {proto}/{port} is dropped by chain {base.chain}", base.chain)
                yield made._replace(claim=claims.lost(base, (box,)))


def _blocked(subject: Subject, base: Base, box: Box) -> Span | None:
    """The rule or chain that surely drops all packets of a box, or None."""
    for other in subject.view.rules(base.chain):
        code = other.verdict.code if other.verdict is not None else 0
        if code == DROP and any(mine.exact and covers(mine, box, frozenset()) for mine in other.boxes):
            return subject.place(other.key)
        if code not in (0, DROP) and may_match(other, box) and (code == ACCEPT or _reaches_accept(subject, other, box)):
            return None
        if any(isinstance(effect, VerdictMap) for _, effect, _ in other.acts) and may_match(other, box):
            return None
    return subject.place(base.chain) if base.drops else None


def _reaches_accept(subject: Subject, rule: RuleView, box: Box) -> bool:
    view = subject.view
    chains = {below for target in view.targets(rule) for below in view.below(target)}
    return any(accepts(other) and may_match(other, box) for key in chains for other in view.rules(key))


RULES: Final = (
    no_neighbours,
    black_hole,
    no_loopback,
    locked_out,
)
