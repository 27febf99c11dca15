"""SYN cookies: a sequence number that says which connection was asked for, so that nobody has to remember it.

::

    cookie = hash(both ends) + the client's number + minutes << 24 + (hash(both ends, minutes) + MSS index) & 0xFFFFFF

Sources: net/ipv4/syncookies.c secure_tcp_syn_cookie, check_tcp_syn_cookie, __cookie_v4_check; net/ipv6/syncookies.c. The kernel hashes with
a secret that it draws at start (siphash); here it is Jenkins' hash with a seed, so that a replay is the same each time.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.fields import DPORT, G_IP4, IP6_DADDR, IP6_SADDR, IP_DADDR, IP_SADDR, SPORT, TCP_SEQ
from tcemu.packet.packet import Packet

M32: Final = 0xFFFFFFFF
M24: Final = 0xFFFFFF
MINUTE: Final = 60_000_000_000  # TCP_SYNCOOKIE_PERIOD
OLDEST: Final = 2  # MAX_SYNCOOKIE_AGE: minutes
SIZES4: Final = (536, 1300, 1440, 1460)  # msstab
SIZES6: Final = (1220, 1420, 1440, 8940)


def size_index(mss: i64, four: bool) -> i64:
    """The largest size of the table that is not above ``mss``, else the first."""
    sizes = SIZES4 if four else SIZES6
    index: i64 = 3
    while index > 0 and mss < sizes[index]:
        index -= 1
    return index


def make(p: Packet, mss: i64, secret: i64, now: i64) -> i64:
    """The number that answers a SYN."""
    minutes = now // MINUTE
    data = size_index(mss, (p.groups & G_IP4) != 0)
    low = (ends(p, secret, minutes & M32) + data) & M24
    return (ends(p, secret ^ 0x5A5A5A5A, 0) + p.f[TCP_SEQ] + ((minutes & 0xFF) << 24) + low) & M32


def check(p: Packet, cookie: i64, secret: i64, now: i64) -> i64:
    """The MSS that the client's ACK brings back, 0 where the cookie is none of ours or too old."""
    minutes = now // MINUTE
    rest = (cookie - ends(p, secret ^ 0x5A5A5A5A, 0) - (p.f[TCP_SEQ] - 1)) & M32
    age = (minutes - (rest >> 24)) & 0xFF
    if age >= OLDEST:
        return 0
    index = (rest - ends(p, secret, (minutes - age) & M32)) & M24
    if index > 3:
        return 0
    return SIZES4[index] if (p.groups & G_IP4) != 0 else SIZES6[index]


def ends(p: Packet, secret: i64, more: i64) -> i64:
    """A hash of who talks to whom."""
    f = p.f
    total = mixed(secret, more)
    total = mixed(total, f[SPORT] << 16 | f[DPORT])
    if (p.groups & G_IP4) != 0:
        return mixed(mixed(total, f[IP_SADDR]), f[IP_DADDR])
    total = mixed(mixed(total, wide(f[IP6_SADDR])), wide(f[IP6_SADDR + 1]))
    return mixed(mixed(total, wide(f[IP6_DADDR])), wide(f[IP6_DADDR + 1]))


def wide(half: i64) -> i64:
    """Half an IPv6 address as one 32-bit word."""
    return mixed((half >> 32) & M32, half & M32)


def mixed(a: i64, b: i64) -> i64:
    """Two 32-bit words as one (the finalizer of murmur3, applied to their sum)."""
    x = (a * 31 + b + 0x9E3779B9) & M32
    x ^= x >> 16
    x = (x * 0x45D9F3B) & M32
    x ^= x >> 16
    x = (x * 0x45D9F3B) & M32
    return x ^ x >> 16
