"""`conntrack -E`. The lines with ``# run`` are those of conntrack 1.4.7 on a kernel, where the same packets went through a loopback device."""

from __future__ import annotations

import pytest

from tcemu.conntrack.events import EventLog
from tcemu.conntrack.request import ComplaintError, parse

from .builder import Tracker, tcp, udp

HOME = 0x7F000001  # 127.0.0.1
PORTS = {"sport": 39072, "dport": 7001}
BACK = {"sport": 7001, "dport": 39072}
TCP_TUPLES = "src=127.0.0.1 dst=127.0.0.1 sport=39072 dport=7001 {}src=127.0.0.1 dst=127.0.0.1 sport=7001 dport=39072"
UDP_TUPLES = "src=127.0.0.1 dst=127.0.0.1 sport=7003 dport=7002 {}src=127.0.0.1 dst=127.0.0.1 sport=7002 dport=7003"


def told(line: str, tracker: Tracker, reasons: bool = False) -> list[str]:
    """Where the lines go."""
    lines: list[str] = []
    tracker.table.watcher = EventLog(parse(line.split()), lines.append, reasons)
    return lines


def life(tracker: Tracker) -> None:
    """A connection from the SYN to both FINs; it is marked behind the SYN."""
    send = tracker.send
    send(tcp(HOME, HOME, "S", seq=99, **PORTS))
    tracker.entry.mark = 5
    send(tcp(HOME, HOME, "SA", seq=499, ack=100, **BACK))
    send(tcp(HOME, HOME, "A", seq=100, ack=500, **PORTS))
    send(tcp(HOME, HOME, "PA", seq=100, ack=500, data=b"hi", **PORTS))
    send(tcp(HOME, HOME, "FA", seq=102, ack=500, **PORTS))
    send(tcp(HOME, HOME, "FA", seq=500, ack=103, **BACK))
    send(tcp(HOME, HOME, "A", seq=103, ack=501, **PORTS))


def test_the_life_of_a_connection_in_the_tools_words() -> None:
    tracker = Tracker()
    lines = told("-E", tracker)
    life(tracker)
    assert "".join(lines).splitlines() == [
        f"    [NEW] tcp      6 120 SYN_SENT {TCP_TUPLES.format('[UNREPLIED] ')}",  # run
        f" [UPDATE] tcp      6 60 SYN_RECV {TCP_TUPLES.format('')} mark=5",  # run
        f" [UPDATE] tcp      6 432000 ESTABLISHED {TCP_TUPLES.format('')} [ASSURED] mark=5",  # run
        f" [UPDATE] tcp      6 120 FIN_WAIT {TCP_TUPLES.format('')} [ASSURED] mark=5",  # run
        f" [UPDATE] tcp      6 30 LAST_ACK {TCP_TUPLES.format('')} [ASSURED] mark=5",  # run
        f" [UPDATE] tcp      6 120 TIME_WAIT {TCP_TUPLES.format('')} [ASSURED] mark=5",  # run
    ]


def test_a_stream_of_datagrams_and_its_end() -> None:
    tracker = Tracker(timestamp=1)
    lines = told("-E", tracker)
    tracker.send(udp(HOME, HOME, sport=7003, dport=7002, data=b"x"))
    tracker.send(udp(HOME, HOME, sport=7002, dport=7003, data=b"y"))
    tracker.send(udp(HOME, HOME, sport=7003, dport=7002, data=b"x"), after=2.2)
    tracker.now += 300_000_000
    tracker.table.kill_at(tracker.entry, tracker.now)
    ended = "src=127.0.0.1 dst=127.0.0.1 sport=7003 dport=7002 packets=2 bytes=58 "
    ended += "src=127.0.0.1 dst=127.0.0.1 sport=7002 dport=7003 packets=1 bytes=29 [ASSURED] delta-time=2"
    assert "".join(lines).splitlines() == [
        f"    [NEW] udp      17 30 {UDP_TUPLES.format('[UNREPLIED] ')}",  # run
        f" [UPDATE] udp      17 30 {UDP_TUPLES.format('')}",  # run
        f" [UPDATE] udp      17 120 {UDP_TUPLES.format('')} [ASSURED]",  # run
        f"[DESTROY] udp      17 119 {ended}",  # run
    ]


@pytest.mark.parametrize(
    ("options", "want"),
    [
        ("-E -o extended,id", "    [NEW] ipv4     2 tcp      6 120 SYN_SENT "),
        ("-E -o timestamp", "[1700000000.0     ]\t    [NEW] tcp      6 120 SYN_SENT "),
        ("-E -o save", "-A -t 120 -u UNSET -s 127.0.0.1 -d 127.0.0.1 -r 127.0.0.1 -q 127.0.0.1 -p tcp --sport 39072 --dport 7001 "),  # run
        ("-E -o xml", '<?xml version="1.0" encoding="utf-8"?>\n<conntrack>\n<flow type="new"><meta direction="original">'),  # run
    ],
    ids=["extended", "timestamp", "save", "xml"],
)
def test_outputs(options: str, want: str) -> None:
    tracker = Tracker()
    lines = told(options, tracker)
    life(tracker)
    assert "".join(lines).startswith(want)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ("-E -e NEW", 1),
        ("-E -e UPDATES", 5),
        ("-E -e NEW,DESTROY", 1),
        ("-E -e ALL", 6),
        ("-E -p udp", 0),
        ("-E -p tcp --dport 7001", 6),
        ("-E -m 5", 5),
    ],
    ids=str,
)
def test_filters(options: str, count: int) -> None:
    tracker = Tracker()
    lines = told(options, tracker)
    life(tracker)
    assert len(lines) == count


def test_an_unknown_event_is_refused() -> None:
    with pytest.raises(ComplaintError, match="Bad parameter"):
        parse(["-E", "-e", "SOME"])


def test_reasons_stand_between_the_events() -> None:
    tracker = Tracker()
    lines = told("-E", tracker, reasons=True)
    tracker.handshake()
    tracker.send(tcp(0x0A000001, 0x0A000002, "A", seq=900_000_000, ack=5001))
    tracker.send(tcp(0x0A000001, 0x0A000002, "S", seq=77))
    tracker.send(tcp(0x0A000001, 0x0A000002, "SF", seq=1))
    assert lines[-3].startswith("[INVALID]")
    assert "over upper bound" in lines[-3]
    assert lines[-2].startswith("[IGNORED]")
    assert "ignored, state ESTABLISHED" in lines[-2]
    assert "invalid tcp flag combination" in lines[-1]
