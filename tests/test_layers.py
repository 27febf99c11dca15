"""The layers of the design: imports go down only, and the heavy libraries have one importer each."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent / "tcemu"

# what a part may import, by the first name behind "tcemu."
BASE = {"diagnostics", "fields", "clock", "shelf", "shell"}
ALLOWED = {
    "diagnostics": set(),
    "fields": set(),
    "clock": set(),
    "shelf": set(),
    "shell": set(),
    "packet": BASE,
    "capture": BASE | {"packet"},
    "host": BASE,
    "ir": BASE,
    "conntrack": BASE | {"packet"},
    "syntax": BASE,
    "world": BASE | {"host", "ir"},
    "offload": BASE | {"packet", "ir", "conntrack"},
    "engine": BASE | {"packet", "capture", "host", "ir", "conntrack", "offload"},
    "tc": BASE | {"host", "ir", "syntax", "world"},
    "nft": BASE | {"host", "ir", "syntax", "world"},
    "lint": BASE | {"host", "ir", "offload", "tc", "nft", "world"},
}
TOP = {"session", "report", "cli", "form", "__main__"}
ONLY = {"lark": "syntax", "click": "cli", "tabulate": "cli", "sqlite3": "session"}
# the conntrack tool's own front end answers as every front end does
EXTRA = {"conntrack/commands.py": {"world"}}


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_layer_may(path: Path) -> None:
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    names = imported(path)
    for library, home in ONLY.items():
        if any(name.split(".")[0] == library for name in names):
            assert part == home, f"{library} belongs to {home}/"
    if part in TOP or part == "__init__":
        return
    allowed = ALLOWED[part] | {part} | EXTRA.get(str(path.relative_to(ROOT)), set())
    used = {name.split(".")[1] for name in names if name.startswith("tcemu.")}
    assert used <= allowed, f"{sorted(used - allowed)} may not be imported from {part}/"
