"""Values that nft reads beside the packet's bytes: devices, time, the connection, the socket.

Sources: net/netfilter/nft_meta.c nft_meta_get_eval, nft_ct.c nft_ct_get_eval, nft_socket.c. A value that is not there leaves `ok` unset,
which ends the rule (NFT_BREAK).
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_i64_be
from mypy_extensions import i64

from tcemu.clock import SECOND
from tcemu.conntrack.entry import CONFIRMED, NAT_MASK, TEMPLATE, Entry
from tcemu.engine.ports import BRIDGE, BROADCAST, LOOPBACK, UNICAST, Port
from tcemu.engine.program import NF_INPUT, NF_OUTPUT, NF_POSTROUTING, NF_PREROUTING, Env
from tcemu.engine.sockets import Ends, LocalSocket
from tcemu.engine.values import Value
from tcemu.fields import (
    DPORT,
    G_ICMP,
    G_ICMP6,
    G_IP4,
    G_TCP,
    G_UDP,
    ICMP_TYPE,
    IIF,
    IP6_DADDR,
    IP6_SADDR,
    IP_DADDR,
    IP_SADDR,
    SPORT,
    TCP_FLAGS,
)
from tcemu.packet.edit import get16, get32
from tcemu.packet.packet import ESTABLISHED_REPLY, IS_REPLY, RELATED_REPLY, Packet
from tcemu.packet.protocols import IPPROTO_TCP, IPPROTO_UDP

DAY: Final = 86_400
M32: Final = 0xFFFFFFFF
NAME_BYTES: Final = 15  # NFT_OSF_MAXGENRELEN, less the end of the string


def port_of(env: Env, index: i64) -> Port | None:
    """The device of an index."""
    ports = env.tables.ports
    return ports[index] if 0 < index < len(ports) else None


# ---------------------------------------------------------------------- devices

NAME: Final = 0  # what a `PortValue` reads
KIND: Final = 1
HARDWARE: Final = 2
GROUP: Final = 3
MASTER: Final = 4  # the name of the bridge that it is a port of


class PortValue(Value):
    """Something of the input or output device (``slot``); ``low`` reads the second word of a name."""

    def __init__(self, slot: i64, what: i64, low: bool) -> None:
        super().__init__()
        self.slot: i64 = slot
        self.what: i64 = what
        self.low: bool = low

    def get(self, env: Env, p: Packet) -> i64:
        port = port_of(env, p.f[self.slot])
        what = self.what
        self.ok = port is not None or what == NAME
        if port is None:
            return 0
        if what == NAME:
            return port.name_low if self.low else port.name_high
        if what == KIND:
            self.ok = port.kind_high != 0
            return port.kind_low if self.low else port.kind_high
        if what == HARDWARE:
            return port.arphrd
        if what == GROUP:
            return port.group
        master = port_of(env, port.master)
        if master is None or master.kind != BRIDGE:
            self.ok = False
            return 0
        return master.name_low if self.low else master.name_high


# ---------------------------------------------------------------------- other metadata

CONSTANT: Final = 0
USER: Final = 1  # skuid, skgid: the recorder's programs are root's
FAMILY: Final = 2
RANDOM: Final = 3
TIME: Final = 4
HOUR: Final = 5
WEEKDAY: Final = 6
CLASS: Final = 7
TRACE: Final = 8
ABSENT: Final = 9


class MetaValue(Value):
    """A key of the meta expression that is no slot."""

    def __init__(self, what: i64, constant: i64) -> None:
        super().__init__()
        self.what: i64 = what
        self.constant: i64 = constant

    def get(self, env: Env, p: Packet) -> i64:
        what = self.what
        self.ok = True
        if what == CONSTANT:
            return self.constant
        if what == USER:
            self.ok = env.socket and env.nf_hook in (NF_OUTPUT, NF_POSTROUTING)
            return 0
        if what == FAMILY:
            return env.family
        if what == RANDOM:
            return (env.draw(0x10000) << 16) | env.draw(0x10000)
        if what == TIME:
            return env.now
        if what == HOUR:
            return env.now // SECOND % DAY
        if what == WEEKDAY:
            return (4 + env.now // SECOND // DAY) % 7
        if what == CLASS:
            self.ok = env.route is not None
            return 0
        if what == TRACE:
            return 1 if p.traced else 0
        self.ok = False
        return 0


# ---------------------------------------------------------------------- local programs

TRANSPARENT: Final = 0  # what a `SocketValue` reads
SOCKET_MARK: Final = 1
WILDCARD: Final = 2


class SocketValue(Value):
    """nft_socket_eval: something of the local socket that the packet was given, or that waits for it."""

    def __init__(self, what: i64) -> None:
        super().__init__()
        self.what: i64 = what

    def get(self, env: Env, p: Packet) -> i64:
        found = env.assigned if env.assigned is not None else waiting(env, p)
        self.ok = found is not None
        if found is None:
            return 0
        if self.what == TRANSPARENT:
            return 1 if found.transparent else 0
        if self.what == SOCKET_MARK:
            return found.mark
        return 1 if (found.high | found.low) == 0 else 0


def ends_of(p: Packet) -> Ends | None:
    """Whom a TCP or UDP packet is from and to; None for others."""
    f = p.f
    if (p.groups & (G_TCP | G_UDP)) == 0:
        return None
    ends = Ends()
    ends.tcp = (p.groups & G_TCP) != 0
    ends.sport, ends.dport = f[SPORT], f[DPORT]
    if (p.groups & G_IP4) != 0:
        ends.source, ends.target = f[IP_SADDR], f[IP_DADDR]
    else:
        ends.family = 6
        ends.from_high, ends.source = f[IP6_SADDR], f[IP6_SADDR + 1]
        ends.to_high, ends.target = f[IP6_DADDR], f[IP6_DADDR + 1]
    return ends


def waiting(env: Env, p: Packet) -> LocalSocket | None:
    """nf_sk_lookup_slow_v4, _v6: the socket that the packet would come to if it were for this machine."""
    sockets = env.tables.sockets
    if len(sockets.all) == 0 or env.nf_hook not in (NF_PREROUTING, NF_INPUT):
        return None
    ends = ends_of(p)
    if ends is None:
        ends = inner_ends(p)
    if ends is None:
        return None
    ct = p.ct
    if isinstance(ct, Entry) and (ct.status & NAT_MASK) != 0 and p.ctinfo in (ESTABLISHED_REPLY, RELATED_REPLY):
        # a reply to what was translated here comes to the socket that knows itself by its own address
        ends.to_high, ends.target = ct.orig.src_high, ct.orig.src
        ends.dport = ct.orig.sport
    return sockets.find(ends)


def inner_ends(p: Packet) -> Ends | None:
    """extract_icmp4_fields, extract_icmp6_fields: an error comes to the socket that sent the packet which it quotes."""
    if not is_error(p):
        return None
    d = p.data
    at = p.l4 + 8
    four = (p.groups & G_IP4) != 0
    least: i64 = 20 if four else 40
    if at + least + 8 > p.l3_end:
        return None
    size = least
    proto: i64 = d[at + 6]
    if four:
        size = (d[at] & 15) * 4
        proto = d[at + 9]
    if proto not in (IPPROTO_TCP, IPPROTO_UDP) or size < least or at + size + 4 > p.l3_end:
        return None
    ends = Ends()
    ends.tcp = proto == IPPROTO_TCP
    if four:
        ends.target, ends.source = get32(d, at + 12), get32(d, at + 16)
    else:
        ends.family = 6
        ends.to_high, ends.target = read_i64_be(d, at + 8), read_i64_be(d, at + 16)
        ends.from_high, ends.source = read_i64_be(d, at + 24), read_i64_be(d, at + 32)
    ends.dport, ends.sport = get16(d, at + size), get16(d, at + size + 2)
    return ends


def is_error(p: Packet) -> bool:
    """icmp_is_err, icmpv6_is_err: of those that report about another packet."""
    kind = p.f[ICMP_TYPE]
    if (p.groups & G_ICMP) != 0:
        return kind in (3, 4, 5, 11, 12)
    return (p.groups & G_ICMP6) != 0 and kind < 128


class FingerValue(Value):
    """nft_osf_eval: what a SYN tells of its sender's system; ``low`` reads the second word of the name."""

    def __init__(self, ttl: i64, version: bool, low: bool) -> None:
        super().__init__()
        self.ttl: i64 = ttl
        self.version: bool = version
        self.low: bool = low

    def get(self, env: Env, p: Packet) -> i64:
        self.ok = (p.groups & G_TCP) != 0 and (p.f[TCP_FLAGS] & 2) != 0
        if not self.ok:
            return 0
        name = "unknown"
        if (p.groups & G_IP4) != 0:
            one = env.tables.fingers.find(p, self.ttl)
            if one is not None:
                name = f"{one.genre}:{one.version}" if self.version else one.genre
        raw = name.encode()[:NAME_BYTES].ljust(16, b"\0")
        return read_i64_be(raw, 8 if self.low else 0)


