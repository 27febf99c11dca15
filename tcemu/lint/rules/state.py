"""Connection tracking: what a stateful filter needs, and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tcemu.diagnostics import Span
from tcemu.ir.effect import Assign, SetCt, Untrack, VerdictMap
from tcemu.ir.operand import Key, Load, Operand
from tcemu.ir.verdict import ACCEPT, DROP
from tcemu.lint import claims
from tcemu.lint.asks import (
    ESTABLISHED,
    INVALID,
    NEW,
    RELATED,
    UNTRACKED,
    accepts,
    drops,
    has,
    looks_at,
    may_match,
    name_value,
    one,
    service,
    someone_accepts,
    stateless,
    takes_state,
)
from tcemu.lint.catalogue import Rule, rule
from tcemu.lint.finding import Finding
from tcemu.lint.rules.hooks import chain, ct_key, table_of
from tcemu.lint.space import Box, Values, apart, both, covers
from tcemu.lint.view import Base, RuleView

if TYPE_CHECKING:
    from tcemu.lint.subject import Subject

EST: Final = "ct state established,related accept"
TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58
IP4, IP6 = 2, 10


def guarded(subject: Subject, *hooks: str) -> Iterator[Base]:
    """Base chains of filters that drop what no rule accepts, and have rules."""
    for base in subject.view.bases:
        if (
            base.kind == "filter"
            and base.hook in hooks
            and base.drops
            and base.table not in subject.based
            and subject.view.rules(base.chain)
        ):
            yield base


def _mentions_state(subject: Subject, base: Base) -> bool:
    """Does a rule on the path look at the connection, by a guard or by a map? Boxes of all rules must have been made."""
    view = subject.view
    words = ("ct.state", "ct status", "ct.status", "ct direction", "ct.mark", "meta.mark", "ct mark", "socket")
    chains = set(view.below(base.chain))
    if any(rule.chain in chains for rule in view.looking(*words)):
        return True
    if any(rule.chain in chains and _maps(rule, "ct.state") for rule in view.having(VerdictMap)):
        return True
    return bool(view.members.opaque) and any(looks_at(rule, words) for rule in view.path_rules(base))


def _maps(rule: RuleView, field: str) -> bool:
    """Does a map of the rule look at that field?"""
    return any(isinstance(effect, VerdictMap) and field in repr(effect.key) for _, effect, _ in rule.acts)


@rule(
    "CT001",
    "warning",
    "answers are dropped",
    why="""The chain drops what it does not accept, accepts services, and nowhere asks for the state of the connection: the answers to what the machine or the
        network itself begins are dropped.""",
    bad=(
        table_of(chain("input", "iif lo accept", "tcp dport { 22, 80 } accept", policy="drop")),
        table_of(chain("forward", 'iifname "lan" oifname "wan" tcp dport { 80, 443 } accept', policy="drop")),
    ),
    good=(
        table_of(chain("input", "iif lo accept", EST, "tcp dport { 22, 80 } accept", policy="drop")),
        table_of(
            chain("input", "ct state vmap { established : accept, related : accept, invalid : drop }", "tcp dport 22 accept", policy="drop")
        ),
        table_of(
            chain(
                "forward",
                'iifname "lan" oifname "wan" tcp dport 80 accept',
                'iifname "wan" oifname "lan" tcp sport 80 accept',
                policy="drop",
            )
        ),
    ),
    fix="put `ct state established,related accept` first",
    source="man nft, CT EXPRESSION; nftables wiki, Simple ruleset for a workstation",
)
def no_answers(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for base in guarded(subject, "input", "forward"):
        rules = subject.view.path_rules(base)
        services = [other for other in rules if accepts(other) and service(other)]
        if not services or _mentions_state(subject, base) or any(accepts(other) and has(other, "th.sport") for other in rules):
            continue
        broad = [other for other in rules if accepts(other) and not _narrow(other)]
        if not broad:
            spans = (subject.place(base.chain), subject.place(services[0].key))
            found = rule.at(subject, spans, "policy drop, and no rule lets answers in (ct state established,related accept)", base.chain)
            yield found._replace(claim=claims.lost(base, (ANSWER,)))


def _narrow(rule: RuleView) -> bool:
    """Is it about a protocol, a port or the loopback device?"""
    lo = any(box.dims.get("meta.iif") == one(1) or box.dims.get("meta iifname") == one(name_value("lo")) for box in rule.boxes)
    return lo or has(rule, "th.", "icmp.", "meta.l4proto", "tcp.", "udp.")


@rule(
    "CT002",
    "warning",
    "invalid packets reach the services",
    why="""Packets that belong to no connection and cannot begin one are in state invalid. A rule that accepts a port whatever the state lets them in, unless they are
        dropped before it; a drop of invalid packets behind it comes too late.""",
    bad=(
        table_of(chain("input", EST, "tcp dport 22 accept", "ct state invalid drop", policy="drop")),
        table_of(
            chain("input", EST, "iif lo accept", "tcp dport { 80, 443 } accept", "ct state invalid counter drop", policy="drop"),
            head="table ip f",
        ),
    ),
    good=(
        table_of(chain("input", EST, "ct state invalid drop", "tcp dport 22 accept", policy="drop")),
        table_of(chain("input", EST, "ct state new tcp dport 22 accept", "ct state invalid drop", policy="drop")),
    ),
    fix="put `ct state invalid drop` right behind the rule that accepts established",
    source="fastfox.pro; Linux nf_conntrack_core.c (nf_conntrack_in)",
)
def late_invalid(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for base in guarded(subject, "input", "forward"):
        open_rule: RuleView | None = None
        for other in subject.view.rules(base.chain):
            if takes_state(other, INVALID) and drops(other):
                if open_rule is not None:
                    spans = (subject.place(other.key), subject.place(open_rule.key))
                    found = rule.at(subject, spans, "invalid packets are dropped behind a rule that has accepted them", other.key)
                    boxes = [both(box, Box({"ct.state": one(INVALID)})) for box in claims.boxes_at(subject, open_rule, base)]
                    yield found._replace(claim=claims.passes(base, boxes, open_rule))
                break
            if open_rule is None and accepts(other) and service(other) and stateless(other) and other.verdict is not None:
                open_rule = other


# what a server outside answers
ANSWER: Final = Box({"meta.l4proto": one(TCP), "th.sport": one(443), "th.dport": one(40001), "ct.state": one(ESTABLISHED)})
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
            if accepts(other) or _maps(other, "ct.state"):
                open_boxes = [box for box in open_boxes if not may_match(other, box)]
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


MULTIPATH: Final = "ip route add default nexthop via 192.0.2.1 dev wan1 nexthop via 198.51.100.1 dev wan2\n"


@rule(
    "CT005",
    "warning",
    "invalid packets are dropped on a router with several ways",
    why="""Where packets of one connection may come by one way and go by another, the tracker sees only half of it and calls the rest invalid. Dropping what is
        invalid then drops good connections. Several ways are seen from default routes of the script or of --host.""",
    bad=(
        MULTIPATH
        + "nft add table inet f\nnft 'add chain inet f fwd0 { type filter hook forward priority 0; }'\nnft add rule inet f fwd0 ct state invalid drop",
        "ip route add default via 192.0.2.1 dev wan1\nip route add default via 198.51.100.1 dev wan2 metric 100\nnft -f - <<EOF\n"
        + table_of(chain("forward", "ct state invalid counter drop"))
        + "\nEOF",
    ),
    good=(
        MULTIPATH + "nft -f - <<EOF\n" + table_of(chain("input", "ct state invalid drop")) + "\nEOF",
        "ip route add default via 192.0.2.1 dev wan1\nnft -f - <<EOF\n" + table_of(chain("forward", "ct state invalid drop")) + "\nEOF",
    ),
    fix="do not drop invalid packets in forward, or set net.netfilter.nf_conntrack_tcp_be_liberal and keep connections on one way",
    source="openwrt#19359, firehol#358, firewalld#1061; Linux nf_conntrack_proto_tcp.c",
)
def several_ways(subject: Subject, rule: Rule) -> Iterator[Finding]:
    defaults = [route for route in subject.host.routes if route.prefix == 0 and route.kind == "unicast"]
    ways = {(route.parent, route.device) for route in defaults} | {(route.parent, hop.device) for route in defaults for hop in route.hops}
    if max((sum(family == wanted for family, _ in ways) for wanted in ("4", "6")), default=0) < 2:
        return
    for base in subject.view.hooked("forward", "filter"):
        for other in subject.view.path_rules(base):
            if takes_state(other, INVALID) and drops(other):
                devices = ", ".join(sorted({device for _, device in ways if device}))
                yield rule.at(
                    subject, subject.place(other.key), f"default routes lead over {devices}: half of a connection looks invalid", other.key
                )


@rule(
    "CT006",
    "info",
    "a new connection need not begin with SYN",
    why="""By default (nf_conntrack_tcp_loose=1) the tracker picks up connections in the middle: a lone ACK is in state new. A rule on `ct state new` alone lets such
        packets in; scanners use them.""",
    bad=(
        table_of(chain("input", EST, "ct state new tcp dport 22 accept", policy="drop")),
        table_of(chain("forward", EST, 'iifname "lan" ct state new tcp dport { 80, 443 } accept', policy="drop")),
    ),
    good=(
        table_of(chain("input", EST, "ct state new tcp flags & (fin|syn|rst|ack) == syn tcp dport 22 accept", policy="drop")),
        table_of(
            chain("input", EST, "tcp flags & (fin|syn|rst|ack) != syn ct state new drop", "ct state new tcp dport 22 accept", policy="drop")
        ),
        table_of(chain("input", EST, "ct state new udp dport 53 accept", policy="drop")),
    ),
    fix="drop `tcp flags & (fin|syn|rst|ack) != syn ct state new` first, or set nf_conntrack_tcp_loose to 0",
    source="Linux Documentation/networking/nf_conntrack-sysctl.rst (nf_conntrack_tcp_loose)",
)
def loose_pickup(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for base in subject.view.bases:
        if base.kind != "filter" or base.hook not in ("input", "forward") or base.table in subject.based:
            continue
        rules = subject.view.path_rules(base)
        if any(drops(other) and has(other, "tcp.flags") for other in rules):
            continue
        for other in rules:
            tcp = any(box.dims.get("meta.l4proto") == one(TCP) for box in other.boxes)
            if accepts(other) and tcp and takes_state(other, NEW) and not takes_state(other, ESTABLISHED) and not has(other, "tcp.flags"):
                found = rule.at(
                    subject, subject.place(other.key), "a TCP packet without SYN is new, too (nf_conntrack_tcp_loose)", other.key
                )
                lone = Box({"ct.state": one(NEW), "tcp.flags": one(16)})
                yield found._replace(claim=claims.passes(base, [both(box, lone) for box in claims.boxes_at(subject, other, base)], other))
                break


@rule(
    "CT007",
    "info",
    "untracked packets are accepted by nothing",
    why="""A packet that `notrack` has taken out is in state untracked, which is neither new nor established: rules on states do not see it. Where the filter drops
        what it does not accept, it needs a rule of its own, in both directions.""",
    bad=(
        table_of(
            chain("prerouting", "udp dport 53 notrack", priority="raw"),
            chain("input", EST, "ct state new udp dport 53 accept", policy="drop"),
        ),
        table_of(
            chain("prerouting", "tcp dport 80 notrack", priority="raw"),
            chain("forward", EST, "ct state new tcp dport 80 accept", policy="drop"),
        ),
    ),
    good=(
        table_of(
            chain("prerouting", "udp dport 53 notrack", priority="raw"), chain("input", EST, "ct state untracked accept", policy="drop")
        ),
        table_of(chain("prerouting", "udp dport 53 notrack", priority="raw"), chain("input", EST, "udp dport 53 accept", policy="drop")),
    ),
    fix="add `ct state untracked accept`, or accept them without a word about the state",
    source="man nft, NOTRACK STATEMENT; Linux nft_ct.c (nft_notrack_eval)",
)
def untracked(subject: Subject, rule: Rule) -> Iterator[Finding]:
    view = subject.view
    for other in view.having(Untrack):
        for step, _effect in other.effects(Untrack):
            hooks = {base.hook for base in view.bases_of(other)}
            wanted = ("output",) if hooks == {"output"} else ("input", "forward")
            filters = [base for base in guarded(subject, *wanted) if base.family in (other.family, "inet") or other.family == "inet"]
            if not filters:
                continue
            boxes = [Box({**box.dims, "ct.state": one(UNTRACKED)}) for box in other.boxes]
            if not any(someone_accepts(view, base, box) for base in filters for box in boxes):
                spans = (subject.step_place(other.key, step), subject.place(filters[0].chain))
                found = rule.at(subject, spans, "these packets become untracked, and no rule accepts them in that state", other.key)
                yield found._replace(claim=claims.lost(filters[0], other.boxes, other))


def _reads_mark(subject: Subject) -> bool:
    if any("ct_mark" in line.words or "connmark" in line.words or "ctinfo" in line.words for line in subject.tc):
        return True
    for other in subject.view.all:
        for match in other.matches:
            if _is_mark(match.left):
                return True
        for _number, effect, _then in other.acts:
            if isinstance(effect, Assign) and "ct.mark" in repr(effect.value) and not (_is_mark(effect.target)):
                return True
            if isinstance(effect, VerdictMap) and "ct.mark" in repr(effect.key):
                return True
    return False


def _is_mark(operand: Operand) -> bool:
    if isinstance(operand, Load):
        return operand.field == "ct.mark"
    if isinstance(operand, Key):
        return operand.what == "ct" and "mark" in operand.args
    inner = getattr(operand, "of", None)
    return inner is not None and _is_mark(inner)


@rule(
    "CT008",
    "warning",
    "the connection's mark is written and never read",
    why="""`ct mark set` keeps a mark with the connection so that later packets can have it back. Without `meta mark set ct mark`, or a match on ct mark, it stays
        where it is and does nothing.""",
    bad=(
        table_of(chain("prerouting", 'iifname "wan1" ct state new ct mark set 1', priority="mangle")),
        table_of(chain("forward", "tcp dport 443 ct mark set meta mark")),
    ),
    good=(
        table_of(chain("prerouting", "meta mark set ct mark", 'iifname "wan1" ct state new ct mark set 1', priority="mangle")),
        table_of(chain("forward", "tcp dport 443 ct mark set 7", "ct mark 7 counter")),
    ),
    fix="restore it: `meta mark set ct mark` in prerouting, behind priority -200",
    source="nftables wiki, Matching connection tracking stateful metainformation",
)
def unread_mark(subject: Subject, rule: Rule) -> Iterator[Finding]:
    writers = [
        (other, step)
        for other in subject.view.having(SetCt, Assign)
        for step, effect in other.effects(SetCt, Assign)
        if ct_key(effect) == "mark"
    ]
    if writers and not _reads_mark(subject):
        other, step = writers[0]
        yield rule.at(
            subject, subject.step_place(other.key, step), "nothing reads ct mark: no match, and no `meta mark set ct mark`", other.key
        )


def _zones(subject: Subject) -> Iterator[tuple[RuleView, int, str]]:
    """Rules that set a zone, with the direction or an empty word."""
    for other in subject.view.having(SetCt, Assign):
        for step, effect in other.effects(SetCt, Assign):
            if ct_key(effect) == "zone":
                words = repr(getattr(effect, "target", effect))
                yield (
                    other,
                    step,
                    next((word for word in ("original", "reply") if word in words or getattr(effect, "name", "") == word), ""),
                )


@rule(
    "CT009",
    "warning",
    "zones of one direction, and nothing tells the answers apart",
    why="""With a zone for the original direction only, the answers of two networks with the same addresses have the same tuple. Unless a nat chain is there to find
        another port, the second connection cannot be confirmed (insert_failed) and its packets are dropped.""",
    bad=(
        table_of(chain("prerouting", 'iifname "blue" ct original zone set 1', 'iifname "red" ct original zone set 2', priority="raw")),
        table_of(chain("output", "meta mark 7 ct original zone set 7", priority="raw"), head="table ip f"),
    ),
    good=(
        table_of(
            chain("prerouting", 'iifname "blue" ct original zone set 1', priority="raw"),
            chain("postrouting", 'oifname "wan" masquerade', kind="nat", priority="srcnat"),
        ),
        table_of(chain("prerouting", 'iifname { "blue", "red" } ct zone set 1', priority="raw")),
    ),
    fix="add a nat base chain of that family (it may be empty), or set the zone for both directions",
    source="vyos#5431; Linux nf_conntrack_core.c (__nf_conntrack_confirm), nf_nat_core.c (get_unique_tuple)",
)
def half_zone(subject: Subject, rule: Rule) -> Iterator[Finding]:
    families = {base.family for base in subject.view.bases if base.kind == "nat"}
    for other, step, direction in _zones(subject):
        if direction == "original" and not families & {other.family, "inet"} and not (other.family == "inet" and families & {"ip", "ip6"}):
            message = "zone of the original direction only, and no nat chain to keep the answers apart"
            yield rule.at(subject, subject.step_place(other.key, step), message, other.key)


@rule(
    "CT010",
    "warning",
    "the zone is set for one interface, and answers come by another",
    why="""A connection lives in its zone: a packet that comes back by an interface without that zone belongs to no connection there. The zone must be set on every
        interface that packets of the connection come by, and in output for the machine's own.""",
    bad=(
        table_of(chain("prerouting", 'iifname "blue" ct zone set 1', priority="raw"), chain("forward", EST, policy="drop")),
        table_of(
            chain("prerouting", 'iifname "vrf-red" ct zone set 7', priority="raw"),
            chain("forward", 'oifname "wan" ct state new accept', EST, policy="drop"),
        ),
    ),
    good=(
        table_of(chain("prerouting", 'iifname { "blue", "wan-blue" } ct zone set 1', priority="raw"), chain("forward", EST, policy="drop")),
        table_of(
            chain("prerouting", 'iifname "blue" ct zone set 1', priority="raw"),
            chain("output", 'oifname "blue" ct zone set 1', priority="raw"),
            chain("input", EST),
        ),
    ),
    fix="set the zone for every interface of that network, and in output",
    source="man nft, CT EXPRESSION: zone; Linux Documentation on conntrack zones",
)
def one_sided_zone(subject: Subject, rule: Rule) -> Iterator[Finding]:
    found = [(other, step) for other, step, direction in _zones(subject) if not direction]
    if any(base.hook == "output" for other, _ in found for base in subject.view.bases_of(other)):
        return
    names: dict[str, tuple[RuleView, int]] = {}
    for other, step in found:
        for box in other.boxes:
            values = box.dims.get("meta iifname") or box.dims.get("meta.iif")
            if values is None or len(values) > 1 or values[0][0] != values[0][1]:
                return
            names[repr(values)] = (other, step)
    forwards = any(subject.view.rules(base.chain) or base.drops for base in subject.view.hooked("forward", "filter"))
    if len(names) == 1 and forwards:
        other, step = next(iter(names.values()))
        yield rule.at(
            subject,
            subject.step_place(other.key, step),
            "only packets that come by this interface get the zone; their answers do not",
            other.key,
        )


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
    no_answers,
    late_invalid,
    no_neighbours,
    black_hole,
    several_ways,
    loose_pickup,
    untracked,
    unread_mark,
    half_zone,
    one_sided_zone,
    no_loopback,
    locked_out,
)
