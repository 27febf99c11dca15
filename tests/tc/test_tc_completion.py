"""Completion from the parser's own table."""

from __future__ import annotations

import pytest

from tcemu.tc.completion import complete

from .worlds import ingress


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("fi", ["filter"]),
        ("filter add d", ["dev"]),
        ("filter add dev e", ["eth0", "eth1"]),
        ("filter add dev eth0 ingress protocol ip flo", ["flow", "flower"]),
        ("filter add dev eth0 ingress protocol ip flower ct_", ["ct_label", "ct_mark", "ct_state", "ct_zone"]),
        ("filter add dev eth0 ingress protocol ip flower action mirred egress redirect dev e", ["eth0", "eth1"]),
        ("filter add dev eth0 ingress protocol ip flower action pass random n", ["netrand"]),
        ("nonsense ", []),
    ],
)
def test_complete(line: str, found: list[str]) -> None:
    assert complete(line.split(" "), ingress()) == found
