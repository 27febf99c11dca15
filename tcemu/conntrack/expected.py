"""`conntrack` on the table of expectations: how they are shown (-L, -E), found (-G, -D) and made (-I).

Texts are those of conntrack-tools 1.4.7, from runs of it on Linux 6.18 (libnetfilter_conntrack src/expect/snprintf_default.c and
snprintf_xml.c have the order of the words); what the kernel does with a request: net/netfilter/nf_conntrack_netlink.c
ctnetlink_new_expect, ctnetlink_create_expect, ctnetlink_del_expect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tcemu.conntrack import show
from tcemu.conntrack.entry import Entry, Tuple
from tcemu.conntrack.expect import Expectation
from tcemu.conntrack.helpers import KNOWN, Protocols
from tcemu.conntrack.names import PROTOCOLS, address
from tcemu.conntrack.record import ExpectationRecord
from tcemu.conntrack.request import ComplaintError, Request
from tcemu.conntrack.timeouts import SECOND
from tcemu.conntrack.tuples import has_ports

FLAGS: Final = ((1, "PERMANENT"), (2, "INACTIVE"), (4, "USERSPACE"))
XML_HEAD: Final = '<?xml version="1.0" encoding="utf-8"?>\n<expect>\n'
XML_TAIL: Final = "</expect>\n"
USUAL_LIMIT: Final = 1  # how many expectations a helper has that names no other number
USUAL_TIME: Final = 300  # seconds

Masters = Mapping[int, Entry]


def line(one: ExpectationRecord, master: Entry | None, now: int) -> str:
    """One line of `conntrack -L expect`, without its end. Numbers of ports are there where the protocol has ports."""
    _, _, sport, dport, _, _ = one.tuple
    with_ports = has_ports(one.proto)
    words = [str(left(one, now)), f"proto={one.proto}", f"src={_source(one)} dst={_target(one)}"]
    words += [f"sport={sport} dport={dport}"] if with_ports else []
    words.append(f"mask-src={_source_mask(one)} mask-dst={_full(one.family)}")
    words += [f"sport={_sport_mask(one)} dport=65535"] if with_ports else []
    if master is not None:
        t = master.orig
        words.append(f"master-src={address(master.family, t.src_high, t.src)} master-dst={address(master.family, t.dst_high, t.dst)}")
        words += filter(None, (show.ports(master, t),))
    words += filter(None, (",".join(word for bit, word in FLAGS if one.flags & bit),))
    words.append(f"class={one.kind}")
    if master is not None and master.helper:
        words.append(f"helper={master.helper}")
    return " ".join(words)


def xml(one: ExpectationRecord, master: Entry | None, now: int, kind: str = "") -> str:
    """One flow element; ``kind``: what happened to it, of an event."""
    _, _, sport, dport, _, _ = one.tuple
    with_ports = has_ports(one.proto)
    three = f"<expected><src>{_source(one)}</src><dst>{_target(one)}</dst></expected>"
    three += f"<mask><src>{_source_mask(one)}</src><dst>{_full(one.family)}</dst></mask>"
    four = f"<expected>{_xml_ports(sport, dport) if with_ports else ''}</expected>"
    four += f"<mask>{_xml_ports(_sport_mask(one), 0xFFFF) if with_ports else ''}</mask>"
    helper = ""
    if master is not None:
        t = master.orig
        three += (
            f"<master><src>{address(master.family, t.src_high, t.src)}</src><dst>{address(master.family, t.dst_high, t.dst)}</dst></master>"
        )
        four += f"<master>{_xml_ports(t.sport, t.dport) if has_ports(int(master.proto)) else ''}</master>"
        helper = f"<helper-name>{master.helper}</helper-name>" if master.helper else ""
    meta = f"{helper}<timeout>{left(one, now)}</timeout><class>{one.kind}</class>"
    meta += "".join(f"<{word.lower()}/>" for bit, word in FLAGS if one.flags & bit)
    layer3 = f'<layer3 protonum="{2 if one.family == 4 else 10}" protoname="ipv{one.family}">{three}</layer3>'
    layer4 = f'<layer4 protonum="{one.proto}" protoname="{PROTOCOLS.get(one.proto, "unknown")}">{four}</layer4>'
    happened = f' type="{kind}"' if kind else ""
    return f"<flow{happened}>{layer3}{layer4}<meta>{meta}</meta></flow>"


def text(found: Sequence[ExpectationRecord], masters: Masters, now: int, output: set[str]) -> str:
    """A listing. Of the words of -o only xml and timestamp matter here, and xml wins."""
    if "xml" in output:
        body = "".join(xml(one, masters.get(one.master), now) + "\n" for one in found)
        return XML_HEAD + body + XML_TAIL if found else ""
    stamp = show.stamp(now) if "timestamp" in output else ""
    return "".join(f"{stamp}{line(one, masters.get(one.master), now)}\n" for one in found)


def left(one: ExpectationRecord, now: int) -> int:
    """Seconds that it will still be waited for."""
    return max(one.expires - now, 0) // SECOND


def find(found: Sequence[ExpectationRecord], masters: Masters, request: Request) -> ExpectationRecord | None:
    """The expectation that a packet with the request's original tuple would fulfil (nf_ct_expect_find_get, in zone 0)."""
    wanted = wanted_tuple(request, "")
    for one in found:
        master = masters.get(one.master)
        if master is not None and expectation(one, master).fits(wanted, request.family or 4, request.proto or 0, 0):
            return one
    return None


