"""tc: what a set-up with connection tracking needs in its chains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tcemu.ir.effect import Track, Vlan
from tcemu.ir.step import Match, Step
from tcemu.ir.verdict import GOTO
from tcemu.lint import claims
from tcemu.lint.catalogue import Rule, rule
from tcemu.lint.finding import Finding
from tcemu.lint.rules.tc import EST, INV, NEW, TRK
from tcemu.lint.view import RuleView

if TYPE_CHECKING:
    from tcemu.diagnostics import Span
    from tcemu.lint.subject import Subject
from tcemu.lint.rules.tc import TRACKED, asked, blocks, filters, tracks

EST_PASS: Final = "tc filter add dev eth0 ingress prio 1 protocol ip chain 1 flower ct_state +trk+est action pass\n"


NEW_COMMIT: Final = (
    "tc filter add dev eth0 ingress prio 2 protocol ip chain 1 flower ct_state +trk+new action ct commit zone 1 pipe action pass\n"
)


REST_DROP: Final = "tc filter add dev eth0 ingress prio 9 protocol ip chain 1 flower action drop"


WHOLE: Final = TRACKED + EST_PASS + NEW_COMMIT + REST_DROP


def _on_state(step: Step) -> bool:
    return isinstance(step, Match) and getattr(step.left, "field", "") == "ct.flower"


def wants(found: RuleView, bit: int) -> bool:
    """Does it ask for that state (+state)?"""
    state = asked(found)
    return state is not None and bool(state[0] & bit)


def goes(found: RuleView) -> list[str]:
    """Chains that it goes to."""
    return [then.to for _, _, then in found.acts if then.code == GOTO]


def entered(subject: Subject, block: str, chains: dict[str, list[RuleView]]) -> bool:
    """Has chain 0 a filter? Without one the text is a piece of a set-up: who leads to the other chains is elsewhere, and so is what tracks."""
    if any(rules and not chain_number(key) for key, rules in chains.items()):
        return True
    subject.doubt(f"what leads to the chains of {block}", "chain 0 has no filters in this text")
    return False


def chain_number(key: str) -> int:
    """A chain's number."""
    return int(key.rpartition("/")[2])


def tracked_chains(chains: dict[str, list[RuleView]]) -> set[str]:
    """Chains that packets reach with their connection looked up."""
    found: set[str] = set()
    for _ in range(len(chains) + 1):
        before = len(found)
        for key, rules in chains.items():
            for one in rules:
                if any(not track.clear for track in tracks(one)) or key in found:
                    found.update(goes(one))
        if len(found) == before:
            break
    return found


