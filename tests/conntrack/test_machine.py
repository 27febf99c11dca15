"""The state machine of the whole table: TCP, UDP, ICMP, translation, zones, expectations, clashes, deletions, flushes, time.

``TCEMU_OPERATIONS=1000000`` makes it that many operations, in bursts of a thousand; see `conntrack.traffic`.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from .traffic import Traffic

OPERATIONS = int(os.environ.get("TCEMU_OPERATIONS", "0"))
BURST = 1000 if OPERATIONS else 20
STEPS = 20
DONE = [0]  # operations of bursts

ends = st.integers(0, 63)
ports = st.integers(0, 8)
zones = st.integers(0, 5)
fates = st.integers(0, 329)
anyone = st.integers(0, 63)


class TrafficMachine(RuleBasedStateMachine):
    """Draws events one by one, and bursts of them."""

    def __init__(self) -> None:
        super().__init__()
        self.traffic = Traffic()

    @rule(seed=st.integers(0, 2**32))
    def burst(self, seed: int) -> None:
        self.traffic.burst(seed, BURST)
        DONE[0] += BURST

    if not OPERATIONS:

        @rule(ends=ends, ports=ports, zone=zones, fate=fates)
        def datagram(self, ends: int, ports: int, zone: int, fate: int) -> None:
            self.traffic.datagram(ends, ports, zone, fate)

        @rule(ends=ends, ports=ports, what=st.integers(0, 9), numbers=st.integers(0, 48), zone=zones, fate=fates)
        def segment(self, ends: int, ports: int, what: int, numbers: int, zone: int, fate: int) -> None:
            self.traffic.segment(ends, ports, what, numbers, zone, fate)

        @rule(ends=ends, ident=st.integers(0, 3), what=st.integers(0, 3), zone=zones, fate=fates)
        def echo(self, ends: int, ident: int, what: int, zone: int, fate: int) -> None:
            self.traffic.echo(ends, ident, what, zone, fate)

        @rule(which=anyone, way=st.integers(0, 1))
        def error(self, which: int, way: int) -> None:
            self.traffic.error(which, way)

        @rule(which=anyone, host=st.integers(0, 3), port=st.integers(0, 2), flags=st.integers(0, 15))
        def expect(self, which: int, host: int, port: int, flags: int) -> None:
            self.traffic.expect(which, host, port, flags)

        @rule()
        def catch_up(self) -> None:
            self.traffic.catch_up()

        @rule(tenths=st.integers(0, 900))
        def wait(self, tenths: int) -> None:
            self.traffic.wait(tenths)

        @rule(which=anyone)
        def kill(self, which: int) -> None:
            self.traffic.kill(which)

        @rule()
        def sweep(self) -> None:
            self.traffic.sweep()

        @rule()
        def drain(self) -> None:
            self.traffic.drain()

        @rule()
        def keep(self) -> None:
            self.traffic.keep()

    @invariant()
    def whole(self) -> None:
        self.traffic.check()


TestTraffic = TrafficMachine.TestCase
TestTraffic.settings = settings(
    max_examples=max(OPERATIONS // (BURST * STEPS), 1) if OPERATIONS else 25,
    stateful_step_count=STEPS,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def test_bursts_from_fixed_seeds() -> None:
    """A few, and after the machine's examples, which Hypothesis ends when it likes, what is missing of the operations asked for."""
    traffic = Traffic()
    for seed in range(max((OPERATIONS - DONE[0]) // 1000, 2)):
        traffic.burst(seed, 1000)
