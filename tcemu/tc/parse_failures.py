"""What tc says of words that the grammar does not take.

The words before the one that failed are read as a command of their own first: what was pending there (an action's last checks) is complained of
before the word is looked at. When they are complete, the word stands at the beginning of something; else inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from tcemu.syntax.table import load
from tcemu.syntax.words import Word, WordFailure, parse_words
from tcemu.tc.command import (
    ChainCommand,
    Command,
)
from tcemu.tc.complaint import USAGE, ComplaintError, incomplete
from tcemu.tc.parse_state import LISTS
from tcemu.tc.usage import usage

if TYPE_CHECKING:
    from tcemu.tc.parse import Parse
    from tcemu.tc.parse_state import Names

Again = Callable[[Sequence[str], "Names"], Command]


_PROBE: Final[dict[str, Callable[..., Any]]] = {
    f"{name}_{what}": lambda *_items: None
    for name in ("filter", "chain", "qdisc", "class", "actions")
    for what in ("modify", "get", "list")
} | {"nothing": lambda *_items: None}


def complain(failure: WordFailure, words: Sequence[str], reading: Parse, before: int, again: Again) -> Command:
    """Say what tc says of a word that the grammar does not take here.

    The words before it are read as a command of their own first: what was pending there (an action's last checks) is complained of
    before the word is looked at. When they are complete, the word stands at the beginning of something; else inside.
    """
    symbols = failure.symbols
    word, index = failure.word, failure.index
    if not symbols:
        raise ComplaintError(f'Object "{word}" is unknown, try "tc help".\n', USAGE)
    if index == len(words):
        return _ended(failure, reading)
    reading.reset(words, reading.names)
    del reading.said[before:]
    try:
        parse_words(load("tc"), words[:index], {**reading.actions, **_PROBE})
    except WordFailure:
        return _inside(failure, reading, again)
    return _beside(failure, reading)


def _ended(failure: WordFailure, reading: Parse) -> Command:
    """The words ended too early; a few kinds say more of it than that a value is missing."""
    symbols = failure.symbols
    act: Any = reading.act
    if symbols[-1] == "acts_verb":
        raise reading.bad_action("")
    if symbols[-1] == "ACT":
        raise reading.bad_action("bad action empty 1\nparse_action: bad value (0:(null))!\n")
    if act is not None:
        act.ended(symbols, failure.values)
    elif act is None and reading.reader is not None:
        reading.reader.ended(symbols[-1], [value for value in failure.values if isinstance(value, Word)])
    raise incomplete()


def _verb_unknown(failure: WordFailure) -> Command | None:
    names = {"FILTER": "filter", "QDISC": "qdisc", "CHAIN_OBJECT": "chain", "ACTIONS": "actions", "CLASS": "class"}
    if len(failure.symbols) == 1 and failure.symbols[0] in names:
        raise ComplaintError(f'Command "{failure.word}" is unknown, try "tc {names[failure.symbols[0]]} help".\n', USAGE)
    return None


def _inside(failure: WordFailure, reading: Parse, again: Again) -> Command:
    """A word in the middle of something unfinished: the kind under way says what it thinks of it."""
    _verb_unknown(failure)
    last = failure.symbols[-1]
    if last == "GOTO":
        reading.bad_control('"chain index" expected\n')
    if reading.act is not None:
        values = [value for value in failure.values if isinstance(value, Word)]
        if reading.act.stray(failure.word, last, values):
            return again([*reading.words[: failure.index], *reading.words[failure.index + 1 :]], reading.names)
    elif reading.reader is not None:
        reading.reader.stray(failure.word, failure.symbols[-1], [value for value in failure.values if isinstance(value, Word)])
    return _beside(failure, reading)


def _beside(failure: WordFailure, reading: Parse) -> Command:
    """A word where a key, an action or a kind could begin."""
    _verb_unknown(failure)
    word = failure.word
    if reading.acts is not None:
        if word == "help":
            raise reading.bad_action("")
        raise ComplaintError(f"Bad action type {word}\n{usage('gact')}", USAGE, True)
    if reading.reader is not None:
        reading.reader.complain(word)
    rest = reading.words[failure.index + 1 :]
    if failure.symbols[0] == "CHAIN_OBJECT" and reading.verb == "get":
        reading.check_place()
        reading.device()
        if rest:
            raise ComplaintError(f'Garbage instead of arguments "{rest[0]} ...". Try "tc filter help".\n', USAGE)
        return ChainCommand(reading.command("get"))
    if failure.symbols[0] in ("QDISC", "CLASS"):
        return _beside_qdisc(failure, reading)
    if reading.verb in LISTS:
        raise ComplaintError(f' What is "{word}"? Try "tc filter help"\n', USAGE)
    found = reading.unknown_kind(word, rest)
    return ChainCommand(found) if failure.symbols[0] == "CHAIN_OBJECT" else found


def _beside_qdisc(failure: WordFailure, reading: Parse) -> Command:
    """A word that a qdisc does not take."""
    word = failure.word
    if reading.verb in LISTS:
        raise ComplaintError(f'What is "{word}"? Try "tc {failure.symbols[0].lower()} help".\n', USAGE)
    raise ComplaintError(f'What is "{word}"?\nUsage: ... {reading.kind}\n')
