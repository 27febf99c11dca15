#!/usr/bin/env python3
"""Write a capture for benchmarks: ``python benchmarks/make_traffic.py OUT.pcap [--packets N] [--flows N] [--seed N]``.

By default 1,000,000 packets of about 90 bytes in about 26,000 flows, many of them open at the same time, four of five
TCP (handshake, requests and answers that are acknowledged, close by FIN or now and then by RST), the rest UDP questions
and answers. Clients are in 10.0.0.0/16, servers in 198.18.0.0/22 (RFC 2544), ports the usual ones. Sequence numbers,
windows and checksums are right, so that connection tracking finds nothing to complain of; the same arguments give the
same bytes. Needs nothing but Python, and takes some seconds: packets are put together from a few prepared pieces per
flow, and checksums from sums of those.
"""

from __future__ import annotations

import argparse
import random
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

PACKETS: Final = 1_000_000
FLOWS: Final = 26_000
OPEN: Final = 4_000  # flows that take turns
GAP: Final = 10  # microseconds between packets
START: Final = 1_782_892_800  # 1 July 2026
FLUSH: Final = 20_000  # packets per write
TCP_SHARE: Final = 0.8
RST_SHARE: Final = 0.05
REQUEST: Final = b"GET /bench/ HTTP/1.1\r\nHost: bench.example\r\nAccept: */*\r\nX-Request: 0123456\r\n\r\n"
ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 39\r\n\r\nthe quick brown fox jumps over the lazy"
QUESTION: Final = bytes.fromhex("1a2b01000001000000000000") + b"\5bench\7example\3com\0\0\1\0\1" + bytes(9)
REPLY: Final = bytes.fromhex("1a2b81800001000100000000") + b"\5bench\7example\3com\0\0\1\0\1\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4\xc6\x33\x64\x07"
TCP_PORTS: Final = (80, 443, 443, 443, 22, 25, 993, 3306, 5432, 8080)
UDP_PORTS: Final = (53, 53, 53, 123, 443, 4500)
WINDOW: Final = 64_240
SYN, FIN, RST, PSH, ACK = 0x02, 0x01, 0x04, 0x08, 0x10

# a TCP flow's steps: who (0 client, 1 server), flags, data
OPENING: Final = ((0, SYN, b""), (1, SYN | ACK, b""), (0, ACK, b""))
ROUND: Final = ((0, PSH | ACK, REQUEST), (1, ACK, b""), (1, PSH | ACK, ANSWER), (0, ACK, b""))
CLOSING: Final = ((0, FIN | ACK, b""), (1, FIN | ACK, b""), (0, ACK, b""))
ABORT: Final = ((0, RST | ACK, b""),)
UDP_ROUND: Final = ((0, 0, QUESTION), (1, 0, REPLY))


def total(data: bytes) -> int:
    """The sum of 16-bit words that Internet checksums are made of (RFC 1071), not folded."""
    if len(data) & 1:
        data += b"\0"
    return sum(struct.unpack(f">{len(data) // 2}H", data))


def folded(number: int) -> int:
    """The checksum from the sum."""
    number = (number & 0xFFFF) + (number >> 16)
    number = (number & 0xFFFF) + (number >> 16)
    return ~number & 0xFFFF


DATA_SUMS: Final = {data: total(data) for data in (b"", REQUEST, ANSWER, QUESTION, REPLY)}


