"""``--tz``: times of day and dates in nft rules (source of the figures: nft 1.0.6 with TZ=Asia/Tokyo, listed with TZ=UTC)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

RULE = 'add table ip t; add chain ip t c; add rule ip t c meta hour "08:00"-"18:00" meta time > "2020-01-01 00:00:00"; list ruleset'


def tcemu(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "tcemu", *words], capture_output=True, text=True, check=False)


def test_times_are_those_of_the_zone(tmp_path: Path) -> None:
    session = ("--session", str(tmp_path / "s.db"))
    written = tcemu(*session, "--tz", "Asia/Tokyo", "nft", RULE)
    listed = tcemu(*session, "--tz=UTC", "nft", "list ruleset")
    assert 'meta hour != "18:00"-"08:00" meta time > "2020-01-01 00:00:00"' in written.stdout
    assert 'meta hour != "09:00"-"23:00" meta time > "2019-12-31 15:00:00"' in listed.stdout


def test_an_unknown_zone_is_refused() -> None:
    refused = tcemu("--tz", "Nowhere/Land", "nft", "list ruleset")
    assert (refused.returncode, refused.stderr.splitlines()[0]) == (2, "error: 'Nowhere/Land' is no time zone")
