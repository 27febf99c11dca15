"""What a rule looks like when nft lists it: redundant matches gone, neighbours in header order, relations in nft's spelling.

nft sends bytecode to the kernel and reads it back, so a listing differs from the input in known ways. Here the evaluated
statements are put into that form once, when the rule is made; the listing prints what is stored.

* Matches on fields side by side in a header are fetched together and come back in header order (payload_try_merge). Those with ``!=``
  are one comparison then, which holds where any of the fields differs: `arranged` tells whoever makes steps of them.
* A match that only makes sure of a protocol goes when a later match implies it and no other statement stands between.
* ``x & mask == 0`` on bits is ``! bits``; ``x & mask == value`` is ``value / mask``; a mask that is a prefix is one.

Source: nftables src/netlink_delinearize.c, payload.c, netlink_linearize.c; observed with nft 1.0.6.
"""

from __future__ import annotations

from typing import Any, Final

from tcemu.nft.binops import listed
from tcemu.nft.dependencies import learn
from tcemu.nft.forms import form as form_of
from tcemu.nft.forms import key_form, plain_value
from tcemu.nft.protocols import HEADERS, ICMP_NEEDS, IH, LL, NH, TH, Context
from tcemu.nft.tree import Binop, Concat, Expr, Key, MapOf, Prefix, Range, SetRef, Stmt, Value

Form = list[Any]
SEVERAL: Final = ("inet", "bridge", "netdev")
MERGE_MAX: Final = 128  # bits of a register
FAST: Final = 32


class Item:
    """A statement on its way to the listing."""

    __slots__ = ("form", "gone", "place", "stmt")

    def __init__(self, stmt: Stmt, place: int) -> None:
        self.stmt = stmt
        self.place = place
        self.form: Form | None = None
        self.gone = False


def listing(stmts: list[Stmt], places: list[int], family: str) -> list[Form]:
    """The forms of a rule's statements as listed; ``places`` are the numbers of their first steps."""
    items = merge([Item(stmt, place) for stmt, place in zip(stmts, places, strict=True)])
    walk = Walk(family)
    for item in items:
        walk.visit(item)
    return [item.form for item in items if not item.gone and item.form is not None]


# ---------------------------------------------------------------- neighbours
def arranged(stmts: list[Stmt]) -> list[list[Stmt]]:
    """The statements in the order in which they run; those that nft makes one comparison of stand together."""
    return [[item.stmt for item in group] for group in _groups([Item(stmt, 0) for stmt in stmts])]


def merge(items: list[Item]) -> list[Item]:
    """Put matches on neighbouring fields into header order, where the first of them stands."""
    return [item for group in _groups(items) for item in group]


def _groups(items: list[Item]) -> list[list[Item]]:
    order: list[Any] = list(items)
    run: list[Item] = []
    for item in items:
        if item.stmt.kind != "match":
            if len(run) > 1:
                _merge_run(order, run)
                run = []
            continue  # a single match stays in the run: nft 1.0.6 merges it across the other statement
        if _mergeable(item.stmt):
            run.append(item)
    if len(run) > 1:
        _merge_run(order, run)
    return [entry if isinstance(entry, list) else [entry] for entry in order]


def _mergeable(stmt: Stmt) -> bool:
    left, right = stmt.args["left"], stmt.args["right"]
    if not isinstance(left, Key) or left.kind != "payload" or not isinstance(right, Value) or stmt.args["op"] not in ("", "==", "!="):
        return False
    if right.dtype is not None and right.dtype.root == "bitmask" and stmt.args["op"] == "":
        return False
    return left.args[3] % 8 == 0 and left.bits % 8 == 0


def _merge_run(order: list[Any], run: list[Item]) -> None:
    ordered = sorted(run, key=lambda item: (item.stmt.args["left"].args[2], item.stmt.args["left"].args[3]))
    group = [ordered[0]]
    keeper = ordered[0]
    for item in ordered[1:]:
        if not _adjacent(group, item):
            _settle(order, group, keeper)
            group, keeper = [item], item
            continue
        group.append(item)
        if _is_protocol(item.stmt.args["left"]):
            keeper = item
    _settle(order, group, keeper)


