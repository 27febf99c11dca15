"""Each sysctl of conntrack does what Documentation/networking/nf_conntrack-sysctl.rst says: one case a name.

A case sends packets and says what comes of them, or how many seconds the connection has then.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tcemu.conntrack.defrag import BAD, HELD, WHOLE, Defrag
from tcemu.conntrack.linux import sctp
from tcemu.conntrack.settings import BY_NAME, WITHOUT_EFFECT
from tcemu.fields import G_FRAG
from tcemu.offload.flows import ActCtTable
from tcemu.packet.decode import load
from tcemu.packet.packet import LINK_ETHER

from .builder import A6, B6, SECOND, A, B, Tracker, icmp, ip4, tcp, udp
from .test_defrag import BODY, BODY6, piece, piece6
from .test_other_protocols import association, chunk, datagram, init

Case = Callable[[Tracker], object]
NF = "net.netfilter.nf_conntrack_"


def answer(t: Tracker, flags: str = "SA", seq: int = 5000, ack: int = 1001, data: bytes = b"") -> str:
    return t.send(tcp(B, A, flags, sport=80, dport=40000, seq=seq, ack=ack, data=data))


# ---------------------------------------------------------------------- verdicts


def full(t: Tracker) -> object:
    for port in (1, 2, 3):
        t.send(udp(A, B, sport=port))
        t.send(udp(B, A, sport=53, dport=port), after=3)
        got = t.send(udp(A, B, sport=port))  # assured
    return t.send(udp(A, B, sport=4)), got


def too_many_expected(t: Tracker) -> object:
    from tcemu.conntrack.helpers.common import announce, relate, source_of, target_of
    from tcemu.conntrack.helpers.irc import Irc

    t.handshake()
    made = []
    for port in range(3):
        new = announce(t.entry, 6, source_of(t.entry.reply), target_of(t.entry.reply), 1000 + port)
        made.append(relate(Irc(), t.table, t.packet, new))
    return made


def bad_checksum(t: Tracker) -> object:
    return t.send(udp(A, B, bad_sum=True))


def counted(t: Tracker) -> object:
    t.send(udp(A, B))
    return int(t.entry.orig_packets)


def stamped(t: Tracker) -> object:
    t.send(udp(A, B))
    return bool(t.entry.stamped)


def middle(t: Tracker) -> object:
    return t.send(tcp(A, B, "A", seq=1, ack=1))


def out_of_window(t: Tracker) -> object:
    t.handshake()
    return t.send(tcp(A, B, "A", seq=1001 + 500_000, ack=5001, data=b"x"))


def old_reset(t: Tracker) -> object:
    t.handshake()
    t.send(tcp(A, B, "PA", seq=1001, ack=5001, data=b"hello"))
    answer(t, "A", 5001, 1006)
    return t.send(tcp(B, A, "R", sport=80, dport=40000, seq=4000))


def repeated(t: Tracker) -> object:
    t.handshake()
    for _ in range(3):
        t.send(tcp(A, B, "PA", seq=1001, ack=5001, data=b"hello"))
    answer(t, "A", 5001, 1006)
    for _ in range(4):
        t.send(tcp(A, B, "A", seq=1006, ack=5001))
    return t.left()


def held(t: Tracker, frames: tuple[bytes, ...], after: float = 0) -> list[int]:
    defrag = Defrag(t.settings)
    out = []
    for frame in frames:
        load(t.packet, frame, 0, len(frame), len(frame), t.now, LINK_ETHER, 1)
        assert t.packet.groups & G_FRAG
        out.append(int(defrag.add(t.packet, 0)))
        t.now += round(after * SECOND)
    return out


def six_late(t: Tracker) -> object:
    return held(t, (piece6(0, 400), piece6(400, len(BODY6))), 5)


def four_late(t: Tracker) -> object:
    return held(t, (piece(0, 400), piece(400, len(BODY))), 5)


def six_many(t: Tracker) -> object:
    first = [piece6(0, 400, ident=n) for n in range(4)]
    return held(t, (*first, piece6(400, len(BODY6), ident=0)))


def four_many(t: Tracker) -> object:
    first = [piece(0, 400, ident=n) for n in range(4)]
    return held(t, (*first, piece(400, len(BODY), ident=0)))


def four_far(t: Tracker) -> object:
    return held(t, (piece(0, 400, ident=0), *(piece(0, 400, ident=n) for n in range(1, 5)), piece(400, len(BODY), ident=0)))


VERDICTS: dict[str, tuple[Case, object, int, object]] = {
    # name -> packets, what comes of them by default, another value, what comes of them then
    NF + "max": (full, ("new", "est"), 2, ("drop", "drop")),
    "net.nf_conntrack_max": (full, ("new", "est"), 2, ("drop", "drop")),
    NF + "expect_max": (too_many_expected, [True, True, True], 2, [True, True, False]),
    NF + "checksum": (bad_checksum, "inv", 0, "new"),
    NF + "acct": (counted, 1, 0, 0),  # tests run with 1
    NF + "timestamp": (stamped, False, 1, True),
    NF + "tcp_loose": (middle, "new", 0, "inv"),
    NF + "tcp_be_liberal": (out_of_window, "inv", 1, "est"),
    NF + "tcp_ignore_invalid_rst": (old_reset, "inv", 1, "est-reply"),
    NF + "tcp_max_retrans": (repeated, 300.0, 200, 432_000.0),
    NF + "frag6_timeout": (six_late, [HELD, WHOLE], 5, [HELD, HELD]),
    NF + "frag6_high_thresh": (six_many, [HELD] * 4 + [WHOLE], 2000, [HELD] * 2 + [BAD, BAD, WHOLE]),
    "net.ipv4.ipfrag_time": (four_late, [HELD, WHOLE], 5, [HELD, HELD]),
    "net.ipv4.ipfrag_high_thresh": (four_many, [HELD] * 4 + [WHOLE], 2000, [HELD] * 2 + [BAD, BAD, WHOLE]),
    "net.ipv4.ipfrag_max_dist": (four_far, [HELD] * 5 + [WHOLE], 2, [HELD] * 6),
}


@pytest.mark.parametrize(("name", "case"), VERDICTS.items(), ids=VERDICTS)
def test_a_sysctl_changes_what_comes_of_packets(name: str, case: tuple[Case, object, int, object]) -> None:
    send, usual, value, other = case
    assert send(Tracker()) == usual
    t = Tracker()
    assert t.settings.set(name, value)
    assert send(t) == other


# ---------------------------------------------------------------------- times


def tcp_state(*segments: tuple[int, str]) -> Case:
    """Segments: the side, and their flags; numbers go on as they must."""

    def send(t: Tracker) -> object:
        numbers = [1000, 5000]
        for way, flags in segments:
            ack = numbers[1 - way] if "A" in flags else 0
            if way:
                frame = tcp(B, A, flags, sport=80, dport=40000, seq=numbers[1], ack=ack)
            else:
                frame = tcp(A, B, flags, seq=numbers[0], ack=ack)
            got = t.send(frame)
            assert got not in ("inv", "drop"), t.packet.reason
            numbers[way] += int("S" in flags) + int("F" in flags)
        return t.left()

    return send


OPEN = ((0, "S"), (1, "SA"), (0, "A"))


def unacknowledged(t: Tracker) -> object:
    t.handshake()
    t.send(tcp(A, B, "PA", seq=1001, ack=5001, data=b"hello"))
    return t.left()


def sent(*frames: bytes, after: float = 0) -> Case:
    def send(t: Tracker) -> object:
        for frame in frames:
            got = t.send(frame, after=after)
            assert got not in ("inv", "drop"), t.packet.reason
        return t.left()

    return send


def sctp_state(state: int, kind: int, back: bool = False) -> Case:
    """A chunk that leads to the state from one with the number ``state``."""

    def send(t: Tracker) -> object:
        t.send(association(A, B, 0, init(sctp.INIT, 22)))
        t.entry.state, t.entry.vtag_orig, t.entry.vtag_reply = state, 11, 22
        frame = association(B, A, 22, chunk(kind), sport=4000, dport=3000) if back else association(A, B, 11, chunk(kind))
        assert t.send(frame) != "inv", t.packet.reason
        return t.left()

    return send


def dccp_life(count: int) -> Case:
    frames = (
        datagram(A, B, 0, 1),
        datagram(B, A, 1, 1000, 1, sport=600, dport=500),
        datagram(A, B, 3, 2, 1000),
        datagram(B, A, 4, 1001, 2, sport=600, dport=500),
        datagram(B, A, 5, 1002, 2, sport=600, dport=500),
        datagram(A, B, 6, 3, 1002),
        datagram(B, A, 7, 1003, 3, sport=600, dport=500),
    )
    return sent(*frames[:count])


def offloaded(proto: int) -> Case:
    """What the flow table gives a connection that it takes."""

    def send(t: Tracker) -> object:
        if proto == 6:
            t.handshake()
            answer(t, "A", 5001, 1001)
        else:
            t.send(udp(A, B))
            t.send(udp(B, A, sport=53, dport=1000))
        flows = ActCtTable(0)
        flows.tcp_timeout, flows.udp_timeout = t.settings.flow_tcp, t.settings.flow_udp
        flows.offer(t.entry, t.packet, t.now)
        return (t.entry.flow_expires - t.now) / SECOND

    return send


TIMES: dict[str, Case] = {
    "nf_conntrack_generic_timeout": sent(ip4(A, B, 89, b"")),
    "nf_conntrack_udp_timeout": sent(udp(A, B)),
    "nf_conntrack_udp_timeout_stream": sent(udp(A, B), udp(B, A, sport=53, dport=1000), udp(A, B), after=2),
    "nf_conntrack_icmp_timeout": sent(icmp(A, B, 8)),
    "nf_conntrack_icmpv6_timeout": sent(icmp(A6, B6, 128)),
    "nf_conntrack_gre_timeout": sent(ip4(A, B, 47, bytes(8))),
    "nf_conntrack_gre_timeout_stream": sent(ip4(A, B, 47, bytes(8)), ip4(B, A, 47, bytes(8)), ip4(A, B, 47, bytes(8))),
    "nf_conntrack_tcp_timeout_syn_sent": tcp_state((0, "S")),
    "nf_conntrack_tcp_timeout_syn_recv": tcp_state((0, "S"), (1, "SA")),
    "nf_conntrack_tcp_timeout_established": tcp_state(*OPEN),
    "nf_conntrack_tcp_timeout_fin_wait": tcp_state(*OPEN, (0, "FA")),
    "nf_conntrack_tcp_timeout_close_wait": tcp_state(*OPEN, (0, "FA"), (1, "A")),
    "nf_conntrack_tcp_timeout_last_ack": tcp_state(*OPEN, (0, "FA"), (1, "A"), (1, "FA")),
    "nf_conntrack_tcp_timeout_time_wait": tcp_state(*OPEN, (0, "FA"), (1, "A"), (1, "FA"), (0, "A")),
    "nf_conntrack_tcp_timeout_close": tcp_state(*OPEN, (0, "RA")),
    "nf_conntrack_tcp_timeout_max_retrans": repeated,
    "nf_conntrack_tcp_timeout_unacknowledged": unacknowledged,
    "nf_conntrack_sctp_timeout_closed": sent(association(A, B, 0, init(sctp.INIT, 22))),
    "nf_conntrack_sctp_timeout_cookie_wait": sctp_state(sctp.CW, 3, back=True),
    "nf_conntrack_sctp_timeout_cookie_echoed": sctp_state(sctp.CW, sctp.COOKIE_ECHO),
    "nf_conntrack_sctp_timeout_established": sctp_state(sctp.CE, sctp.COOKIE_ACK, back=True),
    "nf_conntrack_sctp_timeout_shutdown_sent": sctp_state(sctp.ES, sctp.SHUTDOWN),
    "nf_conntrack_sctp_timeout_shutdown_recd": sctp_state(sctp.ES, sctp.SHUTDOWN, back=True),
    "nf_conntrack_sctp_timeout_shutdown_ack_sent": sctp_state(sctp.SS, sctp.SHUTDOWN_ACK, back=True),
    "nf_conntrack_sctp_timeout_heartbeat_sent": sent(association(A, B, 11, chunk(sctp.HEARTBEAT))),
    "nf_conntrack_dccp_timeout_request": dccp_life(1),
    "nf_conntrack_dccp_timeout_respond": dccp_life(2),
    "nf_conntrack_dccp_timeout_partopen": dccp_life(3),
    "nf_conntrack_dccp_timeout_open": dccp_life(4),
    "nf_conntrack_dccp_timeout_closereq": dccp_life(5),
    "nf_conntrack_dccp_timeout_closing": dccp_life(6),
    "nf_conntrack_dccp_timeout_timewait": dccp_life(7),
    "nf_flowtable_tcp_timeout": offloaded(6),
    "nf_flowtable_udp_timeout": offloaded(17),
}


@pytest.mark.parametrize(("name", "send"), TIMES.items(), ids=TIMES)
def test_a_timeout_is_how_long_the_connection_has(name: str, send: Case) -> None:
    usual = Tracker()
    assert send(usual) == usual.settings.get(f"net.netfilter.{name}")
    t = Tracker()
    assert t.settings.set(f"net.netfilter.{name}", 7)
    assert send(t) == 7


def test_every_sysctl_has_a_case_or_is_named_as_without_effect() -> None:
    shown = {f"net.netfilter.{name}" for name in TIMES} | VERDICTS.keys()
    assert shown | WITHOUT_EFFECT.keys() == set(BY_NAME) | WITHOUT_EFFECT.keys()
    assert not shown & WITHOUT_EFFECT.keys()


def test_the_man_page_names_those_without_effect() -> None:
    page = (Path(__file__).resolve().parents[2] / "man" / "tcemu-conntrack.8").read_text()
    for name in WITHOUT_EFFECT:
        assert name.rpartition(".")[2] in page


# source: Documentation/networking/nf_conntrack-sysctl.rst and nf_conntrack_standalone.c, Linux 6.1, and runs of 6.18 for the names
KERNEL = """
acct buckets checksum count dccp_loose dccp_timeout_closereq dccp_timeout_closing dccp_timeout_open dccp_timeout_partopen
dccp_timeout_request dccp_timeout_respond dccp_timeout_timewait events expect_max frag6_high_thresh frag6_low_thresh frag6_timeout
generic_timeout gre_timeout gre_timeout_stream icmp_timeout icmpv6_timeout log_invalid max sctp_timeout_closed
sctp_timeout_cookie_echoed sctp_timeout_cookie_wait sctp_timeout_established sctp_timeout_heartbeat_sent
sctp_timeout_shutdown_ack_sent sctp_timeout_shutdown_recd sctp_timeout_shutdown_sent tcp_be_liberal tcp_ignore_invalid_rst tcp_loose
tcp_max_retrans tcp_timeout_close tcp_timeout_close_wait tcp_timeout_established tcp_timeout_fin_wait tcp_timeout_last_ack
tcp_timeout_max_retrans tcp_timeout_syn_recv tcp_timeout_syn_sent tcp_timeout_time_wait tcp_timeout_unacknowledged timestamp
udp_timeout udp_timeout_stream
"""


def test_the_kernels_names_are_all_there() -> None:
    known = {name.removeprefix(NF) for name in (*BY_NAME, *WITHOUT_EFFECT) if name.startswith(NF)}
    assert known == set(KERNEL.split())


@pytest.mark.parametrize(("value", "told"), [("0", False), ("1", True), ("2", True)], ids=["off", "on", "when-asked"])
def test_events_are_told_when_the_kernel_makes_them(value: str, told: bool) -> None:
    from tcemu import Session
    from tcemu.conntrack.events import EventLog
    from tcemu.conntrack.request import parse
    from tcemu.host.model import Sysctl

    lines: list[str] = []
    with Session() as session:
        session.host.sysctls.put(Sysctl(key=f"{NF}events", value=value))
        session.tc("qdisc add dev lan ingress")
        assert session.tc("filter add dev lan ingress proto ip flower action ct commit").exit_code == 0
        capture = Path(__file__).resolve().parents[2] / "examples" / "captures" / "ftp.pcap"
        session.replay({"lan": capture}, watcher=EventLog(parse(["-E"]), lines.append, reasons=True))
    assert any("[NEW]" in line for line in lines) == told
