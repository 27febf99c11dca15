"""`ip route`: add, append, replace, change, del (the rest: route_show). Source: iproute2 6.1 ip/iproute.c, net/ipv4/fib_*.c.

Tables other than main have numbers; those that the kernel fills itself (local) cannot be written to.
"""

from __future__ import annotations

from typing import NamedTuple

from tcemu.host import routes
from tcemu.host.ip.out import Options
from tcemu.host.ip.words import (
    FILE_EXISTS,
    NO_SUCH_DEVICE,
    NO_SUCH_FILE,
    NO_SUCH_PROCESS,
    TOOL,
    Complaint,
    Machine,
    Words,
    address,
    device,
    garbage,
    kernel,
    number,
    prefix,
    rtnetlink,
    wrong,
)
from tcemu.host.model import Hop, Host, Route
from tcemu.host.text import WIDTH, netmask

KINDS = ("unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit", "throw", "nat")
DEAD_ENDS = ("blackhole", "unreachable", "prohibit", "throw")
SCOPES = ("global", "site", "link", "host", "nowhere")
PROTOS = ("kernel", "boot", "static", "redirect", "dhcp", "ra", "bird", "zebra", "bgp", "ospf")
_VALUES = (
    "mtu",
    "hoplimit",
    "advmss",
    "window",
    "rtt",
    "rttvar",
    "realms",
    "initcwnd",
    "initrwnd",
    "quickack",
    "congctl",
    "pref",
    "expires",
)
_TABLES = ("main", "254")
LOCAL = 255
TABLES = {"default": 253, "local": LOCAL}


class _Ask(NamedTuple):
    """A route line; what was not given is None or empty."""

    family: int = 0
    number: int = 0
    length: int = 0
    given: bool = False
    kind: str = ""
    via: int | None = None
    device: str = ""
    metric: int | None = None
    source: int | None = None
    scope: str = ""
    proto: str = ""
    onlink: bool = False
    hops: tuple[Hop, ...] = ()
    table: int = 0  # 0 is main

    @property
    def parent(self) -> str:
        """The shelf's parent of its table's routes."""
        return f"{self.family} {self.table}" if self.table else str(self.family)


def _read(words: Words, machine: Machine, options: Options) -> _Ask:
    """iproute_modify()."""
    ask = _Ask(family=options.family)
    while words:
        word = words.take()
        if word in ("via", "src"):
            family, value = address(past_family(words), ask.family)
            ask = ask._replace(family=ask.family or family)
            ask = ask._replace(via=value) if word == "via" else ask._replace(source=value)
        elif word in ("dev", "oif"):
            ask = ask._replace(device=device(machine.host, words.value()).key)
        elif word in ("metric", "priority", "preference"):
            ask = ask._replace(metric=words.number("metric", sentence='"metric" value is invalid\n'))
        elif word == "scope":
            ask = ask._replace(scope=_among(words.value(), SCOPES, 'invalid "scope" value\n'))
        elif word in ("proto", "protocol"):
            ask = ask._replace(proto=_proto(words.value()))
        elif word == "table":
            ask = ask._replace(table=table_number(words.value()))
        elif word == "onlink":
            ask = ask._replace(onlink=True)
        elif word in ("tos", "dsfield", "from", "nhid", "encap", "nexthop"):
            if word != "nexthop":
                raise Complaint(f'Error: tcemu has no "{word}" of routes.', TOOL)
            words.at -= 1
            ask = _hops(words, machine, ask)
        elif word in _VALUES:
            words.skip("lock")
            words.value()
        elif word in KINDS and not ask.given:
            ask = ask._replace(kind=word)
        else:
            text = words.value() if word == "to" else word
            if text in KINDS and not ask.given:
                ask, text = ask._replace(kind=text), words.value()
            if ask.given:
                raise garbage("to", text)
            family, value, length, _ = prefix(text, ask.family)
            ask = ask._replace(family=family, number=value, length=length, given=True)
    return ask._replace(family=ask.family or 4)


def past_family(words: Words) -> str:
    """The address word, past a family that may stand in front of it."""
    word = words.value()
    return words.value() if word in ("inet", "inet6") else word


def _among(word: str, choices: tuple[str, ...], sentence: str) -> str:
    if word not in choices:
        raise wrong(word, sentence)
    return word


def _proto(word: str) -> str:
    if word not in PROTOS and not word.isdigit():
        raise wrong(word, '"protocol" value is invalid\n')
    return word


def table_number(word: str, sentence: str = '"table" value is invalid\n') -> int:
    """The number of a table, 0 for main (rtnl_rttable_a2n); the local one follows from addresses."""
    if word in _TABLES:
        return 0
    value = TABLES.get(word, number(word))
    if value is None or not value:
        raise wrong(word, sentence)
    if value == LOCAL:
        raise Complaint("Error: tcemu makes the table local from the addresses of devices; it cannot be changed.", TOOL)
    return value


