"""H.323 read from bytes: packed encoding rules and frames (net/netfilter/nf_conntrack_h323_asn1.c, get_tpkt_data).

What a kernel does with such bytes is recorded under tests/conformance (nft-ct-helper-h323-*).
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcemu.conntrack.helpers.h323 import h225, h245, per, signal
from tcemu.conntrack.helpers.h323.notation import read
from tcemu.conntrack.helpers.h323.per import PerError, Reader, decode
from tcemu.conntrack.helpers.h323.q931 import user_information

from . import h323_messages as h323
from .h323_messages import at225, at245

CLIENT, SERVER = "10.0.0.1", "10.0.0.2"


def place(message: bytes, value: dict[str, Any], *path: str) -> bytes:
    """The bytes of an address that was decoded."""
    found: Any = value
    for name in path:
        found = found[name]
    return message[found : found + 6]


def test_addresses_are_found_wherever_they_stand() -> None:
    body = h323.setup(h245Address=at225(CLIENT, 2600), destCallSignalAddress=at225(SERVER, 1720), sourceCallSignalAddress=at225(CLIENT, 1))
    message = h323.q931("setup", body)[4:]
    found = user_information(message)["h323-uu-pdu"]["h323-message-body"]["setup"]
    for name, want in (("h245Address", 2600), ("destCallSignalAddress", 1720), ("sourceCallSignalAddress", 1)):
        assert place(message, found, name, "ipAddress", "ip")[4:] == want.to_bytes(2, "big")


@pytest.mark.parametrize(
    ("kind", "index"), [(h225.RAS, 31), (h245.CONTROL, 70), (h225.TYPES["Transport"], 9)], ids=["ras", "control", "address"]
)
def test_an_alternative_that_is_newer_than_the_table_is_walked_over(kind: Any, index: int) -> None:
    bits = f"1{index - 1:07b}"
    found = decode(bytes([int(bits, 2)]) + b"\1\0\0", kind)
    assert isinstance(found, dict)
    assert all(value is True for value in found.values())


def test_an_index_that_there_is_not_cannot_be_read() -> None:
    with pytest.raises(PerError):
        decode(b"\x70\0\0\0", h225.TYPES["Transport"])  # alternative 7 of 0 to 6


@pytest.mark.parametrize("size", range(0, 48, 3))
def test_a_message_that_ends_early_is_not_read_past_its_end(size: int) -> None:
    message = h323.rrq([at225(CLIENT, 1720)], [at225(CLIENT, 1719)], timeToLive=60)[:size]
    with pytest.raises(PerError):
        decode(message, h225.RAS)


@pytest.mark.parametrize(("behind", "good"), [(bytes(8), True), (b"", False)], ids=["more-behind", "at-the-end"])
def test_a_wanted_number_needs_as_much_behind_it_again(behind: bytes, good: bool) -> None:
    """decode_int passes timeToLive twice."""
    message = h323.rrq([at225(CLIENT, 1720)], [at225(CLIENT, 1719)], tail=behind, timeToLive=60)
    if good:
        assert decode(message, h225.RAS)["registrationRequest"]["timeToLive"] == 60
    else:
        with pytest.raises(PerError):
            decode(message, h225.RAS)


def test_short_values_do_not_read_what_follows_over_and_over() -> None:
    kind = read("Item SEQ all list octets(1)\nMany SEQ items! list(9) open Item", {})["Many"]
    item = bytes((3, 0x9F, 0xFF, 0))  # three bytes long, and a list of 8191 bytes
    reader = Reader(b"\xa8\x00" + item * 13000, 0, 52002)
    with pytest.raises(PerError):
        per._sequence(reader, kind, True)
    assert reader.looks < 0
    assert decode(b"\x05" + item * 5 + bytes(9000), kind) == {"items": [{}] * 5}


def test_more_than_32_extensions_are_refused() -> None:
    kind = read("Many SEQ a bool, ..., b", {})["Many"]
    assert decode(b"\x80\x40" + bytes(9), kind) == {}
    with pytest.raises(PerError):
        decode(b"\x90\x80" + bytes(99), kind)  # 33 of them


HASHED: dict[str, Any] = {"algorithmOID": b"\1\2", "paramS": {"iv16": bytes(16)}, "hash": b"abcd"}
# what is walked over on the way to an address -> a body that holds an address behind it
WALKED: dict[str, tuple[str, dict[str, Any]]] = {
    "aliases": ("setup", h323.setup(destinationAddress=[{"h323-ID": "böb"}, {"url-ID": b"\3abc"}], destExtraCRV=[1, 2])),
    "gateway": (
        "connect",
        h323.connect(
            destinationInfo={
                "gateway": {"protocol": [{"h323": {}}, {"voice": {"dataRatesSupported": b"\0"}}, {"t38FaxAnnexbOnly": b"\0\0"}]},
                "gatekeeper": {},
                "mcu": {"protocol": b"\0"},
                "mc": True,
                "undefinedNode": False,
                "set": bytes(4),
            }
        ),
    ),
    "non-standard": (
        "setup",
        h323.setup(sourceInfo={"nonStandardData": {"nonStandardIdentifier": {"object": b"\1\2\3"}, "data": bytes(200)}, **h323.TERMINAL}),
    ),
    "tokens": (
        "progress",
        h323.progress(
            tokens=[
                {
                    "tokenOID": b"\1\2",
                    "timeStamp": 70000,
                    "password": "pw",
                    "challenge": bytes(9),
                    "random": 5,
                    "generalID": "x",
                    "dhkey": {"halfkey": b"abc", "modSize": b"", "generator": b"d"},
                    "certificate": {"type": b"\1", "certificate": b"xyz"},
                    "nonStandard": {"nonStandardIdentifier": b"\1", "data": b"d"},
                }
            ],
            cryptoTokens=[
                {"cryptoGKPwdEncr": {"algorithmOID": b"\1", "paramS": {"ranInt": 3, "iv8": bytes(8)}, "encryptedData": b"abc"}},
                {"cryptoEPPwdHash": {"alias": {"dialedDigits": "12"}, "timeStamp": 1, "token": HASHED}},
            ],
            h245SecurityMode={"tls": {"encryption": {"none": None}, "authenticaton": {"default": None}, "integrity": {"none": None}}},
        ),
    ),
}
VIDEO: dict[str, Any] = {
    "h261": {
        "h261VideoCapability": {
            "cifMPI": 1,
            "maxBitRate": 99,
            **dict.fromkeys(("temporalSpatialTradeOffCapability", "stillImageTransmission"), True),
        }
    },
    "h263": {
        "h263VideoCapability": {
            "sqcifMPI": 1,
            "cif16MPI": 32,
            "maxBitRate": 192400,
            "hrd-B": 5,
            "bppMaxKb": 7,
            "errorCompensation": b"\0",
            **dict.fromkeys(
                ("unrestrictedVector", "arithmeticCoding", "advancedPrediction", "pbFrames", "temporalSpatialTradeOffCapability"), False
            ),
        }
    },
    "generic": {"genericVideoCapability": bytes(5)},
}


@pytest.mark.parametrize("name", WALKED)
def test_what_stands_in_front_of_an_address_is_walked_over(name: str) -> None:
    kind, body = WALKED[name]
    fast = [h323.olc(h323.channel(at245(CLIENT, 6000), at245(CLIENT, 6001)))]
    message = h323.q931(kind, {**body, "fastStart": fast})[4:]
    found = user_information(message)["h323-uu-pdu"]["h323-message-body"][kind]["fastStart"][0]
    path = ("forwardLogicalChannelParameters", "multiplexParameters", "h2250LogicalChannelParameters", "mediaControlChannel")
    assert place(message, found, *path, "unicastAddress", "iPAddress", "network") == bytes((10, 0, 0, 1)) + (6001).to_bytes(2, "big")


@pytest.mark.parametrize("name", VIDEO)
def test_kinds_of_media_are_walked_over(name: str) -> None:
    value = h323.olc(h323.channel(at245(CLIENT, 6000)))
    value["forwardLogicalChannelParameters"]["dataType"] = {"videoData": VIDEO[name]}
    message = h323.encode(h245.CHANNEL, value)
    path = ("forwardLogicalChannelParameters", "multiplexParameters", "h2250LogicalChannelParameters", "mediaChannel")
    assert place(message, decode(message, h245.CHANNEL), *path, "unicastAddress", "iPAddress", "network")[4:] == (6000).to_bytes(2, "big")


# ---------------------------------------------------------------------- frames


FRAMES = [
    (b"\3\0\0\6ab", [(4, 6)]),
    (b"\3\0\0\6ab\3\0\0\7abc", [(4, 6), (10, 13)]),
    (b"\3\0\0\6ab\3\0\0\4", [(4, 6)]),
    (b"\3\0\0\6ab\2\0\0\7abc", [(4, 6)]),
    (b"\3\0\0\7ab", []),
    (b"\3\0\0\3ab", []),
    (b"\3\0\0\4", [(4, 4)]),
    (b"hello", []),
    (b"", []),
]


@pytest.mark.parametrize(("text", "found"), FRAMES, ids=["one", "two", "empty-second", "other", "cut", "short", "empty", "none", "nothing"])
def test_frames_of_a_segment(text: bytes, found: list[tuple[int, int]]) -> None:
    memory = [0] * 32
    seen = []
    last = signal.frame(text, memory, 0, None)
    while last is not None:
        seen.append(last)
        last = signal.frame(text, memory, 0, last)
    assert seen == found
    assert not any(memory)


def test_a_frames_header_may_come_alone() -> None:
    memory = [0] * 32
    assert signal.frame(b"\3\0\0\7", memory, 1, None) is None
    assert signal.frame(b"abc", memory, 0, None) is None
    assert signal.frame(b"abcd", memory, 1, None) == (0, 3)
    assert signal.frame(b"\3\0\0\7", memory, 1, None) is None
    assert signal.frame(b"ab", memory, 1, None) is None
    assert not any(memory)


@given(kind=st.sampled_from([h225.RAS, h225.USER_INFORMATION, h245.CONTROL, h245.CHANNEL]), data=st.binary(max_size=300))
@settings(max_examples=400, deadline=None)
def test_any_bytes_are_decoded_or_refused(kind: Any, data: bytes) -> None:
    try:
        decode(data, kind)
    except PerError:
        return


@given(data=st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_may_stand_in_a_stream(data: bytes) -> None:
    try:
        user_information(data)
        user_information(b"\x08\x01\1\5\0\x7e" + len(data).to_bytes(2, "big") + data)
    except PerError:
        return
