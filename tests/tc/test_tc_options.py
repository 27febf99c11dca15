"""Global options and what they change in listings, as tc 6.1.0 prints it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tcemu import Session

CYAN, BRIGHT, PLAIN = "\033[36m", "\033[1;36m", "\033[0m"


@pytest.fixture
def lab() -> Iterator[Session]:
    """Two devices; a filter of each of some kinds."""
    with Session(strict=True) as session:
        for name in ("eth0", "eth1"):
            session.ip(f"tuntap add dev {name} mode tap")
        for command in (
            "qdisc add dev eth0 clsact",
            "filter add dev eth0 ingress protocol ip prio 1 u32 match ip dst 10.0.0.1 flowid 1:1",
            "filter add dev eth0 ingress protocol 802.1q prio 2 flower vlan_ethtype ip action vlan push id 5 protocol 802.1ad",
            "filter add dev eth0 egress protocol all prio 3 matchall action mpls push label 300 protocol mpls_uc",
            "qdisc add dev eth1 root handle 1: drr",
            "class add dev eth1 parent 1: classid 1:10 drr",
        ):
            assert session.tc(command).exit_code == 0, command
        yield session


def test_numbers_have_no_names(lab: Session) -> None:
    ingress = lab.tc("-N filter show dev eth0 ingress").stdout
    assert "filter protocol [2048] pref 1 u32 chain 0 fh 800:" in ingress
    assert "  vlan_ethtype [2048]\n" in ingress
    assert " protocol [34984] " in ingress
    assert "  vlan_ethtype ip\n" in lab.tc("filter show dev eth0 ingress").stdout
    egress = lab.tc("-N filter show dev eth0 egress").stdout
    assert "filter protocol [3] pref 3 matchall" in egress
    assert " protocol [34887] " in egress


def test_raw_handles_are_shown_beside_the_readable_ones(lab: Session) -> None:
    text = lab.tc("-raw filter show dev eth0 ingress").stdout
    assert " fh 800:[80000000] ht divisor 1 \n" in text
    assert " fh 800::800[80000800] order 2048 " in text
    assert '"fh":"800::800[80000800]"' in lab.tc("-raw -j filter show dev eth0 ingress").stdout
    assert lab.tc("-raw qdisc show dev eth0").stdout == "qdisc clsact ffff:[ffff0000] parent ffff:fff1 \n"
    assert '"handle":"ffff:"' in lab.tc("-raw -j qdisc show dev eth0").stdout


@pytest.mark.parametrize(
    ("option", "before", "behind"),
    [
        ("-c=always", CYAN, PLAIN),
        ("-col=always", CYAN, PLAIN),
        ("-color", CYAN, PLAIN),
        ("-color=", CYAN, PLAIN),
        ("-color=never", "", ""),
        ("-c=auto", "", ""),  # no terminal
    ],
)
def test_names_of_devices_are_coloured(lab: Session, monkeypatch: pytest.MonkeyPatch, option: str, before: str, behind: str) -> None:
    monkeypatch.delenv("COLORFGBG", raising=False)
    assert f"qdisc clsact ffff: dev {before}eth0 {behind}parent ffff:fff1 \n" in lab.tc([option, "qdisc", "show"]).stdout
    assert "\033" not in lab.tc([option, "-j", "qdisc", "show"]).stdout
    assert "\033" not in lab.tc([option, "filter", "show", "dev", "eth0", "ingress"]).stdout


def test_colours_are_brighter_on_a_dark_background(lab: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORFGBG", "15;0")
    assert f"dev {BRIGHT}eth0 {PLAIN}" in lab.tc("-c=always qdisc show").stdout


@pytest.mark.parametrize("option", ["-c=x", "-c=alw", "-color=always=1", "-conf=always"])
def test_colour_is_not_asked_for_in_other_words(lab: Session, option: str) -> None:
    done = lab.tc([option, "qdisc", "show"])
    assert (done.exit_code, done.stdout, done.stderr) == (255, "", f'Option "{option}" is unknown, try "tc -help".\n')


@pytest.mark.parametrize("options", ["", "-j", "-j -p"])
def test_classes_are_text_with_json_too(lab: Session, options: str) -> None:
    assert lab.tc(f"{options} class show dev eth1").stdout == "class drr 1:10 root quantum 1514b \n"
    assert lab.tc(f"{options} class show dev eth0").stdout == ""


BRIEF = "filter show dev eth0 ingress"


def test_brief_listings_have_no_keys_and_kinds_of_actions_only() -> None:
    """Recorded: tc 6.1.0, Linux 6.1."""
    with Session(strict=True) as session:
        session.ip("tuntap add dev eth0 mode tap")
        for command in (
            "qdisc add dev eth0 clsact",
            "filter add dev eth0 ingress protocol ipv6 pref 10 handle 0x10 flower skip_hw hw_tc 1 ip_proto 47"
            " action pedit munge ip tos set 0x1e reclassify action nat egress any 1.2.3.4 action tunnel_key unset shot cookie 00",
        ):
            assert session.tc(command).exit_code == 0, command
        head = "filter protocol ipv6 pref 10 flower chain 0 \n"
        assert session.tc(f"-br {BRIEF}").stdout == (
            f"{head}{head[:-1]}handle 0x10 \n  skip_hw\n  not_in_hw\n"
            "\taction order 1:  pedit \n\taction order 2:  nat \n\taction order 3: tunnel_key \tcookie 00\n\n"
        )
        text = session.tc(f"-j -br {BRIEF}").stdout
        assert '"actions":[{"order":1,"kind":"pedit"},{"order":2,"type":"nat"},{"order":3,"kind":"tunnel_key","cookie":"00"}]' in text
        assert session.tc("-br actions ls action nat").stdout == "total acts 1\n\n\taction order 0:  nat \t index 1\n"
        assert session.tc("-br actions get action nat index 1").stdout == session.tc("actions get action nat index 1").stdout


@pytest.mark.parametrize(
    ("kind", "code"), [("u32 match u8 0 0 at 0", 1), ("fw", 0), ("basic classid 1:1", 1), ("matchall classid 1:1", 0)], ids=str
)
def test_brief_listings_of_other_kinds_end_as_the_kernel_ends_them(kind: str, code: int) -> None:
    """Recorded: tc 6.1.0, Linux 6.1, which can shorten flower alone; matchall is passed over."""
    with Session(strict=True) as session:
        session.ip("tuntap add dev eth0 mode tap")
        session.tc("qdisc add dev eth0 clsact")
        assert session.tc(f"filter add dev eth0 ingress protocol ip pref 1 {kind}").exit_code == 0
        assert session.tc("filter add dev eth0 ingress protocol ip pref 2 flower").exit_code == 0
        done = session.tc(f"-br {BRIEF}")
    assert (done.exit_code, done.stderr) == (code, "Error: Buffer too small for object.\nDump terminated\n" if code else "")
    assert done.stdout.startswith(f"filter protocol ip pref 1 {kind.split(maxsplit=1)[0]} chain 0 \n")
    assert done.stdout.count("\n") == (1 if code else 4)
