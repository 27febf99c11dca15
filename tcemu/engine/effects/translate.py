"""nft snat, dnat, masquerade and redirect: what a nat chain's rule wants of a new connection.

Sources: net/netfilter/nft_nat.c nft_nat_eval, nft_nat_inet_eval; nf_nat_masquerade.c; nf_nat_redirect.c; nft_masq.c; nft_redir.c.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.entry import Entry
from tcemu.conntrack.nat import DST, SRC, NatRange, setup
from tcemu.engine.ports import Own
from tcemu.engine.program import NF_OUTPUT, Env, Op
from tcemu.engine.values import Value
from tcemu.fields import G_IP4, IIF, IP6_DADDR, IP6_SADDR, IP_DADDR, IP_SADDR, OIF
from tcemu.ir.verdict import DROP, MISS, PIPE
from tcemu.packet.packet import Packet

SNAT: Final = 0
DNAT: Final = 1
MASQUERADE: Final = 2
REDIRECT: Final = 3

M32: Final = 0xFFFFFFFF
LOOPBACK4: Final = 0x7F000001


class TranslateOp(Op):
    """One NAT statement. ``joined`` holds addresses with a port behind each, as a map's data has them side by side."""

    def __init__(self, kind: i64, family: i64, then: i64) -> None:
        super().__init__(then, None, 0, None)
        self.kind: i64 = kind
        self.family: i64 = family  # 4, 6, or 0 for any
        self.address: Value | None = None
        self.address_high: Value | None = None
        self.port: Value | None = None
        self.port_high: Value | None = None
        self.joined: bool = False
        self.netmap: bool = False
        self.flags: i64 = 0
        self.range: NatRange = NatRange()

    def run(self, env: Env, p: Packet) -> i64:
        four = (p.groups & G_IP4) != 0
        family: i64 = 4 if four else 6
        if self.family not in (0, family):
            return PIPE  # the statement of another family does nothing (nft_nat_inet_eval)
        entry = p.ct
        if not isinstance(entry, Entry):
            return MISS
        wanted = self.range
        wanted.source = self.kind in (SNAT, MASQUERADE)
        wanted.family = 0
        wanted.port_low = wanted.port_high = wanted.port_base = 0
        wanted.flags = self.flags
        if not self.read(env, p, wanted, family):
            return MISS
        if self.kind == MASQUERADE:
            if not self.own_address(env, p, wanted, family):
                return DROP
            device: int = p.f[OIF]
            entry.masquerade = device
        elif self.kind == REDIRECT and not redirect(env, p, wanted, family):
            p.reason = "redirect: the device has no address"
            return DROP
        if self.netmap:
            keep_host(p, wanted, family)
        manip: i64 = SRC if wanted.source else DST
        if not setup(env.conntrack, entry, wanted, manip, env.now):
            p.reason = p.reason or "nat: the connection cannot be translated"
            return DROP
        return self.then

    def read(self, env: Env, p: Packet, wanted: NatRange, family: i64) -> bool:
        """Get the values; False when one is not there."""
        first = self.address
        if first is not None:
            if self.joined:
                return self.split(env, p, wanted, family, first)
            if not read_address(env, p, first, wanted, False, family):
                return False
            last = self.address_high
            if last is None:
                wanted.high_high, wanted.high = wanted.low_high, wanted.low
            elif not read_address(env, p, last, wanted, True, family):
                return False
            wanted.family = family
        port = self.port
        if port is not None:
            wanted.port_low = wanted.port_high = port.get(env, p)
            if not port.ok:
                return False
            last = self.port_high
            if last is not None:
                wanted.port_high = last.get(env, p)
                return last.ok
        return True

    def split(self, env: Env, p: Packet, wanted: NatRange, family: i64, first: Value) -> bool:
        """Address and port out of a map's data, and their upper ends behind them where the map holds ranges."""
        words: list[int] = []
        value: Value | None = first
        while value is not None:
            words.append(value.get(env, p))
            if not value.ok:
                return False
            value = value.next
        size: i64 = 1 if family == 4 else 3
        if len(words) < size:
            return False
        take(wanted, words, 0, family, False)
        take(wanted, words, size if len(words) >= 2 * size else 0, family, True)
        wanted.family = family
        return True

    def own_address(self, env: Env, p: Packet, wanted: NatRange, family: i64) -> bool:
        """nf_nat_masquerade_ipv4: the address that the output device would use towards the next hop."""
        f = p.f
        hop = env.route
        high: i64 = 0
        low = f[IP_DADDR]
        if family == 6:
            high, low = f[IP6_DADDR], f[IP6_DADDR + 1]
        if hop is not None and hop.has_via:
            high, low = hop.via_high, hop.via
        own = env.tables.select(family, f[OIF], high, low)
        if own is None:
            p.reason = "masquerade: the device has no address"
            return False
        lead_to(wanted, family, own)
        return True


