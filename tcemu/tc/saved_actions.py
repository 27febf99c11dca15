"""Actions as the words that make them again, from what is kept of them; listings of tc round numbers and leave out words, these do not.

A kind has a function that gives what stands between its name and its verdict. Source: the kinds' own files in tcemu/tc/actions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from tcemu.ir import effect as e
from tcemu.ir import verdict as v
from tcemu.ir.ruleset import Object
from tcemu.ir.verdict import Verdict
from tcemu.tc.actions.csum import FLAGS
from tcemu.tc.actions.ct import label_text
from tcemu.tc.actions.gate import CLOCKS
from tcemu.tc.actions.ife import METAS
from tcemu.tc.actions.mpls import WITH_ENTRY, WITH_PROTOCOL
from tcemu.tc.actions.skbedit import PTYPES
from tcemu.tc.actions.xt import LEVELS
from tcemu.tc.notes import ActionNote, unpack
from tcemu.tc.printers import CONTROL_NAME, address_text, classid_text, ipv4_text, mac_text
from tcemu.tc.saved_pedit import pedit

HW_STATS: Final = {0: "disabled", 1: "immediate", 2: "delayed"}
SILENT: Final = ("police", "xt")  # kinds that put the verdict elsewhere, or have none


def words(action: Object, alone: bool = False) -> list[str]:
    """An action's words, its index and what may stand behind among them; ``alone``: for ``tc actions add``, where flags are kept."""
    note = unpack(ActionNote, action.note)
    found = [action.kind, *KINDS[action.kind](action, note)]
    index = [] if action.kind == "xt" else ["index", str(action.rank)]
    control = [] if action.kind in SILENT or _implied(action) else control_words(action.then)
    early = action.kind in ("ct", "gate")  # which take no index behind the verdict
    found += index + control if early else control + _random(action) + index
    if note.cookie:
        found += ["cookie", note.cookie]
    if note.hw_stats >= 0:
        found += ["hw_stats", HW_STATS[note.hw_stats]]
    if note.no_percpu:
        found.append("no_percpu")
    if alone and note.skip:
        found.append(note.skip)
    return found


def _implied(action: Object) -> bool:
    """A redirect has no verdict of its own to say."""
    return isinstance(action.effect, e.Output) and not action.effect.copy


def control_words(then: Verdict | None) -> list[str]:
    """A verdict as a control word."""
    if then is None or then.code == v.ACCEPT:
        return ["pass"]
    if then.code == v.GOTO:
        return ["goto", "chain", then.to.rpartition("/")[2]]
    return [CONTROL_NAME[then.code], *([str(then.number)] if then.code == v.STEP else [])]


def _random(action: Object) -> list[str]:
    """gact's second verdict."""
    other = action.otherwise
    return ["random", other.how, *control_words(other.then), str(other.value)] if isinstance(other, e.Random) else []


# ---------------------------------------------------------------- kinds
def _nothing(_action: Object, _note: ActionNote) -> list[str]:
    return []


def _ct(action: Object, note: ActionNote) -> list[str]:
    track: Any = action.effect
    if track.clear:
        return ["clear"]
    found = ["commit"] if track.commit else []
    found += ["force"] if track.force else []
    if track.mark or track.mark_mask:
        found += ["mark", f"{track.mark:#x}/{track.mark_mask:#x}"]
    if track.zone:
        found += ["zone", str(track.zone)]
    if track.label or track.label_mask:
        found += ["label", label_text(track.label, track.label_mask)]
    if track.helper:
        found += ["helper", track.helper]
    return found + (_ct_nat(track.nat, "ported" in note.extra) if track.nat is not None else [])


def _ct_nat(nat: e.NatRange, ported: bool) -> list[str]:
    if not nat.manip:
        return ["nat"]
    ports = ["port", f"{nat.port_low}-{nat.port_high}"] if ported else []
    if not nat.family:
        return ["nat", nat.manip, "addr", "any", *ports]
    return ["nat", nat.manip, "addr", f"{address_text(nat.family, nat.low)}-{address_text(nat.family, nat.high)}", *ports]


