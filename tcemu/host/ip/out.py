"""What `ip` prints, as text and as JSON in iproute2's own layout.

Source: iproute2 6.1 lib/json_writer.c, ip/ipaddress.c print_linkinfo().
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Options(NamedTuple):
    """The tool's options that change what is shown."""

    family: int = 0
    json: bool = False
    pretty: bool = False
    brief: bool = False
    oneline: bool = False
    details: bool = False
    stats: int = 0


def lines(options: Options, text: str) -> str:
    """``-oneline`` writes a backslash for a newline inside a record; ``text`` ends with the record's own newline."""
    if not options.oneline:
        return text
    return text[:-1].replace("\n", "\\") + "\n"


def document(options: Options, records: list[Any]) -> str:
    """A JSON document and a newline."""
    if not options.pretty:
        import msgspec

        return msgspec.json.encode(records).decode() + "\n"
    return _pretty(records, 0) + "\n"


def _pretty(value: Any, depth: int) -> str:
    if isinstance(value, dict):
        if not value:
            return "{}"
        pad = "    " * (depth + 1)
        members = ",".join(f"\n{pad}{_scalar(key)}: {_pretty(item, depth + 1)}" for key, item in value.items())
        return "{" + members + "\n" + "    " * depth + "}"
    if isinstance(value, list):
        return "[ " + ",".join(_pretty(item, depth + 1) for item in value) + (" ]" if value else "]")
    return _scalar(value)


def _scalar(value: Any) -> str:
    import msgspec

    return msgspec.json.encode(value).decode()
