"""Messages of H.323, written by the same tables that tcemu reads them by (recordings of a kernel say whether the tables are right).

A SEQ is a dict, a CHOICE a dict with one name, a list a list, a number a number, and anything that tcemu has no type for its bytes.
"""

from __future__ import annotations

from typing import Any

from tcemu.conntrack.helpers.h323 import h225, h245
from tcemu.conntrack.helpers.h323.notation import BIG, BYTE, FIELD, FREE, WORD, Field, Type

VERSION = bytes((0, 8, 0x91, 0x4A, 0, 4))  # itu-t recommendation h 2250 version 4
VENDOR = {"vendor": {"t35CountryCode": 181, "t35Extension": 0, "manufacturerCode": 21324}}
TERMINAL = {"terminal": {}, "mc": False, "undefinedNode": False}


class Writer:
    """Bits, from the left."""

    def __init__(self) -> None:
        self.bits: list[str] = []
        self.size = 0

    def put(self, value: int, width: int) -> None:
        if width:
            self.bits.append(format(value, f"0{width}b"))
            self.size += width

    def align(self) -> None:
        self.put(0, -self.size % 8)

    def octets(self, data: bytes) -> None:
        for byte in data:
            self.put(byte, 8)

    def length(self, size: int) -> None:
        self.align()
        self.put(size if size < 128 else 0x8000 | size, 8 if size < 128 else 16)

    def opened(self, data: bytes) -> None:
        self.length(len(data))
        self.octets(data)

    def whole(self) -> bytes:
        self.align()
        text = "".join(self.bits)
        return bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))


def encode(kind: Type, value: Any, tail: bytes = b"") -> bytes:
    """A message; ``tail``: what stands where reading stops."""
    w = Writer()
    write(w, kind, value)
    w.octets(tail)
    return w.whole()


def write(w: Writer, kind: Type, value: Any) -> None:
    {"SEQ": sequence, "CHOICE": choice, "list": several, "null": lambda *_: None, "bool": boolean, "int": number}.get(kind.kind, string)(
        w, kind, value
    )


def boolean(w: Writer, kind: Type, value: bool) -> None:
    w.put(int(value), 1)