def lead_to(wanted: NatRange, family: i64, own: Own) -> None:
    """A range of one address."""
    wanted.family = family
    wanted.low_high = wanted.high_high = own.high
    wanted.low = wanted.high = own.low


def redirect(env: Env, p: Packet, wanted: NatRange, family: i64) -> bool:
    """nf_nat_redirect_ipv4: the input device's first address, or the loopback address for what the machine itself sends."""
    if env.nf_hook == NF_OUTPUT:
        lead_to(wanted, family, Own(family, 0, LOOPBACK4 if family == 4 else 1, 0, 0))
        return True
    index = p.f[IIF]
    ports = env.tables.ports
    port = ports[index] if 0 < index < len(ports) else None
    if port is not None:
        for own in port.addresses:
            if own.family == family:
                lead_to(wanted, family, own)
                return True
    return False


def read_address(env: Env, p: Packet, first: Value, wanted: NatRange, upper: bool, family: i64) -> bool:
    """One end of an address range."""
    high: i64 = 0
    low = first.get(env, p)
    if not first.ok:
        return False
    behind = first.next
    if behind is not None and family == 6:
        high = low
        low = behind.get(env, p)
        if not behind.ok:
            return False
    if upper:
        wanted.high_high, wanted.high = high, low
    else:
        wanted.low_high, wanted.low = high, low
    return True


def take(wanted: NatRange, words: list[int], at: i64, family: i64, upper: bool) -> None:
    """An address with a port behind it in 32 bits: one word for IPv4, three for IPv6."""
    high: i64 = 0
    last: i64 = words[at if family == 4 else at + 2]
    low = (last >> 32) & M32
    if family == 6:
        first: i64 = words[at]
        middle: i64 = words[at + 1]
        high = join(first & M32, (middle >> 32) & M32)
        low = join(middle & M32, low)
    if upper:
        wanted.high_high, wanted.high, wanted.port_high = high, low, last & 0xFFFF
    else:
        wanted.low_high, wanted.low, wanted.port_low = high, low, last & 0xFFFF


def join(high: i64, low: i64) -> i64:
    """Two words of 32 bits as a signed one of 64."""
    return (high - 0x100000000 if high >= 0x80000000 else high) << 32 | low


def keep_host(p: Packet, wanted: NatRange, family: i64) -> None:
    """nft_nat_setup_netmap: the network of the range, the host part of the packet's address."""
    f = p.f
    if family == 4:
        old = f[IP_SADDR] if wanted.source else f[IP_DADDR]
        host = wanted.low ^ wanted.high
        wanted.low = wanted.high = (wanted.low & ~host) | (old & host)
        return
    at: i64 = IP6_SADDR if wanted.source else IP6_DADDR
    host = wanted.low_high ^ wanted.high_high
    wanted.low_high = wanted.high_high = (wanted.low_high & ~host) | (f[at] & host)
    host = wanted.low ^ wanted.high
    wanted.low = wanted.high = (wanted.low & ~host) | (f[at + 1] & host)
