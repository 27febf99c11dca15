"""What a person sees of a replay: the bar while it runs, the tables when it has run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tcemu.clock import SECOND
from tcemu.engine.replay import Progress

if TYPE_CHECKING:
    from tcemu.session.replayed import ReplayResult

ROWS = 40  # rules in the summary; the rest is counted


class Bar(Progress):
    """A line on the terminal that says how many packets have run."""

    def __init__(self, live: Any, task: Any) -> None:
        super().__init__()
        self._live, self._task = live, task

    def update(self, packets: int) -> bool:
        self._live.update(self._task, completed=packets, description=f"{packets:,} packets")
        return True


@contextmanager
def progress_bar(paths: Sequence[str]) -> Iterator[Progress]:
    """A bar on a terminal, silence elsewhere; small captures are done before one would be seen."""
    size = sum(os.path.getsize(path) for path in paths if path != "-" and os.path.isfile(path))
    if not sys.stderr.isatty() or (size < 10_000_000 and "-" not in paths):
        yield Progress()
        return
    from rich.console import Console
    from rich.progress import Progress as Live
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    with Live(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=Console(stderr=True), transient=True) as live:
        yield Bar(live, live.add_task("reading", total=None))


def summary(result: ReplayResult) -> str:
    """The tables: what came in, what became of it, which rules were hit."""
    from tabulate import tabulate

    parts = [_headline(result)]
    rows = [(name, f"{count:,}", _share(count, result.packets)) for name, count in result.verdicts.items() if count]
    parts.append(tabulate(rows, ("verdict", "packets", "share"), tablefmt="simple", colalign=("left", "right", "right")) if rows else "")
    if result.sent:
        sent = [(name, f"{count:,}", result.files.get(name, "")) for name, count in result.sent.items()]
        parts.append(
            tabulate(sent, ("sent on", "frames", "file"), tablefmt="simple", colalign=("left", "right", "left"), disable_numparse=True)
        )
    if result.shares and (result.offload is not None or any(share.packets for share in result.shares)):
        from tcemu.cli.offloading import share_table

        parts.append(share_table([share._asdict() for share in result.shares], result.packets, result.bytes))
    parts.append(_rules(result))
    for way in result.ways:
        from tcemu.engine.trace import render

        names = {rule.key: f"{rule.label.place}: {rule.label.text}".rstrip(": ") for rule in result.rules}
        parts.append(f"packet {way.number} on {way.device}: {way.verdict}\n" + render(way.events, names).rstrip("\n"))
    if result.nft_trace:
        parts.append(result.nft_trace.rstrip("\n"))
    return "\n\n".join(part for part in parts if part) + "\n"


def _headline(result: ReplayResult) -> str:
    span = (result.last - result.first) / SECOND if result.packets else 0
    line = (
        f"{result.packets:,} packets, {result.bytes:,} bytes, {span:.3f} s of capture time; {result.connections:,} connections at the end"
    )
    if result.undecoded:
        line += f"; {result.undecoded:,} packets of link types that are not decoded"
    return line + (" (stopped)" if result.stopped else "")


def _share(count: int, of: int) -> str:
    return f"{100 * count / of:.1f} %" if of else ""


def _rules(result: ReplayResult) -> str:
    from tabulate import tabulate

    hit = [rule for rule in result.rules if rule.hits]
    shown = result.rules if len(result.rules) <= ROWS else hit[:ROWS]
    if not result.rules:
        return "no rules"
    rows = [(f"{rule.hits:,}", rule.label.place, _cut(rule.label.text)) for rule in shown]
    table = tabulate(rows, ("hits", "rule", ""), tablefmt="simple", colalign=("right", "left", "left"), disable_numparse=True)
    left = len(result.rules) - len(shown)
    return table + (f"\nand {left:,} more rules, {len(hit) - len(shown) if len(hit) > len(shown) else 0:,} of them hit" if left else "")


def _cut(text: str, width: int = 100) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