def _adjacent(group: list[Item], item: Item) -> bool:
    first, last, key = group[0].stmt.args["left"], group[-1].stmt.args["left"], item.stmt.args["left"]
    if last.args[2] != key.args[2] or last.args[3] + last.bits != key.args[3]:
        return False
    if (group[-1].stmt.args["op"] == "!=") != (item.stmt.args["op"] == "!="):
        return False
    merged = last.args[3] + last.bits - first.args[3]
    total = merged + key.bits
    if total > MERGE_MAX:
        return False
    return bool(total <= FAST or key.args[2] == LL or merged > FAST or key.bits > FAST)


def _settle(order: list[Any], group: list[Item], keeper: Item) -> None:
    if len(group) < 2:
        return
    for item in group:
        if item is not keeper:
            order.remove(item)
    order[order.index(keeper)] = group


# ---------------------------------------------------------------- redundant matches
def _is_protocol(key: Expr) -> bool:
    """A key whose value says which protocol comes next."""
    if not isinstance(key, Key):
        return False
    if key.kind == "payload" and key.args[0]:
        return bool(key.args[1] == HEADERS[key.args[0]].key) and key.args[1] != ""
    if key.kind == "meta":
        return key.args[0] in ("protocol", "nfproto", "l4proto", "iiftype")
    return key.kind == "ct" and key.args[0] in ("protocol", "l3proto")


META_BASE: Final = {"protocol": LL, "nfproto": LL, "l4proto": NH, "iiftype": 0}


