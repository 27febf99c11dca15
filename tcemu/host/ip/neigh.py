"""`ip neighbour`: add, change, replace, del, show, get, flush. Source: iproute2 6.1 ip/ipneigh.c, net/core/neighbour.c."""

from __future__ import annotations

from typing import Any, NamedTuple

from tcemu.host.ip.out import Options, document, lines
from tcemu.host.ip.words import (
    FILE_EXISTS,
    NO_SUCH_FILE,
    TOOL,
    USAGE,
    Complaint,
    Machine,
    Words,
    address,
    device,
    kernel,
    lladdr,
    rtnetlink,
    wrong,
)
from tcemu.host.model import Host, Neighbour
from tcemu.host.text import show_address, show_mac

STATES = ("permanent", "reachable", "stale", "noarp", "delay", "probe", "failed", "incomplete", "none")


class _Ask(NamedTuple):
    device: str = ""
    family: int = 0
    number: int = 0
    mac: int | None = None
    state: str = ""


def _read(words: Words, machine: Machine, options: Options) -> _Ask:
    """ipneigh_modify()."""
    ask = _Ask()
    mac = ""
    while words:
        word = words.take()
        if word == "lladdr":
            mac = words.value()
        elif word == "nud":
            ask = ask._replace(state=_state(words.value()))
        elif word == "dev":
            ask = ask._replace(device=words.value())
        elif word in ("router", "use", "managed", "extern_learn", "proxy"):
            continue
        elif word in ("protocol", "vni"):
            words.value()
        else:
            value = words.value() if word == "to" else word
            family, number = address(value, options.family)
            ask = ask._replace(family=family, number=number)
    if not ask.device or not ask.family:
        raise Complaint("Device and destination are required arguments.", USAGE)
    return ask._replace(mac=lladdr(mac) if mac else None)


def _state(word: str) -> str:
    if word not in STATES:
        raise wrong(word, "nud state is bad")
    return word


def key_of(name: str, family: int, number: int) -> str:
    """A neighbour's key."""
    return f"{name} {show_address(family, number)}"


def add(words: Words, machine: Machine, options: Options, how: str) -> None:
    """`ip neighbour add`, ``change`` and ``replace``."""
    ask = _read(words, machine, options)
    host = machine.host
    device(host, ask.device)
    with machine.transaction():
        old = host.neighbours.get(key_of(ask.device, ask.family, ask.number))
        if old is not None and how == "add":
            raise rtnetlink(FILE_EXISTS)
        if old is None and how == "change":
            raise rtnetlink(NO_SUCH_FILE)
        state = ask.state or "permanent"
        if ask.mac is None and old is None and state not in ("failed", "incomplete", "none", "noarp"):
            raise kernel("No link layer address given.")
        last = host.neighbours.last(ask.device)
        host.neighbours.put(
            Neighbour(
                key=key_of(ask.device, ask.family, ask.number),
                parent=ask.device,
                rank=old.rank if old else (last.rank + 1 if last else 0),
                family=ask.family,
                address=ask.number,
                mac=ask.mac if ask.mac is not None else old.mac if old else 0,
                state=state,
            )
        )


def delete(words: Words, machine: Machine, options: Options) -> None:
    """`ip neighbour del`."""
    ask = _read(words, machine, options)
    device(machine.host, ask.device)
    with machine.transaction():
        key = key_of(ask.device, ask.family, ask.number)
        if machine.host.neighbours.get(key) is None:
            raise rtnetlink(NO_SUCH_FILE)
        machine.host.neighbours.delete(key)


class _Filter(NamedTuple):
    device: str = ""
    states: tuple[str, ...] = ()
    target: tuple[int, int] | None = None


def _filter(words: Words, machine: Machine, options: Options) -> _Filter:
    found = _Filter()
    while words:
        word = words.take()
        if word == "dev":
            found = found._replace(device=device(machine.host, words.value()).key)
        elif word == "nud":
            state = words.value()
            found = found._replace(states=(*found.states, *(STATES if state == "all" else (_state(state),))))
        elif word not in ("unused", "proxy", "nomaster"):
            found = found._replace(target=address((words.value() if word == "to" else word).partition("/")[0], options.family))
    return found


def _chosen(host: Host, wanted: _Filter, options: Options) -> list[Neighbour]:
    shown = wanted.states or tuple(state for state in STATES if state not in ("noarp", "none"))
    found = []
    for owner in host.devices.children(""):
        if wanted.device in ("", owner.key):
            found += [
                one
                for one in host.neighbours.children(owner.key)
                if one.state in shown and options.family in (0, one.family) and wanted.target in (None, (one.family, one.address))
            ]
    return sorted(found, key=lambda one: one.family)


def show(words: Words, machine: Machine, options: Options) -> str:
    """`ip neighbour show`."""
    wanted = _filter(words, machine, options)
    found = _chosen(machine.host, wanted, options)
    if options.json:
        return document(options, [_json(one, wanted) for one in found])
    return "".join(lines(options, _text(one, wanted, options)) for one in found)


def get(words: Words, machine: Machine, options: Options) -> str:
    """`ip neighbour get`."""
    ask = _read(words, machine, options)
    one = machine.host.neighbours.get(key_of(device(machine.host, ask.device).key, ask.family, ask.number))
    if one is None:
        raise rtnetlink(NO_SUCH_FILE)
    return document(options, [_json(one, _Filter())]) if options.json else lines(options, _text(one, _Filter(), options))


def flush(words: Words, machine: Machine, options: Options) -> None:
    """`ip neighbour flush`: permanent entries stay unless they are named."""
    if not words:
        raise Complaint("Flush requires arguments.", TOOL)
    wanted = _filter(words, machine, options)
    if not wanted.states:
        wanted = wanted._replace(states=tuple(state for state in STATES if state not in ("permanent", "noarp")))
    with machine.transaction():
        for one in _chosen(machine.host, wanted, options):
            machine.host.neighbours.delete(one.key)


def _text(one: Neighbour, wanted: _Filter, options: Options) -> str:
    line = f"{show_address(one.family, one.address)} "
    line += "" if wanted.device else f"dev {one.parent} "
    line += f"lladdr {show_mac(one.mac)} " if one.resolved else ""
    line += " used 0/0/0probes 0 " if options.stats else ""
    return f"{line}{one.state.upper()} \n"


def _json(one: Neighbour, wanted: _Filter) -> dict[str, Any]:
    record: dict[str, Any] = {"dst": show_address(one.family, one.address)}
    if not wanted.device:
        record["dev"] = one.parent
    if one.resolved:
        record["lladdr"] = show_mac(one.mac)
    return record | {"state": [one.state.upper()]}
