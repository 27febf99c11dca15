"""Policy routing: rules that choose a table, and the tables besides main.

Source: net/core/fib_rules.c fib_rules_lookup, fib_rule_match; net/ipv4/fib_rules.c; net/ipv6/fib6_rules.c.
"""

from __future__ import annotations

from mypy_extensions import i64


class Policy:
    """One rule. ``table`` is the number of the table that it looks up."""

    def __init__(self, family: i64, preference: i64, table: i64) -> None:
        self.family: i64 = family
        self.preference: i64 = preference
        self.table: i64 = table
        self.source_high: i64 = 0
        self.source: i64 = 0
        self.source_mask_high: i64 = 0
        self.source_mask: i64 = 0
        self.target_high: i64 = 0
        self.target: i64 = 0
        self.target_mask_high: i64 = 0
        self.target_mask: i64 = 0
        self.mark: i64 = 0
        self.mask: i64 = 0
        self.device: i64 = 0  # 0 any, -1 one that is not there

    def holds(self, asked: Asked) -> bool:
        """Is the rule for the packet?"""
        return (
            self.family == asked.family
            and (asked.source & self.source_mask) == self.source
            and (asked.source_high & self.source_mask_high) == self.source_high
            and (asked.target & self.target_mask) == self.target
            and (asked.target_high & self.target_mask_high) == self.target_high
            and (asked.mark & self.mask) == self.mark
            and self.device in (0, asked.device)
        )


class Asked:
    """What a packet is routed by."""

    def __init__(self) -> None:
        self.family: i64 = 4
        self.source_high: i64 = 0
        self.source: i64 = 0
        self.target_high: i64 = 0
        self.target: i64 = 0
        self.mark: i64 = 0
        self.device: i64 = 0
