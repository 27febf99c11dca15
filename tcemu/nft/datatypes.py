"""nft's data types: width, byte order, words, and how a value of the type is read and written.

A type is one row of `TYPES`. Values are ints of the type's width or, for types of text, str as nft prints it: a trailing ``*`` is a
wildcard, ``\\*`` an asterisk. Source: nftables src/datatype.c and the type tables of meta.c, ct.c, proto.c, rt.c, fib.c;
messages as nft 1.0.6 gives them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tcemu.nft import symbols
from tcemu.nft.errors import NftError
from tcemu.nft.tree import At

if TYPE_CHECKING:
    from tcemu.nft.names import Names

Parse = Callable[["Datatype", str, At, "Names"], "int | str"]
Show = Callable[["Datatype", Any, Any], str]


class Datatype:
    """One type. ``root`` is its basic type: integer, string, bitmask, verdict or invalid; ``chain`` the names down to it.

    form: how a number without a word is written: d decimal, x hexadecimal, x8 with eight digits. prefix: written as a prefix
    where a mask is one. quotes: words stand in quotes.
    """

    __slots__ = ("bits", "desc", "form", "name", "order", "parse", "parts", "prefix", "quotes", "root", "show", "table", "words")

    def __init__(
        self,
        name: str,
        desc: str,
        bits: int = 0,
        order: str = "",
        root: str = "integer",
        table: symbols.Table = (),
        form: str = "d",
        prefix: bool = False,
        quotes: bool = False,
        parse: Parse | None = None,
        show: Show | None = None,
    ) -> None:
        self.name = name
        self.desc = desc
        self.bits = bits
        self.order = order
        self.root = root
        self.table = table
        self.form = form
        self.prefix = prefix
        self.quotes = quotes
        self.parse = parse
        self.show = show
        self.words: dict[str, int] | None = None
        self.parts: tuple[Datatype, ...] = ()

    def same(self, other: Datatype | None) -> bool:
        """Whether the two are one type (concatenations: part by part)."""
        if other is None:
            return False
        if self.parts or other.parts:
            return len(self.parts) == len(other.parts) and all(a.same(b) for a, b in zip(self.parts, other.parts, strict=True))
        return self.name == other.name

    @property
    def worded(self) -> bool:
        """Of a bitmask: does each bit have a word of its own, or a number as labels of connections have?"""
        return bool(self.table) or self.name == "ct_label"

    def __repr__(self) -> str:
        return f"<{self.name}>"


def concat_of(parts: tuple[Datatype, ...]) -> Datatype:
    """The type of a concatenation."""
    made = Datatype(
        " . ".join(part.name for part in parts),
        f"concatenation of ({', '.join(part.desc for part in parts)})",
        sum(padded(part.bits) for part in parts),
        root="concat",
    )
    made.parts = parts
    return made


def padded(bits: int) -> int:
    """Bits rounded up to whole registers of 32."""
    return (bits + 31) // 32 * 32


# ---------------------------------------------------------------- reading
def read(dtype: Datatype | None, text: str, at: At, names: Names) -> int | str:
    """A word as a value of the type; NftError in nft's words."""
    if dtype is None:
        raise NftError("No symbol type information", at)
    if dtype.parse is not None:
        return dtype.parse(dtype, text, at, names)
    if dtype.table:
        if dtype.words is None:
            dtype.words = {}
            for word, number in dtype.table:
                dtype.words.setdefault(word, number)
        if text in dtype.words:
            return dtype.words[text]
        return _integer(dtype, text, at, names)
    if dtype.root in ("integer", "bitmask"):
        return _integer(dtype, text, at, names)
    if dtype.root == "string":
        return text
    if dtype.root == "concat":
        raise NftError(f"invalid data type, expected {dtype.desc}", at)
    raise NftError(f"Can't parse symbolic {dtype.desc} expressions", at)


def _integer(dtype: Datatype, text: str, at: At, _names: Names) -> int:
    if text[:2] in ("0x", "0X") and len(text) > 18:  # numbers of more than 64 bits reach here as words
        return int(text, 16)
    if not text.isdigit() or not text.isascii():
        raise NftError(f"Could not parse {dtype.desc}", at)
    return int(text)