def _hops(words: Words, machine: Machine, ask: _Ask) -> _Ask:
    """``nexthop via A dev D weight N nexthop …``."""
    hops: list[Hop] = []
    while words.skip("nexthop"):
        via, name, weight = 0, "", 1
        while words and words.word != "nexthop":
            word = words.take()
            if word == "via":
                family, via = address(past_family(words), ask.family)
                ask = ask._replace(family=ask.family or family)
            elif word == "dev":
                name = device(machine.host, words.value()).key
            elif word == "weight":
                weight = words.number("weight", 256, '"weight" is invalid\n')
            elif word != "onlink":
                raise wrong(word, "invalid nexthop")
        hops.append(Hop(via, name, weight))
    return ask._replace(hops=tuple(hops))


# ---------------------------------------------------------------- changing


def _record(ask: _Ask, host: Host) -> Route:
    """The route that a line asks for, its devices found, or the kernel's refusal."""
    family = ask.family
    if ask.number & ~netmask(family, ask.length) & (1 << WIDTH[family]) - 1:
        raise kernel("Invalid prefix for given prefix length.")
    kind = ask.kind or "unicast"
    hops = tuple(Hop(hop.via, _over(ask, host, hop.via, hop.device), hop.weight) for hop in ask.hops)
    via, name = (hops[0].via, hops[0].device) if hops else (ask.via or 0, ask.device)
    if kind in DEAD_ENDS:
        name, via = ("lo" if family == 6 else ""), 0
    elif via and not hops:
        name = _over(ask, host, via, name)
    elif not name:
        raise rtnetlink(NO_SUCH_DEVICE)
    if name and kind not in DEAD_ENDS:
        owner = host.devices.get(name)
        if owner is None or not owner.up:
            raise kernel("Device for nexthop is not up.") if family == 4 else kernel("Nexthop device is not up.")
    scope = ask.scope or ("host" if kind == "local" and family == 4 else "global" if via or family == 6 or kind in DEAD_ENDS else "link")
    if ask.source is not None and not any(one.family == family and one.address == ask.source for one in host.addresses):
        raise kernel("Invalid prefsrc address.") if family == 4 else kernel("Invalid source address.")
    return Route(
        key="",
        parent=ask.parent,
        address=ask.number,
        prefix=ask.length,
        via=via,
        device=name,
        metric=_metric(ask),
        kind=kind,
        source=ask.source or 0,
        proto=ask.proto or "boot",
        scope=scope,
        onlink=ask.onlink,
        hops=hops,
    )


def _metric(ask: _Ask) -> int:
    return (routes.USER_METRIC_6 if ask.family == 6 else 0) if ask.metric is None or (ask.family == 6 and not ask.metric) else ask.metric


def _over(ask: _Ask, host: Host, via: int, name: str) -> str:
    """The device that leads to a next hop."""
    if not via:
        return name
    if ask.onlink and name:
        return name
    found = routes.reachable(host, ask.family, via)
    if not found or (name and found != name):
        if ask.family == 6:
            raise rtnetlink("No route to host")
        raise kernel("Nexthop has invalid gateway.")
    return found


def add(words: Words, machine: Machine, options: Options, how: str) -> None:
    """`ip route add`, ``append``, ``replace``, ``change``, ``prepend``."""
    ask = _read(words, machine, options)
    with machine.transaction():
        record = _record(ask, machine.host)
        like = routes.alike(machine.host, ask.family, record.address, record.prefix, record.metric, ask.parent)
        if how == "add" and like and (ask.family == 4 or any((one.via, one.device) == (record.via, record.device) for one in like)):
            raise rtnetlink(FILE_EXISTS)
        if how in ("change", "replace"):
            if like:
                record.key, record.rank = like[0].key, like[0].rank
                machine.host.routes.put(record)
                return
            if how == "change":
                raise rtnetlink(NO_SUCH_FILE)
        routes.add(machine.host, record)


def delete(words: Words, machine: Machine, options: Options) -> None:
    """`ip route del`: the first route that is as the line says, lowest metric first."""
    ask = _read(words, machine, options)
    with machine.transaction():
        for route in machine.host.routes.children(ask.parent):
            if (route.address, route.prefix) == (ask.number, ask.length) and _same(route, ask):
                machine.host.routes.delete(route.key)
                return
        raise rtnetlink(NO_SUCH_PROCESS)


def _same(route: Route, ask: _Ask) -> bool:
    return (
        (ask.via is None or route.via == ask.via)
        and (not ask.device or route.device == ask.device)
        and (ask.metric is None or route.metric == ask.metric)
        and (not ask.kind or route.kind == ask.kind)
        and (not ask.proto or route.proto == ask.proto)
        and (ask.source is None or route.source == ask.source)
    )
