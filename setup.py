"""Build: the hot modules through mypyc, the grammars into their exported tables, grammar and man pages into the package.

What to compile is written once, in pyproject's ``[tool.tcemu]``. No compiler, or ``TCEMU_COMPILE=0``: the same
files are installed to run interpreted.
"""

from __future__ import annotations

import os
import shutil
import sys
import tomllib
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent


class BuildWithData(build_py):
    """Ship grammar/, man/ and the exported parse tables as package data."""

    def run(self) -> None:
        super().run()
        data = Path(self.build_lib) / "tcemu" / "data"
        if self.editable_mode:
            data = HERE / "tcemu" / "data"
        data.mkdir(parents=True, exist_ok=True)
        for pattern in ("grammar/*.lark", "man/*.[1-8]"):
            for source in sorted(HERE.glob(pattern)):
                shutil.copy2(source, data / source.name)
        sys.path.insert(0, str(HERE))
        try:
            from tcemu.syntax.build import export_all

            export_all(HERE / "grammar", data)
        finally:
            sys.path.remove(str(HERE))


def compiled() -> list[Extension]:
    """The extensions that mypyc makes of the written list; none where that is not wanted or not possible."""
    if os.environ.get("TCEMU_COMPILE") == "0" or shutil.which(os.environ.get("CC", "cc")) is None:
        return []
    try:
        from mypyc.build import mypycify
    except ImportError:
        return []
    modules = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["tcemu"]["compiled"]
    try:
        extensions = mypycify(["--strict", "--follow-imports=silent", *modules], opt_level="3", debug_level="0")
    except (SystemExit, Exception) as slip:  # a mypy that is stricter than the one this was written for says no, or breaks down
        print(f"tcemu: mypyc does not take the modules ({type(slip).__name__}); they are installed to run interpreted", file=sys.stderr)
        return []
    for extension in extensions:
        extension.optional = True
        if sys.platform == "linux":  # nobody else defines the modules' C functions, so they are called directly, not by a table
            extension.extra_link_args = [*extension.extra_link_args, "-Wl,-Bsymbolic-functions"]
    return list(extensions)


os.chdir(HERE)
setup(ext_modules=compiled(), cmdclass={"build_py": BuildWithData})
