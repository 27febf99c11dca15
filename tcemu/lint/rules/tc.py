"""tc: filters that tc refuses, hardware does not take, or that are tried in another order than they are written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tcemu.ir.effect import Output, Track
from tcemu.lint.catalogue import Rule, rule
from tcemu.lint.finding import Finding
from tcemu.lint.space import apart
from tcemu.lint.view import RuleView
from tcemu.tc.command import FilterCommand
from tcemu.tc.notes import RuleNote, unpack

if TYPE_CHECKING:
    from tcemu.lint.subject import Subject, TcLine

NEW, EST, REL, TRK, INV, RPL = 1, 2, 4, 8, 16, 32
SKIP_HW, SKIP_SW = 1, 2
QDISC: Final = "tc qdisc add dev eth0 clsact\n"
TRACKED: Final = (
    QDISC + "tc filter add dev eth0 ingress prio 1 protocol ip chain 0 flower ct_state -trk action ct zone 1 pipe action goto chain 1\n"
)


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


def tracks(found: RuleView) -> list[Track]:
    """Its ct actions."""
    return [effect for _, effect in found.effects(Track) if isinstance(effect, Track)]


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
    no_hardware,
    order,
    dead_device,
    stranded,
    flags,
    hexadecimal,
)
