"""`tcemu offload`: what was offloaded, what was not and why, what a backend holds. Words and tables; the commands are in `tcemu.cli.offload`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tcemu.clock import SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tcemu.offload.journal import Mark, Reason, Story

WORDS = {
    "seen": "first seen",
    "ready": "could be offloaded from here on",
    "added": "offloaded",
    "taken": "taken by the backend",
    "left": "no longer offloaded",
    "aged": "aged out of the backend",
    "gone": "the connection ended",
}
STATUS = {
    "offloaded": "offloaded",
    "left": "was offloaded",
    "refused": "not offloaded",
    "ready": "could be offloaded, and no rule offered it",
    "none": "not offloaded",
}
NEVER_READY = "no flow table would have it: TCP must be established and assured, UDP confirmed, and no helper may look into it"
NO_RULE = "no packet of it came to a rule that offers connections (flow add @TABLE, or action ct)"


def why(stories: Iterable[Story], first: int) -> str:
    """The story of each connection, line by line; times are seconds after the capture's first packet."""
    parts = ["\n".join(_story(story, first)) for story in stories]
    return "\n\n".join(parts) + "\n" if parts else "no connection matches\n"


def _story(story: Story, first: int) -> list[str]:
    head = f"{story.proto} {story.original}" + (f" zone {story.zone}" if story.zone else "")
    lines = [f"{head}: {STATUS[story.status()]}"]
    timed: list[tuple[int, int, str]] = []
    for place, mark in enumerate(story.marks):
        timed.append((mark.ts, place, f"  {_where(mark, first):22} {_said(mark)}"))
    lines += [line for _, _, line in sorted(timed)]
    for reason in story.refused.values():
        lines.append(f"  {_span(reason):22} not offered to {reason.table}: {reason.text}")
    for reason in story.slow.values():
        lines.append(f"  {_span(reason):22} {reason.table}: {reason.text}")
    if not story.refused and not any(mark.kind == "added" for mark in story.marks):
        lines.append(f"  {'':22} {NO_RULE if story.ready else NEVER_READY}")
    if story.fast_packets:
        taken = f", {story.taken_packets:,} of them by the backend" if story.taken_packets else ""
        lines.append(f"  {'':22} fast path: {story.fast_packets:,} packets, {story.fast_bytes:,} bytes{taken}")
    return lines


def _where(mark: Mark, first: int) -> str:
    moment = f"{(mark.ts - first) / SECOND:.6f} s"
    return f"packet {mark.packet} at {moment}" if mark.packet else f"at {moment}"


def _said(mark: Mark) -> str:
    words = WORDS[mark.kind]
    if mark.table:
        words += f": {mark.table}" if mark.kind in ("added", "taken", "left", "aged") else ""
    return f"{words} ({mark.text})" if mark.text else words


def _span(reason: Reason) -> str:
    if reason.count == 1:
        return f"packet {reason.first}"
    return f"packets {reason.first}-{reason.last} ({reason.count})"


def listing(stories: Iterable[Story]) -> str:
    """A line a connection."""
    from tabulate import tabulate

    rows = []
    for story in stories:
        added = next((mark.packet for mark in story.marks if mark.kind == "added"), 0)
        ready = next((mark.packet for mark in story.marks if mark.kind == "ready"), 0)
        left = next((mark for mark in reversed(story.marks) if mark.kind == "left"), None) if not story.offloaded else None
        rows.append(
            (
                story.proto,
                story.original,
                story.zone or "",
                ready or "",
                added or "",
                (left.packet or "-") if left else "",
                story.fast_packets or "",
                story.taken_packets or "",
                STATUS[story.status()],
            )
        )
    heads = ("", "connection", "zone", "could", "was", "left", "fast", "backend", "")
    if not rows:
        return "no connections\n"
    return tabulate(rows, heads, tablefmt="plain", disable_numparse=True, colalign=("left", "left", *("right",) * 6, "left")) + "\n"


def timeline(stories: Iterable[Story], first: int) -> str:
    """All events of all connections by time."""
    events = [(mark.ts, mark.packet, place, story, mark) for story in stories for place, mark in enumerate(story.marks)]
    events.sort(key=lambda event: event[:3])
    lines = []
    for ts, packet, _, story, mark in events:
        number = f"#{packet}" if packet else ""
        lines.append(f"{(ts - first) / SECOND:12.6f} {number:>8} {story.proto} {story.original}: {_said(mark)}")
    return "\n".join(lines) + "\n" if lines else "nothing happened\n"


def tables(report: dict[str, Any]) -> str:
    """The backend's tables."""
    lines = []
    for name, rows in report["tables"]:
        lines.append(f"{name}:")
        lines += [f"  {row}" for row in rows] if rows else ["  (empty)"]
        lines.append("")
    return "\n".join(lines)


def share_rows(shares: list[dict[str, Any]], packets: int, octets: int) -> list[tuple[str, str, str, str, str]]:
    """Packets and bytes of each path with their parts of all."""
    rows = []
    for share in shares:
        parts = [f"{100 * share[name] / whole:.1f} %" if whole else "" for name, whole in (("packets", packets), ("bytes", octets))]
        rows.append((share["path"], f"{share['packets']:,}", parts[0], f"{share['bytes']:,}", parts[1]))
    return rows


def share_table(shares: list[dict[str, Any]], packets: int, octets: int) -> str:
    """As a table; bytes are those of IP, shares of them of the capture's bytes."""
    from tabulate import tabulate

    rows = share_rows(shares, packets, octets)
    heads = ("fast path", "packets", "share", "bytes", "share")
    return tabulate(rows, heads, tablefmt="simple", disable_numparse=True, colalign=("left", *("right",) * 4))


def met_table(report: dict[str, Any]) -> str:
    """Where packets left hardware: filters that are not there, and those whose connection was not."""
    from tabulate import tabulate

    from tcemu.session.labels import place_of

    rows = []
    for one in report["met"]:
        refusal = report["rules"].get(one["rule"])
        why = refusal["text"] if refusal else "the connection was not in hardware" if one["left"] else ""
        rows.append((place_of(one["rule"]), f"{one['packets']:,}", f"{one['left']:,}", why))
    heads = ("filter", "in hardware", "left it", "")
    return tabulate(rows, heads, tablefmt="simple", disable_numparse=True, colalign=("left", "right", "right", "left"))


def stats(report: dict[str, Any]) -> str:
    """Counters of the backend, shares, and the estimate of the profile."""
    parts = [f"backend {report['backend']}, profile {report['profile']['name'] or '-'}"]
    parts.append(", ".join(f"{name} {value:,}" for name, value in report["stats"].items()))
    parts.append(share_table(report["shares"], report["packets"], report["bytes"]))
    if report["met"]:
        parts.append(met_table(report))
    costs = report["costs"]
    if costs["without_ns"]:
        saved = 100 * (1 - costs["with_ns"] / costs["without_ns"])
        parts.append(
            f"by the profile's costs (an estimate, no measurement): {costs['with_ns'] / 1e6:.3f} ms of the host's time instead of "
            f"{costs['without_ns'] / 1e6:.3f} ms, {saved:.1f} % less"
        )
    if report.get("flows_not_kept"):
        parts.append(f"{report['flows_not_kept']:,} packets belong to connections beyond the first that were kept")
    return "\n\n".join(parts) + "\n"
