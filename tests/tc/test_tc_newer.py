"""Keys that came after 6.1: known to friendly sessions alone."""

from __future__ import annotations

import pytest

from .worlds import ingress

KEYS = (
    ("l2_miss 1", "l2_miss 1"),
    ("ip_proto l2tp l2tpv3_sid 5", "l2tpv3_sid 5"),
    ("ip_proto esp spi 7", "spi 7"),
    ("cfm mdl 3 op 5", "cfm mdl 3"),
    ("enc_flags tuncsum/notundf", "enc_flags tuncsum/notundf"),
    ("pfcp_opts 01:12ab", "pfcp_opts 01:12ab/ff:ffffffffffffffff"),
)


@pytest.mark.parametrize(("keys", "listed"), KEYS)
def test_newer_keys(keys: str, listed: str) -> None:
    line = f"filter add dev eth0 ingress prio 1 protocol ip flower {keys} action drop"
    world = ingress(strict=False)
    world.ok(line)
    assert f"  {listed}\n" in world.ok("filter show dev eth0 ingress")
    reply = ingress().tc(line)
    assert reply.exit_code == 1
    assert reply.stderr.startswith(("What is", 'Illegal "ip_proto"'))
