"""Verdicts: what a step says of the packet. Every step yields one; PIPE means go on."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

PIPE: Final = 0  # on to the next step
MISS: Final = 1  # the guard failed: on to the next rule (nft: NFT_BREAK)
CONTINUE: Final = 2  # tc TC_ACT_UNSPEC: on to the next prio slot, or to the next filter where the kind looks on
ACCEPT: Final = 3
DROP: Final = 4
STOLEN: Final = 5  # somebody else owns the packet now (redirected, held by defragmentation, queued)
QUEUE: Final = 6
TRAP: Final = 7
REDIRECT: Final = 8
GOTO: Final = 9
JUMP: Final = 10
RETURN: Final = 11
RECLASSIFY: Final = 12
STEP: Final = 13  # tc "jump N": on with the list's action number N (act_api.c TC_ACT_JUMP)
LEAVE: Final = 14  # on to the next prio slot, whatever the kind of this one does with CONTINUE

NAMES: Final = (
    "pipe",
    "miss",
    "continue",
    "accept",
    "drop",
    "stolen",
    "queue",
    "trap",
    "redirect",
    "goto",
    "jump",
    "return",
    "reclassify",
    "step",
    "leave",
)


class Verdict(Struct, frozen=True, omit_defaults=True):
    """A verdict code with its target: a chain key for GOTO and JUMP, an action number for STEP, a queue for QUEUE."""

    code: int
    to: str = ""
    number: int = 0

    def __str__(self) -> str:
        name = NAMES[self.code]
        if self.code in (GOTO, JUMP):
            return f"{name} {self.to}"
        return f"{name} {self.number}" if self.code in (STEP, QUEUE) else name


NEXT: Final = Verdict(PIPE)
