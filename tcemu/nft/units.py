"""Times, rates and sizes: how nft reads and writes them."""

from __future__ import annotations

import re
from typing import Final

from tcemu.nft.errors import NftError
from tcemu.nft.tree import NOWHERE, At

_TIME: Final = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?$")
_SCALE: Final = (86_400_000, 3_600_000, 60_000, 1000, 1)
_UNITS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms"))
_BYTES: Final = {"bytes": 1, "kbytes": 1 << 10, "mbytes": 1 << 20}
SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}


def parse_time(text: str, at: At = NOWHERE) -> int:
    """A time such as 1d2h3m4s5ms, or bare seconds, in milliseconds; NftError when it is none (datatype.c time_parse)."""
    if text.isdigit():
        return int(text) * 1000
    match = _TIME.match(text)
    if match is None or not text:
        raise NftError("wrong time format", at)
    return sum(int(part) * scale for part, scale in zip(match.groups(), _SCALE, strict=True) if part)


def show_time(ms: int) -> str:
    """Milliseconds as nft writes them; nothing at all is 0s."""
    text = ""
    for scale, unit in _UNITS:
        count, ms = divmod(ms, scale)
        if count:
            text += f"{count}{unit}"
    return text or "0s"


def parse_bytes(unit: str, at: At = NOWHERE) -> int:
    """How many bytes a unit is."""
    if unit not in _BYTES:
        raise NftError("Wrong rate format", at)
    return _BYTES[unit]


def parse_rate(text: str, at: At = NOWHERE) -> tuple[int, int]:
    """``mbytes/second``: bytes per unit and seconds."""
    unit, _slash, per = text.partition("/")
    if not per:
        raise NftError("wrong rate format", at)
    if unit not in _BYTES or per not in SECONDS:
        raise NftError("Wrong rate format", at)
    return _BYTES[unit], SECONDS[per]


def scale_bytes(count: int) -> tuple[int, str]:
    """A number of bytes in the largest unit that divides it (statement.c get_rate)."""
    for unit, name in ((1 << 20, "mbytes"), (1 << 10, "kbytes")):
        if count and count % unit == 0:
            return count // unit, name
    return count, "bytes"


def unit_of(seconds: int) -> str:
    """second, minute, hour, day or week."""
    return next((name for name, length in SECONDS.items() if length == seconds), "error")
