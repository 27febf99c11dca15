"""Every recorded scenario with every backend: the same frames, verdicts and connections as without one.

    python benchmarks/same_with_backends.py [--only PART] [--scenarios DIR] [BACKEND …]

A backend changes which way packets go, never what becomes of them. What may differ, and is taken out before comparing:

* the bit of a connection that says that hardware has its flow (IPS_HW_OFFLOAD, ``[HW_OFFLOAD]`` for ``[OFFLOAD]``);
* listings of tc: ``in_hw`` for ``not_in_hw``, the kind of statistics used, and the split of a counter into software and hardware (its sum is
  the same).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from tcemu.offload.backend import names
from tcemu.offload.profile import choose
from tcemu.session.scenario import run

ROOT = Path(__file__).resolve().parents[1]
HW_OFFLOAD = 1 << 15
SPLIT = re.compile(
    r"^\s*Sent (software|hardware) .*\n|^\tused_hw_stats.*\n|^  in_hw in_hw_count \d+\n|^  not_in_hw\n"
    r'|"(not_)?in_hw":true,?|"in_hw_count":\d+,?|"used_hw_stats":\[[^\]]*\],?|"[sh]w_(bytes|packets)":\d+,?',  # where tc's JSON is none
    re.MULTILINE,
)
OURS = {"in_hw", "in_hw_count", "not_in_hw", "used_hw_stats", "sw_bytes", "sw_packets", "hw_bytes", "hw_packets"}


def plain(node: Any) -> Any:
    """A document without what a backend may change."""
    if isinstance(node, dict):
        return {key: plain(value) for key, value in node.items() if key not in OURS}
    if isinstance(node, list):
        return [plain(item) for item in node if item != "hw_offload"]
    if isinstance(node, str):
        return SPLIT.sub("", node).replace("[HW_OFFLOAD]", "[OFFLOAD]")
    return node


def plain_step(line: str) -> Any:
    step = plain(json.loads(line))
    for connection in step.get("ct", []):
        if isinstance(connection.get("status"), int):
            connection["status"] &= ~HW_OFFLOAD
    return step


def results(folder: Path) -> dict[str, Any]:
    """A scenario's files, ready to compare; two tables of connections come in the same order."""
    found: dict[str, Any] = {}
    for path in sorted(folder.iterdir()):
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".jsonl":
            found[path.name] = [plain_step(line) for line in text.splitlines()]
        elif path.suffix == ".json":
            found[path.name] = plain(json.loads(text))
        else:
            found[path.name] = plain(text)
    return found


def differing(source: Path, backends: list[str]) -> list[str]:
    """The backends with which a scenario comes out differently, with the file."""
    with tempfile.TemporaryDirectory() as scratch:
        run(source, Path(scratch) / "none")
        want = results(Path(scratch) / "none")
        found = []
        for backend in backends:
            target = Path(scratch) / backend
            run(source, target, choose(backend))
            got = results(target)
            found += [f"{backend}: {name}" for name in want if want[name] != got.get(name)]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare recorded scenarios with and without offload backends.")
    parser.add_argument("--only", default="", help="scenarios with this in their name")
    parser.add_argument("--scenarios", type=Path, default=ROOT / "tests" / "conformance" / "scenarios")
    parser.add_argument("backends", nargs="*", help="all, if none is named")
    options = parser.parse_args()
    backends = options.backends or [*names(), "home-router"]
    sources = [path.parent for path in sorted(options.scenarios.glob("*/scenario.json")) if options.only in path.parent.name]
    wrong = 0
    for source in sources:
        for line in differing(source, backends):
            wrong += 1
            print(f"{source.name}: {line}")
    print(f"{len(sources)} scenarios with {', '.join(backends)}: {wrong} differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
