"""`ip route show`, ``flush`` and ``get``. Source: iproute2 6.1 ip/iproute.c print_route(), iproute_get()."""

from __future__ import annotations

from typing import Any, NamedTuple

from tcemu.host import routes, sysctls
from tcemu.host.ip.out import Options, document, lines
from tcemu.host.ip.route import past_family, table_number
from tcemu.host.ip.words import KERNEL, TOOL, Complaint, Machine, Words, address, device, prefix, rtnetlink
from tcemu.host.model import Host, Route
from tcemu.host.text import WIDTH, netmask, show_address


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
    table: int = 0


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
                found = found._replace(table=table_number(name))
        elif word in ("dev", "oif"):
            found = found._replace(device=device(machine.host, words.value()).key)
        elif word == "via":
            found = found._replace(via=address(past_family(words), options.family)[1])
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
    parent = f"{family} {wanted.table}" if wanted.table else str(family)
    found = _locals(host, family) if wanted.local else host.routes.children(parent)
    if wanted.table and not found and family == 4:
        raise Complaint("Error: ipv4: FIB table does not exist.\nDump terminated", KERNEL)
    if wanted.everything:
        families = (family,) if options.family else (4, 6)
        found = [route for one in families for route in (*host.routes.children(str(one)), *_locals(host, one))]
    return [route for route in found if _fits(route, wanted)]


def _fits(route: Route, wanted: _Filter) -> bool:
    if wanted.exact and (route.address, route.prefix) != wanted.exact[1:]:
        return False
    if wanted.match and (
        route.prefix > wanted.match[2] or wanted.match[1] & netmask(routes.family_of(route), route.prefix) != route.address
    ):
        return False
    if wanted.root and (
        route.prefix < wanted.root[2] or route.address & netmask(routes.family_of(route), wanted.root[2]) != wanted.root[1]
    ):
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
    family = routes.family_of(route)
    if route.prefix == 0:
        return "default"
    shown = show_address(family, route.address)
    return shown if route.prefix == WIDTH[family] else f"{shown}/{route.prefix}"


def _parts(route: Route, wanted: _Filter, options: Options) -> list[tuple[str, str, Any]]:
    """(text, JSON key, JSON value) of a route, in the tool's order (print_route)."""
    family = routes.family_of(route)
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
    family = routes.family_of(route)
    line = "".join(part[0] for part in _parts(route, wanted, options))
    for hop in route.hops:
        line += f"\n\tnexthop via {show_address(family, hop.via)} dev {hop.device} weight {hop.weight} "
    return line + ("pref medium" if family == 6 else "")


def _json(route: Route, wanted: _Filter, options: Options) -> dict[str, Any]:
    family = routes.family_of(route)
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
    return sysctls.number_of(host, sysctls.FORWARD4 if family == 4 else sysctls.FORWARD6) != 0


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
