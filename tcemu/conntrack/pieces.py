"""A packet being put together: its fragments in order, and what they agree on (struct inet_frag_queue)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

FIRST_IN: Final = 1  # INET_FRAG_*
LAST_IN: Final = 2

FITS: Final = 0
DUPLICATE: Final = 1
OVERLAP: Final = 2

BAD_ECN: Final = 0xFF
NOT_ECT: Final = 1  # IPFRAG_ECN_*: 1 << the field's value
CE: Final = 8


def ecn_of(seen: i64) -> i64:
    """ip_frag_ecn_table (RFC 3168, 5.3): bits to set in the whole packet's field, or BAD_ECN.

    Congestion seen by one is seen by all; fragments that can and cannot tell do not belong together.
    """
    if (seen & NOT_ECT) != 0:
        return 0 if seen == NOT_ECT else BAD_ECN
    return 3 if (seen & CE) != 0 and seen != CE else 0


class Piece:
    """One fragment: where it belongs, how long it is, and as much of its data as the capture has."""

    def __init__(self, offset: i64, size: i64, data: bytes) -> None:
        self.offset: i64 = offset
        self.size: i64 = size
        self.data: bytes = data


class Run:
    """Fragments that came one behind the other at the tail: a later copy of any part of it is a duplicate."""

    def __init__(self, offset: i64, end: i64) -> None:
        self.offset: i64 = offset
        self.end: i64 = end


class Queue:
    """One packet's fragments."""

    def __init__(self, family: i64, expires: i64) -> None:
        self.family: i64 = family
        self.expires: i64 = expires
        self.flags: i64 = 0
        self.length: i64 = 0  # of the whole payload, as far as is known
        self.meat: i64 = 0  # bytes that are here
        self.pieces: list[Piece] = []
        self.runs: list[Run] = []
        self.tail: Run | None = None
        self.ecn: i64 = 0
        self.max_size: i64 = 0
        self.max_df: i64 = 0
        self.first: bytes = b""  # the first fragment's frame up to its payload
        self.l3: i64 = 0
        self.place: i64 = 0
        self.memory: i64 = 0
        self.peer_count: i64 = 0

    def ends_at(self, end: i64) -> bool:
        """The last fragment tells the length; False when it contradicts what is known."""
        if end < self.length or ((self.flags & LAST_IN) != 0 and end != self.length):
            return False
        self.flags |= LAST_IN
        self.length = end
        return True

    def reaches(self, end: i64) -> bool:
        """Another fragment goes so far; False when that is past the end."""
        if end > self.length:
            if (self.flags & LAST_IN) != 0:
                return False
            self.length = end
        return True

    def insert(self, piece: Piece) -> i64:
        """inet_frag_queue_insert: FITS, DUPLICATE (wholly in a run) or OVERLAP (RFC 5722)."""
        offset = piece.offset
        end = offset + piece.size
        tail = self.tail
        if tail is None or tail.end < end:
            if tail is not None and offset < tail.end:
                return OVERLAP
            if tail is not None and offset == tail.end:
                tail.end = end
            else:
                self.tail = Run(offset, end)
                self.runs.append(self.tail)
            self.pieces.append(piece)
            self.meat += piece.size
            return FITS
        for run in self.runs:
            if end <= run.offset or offset >= run.end:
                continue
            return DUPLICATE if offset >= run.offset and end <= run.end else OVERLAP
        self.runs.append(Run(offset, end))
        self.pieces.append(piece)
        self.meat += piece.size
        return FITS

    def is_whole(self) -> bool:
        """Is all here?"""
        return self.flags == FIRST_IN | LAST_IN and self.meat == self.length

    def in_order(self) -> list[Piece]:
        """The fragments by offset."""
        out = list(self.pieces)
        out.sort(key=_offset_of)
        return out

    def sizes(self) -> list[int]:
        """Payload sizes of the fragments, in order."""
        return [piece.size for piece in self.in_order()]

    def payload(self) -> bytes:
        """All data; what the capture has not kept is zero."""
        parts: list[bytes] = []
        for piece in self.in_order():
            parts.append(piece.data)
            if len(piece.data) < piece.size:
                parts.append(bytes(int(piece.size - len(piece.data))))
        return b"".join(parts)

    def missing(self) -> i64:
        """Bytes from the first that the capture has not kept to the end."""
        for piece in self.in_order():
            if len(piece.data) < piece.size:
                return self.length - piece.offset - len(piece.data)
        return 0


def _offset_of(piece: Piece) -> int:
    return piece.offset