def expectation(record: ExpectationRecord, master: Entry) -> Expectation:
    """The expectation of a row."""
    from tcemu.conntrack.record import expectation_of

    return expectation_of(record, master)


def wanted_tuple(request: Request, prefix: str) -> Tuple:
    """A tuple from a command line: ``prefix`` is empty or ``tuple-``."""
    t = Tuple()
    source, target = request.addresses[f"{prefix}src"], request.addresses[f"{prefix}dst"]
    t.src_high, t.src = source.high, source.low
    t.dst_high, t.dst = target.high, target.low
    t.sport, t.dport = request.ports.get("sport", 0), request.ports.get("dport", 0)
    return t


def made(request: Request, master: Entry, now: int) -> Expectation:
    """What -I asks for: for how long is the helper's business, and of the masks those of source and its port count.

    The tool takes the last port that it was given for the protocol, too: the higher half of the number is what counts. Where that
    is the number of no protocol with ports, there are none.
    """
    last = next((value for name, value in reversed(request.waited_ports.items()) if name.startswith("tuple-")), 0)
    new = Expectation(master, request.family or 4, last >> 8)
    t = wanted_tuple(request, "tuple-")
    mask = request.addresses["mask-src"]
    with_ports = has_ports(new.proto)
    new.any_source = not (mask.low or mask.high)
    new.source_mask = mask.low
    if new.family == 6:
        new.source_mask_high = mask.high
    new.sport_mask = request.waited_ports.get("mask-sport", 0) if with_ports else 0
    new.any_sport = not new.sport_mask
    t.sport = request.waited_ports.get("tuple-sport", 0) if with_ports else 0
    t.dport = request.waited_ports.get("tuple-dport", 0) if with_ports else 0
    new.tuple = t
    new.expires = now + policy(master)[1] * SECOND
    return new


def policy(master: Entry) -> tuple[int, int]:
    """How many expectations of the first class the connection's helper may have, and for how many seconds each."""
    if (master.helper, master.proto) not in KNOWN:
        return USUAL_LIMIT, USUAL_TIME
    helper = Protocols().helper(master.helper, master.proto)
    return (helper.limits[0], helper.times[0]) if helper is not None else (USUAL_LIMIT, USUAL_TIME)


def master_of(found: Sequence[Entry], request: Request) -> Entry:
    """The connection that shall expect: the one with the original tuple; it must have a helper."""
    from tcemu.conntrack import make

    master = make.find(found, make.entry_of(request))
    if master is None:
        raise ComplaintError("Operation failed: master conntrack not found", 1)
    if not master.helper:
        raise ComplaintError("Operation failed: Operation not supported", 1)
    return master


def _source(one: ExpectationRecord) -> str:
    return address(one.family, one.tuple[4], one.tuple[0])


def _target(one: ExpectationRecord) -> str:
    return address(one.family, one.tuple[5], one.tuple[1])


def _full(family: int) -> str:
    return address(family, -1, -1) if family == 6 else "255.255.255.255"


def _source_mask(one: ExpectationRecord) -> str:
    if one.any_source:
        return address(one.family, 0, 0)
    return address(one.family, one.source_mask_high, one.source_mask)


def _sport_mask(one: ExpectationRecord) -> int:
    return 0 if one.any_sport else one.sport_mask


def _xml_ports(sport: int, dport: int) -> str:
    return f"<sport>{sport}</sport><dport>{dport}</dport>"
