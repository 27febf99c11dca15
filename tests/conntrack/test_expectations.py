"""The table of expectations on the command line and in events.

Source of all texts: conntrack-tools 1.4.7, run on Linux 6.18 beside a program that spoke FTP (or SIP) to itself over the loopback
device with `ct helper set`; the third field of times and the numbers of connections are those of the run.
"""

from __future__ import annotations

import pytest

from tcemu.conntrack.events import ExpectLog
from tcemu.conntrack.request import NAME, parse

from .builder import A, B
from .talk import Talk
from .test_commands import World

MASTER = "-I -p tcp -s 10.0.0.1 -d 10.0.0.2 --sport 40000 --dport 21 -t 400 --state ESTABLISHED"
KEY = "-p tcp -s 10.0.0.1 -d 10.0.0.2 --sport 40000 --dport 21 -t 60"
MASKS = "--mask-src 255.255.255.255 --mask-dst 255.255.255.255 --mask-port-src 0 --mask-port-dst 65535"
FOUND = "-p tcp -s 10.0.0.2 -d 10.0.0.1 --sport 5 --dport 1600 --reply-port-src 9 --reply-port-dst 0"
LINE = (
    "T proto=6 src=10.0.0.2 dst=10.0.0.1 sport=0 dport=1600 mask-src=255.255.255.255 mask-dst=255.255.255.255 sport=0 dport=65535 "
    "master-src=10.0.0.1 master-dst=10.0.0.2 sport=40000 dport=21 class=0 helper=ftp\n"
)
XML = (
    '<flow><layer3 protonum="2" protoname="ipv4"><expected><src>10.0.0.2</src><dst>10.0.0.1</dst></expected>'
    "<mask><src>255.255.255.255</src><dst>255.255.255.255</dst></mask><master><src>10.0.0.1</src><dst>10.0.0.2</dst></master></layer3>"
    '<layer4 protonum="6" protoname="tcp"><expected><sport>0</sport><dport>1600</dport></expected>'
    "<mask><sport>0</sport><dport>65535</dport></mask><master><sport>40000</sport><dport>21</dport></master></layer4>"
    "<meta><helper-name>ftp</helper-name><timeout>T</timeout><class>0</class></meta></flow>\n"
)


def world(helper: str = "ftp") -> World:
    """One FTP connection that expects a port."""
    out = World()
    assert out.run(MASTER).exit_code == 0
    for record in list(out.connections):
        record.helper = helper
        out.connections.put(record)
    return out


def expecting() -> World:
    out = world()
    reply = out.run(f"-I expect {KEY} --tuple-src 10.0.0.2 --tuple-dst 10.0.0.1 --tuple-port-src 0 --tuple-port-dst 1600 {MASKS}")
    assert (reply.exit_code, reply.stdout, reply.stderr) == (0, "", "")
    return out


def shown(text: str) -> str:
    """Without the time that is left."""
    for seconds in ("300", "299"):
        text = text.replace(f"{seconds} proto", "T proto").replace(f"<timeout>{seconds}<", "<timeout>T<")
    return text


@pytest.mark.parametrize("output", ["", "-o extended", "-o id", "-o save", "-f ipv4"])
def test_listing(output: str) -> None:
    reply = expecting().run(f"-L expect {output}")
    assert (reply.exit_code, shown(reply.stdout), reply.stderr) == (0, LINE, f"{NAME}: 1 expectations have been shown.\n")


def test_listing_of_another_family() -> None:
    reply = expecting().run("-L expect -f ipv6")
    assert (reply.exit_code, reply.stdout, reply.stderr) == (0, "", f"{NAME}: 0 expectations have been shown.\n")


def test_listing_in_xml() -> None:
    reply = expecting().run("-L expect -o xml")
    assert shown(reply.stdout) == f'<?xml version="1.0" encoding="utf-8"?>\n<expect>\n{XML}</expect>\n'


def test_listing_with_a_time() -> None:
    assert shown(expecting().run("-L expect -o timestamp").stdout) == f"[1700000000.300000]\t{LINE}"


def test_get_finds_what_a_packet_would_fulfil() -> None:
    reply = expecting().run(f"-G expect {FOUND}")
    assert (reply.exit_code, shown(reply.stdout), reply.stderr) == (0, LINE, "")


@pytest.mark.parametrize(
    "other",
    [FOUND.replace("1600", "1601"), FOUND.replace("-s 10.0.0.2", "-s 10.0.0.3"), FOUND.replace("tcp", "udp")],
    ids=["port", "source", "proto"],
)
@pytest.mark.parametrize("command", ["-G", "-D"])
def test_what_is_not_expected_is_not_found(command: str, other: str) -> None:
    reply = expecting().run(f"{command} expect {other}")
    assert (reply.exit_code, reply.stdout, reply.stderr) == (1, "", f"{NAME}: Operation failed: No such file or directory\n")


