"""nft ``… set …``: metadata, the connection, header fields and TCP options written from a value.

A value that is not there ends the rule. Sources: net/netfilter/nft_meta.c nft_meta_set_eval; nft_ct.c nft_ct_set_eval,
nft_ct_set_zone_eval, nft_notrack_eval; nft_payload.c nft_payload_set_eval; nft_exthdr.c nft_exthdr_tcp_set_eval, _tcp_strip_eval.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.entry import TEMPLATE, Entry
from tcemu.engine.effects.track import show_ct
from tcemu.engine.headers import LL, NH, bits_at, end_of, find_tcp_option, option_size, start_of
from tcemu.engine.keys import is_template, turned
from tcemu.engine.program import Env, Op
from tcemu.engine.values import Value
from tcemu.fields import CT_LABEL, CT_MARK, G_IP4, G_IP6, L4PROTO, PKT_LEN
from tcemu.ir.verdict import DROP, MISS, PIPE
from tcemu.packet.checksum import update
from tcemu.packet.edit import be16, get16
from tcemu.packet.packet import NEW, UNTRACKED, Packet
from tcemu.packet.protocols import (
    IPPROTO_DCCP,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    IPPROTO_IGMP,
    IPPROTO_SCTP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPPROTO_UDPLITE,
)
from tcemu.packet.rewrite import set_bytes, set_payload, vlan_modify

M32: Final = 0xFFFFFFFF
OPTION_MSS: Final = 2


class SetSlotOp(Op):
    """meta mark, priority or pkttype."""

    def __init__(self, slot: i64, mask: i64, value: Value) -> None:
        super().__init__(PIPE, None, 0, None)
        self.slot: i64 = slot
        self.mask: i64 = mask
        self.value: Value = value

    def run(self, env: Env, p: Packet) -> i64:
        value = self.value.get(env, p)
        if not self.value.ok:
            return MISS
        p.f[self.slot] = value & self.mask
        return PIPE


class TraceOp(Op):
    """meta nftrace."""

    def __init__(self, value: Value) -> None:
        super().__init__(PIPE, None, 0, None)
        self.value: Value = value

    def run(self, env: Env, p: Packet) -> i64:
        value = self.value.get(env, p)
        if not self.value.ok:
            return MISS
        p.traced = (value & 1) != 0
        return PIPE


class ReadOp(Op):
    """A key whose value changes nothing here (secmark, events): it only must be there."""

    def __init__(self, value: Value) -> None:
        super().__init__(PIPE, None, 0, None)
        self.value: Value = value

    def run(self, env: Env, p: Packet) -> i64:
        self.value.get(env, p)
        return PIPE if self.value.ok else MISS


# ---------------------------------------------------------------------- the connection


class SetCtMarkOp(Op):
    """ct mark."""

    def __init__(self, value: Value) -> None:
        super().__init__(PIPE, None, 0, None)
        self.value: Value = value

    def run(self, env: Env, p: Packet) -> i64:
        value = self.value.get(env, p)
        if not self.value.ok:
            return MISS
        ct = p.ct
        if ct is not None and not is_template(p):
            ct.mark = value & M32
            p.f[CT_MARK] = ct.mark
        return PIPE


class SetCtLabelOp(Op):
    """ct label: bits are only ever added (nf_connlabels_replace with the value as its own mask). The value has two words."""

    def __init__(self, high: Value, low: Value) -> None:
        super().__init__(PIPE, None, 0, None)
        self.high: Value = high
        self.low: Value = low

    def run(self, env: Env, p: Packet) -> i64:
        high = self.high.get(env, p)
        low = self.low.get(env, p)
        if not self.high.ok or not self.low.ok:
            return MISS
        ct = p.ct
        if isinstance(ct, Entry) and not is_template(p):
            ct.has_labels = True
            ct.label_high |= turned(low)
            ct.label_low |= turned(high)
            p.f[CT_LABEL] = ct.label_high
            p.f[CT_LABEL + 1] = ct.label_low
        return PIPE


class SetCtZoneOp(Op):
    """ct zone: a template that says in which zone, for which directions, the packet is to be tracked."""

    def __init__(self, way: i64, value: Value) -> None:
        super().__init__(PIPE, None, 0, None)
        self.way: i64 = way  # ZONE_ORIGINAL, ZONE_REPLY or ZONE_BOTH
        self.value: Value = value

    def run(self, env: Env, p: Packet) -> i64:
        value = self.value.get(env, p)
        if not self.value.ok:
            return MISS
        if p.ct is None:
            template = Entry()
            template.status = TEMPLATE
            template.zone = value & 0xFFFF
            way: int = self.way
            template.zone_dir = way
            p.ct = template
            p.ctinfo = NEW
            show_ct(p)
        return PIPE


class NotrackOp(Op):
    """notrack: too late for a packet that has a connection."""

    def run(self, env: Env, p: Packet) -> i64:
        if p.ct is None and p.ctinfo != UNTRACKED:
            p.ctinfo = UNTRACKED
            show_ct(p)
        return PIPE


# ---------------------------------------------------------------------- headers

NO_CHECKSUM: Final = 0
NETWORK: Final = 1  # the IPv4 header's
TRANSPORT: Final = 2  # that of the transport header which the field is in
PSEUDO: Final = 3  # both: addresses and the like are in the pseudo header


class PayloadSetOp(Op):
    """A header field, with the checksums that cover it."""

    def __init__(self, base: i64, offset: i64, bits: i64, first: Value, checksum: i64) -> None:
        super().__init__(PIPE, None, 0, None)
        self.base: i64 = base
        self.offset: i64 = offset
        self.bits: i64 = bits
        self.first: Value = first
        self.checksum: i64 = checksum

    def run(self, env: Env, p: Packet) -> i64:
        start = start_of(p, self.base)
        new = number_bytes(self.first, (self.bits + 7) >> 3, env, p)
        first = self.offset >> 3
        last = (self.offset + self.bits + 7) >> 3
        odd = self.checksum != NO_CHECKSUM and ((first | last) & 1) != 0
        if odd:
            # nft writes whole 16-bit words where a checksum follows
            first &= ~1
            last = (last + 1) & ~1
        at = start + first
        end = start + last
        if start < 0 or end > end_of(env, p) or len(new) == 0:
            return MISS
        if odd or (self.bits & 7) != 0 or (self.offset & 7) != 0:
            value = bits_at(new, 0, 8 * len(new) - self.bits, self.bits)
            new = among(p.data[at:end], self.offset - 8 * first, self.bits, value)
        length = p.f[PKT_LEN]
        proto = p.f[L4PROTO]
        check: i64 = -1
        if self.checksum == TRANSPORT:
            check = transport_check(p.l4, proto)
        elif self.checksum != NO_CHECKSUM and (p.groups & G_IP4) != 0:
            check = p.l3 + 10
        good = set_payload(p, at, new, check, self.checksum == PSEUDO, self.checksum == TRANSPORT and proto == IPPROTO_SCTP)
        p.f[PKT_LEN] = length
        return PIPE if good else MISS


def transport_check(l4: i64, proto: i64) -> i64:
    """Where a transport header has its checksum, -1 for none."""
    if proto == IPPROTO_TCP:
        return l4 + 16
    if proto in (IPPROTO_UDP, IPPROTO_UDPLITE, IPPROTO_DCCP):
        return l4 + 6
    return l4 + 2 if proto in (IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_IGMP) else -1


def number_bytes(first: Value, octets: i64, env: Env, p: Packet) -> bytes:
    """A value of one or several words as bytes, the highest first; empty where it is not there."""
    out: list[int] = []
    value: Value | None = first
    left = octets
    while value is not None and left > 0:
        word = value.get(env, p)
        if not value.ok:
            return b""
        size: i64 = left % 8 or 8
        step: i64 = size - 1
        while step >= 0:
            out.append((word >> (8 * step)) & 0xFF)
            step -= 1
        left -= size
        value = value.next
    return bytes(out) if left == 0 else b""


def among(old: bytes, offset: i64, bits: i64, value: i64) -> bytes:
    """Bytes with some of their bits replaced."""
    size: i64 = len(old)
    shift = size * 8 - offset - bits
    number: i64 = 0
    for byte in old:
        number = number << 8 | byte
    mask = ((1 << bits) - 1) << shift
    number = (number & ~mask) | ((value << shift) & mask)
    out: list[int] = []
    step = size - 1
    while step >= 0:
        out.append((number >> (8 * step)) & 0xFF)
        step -= 1
    return bytes(out)


class SetTrafficClassOp(Op):
    """ip dscp, ip ecn and their IPv6 kin: some bits of the type of service, wherever the packet's header has it."""

    def __init__(self, mask: i64, shift: i64, value: Value) -> None:
        super().__init__(PIPE, None, 0, None)
        self.four: PayloadSetOp = PayloadSetOp(NH, 14 - shift if mask == 3 else 8, 2 if mask == 3 else 6, value, NETWORK)
        self.six: PayloadSetOp = PayloadSetOp(NH, 10 if mask == 3 else 4, 2 if mask == 3 else 6, value, NO_CHECKSUM)

    def run(self, env: Env, p: Packet) -> i64:
        if (p.groups & G_IP4) != 0:
            return self.four.run(env, p)
        return self.six.run(env, p) if (p.groups & G_IP6) != 0 else MISS


