"""Rows of numbers: native vectors when compiled, plain lists when not.

Compiled code indexes a `vec[i64]` as C indexes an array; CPython indexes a list faster than anything else. The type says
`vec[i64]` for both, and only what both can do is done with them: indexing, ``len()`` and iteration.
"""

from __future__ import annotations

from typing import Final, cast

from librt.vecs import vec
from mypy_extensions import i64

COMPILED: Final = not __file__.endswith(".py")


def numbers(values: list[int]) -> vec[i64]:
    """The numbers as a row that does not grow; interpreted, the list itself."""
    if not COMPILED:
        return cast("vec[i64]", values)
    return vec[i64](values)
