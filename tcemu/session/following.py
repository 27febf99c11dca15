"""Packets of a scenario that answer what the machine said: a SYN cookie is known only when it has been sent.

``"follow": {"2": [1, 1]}`` in scenario.json: packet 2 acknowledges the first TCP segment that left at packet 1, its sequence number plus
1, and echoes its timestamp. Numbers of a recording are so compared with ours, whatever the cookies.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from tcemu.packet.checksum import checksum, pseudo4, pseudo6
from tcemu.packet.protocols import ETH_P_IP, ETH_P_IPV6, IPPROTO_TCP

STAMP = 8  # kind of the timestamp option


def following(frame: bytes, answers: Iterable[bytes], plus: int) -> bytes:
    """The frame with acknowledgement, echoed timestamp and checksum for the first segment among ``answers``; itself where there is none."""
    said = next((answer for answer in answers if transport(answer) >= 0), b"")
    at, there = transport(frame), transport(said)
    if at < 0 or there < 0:
        return frame
    new = bytearray(frame)
    struct.pack_into("!I", new, at + 8, (struct.unpack_from("!I", said, there + 4)[0] + plus) & 0xFFFFFFFF)
    mine, theirs = stamp(frame, at), stamp(said, there)
    if mine >= 0 and theirs >= 0:
        new[mine + 4 : mine + 8] = said[theirs : theirs + 4]
    struct.pack_into("!H", new, at + 16, 0)
    struct.pack_into("!H", new, at + 16, summed(bytes(new), at))
    return bytes(new)


def transport(frame: bytes) -> int:
    """Where the TCP header of an Ethernet frame begins, -1 where there is none."""
    kind = int.from_bytes(frame[12:14], "big")
    if kind == ETH_P_IP and len(frame) >= 54 and frame[23] == IPPROTO_TCP:
        return 14 + (frame[14] & 15) * 4
    return 54 if kind == ETH_P_IPV6 and len(frame) >= 74 and frame[20] == IPPROTO_TCP else -1


def stamp(frame: bytes, at: int) -> int:
    """Where the timestamp option's value stands, -1 where there is none."""
    place, end = at + 20, min(at + (frame[at + 12] >> 4) * 4, len(frame))
    while place + 1 < end and frame[place]:
        if frame[place] == 1:
            place += 1
            continue
        if frame[place] == STAMP:
            return place + 2
        place += max(frame[place + 1], 1)
    return -1


def summed(frame: bytes, at: int) -> int:
    """The checksum of the segment, its own field being nought."""
    if frame[12:14] == b"\x08\x00":
        end = 14 + int.from_bytes(frame[16:18], "big")
        seed = pseudo4(int.from_bytes(frame[26:30], "big"), int.from_bytes(frame[30:34], "big"), IPPROTO_TCP, end - at)
    else:
        end = 54 + int.from_bytes(frame[18:20], "big")
        high, low, to_high, to_low = struct.unpack("!4q", frame[22:54])
        seed = pseudo6(high, low, to_high, to_low, IPPROTO_TCP, end - at)
    return int(checksum(frame, at, end, seed))
