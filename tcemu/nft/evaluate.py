"""Evaluation of expressions: words get meaning, types are checked, dependencies are added.

A `Scope` is the context of one rule or command: the family, the protocols that the rule has settled on, the type that a value
is wanted in, what the rule has become so far (`done`). Nothing here edits a ruleset.
Source: nftables src/evaluate.c; messages as nft 1.0.6 gives them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.nft import dependencies
from tcemu.nft.datatypes import INVALID, TYPES, Datatype, concat_of, padded, read
from tcemu.nft.errors import NftError
from tcemu.nft.expressions import KINDS
from tcemu.nft.protocols import Context
from tcemu.nft.tree import (
    At,
    Binop,
    CatchAll,
    Concat,
    Element,
    Expr,
    Key,
    ListOf,
    MapOf,
    Prefix,
    Range,
    SetLiteral,
    SetRef,
    Stmt,
    Symbol,
    Value,
    Variable,
    Verdict,
)

if TYPE_CHECKING:
    from tcemu.nft.cache import Cache, SetInfo
    from tcemu.nft.names import Names

MAX_VARIABLES: Final = 1 << 15  # in one statement or list of elements
MAX_BITS: Final = 512  # nftables NFT_MAX_EXPR_LEN_BITS


class Scope:
    """The context of evaluation; see the module."""

    def __init__(self, family: str, table: str, names: Names, cache: Cache) -> None:
        self.family = family
        self.table = table
        self.names = names
        self.cache = cache
        self.protocols = Context(family if family else "ip")
        self.done: list[Stmt] = []
        self.errors: list[NftError] = []
        self.dtype: Datatype | None = None
        self.bits = 0
        self.order = ""
        self.maximum = 0
        self.key: Concat | None = None  # the concatenation whose parts a concatenated value meets
        self.width = 0  # of the statement's target, where one is set
        self.set: SetInfo | None = None
        self.other: Expr | None = None  # the other side of the relation
        self.depth = 0  # in lists of elements
        self.variables = 0  # how many were looked into
        self.sets: list[SetInfo] = []  # anonymous sets that the rule brings, in order
        self.chains: list[tuple[str, Any, At]] = []  # chains written in place
        self.dynamic: list[tuple[str, At, bool, bool]] = []  # sets that the rule writes: key, where, no map, with a time to live
        self.table_at: At = (-1, -1)
        self.lenient = False  # only types matter (typeof)
        self.inside: dict[str, Scope] = {}  # the contexts inside of tunnels
        self.now = 0  # ns
        self.newest = True  # what nft 1.0.6 does not have is taken too

    def fresh(self) -> Scope:
        """A new context in the same table."""
        made = Scope(self.family, self.table, self.names, self.cache)
        made.table_at = self.table_at
        made.now, made.newest = self.now, self.newest
        return made

    # ------------------------------------------------------------ what is wanted
    def want(self, dtype: Datatype | None, bits: int, order: str = "", maximum: int = 0, key: Concat | None = None) -> None:
        """Values are wanted in this type now."""
        self.dtype, self.bits, self.order, self.maximum, self.key = dtype, bits, order, maximum, key

    def primary(self, expr: Expr, maximum: int = 0) -> None:
        """A thing that is read sets what its other side is wanted in; the concatenation that is met stays."""
        self.dtype, self.bits, self.order, self.maximum = expr.dtype, expr.bits, expr.order, maximum

    def complain(self, message: str, at: At) -> None:
        """An error after which nft goes on."""
        self.errors.append(NftError(message, at))

    def dependency(self, left: Key, right: Expr) -> None:
        """Add an implied match in front of the statement that is evaluated."""
        self.done.append(Stmt(left.at, "match", op="", left=left, right=self._anonymous(left, right), implied=True))
        dependencies.learn(self, left, right, left.at)

    def _anonymous(self, left: Key, right: Expr) -> Expr:
        return self.declare(right, left, None, False) if isinstance(right, SetLiteral) else right

    # ------------------------------------------------------------ expressions
    def expr(self, expr: Expr) -> Any:
        """The evaluated form of an expression."""
        return _EVALUATE[type(expr)](self, expr)

    def symbol(self, expr: Symbol) -> Expr:
        value: Value = Value(expr.at, read(self.dtype, expr.text, expr.at, self.names))
        dtype = self.dtype or INVALID
        value.typed(dtype, dtype.bits, dtype.order)
        return self.value(value)

    def value(self, expr: Value) -> Expr:
        """A constant: it must fit."""
        if isinstance(expr.value, str):
            return self._string(expr)
        if self.maximum and expr.value > self.maximum:
            raise NftError(f"Value {expr.value} exceeds valid range 0-{self.maximum}", expr.at)
        bits = max(self.width, self.bits)
        if expr.value > (1 << bits) - 1:
            raise NftError(f"Value {expr.value} exceeds valid range 0-{(1 << bits) - 1}", expr.at)
        made: Value = Value(expr.at, expr.value).typed(expr.dtype, bits, self.order)
        return made

    def _string(self, expr: Value) -> Expr:
        text = str(expr.value)
        size = len(text.encode())
        if self.bits and size * 8 > self.bits:
            raise NftError(f"String exceeds maximum length of {self.bits // 8}", expr.at)
        bits = self.bits or size * 8
        if not text:
            raise NftError("Empty string is not allowed", expr.at)
        made: Expr = Value(expr.at, text).typed(expr.dtype, bits, "host")
        if text[-1] != "*" or text.endswith("\\*"):
            return made
        if size == 1:
            raise NftError("All-wildcard strings are not supported", expr.at)
        base: Value = Value(expr.at, text[:-1]).typed(expr.dtype, bits, "host")
        prefix: Prefix = Prefix(expr.at, base, (size - 1) * 8).typed(expr.dtype, bits, "host")
        return prefix

    def key_expr(self, expr: Key) -> Expr:
        return KINDS[expr.kind].evaluate(self, expr)

    def prefix(self, expr: Prefix) -> Expr:
        base = self.expr(expr.base)
        if not isinstance(base, Value):
            raise NftError("Prefix expression is undefined for non-constant expressions", expr.at)
        if isinstance(base.value, str):
            raise NftError("Prefix expression expected integer value", expr.at)
        if expr.length > base.bits:
            raise NftError(f"Prefix length {expr.length} is invalid for type of {base.bits} bits width", expr.at)
        low = base.value >> (base.bits - expr.length) << (base.bits - expr.length)
        value: Value = Value(expr.at, low).typed(base.dtype, base.bits, base.order)
        made: Prefix = Prefix(expr.at, value, expr.length).typed(base.dtype, base.bits, base.order)
        return made

    def range(self, expr: Range, check: bool = True) -> Range:
        low, high = self._bound(expr, expr.low), self._bound(expr, expr.high)
        if check and low.value >= high.value and not (low.value == high.value):
            raise NftError("Range has zero or negative size", expr.at)
        made: Range = Range(expr.at, low, high).typed(low.dtype, low.bits, low.order)
        return made

    def _bound(self, outer: Range, expr: Expr) -> Any:
        made = self.expr(expr)
        if made.dtype is not None and made.dtype.root in ("string", "verdict", "invalid"):
            raise NftError(f"Range expression is undefined for {made.dtype.desc} types", made.at, outer.at)
        if not isinstance(made, Value):
            raise NftError("Range is not constant", made.at, outer.at)
        return made

    def binop(self, expr: Binop) -> Expr:
        from tcemu.nft.binops import evaluate

        return evaluate(self, expr)

    def concat(self, expr: Concat) -> Concat:
        """Parts side by side; constant parts meet the parts of the key one by one."""
        dtype, key = self.dtype, self.key
        wanted = list(key.parts) if key is not None else None
        types = dtype.parts if dtype is not None and not wanted else ()
        parts: list[Expr] = []
        size = 0
        for place, part in enumerate(expr.parts):
            if isinstance(part, Key) and part.kind == "ct" and part.args[0] in ("saddr", "daddr"):
                raise NftError("specify either ip or ip6 for address matching", part.at)
            if wanted is not None and place < len(wanted):
                self.want(wanted[place].dtype, wanted[place].bits, wanted[place].order)
            elif place < len(types):
                self.want(types[place], types[place].bits, types[place].order)
            else:
                self.want(INVALID, 0)
            made = self.expr(part)
            if isinstance(made, Range | Prefix) and self.depth == 0:
                raise NftError(f"cannot use {made.what} in concatenation", made.at)
            if isinstance(made, SetLiteral | SetRef | Verdict | ListOf | CatchAll):
                raise NftError(f"cannot use {made.what} in concatenation", made.at)
            bits = (
                (wanted[place].bits if wanted is not None and place < len(wanted) else 0)
                or (made.dtype.bits if made.dtype else 0)
                or made.bits
            )
            if dtype is None and bits == 0:
                name = made.dtype.name if made.dtype else "invalid"
                raise NftError(f"can not use variable sized data types ({name}) in concat expressions", made.at, expr.at)
            size += padded(bits)
            parts.append(made)
        if size > MAX_BITS:
            raise NftError(f"Concatenation of size {size} exceeds maximum size of {MAX_BITS}", expr.at)
        made_type = concat_of(tuple(part.dtype or INVALID for part in parts))
        if dtype is not None and len(parts) < (len(wanted) if wanted is not None else len(types)):
            raise NftError(f"datatype mismatch, expected {dtype.desc if dtype else ''}, expression has type {made_type.desc}", expr.at)
        made_concat: Concat = Concat(expr.at, parts).typed(made_type, size, "")
        self.want(made_type, size, key=key or made_concat)
        return made_concat

    def list_of(self, expr: ListOf) -> Expr:
        dtype, bits = self.dtype, self.bits
        total = 0
        for item in expr.items:
            made = self.expr(item)
            if not isinstance(made, Value) or isinstance(made.value, str):
                raise NftError("List member must be a constant value", made.at)
            if made.dtype is None or made.dtype.root != "bitmask":
                raise NftError(f"Basetype of type {made.dtype.desc if made.dtype else ''} is not bitmask", made.at)
            total |= made.value
        value: Value = Value(expr.at, total).typed(dtype, bits, "host")
        return value

    def variable(self, expr: Variable) -> Any:
        """What it holds; those that hold others twice, and these again others, would not end in any useful time."""
        self.variables += 1
        if self.variables > MAX_VARIABLES:
            raise NftError(f"more than {MAX_VARIABLES} variables stand for others here", expr.at)
        return self.expr(expr.value)

    # ------------------------------------------------------------ sets
    def set_literal(self, expr: SetLiteral) -> SetLiteral:
        from tcemu.nft.sets import evaluate_literal

        return evaluate_literal(self, expr)

    def element(self, expr: Element) -> Element:
        from tcemu.nft.sets import evaluate_element

        return evaluate_element(self, expr)

    def set_ref(self, expr: SetRef) -> SetRef:
        info = expr.info or self.cache.set(self, expr.name, expr.at)
        made: SetRef = SetRef(expr.at, expr.name)
        made.info = info
        made.typed(info.dtype, info.bits, "")
        self.want(info.dtype, info.bits, key=info.concat)
        return made

    def declare(self, literal: SetLiteral, key: Expr, data: Any, verdicts: bool) -> SetRef:
        """Make an anonymous set of an evaluated literal."""
        from tcemu.nft.sets import declare

        return declare(self, literal, key, data, verdicts)

    def map_of(self, expr: MapOf) -> MapOf:
        from tcemu.nft.maps import evaluate

        return evaluate(self, expr)

    def verdict(self, expr: Verdict) -> Verdict:
        made: Verdict = Verdict(expr.at, expr.word)
        if expr.chain is not None:
            self.want(TYPES["string"], 0)
            made.chain = self.expr(expr.chain)
            if not isinstance(made.chain, Value):
                raise NftError("not a value expression", expr.chain.at)
        made.typed(TYPES["verdict"], 0, "")
        self.primary(made)
        return made

    def catchall(self, expr: CatchAll) -> CatchAll:
        made: CatchAll = CatchAll(expr.at).typed(self.dtype, self.bits, self.order)
        return made

    # ------------------------------------------------------------ arguments of statements
    def argument(self, stmt: Stmt, expr: Expr, dtype: Datatype, bits: int, order: str) -> Any:
        """An expression whose value a statement takes."""
        self.want(dtype, bits, order)
        made = self.expr(expr)
        return self.check_argument(stmt, made, dtype, bits)

    def check_argument(self, stmt: Stmt, made: Expr, dtype: Datatype, bits: int) -> Any:
        """The type of an argument must be the one wanted."""
        kind = made.dtype
        raw = isinstance(made, Key) and made.kind == "payload" and kind is not None and kind.name in ("integer", "xinteger")
        raw = raw and made.bits % 8 == 0  # a bit field is shifted and masked, which has any width
        if raw and (dtype.root not in ("integer", "bitmask") or made.bits != bits):
            raise NftError(
                f"datatype mismatch: expected {dtype.desc}, expression has type {kind.desc if kind else ''} with length {made.bits}",
                made.at,
                stmt.at,
            )
        if not compatible(dtype, kind, self.newest):
            raise NftError(
                f"datatype mismatch: expected {dtype.desc}, expression has type {kind.desc if kind else 'invalid'}", made.at, stmt.at
            )
        if isinstance(made, SetLiteral):
            raise NftError("you cannot use a set here, unknown value to use", made.at, stmt.at)
        if isinstance(made, SetRef):
            raise NftError("you cannot reference a set here, unknown value to use", made.at, stmt.at)
        return made

    def constant_range(self, expr: Expr) -> Expr:
        """A prefix as an argument is the range that it covers (stmt_prefix_conversion)."""
        if isinstance(expr, Prefix) and isinstance(expr.base, Value) and isinstance(expr.base.value, int):
            low, high = expr.base.value, expr.base.value | (1 << expr.bits - expr.length) - 1
            ends = [Value(expr.at, number).typed(expr.dtype, expr.bits, expr.order) for number in (low, high)]
            made: Range = Range(expr.at, ends[0], ends[1]).typed(expr.dtype, expr.bits, expr.order)
            return made
        return expr


def compatible(wanted: Datatype, given: Datatype | None, newest: bool = True) -> bool:
    """Plain numbers fit anywhere, and marks take what is a number to the kernel (as nft does since 1.0.8)."""
    if given is None:
        return False
    if (
        newest
        and wanted.name == "mark"
        and given.root in ("integer", "bitmask")
        and not given.parts
        and given.name not in ("ipv4_addr", "ipv6_addr")
    ):
        return True
    return wanted.same(given) or given.name in ("integer", "xinteger")


_EVALUATE: Final[dict[type, Any]] = {
    Symbol: Scope.symbol,
    Variable: Scope.variable,
    Value: Scope.value,
    Key: Scope.key_expr,
    Prefix: Scope.prefix,
    Range: Scope.range,
    Binop: Scope.binop,
    Concat: Scope.concat,
    ListOf: Scope.list_of,
    SetLiteral: Scope.set_literal,
    Element: Scope.element,
    SetRef: Scope.set_ref,
    MapOf: Scope.map_of,
    Verdict: Scope.verdict,
    CatchAll: Scope.catchall,
}
