"""``include "file"``: one file or a pattern, looked up beside the working directory or in the include directories.

Source: nftables src/scanner.l (scanner_include_file, scanner_include_glob); man nft, INCLUDE FILES.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tcemu.nft.compat import compatible

if TYPE_CHECKING:
    from tcemu.nft.parse import Parser

MAX_DEPTH: Final = 16
DEFAULT: Final = "/etc"


def include(p: Parser, name: str) -> None:
    """Read a file, or all that match a pattern, next."""
    at = p.at
    if p.lexer.depth >= MAX_DEPTH - 1:
        raise p.error(f"Include nested too deeply, max {MAX_DEPTH} levels", at)
    found = paths(p, name, at)
    for path in reversed(found):
        try:
            text = Path(path).read_text(encoding="utf-8", errors="surrogateescape")
        except OSError as slip:
            raise p.error(f'Could not open file "{path}": {slip.strerror}', at) from slip
        p.lexer.include(path, compatible(text), at)


def paths(p: Parser, name: str, at: tuple[int, int]) -> list[str]:
    """The files that a name stands for."""
    candidates = [name] if name.startswith(("/", "./", "../")) else [os.path.join(folder, name) for folder in (p.include_dirs or [DEFAULT])]
    wild = any(char in name for char in "*?[")
    for candidate in candidates:
        if wild:
            import glob

            found = sorted(path for path in glob.glob(candidate) if not os.path.basename(path).startswith(".") and not os.path.isdir(path))
            if found:
                return found
        elif os.path.exists(candidate):
            if os.path.isdir(candidate):
                continue
            return [candidate]
    if wild:
        return []
    raise p.error(f"File not found: {name}", at)
