"""Usage texts by kind."""

from __future__ import annotations


def usage(kind: str) -> str:
    """The usage text of a kind of filter, action or object, as tc prints it on standard error."""
    from tcemu.tc.usage_texts import TEXTS

    return TEXTS[kind]