@rule(
    "TC003",
    "warning",
    "ct_state is asked where nothing was tracked, or tracked for ever",
    why="""`action ct` looks the connection up; in front of it ct_state is empty, and a filter on +trk never matches. And a filter that tracks and goes to its own chain
        must ask for -trk, or it takes the packet again and again (the kernel drops it after 16 rounds).""",
    bad=(
        filters("protocol ip flower ct_state +trk+est action pass", "protocol ip flower action drop"),
        filters(
            "protocol ip chain 0 flower action ct zone 1 pipe action goto chain 0",
            "protocol ip chain 0 flower ct_state +trk+est action pass",
        ),
    ),
    good=(
        WHOLE,
        filters(
            "prio 1 protocol ip chain 0 flower ct_state -trk action ct zone 1 pipe action goto chain 0",
            "prio 2 protocol ip chain 0 flower ct_state +trk+est action pass",
        ),
    ),
    fix="track first: `flower ct_state -trk action ct pipe action goto chain 1`, and ask in chain 1",
    source="Linux net/sched/act_ct.c, cls_flower.c (fl_classify); man tc-ct",
)
def never_tracked(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for block, chains in blocks(subject):
        if not entered(subject, block, chains):
            continue
        reached = tracked_chains(chains)
        for key, rules in chains.items():
            for one in rules:
                if wants(one, TRK) and key not in reached and not block.endswith("egress") and not block.startswith("tc block"):
                    found = rule.at(
                        subject, subject.place(one.key), "nothing has tracked packets in this chain: +trk never matches", one.key
                    )
                    steps = [number for number, step in enumerate(one.rule.steps) if _on_state(step)]
                    yield found._replace(claim=claims.never(subject, one, steps))
                state = asked(one)
                loops = tracks(one) and key in goes(one) and (state is None or not state[1] & TRK)
                if loops:
                    yield rule.at(subject, subject.place(one.key), "tracks and comes back to itself: ask for ct_state -trk", one.key)


@rule(
    "TC004",
    "warning",
    "packets that are no IP are tracked",
    why="""`action ct` drops a packet whose network header is neither IPv4 nor IPv6: a filter on `protocol all` or on a VLAN tag hands it ARP and everything tagged. Take the tag off
        first, or filter on ip and ipv6.""",
    bad=(
        filters("protocol all flower action ct zone 1 pipe action goto chain 1"),
        filters("protocol 802.1Q flower vlan_id 5 action ct zone 5 pipe action goto chain 1"),
    ),
    good=(
        filters("protocol ip flower action ct zone 1 pipe action goto chain 1", "protocol ip chain 1 flower action pass"),
        filters("protocol 802.1Q flower vlan_id 5 vlan_ethtype ip action vlan pop pipe action ct zone 5 pipe action pass"),
    ),
    fix="use `protocol ip` and `protocol ipv6`, or `action vlan pop` in front of ct",
    source="Linux net/sched/act_ct.c (tcf_ct_skb_nf_family, tcf_ct_act)",
)
def not_ip(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for one in subject.view.tc_all:
        popped = False
        for _number, effect, _then in one.acts:
            popped = popped or (isinstance(effect, Vlan) and effect.op == "pop")
            if isinstance(effect, Track) and not effect.clear and not popped:
                protocol = _protocol(subject, one)
                ip_inside = any(getattr(match.left, "field", "") in ("meta.netproto", "vlan.type", "cvlan.type") for match in one.matches)
                if (protocol == 3 and not ip_inside) or protocol in (0x8100, 0x88A8):
                    what = "every protocol" if protocol == 3 else "tagged packets"
                    yield rule.at(subject, subject.place(one.key), f"{what} are given to ct, which drops what is not IP", one.key)
                break


def _protocol(subject: Subject, one: RuleView) -> int:
    slot = subject.ruleset.slots.get(f"{one.chain}/{one.rule.slot}")
    return slot.protocol if slot is not None else 0


@rule(
    "TC005",
    "warning",
    "chains that lead nowhere, are led to by nothing, or lead in circles",
    why="""goto to a chain without filters lets the packet pass; filters in a chain that nothing goes to are never tried; chains that go to each other without a change drop the
        packet after 16 rounds. A chain that asks for states and has no rule for the rest lets invalid packets pass.""",
    bad=(
        filters("protocol ip flower dst_ip 10.0.0.1 action goto chain 7", "protocol ip flower dst_ip 10.0.0.2 action drop"),
        filters("protocol ip flower action pass", "protocol ip chain 3 flower action drop"),
        filters("protocol ip flower action goto chain 1", "protocol ip chain 1 flower action goto chain 0"),
    ),
    good=(
        WHOLE,
        filters("protocol ip flower dst_ip 10.0.0.1 action goto chain 7", "protocol ip chain 7 flower ip_proto tcp action drop"),
    ),
    fix="add the filters, remove the chain, or break the circle with a match that the second round fails",
    source="Linux net/sched/cls_api.c (tcf_classify, max_reclassify_loop); justinpettit/ovs#1",
)
def lost_chains(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for block, chains in blocks(subject):
        if not entered(subject, block, chains):
            continue
        led = {target for rules in chains.values() for one in rules for target in goes(one)}
        for key, rules in chains.items():
            for one in rules:
                for target in goes(one):
                    if not chains.get(target):
                        yield rule.at(
                            subject, subject.place(one.key), f"chain {chain_number(target)} has no filters: the packet passes", one.key
                        )
                        continue
                    circle = target == key or (key in _reached(chains, target) and _same_again(chains, key, target))
                    if circle and not tracks(one) and asked(one) is None:
                        message = f"chains {chain_number(key)} and {chain_number(target)} go in a circle"
                        yield rule.at(subject, subject.place(one.key), message, one.key)
            if rules and chain_number(key) and key not in led:
                found = rule.at(subject, subject.place(rules[0].key), f"nothing goes to chain {chain_number(key)}", key)
                yield found._replace(claim=claims.unled(subject, key, rules))
            yield from _without_rest(subject, rule, key, rules)


def _reached(chains: dict[str, list[RuleView]], start: str) -> set[str]:
    seen = {start}
    waiting = [start]
    while waiting:
        for one in chains.get(waiting.pop(), ()):
            for target in goes(one):
                if target not in seen:
                    seen.add(target)
                    waiting.append(target)
    return seen


def _same_again(chains: dict[str, list[RuleView]], key: str, target: str) -> bool:
    """Does the way back change nothing that would be matched?"""
    return all(
        len([effect for _, effect, _ in one.acts if effect is not None and type(effect).__name__ != "Nothing"]) == 0
        for one in (*chains[key], *chains[target])
        if goes(one)
    )


def _without_rest(subject: Subject, rule: Rule, key: str, rules: list[RuleView]) -> Iterator[Finding]:
    """States are asked, and nothing is said of the rest."""
    states = [one for one in rules if wants(one, TRK)]
    if len(states) < 2 or not any(wants(one, NEW) for one in states) or not any(wants(one, EST) for one in states):
        return
    drops = any(then.code == 4 for one in states for _, _, then in one.acts)
    if drops or any(wants(one, INV) for one in rules) or any(asked(one) is None for one in rules):
        return
    yield rule.at(subject, subject.place(states[-1].key), "neither a filter for +trk+inv nor one for the rest: invalid packets pass", key)


@rule(
    "TC006",
    "warning",
    "commit where it is not needed, or none where it is",
    why="""A connection is kept only when `ct commit` has confirmed it: a filter that lets +new pass without it leaves every packet new. Marks, labels and nat addresses are set by commit
        alone. What one direction translates, the answers must be given `ct nat` for. And lookups and commits must be in the same zone.""",
    bad=(
        TRACKED + EST_PASS + "tc filter add dev eth0 ingress prio 2 protocol ip chain 1 flower ct_state +trk+new action pass\n" + REST_DROP,
        TRACKED
        + EST_PASS
        + "tc filter add dev eth0 ingress prio 2 protocol ip chain 1 flower ct_state +trk+new action ct commit zone 2 pipe action pass\n"
        + REST_DROP,
        filters("protocol ip flower action ct zone 1 mark 5 pipe action pass", "protocol arp flower action pass"),
        TRACKED
        + EST_PASS
        + "tc filter add dev eth0 ingress prio 2 protocol ip chain 1 flower ct_state +trk+new action ct commit zone 1 nat src addr 192.0.2.1 pipe action pass\n"
        + REST_DROP,
    ),
    good=(
        WHOLE,
        TRACKED.replace("ct zone 1 pipe", "ct zone 1 nat pipe")
        + EST_PASS
        + "tc filter add dev eth0 ingress prio 2 protocol ip chain 1 flower ct_state +trk+new action ct commit zone 1 nat src addr 192.0.2.1 pipe action pass\n"
        + REST_DROP,
    ),
    fix="commit on +trk+new, in the zone that was looked up; `ct nat` on the way of the answers",
    source="man tc-ct; Linux net/sched/act_ct.c (tcf_ct_act)",
)
def commits(subject: Subject, rule: Rule) -> Iterator[Finding]:
    everything = [track for one in subject.view.tc_all for track in tracks(one)]
    looked = {track.zone for track in everything if not track.commit and not track.clear}
    for _block, chains in blocks(subject):
        confirmed = any(wants(one, EST) for rules in chains.values() for one in rules)
        for rules in chains.values():
            for one in rules:
                span = subject.place(one.key)
                yield from _of_filter(subject, rule, one, span, confirmed, everything)
                for track in tracks(one):
                    if track.commit and looked and track.zone not in looked:
                        zones = ", ".join(str(zone) for zone in sorted(looked))
                        yield rule.at(subject, span, f"committed in zone {track.zone}, looked up in zone {zones}", one.key)
                    if (
                        not track.commit
                        and not track.clear
                        and (track.mark_mask or track.label_mask or (track.nat is not None and track.nat.manip))
                    ):
                        yield rule.at(subject, span, "mark, label and nat addresses do nothing without commit", one.key)


def _of_filter(
    subject: Subject, rule: Rule, one: RuleView, span: Span | None, confirmed: bool, everything: list[Track]
) -> Iterator[Finding]:
    commits_here = any(track.commit for track in tracks(one))
    passes = one.verdict is not None and one.verdict.code in (3, 5, 8)
    if wants(one, NEW) and confirmed and passes and not commits_here and not goes(one) and not tracks(one):
        yield rule.at(subject, span, "new connections pass and are never committed: each packet of theirs stays new", one.key)
    if (
        wants(one, EST)
        and not wants(one, NEW)
        and commits_here
        and not any(track.mark_mask or track.label_mask or track.force for track in tracks(one))
    ):
        yield rule.at(subject, span, "the connection is established, and so committed already", one.key)
    translating = any(track.commit and track.nat is not None and track.nat.manip for track in tracks(one))
    if translating and not any(track.nat is not None and not track.nat.manip for track in everything):
        yield rule.at(subject, span, "this translates the first packet, and no `ct nat` translates the others and the answers", one.key)


RULES: Final = (
    never_tracked,
    not_ip,
    lost_chains,
    commits,
)
