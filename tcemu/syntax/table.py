"""Exported parse tables: what the build makes of a grammar and the driver runs.

A table is one marshalled dictionary (see `Table.export`). It ships in the package's ``data`` folder; in a source
tree, where ``grammar/`` lies beside the package, a stale one is made anew by `tcemu.syntax.build` if Lark is there.

Actions of a state are as bison has them: a *default* reduction and a row of the other actions, shared between
states; a state that holds nothing but its default is *eager* and reduces before the next token is looked at.
"""

from __future__ import annotations

import marshal
import os
import re
from typing import TYPE_CHECKING, Any, Final

from tcemu.diagnostics import StateError

if TYPE_CHECKING:
    from pathlib import Path

FORMAT: Final = 4  # raise when the dictionary changes, so that stale tables are seen

# what becomes of a child when a rule is reduced
DROP: Final = 0
KEEP: Final = 1
SPLICE: Final = 2
ABSENT: Final = 3  # no child: a None stands here

NO_DEFAULT: Final = -1
PASS: Final = "?"
END: Final = "$END"
ERROR: Final = "ERROR"


class Table:
    """A parse table, ready to run. Terminals, nonterminals, rules and states are small numbers; 0 is the end of input.

    rows[row_of[state]]: terminal -> action; an action n >= 0 shifts to state n, else it reduces rule -1 - n.
    default[state]: the rule reduced on any other terminal, or NO_DEFAULT. eager[state]: 1 if nothing else is there.
    gotos[nonterminal]: (usual target, {state: other target}).
    """

    __slots__ = (
        "accept",
        "conflicts",
        "default",
        "digest",
        "eager",
        "gotos",
        "keywords",
        "length",
        "names",
        "number",
        "plain",
        "recipe",
        "row_of",
        "rows",
        "rule_of",
        "spelt",
        "spliced",
        "starts",
        "symbol_of",
        "terminals",
        "ways",
        "whole",
    )

    def __init__(self, data: dict[str, Any]) -> None:
        self.digest: str = data["digest"]
        self.terminals: list[str] = data["terminals"]  # names by number
        self.spelt: dict[str, list[int]] = {}  # spelling -> terminals, in order of declaration; filled by `spelling`
        self.number: dict[str, int] = {name: number for number, name in enumerate(self.terminals)}
        self.keywords: list[tuple[str, ...]] = data["keywords"]  # spellings by terminal, () for what is no keyword
        self.whole: bytes = data["whole"]  # by terminal: 1 if its spellings cannot be shortened
        self.starts: dict[str, int] = data["starts"]  # start rule -> state
        self.accept: dict[str, int] = data["accept"]  # start rule -> state in which the end has been shifted
        self.row_of: list[int] = data["row_of"]
        self.rows: list[dict[int, int]] = data["rows"]
        self.default: list[int] = data["default"]
        self.eager: bytes = data["eager"]
        self.symbol_of: list[str] = data["symbol_of"]  # state -> the symbol that leads into it
        self.gotos: list[tuple[int, dict[int, int]]] = data["gotos"]
        self.rule_of: list[int] = data["rule_of"]  # rule -> its nonterminal
        self.length: bytes = data["length"]  # rule -> how many symbols it takes off the stack
        self.names: list[str] = data["names"]  # rule -> alias, else rule name, else PASS
        self.spliced: bytes = data["spliced"]  # rule -> 1 if its value is a list that goes into its parent's
        self.recipe: list[bytes] = data["recipe"]  # rule -> DROP, KEEP, SPLICE, ABSENT per child
        self.plain: list[int] = data["plain"]  # rule -> the one child that a rule without action passes on, or -1
        self.conflicts: list[str] = data["conflicts"]  # shift/reduce conflicts resolved as shift
        self.ways: dict[bytes, dict[int, int]] = {}  # by `Driver.kinds`: where chains of unit reductions lead

    def spelling(self) -> dict[str, list[int]]:
        """Each keyword's spelling with the terminals that are spelt so, in order of declaration."""
        if not self.spelt:
            for terminal, spellings in enumerate(self.keywords):
                for text in spellings:
                    self.spelt.setdefault(text, []).append(terminal)
        return self.spelt

    def export(self) -> bytes:
        """The table as the bytes of a ``.table`` file."""
        data = {name: getattr(self, name) for name in self.__slots__ if name not in ("number", "spelt", "ways")}
        return marshal.dumps({"format": FORMAT, **data})


_loaded: dict[str, Table] = {}


def load(name: str) -> Table:
    """The table of ``grammar/<name>.lark``, loaded once per process; StateError when there is none that fits."""
    if name not in _loaded:
        package = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
        if os.path.exists(os.path.join(os.path.dirname(package), "grammar")):
            from pathlib import Path  # takes 3 ms, which an installed package can save

            _loaded[name] = _find(name, Path(package))
        else:
            shipped = os.path.join(package, "data", f"{name}.table")
            _loaded[name] = _given(_read(shipped), shipped)
    return _loaded[name]


def digest_of(grammar: Path) -> str:
    """A hash over a grammar file and the files beside it that it imports."""
    from hashlib import sha256

    text = grammar.read_text(encoding="utf-8")
    parts = [text]
    for other in sorted(set(re.findall(r"^%import\s+\.(\w+)", text, re.M))):
        parts.append((grammar.parent / f"{other}.lark").read_text(encoding="utf-8"))
    return sha256("\0".join(parts).encode()).hexdigest()


def _find(name: str, package: Path) -> Table:
    """The shipped table; where the grammar's source is at hand and newer, a fresh one."""
    shipped = package / "data" / f"{name}.table"
    grammar = package.parent / "grammar" / f"{name}.lark"
    table = _read(shipped)
    try:
        newest = max(file.stat().st_mtime_ns for file in grammar.parent.glob("*.lark")) if grammar.exists() else 0
        if newest == 0 or (table is not None and shipped.stat().st_mtime_ns > newest):
            return _given(table, shipped)
    except OSError:
        return _given(table, shipped)
    if table is not None and table.digest == digest_of(grammar):
        return table
    try:
        from tcemu.syntax.build import write_table
    except ImportError as missing:
        raise StateError(f"{shipped} is out of date and cannot be rebuilt without lark (pip install lark)") from missing
    return write_table(grammar, shipped)


def _given(table: Table | None, shipped: str | Path) -> Table:
    if table is None:
        raise StateError(f"parse table {shipped} is missing or unreadable; reinstall tcemu or run python -m tcemu.syntax.build")
    return table


def _read(path: str | Path) -> Table | None:
    """A table file, or None if it is not there, broken or of another format."""
    try:
        with open(path, "rb") as file:
            data = marshal.loads(file.read())
        return Table(data) if data["format"] == FORMAT else None
    except (OSError, ValueError, EOFError, TypeError, KeyError):
        return None


def write_atomically(path: Path, content: bytes) -> None:
    """Put a file in place so that a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(path)
