"""`tcemu socket` and `tcemu osf`: what programs of the machine have."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcemu import Session


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("add tcp 1.2.3.4:5", "there is a socket tcp 1.2.3.4:5 already"),
        ("add tpc 1.2.3.4:6", "a socket is tcp or udp, then ADDR:PORT"),
        ("add tcp 1.2.3:x", '"x" is no number'),
        ("add tcp here:6", '"here" is no address'),
        ("add tcp 1.2.3.4:70000", "ports are 1 to 65535"),
        ("add tcp 1.2.3.4:6 peer [::1]:4", "a socket and its peer have addresses of one family"),
        ("add tcp 1.2.3.4:6 colour", '"colour" is not understood here, or lacks its value'),
        ("delete tcp 1.2.3.4:6", "there is no such socket"),
    ],
    ids=lambda text: text.replace(" ", "-"),
)
def test_a_socket_that_makes_no_sense_is_refused(line: str, said: str) -> None:
    with Session() as session:
        assert session.socket("add tcp 1.2.3.4:5").exit_code == 0
        refused = session.socket(line)
        assert (refused.exit_code, said in refused.stderr) == (1, True), refused.stderr
        assert session.socket("list").stdout == "tcp 1.2.3.4:5\n"


def test_sockets_are_listed_as_they_are_written() -> None:
    lines = ["tcp 0.0.0.0:80 transparent", "udp [::]:53 v6only mark 0x7", "udp 10.0.0.1:5 peer 10.0.0.2:6"]
    with Session() as session:
        for line in lines:
            assert session.socket(f"add {line}").exit_code == 0
        assert session.socket("list").stdout.splitlines() == lines
        assert session.socket(f"del {lines[2]}").exit_code == 0
        assert session.socket("flush").exit_code == 0
        assert session.socket("list").stdout == ""


def test_a_line_that_is_no_fingerprint_is_pointed_at_and_nothing_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "some.os"
    path.write_text("# remark\n\nS10:64:1:60:M*,S,T,N,W4:Linux:3.0::Linux 3.0\nx:y\n", encoding="utf-8")
    with Session() as session:
        refused = session.osf(["load", str(path)])
        assert (refused.exit_code, f"{path}:4: a fingerprint has 9 fields" in refused.stderr) == (3, True), refused.stderr
        assert session.osf("list").stdout == ""
