"""flower's keys read from words, in their order, for some depend on those before; with tc's own checks.

Source: iproute2 6.1 tc/f_flower.c (flower_parse_opt), man tc-flower(8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tcemu.syntax.words import Word
from tcemu.tc import flower_newer, names, readers, tunnel_options
from tcemu.tc.actions.ct import read_label
from tcemu.tc.complaint import ComplaintError, incomplete, invalid
from tcemu.tc.filter_base import FilterReader, method_of
from tcemu.tc.names import CT_STATES, ETH_8021AD, ETH_8021Q, ETH_ARP, ETH_IP, ETH_IPV6, ETH_PPP_SES, ETH_RARP

if TYPE_CHECKING:
    from tcemu.tc.parse import Parse


from tcemu.tc.flower_keys import (
    IP_PROTOS,
    LSE,
    MAC,
    PORTED,
    PPP_INNER,
    PPP_PROTOS,
    SKIP_HW,
    SKIP_SW,
    TC_BASE,
    TC_MAX,
    VERBOSE,
    Keys,
)


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
        if name in flower_newer.AGES:
            flower_newer.known(self, name, word)
        if row is not None:
            row[0](self, row[1], row[2], word)
        elif name in flower_newer.KEYS:
            flower_newer.read(self, name, word)
        else:
            getattr(self, method_of(name))(word)

    def flag(self, name: str, word: Word) -> None:
        """A keyword alone."""
        if name == "MPLS_KEY":
            if word.place == len(self.parse.words) - 1:
                raise incomplete()
            self.check_mpls("mpls")
            if self.mpls_old:
                raise ComplaintError('Can\'t set "mpls" if "mpls_label", "mpls_tc", "mpls_bos" or "mpls_ttl" is set\n')
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
                mask = (
                    (MAC << (-bits & 63) & readers.U64) >> 16 if bits is not None and bits < 65 else readers.mac(tail) or 0
                )  # as x86 shifts
        except ComplaintError as slip:
            raise ComplaintError(f'{slip.text}Illegal "{name}"\n') from None
        assert value is not None
        self.values[field] = (value, mask)

    def read_address(self, side: str, name: str, word: Word) -> None:
        """A prefix of the family that the ethertype says."""
        if self.eth_type not in (ETH_IP, ETH_IPV6, 0):
            self.illegal(name)
        found = readers.prefix(word, 4 if self.eth_type == ETH_IP else 6 if self.eth_type == ETH_IPV6 else 0)
        if found.family:
            self.values[("ip6." if found.family == 6 else "ip.") + side] = (found.address, found.mask)

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
        port = readers.unsigned(word, readers.U16)
        if port and self.ip_proto in PORTED:
            self.values[field] = (port, readers.U16)
            return
        first, dash, second = word.partition("-")
        low = readers.unsigned(first, readers.U16)
        if low is not None and dash:
            high = readers.unsigned(second, readers.U16)
            if high is None:
                self.illegal(name)
            if low == 0 or high == 0:
                self.illegal(name)
            if high <= low:
                raise ComplaintError(f'max value should be greater than min value\nIllegal "{name}"\n')
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
            if words and value and value not in words.values():
                value = None
        mask = readers.unsigned(tail, readers.U8) if slash else readers.U8
        if value is None or mask is None:
            self.illegal(name)
        return value, mask

    # ------------------------------------------------------------ single keys
    def on_hw_tc(self, word: Word) -> None:
        number = readers.unsigned(word, readers.U64, 0)
        if number is None:
            raise ComplaintError("Illegal TC index\n")
        if number >= TC_MAX:
            raise ComplaintError("TC index exceeds max range\n")
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
        found = _states.get(word)
        if found is None:
            found = read_state(word)
            if found is None:
                self.illegal("ct_state")
            if len(_states) < REMEMBERED:
                _states[str(word)] = found
        self.values["ct.flower"] = found

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
        raise ComplaintError(f'Can\'t set "{name}" if {text}\n')

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
            raise ComplaintError(f"Can't set \"{name}\" if ethertype isn't MPLS\n")

    def read_mpls(self, part: str, name: str, word: Word) -> None:
        """The old keys: the first entry of the stack."""
        self.check_mpls(name)
        if self.lses:
            raise ComplaintError(f'Can\'t set "{name}" if "mpls" is set\n')
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
            raise ComplaintError('Error: argument "depth" is required\n', 255, True)
        if depth > 7:
            self.lses.append((depth, ()))
            return
        self.lses.append((depth, tuple(self.lse)))
        self.merge_lse(depth, self.lse)

    def on_ip_proto(self, word: Word) -> None:
        value: int | None
        if self.eth_type not in (ETH_IP, ETH_IPV6):
            raise ComplaintError('Illegal "eth_type" for ip proto\nIllegal "ip_proto"\n')
        for name, number, ethertype in IP_PROTOS:
            if name.startswith(word):
                if ethertype and ethertype != self.eth_type:
                    raise ComplaintError('Illegal "eth_type" for ip proto\nIllegal "ip_proto"\n')
                value = number
                break
        else:
            asked = self.parse.names
            value = flower_newer.PROTOS.get(word)
            if value is not None and not asked.profile.knows(flower_newer.PROTO_AGES[str(word)], asked.strict):
                value = None
            value = readers.unsigned(word, readers.U8, 16) if value is None else value
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
            raise ComplaintError(f"Can't set \"{name}\" if ethertype isn't PPPoE session\n")

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
        found = tunnel_options.with_masks(kind, word)
        if found is None:
            if kind == "erspan" and word.partition("/")[0].count(":") > 3:
                raise ComplaintError(f'Unknown "geneve_opts" type\nIllegal "{name}"\n')  # as tc says here, too
            self.illegal(name)
        self.tunnel = (kind, *found)

    def finish(self) -> Keys:
        """All words are read."""
        keys = Keys(self.values, self.ranges, self.tunnel, self.indev, self.classid, self.flags, tuple(self.lses))
        self.options = keys
        return keys


REMEMBERED: Final = 256
_states: Final[dict[str, tuple[int, int]]] = {}


def read_state(word: str) -> tuple[int, int] | None:
    """``+trk-new…`` as flags and their mask; None where it is no such word."""
    value = mask = place = 0
    while place < len(word):
        bit = _state(word, place + 1)
        if word[place] not in "+-" or not bit:
            return None
        value |= bit if word[place] == "+" else 0
        mask |= bit
        place += 4
    return value, mask


def _state(word: str, place: int) -> int:
    """The flag of connection tracking whose name stands at a place in a word; 0 if none does."""
    for name, flag in CT_STATES:
        if word.startswith(name, place):
            return flag
    return 0


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
