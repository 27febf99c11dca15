"""Counters, as the kernel's gnet_stats and tcf_t keep them."""

from __future__ import annotations

from msgspec import Struct


class Stats(Struct, omit_defaults=True):
    """Packets, bytes and what befell them; times are capture nanoseconds, -1 is never."""

    packets: int = 0
    bytes: int = 0
    drops: int = 0
    overlimits: int = 0
    installed: int = 0
    first_used: int = -1
    last_used: int = -1
    extra: dict[str, int] = {}  # what one kind alone keeps (tokens of a policer, the next gate slot, quota used …)
