"""How much of a hook's filters a program sees that reads netlink dumps with a small buffer, as the recorder does.

A dump comes in messages, the first of one page. Where a matchall filter is the one that does not fit any more, the kernel counts it
as told and goes on behind it: the reader never hears of it. (tc itself is no different, but its first message is larger.)

Sources, Linux 6.1: net/netlink/af_netlink.c netlink_dump (sizes of messages); net/sched/cls_api.c tcf_chain_dump, tcf_fill_node;
net/sched/cls_matchall.c mall_walk, mall_dump; cls_flower.c fl_dump; act_api.c tcf_action_dump_1; act_*.c, the dump functions.
Sizes were held against dumps of a running kernel.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.effect import Checksum, Edit, Effect, ModifyMac, Nat, Nothing, Output, SetMeta, Track, Vlan
from tcemu.ir.step import Do

if TYPE_CHECKING:
    from tcemu.ir.ruleset import Object, Rule, Slot
    from tcemu.session.session import Session

FIRST: Final = 4096 - 320  # NLMSG_GOODSIZE: a page less struct skb_shared_info
LATER: Final = 32768 - 320
HEADER: Final = 16 + 20  # struct nlmsghdr, struct tcmsg
NEST: Final = 4
TIMES: Final = 36  # struct tcf_t
STATS: Final = NEST + 20 + 20 + 24  # both basic counters and the queue's

Place = tuple[int, int, str]  # chain, priority, kind


def lost(session: Session, hook: str) -> set[Place]:
    """The matchall filters of a hook that a dump leaves out."""
    room = FIRST
    gone: set[Place] = set()
    for chain, slot, rule in _told(session, hook):
        size = _filter(session, slot, rule)
        if size is None:
            return gone
        if size > room:
            room = LATER
            if rule is not None and slot.kind == "matchall":
                gone.add((chain, slot.rank, slot.kind))
                continue
        room -= size
    return gone


def _told(session: Session, hook: str) -> list[tuple[int, Slot, Rule | None]]:
    """What a dump tells of in order: (chain, slot, None for the slot itself)."""
    ruleset = session.ruleset
    out: list[tuple[int, Slot, Rule | None]] = []
    for chain in ruleset.chains.children(f"tc {hook}"):
        slots = ruleset.slots.children(chain.key)
        rules: dict[int, list[Rule]] = {}
        for rule in ruleset.rules.children(chain.key) if slots else ():
            rules.setdefault(rule.slot, []).append(rule)
        for slot in slots:
            out.append((int(chain.name), slot, None))
            out += [(int(chain.name), slot, rule) for rule in sorted(rules.get(slot.rank, []), key=lambda rule: rule.rank & 0xFFFFFFFF)]
    return out


def _attribute(size: int) -> int:
    return NEST + (size + 3 & ~3)


def _filter(session: Session, slot: Slot, rule: Rule | None) -> int | None:
    """The bytes of a filter's message; None where that is not known."""
    from tcemu.tc.notes import RuleNote, unpack

    size = HEADER + _attribute(len(slot.kind) + 1) + _attribute(4)
    if rule is None:
        return size
    note = unpack(RuleNote, rule.note)
    size += NEST + (_attribute(4) if note.classid else 0) + (_attribute(len(note.indev) + 1) if note.indev else 0)
    if slot.kind == "matchall":
        size += _attribute(4) + _attribute(8)  # flags, hits
    elif slot.kind == "flower":
        keys = _keys(rule, note.extra.get("raw", {}))
        if keys is None:
            return None
        size += keys + 2 * _attribute(4)  # flags, in how many devices' hardware
    elif slot.kind != "fw":
        return None
    made = [session.ruleset.objects.get(step.obj) for step in rule.steps if isinstance(step, Do) and step.obj]
    size += NEST if made else 0
    for action in made:
        told = _action(action) if action is not None else None
        if told is None:
            return None
        size += told
    return size


