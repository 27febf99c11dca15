"""`ip route`: add, append, replace, change, del, show, flush, get. Source: iproute2 6.1 ip/iproute.c, net/ipv4/fib_*.c.

One table, main; a line that names another is refused with a clear word, because policy routing is not modelled.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tcemu.host import routes
from tcemu.host.ip.out import Options, document, lines
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
    prefix,
    rtnetlink,
    wrong,
)
from tcemu.host.model import Hop, Host, Route
from tcemu.host.text import WIDTH, netmask, show_address

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


def _read(words: Words, machine: Machine, options: Options) -> _Ask:
    """iproute_modify()."""
    ask = _Ask(family=options.family)
    while words:
        word = words.take()
        if word in ("via", "src"):
            family, number = address(_past_family(words), ask.family)
            ask = ask._replace(family=ask.family or family)
            ask = ask._replace(via=number) if word == "via" else ask._replace(source=number)
        elif word in ("dev", "oif"):
            ask = ask._replace(device=device(machine.host, words.value()).key)
        elif word in ("metric", "priority", "preference"):
            ask = ask._replace(metric=words.number("metric", sentence='"metric" value is invalid\n'))
        elif word == "scope":
            ask = ask._replace(scope=_among(words.value(), SCOPES, 'invalid "scope" value\n'))
        elif word in ("proto", "protocol"):
            ask = ask._replace(proto=_proto(words.value()))
        elif word == "table":
            _table(words.value())
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
            value = words.value() if word == "to" else word
            if value in KINDS and not ask.given:
                ask, value = ask._replace(kind=value), words.value()
            if ask.given:
                raise garbage("to", value)
            family, number, length, _ = prefix(value, ask.family)
            ask = ask._replace(family=family, number=number, length=length, given=True)
    return ask._replace(family=ask.family or 4)


def _past_family(words: Words) -> str:
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


def _table(word: str) -> None:
    if word not in _TABLES:
        raise Complaint(f'Error: tcemu has one routing table, main; "{word}" is another.', TOOL)


def _hops(words: Words, machine: Machine, ask: _Ask) -> _Ask:
    """``nexthop via A dev D weight N nexthop …``."""
    hops: list[Hop] = []
    while words.skip("nexthop"):
        via, name, weight = 0, "", 1
        while words and words.word != "nexthop":
            word = words.take()
            if word == "via":
                family, via = address(_past_family(words), ask.family)
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
    scope = ask.scope or ("global" if via or family == 6 or kind in DEAD_ENDS else "link")
    if ask.source is not None and not any(one.family == family and one.address == ask.source for one in host.addresses):
        raise kernel("Invalid prefsrc address.") if family == 4 else kernel("Invalid source address.")
    return Route(
        key="",
        parent=str(family),
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
        like = routes.alike(machine.host, ask.family, record.address, record.prefix, record.metric)
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
        for route in machine.host.routes.children(str(ask.family)):
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


# ---------------------------------------------------------------- showing


class _Filter(NamedTuple):
    exact: tuple[int, int, int] | None = None
    match: tuple[int, int, int] | None = None
    root: tuple[int, int, int] | None = None
    via: int | None = None
    device: str = ""
    kind: str = ""
    proto: str = ""
    scope: str = ""
    local: bool = False
    everything: bool = False


def _filter(words: Words, machine: Machine, options: Options) -> _Filter:
    found = _Filter()
    while words:
        word = words.take()
        if word == "table":
            name = words.value()
            if name in ("local", "255"):
                found = found._replace(local=True)
            elif name == "all":
                found = found._replace(everything=True)
            else:
                _table(name)
        elif word in ("dev", "oif"):
            found = found._replace(device=device(machine.host, words.value()).key)
        elif word == "via":
            found = found._replace(via=address(_past_family(words), options.family)[1])
        elif word in ("proto", "protocol"):
            found = found._replace(proto=words.value())
        elif word == "scope":
            found = found._replace(scope=words.value())
        elif word == "type":
            found = found._replace(kind=words.value())
        elif word in ("root", "match", "exact"):
            network = prefix(words.value(), options.family)[:3]
            found = {"root": found._replace(root=network), "match": found._replace(match=network), "exact": found._replace(exact=network)}[
                word
            ]
        else:
            found = found._replace(exact=prefix(words.value() if word == "to" else word, options.family)[:3])
    return found


def _chosen(host: Host, wanted: _Filter, options: Options) -> list[Route]:
    family = options.family or next((net[0] for net in (wanted.exact, wanted.match, wanted.root) if net), 0) or 4
    found = _locals(host, family) if wanted.local else host.routes.children(str(family))
    if wanted.everything:
        families = (family,) if options.family else (4, 6)
        found = [route for one in families for route in (*host.routes.children(str(one)), *_locals(host, one))]
    return [route for route in found if _fits(route, wanted)]


def _fits(route: Route, wanted: _Filter) -> bool:
    if wanted.exact and (route.address, route.prefix) != wanted.exact[1:]:
        return False
    if wanted.match and (route.prefix > wanted.match[2] or wanted.match[1] & netmask(int(route.parent), route.prefix) != route.address):
        return False
    if wanted.root and (route.prefix < wanted.root[2] or route.address & netmask(int(route.parent), wanted.root[2]) != wanted.root[1]):
        return False
    return (
        (wanted.via is None or route.via == wanted.via)
        and wanted.device in ("", route.device)
        and wanted.kind in ("", route.kind)
        and wanted.proto in ("", route.proto)
        and wanted.scope in ("", route.scope)
    )


def _locals(host: Host, family: int) -> list[Route]:
    """The local table, which follows from the addresses of devices that are up."""
    found: list[Route] = []
    for one in host.addresses:
        owner = host.devices.get(one.parent)
        if one.family != family or owner is None or not owner.up:
            continue
        rows = [("local", one.address, WIDTH[family], "host")]
        if family == 4:
            mask = netmask(4, one.prefix)
            if owner.kind == "loopback" and one.prefix < 32:
                rows.append(("local", one.address & mask, one.prefix, "host"))
            if one.prefix < 31:
                rows.append(("broadcast", one.address | ~mask & 0xFFFFFFFF, 32, "link"))
        for kind, number, length, scope in rows:
            found.append(_local(family, kind, number, length, one.parent, scope, one.address if family == 4 else 0))
    if family == 6:
        up = [one.key for one in host.devices.children("") if one.up and one.kind != "loopback"]
        found += [_local(6, "multicast", 0xFF << 120, 8, name, "global", 0, routes.KERNEL_METRIC_6) for name in up]
    return sorted(found, key=lambda route: (route.address, -WIDTH[family] if route.prefix == 0 else route.prefix))


def _local(family: int, kind: str, number: int, length: int, name: str, scope: str, source: int, metric: int = 0) -> Route:
    return Route(
        key="",
        parent=str(family),
        address=number,
        prefix=length,
        device=name,
        metric=metric,
        kind=kind,
        scope=scope,
        proto="kernel",
        source=source,
        tag="local",
    )


def show(words: Words, machine: Machine, options: Options) -> str:
    """`ip route show`."""
    wanted = _filter(words, machine, options)
    found = _chosen(machine.host, wanted, options)
    if options.json:
        return document(options, [_json(route, wanted, options) for route in found])
    return "".join(lines(options, _text(route, wanted, options) + "\n") for route in found)


def flush(words: Words, machine: Machine, options: Options) -> None:
    """`ip route flush`: all routes that `show` with the same words would list."""
    if not words:
        raise Complaint('"ip route flush" requires arguments', TOOL)
    with machine.transaction():
        for route in _chosen(machine.host, _filter(words, machine, options), options):
            machine.host.routes.delete(route.key)


def _destination(route: Route) -> str:
    family = int(route.parent)
    if route.prefix == 0:
        return "default"
    shown = show_address(family, route.address)
    return shown if route.prefix == WIDTH[family] else f"{shown}/{route.prefix}"


def _parts(route: Route, wanted: _Filter, options: Options) -> list[tuple[str, str, Any]]:
    """(text, JSON key, JSON value) of a route, in the tool's order (print_route)."""
    family = int(route.parent)
    parts: list[tuple[str, str, Any]] = []
    if options.details or route.kind != "unicast":
        parts.append((f"{route.kind} ", "type", route.kind))
    parts.append((f"{_destination(route)} ", "dst", _destination(route)))
    if route.via and not route.hops and wanted.via is None:
        gateway = show_address(family, route.via)
        parts.append((f"via {gateway} ", "gateway", gateway))
    if route.device and not route.hops and not wanted.device:
        parts.append((f"dev {route.device} ", "dev", route.device))
    if wanted.everything and route.tag:
        parts.append((f"table {route.tag} ", "table", route.tag))
    if (options.details or route.proto != "boot") and not wanted.proto:
        parts.append((f"proto {route.proto} ", "protocol", route.proto))
    if family == 4 and (options.details or route.scope != "global") and not wanted.scope:
        parts.append((f"scope {route.scope} ", "scope", route.scope))
    if route.source:
        shown = show_address(family, route.source)
        parts.append((f"src {shown} ", "prefsrc", shown))
    if route.metric or family == 6:
        parts.append((f"metric {route.metric} ", "metric", route.metric))
    if route.onlink:
        parts.append(("onlink ", "flags", ["onlink"]))
    return parts


