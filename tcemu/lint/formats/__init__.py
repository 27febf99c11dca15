"""What a report looks like: text for people, and the forms that other programs read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tcemu.lint.run import Report

NAMES: Final = ("text", "json", "sarif", "github", "gitlab", "junit")


def writer(name: str) -> Callable[[Report, bool], str]:
    """The function that writes a form; its second argument asks for colours."""
    from importlib import import_module

    made: Callable[[Report, bool], str] = import_module(f"tcemu.lint.formats.{name}").write
    return made
