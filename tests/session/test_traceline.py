"""`nft monitor trace` in one shell hears of a replay in another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tcemu import Session
from tcemu.session import traceline

CAPTURE = Path(__file__).resolve().parents[2] / "examples" / "captures" / "office.pcap"
RULES = """
table inet t {
	chain p {
		type filter hook prerouting priority raw;
		meta nftrace set 1
	}
}
"""


def test_a_monitor_hears_of_a_replay_in_another_shell(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    with Session(path) as session:
        assert session.nft(["-f", "-"], stdin=RULES).exit_code == 0
        command = [sys.executable, "-m", "tcemu", "--session", path, "nft", "monitor", "trace"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as monitor:
            assert monitor.stdout is not None
            while not traceline.is_heard(session):
                assert monitor.poll() is None
            session.replay({"eth0": str(CAPTURE)})
            line = monitor.stdout.readline()
            monitor.terminate()
    assert line.startswith('trace id 00000003 inet t p packet: iif "eth0" ether saddr 02:00:5e:00:10:15 ')


def test_what_a_killed_monitor_left_is_cleared_away(tmp_path: Path) -> None:
    with Session(str(tmp_path / "s.db")) as session:
        Path(traceline.place(session)).touch()
        assert not traceline.is_heard(session)
        assert not Path(traceline.place(session)).exists()
