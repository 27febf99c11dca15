"""The host as the engine sees it: ports by index, routes by prefix, neighbours by address."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.helper import Routes
from tcemu.engine.policies import Asked, Policy
from tcemu.engine.sockets import Sockets
from tcemu.packet.fingerprint import Fingers

PHYSICAL: Final = 0  # frames leave the machine here (taps, NICs, and what tests make of dummies)
SINK: Final = 1  # dummy: counts and forgets
VETH: Final = 2
VLAN: Final = 3
VXLAN: Final = 4
GENEVE: Final = 5
GRE: Final = 6
GRETAP: Final = 7
BRIDGE: Final = 8
IFB: Final = 9
LOOPBACK: Final = 10

UNICAST: Final = 0  # kinds of route
LOCAL: Final = 1
BLACKHOLE: Final = 2
UNREACHABLE: Final = 3
PROHIBIT: Final = 4
BROADCAST: Final = 5

RTN_UNICAST: Final = 1  # include/uapi/linux/rtnetlink.h
RTN_LOCAL: Final = 2
RTN_BROADCAST: Final = 3
RTN_MULTICAST: Final = 5
RTN_BLACKHOLE: Final = 6
RTN_UNREACHABLE: Final = 7
RTN_PROHIBIT: Final = 8
OF_KIND: Final = (RTN_UNICAST, RTN_LOCAL, RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT, RTN_BROADCAST)

LINK_SCOPE: Final = 253  # RT_SCOPE_LINK


class Port:
    """A device."""

    def __init__(self, index: i64, name: str, kind: i64) -> None:
        self.index: i64 = index
        self.name: str = name
        self.kind: i64 = kind
        self.mac: i64 = 0
        self.mtu: i64 = 1500
        self.up: bool = True
        self.lower: i64 = 0  # the device below a VLAN or tunnel device
        self.peer: i64 = 0
        self.master: i64 = 0
        self.vlan: i64 = 0
        self.vlan_tpid: i64 = 0x8100
        self.children: dict[int, int] = {}  # tpid << 16 | vlan id -> index of the VLAN device
        # tunnels
        self.external: bool = False  # metadata mode
        self.key: i64 = 0
        self.port: i64 = 0  # UDP port that it listens on
        self.sport_low: i64 = 0
        self.sport_high: i64 = 0
        self.local_high: i64 = 0
        self.local: i64 = 0
        self.remote_high: i64 = 0
        self.remote: i64 = 0
        self.family: i64 = 4
        self.udp_csum: bool = False
        self.ttl: i64 = 0
        self.tos: i64 = 0
        # counters
        self.rx_packets: i64 = 0
        self.tx_packets: i64 = 0
        self.addressed: bool = False  # has an address of its own
        # what nft's meta keys read
        self.name_high: i64 = 0  # its sixteen bytes
        self.name_low: i64 = 0
        self.kind_high: i64 = 0  # "tun", "veth" … as the rtnl link kind is called; zero for physical devices
        self.kind_low: i64 = 0
        self.noarp: bool = False
        self.hardware: bool = False  # a backend of hardware has this device's filters (ethtool -K hw-tc-offload on)
        self.arphrd: i64 = 1  # include/uapi/linux/if_arp.h
        self.group: i64 = 0
        self.addresses: list[Own] = []


class Own:
    """An address of a device, with its network."""

    def __init__(self, family: i64, high: i64, low: i64, prefix: i64, scope: i64) -> None:
        self.family: i64 = family
        self.high: i64 = high
        self.low: i64 = low
        self.prefix: i64 = prefix
        self.scope: i64 = scope  # RT_SCOPE_*: 0 global, 253 link, 254 host
        self.secondary: bool = False


class Hop:
    """A route, or the answer of a lookup. kind: 0 unicast, 1 local, 2 blackhole, 3 unreachable, 4 prohibit, 5 broadcast."""

    def __init__(self) -> None:
        self.kind: i64 = 0
        self.high: i64 = 0
        self.low: i64 = 0
        self.prefix: i64 = 0
        self.via_high: i64 = 0
        self.via: i64 = 0
        self.has_via: bool = False
        self.device: i64 = 0
        self.metric: i64 = 0
        self.source_high: i64 = 0
        self.source: i64 = 0


class Fib:
    """A routing table besides main; looked up by few packets, so it is searched."""

    def __init__(self, family: i64) -> None:
        self.family: i64 = family
        self.routes: list[Hop] = []

    def find(self, high: i64, low: i64) -> Hop | None:
        """The longest prefix, of these the least metric."""
        best: Hop | None = None
        for hop in self.routes:
            if self.family == 4:
                holds = (low & mask4(hop.prefix)) == hop.low
            else:
                holds = (high & mask_high(hop.prefix)) == hop.high and (low & mask_low(hop.prefix)) == hop.low
            if holds and (best is None or hop.prefix > best.prefix or (hop.prefix == best.prefix and hop.metric < best.metric)):
                best = hop
        return best


class HostTables(Routes):
    """All of it. `route` looks the networks of each prefix length up, longest first; local addresses come before all."""

    def __init__(self) -> None:
        self.ports: list[Port | None] = [None]
        self.local4: list[dict[int, Hop]] = [{} for _ in range(33)]  # by prefix length, then network
        self.main4: list[dict[int, Hop]] = [{} for _ in range(33)]
        self.local6: list[dict[tuple[int, int], Hop]] = [{} for _ in range(129)]
        self.main6: list[dict[tuple[int, int], Hop]] = [{} for _ in range(129)]
        self.lengths4: list[int] = []  # prefix lengths of the main tables, longest first
        self.lengths6: list[int] = []
        self.near4: dict[int, int] = {}  # device << 32 | address -> MAC
        self.near6: dict[tuple[int, int, int], int] = {}
        self.forward4: bool = False
        self.forward6: bool = False
        self.configured: bool = False  # any address or route at all beyond loopback
        self.loopback: i64 = 1
        self.generation: i64 = 0  # grows when addresses or routes change (rt_genid)
        self.print: str = ""  # all addresses and routes, to tell
        self.echo4: bool = True  # echo requests are answered (net.ipv4.icmp_echo_ignore_all)
        self.echo6: bool = True
        self.rate4: i64 = 1_000_000_000  # ns between ICMP errors to one address (net.ipv4.icmp_ratelimit)
        self.rate6: i64 = 1_000_000_000
        self.policies: list[Policy] = []  # by preference; none of them: local, then main
        self.others: dict[tuple[int, int], Fib] = {}  # tables besides main, by family and number
        self.sockets: Sockets = Sockets()
        self.fingers: Fingers = Fingers()

    def route(self, family: i64, high: i64, low: i64) -> Hop | None:
        """The best route to an address (fib_lookup over local, then main)."""
        hop = self.local(family, high, low)
        if hop is not None:
            return hop
        if family == 4:
            for length in self.lengths4:
                found = self.main4[length].get(low & mask4(length))
                if found is not None:
                    return found
            return None
        for length in self.lengths6:
            found = self.main6[length].get((high & mask_high(length), low & mask_low(length)))
            if found is not None:
                return found
        return None

    def policed(self, asked: Asked) -> Hop | None:
        """fib_rules_lookup: local, then the tables of the rules that hold, with main at its place."""
        found = self.local(asked.family, asked.target_high, asked.target)
        if found is not None:
            return found
        mained = False
        for policy in self.policies:
            if policy.preference > 32766 and not mained:
                mained = True
                found = self.route(asked.family, asked.target_high, asked.target)
                if found is not None:
                    return found
            if not policy.holds(asked):
                continue
            if policy.table == 254:
                found = self.route(asked.family, asked.target_high, asked.target)
            else:
                fib = self.others.get((asked.family, policy.table))
                found = fib.find(asked.target_high, asked.target) if fib is not None else None
            if found is not None:
                return found
        return None if mained else self.route(asked.family, asked.target_high, asked.target)

    def same_way(self, family: i64, high: i64, low: i64, other_high: i64, other: i64) -> bool:
        """callforward_do_filter: do both addresses have the same next hop and device? A neighbour is its own next hop."""
        one, two = self.anywhere(family, high, low), self.anywhere(family, other_high, other)
        if one is None or two is None or one.device != two.device:
            return False
        if one.has_via and two.has_via:
            return one.via_high == two.via_high and one.via == two.via
        if one.has_via:
            return one.via_high == other_high and one.via == other
        if two.has_via:
            return two.via_high == high and two.via == low
        return high == other_high and low == other

    def anywhere(self, family: i64, high: i64, low: i64) -> Hop | None:
        """The route of something that has a target alone, and leads somewhere."""
        asked = Asked()
        asked.family, asked.target_high, asked.target, asked.device = family, high, low, self.loopback
        hop = self.policed(asked) if len(self.policies) > 0 else self.route(family, high, low)
        return hop if hop is not None and hop.kind in (UNICAST, LOCAL, BROADCAST) else None

    def local(self, family: i64, high: i64, low: i64) -> Hop | None:
        """The local table: the machine's own addresses, broadcasts, and 127.0.0.0/8."""
        if family == 4:
            found = self.local4[32].get(low)
            return found if found is not None else self.local4[8].get(low & 0xFF000000)
        return self.local6[128].get((high, low))

    def address_type(self, family: i64, high: i64, low: i64, device: i64) -> i64:
        """inet_dev_addr_type: RTN_LOCAL, RTN_BROADCAST, RTN_MULTICAST or RTN_UNICAST; ``device`` 0 for any."""
        if family == 4:
            if low >> 24 == 0 or low == 0xFFFFFFFF:
                return RTN_BROADCAST
            if low >> 28 == 0xE:
                return RTN_MULTICAST
        elif (high >> 56) & 0xFF == 0xFF:
            return RTN_MULTICAST
        hop = self.local(family, high, low)
        if hop is None or device not in (0, hop.device):
            return RTN_UNICAST
        return OF_KIND[hop.kind]

    def source(self, family: i64, hop: Hop, high: i64, low: i64) -> Own | None:
        """The source address for packets to a target along a route (fib_result_prefsrc, inet_select_addr); None if there is none."""
        if hop.source != 0 or hop.source_high != 0:
            return Own(family, hop.source_high, hop.source, 0, 0)
        if hop.has_via:
            high, low = hop.via_high, hop.via
        return self.select(family, hop.device, high, low)

    def select(self, family: i64, device: i64, high: i64, low: i64) -> Own | None:
        """inet_select_addr: the device's first address in the target's network, else its first, else any of the machine's."""
        port = self.ports[device] if 0 < device < len(self.ports) else None
        first: Own | None = None
        if port is not None:
            for own in port.addresses:
                if own.family != family or own.secondary or own.scope > LINK_SCOPE:
                    continue
                if first is None:
                    first = own
                if same_network(own, high, low):
                    return own
        if first is not None:
            return first
        for other in self.ports:
            if other is not None:
                for own in other.addresses:
                    if own.family == family and own.scope < LINK_SCOPE:
                        return own
        return None

    def neighbour(self, device: i64, high: i64, low: i64) -> i64:
        """The MAC address of a neighbour, -1 when it is not known."""
        if high == 0 and 0 <= low <= 0xFFFFFFFF:
            return self.near4.get(device << 32 | low, -1)
        return self.near6.get((device, high, low), -1)

    def know(self, device: i64, high: i64, low: i64, mac: i64) -> None:
        """Learn a neighbour."""
        if high == 0 and 0 <= low <= 0xFFFFFFFF:
            self.near4[device << 32 | low] = mac
        else:
            self.near6[device, high, low] = mac

    def tunnel_port(self, kind: i64, udp_port: i64, key: i64) -> i64:
        """The tunnel device that takes packets of a UDP port (or all GRE): metadata mode, or the key's own; 0 for none."""
        fallback: i64 = 0
        for port in self.ports:
            if port is not None and port.kind == kind and port.up and (kind in (GRE, GRETAP) or port.port == udp_port):
                if not port.external and port.key == key:
                    return port.index
                if port.external:
                    fallback = port.index
        return fallback


def mask4(length: i64) -> i64:
    """A netmask."""
    return (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF


def mask_high(length: i64) -> i64:
    """The upper half of an IPv6 netmask, as a signed number."""
    return -1 if length >= 64 else 0 if length == 0 else -1 << (64 - length)


def mask_low(length: i64) -> i64:
    """The lower half."""
    return 0 if length <= 64 else -1 << (128 - length)


def same_network(own: Own, high: i64, low: i64) -> bool:
    """inet_ifa_match."""
    if own.family == 4:
        return ((own.low ^ low) & mask4(own.prefix)) == 0
    return ((own.high ^ high) & mask_high(own.prefix)) == 0 and ((own.low ^ low) & mask_low(own.prefix)) == 0


def halves(value: int) -> tuple[int, int]:
    """A 128-bit address as two signed halves."""
    high, low = (value >> 64) & ((1 << 64) - 1), value & ((1 << 64) - 1)
    return high - (1 << 64) if high >> 63 else high, low - (1 << 64) if low >> 63 else low
