"""Which kernel and which tc a session stands for, where it is not the usual one: ``linux-5.15,no-zones``.

Words: ``linux-VERSION`` and ``iproute2-VERSION`` (keys that are newer than that are unknown, older ones are known even to a strict
session), ``no-zones`` (a kernel built without CONFIG_NF_CONNTRACK_ZONES, as many small devices have it).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tcemu.diagnostics import Diagnostic, TcemuError

Version = tuple[int, ...]
NAMES: Final = ("linux", "iproute2")
NO_ZONES: Final = "no-zones"


class Profile(NamedTuple):
    """The oldest of kernel and tc that was named (None: none was), and whether connection tracking has zones."""

    version: Version | None = None
    zones: bool = True

    def knows(self, since: Version, strict: bool) -> bool:
        """Is something known that came with this version? Without a profile a strict session is 6.1, a friendly one knows all."""
        if self.version is None:
            return not strict or since <= USUAL
        return since <= self.version


USUAL: Final[Version] = (6, 1)
PLAIN: Final = Profile()


def read(text: str) -> Profile:
    """A profile from its words, with commas between. Raises TcemuError with exit code 2."""
    version: Version | None = None
    zones = True
    for word in text.replace(",", " ").split():
        name, dash, number = word.rpartition("-")
        parts = number.split(".")
        if word == NO_ZONES:
            zones = False
        elif dash and name in NAMES and all(part.isascii() and part.isdigit() for part in parts):
            said = tuple(int(part) for part in parts)
            version = said if version is None else min(version, said)
        else:
            sentence = f"{word!r} is no word of a profile"
            hint = f"such as linux-6.1, iproute2-5.15 or {NO_ZONES}"
            raise TcemuError(sentence, (Diagnostic(sentence, hint=hint),), exit_code=2)
    return Profile(version, zones)


def of(world: object) -> Profile:
    """The profile of a world, which need not have one."""
    found = getattr(world, "profile", PLAIN)
    return found if isinstance(found, Profile) else PLAIN
