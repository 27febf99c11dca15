"""Settings of the machine (sysctl(8), procps 4.0.2: words, exit codes), and what they change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcemu import Result, Session
from tcemu.session.rulesfile import RulesError, load_rules

NO_SUCH = "sysctl: cannot stat /proc/sys/net/ipv4/foo: No such file or directory\n"


def test_what_is_written_is_shown_and_kept() -> None:
    with Session() as session:
        assert session.sysctl("-w net.ipv4.ip_forward=1") == Result(0, "net.ipv4.ip_forward = 1\n", "")
        assert session.sysctl("-n net/ipv4/ip_forward").stdout == "1\n"


def test_two_names_of_one_setting() -> None:
    """net/ipv4/devinet.c devinet_sysctl_forward; nf_conntrack_standalone.c has nf_conntrack_max twice."""
    with Session() as session:
        session.sysctl("-q net.ipv4.conf.all.forwarding=1 net.nf_conntrack_max=7")
        assert session.sysctl("-n net.ipv4.ip_forward net.netfilter.nf_conntrack_max").stdout == "1\n7\n"


def test_defaults_are_the_kernels() -> None:
    with Session() as session:
        listed = session.sysctl("-a").stdout
    assert "net.ipv4.ip_forward = 0\n" in listed
    assert "net.netfilter.nf_conntrack_tcp_timeout_established = 432000\n" in listed
    assert listed == "".join(sorted(listed.splitlines(keepends=True)))


@pytest.mark.parametrize(
    ("words", "code", "stderr"),
    [
        ("net.ipv4.foo", 1, NO_SUCH),
        ("-e net.ipv4.foo", 0, ""),
        ("-w net.ipv4.ip_forward", 1, "sysctl: command line(0): invalid syntax, continuing...\n"),
        ("net.ipv4.ip_forward=x", 1, "error: net.ipv4.ip_forward cannot be set to 'x'\nhint: it is a number\n"),
        ("net.netfilter.nf_conntrack_maxx=1", 1, "error: there is no setting net.netfilter.nf_conntrack_maxx\nhint: did you mean net.netfilter.nf_conntrack_max?\n"),
        ("net.core.somaxconn=5", 0, "tcemu: net.core.somaxconn is kept and changes nothing here\n"),
        ("-ar (", 1, "sysctl: could not compile: (: missing ), unterminated subpattern at position 0\n"),
    ],
)  # fmt: skip
def test_what_cannot_be_done(words: str, code: int, stderr: str) -> None:
    with Session() as session:
        answer = session.sysctl(words)
    assert (answer.exit_code, answer.stderr) == (code, stderr)


def test_the_rest_of_a_command_is_done_all_the_same() -> None:
    with Session() as session:
        assert session.sysctl("net.ipv4.foo net.ipv4.ip_forward=1") == Result(1, "net.ipv4.ip_forward = 1\n", NO_SUCH)


def test_a_file_of_settings() -> None:
    with Session() as session:
        answer = session.sysctl("-p -", "# remark\n; another\nnet.ipv4.ip_forward = 1\n-net.netfilter.nf_none=1\nbad\n")
        assert answer == Result(1, "net.ipv4.ip_forward = 1\n", "sysctl: -(5): invalid syntax, continuing...\n")
        assert session.sysctl("-p none").stderr == 'sysctl: cannot open "none": No such file or directory\n'


def test_a_dry_run_writes_nothing() -> None:
    with Session() as session:
        assert session.sysctl("--dry-run net.ipv4.ip_forward=1").stdout == "net.ipv4.ip_forward = 1\n"
        assert session.sysctl("--values net.ipv4.ip_forward").stdout == "0\n"


@pytest.mark.parametrize("words", ["-z", "--zz", "-r", ""])
def test_a_wrong_option_shows_how_it_is_used(words: str) -> None:
    with Session() as session:
        answer = session.sysctl(words)
    assert answer.exit_code == 1
    assert "sysctl [options]" in answer.stdout + answer.stderr


def test_scripts_of_rules_set_settings(tmp_path: Path) -> None:
    script = tmp_path / "setup.sh"
    script.write_text("#!/bin/sh\nsysctl -qw net.ipv6.conf.all.forwarding=1\necho 1 > /proc/sys/net/ipv4/ip_forward\n")
    with Session() as session:
        load_rules(session, str(script))
        assert session.sysctl("-n net.ipv4.ip_forward net.ipv6.conf.all.forwarding").stdout == "1\n1\n"


def test_a_scripts_wrong_setting_has_its_line(tmp_path: Path) -> None:
    script = tmp_path / "setup.sh"
    script.write_text("#!/bin/sh\n\necho yes > /proc/sys/net/ipv4/ip_forward\n")
    with Session() as session, pytest.raises(RulesError) as caught:
        load_rules(session, str(script))
    assert f"{script}:3:1" in caught.value.render()