class SetVlanOp(Op):
    """vlan id and pcp of the outer tag."""

    def __init__(self, priority: bool, value: Value) -> None:
        super().__init__(PIPE, None, 0, None)
        self.priority: bool = priority
        self.value: Value = value

    def run(self, env: Env, p: Packet) -> i64:
        from_ = p.start + 12
        value = self.value.get(env, p)
        if not self.value.ok or start_of(p, LL) < 0 or p.start + 16 > p.end:
            return MISS
        tag = get16(p.data, p.start + 14)
        length = p.f[PKT_LEN]
        if self.priority:
            good = vlan_modify(p, get16(p.data, from_), tag & 0xFFF, value & 7)
        else:
            good = vlan_modify(p, get16(p.data, from_), value & 0xFFF, tag >> 13)
        p.f[PKT_LEN] = length
        return PIPE if good else MISS


class SetTcpOptionOp(Op):
    """A field of a TCP option of two or four bytes. A segment size is only ever made smaller."""

    def __init__(self, kind: i64, offset: i64, octets: i64, value: Value) -> None:
        super().__init__(PIPE, None, 0, None)
        self.kind: i64 = kind
        self.offset: i64 = offset
        self.octets: i64 = octets
        self.value: Value = value

    def run(self, env: Env, p: Packet) -> i64:
        value = self.value.get(env, p)
        if not self.value.ok or p.f[L4PROTO] != IPPROTO_TCP or p.l4 < 0 or p.l4 + 20 > p.l3_end:
            return MISS
        option = find_tcp_option(p, self.kind, 1)
        if option < 0:
            return PIPE
        if self.offset + self.octets > option_size(p.data, option):
            return MISS
        at = option + self.offset
        old = bits_at(p.data, at, 0, self.octets * 8)
        if old == value or (self.kind == OPTION_MSS and old <= value):
            return PIPE
        check = get16(p.data, p.l4 + 16)
        new: list[int] = []
        step: i64 = 0
        while step < self.octets:
            shift = 8 * (self.octets - 1 - step)
            check = update(check, placed(old >> shift, at + step - p.l4), placed(value >> shift, at + step - p.l4))
            new.append((value >> shift) & 0xFF)
            step += 1
        return write(p, at, bytes(new), check)