class Walk:
    """The walk over a rule's statements that finds out what is redundant."""

    def __init__(self, family: str) -> None:
        self.family = family
        self.protocols = Context(family)
        self.done: list[Stmt] = []  # as dependencies.learn wants a scope
        self.pending: dict[int, Item] = {}
        self.icmp = 0
        self.inside: dict[str, Any] = {}  # as dependencies.learn wants a scope
        self.item: Item

    def visit(self, item: Item) -> None:
        """Put one statement into listed form."""
        self.item = item
        stmt = item.stmt
        if stmt.kind == "match":
            self._match(item)
            return
        self._expressions(stmt)
        _finish(self, stmt)
        from tcemu.nft.statements import KINDS

        item.form = KINDS[stmt.kind].form(stmt, item.place)
        self.pending.clear()
        self.icmp = 0

    # ------------------------------------------------------------ matches
    def _match(self, item: Item) -> None:
        left, op, right = listed(item.stmt.args["left"]), item.stmt.args["op"], item.stmt.args["right"]
        core = left
        while isinstance(core, Binop):
            core = core.left
        equal = op in ("", "==") and isinstance(right, Value) and not isinstance(left, Binop)
        if isinstance(core, Key) and core.kind == "payload":
            completed = self._complete(core)
            if completed is not core:
                left = _replace(left, core, completed)
                core = completed
                right = retyped(right, core)
            base = core.args[2]
            if equal:
                learn(self, core, right, item.stmt.at)  # type: ignore[arg-type]
                if self._stacked(core, right):
                    base -= 1
            elif isinstance(right, SetRef):
                self._icmp_set(core, right)
            self._kill(core)
            if equal and _is_protocol(core):
                self._store(item, core, right, base)
        elif isinstance(core, Key) and core.kind in ("meta", "ct"):
            if equal:
                self._meta(item, core, right)
        elif isinstance(core, Key) and core.kind == "inner":
            self._touch(core)
            item.gone = bool(item.stmt.args["implied"])
        else:
            self._touch(left)
        item.form = relation(left, op, right)

    def _meta(self, item: Item, key: Key, right: Value) -> None:
        learn(self, key, right, item.stmt.at)  # type: ignore[arg-type]
        if key.kind == "meta":
            base = META_BASE.get(key.args[0], 0)
        else:
            base = {"l3proto": LL, "protocol": NH}.get(key.args[0], NH if "addr" in key.args[0] else 0)
        if base in self.pending and self._meta_may_kill(key, right):
            self._release(base)
        if _is_protocol(key):
            self.pending[base + 1] = item

    def _store(self, item: Item, key: Key, right: Value, base: int) -> None:
        number = right.value if isinstance(right.value, int) else 0
        if key.args[0] == "icmp":
            self.icmp = number or 8
            if self.icmp == 8:
                return
        elif key.args[0] == "icmpv6":
            self.icmp = number
            if number in (128, 129):
                return
        self.pending[base + 1] = item

    def _stacked(self, key: Key, right: Value) -> bool:
        if not _is_protocol(key) or not isinstance(right.value, int):
            return False
        upper = HEADERS[key.args[0]].upper(right.value)
        return bool(upper) and HEADERS[upper].base == key.args[2]

    def _icmp_set(self, key: Key, right: SetRef) -> None:
        """A literal of ICMP types tells the type as its first member does."""
        if key.args[:2] not in (("icmp", "type"), ("icmpv6", "type")) or self.protocols.icmp_type:
            return
        members = right.info.elements if right.info.anonymous else []
        if members and isinstance(members[0].key, Value) and isinstance(members[0].key.value, int):
            self.protocols.icmp_type = members[0].key.value

    # ------------------------------------------------------------ what implies what
    def _kill(self, key: Key) -> None:
        """Drop the pending match that this field makes redundant."""
        base = key.args[2]
        if not key.args[0]:
            return
        at = base if base in self.pending else IH if base == TH and IH in self.pending else 0
        if at and self._may_kill(self.pending[at].stmt, key):
            self._release(base)

    def _release(self, base: int) -> None:
        at = base if base in self.pending else IH if base == TH and IH in self.pending else 0
        if at:
            self.pending.pop(at).gone = True

    def _may_kill(self, dependency: Stmt, key: Key) -> bool:
        left, right = dependency.args["left"], dependency.args["right"]
        base = key.args[2]
        payload = isinstance(left, Key) and left.kind == "payload"
        if self.family in SEVERAL and payload:
            if left.args[0] in ("ip", "ip6") and base == TH:
                return False
            if dependency.args["op"] in ("", "==") and base == left.args[2]:
                if _is_protocol(key):
                    return False
                if base == LL:
                    if left.args[0] == "vlan":
                        return False
                    if left.args[0] == "ether" and isinstance(right, Value):
                        return right.value == 0x8100
                    return True
        if base != TH:
            return True
        if key.args[0] == "th":
            return False
        if not payload or left.args[2] != TH:
            return True
        if left.args[0] in ("icmp", "icmpv6"):
            field = HEADERS[key.args[0]].field(key.args[1])
            return bool(field.icmp) and left.args[0] == key.args[0] and ICMP_NEEDS.get(field.icmp) == self.icmp
        return True

    def _meta_may_kill(self, key: Key, right: Value) -> bool:
        dependency = self.pending.get(NH)
        if dependency is None:
            return True
        left, number = dependency.stmt.args["left"], dependency.stmt.args["right"]
        value = number.value if isinstance(number, Value) and isinstance(number.value, int) else 0
        if left.kind == "meta" and left.args[0] in ("nfproto", "protocol"):
            network = {2: 2, 10: 10, 0x0800: 2, 0x86DD: 10}.get(value, 0)
        elif left.kind == "payload" and left.args[2] == LL and left.dtype is not None and left.dtype.name == "ether_type":
            network = {0x0800: 2, 0x86DD: 10}.get(value, 0)
        else:
            return True
        if self.family in ("ip", "ip6"):
            return network == {"ip": 2, "ip6": 10}[self.family]
        if self.family not in SEVERAL:
            return True
        if key.kind == "ct":
            return network == (2 if key.bits == 32 else 10) if "addr" in key.args[0] else False
        if key.args[0] != "l4proto":
            return True
        return {1: 2, 58: 10}.get(int(right.value), -1) == network

    # ------------------------------------------------------------ everything else
    def _complete(self, key: Key) -> Key:
        """A raw field, or one of ``th``, is that of the protocol that the rule has settled on."""
        header, _field, base, offset = key.args
        if header not in ("", "th"):
            return key
        name = self.protocols.layers.get(base, "")
        if name in ("", "inet", "netdev", "unknown"):
            return _th(key)
        offset -= self.protocols.stack_bits() if base == LL else 0
        for field in HEADERS[name].fields:
            if field.offset != offset or field.bits != key.bits:
                continue
            if field.icmp and self.protocols.icmp_type and ICMP_NEEDS[field.icmp] != self.protocols.icmp_type:
                continue
            from tcemu.nft.expressions.payload import typed

            return typed(key.at, HEADERS[name], field)
        return _th(key)

    def _expressions(self, stmt: Stmt) -> None:
        if stmt.kind == "tproxy" and stmt.args["port"] is not None:
            self.pending.clear()
        target = stmt.args.get("target")
        for name, value in list(stmt.args.items()):
            if isinstance(value, Expr):
                stmt.args[name] = self._touch(value)
        if target is not None and stmt.args["target"] is not target:
            stmt.args["value"] = retyped(stmt.args["value"], stmt.args["target"])

    def _touch(self, expr: Any) -> Any:
        """Complete and use the fields inside an expression, in order."""
        if isinstance(expr, Key):
            if expr.kind == "payload":
                made = self._complete(expr)
                self._kill(made)
                return made
            if expr.kind == "exthdr":
                base = {"tcp": TH, "ip6": NH, "ip": NH}.get(expr.args[0])
                if base is not None and base in self.pending:
                    self._release(base)
            if expr.kind == "inner" and expr.args[0] in ("gre", "gretap"):
                self._release(TH)
            for inner in expr.inner:
                self._touch(inner)
        elif isinstance(expr, Concat):
            expr.parts = [self._touch(part) for part in expr.parts]
        elif isinstance(expr, Binop):
            expr.left = self._touch(expr.left)
            return listed(expr)
        elif isinstance(expr, MapOf):
            expr.key = self._touch(expr.key)
        return expr


