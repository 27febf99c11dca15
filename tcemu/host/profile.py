"""Which kernel, tc and nft a session stands for, where they are not the usual ones: ``linux-5.15,nft-1.0.6,no-zones``.

Words: ``linux-VERSION`` and ``iproute2-VERSION`` (keys that are newer than that are unknown, older ones are known even to a strict
session), ``nft-VERSION`` (whose language is read and listed), ``no-zones`` (a kernel built without CONFIG_NF_CONNTRACK_ZONES, as many
small devices have it), and ``no-MODULE`` for a module that the kernel lacks.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tcemu.diagnostics import Diagnostic, TcemuError

Version = tuple[int, ...]
NAMES: Final = ("linux", "iproute2")
NO_ZONES: Final = "no-zones"
# modules that a kernel may lack, of those that nft's statements and keys ask for
MODULES: Final = (
    "nft_queue",
    "nft_reject_bridge",
    "nft_meta_bridge",
    "nf_conntrack_bridge",
    "nf_flow_table",
    "nft_tproxy",
    "nft_synproxy",
    "nft_socket",
    "nft_osf",
    "nft_fib",
    "nft_connlimit",
)


class Profile(NamedTuple):
    """The oldest of kernel and tc that was named (None: none was), whether connection tracking has zones, nft's version, and lacking modules."""

    version: Version | None = None
    zones: bool = True
    nft: Version | None = None
    missing: frozenset[str] = frozenset()

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
    nft: Version | None = None
    zones = True
    missing = set()
    for word in text.replace(",", " ").split():
        name, dash, number = word.rpartition("-")
        parts = number.split(".")
        numeric = all(part.isascii() and part.isdigit() for part in parts)
        if word == NO_ZONES:
            zones = False
        elif dash and name == "no" and number in MODULES:
            missing.add(number)
        elif dash and name == "nft" and numeric:
            nft = tuple(int(part) for part in parts)
        elif dash and name in NAMES and numeric:
            said = tuple(int(part) for part in parts)
            version = said if version is None else min(version, said)
        else:
            sentence = f"{word!r} is no word of a profile"
            hint = f"such as linux-6.1, iproute2-5.15, nft-1.0.6, {NO_ZONES} or no-{MODULES[0]}"
            raise TcemuError(sentence, (Diagnostic(sentence, hint=hint),), exit_code=2)
    return Profile(version, zones, nft, frozenset(missing))


def of(world: object) -> Profile:
    """The profile of a world, which need not have one."""
    found = getattr(world, "profile", PLAIN)
    return found if isinstance(found, Profile) else PLAIN
