"""TCP options, as far as the window check needs them (tcp_options and tcp_sack of nf_conntrack_proto_tcp.c)."""

from __future__ import annotations

from typing import Final

from librt.strings import read_i32_be
from mypy_extensions import i64

from tcemu.conntrack.entry import Side
from tcemu.fields import TCP_DOFF
from tcemu.packet.packet import Packet

EOL: Final = 0
NOP: Final = 1
WINDOW: Final = 3
SACK_PERMITTED: Final = 4
SACK: Final = 5
MAX_SCALE: Final = 14  # RFC 7323 2.3
TIMESTAMP_ONLY: Final = 0x0101080A  # NOP NOP timestamp(10): what most segments carry
TIMESTAMP_LENGTH: Final = 12

WINDOW_SCALE: Final = 0x01  # IP_CT_TCP_FLAG_*
SACK_PERM: Final = 0x02
BE_LIBERAL: Final = 0x08


def read_options(p: Packet, side: Side) -> None:
    """Take window scale and SACK permission of a SYN over into its side; no options at all leave the side as it is."""
    at = p.l4 + 20
    end = p.l4 + p.f[TCP_DOFF] * 4
    if at >= end or end > p.end:
        return
    side.scale = 0
    side.flags &= BE_LIBERAL
    data = p.data
    while at < end:
        kind: i64 = data[at]
        if kind == EOL:
            return
        if kind == NOP:
            at += 1
            continue
        if end - at < 2:
            return
        size: i64 = data[at + 1]
        if size < 2 or size > end - at:
            return
        if kind == SACK_PERMITTED and size == 2:
            side.flags |= SACK_PERM
        elif kind == WINDOW and size == 3:
            scale: int = data[at + 2]
            side.scale = scale if scale < MAX_SCALE else MAX_SCALE
            side.flags |= WINDOW_SCALE
        at += size


def read_sack(p: Packet, sack: i64) -> i64:
    """The highest right edge of the SACK blocks, or ``sack`` when none is beyond it."""
    at = p.l4 + 20
    end = p.l4 + p.f[TCP_DOFF] * 4
    if at >= end or end > p.end:
        return sack
    data = p.data
    if end - at == TIMESTAMP_LENGTH and i64(read_i32_be(data, at)) == TIMESTAMP_ONLY:
        return sack
    while at < end:
        kind: i64 = data[at]
        if kind == EOL:
            return sack
        if kind == NOP:
            at += 1
            continue
        if end - at < 2:
            return sack
        size: i64 = data[at + 1]
        if size < 2 or size > end - at:
            return sack
        if kind == SACK and size >= 10 and (size - 2) % 8 == 0:
            block = at + 2
            while block < at + size:
                edge = i64(read_i32_be(data, block + 4)) & 0xFFFFFFFF
                if ((sack - edge) & 0xFFFFFFFF) >= 0x80000000:
                    sack = edge
                block += 8
            return sack
        at += size
    return sack
