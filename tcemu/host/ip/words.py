"""Reading a command line as iproute2's `ip` does: words by prefix, one after the other, and its complaints.

Source: iproute2 6.1 lib/utils.c (matches, duparg, invarg, incomplete_command), ip/ip.c do_cmd().
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol

from tcemu.diagnostics import Refused
from tcemu.host import text
from tcemu.host.model import Device, Host

USAGE: Final = 255  # exit(-1): the tool itself gives up, a batch with it
TOOL: Final = 1
KERNEL: Final = 2

FILE_EXISTS: Final = "File exists"
NO_SUCH_PROCESS: Final = "No such process"
NO_SUCH_FILE: Final = "No such file or directory"
NO_SUCH_DEVICE: Final = "No such device"
INVALID: Final = "Invalid argument"
NOT_SUPPORTED: Final = "Operation not supported"
BUSY: Final = "Device or resource busy"
NOT_AVAILABLE: Final = "Cannot assign requested address"


class Complaint(Refused):
    """What the tool says on stderr and the exit code it ends with."""

    def __init__(self, message: str, code: int = TOOL) -> None:
        super().__init__(message, exit_code=code)


class Machine(Protocol):
    """What `ip` works on; a session is one. strict: exact to the kernel; else a line may make a tap, too, that nobody holds."""

    strict: bool

    @property
    def host(self) -> Host:
        """Devices, addresses, routes, neighbours."""

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing."""

    def forget_device(self, name: str) -> None:
        """A device is gone: rulesets that hang on it follow."""

    def rename_device(self, name: str, new: str) -> None:
        """A device has another name."""


def rtnetlink(reason: str) -> Complaint:
    """The kernel's bare errno."""
    return Complaint(f"RTNETLINK answers: {reason}", KERNEL)


def kernel(sentence: str) -> Complaint:
    """The kernel's own sentence (extended ack)."""
    return Complaint(f"Error: {sentence}", KERNEL)


def wrong(argument: str, sentence: str) -> Complaint:
    """invarg()."""
    return Complaint(f'Error: argument "{argument}" is wrong: {sentence}', USAGE)


def garbage(key: str, argument: str) -> Complaint:
    """duparg2()."""
    return Complaint(f'Error: either "{key}" is duplicate, or "{argument}" is a garbage.', USAGE)


def no_device(name: str, code: int = TOOL) -> Complaint:
    """nodev()."""
    return Complaint(f'Cannot find device "{name}"', code)


class Words:
    """The words of a command, read from left to right."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self.at = 0
        self.notes = ""  # for stderr, though the command goes on
        self._seen: set[str] = set()

    def __bool__(self) -> bool:
        return self.at < len(self.words)

    @property
    def word(self) -> str:
        return self.words[self.at]

    def take(self) -> str:
        """The word, and on to the next."""
        word = self.words[self.at]
        self.at += 1
        return word

    def value(self) -> str:
        """The word after a key (NEXT_ARG)."""
        if not self:
            raise Complaint('Command line is not complete. Try option "help"', USAGE)
        return self.take()

    def rest(self) -> list[str]:
        """All that is left."""
        left = self.words[self.at :]
        self.at = len(self.words)
        return left

    def skip(self, *keys: str) -> bool:
        """Go on if the word is one of these, spelled out."""
        if self and self.word in keys:
            self.at += 1
            return True
        return False

    def once(self, key: str, value: str) -> str:
        """The value, if the key was not given before (duparg)."""
        if key in self._seen:
            raise Complaint(f'Error: duplicate "{key}": "{value}" is the second value.', USAGE)
        self._seen.add(key)
        return value

    def number(self, key: str, most: int = 0xFFFFFFFF, sentence: str = "") -> int:
        """A number after a key."""
        word = self.value()
        value = number(word, most)
        if value is None:
            raise wrong(word, sentence or f'invalid "{key}"')
        return value

    def switch(self, key: str) -> bool:
        """``on`` or ``off`` after a key."""
        word = self.value()
        if word not in ("on", "off"):
            raise Complaint(f'Error: argument of "{key}" must be "on" or "off", not "{word}"', TOOL)
        return word == "on"


def number(word: str, most: int = 0xFFFFFFFF) -> int | None:
    """A decimal, octal or hexadecimal number (get_unsigned with base 0)."""
    try:
        value = int(word, 8) if len(word) > 1 and word[0] == "0" and word.isdigit() else int(word, 0)
    except ValueError:
        return None
    return value if 0 <= value <= most and not word.startswith(("+", " ", "_")) else None


def matches(word: str, *keys: str) -> bool:
    """Is the word a beginning of one of the keys?"""
    return any(key.startswith(word) for key in keys) if word else False


def address(word: str, family: int = 0) -> tuple[int, int]:
    """(family, number) of an address word, or the tool's complaint."""
    found = text.address(word, family)
    if found is None:
        kind = {4: "inet", 6: "inet6"}.get(family, "any valid")
        raise Complaint(f'Error: {kind} address is expected rather than "{word}".', TOOL)
    return found


def prefix(word: str, family: int = 0) -> tuple[int, int, int, bool]:
    """(family, number, prefix length, length was given) of ``ADDRESS[/LENGTH]``, ``default``, ``any`` or ``all``."""
    if word in ("default", "any", "all"):
        return family or 4, 0, 0, True
    head, slash, tail = word.partition("/")
    found = text.address(head, family)
    length = _length(tail, found[0]) if found and slash else None
    if found is None or (slash and length is None):
        kind = {4: "inet", 6: "inet6"}.get(family, "any valid")
        raise Complaint(f'Error: {kind} prefix is expected rather than "{word}".', TOOL)
    return found[0], found[1], text.WIDTH[found[0]] if length is None else length, bool(slash)


def _length(word: str, family: int) -> int | None:
    width = text.WIDTH[family]
    value = number(word, width)
    if value is None and family == 4:  # a netmask
        mask = text.ip4(word) if word.count(".") == 3 else None
        return next((bits for bits in range(33) if mask == text.netmask(4, bits)), None)
    return value


def device(host: Host, name: str, code: int = TOOL) -> Device:
    """The device of that name, or the tool's complaint."""
    found = host.devices.get(name)
    if found is None:
        raise no_device(name, code)
    return found


def lladdr(word: str) -> int:
    """A link layer address word of six bytes."""
    value = text.mac(word)
    if value is None:
        parts = word.split(":")
        if len(parts) > 1 and all(number("0x" + part, 255) is not None for part in parts):
            raise Complaint(f"Invalid address length {len(parts)} - must be 6 bytes", TOOL)
        raise Complaint(f'"{word}" is invalid lladdr.', TOOL)
    return value