class StripOptionOp(Op):
    """reset tcp option: no-operations in the place of an option."""

    def __init__(self, kind: i64) -> None:
        super().__init__(PIPE, None, 0, None)
        self.kind: i64 = kind

    def run(self, env: Env, p: Packet) -> i64:
        if p.f[L4PROTO] != IPPROTO_TCP or p.l4 < 0 or p.l4 + 20 > p.l3_end:
            return MISS
        option = find_tcp_option(p, self.kind, 1)
        if option < 0:
            return PIPE
        size = option_size(p.data, option)
        check = get16(p.data, p.l4 + 16)
        step: i64 = 0
        while step < size:
            check = update(check, placed(p.data[option + step], option + step - p.l4), placed(1, option + step - p.l4))
            step += 1
        code = write(p, option, b"\1" * size, check)
        return DROP if code == MISS else code


def placed(byte: i64, offset: i64) -> i64:
    """A byte as its part of the sixteen-bit word that it stands in."""
    return (byte & 0xFF) << 8 if (offset & 1) == 0 else byte & 0xFF


def write(p: Packet, at: i64, new: bytes, check: i64) -> i64:
    """Write bytes of a TCP header and its checksum."""
    length = p.f[PKT_LEN]
    away = at - p.start
    check_at = p.l4 + 16 - p.start
    good = set_bytes(p, at, new) and set_bytes(p, p.start + check_at, be16(check))
    p.f[PKT_LEN] = length
    return PIPE if good and away >= 0 else MISS
