"""Why a packet belongs to no connection, is let by without effect, held or dropped: every reason has a name and its numbers.

The tracker writes a sentence into the packet, because nobody asks about most packets; `typed` finds name and numbers in the sentence
again. A test holds this list to all sentences that the tracker writes.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class Reason(NamedTuple):
    """name: of the list below. numbers: what stands in its sentence, by name; words where they are words."""

    name: str
    numbers: dict[str, int | str]


# name -> sentence; {x} is a decimal number, {x:x} a hexadecimal one, {x:w} words
SENTENCES: Final = {
    "tcp-truncated": "tcp: truncated packet (header of {header} bytes in {size})",
    "tcp-checksum": "tcp: bad checksum",
    "tcp-flags": "tcp: invalid tcp flag combination 0x{flags:x}",
    "tcp-invalid-new": "tcp: no connection begins with flags 0x{flags:x}",
    "tcp-not-loose": "tcp: not picked up in the middle (nf_conntrack_tcp_loose is 0)",
    "tcp-invalid-state": "tcp: packet (index {index}) in dir {dir} invalid, state {state:w}",
    "tcp-ignored": "tcp: packet (index {index}) in dir {dir} ignored, state {state:w}",
    "tcp-challenge-ack": "tcp: challenge-ack ignored (ACK {ack} in dir {dir})",
    "tcp-invalid-rst": "tcp: invalid rst (sequence number {seq}, already acknowledged up to {acked})",
    "tcp-seq-over-bound": "tcp: SEQ {seq} is over upper bound {bound} (over the window of the receiver)",
    "tcp-seq-under-bound": "tcp: SEQ {seq} is under lower bound {bound} (already ACKed data retransmitted)",
    "tcp-ack-over-bound": "tcp: ACK {ack} is over upper bound {bound} (ACKed data not seen yet)",
    "tcp-ack-under-bound": "tcp: ignored ACK {ack} under lower bound {bound} (possible overly delayed)",
    "tcp-overshoot": "tcp: {bytes} bytes more than expected",
    "tcp-syn-again": "tcp: SYN once more ({seq}), which does not prolong the connection",
    "tcp-proxy-keepalive": "tcp: a keepalive of a SYN proxy's client",
    "udp-short": "udp: short packet ({size} bytes)",
    "udp-length": "udp: truncated/malformed packet (length field {length}, {size} bytes there)",
    "udp-checksum": "udp: bad checksum",
    "udplite-short": "udplite: short packet ({size} bytes)",
    "udplite-coverage": "udplite: invalid checksum coverage ({coverage} of {size} bytes)",
    "udplite-no-checksum": "udplite: checksum missing",
    "udplite-checksum": "udplite: bad checksum",
    "icmp-short": "icmp: short packet ({size} bytes)",
    "icmp-checksum": "icmp: bad hw icmp checksum",
    "icmp-type": "icmp: invalid icmp type {type}",
    "icmp-invalid-new": "icmp: no connection begins with type {type}",
    "icmp-inner-cut": "icmp: the packet inside the error is cut or a fragment",
    "icmp-inner-unanswered": "icmp: nothing answers the packet inside the error",
    "icmp-unknown-connection": "icmp: the error is about no connection that is known",
    "icmp-wrong-way": "icmp: outer daddr != inner (the error does not go to the sender of what it is about)",
    "icmpv6-short": "icmpv6: short packet ({size} bytes)",
    "icmpv6-checksum": "icmpv6: ICMPv6 checksum failed",
    "icmpv6-invalid-new": "icmpv6: no connection begins with type {type}",
    "icmpv6-redirect-short": "icmpv6: short redirect ({size} bytes)",
    "icmpv6-redirect-source": "icmpv6: invalid saddr or hoplimit for redirect (hop limit {hops})",
    "icmpv6-redirect-empty": "icmpv6: redirect without options",
    "sctp-short": "sctp: short packet ({size} bytes)",
    "sctp-checksum": "sctp: bad CRC",
    "sctp-no-chunks": "sctp: no chunks",
    "sctp-chunks": "sctp: chunk num {number}, type {type}, len {size} does not go with the others",
    "sctp-invalid-new": "sctp: no association begins with such chunks (types 0x{types:x} as bits)",
    "sctp-vtag": "sctp: verification tag check failed {tag:x} vs {wanted:x} for dir {dir}",
    "sctp-chunk-vtag": "sctp: verification tag {tag:x} does not fit chunk type {type} in dir {dir}",
    "sctp-heartbeat-vtag": "sctp: HEARTBEAT with verification tag {tag:x} instead of {wanted:x} is let by once",
    "sctp-invalid-state": "sctp: Invalid, old_state {state}, dir {dir}, type {type}",
    "sctp-init": "sctp: chunk type {type} is cut, or answers no INIT that was seen",
    "sctp-init-again": "sctp: INIT once more (verification tag {tag:x}), which does not prolong the association",
    "dccp-cut": "dccp: header cut ({size} bytes)",
    "dccp-offset": "dccp: truncated/malformed packet (data offset {offset} of {size})",
    "dccp-coverage": "dccp: bad checksum coverage ({coverage} of {size} bytes)",
    "dccp-checksum": "dccp: bad checksum",
    "dccp-reserved": "dccp: reserved packet type {type}",
    "dccp-short-numbers": "dccp: type {type} lacks 48bit sequence numbers",
    "dccp-invalid-new": "dccp: no connection begins with type {type}",
    "dccp-not-loose": "dccp: not picking up existing connection (type {type})",
    "dccp-invalid-state": "dccp: invalid state transition ({type:w} in dir {dir}, state {state})",
    "dccp-ignored": "dccp: invalid packet ({type:w} in dir {dir} ignored, state {state})",
    "gre-no-ppp": "gre: version 1 carries protocol 0x{protocol:x}, not PPP",
    "no-transport": "conntrack: no transport header (a later fragment, or the packet ends before it)",
    "no-next-header": "conntrack: no transport header (IPv6 next header 59)",
    "transport-cut": "conntrack: the transport header is cut",
    "unanswerable": "conntrack: nothing answers ICMP type {type}, so it begins no connection",
    "never-tracked": "conntrack: neighbour discovery and group messages are not tracked",
    "table-full": "conntrack: the table is full: nf_conntrack_max ({count} connections)",
    "clash": "conntrack: another connection (id {id}) has the same tuple",
    "deleted": "conntrack: the connection was deleted before it was confirmed",
    "sequence-numbers": "conntrack: the sequence numbers cannot be adjusted",
    "fragment-held": "fragment: held until the packet is whole ({bytes} bytes are there)",
    "fragment-memory4": "fragment: no memory for another packet ({bytes} bytes are held, ipfrag_high_thresh is {limit})",
    "fragment-memory6": "fragment: no memory for another packet ({bytes} bytes are held, nf_conntrack_frag6_high_thresh is {limit})",
    "fragment-distance": "fragment: the source has sent too many other fragments meanwhile",
    "fragment-again": "fragment: bytes {offset} to {end} were seen before",
    "fragment-overlap": "fragment: bytes {offset} to {end} overlap another{fate:w}",
    "fragment-end": "fragment: another end was seen ({length}, and now {end}){fate:w}",
    "fragment-past-end": "fragment: it reaches past the end ({end} of {length} bytes){fate:w}",
    "fragment-empty": "fragment: it is empty (offset {offset}, end {end}){fate:w}",
    "fragment-cut": "fragment: it is cut (offset {offset}, end {end})",
    "fragment-thin": "fragment: the first one does not hold all headers; it passes as it is",
    "fragment-too-long": "fragment: it reaches past 65535 bytes ({end})",
    "fragment-whole-too-long": "fragment: the whole packet would be longer than 65535 bytes",
    "fragment-broken": "fragment: its header is broken; it is held, and never whole",
    "fragment-veiled": "fragment: behind its header stands another of IPv6",
    "fragment-odd": "fragment: its length {size} is no multiple of eight; the packet passes as it is",
    "fragment-ecn": "fragment: the ECN fields contradict each other",
    "headers-broken": "the chain of IPv6 headers is broken",
    "nat-cut": "nat: the packet is cut or cannot be translated",
    "nat-twice": "nat: the connection has its translation already",
    "nat-error-short": "nat: the ICMP error is too short ({size} bytes)",
    "nat-error-cut": "nat: the ICMP error is cut",
    "nat-error-checksum": "nat: the ICMP error has a bad checksum",
    "nat-redirect": "nat: a redirect of a translated connection would mislead",
    "nat-inner-cut": "nat: the packet inside the ICMP error is cut",
    "helper-drop": "{helper:w} helper: the packet is dropped",
    "helper-expectation": "{helper:w} helper: cannot add expectation: {why:w}",
    "helper-ports": "{helper:w} helper: all ports in use",
    "helper-mangle": "{helper:w} helper: cannot mangle {what:w}",
    "helper-message": "{helper:w} helper: cannot process {what:w}: {why:w}",
    "ftp-partial": "ftp helper: partial matching of `{command:w}'",
    "sip-code": "sip helper: cannot get code",
    "sip-parse": "sip helper: cannot parse {what:w}",
    "sip-port": "sip helper: wrong port {port}",
    "sip-ports": "sip helper: all ports in use for {what:w}",
}
# what may stand behind any of TCP's: FIN or RST out of window from both sides
LOWERED: Final = "; packet (index {index}, dir {dir}) response for index {other} lowers timeout"
_FIELD: Final = re.compile(r"\{(\w+)(?::([xw]))?\}")
_NUMBERS: Final = {None: r"-?\d+", "x": r"[0-9a-f]+", "w": r".*?"}
_patterns: list[tuple[str, re.Pattern[str], dict[str, str | None]]] = []


def typed(sentence: str) -> Reason | None:
    """The reason that a packet's sentence gives; None for one that is not the tracker's."""
    if not _patterns:
        _patterns.extend((name, *_pattern(text)) for name, text in SENTENCES.items())
    text, _, _ = sentence.partition("; packet (index ")
    for name, pattern, kinds in _patterns:
        found = pattern.fullmatch(text)
        if found is not None:
            return Reason(name, {key: _value(value, kinds[key]) for key, value in found.groupdict().items()})
    return None


def _pattern(text: str) -> tuple[re.Pattern[str], dict[str, str | None]]:
    kinds: dict[str, str | None] = {}
    out, at = "", 0
    for field in _FIELD.finditer(text):
        kinds[field[1]] = field[2]
        out += re.escape(text[at : field.start()]) + f"(?P<{field[1]}>{_NUMBERS[field[2]]})"
        at = field.end()
    return re.compile(out + re.escape(text[at:])), kinds


def _value(text: str, kind: str | None) -> int | str:
    if kind == "w":
        return text.removeprefix("; ")
    return int(text, 16 if kind == "x" else 10)
