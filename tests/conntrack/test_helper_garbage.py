"""Helpers on anything: random text near what they look for, and real captures (read where the shared corpora are)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcemu import Session
from tcemu.conntrack.helpers import KNOWN
from tcemu.diagnostics import CaptureError

from .talk import Talk

SNIPPETS = [
    *(b"PORT ", b"EPRT ", b"227 ", b"229 (", b"10,0,0,1,4,1", b"|1|10.0.0.1|99|", b"|||80|", b"\r\n", b"\r", b"\n", b" ", b"("),
    *(b"PRIVMSG x :", b"\x01DCC SEND f ", b"167772161 5000\x01", b"CONNECT ", b"DATA 5", b"MESG 70000", b"INDEX ", b"\0\0\0\7", b"\0\1"),
    *(b"SIP/2.0 200 OK\r\n", b"INVITE x SIP/2.0\r\n", b"REGISTER x SIP/2.0\r\n", b"CSeq: 1 INVITE\r\n", b"CSeq: 1 REGISTER\r\n"),
    *(b"Contact: <sip:a@10.0.0.1:5060>;expires=9\r\n", b"c=IN IP4 10.0.0.1\r\n", b"m=audio 4000 x\r\n", b"Content-Length: 3\r\n"),
    *(b"\0\x9c\0\x01\x1a\x2b\x3c\x4d", b"\0\x07\0\0", b"\0\x08\0\0", b"\0\x01\0\0", b"\0\x02\0\0\1\0\1\0"),
]
TEXT = st.lists(st.sampled_from(SNIPPETS) | st.binary(max_size=6), max_size=8).map(b"".join)


@pytest.mark.parametrize(("name", "proto"), KNOWN, ids=[f"{name}-{proto}" for name, proto in KNOWN])
@pytest.mark.parametrize("public", [0, 0xC0000201], ids=["plain", "translated"])
@given(said=st.lists(st.tuples(st.integers(0, 1), TEXT), max_size=12))
@settings(max_examples=25, deadline=None)
def test_a_helper_judges_anything_and_keeps_to_its_limits(name: str, proto: int, public: int, said: list[tuple[int, bytes]]) -> None:
    talk = Talk(name, proto=proto, port=500, public=public)
    if proto == 6:
        talk.open()
    else:
        talk.say(0, b"x")
    helper = talk.table.protocols().helper(name, proto)
    assert helper is not None
    for way, text in said:
        assert talk.say(way, text) in ("new", "est", "est-reply", "drop", "inv")
        for kind, most in enumerate(helper.limits):
            assert sum(1 for one in talk.table.expectations.all if one.kind == kind) <= most


CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "corpora" / "captures"
WANTED = re.compile("ftp|sip|irc|pptp|gre|frag|amanda|sane|snmp|netbios|nbns|bad|invalid|checksum", re.IGNORECASE)
FOUND = (
    sorted(path for path in CAPTURES.glob("*") if WANTED.search(path.name) and path.stat().st_size < 300_000) if CAPTURES.is_dir() else []
)
HELPERS = (
    ("f", "ftp", "tcp"),
    ("i", "irc", "tcp"),
    ("p", "pptp", "tcp"),
    ("s", "sip", "udp"),
    ("t", "tftp", "udp"),
    ("a", "amanda", "udp"),
)
PORTS = (("tcp", "1-1000", "f"), ("tcp", "1001-9000", "i"), ("tcp", "9001-65535", "p"), ("udp", "69", "t"), ("udp", "70-30000", "s"))
RULES = "table ip t {\n" + "".join(f' ct helper {key} {{\n  type "{kind}" protocol {proto}\n }}\n' for key, kind, proto in HELPERS)
RULES += " chain pre {\n  type filter hook prerouting priority 0\n"
RULES += "".join(f'  {proto} dport {span} ct helper set "{key}"\n' for proto, span, key in PORTS)
RULES += " }\n chain post {\n  type nat hook postrouting priority 100\n  snat to 192.0.2.1\n }\n}\n"


@pytest.mark.skipif(not FOUND, reason="the shared corpora are not here")
@pytest.mark.parametrize("path", FOUND, ids=[path.name for path in FOUND])
def test_real_and_broken_traffic_is_judged(path: Path) -> None:
    with Session() as session:
        loaded = session.nft_file(RULES)
        assert loaded.exit_code == 0, loaded.stderr
        try:
            result = session.replay({"eth0": path})
        except CaptureError:
            return
        assert sum(result.verdicts.values()) >= result.packets