def _subtype(dtype: Datatype, text: str, at: At, names: Names) -> int:
    """MPTCP subtypes have words in newer versions; nft 1.0.6 lists numbers."""
    return symbols.MPTCP_SUBTYPES.index(text) if text in symbols.MPTCP_SUBTYPES else _integer(dtype, text, at, names)


def c_number(text: str) -> int | None:
    """A number as C's strtoumax(…, 0) reads a whole word, or None."""
    try:
        if text[:2] in ("0x", "0X"):
            return int(text[2:], 16)
        if len(text) > 1 and text[0] == "0":
            return int(text, 8)
        return int(text) if text.isdigit() else None
    except ValueError:
        return None


def _string(_dtype: Datatype, text: str, _at: At, _names: Names) -> str:
    return text


def ipv4(text: str) -> int | None:
    """A dotted quad, or what inet_aton makes of fewer parts."""
    parts = text.split(".")
    numbers = [c_number(part) for part in parts]
    if not 1 <= len(parts) <= 4 or any(number is None for number in numbers):
        return None
    value = 0
    for number in numbers[:-1]:
        if number is None or number > 255:
            return None
        value = value << 8 | number
    last, rest = numbers[-1] or 0, 32 - 8 * (len(parts) - 1)
    return value << rest | last if last < 1 << rest else None


def ipv6(text: str) -> int | None:
    """An IPv6 address as inet_pton reads it."""
    head, double, tail = text.partition("::")
    if "::" in tail or (":" not in text):
        return None
    left, right = _groups(head), _groups(tail)
    if left is None or right is None:
        return None
    missing = 8 - len(left) - len(right)
    if (double and missing < 1) or (not double and missing):
        return None
    value = 0
    for group in [*left, *[0] * missing, *right]:
        value = value << 16 | group
    return value


def _groups(text: str) -> list[int] | None:
    if not text:
        return []
    groups: list[int] = []
    words = text.split(":")
    for number, word in enumerate(words):
        if "." in word and number == len(words) - 1:
            quad = ipv4(word) if word.count(".") == 3 else None
            if quad is None:
                return None
            groups += [quad >> 16, quad & 0xFFFF]
        elif 1 <= len(word) <= 4 and all(char in "0123456789abcdefABCDEF" for char in word):
            groups.append(int(word, 16))
        else:
            return None
    return groups


def _ipaddr(_dtype: Datatype, text: str, at: At, _names: Names) -> int:
    value = ipv4(text)
    if value is not None:
        return value
    reason = "Address family for hostname not supported" if ipv6(text) is not None else "Name or service not known"
    raise NftError(f"Could not resolve hostname: {reason}", at)


def _ip6addr(_dtype: Datatype, text: str, at: At, _names: Names) -> int:
    value = ipv6(text)
    if value is not None:
        return value
    reason = "Address family for hostname not supported" if ipv4(text) is not None else "Name or service not known"
    raise NftError(f"Could not resolve hostname: {reason}", at)


def _ether(_dtype: Datatype, text: str, at: At, _names: Names) -> int:
    parts = text.split(":")
    if len(parts) != 6 or not all(1 <= len(part) <= 2 and all(char in "0123456789abcdefABCDEF" for char in part) for part in parts):
        raise NftError("Invalid LL address", at)
    return int("".join(part.zfill(2) for part in parts), 16)


def _service(_dtype: Datatype, text: str, at: At, _names: Names) -> int:
    number = c_number(text)
    if number is None:
        number = symbols.services()[0].get(text)
        if number is None:
            raise NftError("Could not resolve service: Servname not supported for ai_socktype", at)
    if number > 0xFFFF:
        raise NftError("Service out of range", at)
    return number


def _protocol(_dtype: Datatype, text: str, at: At, _names: Names) -> int:
    number = c_number(text)
    if number is None:
        number = symbols.protocols()[0].get(text)
        if number is None:
            raise NftError("Could not resolve protocol name", at)
    if number > 0xFF:
        raise NftError("Protocol out of range", at)
    return number


