"""What lint says holds: random rulesets, every packet of a small world run by the engine.

No packet matches a rule that is called dead; without a rule that is called redundant every packet comes to the same end; of two that are
called correlated each decides some packet; and what --fix made of a ruleset decides as the ruleset did.

Packets: eight sources, five ports, TCP and UDP, new and established. A ruleset that lint says something of is run with all of them.
"""

from __future__ import annotations

import random
from itertools import product
from pathlib import Path

import pytest

from tcemu.lint.finding import Claim
from tcemu.lint.fixing import apply
from tcemu.lint.rules.hooks import chain, table_of
from tcemu.lint.run import Choice
from tcemu.lint.space import Box
from tcemu.lint.subject import Subject
from tcemu.lint.view import Base
from tcemu.session.laboratory import Change, Laboratory
from tcemu.session.linting import Wanted, lint_paths, lint_text
from tcemu.session.witness import sample

SOURCES = [0x0A000000 + number for number in range(8)]
PORTS = (1, 2, 3, 4, 5)
DEAD = Choice(select=("NF113", "NF115"))
VERDICTS = ("accept", "drop", "drop", "accept", "jump sub", "return", "counter", "limit rate 1/hour accept", "meta mark set 1", "goto sub")


def match(dice: random.Random) -> str:
    kind = dice.randrange(9)
    port, other = sorted(dice.sample(PORTS, 2))
    return (
        f"ip saddr 10.0.0.{dice.randrange(8)}",
        f"ip saddr 10.0.0.{dice.randrange(2) * 4}/30",
        f"ip saddr != 10.0.0.{dice.randrange(8)}",
        f"tcp dport {port}",
        f"tcp dport {port}-{other}",
        f"udp dport {{ {port}, {other} }}",
        f"tcp dport != {port}",
        dice.choice(("ct state new", "ct state established", "ct state new,established", "meta mark 1")),
        f"ip saddr . tcp dport {{ 10.0.0.{dice.randrange(8)} . {port}, 10.0.0.0/29 . {other} }}",
    )[kind]


def rules(dice: random.Random, count: int, inner: bool) -> list[str]:
    found = []
    for _ in range(count):
        parts = list({match(dice).split(" ")[0]: match(dice) for _ in range(dice.choice((0, 1, 1, 2)))}.values())
        text = " ".join(parts)
        if ("udp" in text) and ("tcp" in text):
            continue
        verdict = dice.choice([word for word in VERDICTS if not (inner and "sub" in word)])
        found.append(f"{text} {verdict}".strip())
    return found


def ruleset(seed: int) -> str:
    dice = random.Random(seed)
    sub = "chain sub {\n" + "".join(f"    {rule}\n" for rule in rules(dice, 4, True)) + "  }"
    first = chain("input", *rules(dice, 4, False), priority="-10", name="first", policy=dice.choice(("accept", "drop")))
    second = chain("input", *rules(dice, 7, False), name="second")
    return table_of(sub, first, second, head="table ip f")


def everything() -> list[Box]:
    found = []
    for source, port, proto, state in product(SOURCES, PORTS, (6, 17), (8, 2)):
        dims = {"ip.saddr": source, "th.dport": port, "meta.l4proto": proto, "ct.state": state}
        found.append(Box({name: ((value, value),) for name, value in dims.items()}))
    return found


@pytest.mark.parametrize("seed", range(40))
def test_no_packet_matches_a_dead_rule(seed: int) -> None:
    subject, report = lint_text(ruleset(seed), "random", "nft", Wanted((), choice=DEAD))
    dead = {finding.key: finding.message for finding in report.findings if finding.claim is not None}
    if not dead:
        return
    laboratory = Laboratory(subject)
    base = second_of(subject)
    for box in everything():
        made = sample(box, subject.view.members, "input", {})
        hit = set(laboratory.run(made, Claim(base, (), "")).hit) & set(dead)
        assert not hit, (ruleset(seed), {key: dead[key] for key in hit}, box.dims)


def ends(subject: Subject, base: Base, change: Change | None = None) -> list[dict[str, int]]:
    """What the base chains decide of every packet; limits begin with full buckets."""
    laboratory = Laboratory(subject)
    members = laboratory.members
    return [laboratory.run(sample(box, members, "input", {}), Claim(base, (), ""), change).ends for box in everything()]


def second_of(subject: Subject) -> Base:
    return next(base for base in subject.view.bases if base.chain.endswith("second"))


@pytest.mark.parametrize("seed", range(100, 130))
def test_without_a_redundant_rule_nothing_changes(seed: int) -> None:
    subject, report = lint_text(ruleset(seed), "random", "nft", Wanted((), choice=Choice(select=("NF115",))))
    if not report.findings:
        return
    base = second_of(subject)
    before = ends(subject, base)
    for finding in report.findings:
        assert ends(subject, base, Change(aside=frozenset((finding.key,)))) == before, (finding.message, ruleset(seed))


@pytest.mark.parametrize("seed", range(200, 220))
def test_without_the_first_of_two_correlated_rules_something_changes(seed: int) -> None:
    subject, report = lint_text(ruleset(seed), "random", "nft", Wanted((), choice=Choice(select=("NF116",))))
    base = second_of(subject)
    for finding in report.findings:
        assert finding.claim is not None
        assert ends(subject, base, Change(aside=frozenset(finding.claim.takers))) != ends(subject, base), finding.message


@pytest.mark.parametrize("seed", range(300, 330))
def test_a_mended_ruleset_decides_as_before(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "rules.nft"
    path.write_text(ruleset(seed), encoding="utf-8")
    subject, report = lint_paths(Wanted((str(path),)))
    before = ends(subject, second_of(subject))
    for _ in range(5):
        if not apply(report.findings):
            break
        subject, report = lint_paths(Wanted((str(path),)))
    assert not [finding for finding in report.findings if finding.fixes]
    assert not [finding for finding in report.findings if finding.severity == "error"]
    assert ends(subject, second_of(subject)) == before, (ruleset(seed), path.read_text(encoding="utf-8"))
