"""Marks, zones and tracking itself: what one rule writes and another must read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tcemu.ir.effect import Assign, SetCt, SetMeta, Untrack, VerdictMap
from tcemu.ir.operand import Key, Load, Operand
from tcemu.lint import claims
from tcemu.lint.asks import (
    ESTABLISHED,
    NEW,
    TCP,
    UNTRACKED,
    accepts,
    drops,
    has,
    one,
    someone_accepts,
    takes_state,
)
from tcemu.lint.boxes import dim_of
from tcemu.lint.catalogue import Rule, rule
from tcemu.lint.finding import Finding
from tcemu.lint.rules.hooks import chain, ct_key, table_of
from tcemu.lint.space import Box, both
from tcemu.lint.view import RuleView

if TYPE_CHECKING:
    from tcemu.lint.subject import Subject
from tcemu.lint.rules.state import EST, guarded


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
        table_of(chain("forward", "tcp dport 443 meta mark set 7 ct mark set meta mark")),
    ),
    good=(
        table_of(chain("forward", "tcp dport 443 ct mark set meta mark")),
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
        if all(_saves(found, number) for found, number in writers) and not _marks(subject):
            subject.doubt(
                "CT008: whether ct mark is read", "the packets' marks come from elsewhere, too", subject.step_place(other.key, step)
            )
            return
        yield rule.at(
            subject, subject.step_place(other.key, step), "nothing reads ct mark: no match, and no `meta mark set ct mark`", other.key
        )


def _saves(rule: RuleView, step: int) -> bool:
    """Does the step keep the packet's mark?"""
    return any(number == step and isinstance(effect, Assign) and "meta.mark" in repr(effect.value) for number, effect, _ in rule.acts)


def _marks(subject: Subject) -> bool:
    """Does a rule mark packets?"""
    return any(
        isinstance(effect, SetMeta) or (isinstance(effect, Assign) and dim_of(effect.target)[0] == "meta.mark")
        for other in subject.view.having(SetMeta, Assign)
        for _, effect, _ in other.acts
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


RULES: Final = (
    loose_pickup,
    untracked,
    unread_mark,
    half_zone,
    one_sided_zone,
)
