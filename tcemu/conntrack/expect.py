"""Expectations: connections that a helper saw announced in another one (net/netfilter/nf_conntrack_expect.c)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.entry import CONFIRMED, DYING, Entry, Tuple

PERMANENT: Final = 1  # NF_CT_EXPECT_* flags
INACTIVE: Final = 2


class Expectation:
    """What is expected. The destination is exact; source address and port count only where the mask says so."""

    def __init__(self, master: Entry, family: i64, proto: i64) -> None:
        self.master: Entry = master
        self.family: i64 = family
        self.proto: i64 = proto
        self.tuple: Tuple = Tuple()
        self.any_source: bool = False  # the source address does not matter
        self.any_sport: bool = True
        self.zone: i64 = master.zone
        self.flags: i64 = 0
        self.kind: i64 = 0  # class of the helper's policy
        self.helper: str = ""  # of the expected connection
        self.expires: i64 = 0  # ns
        # where the master's translation leads the expected connection (saved_addr, saved_proto, dir)
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
        if not self.any_source and (t.src != mine.src or t.src_high != mine.src_high):
            return False
        return self.any_sport or t.sport == mine.sport


class Expectations:
    """All of them, in the order in which they were made."""

    def __init__(self) -> None:
        self.all: list[Expectation] = []

    def add(self, expectation: Expectation) -> None:
        """nf_ct_expect_related: a like one of the same master gives way."""
        kept: list[Expectation] = []
        for old in self.all:
            same = old.master is expectation.master and old.fits(expectation.tuple, expectation.family, expectation.proto, expectation.zone)
            if not same:
                kept.append(old)
        kept.append(expectation)
        self.all = kept

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
            return found
        return None

    def remove(self, expectation: Expectation) -> None:
        """Forget one."""
        self.all = [other for other in self.all if other is not expectation]

    def forget(self, master: Entry) -> None:
        """nf_ct_remove_expectations: forget those of a dying connection."""
        self.all = [other for other in self.all if other.master is not master]

    def expire(self, now: i64) -> None:
        """Forget what did not come in time; an expectation that cannot expire has 0."""
        for old in self.all:
            if 0 < old.expires <= now:
                self.all = [other for other in self.all if not 0 < other.expires <= now]
                return
