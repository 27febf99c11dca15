"""``nft describe``: what an expression or a data type is, and the words that its values have.

Source: nftables src/expression.c (expr_describe), datatype.c (symbol_table_print), observed with nft 1.0.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcemu.nft import symbols
from tcemu.nft.datatypes import INVALID, TYPES, Datatype
from tcemu.nft.define import typeof
from tcemu.nft.errors import NftError, NftErrors
from tcemu.nft.tree import Expr, Key, Symbol, Variable

if TYPE_CHECKING:
    from tcemu.nft.evaluate import Scope

WHAT: Final = {"ipsec": "xfrm"}  # nft's word for a kind of expression, where it is another
HIDDEN: Final = frozenset(("xinteger", "priority", "policy", "date", "ct_label", "ll_addr"))  # types without a name of their own
BASES: Final = {"ether_addr": ("link layer address", "integer"), "bitmask": ("integer",), "ll_addr": ("integer",)}
ROOTS: Final = {"integer": ("integer",), "bitmask": ("bitmask", "integer"), "string": ("string",)}
BASIC: Final = frozenset(("integer", "xinteger", "string", "verdict", "invalid"))
HEXADECIMAL: Final = frozenset(("ether_type", "arp_op", "iface_type", "dscp", "dccp_pkttype"))
DYNAMIC: Final = frozenset(("realm", "devgroup"))  # their words come from files of iproute2
NAMES: Final = {"xinteger": "integer", "date": "time"}  # as nft names them
BITS: Final = {"boolean": 1, "hour": 64}


def describe(scope: Scope, expr: Expr) -> str:
    """The text of the answer."""
    while isinstance(expr, Variable):
        expr = expr.value
    if isinstance(expr, Symbol):
        dtype = TYPES.get(expr.text)
        if dtype is not None and dtype.name not in HIDDEN:
            bits = BITS.get(dtype.name, dtype.bits)
            return f"datatype {_name(dtype)}, {bits} bits\n" + _words(dtype, bits)
        return "symbol expression, datatype invalid (invalid)"
    made = typed(scope, expr)
    dtype = made.dtype or INVALID
    what = WHAT.get(made.kind, made.kind) if isinstance(made, Key) else made.what
    if dtype is INVALID:
        return f"{what} expression, datatype invalid (invalid)"
    length = f"{made.bits // 8} characters" if dtype.root == "string" else f"{made.bits} bits"
    return f"{what} expression, datatype {_name(dtype)}, {length}\n" + _words(dtype, made.bits)


def typed(scope: Scope, expr: Expr) -> Expr:
    """The expression with its type; what only a rule could settle has none."""
    if isinstance(expr, Key) and expr.kind == "exthdr":
        return _extension(scope, expr)
    try:
        return typeof(scope, expr)
    except (NftError, NftErrors):
        return expr.typed(INVALID, 0, "")  # type: ignore[no-any-return]


def _extension(scope: Scope, key: Key) -> Expr:
    """Whether a header is there is asked of its first field; addresses in IPv4 options are plain numbers to nft."""
    family, header, field, _number = key.args
    made = typeof(scope, key)
    if not field:
        dtype = "inet_proto" if family == "ip6" and header not in ("srh", "rt0", "rt2") else "integer"
        made.typed(TYPES[dtype], 8, "big")
    elif family == "ip" and made.dtype is TYPES["ipv4_addr"]:
        made.typed(TYPES["integer"], made.bits, "big")
    return made


def _name(dtype: Datatype) -> str:
    """Name, description and what the type is made of."""
    text = f"{NAMES.get(dtype.name, dtype.name)} ({dtype.desc[0].upper() + dtype.desc[1:] if dtype.name == 'date' else dtype.desc})"
    bases = BASES.get(dtype.name) or (() if dtype.name in BASIC else ROOTS.get(dtype.root, ()))
    return f"{text} (basetype {', '.join(bases)})" if bases else text


def _words(dtype: Datatype, bits: int) -> str:
    if dtype.name == "inet_proto":
        return "".join(f"\t{name:<30}\t{number}\n" for number, name in symbols.protocols()[1].items())
    if not dtype.table or dtype.name in DYNAMIC:
        return ""
    hexadecimal = dtype.root == "bitmask" or dtype.name in HEXADECIMAL
    digits = (bits + 7) // 8 * 2
    rows = [f"\t{word:<30}\t" + (f"0x{number:0{digits}x}" if hexadecimal else f"{number:20}") for word, number in dtype.table]
    return "\n".join(["", f"pre-defined symbolic constants (in {'hexadecimal' if hexadecimal else 'decimal'}):", *rows, ""])
