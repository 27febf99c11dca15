"""tc: flower filters and what connection tracking wants of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tcemu.ir.effect import Output, Track, Vlan
from tcemu.ir.step import Match, Step
from tcemu.ir.verdict import GOTO
from tcemu.lint import claims
from tcemu.lint.catalogue import Rule, rule
from tcemu.lint.finding import Finding
from tcemu.lint.space import apart
from tcemu.lint.view import RuleView
from tcemu.tc.command import FilterCommand
from tcemu.tc.notes import RuleNote, unpack

if TYPE_CHECKING:
    from tcemu.diagnostics import Span
    from tcemu.lint.subject import Subject, TcLine

NEW, EST, REL, TRK, INV, RPL = 1, 2, 4, 8, 16, 32
SKIP_HW, SKIP_SW = 1, 2
QDISC: Final = "tc qdisc add dev eth0 clsact\n"
TRACKED: Final = (
    QDISC + "tc filter add dev eth0 ingress prio 1 protocol ip chain 0 flower ct_state -trk action ct zone 1 pipe action goto chain 1\n"
)
EST_PASS: Final = "tc filter add dev eth0 ingress prio 1 protocol ip chain 1 flower ct_state +trk+est action pass\n"
NEW_COMMIT: Final = (
    "tc filter add dev eth0 ingress prio 2 protocol ip chain 1 flower ct_state +trk+new action ct commit zone 1 pipe action pass\n"
)
REST_DROP: Final = "tc filter add dev eth0 ingress prio 9 protocol ip chain 1 flower action drop"
WHOLE: Final = TRACKED + EST_PASS + NEW_COMMIT + REST_DROP


def filters(*lines: str) -> str:
    """Lines of filters on eth0, for an example."""
    return QDISC + "\n".join(f"tc filter add dev eth0 ingress {line}" for line in lines)


CONTRADICTIONS: Final = ("no trk, so no other flag", "mutually exclusive", "when inv is set")
NEEDS_PROTOCOL: Final = re.compile(
    r'Illegal "(src_port|dst_port|icmp type|icmp code|src_ip|dst_ip|tcp_flags|ip_tos|ip_ttl|type|code|arp_\w+)"'
)


def _class(line: TcLine) -> str:
    """The rule that speaks of a line that failed."""
    if any(words in line.error for words in CONTRADICTIONS):
        return "TC001"
    illegal = NEEDS_PROTOCOL.search(line.error)
    if illegal is not None and _plausible(line, illegal[1]):
        return "TC002"
    if line.error in ("File exists", "Filter already exists") and line.refused:
        return "TC008"
    if ("skip_sw" in line.words and "skip_hw" in line.words) or "TC index exceeds max range" in line.error:
        return "TC011"
    if "Cannot find device" in line.error and "mirred" in line.words:
        return "TC009"
    return "TC000"


def _plausible(line: TcLine, key: str) -> bool:
    """Is the value one that the key could have, so that the protocol is what is missing?"""
    word = {"icmp type": "type", "icmp code": "code"}.get(key, key)
    if word not in line.words[:-1]:
        return False
    value = line.words[line.words.index(word) + 1]
    if key.endswith("_ip"):
        return re.fullmatch(r"[0-9a-fA-F.:]+(/\d+)?", value) is not None
    if key.endswith("_port"):
        return re.fullmatch(r"\d+(-\d+)?", value) is not None and 0 < int(value.split("-")[0]) < 65536
    return re.fullmatch(r"(0x)?[0-9a-fA-F]+(/(0x)?[0-9a-fA-F]+)?", value) is not None


def told(subject: Subject, rule: Rule) -> Iterator[Finding]:
    """What tc or the kernel says of lines, as far as this rule speaks of it."""
    for line in subject.tc:
        if line.error and _class(line) == rule.id:
            words = line.error.removeprefix("Error: ").split("\n")[0].rstrip(".")
            yield rule.at(subject, line.span, f"{'the kernel' if line.refused else 'tc'} refuses it: {words}")


def flags_of(found: RuleView) -> int:
    """TCA_CLS_FLAGS_*."""
    return unpack(RuleNote, found.rule.note).flags | (SKIP_SW if found.key in found.view.subject.hardware else 0)


def asked(found: RuleView) -> tuple[int, int] | None:
    """Value and mask of ct_state, None where it does not look at it."""
    for match in found.matches:
        if getattr(match.left, "field", "") == "ct.flower":
            value, mask = getattr(match.test, "value", 0), getattr(match.test, "mask", 0)
            return value, mask
    return None


def _on_state(step: Step) -> bool:
    return isinstance(step, Match) and getattr(step.left, "field", "") == "ct.flower"


def wants(found: RuleView, bit: int) -> bool:
    """Does it ask for that state (+state)?"""
    state = asked(found)
    return state is not None and bool(state[0] & bit)


def tracks(found: RuleView) -> list[Track]:
    """Its ct actions."""
    return [effect for _, effect in found.effects(Track) if isinstance(effect, Track)]


def goes(found: RuleView) -> list[str]:
    """Chains that it goes to."""
    return [then.to for _, _, then in found.acts if then.code == GOTO]


def chain_number(key: str) -> int:
    """A chain's number."""
    return int(key.rpartition("/")[2])


