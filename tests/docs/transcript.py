"""Runs what documents show: ``$ command`` lines, and under each the output that it must give.

``...`` in an output stands for what differs from run to run: alone on a line for any lines, within a line for any text. A command whose output is
not shown must end well; one whose output is shown must give it, standard error included, and end well too.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PATIENCE = 120


class Command(NamedTuple):
    """A command and the lines that were shown below it."""

    line: str
    output: list[str]


def commands(text: str) -> Iterator[Command]:
    """The commands of a block; what goes on below stands behind ``>``."""
    current: Command | None = None
    for line in text.split("\n"):
        if line.startswith("$ "):
            if current is not None:
                yield current
            current = Command(line[2:], [])
        elif current is not None and not current.output and (line == ">" or line.startswith("> ")):
            current = Command(f"{current.line}\n{line[2:]}", [])
        elif current is not None:
            current.output.append(line.rstrip())
    if current is not None:
        yield current


def run(command: Command, folder: Path, environment: dict[str, str]) -> None:
    """Run a command and hold it to what is shown."""
    done = subprocess.run(
        ["/bin/sh", "-c", command.line],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    said = trimmed(done.stdout)
    assert done.returncode == 0, f"$ {command.line}\n{said}exit code {done.returncode}"
    shown = trimmed("\n".join(command.output))
    assert not shown or pattern(shown).fullmatch(said), f"$ {command.line}\nshown:\n{shown}\ngiven:\n{said}"


def trimmed(text: str) -> str:
    """Without space at the ends of lines, and without empty lines around."""
    lines = "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")
    return lines + "\n" if lines else ""


def pattern(shown: str) -> re.Pattern[str]:
    """What a shown output allows."""
    lines = shown.removesuffix("\n").split("\n")
    return re.compile(
        "".join(r"(?:.*\n)*?" if line.strip() == "..." else ".*?".join(map(re.escape, line.split("..."))) + r"\n" for line in lines)
    )