def _text(route: Route, wanted: _Filter, options: Options) -> str:
    family = int(route.parent)
    line = "".join(part[0] for part in _parts(route, wanted, options))
    for hop in route.hops:
        line += f"\n\tnexthop via {show_address(family, hop.via)} dev {hop.device} weight {hop.weight} "
    return line + ("pref medium" if family == 6 else "")


def _json(route: Route, wanted: _Filter, options: Options) -> dict[str, Any]:
    family = int(route.parent)
    record = {key: value for _, key, value in _parts(route, wanted, options)}
    record.setdefault("flags", [])
    if route.hops:
        record["nexthops"] = [
            {"gateway": show_address(family, hop.via), "dev": hop.device, "weight": hop.weight, "flags": []} for hop in route.hops
        ]
    return record | ({"pref": "medium"} if family == 6 else {})


# ---------------------------------------------------------------- get

_REFUSED = {
    "blackhole": "Invalid argument",
    "unreachable": "No route to host",
    "prohibit": "Permission denied",
    "throw": "Network is unreachable",
}


def get(words: Words, machine: Machine, options: Options) -> str:
    """`ip route get`: where a packet of this machine would go."""
    target: tuple[int, int] | None = None
    source: int | None = None
    mark = 0
    name = arrived = ""
    while words:
        word = words.take()
        if word == "from":
            source = address(words.value(), options.family)[1]
        elif word in ("dev", "oif"):
            name = device(machine.host, words.value()).key
        elif word == "iif":
            arrived = device(machine.host, words.value()).key
        elif word == "mark":
            mark = words.number("mark")
        elif word in ("uid", "tos", "dsfield", "ipproto", "sport", "dport", "vrf"):
            words.value()
        elif word not in ("fibmatch", "connected", "notify"):
            target = address(words.value() if word == "to" else word, options.family)
    if target is None:
        raise Complaint("need at least a destination address", TOOL)
    answer = routes.lookup(machine.host, *target)
    if answer is None or (name and answer.device != name):
        raise rtnetlink("Network is unreachable")
    if arrived and answer.route is not None and not _forwards(machine.host, target[0]):
        raise rtnetlink("No route to host")
    if answer.route is not None and answer.route.kind in _REFUSED:
        raise rtnetlink(_REFUSED[answer.route.kind])
    return _answer(target, answer, source, mark, options)


