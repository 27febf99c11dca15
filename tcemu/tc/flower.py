"""flower: match header fields through masks.

Keys are read by `FlowerReader` (tc's own checks), made into steps by `steps_of` (the kernel's), and printed from those steps by `show`.
Source: iproute2 6.1 tc/f_flower.c, man tc-flower(8); net/sched/cls_flower.c (fl_set_key, fl_dump_key).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec import convert, to_builtins

from tcemu.ir.operand import Key, Load
from tcemu.ir.ruleset import Rule
from tcemu.ir.step import Masked, Match, Range, Step, Test
from tcemu.syntax.words import Word
from tcemu.tc import names, readers, tunnel_options
from tcemu.tc.actions.ct import label_text, read_label
from tcemu.tc.command import FilterCommand
from tcemu.tc.complaint import Complaint, Unwilling, invalid
from tcemu.tc.filter_base import FilterReader
from tcemu.tc.names import CT_STATES, ETH_8021AD, ETH_8021Q, ETH_ALL, ETH_ARP, ETH_IP, ETH_IPV6, ETH_PPP_SES, ETH_RARP
from tcemu.tc.notes import RuleNote, SlotNote
from tcemu.tc.printers import address_text, classid_text, mac_text, mask_length, masked
from tcemu.tc.work import Filter, Work
from tcemu.tc.writer import Writer

if TYPE_CHECKING:
    from tcemu.tc.parse import Parse

SKIP_HW: Final = 1  # TCA_CLS_FLAGS_*
SKIP_SW: Final = 2
VERBOSE: Final = 16
TC_BASE: Final = 0xFFE0  # TC_H_MIN_PRIORITY
TC_MAX: Final = 16  # TC_QOPT_MAX_QUEUE
MAC: Final = (1 << 48) - 1
V6: Final = (1 << 128) - 1

# bits of mpls.lse<n>
LSE: Final = {"label": (12, 0xFFFFF), "tc": (9, 7), "bos": (8, 1), "ttl": (0, 255)}
PORTED: Final = (names.IPPROTO_TCP, names.IPPROTO_UDP, names.IPPROTO_SCTP)
PPP_PROTOS: Final = (("ip", 0x21), ("ipv6", 0x57), ("mpls_uc", 0x281), ("mpls_mc", 0x283))
PPP_INNER: Final = {0x21: ETH_IP, 0x57: ETH_IPV6, 0x281: names.ETH_MPLS_UC, 0x283: names.ETH_MPLS_MC}

# fields in the order in which tc prints their keys: also the order of the steps
ORDER: Final = (
    "meta.iif",
    "vlan.count",
    "vlan.id",
    "vlan.pcp",
    "vlan.tpid",
    "vlan.type",
    "cvlan.id",
    "cvlan.pcp",
    "cvlan.tpid",
    "cvlan.type",
    "ether.daddr",
    "ether.saddr",
    "meta.netproto",
    "meta.l4proto",
    "ip.tos",
    "ip.ttl",
    *(f"mpls.lse{n}" for n in range(7)),
    "ip.daddr",
    "ip6.daddr",
    "ip.saddr",
    "ip6.saddr",
    "th.dport",
    "th.sport",
    "tcp.flags",
    "icmp.type",
    "icmp.code",
    "arp.saddr ip",
    "arp.daddr ip",
    "arp.operation",
    "arp.saddr ether",
    "arp.daddr ether",
    "pppoe.sid",
    "ppp.proto",
    "enc.daddr4",
    "enc.daddr6",
    "enc.saddr4",
    "enc.saddr6",
    "enc.key",
    "enc.dport",
    "enc.tos",
    "enc.ttl",
    "frag.flags",
    "ct.flower",
    "ct.zone",
    "ct.mark",
    "ct.label",
)
PLACE: Final = {field: place for place, field in enumerate(ORDER)}
IMPLIED: Final = frozenset(("vlan.tpid", "cvlan.tpid"))
TRANSPORT: Final = frozenset(("th.dport", "th.sport", "tcp.flags", "icmp.type", "icmp.code"))  # not dissected in fragments


class Keys(NamedTuple):
    """What was asked for: values and masks by field, port ranges, tunnel options, and what is no match."""

    values: dict[str, tuple[int, int]]
    ranges: dict[str, tuple[int, int]]
    options: tuple[str, str, str] | None  # kind, key, mask
    indev: str
    classid: int
    flags: int
    lses: tuple[tuple[int, tuple[str, ...]], ...]


class FlowerReader(FilterReader):
    """Reads flower's keys, in the order of the words, for some depend on those before."""

    KIND = "flower"

    def __init__(self, parse: Parse) -> None:
        super().__init__(parse)
        self.values: dict[str, tuple[int, int]] = {}
        self.ranges: dict[str, tuple[int, int]] = {}
        self.tunnel: tuple[str, str, str] | None = None
        self.indev = ""
        self.flags = 0
        self.lses: list[tuple[int, tuple[str, ...]]] = []
        self.lse: dict[str, int] = {}
        self.protocol = self.eth_type = parse.protocol
        self.vlan_ethtype = 0
        self.vlans = 0
        self.ip_proto = 0xFF
        self.mpls_old = False

    def value(self, name: str, word: Word) -> None:
        """A keyword with its value."""
        row = VALUES.get(name)
        if row is None:
            getattr(self, f"on_{name.lower()}")(word)
        else:
            row[0](self, row[1], row[2], word)

    def flag(self, name: str, word: Word) -> None:
        """A keyword alone."""
        if name == "MPLS_KEY":
            self.check_mpls("mpls")
            if self.mpls_old:
                raise Complaint('Can\'t set "mpls" if "mpls_label", "mpls_tc", "mpls_bos" or "mpls_ttl" is set\n')
        else:
            self.flags |= {"SKIP_HW": SKIP_HW, "SKIP_SW": SKIP_SW, "VERBOSE": VERBOSE}[name]

    # ------------------------------------------------------------ shapes of values
    def read_mac(self, field: str, name: str, word: Word) -> None:
        """``MAC[/MAC|/BITS]``."""
        text, slash, tail = word.partition("/")
        try:
            value, mask = readers.mac(text), MAC
            if slash:
                bits = readers.unsigned(tail, readers.U32)
                mask = (MAC << 16 + 48 - bits & readers.U64) >> 16 if bits is not None and bits < 65 else readers.mac(tail) or 0
        except Complaint as slip:
            raise Complaint(f'{slip.text}Illegal "{name}"\n') from None
        assert value is not None
        self.values[field] = (value, mask)

    def read_address(self, side: str, name: str, word: Word) -> None:
        """A prefix of the family that the ethertype says."""
        if self.eth_type not in (ETH_IP, ETH_IPV6, 0):
            self.illegal(name)
        found = readers.prefix(word, {ETH_IP: 4, ETH_IPV6: 6}.get(self.eth_type, 0))
        if found.family:
            self.values[f"ip{'6' if found.family == 6 else ''}.{side}"] = (found.address, found.mask)

    def read_enc_address(self, side: str, _name: str, word: Word) -> None:
        """A prefix of either family."""
        found = readers.prefix(word)
        if found.family:
            self.values[f"enc.{side}{found.family}"] = (found.address, found.mask)

    def read_arp_address(self, field: str, name: str, word: Word) -> None:
        if self.eth_type not in (ETH_ARP, ETH_RARP):
            self.illegal(name)
        found = readers.prefix(word, 4)
        if found.bits:
            self.values[field] = (found.address, found.mask)

    def read_masked(self, field: str, name: str, word: Word) -> None:
        """``N[/MASK]``, bases as in C (ct_zone, ct_mark)."""
        limit = readers.U16 if field == "ct.zone" else readers.U32
        text, slash, tail = word.partition("/")
        value = readers.unsigned(text, limit, 0)
        mask = readers.unsigned(tail, limit, 0) if slash else limit
        if value is None or mask is None:
            self.illegal(name)
        self.values[field] = (value, mask)

    def read_tos_ttl(self, field: str, name: str, word: Word) -> None:
        """Decimal, else hexadecimal; the mask hexadecimal."""
        text, slash, tail = word.partition("/")
        value = readers.unsigned(text, readers.U8)
        value = readers.unsigned(text, readers.U8, 16) if value is None else value
        mask = readers.unsigned(tail, readers.U8, 16) if slash else readers.U8
        if value is None or mask is None:
            self.illegal(name)
        self.values[field] = (value, mask)

    def read_port(self, field: str, name: str, word: Word) -> None:
        """``N``, ``N/MASK`` or ``N-M``; needs a protocol with ports."""
        first, dash, second = word.partition("-")
        low = readers.unsigned(first, readers.U16)
        if low is not None and dash:
            high = readers.unsigned(second, readers.U16)
            if high is None:
                self.illegal(name)
            if low == 0 or high == 0:
                self.illegal(name)
            if high <= low:
                raise Complaint(f'max value should be greater than min value\nIllegal "{name}"\n')
            if self.ip_proto not in PORTED:
                self.illegal(name)
            self.ranges[field] = (low, high)
            return
        text, slash, tail = word.partition("/")
        if (not low and not slash) or self.ip_proto not in PORTED:
            self.illegal(name)
        value = readers.unsigned(text, readers.U16, 0 if slash else 10)
        mask = readers.unsigned(tail, readers.U16, 0) if slash else readers.U16
        if value is None or mask is None:
            self.illegal(name)
        self.values[field] = (value, mask)

    def read_icmp(self, field: str, name: str, word: Word) -> None:
        """Decimal with a decimal mask; needs ICMP of the ethertype's family."""
        if (self.eth_type, self.ip_proto) not in ((ETH_IP, names.IPPROTO_ICMP), (ETH_IPV6, names.IPPROTO_ICMPV6)):
            self.illegal(name)
        self.values[field] = self.byte(name, word)

    def byte(self, name: str, word: Word, words: dict[str, int] | None = None) -> tuple[int, int]:
        """``N[/MASK]`` of eight bits, decimal; ``words`` may stand for numbers."""
        text, slash, tail = word.partition("/")
        value = (words or {}).get(text)
        if value is None:
            value = readers.unsigned(text, readers.U8)
            if words and value not in (0, *words.values()):
                value = None
        mask = readers.unsigned(tail, readers.U8) if slash else readers.U8
        if value is None or mask is None:
            self.illegal(name)
        return value, mask

    # ------------------------------------------------------------ single keys
    def on_hw_tc(self, word: Word) -> None:
        number = readers.unsigned(word, readers.U64, 0)
        if number is None:
            raise Complaint("Illegal TC index\n")
        if number >= TC_MAX:
            raise Complaint("TC index exceeds max range\n")
        self.classid = self.parse.parent & 0xFFFF0000 | number + TC_BASE

    def on_ip_flags(self, word: Word) -> None:
        value, mask = self.values.get("frag.flags", (0, 0))
        for token in word.split("/"):
            no = token.startswith("no")
            bit = {"frag": 1, "firstfrag": 2}.get(token[2:] if no else token)
            if bit is None and token:
                self.illegal("ip_flags")
            mask |= bit or 0
            value = value & ~(bit or 0) if no else value | (bit or 0)
        self.values["frag.flags"] = (value, mask)

    def on_ct_state(self, word: Word) -> None:
        value = mask = place = 0
        while place < len(word):
            bit = next((flag for name, flag in CT_STATES if word.startswith(name, place + 1)), 0)
            if word[place] not in "+-" or not bit:
                self.illegal("ct_state")
            value |= bit if word[place] == "+" else 0
            mask |= bit
            place += 4
        self.values["ct.flower"] = (value, mask)

    def on_ct_label(self, word: Word) -> None:
        self.values["ct.label"] = read_label(word, "")

    def on_indev(self, word: Word) -> None:
        if not word or len(word) > 15 or "/" in word or any(char.isspace() for char in word):
            raise invalid('"indev" not a valid ifname', word)
        self.indev = str(word)

    def on_num_of_vlans(self, word: Word) -> None:
        number = readers.unsigned(word, readers.U8)
        if number is None:
            self.illegal("num_of_vlans")
        self.vlans = number
        self.values["vlan.count"] = (number, readers.U8)

    def check_vlan(self, name: str, inner: bool) -> None:
        """The tag that a key is about must be there."""
        ethertype = self.vlan_ethtype if inner else self.protocol
        if ethertype in (ETH_8021Q, ETH_8021AD) or self.vlans > inner:
            return
        if name.endswith("ethtype"):
            text = f"ethertype isn't 802.1Q or 802.1AD and num_of_vlans {'less than 2' if inner else 'is 0'}"
        elif inner:
            text = "inner vlan ethertype isn't 802.1Q or 802.1AD and num_of_vlans is less than 2"
        else:
            text = "ethertype isn't 802.1Q or 802.1AD and num_of_vlans is 0"
        raise Complaint(f'Can\'t set "{name}" if {text}\n')

    def read_vlan(self, field: str, name: str, word: Word) -> None:
        self.check_vlan(name, field[0] == "c")
        limit = 7 if field.endswith("pcp") else 0xFFF
        value = readers.unsigned(word, limit)
        if value is None:
            self.illegal(name)
        self.values[field] = (value, limit)

    def read_ethtype(self, field: str, name: str, word: Word) -> None:
        self.check_vlan(name, field[0] == "c")
        value = readers.protocol(word)
        if value is None:
            raise invalid("invalid vlan_ethtype", word)
        if field[0] == "v":
            self.vlan_ethtype = value
        self.eth_type = value
        self.values[field] = (value, readers.U16)

    def check_mpls(self, name: str) -> None:
        if self.eth_type not in (names.ETH_MPLS_UC, names.ETH_MPLS_MC):
            raise Complaint(f"Can't set \"{name}\" if ethertype isn't MPLS\n")

    def read_mpls(self, part: str, name: str, word: Word) -> None:
        """The old keys: the first entry of the stack."""
        self.check_mpls(name)
        if self.lses:
            raise Complaint(f'Can\'t set "{name}" if "mpls" is set\n')
        self.mpls_old = True
        value = readers.unsigned(word, LSE[part][1])
        if value is None:
            self.illegal(name)
        self.merge_lse(1, {part: value})

    def merge_lse(self, depth: int, parts: dict[str, int]) -> None:
        """Put parts of a label stack entry together."""
        value, mask = self.values.get(f"mpls.lse{depth - 1}", (0, 0))
        for part, number in parts.items():
            shift, bits = LSE[part]
            value = value & ~(bits << shift) | number << shift
            mask |= bits << shift
        self.values[f"mpls.lse{depth - 1}"] = (value, mask)

    def begin_lse(self) -> None:
        """``lse`` begins."""
        self.lse = {}

    def read_lse(self, part: str, name: str, word: Word) -> None:
        value = readers.unsigned(word, readers.U8 if part == "depth" else LSE[part][1])
        if value is None or (part == "depth" and value < 1):
            self.illegal(name)
        self.lse[part] = value

    def end_lse(self) -> None:
        """``lse`` ends."""
        depth = self.lse.pop("depth", 0)
        if not depth:
            raise Complaint('Error: argument "depth" is required\n', 255, True)
        if depth > 7:
            self.lses.append((depth, ()))
            return
        self.lses.append((depth, tuple(self.lse)))
        self.merge_lse(depth, self.lse)

    def on_ip_proto(self, word: Word) -> None:
        value: int | None
        if self.eth_type not in (ETH_IP, ETH_IPV6):
            raise Complaint('Illegal "eth_type" for ip proto\nIllegal "ip_proto"\n')
        for name, number, ethertype in IP_PROTOS:
            if name.startswith(word):
                if ethertype and ethertype != self.eth_type:
                    raise Complaint('Illegal "eth_type" for ip proto\nIllegal "ip_proto"\n')
                value = number
                break
        else:
            value = readers.unsigned(word, readers.U8, 16)
            if value is None:
                self.illegal("ip_proto")
        self.ip_proto = value
        self.values["meta.l4proto"] = (value, readers.U8)

    def on_tcp_flags(self, word: Word) -> None:
        text, slash, tail = word.partition("/")
        value = readers.unsigned(text, 0xFFF, 16)
        mask = readers.unsigned(tail, 0xFFF, 16) if slash else 0xFFF
        if value is None or mask is None:
            self.illegal("tcp_flags")
        self.values["tcp.flags"] = (value, mask)

    def on_arp_op(self, word: Word) -> None:
        if self.eth_type not in (ETH_ARP, ETH_RARP):
            self.illegal("arp_op")
        self.values["arp.operation"] = self.byte("arp_op", word, {"request": 1, "reply": 2})

    def on_pppoe_sid(self, word: Word) -> None:
        self.check_pppoe("pppoe_sid")
        value = readers.unsigned(word, readers.U16)
        if value is None:
            self.illegal("pppoe_sid")
        self.values["pppoe.sid"] = (value, readers.U16)

    def check_pppoe(self, name: str) -> None:
        if self.eth_type != ETH_PPP_SES:
            raise Complaint(f"Can't set \"{name}\" if ethertype isn't PPPoE session\n")

    def on_ppp_proto(self, word: Word) -> None:
        self.check_pppoe("ppp_proto")
        value = dict(PPP_PROTOS).get(word.lower())
        value = readers.unsigned(word, readers.U16, 0) if value is None else value
        if value is None:
            raise invalid("invalid ppp_proto", word)
        self.eth_type = PPP_INNER.get(value, self.eth_type)
        self.values["ppp.proto"] = (value, readers.U16)

    def on_enc_key_id(self, word: Word) -> None:
        value = readers.unsigned(word, readers.U32)
        if value is None:
            self.illegal("enc_key_id")
        self.values["enc.key"] = (value, readers.U32)

    def on_enc_dst_port(self, word: Word) -> None:
        value = readers.unsigned(word, readers.U16)
        if value is None:
            self.illegal("enc_dst_port")
        self.values["enc.dport"] = (value, readers.U16)

    def read_options(self, kind: str, name: str, word: Word) -> None:
        """Tunnel options with masks."""
        found = _options(kind, word)
        if found is None:
            self.illegal(name)
        self.tunnel = (kind, *found)

    def finish(self) -> Keys:
        """All words are read."""
        keys = Keys(self.values, self.ranges, self.tunnel, self.indev, self.classid, self.flags, tuple(self.lses))
        self.options = keys
        return keys


