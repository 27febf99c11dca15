"""A connection with a helper, told packet by packet; the sources of what is expected are the kernel files that the helpers name."""

from __future__ import annotations

from tcemu.conntrack.entry import HELPER, Entry
from tcemu.conntrack.nat import DST, SRC, NatRange, null_binding, setup, translate
from tcemu.fields import IP_DADDR, IP_SADDR, TCP_ACK, TCP_SEQ
from tcemu.packet.checksum import verify_header, verify_l4
from tcemu.packet.decode import load
from tcemu.packet.packet import LINK_ETHER

from .builder import A, B, Tracker, tcp, udp


class Talk(Tracker):
    """A talks to B; with ``public``, A is hidden behind that address."""

    def __init__(self, helper: str, *, public: int = 0, proto: int = 6, port: int = 21, **sysctls: int) -> None:
        super().__init__(**sysctls)
        self.helper, self.public, self.proto, self.port = helper, public, proto, port
        self.seqs = [1000, 5000]
        self.moved = [0, 0]  # what B has seen of A's bytes more than A has sent, and the other way round

    def pass_through(self, frame: bytes, *, helper: bool = True) -> str:
        """One packet, as a router with a ct helper rule and perhaps a snat rule handles it."""
        self.now += 10_000_000
        p, table = self.packet, self.table
        load(p, frame, 0, len(frame), len(frame), self.now, LINK_ETHER, 1)
        if table.track(p, 0, 3, True) != 1:
            return "drop"
        entry = p.ct
        if not isinstance(entry, Entry):
            return "inv"
        if p.ctinfo == 2 and helper:
            entry.helper, entry.status = self.helper, entry.status | HELPER
        if self.public:
            for manip in (DST, SRC):
                if p.ctinfo in (1, 2) and not entry.status & (0x80 if manip == SRC else 0x100):
                    if manip == SRC and p.ctinfo == 2:
                        wanted = NatRange()
                        wanted.family, wanted.low, wanted.high = 4, self.public, self.public
                        assert setup(table, entry, wanted, SRC, self.now)
                    else:
                        assert null_binding(table, entry, manip, self.now)
                assert translate(p, entry, p.ctinfo, manip) == 1
        if table.finish(p) != 1:
            return "drop"
        assert verify_header(p)
        assert verify_l4(p)
        return ("est", "rel", "new", "est-reply", "rel-reply")[p.ctinfo]

    def open(self) -> None:
        """The handshake."""
        to = self.public or A
        assert self.pass_through(tcp(A, B, "S", dport=self.port, seq=999)) == "new"
        assert self.pass_through(tcp(B, to, "SA", sport=self.port, dport=40000, seq=4999, ack=1000)) == "est-reply"
        assert self.pass_through(tcp(A, B, "A", dport=self.port, seq=1000, ack=5000)) == "est"

    def say(self, way: int, text: bytes) -> str:
        """Data one way; what comes out stands in ``heard``."""
        to = self.public or A
        seq, ack = self.seqs[way], self.seqs[1 - way]
        ports = (40000, self.port)
        if self.proto == 17:
            frame = udp(B, to, sport=ports[1], dport=ports[0], data=text) if way else udp(A, B, sport=ports[0], dport=ports[1], data=text)
        elif way:
            frame = tcp(B, to, "PA", sport=ports[1], dport=ports[0], seq=seq, ack=ack + self.moved[0], data=text)
        else:
            frame = tcp(A, B, "PA", sport=ports[0], dport=ports[1], seq=seq, ack=ack, data=text)
        verdict = self.pass_through(frame)
        self.seqs[way] += len(text)
        self.moved[way] += len(self.heard) - len(text)
        return verdict

    @property
    def heard(self) -> bytes:
        p = self.packet
        return bytes(p.data[p.payload : p.l3_end])

    @property
    def numbers(self) -> tuple[int, int]:
        """Sequence and acknowledgement number as they left."""
        return self.packet.f[TCP_SEQ], self.packet.f[TCP_ACK]

    @property
    def addresses(self) -> tuple[int, int]:
        return self.packet.f[IP_SADDR], self.packet.f[IP_DADDR]

    def expected(self) -> list[tuple[int, int, int, int]]:
        """(source, target, port, source port or -1) of all that is expected."""
        return [
            (-1 if one.any_source else one.tuple.src, one.tuple.dst, one.tuple.dport, -1 if one.any_sport else one.tuple.sport)
            for one in self.table.expectations.all
        ]