def _ifindex(_dtype: Datatype, text: str, at: At, names: Names) -> int:
    index = names.device_index(text)
    if index is None:
        index = c_number(text)
    if index is None:
        raise NftError("Interface does not exist", at)
    return index


def _user(_dtype: Datatype, text: str, at: At, names: Names) -> int:
    number = names.user(text)
    number = c_number(text) if number is None else number
    if number is None:
        raise NftError("User does not exist", at)
    if number > 0xFFFFFFFF:
        raise NftError("Value too large", at)
    return number


def _group(_dtype: Datatype, text: str, at: At, names: Names) -> int:
    number = names.group(text)
    number = c_number(text) if number is None else number
    if number is None:
        raise NftError("Group does not exist", at)
    if number > 0xFFFFFFFF:
        raise NftError("Value too large", at)
    return number


def _classid(_dtype: Datatype, text: str, at: At, _names: Names) -> int:
    if text == "root":
        return 0xFFFFFFFF
    if text == "none":
        return 0
    major, colon, minor = text.partition(":")
    try:
        if colon:
            return int(major or "0", 16) << 16 | int(minor or "0", 16)
    except ValueError:
        raise NftError("Could not parse TC classid", at) from None
    return c_number(text) or 0


def _time(_dtype: Datatype, text: str, at: At, _names: Names) -> int:
    from tcemu.nft.units import parse_time

    return parse_time(text, at)


def _label(_dtype: Datatype, text: str, at: At, names: Names) -> int:
    bit = names.label(text)
    if bit is None:
        bit = c_number(text)
        if bit is None:
            raise NftError(f'/etc/connlabel.conf: could not parse conntrack label "{text}"', at)
    if bit >= 128:
        raise NftError(f"{text}: bit {bit} out of range (128 max)", at)
    return 1 << bit


def _date(_dtype: Datatype, text: str, at: At, _names: Names) -> int:
    from tcemu.nft.dates import parse_date

    return parse_date(text, at)


def _hour(_dtype: Datatype, text: str, at: At, _names: Names) -> int:
    from tcemu.nft.dates import parse_hour

    return parse_hour(text, at)


# ---------------------------------------------------------------- writing
def show(dtype: Datatype, value: int | str, out: Any, bits: int = 0) -> str:
    """A value as nft writes it; ``out`` holds the options of output."""
    if dtype.show is not None:
        return dtype.show(dtype, value, out)
    if isinstance(value, str):
        return f'"{value}"'
    if dtype.table and not out.numeric_symbol:
        for word, number in dtype.table:
            if number == value:
                return f'"{word}"' if dtype.quotes else word
    if dtype.form[0] == "x":
        return f"0x{value:0{dtype.form[1:] or 0}x}"
    return str(value)


def show_ipv6(value: int) -> str:
    """An IPv6 address as inet_ntop writes it."""
    groups = [value >> shift & 0xFFFF for shift in range(112, -1, -16)]
    if value >> 32 == 0xFFFF or (value >> 32 == 0 and value >> 16):
        quad = show_ipv4(value & 0xFFFFFFFF)
        return f"::ffff:{quad}" if value >> 32 else f"::{quad}"
    best, length, start = -1, 1, -1
    for place, group in enumerate([*groups, 1]):
        if group == 0 and start < 0:
            start = place
        elif group and start >= 0:
            if place - start > length:
                best, length = start, place - start
            start = -1
    words = [f"{group:x}" for group in groups]
    if best < 0:
        return ":".join(words)
    return ":".join(words[:best]) + "::" + ":".join(words[best + length :])


def show_ipv4(value: int) -> str:
    return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"


def _show_ipv4(_dtype: Datatype, value: int, out: Any) -> str:
    text = show_ipv4(value)
    return out.names.address(text) if out.hosts else text


def _show_ipv6(_dtype: Datatype, value: int, out: Any) -> str:
    text = show_ipv6(value)
    return out.names.address(text) if out.hosts else text


def show_mac(value: int) -> str:
    text = f"{value:012x}"
    return ":".join(text[place : place + 2] for place in range(0, 12, 2))


def _show_service(_dtype: Datatype, value: int, out: Any) -> str:
    if out.services:
        service = symbols.services()[1].get(value)
        if service is not None:
            return f'"{service}"'
    return str(value)


