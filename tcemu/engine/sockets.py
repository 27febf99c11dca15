"""Sockets of local programs, as tproxy and nft's socket expression look for them.

Sources: net/ipv4/inet_hashtables.c __inet_lookup, net/ipv4/udp.c udp4_lib_lookup2, compute_score; net/ipv6 the same;
net/ipv4/netfilter/nf_socket_ipv4.c nf_sk_lookup_slow_v4; nf_tproxy_ipv4.c nf_tproxy_get_sock_v4.
"""

from __future__ import annotations

from mypy_extensions import i64


class LocalSocket:
    """One socket. Addresses are signed halves; nought is any address, a peer's port of 0 a socket that listens."""

    def __init__(self, tcp: bool, family: i64, port: i64) -> None:
        self.tcp: bool = tcp
        self.family: i64 = family
        self.port: i64 = port
        self.high: i64 = 0
        self.low: i64 = 0
        self.peer_high: i64 = 0
        self.peer: i64 = 0
        self.peer_port: i64 = 0
        self.transparent: bool = False
        self.mark: i64 = 0
        self.dual: bool = False  # an IPv6 socket that IPv4 comes to as well


class Ends:
    """Whom a packet is from and to, or is taken for."""

    def __init__(self) -> None:
        self.tcp: bool = False
        self.family: i64 = 4
        self.from_high: i64 = 0
        self.source: i64 = 0
        self.sport: i64 = 0
        self.to_high: i64 = 0
        self.target: i64 = 0
        self.dport: i64 = 0


class Sockets:
    """All sockets of the machine."""

    def __init__(self) -> None:
        self.all: list[LocalSocket] = []

    def find(self, ends: Ends) -> LocalSocket | None:
        """The best: a connected one, then one bound to the address, then one bound to any."""
        best: LocalSocket | None = None
        best_score: i64 = 0
        for one in self.all:
            score = score_of(one, ends)
            if score > best_score:
                best, best_score = one, score
        return best


def score_of(one: LocalSocket, ends: Ends) -> i64:
    """compute_score: 0 where the socket is not for the packet."""
    if one.tcp != ends.tcp or one.port != ends.dport or (one.family != ends.family and not one.dual):
        return 0
    score: i64 = 1 if one.dual and ends.family == 4 else 2
    if (one.high | one.low) != 0:
        if one.high != ends.to_high or one.low != ends.target:
            return 0
        score += 4
    if one.peer_port != 0:
        if one.peer_port != ends.sport or one.peer_high != ends.from_high or one.peer != ends.source:
            return 0
        score += 8
    return score
