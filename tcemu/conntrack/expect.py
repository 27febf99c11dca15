"""Expectations: connections that a helper saw announced in another one (net/netfilter/nf_conntrack_expect.c)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from tcemu.conntrack.entry import CONFIRMED, DYING, Entry, Tuple
from tcemu.conntrack.stats import EVENT_DESTROY, EVENT_NEW, Stats

PERMANENT: Final = 1  # NF_CT_EXPECT_* flags
INACTIVE: Final = 2

# why one was not taken
ADDED: Final = 0
OVER_LIMIT: Final = 1  # of the helper's policy (-EMFILE)
CLASH: Final = 2  # another connection expects the like (-EBUSY, -EALREADY)
TABLE_FULL: Final = 3  # nf_conntrack_expect_max (-EMFILE)
ALREADY: Final = 4  # it is there, of another class or connection (-EALREADY)
REASONS: Final = (
    "",
    "the helper expects as many as it may",
    "another connection expects the like",
    "the table of expectations is full (nf_conntrack_expect_max)",
    "the like is expected already",
)

FOLLOW_NOTHING: Final = 0  # what becomes of the expected connection's addresses (expectfn)
FOLLOW_MASTER: Final = 1  # nf_nat_follow_master
FOLLOW_SIP: Final = 2  # nf_nat_sip_expected
FOLLOW_PPTP: Final = 3  # pptp_expectfn
FOLLOW_FORWARDED: Final = 4  # ip_nat_callforwarding_expect


class Expectation:
    """What is expected. The destination is exact; of the source, what the masks say."""

    def __init__(self, master: Entry, family: i64, proto: i64) -> None:
        self.master: Entry = master
        self.family: i64 = family
        self.proto: i64 = proto
        self.tuple: Tuple = Tuple()
        self.any_source: bool = False  # the source address does not matter
        self.source_mask_high: i64 = -1  # else: the bits of it that do
        self.source_mask: i64 = 0xFFFFFFFF if family == 4 else -1
        self.any_sport: bool = True
        self.sport_mask: i64 = 0xFFFF  # else: the bits of the source port that matter
        self.zone: i64 = master.zone
        self.flags: i64 = 0
        self.kind: i64 = 0  # class of the helper's policy
        self.helper: str = ""  # of the expected connection
        self.expires: i64 = 0  # ns
        # where the master's translation leads the expected connection (saved_addr, saved_proto, dir)
        self.follow: i64 = FOLLOW_NOTHING
        self.saved_high: i64 = 0
        self.saved: i64 = 0
        self.saved_port: i64 = 0
        self.saved_way: i64 = -1

    def fits(self, t: Tuple, family: i64, proto: i64, zone: i64) -> bool:
        """nf_ct_exp_equal."""
        mine = self.tuple
        if family != self.family or proto != self.proto or zone != self.zone:
            return False
        if t.dst != mine.dst or t.dst_high != mine.dst_high or t.dport != mine.dport:
            return False
        low, high = (t.src ^ mine.src) & self.source_mask, (t.src_high ^ mine.src_high) & self.source_mask_high
        if not self.any_source and (low != 0 or high != 0):
            return False
        return self.any_sport or ((t.sport ^ mine.sport) & self.sport_mask) == 0

    def same(self, other: Expectation) -> bool:
        """expect_matches: the same tuple under the same masks."""
        a, b = self.tuple, other.tuple
        if self.any_source != other.any_source or self.any_sport != other.any_sport or self.sport_mask != other.sport_mask:
            return False
        if self.source_mask != other.source_mask or self.source_mask_high != other.source_mask_high:
            return False
        if a.src != b.src or a.src_high != b.src_high or a.sport != b.sport:
            return False
        return self.fits(b, other.family, other.proto, other.zone)

    def clashes(self, other: Expectation) -> bool:
        """expect_clash: some packet would be expected by both."""
        a, b = self.tuple, other.tuple
        if self.family != other.family or self.proto != other.proto or self.zone != other.zone:
            return False
        if a.dst != b.dst or a.dst_high != b.dst_high or a.dport != b.dport:
            return False
        if not self.any_source and not other.any_source:
            if ((a.src_high ^ b.src_high) & self.source_mask_high & other.source_mask_high) != 0:
                return False
            if ((a.src ^ b.src) & self.source_mask & other.source_mask) != 0:
                return False
        return self.any_sport or other.any_sport or ((a.sport ^ b.sport) & self.sport_mask & other.sport_mask) == 0


@mypyc_attr(allow_interpreted_subclasses=True)
class ExpectWatcher:
    """Told of every expectation that is made or goes; the base class does nothing with it."""

    def __init__(self) -> None:
        self.seen: i64 = 0
        self.muted: bool = False  # nf_conntrack_events is 0

    def expected(self, kind: i64, one: Expectation, now: i64) -> None:
        """It was made (EVENT_NEW) or is gone (EVENT_DESTROY); now: ns."""


class Expectations:
    """All of them, in the order in which they were made."""

    def __init__(self) -> None:
        self.all: list[Expectation] = []
        self.stats: Stats = Stats()  # the table's
        self.now: i64 = 0  # ns, when somebody last said
        self.watcher: ExpectWatcher | None = None

    def relate(self, new: Expectation, most: i64, table_most: i64, shared: bool = False) -> i64:
        """nf_ct_expect_related: ADDED, or why not. most: of its class for one master (0: no limit), the oldest gives way.

        shared: the like of another connection is no clash, but ALREADY there (NF_CT_EXP_F_SKIP_MASTER).
        """
        mine: i64 = 0
        oldest: Expectation | None = None
        like: Expectation | None = None
        for old in self.all:
            if (shared or old.master is new.master) and old.same(new):
                if old.kind != new.kind or old.master is not new.master:
                    return ALREADY
                like = old
                continue
            if old.clashes(new):
                return CLASH
            if old.master is new.master and old.kind == new.kind:
                mine += 1
                if oldest is None:
                    oldest = old
        if like is not None:
            self.remove(like)
        if 0 < most <= mine:
            if oldest is None:
                return OVER_LIMIT
            self.remove(oldest)
            if mine - 1 >= most:
                return OVER_LIMIT
        if len(self.all) >= table_most:
            return TABLE_FULL
        self.all.append(new)
        self.stats.expect_create += 1
        if self.watcher is not None:
            self.watcher.expected(EVENT_NEW, new, self.now)
        return ADDED

    def add(self, expectation: Expectation, table_most: i64 = 4096) -> bool:
        """As `relate`, without a limit of the connection's own: a like one of the same master gives way."""
        return self.relate(expectation, 0, table_most) == ADDED

    def take(self, t: Tuple, family: i64, proto: i64, zone: i64, now: i64) -> Expectation | None:
        """nf_ct_find_expectation: the one that a new connection fulfils; it is used up unless permanent."""
        self.expire(now)
        for found in self.all:
            if (found.flags & INACTIVE) != 0 or not found.fits(t, family, proto, zone):
                continue
            status = found.master.status
            if (status & CONFIRMED) == 0 or (status & DYING) != 0:
                return None
            if (found.flags & PERMANENT) == 0:
                self.remove(found)
            self.stats.expect_new += 1
            return found
        return None

    def of(self, master: Entry) -> list[Expectation]:
        """Those of one connection."""
        return [one for one in self.all if one.master is master]

    def remove(self, expectation: Expectation) -> None:
        """Forget one."""
        self.all = [other for other in self.all if other is not expectation]
        self.gone(expectation)

    def gone(self, expectation: Expectation) -> None:
        """Count and tell of one that was taken out (nf_ct_unlink_expect_report)."""
        self.stats.expect_delete += 1
        if self.watcher is not None:
            self.watcher.expected(EVENT_DESTROY, expectation, self.now)

    def forget(self, master: Entry) -> None:
        """nf_ct_remove_expectations: forget those of a dying connection, the newest first."""
        mine = self.of(master)
        if len(mine) == 0:
            return
        self.all = [other for other in self.all if other.master is not master]
        mine.reverse()
        for one in mine:
            self.gone(one)

    def expire(self, now: i64) -> None:
        """Forget what did not come in time; an expectation that cannot expire has 0."""
        self.now = now
        over: list[Expectation] = []
        for old in self.all:
            if 0 < old.expires <= now:
                over.append(old)
        if len(over) == 0:
            return
        self.all = [other for other in self.all if not 0 < other.expires <= now]
        for one in over:
            self.now = one.expires
            self.gone(one)
        self.now = now
