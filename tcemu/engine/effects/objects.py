"""nft's conntrack objects: helpers, timeout policies and expectations given to new connections.

Source: net/netfilter/nft_ct.c nft_ct_helper_obj_eval, nft_ct_timeout_obj_eval, nft_ct_expect_obj_eval.
"""

from __future__ import annotations

from mypy_extensions import i64

from tcemu.conntrack.entry import CONFIRMED, HELPER, Entry
from tcemu.conntrack.expect import Expectation
from tcemu.conntrack.timeouts import SECOND, Timeouts
from tcemu.engine.keys import is_template
from tcemu.engine.program import Env, Op
from tcemu.ir.verdict import DROP, MISS, PIPE
from tcemu.packet.packet import IS_REPLY, Packet


class HelperOp(Op):
    """ct helper set: for connections of its protocol that are not confirmed yet."""

    def __init__(self, name: str, proto: i64, family: i64) -> None:
        super().__init__(PIPE, None, 0, None)
        self.helper: str = name
        self.proto: i64 = proto
        self.family: i64 = family  # 0 for both

    def run(self, env: Env, p: Packet) -> i64:
        entry = p.ct
        if not isinstance(entry, Entry) or is_template(p) or (entry.status & (CONFIRMED | HELPER)) != 0:
            return PIPE
        if entry.proto == self.proto and self.family in (0, entry.family):
            entry.helper = self.helper
            entry.status |= HELPER
        return PIPE


class TimeoutOp(Op):
    """ct timeout set."""

    def __init__(self, policy: Timeouts, first: i64) -> None:
        super().__init__(PIPE, None, 0, None)
        self.policy: Timeouts = policy
        self.first: i64 = first  # of a new connection, ns

    def run(self, env: Env, p: Packet) -> i64:
        entry = p.ct
        if isinstance(entry, Entry) and not is_template(p) and (entry.status & CONFIRMED) == 0:
            entry.policy = self.policy
            entry.expires = self.first
        return PIPE


class ExpectationOp(Op):
    """ct expectation set: the far end may open a connection to a port of the near end's."""

    def __init__(self, proto: i64, port: i64, timeout: i64, size: i64) -> None:
        super().__init__(PIPE, None, 0, None)
        self.proto: i64 = proto
        self.port: i64 = port
        self.timeout: i64 = timeout  # ms, which the kernel takes for seconds
        self.size: i64 = size

    def run(self, env: Env, p: Packet) -> i64:
        entry = p.ct
        if not isinstance(entry, Entry) or (entry.status & CONFIRMED) != 0:
            return MISS
        env.conntrack.expectations.expire(env.now)
        mine: i64 = 0
        for other in env.conntrack.expectations.all:
            if other.master is entry:
                mine += 1
        if mine >= self.size:
            return MISS
        family: int = entry.family
        expected = Expectation(entry, family, self.proto)
        answer = entry.orig if p.ctinfo >= IS_REPLY else entry.reply
        t = expected.tuple
        t.src_high, t.src = answer.src_high, answer.src
        t.dst_high, t.dst, t.dport = answer.dst_high, answer.dst, self.port
        expected.expires = env.now + self.timeout * SECOND
        if not env.conntrack.expectations.add(expected, env.conntrack.settings.expect_max):
            p.reason = "ct expectation: another connection expects the like, or too many are expected"
            return DROP
        entry.status |= HELPER
        return PIPE