READER = FlowerReader

IP_PROTOS: Final = (
    ("tcp", names.IPPROTO_TCP, 0),
    ("udp", names.IPPROTO_UDP, 0),
    ("sctp", names.IPPROTO_SCTP, 0),
    ("icmp", names.IPPROTO_ICMP, ETH_IP),
    ("icmpv6", names.IPPROTO_ICMPV6, ETH_IPV6),
)

# keywords that share a shape: terminal -> (reader, field, name in complaints)
VALUES: Final[dict[str, tuple[Any, str, str]]] = {
    "CT_ZONE": (FlowerReader.read_masked, "ct.zone", "ct_zone"),
    "CT_MARK": (FlowerReader.read_masked, "ct.mark", "ct_mark"),
    "VLAN_ID": (FlowerReader.read_vlan, "vlan.id", "vlan_id"),
    "VLAN_PRIO": (FlowerReader.read_vlan, "vlan.pcp", "vlan_prio"),
    "VLAN_ETHTYPE": (FlowerReader.read_ethtype, "vlan.type", "vlan_ethtype"),
    "CVLAN_ID": (FlowerReader.read_vlan, "cvlan.id", "cvlan_id"),
    "CVLAN_PRIO": (FlowerReader.read_vlan, "cvlan.pcp", "cvlan_prio"),
    "CVLAN_ETHTYPE": (FlowerReader.read_ethtype, "cvlan.type", "cvlan_ethtype"),
    "MPLS_LABEL": (FlowerReader.read_mpls, "label", "mpls_label"),
    "MPLS_TC": (FlowerReader.read_mpls, "tc", "mpls_tc"),
    "MPLS_BOS": (FlowerReader.read_mpls, "bos", "mpls_bos"),
    "MPLS_TTL": (FlowerReader.read_mpls, "ttl", "mpls_ttl"),
    "DEPTH": (FlowerReader.read_lse, "depth", "depth"),
    "LABEL_LSE": (FlowerReader.read_lse, "label", "label"),
    "TC": (FlowerReader.read_lse, "tc", "tc"),
    "BOS": (FlowerReader.read_lse, "bos", "bos"),
    "TTL_LSE": (FlowerReader.read_lse, "ttl", "ttl"),
    "DST_MAC": (FlowerReader.read_mac, "ether.daddr", "dst_mac"),
    "SRC_MAC": (FlowerReader.read_mac, "ether.saddr", "src_mac"),
    "IP_TOS": (FlowerReader.read_tos_ttl, "ip.tos", "ip_tos"),
    "IP_TTL": (FlowerReader.read_tos_ttl, "ip.ttl", "ip_ttl"),
    "DST_IP": (FlowerReader.read_address, "daddr", "dst_ip"),
    "SRC_IP": (FlowerReader.read_address, "saddr", "src_ip"),
    "DST_PORT": (FlowerReader.read_port, "th.dport", "dst_port"),
    "SRC_PORT": (FlowerReader.read_port, "th.sport", "src_port"),
    "TYPE": (FlowerReader.read_icmp, "icmp.type", "icmp type"),
    "CODE": (FlowerReader.read_icmp, "icmp.code", "icmp code"),
    "ARP_TIP": (FlowerReader.read_arp_address, "arp.daddr ip", "arp_tip"),
    "ARP_SIP": (FlowerReader.read_arp_address, "arp.saddr ip", "arp_sip"),
    "ARP_THA": (FlowerReader.read_mac, "arp.daddr ether", "arp_tha"),
    "ARP_SHA": (FlowerReader.read_mac, "arp.saddr ether", "arp_sha"),
    "ENC_DST_IP": (FlowerReader.read_enc_address, "daddr", "enc_dst_ip"),
    "ENC_SRC_IP": (FlowerReader.read_enc_address, "saddr", "enc_src_ip"),
    "ENC_TOS": (FlowerReader.read_tos_ttl, "enc.tos", "enc_tos"),
    "ENC_TTL": (FlowerReader.read_tos_ttl, "enc.ttl", "enc_ttl"),
    "GENEVE_OPTS": (FlowerReader.read_options, "geneve", "geneve_opts"),
    "VXLAN_OPTS": (FlowerReader.read_options, "vxlan", "vxlan_opts"),
    "ERSPAN_OPTS": (FlowerReader.read_options, "erspan", "erspan_opts"),
    "GTP_OPTS": (FlowerReader.read_options, "gtp", "gtp_opts"),
}


