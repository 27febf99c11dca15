"""Dependencies: the matches that a header field brings with it, so that the field is only read where the header is there.

    inet   ip saddr 1.1.1.1      meta nfproto ipv4 first        tcp dport 22     meta l4proto tcp first
    ip     ether saddr …         meta iiftype ether first       icmp id 1        icmp type { echo-request, echo-reply } first

They run and are not listed. Source: nftables src/evaluate.c (expr_evaluate_payload), payload.c (payload_gen_dependency).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcemu.nft.datatypes import TYPES
from tcemu.nft.errors import NftError
from tcemu.nft.protocols import DEVICE_TYPES, FAMILY_BASE, HEADERS, ICMP_NEEDS, LAYERS, LL, NH, TARGETS, TH, Field, Header
from tcemu.nft.tree import At, Element, Expr, Key, SetLiteral, Stmt, Value

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope

PSEUDO = ("inet", "netdev", "unknown")


def settle(scope: Scope, key: Key, header: Header, field: Field) -> int:
    """Make sure of the header; the bits by which stacked link layer headers shift its fields."""
    context = scope.protocols
    base = header.base
    now = context.header(base)
    if scope.lenient:
        return 0
    if now is None:
        generate(scope, key.at, header)
        now = context.header(base)
        if now is not None and now.name != header.name and base == LL:
            return _stack(scope, key.at, now, header)
    elif now.name == header.name:
        if base == LL:
            _icmp(scope, key.at, header, field)
            return context.stack_bits()
    elif now.base == base:
        shift = _conflict(scope, key.at, now, header)
        if shift is not None:
            return shift
    _icmp(scope, key.at, header, field)
    return 0


def _stack(scope: Scope, at: At, below: Header, header: Header) -> int:
    """Put a link layer header on top of the one that the dependency settled (VLAN on Ethernet)."""
    number = below.number(header.name)
    if number < 0:
        raise conflict(below.name, header.name, at)
    _add(scope, at, field_key(at, below, below.key), number)
    return scope.protocols.stack_bits()


def _conflict(scope: Scope, at: At, now: Header, header: Header) -> int | None:
    """Another protocol is settled on this layer: fine where one can lie on the other; else an error. None: no shift."""
    context = scope.protocols
    if header.base == LL:
        if now.name in PSEUDO:
            _device_type(scope, at, header)
            if header.name == "ether":
                return None
            now = HEADERS["ether"]
        if header.name in context.stacked:
            return 0
    link = now.number(header.name)
    if header.base + 1 in context.layers or link < 0:
        raise conflict(now.name, header.name, at)
    _add(scope, at, field_key(at, now, now.key), link)
    return context.stack_bits()


def conflict(one: str, other: str, at: At) -> NftError:
    """Two protocols that cannot be meant at once."""
    return NftError(f"conflicting protocols specified: {one} vs. {other}", at)


def generate(scope: Scope, at: At, header: Header) -> None:
    """The match that makes sure of a header on a layer that nothing has settled."""
    context = scope.protocols
    base, family_name = FAMILY_BASE[scope.family]
    if header.base < base:
        if header.base < base - 1:
            raise NftError("payload base is invalid for this family", at)
        _device_type(scope, at, header)
        return
    below = context.header(header.base - 1) or _special(scope, at, header)
    if below is None:
        raise NftError(f"ambiguous payload specification: no {LAYERS[header.base - 1]} protocol specified", at)
    if scope.family == "bridge" and below.name == "ether" and header.name in ("ip", "ip6"):
        below = HEADERS["netdev"]
    upper(scope, at, below, header.name)
    _ = family_name


def _special(scope: Scope, at: At, header: Header) -> Header | None:
    """What says which protocol it is in tables of several families."""
    if header.base == LL:
        return {"inet": HEADERS["inet"], "bridge": HEADERS["ether"], "netdev": HEADERS["netdev"]}.get(scope.family)
    if header.base != TH:
        return None
    if header.name in ("icmp", "icmpv6", "igmp"):
        below = scope.protocols.header(LL) or _special(scope, at, HEADERS["ether"])
        if below is not None:
            network = "ip6" if header.name == "icmpv6" else "ip"
            upper(scope, at, below, network)
            return HEADERS[network]
    return HEADERS["unknown"]


def upper(scope: Scope, at: At, below: Header, name: str) -> None:
    """``below``'s key says that ``name`` comes next."""
    number = below.number(name)
    if number < 0:
        raise conflict(below.name, name, at)
    if below.meta:
        from tcemu.nft.expressions.meta import typed

        _add(scope, at, typed(at, below.meta), number)
    elif below.base == NH and HEADERS[name].base == TH:
        from tcemu.nft.expressions.meta import typed

        _add(scope, at, typed(at, "l4proto"), number)  # behind IPv6 extension headers too
        scope.protocols.update(TH, name, at)
    else:
        _add(scope, at, field_key(at, below, below.key), number)


def settle_network(scope: Scope, key: Key, name: str) -> None:
    """An extension header or IPv4 option wants its network protocol; the match goes to the rule's beginning."""
    now = scope.protocols.header(NH)
    if scope.lenient or (now is not None and now.name == name):
        return
    if now is not None:
        raise NftError(f"cannot use exthdr with {now.name}", key.at)
    below = scope.protocols.header(LL)
    if below is None:
        raise NftError("Cannot generate dependency: no link layer protocol specified", key.at)
    place = len(scope.done)
    upper(scope, key.at, below, name)
    added = scope.done[place:]
    del scope.done[place:]
    scope.done[:0] = added


