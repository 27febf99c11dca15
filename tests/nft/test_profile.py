"""Which nft and which kernel: the version's language and listings, and modules that the kernel lacks."""

from __future__ import annotations

import pytest

from tcemu import Session
from tcemu.diagnostics import TcemuError

NEWER = {
    "destroy": "destroy table ip nope",
    "typeof with an object": "add map ip t m { typeof ip saddr : limit; }",
    "counter behind a timeout": "add set ip t s { type mark; timeout 1h; counter; elements = { 1 timeout 3s counter }; }",
    "timeout with a unit": "add ct timeout ip t u { protocol tcp; policy = { close : 12s }; }",
    "mark from a port": "add rule ip t c meta mark set tcp dport",
    "shifted value": "add rule ip t c ct mark >> 2 5",
    "port of a map without protocol": "add rule ip t n redirect to :tcp dport map { 22 : 23 }",
}
BEFORE = "table ip t { chain c { }; chain n { type nat hook prerouting priority 0; }; }"


def opened(profile: str) -> Session:
    session = Session(strict=True, profile=profile)
    assert session.nft(BEFORE).exit_code == 0
    return session


@pytest.mark.parametrize("text", NEWER.values(), ids=NEWER.keys())
@pytest.mark.parametrize(("profile", "exit_code"), [("", 0), ("nft-1.0.6", 1), ("nft-1.1", 0)])
def test_newer_syntax_is_taken_by_newer_versions(profile: str, exit_code: int, text: str) -> None:
    assert opened(profile).nft(text).exit_code == exit_code


def test_the_option_is_stronger_than_the_session() -> None:
    assert opened("nft-1.0.6").nft(["--profile", "1.1", "destroy table ip nope"]).exit_code == 0
    assert opened("").nft(["--profile", "1.0.6", "destroy table ip nope"]).exit_code == 1


@pytest.mark.parametrize(
    ("rule", "older", "newer"),
    [
        ("tcp flags & (fin|syn) == syn", "tcp flags syn / fin,syn", "tcp flags & (fin | syn) == syn"),
        ("ip frag-off != 33-45", "ip frag-off != 33-45", "ip frag-off != 0x21-0x2d"),
    ],
)
def test_listings_are_those_of_the_version(rule: str, older: str, newer: str) -> None:
    """nftables 1.1.4 tests/py ip/ip.t and inet/tcp.t."""
    for profile, listed in (("", older), ("nft-1.0.6", older), ("nft-1.1", newer)):
        session = opened(profile)
        session.nft(f"add rule ip t c {rule}")
        assert f"\t\t{listed}\n" in session.nft("list chain ip t c").stdout
        assert opened("").nft(f"add rule ip t c {listed}").exit_code == 0


@pytest.mark.parametrize(
    ("module", "family", "rule", "reason"),
    [
        ("nft_queue", "ip", "queue num 2", "No such file or directory"),
        ("nft_reject_bridge", "bridge", "reject", "No such file or directory"),
        ("nft_meta_bridge", "bridge", 'meta ibrname "br0"', "Operation not supported"),
        ("nf_conntrack_bridge", "bridge", "ct mark set 1", "Protocol error"),
    ],
)
def test_a_kernel_without_a_module_refuses_what_needs_it(module: str, family: str, rule: str, reason: str) -> None:
    """A Linux built without them, nft 1.0.6."""
    text = f"table {family} x {{ chain c {{ type filter hook input priority 0; {rule}; }}; }}"
    assert Session(strict=True).nft(text).exit_code == 0
    answer = Session(strict=True, profile=f"no-{module}").nft(text)
    assert (answer.exit_code, answer.stderr.split("\n")[0]) == (1, f"Error: Could not process rule: {reason}")


def test_an_unknown_module_is_no_word_of_a_profile() -> None:
    with pytest.raises(TcemuError):
        Session(profile="no-nft_nothing")
