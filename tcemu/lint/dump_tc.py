"""What ``tc -j filter show`` and ``tc -j qdisc show`` printed becomes commands again, which the tc front end reads.

A dump of filters does not say of which device it is: it is taken to be that of the file's name (``eth0.json``, ``eth0-ingress.json``), or of ``dev0``.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any, Final

from tcemu.diagnostics import Span, TcemuError
from tcemu.lint.read_tc import line_of
from tcemu.lint.subject import Subject

FLAGS: Final = ("ip_flags", "ct_state", "tcp_flags")
PROTOCOLS: Final = {"ipv4": "ip", "ip": "ip", "802.1q": "802.1Q"}
SKIPPED_KEYS: Final = ("eth_type",)
NAMES: Final = {"enc_ttl": "enc_ttl", "src_mac": "src_mac", "cvlan_id": "cvlan_id"}


def load_dump(subject: Subject, path: str, content: str) -> None:
    """Read a dump."""
    try:
        rows = json.loads(content)
    except ValueError as slip:
        raise TcemuError(f"{path} is no JSON: {slip}", exit_code=2) from slip
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise TcemuError(f"{path} is no dump of tc: it wants a list of objects", exit_code=2)
    device, side = _place(path)
    if any("qdisc" in row for row in rows):
        return
    for row in rows:
        words = _words(row, device, side)
        if words:
            line_of(subject, "tc", words, _span(path, subject.texts[path], row))


def _place(path: str) -> tuple[str, str]:
    found = re.fullmatch(r"(?:tc-)?([A-Za-z0-9_.]{1,15}?)(?:-(ingress|egress))?", os.path.splitext(os.path.basename(path))[0])
    return (found[1], found[2] or "ingress") if found else ("dev0", "ingress")


def _span(path: str, lines: list[str], row: dict[str, Any]) -> Span:
    """The line of a pretty-printed dump where the filter's handle stands, else the first."""
    handle = row.get("options", {}).get("handle") if isinstance(row.get("options"), dict) else None
    wanted = f'"pref": {row.get("pref")}'
    at = next((number for number, line in enumerate(lines, 1) if wanted in line), 1) if handle is not None else 1
    line = lines[at - 1]
    return Span(path, at, 1, min(len(line), 200) + 1)


def _words(row: dict[str, Any], device: str, side: str) -> list[str]:
    """A filter as the command that adds it; none for the heads of preferences and for kinds whose JSON does not say enough."""
    options = row.get("options")
    if not isinstance(options, dict) or row.get("kind") not in ("flower", "matchall") or "handle" not in options:
        return []
    where = (
        ["block", str(row["block"])]
        if "block" in row
        else ["dev", str(row.get("dev", device)), str(row.get("parent", "") and side) or side]
    )
    words = [
        "filter",
        "add",
        *where,
        "protocol",
        str(row.get("protocol", "all")),
        "pref",
        str(row.get("pref", 1)),
        "chain",
        str(row.get("chain", 0)),
    ]
    words += ["handle", str(options["handle"]), row["kind"]]
    if row["kind"] == "flower":
        for name, value in options.get("keys", {}).items():
            if name not in SKIPPED_KEYS:
                words += [name, _key(name, value)]
        if "classid" in options:
            words += ["classid", str(options["classid"])]
    words += [flag for flag in ("skip_sw", "skip_hw") if options.get(flag)]
    for action in options.get("actions", ()):
        words += _action(action)
    return words


def _key(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, dict):
        return f"{value.get('value', value.get('start', 0))}"
    _ = name
    return str(value)


def _control(action: dict[str, Any]) -> list[str]:
    control = action.get("control_action", {})
    kind = str(control.get("type", "pipe"))
    if kind == "goto":
        return ["goto", "chain", str(control.get("chain", 0))]
    if kind == "jump":
        return ["jump", str(control.get("jump", 1))]
    return [{"stolen": "", "shot": "drop", "ok": "pass"}.get(kind, kind)] if kind != "stolen" else []


def _action(action: dict[str, Any]) -> list[str]:
    """An action's words; one whose JSON does not say enough is left out, so that what follows it stays."""
    kind = action.get("kind")
    if kind == "gact":
        return ["action", *_control(action)]
    if kind == "mirred":
        return [
            "action",
            "mirred",
            str(action.get("direction", "egress")),
            str(action.get("mirred_action", "redirect")),
            "dev",
            str(action.get("to_dev", "")),
        ]
    if kind == "ct":
        return ["action", "ct", *_ct(action), *_control(action)]
    if kind == "vlan":
        words = ["action", "vlan", str(action.get("vlan_action", "pop"))]
        for name in ("id", "protocol", "priority"):
            words += [name, str(action[name])] if name in action else []
        return [*words, *_control(action)]
    return []


def _ct(action: dict[str, Any]) -> list[str]:
    words = []
    if action.get("action") == "clear":
        return ["clear"]
    if action.get("action"):
        words += str(action["action"]).split()
    if "zone" in action:
        words += ["zone", str(action["zone"])]
    if "mark" in action:
        words += ["mark", str(action["mark"])]
    if "label" in action:
        words += ["label", str(action["label"])]
    if "nat" in action:
        words += ["nat", *str(action["nat"]).split()] if str(action["nat"]) not in ("True", "") else ["nat"]
    return words
