"""Replay captures through many rulesets, and keep what every counter, set and verdict came to.

    python benchmarks/replay_rulesets.py RULESETS --captures FILE… [--out FIGURES.jsonl]

RULESETS is a folder with ``*.nft``, or an ``index.jsonl`` whose lines have id, status, devices and perhaps a preamble (those that load
are taken). Each ruleset gets a session of its own in which eth0 and all its devices are there; the captures arrive on eth0 one after the
other. A line of the figures is the ruleset's name with a digest of ``nft -j list ruleset`` behind the last packet and the counts of verdicts:
run it interpreted and compiled, and compare the two files with diff. Anything that is not clean is told; the exit status is 1 then.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import tcemu
from tcemu import Session


def cases(where: Path) -> list[dict[str, Any]]:
    """Name, file, devices and preamble of each ruleset."""
    if where.suffix != ".jsonl":
        return [{"id": path.stem, "path": path, "devices": [], "preamble": ""} for path in sorted(where.glob("*.nft"))]
    found = []
    for line in where.read_text().splitlines():
        case = json.loads(line)
        if case.get("status") == "loads":
            preamble = case.get("preamble") or ""
            devices = case.get("devices") or []
            found.append({"id": case["id"], "path": where.parent / f"{case['id']}.nft", "devices": devices, "preamble": preamble})
    return found


def replay(case: dict[str, Any], captures: list[Path]) -> dict[str, Any]:
    """The figures of one ruleset."""
    with Session() as session:
        for device in ["eth0", *case["devices"]]:
            session.ip(["link", "add", device, "type", "dummy"])
            session.ip(["link", "set", device, "up"])
        if case["preamble"]:
            session.nft(["-f", "-"], stdin=case["preamble"])
        loaded = session.nft(["-f", str(case["path"])])
        if loaded.exit_code:
            return {"id": case["id"], "refused": loaded.stderr.splitlines()[0]}
        verdicts: dict[str, int] = {}
        for capture in captures:
            result = session.replay({"eth0": str(capture)})
            for name, count in result.verdicts.items():
                verdicts[name] = verdicts.get(name, 0) + count
        listing = session.nft(["-j", "list", "ruleset"])
        digest = hashlib.sha256(listing.stdout.encode()).hexdigest()[:16]
        return {"id": case["id"], "verdicts": verdicts, "rules": digest, "exit": listing.exit_code}


def main() -> int:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rulesets", type=Path)
    parser.add_argument("--captures", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    begun = time.process_time()
    wrong, lines = 0, []
    for case in cases(options.rulesets):
        if options.only not in case["id"]:
            continue
        try:
            figures = replay(case, options.captures)
        except Exception:
            figures = {"id": case["id"], "failed": traceback.format_exc().splitlines()[-1]}
            traceback.print_exc()
        if "refused" in figures or "failed" in figures or figures.get("exit"):
            wrong += 1
            print(json.dumps(figures), file=sys.stderr)
        lines.append(json.dumps(figures, sort_keys=True))
    if options.out is not None:
        options.out.write_text("".join(f"{line}\n" for line in lines))
    print(f"{tcemu.__version__}: {len(lines)} rulesets, {wrong} not clean, {time.process_time() - begun:.1f} s of CPU")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
