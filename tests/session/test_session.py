"""A session as Python has it: the tools, what is kept, what a failure leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcemu import Result, Session
from tcemu.clock import wall
from tcemu.diagnostics import StateError
from tcemu.session import places
from tcemu.world import Reply, World

DROP_ALL = "filter add dev eth0 ingress protocol all prio 1 matchall action drop"


def ready(session: Session) -> Session:
    """With a device and a qdisc."""
    assert session.ip("link add eth0 type dummy").exit_code == 0
    assert session.tc("qdisc add dev eth0 clsact").exit_code == 0
    return session


# ---------------------------------------------------------------- the tools


def test_a_string_and_a_list_are_the_same_command() -> None:
    with Session() as one, Session() as other:
        assert one.ip("link add 'eth0' type dummy") == other.ip(["link", "add", "eth0", "type", "dummy"]) == Result(0, "", "")
        assert one.ip("-br link") == other.ip(["-br", "link"])


def test_every_session_is_born_with_lo() -> None:
    with Session() as session:
        assert session.ip("-br addr").stdout == "lo               UNKNOWN        127.0.0.1/8 ::1/128 \n"


def test_a_friendly_session_makes_what_is_named_first_and_says_so() -> None:
    with Session() as session:
        result = session.tc(DROP_ALL)
        assert result.exit_code == 0
        assert result.stderr.count("tcemu: note: ") == 2
        assert "eth0" in session.ip("-br link").stdout


def test_a_strict_session_refuses_what_is_not_there() -> None:
    with Session(strict=True) as session:
        assert session.tc(DROP_ALL) == Result(1, "", 'Cannot find device "eth0"\n')
        assert "eth0" not in session.ip("-br link").stdout


def test_standard_input_feeds_batches() -> None:
    with ready(Session(strict=True)) as session:
        result = session.tc(["-batch", "-"], stdin=f"{DROP_ALL}\nfilter show dev eth0 ingress\n")
        assert result.exit_code == 0
        assert "gact action drop" in result.stdout


def test_a_refused_command_changes_nothing() -> None:
    with ready(Session(strict=True)) as session:
        before = list(session.ruleset.tables), list(session.ruleset.rules), list(session.host.devices)
        assert session.tc("filter add dev eth0 ingress protocol ip flower ct_state +new+est action drop").exit_code == 2
        assert session.ip("link add eth0 type dummy").exit_code == 2
        assert (list(session.ruleset.tables), list(session.ruleset.rules), list(session.host.devices)) == before


def test_a_defect_is_raised_and_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(argv: list[str], stdin: str, world: World) -> Reply:
        with world.transaction():
            device = world.host.devices.get("lo")
            assert device is not None
            device.alias = "half"
            world.host.devices.put(device)
            raise ZeroDivisionError

    monkeypatch.setattr("tcemu.tc.commands.run", run)
    with Session() as session:
        with pytest.raises(ZeroDivisionError):
            session.tc("qdisc show")
        device = session.host.devices.get("lo")
        assert device is not None and device.alias == ""


# ---------------------------------------------------------------- what is kept


def test_a_file_keeps_what_a_command_did(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with ready(Session(path)) as session:
        session.tc(DROP_ALL)
        listed = session.tc("filter show dev eth0 ingress").stdout
    with Session(path, strict=True) as session:
        assert session.tc("filter show dev eth0 ingress").stdout == listed
        assert session.ip("link add eth0 type dummy").exit_code == 2


def test_two_sessions_of_one_file_see_each_others_commands(tmp_path: Path) -> None:
    with Session(tmp_path / "s.db") as one, Session(tmp_path / "s.db") as other:
        ready(one)
        assert other.tc(DROP_ALL) == Result(0, "", "")
        assert "matchall" in one.tc("filter show dev eth0 ingress").stdout
        one.ip("link del eth0")
        assert other.tc("qdisc show").stdout.count("eth0") == 0


def test_namespaces_are_sessions_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with Session(namespace="blue") as blue, Session(namespace="red") as red:
        blue.ip("link add eth0 type dummy")
        assert "eth0" not in red.ip("-br link").stdout
        assert blue.path == str(tmp_path / "tcemu" / "blue.db")
    assert [name for name, _ in places.sessions()] == ["blue", "red"]


def test_a_namespace_of_a_named_file_lies_beside_it(tmp_path: Path) -> None:
    with Session(tmp_path / "lab.db", namespace="blue") as session:
        assert session.path == str(tmp_path / "lab@blue.db")


@pytest.mark.parametrize("name", [".", "..", "a/b", "-x", "a\0b"])
def test_a_name_that_is_no_file_name_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(StateError, match="cannot be the name of a namespace"):
        Session(namespace=name)


def test_a_relative_state_home_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "state")  # XDG base directory specification: relative paths are invalid
    monkeypatch.setenv("HOME", str(tmp_path))
    assert places.folder() == str(tmp_path / ".local" / "state" / "tcemu")


# ---------------------------------------------------------------- time


def test_the_clock_is_the_walls_until_a_capture_sets_it(tmp_path: Path) -> None:
    with Session(tmp_path / "s.db") as session:
        assert abs(session.now() - wall()) < 60 * 10**9
        session.set_now(5)
    with Session(tmp_path / "s.db") as session:
        assert session.now() == 5
        session.set_now(None)
        assert session.now() > 5


# ---------------------------------------------------------------- devices and what hangs on them


def test_a_device_that_goes_takes_its_filters_and_empties_mirrors() -> None:
    # source: oracle scenario tc-act-mirred, ip link del d1: the action stays, "to device *"
    with ready(Session(strict=True)) as session:
        session.ip("link add eth1 type dummy")
        session.tc("qdisc add dev eth1 ingress")
        session.tc("filter add dev eth1 ingress protocol ip prio 1 flower action drop")
        session.tc("filter add dev eth0 ingress protocol ip prio 1 flower action mirred egress redirect dev eth1")
        assert session.ip("link del eth1") == Result(0, "", "")
        assert session.tc("qdisc show").stdout.count("eth1") == 0
        assert not session.ruleset.rules.children("tc dev eth1 ingress/0")
        assert "Egress Redirect to device *" in session.tc("filter show dev eth0 ingress").stdout
        assert len(session.ruleset.rules) == 1


def test_a_renamed_device_keeps_its_filters() -> None:
    with ready(Session(strict=True)) as session:
        session.ip("link add eth1 type dummy")
        session.tc("filter add dev eth0 ingress protocol ip prio 1 flower action goto chain 7")
        session.tc("filter add dev eth0 ingress chain 7 protocol ip prio 1 flower action mirred egress redirect dev eth0")
        before = session.tc("filter show dev eth0 ingress").stdout
        assert session.ip("link set eth0 name uplink") == Result(0, "", "")
        assert session.tc("filter show dev uplink ingress").stdout == before.replace("to device eth0", "to device uplink")
        assert "qdisc clsact ffff: parent ffff:fff1" in session.tc("qdisc show dev uplink").stdout
        assert session.tc("filter show dev eth0 ingress").exit_code == 1
        assert session.tc("filter add dev uplink ingress protocol ip prio 9 flower action drop") == Result(0, "", "")
        assert all("eth0" not in record.key + record.parent for record in session.ruleset.chains)
