"""Every cell of the TCP state table: its value, and what a segment that falls into it does."""

from __future__ import annotations

import pytest

from tcemu.conntrack.entry import ASSURED, CONFIRMED, SEEN_REPLY, Entry, Side
from tcemu.conntrack.linux import IGNORED, INVALID, REPEAT, tcp_window
from tcemu.conntrack.linux import tcp_states as machine
from tcemu.conntrack.linux.tcp import packet as judge
from tcemu.conntrack.settings import Settings
from tcemu.packet.decode import load
from tcemu.packet.packet import LINK_ETHER, Packet

from .builder import START, A, B, tcp

# source: net/netfilter/nf_conntrack_proto_tcp.c tcp_conntracks, as facts/conntrack.md gives it (rows: direction and flags)
KERNEL = """
      NO SS SR ES FW CW LA TW CL S2
O syn SS SS IG IG IG IG IG SS SS S2
O synack IV IV SR IV IV IV IV IV IV SR
O fin IV IV FW FW LA LA LA TW CL IV
O ack ES IV ES ES CW CW TW TW CL IV
O rst IV CL CL CL CL CL CL CL CL CL
O none IV IV IV IV IV IV IV IV IV IV
R syn IV S2 IV IV IV IV IV SS IV S2
R synack IV SR IG IG IG IG IG IG IG SR
R fin IV IV FW FW LA LA LA TW CL IV
R ack IV IG SR ES CW CW TW TW CL IG
R rst IV CL CL CL CL CL CL CL CL CL
R none IV IV IV IV IV IV IV IV IV IV
"""
SHORT = ("NO", "SS", "SR", "ES", "FW", "CW", "LA", "TW", "CL", "S2", "IV", "IG")
FLAGS = {"syn": "S", "synack": "SA", "fin": "FA", "ack": "A", "rst": "RA", "none": "P"}


def cells() -> list[tuple[int, str, int, int]]:
    out = []
    for line in KERNEL.strip().splitlines()[1:]:
        side, row, *row_cells = line.split()
        out += [("OR".index(side), row, state, SHORT.index(cell)) for state, cell in enumerate(row_cells)]
    return out


CELLS = cells()
IDS = [f"{('orig', 'reply')[way]}-{row}-{machine.STATE_NAMES[state]}" for way, row, state, _ in CELLS]


@pytest.mark.parametrize(("way", "row", "state", "want"), CELLS, ids=IDS)
def test_cell_is_the_kernels(way: int, row: str, state: int, want: int) -> None:
    index = machine.INDEX_NAMES.index(row)
    assert machine.STATES[(way * 6 + index) * 10 + state] == want


def in_state(state: int) -> Entry:
    """A confirmed connection in that state, answered, with windows that let everything pass."""
    entry = Entry()
    entry.proto, entry.state, entry.status = 6, state, CONFIRMED | SEEN_REPLY
    entry.orig_side, entry.reply_side = Side(), Side()
    for side in (entry.orig_side, entry.reply_side):
        side.flags = tcp_window.BE_LIBERAL
        side.end = side.max_end = 1000
        side.max_window = 8192
    entry.last_index = machine.NONE
    return entry


@pytest.mark.parametrize(("way", "row", "state", "want"), [c for c in CELLS if c[1] != "none"], ids=[i for i in IDS if "-none-" not in i])
def test_segment_does_what_its_cell_says(way: int, row: str, state: int, want: int) -> None:
    entry = in_state(state)
    frame = tcp(B, A, FLAGS[row], seq=1000, ack=1000) if way else tcp(A, B, FLAGS[row], seq=1000, ack=1000)
    p = Packet()
    load(p, frame, 0, len(frame), len(frame), START, LINK_ETHER, 1)
    code = judge(Settings(), entry, p, way, 40, True, START)
    if want == machine.IV:
        assert (code, entry.state) == (INVALID, state)
        assert f"in dir {way} invalid, state {machine.STATE_NAMES[state]}" in p.reason
    elif want == machine.IG or (want == machine.SS and state >= machine.TW):
        # a SYN after the end without a close that was seen is let by, as one in the middle is
        assert (code, entry.state) == (IGNORED, state)
        assert "ignored" in p.reason
    elif want == machine.SS and state == machine.SS:
        assert entry.state == want
    else:
        assert code > 0
        assert entry.state == want


@pytest.mark.parametrize("flags", range(256), ids=lambda flags: f"flags-{flags:02x}")
def test_flag_combinations(flags: int) -> None:
    # source: nf_conntrack_proto_tcp.c tcp_valid_flags
    valid = {0x02, 0x22, 0x12, 0x04, 0x14, 0x11, 0x31, 0x10, 0x30}
    assert bool(machine.VALID_FLAGS >> (flags & machine.TH_JUDGED) & 1) == (flags & ~0xC8 in valid)


def test_syn_reopens_after_a_close_that_was_seen() -> None:
    entry = in_state(machine.TW)
    assert entry.orig_side is not None
    entry.orig_side.flags |= tcp_window.CLOSE_INIT
    frame = tcp(A, B, "S", seq=9)
    p = Packet()
    load(p, frame, 0, len(frame), len(frame), START, LINK_ETHER, 1)
    assert judge(Settings(), entry, p, 0, 40, True, START) == REPEAT


@pytest.mark.parametrize("old", [machine.SR, machine.ES], ids=["SYN_RECV", "ESTABLISHED"])
def test_ack_into_established_assures(old: int) -> None:
    entry = in_state(old)
    frame = tcp(A, B, "A", seq=1000, ack=1000)
    p = Packet()
    load(p, frame, 0, len(frame), len(frame), START, LINK_ETHER, 1)
    assert judge(Settings(), entry, p, 0, 40, True, START) > 0
    assert entry.status & ASSURED
