"""Which kernel and tc a session stands for."""

from __future__ import annotations

import pytest

from tcemu import Session
from tcemu.diagnostics import TcemuError
from tcemu.host.profile import Profile, read

ADD = "filter add dev eth0 ingress prio 1 protocol ip flower {} action drop"
ASKING = "We have an error talking to the kernel\n"


def session(profile: str, strict: bool = True) -> Session:
    made = Session(strict=strict, profile=profile)
    made.ip("link add eth0 type dummy")
    made.tc("qdisc add dev eth0 clsact")
    return made


@pytest.mark.parametrize(
    ("profile", "strict", "key", "taken"),
    [
        ("", True, "l2_miss 1", False),
        ("", False, "l2_miss 1", True),
        ("linux-6.1", False, "l2_miss 1", False),
        ("iproute2-6.14", True, "l2_miss 1", True),
        ("linux-6.14,iproute2-6.1", True, "l2_miss 1", False),
        ("linux-5.15", False, "num_of_vlans 1", False),
        ("linux-5.15", True, "ct_state +trk", True),
        ("linux-5.2", True, "ct_state +trk", False),
        ("linux-6.6", True, "ip_proto esp spi 7", True),
        ("linux-6.5", True, "ip_proto esp", False),
    ],
)
def test_keys_are_as_old_as_the_profile(profile: str, strict: bool, key: str, taken: bool) -> None:
    with session(profile, strict) as made:
        reply = made.tc(ADD.format(key))
        assert (reply.exit_code == 0) is taken
        if not taken:
            assert reply.stderr.startswith(("What is", 'Illegal "ip_proto"'))


# listings: recorded from iproute2 6.1.0 on Linux 6.1 built without CONFIG_NF_CONNTRACK_ZONES; refusals: net/sched/act_ct.c, cls_flower.c
@pytest.mark.parametrize(
    ("action", "line"),
    [("ct", "ct pipe"), ("ct nat pipe", "ct nat pipe"), ("ct commit nat dst addr 7.7.7.2 pipe", "ct commit nat dst addr 7.7.7.2 pipe")],
)
def test_a_kernel_without_zones_lists_none(action: str, line: str) -> None:
    with session("no-zones") as made:
        assert made.tc(f"filter add dev eth0 ingress prio 1 protocol ip flower ct_state -trk action {action}").exit_code == 0
        assert f"\taction order 1: {line}\n" in made.tc("filter show dev eth0 ingress").stdout
        assert '"zone"' not in made.tc("-j filter show dev eth0 ingress").stdout


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("flower ct_zone 3 action drop", "Error: Conntrack zones isn't enabled.\n"),
        ("flower action ct zone 3", "Error: act_ct: Conntrack zones isn't enabled.\n"),
    ],
)
def test_a_kernel_without_zones_takes_none(rest: str, said: str) -> None:
    with session("no-zones") as made:
        reply = made.tc(["filter", "add", "dev", "eth0", "ingress", "prio", "1", "protocol", "ip", *rest.split()])
        assert (reply.exit_code, reply.stderr) == (2, said + ASKING)
        assert made.tc("filter show dev eth0 ingress").stdout == ""


def test_the_environment_says_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TCEMU_PROFILE", "no-zones")
    with Session() as made:
        assert made.profile == Profile(None, False)


@pytest.mark.parametrize("words", ["linux", "linux-", "linux-x", "bsd-4.4", "zones"])
def test_a_word_that_is_none(words: str) -> None:
    with pytest.raises(TcemuError, match="no word of a profile"):
        read(words)
