"""Keys of tuples, and how far a search has to go among connections that are alike."""

from __future__ import annotations

from random import Random

import pytest

from tcemu.conntrack.entry import Entry, Tuple
from tcemu.conntrack.hashing import LAST, PLACES, Buckets
from tcemu.conntrack.tuples import ICMP, ICMPV6, TCP, UDP, hash_of, invert

A = 0x0A000000
B = 0xC0A80001


def tuple_of(src: int, sport: int, dst: int, dport: int) -> Tuple:
    t = Tuple()
    t.src, t.sport, t.dst, t.dport = src, sport, dst, dport
    return t


def key_of(src: int, sport: int, dst: int, dport: int, proto: int = UDP) -> int:
    return int(hash_of(tuple_of(src, sport, dst, dport), 4, proto, 0))


@pytest.mark.parametrize(
    ("family", "proto"), [(4, TCP), (4, UDP), (4, ICMP), (6, TCP), (6, ICMPV6)], ids=["tcp", "udp", "icmp", "tcp6", "icmpv6"]
)
def test_a_tuple_and_its_answer_have_the_same_key(family: int, proto: int) -> None:
    draw = Random(1).getrandbits
    for _ in range(200):
        t, back = tuple_of(draw(32), draw(16), draw(32), draw(16)), Tuple()
        if family == 6:
            t.src_high, t.dst_high, t.src, t.dst = (draw(64) - 2**63 for _ in range(4))
        if proto in (ICMP, ICMPV6):
            t.dport = (8 if proto == ICMP else 128) << 8
        assert invert(proto, t, back)
        assert hash_of(t, family, proto, 7) == hash_of(back, family, proto, 7)


def test_keys_are_positive_and_never_zero() -> None:
    draw = Random(2).getrandbits
    keys = [key_of(draw(32), draw(16), draw(32), draw(16)) for _ in range(2000)]
    assert all(1 << 59 <= key < 1 << 60 for key in keys)
    assert len(set(keys)) == len(keys)


def test_neighbours_share_a_line_and_have_a_place_each() -> None:
    hosts = [key_of(A + n, 1024, B, 53) for n in range(4)]
    ports = [key_of(A, 1024 + n, B, 53) for n in range(2)]
    servers = [key_of(A, 1024, B - 1 + n, 53) for n in range(4)]
    for keys in (hosts, ports, servers):
        assert len({key & 0x3FFFFFFF & ~LAST for key in keys}) == 1
        assert len({key & LAST for key in keys}) == len(keys)
    assert key_of(A + 4, 1024, B, 53) & ~LAST != hosts[0] & ~LAST


CROWDS = {
    "strangers": [(Random(n).getrandbits(32), n * 7 % 65521, B + n % 11, 443) for n in range(4000)],
    "one-client-port-after-port": [(A, 1024 + n, B, 443) for n in range(4000)],
    "hosts-of-a-network": [(A + n, 50_000, B, 443) for n in range(4000)],
    "hosts-with-many-ports": [(A + n // 64, 32_768 + n % 64, B, 443) for n in range(4000)],
    "everyone-with-everyone": [(A + n // 64, 123, B + n % 64, 123) for n in range(4096)],
}


@pytest.mark.parametrize(("crowd", "most"), [(name, 12 if name == "everyone-with-everyone" else 6) for name in CROWDS], ids=list(CROWDS))
def test_a_search_among_those_who_are_alike_stays_short(crowd: str, most: int) -> None:
    """On average, in slots, at a load of nearly one half; eight slots are one line of the processor's cache."""
    buckets = Buckets()
    keys = [key_of(*ends) for ends in CROWDS[crowd]]
    for key in keys:
        buckets.make_room()
        buckets.put(key << 3 | 1, Entry())
    steps = 0
    for key in keys:
        at = int(key & buckets.mask)
        found = int(buckets.place(key))
        steps += ((found & ~LAST) - (at & ~LAST)) % (int(buckets.mask) + 1) + (found - at) % PLACES + 1
    assert steps / len(keys) < most
