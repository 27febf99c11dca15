"""`tcemu socket` and `tcemu osf`: what programs of the session's machine have, which no ruleset says.

::

    socket add tcp|udp ADDR:PORT [peer ADDR:PORT] [transparent] [v6only] [mark N]      osf load FILE
    socket delete tcp|udp ADDR:PORT [peer ADDR:PORT]                                   osf list
    socket list                                                                        osf flush
    socket flush

There is no such tool on Linux: programs make sockets, and nft loads /etc/nftables/osf/pf.os by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from tcemu.diagnostics import Refused, near
from tcemu.host import osf, sockets

if TYPE_CHECKING:
    from tcemu.host.model import Host

SOCKET_USAGE: Final = """Usage: tcemu socket add { tcp | udp } ADDR:PORT [ peer ADDR:PORT ] [ transparent ] [ v6only ] [ mark N ]
       tcemu socket delete { tcp | udp } ADDR:PORT [ peer ADDR:PORT ]
       tcemu socket { list | flush }
An IPv6 address stands in brackets; 0.0.0.0 and [::] are any address.

Examples:
  tcemu socket add tcp 0.0.0.0:8080 transparent
  tcemu socket add udp '[::1]:53' mark 7
"""
OSF_USAGE: Final = """Usage: tcemu osf { load FILE | list | flush }
FILE holds fingerprints of operating systems, as pf.os does; it replaces what was loaded before.

Examples:
  tcemu osf load /etc/nftables/osf/pf.os
  tcemu osf list
"""
HELP: Final = ("help", "-h", "--help")


class Said(NamedTuple):
    """Exit code, standard output, standard error."""

    exit_code: int
    stdout: str = ""
    stderr: str = ""


def socket(argv: Sequence[str], host: Host) -> Said:
    """Run ``tcemu socket …``. Raises Refused."""
    words = list(argv) or ["list"]
    what = words.pop(0)
    if what in HELP:
        return Said(0, SOCKET_USAGE)
    if what in ("list", "show") and not words:
        return Said(0, "".join(sockets.text(one) + "\n" for one in sorted(host.sockets, key=lambda one: one.rank)))
    if what == "flush" and not words:
        for one in list(host.sockets):
            host.sockets.delete(one.key)
        return Said(0)
    if what not in ("add", "delete", "del"):
        return _unknown(what, ("add", "delete", "list", "flush"), SOCKET_USAGE)
    proto, address, port, options = _spoken(words)
    if what == "add":
        sockets.add(host, proto, address, port, **options)
        return Said(0)
    key = sockets.key(sockets.made(proto, address, port, **options))
    if host.sockets.get(key) is None:
        raise Refused("there is no such socket", exit_code=1)
    host.sockets.delete(key)
    return Said(0)


def fingerprints(argv: Sequence[str], host: Host) -> Said:
    """Run ``tcemu osf …``. Raises StateError."""
    words = list(argv) or ["list"]
    what = words.pop(0)
    if what in HELP:
        return Said(0, OSF_USAGE)
    if what == "load" and len(words) == 1:
        return Said(0, f"{osf.load(host, words[0])} fingerprints\n")
    if what in ("list", "show") and not words:
        return Said(0, "".join(one.text + "\n" for one in sorted(host.fingerprints, key=lambda one: one.rank)))
    if what == "flush" and not words:
        osf.flush(host)
        return Said(0)
    return _unknown(what, ("load", "list", "flush"), OSF_USAGE)


def _unknown(word: str, known: Sequence[str], usage: str) -> Said:
    hint = near(word, known)
    return Said(1, "", f'"{word}" is not understood here{f", did you mean {hint}?" if hint and hint != word else ""}\n{usage}')


def _spoken(words: list[str]) -> tuple[str, str, int, sockets.Options]:
    """Protocol, address, port and the rest of a socket. Raises Refused."""
    if len(words) < 2 or words[0] not in ("tcp", "udp"):
        raise Refused("a socket is tcp or udp, then ADDR:PORT", exit_code=1)
    proto, (address, port) = words[0], _end(words[1])
    options: sockets.Options = {}
    rest = words[2:]
    while rest:
        word = rest.pop(0)
        if word == "transparent":
            options["transparent"] = True
        elif word == "v6only":
            options["v6only"] = True
        elif word == "peer" and rest:
            options["peer"] = _end(rest.pop(0))
        elif word == "mark" and rest:
            options["mark"] = _number(rest.pop(0))
        else:
            raise Refused(f'"{word}" is not understood here, or lacks its value', exit_code=1)
    return proto, address, port, options


def _end(text: str) -> tuple[str, int]:
    address, colon, port = text.rpartition(":")
    if not colon:
        raise Refused(f'"{text}" is not ADDR:PORT', exit_code=1)
    return address.removeprefix("[").removesuffix("]"), _number(port)


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise Refused(f'"{text}" is no number', exit_code=1) from None