def _show_protocol(_dtype: Datatype, value: int, out: Any) -> str:
    if not out.numeric_protocol:
        name = symbols.protocols()[1].get(value)
        if name is not None:
            return name
    return str(value)


def _show_ifindex(_dtype: Datatype, value: int, out: Any) -> str:
    name = out.names.device_name(value)
    return f'"{name}"' if name else str(value)


def _show_user(_dtype: Datatype, value: int, out: Any) -> str:
    name = out.names.user_name(value) if out.guid else None
    return f'"{name}"' if name else str(value)


def _show_group(_dtype: Datatype, value: int, out: Any) -> str:
    name = out.names.group_name(value) if out.guid else None
    return f'"{name}"' if name else str(value)


def _show_classid(_dtype: Datatype, value: int, _out: Any) -> str:
    if value == 0xFFFFFFFF:
        return "root"
    if value == 0:
        return "none"
    return f"{value >> 16:x}:{value & 0xFFFF:x}"


def _show_time(_dtype: Datatype, value: int, out: Any) -> str:
    if out.seconds:
        return f"{value // 1000}s"
    from tcemu.nft.units import show_time

    return show_time(value)


def _show_label(dtype: Datatype, value: int, out: Any) -> str:
    if value and not value & (value - 1):
        bit = value.bit_length() - 1
        name = out.names.label_name(bit)
        return f'"{name}"' if name else str(bit)
    return f"0x{value:x}" if dtype else ""


def _show_date(_dtype: Datatype, value: int, _out: Any) -> str:
    from tcemu.nft.dates import show_date

    return show_date(value)


def _show_hour(_dtype: Datatype, value: int, _out: Any) -> str:
    from tcemu.nft.dates import show_hour

    return show_hour(value)


def _show_day(dtype: Datatype, value: int, out: Any) -> str:
    names = {number: word for word, number in dtype.table}
    return f'"{names[value]}"' if value in names and not out.numeric_symbol else str(value)


def bits_of(dtype: Datatype, value: int, out: Any, separator: str = ",") -> str:
    """A bitmask as its words; bits without a word make it a number."""
    if dtype.name == "ct_label" and value:
        return separator.join(_show_label(dtype, 1 << place, out) for place in range(value.bit_length()) if value >> place & 1)
    if not dtype.table:
        return f"0x{value:x}"
    words = []
    table = () if out.numeric_symbol else dtype.table
    for place in range(value.bit_length()):
        if value >> place & 1:
            word = next((word for word, number in table if number == 1 << place), None)
            words.append(word if word is not None else f"0x{1 << place:x}")
    return separator.join(words) if words else f"0x{value:x}"


_HOST: Final = "host"
_BIG: Final = "big"

