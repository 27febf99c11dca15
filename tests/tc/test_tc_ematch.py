"""Extended matches: how they are listed, and what they decide about packets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcemu import Session
from tcemu.capture.writer import create_capture

from .worlds import ingress

ETHERNET = 1
PLACE = ("filter", "add", "dev", "eth0", "ingress", "protocol", "ip", "pref", "1", "basic", "match")
# UDP 10.0.1.2:9 > 10.0.2.2:1, as in the recorded scenario nft-trace
UDP = bytes.fromhex("4500002000010000401163c90a0001020a00020200090001000c100664617461")
FRAME = bytes.fromhex("02000000000b02000000000a0800") + UDP

# expression, and how tc 6.1.0 on Linux 6.1 lists it
LISTED = (
    ("meta(pkt_len gt 3)", "  meta(pkt_len gt 3)\n"),
    ("meta(fwmark shift 3 mask 0xff eq 1)", "  meta(nf_mark shift 3 mask 0x000000ff eq 1)\n"),
    (
        "cmp(u8 at 9 layer 1 eq 17) and not u32(u32 0x0a000000 0xff000000 at 16)",
        "  cmp(u8 at 9 layer 1 eq 17)\n  AND NOT u32(0a000000/ff000000 at 16)\n",
    ),
    ("canid(sff 0x123:0x7f eff 0x1f)", "  canid(eff 0x1F sff 0x123:0x7F)\n"),
)


@pytest.mark.parametrize(("expression", "listing"), LISTED, ids=[row[0] for row in LISTED])
def test_an_expression_is_listed_a_term_a_line(expression: str, listing: str) -> None:
    world = ingress()
    assert world.tc([*PLACE, expression, "classid", "1:1"]).exit_code == 0
    assert world.ok("filter show dev eth0 ingress").split("flowid 1:1 \n", 1)[1].startswith(listing)


# expression, and whether UDP to port 1 matches; what stands behind "or" and "and" is one
DECIDED = (
    ("cmp(u8 at 9 layer 1 eq 17)", True),
    ("cmp(u8 at 9 layer 1 eq 6)", False),
    ("not cmp(u8 at 9 layer 1 eq 6)", True),
    ("not cmp(u8 at 200 layer 1 eq 6)", True),  # tcf_em_match: what cannot be read does not match, and the opposite does
    ("cmp(u8 at 9 layer 1 eq 6) or cmp(u8 at 9 layer 1 eq 17)", True),
    ("cmp(u8 at 9 layer 1 eq 6) or cmp(u8 at 9 layer 1 eq 7)", False),
    ("cmp(u8 at 9 layer 1 eq 6) and cmp(u8 at 9 layer 1 eq 7) or cmp(u8 at 9 layer 1 eq 17)", False),
    ("(cmp(u8 at 9 layer 1 eq 6) and cmp(u8 at 9 layer 1 eq 7)) or cmp(u8 at 9 layer 1 eq 17)", True),
    ("not (cmp(u8 at 9 layer 1 eq 17) and cmp(u8 at 8 layer 1 eq 1))", True),
    ("meta(pkt_len eq 32)", True),
    ("meta(protocol eq 8)", True),  # the bytes as they are in the packet, read by a little-endian machine
    ("meta(protocol eq 0x800)", False),
    ('nbyte("data" at 28 layer 1)', True),
)


@pytest.mark.parametrize(("expression", "matches"), DECIDED, ids=[row[0] for row in DECIDED])
def test_an_expression_decides(expression: str, matches: bool, tmp_path: Path) -> None:
    with create_capture(tmp_path / "a.pcap", ETHERNET) as writer:
        writer.write(FRAME, 0, len(FRAME), len(FRAME), 1_700_000_000_000_000_000)
    with Session() as session:
        session.ip("tuntap add dev eth0 mode tap")
        session.ip("link set eth0 up")
        words = [*PLACE, expression, "action", "drop"]
        assert session.tc(words).exit_code == 0
        session.replay({"eth0": tmp_path / "a.pcap"})
        counted = session.tc("-s filter show dev eth0 ingress").stdout
    assert ("Sent 32 bytes 1 pkt" in counted) is matches
