"""What reading JSON needs: fields out of objects with the complaints of nft, and the trail of messages behind a mistake.

nft reads with jansson, whose complaints name a line and a column: line 1, and the column in the *pattern* by which it unpacks.
An object's n-th wanted field stands in column 4 + 5 n there, and so nft points there. Everything else is nft's own "internal" message.
Source: nftables src/parser_json.c (json_unpack_err, json_lib_error), observed with nft 1.0.6.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from tcemu.nft.errors import NftError

if TYPE_CHECKING:
    from tcemu.nft.lexer import Lexer

MAX_DEPTH: Final = 512  # of expressions in each other; jansson itself stops at 2048
MISSING: Final = object()


class Unreadable(ValueError):
    """No JSON at all."""


class Failed(Exception):
    """What is being read cannot be used; why stands in the reader's messages."""


class PatternError(NftError):
    """A complaint of the library: it points to a column of its pattern in the first line of the text."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.column = column

    def lines(self, lexer: Lexer) -> str:
        source = lexer.sources[0]
        name = f"{source.name}:1:{self.column}-{self.column}: " if source.name else ""
        return f"{name}Error: {self.message}\n{source.text.partition(chr(10))[0]}\n{' ' * (self.column - 1)}^\n"


def load(text: str) -> Any:
    """The document. Raises Unreadable; numbers that fit no 64 bits and the words NaN and Infinity are none of JSON's."""
    try:
        return json.loads(text, parse_constant=_refuse, parse_int=_integer)
    except (ValueError, RecursionError) as slip:
        raise Unreadable(str(slip)) from None


def _refuse(word: str) -> Any:
    raise ValueError(word)


def _integer(digits: str) -> int:
    if len(digits) > 20 or not -(1 << 63) <= int(digits) < 1 << 63:
        raise ValueError(digits)
    return int(digits)


def typename(value: Any) -> str:
    """JSON's word for what a value is."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return {dict: "object", list: "array", str: "string", int: "integer", float: "real"}[type(value)]


KINDS: Final = {"string": str, "integer": int, "object": dict, "array": list}


def fits(value: Any, kind: str) -> bool:
    """Is a value of a kind ("" takes all)? Booleans are no numbers."""
    return not kind or (isinstance(value, KINDS[kind]) and not (kind == "integer" and isinstance(value, bool)))


def maybe(root: Any, name: str, kind: str = "", otherwise: Any = None) -> Any:
    """A field that may be missing; one of another kind counts as missing, as with nft."""
    value = root.get(name, MISSING) if isinstance(root, dict) else MISSING
    if value is MISSING:
        return otherwise
    if kind == "boolean":
        return value if isinstance(value, bool) else otherwise
    return value if fits(value, kind) else otherwise


class Messages:
    """The complaints of one reading, in order."""

    def __init__(self) -> None:
        self.errors: list[NftError] = []
        self.depth = 0

    def say(self, message: str) -> None:
        """A complaint after which reading goes on."""
        self.errors.append(NftError(message))

    def fail(self, message: str) -> Failed:
        """A complaint that ends what is being read; to be raised."""
        self.say(message)
        return Failed()

    @contextmanager
    def saying(self, message: str) -> Iterator[None]:
        """What is said behind whatever goes wrong inside."""
        try:
            yield
        except Failed:
            self.say(message)
            raise

    def need(self, root: Any, *wanted: tuple[str, str], start: int = 4) -> list[Any]:
        """Fields that must be there: (name, kind)."""
        if not isinstance(root, dict):
            raise self._pattern(f"Expected object, got {typename(root)}", start - 3)
        values = []
        for place, (name, kind) in enumerate(wanted):
            value = root.get(name, MISSING)
            if value is MISSING:
                raise self._pattern(f"Object item not found: {name}", start + 5 * place)
            if not fits(value, kind):
                raise self._pattern(f"Expected {kind}, got {typename(value)}", start + 5 * place)
            values.append(value)
        return values

    def pair(self, root: Any) -> list[Any]:
        """An array of exactly two."""
        if not isinstance(root, list):
            raise self._pattern(f"Expected array, got {typename(root)}", 1)
        if len(root) < 2:
            raise self._pattern(f"Array index {len(root)} out of range", 2 + 3 * len(root))
        if len(root) > 2:
            raise self._pattern(f"{len(root) - 2} array item(s) left unpacked", 7)
        return root

    def only(self, root: Any) -> tuple[str, Any]:
        """The one field of an object that names a kind."""
        if not isinstance(root, dict) or len(root) != 1:
            shown = json.dumps(root) if isinstance(root, dict | list) else "(null)"
            raise self.fail(f"Malformed object (too many properties): '{shown}'.")
        return next(iter(root.items()))

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """One level down; too many are refused instead of overflowing."""
        if self.depth >= MAX_DEPTH:
            raise self.fail(f"Expressions are nested more than {MAX_DEPTH} levels deep.")
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    def _pattern(self, message: str, column: int) -> Failed:
        self.errors.append(PatternError(message, column))
        return Failed()
