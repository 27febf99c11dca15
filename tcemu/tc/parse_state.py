"""What is known while a command is read: the frame, the readers under way, what is said on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tcemu.host import profile
from tcemu.syntax.words import Word
from tcemu.tc import friendly
from tcemu.tc.command import (
    ActionSpec,
)
from tcemu.tc.complaint import USAGE, ComplaintError, no_device
from tcemu.tc.ledger import Ledger
from tcemu.world import World

LISTS: Final = ("list", "show", "lst")
MAKES_NOTHING: Final = (*LISTS, "get", "delete", "del")
ROOT: Final = 0xFFFFFFFF
INGRESS: Final = 0xFFFFFFF2
EGRESS: Final = 0xFFFFFFF3
INGRESS_PARENT: Final = 0xFFFFFFF1


class Names:
    """What the reading of words needs of the world: devices by name, whether it is strict, and where notes go."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.strict = world.strict
        self.profile = profile.of(world)
        self.said: list[str] = []

    def index(self, name: str) -> int:
        """A device's index; a friendly world makes the device."""
        number = device_number(self.world, name)
        if number:
            return number
        if self.strict or not friendly.valid_name(name):
            raise no_device(name)
        return friendly.make_device(self.world, name, self.said)

    def known(self, name: str) -> int:
        """The index of a device that must be there, for commands that ask or remove: they make nothing."""
        number = device_number(self.world, name)
        if not number:
            raise no_device(name)
        return number


def device_number(world: World, name: str) -> int:
    """A device's index, 0 if it is not there."""
    device = world.devices.look(name) if isinstance(world, Ledger) else world.host.devices.get(name)
    return 0 if device is None else device.rank


NO_WORD: Final = Word("", 0, "")


class Reading:
    """One command while it is read; the reductions are in the classes made of this."""

    def reset(self, words: Sequence[str], names: Names) -> None:
        """Be ready for another command."""
        self.words = words
        self.names = names
        self.devices = names.index
        self.said = names.said
        self.verb = ""
        self.seen: dict[str, Word] = {}
        self.dev = ""
        self.block = 0
        self.parent = 0
        self.prio = 0
        self.protocol = 0
        self.chain = 0
        self.handle: str | None = None
        self.kind = ""
        self.kind_place = 0
        self.number = 0
        self.blocks: dict[str, int] = {}
        self.rest: tuple[str, ...] = ()
        self.reader: Any = None
        self.act: Any = None
        self.acts: list[ActionSpec] | None = None
        self.cookie = ""
        self.word: Word = NO_WORD

    def say(self, text: str) -> None:
        """What a reader says on standard error though nothing is wrong."""
        self.said.append(text)

    def device(self) -> str:
        """The frame's device, looked up; the empty name if there is none."""
        if self.dev:
            (self.names.known if self.verb in MAKES_NOTHING else self.devices)(self.dev)
        return self.dev

    def bad_action(self, text: str) -> ComplaintError:
        """What the caller of parse_action adds."""
        where = "fw " if self.kind == "fw" else ""
        return ComplaintError(f'{text}Illegal {where}"action"\n', 1 if self.reader is not None else USAGE)

    def do_verb(self, word: Word) -> str:
        self.verb = word.terminal.lower().replace("_verb", "")
        return self.verb
