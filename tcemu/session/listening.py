"""Programs behind a ruleset: those that read logs (nflog groups, the system log) and those that decide about queued packets.

Logged packets go into a folder: ``log.txt`` holds the lines of the system log as the kernel writes them, ``nflog-GROUP.pcap`` the packets
of a group and ``log.pcap`` those of the system log. Sources: net/netfilter/nf_log_syslog.c, nfnetlink_log.c, nfnetlink_queue.c, Linux 6.1.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tcemu.diagnostics import CaptureError, TcemuError
from tcemu.engine.wire import Programs
from tcemu.host.text import show_address
from tcemu.ir.verdict import ACCEPT, DROP

if TYPE_CHECKING:
    from collections.abc import Callable

    from tcemu.capture.writer import Writer
    from tcemu.engine.machine import Machine

LINK_RAW: Final = 101
TCP_FLAGS: Final = ("CWR", "ECE", "URG", "ACK", "PSH", "RST", "SYN", "FIN")  # from the highest bit on; the kernel writes CWR, ECE first
PROTOCOLS: Final = {1: "ICMP", 6: "TCP", 17: "UDP", 50: "ESP", 51: "AH", 58: "ICMPv6", 136: "UDPLITE"}
WORDS: Final = {"accept": ACCEPT, "drop": DROP}


class Listening(Programs):
    """What is logged goes into ``folder``; queued packets get one verdict, or what a function of (queue, packet) says: True to accept."""

    def __init__(
        self, machine: Machine, names: dict[int, str], folder: str | Path | None, decide: str | Callable[[int, bytes], bool] | None
    ) -> None:
        super().__init__()
        self._machine, self._names = machine, names
        self._folder = Path(folder) if folder is not None else None
        self._decide = decide
        if isinstance(decide, str) and decide not in WORDS:
            raise TcemuError(f"queued packets can be accepted or dropped, not {decide!r}", exit_code=2)
        self._lines: list[str] = []
        self._writers: dict[int, Writer] = {}
        self.counts: dict[str, int] = {}  # logged packets by file
        if self._folder is not None:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
            except OSError as slip:
                raise CaptureError(f"{self._folder} cannot be made: {slip.strerror}") from slip

    def log(self, prefix: str, level: str, group: int, iif: int, oif: int, link: bytes, data: bytes) -> None:
        if self._folder is None:
            return
        name = "log.pcap" if group < 0 else f"nflog-{group}.pcap"
        if group < 0 and level != "audit":
            names = (self._names.get(iif, ""), self._names.get(oif, ""))
            self._lines.append(log_line(prefix, names, link, data) + "\n")
        if data[:1] and data[0] >> 4 in (4, 6):
            self._writer(group, name).write(data, 0, len(data), len(data), self._machine.now)
            self.counts[name] = self.counts.get(name, 0) + 1

    def _writer(self, group: int, name: str) -> Writer:
        writer = self._writers.get(group)
        if writer is None:
            from tcemu.capture.writer import create_capture

            assert self._folder is not None
            writer = self._writers[group] = create_capture(self._folder / name, LINK_RAW, name.removesuffix(".pcap"))
        return writer

    def queued(self, queue: int, data: bytes) -> int:
        if self._decide is None:
            return -1
        if isinstance(self._decide, str):
            return WORDS[self._decide]
        return ACCEPT if self._decide(queue, data) else DROP

    def finish(self) -> None:
        """Write what is left, close the files."""
        for writer in self._writers.values():
            writer.close()
        if self._folder is not None:
            (self._folder / "log.txt").write_text("".join(self._lines), encoding="utf-8")

    def abort(self) -> None:
        """Leave no half files behind."""
        for writer in self._writers.values():
            writer.abort()


# ---------------------------------------------------------------- the system log's lines


def log_line(prefix: str, names: tuple[str, str], link: bytes, data: bytes) -> str:
    """nf_log_ip_packet, nf_log_ip6_packet: the prefix, the devices, and the packet in words."""
    head = f"{prefix}IN={names[0]} OUT={names[1]} "
    if names[0] and len(link) >= 14:
        head += "MAC=" + ":".join(f"{byte:02x}" for byte in link) + " "
    if len(data) >= 20 and data[0] >> 4 == 4:
        return head + _ip4(data).rstrip(" ")
    if len(data) >= 40 and data[0] >> 4 == 6:
        return head + _ip6(data).rstrip(" ")
    return head.rstrip(" ")


def _ip4(data: bytes) -> str:
    _, tos, length, ident, frag, ttl, proto = struct.unpack_from("!BBHHHBB", data)
    text = f"SRC={show_address(4, int.from_bytes(data[12:16], 'big'))} DST={show_address(4, int.from_bytes(data[16:20], 'big'))} "
    text += f"LEN={length} TOS=0x{tos & 0x1E:02X} PREC=0x{tos & 0xE0:02X} TTL={ttl} ID={ident} "
    text += "".join(f"{word} " for bit, word in ((0x8000, "CE"), (0x4000, "DF"), (0x2000, "MF")) if frag & bit)
    offset = frag & 0x1FFF
    if offset:
        text += f"FRAG:{offset} "
    return text + _transport(proto, data[(data[0] & 15) * 4 :], offset != 0)


def _ip6(data: bytes) -> str:
    first, length, proto, hops = struct.unpack_from("!IHBB", data)
    text = f"SRC={_long(data[8:24])} DST={_long(data[24:40])} "
    text += f"LEN={length + 40} TC={first >> 20 & 0xFF} HOPLIMIT={hops} FLOWLBL={first & 0xFFFFF} "
    at = 40
    while proto in (0, 43, 60) and at + 8 <= len(data):
        text += "OPT ( ) "
        proto, at = data[at], at + (data[at + 1] + 1) * 8
    return text + _transport(proto, data[at:], False)


def _long(raw: bytes) -> str:
    """%pI6: all eight groups with all their digits."""
    return ":".join(raw[at : at + 2].hex() for at in range(0, 16, 2))


def _transport(proto: int, raw: bytes, later: bool) -> str:
    text = f"PROTO={PROTOCOLS[proto]} " if proto in PROTOCOLS else f"PROTO={proto} "
    need = {6: 20, 17: 8, 136: 8, 1: 4, 58: 4}.get(proto, 0)
    if later or not need:
        return text
    if len(raw) < need:
        return text + f"INCOMPLETE [{len(raw)} bytes] "
    if proto in (1, 58):
        text += f"TYPE={raw[0]} CODE={raw[1]} "
        echo = raw[0] in ((0, 8) if proto == 1 else (128, 129)) and len(raw) >= 8
        return text + (f"ID={raw[4] << 8 | raw[5]} SEQ={raw[6] << 8 | raw[7]} " if echo else "")
    sport, dport = struct.unpack_from("!HH", raw)
    text += f"SPT={sport} DPT={dport} "
    if proto != 6:
        return text + f"LEN={raw[4] << 8 | raw[5]} "
    window, _, urgent = struct.unpack_from("!HHH", raw, 14)
    flags = "".join(f"{word} " for place, word in enumerate(TCP_FLAGS) if raw[13] & 0x80 >> place)
    return text + f"WINDOW={window} RES=0x{raw[12] << 2 & 0x3C:02x} {flags}URGP={urgent} "
