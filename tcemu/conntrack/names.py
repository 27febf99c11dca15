"""Words for protocols, states and status bits, as conntrack-tools and the kernel's /proc file use them."""

from __future__ import annotations

from typing import Final

from tcemu.conntrack.entry import OFFLOADED, Entry
from tcemu.conntrack.linux.tcp_states import STATE_NAMES as TCP_STATES
from tcemu.conntrack.tuples import DCCP, GRE, ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE

# libnetfilter_conntrack src/conntrack/snprintf.c; the kernel's l4proto_name has the same words
PROTOCOLS: Final = {
    ICMP: "icmp",
    TCP: "tcp",
    UDP: "udp",
    DCCP: "dccp",
    GRE: "gre",
    ICMPV6: "icmpv6",
    SCTP: "sctp",
    UDPLITE: "udplite",
}
SCTP_STATES: Final = (
    "NONE",
    "CLOSED",
    "COOKIE_WAIT",
    "COOKIE_ECHOED",
    "ESTABLISHED",
    "SHUTDOWN_SENT",
    "SHUTDOWN_RECD",
    "SHUTDOWN_ACK_SENT",
    "HEARTBEAT_SENT",
)
DCCP_STATES: Final = ("NONE", "REQUEST", "RESPOND", "PARTOPEN", "OPEN", "CLOSEREQ", "CLOSING", "TIMEWAIT", "IGNORE", "INVALID")
STATES: Final = {TCP: TCP_STATES, SCTP: SCTP_STATES, DCCP: DCCP_STATES}


def protocol(entry: Entry) -> str:
    """The protocol's name, or ``unknown``."""
    return PROTOCOLS.get(entry.proto, "unknown")


def state(entry: Entry) -> str:
    """The state's name; empty for protocols without states and for what is offloaded."""
    names = STATES.get(entry.proto)
    return names[entry.state] if names is not None and (entry.status & OFFLOADED) == 0 else ""


def address(family: int, high: int, low: int) -> str:
    """An address as inet_ntop gives it."""
    if family == 4:
        return f"{low >> 24 & 255}.{low >> 16 & 255}.{low >> 8 & 255}.{low & 255}"
    from socket import AF_INET6, inet_ntop

    return inet_ntop(AF_INET6, raw(family, high, low))


def raw(family: int, high: int, low: int) -> bytes:
    """An address as it stands on the wire."""
    if family == 4:
        return low.to_bytes(4, "big")
    half = (1 << 64) - 1
    return ((high & half) << 64 | low & half).to_bytes(16, "big")


def number(high: int, low: int) -> int:
    """Two signed halves as one unsigned number."""
    half = (1 << 64) - 1
    return (high & half) << 64 | low & half


def halves(value: int) -> tuple[int, int]:
    """An unsigned number of 128 bits as two signed halves."""
    return signed(value >> 64), signed(value)


def signed(value: int) -> int:
    """The lowest 64 bits as a signed number."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value
