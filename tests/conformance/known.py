"""Recordings that tcemu is known not to give, each with the reason. An entry that begins to pass fails its test: take it out."""

from __future__ import annotations

KNOWN: dict[tuple[str, str], str] = {}
