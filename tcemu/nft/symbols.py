"""Words for values: the symbol tables of nft's data types, one row a word. Order is that of nft's own listing of a type.

Sources: nftables src/datatype.c, proto.c, exthdr.c, ct.c, meta.c, fib.c (the tables), /etc/protocols of Debian netbase.
"""

from __future__ import annotations

from typing import Final

Table = tuple[tuple[str, int], ...]

NF_PROTO: Final[Table] = (("ipv4", 2), ("ipv6", 10))
ETHER_TYPE: Final[Table] = (("ip", 0x0800), ("arp", 0x0806), ("ip6", 0x86DD), ("8021q", 0x8100), ("8021ad", 0x88A8), ("vlan", 0x8100))
ARP_OP: Final[Table] = (("request", 1), ("reply", 2), ("rrequest", 3), ("rreply", 4), ("inrequest", 8), ("inreply", 9), ("nak", 10))
ICMP_TYPE: Final[Table] = (
    ("echo-reply", 0),
    ("destination-unreachable", 3),
    ("source-quench", 4),
    ("redirect", 5),
    ("echo-request", 8),
    ("router-advertisement", 9),
    ("router-solicitation", 10),
    ("time-exceeded", 11),
    ("parameter-problem", 12),
    ("timestamp-request", 13),
    ("timestamp-reply", 14),
    ("info-request", 15),
    ("info-reply", 16),
    ("address-mask-request", 17),
    ("address-mask-reply", 18),
)
ICMP_CODE: Final[Table] = (
    ("net-unreachable", 0),
    ("host-unreachable", 1),
    ("prot-unreachable", 2),
    ("port-unreachable", 3),
    ("frag-needed", 4),
    ("net-prohibited", 9),
    ("host-prohibited", 10),
    ("admin-prohibited", 13),
)
ICMPV6_TYPE: Final[Table] = (
    ("destination-unreachable", 1),
    ("packet-too-big", 2),
    ("time-exceeded", 3),
    ("parameter-problem", 4),
    ("echo-request", 128),
    ("echo-reply", 129),
    ("mld-listener-query", 130),
    ("mld-listener-report", 131),
    ("mld-listener-done", 132),
    ("mld-listener-reduction", 132),
    ("nd-router-solicit", 133),
    ("nd-router-advert", 134),
    ("nd-neighbor-solicit", 135),
    ("nd-neighbor-advert", 136),
    ("nd-redirect", 137),
    ("router-renumbering", 138),
    ("ind-neighbor-solicit", 141),
    ("ind-neighbor-advert", 142),
    ("mld2-listener-report", 143),
)
ICMPV6_CODE: Final[Table] = (
    ("no-route", 0),
    ("admin-prohibited", 1),
    ("addr-unreachable", 3),
    ("port-unreachable", 4),
    ("policy-fail", 5),
    ("reject-route", 6),
)
ICMPX_CODE: Final[Table] = (("port-unreachable", 1), ("admin-prohibited", 3), ("no-route", 0), ("host-unreachable", 2))
IGMP_TYPE: Final[Table] = (
    ("membership-query", 0x11),
    ("membership-report-v1", 0x12),
    ("membership-report-v2", 0x16),
    ("membership-report-v3", 0x22),
    ("leave-group", 0x17),
)
TCP_FLAG: Final[Table] = (("fin", 1), ("syn", 2), ("rst", 4), ("psh", 8), ("ack", 16), ("urg", 32), ("ecn", 64), ("cwr", 128))
DCCP_TYPE: Final[Table] = (
    ("request", 0),
    ("response", 1),
    ("data", 2),
    ("ack", 3),
    ("dataack", 4),
    ("closereq", 5),
    ("close", 6),
    ("reset", 7),
    ("sync", 8),
    ("syncack", 9),
)
MH_TYPE: Final[Table] = (
    ("binding-refresh-request", 0),
    ("home-test-init", 1),
    ("careof-test-init", 2),
    ("home-test", 3),
    ("careof-test", 4),
    ("binding-update", 5),
    ("binding-acknowledgement", 6),
    ("binding-error", 7),
    ("fast-binding-update", 8),
    ("fast-binding-acknowledgement", 9),
    ("fast-binding-advertisement", 10),
    ("experimental-mobility-header", 11),
    ("home-agent-switch-message", 12),
)
IFACE_TYPE: Final[Table] = (("ether", 1), ("ppp", 512), ("ipip", 768), ("ipip6", 769), ("loopback", 772), ("sit", 776), ("ipgre", 778))
CT_STATE: Final[Table] = (("invalid", 1), ("new", 8), ("established", 2), ("related", 4), ("untracked", 64))
CT_DIR: Final[Table] = (("original", 0), ("reply", 1))
CT_STATUS: Final[Table] = (
    ("expected", 1),
    ("seen-reply", 2),
    ("assured", 4),
    ("confirmed", 8),
    ("snat", 0x10),
    ("dnat", 0x20),
    ("dying", 0x200),
)
CT_EVENT: Final[Table] = (
    ("new", 1),
    ("related", 2),
    ("destroy", 4),
    ("reply", 8),
    ("assured", 16),
    ("protoinfo", 32),
    ("helper", 64),
    ("mark", 128),
    ("seqadj", 256),
    ("secmark", 512),
    ("label", 1024),
)
PKT_TYPE: Final[Table] = (("host", 0), ("unicast", 0), ("broadcast", 1), ("multicast", 2), ("other", 3))
DSCP: Final[Table] = (
    ("cs0", 0x00),
    ("cs1", 0x08),
    ("cs2", 0x10),
    ("cs3", 0x18),
    ("cs4", 0x20),
    ("cs5", 0x28),
    ("cs6", 0x30),
    ("cs7", 0x38),
    ("df", 0x00),
    ("be", 0x00),
    ("lephb", 0x01),
    ("af11", 0x0A),
    ("af12", 0x0C),
    ("af13", 0x0E),
    ("af21", 0x12),
    ("af22", 0x14),
    ("af23", 0x16),
    ("af31", 0x1A),
    ("af32", 0x1C),
    ("af33", 0x1E),
    ("af41", 0x22),
    ("af42", 0x24),
    ("af43", 0x26),
    ("va", 0x2C),
    ("ef", 0x2E),
)
ECN: Final[Table] = (("not-ect", 0), ("ect1", 1), ("ect0", 2), ("ce", 3))
FIB_TYPE: Final[Table] = (
    ("unspec", 0),
    ("unicast", 1),
    ("local", 2),
    ("broadcast", 3),
    ("anycast", 4),
    ("multicast", 5),
    ("blackhole", 6),
    ("unreachable", 7),
    ("prohibit", 8),
)
BOOLEAN: Final[Table] = (("exists", 1), ("missing", 0))
DAY: Final[Table] = (("Sunday", 0), ("Monday", 1), ("Tuesday", 2), ("Wednesday", 3), ("Thursday", 4), ("Friday", 5), ("Saturday", 6))
SCTP_CHUNK: Final[Table] = (
    ("data", 0),
    ("init", 1),
    ("init-ack", 2),
    ("sack", 3),
    ("heartbeat", 4),
    ("heartbeat-ack", 5),
    ("abort", 6),
    ("shutdown", 7),
    ("shutdown-ack", 8),
    ("error", 9),
    ("cookie-echo", 10),
    ("cookie-ack", 11),
    ("ecne", 12),
    ("cwr", 13),
    ("shutdown-complete", 14),
    ("asconf-ack", 0x80),
    ("forward-tsn", 0xC0),
    ("asconf", 0xC1),
)
REALM: Final[Table] = (("cosmos", 0),)
DEVGROUP: Final[Table] = (("default", 0),)

