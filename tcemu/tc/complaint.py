"""What tc says when it will not: its own complaints, and the kernel's refusals as tc passes them on.

Source: iproute2 6.1 lib/utils.c (incomplete_command, missarg, invarg, duparg, nodev), lib/libnetlink.c (rtnl_talk).
"""

from __future__ import annotations

import errno
import os
from typing import Final

from tcemu.diagnostics import TcemuError

USAGE: Final = 255  # exit(-1)
REFUSED: Final = 2


class ComplaintError(TcemuError):
    """Text for standard error, newline included, and the exit code.

    ``dies``: tc calls exit() at once, so a batch ends there, forced or not; else a batch says "Command failed" and may go on.
    """

    def __init__(self, text: str, exit_code: int = 1, dies: bool = False) -> None:
        super().__init__(text.rstrip("\n"), exit_code=exit_code)
        self.text = text
        self.dies = dies


class RefusalError(TcemuError):
    """The kernel says no: with words of its own (extack), or with an error number alone."""

    exit_code = REFUSED

    def __init__(self, message: str = "", number: int = errno.EINVAL) -> None:
        super().__init__(message or os.strerror(number))
        self.message = message
        self.number = number

    @property
    def text(self) -> str:
        """As rtnl_talk prints it."""
        if self.message:
            return f"Error: {self.message}{'' if self.message.endswith('.') else '.'}\n"
        return f"RTNETLINK answers: {os.strerror(self.number)}\n"


def incomplete() -> ComplaintError:
    """A value is missing (NEXT_ARG at the end)."""
    return ComplaintError('Command line is not complete. Try option "help"\n', USAGE, True)


def invalid(why: str, word: str) -> ComplaintError:
    """invarg(): the word cannot be that."""
    return ComplaintError(f'Error: argument "{word}" is wrong: {why}\n', USAGE, True)


def required(name: str) -> ComplaintError:
    """missarg(): a named argument is missing."""
    return ComplaintError(f'Error: argument "{name}" is required\n', USAGE, True)


def duplicate(name: str, word: str) -> ComplaintError:
    """duparg(): given twice."""
    return ComplaintError(f'Error: duplicate "{name}": "{word}" is the second value.\n', USAGE, True)


def no_device(name: str) -> ComplaintError:
    """nodev(): there is no such device."""
    return ComplaintError(f'Cannot find device "{name}"\n', 1)
