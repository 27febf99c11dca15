"""The tracker against what Linux 6.1 was recorded to do, packet by packet (../shared/oracle/scenarios)."""

from __future__ import annotations

import pytest

from . import driver

pytestmark = pytest.mark.skipif(not driver.SCENARIOS.is_dir(), reason="the recorded scenarios are not here (TCEMU_SHARED)")

# a host that forwards: everything is tracked, all but what is invalid is confirmed
FORWARDED = [
    "nft-ct-bad-checksum",
    "nft-ct-udp",
    "nft-tcp-life",
    "nft-tcp-midstream-loose0",
    "nft-tcp-midstream-loose1",
    "nft-tcp-rst",
    "nft-tcp-sim-open",
    "nft-tcp-window",
]
# the rules of the cover letter: ct, then ct commit for what is new on d0
COMMITTED = [
    "tc-ct-bad-checksum",
    "tc-ct-bad-checksum-off",
    "tc-ct-expiry",
    "tc-ct-expiry-offloaded",
    "tc-ct-expiry-tcp",
    "tc-ct-fragments",
    "tc-ct-fragments-ipv6",
    "tc-ct-gre",
    "tc-ct-icmp-echo",
    "tc-ct-icmpv6",
    "tc-ct-ip-options",
    "tc-ct-ipv6-tcp",
    "tc-ct-no-acct",
    "tc-ct-offload-teardown",
    "tc-ct-sctp",
    "tc-ct-tcp-basic",
    "tc-ct-tcp-flags",
    "tc-ct-tcp-midstream-loose0",
    "tc-ct-tcp-midstream-loose1",
    "tc-ct-tcp-reopen",
    "tc-ct-tcp-retransmit",
    "tc-ct-tcp-rst",
    "tc-ct-tcp-simultaneous-open",
    "tc-ct-tcp-window",
    "tc-ct-tcp-window-liberal",
    "tc-ct-tcp-wscale-sack",
    "tc-ct-truncated",
    "tc-ct-udp-assured",
]


@pytest.mark.parametrize("name", FORWARDED)
def test_forwarding_host(name: str) -> None:
    assert driver.differences(name, driver.Forward) == []


@pytest.mark.parametrize("name", COMMITTED)
def test_tc_ct_commit(name: str) -> None:
    assert driver.differences(name, driver.TcRules) == []