PROTOCOLS: Final = (
    "ip 0 hopopt 0 icmp 1 igmp 2 ggp 3 ipencap 4 st 5 tcp 6 egp 8 igp 9 pup 12 udp 17 hmp 20 xns-idp 22 rdp 27 iso-tp4 29 dccp 33 xtp 36 ddp 37 "
    "idpr-cmtp 38 ipv6 41 ipv6-route 43 ipv6-frag 44 idrp 45 rsvp 46 gre 47 esp 50 ah 51 skip 57 ipv6-icmp 58 ipv6-nonxt 59 ipv6-opts 60 "
    "rspf 73 vmtp 81 eigrp 88 ospf 89 ax.25 93 ipip 94 etherip 97 encap 98 pim 103 ipcomp 108 vrrp 112 l2tp 115 isis 124 sctp 132 fc 133 "
    "mobility-header 135 udplite 136 mpls-in-ip 137 manet 138 hip 139 shim6 140 wesp 141 rohc 142 ethernet 143"
)


def protocols() -> tuple[dict[str, int], dict[int, str]]:
    """IP protocols by name (also in capitals) and by number."""
    words = PROTOCOLS.split()
    by_name = {name: int(number) for name, number in zip(words[::2], words[1::2], strict=True)}
    by_number: dict[int, str] = {}
    for name, number in by_name.items():
        by_number.setdefault(number, name)
    aliases = {name.upper(): number for name, number in by_name.items()}
    aliases.update({"IP-ENCAP": 4, "XNS-IDP": 22, "IPv6": 41, "IPv6-Route": 43, "IPv6-Frag": 44, "IPSEC-ESP": 50, "IPSEC-AH": 51})
    aliases.update({"IPv6-ICMP": 58, "IPv6-NoNxt": 59, "IPv6-Opts": 60, "OSPFIGP": 89, "UDPLite": 136, "icmpv6": 58})
    return {**aliases, **by_name}, by_number


