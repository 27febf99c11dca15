"""Profiles: what a particular card or switch holds and how fast it is, as TOML.

::

    name = "my-card"            backend = "mlx5"
    capacity = 65536            flows that fit, 0 for no limit
    insertion_rate = 20000      flows a second that go in, 0 for at once; a flow waits in software until then
    aging = 30                  seconds after which the backend forgets an unused flow by itself, 0 for never
    hit_cost = 0                ns of the host's processor for a packet on the backend's path …
    miss_cost = 1000            … and for one that misses it: both only for the estimate in ``tcemu offload stats``
    devices = ["eth0"]          the devices that it has; none named: all
    protocols = ["tcp", "udp"]  nat = true  ipv6 = true
    [driver]                    what a single backend wants to know
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from typing import Any, Final

from tcemu.diagnostics import Diagnostic, StateError, near

PROTOCOLS: Final = {"tcp": 6, "udp": 17, "gre": 47}
FOLDER: Final = os.path.join(os.path.dirname(__file__), "profiles")
MAX_RATE: Final = 1_000_000_000


@dataclass(frozen=True)
class Profile:
    """See the module's text; a backend ignores what it has no use for."""

    name: str = ""
    backend: str = ""
    capacity: int = 0
    insertion_rate: int = 0
    aging: int = 0
    hit_cost: int = 0
    miss_cost: int = 0
    devices: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ("tcp", "udp", "gre")
    nat: bool = True
    ipv6: bool = True
    driver: dict[str, Any] = field(default_factory=dict)

    def numbers(self) -> tuple[int, ...]:
        """The protocols by number."""
        return tuple(PROTOCOLS[name] for name in self.protocols)

    def document(self) -> dict[str, Any]:
        """As JSON keeps it; `read` takes it back."""
        return {one.name: list(value) if isinstance(value := getattr(self, one.name), tuple) else value for one in fields(self)}


KINDS: Final[dict[str, type]] = {one.name: type(one.default) for one in fields(Profile) if one.name != "driver"} | {"driver": dict}


def read(document: dict[str, Any], place: str) -> Profile:
    """A profile from what TOML or JSON gave; a StateError says which key is wrong."""
    given: dict[str, Any] = {}
    for key, value in document.items():
        kind = KINDS.get(key)
        if kind is None:
            guess = near(key, tuple(KINDS))
            raise _wrong(place, f"there is no key {key!r} in a profile", f"did you mean {guess}?" if guess else f"keys: {', '.join(KINDS)}")
        if kind is tuple:
            if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
                raise _wrong(place, f"{key} is a list of words")
            given[key] = tuple(value)
            continue
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise _wrong(place, f"{key} is {'a number' if kind is int else 'true or false' if kind is bool else 'text'}, not {value!r}")
        if isinstance(value, int) and not 0 <= value <= MAX_RATE:
            raise _wrong(place, f"{key} is from 0 to {MAX_RATE:,}, not {value}")
        given[key] = value
    profile = Profile(**given)
    unknown = [name for name in profile.protocols if name not in PROTOCOLS]
    if unknown:
        raise _wrong(place, f"{unknown[0]!r} is no protocol that flow tables take", "they take tcp, udp and gre")
    return profile


def _wrong(place: str, sentence: str, hint: str = "") -> StateError:
    return StateError(f"{place}: {sentence}", (Diagnostic(f"{place}: {sentence}", hint=hint),))


def load(path: str) -> Profile:
    """The profile in a file."""
    import tomllib

    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except OSError as slip:
        raise StateError(f"{path} cannot be read: {slip.strerror}") from slip
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as slip:
        raise StateError(f"{path} is not TOML: {slip}") from slip
    return read(document, path)


def built_in() -> list[str]:
    """The names of the profiles that come with tcemu."""
    return sorted(name.removesuffix(".toml") for name in os.listdir(FOLDER) if name.endswith(".toml"))


def built_in_profile(name: str) -> Profile | None:
    """The profile of a name that comes with tcemu; None if there is none."""
    return load(os.path.join(FOLDER, f"{name}.toml")) if name in built_in() else None


def choose(word: str) -> Profile:
    """The profile that a user's word means: a file, a built-in profile, or only a backend."""
    if word.endswith(".toml") or os.sep in word:
        profile = load(word)
        if not profile.backend:
            raise _wrong(word, "it does not say which backend it is for", 'backend = "mlx5"')
        return profile
    return built_in_profile(word) or Profile(name=word, backend=word)
