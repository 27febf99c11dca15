"""Which kernel and which tools a ruleset is meant for: ``linux-6.1,nft-1.0.6,iproute2-6.1``."""

from __future__ import annotations

from typing import Final, NamedTuple

from tcemu.diagnostics import TcemuError

Version = tuple[int, ...]
NAMES: Final = ("linux", "nft", "iproute2")
TARGET: Final[dict[str, Version]] = {"linux": (6, 1), "nft": (1, 0, 6), "iproute2": (6, 1)}


class Profile(NamedTuple):
    """The versions; ``said`` names those that the user gave."""

    linux: Version = TARGET["linux"]
    nft: Version = TARGET["nft"]
    iproute2: Version = TARGET["iproute2"]
    said: frozenset[str] = frozenset()


def read(text: str) -> Profile:
    """A profile from the command line. Raises TcemuError with exit code 2."""
    found: dict[str, Version] = dict(TARGET)
    said = set()
    for part in filter(None, text.split(",")):
        name, dash, version = part.strip().rpartition("-")
        numbers = version.split(".")
        if not dash or name not in NAMES or not all(number.isdigit() for number in numbers):
            raise TcemuError(f"{part!r} is no part of a profile: it wants NAME-VERSION, NAME one of {', '.join(NAMES)}", exit_code=2)
        found[name] = tuple(int(number) for number in numbers)
        said.add(name)
    return Profile(found["linux"], found["nft"], found["iproute2"], frozenset(said))


def show(version: Version) -> str:
    """``6.1``."""
    return ".".join(str(number) for number in version)