def _options(kind: str, word: str) -> tuple[str, str] | None:
    """Key and mask of tunnel options; a missing mask is all ones (flower_parse_enc_opts_*)."""
    if kind != "geneve":
        text, slash, tail = word.partition("/")
        full = {"vxlan": "0xffffffff", "erspan": f"{text.partition(':')[0]}:0xffffffff:0xff:0xff", "gtp": "ff:ff"}[kind]
        key, mask = tunnel_options.canonical(kind, text), tunnel_options.canonical(kind, tail if slash else full)
        return None if key is None or mask is None else (key, mask)
    keys, masks = [], []
    for option in word.split(","):
        text, slash, tail = option.partition("/")
        if text.count(":") != 2 or text.startswith(":") or text.endswith(":") or "::" in text:
            return None
        keys.append(text)
        masks.append(tail if slash else f"ffff:ff:{'f' * len(text.rpartition(':')[2])}")
    key, mask = tunnel_options.canonical(kind, ",".join(keys)), tunnel_options.canonical(kind, ",".join(masks))
    return None if key is None or mask is None else (key, mask)


# ---------------------------------------------------------------- the kernel's side
ADDRESSES: Final = ("ip.saddr", "ip.daddr", "ip6.saddr", "ip6.daddr")


class Built(NamedTuple):
    """A filter's match: steps, digests of mask and key, and values as given where bits lie outside the mask."""

    steps: list[Step]
    mask: str
    key: str
    raw: dict[str, str]


