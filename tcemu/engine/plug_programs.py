"""What is beside the network's own tables, plugged into the engine: sockets, fingerprints that were loaded, rules of routing.

Source of the fields of a fingerprint: nftables src/nfnl_osf.c osf_load_line, nf_osf_parse_opt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcemu.engine.policies import Policy
from tcemu.engine.ports import halves
from tcemu.engine.sockets import LocalSocket, Sockets
from tcemu.host.text import netmask
from tcemu.packet.fingerprint import BY_MSS, BY_MTU, MODULO, PLAIN, Finger, Fingers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tcemu.host.model import Fingerprint, Socket
    from tcemu.host.model import Policy as PolicyRecord

GENRE: Final = 31  # MAXGENRELEN, less its end
OPTIONS: Final = {"E": (0, 1), "N": (1, 1), "M": (2, 4), "W": (3, 3), "S": (4, 2), "T": (8, 10)}  # kind and bytes
KINDS: Final = {"S": BY_MSS, "T": BY_MTU, "%": MODULO}


def sockets(records: Iterable[Socket]) -> Sockets:
    """As the engine has them."""
    made = Sockets()
    for record in records:
        one = LocalSocket(record.proto == "tcp", record.family, record.port)
        one.high, one.low = halves(record.address)
        one.peer_high, one.peer = halves(record.peer)
        one.peer_port, one.transparent, one.mark = record.peer_port, record.transparent, record.mark
        one.dual = record.family == 6 and not record.v6only and not record.address
        made.all.append(one)
    return made


def policies(records: Iterable[PolicyRecord], index_of: dict[str, int]) -> list[Policy]:
    """As the engine has them, by preference."""
    made = []
    for record in sorted(records, key=lambda record: record.rank):
        family = int(record.parent)
        one = Policy(family, record.rank, record.table)
        one.source_high, one.source = halves(record.source)
        one.target_high, one.target = halves(record.target)
        one.source_mask_high, one.source_mask = halves(netmask(family, record.source_prefix))
        one.target_mask_high, one.target_mask = halves(netmask(family, record.target_prefix))
        one.mask, one.mark = record.mask, record.mark & record.mask
        one.device = index_of.get(record.device, -1) if record.device else 0
        made.append(one)
    return made


def fingers(records: Iterable[Fingerprint]) -> Fingers:
    """As the engine has them."""
    made = Fingers()
    made.all = [finger(record.text) for record in records]
    return made


def finger(line: str) -> Finger:
    """One line."""
    window, ttl, df, length, options, genre, version = [part.lstrip() for part in line.split(":")][:7]
    one = Finger(genre.removeprefix("@").removeprefix("*")[:GENRE] if genre[:1] in ("@", "*") else genre[:GENRE], version[:GENRE])
    one.window_kind = KINDS.get(window[:1], PLAIN)
    one.window = number(window if one.window_kind == PLAIN else window[1:].removeprefix("%") if window[:1] != "%" else window[1:])
    one.ttl, one.df, one.length = number(ttl), number(df) != 0, number(length)
    for option in options.split(","):
        kind, size = OPTIONS.get(option.lstrip()[:1], (-1, 0))
        if kind >= 0:
            one.kinds.append(kind)
            one.sizes.append(size)
    one.room = sum(one.sizes)
    return one


def number(text: str) -> int:
    """strtoul: the digits at the beginning."""
    digits = 0
    while digits < len(text) and text[digits].isdigit():
        digits += 1
    return int(text[:digits] or "0")