def number(w: Writer, kind: Type, value: int) -> None:
    plain = value - kind.low
    if kind.form == FIELD:
        w.put(plain, kind.bits)
        return
    size = {BYTE: 1, WORD: 2}.get(kind.form, max((plain.bit_length() + 7) // 8, 1))
    if kind.form == BIG:
        w.put(size - 1, 2)
    w.align()
    if kind.form == FREE:
        w.length(size)
    w.octets(plain.to_bytes(size, "big"))


def string(w: Writer, kind: Type, value: Any) -> None:
    """octets and oid: bytes. bmp: text. digits: a number's text. bits: bytes."""
    data = value.encode("utf-16-be") if kind.kind == "bmp" else value
    if kind.kind == "digits":
        w.put(len(value) - kind.low, kind.bits)
        w.align()
        for digit in value:
            w.put(int(digit) + 3, 4)
        return
    count = len(value) * 8 if kind.kind == "bits" else len(value)
    if kind.kind == "oid" or kind.form == BYTE:
        w.align()
        w.put(count - kind.low, 8)
    elif kind.form == FIELD:
        w.put(count - kind.low, kind.bits)
        w.align()
    elif kind.form == WORD:
        w.align()
        w.put(count - kind.low, 16)
    elif kind.form == FREE:
        w.length(count)
    elif kind.low > 2:
        w.align()
    w.octets(data)


def several(w: Writer, kind: Type, value: list[Any]) -> None:
    w.length(len(value))
    for one in value:
        one_field(w, kind.fields[0], one)


def one_field(w: Writer, field: Field, value: Any) -> None:
    if field.open:
        w.opened(inner(field, value))
    elif field.type is None:
        w.octets(value)
    else:
        write(w, field.type, value)


def inner(field: Field, value: Any) -> bytes:
    return value if field.type is None or isinstance(value, bytes) else encode(field.type, value)


def sequence(w: Writer, kind: Type, value: dict[str, Any]) -> None:
    root, later = kind.fields[: kind.root], kind.fields[kind.root :]
    last = max((at + 1 for at, field in enumerate(later) if field.name in value), default=0)
    assert not set(value) - {field.name for field in kind.fields}, set(value) - {field.name for field in kind.fields}
    if kind.extensible:
        w.put(int(last > 0), 1)
    for field in root:
        if field.optional:
            w.put(int(field.name in value), 1)
    for field in root:
        if field.name in value:
            one_field(w, field, value[field.name])
    if not last:
        return
    w.put(last - 1, 7)
    for field in later[:last]:
        w.put(int(field.name in value), 1)
    for field in later[:last]:
        if field.name in value:
            w.opened(inner(field, value[field.name]))


def choice(w: Writer, kind: Type, value: dict[str, Any]) -> None:
    ((name, chosen),) = value.items()
    index = [field.name for field in kind.fields].index(name)
    extended = index >= kind.root
    if kind.extensible:
        w.put(int(extended), 1)
    w.put(index - kind.root if extended else index, 7 if extended else kind.bits)
    if extended:
        w.opened(inner(kind.fields[index], chosen))
    else:
        one_field(w, kind.fields[index], chosen)


# ---------------------------------------------------------------------- messages


def four(address: str) -> bytes:
    return bytes(int(part) for part in address.split("."))


def six(address: str) -> bytes:
    from socket import AF_INET6, inet_pton

    return inet_pton(AF_INET6, address)


def at225(address: str, port: int) -> dict[str, Any]:
    """A TransportAddress of H.225."""
    if ":" in address:
        return {"ip6Address": {"ip": six(address), "port": port}}
    return {"ipAddress": {"ip": four(address), "port": port}}


def at245(address: str, port: int) -> dict[str, Any]:
    """A TransportAddress of H.245."""
    if ":" in address:
        return {"unicastAddress": {"iP6Address": {"network": six(address), "tsapIdentifier": port}}}
    return {"unicastAddress": {"iPAddress": {"network": four(address), "tsapIdentifier": port}}}


def tpkt(data: bytes) -> bytes:
    return b"\3\0" + (len(data) + 4).to_bytes(2, "big") + data


def q931(name: str, body: dict[str, Any], message: int = 5, elements: bytes = b"", **pdu: Any) -> bytes:
    """A Q.931 message in its frame, with a display element and what else there is in front of the user information."""
    value = {"h323-uu-pdu": {"h323-message-body": {name: body}, **pdu}}
    user = b"\5" + encode(h225.USER_INFORMATION, value)
    display = b"\x28\x03abc"
    whole = b"\x08\x02\x12\x34" + bytes((message,)) + display + elements + b"\x7e" + len(user).to_bytes(2, "big") + user
    return tpkt(whole)


def setup(**more: Any) -> dict[str, Any]:
    return {
        "protocolIdentifier": VERSION,
        "sourceAddress": [{"h323-ID": "alice"}, {"dialedDigits": "1234"}],
        "sourceInfo": {"vendor": {**VENDOR, "productId": b"phone\0", "versionId": b"1.0\0"}, **TERMINAL},
        "activeMC": False,
        "conferenceID": bytes(range(16)),
        "conferenceGoal": {"create": None},
        "callType": {"pointToPoint": None},
        **more,
    }


def connect(**more: Any) -> dict[str, Any]:
    return {
        "protocolIdentifier": VERSION,
        "destinationInfo": {"vendor": VENDOR, **TERMINAL},
        "conferenceID": bytes(range(16)),
        "callIdentifier": b"\0" + bytes(range(16)),
        **more,
    }


def proceeding(**more: Any) -> dict[str, Any]:
    """callProceeding and alerting."""
    return {"protocolIdentifier": VERSION, "destinationInfo": TERMINAL, "callIdentifier": b"\0" + bytes(range(16)), **more}


def progress(**more: Any) -> dict[str, Any]:
    return {**proceeding(), "callIdentifier": {"guid": bytes(16)}, **more}


def facility(reason: str, **more: Any) -> dict[str, Any]:
    return {"protocolIdentifier": VERSION, "reason": {reason: None}, **more}


def channel(media: dict[str, Any] | None = None, control: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Parameters of a logical channel; its media and their control."""
    out: dict[str, Any] = {"sessionID": 1, **more}
    if media is not None:
        out["mediaChannel"] = media
    if control is not None:
        out["mediaControlChannel"] = control
    return out


def olc(forward: dict[str, Any] | None = None, reverse: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """openLogicalChannel of audio."""
    out: dict[str, Any] = {
        "forwardLogicalChannelNumber": 1,
        "forwardLogicalChannelParameters": {
            "dataType": {"audioData": {"g711Ulaw64k": 20}} if forward is not None else {"nullData": None},
            "multiplexParameters": {"h2250LogicalChannelParameters": forward} if forward is not None else {"none": b""},
        },
        **more,
    }
    if reverse is not None:
        out["reverseLogicalChannelParameters"] = {
            "dataType": {"audioData": {"g7231": {"maxAl-sduAudioFrames": 4, "silenceSuppression": False}}},
            "multiplexParameters": {"h2250LogicalChannelParameters": reverse},
        }
    return out


def ack(forward: dict[str, Any] | None = None, reverse: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """openLogicalChannelAck."""
    out: dict[str, Any] = {"forwardLogicalChannelNumber": 1, **more}
    if forward is not None:
        out["forwardMultiplexAckParameters"] = {"h2250LogicalChannelAckParameters": forward}
    if reverse is not None:
        out["reverseLogicalChannelParameters"] = {
            "reverseLogicalChannelNumber": 2,
            "multiplexParameters": {"h2250LogicalChannelParameters": reverse},
        }
    return out


def t120(address: dict[str, Any]) -> dict[str, Any]:
    """openLogicalChannel of T.120 over a connection of its own."""
    return {
        "forwardLogicalChannelNumber": 3,
        "forwardLogicalChannelParameters": {
            "dataType": {"data": {"application": {"t120": {"separateLANStack": b""}}, "maxBitRate": 1000}},
            "multiplexParameters": {"h2250LogicalChannelParameters": channel()},
        },
        "separateStack": stack(address),
    }


def stack(address: dict[str, Any]) -> dict[str, Any]:
    return {"distribution": {"unicast": None}, "networkAddress": {"localAreaAddress": address}, "associateConference": False}


def opening(value: dict[str, Any]) -> dict[str, Any]:
    return {"request": {"openLogicalChannel": value}}


def agreeing(value: dict[str, Any]) -> dict[str, Any]:
    return {"response": {"openLogicalChannelAck": value}}


def control(value: dict[str, Any]) -> bytes:
    """A message of H.245 in its frame."""
    return tpkt(encode(h245.CONTROL, value))


def ras(name: str, body: dict[str, Any], tail: bytes = b"\0" * 4) -> bytes:
    return encode(h225.RAS, {name: body}, tail)


def grq(address: dict[str, Any]) -> bytes:
    return ras("gatekeeperRequest", {"requestSeqNum": 1, "protocolIdentifier": VERSION, "rasAddress": address}, bytes(12))


def gcf(address: dict[str, Any]) -> bytes:
    body = {"requestSeqNum": 1, "protocolIdentifier": VERSION, "gatekeeperIdentifier": "gk", "rasAddress": address}
    return ras("gatekeeperConfirm", body)


def rrq(signal: list[dict[str, Any]], own: list[dict[str, Any]], tail: bytes = bytes(8), **more: Any) -> bytes:
    body = {
        "requestSeqNum": 2,
        "protocolIdentifier": VERSION,
        "discoveryComplete": True,
        "callSignalAddress": signal,
        "rasAddress": own,
        "terminalType": TERMINAL,
        "terminalAlias": [{"h323-ID": "alice"}],
        "endpointVendor": VENDOR,
        **more,
    }
    return ras("registrationRequest", body, tail)


def rcf(signal: list[dict[str, Any]], tail: bytes = bytes(8), **more: Any) -> bytes:
    body = {"requestSeqNum": 2, "protocolIdentifier": VERSION, "callSignalAddress": signal, "endpointIdentifier": "42", **more}
    return ras("registrationConfirm", body, tail)


def urq(signal: list[dict[str, Any]]) -> bytes:
    return ras("unregistrationRequest", {"requestSeqNum": 9, "callSignalAddress": signal})


def arq(**more: Any) -> bytes:
    body = {
        "requestSeqNum": 3,
        "callType": {"pointToPoint": None},
        "callModel": {"gatekeeperRouted": None},
        "endpointIdentifier": "42",
        "destinationInfo": [{"dialedDigits": "200"}],
        "srcInfo": [{"h323-ID": "alice"}],
        **more,
    }
    return ras("admissionRequest", body, bytes(30))


def acf(address: dict[str, Any]) -> bytes:
    body = {"requestSeqNum": 3, "bandWidth": 1280, "callModel": {"gatekeeperRouted": None}, "destCallSignalAddress": address}
    return ras("admissionConfirm", body)


def lrq(address: dict[str, Any]) -> bytes:
    return ras("locationRequest", {"requestSeqNum": 4, "destinationInfo": [{"h323-ID": "bob"}], "replyAddress": address})


def lcf(signal: dict[str, Any], own: dict[str, Any]) -> bytes:
    return ras("locationConfirm", {"requestSeqNum": 4, "callSignalAddress": signal, "rasAddress": own})


def irr(own: dict[str, Any], signal: list[dict[str, Any]]) -> bytes:
    body = {"requestSeqNum": 5, "endpointType": TERMINAL, "endpointIdentifier": "42", "rasAddress": own, "callSignalAddress": signal}
    return ras("infoRequestResponse", body)