def blocks(subject: Subject) -> Iterator[tuple[str, dict[str, list[RuleView]]]]:
    """Blocks with the filters of their chains. Of a filter that stands alone nothing is said: what belongs to it is elsewhere."""
    if len(subject.view.tc_all) < 2:
        return
    for block in subject.view.blocks:
        found = {key: subject.view.rules(key) for key in subject.view.tc_chains(block)}
        if any(found.values()):
            yield block, found


@rule(
    "TC000",
    "error",
    "tc does not take it",
    why="""tc or the kernel refuses the line for a reason that no other rule of this catalogue speaks of. A batch stops there.""",
    bad=(
        "qdisc add dev eth0 clsact\nfilter add dev eth0 ingress protocol ip flower dst_ipp 10.0.0.1 action drop",
        filters("protocol ip flower dst_ip 10.0.0.1 action dropp"),
    ),
    good=(
        filters("protocol ip flower dst_ip 10.0.0.1 action drop"),
        "qdisc add dev eth0 clsact\nfilter show dev eth0 ingress",
    ),
    fix="read the message: it is tc's own",
    source="iproute2 6.1 tc/; Linux net/sched/cls_api.c",
)
def refused(subject: Subject, rule: Rule) -> Iterator[Finding]:
    yield from told(subject, rule)


@rule(
    "TC001",
    "error",
    "states of ct_state that exclude each other",
    why="""A packet is new or established, original or (once established) reply, and invalid excludes the rest; every flag but trk asks for trk. The kernel refuses what
        no packet has.""",
    bad=(
        filters("protocol ip flower ct_state +trk+new+est action drop"),
        filters("protocol ip flower ct_state +new action drop"),
        filters("protocol ip flower ct_state +trk+new+inv action drop"),
    ),
    good=(
        filters(
            "protocol ip flower ct_state -trk action ct zone 1 pipe action goto chain 1",
            "protocol ip chain 1 flower ct_state +trk+new action drop",
        ),
        filters(
            "protocol ip flower ct_state -trk action ct zone 1 pipe action goto chain 1",
            "protocol ip chain 1 flower ct_state +trk+est-rpl action drop",
        ),
    ),
    fix="write one filter for each state",
    source="Linux net/sched/cls_flower.c (fl_validate_ct_state); antrea#188",
)
def contradiction(subject: Subject, rule: Rule) -> Iterator[Finding]:
    yield from told(subject, rule)


