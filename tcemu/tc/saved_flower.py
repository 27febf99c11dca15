"""flower's keys as words, from the steps of the rule; in an order in which tc takes them: what others depend on comes first.

Source: `tcemu.tc.flower_read`, `tcemu.tc.flower_match`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tcemu.ir.operand import Key, Load
from tcemu.ir.step import Masked, Match, Range, Step
from tcemu.tc import readers
from tcemu.tc.actions.ct import label_text
from tcemu.tc.flower_keys import IMPLIED, LSE, MAC, ORDER, given
from tcemu.tc.flower_newer import ENC_FLAGS
from tcemu.tc.names import CT_STATES, ETH_ALL
from tcemu.tc.notes import RuleNote
from tcemu.tc.printers import address_text, mac_text

Pair = tuple[int, int]  # value and mask
FIRST: Final = (
    "vlan.count",
    "vlan.id",
    "vlan.pcp",
    "vlan.type",
    "cvlan.id",
    "cvlan.pcp",
    "cvlan.type",
    "pppoe.sid",
    "ppp.proto",
    "meta.l4proto",
)


def keys(steps: list[Step], note: RuleNote) -> list[str]:
    """Input device and keys."""
    found = ["indev", note.indev] if note.indev else []
    pairs, ranges, options = _parts(steps, given(note.mask, note.values, note.extra.get("raw", {})))
    for field in [*FIRST, *(field for field in ORDER if field not in FIRST)]:
        if field in ranges:
            low, high = ranges[field]
            found += [WORDS[field][0], f"{low}-{high}"]
        elif field in pairs and field in WORDS:
            name, text = WORDS[field]
            found += [*name.split(), text(*pairs[field])]
    return found + _mpls(pairs) + options


def _given(note: RuleNote) -> dict[str, str]:
    """Values as they were given, by field, where the note has them."""
    if note.values is None:
        return dict(note.extra.get("raw", {}))
    fields = [part.rpartition("/")[0] for part in note.mask.split(",")] if note.mask else []
    return {field: hex(value) for field, value in zip(fields, note.values, strict=True)}


def protocol(steps: list[Step]) -> int:
    """The ethertype that a chain's template was made for: the outer tag's, or the network header's."""
    pairs, _, _ = _parts(steps, {})
    if "vlan.tpid" in pairs or "vlan.count" in pairs:
        return pairs.get("vlan.tpid", (ETH_ALL, 0))[0]
    return pairs.get("meta.netproto", (ETH_ALL, 0))[0]


def _parts(steps: list[Step], values: dict[str, int]) -> tuple[dict[str, Pair], dict[str, Pair], list[str]]:
    """Fields with value and mask, ranges, and options of tunnels."""
    pairs: dict[str, Pair] = {}
    ranges: dict[str, Pair] = {}
    options: list[str] = []
    for step in steps:
        if not isinstance(step, Match):
            continue
        left, test = step.left, step.test
        if isinstance(left, Key):
            key, mask = left.args
            options = [left.what, ",".join(f"{one}/{other}" for one, other in zip(key.split(","), mask.split(","), strict=False))]
        elif isinstance(left, Load) and isinstance(test, Range):
            ranges[left.field] = (test.low, test.high)
        elif isinstance(left, Load) and isinstance(test, Masked) and (not step.implied or not test.mask or left.field in IMPLIED):
            pairs[left.field] = (values.get(left.field, test.value), test.mask)
    return pairs, ranges, options


def _mpls(pairs: dict[str, Pair]) -> list[str]:
    """The label stack."""
    found = []
    for depth in range(7):
        if f"mpls.lse{depth}" in pairs:
            value, mask = pairs[f"mpls.lse{depth}"]
            found += ["lse", "depth", str(depth + 1)]
            for part, (shift, bits) in LSE.items():
                found += [part, str(value >> shift & bits)] if mask >> shift & bits else []
    return ["mpls", *found] if found else []


def _number(value: int, _mask: int) -> str:
    return str(value)


def _protocol(value: int, _mask: int) -> str:
    return hex(value)


def _hex(value: int, mask: int) -> str:
    return f"{value:#x}/{mask:#x}"


def _bare_hex(value: int, _mask: int) -> str:
    return f"0x{value:x}"


