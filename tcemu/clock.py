"""Nanoseconds. The only place that knows a wall clock; everything else is told what time it is."""

from __future__ import annotations

import time
from typing import Final

MICROSECOND: Final = 1_000
MILLISECOND: Final = 1_000_000
SECOND: Final = 1_000_000_000


def wall() -> int:
    """The machine's time, nanoseconds since 1970; for stamping what a user does now, never for packets."""
    return time.time_ns()
