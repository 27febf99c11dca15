"""Address translation: what it needs elsewhere, and what it does to the rules around it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tcemu.ir.effect import Translate
from tcemu.ir.step import Not
from tcemu.lint import claims
from tcemu.lint.asks import (
    IIF,
    NEW,
    OIF,
    accepting,
    accepts,
    constant,
    has,
    looks_at,
    may_match,
    one,
    translations,
)
from tcemu.lint.catalogue import Rule, rule
from tcemu.lint.finding import Claim, Finding
from tcemu.lint.rules.hooks import chain, interface_side, table_of
from tcemu.lint.rules.state import EST, guarded
from tcemu.lint.space import Box, Values, meet
from tcemu.lint.view import Base, RuleView

if TYPE_CHECKING:
    from tcemu.lint.subject import Subject

PRIVATE: Final = ((0x0A000000, 0x0AFFFFFF), (0xAC100000, 0xAC1FFFFF), (0xC0A80000, 0xC0A8FFFF))


def pre(*rules: str) -> str:
    """A prerouting chain of nat."""
    return chain("prerouting", *rules, kind="nat", priority="dstnat")


def post(*rules: str) -> str:
    """A postrouting chain of nat."""
    return chain("postrouting", *rules, kind="nat", priority="srcnat")


def _targets(subject: Subject) -> Iterator[tuple[RuleView, int, Translate, int, int]]:
    """Rules that send connections to a constant address: rule, step, effect, address, port (0: as it is)."""
    for found, step, effect in translations(subject.view, "dnat"):
        address = constant(effect.address)
        port = constant(effect.port)
        if address is None or effect.address_high is not None or effect.port_high is not None or (effect.port is not None and port is None):
            continue
        if any(base.hook == "prerouting" for base in subject.view.bases_of(found)):
            yield found, step, effect, address, port or 0


def _after(rule: RuleView, effect: Translate, address: int, port: int) -> list[Box]:
    """The packets of a translation as the chains behind it see them."""
    prefix = "ip6" if effect.family == 6 else "ip"
    found = []
    for box in rule.boxes:
        dims = {dim: values for dim, values in box.dims.items() if dim not in ("meta.mark", "ether.daddr") and not dim.startswith("(")}
        dims[f"{prefix}.daddr"] = one(address)
        dims["meta nfproto"] = one(10 if prefix == "ip6" else 2)
        if port:
            dims["th.dport"] = one(port)
        dims["ct.state"] = one(NEW)
        found.append(Box(dims))
    return found


def _forwarders(subject: Subject, rule: RuleView, effect: Translate) -> list[Base]:
    family = "ip6" if effect.family == 6 else "ip"
    return [base for base in guarded(subject, "forward") if base.sees(family)]


def _lets(subject: Subject, base: Base, boxes: list[Box]) -> RuleView | None:
    for other in accepting(subject.view, base):
        if looks_at(other, ("ct status", "ct.status", "ct original", "ct mark", "ct.mark", "meta.mark")):
            return other
        if any(may_match(other, box) for box in boxes):
            return other
    return None


@rule(
    "NAT01",
    "warning",
    "a connection is sent inside, and nothing lets it through",
    why="""Behind prerouting a packet has its new address and port, and forward sees these. A forward chain that drops what it does not accept needs a rule for the
        translated address (or `ct status dnat accept`): one for the old address lets nothing in.""",
    bad=(
        table_of(
            pre('iifname "wan" tcp dport 80 dnat to 10.0.0.2'),
            chain("forward", EST, 'iifname "lan" accept', policy="drop"),
            head="table ip f",
        ),
        table_of(
            pre("ip daddr 192.0.2.1 tcp dport 443 dnat to 10.0.0.2"),
            chain("forward", EST, "ip daddr 192.0.2.1 tcp dport 443 accept", policy="drop"),
            head="table ip f",
        ),
    ),
    good=(
        table_of(
            pre('iifname "wan" tcp dport 80 dnat to 10.0.0.2'),
            chain("forward", EST, "ip daddr 10.0.0.2 tcp dport 80 accept", policy="drop"),
            head="table ip f",
        ),
        table_of(
            pre('iifname "wan" tcp dport 80 dnat to 10.0.0.2'),
            chain("forward", EST, "ct status dnat accept", policy="drop"),
            head="table ip f",
        ),
    ),
    fix="add `ct status dnat accept` to forward, or accept the translated address and port",
    source="aredn#1216, router7#53; Linux nf_nat_core.c",
)
def not_let_through(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for found, step, effect, address, port in _targets(subject):
        if found.table in subject.based:
            continue
        boxes = _after(found, effect, address, port)
        for base in _forwarders(subject, found, effect):
            if _lets(subject, base, boxes) is None:
                spans = (subject.step_place(found.key, step), subject.place(base.chain))
                message = f"the policy of chain {base.chain} drops these connections: no rule accepts them as translated"
                before = claims.base_of(subject.view, found)
                claim = claims.lost(base, claims.boxes_at(subject, found, before), found)
                yield rule.at(subject, spans, message, found.key)._replace(claim=claim)
                break


@rule(
    "NAT02",
    "warning",
    "who is inside cannot use the outside address",
    why="""A client in the LAN that calls the outside address is sent to a server in the same LAN. The server answers the client directly, the client knows nothing of
        that connection and resets it. It takes a masquerade for connections that were translated and stay inside.""",
    bad=(
        table_of(
            pre("ip daddr 192.0.2.1 tcp dport 80 dnat to 192.168.1.10"),
            post('oifname "wan" masquerade'),
            head="table ip n",
        ),
        table_of(pre('iifname != "wan" tcp dport 8080 dnat to 192.168.1.10:80'), post('oifname "wan" masquerade'), head="table ip n"),
    ),
    good=(
        table_of(
            pre("ip daddr 192.0.2.1 tcp dport 80 dnat to 192.168.1.10"),
            post('oifname "wan" masquerade', "ip saddr 192.168.1.0/24 ip daddr 192.168.1.10 masquerade"),
            head="table ip n",
        ),
        table_of(pre('iifname "wan" tcp dport 80 dnat to 192.168.1.10'), post('oifname "wan" masquerade'), head="table ip n"),
    ),
    fix="add `ip saddr LAN ip daddr SERVER masquerade` to postrouting, or translate only what comes from outside",
    source="nixpkgs#514224, openwrt#20047; nftables wiki, Performing NAT",
)
def hairpin(subject: Subject, rule: Rule) -> Iterator[Finding]:
    sources = list(translations(subject.view, "snat", "masquerade"))
    if not sources:
        return
    for found, step, effect, address, port in _targets(subject):
        if effect.family == 6 or not meet(one(address), PRIVATE) or found.table in subject.based:
            continue
        inverted = any(isinstance(match.test, Not) and interface_side(match.left) == "iif" for match in found.matches)
        if not inverted and (looks_at(found, IIF) or not has(found, "ip.daddr")):
            continue
        if has(found, "ip.saddr"):
            continue
        inside = Box(
            {
                "ip.daddr": one(address),
                "ip.saddr": one(address ^ 1),
                "meta.l4proto": found.boxes[0].dims.get("meta.l4proto", one(6)),
                "ct.state": one(NEW),
            }
        )
        if port:
            inside.dims["th.dport"] = one(port)
        if any(_back_inside(other, inside) for other, _, _ in sources):
            continue
        message = "clients in the server's own network get no answer: nothing translates their source (hairpin)"
        yield rule.at(subject, subject.step_place(found.key, step), message, found.key)


def _back_inside(rule: RuleView, inside: Box) -> bool:
    outward = any(not isinstance(match.test, Not) and interface_side(match.left) == "oif" for match in rule.matches)
    return may_match(rule, inside) and not (outward and not has(rule, "ip.saddr", "ip.daddr"))


@rule(
    "NAT03",
    "warning",
    "a filter rule for the port before translation",
    why="""input and forward run behind prerouting: where the port was translated, a rule there for the old port never sees the connection (`ct original proto-dst`
        still knows it).""",
    bad=(
        table_of(
            pre('iifname "wan" tcp dport 8080 dnat to 10.0.0.2:80'),
            chain("forward", EST, 'iifname "wan" tcp dport 8080 accept', policy="drop"),
            head="table ip f",
        ),
        table_of(
            pre("tcp dport 2222 redirect to :22"),
            chain("input", EST, "iif lo accept", "tcp dport 2222 accept", policy="drop"),
            head="table ip f",
        ),
    ),
    good=(
        table_of(
            pre('iifname "wan" tcp dport 8080 dnat to 10.0.0.2:80'),
            chain("forward", EST, "ip daddr 10.0.0.2 tcp dport 80 accept", policy="drop"),
            head="table ip f",
        ),
        table_of(
            pre("tcp dport 2222 redirect to :22"),
            chain("input", EST, "iif lo accept", "tcp dport { 22, 2222 } accept", policy="drop"),
            head="table ip f",
        ),
    ),
    fix="match the translated port, or `ct original proto-dst`",
    source="kubernetes#139628; Linux nf_nat_core.c",
)
def old_port(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for found, step, effect in translations(subject.view, "dnat", "redirect"):
        port = constant(effect.port)
        hook = "input" if effect.kind == "redirect" else "forward"
        if port is None or effect.port_high is not None or found.table in subject.based:
            continue
        for box in found.boxes:
            old = box.dims.get("th.dport")
            if old is None or len(old) != 1 or old[0][0] != old[0][1] or old == one(port):
                continue
            for base in guarded(subject, hook):
                yield from _on_old_port(subject, rule, (found, step), base, (box, old, port))


def _on_old_port(
    subject: Subject, rule: Rule, found: tuple[RuleView, int], base: Base, ports: tuple[Box, Values, int]
) -> Iterator[Finding]:
    box, old, port = ports
    protocol = box.dims.get("meta.l4proto")
    rules = [other for other in subject.view.path_rules(base) if accepts(other)]
    if any(_about(other, one(port), protocol) for other in rules):
        return
    for other in rules:
        if any(mine.dims.get("th.dport") == old and mine.dims.get("meta.l4proto") == protocol for mine in other.boxes):
            message = f"port {old[0][0]} has become {port} before this chain: this accepts nothing that was translated"
            spans = (subject.place(other.key), subject.step_place(found[0].key, found[1]))
            claim = Claim(base, claims.shared(subject, found[0], other, base), other.key, (found[0].key,))
            yield rule.at(subject, spans, message, other.key)._replace(claim=claim)


def _about(rule: RuleView, port: Values, protocol: Values | None) -> bool:
    return any(
        (mine.dims.get("th.dport") is None and "ct.state" not in mine.dims and not _loopback(mine))
        or (mine.dims.get("th.dport") is not None and meet(mine.dims["th.dport"], port) and mine.dims.get("meta.l4proto") == protocol)
        for mine in rule.boxes
    )


def _loopback(box: Box) -> bool:
    return box.dims.get("meta.iif") == one(1) or "meta iifname" in box.dims


@rule(
    "NAT04",
    "info",
    "masquerade for every way out",
    why="""Without a word about the interface or the addresses, masquerade translates everything that leaves: between inner networks too, where logs and access lists
        then show only the router.""",
    bad=(
        table_of(post("masquerade"), head="table ip n"),
        table_of(post("ip protocol tcp counter masquerade"), head="table ip n"),
    ),
    good=(
        table_of(post('oifname "wan" masquerade'), head="table ip n"),
        table_of(post("ip saddr 10.0.0.0/8 ip daddr != 10.0.0.0/8 masquerade"), head="table ip n"),
    ),
    fix='add `oifname "wan"`',
    source="man nft, NAT STATEMENTS",
)
def everywhere(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for found, step, _effect in translations(subject.view, "masquerade"):
        words = (*OIF, "ip.saddr", "ip.daddr", "ip6.saddr", "ip6.daddr", "mark", "ct status", "fib", "ct.status")
        if not looks_at(found, words) and not looks_at(found, IIF) and _called_bare(subject, found):
            yield rule.at(subject, subject.step_place(found.key, step), "this translates whatever leaves, by every interface", found.key)


def _called_bare(subject: Subject, found: RuleView) -> bool:
    """Is its chain a base chain, or called without a word about interfaces or addresses?"""
    if any(base.chain == found.chain for base in subject.view.bases):
        return True
    callers = subject.view.callers.get(found.chain, [])
    return bool(callers) and not any(other.boxes[0].dims or len(other.acts) > 1 for other in callers)


RULES: Final = (
    not_let_through,
    hairpin,
    old_port,
    everywhere,
)
