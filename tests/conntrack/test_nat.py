"""Translation: choosing addresses and ports, giving packets their face, ICMP errors, and the recorded tc-ct-nat-* scenarios."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from tcemu.conntrack.chance import jhash, scale
from tcemu.conntrack.dump import dump_all
from tcemu.conntrack.entry import DST_NAT, SRC_NAT, SRC_NAT_DONE, Entry
from tcemu.conntrack.names import number, signed
from tcemu.conntrack.nat import (
    DST,
    PERSISTENT,
    PROTO_OFFSET,
    PROTO_RANDOM_FULLY,
    SRC,
    NatRange,
    act_nat,
    null_binding,
    setup,
    translate,
    translate_error,
)
from tcemu.fields import DPORT, IP_DADDR, IP_SADDR, L4PROTO, SPORT
from tcemu.packet.checksum import verify_header, verify_l4
from tcemu.packet.packet import NEW, Packet

from . import driver
from .builder import A6, B6, A, B, C, Tracker, icmp, inside, ip4, tcp, udp

PUBLIC = 0xC0000201  # 192.0.2.1


def span(source: bool, low: str, high: str = "", ports: tuple[int, int] = (0, 0), flags: int = 0) -> NatRange:
    """A range from text."""
    first, last = ip_address(low), ip_address(high or low)
    wanted = NatRange()
    wanted.source, wanted.family, wanted.flags = source, first.version, flags
    if first.version == 6:
        wanted.low_high, wanted.high_high = signed(int(first) >> 64), signed(int(last) >> 64)
        wanted.low, wanted.high = signed(int(first)), signed(int(last))
    else:
        wanted.low, wanted.high = int(first), int(last)
    wanted.port_low, wanted.port_high = ports
    return wanted


def source_nat(t: Tracker, frame: bytes, wanted: NatRange) -> Entry:
    """Track a new packet, set its source translation up and confirm."""
    assert t.send(frame, confirm=False) == "new"
    assert setup(t.table, t.entry, wanted, SRC, t.now)
    assert t.table.confirm(t.packet) == 1
    return t.entry


def test_a_free_port_is_kept() -> None:
    t = Tracker()
    entry = source_nat(t, udp(A, B, sport=1000), span(True, "192.0.2.1"))
    assert (entry.reply.dst, entry.reply.dport) == (PUBLIC, 1000)
    assert entry.status & (SRC_NAT | SRC_NAT_DONE) == SRC_NAT | SRC_NAT_DONE


@pytest.mark.parametrize(
    ("port", "least", "most"),
    [(100, 1, 511), (511, 1, 511), (512, 600, 1023), (1023, 600, 1023), (1024, 1024, 65535), (40000, 1024, 65535)],
    ids=str,
)
def test_a_taken_port_is_changed_within_its_class(port: int, least: int, most: int) -> None:
    t = Tracker()
    source_nat(t, udp(A, B, sport=port), span(True, "192.0.2.1"))
    for other in range(1, 30):
        entry = source_nat(t, udp(A + 1000 + other, B, sport=port), span(True, "192.0.2.1"))
        assert least <= entry.reply.dport <= most
    assert len({int(entry.reply.dport) for entry in t.table.entries()}) == 30


def test_another_destination_may_have_the_same_port() -> None:
    t = Tracker()
    source_nat(t, udp(A, B, sport=1000), span(True, "192.0.2.1"))
    assert source_nat(t, udp(C, B, sport=1000, dport=54), span(True, "192.0.2.1")).reply.dport == 1000


def test_a_source_keeps_its_translation() -> None:
    """find_appropriate_src: towards another server it is the same address and port."""
    t = Tracker()
    first = source_nat(t, udp(A, B, sport=1000), span(True, "192.0.2.1", "192.0.2.200", (5000, 6000)))
    second = source_nat(t, udp(A, C, sport=1000), span(True, "192.0.2.1", "192.0.2.200", (5000, 6000)))
    assert (second.reply.dst, second.reply.dport) == (first.reply.dst, first.reply.dport)
    t.table.flush()
    assert t.table.sources.slots.used == 0


def test_the_last_port_of_a_range_is_found_and_then_none() -> None:
    t = Tracker()
    ports = {source_nat(t, udp(A + n, B, sport=9), span(True, "192.0.2.1", "", (7000, 7004))).reply.dport for n in range(5)}
    assert ports == set(range(7000, 7005))
    assert t.send(udp(A + 9, B, sport=9), confirm=False) == "new"
    assert setup(t.table, t.entry, span(True, "192.0.2.1", "", (7000, 7004)), SRC, t.now)
    assert t.table.confirm(t.packet) == 0


def test_ports_may_be_shifted() -> None:
    t = Tracker()
    wanted = span(False, "10.0.0.9", "", (7000, 7099), PROTO_OFFSET)
    wanted.port_base = 80
    assert t.send(udp(A, B, dport=85), confirm=False) == "new"
    assert setup(t.table, t.entry, wanted, DST, t.now)
    assert (t.entry.reply.src, t.entry.reply.sport) == (0x0A000009, 7005)


def test_random_ports_are_the_same_for_the_same_seed() -> None:
    chosen = []
    for seed in (1, 1, 2):
        t = Tracker()
        t.table.chance.sow(seed)
        chosen.append(int(source_nat(t, udp(A, B), span(True, "192.0.2.1", flags=PROTO_RANDOM_FULLY)).reply.dport))
    assert chosen[0] == chosen[1] != chosen[2]


def test_a_destination_port_stays_without_a_range() -> None:
    t = Tracker()
    for n in range(2):
        t.send(udp(A, B + n, dport=53), confirm=False)
        assert setup(t.table, t.entry, span(False, "10.0.0.9"), DST, t.now)
        assert (t.entry.reply.src, t.entry.reply.sport) == (0x0A000009, 53)


def test_a_null_binding_changes_a_taken_port_only() -> None:
    t = Tracker()
    t.send(udp(A, B), confirm=False)
    assert null_binding(t.table, t.entry, SRC, t.now)
    assert t.entry.status & SRC_NAT == 0
    t.table.confirm(t.packet)
    source_nat(t, udp(C, B, sport=77), span(True, "10.0.0.1"))
    t.send(udp(A, B, sport=77), confirm=False)
    assert null_binding(t.table, t.entry, SRC, t.now)
    assert t.entry.status & SRC_NAT
    assert t.entry.reply.dst == A


def test_icmp_ids_are_ports() -> None:
    t = Tracker()
    first = source_nat(t, icmp(A, B, 8, ident=5), span(True, "192.0.2.1"))
    second = source_nat(t, icmp(C, B, 8, ident=5), span(True, "192.0.2.1"))
    assert first.reply.sport == 5 != second.reply.sport
    assert first.reply.dport == 0


def test_plain_gre_and_others_change_their_address_only() -> None:
    t = Tracker()
    for proto in (47, 89):
        entry = source_nat(t, ip4(A, B, proto, bytes(16)), span(True, "192.0.2.1"))
        assert (entry.reply.dst, entry.reply.dport) == (PUBLIC, 0)


def test_setting_up_twice_is_refused_and_later_ignored() -> None:
    t = Tracker()
    t.send(udp(A, B), confirm=False)
    assert setup(t.table, t.entry, span(True, "192.0.2.1"), SRC, t.now)
    assert not setup(t.table, t.entry, span(True, "192.0.2.1"), SRC, t.now)
    t.table.confirm(t.packet)
    assert setup(t.table, t.entry, span(True, "192.0.2.9"), SRC, t.now)
    assert t.entry.reply.dst == PUBLIC


def test_both_directions_are_rewritten() -> None:
    t = Tracker()
    entry = source_nat(t, tcp(A, B, "S", seq=1, sport=3333), span(True, "192.0.2.1", "", (4444, 4444)))
    p = t.packet
    assert translate(p, entry, NEW, SRC) == 1
    assert (p.f[IP_SADDR], p.f[SPORT], p.f[IP_DADDR]) == (PUBLIC, 4444, B)
    assert verify_header(p)
    assert verify_l4(p)
    assert t.send(tcp(B, PUBLIC, "SA", sport=80, dport=4444, seq=1, ack=2)) == "est-reply"
    assert translate(p, t.entry, p.ctinfo, DST) == 1
    assert (p.f[IP_SADDR], p.f[IP_DADDR], p.f[DPORT]) == (B, A, 3333)
    assert verify_l4(p)
    assert translate(p, t.entry, p.ctinfo, SRC) == 1


def test_an_error_is_translated_inside_and_outside() -> None:
    t = Tracker()
    entry = source_nat(t, udp(A, B, sport=3333), span(True, "192.0.2.1", "", (4444, 4444)))
    p = t.packet
    translate(p, entry, NEW, SRC)
    quoted = inside(p.data[p.start : p.end])
    assert t.send(icmp(C, PUBLIC, 3, 1, data=quoted)) == "rel-reply"
    assert translate_error(p, t.entry, p.ctinfo, DST) == 1
    assert p.f[IP_DADDR] == A
    assert verify_l4(p)
    inner = p.data[p.l4 + 8 : p.l3_end]
    assert int.from_bytes(inner[12:16], "big") == A
    assert int.from_bytes(inner[20:22], "big") == 3333


def test_a_redirect_of_a_translated_connection_is_dropped() -> None:
    t = Tracker()
    entry = source_nat(t, udp(A, B), span(True, "192.0.2.1"))
    p = t.packet
    translate(p, entry, NEW, SRC)
    t.send(icmp(B, PUBLIC, 5, 1, data=inside(p.data[p.start : p.end])))
    assert translate_error(p, t.entry, p.ctinfo, DST) == 0


def test_addresses_of_a_range_follow_the_kernels_hash() -> None:
    # source: include/linux/jhash.h jhash2, compiled and run
    assert jhash([0, 0, 0, 0], 0) == 0xBAF9078C
    assert jhash([0x0100000A, 1, 2, 0xFFFFFFFF], 0x12345678) == 0x48BDED46
    assert scale(0xFFFFFFFF, 32) == 31
    assert scale(0x80000000, 32) == 16
    assert scale(0xFFFFFFFF, 0xFFFFFFFF) == 0xFFFFFFFE


@pytest.mark.parametrize("flags", [0, PERSISTENT], ids=["plain", "persistent"])
@pytest.mark.parametrize(("low", "high"), [("192.0.2.64", "192.0.2.95"), ("2001:db8::1:0", "2001:db8::5:ffff")], ids=["ipv4", "ipv6"])
def test_chosen_addresses_lie_in_the_range(low: str, high: str, flags: int) -> None:
    t = Tracker()
    wide = ":" in low
    first, last = int(ip_address(low)), int(ip_address(high))
    seen = set()
    for n in range(64):
        frame = udp(A6 + n, B6, sport=n) if wide else udp(A + n, B, sport=n)
        reply = source_nat(t, frame, span(True, low, high, flags=flags)).reply
        chosen = number(reply.dst_high, reply.dst) if wide else int(reply.dst)
        assert first <= chosen <= last
        seen.add(chosen)
    assert len(seen) > 10


def test_ct_nat_gives_a_destination_translation_a_source_binding_too() -> None:
    t = Tracker()
    t.send(udp(A, B), confirm=False)
    assert act_nat(t.table, t.packet, span(False, "10.0.0.9", "", (5353, 5353)), True) == 1
    assert t.entry.status & (DST_NAT | SRC_NAT | SRC_NAT_DONE) == DST_NAT | SRC_NAT_DONE
    assert (t.packet.f[IP_DADDR], t.packet.f[DPORT]) == (0x0A000009, 5353)


def test_plain_ct_nat_leaves_a_new_connection_alone() -> None:
    t = Tracker()
    t.send(udp(A, B), confirm=False)
    assert act_nat(t.table, t.packet, None, False) == 1
    assert t.entry.status & SRC_NAT_DONE == 0


# the rules of the tc-ct-nat-* scenarios: `ct nat` first, then `ct commit nat …` for what is new on d0
RANGES = {
    "tc-ct-nat-dst-port": lambda p: span(False, "10.0.0.2", "", (8080, 8080)),
    "tc-ct-nat-icmp-error": lambda p: span(True, "192.0.2.77"),
    "tc-ct-nat-src": lambda p: span(True, "192.0.2.77"),
    "tc-ct-nat-src-keeps-port": lambda p: span(True, "192.0.2.77", "", (1000, 2000)),
    "tc-ct-nat-src-one-port": lambda p: span(True, "192.0.2.77", "", (6000, 6000)),
    "tc-ct-nat-src-range": lambda p: span(True, "192.0.2.64", "192.0.2.95"),
    "tc-ct-nat-ipv6": lambda p: span(True, "2001:db8:77::77") if p.f[L4PROTO] == 6 else span(False, "2001:db8::2", "", (5353, 5353)),
}


@pytest.mark.skipif(not driver.SCENARIOS.is_dir(), reason="the recorded scenarios are not here (TCEMU_SHARED)")
@pytest.mark.parametrize("name", RANGES)
def test_recorded_translations(name: str) -> None:
    table = driver.table_for(name)
    rules = driver.TcRules(table)
    p = Packet()
    for step in driver.steps(name):
        now = driver.START + round(step["ts"] * 1e9)
        driver.fill(p, bytes.fromhex(step["in"]), now)
        sent = translated(table, rules, p, step["dev"], RANGES[name](p))
        rules.flows.collect(table, now)
        table.expire(now)
        got = [driver.comparable(entry) for entry in dump_all(table.entries(now), now)]
        assert driver.same(got, [driver.comparable(entry) for entry in step.get("ct", [])]), step["n"]
        frames = [out["hex"] for out in step["out"] if out["dev"] != "d2"]
        assert frames == ([p.data[p.start : p.end].hex()] if sent else []), (step["n"], p.reason)


def translated(table: object, rules: driver.TcRules, p: Packet, dev: str, wanted: NatRange) -> bool:
    """Both ct actions; does the packet go on to the other device?"""
    from tcemu.conntrack.table import Conntrack

    assert isinstance(table, Conntrack)
    skip = rules.flows.lookup(table, p, p.ts)
    if not skip and table.track(p, 0, 3, True) != 1:
        return False
    if p.ct is None or act_nat(table, p, None, False) != 1:
        return False
    rules.offer(p, skip)
    if p.ctinfo != NEW:
        return p.ctinfo in (0, 3) or dev == "d1"
    if dev != "d0" or act_nat(table, p, wanted, True) != 1 or table.confirm(p) != 1:
        return False
    rules.offer(p, skip)
    return True