def _device_type(scope: Scope, at: At, header: Header) -> None:
    if header.name not in DEVICE_TYPES:
        raise NftError("protocol specification is invalid for this family", at)
    from tcemu.nft.expressions.meta import typed

    _add(scope, at, typed(at, "iiftype"), DEVICE_TYPES[header.name])
    scope.protocols.update(LL, "ether", at)


def _icmp(scope: Scope, at: At, header: Header, field: Field) -> None:
    """Fields that only messages of one type have."""
    if not field.icmp:
        return
    context = scope.protocols
    if field.icmp == "target":
        _target(scope, at, header)
        return
    wanted = ICMP_NEEDS[field.icmp]
    if context.icmp_type == wanted or (wanted == 128 and context.icmp_type == 129):
        return
    if context.icmp_type:
        raise NftError(f"incompatible icmp match: rule has {context.icmp_type}, need {wanted}", at)
    context.icmp_type = wanted
    left = field_key(at, header, "type")
    if field.icmp in ("echo", "echo6"):
        scope.dependency(left, _types(at, (8, 0) if field.icmp == "echo" else (128, 129), left))
    else:
        _add(scope, at, left, wanted)


def _target(scope: Scope, at: At, header: Header) -> None:
    """Several messages of ICMPv6 have a target address."""
    context = scope.protocols
    if context.icmp_type in TARGETS:
        return
    if context.icmp_type:
        raise NftError(f"incompatible icmp match: rule has {context.icmp_type}, need {TARGETS[0]}", at)
    left = field_key(at, header, "type")
    scope.dependency(left, _types(at, TARGETS, left))


def _types(at: At, types: tuple[int, ...], left: Key) -> SetLiteral:
    items: list[Expr] = []
    for number in types:
        value: Value = Value(at, number).typed(left.dtype, 8, "big")
        element = Element(at, value)
        element.typed(left.dtype, 8, "big")
        items.append(element)
    made: SetLiteral = SetLiteral(at, items).typed(left.dtype, 8, "big")
    return made


def field_key(at: At, header: Header, name: str) -> Key:
    """An evaluated key of a header's field, below whatever is stacked."""
    from tcemu.nft.expressions.payload import typed

    return typed(at, header, header.field(name))


def _add(scope: Scope, at: At, left: Key, number: int) -> None:
    value: Value = Value(at, number).typed(left.dtype or TYPES["integer"], left.bits, left.order)
    scope.dependency(left, value)


def learn(scope: Scope, left: Expr, right: Expr, at: At) -> None:
    """An equality says which protocol comes next (relational_expr_pctx_update)."""
    if not isinstance(left, Key):
        return
    if isinstance(right, Value):
        if isinstance(right.value, int):
            _learn(scope, left, right.value, at)
    elif isinstance(right, SetLiteral):
        for item in right.items:
            if isinstance(item, Element) and isinstance(item.key, Value) and isinstance(item.key.value, int):
                _learn(scope, left, item.key.value, at)


def _learn(scope: Scope, left: Key, number: int, at: At) -> None:
    context = scope.protocols
    if left.kind == "inner":
        from tcemu.nft.expressions import tunnel

        tunnel.learn(scope, left, number)
    elif left.kind == "meta":
        _learn_meta(scope, left.args[0], number, at)
    elif left.kind == "ct":
        network = context.header(NH)
        if left.args[0] == "l3proto":
            name = HEADERS["inet"].upper(number)
            if name:
                context.update(NH, name, at)
        elif left.args[0] == "protocol" and network is not None and network.upper(number):
            context.update(TH, network.upper(number), at)
    elif left.kind == "payload" and left.args[0]:
        header = HEADERS[left.args[0]]
        if left.args[1] == header.key or (header.name, left.args[1]) in (("ip", "protocol"), ("ip6", "nexthdr")):
            _learn_payload(scope, header, number, at)


def _learn_meta(scope: Scope, key: str, number: int, at: At) -> None:
    context = scope.protocols
    base, name = FAMILY_BASE[scope.family]
    if key == "nfproto":
        context.update(NH, HEADERS[name].upper(number) or "unknown", at)
    elif key == "l4proto":
        context.update(TH, HEADERS["unknown"].upper(number) or "unknown", at)
    elif key == "iiftype" and number == DEVICE_TYPES["ether"]:
        context.update(LL, "ether", at)
    elif key == "protocol" and base == LL and scope.family in ("netdev", "bridge"):
        upper_name = HEADERS[name].upper(number)
        context.update(HEADERS[upper_name].base if upper_name else NH, upper_name or "unknown", at)


def _learn_payload(scope: Scope, header: Header, number: int, at: At) -> None:
    context = scope.protocols
    now = context.header(header.base) or header
    name = now.upper(number)
    if not name:
        if header.name == "icmp":
            context.icmp_type = number or 8
        elif header.name == "icmpv6":
            context.icmp_type = 128 if number == 129 else number
        return
    if HEADERS[name].base == now.base:
        if now.base != LL:  # headers without a length cannot be stacked: nft 1.0.6 aborts
            raise conflict(now.name, name, at)
        context.stacked.append(now.name)
    context.update(HEADERS[name].base, name, at)


__all__ = ["Stmt", "conflict", "field_key", "generate", "learn", "settle", "settle_network", "upper"]