def _byte(value: int, mask: int) -> str:
    return f"{value}/{mask}"


def _decimal_hex(value: int, mask: int) -> str:
    return f"{value}/{mask:x}"


def _flags(value: int, mask: int) -> str:
    return f"{value:x}/{mask:x}"


def _mac(value: int, mask: int) -> str:
    return mac_text(value) if mask == MAC else f"{mac_text(value)}/{mac_text(mask)}"


def _ipv4(value: int, mask: int) -> str:
    return f"{address_text(4, value)}/{mask.bit_count()}"


def _ipv6(value: int, mask: int) -> str:
    return f"{address_text(6, value)}/{mask.bit_count()}"


def _ip_flags(value: int, mask: int) -> str:
    return "/".join(word if value & bit else f"no{word}" for word, bit in (("frag", 1), ("firstfrag", 2)) if mask & bit) or "/"


def _ct_state(value: int, mask: int) -> str:
    return "".join(("+" if value & flag else "-") + word for word, flag in CT_STATES if mask & flag)


def _enc_flags(value: int, mask: int) -> str:
    return "/".join(word if value & bit else f"no{word}" for word, bit in ENC_FLAGS if mask & bit)


def _arp_op(value: int, mask: int) -> str:
    return f"{value}/{mask}" if mask != readers.U8 else {1: "request", 2: "reply"}.get(value, str(value))


WORDS: Final[dict[str, tuple[str, Callable[[int, int], Any]]]] = {
    "vlan.count": ("num_of_vlans", _number),
    "vlan.id": ("vlan_id", _number),
    "vlan.pcp": ("vlan_prio", _number),
    "vlan.type": ("vlan_ethtype", _protocol),
    "cvlan.id": ("cvlan_id", _number),
    "cvlan.pcp": ("cvlan_prio", _number),
    "cvlan.type": ("cvlan_ethtype", _protocol),
    "pppoe.sid": ("pppoe_sid", _number),
    "ppp.proto": ("ppp_proto", _protocol),
    "ether.daddr": ("dst_mac", _mac),
    "ether.saddr": ("src_mac", _mac),
    "meta.l4proto": ("ip_proto", _bare_hex),
    "ip.tos": ("ip_tos", _decimal_hex),
    "ip.ttl": ("ip_ttl", _decimal_hex),
    "ip.daddr": ("dst_ip", _ipv4),
    "ip6.daddr": ("dst_ip", _ipv6),
    "ip.saddr": ("src_ip", _ipv4),
    "ip6.saddr": ("src_ip", _ipv6),
    "th.dport": ("dst_port", _hex),
    "th.sport": ("src_port", _hex),
    "tcp.flags": ("tcp_flags", _flags),
    "icmp.type": ("type", _byte),
    "icmp.code": ("code", _byte),
    "arp.saddr ip": ("arp_sip", _ipv4),
    "arp.daddr ip": ("arp_tip", _ipv4),
    "arp.operation": ("arp_op", _arp_op),
    "arp.saddr ether": ("arp_sha", _mac),
    "arp.daddr ether": ("arp_tha", _mac),
    "enc.daddr4": ("enc_dst_ip", _ipv4),
    "enc.daddr6": ("enc_dst_ip", _ipv6),
    "enc.saddr4": ("enc_src_ip", _ipv4),
    "enc.saddr6": ("enc_src_ip", _ipv6),
    "enc.key": ("enc_key_id", _number),
    "enc.dport": ("enc_dst_port", _number),
    "enc.tos": ("enc_tos", _decimal_hex),
    "enc.ttl": ("enc_ttl", _decimal_hex),
    "frag.flags": ("ip_flags", _ip_flags),
    "ct.flower": ("ct_state", _ct_state),
    "ct.zone": ("ct_zone", _hex),
    "ct.mark": ("ct_mark", _hex),
    "ct.label": ("ct_label", label_text),
    "l2tp.sid": ("l2tpv3_sid", _number),
    "esp.spi": ("spi", _number),
    "meta.l2_miss": ("l2_miss", _number),
    "enc.flags": ("enc_flags", _enc_flags),
    "cfm.mdl": ("cfm mdl", _number),
    "cfm.op": ("cfm op", _number),
}