@rule(
    "TC002",
    "error",
    "a key whose protocol is not said",
    why="""flower takes ports only behind `ip_proto tcp`, udp or sctp, types of ICMP behind `ip_proto icmp`, addresses only with `protocol ip` or ipv6 (or the ethertype
        behind the VLAN tag): tc says no more than Illegal.""",
    bad=(
        filters("protocol ip flower dst_port 80 action drop"),
        filters("protocol all flower dst_ip 10.0.0.1 action drop"),
        filters("protocol ip flower ip_proto tcp type 8 action drop"),
    ),
    good=(
        filters("protocol ip flower ip_proto tcp dst_port 80 action drop"),
        filters("protocol 802.1Q flower vlan_id 5 vlan_ethtype ipv4 dst_ip 10.0.0.1 action drop"),
    ),
    fix="add ip_proto in front of the key, or say `protocol ip`",
    source="man tc-flower; iproute2 tc/f_flower.c",
)
def no_protocol(subject: Subject, rule: Rule) -> Iterator[Finding]:
    yield from told(subject, rule)


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
    for _block, chains in blocks(subject):
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


@rule(
    "TC007",
    "warning",
    "hardware does not take it, and skip_sw leaves nothing else",
    why="""Drivers (mlx5) offload established connections only: filters on +new, +rel or +inv, ct with a helper, ICMP, source and target translated at once, ct on egress stay in software.
        With skip_sw such a filter fails to load.""",
    bad=(
        TRACKED + "tc filter add dev eth0 ingress prio 1 protocol ip chain 1 flower skip_sw ct_state +trk+new action drop",
        TRACKED + "tc filter add dev eth0 ingress prio 1 protocol ip chain 1 flower skip_sw ip_proto icmp ct_state +trk+est action pass",
        QDISC + "tc filter add dev eth0 egress prio 1 protocol ip flower skip_sw action ct zone 1 pipe action goto chain 1",
    ),
    good=(
        TRACKED
        + "tc filter add dev eth0 ingress prio 1 protocol ip chain 1 flower skip_sw ip_proto tcp ct_state +trk+est action mirred egress redirect dev eth1",
        TRACKED + "tc filter add dev eth0 ingress prio 1 protocol ip chain 1 flower ct_state +trk+new action drop",
    ),
    fix="leave skip_sw out of these filters",
    source="Linux drivers/net/ethernet/mellanox/mlx5/core/en/tc_ct.c; net/sched/act_ct.c",
)
def no_hardware(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for one in subject.view.tc_all:
        if not flags_of(one) & SKIP_SW:
            continue
        why = ""
        state = asked(one)
        if state is not None and state[0] & (NEW | REL | INV):
            why = "a match on +new, +rel or +inv"
        elif state is not None and state[0] & TRK and any(box.dims.get("meta.l4proto") in (((1, 1),), ((58, 58),)) for box in one.boxes):
            why = "connections of ICMP"
        elif any(track.helper for track in tracks(one)):
            why = "ct with a helper"
        elif tracks(one) and one.table.endswith("egress"):
            why = "ct on egress"
        elif len({track.nat.manip for track in tracks(one) if track.nat is not None and track.nat.manip}) > 1:
            why = "source and target translated at once"
        if why:
            yield rule.at(subject, subject.place(one.key), f"{why}: drivers do not offload it, and skip_sw makes it fail", one.key)


@rule(
    "TC008",
    "warning",
    "the order of filters is not what is written",
    why="""Without pref each new filter gets a lower number and is tried before the older ones. Within one pref filters with different masks are tried in the order in which their masks came. Where
        filters overlap and decide differently, say the order; a filter added twice is refused.""",
    bad=(
        filters("protocol ip flower dst_ip 10.0.0.1 action pass", "protocol ip flower dst_ip 10.0.0.0/8 action drop"),
        filters("prio 5 protocol ip flower dst_ip 10.0.0.0/8 action drop", "prio 5 protocol ip flower ip_proto tcp action pass"),
        filters("prio 5 protocol ip flower dst_ip 10.0.0.1 action drop", "prio 5 protocol ip flower dst_ip 10.0.0.1 action drop"),
    ),
    good=(
        filters("prio 1 protocol ip flower dst_ip 10.0.0.1 action pass", "prio 2 protocol ip flower dst_ip 10.0.0.0/8 action drop"),
        filters("prio 5 protocol ip flower dst_ip 10.0.0.1 action pass", "prio 5 protocol ip flower dst_ip 10.0.0.2 action drop"),
    ),
    fix="give each filter its prio",
    source="Linux net/sched/cls_api.c (tcf_auto_prio), cls_flower.c (fl_classify); genestack",
)
def order(subject: Subject, rule: Rule) -> Iterator[Finding]:
    yield from told(subject, rule)
    automatic = {line.key for line in subject.tc if isinstance(line.command, FilterCommand) and not line.command.prio and line.key}
    for _block, chains in blocks(subject):
        for rules in chains.values():
            for number, one in enumerate(rules[:500]):
                for other in rules[:number]:
                    same = one.rule.slot == other.rule.slot and _mask(one) != _mask(other)
                    unordered = one.key in automatic and other.key in automatic and one.rule.slot != other.rule.slot
                    if not (same or unordered) or one.verdict == other.verdict or _outcome(one) == _outcome(other):
                        continue
                    if _overlap(one, other):
                        why = "one pref, different masks" if same else "neither has a pref, and the later one is tried first"
                        later, earlier = (one, other) if same else (other, one)
                        spans = (subject.place(later.key), subject.place(earlier.key))
                        yield rule.at(
                            subject, spans, f"{why}: packets that both match go to the one that came first in that order", later.key
                        )
                        break


def _mask(one: RuleView) -> str:
    return unpack(RuleNote, one.rule.note).mask


def _outcome(one: RuleView) -> str:
    return repr([(effect, then) for _, effect, then in one.acts])


def _overlap(one: RuleView, other: RuleView) -> bool:
    return any(not apart(mine, theirs) and not mine.empty and not theirs.empty for mine in one.boxes for theirs in other.boxes)


@rule(
    "TC009",
    "warning",
    "packets are sent to a device that is down or not there",
    why="""mirred drops what it sends to a device that is down. A script that makes a device and forgets to set it up loses all packets; a device that is not there makes the filter fail.
        Which devices there are is known from the script and with --host.""",
    bad=(
        "ip link add ifb0 type ifb\n" + filters("protocol all matchall action mirred egress redirect dev ifb0"),
        "ip link add dum1 type dummy\nip link set dum1 up\nip link set dum1 down\n"
        + filters("protocol ip flower action mirred egress mirror dev dum1"),
    ),
    good=(
        "ip link add ifb0 type ifb\nip link set ifb0 up\n" + filters("protocol all matchall action mirred egress redirect dev ifb0"),
        filters("protocol ip flower action mirred egress redirect dev eth1"),
    ),
    fix="set the device up in front of the filter",
    source="Linux net/sched/act_mirred.c (tcf_mirred_act: IFF_UP)",
)
def dead_device(subject: Subject, rule: Rule) -> Iterator[Finding]:
    yield from told(subject, rule)
    made = {word for call in subject.calls if call.tool == "ip" and call.words[:1] in (("link",), ("l",)) for word in call.words}
    for one in subject.view.tc_all:
        for _number, effect in one.effects(Output):
            assert isinstance(effect, Output)
            device = subject.host.devices.get(effect.device)
            known = effect.device in made or (subject.known_host and device is not None)
            if known and device is not None and not device.up and (effect.device in made or subject.known_host):
                yield rule.at(subject, subject.place(one.key), f"{effect.device} is down: what is sent there is dropped", one.key)


@rule(
    "TC010",
    "warning",
    "filters of an offload that was switched off",
    why="""Filters that an offload has left behind go on to take packets when it is switched off: skip_sw filters on a device without hw-tc-offload, or Open vSwitch's filters after
        hw-offload=false. Their qdisc must go too.""",
    bad=(
        TRACKED.replace("flower ct_state", "flower skip_sw ct_state") + "ethtool -K eth0 hw-tc-offload off",
        filters("protocol ip flower skip_sw dst_ip 10.0.0.1 action drop") + "\novs-vsctl set Open_vSwitch . other_config:hw-offload=false",
    ),
    good=(
        filters("protocol ip flower skip_sw dst_ip 10.0.0.1 action drop") + "\nethtool -K eth0 hw-tc-offload on",
        filters("protocol ip flower skip_sw dst_ip 10.0.0.1 action drop")
        + "\nethtool -K eth0 hw-tc-offload off\ntc qdisc del dev eth0 clsact",
    ),
    fix="delete the qdisc (`tc qdisc del dev DEV clsact`) when the offload is switched off",
    source="genestack#1740",
)
def stranded(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for call in subject.calls:
        device = ""
        if call.tool == "ethtool" and "hw-tc-offload" in call.words and "off" in call.words:
            device = next((call.words[at + 1] for at, word in enumerate(call.words[:-1]) if word in ("-K", "--features", "--offload")), "")
        elif not (call.tool == "ovs-vsctl" and any(word.endswith("hw-offload=false") for word in call.words)):
            continue
        left = [one for one in subject.view.tc_all if flags_of(one) & SKIP_SW and (not device or f" {device} " in f"{one.table} ")]
        if left:
            yield rule.at(
                subject, (call.span, subject.place(left[0].key)), f"{len(left)} filters with skip_sw stay behind and go on to take packets"
            )


@rule(
    "TC011",
    "warning",
    "flags that exclude each other or go too far",
    why="""skip_sw and skip_hw together leave nobody to run the filter, and hw_tc knows the classes 0 to 15: the kernel or tc refuses both.""",
    bad=(
        filters("protocol ip flower skip_sw skip_hw dst_ip 10.0.0.1 action drop"),
        filters("protocol ip flower dst_ip 10.0.0.1 hw_tc 16"),
    ),
    good=(
        filters("protocol ip flower skip_hw dst_ip 10.0.0.1 action drop"),
        filters("protocol ip flower dst_ip 10.0.0.1 hw_tc 15"),
    ),
    fix="keep one of the flags",
    source="Linux net/sched/pkt_cls.h (tc_flags_valid); iproute2 tc/f_flower.c",
)
def flags(subject: Subject, rule: Rule) -> Iterator[Finding]:
    yield from told(subject, rule)


@rule(
    "TC012",
    "info",
    "a number that is read as hexadecimal",
    why="""tc reads class ids and a numeric ip_proto as hexadecimal, whether 0x stands in front or not: `ip_proto 47` is protocol 71, and not GRE.""",
    bad=(
        filters("protocol ip flower ip_proto 47 action drop"),
        filters("protocol ip flower ip_proto 17 dst_ip 10.0.0.1 action drop"),
    ),
    good=(
        filters("protocol ip flower ip_proto 0x2f action drop"),
        filters("protocol ip flower ip_proto udp dst_ip 10.0.0.1 action drop"),
    ),
    fix="write the name, or 0x",
    source="iproute2 tc/f_flower.c (flower_parse_ip_proto: get_u8 with base 16); man tc-flower, NOTES",
)
def hexadecimal(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for line in subject.tc:
        for at, word in enumerate(line.words[:-1]):
            value = line.words[at + 1]
            if "flower" in line.words[:at] and word == "ip_proto" and value.isdigit() and int(value) > 9:
                yield rule.at(subject, line.span, f"{word} {value} is read as 0x{value}, protocol {int(value, 16)}", line.key)


RULES: Final = (
    refused,
    contradiction,
    no_protocol,
    never_tracked,
    not_ip,
    lost_chains,
    commits,
    no_hardware,
    order,
    dead_device,
    stranded,
    flags,
    hexadecimal,
)
