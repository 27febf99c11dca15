"""Filters as the words that make them again: what stands between the kind and the actions. A kind is a function.

Source: the kinds' own files in tcemu/tc.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from tcemu.ir.ruleset import Rule
from tcemu.tc import readers, saved_flower
from tcemu.tc.flower_keys import SKIP_HW, SKIP_SW
from tcemu.tc.notes import RuleNote
from tcemu.tc.printers import classid_text
from tcemu.tc.u32_read import handle_text

NEEDLE: Final = re.compile(r'nbyte\(((?:[0-9a-f]{2} )+)"(?:[^)]*)" at (\d+) layer (\d+)\)')
PLAIN_NEEDLE: Final = re.compile(rb"[^\s()\"'\\][^\s()'\"\\]*")
WORD: Final = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^\s"])+')
HANDLED_BY_REALM: Final = "route"  # a kind whose handle is made of what it matches


def handle(kind: str, note: RuleNote) -> list[str]:
    """The words that give the filter its handle."""
    if kind == HANDLED_BY_REALM:
        return []
    if kind == "u32":
        return ["handle", handle_text(note.handle)]
    mask = note.extra.get("mask") if kind == "fw" else None
    return ["handle", f"{note.handle:#x}" if mask is None else f"{note.handle:#x}/{mask:#x}"]


def options(kind: str, rule: Rule, note: RuleNote, acts: bool) -> list[str]:
    """The words behind the kind; ``acts``: actions follow, so that something is said in any case."""
    return KINDS[kind](rule, note, acts)


def _classid(note: RuleNote, needed: bool) -> list[str]:
    """The class; a class of none where otherwise nothing would be said."""
    return ["classid", classid_text(note.classid)] if note.classid or needed else []


def _skips(note: RuleNote) -> list[str]:
    return [word for bit, word in ((SKIP_HW, "skip_hw"), (SKIP_SW, "skip_sw")) if note.flags & bit]


def _flower(rule: Rule, note: RuleNote, _acts: bool) -> list[str]:
    return [*_classid(note, False), *_skips(note), *saved_flower.keys(rule.steps, note)]


def _matchall(_rule: Rule, note: RuleNote, acts: bool) -> list[str]:
    return [*_skips(note), *_classid(note, not acts)]


def _u32(_rule: Rule, note: RuleNote, acts: bool) -> list[str]:
    extra = note.extra
    if "divisor" in extra:
        return ["divisor", str(extra["divisor"])]
    found = ["match", "mark", *(hex(number) for number in extra["mark"])] if extra.get("mark") else []
    for offset, behind, value, mask in extra["keys"]:
        found += ["match", "u32", f"{value:#x}", f"{mask:#x}", "at", f"{'nexthdr+' if behind else ''}{offset}"]
    found += ["ht", handle_text(note.handle & ~0xFFF)]
    found += _classid(note, bool(extra.get("terminal")) and not acts)
    if extra.get("link"):
        found += ["link", handle_text(extra["link"])]
    if "offset" in extra:
        found += ["offset", *_offset(extra["offset"])]
    if "hash" in extra:
        found += [
            "hashkey",
            *(word for name, number in extra["hash"].items() for word in (name, f"{number:x}" if name == "mask" else str(number))),
        ]
    found += ["indev", note.indev] if note.indev else []
    return found + _skips(note)


def _offset(given: dict[str, Any]) -> list[str]:
    found = []
    for name, number in given.items():
        found += ["eat"] if name == "eat" else [name, f"{number:x}" if name == "mask" else str(number)]
    return found


def expression(text: str) -> list[str]:
    """An expression's words from its listing, where needles stand as bytes too. One that has no blanks or brackets needs no quotes."""
    text = NEEDLE.sub(_needle, " ".join(text.split()) if '"' not in text else text)
    text = re.sub(r"u32\((\w{8})/(\w{8}) at (\S+)\)", r"u32(u32 0x\1 0x\2 at \3)", text)
    return ["match", *WORD.findall(text)] if text.strip() else []


def _needle(found: re.Match[str]) -> str:
    needle = bytes.fromhex(found[1])
    text = needle.decode(errors="replace")
    if not PLAIN_NEEDLE.fullmatch(needle) or text.encode() != needle:
        text = '"' + "".join(_escaped(byte) for byte in needle) + '"'
    return f"nbyte({text} at {found[2]} layer {found[3]})"


def _escaped(byte: int) -> str:
    """A byte in a string of tc's expressions."""
    return f"\\{chr(byte)}" if byte in b'"\\' else chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}"


def _basic(_rule: Rule, note: RuleNote, acts: bool) -> list[str]:
    terms = expression(note.extra.get("terms", ""))
    return [*terms, *_classid(note, not acts and not terms)]


def _cgroup(_rule: Rule, note: RuleNote, _acts: bool) -> list[str]:
    return expression(note.extra.get("terms", ""))


def _fw(_rule: Rule, note: RuleNote, acts: bool) -> list[str]:
    found = ["indev", note.indev] if note.indev else []
    return [*_classid(note, not acts and not found), *found]


def _route(_rule: Rule, note: RuleNote, acts: bool) -> list[str]:
    realms = [word for name, value in note.extra.items() for word in (name, str(value))]
    return [*_classid(note, not acts and not realms), *realms]


def _flow(_rule: Rule, note: RuleNote, _acts: bool) -> list[str]:
    given = note.extra
    found = [given["mode"], "keys", ",".join(given["keys"])]
    if "mask" in given:
        mask, xor = given["mask"], given["xor"]
        either = ~mask & xor & readers.U32
        found += ["and", f"{mask | either:#x}", "or", f"{either:#x}", "xor", f"{xor & mask:#x}"]
    for name in ("rshift", "addend", "divisor", "perturb"):
        if name in given:
            found += [name, str(given[name])]
    return [*found, "baseclass", classid_text(given["baseclass"]), *expression(given.get("terms", ""))]


def _bpf(_rule: Rule, note: RuleNote, _acts: bool) -> list[str]:
    direct = ["direct-action"] if note.extra.get("direct") else []
    return ["bytecode", note.extra["text"], *_classid(note, False), *direct, *_skips(note)]


KINDS: Final[dict[str, Callable[[Rule, RuleNote, bool], list[str]]]] = {
    "flower": _flower,
    "matchall": _matchall,
    "u32": _u32,
    "basic": _basic,
    "cgroup": _cgroup,
    "fw": _fw,
    "route": _route,
    "flow": _flow,
    "bpf": _bpf,
}
