"""What the parser builds and the evaluator types: expressions, statements, commands.

An expression has a place (``at``: offsets of `tcemu.nft.lexer`). Evaluation never changes a parsed expression: it makes a new
one with ``dtype``, ``bits`` and ``order`` ("host", "big" or ""), because a variable's value is evaluated at each use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tcemu.nft.datatypes import Datatype

At = tuple[int, int]
NOWHERE: At = (-1, -1)
KERNEL: At = (-2, -2)  # what was read from the kernel


class Expr:
    """The root of expressions. ``what`` is nft's word for the kind, used in messages."""

    __slots__ = ("at", "bits", "dtype", "order")
    what = "invalid"
    always_constant = False
    always_single = False

    def __init__(self, at: At) -> None:
        self.at = at
        self.dtype: Datatype | None = None
        self.bits = 0
        self.order = ""

    def constant(self) -> bool:
        """Its value is known without a packet."""
        return self.always_constant

    def singleton(self) -> bool:
        """It is one value, not a range or several."""
        return self.always_single

    def typed(self, dtype: Datatype | None, bits: int, order: str) -> Any:
        """Set type, width and byte order; returns self."""
        self.dtype = dtype
        self.bits = bits
        self.order = order
        return self


class Symbol(Expr):
    """A word, number or quoted string whose meaning the context's type gives."""

    __slots__ = ("quoted", "text")
    what = "symbol"
    always_constant = True

    def __init__(self, at: At, text: str, quoted: bool = False) -> None:
        super().__init__(at)
        self.text = text
        self.quoted = quoted


class Variable(Expr):
    """``$name``; its value is looked up when it is parsed."""

    __slots__ = ("name", "value")
    what = "variable"

    def __init__(self, at: At, name: str, value: Expr) -> None:
        super().__init__(at)
        self.name = name
        self.value = value


class Value(Expr):
    """A constant: an int, or a str for types of text."""

    __slots__ = ("value",)
    what = "value"
    always_constant = True
    always_single = True

    def __init__(self, at: At, value: int | str) -> None:
        super().__init__(at)
        self.value = value


class Prefix(Expr):
    """``base / length``; the length in bits."""

    __slots__ = ("base", "length")
    what = "prefix"
    always_constant = True

    def __init__(self, at: At, base: Expr, length: int) -> None:
        super().__init__(at)
        self.base = base
        self.length = length


class Range(Expr):
    """``low - high``."""

    __slots__ = ("high", "low")
    what = "range"
    always_constant = True

    def __init__(self, at: At, low: Expr, high: Expr) -> None:
        super().__init__(at)
        self.low = low
        self.high = high


class Concat(Expr):
    """``a . b . c``."""

    __slots__ = ("parts",)
    what = "concat"

    def __init__(self, at: At, parts: list[Expr]) -> None:
        super().__init__(at)
        self.parts = parts

    def constant(self) -> bool:
        return all(part.constant() for part in self.parts)

    def singleton(self) -> bool:
        return all(part.singleton() for part in self.parts)


class ListOf(Expr):
    """``a, b, c``: bits to be combined."""

    __slots__ = ("items",)
    what = "list"
    always_constant = True

    def __init__(self, at: At, items: list[Expr]) -> None:
        super().__init__(at)
        self.items = items


class SetLiteral(Expr):
    """``{ a, b }``."""

    __slots__ = ("items",)
    what = "set"
    always_constant = True

    def __init__(self, at: At, items: list[Expr]) -> None:
        super().__init__(at)
        self.items = items


class Element(Expr):
    """A member of a set literal: key, what it maps to, options, statements."""

    __slots__ = ("comment", "data", "expires", "key", "stmts", "timeout")
    what = "set element"

    def __init__(self, at: At, key: Expr) -> None:
        super().__init__(at)
        self.key = key
        self.data: Expr | None = None
        self.timeout: int | None = None  # ms
        self.expires: int | None = None
        self.comment: str | None = None
        self.stmts: list[Stmt] = []

    def constant(self) -> bool:
        return self.key.constant()

    def singleton(self) -> bool:
        return self.key.singleton()


class CatchAll(Expr):
    """``*`` as an element."""

    __slots__ = ()
    what = "catch-all set element"
    always_constant = True
    always_single = True


