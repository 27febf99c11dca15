"""State that outlives a run: counters between ops and the records of the shelves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcemu.engine.program import Counter
from tcemu.ir.effect import Count, Last, Limit, Quota
from tcemu.ir.stats import Stats

if TYPE_CHECKING:
    from tcemu.ir.effect import Effect

USED: Final = "used"  # in Stats.extra: bytes of a quota
TOKENS: Final = "tokens"  # of a limit: ns in the bucket at CHECKED
CHECKED: Final = "checked"
STATEFUL: Final = (Count, Limit, Quota, Last)


def stats_of(effect: Effect | None) -> Stats | None:
    """The counters that an effect keeps itself; a limit or quota that has none gets them."""
    if not isinstance(effect, STATEFUL):
        return None
    if effect.stats is None:
        effect.stats = Stats()
    return effect.stats


def filled(stats: Stats, effect: Effect | None = None) -> Counter:
    """A counter that starts from what was counted before."""
    counter = Counter()
    counter.packets, counter.bytes, counter.drops, counter.overlimits = stats.packets, stats.bytes, stats.drops, stats.overlimits
    counter.first_used, counter.last_used = stats.first_used, stats.last_used
    if isinstance(effect, Quota):
        counter.bytes = stats.extra.get(USED, 0)
    elif isinstance(effect, Limit):
        counter.tokens, counter.checked = stats.extra.get(TOKENS, -1), stats.extra.get(CHECKED, -1)
    return counter


def written(counter: Counter, stats: Stats, effect: Effect | None = None) -> bool:
    """Write a counter back; did anything move?"""
    if isinstance(effect, Quota):
        # what a listing shows never goes beyond the quota (nft_quota_do_dump)
        return _extra(stats, {USED: min(int(counter.bytes), effect.bytes)}) if counter.bytes else False
    if isinstance(effect, Limit):
        return _extra(stats, {TOKENS: int(counter.tokens), CHECKED: int(counter.checked)}) if counter.tokens >= 0 else False
    now = (counter.packets, counter.bytes, counter.drops, counter.overlimits, counter.first_used, counter.last_used)
    was = (stats.packets, stats.bytes, stats.drops, stats.overlimits, stats.first_used, stats.last_used)
    stats.packets, stats.bytes, stats.drops, stats.overlimits, stats.first_used, stats.last_used = now
    return now != was


def _extra(stats: Stats, new: dict[str, int]) -> bool:
    if all(stats.extra.get(name) == value for name, value in new.items()):
        return False
    stats.extra = stats.extra | new
    return True
