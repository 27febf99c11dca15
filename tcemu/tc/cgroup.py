"""cgroup: see `tcemu.tc.basic`."""

from __future__ import annotations

from tcemu.ir.ruleset import Rule
from tcemu.tc.basic import CgroupReader, configure_cgroup, show_terms
from tcemu.tc.notes import RuleNote
from tcemu.tc.writer import Writer

READER = CgroupReader
configure = configure_cgroup


def show(out: Writer, rule: Rule, note: RuleNote) -> None:
    """Print handle and expression."""
    if note.handle:
        out.bare(f"handle 0x{note.handle:x} ")
    show_terms(out, note)


HANDLE_FIRST = True  # as in fw