class SetRef(Expr):
    """``@name``, or the anonymous set that a literal became (``info`` is set by the evaluator)."""

    __slots__ = ("info", "name")
    what = "set reference"
    always_constant = True

    def __init__(self, at: At, name: str) -> None:
        super().__init__(at)
        self.name = name
        self.info: Any = None


class Binop(Expr):
    """``left op right``; op is one of & | ^ << >>."""

    __slots__ = ("left", "op", "right")
    what = "binop"

    def __init__(self, at: At, op: str, left: Expr, right: Expr) -> None:
        super().__init__(at)
        self.op = op
        self.left = left
        self.right = right


class MapOf(Expr):
    """``key map { … }`` or ``key map @name``."""

    __slots__ = ("key", "mappings")
    what = "map"
    always_constant = True

    def __init__(self, at: At, key: Expr, mappings: Expr) -> None:
        super().__init__(at)
        self.key = key
        self.mappings = mappings


class Verdict(Expr):
    """accept, drop, continue, return, jump or goto a chain."""

    __slots__ = ("chain", "word")
    what = "verdict"
    always_constant = True
    always_single = True

    def __init__(self, at: At, word: str, chain: Expr | None = None) -> None:
        super().__init__(at)
        self.word = word
        self.chain = chain


class Key(Expr):
    """Something read from the packet or its surroundings: ``kind`` names the file that knows it, ``args`` say which.

    ``inner`` holds expressions that it is made of (what jhash hashes).
    """

    __slots__ = ("args", "inner", "kind")

    def __init__(self, at: At, kind: str, args: tuple[Any, ...], inner: tuple[Expr, ...] = ()) -> None:
        super().__init__(at)
        self.kind = kind
        self.args = args
        self.inner = inner


class Stmt:
    """A statement: ``kind`` names the file that knows it; ``args`` are its parts as that file has them."""

    __slots__ = ("args", "at", "kind")

    def __init__(self, at: At, kind: str, **args: Any) -> None:
        self.at = at
        self.kind = kind
        self.args = args


class Spec:
    """What a command names: family, table, name, handle, and where each is written."""

    __slots__ = ("at", "family", "handle", "handle_at", "index", "name", "name_at", "position", "table", "table_at")

    def __init__(self, at: At, family: str = "ip", table: str = "", table_at: At = NOWHERE, name: str = "", name_at: At = NOWHERE) -> None:
        self.at = at
        self.family = family
        self.table = table
        self.table_at = table_at
        self.name = name
        self.name_at = name_at
        self.handle: int | None = None
        self.handle_at: At = NOWHERE
        self.index: int | None = None
        self.position = False

    def outer(self) -> Spec:
        """The table alone."""
        return Spec(self.at, self.family, self.table, self.table_at)

    def plain(self) -> Spec:
        """Table and name, without handle or index."""
        return Spec(self.at, self.family, self.table, self.table_at, self.name, self.name_at)

    def copy(self) -> Spec:
        """A copy that can be changed."""
        new = Spec(self.at, self.family, self.table, self.table_at, self.name, self.name_at)
        new.handle, new.handle_at, new.index, new.position = self.handle, self.handle_at, self.index, self.position
        return new


class Command:
    """A command: ``op`` (add, create, list …), ``what`` it concerns, the spec, and a body where there is one."""

    __slots__ = ("at", "body", "op", "spec", "what")

    def __init__(self, at: At, op: str, what: str, spec: Spec, body: Any = None) -> None:
        self.at = at
        self.op = op
        self.what = what
        self.spec = spec
        self.body = body


class Rule:
    """A rule as written."""

    __slots__ = ("at", "comment", "stmts")

    def __init__(self, at: At, stmts: list[Stmt], comment: str | None) -> None:
        self.at = at
        self.stmts = stmts
        self.comment = comment


class Body:
    """The settings of a block: values by name with their places, and members in order."""

    __slots__ = ("at", "members", "places", "values")

    def __init__(self, at: At = NOWHERE) -> None:
        self.at = at
        self.values: dict[str, Any] = {}
        self.places: dict[str, At] = {}
        self.members: list[Command] = []
