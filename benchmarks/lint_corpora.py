"""Lint over whole corpora: findings per rule and status, crashes, CPU time. Usage: lint_corpora.py FOLDER…

A folder is one with ``index.jsonl`` (rulesets of nft: file, status, preamble) or with ``lines.jsonl`` and ``scripts.jsonl`` (tc: setup, commands, exit codes).
Errors on what the real tool took are listed one by one: there should be none.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tcemu.lint.run import Report
from tcemu.session.linting import Wanted, lint_paths, lint_text


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of an index."""
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def rulesets(folder: Path) -> Iterator[tuple[str, str, Report]]:
    """Rulesets of nft: name, status, report."""
    with tempfile.TemporaryDirectory() as scratch:
        for row in rows(folder / "index.jsonl"):
            bases: tuple[str, ...] = ()
            if row.get("preamble"):
                before = Path(scratch) / "before.nft"
                before.write_text(row["preamble"], encoding="utf-8")
                bases = (str(before),)
            path = str(folder / row["file"].removeprefix("open/"))
            yield row["id"], row["status"], lint_paths(Wanted((path,), bases, kind="nft"))[1]


def commands(folder: Path) -> Iterator[tuple[str, str, Report]]:
    """Lines and scripts of tc."""
    for row in rows(folder / "lines.jsonl"):
        text = "\n".join([*(step[0] for step in row["setup"]), row["cmd"]])
        yield row["id"], "refused line" if row["exit"] else "loads", lint_text(text, row["id"], "script")[1]
    for row in rows(folder / "scripts.jsonl"):
        text = "\n".join([*(step[0] for step in row["setup"]), *(step["cmd"] for step in row["results"])])
        yield row["id"], "loads" if row["all_ok"] else "refused script", lint_text(text, row["id"], "script")[1]


def main(folders: list[str]) -> None:
    table: Counter[tuple[str, str, str]] = Counter()
    where: dict[str, set[str]] = defaultdict(set)
    count, started = 0, time.process_time()
    for name in folders:
        folder = Path(name)
        for one, status, report in rulesets(folder) if (folder / "index.jsonl").exists() else commands(folder):
            count += 1
            for finding in report.findings:
                table[finding.rule, finding.severity, "loads" if status == "loads" else "others"] += 1
                where[finding.rule].add(one)
                if status == "loads" and finding.severity == "error":
                    print(f"error on what loads: {one}: {finding.rule} {finding.message}")
    print(f"{count} texts, {time.process_time() - started:.1f} s CPU")
    for rule, severity in sorted({(rule, severity) for rule, severity, _ in table}):
        print(f"{rule:6} {severity:8} {table[rule, severity, 'loads']:5} {table[rule, severity, 'others']:5} in {len(where[rule])} texts")


if __name__ == "__main__":
    main(sys.argv[1:])