class Flow:
    """One conversation and where it has got to."""

    __slots__ = ("at", "heads", "ports", "seq", "steps", "sums", "tcp")

    def __init__(self, chance: random.Random, number: int, rounds: int) -> None:
        self.tcp = chance.random() < TCP_SHARE
        client = 0x0A000000 | (number * 40_503 & 0xFFFF)
        server = 0xC6120000 | chance.randrange(1024)
        ports = chance.randrange(1024, 65_536), chance.choice(TCP_PORTS if self.tcp else UDP_PORTS)
        self.ports = (struct.pack(">HH", *ports), struct.pack(">HH", ports[1], ports[0]))
        self.seq = [chance.randrange(1 << 32), chance.randrange(1 << 32)]
        self.at = 0
        close = ABORT if chance.random() < RST_SHARE else CLOSING
        self.steps = OPENING + ROUND * rounds + close if self.tcp else UDP_ROUND * (2 * rounds)
        protocol = 6 if self.tcp else 17
        self.sums = total(struct.pack(">IIHHH", client, server, *ports, protocol))  # pseudo header and ports, either way
        self.heads = tuple(self._heads(protocol, source, target) for source, target in ((client, server), (server, client)))

    @staticmethod
    def _heads(protocol: int, source: int, target: int) -> dict[int, bytes]:
        """Ethernet and IPv4 headers for each length of what follows them."""
        made = {}
        macs = struct.pack(">HIHIH", 0x0200, target, 0x0200, source, 0x0800)
        for data in DATA_SUMS:
            size = len(data) + (20 if protocol == 6 else 8)
            head = struct.pack(">BBHHHBBHII", 0x45, 0, size + 20, 0, 0x4000, 64, protocol, 0, source, target)
            made[size] = macs + head[:10] + folded(total(head)).to_bytes(2, "big") + head[12:]
        return made

    def packet(self) -> bytes:
        """The next frame; moves on."""
        who, flags, data = self.steps[self.at]
        self.at += 1
        if not self.tcp:
            size = 8 + len(data)
            check = folded(self.sums + 2 * size + DATA_SUMS[data]) or 0xFFFF
            return self.heads[who][size] + self.ports[who] + struct.pack(">HH", size, check) + data
        size = 20 + len(data)
        seq, ack = self.seq[who], self.seq[1 - who] if flags & ACK else 0
        sums = self.sums + size + (seq >> 16) + (seq & 0xFFFF) + (ack >> 16) + (ack & 0xFFFF) + (0x5000 | flags) + WINDOW + DATA_SUMS[data]
        self.seq[who] = seq + len(data) + (1 if flags & (SYN | FIN) else 0) & 0xFFFFFFFF
        return self.heads[who][size] + self.ports[who] + struct.pack(">IIHHHH", seq, ack, 0x5000 | flags, WINDOW, folded(sums), 0) + data


def write(out: BinaryIO, packets: int, flows: int, seed: int) -> int:
    """Write a capture of so many packets; gives back how many flows there are in it."""
    chance = random.Random(seed)
    out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1))
    begun = min(OPEN, flows)
    # four packets per round, 4.7 for opening and closing on average; those that are open at the end are half done
    rounds = max(1.0, (packets / (flows - begun / 2) - 4.7) / 4)
    spread = 2 * rounds - 1  # rounds are spread evenly from 1 to that
    running = [Flow(chance, number, 1 + int(chance.random() * spread)) for number in range(begun)]
    record = struct.Struct("<IIII").pack
    parts: list[bytes] = []
    for number in range(packets):
        place = int(chance.random() * len(running))
        flow = running[place]
        frame = flow.packet()
        when = number * GAP
        parts += (record(START + when // 1_000_000, when % 1_000_000, len(frame), len(frame)), frame)
        if flow.at == len(flow.steps):
            running[place] = Flow(chance, begun, 1 + int(chance.random() * spread))
            begun += 1
        if len(parts) >= 2 * FLUSH:
            out.write(b"".join(parts))
            parts.clear()
    out.write(b"".join(parts))
    return begun


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write a capture for benchmarks.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--packets", type=int, default=PACKETS)
    parser.add_argument("--flows", type=int, default=FLOWS)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    if args.packets < 0 or args.flows < 1:
        parser.error("there must be packets and flows")
    with args.out.open("wb") as out:
        begun = write(out, args.packets, args.flows, args.seed)
        size = out.tell()
    average = (size - 24) / args.packets - 16 if args.packets else 0.0
    print(f"{args.out}: {args.packets} packets of {average:.1f} bytes on average, {begun} flows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