# ---------------------------------------------------------------------- the connection

CT_MARK: Final = 0
CT_STATUS: Final = 1
CT_DIRECTION: Final = 2
CT_EXPIRATION: Final = 3  # ms
CT_L3PROTO: Final = 4
CT_PROTOCOL: Final = 5
CT_BYTES: Final = 6
CT_PACKETS: Final = 7
CT_AVERAGE: Final = 8
CT_ZONE: Final = 9
CT_ID: Final = 10
CT_SRC: Final = 11
CT_DST: Final = 12
CT_SPORT: Final = 13
CT_DPORT: Final = 14
CT_LABEL: Final = 15
CT_ZERO: Final = 16
BOTH: Final = -1


class CtValue(Value):
    """A key of the packet's connection. ``way``: 0 original, 1 reply, BOTH; ``word`` 0 is the higher of a wide key's two."""

    def __init__(self, what: i64, way: i64, word: i64) -> None:
        super().__init__()
        self.what: i64 = what
        self.way: i64 = way
        self.word: i64 = word

    def get(self, env: Env, p: Packet) -> i64:
        ct = p.ct
        if not isinstance(ct, Entry):
            self.ok = False
            return 0
        self.ok = True
        what = self.what
        if what == CT_MARK:
            return ct.mark
        if what == CT_STATUS:
            status: int = ct.status
            return status
        if what == CT_DIRECTION:
            return 1 if p.ctinfo >= IS_REPLY else 0
        if what == CT_ZONE:
            zone_dir: int = ct.zone_dir
            return ct.zone if self.way < 0 or (zone_dir >> self.way) & 1 != 0 else 0
        if what >= CT_SRC:
            return self.tuple(ct)
        if what in (CT_BYTES, CT_PACKETS, CT_AVERAGE):
            return self.count(ct)
        if what == CT_EXPIRATION:
            left = ct.expires - env.now if (ct.status & CONFIRMED) != 0 else 0
            return max(left, 0) // 1_000_000 & M32
        if what == CT_L3PROTO:
            return 2 if ct.family == 4 else 10
        if what == CT_PROTOCOL:
            proto: int = ct.proto
            return proto
        number: int = ct.id
        return number

    def tuple(self, ct: Entry) -> i64:
        """Addresses, ports and labels."""
        what = self.what
        if what == CT_LABEL:
            # bit 0 is the lowest of the first byte
            return turned(ct.label_low) if self.word == 0 else turned(ct.label_high)
        t = ct.reply if self.way == 1 else ct.orig
        if what == CT_SRC:
            return t.src_high if self.word == 0 and ct.family == 6 else t.src
        if what == CT_DST:
            return t.dst_high if self.word == 0 and ct.family == 6 else t.dst
        if what == CT_SPORT:
            return t.sport
        return t.dport if what == CT_DPORT else 0

    def count(self, ct: Entry) -> i64:
        """nft_ct_get_eval_counter; nothing is counted without nf_conntrack_acct."""
        packets = ct.orig_packets if self.way == 0 else ct.reply_packets if self.way == 1 else ct.orig_packets + ct.reply_packets
        octets = ct.orig_bytes if self.way == 0 else ct.reply_bytes if self.way == 1 else ct.orig_bytes + ct.reply_bytes
        if self.what == CT_PACKETS:
            return packets
        if self.what == CT_BYTES:
            return octets
        return octets // packets if packets > 0 else 0


