"""Packets from expressions: what is read, and what is refused without being run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcemu.cli.expression import frame_of
from tcemu.diagnostics import SyntaxFailure


def test_layers_and_literals_make_a_frame() -> None:
    frame = frame_of(
        'Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02")/IP(src="10.0.0.1", dst="10.0.0.2", id=5)/UDP(sport=1, dport=-0)/b"abc"'
    )
    assert frame[:14].hex() == "0200000000010200000000020800"
    assert frame[26:34].hex() == "0a0000010a000002"
    assert frame.endswith(b"abc")


@pytest.mark.parametrize(
    "text",
    [
        'Ether()/Dot1Q(vlan=5)/IP()/TCP(flags="S", options=[("MSS", 1460), ("NOP", None)])',
        'Ether()/IPv6(dst="2001:db8::1")/ICMPv6EchoRequest()',
        "Ether()/IP()/ICMP(type=3, code=1)/IP()/UDP()",
        'Ether()/IP()/UDP()/("x" * 100)',
        "Ether()/IP()/UDP(dport=4789)/VXLAN(vni=5)/Ether()/IP()",
        'Ether()/Raw(load=b"\\x00\\x01")',
        "Ether() / (IP() / TCP())",
    ],
)
def test_what_users_of_scapy_write(text: str) -> None:
    assert len(frame_of(text)) > 14


def test_hex_digits_are_a_frame() -> None:
    assert frame_of("02:00:00:00:00:01 0200 0000 0002 0800 45") == bytes.fromhex("0200000000010200000000020800" + "45")


@pytest.mark.parametrize(
    "text",
    [
        '__import__("os").system("touch {}")',
        'Ether()/open("{}", "w").write("x")',
        'Ether(dst=open("{}", "w"))',
        'Ether().__class__("{}")',
        "[x for x in Ether()]",
        'Ether()/IP(dst=f"{}")',
        "Ether(**{{}})",
        "Ether(*[])",
        "(lambda: Ether())()",
        "Ether()/IP() if 1 else 2",
        "Ether()/(b'x' * 99999999)",
        "Ether()/(99999999 ** 99999999)",
        "Ether() + IP()",
        "conf()",
        "sniff()",
        "Packet",
        "5",
        "",
        "\0",
        "Ether(" * 60,
    ],
)
def test_anything_else_is_refused_and_not_run(text: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with pytest.raises(SyntaxFailure):
        frame_of(text.format(mark))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ether()/IQ()", "line 1, column 9: error: no layer is called IQ\nEther()/IQ()\n        ^^\nhint: did you mean IP?\n"),
        (
            'Ether()/IP(ddst="1.2.3.4")',
            'line 1, column 12: error: IP has no field ddst\nEther()/IP(ddst="1.2.3.4")\n           ^^^^^^^^^^^^^^\nhint: did you mean dst?\n',
        ),
    ],
)
def test_refusals_point(text: str, shown: str) -> None:
    with pytest.raises(SyntaxFailure) as caught:
        frame_of(text)
    assert caught.value.render() == shown


def test_values_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SyntaxFailure, match="scapy"):
        frame_of('Ether(dst="nonsense")/IP(ttl=70000)')
