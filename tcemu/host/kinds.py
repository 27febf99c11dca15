"""Kinds of link: what each looks like when it is made, and which words `ip link add … type KIND` takes for it.

One row a kind. Source: drivers/net/{dummy,ifb,veth,tun,vxlan,geneve}.c, net/8021q/vlan_dev.c, net/bridge/br_device.c,
net/ipv4/ip_gre.c setup functions; words: iproute2 6.1 ip/iplink_*.c and ip/link_gre.c. Recorded with Linux 6.1.192.
"""

from __future__ import annotations

from typing import Final, NamedTuple

# how a word of a kind takes its value
FLAG: Final = "flag"  # none
NUMBER: Final = "number"
ADDRESS: Final = "address"
KEY: Final = "key"  # a number or a dotted quad
DEVICE: Final = "device"
PAIR: Final = "pair"  # two numbers
ON_OFF: Final = "on_off"  # 0/1 or on/off
TEXT: Final = "text"


class Word(NamedTuple):
    """A word of a kind: as typed, what it takes, the highest number, and the name it is kept under."""

    name: str
    takes: str = FLAG
    most: int = 0xFFFFFFFF
    kept: str = ""


class LinkKind(NamedTuple):
    """A kind: link layer as `ip` prints it, flags, MTU, queue length, queueing discipline once up."""

    layer: str = "ether"
    broadcast: bool = True
    multicast: bool = True
    noarp: bool = False
    pointopoint: bool = False
    mtu: int = 1500
    qlen: int = 1000
    qdisc: str = "noqueue"
    min_mtu: int = 68
    max_mtu: int = 65535
    inherits: bool = False  # MAC address and MTU of the device below
    tunnel: bool = False  # prints as NAME@NONE
    words: tuple[Word, ...] = ()


_TUNNEL_WORDS: Final = (
    Word("key", KEY),
    Word("ikey", KEY),
    Word("okey", KEY),
    Word("seq"),
    Word("iseq"),
    Word("oseq"),
    Word("csum"),
    Word("icsum"),
    Word("ocsum"),
    Word("nopmtudisc"),
    Word("pmtudisc"),
    Word("remote", ADDRESS),
    Word("local", ADDRESS),
    Word("dev", DEVICE),
    Word("ttl", TEXT),
    Word("hoplimit", TEXT, kept="ttl"),
    Word("hlim", TEXT, kept="ttl"),
    Word("tos", TEXT),
    Word("tclass", TEXT, kept="tos"),
    Word("dsfield", TEXT, kept="tos"),
    Word("external"),
    Word("ignore-df"),
    Word("noignore-df"),
    Word("encaplimit", TEXT),
    Word("flowlabel", TEXT),
)

_ERSPAN_WORDS: Final = (Word("erspan_ver", TEXT), Word("erspan", TEXT), Word("erspan_dir", TEXT), Word("erspan_hwid", TEXT))

_VXLAN_WORDS: Final = (
    Word("id", NUMBER, 0xFFFFFF),
    Word("vni", NUMBER, 0xFFFFFF, "id"),
    Word("group", ADDRESS, kept="remote"),
    Word("remote", ADDRESS),
    Word("local", ADDRESS),
    Word("dev", DEVICE),
    Word("ttl", TEXT),
    Word("hoplimit", TEXT, kept="ttl"),
    Word("tos", TEXT),
    Word("dsfield", TEXT, kept="tos"),
    Word("df", TEXT),
    Word("label", TEXT, kept="flowlabel"),
    Word("flowlabel", TEXT),
    Word("ageing", TEXT),
    Word("maxaddress", TEXT),
    Word("srcport", PAIR, 0xFFFF),
    Word("port", PAIR, 0xFFFF, "srcport"),
    Word("dstport", NUMBER, 0xFFFF),
    Word("nolearning"),
    Word("learning"),
    Word("noproxy"),
    Word("proxy"),
    Word("norsc"),
    Word("rsc"),
    Word("nol2miss"),
    Word("l2miss"),
    Word("nol3miss"),
    Word("l3miss"),
    Word("udpcsum"),
    Word("noudpcsum"),
    Word("udp6zerocsumtx"),
    Word("noudp6zerocsumtx"),
    Word("udp6zerocsumrx"),
    Word("noudp6zerocsumrx"),
    Word("remcsumtx"),
    Word("noremcsumtx"),
    Word("remcsumrx"),
    Word("noremcsumrx"),
    Word("external"),
    Word("noexternal"),
    Word("gbp"),
    Word("gpe"),
    Word("vnifilter"),
    Word("novnifilter"),
)