def _th(key: Key) -> Key:
    """A raw port without a protocol is one of ``th``."""
    if key.args[0] == "" and key.args[2] == TH and key.bits == 16 and key.args[3] in (0, 16):
        made: Key = Key(key.at, "payload", ("th", "sport" if key.args[3] == 0 else "dport", TH, key.args[3]))
        return made.typed(key.dtype, key.bits, key.order)  # type: ignore[no-any-return]
    return key


def retyped(expr: Any, key: Expr) -> Any:
    """A constant in the type of the field that a raw one turned out to be."""
    if isinstance(expr, Value):
        return Value(expr.at, expr.value).typed(key.dtype, expr.bits, expr.order)
    if isinstance(expr, Range):
        return Range(expr.at, retyped(expr.low, key), retyped(expr.high, key)).typed(key.dtype, expr.bits, expr.order)
    if isinstance(expr, Prefix):
        return Prefix(expr.at, retyped(expr.base, key), expr.length).typed(key.dtype, expr.bits, expr.order)
    return expr


def _replace(expr: Expr, old: Expr, new: Expr) -> Expr:
    if expr is old:
        return new
    assert isinstance(expr, Binop)
    made: Binop = Binop(expr.at, expr.op, _replace(expr.left, old, new), expr.right)
    return made.typed(expr.dtype, expr.bits, expr.order)  # type: ignore[no-any-return]


