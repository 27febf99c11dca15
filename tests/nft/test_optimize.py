"""``nft -o``. Source: nftables 1.0.6 tests/shell/testcases/optimizations with their dumps; messages observed with nft 1.0.6."""

from __future__ import annotations

import pytest

from tcemu import Session


def after(rules: list[str]) -> tuple[list[str], str]:
    """The rules of a chain as listed after optimising, and what was said."""
    session = Session(strict=True)
    text = "table ip x {\n\tchain t1 { }\n\tchain t2 { }\n\tchain y {\n" + "".join(f"\t\t{rule}\n" for rule in rules) + "\t}\n}\n"
    answer = session.nft(["-o", "-f", "-"], stdin=text)
    assert answer.exit_code == 0, answer.stderr
    lines = session.nft("list chain ip x y").stdout.split("\n")
    return [line.strip() for line in lines[2:-3]], answer.stderr


@pytest.mark.parametrize(
    ("rules", "merged"),
    [
        (
            ["ct state invalid drop", "ct state established,related accept"],
            ["ct state vmap { invalid : drop, established : accept, related : accept }"],
        ),
        (["tcp dport { 1 } accept", "tcp dport 2-3 drop", "tcp dport 4 accept"], ["tcp dport vmap { 1 : accept, 2-3 : drop, 4 : accept }"]),
        (
            [
                "ip saddr 1.1.1.1 ip daddr 2.2.2.2 accept",
                "ip saddr 4.4.4.4 ip daddr 5.5.5.5 accept",
                "ip saddr 2.2.2.2 ip daddr 3.3.3.3 drop",
            ],
            ["ip saddr . ip daddr vmap { 1.1.1.1 . 2.2.2.2 : accept, 2.2.2.2 . 3.3.3.3 : drop, 4.4.4.4 . 5.5.5.5 : accept }"],
        ),
        (["tcp dport 1-128 accept", "tcp dport 8888-9999 accept"], ["tcp dport { 1-128, 8888-9999 } accept"]),
        (["ip version 4 jump t1", "ip version 6 jump t2"], ["ip version vmap { 4 : jump t1, 6 : jump t2 }"]),
    ],
    ids=["words", "ranges", "concatenation", "one verdict", "jumps"],
)
def test_neighbours_become_one_rule(rules: list[str], merged: list[str]) -> None:
    assert after(rules)[0] == merged


@pytest.mark.parametrize(
    "rules",
    [
        ["counter packets 0 bytes 0 jump t1", "counter packets 0 bytes 0 jump t2"],
        ["tcp dport 22 accept", "udp dport 53 accept"],
        ["tcp dport 22 accept", "tcp dport 23 reject"],
        ["tcp dport != 22 accept", "tcp dport != 23 accept"],
    ],
    ids=["no value", "other keys", "other statements", "unequal"],
)
def test_rules_that_differ_in_more_stay(rules: list[str]) -> None:
    listed, said = after(rules)
    assert (len(listed), said) == (len(rules), "")


def test_what_was_merged_is_told() -> None:
    _listed, said = after(["ip version 4 jump t1", "ip version 6 jump t2"])
    assert said == ("Merging:\n/dev/stdin:5:3-22: \t\tip version 4 jump t1\n/dev/stdin:6:3-22: \t\tip version 6 jump t2\ninto:\n\t\n")
