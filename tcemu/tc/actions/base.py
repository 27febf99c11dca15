"""What the readers of actions share: keywords to methods, control words, the index, and tc's ways to complain.

A kind's reader has a method ``on_<terminal>`` per keyword of its part of grammar/tc.lark, and `finish`, which checks the whole and makes the
`ActionSpec`. Source: iproute2 6.1 tc/m_action.c parse_action, tc/tc_util.c __parse_action_control.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

from tcemu.ir.effect import Effect
from tcemu.syntax.words import Word
from tcemu.tc import readers
from tcemu.tc.command import ActionSpec, Control
from tcemu.tc.complaint import USAGE, ComplaintError, incomplete, invalid
from tcemu.tc.filter_base import method_of
from tcemu.tc.usage import usage

if TYPE_CHECKING:
    from tcemu.tc.parse import Parse

PIPE: Final = Control("PIPE", 0)
OK: Final = Control("OK", 0)
STOLEN: Final = Control("STOLEN", 0)
COOKIE_SIZE: Final = 16  # TC_COOKIE_MAX_SIZE
HW_STATS: Final = (("immediate", 1), ("delayed", 2), ("disabled", 0))


class ActionReader:
    """Reads the words of one action."""

    KIND = ""
    USAGE = ""  # the name of its usage text, if that is not the kind
    DEFAULT: Control = PIPE
    HUNGRY = True  # whether a word must follow its name
    ILLEGAL_INDEX = ""  # what is said of an index that is no number

    def __init__(self, parse: Parse, head: Word) -> None:
        self.parse = parse
        self.head = head
        self.control: Control | None = None
        self.index = 0
        self.option = ""  # the filter's keyword that this stands behind, if it is no action of a list
        if self.HUNGRY and self.ends_early(head):
            self.starved()

    def value(self, name: str, word: Word) -> None:
        """A keyword with its value."""
        getattr(self, method_of(name))(word)

    def flag(self, name: str, word: Word) -> None:
        """A keyword alone."""
        getattr(self, method_of(name))(word)

    def on_index(self, word: Word) -> None:
        index = readers.unsigned(word, readers.U32)
        if index is None:
            self.fail((self.ILLEGAL_INDEX or f'{self.KIND}: Illegal "index"') + "\n")
        self.index = index

    def on_help(self, _word: Word) -> None:
        self.usage()

    def usage(self, text: str = "") -> NoReturn:
        """The kind's usage text and exit(-1)."""
        raise ComplaintError(text + usage(self.USAGE or self.KIND), USAGE, True)

    def fail(self, text: str) -> NoReturn:
        """A reader that returns -1: its own sentence, then those of everybody above it."""
        if self.option:
            raise ComplaintError(f'{text}Illegal "{self.option}"\n')
        left = len(self.parse.words) - self.head.place
        raise self.parse.bad_action(f"{text}bad action parsing\nparse_action: bad value ({left}:{self.head})!\n")

    def unknown(self, word: str) -> NoReturn:
        """A word that the action of an older tc does not have, and that is the kind of no action."""
        raise ComplaintError(f"Bad action type {word}\n{usage('gact')}", USAGE, True)

    def explain(self, text: str = "") -> NoReturn:
        """As `fail`, with the usage text."""
        self.fail(text + usage(self.KIND))

    def stray(self, word: str, last: str, words: list[Word]) -> bool:
        """A word that cannot stand behind ``last``, the symbol on top; ``words`` is what is still unreduced. Raises, or leaves it to others;
        true if the word is to be passed over."""
        return False

    def ended(self, symbols: Sequence[str], values: Sequence[Any]) -> None:
        """The words end inside something: what the parser's stack holds. Raises, or leaves it to others, who say that a value is missing."""

    def starved(self) -> NoReturn:
        """Nothing follows the name."""
        raise incomplete()

    def ends_early(self, word: Word) -> bool:
        """Whether a word is the last of the line."""
        return word.place == len(self.parse.words) - 1

    def finish(self) -> ActionSpec:
        """The action asked for."""
        raise NotImplementedError

    def spec(self, effect: Effect | None) -> ActionSpec:
        """The action with its control and index."""
        return ActionSpec(self.KIND, effect, self.control or self.DEFAULT, self.index)

    def cookie(self, word: Word) -> str:
        """A cookie: hexadecimal bytes."""
        if len(word) > 2 * COOKIE_SIZE:
            raise invalid(f"{len(word)} Max allowed size {2 * COOKIE_SIZE}", word)
        if len(word) % 2 or readers.hexbytes(word) is None:
            raise invalid("cookie must be a hex string\n", word)
        return word.lower()

    def hw_stats(self, word: Word) -> int:
        """immediate, delayed or disabled, which may be shortened."""
        for name, bit in HW_STATS:
            if name.startswith(word):
                return bit
        raise invalid("value is invalid\n", word)
