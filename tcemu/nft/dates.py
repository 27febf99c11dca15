"""Times of day and dates of meta time and meta hour, in the zone of $TZ (nftables src/meta.c)."""

from __future__ import annotations

import re
import time
from typing import Final

from tcemu.nft.errors import NftError
from tcemu.nft.tree import At

# what follows behind a date or time that can be read is left out, as strptime(3) leaves it
_DATE: Final = re.compile(
    r"(\d{1,4})-(0?[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01]|[1-9](?!\d))(?:\s*([01]?\d|2[0-3]):([0-5]?\d)(?::([0-5]?\d|6[01]))?)?"
)
_HOUR: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]?\d)(?::([0-5]?\d))?$")
_MINUTE: Final = re.compile(r"([01]?\d|2[0-3]):[0-5]?\d")
_DAY: Final = 86400


def parse_date(text: str, at: At) -> int:
    """A date such as 2019-06-06 17:00[:00] as nanoseconds since 1970; a bare number is seconds."""
    if text.isdigit():
        return int(text) * 1_000_000_000
    match = _DATE.match(text)
    if match is None:
        raise NftError("Cannot parse date", at)
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
    try:
        stamp = time.mktime((year, month, day, hour, minute, second, 0, 0, -1))
    except (OverflowError, ValueError):
        raise NftError("Cannot parse date", at) from None
    return int(stamp) * 1_000_000_000


def show_date(value: int) -> str:
    """Nanoseconds since 1970 as a date in quotes, or the number."""
    seconds, rest = divmod(value, 1_000_000_000)
    if rest:
        return str(value)
    return time.strftime('"%Y-%m-%d %H:%M:%S"', time.localtime(seconds))


def offset() -> int:
    """Seconds that local time is ahead of UTC now."""
    return time.localtime().tm_gmtoff


def parse_hour(text: str, at: At) -> int:
    """A local time of day as seconds of the UTC day; a bare number is seconds."""
    match = _HOUR.match(text)
    if match is None:
        from tcemu.nft.units import parse_time

        minutes = _MINUTE.match(text)
        if minutes is not None:
            raise NftError(f'Can\'t parse trailing input: "{text[minutes.end() :]}"\n', at)
        return parse_time(text, at) // 1000 if text else 0
    hour, minute, second = (int(part or 0) for part in match.groups())
    return (hour * 3600 + minute * 60 + second - offset()) % _DAY


def show_hour(value: int) -> str:
    """Seconds of the UTC day as local time of day in quotes; seconds are left out where they are zero."""
    seconds = (value + offset()) % _DAY
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}"
    return f'"{text}:{seconds % 60:02d}"' if seconds % 60 else f'"{text}"'