def _mirred(action: Object, _note: ActionNote) -> list[str]:
    output: Any = action.effect
    target = ["blockid", str(output.block)] if output.block else ["dev", output.device]
    return ["ingress" if output.ingress else "egress", "mirror" if output.copy else "redirect", *target]


def _tunnel_key(action: Object, note: ActionNote) -> list[str]:
    tunnel: Any = action.effect
    if not tunnel.family:
        return ["unset"]
    found = ["set", "src_ip", address_text(tunnel.family, tunnel.source), "dst_ip", address_text(tunnel.family, tunnel.target)]
    if tunnel.key is not None:
        found += ["id", str(tunnel.key)]
    if "ported" in note.extra:
        found += ["dst_port", str(tunnel.port)]
    for name in ("tos", "ttl"):
        if getattr(tunnel, name):
            found += [name, str(getattr(tunnel, name))]
    if tunnel.options_kind:
        found += [f"{tunnel.options_kind}_opts", tunnel.options]
    return [*found, "csum" if tunnel.csum else "nocsum"]


def _vlan(action: Object, _note: ActionNote) -> list[str]:
    vlan: Any = action.effect
    if vlan.op == "push_eth":
        return [vlan.op, "dst_mac", mac_text(vlan.target), "src_mac", mac_text(vlan.source)]
    if vlan.op not in ("push", "modify"):
        return [vlan.op]
    priority = [] if vlan.priority is None else ["priority", str(vlan.priority)]
    return [vlan.op, "id", str(vlan.id), "protocol", f"{vlan.protocol:#x}", *priority]


def _csum(action: Object, _note: ActionNote) -> list[str]:
    effect: Any = action.effect
    return " and ".join(name for name, flag in FLAGS if effect.flags & flag).split()


def _skbedit(action: Object, note: ActionNote) -> list[str]:
    meta: Any = action.effect
    found = []
    if meta.queue is not None:
        found += ["queue_mapping", str(meta.queue)]
    if meta.priority is not None:
        found += ["priority", classid_text(meta.priority)]
    if meta.mark is not None:
        found += ["mark", f"{meta.mark}/{meta.mark_mask:#x}" if "mask" in note.extra else str(meta.mark)]
    if meta.pkttype is not None:
        found += ["ptype", PTYPES[meta.pkttype][0]]
    return [*found, "inheritdsfield"] if meta.inherit_dsfield else found


def _nat(action: Object, _note: ActionNote) -> list[str]:
    nat: Any = action.effect
    return ["egress" if nat.egress else "ingress", f"{ipv4_text(nat.old)}/{nat.mask.bit_count()}", ipv4_text(nat.new)]


def _police(action: Object, note: ActionNote) -> list[str]:
    police: Any = action.effect
    found = []
    for name, rate in (("rate", police.rate), ("peakrate", police.peak), ("avrate", police.avrate)):
        if rate:
            found += [name, f"{8 * rate}bit"]
    for name, number in (("burst", police.burst), ("mtu", police.mtu)):
        if number:
            found += [name, f"{number}b"]
    for name, number in (("pkts_rate", police.packet_rate), ("pkts_burst", police.packet_burst), ("overhead", police.overhead)):
        if number:
            found += [name, str(number)]
    found += ["linklayer", "atm" if police.linklayer > 1 else "ethernet"]
    if "conform" not in note.extra:
        return found + control_words(action.then)
    conform, number = note.extra["conform"]
    goto = ["goto", "chain", str(number)] if conform == "GOTO" else ["jump", str(number)] if conform == "JUMP" else [conform.lower()]
    return [*found, "conform-exceed", *control_words(action.then), "/", *goto]


def _mpls(action: Object, _note: ActionNote) -> list[str]:
    mpls: Any = action.effect
    found = [mpls.op]
    if mpls.op in WITH_PROTOCOL:
        found += ["protocol", f"{mpls.protocol:#x}"]
    for name in ("label", "tc", "ttl", "bos") if mpls.op in WITH_ENTRY else ():
        value = getattr(mpls, name)
        if value is not None:
            found += [name, str(value)]
    return found