def test_delete_counts_as_the_tool_does() -> None:
    it = expecting()
    reply = it.run(f"-D expect {FOUND}")
    assert (reply.exit_code, reply.stdout, reply.stderr) == (1, "", f"{NAME}: 0 expectations have been shown.\n")
    assert it.run("-C expect").stdout == "0\n"


def test_the_protocol_is_the_last_ports_upper_half() -> None:
    it = world()
    order = "--tuple-src 10.0.0.2 --tuple-dst 10.0.0.1 --tuple-port-dst 1600 --tuple-port-src 4352"
    assert it.run(f"-I expect {KEY} {order} {MASKS}").exit_code == 0
    assert "proto=17 src=10.0.0.2 dst=10.0.0.1 sport=4352 dport=1600 " in it.run("-L expect").stdout
    it.run("-F expect")
    ports = "--tuple-src 10.0.0.2 --tuple-dst 10.0.0.1 --tuple-port-src 4352 --tuple-port-dst 25600"
    assert it.run(f"-I expect {KEY} {ports} {MASKS}").exit_code == 0
    assert "proto=100 src=10.0.0.2 dst=10.0.0.1 mask-src=255.255.255.255 mask-dst=255.255.255.255 master" in it.run("-L expect").stdout


def test_masks_of_the_source_count_and_those_of_the_destination_do_not() -> None:
    it = world()
    masks = "--mask-src 255.255.0.0 --mask-dst 0.0.0.0 --mask-port-src 5 --mask-port-dst 1700"
    it.run(f"-I expect {KEY} --tuple-src 10.0.0.2 --tuple-dst 10.0.0.1 --tuple-port-src 1 --tuple-port-dst 1536 {masks}")
    assert "sport=1 dport=1536 mask-src=255.255.0.0 mask-dst=255.255.255.255 sport=5 dport=65535 master" in it.run("-L expect").stdout


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((), "File exists"),
        (("--dport 21", "--dport 22"), "master conntrack not found"),
    ],
    ids=["twice", "no-master"],
)
def test_create_fails(change: tuple[str, str] | tuple[()], said: str) -> None:
    line = f"-I expect {KEY} --tuple-src 10.0.0.2 --tuple-dst 10.0.0.1 --tuple-port-src 0 --tuple-port-dst 1600 {MASKS}"
    reply = expecting().run(line.replace(*change) if change else line)
    assert (reply.exit_code, reply.stderr) == (1, f"{NAME}: Operation failed: {said}\n")


def test_a_master_without_a_helper_expects_nothing() -> None:
    line = f"-I expect {KEY} --tuple-src 10.0.0.2 --tuple-dst 10.0.0.1 --tuple-port-src 0 --tuple-port-dst 1600 {MASKS}"
    assert world("").run(line).stderr == f"{NAME}: Operation failed: Operation not supported\n"


def test_the_oldest_gives_way_to_one_too_many() -> None:
    it = expecting()
    line = f"-I expect {KEY} --tuple-src 10.0.0.3 --tuple-dst 10.0.0.1 --tuple-port-src 0 --tuple-port-dst 1600 {MASKS}"
    assert it.run(line).exit_code == 0
    assert it.run("-C expect").stdout == "1\n"
    assert "src=10.0.0.3" in it.run("-L expect").stdout


@pytest.mark.parametrize("command", ["-D -p tcp --dport 21", "-F"])
def test_with_its_master_an_expectation_goes(command: str) -> None:
    it = expecting()
    assert it.run(command).exit_code == 0
    assert it.run("-C expect").stdout == "0\n"


def events(talk: Talk, *options: str) -> tuple[ExpectLog, list[str]]:
    lines: list[str] = []
    log = ExpectLog(parse(["-E", "expect", *options]), lines.append)
    talk.table.expectations.watcher = log
    return log, lines


def ftp() -> Talk:
    talk = Talk("ftp")
    talk.open()
    talk.say(1, b"220 hi\r\n")
    talk.say(0, b"USER x\r\n")
    return talk


EVENT = (
    "300 proto=6 src=10.0.0.2 dst=10.0.0.1 sport=0 dport={port} mask-src=255.255.255.255 mask-dst=255.255.255.255 sport=0 dport=65535 "
    "master-src=10.0.0.1 master-dst=10.0.0.2 sport=40000 dport=21 class=0 helper=ftp\n"
)


def test_events_tell_what_is_made_and_what_goes() -> None:
    talk = ftp()
    log, lines = events(talk)
    talk.say(0, b"PORT 10,0,0,1,200,10\r\n")
    talk.say(0, b"PORT 10,0,0,1,200,11\r\n")
    # the second takes the only place that there is
    assert lines[0] == "    [NEW] " + EVENT.format(port=51210)
    assert [line.split()[0] for line in lines] == ["[NEW]", "[DESTROY]", "[NEW]"]
    assert lines[2] == "    [NEW] " + EVENT.format(port=51211)
    assert log.finish() == f"{NAME}: 3 expectation events have been shown.\n"


