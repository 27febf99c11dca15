"""What is called dead is dead: random rulesets, every packet of a small world run by the engine, and no packet matches a rule that lint calls dead.

Packets: eight sources, five ports, TCP and UDP, new and established. A ruleset that lint says something of is run with all of them.
"""

from __future__ import annotations

import random
from itertools import product

import pytest

from tcemu.lint.finding import Claim
from tcemu.lint.rules.hooks import chain, table_of
from tcemu.lint.run import Choice
from tcemu.lint.space import Box
from tcemu.session.laboratory import Laboratory
from tcemu.session.linting import Wanted, lint_text
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
    base = next(base for base in subject.view.bases if base.chain.endswith("second"))
    for box in everything():
        made = sample(box, subject.view.members, "input", {})
        hit = set(laboratory.run(made, Claim(base, (), "")).hit) & set(dead)
        assert not hit, (ruleset(seed), {key: dead[key] for key in hit}, box.dims)
