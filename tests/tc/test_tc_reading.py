"""The grammar, the remembered steps of the parser, and lines at random."""

from __future__ import annotations

import random
import shlex
from pathlib import Path

from tcemu.syntax.build import compile_grammar
from tcemu.syntax.table import load
from tcemu.syntax.words import WordFailure, parse_words
from tcemu.tc.kinds import ACTIONS
from tcemu.tc.parse import Parse
from tcemu.tc.parse_state import Names

from .test_tc_corpus import LINES
from .worlds import Memory

BETWEEN_ACTIONS = {"INDEX", "CONTINUE", "DROP", "GOTO", "JUMP", "OK", "PASS", "PIPE", "RECLASSIFY", "SHOT", "TRAP"}
GRAMMAR = Path(__file__).parents[2] / "grammar" / "tc.lark"


def test_conflicts_are_those_that_are_meant() -> None:
    """All are shifts: what may continue an action does, and the word "action" may be missing between two (see the grammar)."""
    conflicts = {tuple(conflict.split(" / ")) for conflict in compile_grammar(GRAMMAR).conflicts}
    kinds = {rule for rule, terminal in conflicts if terminal in BETWEEN_ACTIONS}
    assert kinds == {name if name != "bpf" else "bpf_action" for name in ACTIONS}
    assert {pair for pair in conflicts if pair[1] not in BETWEEN_ACTIONS} == {
        ("u32_key", "DIVISOR"),
        ("flow_key", "AND_KEY"),
        ("flow_key", "OR_KEY"),
    }


def test_remembered_steps_read_as_the_driver_does() -> None:
    for line in LINES:
        words = shlex.split(line.command)[1:]
        told: list[object] = []
        for way in ("driver", "walk", "walk"):
            world = line.world()
            reading = Parse()
            reading.reset(words, Names(world))
            try:
                if way == "driver":
                    told.append(_plain(parse_words(load("tc"), words, reading.actions)))
                else:
                    read = reading.walk_of(load("tc")).parse(words)
                    refused = told[0] is None or isinstance(told[0], str)  # the walk leaves it to the driver to say what is wrong
                    told.append(told[0] if read is None and refused else _plain(read))
            except WordFailure:
                told.append(None)
            except Exception as slip:
                told.append(repr(slip))
        assert told[0] == told[1] == told[2], line.command


def _plain(command: object) -> object:
    if isinstance(command, tuple):
        return tuple(_plain(part) for part in command)
    if isinstance(command, list):
        return [_plain(part) for part in command]
    if type(command).__module__.startswith("tcemu.tc."):  # a compiled class has no __slots__
        parts = {name: getattr(command, name) for name in dir(command) if not name.startswith("_")}
        return [(name, _plain(part)) for name, part in parts.items() if not callable(part)]
    return command


def test_words_at_random_are_never_a_defect() -> None:
    chance = random.Random(20230401)
    pool = sorted({word for line in LINES for word in shlex.split(line.command)})
    for _ in range(1500):
        line = chance.choice(LINES)
        words = shlex.split(line.command)[1:]
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(words) + 1)
            words[at : at + chance.randint(0, 1)] = [chance.choice([*pool, "", "0", "-1", "99999999999", "help", "\x00", "ä"])]
        reply = line.world().tc(words)
        assert reply.exit_code in (0, 1, 2, 255), words
        assert "Traceback" not in reply.stderr


def test_a_shortened_word_is_the_first_that_begins_so() -> None:
    world = Memory("eth0")
    world.ok("q add dev eth0 clsact")
    world.ok("f a dev eth0 ingress prot ip prio 3 flower ip_p tcp dst_po 80 action drop")
    text = world.ok("f sh dev eth0 ingress")
    assert "ip_proto tcp" in text
    assert "dst_port 80" in text
