"""`action ct helper`, which came with Linux 6.2 and iproute2 6.3: known to friendly sessions and to profiles as new as that."""

from __future__ import annotations

import pytest

from .worlds import ingress

LINE = "filter add dev eth0 ingress prio 1 protocol ip flower action ct commit {}"


@pytest.mark.parametrize(
    ("words", "listed"),
    [
        # source: iproute2 6.14 tc/m_ct.c ct_parse_helper (the name ends at a dash), print_ct (between label and nat)
        ("helper ipv4-tcp-ftp", "ct commit zone 0 helper ipv4-tcp-ftp pipe"),
        ("helper ipv4-6-ftp", "ct commit zone 0 helper ipv4-tcp-ftp pipe"),
        ("helper ipv6-udp-tftp-x", "ct commit zone 0 helper ipv6-udp-tftp pipe"),
        ("nat src addr 10.0.0.1 helper ipv4-udp-sip zone 3 label 01", "ct commit zone 3 label 01000000000000000000000000000000 helper ipv4-udp-sip nat src addr 10.0.0.1 pipe"),
    ],
)  # fmt: skip
def test_helper_is_listed(words: str, listed: str) -> None:
    world = ingress(strict=False)
    world.ok(LINE.format(words))
    assert f"action order 1: {listed}\n" in world.ok("filter show dev eth0 ingress")
    assert '"helper":"ip' in world.ok("-j filter show dev eth0 ingress")


@pytest.mark.parametrize(
    ("word", "code", "said"),
    [
        ("ipv5-tcp-ftp", 1, 'ct: Illegal "helper"\n'),
        ("ipv4-tcp", 1, 'ct: Illegal "helper"\n'),
        ("ipv4-nix-ftp", 1, 'ct: Illegal "helper"\n'),
        ("ipv4-tcp-" + "a" * 23, 1, 'ct: Illegal "helper"\n'),
        ("ipv4-tcp-" + "a" * 16, 2, "Error: act_ct: Failed to parse helper name.\n"),
        ("ipv4-tcp-nix", 2, "Error: act_ct: Failed to add helper.\n"),
        ("ipv4-tcp-tftp", 2, "Error: act_ct: Failed to add helper.\n"),
        ("ipv6-tcp-pptp", 2, "Error: act_ct: Failed to add helper.\n"),
        ("ipv4-udp-netbios-ns", 2, "Error: act_ct: Failed to add helper.\n"),
    ],
)
def test_helper_is_refused(word: str, code: int, said: str) -> None:
    reply = ingress(strict=False).tc(LINE.format(f"helper {word}"))
    assert reply.exit_code == code
    assert reply.stderr.startswith(said)


@pytest.mark.parametrize("words", ["helper", "helper ipv4-tcp-ftp", "helper ipv4-tcp-ftp pipe action drop"])
def test_tc_as_old_as_linux_6_1_knows_no_helper(words: str) -> None:
    # source: tc 6.1.0
    reply = ingress().tc(LINE.format(words))
    assert reply.exit_code == 255
    assert reply.stderr.startswith("Bad action type helper\nUsage: ... gact <ACTION>")
