"""Sockets of local programs: what `tcemu socket` makes, for tproxy and nft's socket expression to find."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypedDict, Unpack

from tcemu.diagnostics import Refused
from tcemu.host.model import Socket
from tcemu.host.text import address as parsed
from tcemu.host.text import show_address

if TYPE_CHECKING:
    from tcemu.host.model import Host

PORTS: Final = range(1, 65536)


class Options(TypedDict, total=False):
    """What may be said of a socket beside its place."""

    peer: tuple[str, int] | None
    transparent: bool
    mark: int
    v6only: bool


def add(host: Host, proto: str, address: str, port: int, **options: Unpack[Options]) -> None:
    """Make a socket. Raises Refused where there is one like it, or a word makes no sense."""
    one = made(proto, address, port, **options)
    one.key = key(one)
    if host.sockets.get(one.key) is not None:
        raise Refused(f"there is a socket {text(one)} already", exit_code=1)
    one.rank = 1 + max((other.rank for other in host.sockets), default=0)
    host.sockets.put(one)


def made(proto: str, address: str, port: int, **options: Unpack[Options]) -> Socket:
    """A socket as it is told, in no shelf yet. Raises Refused."""
    family, number = _address(address)
    one = Socket(key="", proto=proto, family=family, address=number, port=port)
    one.transparent, one.mark, one.v6only = options.get("transparent", False), options.get("mark", 0), options.get("v6only", False)
    peer = options.get("peer")
    if peer is not None:
        there, one.peer = _address(peer[0])
        one.peer_port = peer[1]
        if there != family:
            raise Refused("a socket and its peer have addresses of one family", exit_code=1)
    if port not in PORTS or (peer is not None and one.peer_port not in PORTS):
        raise Refused("ports are 1 to 65535", exit_code=1)
    return one


def _address(text: str) -> tuple[int, int]:
    found = parsed(text)
    if found is None:
        raise Refused(f'"{text}" is no address', exit_code=1)
    return found


def key(one: Socket) -> str:
    """What makes two sockets the same."""
    return f"{one.proto} {one.family} {one.address:x} {one.port} {one.peer:x} {one.peer_port}"


def text(one: Socket) -> str:
    """A socket as it is written."""
    words = [one.proto, end(one.family, one.address, one.port)]
    if one.peer_port:
        words += ["peer", end(one.family, one.peer, one.peer_port)]
    words += [word for word, given in (("transparent", one.transparent), ("v6only", one.v6only)) if given]
    return " ".join(words + (["mark", f"{one.mark:#x}"] if one.mark else []))


def end(family: int, address: int, port: int) -> str:
    """An address with a port."""
    shown = show_address(family, address)
    return f"[{shown}]:{port}" if family == 6 else f"{shown}:{port}"