# flower's keys by the size of what they hold, and whether there is a mask of the same size
_WITH_MASK: Final = {
    "dst_mac": 6,
    "src_mac": 6,
    "ip_tos": 1,
    "ip_ttl": 1,
    "tcp_flags": 2,
    "icmp_type": 1,
    "icmp_code": 1,
    "arp_op": 1,
    "arp_sip": 4,
    "arp_tip": 4,
    "arp_sha": 6,
    "arp_tha": 6,
    "ct_state": 2,
    "ct_zone": 2,
    "ct_mark": 4,
    "ct_label": 16,
    "ip_flags": 4,
    "enc_dst_port": 2,
    "enc_src_port": 2,
    "enc_tos": 1,
    "enc_ttl": 1,
}
_ALONE: Final = {
    "eth_type": 2,
    "ip_proto": 1,
    "vlan_id": 2,
    "vlan_prio": 1,
    "vlan_ethtype": 2,
    "cvlan_id": 2,
    "cvlan_prio": 1,
    "cvlan_ethtype": 2,
    "num_of_vlans": 1,
    "enc_key_id": 4,
}
_ADDRESSES: Final = ("dst_ip", "src_ip", "enc_dst_ip", "enc_src_ip")
_PORTS: Final = ("dst_port", "src_port")


def _keys(rule: Rule, raw: dict[str, str]) -> int | None:
    """The bytes of a flower filter's keys, by the names that a listing gives them."""
    from tcemu.tc.flower_show import show_keys
    from tcemu.tc.writer import Options, Writer

    out = Writer(Options(json=True))
    out.open("keys")
    show_keys(out, rule.steps, raw)
    out.close()
    keys: dict[str, Any] = json.loads(f"{{{out.value()}}}")["keys"]
    size = 0
    for name, value in keys.items():
        if name in _WITH_MASK:
            size += 2 * _attribute(_WITH_MASK[name])
        elif name in _ALONE:
            size += _attribute(_ALONE[name])
        elif name in _ADDRESSES:
            size += 2 * _attribute(16 if ":" in str(value) else 4)
        elif name in _PORTS:
            size += 2 * _attribute(2)  # a port and its mask, or both ends
        elif not name.endswith("_mask"):
            return None
    return size


def _action(action: Object) -> int | None:
    """The bytes of an action, statistics and times included (tcf_action_dump_1)."""
    from tcemu.tc.notes import ActionNote, unpack

    own = _options(action)
    if own is None:
        return None
    note = unpack(ActionNote, action.note)
    own += _attribute(len(note.cookie) // 2) if note.cookie else 0
    own += _attribute(8) if note.hw_stats >= 0 else 0
    own += _attribute(8) if note.no_percpu or note.skip else 0
    return NEST + _attribute(len(action.kind) + 1) + STATS + _attribute(4) + NEST + own + TIMES


def _options(action: Object) -> int | None:
    """The bytes of what is a kind's own."""
    effect: Effect | None = action.effect
    if action.kind == "gact" and isinstance(effect, Nothing | None):
        return _attribute(20) + (_attribute(8) if action.otherwise is not None else 0)
    if isinstance(effect, Output):
        return _attribute(28)
    if isinstance(effect, Track):
        return _ct(effect)
    if isinstance(effect, Vlan):
        tag = 2 * _attribute(2) + (_attribute(1) if effect.priority is not None else 0) if effect.op in ("push", "modify") else 0
        return _attribute(24) + tag + (2 * _attribute(6) if effect.op == "push_eth" else 0)
    if isinstance(effect, SetMeta):
        size = _attribute(20) + (_attribute(4) if effect.mark is not None else 0) + (_attribute(4) if effect.mark_mask != 0xFFFFFFFF else 0)
        size += sum(
            _attribute(width) for field, width in ((effect.priority, 4), (effect.queue, 2), (effect.pkttype, 2)) if field is not None
        )
        return size + (_attribute(8) if effect.inherit_dsfield else 0)
    if isinstance(effect, Edit):
        count = len(effect.keys)
        return _attribute(24 + 24 * count) + (NEST + count * (NEST + 2 * _attribute(2)) if effect.extended else 0)
    if isinstance(effect, ModifyMac):
        addresses = sum(_attribute(6) for field in (effect.target, effect.source) if field is not None)
        return _attribute(32) + addresses + (_attribute(2) if effect.ethertype is not None else 0)
    if isinstance(effect, Checksum | Nat):
        return _attribute(24 if isinstance(effect, Checksum) else 36)
    return None


def _ct(effect: Track) -> int:
    """tcf_ct_dump, tcf_ct_dump_nat."""
    size = _attribute(20) + _attribute(2)
    if effect.clear:
        return size
    size += _attribute(2)  # the zone
    size += 2 * _attribute(4) if effect.mark_mask else 0
    size += 2 * _attribute(16) if effect.label_mask else 0
    nat = effect.nat
    if nat is not None and nat.family:
        size += 2 * _attribute(4 if nat.family == 4 else 16)
    if nat is not None and nat.port_low:
        size += 2 * _attribute(2)
    return size