def build(keys: Keys, protocol: int, iif: int) -> Built:
    """Keys as the kernel keeps them (fl_set_key): a key that its protocol does not carry is dropped, the ethertype added."""
    values = _kept(keys, protocol)
    if "ct.flower" in values:
        _check_ct_state(values["ct.flower"][0] & values["ct.flower"][1])
    if keys.indev:
        values["meta.iif"] = (iif, readers.U32)
    steps: list[Step] = []
    masks: list[str] = []
    texts: list[str] = []
    raw: dict[str, str] = {}
    guarded = False
    for field in sorted({*values, *keys.ranges}, key=PLACE.__getitem__):
        test: Test
        if field in keys.ranges:
            low, high = keys.ranges[field]
            test, mask, text = Range(low, high), "range", f"{field}={low}-{high}"
        else:
            value, bits = values[field]
            low = value & bits
            test, mask, text = Masked(low, bits), f"{bits:x}", f"{field}={low:x}"
            if low != value:
                raw[field] = f"{value:x}"
        if field in TRANSPORT and low and not guarded:
            guarded = True
            steps.append(Match(Load("frag.flags"), Masked(0, 1), True, True))
        steps.append(Match(Load(field), test, field in IMPLIED, True))
        masks.append(f"{field}/{mask}")
        texts.append(text)
    for field, (_, bits) in keys.values.items():
        if not bits and field in ADDRESSES:
            # an address without a mask is not dumped, but the kernel compares the kind of addresses from then on
            steps.append(Match(Load(field), Masked(0, 0), True, True))
    if keys.options is not None:
        kind, key, mask = keys.options
        steps.append(Match(Key(f"{kind}_opts", (key, mask)), Masked(1, 1), False, True))
        masks.append(f"{kind}/{mask}")
        texts.append(f"{kind}={key}")
    return Built(steps, ",".join(masks), ",".join(texts), raw)


