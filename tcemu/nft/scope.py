"""Which word is a keyword where: nft's scopes of keywords (facts/parsing.md section 3).

A word of RESERVED is a keyword everywhere; a word of SCOPES only while its scope is the innermost one, and there even if no
rule takes it. A word of OPENS opens its scope when it is lexed; the grammar's empty rule ``_close_<scope>`` ends it.
"""

from __future__ import annotations

from typing import Final

# word -> the scope that it opens
OPENS: Final = {
    **{
        word: word
        for word in [
            "ah",
            "arp",
            "comp",
            "counter",
            "ct",
            "dccp",
            "th",
            "dst",
            "hbh",
            "dup",
            "fwd",
            "tproxy",
            "esp",
            "ether",
            "fib",
            "export",
            "import",
            "frag",
            "icmp",
            "igmp",
            "ip",
            "ip6",
            "ipsec",
            "numgen",
            "limit",
            "list",
            "log",
            "meta",
            "mh",
            "monitor",
            "osf",
            "policy",
            "queue",
            "quota",
            "reject",
            "reset",
            "rt",
            "sctp",
            "socket",
            "synproxy",
            "tcp",
            "type",
            "udp",
            "udplite",
            "vlan",
            "secmark",
            "xt",
            "last",
            "vxlan",
            "geneve",
            "gre",
            "gretap",
        ]
    },
    "@": "at",
    "icmpv6": "icmp",
    "jhash": "hash",
    "symhash": "hash",
    "rt0": "rt",
    "rt2": "rt",
    "srh": "rt",
    "snat": "nat",
    "dnat": "nat",
    "masquerade": "nat",
    "redirect": "nat",
    "chunk": "sctp_chunk",
}

RESERVED: Final = (
    "accept add all and auto-merge bridge cgroup chain comment constant continue cpu create day define delete describe destroy device devices drop "
    "dynamic ecn element elements eq exists expires exthdr flags flow flowtable flush gc-interval ge get goto gt handle hook hour ibriport "
    "ibrname iif iifgroup iifname iiftype include index inet insert interval jump le lshift lt map mark meter missing ne netdev nftrace not "
    "notrack obriport obrname offload oif oifgroup oifname oiftype or pkttype position priority random redefine rename replace return rshift "
    "rtclassid rule ruleset set size skgid skuid table time timeout typeof undefine update vmap xor"
)

SCOPES: Final = {
    "at": "ll nh",
    "ah": "hdrlength nexthdr reserved sequence spi",
    "arp": "daddr hlen htype operation plen ptype saddr",
    "comp": "cpi nexthdr",
    "counter": "bytes name packets",
    "ct": "avgpkt bytes count daddr direction dport event expectation expiration helper helpers id l3proto label original over packets proto-dst "
    "proto-src protocol reply saddr state status zone",
    "dccp": "dport option sport",
    "th": "dport sport",
    "dst": "hdrlength nexthdr",
    "hbh": "hdrlength nexthdr",
    "dup": "to",
    "fwd": "to",
    "tproxy": "to",
    "esp": "sequence spi",
    "ether": "daddr saddr",
    "fib": "check daddr saddr",
    "export": "json vm xml",
    "import": "json vm xml",
    "frag": "frag-off id more-fragments nexthdr reserved reserved2",
    "icmp": "checksum code daddr gateway id max-delay mtu param-problem sequence taddr",
    "igmp": "checksum group mrt",
    "ip": "addr checksum daddr dscp frag-off hdrlength id length lsrr option options prefix protocol ptr ra rr saddr ssrr to ttl value version",
    "ip6": "addr daddr dscp flowlabel hoplimit length nexthdr prefix saddr to version",
    "ipsec": "daddr in out reqid saddr spi spnum",
    "hash": "mod offset seed",
    "numgen": "inc mod offset",
    "limit": "burst bytes minute name over packets rate second week",
    "list": "chains counters flowtables hooks limits maps meters quotas secmarks sets synproxys tables",
    "log": "group level prefix queue-threshold snaplen",
    "meta": "length protocol",
    "mh": "checksum hdrlength nexthdr reserved",
    "monitor": "chains json rules sets tables trace vm xml",
    "osf": "name ttl version",
    "policy": "memory performance",
    "queue": "bypass fanout num to",
    "quota": "bytes name over until used",
    "reject": "icmpx with",
    "reset": "counters quotas",
    "rt": "addr classid hdrlength last-entry mtu nexthdr nexthop seg-left sid tag",
    "sctp": "checksum chunk dport length sport vtag",
    "sctp_chunk": "data init init-ack sack heartbeat heartbeat-ack abort shutdown shutdown-ack error cookie-echo cookie-ack ecne cwr "
    "shutdown-complete asconf-ack forward-tsn asconf tsn stream ssn ppid init-tag a-rwnd num-outbound-streams num-inbound-streams initial-tsn "
    "cum-tsn-ack num-gap-ack-blocks num-dup-tsns lowest-tsn seqno new-cum-tsn length",
    "nat": "addr fully-random persistent port prefix to",
    "socket": "cgroupv2 level transparent wildcard",
    "synproxy": "maxseg mss name sack-perm sack-permitted timestamp wscale",
    "tcp": "ackseq checksum count doff dport echo eol fastopen left length maxseg md5sig mptcp mss noop nop option options reserved right sack "
    "sack0 sack1 sack2 sack3 sack-perm sack-permitted sequence sport subtype timestamp tsecr tsval urgptr window",
    "type": "classid dscp protocol",
    "udp": "checksum dport length sport",
    "udplite": "checksum csumcov dport sport",
    "vlan": "cfi dei id pcp",
    "secmark": "",
    "xt": "",
    "last": "never used",
    "vxlan": "vni",
    "geneve": "vni",
    "gre": "protocol version",
    "gretap": "",
}

# names of tunnels are keywords only in front of what a tunnel has: before nft 1.0.7 they were names like any other
TUNNELS: Final = frozenset(("vxlan", "geneve", "gre", "gretap"))
TUNNELLED: Final = frozenset(
    [
        "ether",
        "vlan",
        "ip",
        "ip6",
        "icmp",
        "icmpv6",
        "igmp",
        "ah",
        "esp",
        "comp",
        "udp",
        "udplite",
        "tcp",
        "dccp",
        "sctp",
        "th",
        "vni",
        "flags",
        "version",
        "protocol",
        "type",
    ]
)

# words that are another keyword's second spelling
SAME: Final = {
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "gt": ">",
    "le": "<=",
    "ge": ">=",
    "and": "&",
    "or": "|",
    "xor": "^",
    "not": "!",
    "lshift": "<<",
    "rshift": ">>",
    "maxseg": "mss",
    "noop": "nop",
    "sack-perm": "sack-permitted",
}


class Scopes:
    """The scopes that are open now; the innermost one decides."""

    __slots__ = ("_stack", "words")

    def __init__(self) -> None:
        self._stack: list[tuple[str, bool]] = []  # scope, still open
        self.words: str = ""  # name of the innermost scope

    def open(self, scope: str) -> None:
        """A word that opens the scope was lexed."""
        self._stack.append((scope, True))
        self.words = scope

    def close(self, scope: str) -> None:
        """The construct is over; a scope that is not the innermost goes when the inner ones have gone."""
        stack = self._stack
        for place in range(len(stack) - 1, -1, -1):
            if stack[place] == (scope, True):
                stack[place] = (scope, False)
                break
        while stack and not stack[-1][1]:
            stack.pop()
        self.words = stack[-1][0] if stack else ""
