"""Recorded results and ours in one form: what may vary is blanked (the oracle's list of volatile values), the rest stays.

Volatile: conntrack ids and use counts, the order of conntrack tables, seconds that pass, remaining lifetimes, and the bytes that a
scenario names itself (IPv4 ids that the kernel draws, Geneve source ports). Timeouts may be off by two seconds.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

SLACK = 2
SECONDS = {"expires", "timeout", "installed", "used", "lastused", "first_used", "last_used", "firstused", "install"}


def results(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Every file of a result folder by name, normalised."""
    return {path.name: normal(path, config) for path in sorted(folder.iterdir()) if path.name != "meta.json"}


def normal(path: Path, config: dict[str, Any]) -> Any:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        return [step(json.loads(line), config.get("volatile", [])) for line in text.splitlines()]
    if path.suffix == ".json":
        return document(json.loads(text))
    lines = blank(text).splitlines()
    return sorted(lines) if "conntrack" in path.name else lines


def blank(text: str) -> str:
    text = re.sub(r"(installed|used|firstused|expires) \d+ sec", r"\1 N sec", text)
    text = re.sub(r'"(installed|last_used|first_used|expires)":( ?)\d+', r'"\1":\2N', text)
    text = re.sub(r"expires \d[\dhms]*(ms)?", "expires N", text)
    text = re.sub(r"\b(use|id)=\d+", r"\1=N", text)
    return re.sub(r"^((?:ipv[46] +\d+ +)?\w+ +\d+) \d+ ", r"\1 N ", text, flags=re.M)


def document(node: Any) -> Any:
    """A JSON listing without times; text that tc 6.1 prints instead of JSON is kept under ``invalid``."""
    if isinstance(node, dict):
        return {
            key: blank(value) if key == "invalid" else document(value)
            for key, value in node.items()
            if key not in SECONDS and key != "metainfo"
        }
    return [document(item) for item in node] if isinstance(node, list) else node


def step(entry: dict[str, Any], masks: list[dict[str, Any]]) -> dict[str, Any]:
    for place in ("out", "before", "local"):
        for frame in entry.get(place, []):
            device = frame.get("dev", "local")
            frame["hex"] = masked(bytearray.fromhex(frame["hex"]), device, masks, 0 if place == "local" else 14)
    for connection in entry.get("ct", []):
        for key in ("id", "use"):
            connection.pop(key, None)
    for rule in entry.get("rules", []):
        if "elem" in rule:
            rule["elem"] = sorted(document(rule["elem"]), key=json.dumps)
    for key in ("stdout", "stderr"):
        if key in entry:
            entry[key] = blank(entry[key])
    return entry


def masked(frame: bytearray, device: str, masks: list[dict[str, Any]], ip: int) -> str:
    """The frame in hexadecimal with the scenario's volatile bytes zero."""
    while ip and frame[ip - 2 : ip] in (b"\x81\x00", b"\x88\xa8"):
        ip += 4
    four = frame[ip - 2 : ip] == b"\x08\x00" if ip else frame[0] >> 4 == 4
    l4 = ip + (frame[ip] & 15) * 4 if four else ip + 40
    for mask in masks:
        if mask.get("dev", device) != device:
            continue
        what = mask["mask"]
        error = four and frame[ip + 9] == 1 and frame[l4] in (3, 5, 11, 12)
        if (what == "ipid" and four) or (what == "ipid-icmp-error" and error):
            frame[ip + 4 : ip + 6] = frame[ip + 10 : ip + 12] = bytes(2)
        elif what == "udpsport":
            frame[l4 : l4 + 2] = frame[l4 + 6 : l4 + 8] = bytes(2)
        elif isinstance(what, list):
            low, high = what
            frame[low:high] = bytes(len(frame[low:high]))
    return frame.hex()


def same(want: Any, got: Any, key: str = "") -> bool:
    """Equal, but for timeouts of connections, which may be off by `SLACK`."""
    if isinstance(want, dict) and isinstance(got, dict):
        return want.keys() == got.keys() and all(same(want[name], got[name], name) for name in want)
    if isinstance(want, list) and isinstance(got, list):
        return len(want) == len(got) and all(same(left, right) for left, right in zip(want, got, strict=True))
    if key == "timeout" and isinstance(want, int) and isinstance(got, int):
        return abs(want - got) <= SLACK
    return bool(want == got)


def first_difference(want: Any, got: Any, path: str = "") -> str:
    """Where two results part, for people."""
    if isinstance(want, dict) and isinstance(got, dict) and want.keys() == got.keys():
        for name in want:
            if not same(want[name], got[name], name):
                return first_difference(want[name], got[name], f"{path}.{name}")
    if isinstance(want, list) and isinstance(got, list):
        for place, (left, right) in enumerate(zip(want, got, strict=False)):
            if not same(left, right):
                return first_difference(left, right, f"{path}[{place}]")
        if len(want) != len(got):
            return f"{path}: {len(want)} entries recorded, {len(got)} given"
    return f"{path}: recorded {str(want)[:400]}, given {str(got)[:400]}"