def _kept(keys: Keys, protocol: int) -> dict[str, tuple[int, int]]:
    """Values that the kernel takes, with what the ethertype says."""
    values = {field: pair for field, pair in keys.values.items() if pair[1] or field == "frag.flags" or field.startswith("mpls.")}
    vlans = keys.values.get("vlan.count", (0, 0))[0]
    ethertype = 0 if protocol == ETH_ALL else protocol
    outer = ethertype in (ETH_8021Q, ETH_8021AD) or vlans > 0
    network = 0
    if outer:
        if ethertype:
            values["vlan.tpid"] = (ethertype, readers.U16)
        inner = values.get("vlan.type", (0, 0))[0]
        if inner in (ETH_8021Q, ETH_8021AD) or vlans > 1:
            if inner:
                values["cvlan.tpid"] = (inner, readers.U16)
            network = values.get("cvlan.type", (0, 0))[0]
        else:
            network = inner
    else:
        network = ethertype
    if network == ETH_PPP_SES:
        network = PPP_INNER.get(values.get("ppp.proto", (0, 0))[0], 0)
    if network:
        values["meta.netproto"] = (network, readers.U16)
    return _of_protocol(values, network)


def _of_protocol(values: dict[str, tuple[int, int]], network: int) -> dict[str, tuple[int, int]]:
    """Without the keys that fl_set_key reads only for other protocols."""
    dropped: set[str] = set()
    if network not in (ETH_IP, ETH_IPV6):
        dropped |= {"meta.l4proto", "ip.tos", "ip.ttl"}
    transport = values.get("meta.l4proto", (0, 0))[0] if "meta.l4proto" not in dropped else 0
    if transport != names.IPPROTO_TCP:
        dropped.add("tcp.flags")
    if network not in (ETH_ARP, ETH_RARP):
        dropped |= {"arp.saddr ip", "arp.daddr ip", "arp.operation", "arp.saddr ether", "arp.daddr ether"}
    return {field: pair for field, pair in values.items() if field not in dropped} if dropped & values.keys() else values