def _finish(walk: Walk, stmt: Stmt) -> None:
    """What listing changes in single kinds of statements."""
    if stmt.kind == "reject":
        if walk.family in ("ip", "ip6"):
            if stmt.args["type"] == "tcp reset":
                walk._release(TH)
        elif stmt.args["type"] != "icmpx":
            stmt.args["verbose"] = True
            walk._release(NH)
    elif stmt.kind in ("nat", "tproxy"):
        family, address = stmt.args["family"], stmt.args["address"]
        mapped = stmt.kind == "nat" and isinstance(address, MapOf) and (stmt.args["form"] != "")
        if family in ("ip", "ip6") and (walk.family == "inet" or mapped) and (address is not None or stmt.kind == "tproxy"):
            stmt.args["shown"] = family
        if isinstance(address, Range) and address.dtype is not None and address.dtype.prefix:
            from tcemu.nft.elements import part_form
            from tcemu.nft.sets import bounds

            stmt.args["address_form"] = part_form(address.dtype, address.bits, *bounds(address))


# ---------------------------------------------------------------- relations
def relation(left: Expr, op: str, right: Expr) -> Form:
    """A match as listed."""
    if isinstance(left, Binop) and left.op == "&" and isinstance(left.right, Value) and left.right.value == (1 << left.left.bits) - 1:
        left, op = left.left, op or "=="
    dtype = left.dtype
    if isinstance(left, Binop) and left.op == "&" and isinstance(left.right, Value) and isinstance(right, Value):
        made = _masked(left, op, right)
        if made is not None:
            return made
    if isinstance(right, Prefix) and isinstance(right.base, Value) and isinstance(right.base.value, int):
        return _prefix(left, op, right)
    if isinstance(right, Value) and dtype is not None and dtype.root == "bitmask" and isinstance(right.value, int):
        if op in ("", "!"):
            return ["match", op, form_of(left), bits_form(dtype.name, right.value)]
        if isinstance(left, Key) and left.kind == "payload":
            return ["match", op, form_of(left), plain_value(right)]
    if isinstance(left, Binop) and op == "":
        op = "=="
    return ["match", op, form_of(left), form_of(right)]


def bits_form(name: str, value: int) -> Form:
    """Bits with commas; one bit is a value."""
    return ["list", name, value] if value & (value - 1) else ["v", name, value]


def _masked(left: Binop, op: str, right: Value) -> Form | None:
    """``x & mask`` against a constant."""
    assert isinstance(left.right, Value)
    inner, mask, value = left.left, left.right.value, right.value
    dtype = inner.dtype
    if dtype is None or not isinstance(mask, int) or not isinstance(value, int) or op not in ("", "==", "!="):
        return None
    if dtype.root == "bitmask":
        if value == 0:
            return ["match", "" if op == "!=" else "!", form_of(inner), bits_form(dtype.name, mask)]
        if mask & (mask - 1):
            return ["match", "!=" if op == "!=" else "", form_of(inner), bits_form(dtype.name, value), bits_form(dtype.name, mask)]
        return None
    if dtype.prefix:
        length = prefix_length(mask, inner.bits)
        if length >= 0:
            shown: Form = ["v", dtype.name, value] if length == inner.bits else ["prefix", ["v", dtype.name, value], length]
            return ["match", "" if op == "==" else op, form_of(inner), shown]
    return None


def prefix_length(mask: int, bits: int) -> int:
    """How many high bits a mask has, or -1 if it is no prefix."""
    low = (1 << bits) - 1 ^ mask
    return bits - low.bit_length() if low & (low + 1) == 0 else -1


def _prefix(left: Expr, op: str, right: Prefix) -> Form:
    dtype, base = right.dtype, right.base
    assert isinstance(base, Value)
    if dtype is not None and dtype.prefix and not isinstance(left, Binop):
        shown = form_of(base) if right.length == right.bits else form_of(right)
        return ["match", op, form_of(left), shown]
    if right.length == right.bits:
        return ["match", op, form_of(left), form_of(base)]
    mask = (1 << right.bits) - 1 >> (right.bits - right.length) << (right.bits - right.length)
    name = dtype.name if dtype is not None else "integer"
    return ["match", op or "==", ["op", "&", form_of(left), ["v", name, mask]], form_of(base)]


__all__ = ["arranged", "key_form", "listing", "relation"]
