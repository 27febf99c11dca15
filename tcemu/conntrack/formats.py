"""The other output formats of `conntrack -o`: xml and save.

Sources: libnetfilter_conntrack src/conntrack/snprintf_xml.c, conntrack-tools 1.4.7 src/conntrack.c ct_save_snprintf, and runs of both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcemu.conntrack.entry import (
    ASSURED,
    DST_NAT,
    EXPECTED,
    FIXED_TIMEOUT,
    SEEN_REPLY,
    SRC_NAT,
    ZONE_BOTH,
    ZONE_ORIGINAL,
    ZONE_REPLY,
    Entry,
    Tuple,
)
from tcemu.conntrack.linux.tcp_states import STATE_NAMES as TCP_STATES
from tcemu.conntrack.names import address, protocol, state
from tcemu.conntrack.show import left, uses
from tcemu.conntrack.timeouts import SECOND
from tcemu.conntrack.tuples import DCCP, GRE, ICMP, ICMPV6, SCTP, has_ports

if TYPE_CHECKING:
    from tcemu.conntrack.labels import LabelMap

XML_HEAD = '<?xml version="1.0" encoding="utf-8"?>\n<conntrack>\n'
XML_TAIL = "</conntrack>\n"


def xml(entry: Entry, now: int, labels: LabelMap | None = None) -> str:
    """One flow element. (The tool shows no ICMP type and calls SCTP states by TCP's names; so do we.)"""
    rows = [_xml_direction(entry, entry.orig, "original"), _xml_direction(entry, entry.reply, "reply")]
    own = ""
    if state(entry):
        own += f"<state>{TCP_STATES[entry.state] if entry.proto == SCTP else state(entry)}</state>"
    own += f"<timeout>{left(entry, now)}</timeout><mark>{entry.mark}</mark>"
    own += labels.xml(entry) if labels is not None else ""
    if entry.zone and entry.zone_dir == ZONE_BOTH:
        own += f"<zone>{entry.zone}</zone>"
    own += f"<use>{uses(entry)}</use><id>{entry.id}</id>"
    own += "<assured/>" if entry.status & ASSURED else ""
    own += "" if entry.status & SEEN_REPLY else "<unreplied/>"
    if entry.stamped:
        own += f"<deltatime>{max(now - entry.started, 0) // SECOND}</deltatime>"
    return f'<flow>{"".join(rows)}<meta direction="independent">{own}</meta></flow>'


def xml_event(entry: Entry, now: int, kind: str, protocol_too: bool, when: str, labels: LabelMap | None = None) -> str:
    """One flow element of `conntrack -E`, which has only what the message had."""
    ended = kind == "destroy"
    rows = [_xml_direction(entry, entry.orig, "original", ended), _xml_direction(entry, entry.reply, "reply", ended)]
    own = ""
    if protocol_too and state(entry):
        own += f"<state>{TCP_STATES[entry.state] if entry.proto == SCTP else state(entry)}</state>"
    if left(entry, now) or not ended:
        own += f"<timeout>{left(entry, now)}</timeout>"
    own += f"<mark>{entry.mark}</mark>" if entry.mark else ""
    own += labels.xml(entry) if labels is not None else ""
    if entry.zone and entry.zone_dir == ZONE_BOTH:
        own += f"<zone>{entry.zone}</zone>"
    own += f"<id>{entry.id}</id>"
    own += "<assured/>" if entry.status & ASSURED else ""
    own += "" if entry.status & SEEN_REPLY else "<unreplied/>"
    if ended and entry.stamped:
        own += f"<deltatime>{max(now - entry.started, 0) // SECOND}</deltatime>"
    return f'<flow type="{kind}">{"".join(rows)}<meta direction="independent">{own}</meta>{when}</flow>'


def _xml_direction(entry: Entry, t: Tuple, way: str, counters: bool = True) -> str:
    family = entry.family
    three = f"<src>{address(family, t.src_high, t.src)}</src><dst>{address(family, t.dst_high, t.dst)}</dst>"
    four = f"<sport>{t.sport}</sport><dport>{t.dport}</dport>" if has_ports(int(entry.proto)) else ""
    if entry.proto == GRE:
        four = f"<srckey>0x{int(t.sport):x}</srckey><dstkey>0x{int(t.dport):x}</dstkey>"
    out = f'<layer3 protonum="{2 if family == 4 else 10}" protoname="ipv{family}">{three}</layer3>'
    out += f'<layer4 protonum="{entry.proto}" protoname="{protocol(entry)}">{four}</layer4>'
    if entry.zone and entry.zone_dir == (ZONE_ORIGINAL if way == "original" else ZONE_REPLY):
        out += f"<zone>{entry.zone}</zone>"
    if entry.acct and counters:
        packets, size = (entry.orig_packets, entry.orig_bytes) if way == "original" else (entry.reply_packets, entry.reply_bytes)
        out += f"<counters><packets>{packets}</packets><bytes>{size}</bytes></counters>"
    return f'<meta direction="{way}">{out}</meta>'


def save(entry: Entry, now: int, command: str = "-A", protocol_too: bool = True) -> str:
    """One line that `conntrack` takes back as its arguments; the tool leaves the mark out, and so do we."""
    family, orig, reply, status = entry.family, entry.orig, entry.reply, entry.status
    known = {"SEEN_REPLY": SEEN_REPLY, "ASSURED": ASSURED, "FIXED_TIMEOUT": FIXED_TIMEOUT, "EXPECTED": EXPECTED}
    flags = ",".join(name for name, bit in known.items() if status & bit) or "UNSET"
    words = [command, f"-t {left(entry, now)}", f"-u {flags}"]
    if entry.zone:
        words.append({ZONE_BOTH: "-w", ZONE_ORIGINAL: "--orig-zone", ZONE_REPLY: "--reply-zone"}[entry.zone_dir] + f" {entry.zone}")
    words += [f"-s {address(family, orig.src_high, orig.src)}", f"-d {address(family, orig.dst_high, orig.dst)}"]
    words.append(("-g" if status & DST_NAT else "-r") + f" {address(family, reply.src_high, reply.src)}")
    words.append(("-n" if status & SRC_NAT else "-q") + f" {address(family, reply.dst_high, reply.dst)}")
    name = protocol(entry)
    words.append(f"-p {name if name != 'unknown' else entry.proto}")
    if entry.proto in (ICMP, ICMPV6):
        words.append(f"--{name}-type {orig.dport >> 8} --{name}-code {orig.dport & 255} --{name}-id {orig.sport}")
    elif entry.proto == GRE:
        words.append(f"--srckey {orig.sport} --dstkey {orig.dport} --reply-key-src {reply.sport} --reply-key-dst {reply.dport}")
    elif has_ports(int(entry.proto)):
        words.append(f"--sport {orig.sport} --dport {orig.dport} --reply-port-src {reply.sport} --reply-port-dst {reply.dport}")
    if state(entry) and protocol_too:
        words.append(f"--state {state(entry)}")
    if entry.proto == DCCP:
        words.append(f"--role {'server' if entry.last_flags else 'client'}")
    if entry.proto == SCTP:
        words.append(f"--orig-vtag {entry.vtag_orig} --reply-vtag {entry.vtag_reply}")
    return " ".join(words)