def _check_ct_state(state: int) -> None:
    """Combinations that no packet can have (fl_validate_ct_state)."""
    flags = {name for name, flag in CT_STATES if state & flag}
    if flags and "trk" not in flags:
        raise Unwilling("no trk, so no other flag can be set")
    if {"new", "est"} <= flags:
        raise Unwilling("new and est are mutually exclusive")
    if "inv" in flags and flags - {"trk", "inv"}:
        raise Unwilling("when inv is set, only trk may be set")
    if {"new", "rpl"} <= flags:
        raise Unwilling("new and rpl are mutually exclusive")


def configure(work: Work, command: FilterCommand, slot: SlotNote, old: RuleNote | None, template: str) -> Filter:
    """The kernel's fl_change: checks, steps, and the books of masks."""
    keys = command.options or Keys({}, {}, None, "", 0, 0, ())
    if keys.flags & SKIP_HW and keys.flags & SKIP_SW:
        raise Unwilling()
    built = build(keys, command.protocol, work.device_index(keys.indev) if keys.indev else 0)
    if template and not fits(template, built.mask):
        raise Unwilling("cls_flower: Mask does not fit the template")
    if old is not None and old.mask != built.mask:
        raise Unwilling()
    extra: dict[str, Any] = {"raw": built.raw} if built.raw else {}
    note = RuleNote(command.handle, keys.classid, keys.flags & ~VERBOSE, keys.indev, built.mask, extra)
    if old is None:
        order, users = slot.masks.get(built.mask, (slot.made, 0))
        slot.made = max(slot.made, order + 1)
        slot.masks[built.mask] = (order, users + 1)
    else:
        order = slot.masks[built.mask][0]
    return Filter(built.steps, note, order, blake2b(f"{built.mask};{built.key}".encode(), digest_size=12).hexdigest())


def template(work: Work, command: FilterCommand) -> RuleNote:
    """A chain's template (fl_tmplt_create): a mask that filters must fit, kept with the values that came along."""
    keys = command.options or Keys({}, {}, None, "", 0, 0, ())
    built = build(keys, command.protocol, work.device_index(keys.indev) if keys.indev else 0)
    steps = [to_builtins(step) for step in built.steps]
    return RuleNote(mask=built.mask, indev=keys.indev, extra={"steps": steps, "raw": built.raw})


def show_template(out: Writer, note: RuleNote) -> None:
    """Print a template's keys."""
    if note.indev:
        out.newline()
        out.string("indev", "  indev %s", note.indev)
    out.open("keys")
    show_keys(out, convert(note.extra["steps"], list[Step]), note.extra["raw"])
    out.close()


def released(slot: SlotNote, note: RuleNote) -> None:
    """A filter went: its mask goes with its last user."""
    order, users = slot.masks[note.mask]
    if users > 1:
        slot.masks[note.mask] = (order, users - 1)
    else:
        del slot.masks[note.mask]