_ROWS: Final = (
    Datatype("invalid", "invalid", root="invalid"),
    Datatype("verdict", "netfilter verdict", root="verdict"),
    Datatype("nf_proto", "netfilter protocol", 8, "", table=symbols.NF_PROTO),
    Datatype("bitmask", "bitmask", root="bitmask", form="x"),
    Datatype("integer", "integer"),
    Datatype("xinteger", "integer", form="x"),
    Datatype("mptcp_option", "integer", 4, _BIG, parse=_subtype),
    Datatype("string", "string", root="string", order=_HOST, parse=_string),
    Datatype("ll_addr", "link layer address", 0, _BIG, parse=_ether),
    Datatype("ipv4_addr", "IPv4 address", 32, _BIG, prefix=True, parse=_ipaddr, show=_show_ipv4),
    Datatype("ipv6_addr", "IPv6 address", 128, _BIG, prefix=True, parse=_ip6addr, show=_show_ipv6),
    Datatype("ether_addr", "Ethernet address", 48, _BIG, parse=_ether, show=lambda _d, value, _o: show_mac(value)),
    Datatype("ether_type", "Ethernet protocol", 16, _BIG, table=symbols.ETHER_TYPE, form="x4"),
    Datatype("arp_op", "ARP operation", 16, _HOST, table=symbols.ARP_OP),
    Datatype("inet_proto", "Internet protocol", 8, _BIG, parse=_protocol, show=_show_protocol),
    Datatype("inet_service", "internet network service", 16, _BIG, parse=_service, show=_show_service),
    Datatype("icmp_type", "ICMP type", 8, _BIG, table=symbols.ICMP_TYPE),
    Datatype("icmp_code", "icmp code", 8, _BIG, table=symbols.ICMP_CODE),
    Datatype("icmpv6_type", "ICMPv6 type", 8, _BIG, table=symbols.ICMPV6_TYPE),
    Datatype("icmpv6_code", "icmpv6 code", 8, _BIG, table=symbols.ICMPV6_CODE),
    Datatype("icmpx_code", "icmpx code", 8, _BIG, table=symbols.ICMPX_CODE),
    Datatype("igmp_type", "IGMP type", 8, _BIG, table=symbols.IGMP_TYPE),
    Datatype("tcp_flag", "TCP flag", 8, "", "bitmask", symbols.TCP_FLAG, "x"),
    Datatype("dccp_pkttype", "DCCP packet type", 4, _BIG, table=symbols.DCCP_TYPE),
    Datatype("mh_type", "Mobility Header Type", 8, "", table=symbols.MH_TYPE),
    Datatype("time", "relative time", 64, _HOST, parse=_time, show=_show_time),
    Datatype("date", "Relative time of packet reception", 64, _HOST, parse=_date, show=_show_date),
    Datatype("day", "Day of week of packet reception", 8, _HOST, table=symbols.DAY, show=_show_day),
    Datatype("hour", "Hour of day of packet reception", 64, _HOST, parse=_hour, show=_show_hour),
    Datatype("mark", "packet mark", 32, _HOST, form="x8", prefix=True),
    Datatype("iface_index", "network interface index", 32, _HOST, parse=_ifindex, show=_show_ifindex),
    Datatype("iface_type", "network interface type", 16, _HOST, table=symbols.IFACE_TYPE),
    Datatype("ifname", "network interface name", 128, _HOST, "string", parse=_string),
    Datatype("realm", "routing realm", 32, _HOST, table=symbols.REALM, quotes=True),
    Datatype("classid", "TC classid", 32, _HOST, parse=_classid, show=_show_classid),
    Datatype("uid", "user ID", 32, _HOST, parse=_user, show=_show_user),
    Datatype("gid", "group ID", 32, _HOST, parse=_group, show=_show_group),
    Datatype("devgroup", "devgroup name", 32, _HOST, table=symbols.DEVGROUP, quotes=True),
    Datatype("pkt_type", "packet type", 8, _HOST, table=symbols.PKT_TYPE),
    Datatype("cgroupsv2", "cgroupsv2 path", 64, _HOST, table=()),
    Datatype("ct_state", "conntrack state", 32, _HOST, "bitmask", symbols.CT_STATE, "x"),
    Datatype("ct_dir", "conntrack direction", 8, "", table=symbols.CT_DIR),
    Datatype("ct_status", "conntrack status", 32, _HOST, "bitmask", symbols.CT_STATUS, "x"),
    Datatype("ct_event", "conntrack event bits", 32, _HOST, "bitmask", symbols.CT_EVENT, "x"),
    Datatype("ct_label", "conntrack label", 128, _HOST, "bitmask", parse=_label, show=_show_label),
    Datatype("dscp", "Differentiated Services Code Point", 6, _BIG, table=symbols.DSCP, form="x2"),
    Datatype("ecn", "Explicit Congestion Notification", 2, _BIG, table=symbols.ECN, form="x"),
    Datatype("fib_addrtype", "fib address type", 32, _HOST, table=symbols.FIB_TYPE),
    Datatype("boolean", "boolean type", 8, _HOST, table=symbols.BOOLEAN),
    Datatype("priority", "priority type", 32, _HOST, "string", parse=_string),
    Datatype("policy", "policy type", 32, _HOST, "string", parse=_string),
)

TYPES: Final = {row.name: row for row in _ROWS}
INVALID: Final = TYPES["invalid"]
INTEGER: Final = TYPES["integer"]
VERDICT: Final = TYPES["verdict"]
STRING: Final = TYPES["string"]