def _skbmod(action: Object, _note: ActionNote) -> list[str]:
    modify: Any = action.effect
    if modify.ecn or modify.swap:
        return ["ecn"] if modify.ecn else ["swap", "mac"]
    found = ["set", "etype", f"{modify.ethertype:#x}"] if modify.ethertype is not None else []
    found += ["set", "dmac", mac_text(modify.target)] if modify.target is not None else []
    return found + (["set", "smac", mac_text(modify.source)] if modify.source is not None else [])


def _sample(action: Object, note: ActionNote) -> list[str]:
    log: Any = action.effect
    cut = ["trunc", str(log.truncate)] if log.truncate or "trunc" in note.extra else []
    return ["rate", str(log.rate), "group", str(log.group), *cut]


def _connmark(action: Object, _note: ActionNote) -> list[str]:
    effect: Any = action.effect
    return ["zone", str(effect.zone)]


def _ctinfo(action: Object, _note: ActionNote) -> list[str]:
    effect: Any = action.effect
    found = ["dscp", f"{effect.dscp_mask:#x}", f"{effect.dscp_state:#x}"] if effect.dscp_mask else []
    found += ["cpmark", f"{effect.mark_mask:#x}"] if effect.mark_mask is not None else []
    return [*found, "zone", str(effect.zone)]


def _simple(action: Object, _note: ActionNote) -> list[str]:
    effect: Any = action.effect
    return ["sdata", effect.text]


def _params(action: Object) -> dict[str, Any]:
    effect = action.effect
    assert isinstance(effect, e.Other)
    found: dict[str, Any] = msgspec.json.decode(bytes(effect.params))
    return found


def _ife(action: Object, _note: ActionNote) -> list[str]:
    given = _params(action)
    found = [given["mode"]]
    for name, _limit in METAS:
        if name in given:
            found += ["allow", name] if given[name] is None else ["use", name, str(given[name])]
    for name in ("dst", "src"):
        if name in given:
            found += [name, mac_text(given[name])]
    return found + (["type", f"{given['type']:#x}"] if "type" in given else [])


def _gate(action: Object, _note: ActionNote) -> list[str]:
    given = _params(action)
    found = []
    for key in ("priority", "base_time", "cycle_time", "cycle_time_ext", "flags"):
        if key in given:
            found += [key.replace("_", "-"), str(given[key])]
    if "clockid" in given:
        found += ["clockid", next(name for name, number in CLOCKS if number == given["clockid"])]
    for opened, interval, priority, octets in given["entries"]:
        found += ["sched-entry", "open" if opened else "close", str(interval)]
        found += [str(priority), str(octets)] if opened and (priority != -1 or octets != -1) else []
    return found


def _bpf(action: Object, _note: ActionNote) -> list[str]:
    return ["bytecode", _params(action)["bytecode"]]


def _xt(action: Object, _note: ActionNote) -> list[str]:
    given = _params(action)
    prefix = ["--log-prefix", given["prefix"]] if given["prefix"] else []
    return ["-j", "LOG", *prefix, "--log-level", LEVELS[given["level"]]]


KINDS: Final[dict[str, Callable[[Object, ActionNote], list[str]]]] = {
    "gact": _nothing,
    "ct": _ct,
    "mirred": _mirred,
    "tunnel_key": _tunnel_key,
    "vlan": _vlan,
    "csum": _csum,
    "skbedit": _skbedit,
    "pedit": pedit,
    "nat": _nat,
    "police": _police,
    "mpls": _mpls,
    "skbmod": _skbmod,
    "sample": _sample,
    "connmark": _connmark,
    "ctinfo": _ctinfo,
    "simple": _simple,
    "ife": _ife,
    "gate": _gate,
    "bpf": _bpf,
    "xt": _xt,
}
