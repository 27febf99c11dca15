"""Bytes of any kind: decoding and rewriting never raise, never look outside the window, and agree with themselves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packet_samples import digest, frame, samples, taken

from tcemu.fields import G_ETH, G_IP4, G_IP6, G_MPLS, G_PPPOE, G_VLAN, PKTTYPE, PROTOCOL
from tcemu.packet import rewrite
from tcemu.packet.checksum import verify_header, verify_l4
from tcemu.packet.decode import load
from tcemu.packet.packet import LINK_ETHER, LINK_IP, LINK_OTHER, Packet, TunnelInfo
from tcemu.packet.reply import icmp_error4, icmp_error6, tcp_reset, unreachable4, unreachable6
from tcemu.packet.tunnel import GENEVE, GRE, VXLAN, unwrap

KINDS = [b"\x08\x00", b"\x86\xdd", b"\x81\x00", b"\x88\xa8", b"\x88\x47", b"\x88\x64", b"\x08\x06", b"\x89\x02", b"\x00\x20"]
LINKS = st.sampled_from([LINK_ETHER, LINK_ETHER, LINK_ETHER, LINK_IP, LINK_OTHER])
GOOD = st.sampled_from(sorted(samples().values()))


@st.composite
def almost(draw: st.DrawFn) -> bytes:
    """A good packet, cut and with some bytes changed; or an ethertype and noise."""
    if draw(st.integers(0, 4)) == 0:
        return bytes(12) + draw(st.sampled_from(KINDS)) + draw(st.binary(max_size=120))
    raw = bytearray(draw(GOOD))
    for _ in range(draw(st.integers(0, 4))):
        raw[draw(st.integers(0, len(raw) - 1))] = draw(st.integers(0, 255))
    return bytes(raw[: draw(st.integers(0, len(raw)))]) if draw(st.booleans()) else bytes(raw)


def windowed(raw: bytes, around: bytes, link: int, wire: int = 0) -> Packet:
    p = Packet()
    load(p, around + raw + around, len(around), len(around) + len(raw), len(raw) + wire, 1, link, 3)
    return p


@given(almost(), LINKS, st.integers(0, 40), st.binary(min_size=1, max_size=1))
def test_neighbours_in_the_chunk_do_not_matter(raw: bytes, link: int, wire: int, noise: bytes) -> None:
    alone, between = windowed(raw, b"", link, wire), windowed(raw, noise * 80, link, wire)
    assert digest(alone) == digest(between)
    assert verify_l4(alone) == verify_l4(between)
    assert verify_header(alone) == verify_header(between)


@pytest.mark.parametrize("name", sorted(samples()))
def test_every_truncation_decodes(name: str) -> None:
    raw = samples()[name]
    for size in range(len(raw) + 1):
        # neither the end of the bytes nor what stands behind the window is read
        assert digest(taken(raw[:size])) == digest(windowed(raw[:size], raw[:20] * 4, LINK_ETHER))


@given(st.lists(almost(), min_size=2, max_size=4), LINKS)
def test_a_reused_packet_is_as_good_as_new(raws: list[bytes], link: int) -> None:
    p = Packet()
    for raw in raws:
        load(p, raw, 0, len(raw), len(raw), 1, link, 3)
    assert digest(p) == digest(windowed(raws[-1], b"", link))


@given(almost(), LINKS)
def test_offsets_stay_inside_and_in_order(raw: bytes, link: int) -> None:
    p = windowed(raw, b"\x45" * 7, link)
    for place in (p.l3, p.l4, p.l3_end, p.payload):
        assert place == -1 or p.start <= place <= p.end
    if p.l4 >= 0:
        assert p.l3 < p.l4 <= p.l3_end
    if p.payload >= 0:
        assert p.l3 < p.payload <= p.l3_end


PEDITS = [(header, offset) for header in range(6) for offset in (-16, -4, 0, 8, 16)]
NUMBER = st.integers(-(1 << 63), (1 << 63) - 1)
REWRITES: dict[str, Callable[[Packet, int], object]] = {
    "translate": lambda p, n: rewrite.translate(p, n & 1 == 1, n, n & 0xFFFFFFFF, n >> 7 & 0xFFFF),
    "translate-inner": lambda p, n: rewrite.translate_inner(p, max(p.payload, p.start), n & 1 == 1, n, n & 0xFFFFFFFF, n >> 7 & 0xFFFF),
    "renew-icmp": lambda p, n: rewrite.renew_icmp(p),
    "set-port": lambda p, n: rewrite.set_port(p, n & 1 == 1, n >> 7 & 0xFFFF),
    "ttl": lambda p, n: rewrite.decrement_ttl(p),
    "ecn": lambda p, n: rewrite.mark_congestion(p),
    "trim": lambda p, n: rewrite.trim_to_ip(p),
    "macs": lambda p, n: rewrite.set_macs(p, n & 0xFFFFFFFFFFFF, -1),
    "ethertype": lambda p, n: rewrite.set_ethertype(p, n & 0xFFFF),
    "vlan-push": lambda p, n: rewrite.vlan_push(p, 0x8100, n & 0xFFFF),
    "vlan-pop": lambda p, n: rewrite.vlan_pop(p),
    "vlan-modify": lambda p, n: rewrite.vlan_modify(p, 0x88A8, n & 0xFFF, n >> 20 & 7),
    "eth-pop": lambda p, n: rewrite.eth_pop(p),
    "eth-push": lambda p, n: rewrite.eth_push(p, 1, 2),
    "mpls-push": lambda p, n: rewrite.mpls_push(p, 0x8847, n & 0xFFFFF, -1, -1, 1),
    "mpls-mac-push": lambda p, n: rewrite.mpls_mac_push(p, 0x8847, n & 0xFFFFF, -1, -1, 1),
    "mpls-pop": lambda p, n: rewrite.mpls_pop(p, (0x0800, 0x86DD, 0x8847)[n % 3]),
    "mpls-modify": lambda p, n: rewrite.mpls_modify(p, n & 0xFFFFF, n >> 20 & 7, -1, 3),
    "mpls-ttl": lambda p, n: rewrite.mpls_dec_ttl(p),
    "csum": lambda p, n: rewrite.update_checksums(p, n & 0x7F),
    "pedit": lambda p, n: rewrite.pedit(p, *PEDITS[n % len(PEDITS)], n & 0xFFFFFFFF, n >> 9 & 0xFFFFFFFF, n & 2 == 2, n >> 3 & 63, 0, 0),
    "pedit-at": lambda p, n: rewrite.pedit(p, n % 6, 0, 0xFF00FF00, n & 0xFFFFFFFF, False, n >> 3 & 63, n >> 9 & 0xFF, n >> 17 & 3),
    "bytes": lambda p, n: rewrite.set_bytes(p, p.start + (n & 63), b"abc"),
    "replace": lambda p, n: rewrite.replace_payload(p, n & 15, n >> 4 & 15, b"x" * (n >> 8 & 31)),
    "adjust": lambda p, n: rewrite.adjust_tcp(p, n & 0xFFFF, n >> 16 & 0xFFFF, n >> 3 & 0xFFFFFFFF, 1, 2),
    "payload": lambda p, n: rewrite.set_payload(p, p.start + (n & 63), b"abc", p.start + (n >> 6 & 63), n & 1 == 1, n & 2 == 2),
    "fragment": lambda p, n: rewrite.fragment(p, n & 0x7F, 5, n & 1 == 1, n & 2 == 2),
    "fragment-header": lambda p, n: rewrite.fragment_header(p),
}


@pytest.mark.parametrize("name", sorted(REWRITES))
@given(raw=almost(), link=LINKS, number=NUMBER, noise=st.sampled_from([b"", b"\x45\x11" * 60]))
def test_rewrites_take_anything(name: str, raw: bytes, link: int, number: int, noise: bytes) -> None:
    p = windowed(raw, noise, link)
    before = frame(p)
    answer = REWRITES[name](p, number)
    if answer is False:
        assert frame(p) == before
    size = len(frame(p))
    assert size == p.end - p.start
    assert p.wire == size
    if name not in ("ethertype", "pedit", "pedit-at"):  # these leave the slots where the kernel would not look again
        again = Packet()
        again.f[PROTOCOL] = p.f[PROTOCOL]
        load(again, frame(p), 0, size, size, 1, p.link, 3)
        again.f[PKTTYPE] = p.f[PKTTYPE]
        assert digest(again) == digest(p)


ANSWERS: dict[str, Callable[[Packet, int], object]] = {
    "icmp-error4": lambda p, n: icmp_error4(p, n & 15, n >> 4 & 15, n & 0xFFFF, 1, 68 + (n & 0xFFF)),
    "icmp-error6": lambda p, n: icmp_error6(p, n & 7, n >> 4 & 15, n & 0xFFFF, n, n),
    "unreachable4": lambda p, n: unreachable4(p, n & 15),
    "unreachable6": lambda p, n: unreachable6(p, n & 15),
    "tcp-reset": lambda p, n: tcp_reset(p, 64, n & 1 == 1),
    "vxlan": lambda p, n: unwrap(p, VXLAN, TunnelInfo(), n & 1 == 1),
    "geneve": lambda p, n: unwrap(p, GENEVE, TunnelInfo()),
    "gre": lambda p, n: unwrap(p, GRE, TunnelInfo()),
}


@pytest.mark.parametrize("name", sorted(ANSWERS))
@given(raw=almost(), number=NUMBER)
def test_answers_and_tunnels_take_anything_and_change_nothing(name: str, raw: bytes, number: int) -> None:
    alone, between = windowed(raw, b"", LINK_ETHER), windowed(raw, b"\x45\x11" * 60, LINK_ETHER)
    before = digest(alone)
    mine, other = ANSWERS[name](alone, number), ANSWERS[name](between, number)
    if isinstance(mine, bytes):
        assert mine == other
        answer = windowed(mine, b"", LINK_IP)
        assert (verify_header(answer), verify_l4(answer), answer.broken) == (True, True, "") or not mine
    else:
        assert isinstance(mine, int)
        assert isinstance(other, int)
        assert mine == other == -1 or mine + 120 == other <= between.l3_end
    assert (digest(alone), frame(alone)) == (before, raw)


CHAIN = [name for name in sorted(REWRITES) if name not in ("fragment", "fragment-header")]


@given(almost(), st.lists(st.tuples(st.sampled_from(CHAIN), NUMBER), max_size=6))
def test_chains_of_rewrites_do_not_depend_on_the_chunk(raw: bytes, steps: list[tuple[str, int]]) -> None:
    alone, between = windowed(raw, b"", LINK_ETHER), windowed(raw, b"\x86\xdd\x60" * 40, LINK_ETHER)
    for name, number in steps:
        assert REWRITES[name](alone, number) == REWRITES[name](between, number)
        assert frame(alone) == frame(between)
        assert digest(alone) == digest(between)
    assert alone.groups & (G_ETH | G_VLAN | G_MPLS | G_PPPOE | G_IP4 | G_IP6) >= 0
