"""One printer, two faces: every call names the JSON key and the text format, as iproute2's print_* functions do.

So text and JSON cannot drift apart. The JSON face streams like lib/json_writer.c does, because some of tc's printers write bare
text into the middle of it (connmark, skbmod, fw, basic in 6.1.0) and the recordings hold them to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

FORMS: Final = 1000  # formats that are remembered


class Options(NamedTuple):
    """tc's global options as far as output goes."""

    stats: int = 0
    details: int = 0
    raw: int = 0
    json: bool = False
    pretty: bool = False
    oneline: bool = False
    numeric: bool = False
    names: bool = False
    brief: bool = False
    iec: bool = False
    timestamp: int = 0
    tshort: int = 0
    color: bool = False


def halves(form: str) -> tuple[str, str] | None:
    """What stands before and behind the one ``%s``, ``%u`` or ``%d`` of a format; None for formats that ask for more than that."""
    before, mark, behind = form.partition("%")
    return (before, behind[1:]) if mark and behind[:1] in ("s", "u", "d") and "%" not in behind else None


class Writer:
    """Collects what is printed; `value` gives it all."""

    __slots__ = (
        "_comma",
        "_depth",
        "_forms",
        "_line_end",
        "_out",
        "_quoted",
        "brief",
        "exists",
        "json",
        "oneline",
        "options",
        "pretty",
        "stats",
        "zones",
    )

    def __init__(self, options: Options) -> None:
        self.options = options
        self.json = bool(options.json)
        self.pretty = bool(options.pretty)
        self.stats = options.stats > 0
        self.brief = bool(options.brief)
        self.oneline = bool(options.oneline)
        self.exists: Callable[[str], bool] = bool  # whether there is a device of that name
        self.zones = True  # whether the kernel has zones of connection tracking, and tells them
        self._line_end = "\\" if options.oneline else "\n"
        self._out: list[str] = []
        self._forms: dict[str, tuple[str, str] | None] = {}
        self._depth = 0
        self._comma = ""
        self._quoted: Callable[[str], str] = str
        if self.json:
            from json.encoder import encode_basestring

            self._quoted = encode_basestring

    def value(self) -> str:
        """Everything printed so far."""
        return "".join(self._out)

    def put(self, text: str) -> None:
        """Text as it is."""
        self._out.append(text)

    def mark(self) -> int:
        """Where the output ends now, for `since`."""
        return len(self._out)

    def since(self, mark: int) -> str:
        """What was printed since a mark."""
        return "".join(self._out[mark:])

    # ------------------------------------------------------------ text alone
    def text(self, text: str) -> None:
        """PRINT_FP: not in JSON."""
        if not self.json:
            self._out.append(text)

    def bare(self, text: str) -> None:
        """fprintf: goes out as it is, into JSON too."""
        self._out.append(text)

    def newline(self) -> None:
        """print_nl: a newline, or a backslash with -oneline; not in JSON."""
        if not self.json:
            self._out.append(self._line_end)

    # ------------------------------------------------------------ both
    def string(self, key: str, form: str, value: str) -> None:
        """PRINT_ANY of a string; an empty format is JSON alone."""
        if self.json:
            self._name(key)
            self._out.append(self._quoted(value))
        elif form:
            parts = self._halves(form)
            if parts is None:
                self._out.append(form % value if "%" in form else form)
            else:
                self._out.append(parts[0])
                self._out.append(value)
                self._out.append(parts[1])

    def number(self, key: str, form: str, value: int) -> None:
        """PRINT_ANY of a number; an empty format is JSON alone."""
        if self.json:
            self._name(key)
            self._out.append(str(value))
        elif form:
            parts = self._halves(form)
            if parts is None:
                self._out.append(form % value if "%" in form else form)
            else:
                self._out.append(parts[0])
                self._out.append(str(value))
                self._out.append(parts[1])

    def _halves(self, form: str) -> tuple[str, str] | None:
        """`halves`, remembered."""
        if form in self._forms:
            return self._forms[form]
        found = halves(form)
        if len(self._forms) < FORMS:
            self._forms[form] = found
        return found

    def hexadecimal(self, key: str, form: str, value: int) -> None:
        """print_hex and its kin: JSON has the digits as a string."""
        if self.json:
            self._name(key)
            self._out.append(f'"{value:x}"')
        elif form:
            self._out.append(form % value)

    def flag(self, key: str, form: str, value: bool = True) -> None:
        """PRINT_ANY of a boolean; the text is a fixed one."""
        if self.json:
            self._name(key)
            self._out.append("true" if value else "false")
        elif form:
            self._out.append(form)

    def null(self, key: str, form: str) -> None:
        """print_null: JSON null, or the text."""
        if self.json:
            self._name(key)
            self._out.append("null")
        else:
            self._out.append(form)

    # ------------------------------------------------------------ JSON alone
    def item(self, value: int | str) -> None:
        """An element of a JSON array."""
        if self.json:
            self._separate()
            self._out.append(str(value) if isinstance(value, int) else self._quoted(value))

    def open(self, key: str = "") -> None:
        """Begin an object, as a member if it has a key."""
        if self.json:
            if key:
                self._name(key)
                self._comma = ""
            self._begin("{")

    def close(self) -> None:
        """End an object."""
        if self.json:
            self._end("}")

    def open_array(self, key: str = "") -> None:
        """Begin an array, as a member if it has a key."""
        if self.json:
            if key:
                self._name(key)
                self._comma = ""
            self._begin("[")
            if self.pretty:
                self._out.append(" ")

    def close_array(self) -> None:
        """End an array."""
        if self.json:
            if self.pretty and self._comma:
                self._out.append(" ")
            self._comma = ""
            self._end("]")

    def start(self) -> None:
        """new_json_obj: the outermost array."""
        self.open_array()

    def finish(self) -> None:
        """delete_json_obj: the end of the outermost array, and a newline."""
        if self.json:
            self.close_array()
            self._out.append("\n")

    def _name(self, key: str) -> None:
        if self._comma:
            self._out.append(",")
        self._comma = ","
        self._break()
        self._out.append(f'"{key}": ' if self.pretty else f'"{key}":')

    def _separate(self) -> None:
        if self._comma:
            self._out.append(",")
        self._comma = ","

    def _begin(self, bracket: str) -> None:
        self._separate()
        self._out.append(bracket)
        self._depth += 1
        self._comma = ""

    def _end(self, bracket: str) -> None:
        self._depth -= 1
        if self._comma:
            self._break()
        self._out.append(bracket)
        self._comma = ","

    def _break(self) -> None:
        if self.pretty:
            self._out.append("\n" + "    " * self._depth)