def _forwards(host: Host, family: int) -> bool:
    names = ("net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding") if family == 4 else ("net.ipv6.conf.all.forwarding",)
    return any((setting := host.sysctls.get(name)) is not None and setting.value not in ("", "0") for name in names)


def _answer(target: tuple[int, int], answer: routes.Answer, source: int | None, mark: int, options: Options) -> str:
    family = target[0]
    parts: list[tuple[str, str, Any]] = []
    local = answer.route is None
    if local:
        parts.append(("local ", "type", "local"))
    parts.append((f"{show_address(*target)} ", "dst", show_address(*target)))
    if source is not None:
        parts.append((f"from {show_address(family, source)} ", "from", show_address(family, source)))
    elif family == 6:
        parts.append(("from :: ", "from", "::"))
    if answer.route is not None and answer.route.via:
        gateway = show_address(family, answer.route.via)
        parts.append((f"via {gateway} ", "gateway", gateway))
    parts.append((f"dev {answer.device} ", "dev", answer.device))
    if family == 6 and local:
        parts += [("table local ", "table", "local"), ("proto kernel ", "protocol", "kernel")]
    if answer.source and source is None:
        parts.append((f"src {show_address(family, answer.source)} ", "prefsrc", show_address(family, answer.source)))
    if family == 6:
        metric = answer.route.metric if answer.route is not None else 0
        parts.append((f"metric {metric} ", "metric", metric))
    if mark:
        parts.append((f"mark {mark:#x} " if mark > 15 else f"mark {mark} ", "mark", mark))
    if options.json:
        record = {key: value for _, key, value in parts} | {"flags": []}
        return document(options, [record | ({"pref": "medium"} if family == 6 else {"uid": 0, "cache": ["local"] if local else []})])
    line = "".join(part[0] for part in parts)
    end = "pref medium\n" if family == 6 else f"uid 0 \n    cache {'<local> ' if local else ''}\n"
    return lines(options, line + end)
