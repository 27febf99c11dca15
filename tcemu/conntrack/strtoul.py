"""Numbers on the command line, as the C library reads them."""

from __future__ import annotations


def number(text: str) -> int:
    """strtoul with base 0: the leading number, or 0."""
    from re import match

    found = match(r"\s*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)", text)
    if found is None:
        return 0
    digits = found[2]
    value = int(digits, 16) if digits[:2].lower() == "0x" else int(digits, 8) if digits[0] == "0" else int(digits)
    return -value if found[1] == "-" else value


def is_number(text: str) -> bool:
    """Whether strtol with base 0 reads all of it."""
    from re import fullmatch

    return fullmatch(r"\s*[+-]?(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)", text) is not None


def is_decimal(text: str) -> bool:
    """Whether strtoul with base 10 reads all of it."""
    from re import fullmatch

    return fullmatch(r"\s*\+?[0-9]+", text) is not None