def test_events_in_xml() -> None:
    talk = ftp()
    log, lines = events(talk, "-o", "xml")
    talk.say(0, b"PORT 10,0,0,1,200,10\r\n")
    log.finish()
    assert lines[0] == '<?xml version="1.0" encoding="utf-8"?>\n<expect>\n'
    assert lines[1].startswith('<flow type="new"><layer3 protonum="2" protoname="ipv4"><expected><src>10.0.0.2</src>')
    assert lines[-1] == "</expect>\n"


def test_a_fulfilled_expectation_goes() -> None:
    from .builder import tcp

    talk = ftp()
    _, lines = events(talk)
    talk.say(0, b"PORT 10,0,0,1,200,10\r\n")
    assert talk.pass_through(tcp(B, A, "S", sport=20, dport=51210, seq=1), helper=False) == "rel"
    assert [line.split()[0] for line in lines] == ["[NEW]", "[DESTROY]"]


def test_expectations_die_with_their_connection_newest_first() -> None:
    talk = Talk("sip", proto=17, port=5060)
    _, lines = events(talk)
    talk.say(
        0,
        b"INVITE sip:b SIP/2.0\r\nCSeq: 1 INVITE\r\nContent-Length: 60\r\n\r\nv=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 4000 RTP/AVP 0\r\n",
    )
    talk.table.flush()
    # source: as `conntrack -E expect` told it of a SIP call
    assert [line.split()[0] + line.split()[6] for line in lines] == [
        "[NEW]dport=4000",
        "[NEW]dport=4001",
        "[DESTROY]dport=4001",
        "[DESTROY]dport=4000",
    ]
    assert all("class=1 helper=sip" in line for line in lines)


def test_what_a_dropped_first_packet_announced_is_not_expected() -> None:
    # source: recorded on Linux 6.18: the first medium has an address, the second has none, and the packet is dropped
    talk = Talk("sip", proto=17, port=5060)
    said = b"v=0\r\nm=audio 4000 RTP/AVP 0\r\nc=IN IP4 10.0.0.1\r\nm=video 4100 RTP/AVP 31\r\n"
    assert talk.say(0, b"UPDATE sip:b SIP/2.0\r\nCSeq: 3 UPDATE\r\n\r\n" + said) == "drop"
    assert talk.packet.reason == "sip helper: cannot parse SDP message"
    assert talk.expected() == []


def test_a_registration_is_expected_for_three_minutes_and_inactive() -> None:
    talk = Talk("sip", proto=17, port=5060)
    _, lines = events(talk)
    talk.say(0, b"REGISTER sip:b SIP/2.0\r\nCSeq: 1 REGISTER\r\nContact: <sip:a@10.0.0.1:5060>\r\nExpires: 100\r\n\r\n")
    assert lines == [
        "    [NEW] 180 proto=17 src=10.0.0.2 dst=10.0.0.1 sport=0 dport=5060 mask-src=255.255.255.255 mask-dst=255.255.255.255 sport=0 dport=65535 "
        "master-src=10.0.0.1 master-dst=10.0.0.2 sport=40000 dport=5060 PERMANENT,INACTIVE class=0 helper=sip\n"
    ]


WIDE = "-p tcp -s ::1 -d ::1 --sport 40000 --dport 21"
WIDE_MASKS = "--mask-src ffff:ffff:ffff:ffff:: --mask-dst ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff --mask-port-src 0 --mask-port-dst 65535"


def test_a_part_of_an_ipv6_source_may_be_expected() -> None:
    """run: listed with -f ipv6 only, and the like of it exists."""
    made = World()
    assert made.run(f"-I {WIDE} -t 400 --state ESTABLISHED").exit_code == 0
    for record in list(made.connections):
        record.helper = "ftp"
        made.connections.put(record)
    line = f"-I expect {WIDE} -t 60 --tuple-src fd00:1::%s --tuple-dst ::1 --tuple-port-src 0 --tuple-port-dst 1700 {WIDE_MASKS}"
    assert made.run(line % "5").exit_code == 0
    assert made.run("-L expect").stderr == f"{NAME}: 0 expectations have been shown.\n"
    assert "src=fd00:1::5 dst=::1 sport=0 dport=1700 mask-src=ffff:ffff:ffff:ffff:: mask-dst=" in made.run("-L expect -f ipv6").stdout
    assert "<mask><src>ffff:ffff:ffff:ffff::</src>" in made.run("-L expect -f ipv6 -o xml").stdout
    assert made.run(line % "").stderr == f"{NAME}: Operation failed: File exists\n"
    get = "-G expect -p tcp -s %s -d ::1 --sport 7 --dport 1700 --reply-port-src 1700 --reply-port-dst 7"
    assert made.run(get % "fd00:1::9").exit_code == 0
    assert made.run(get % "fd00:2::9").exit_code == 1
