"""Which form of the engine runs: compiled by mypyc, or the same files interpreted.

``TCEMU_ENGINE=interpreted`` takes the source files even where compiled modules lie beside them, so that both forms can
be compared in one installation.
"""

from __future__ import annotations

import sys
from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class SourcesOnly:
    """A finder that sees only the ``.py`` files of tcemu's packages."""

    @classmethod
    def find_spec(cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if not name.startswith("tcemu.") or path is None:
            return None
        for folder in path:
            spec = FileFinder(folder, (SourceFileLoader, [".py"])).find_spec(name)
            if spec is not None:
                return spec
        return None


def interpret() -> None:
    """From here on, import tcemu's modules from their sources."""
    if SourcesOnly not in sys.meta_path:
        sys.meta_path.insert(0, SourcesOnly)


def name() -> str:
    """``compiled`` or ``interpreted``, of the evaluator that is loaded."""
    from tcemu.engine import run

    return "interpreted" if str(run.__file__).endswith(".py") else "compiled"