_services: tuple[dict[str, int], dict[int, str]] | None = None

COMMON_SERVICES: Final = (
    "ftp-data 20 ftp 21 ssh 22 telnet 23 smtp 25 time 37 domain 53 bootps 67 bootpc 68 tftp 69 gopher 70 finger 79 http 80 kerberos 88 pop3 110 "
    "sunrpc 111 ntp 123 netbios-ns 137 netbios-dgm 138 netbios-ssn 139 imap2 143 snmp 161 snmp-trap 162 bgp 179 irc 194 ldap 389 https 443 "
    "microsoft-ds 445 submissions 465 isakmp 500 syslog 514 printer 515 submission 587 ipp 631 ldaps 636 rsync 873 imaps 993 pop3s 995 "
    "openvpn 1194 ms-sql-s 1433 l2f 1701 radius 1812 nfs 2049 mysql 3306 ms-wbt-server 3389 svn 3690 ipsec-nat-t 4500 sip 5060 sip-tls 5061 "
    "postgresql 5432 mdns 5353 x11 6000 redis 6379 http-alt 8080"
)


def services() -> tuple[dict[str, int], dict[int, str]]:
    """Services by name, and the first name of each port: /etc/services if there is one, else the common ones."""
    global _services  # noqa: PLW0603  (read once)
    if _services is None:
        names: dict[str, int] = {}
        ports: dict[int, str] = {}
        for name, port, aliases in _service_lines():
            ports.setdefault(port, name)
            for alias in (name, *aliases):
                names.setdefault(alias, port)
        _services = names, ports
    return _services


def _service_lines() -> list[tuple[str, int, list[str]]]:
    words = COMMON_SERVICES.split()
    try:
        with open("/etc/services", encoding="utf-8", errors="replace") as file:
            found = [line.split("#")[0].split() for line in file]
    except OSError:
        return [(name, int(port), []) for name, port in zip(words[::2], words[1::2], strict=True)]
    rows = []
    for fields in found:
        if len(fields) >= 2 and "/" in fields[1]:
            port = fields[1].partition("/")[0]
            if port.isdigit():
                rows.append((fields[0], int(port), fields[2:]))
    return rows


# RFC 8684 section 8: subtypes of the MPTCP option by number
MPTCP_SUBTYPES: Final = ("mp-capable", "mp-join", "dss", "add-addr", "remove-addr", "mp-prio", "mp-fail", "mp-fastclose", "mp-tcprst")