def turned(word: i64) -> i64:
    """Eight bytes the other way round."""
    out: i64 = 0
    step: i64 = 0
    while step < 8:
        byte = (word >> (8 * step)) & 0xFF
        if step == 0:
            out = (byte - 0x100 if byte >= 0x80 else byte) << 56
        else:
            out |= byte << (56 - 8 * step)
        step += 1
    return out


class HelperValue(Value):
    """The name of the helper of the connection that this one was announced in (nft_ct_get_eval), sixteen bytes in two words."""

    def __init__(self, word: i64) -> None:
        super().__init__()
        self.word: i64 = word

    def get(self, env: Env, p: Packet) -> i64:
        ct = p.ct
        master = ct.master if isinstance(ct, Entry) else None
        name = master.helper if master is not None else ""
        self.ok = name != ""
        if not self.ok:
            return 0
        out: i64 = 0
        at: i64 = self.word * 8
        step: i64 = 0
        while step < 8:
            byte: i64 = ord(name[at + step]) & 0xFF if at + step < len(name) else 0
            out = (out & 0x7FFFFFFFFFFFFF) << 8 | byte
            step += 1
        return out


def is_template(p: Packet) -> bool:
    """Does the packet carry a template (ct zone set) and no connection yet?"""
    ct = p.ct
    return ct is not None and (ct.status & TEMPLATE) != 0


