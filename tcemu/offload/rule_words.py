"""Filters in a few words, for the tables of backends: only what the IR itself says, no listing of tc's."""

from __future__ import annotations

from typing import Final

from tcemu.conntrack.names import PROTOCOLS, address, halves
from tcemu.fields import FCT_EST, FCT_INV, FCT_NEW, FCT_REL, FCT_RPL, FCT_TRK
from tcemu.ir import effect as effects
from tcemu.ir import verdict as v
from tcemu.ir.operand import Key, Load
from tcemu.ir.ruleset import Object, Rule
from tcemu.ir.step import Masked, Match, Range

CT_FLAGS: Final = ((FCT_TRK, "trk"), (FCT_NEW, "new"), (FCT_EST, "est"), (FCT_REL, "rel"), (FCT_INV, "inv"), (FCT_RPL, "rpl"))
ETHERTYPES: Final = {0x0800: "ip", 0x86DD: "ipv6", 0x0806: "arp"}
WORDS: Final = {v.DROP: "drop", v.ACCEPT: "pass", v.TRAP: "trap", v.CONTINUE: "continue", v.RECLASSIFY: "reclassify"}


def place_words(rule: Rule) -> str:
    """``eth0 ingress chain 2 prio 1 handle 0x1``."""
    table, chain, prio, handle = rule.key.split("/")
    return f"{table.removeprefix('tc ').removeprefix('dev ')} chain {chain} prio {prio} handle {int(handle, 16):#x}"


def match_words(rule: Rule) -> str:
    """A filter's keys."""
    shown = []
    for step in rule.steps:
        if isinstance(step, Match) and not step.implied:
            shown.append(one_match(step))
    return " ".join(word for word in shown if word) or "all"


def one_match(step: Match) -> str:
    """One key."""
    if isinstance(step.left, Key):
        return step.left.what
    if not isinstance(step.left, Load):
        return "…"
    field, test = step.left.field, step.test
    if isinstance(test, Range):
        return f"{field} {test.low}-{test.high}"
    if not isinstance(test, Masked):
        return field
    value, mask = test.value, test.mask
    if field == "meta.netproto":
        return f"proto {ETHERTYPES.get(value, hex(value))}"
    if field == "meta.l4proto":
        return f"ip_proto {PROTOCOLS.get(value, str(value))}"
    if field == "ct.flower":
        return "ct_state " + "".join(("+" if value & bit else "-") + name for bit, name in CT_FLAGS if mask & bit)
    return f"{field} {number_words(field, value, mask)}"


def number_words(field: str, value: int, mask: int) -> str:
    """A value as its field is usually written."""
    if "addr" in field:
        if field.startswith("ether"):
            text = ":".join(f"{value >> shift & 255:02x}" for shift in range(40, -1, -8))
            return text if mask == (1 << 48) - 1 else f"{text}/{mask:012x}"
        four = not field.startswith("ip6") and not field.endswith("6")
        width = 32 if four else 128
        length = mask.bit_count()
        text = address(4 if four else 6, *halves(value))
        return text if length == width else f"{text}/{length}"
    return str(value) if mask & (mask + 1) == 0 else f"{value:#x}/{mask:#x}"


def verdict_words(action: Object) -> str:
    """What an action does, in a few words."""
    effect, then = action.effect, action.then
    if isinstance(effect, effects.Output):
        target = f"block {effect.block}" if effect.block else effect.device
        return f"{'mirror' if effect.copy else 'redirect'} to {target}{' (ingress)' if effect.ingress else ''}"
    if isinstance(effect, effects.Tunnel):
        return f"encapsulate (key {effect.key})" if effect.family else "decapsulate"
    if isinstance(effect, effects.Track):
        words = [word for word, given in (("clear", effect.clear), ("commit", effect.commit), ("nat", effect.nat)) if given]
        return " ".join(["ct", *words, f"zone {effect.zone}"])
    if action.kind == "gact":
        if then.code == v.GOTO:
            return f"goto chain {then.to.rpartition('/')[2]}"
        return WORDS.get(then.code, "pipe")
    return action.kind
