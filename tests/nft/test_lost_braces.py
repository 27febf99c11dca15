"""Listings of mails whose closing braces were lost: TCEMU_COMPAT=lost-braces."""

from __future__ import annotations

import pytest

from tcemu import Session
from tcemu.nft.compat import closed

MAIL = """\ttable ip x {
\t        flowtable w {
\t                hook ingress priority -100 devices = { eth0, eth1 };

\t        chain y {
\t                type filter hook forward priority 0; policy accept;
\t                ip protocol tcp flow offload @w
"""
LISTED = """table ip x {
\tflowtable w {
\t\thook ingress priority -100
\t\tdevices = { eth0, eth1 }
\t}

\tchain y {
\t\ttype filter hook forward priority filter; policy accept;
\t\tip protocol tcp flow add @w
\t}
}
"""


def test_a_listing_without_closing_braces_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cover letter of the flow table patches of 2017."""
    session = Session()
    assert session.nft(["-f", "-"], stdin=MAIL).exit_code == 1
    monkeypatch.setenv("TCEMU_COMPAT", "lost-braces")
    assert session.nft(["-f", "-"], stdin=MAIL).exit_code == 0
    assert session.nft("list ruleset").stdout == LISTED


def test_both_old_forms_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TCEMU_COMPAT", "flow-offload-v1,lost-braces")
    session = Session()
    text = (
        "table inet x {\n  chain y {\n    type filter hook forward priority 0; policy accept;\n    ip protocol tcp flow offload counter\n"
    )
    assert session.nft(["-f", "-"], stdin=text).exit_code == 0
    assert "\t\tip protocol tcp flow offload counter packets 0 bytes 0\n" in session.nft("list ruleset").stdout


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("table ip a {\n chain c {\n  accept # {\ntable ip b {\n}\n", "table ip a {\n chain c {\n  accept;};} # {\ntable ip b {\n}\n"),
        ("table ip a {\n chain c {\n  accept\n}\n", "table ip a {\n chain c {\n  accept;}\n}\n"),
        ('table ip a {\n chain c {\n  comment "{"\n', 'table ip a {\n chain c {\n  comment "{";};}\n'),
        (LISTED, LISTED),
        ("table ip a {\n set s {\n  elements = { 1,\n 2 }\n }\n}\n", "table ip a {\n set s {\n  elements = { 1,\n 2 }\n }\n}\n"),
    ],
    ids=["comment", "inner one", "quoted", "nothing lost", "elements over lines"],
)
def test_braces_are_put_in_where_the_indentation_says(text: str, whole: str) -> None:
    assert closed(text) == whole


def test_messages_keep_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TCEMU_COMPAT", "lost-braces")
    answer = Session().nft(["-f", "-"], stdin=MAIL.replace("tcp flow", "nope flow"))
    assert answer.stderr.startswith("/dev/stdin:7:")