# ---------------------------------------------------------------------- routing

NEXTHOP4: Final = 0
NEXTHOP6: Final = 1
MSS: Final = 2
DEFAULT_MSS: Final = 536  # TCP_MSS_DEFAULT


class RouteValue(Value):
    """nft_rt_get_eval: of the route that the packet takes; none in front of the routing decision."""

    def __init__(self, what: i64, word: i64) -> None:
        super().__init__()
        self.what: i64 = what
        self.word: i64 = word

    def get(self, env: Env, p: Packet) -> i64:
        hop = env.route
        f = p.f
        four = (p.groups & G_IP4) != 0
        self.ok = hop is not None and (self.what == MSS or four == (self.what == NEXTHOP4))
        if hop is None or not self.ok:
            return 0
        if self.what == MSS:
            return self.mss(env, p, four)
        if four:
            return hop.via if hop.has_via else f[IP_DADDR]
        if hop.has_via:
            return hop.via_high if self.word == 0 else hop.via
        return f[IP6_DADDR + self.word]

    def mss(self, env: Env, p: Packet, four: bool) -> i64:
        """get_tcpmss: the smaller MTU of the way there and the way back, less the headers."""
        least: i64 = 40 if four else 60
        mtu = env.path_mtu(p, False)
        back = env.path_mtu(p, True)
        if 0 < back < mtu:
            mtu = back
        return DEFAULT_MSS if mtu <= least or mtu > 0xFFFF else mtu - least


class FibValue(Value):
    """nft_fib4_eval and its kin: a route lookup of the packet's source or target.

    ``device`` is the slot whose device the route must use, -1 for any. ``result``: 0 the device's index, 1 whether there is a route,
    2 the address type, 3 and 4 the words of the device's name.
    """

    def __init__(self, target: bool, device: i64, result: i64) -> None:
        super().__init__()
        self.target: bool = target
        self.device: i64 = device
        self.result: i64 = result

    def get(self, env: Env, p: Packet) -> i64:
        f = p.f
        four = (p.groups & G_IP4) != 0
        family: i64 = 4 if four else 6
        high: i64 = 0
        if four:
            low = f[IP_DADDR] if self.target else f[IP_SADDR]
        else:
            at: i64 = IP6_DADDR if self.target else IP6_SADDR
            high = f[at]
            low = f[at + 1]
        index: i64 = f[self.device] if self.device >= 0 else 0
        if self.result == 2:
            return env.tables.address_type(family, high, low, index)
        found = self.lookup(env, p, family, high, low, index)
        if self.result == 1:
            return 1 if found > 0 else 0
        if self.result == 0:
            return found
        port = port_of(env, found)
        if port is None:
            return 0
        return port.name_high if self.result == 3 else port.name_low

    def lookup(self, env: Env, p: Packet, family: i64, high: i64, low: i64, index: i64) -> i64:
        """The device of the route, 0 for none."""
        f = p.f
        if env.nf_hook == NF_PREROUTING and self.loopback(env, p):
            return f[IIF]
        if family == 4 and f[IP_SADDR] >> 24 == 0 and (f[IP_DADDR] == M32 or f[IP_DADDR] >> 8 == 0xE00000):
            return f[IIF]  # DHCP and the like
        hop = env.tables.route(family, high, low)
        if hop is None or hop.kind not in (UNICAST, BROADCAST):
            return 0
        return hop.device if index in (0, hop.device) else 0

    def loopback(self, env: Env, p: Packet) -> bool:
        """Did it come in by the loopback device?"""
        port = port_of(env, p.f[IIF])
        return port is not None and port.kind == LOOPBACK
