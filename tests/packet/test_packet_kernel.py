"""What a Linux 6.1.192 kernel did with packets, recorded in a virtual machine between two tap devices (recorded.json).

Each entry is [frame in, frames out]; the rule that made it is named in the tests. Numbers that the kernel makes up (IPv4
identification, UDP source port, IPv6 fragment id) are taken from the recording.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packet_samples import frame, taken

from tcemu.fields import FRAG_FLAGS, IP_FRAG, IP_ID, IP_TOS, L4PROTO, SPORT
from tcemu.packet import rewrite as r
from tcemu.packet.build import ethernet
from tcemu.packet.checksum import verify_l4
from tcemu.packet.edit import get32
from tcemu.packet.packet import Packet, TunnelInfo
from tcemu.packet.reply import icmp_error4, icmp_error6, tcp_reset, unreachable4, unreachable6
from tcemu.packet.resum import CSUM_ICMP, CSUM_IGMP, CSUM_IPV4HDR, CSUM_SCTP, CSUM_TCP, CSUM_UDP, CSUM_UDPLITE
from tcemu.packet.tunnel import GENEVE, GRE, VXLAN, ecn_encapsulate, inner_protocol, unwrap, wrap

RECORDED: dict[str, dict[str, list[Any]]] = json.loads((Path(__file__).parent / "recorded.json").read_text())
KEEP = -1


def recorded(scenario: str, number: int) -> tuple[bytes, list[bytes]]:
    given, out = RECORDED[scenario][str(number)]
    return bytes.fromhex(given), [bytes.fromhex(one) for one in out]


def check(scenario: str, number: int, change: Callable[[Packet], bool]) -> None:
    """The change makes the recorded frame; refused is dropped."""
    raw, out = recorded(scenario, number)
    p = taken(raw)
    passed = change(p)
    assert [frame(p).hex() for _ in range(passed)] == [one.hex() for one in out]


def both(first: Callable[[Packet], bool], second: Callable[[Packet], bool]) -> Callable[[Packet], bool]:
    return lambda p: first(p) and second(p)


def eth(p: Packet) -> bool:
    return r.eth_push(p, 0x020000000B0B, 0x020000000A0A)


LABELS: dict[int, Callable[[Packet], bool]] = {
    1: lambda p: r.mpls_push(p, 0x8847, 100, 3, KEEP, 9),
    2: both(lambda p: r.mpls_push(p, 0x8847, 100, KEEP, KEEP, 255), lambda p: r.mpls_push(p, 0x8847, 200, KEEP, KEEP, 255)),
    3: both(lambda p: r.mpls_mac_push(p, 0x8847, 100, KEEP, KEEP, 255), eth),
    4: both(r.eth_pop, eth),
    5: lambda p: r.mpls_push(p, 0x8847, 100, 3, KEEP, 9),
    6: both(lambda p: r.mpls_mac_push(p, 0x8847, 100, KEEP, KEEP, 255), eth),
    7: lambda p: r.vlan_modify(p, 0x88A8, 10, KEEP),
    8: lambda p: r.vlan_push(p, 0x8100, 11),
    9: lambda p: r.mpls_pop(p, 0x0800),
    10: lambda p: r.mpls_modify(p, 77, KEEP, KEEP, 3),
    11: lambda p: r.mpls_push(p, 0x8847, 100, 3, KEEP, 9),
    12: r.vlan_pop,
    13: lambda p: r.vlan_modify(p, 0x8100, 9, KEEP),
    14: lambda p: r.mpls_pop(p, 0x0800),
    15: r.mpls_dec_ttl,
    16: r.mpls_dec_ttl,
    17: r.mpls_dec_ttl,
    18: lambda p: r.mpls_pop(p, 0x8847),
    19: both(lambda p: r.mpls_pop(p, 0x0800), lambda p: r.mpls_pop(p, 0x0800)),
    20: both(r.eth_pop, lambda p: r.mpls_pop(p, 0x6558)),
}


@pytest.mark.parametrize("number", sorted(LABELS))
def test_labels_tags_and_ethernet_headers(number: int) -> None:
    check("mpls", number, LABELS[number])


def edit(header: int, offset: int, keep: int, value: int, add: bool = False) -> Callable[[Packet], bool]:
    # an edit that is out of bounds counts an overlimit, and the packet goes on
    return lambda p: r.pedit(p, header, offset, keep, value, add, 0, 0, 0) or True


SPORT_ADD_1 = edit(r.PEDIT_UDP, 0, 0x0000FFFF, 0x00010000, True)
SPORT_ADD_256 = edit(r.PEDIT_UDP, 0, 0x0000FFFF, 0x01000000, True)
TTL_ADD_255 = edit(r.PEDIT_IP4, 8, 0x00FFFFFF, 0xFF000000, True)
TTL_9 = edit(r.PEDIT_IP4, 8, 0x00FFFFFF, 0x09000000)
TYPE = edit(r.PEDIT_ETH, 12, 0x0000FFFF, 0x88B50000)
EDITS: dict[int, Callable[[Packet], bool]] = {
    1: SPORT_ADD_1,
    2: SPORT_ADD_256,
    3: TTL_ADD_255,
    4: edit(r.PEDIT_IP4, 16, 0, 0x01020304),
    5: both(edit(r.PEDIT_ETH, 4, 0xFFFF0000, 0x00000211), edit(r.PEDIT_ETH, 8, 0, 0x22334455)),
    6: TYPE,
    7: lambda p: r.pedit(p, r.PEDIT_NETWORK, 0, 0x00FFFFFF, 0x46000000, False, 0, 0xF0, 0) or True,
    8: edit(r.PEDIT_NETWORK, 200, 0, 0x46),
    9: edit(r.PEDIT_NETWORK, -14, 0x0000FFFF, 0x02460000),
    10: SPORT_ADD_1,
    11: SPORT_ADD_256,
    12: SPORT_ADD_256,
    13: TTL_ADD_255,
    14: both(TYPE, both(both(edit(r.PEDIT_ETH, 0, 0, 0x02AABBCC), edit(r.PEDIT_ETH, 4, 0x0000FFFF, 0xDDEE0000)), TTL_9)),
    15: TTL_9,
}


@pytest.mark.parametrize("number", sorted(EDITS))
def test_pedit(number: int) -> None:
    check("pedit", number, EDITS[number])


ALL4 = CSUM_IPV4HDR | CSUM_ICMP | CSUM_IGMP | CSUM_TCP | CSUM_UDP | CSUM_UDPLITE | CSUM_SCTP


@pytest.mark.parametrize("number", sorted(map(int, RECORDED["csum"])))
def test_csum(number: int) -> None:
    # ip4h, icmp, igmp, tcp, udp, udplite and sctp; of IPv6 all but ip4h and igmp
    check("csum", number, lambda p: r.update_checksums(p, ALL4))


@pytest.mark.parametrize("number", sorted(map(int, RECORDED["udplite"])))
def test_conntrack_takes_udplite_for_udp(number: int) -> None:
    # flower ct_state +trk+new leads to d1, +trk+inv to d2
    given, way = RECORDED["udplite"][str(number)]
    assert verify_l4(taken(bytes.fromhex(given))) == (way == ["d1"])


def reassembled(frames: list[bytes]) -> Packet:
    """As tc ct hands it on, with the sizes of its pieces."""
    parts = sorted((taken(raw) for raw in frames), key=place_of)
    payload = b"".join(p.data[p.l3_end - size_of(p) : p.l3_end] for p in parts)
    first = parts[0]
    if first.data[first.l3] >> 4 == 4:
        whole = r.reassembled4(first.data, first.l3, payload, all(p.f[IP_FRAG] & 0x4000 for p in parts), 0)
    else:
        whole = r.reassembled6(first.data, first.l3, r.fragment_header(first), payload, 0)
    p = taken(whole)
    p.pieces = [size_of(part) for part in parts]
    p.mru = max(part.l3_end - part.l3 for part in parts)
    return p


def place_of(p: Packet) -> int:
    return (
        int(p.f[IP_FRAG] & 0x1FFF) if p.data[p.l3] >> 4 == 4 else int.from_bytes(p.data[(r.fragment_header(p) >> 16) + 2 :][:2], "big") >> 3
    )


def size_of(p: Packet) -> int:
    assert p.f[FRAG_FLAGS]
    if p.data[p.l3] >> 4 == 4:
        return int(p.l3_end - p.l3 - (p.data[p.l3] & 15) * 4)
    return int(p.l3_end - (r.fragment_header(p) >> 16) - 8)


@pytest.mark.parametrize("last", [6, 9, 11, 13, 31, 33], ids=["out-of-order", "small-first", "options", "df", "ip6", "ip6-hop-by-hop"])
def test_tc_ct_sends_fragments_as_they_came(last: int) -> None:
    # tc ct, then redirect: reassembled and cut again
    numbers = {6: 4, 9: 7, 11: 10, 13: 12, 31: 29, 33: 32}
    frames = [recorded("fragments", number)[0] for number in range(numbers[last], last + 1)]
    out = recorded("fragments", last)[1]
    p = reassembled(frames)
    ident = get32(out[0], (r.fragment_header(taken(out[0])) >> 16) + 4) if last > 30 else 0
    assert [one.hex() for one in r.fragment(p, p.mru, ident)] == [one.hex() for one in out]


def test_a_mirrored_copy_is_cut_anew() -> None:
    # tc ct, mirror to d2, redirect to d1: the copy shares its fragments with the original (skb_cloned), which forbids sending them
    frames = [recorded("fragments-mirror", number)[0] for number in (1, 2, 3)]
    p = reassembled(frames)
    p.pieces = None
    assert r.fragment(p, p.mru, 0) == recorded("fragments-mirror", 3)[1]


# ---------------------------------------------------------------- answers
def answered(scenario: str, number: int, build: Callable[[Packet], bytes], own_id: bool = True) -> None:
    raw, out = recorded(scenario, number)
    p = taken(raw)
    got = build(p)
    wrapped = (
        [ethernet(int.from_bytes(raw[6:12], "big"), int.from_bytes(raw[:6], "big"), int.from_bytes(raw[12:14], "big")) + got] if got else []
    )
    if own_id and out and len(out[0]) > 34 and out[0][12:14] == b"\x08\x00":
        assert [mask(one) for one in wrapped] == [mask(one) for one in out]
    else:
        assert [one.hex() for one in wrapped] == [one.hex() for one in out]


def mask(raw: bytes) -> str:
    """Without the IPv4 identification and the header checksum that covers it."""
    return (raw[:18] + b"--" + raw[20:24] + b"--" + raw[26:]).hex()


CODES4 = {1: 3, 2: 3, 3: 1, 4: 0, 5: 2, 6: 9, 7: 10, 8: 13, 9: 3, 13: 3, 14: 3, 15: 3}


@pytest.mark.parametrize("number", sorted(CODES4))
def test_reject_of_the_ip_family(number: int) -> None:
    # forwarded, so the time to live is one less by then; 10.0.1.1 is the router's address
    answered("reject-ip", number, lambda p: icmp_error4(p, 3, CODES4[number], 0, 0x0A000101) if r.decrement_ttl(p) else b"")


@pytest.mark.parametrize("number", [10, 11, 12])
def test_reset_of_the_ip_family(number: int) -> None:
    answered("reject-ip", number, tcp_reset, False)


CODES6 = {7: 4, 8: 1, 9: 0, 11: 0}


@pytest.mark.parametrize("number", sorted(CODES6))
def test_reject_of_the_inet_family_over_ip6(number: int) -> None:
    answered("reject-inet", number, lambda p: icmp_error6(p, 1, CODES6[number], 0, 0x20010DB800010000, 1) if r.decrement_ttl(p) else b"")


def test_reset_of_the_inet_family_over_ip6() -> None:
    answered("reject-inet", 12, tcp_reset)


@pytest.mark.parametrize(
    ("number", "kind", "code", "rest"), [(1, 11, 0, 0), (4, 3, 4, 1000)], ids=["time-exceeded", "fragmentation-needed"]
)
def test_errors_of_the_stack(number: int, kind: int, code: int, rest: int) -> None:
    answered("ttl", number, lambda p: icmp_error4(p, kind, code, rest, 0x0A000101))


BRIDGED = {2: 1, 9: 1}


@pytest.mark.parametrize("number", sorted(map(int, RECORDED["reject-bridge"])))
def test_reject_in_a_bridge(number: int) -> None:
    # UDP port 2: host unreachable, administratively prohibited; TCP: reset; all else: port unreachable
    def build(p: Packet) -> bytes:
        if p.f[L4PROTO] == 6:
            return tcp_reset(p, 64, True)
        if p.data[p.l3] >> 4 == 4:
            return unreachable4(p, BRIDGED.get(number, 3))
        return unreachable6(p, BRIDGED.get(number, 4))

    answered("reject-bridge", number, build, False)


# ---------------------------------------------------------------- tunnels
WRAPPED = [
    ("vxlan", 1, VXLAN),
    ("vxlan", 2, VXLAN),
    ("vxlan", 3, VXLAN),
    ("geneve", 6, GENEVE),
    ("gre", 1, GRE),
    ("gre", 2, GRE),
    ("gre", 3, GRE),
]


@pytest.mark.parametrize(("scenario", "number", "kind"), WRAPPED)
def test_what_goes_into_a_tunnel_comes_out_as_recorded(scenario: str, number: int, kind: int) -> None:
    raw, (out,) = recorded(scenario, number)
    outer = taken(out)
    info = TunnelInfo()
    at = unwrap(outer, kind, info)
    assert outer.data[at : outer.l3_end] == raw
    assert inner_protocol(outer, kind) == 0x6558
    assert verify_l4(outer)
    info.tos = ecn_encapsulate(info.tos & 0xFC, taken(raw).f[IP_TOS])
    info.nofrag = outer.f[IP_FRAG] & 0x4000 != 0
    assert wrap(raw, kind, info, outer.f[SPORT], outer.f[IP_ID]).hex() == out[14:].hex()


@pytest.mark.parametrize("scenario", ["vxlan-in", "geneve-in", "gre"])
def test_what_comes_out_of_a_tunnel_is_as_recorded(scenario: str) -> None:
    kind = {"vxlan-in": VXLAN, "geneve-in": GENEVE, "gre": GRE}[scenario]
    seen = 0
    for number in map(int, RECORDED[scenario]):
        raw, out = recorded(scenario, number)
        p = taken(raw)
        if scenario == "gre" and (number < 4 or number == 6):  # outgoing; and checksums that the device does not want
            continue
        if scenario == "vxlan-in" and number == 4:  # another port: nobody listens
            continue
        at = unwrap(p, kind, TunnelInfo())
        assert [p.data[at : p.l3_end]] * (at >= 0) == out, number
        seen += 1
    assert seen >= 5
