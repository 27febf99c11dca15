"""Fingerprint files: pf.os, as nfnl_osf and nft read it.

::

    window:ttl:df:length:options:genre:version:subtype:details      S20:64:1:60:M*,S,T,N,W7:Linux:3.11-4.19::Linux 3.11 - 4.19

A window is a number, ``*``, ``%N`` (a multiple of N), ``SN`` (N segments) or ``TN`` (N packets). Source: nftables src/nfnl_osf.c
osf_load_line, nf_osf_parse_opt; the text of pf.os itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcemu.diagnostics import StateError
from tcemu.host.model import Fingerprint

if TYPE_CHECKING:
    from tcemu.host.model import Host

FIELDS: Final = 9


def read(path: str) -> list[Fingerprint]:
    """The fingerprints of a file. Raises StateError with the line that is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError as slip:
        raise StateError(f"{path} cannot be read: {slip.strerror}") from slip
    found: list[Fingerprint] = []
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        if line.count(":") != FIELDS - 1:
            raise StateError(f"{path}:{number}: a fingerprint has {FIELDS} fields with colons between, not {line.count(':') + 1}")
        found.append(Fingerprint(key=str(len(found) + 1), rank=len(found) + 1, text=line))
    return found


def load(host: Host, path: str) -> int:
    """Put a file's fingerprints in place of those that the machine has; how many there are."""
    found = read(path)
    flush(host)
    for one in found:
        host.fingerprints.put(one)
    return len(found)


def flush(host: Host) -> None:
    """Forget all."""
    for one in list(host.fingerprints):
        host.fingerprints.delete(one.key)
