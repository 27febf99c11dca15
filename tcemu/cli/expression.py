"""A packet from a scapy expression, read with `ast` and never evaluated.

Allowed are calls of scapy's layer classes with literal arguments, ``/`` between layers, literal payloads (``b"…"``, ``"…"``, ``Raw(…)``) and
multiplication of a payload by a number (``b"x"*100``). Anything else is refused with a caret under it. Hex digits alone are a frame's bytes.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Any, Final

from tcemu.diagnostics import Diagnostic, Span, SyntaxFailure, near

MODULES: Final = (
    *(
        f"scapy.layers.{name}"
        for name in ("l2", "inet", "inet6", "sctp", "vxlan", "dns", "dhcp", "ppp", "l2tp", "eap", "ntp", "rip", "igmp")
    ),
    *(f"scapy.contrib.{name}" for name in ("mpls", "geneve")),
)
MAX_REPEAT: Final = 65_535
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2}[\s:]*)+")


def frame_of(text: str) -> bytes:
    """The bytes of a packet that a text describes. Raises SyntaxFailure."""
    bare = text.strip()
    if len(bare) >= 28 and _HEX.fullmatch(bare):
        return bytes.fromhex(re.sub(r"[\s:]", "", bare))
    try:
        tree = ast.parse(bare, "<packet>", mode="eval").body
    except (SyntaxError, ValueError) as slip:
        column = getattr(slip, "offset", None) or 1
        raise _fail(bare, column, column + 1, f"not a packet: {getattr(slip, 'msg', slip)}") from slip
    if not _has_layer(tree):
        raise _fail(bare, 1, len(bare) + 1, "not a packet", 'write layers, as in Ether()/IP(dst="10.0.0.2")/TCP(dport=80)')
    reader = Reader(bare)
    built = reader.value(tree)
    try:
        return bytes(built)
    except Exception as slip:  # scapy fails in its own ways on values that do not fit their fields
        raise _fail(bare, 1, len(bare) + 1, f"scapy cannot build this packet: {slip}") from slip


def _has_layer(tree: ast.expr) -> bool:
    return any(isinstance(node, ast.Call) for node in ast.walk(tree))


class Reader:
    """Turns the tree of an expression into a packet, refusing what is not on the list."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._classes = layer_classes()

    def value(self, node: ast.expr) -> Any:
        """A layer, a stack of layers, or a payload."""
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            return self._stack(node)
        if isinstance(node, ast.Call):
            return self._layer(node)
        return self._literal(node)

    def _stack(self, node: ast.BinOp) -> Any:
        left, right = self.value(node.left), self.value(node.right)
        try:
            return left / right
        except TypeError as slip:
            raise self._refuse(node, "these cannot be put on each other") from slip

    def _layer(self, node: ast.Call) -> Any:
        if not isinstance(node.func, ast.Name):
            raise self._refuse(node.func, "only layers of scapy may be called")
        make = self._classes.get(node.func.id)
        if make is None:
            guess = near(node.func.id, self._classes)
            raise self._refuse(node.func, f"no layer is called {node.func.id}", f"did you mean {guess}?" if guess else "")
        keywords = {}
        for word in node.keywords:
            if word.arg is None:
                raise self._refuse(word.value, "** is not allowed here")
            self._check_field(node, make, word)
            keywords[word.arg] = self._argument(word.value)
        arguments = [self._argument(argument) for argument in node.args]
        try:
            return make(*arguments, **keywords)
        except Exception as slip:
            raise self._refuse(node, f"scapy does not take this: {slip}") from slip

    def _check_field(self, node: ast.Call, make: Any, word: ast.keyword) -> None:
        names = [field.name for field in getattr(make, "fields_desc", ())]
        if names and word.arg not in names:
            guess = near(str(word.arg), names)
            raise self._refuse(
                word, f"{make.__name__} has no field {word.arg}", f"did you mean {guess}?" if guess else f"it has {', '.join(names)}"
            )

    def _argument(self, node: ast.expr) -> Any:
        if isinstance(node, ast.List | ast.Tuple):
            made = [self._argument(item) for item in node.elts]
            return made if isinstance(node, ast.List) else tuple(made)
        if isinstance(node, ast.Call | ast.BinOp) and not _is_repeat(node):
            return self.value(node)
        return self._literal(node)

    def _literal(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes | int | float | bool | None):
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            number = node.operand.value
            if isinstance(number, int | float):
                return -number
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            what, times = self._literal(node.left), self._literal(node.right)
            if isinstance(what, int):
                what, times = times, what
            if isinstance(what, str | bytes) and isinstance(times, int) and 0 <= len(what) * times <= MAX_REPEAT:
                return what * times
        raise self._refuse(node, "only layers, numbers, strings and lists of them may stand here")

    def _refuse(self, node: ast.AST, sentence: str, hint: str = "") -> SyntaxFailure:
        start = _column(self._text, getattr(node, "col_offset", 0))
        end = _column(self._text, getattr(node, "end_col_offset", 0) or 0)
        return _fail(self._text, start + 1, max(end, start + 1) + 1, sentence, hint)


def _is_repeat(node: ast.expr) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult)


def _column(text: str, offset: int) -> int:
    """The place in characters of a place in UTF-8 bytes."""
    return len(text.encode()[:offset].decode("utf-8", "ignore"))


def _fail(text: str, start: int, end: int, sentence: str, hint: str = "") -> SyntaxFailure:
    line = text.split("\n", 1)[0]
    return SyntaxFailure(sentence, (Diagnostic(sentence, (Span("", 1, start, min(end, len(line) + 1)),), line, hint),))


def layer_classes() -> dict[str, Callable[..., Any]]:
    """The layer classes that an expression may name."""
    import importlib
    import logging

    logging.getLogger("scapy").setLevel(logging.ERROR)  # scapy warns of missing routes on import
    from scapy.packet import Packet, Raw

    found: dict[str, Callable[..., Any]] = {"Raw": Raw}
    for name in MODULES:
        try:
            module = importlib.import_module(name)
        except ImportError:  # not every version of scapy has every module
            continue
        found |= {
            key: thing
            for key, thing in vars(module).items()
            if isinstance(thing, type) and issubclass(thing, Packet) and thing.__module__ == name and not key.startswith("_")
        }
    return found