def fits(template: str, mask: str) -> bool:
    """Whether a mask has no bit outside a template's (fl_mask_fits_tmplt)."""
    allowed = dict(part.rsplit("/", 1) for part in template.split(",") if part)
    for part in mask.split(",") if mask else ():
        field, bits = part.rsplit("/", 1)
        if field not in allowed:
            return False
        if bits != allowed[field] and (not _is_hex(bits) or not _is_hex(allowed[field]) or int(bits, 16) & ~int(allowed[field], 16)):
            return False
    return True


def _is_hex(text: str) -> bool:
    return all(char in "0123456789abcdef" for char in text)


# ---------------------------------------------------------------- printing
def show(out: Writer, rule: Rule, note: RuleNote) -> None:
    """Print handle, class id, keys and flags."""
    if note.handle:
        out.number("handle", "handle 0x%x ", note.handle)
    if note.classid:
        show_classid(out, note.classid)
    if note.indev:
        out.newline()
        out.string("indev", "  indev %s", note.indev)
    out.open("keys")
    if not out.options.brief:
        show_keys(out, rule.steps, note.extra.get("raw", {}))
    out.close()
    show_flags(out, note.flags)


def show_classid(out: Writer, classid: int) -> None:
    """A class id, or the traffic class that stands for it."""
    minor = classid & 0xFFFF
    if TC_BASE <= minor < TC_BASE + TC_MAX:
        out.number("hw_tc", "hw_tc %u ", minor - TC_BASE)
    else:
        out.string("classid", "classid %s ", classid_text(classid))


def show_flags(out: Writer, flags: int) -> None:
    """skip_hw, skip_sw, and that no hardware has it."""
    if flags & SKIP_HW:
        out.newline()
        out.flag("skip_hw", "  skip_hw")
    if flags & SKIP_SW:
        out.newline()
        out.flag("skip_sw", "  skip_sw")
    out.newline()
    out.flag("not_in_hw", "  not_in_hw")


def show_keys(out: Writer, steps: list[Step], raw: dict[str, str]) -> None:
    """The keys, in the order of the steps, which is tc's."""
    mpls = False
    ranges = []
    for step in steps:
        if not isinstance(step, Match) or step.implied:
            continue
        left, test = step.left, step.test
        if isinstance(left, Key):
            tunnel_options.show_key(out, left.what.removesuffix("_opts"), *left.args)
            continue
        assert isinstance(left, Load)
        field = left.field
        if field.startswith("mpls."):
            if not mpls:
                mpls = True
                _show_mpls(out, steps, raw)
        elif isinstance(test, Range):
            ranges.append((SHOW[field][1], test))
        elif isinstance(test, Masked) and field in SHOW:
            if ranges and PLACE[field] > PLACE["th.sport"]:
                _show_ranges(out, ranges)
            value = int(raw[field], 16) if field in raw else test.value
            printer, name = SHOW[field]
            printer(out, name, value, test.mask)
    _show_ranges(out, ranges)


def _show_ranges(out: Writer, ranges: list[tuple[str, Range]]) -> None:
    for name, test in ranges:
        if out.json:
            out.open(name)
            out.number("start", "", test.low)
            out.number("end", "", test.high)
            out.close()
        else:
            out.newline()
            out.text(f"  {name} {test.low}-{test.high}")
    ranges.clear()


def _line(out: Writer, name: str, text: str) -> None:
    out.newline()
    out.string(name, f"  {name} %s", text)


def _number(out: Writer, name: str, value: int, _mask: int) -> None:
    out.newline()
    out.number(name, f"  {name} %u", value)


def _mac(out: Writer, name: str, value: int, mask: int) -> None:
    bits = mask_length(mask, 48)
    tail = f"/{mac_text(mask)}" if bits < 0 else "" if bits == 48 else f"/{bits}"
    _line(out, name, mac_text(value) + tail)


def _ipv4(out: Writer, name: str, value: int, mask: int) -> None:
    _address(out, name, 4, value, mask, 32)


def _ipv6(out: Writer, name: str, value: int, mask: int) -> None:
    _address(out, name, 6, value, mask, 128)


def _address(out: Writer, name: str, family: int, value: int, mask: int, width: int) -> None:
    bits = mask_length(mask, width)
    tail = f"/{address_text(family, mask)}" if bits < 0 else "" if bits == width else f"/{bits}"
    _line(out, name, address_text(family, value) + tail)


def _protocol(out: Writer, name: str, value: int, _mask: int) -> None:
    _line(out, name, names.protocol_name(value))


def _eth_type(out: Writer, name: str, value: int, _mask: int) -> None:
    _line(out, name, {ETH_IP: "ipv4", ETH_IPV6: "ipv6", ETH_ARP: "arp", ETH_RARP: "rarp"}.get(value) or f"{value:04x}")


def _ip_proto(out: Writer, name: str, value: int, _mask: int) -> None:
    _line(out, name, next((word for word, number, _ in IP_PROTOS if number == value), f"{value:02x}"))


def _u8(out: Writer, name: str, value: int, mask: int) -> None:
    masked(out, name, value, mask, readers.U8)


def _u16(out: Writer, name: str, value: int, mask: int) -> None:
    masked(out, name, value, mask, readers.U16)


def _u32(out: Writer, name: str, value: int, mask: int) -> None:
    masked(out, name, value, mask, readers.U32)


