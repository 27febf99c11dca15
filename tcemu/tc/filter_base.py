"""What the readers of filters share: the handle, the class id, words that are none.

A kind's reader has a method ``on_<terminal>`` per keyword of its part of grammar/tc.lark; `finish` gives its options. Its module has ``READER``,
`configure` (the kernel's change()) and `show`; perhaps `released`, `listed`, `template`, ``PLAIN`` (flags that a slot keeps no options for).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

from tcemu.syntax.words import Word
from tcemu.tc import readers
from tcemu.tc.complaint import ComplaintError
from tcemu.tc.usage import usage

if TYPE_CHECKING:
    from tcemu.tc.command import ActionSpec
    from tcemu.tc.parse import Parse


_methods: Final[dict[str, str]] = {}


def method_of(terminal: str) -> str:
    """The name of the reader's method for a keyword."""
    found = _methods.get(terminal)
    if found is None:
        found = _methods[terminal] = f"on_{terminal.lower()}"
    return found


def any_number(text: str) -> int:
    """What strtol makes of a text, whatever it is."""
    found = readers.strtoul(text, 0)
    return found[0] & readers.U32 if found is not None else 0


class FilterReader:
    """Reads the words of one filter."""

    KIND = ""

    def __init__(self, parse: Parse) -> None:
        self.parse = parse
        self.handle = self.read_handle(parse.handle) if parse.handle is not None else 0
        self.classid = 0
        self.given = False
        self.options: Any = None
        self.police: ActionSpec | None = None

    def read_handle(self, text: str) -> int:
        """A handle is a number, unless the kind says else."""
        handle = readers.unsigned(text, readers.U32, 0)
        if handle is None:
            self.illegal("handle")
        return handle

    def illegal(self, name: str) -> NoReturn:
        """The usual sentence."""
        raise ComplaintError(f'Illegal "{name}"\n')

    def value(self, name: str, word: Word) -> None:
        """A keyword with its value."""
        self.given = True
        getattr(self, method_of(name))(word)

    def flag(self, name: str, word: Word) -> None:
        """A keyword alone."""
        self.given = True
        getattr(self, method_of(name))(word)

    def on_classid(self, word: Word) -> None:
        classid = readers.classid(word)
        if classid is None:
            self.illegal("classid")
        self.classid = classid

    def on_flowid(self, word: Word) -> None:
        self.on_classid(word)

    def on_flowid_whole(self, word: Word) -> None:
        self.on_classid(word)

    def on_classid_whole(self, word: Word) -> None:
        self.on_classid(word)

    @property
    def empty(self) -> bool:
        """Whether nothing at all follows the kind: then tc sends no options."""
        return not self.given and self.parse.acts is None and self.police is None

    def finish(self) -> Any:
        """All words are read."""
        raise NotImplementedError

    def stray(self, word: str, last: str, words: list[Word]) -> None:
        """A word that cannot stand inside something unfinished. Raises, or leaves it to others."""

    def ended(self, last: str, words: list[Word]) -> None:
        """The words ended inside something. Raises, or leaves it to others, who say that a value is missing."""

    def complain(self, word: str) -> NoReturn:
        """A word that is no key."""
        raise ComplaintError(usage(self.KIND) if word == "help" else f'What is "{word}"?\n{usage(self.KIND)}')