_GENEVE_WORDS: Final = (
    Word("id", NUMBER, 0xFFFFFF),
    Word("vni", NUMBER, 0xFFFFFF, "id"),
    Word("remote", ADDRESS),
    Word("ttl", TEXT),
    Word("hoplimit", TEXT, kept="ttl"),
    Word("tos", TEXT),
    Word("dsfield", TEXT, kept="tos"),
    Word("df", TEXT),
    Word("label", TEXT, kept="flowlabel"),
    Word("flowlabel", TEXT),
    Word("dstport", NUMBER, 0xFFFF),
    Word("external"),
    Word("noexternal"),
    Word("udpcsum"),
    Word("noudpcsum"),
    Word("udp6zerocsumtx"),
    Word("noudp6zerocsumtx"),
    Word("udp6zerocsumrx"),
    Word("noudp6zerocsumrx"),
    Word("innerprotoinherit"),
)

_VLAN_WORDS: Final = (
    Word("protocol", TEXT),
    Word("id", NUMBER, 0xFFFF),
    Word("reorder_hdr", ON_OFF),
    Word("gvrp", ON_OFF),
    Word("mvrp", ON_OFF),
    Word("loose_binding", ON_OFF),
    Word("bridge_binding", ON_OFF),
)

_BRIDGE_WORDS: Final = tuple(
    Word(name, TEXT)
    for name in (
        "forward_delay",
        "hello_time",
        "max_age",
        "ageing_time",
        "stp_state",
        "priority",
        "vlan_filtering",
        "vlan_protocol",
        "group_fwd_mask",
        "group_address",
        "vlan_default_pvid",
        "vlan_stats_enabled",
        "mcast_router",
        "mcast_snooping",
        "mcast_query_use_ifaddr",
        "mcast_querier",
        "mcast_hash_elasticity",
        "mcast_hash_max",
        "mcast_igmp_version",
        "mcast_mld_version",
        "nf_call_iptables",
        "nf_call_ip6tables",
        "nf_call_arptables",
    )
)

_BOND_WORDS: Final = tuple(
    Word(name, TEXT) for name in ("mode", "miimon", "updelay", "downdelay", "lacp_rate", "xmit_hash_policy", "primary")
)

PLAIN: Final = LinkKind(qdisc="fq_codel")  # a NIC

KINDS: Final = {
    "physical": PLAIN,
    "tap": LinkKind(qdisc="fq_codel", max_mtu=65521),
    "tun": LinkKind("none", broadcast=False, noarp=True, pointopoint=True, qlen=500, qdisc="fq_codel", max_mtu=65535),
    "loopback": LinkKind("loopback", broadcast=False, multicast=False, mtu=65536, min_mtu=0, max_mtu=0),
    "dummy": LinkKind(multicast=False, noarp=True, min_mtu=0, max_mtu=0),
    "ifb": LinkKind(multicast=False, noarp=True, qlen=32, qdisc="fq_codel", min_mtu=0, max_mtu=0),
    "veth": LinkKind(),
    "bridge": LinkKind(words=_BRIDGE_WORDS),
    "bond": LinkKind(words=_BOND_WORDS),
    "vlan": LinkKind(min_mtu=0, inherits=True, words=_VLAN_WORDS),
    "macvlan": LinkKind(max_mtu=0, words=(Word("mode", TEXT), Word("nopromisc"))),
    "vxlan": LinkKind(words=_VXLAN_WORDS),
    "geneve": LinkKind(max_mtu=65485, words=_GENEVE_WORDS),
    "gre": LinkKind("gre", False, False, True, mtu=1476, min_mtu=0, max_mtu=0, tunnel=True, words=_TUNNEL_WORDS),
    "gretap": LinkKind(mtu=1462, max_mtu=0, tunnel=True, words=_TUNNEL_WORDS),
    "ip6gre": LinkKind("gre6", False, False, True, mtu=1448, min_mtu=0, max_mtu=0, tunnel=True, words=_TUNNEL_WORDS),
    "ip6gretap": LinkKind(mtu=1434, max_mtu=0, tunnel=True, words=_TUNNEL_WORDS),
    "ipip": LinkKind("ipip", False, False, True, mtu=1480, min_mtu=0, max_mtu=0, tunnel=True, words=_TUNNEL_WORDS),
    "erspan": LinkKind(mtu=1450, max_mtu=0, tunnel=True, words=(*_TUNNEL_WORDS, *_ERSPAN_WORDS)),
    "sit": LinkKind("sit", False, False, True, mtu=1480, min_mtu=1280, max_mtu=65555, tunnel=True, words=_TUNNEL_WORDS),
    "vrf": LinkKind(multicast=False, noarp=True, mtu=65575, words=(Word("table", NUMBER),)),
    "nlmon": LinkKind("netlink", False, False, True, mtu=3776, min_mtu=0, max_mtu=0),
}
MASTERS: Final = ("bridge", "bond", "vrf")  # what `master` may name
TUN_MODES: Final = ("tap", "tun")  # made by `ip tuntap add`, not by `ip link add`