def _byte(out: Writer, name: str, value: int, mask: int) -> None:
    _line(out, name, str(value) if mask == readers.U8 else f"{value}/{mask}")


def _arp_op(out: Writer, name: str, value: int, mask: int) -> None:
    word = {1: "request", 2: "reply"}.get(value) if mask == readers.U8 else None
    if word is None:
        _byte(out, name, value, mask)
    else:
        _line(out, name, word)


def _tcp_flags(out: Writer, name: str, value: int, mask: int) -> None:
    _line(out, name, f"0x{value:x}/{mask:x}")


def _ppp(out: Writer, name: str, value: int, _mask: int) -> None:
    _line(out, name, next((word for word, number in PPP_PROTOS if number == value), f"[{value}]"))


def _ip_flags(out: Writer, name: str, value: int, mask: int) -> None:
    given = [(word, bit) for word, bit in (("frag", 1), ("firstfrag", 2)) if mask & bit]
    if given:
        out.newline()
        out.text(f"  {name} " + "/".join(word if value & bit else f"no{word}" for word, bit in given))
        out.open(name)
        for word, bit in given:
            out.flag(word, "", bool(value & bit))
        out.close()


def _ct_state(out: Writer, name: str, value: int, mask: int) -> None:
    _line(out, name, "".join(("+" if value & flag else "-") + word for word, flag in CT_STATES if mask & flag))


def _ct_label(out: Writer, name: str, value: int, mask: int) -> None:
    _line(out, name, label_text(value, mask))


def _show_mpls(out: Writer, steps: list[Step], raw: dict[str, str]) -> None:
    """The label stack: old keys where they can say it (fl_dump_key_mpls)."""
    found = []
    for step in steps:
        if (
            isinstance(step, Match)
            and isinstance(step.left, Load)
            and step.left.field.startswith("mpls.")
            and isinstance(step.test, Masked)
        ):
            field = step.left.field
            value = int(raw[field], 16) if field in raw else step.test.value
            parts = [(part, value >> shift & bits) for part, (shift, bits) in LSE.items() if step.test.mask >> shift & bits]
            found.append((int(field[8:]) + 1, parts))
    if [depth for depth, _ in found] == [1] and found[0][1]:
        for part, value in found[0][1]:
            if part == "label":
                _number(out, "mpls_label", value, 0)
            else:
                _line(out, f"mpls_{part}", str(value))
        return
    out.newline()
    out.text("  mpls")
    out.open_array("mpls")
    for depth, parts in found:
        out.newline()
        out.text("    lse")
        out.open()
        out.number("depth", " depth %u", depth)
        for part, value in parts:
            out.number(part, f" {part} %u", value)
        out.close()
    out.close_array()


SHOW: Final[dict[str, tuple[Any, str]]] = {
    "vlan.count": (_number, "num_of_vlans"),
    "vlan.id": (_number, "vlan_id"),
    "vlan.pcp": (_number, "vlan_prio"),
    "vlan.type": (_protocol, "vlan_ethtype"),
    "cvlan.id": (_number, "cvlan_id"),
    "cvlan.pcp": (_number, "cvlan_prio"),
    "cvlan.type": (_protocol, "cvlan_ethtype"),
    "ether.daddr": (_mac, "dst_mac"),
    "ether.saddr": (_mac, "src_mac"),
    "meta.netproto": (_eth_type, "eth_type"),
    "meta.l4proto": (_ip_proto, "ip_proto"),
    "ip.tos": (_u8, "ip_tos"),
    "ip.ttl": (_u8, "ip_ttl"),
    "ip.daddr": (_ipv4, "dst_ip"),
    "ip6.daddr": (_ipv6, "dst_ip"),
    "ip.saddr": (_ipv4, "src_ip"),
    "ip6.saddr": (_ipv6, "src_ip"),
    "th.dport": (_u16, "dst_port"),
    "th.sport": (_u16, "src_port"),
    "tcp.flags": (_tcp_flags, "tcp_flags"),
    "icmp.type": (_byte, "icmp_type"),
    "icmp.code": (_byte, "icmp_code"),
    "arp.saddr ip": (_ipv4, "arp_sip"),
    "arp.daddr ip": (_ipv4, "arp_tip"),
    "arp.operation": (_arp_op, "arp_op"),
    "arp.saddr ether": (_mac, "arp_sha"),
    "arp.daddr ether": (_mac, "arp_tha"),
    "pppoe.sid": (_number, "pppoe_sid"),
    "ppp.proto": (_ppp, "ppp_proto"),
    "enc.daddr4": (_ipv4, "enc_dst_ip"),
    "enc.daddr6": (_ipv6, "enc_dst_ip"),
    "enc.saddr4": (_ipv4, "enc_src_ip"),
    "enc.saddr6": (_ipv6, "enc_src_ip"),
    "enc.key": (_number, "enc_key_id"),
    "enc.dport": (_u16, "enc_dst_port"),
    "enc.tos": (_u8, "enc_tos"),
    "enc.ttl": (_u8, "enc_ttl"),
    "frag.flags": (_ip_flags, "ip_flags"),
    "ct.flower": (_ct_state, "ct_state"),
    "ct.zone": (_u16, "ct_zone"),
    "ct.mark": (_u32, "ct_mark"),
    "ct.label": (_ct_label, "ct_label"),
}
