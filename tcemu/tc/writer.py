"""One printer, two faces: every call names the JSON key and the text format, as iproute2's print_* functions do.

So text and JSON cannot drift apart. The JSON face streams like lib/json_writer.c does, because some of tc's printers write bare
text into the middle of it (connmark, skbmod, fw, basic in 6.1.0) and the recordings hold them to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

FORMS: Final = 1000  # formats that are remembered
PIECES: Final = 1000


class Options(NamedTuple):
    """tc's global options as far as output goes: how often each was given."""

    stats: int = 0
    details: int = 0
    raw: int = 0
    json: int = 0
    pretty: int = 0
    oneline: int = 0
    numeric: int = 0
    names: int = 0
    brief: int = 0
    iec: int = 0
    timestamp: int = 0
    tshort: int = 0
    color: int = 0


class Form:
    """A format that has one ``%s``, ``%u`` or ``%d``: what stands before and behind it."""

    __slots__ = ("before", "behind")

    def __init__(self, before: str, behind: str) -> None:
        self.before = before
        self.behind = behind


def halved(form: str) -> Form | None:
    """A format as a `Form`; None for one that asks for more than that, or for less."""
    before, mark, behind = form.partition("%")
    return Form(before, behind[1:]) if mark and behind[:1] in ("s", "u", "d") and "%" not in behind else None


class Writer:
    """Collects what is printed; `value` gives it all."""

    __slots__ = (
        "_comma",
        "_depth",
        "_done",
        "_forms",
        "_line_end",
        "_out",
        "_quoted",
        "brief",
        "colour",
        "exists",
        "json",
        "numeric",
        "oneline",
        "options",
        "plain",
        "pretty",
        "raw",
        "stats",
        "terse",
        "zones",
    )

    def __init__(self, options: Options) -> None:
        self.options = options
        self.json = bool(options.json)
        self.pretty = bool(options.pretty)
        self.stats = options.stats > 0
        self.brief = bool(options.brief)
        self.oneline = bool(options.oneline)
        self.numeric = options.numeric > 0
        self.raw = options.raw > 0
        self.colour = options.color > 0 and not self.json
        self.terse = False  # whether this is a listing that the kernel was asked to keep short
        self.plain = not self.json and not self.brief and not self.stats
        self.exists: Callable[[str], bool] = bool  # whether there is a device of that name
        self.zones = True  # whether the kernel has zones of connection tracking, and tells them
        self._line_end = "\\" if options.oneline else "\n"
        self._out: list[str] = []
        self._done: list[str] = []
        self._forms: dict[str, Form] = {}
        self._depth = 0
        self._comma = ""
        self._quoted: Callable[[str], str] = str
        if self.json:
            from json.encoder import encode_basestring

            self._quoted = encode_basestring

    def value(self) -> str:
        """Everything printed so far."""
        return "".join(self._done) + "".join(self._out)

    def settle(self) -> None:
        """Make one text of pieces, once they are many; marks are void from here on."""
        if len(self._out) > PIECES:
            self._done.append("".join(self._out))
            self._out.clear()

    def sibling(self) -> Writer:
        """An empty writer that prints as this one does."""
        other = Writer(self.options)
        other.exists, other.zones = self.exists, self.zones
        return other

    def taken(self) -> str:
        """What was printed since the last `settle`, which goes no further."""
        text = "".join(self._out)
        self._out.clear()
        return text

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
            parts = self._forms.get(form) or self._form(form)
            if parts is None:
                self._out.append(form % value if "%" in form else form)
            else:
                self._fill(parts, value)

    def number(self, key: str, form: str, value: int) -> None:
        """PRINT_ANY of a number; an empty format is JSON alone."""
        if self.json:
            self._name(key)
            self._out.append(str(value))
        elif form:
            parts = self._forms.get(form) or self._form(form)
            if parts is None:
                self._out.append(form % value if "%" in form else form)
            else:
                self._fill(parts, str(value))

    def _form(self, form: str) -> Form | None:
        """`halved`, remembered."""
        found = halved(form)
        if found is not None and len(self._forms) < FORMS:
            self._forms[form] = found
        return found

    def _fill(self, form: Form, text: str) -> None:
        if form.before:
            self._out.append(form.before)
        self._out.append(text)
        if form.behind:
            self._out.append(form.behind)

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
