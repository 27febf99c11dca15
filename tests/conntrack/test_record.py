"""Rows of connections: everything that an entry holds survives being kept."""

from __future__ import annotations

import msgspec
import pytest

from tcemu.conntrack.dump import dump_all
from tcemu.conntrack.entry import Entry, Side, Tuple
from tcemu.conntrack.record import EntryRecord, fill_table, from_record, to_record
from tcemu.conntrack.settings import Settings
from tcemu.conntrack.table import Conntrack
from tcemu.conntrack.timeouts import Timeouts
from tcemu.packet.packet import Packet

from .driver import SCENARIOS as RECORDED
from .driver import START, Forward, fill, steps, table_for

SCENARIOS = ["nft-tcp-window", "nft-ct-udp", "nft-tcp-sim-open"]


def odd_entry() -> Entry:
    entry = Entry()
    entry.id, entry.family, entry.proto, entry.zone, entry.zone_dir = 77, 6, 6, 9, 1
    there, back = Tuple(), Tuple()
    there.src_high, there.src, there.dport, back.dst_high, back.sport = -(2**63), 2**63 - 1, 65535, 2**63 - 1, 7
    entry.orig, entry.reply = there, back
    entry.label_high, entry.label_low, entry.has_labels = -1, 5, True
    entry.orig_side, entry.reply_side = Side(), Side()
    entry.orig_side.max_end, entry.reply_side.flags = 2**32 - 1, 0x2B
    entry.last_flags, entry.last_index, entry.vtag_reply, entry.stream_timeout = 0x80, 4, 2**32 - 1, 180
    entry.helper, entry.flow_table, entry.flow_flags, entry.status, entry.mark = "ftp", 3, 2, 0x400E, 2**32 - 1
    entry.policy = Timeouts()
    entry.policy.tcp[3] = 5
    entry.policy.generic = 6
    return entry


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded scenarios are not here (TCEMU_SHARED)")
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_table_is_the_same_after_it_was_kept(name: str) -> None:
    table = table_for(name)
    p = Packet()
    now = START
    handle = Forward(table)
    for step in steps(name):
        now = START + round(step["ts"] * 1e9)
        fill(p, bytes.fromhex(step["in"]), now)
        handle(table, p, step["dev"])
    rows = [msgspec.msgpack.decode(msgspec.msgpack.encode(to_record(entry)), type=EntryRecord) for entry in table.entries()]
    again = Conntrack(Settings())
    fill_table(again, rows)
    assert rows
    assert dump_all(again.entries(), now) == dump_all(table.entries(), now)
    assert [to_record(entry) for entry in again.entries()] == rows
    assert again.serial == max(row.rank for row in rows)


def test_every_field_survives() -> None:
    record = to_record(odd_entry())
    entry = from_record(record)
    assert to_record(entry) == record
    assert entry.policy is not None
    assert entry.policy.tcp[3] == 5
    assert entry.policy.generic == 6
    assert (entry.orig.src_high, entry.label_high) == (-(2**63), -1)


def test_a_master_is_found_again() -> None:
    master, child = odd_entry(), Entry()
    child.id, child.master = 78, master
    table = Conntrack(Settings())
    fill_table(table, [to_record(child), to_record(master)])
    found = table.entries()
    assert found[1].master is found[0]
