"""`ip address`: add, change, replace, del, show, flush. Source: iproute2 6.1 ip/ipaddress.c, net/ipv4/devinet.c."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from tcemu.host import addresses
from tcemu.host.ip import link_show
from tcemu.host.ip.out import Options, document, lines
from tcemu.host.ip.words import (
    FILE_EXISTS,
    INVALID,
    NOT_AVAILABLE,
    NOT_SUPPORTED,
    TOOL,
    Complaint,
    Machine,
    Words,
    address,
    device,
    garbage,
    matches,
    prefix,
    rtnetlink,
    wrong,
)
from tcemu.host.model import Address, Device, Host
from tcemu.host.text import WIDTH, netmask, show_address

FOREVER = 0xFFFFFFFF
_FLAGS = ("nodad", "home", "mngtmpaddr", "noprefixroute", "autojoin")


class _Ask(NamedTuple):
    """An address line."""

    device: str
    family: int
    address: int
    prefix: int
    prefix_given: bool
    peer: int
    broadcast: int
    scope: str
    label: str
    flags: tuple[str, ...]


def _read(words: Words, options: Options) -> _Ask:
    """ipaddr_modify()."""
    family, number, length, given = 0, 0, 0, False
    local = peer = brd = name = label = scope = ""
    flags: list[str] = []
    while words:
        word = words.take()
        if word in ("peer", "remote"):
            peer = words.once("peer", words.value())
        elif matches(word, "broadcast") or word == "brd":
            brd = words.once("broadcast", words.value())
        elif word == "scope":
            scope = words.value()
            if scope not in addresses.SCOPES:
                raise wrong(scope, "invalid scope value.")
        elif word == "dev":
            name = words.value()
        elif word == "label":
            label = words.value()
        elif word in ("valid_lft", "preferred_lft", "metric", "priority", "preference", "anycast"):
            words.value()
        elif word in _FLAGS:
            flags.append(word)
        else:
            value = words.value() if word == "local" else word
            if local:
                raise garbage("local", value)
            local = value
            family, number, length, given = prefix(local, options.family)
    if not name:
        raise Complaint('Not enough information: "dev" argument is required.', TOOL)
    far = 0
    if peer:
        family, far, length, _ = prefix(peer, family)
    scope = scope or ("host" if family == 4 and number >> 24 == 127 else "global")
    return _Ask(name, family, number, length, given, far, _broadcast(brd, family, number, length), scope, label, tuple(flags))


def _broadcast(word: str, family: int, number: int, length: int) -> int:
    if word in ("", "-", "0"):
        return 0
    if word == "+":
        return number | ~netmask(family, length) & (1 << WIDTH[family]) - 1
    return address(word, family)[1]


def add(words: Words, machine: Machine, options: Options) -> None:
    """`ip address add`."""
    ask = _read(words, options)
    owner = device(machine.host, ask.device)
    _check(ask, owner)
    with machine.transaction():
        _put(ask, machine)


def change(words: Words, machine: Machine, options: Options, replace: bool) -> None:
    """`ip address change` and `replace`: new flags and scope for what is there; `replace` adds what is not."""
    ask = _read(words, options)
    _check(ask, device(machine.host, ask.device))
    with machine.transaction():
        old = addresses.find(machine.host, ask.device, ask.family, ask.address, ask.prefix)
        if old is None:
            if not replace:
                raise rtnetlink("No such file or directory" if ask.family == 6 else NOT_AVAILABLE)
            _put(ask, machine)
        else:
            old.broadcast, old.scope, old.flags = ask.broadcast or old.broadcast, ask.scope, ask.flags
            machine.host.addresses.put(old)


def _check(ask: _Ask, owner: Device) -> None:
    if not ask.family:
        raise rtnetlink(NOT_SUPPORTED)
    if ask.label and not ask.label.startswith(owner.key):
        raise Complaint(f'"dev" ({owner.key}) must match "label" ({ask.label}).', TOOL) if ":" in ask.label else rtnetlink(INVALID)


def _put(ask: _Ask, machine: Machine) -> None:
    given = (ask.device, ask.family, ask.address, ask.prefix)
    try:
        addresses.add(machine.host, *given, peer=ask.peer, broadcast=ask.broadcast, scope=ask.scope, label=ask.label, flags=ask.flags)
    except addresses.AddressExistsError:
        raise rtnetlink(FILE_EXISTS) from None
    except addresses.ScopeError:
        raise rtnetlink(INVALID) from None


def delete(words: Words, machine: Machine, options: Options) -> None:
    """`ip address del`; without a prefix length it takes the first address with that number."""
    ask = _read(words, options)
    device(machine.host, ask.device)
    if not ask.family:
        raise rtnetlink(NOT_SUPPORTED)
    if not ask.prefix_given and not ask.peer:
        shown = f"{show_address(ask.family, ask.address)}/{WIDTH[ask.family]}"
        words.notes += (
            "Warning: Executing wildcard deletion to stay compatible with old scripts.\n"
            f"         Explicitly specify the prefix length ({shown}) to avoid this warning.\n"
            "         This special behaviour is likely to disappear in further releases,\n"
            "         fix your scripts!\n"
        )
    with machine.transaction():
        old = addresses.find(machine.host, ask.device, ask.family, ask.address, ask.prefix if ask.prefix_given or ask.peer else None)
        if old is None:
            raise rtnetlink(NOT_AVAILABLE)
        addresses.remove(machine.host, old)


# ---------------------------------------------------------------- show


class _Filter(NamedTuple):
    name: str = ""
    up: bool = False
    master: str = ""
    kind: str = ""
    scope: str = ""
    label: str = ""
    network: tuple[int, int, int] | None = None
    permanent: bool = False


def _filter(words: Words, machine: Machine, options: Options) -> _Filter:
    found = _Filter()
    while words:
        word = words.take()
        if word == "up":
            found = found._replace(up=True)
        elif word in ("permanent", "dynamic", "primary", "secondary", "tentative", "deprecated"):
            found = found._replace(permanent=word == "permanent")
        elif word in ("master", "vrf"):
            found = found._replace(master=device(machine.host, words.value()).key)
        elif word == "type":
            found = found._replace(kind=words.value())
        elif word == "scope":
            found = found._replace(scope=words.value())
        elif word == "label":
            found = found._replace(label=words.value())
        elif word == "to":
            found = found._replace(network=prefix(words.value(), options.family)[:3])
        else:
            value = words.value() if word == "dev" else word
            if found.name:
                raise garbage("dev", value)
            found = found._replace(name=value)
    return found


def _chosen(host: Host, one: Device, wanted: _Filter, options: Options) -> list[Address]:
    """The addresses of a device that a filter leaves, IPv4 first."""
    found = []
    for record in host.addresses.children(one.key):
        if options.family not in (0, record.family) or (wanted.scope and record.scope != wanted.scope):
            continue
        if wanted.label and not (record.family == 4 and fnmatchcase(record.label or one.key, wanted.label)):
            continue
        if wanted.network is not None:
            family, net, length = wanted.network
            if record.family != family or record.address & netmask(family, length) != net & netmask(family, length):
                continue
        found.append(record)
    return sorted(found, key=lambda record: record.family)


def show(words: Words, machine: Machine, options: Options) -> str:
    """`ip address show`."""
    host = machine.host
    wanted = _filter(words, machine, options)
    if wanted.name and host.devices.get(wanted.name) is None:
        raise Complaint(f'Device "{wanted.name}" does not exist.', TOOL)
    found = []
    for one in host.devices.children(""):
        held = _chosen(host, one, wanted, options)
        narrow = options.family or wanted.network is not None or wanted.label or (wanted.scope and host.addresses.count(one.key))
        if wanted.name not in ("", one.key) or (wanted.up and not one.up) or (narrow and not held):
            continue
        if (wanted.master and one.master != wanted.master) or (wanted.kind and one.kind != wanted.kind):
            continue
        found.append((one, held))
    if options.json:
        return document(options, [_record(host, one, held, options, wanted) for one, held in found])
    if options.brief:
        return "".join(link_show.brief_text(host, one, options) + _brief(held) for one, held in found)
    if options.oneline:
        return "".join(f"{one.rank}: {one.key}    {lines(options, _text(one, record).lstrip())}" for one, held in found for record in held)
    return "".join(_head(host, one, options, wanted) + "".join(_text(one, record) for record in held) for one, held in found)


def flush(words: Words, machine: Machine, options: Options) -> None:
    """`ip address flush`: all addresses that `show` with the same words would list."""
    if not words:
        raise Complaint("Flush requires arguments.", TOOL)
    wanted = _filter(words, machine, options)
    if wanted.name:
        device(machine.host, wanted.name)
    with machine.transaction():
        for one in machine.host.devices.children(""):
            if wanted.name in ("", one.key):
                for record in _chosen(machine.host, one, wanted, options):
                    if machine.host.addresses.get(record.key) is not None:
                        addresses.remove(machine.host, record)


def _head(host: Host, one: Device, options: Options, wanted: _Filter) -> str:
    if wanted.label:
        return ""
    text = link_show.as_text(host, one, options, mode=False)
    return text.split("\n", 1)[0] + "\n" if wanted.network is not None else text


def _label(one: Device, record: Address) -> str:
    return record.label or one.key


def _text(one: Device, record: Address) -> str:
    """print_addrinfo()."""
    shown = show_address(record.family, record.address)
    word = "inet" if record.family == 4 else "inet6"
    if record.peer and record.peer != record.address:
        line = f"    {word} {shown} peer {show_address(record.family, record.peer)}/{record.prefix} "
    else:
        line = f"    {word} {shown}/{record.prefix} "
    if record.broadcast:
        line += f"brd {show_address(record.family, record.broadcast)} "
    line += f"scope {record.scope} " + ("secondary " if record.secondary else "") + "".join(f"{flag} " for flag in record.flags)
    line += _label(one, record) if record.family == 4 else ""
    return f"{line}\n       valid_lft forever preferred_lft forever\n"


def _brief(held: list[Address]) -> str:
    shown = []
    for record in held:
        far = f" peer {show_address(record.family, record.peer)}" if record.peer and record.peer != record.address else ""
        shown.append(f"{show_address(record.family, record.address)}{far}/{record.prefix} ")
    return "".join(shown) + "\n"


def _record(host: Host, one: Device, held: list[Address], options: Options, wanted: _Filter) -> dict[str, Any]:
    if options.brief:
        head: dict[str, Any] = {"ifname": one.key, "operstate": link_show.state(host, one)}
        return head | {"addr_info": [{"local": show_address(item.family, item.address), "prefixlen": item.prefix} for item in held]}
    head = {} if wanted.label else link_show.as_record(host, one, options, mode=False)
    return head | {"addr_info": [_info(one, item) for item in held]}


def _info(one: Device, record: Address) -> dict[str, Any]:
    info: dict[str, Any] = {"family": "inet" if record.family == 4 else "inet6", "local": show_address(record.family, record.address)}
    if record.peer and record.peer != record.address:
        info["address"] = show_address(record.family, record.peer)
    info["prefixlen"] = record.prefix
    if record.broadcast:
        info["broadcast"] = show_address(record.family, record.broadcast)
    info["scope"] = record.scope
    if record.secondary:
        info["secondary"] = True
    info |= dict.fromkeys(record.flags, True)
    if record.family == 4:
        info["label"] = _label(one, record)
    return info | {"valid_life_time": FOREVER, "preferred_life_time": FOREVER}
