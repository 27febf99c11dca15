"""tc ife: metadata in front of a frame, in a header with an Ethernet type of its own (net/sched/act_ife.c, net/ife/ife.c; RFC draft forces InterFE LFB).

::

    outer Ethernet header, type 0xED3E | length of header and metadata (16 bits) | type, length, value … each filled up to 4 bytes | the frame

At ingress Linux 6.1 takes the outer Ethernet header off again as it does with every frame there, and a redirect that follows does not
put it back, because what then comes first is no network header: the frame leaves without it.
"""

from __future__ import annotations

from struct import pack
from typing import Final

from mypy_extensions import i64

from tcemu.engine.program import AT_INGRESS, Chain, Counter, Env, Op
from tcemu.engine.wire import packet_type
from tcemu.fields import ETH_DST, G_ETH, MARK, PKTTYPE, PRIORITY, TC_INDEX
from tcemu.ir.verdict import DROP
from tcemu.packet.edit import get16, get32, replace
from tcemu.packet.packet import Packet

ETHER: Final = 14
LENGTH: Final = 2
TLV: Final = 4
SKB_MARK: Final = 1  # IFE_META_*: numbers of what can be carried
SKB_PRIO: Final = 3
TC_NUMBER: Final = 5


class IfeEncodeOp(Op):
    """tcf_ife_encode; of each value -2 says that it is not sent, -1 that the packet's own is, if it is not 0."""

    def __init__(self, then: i64, to: Chain | None, number: i64, counter: Counter | None, kind: i64) -> None:
        super().__init__(then, to, number, counter)
        self.kind: i64 = kind  # the outer Ethernet type
        self.target: i64 = -1  # outer addresses, -1 for the frame's own
        self.source: i64 = -1
        self.mark: i64 = -2
        self.priority: i64 = -2
        self.index: i64 = -2

    def run(self, env: Env, p: Packet) -> i64:
        self.count(env)
        if (p.groups & G_ETH) == 0:
            return self.leave(env)
        body = self.metadata(p)
        if len(body) == 0:
            if self.counter is not None:
                self.counter.overlimits += 1
            return self.leave(env)
        port = env.tables.ports[env.device]
        grown = p.wire + ETHER + LENGTH + len(body)
        if self.then == DROP or (env.hook != AT_INGRESS and port is not None and grown > port.mtu):
            return self.drop(env)
        frame = p.data[p.start : p.end]
        head = pack(">H", LENGTH + len(body)) + body
        if env.hook != AT_INGRESS:
            head = self.outer(frame) + head
        put_before(p, head, frame)
        return self.leave(env)

    def metadata(self, p: Packet) -> bytes:
        """The values, by number."""
        f = p.f
        body = b""
        mark = f[MARK] if self.mark == -1 else self.mark
        if mark > 0:
            body += pack(">HHI", SKB_MARK, TLV + 4, mark)
        priority = f[PRIORITY] if self.priority == -1 else self.priority
        if priority > 0:
            body += pack(">HHI", SKB_PRIO, TLV + 4, priority)
        index = f[TC_INDEX] if self.index == -1 else self.index
        if index > 0:
            body += pack(">HHHH", TC_NUMBER, TLV + 2, index & 0xFFFF, 0)
        return body

    def outer(self, frame: bytes) -> bytes:
        """The outer Ethernet header."""
        target = frame[:6] if self.target < 0 else pack(">q", self.target)[2:]
        source = frame[6:12] if self.source < 0 else pack(">q", self.source)[2:]
        return target + source + pack(">H", self.kind)


def put_before(p: Packet, head: bytes, frame: bytes) -> None:
    """Put bytes before the frame. What the kernel knows of the packet, its protocol and where its headers are, stays as it was."""
    moved = len(head) - p.start
    p.data = head + frame
    p.start = 0
    p.end = len(p.data)
    p.wire += len(head)
    if p.l3 >= 0:
        p.l3 += moved
        p.l3_end += moved
    if p.l4 >= 0:
        p.l4 += moved
    if p.payload >= 0:
        p.payload += moved


class IfeDecodeOp(Op):
    """tcf_ife_decode: the frame inside goes on, with the metadata that this machine knows."""

    def run(self, env: Env, p: Packet) -> i64:
        self.count(env)
        at = p.start + ETHER + LENGTH
        if (p.groups & G_ETH) == 0 or at > p.end:
            return self.cut(env, p)
        length = get16(p.data, p.start + ETHER)
        end = p.start + ETHER + length
        if length < LENGTH or end + ETHER > p.end:  # the frame inside has an Ethernet header, too
            return self.cut(env, p)
        while at < end:
            if at + TLV > end:
                return self.cut(env, p)
            size = get16(p.data, at + 2)
            if size < TLV or at + size > end:
                return self.cut(env, p)
            if not self.take(p, get16(p.data, at), at + TLV) and self.counter is not None:
                self.counter.overlimits += 1
            at += (size + 3) & ~3
        if at != end:
            return self.cut(env, p)
        replace(p, p.data[end : p.end])
        port = env.tables.ports[env.device]
        if port is not None and (p.groups & G_ETH) != 0:
            target = p.f[ETH_DST]
            p.f[PKTTYPE] = packet_type(target, port.mac)
        return self.leave(env)

    def take(self, p: Packet, kind: i64, at: i64) -> bool:
        """Keep one value (the decode of net/sched/act_meta_*.c, which do not ask how long it is); False where nobody knows it."""
        d = p.data
        if kind == SKB_MARK:
            p.f[MARK] = get32(d, at) if at + 4 <= p.end else 0
        elif kind == SKB_PRIO:
            p.f[PRIORITY] = get32(d, at) if at + 4 <= p.end else 0
        elif kind == TC_NUMBER:
            p.f[TC_INDEX] = get16(d, at) if at + 2 <= p.end else 0
        else:
            return False
        return True

    def cut(self, env: Env, p: Packet) -> i64:
        """No such header, or one that does not tell the truth."""
        p.reason = "ife: the header is cut"
        return self.drop(env)
