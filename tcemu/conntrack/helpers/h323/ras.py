"""RAS: a terminal finds its gatekeeper, registers and asks before it calls, and so tells where calls will come from and go to.

Source: net/netfilter/nf_conntrack_h323_main.c (ras_help, process_ras and its process_*, expect_q931, find_expect).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tcemu.conntrack.entry import EXPECTED, Entry
from tcemu.conntrack.expect import PERMANENT
from tcemu.conntrack.helper import Helper
from tcemu.conntrack.helpers.common import NF_ACCEPT, TCP, UDP, announce, payload, source_of, target_of
from tcemu.conntrack.helpers.h323 import nat
from tcemu.conntrack.helpers.h323.h225 import RAS
from tcemu.conntrack.helpers.h323.per import PerError, decode, dig
from tcemu.conntrack.helpers.h323.signal import MOST_BYTES, SIGNAL, TIMEOUT, Message
from tcemu.conntrack.timeouts import SECOND
from tcemu.packet.packet import Packet

if TYPE_CHECKING:
    from tcemu.conntrack.table import Conntrack

USUAL_TIME: Final = 300  # default_rrq_ttl, seconds
LEAVING: Final = 30  # seconds that an answer to the end of a registration has
HZ: Final = 250  # of Debian's kernels; times of registrations are counted in so many parts of a second, in 32 bits
M32: Final = 0xFFFFFFFF
CALL_HELPER: Final = "Q.931"


class Ras(Helper):
    """memory of a connection: see `tcemu.conntrack.helpers.h323.signal`."""

    def __init__(self) -> None:
        super().__init__()
        self.limits, self.times = [32], [240]

    def help(self, table: Conntrack, p: Packet, ct: Entry, way: int) -> int:
        text = payload(p)[:MOST_BYTES]
        if not text:
            return NF_ACCEPT
        try:
            value = decode(text, RAS)
        except PerError:
            return NF_ACCEPT
        m = Message(self, table, p, ct, way, 0)
        for name, act in ACTS.items():
            if isinstance(dig(value, name), dict):
                return m.verdict(act(m, value[name]))
        return NF_ACCEPT


def sought(m: Message, value: Any) -> bool:
    """GRQ, and LRQ by the name of its address."""
    return not m.translated or nat.write_ras(m, [value.get("rasAddress", value.get("replyAddress"))])


def found(m: Message, value: Any) -> bool:
    """GCF: the gatekeeper may want to be registered with at another address."""
    place = m.h225(value.get("rasAddress"))
    if place is None or (place.address == source_of(m.mine) and place.port == m.mine.sport) or m.ct.status & EXPECTED:
        return True
    new = m.expectation(UDP, place.address, place.port)
    new.helper = m.ct.helper
    return m.relate(new)


def registers(m: Message, value: Any) -> bool:
    """RRQ: calls will come to the terminal, by way of its gatekeeper."""
    if not _called(m, value.get("callSignalAddress") or []):
        return False
    if m.translated and not nat.write_ras(m, value.get("rasAddress") or []):
        return False
    m.memory[TIMEOUT] = value.get("timeToLive", USUAL_TIME)
    return True


def _called(m: Message, places: list[Any]) -> bool:
    """expect_q931: the first address that is the terminal's own."""
    chosen = next((at for at, value in enumerate(places) if m.own(m.h225(value)) is not None), None)
    if chosen is None:
        return True
    place = m.h225(places[chosen])
    assert place is not None
    new = m.expectation(TCP, target_of(m.back), place.port)
    new.helper, new.flags = CALL_HELPER, PERMANENT
    if m.translated:
        return nat.expect_call(m, places, chosen, new)
    if not m.relate(new):
        return False
    m.memory[SIGNAL + m.way] = place.port
    return True


def registered(m: Message, value: Any) -> bool:
    """RCF: the connection lasts as long as the registration, and so does what it expects of calls from anywhere."""
    if m.translated and not nat.write_signal(m, value.get("callSignalAddress") or []):
        return False
    seconds = m.memory[TIMEOUT] = value.get("timeToLive", m.memory[TIMEOUT])
    if not seconds:
        return True
    _keep(m, seconds)
    probe = announce(m.ct, TCP, (0, 0), target_of(m.mine), m.memory[SIGNAL + 1 - m.way], 0)
    for one in m.table.expectations.of(m.ct):
        if one.fits(probe.tuple, probe.family, TCP, probe.zone):
            one.expires = m.p.ts + seconds * SECOND
            break
    return True


def leaves(m: Message, value: Any) -> bool:
    """URQ."""
    if m.translated and not nat.write_signal(m, value.get("callSignalAddress") or []):
        return False
    m.table.expectations.forget(m.ct)
    m.memory[SIGNAL] = m.memory[SIGNAL + 1] = 0
    _keep(m, LEAVING)
    return True


def asks(m: Message, value: Any) -> bool:
    """ARQ: of who is called the address that calls come to, of who calls its own."""
    if not m.translated:
        return True
    called, calling = m.h225(value.get("destCallSignalAddress")), m.h225(value.get("srcCallSignalAddress"))
    if called is not None and called.address == source_of(m.mine) and called.port == m.memory[SIGNAL + m.way]:
        return m.replace(called, target_of(m.back), m.memory[SIGNAL + 1 - m.way])
    if calling is not None and calling.address == source_of(m.mine):
        return m.replace(calling, target_of(m.back), calling.port)
    return True


def admitted(m: Message, value: Any) -> bool:
    """ACF: the caller will go to that address; of who is called it is its own."""
    address = value.get("destCallSignalAddress")
    place = m.h225(address)
    if place is not None and place.address == target_of(m.mine):
        return not m.translated or nat.write_signal(m, [address])
    return _calls(m, address)


def located(m: Message, value: Any) -> bool:
    """LCF."""
    return _calls(m, value.get("callSignalAddress"))


def _calls(m: Message, address: Any) -> bool:
    place = m.h225(address)
    if place is None:
        return True
    new = m.expectation(TCP, place.address, place.port)
    new.helper, new.flags = CALL_HELPER, PERMANENT
    return m.relate(new)


def informs(m: Message, value: Any) -> bool:
    """IRR."""
    if not m.translated:
        return True
    return nat.write_ras(m, [value.get("rasAddress")]) and nat.write_signal(m, value.get("callSignalAddress") or [])


def _keep(m: Message, seconds: int) -> None:
    """nf_ct_refresh: a time that does not fit is over at once."""
    parts = seconds * HZ & M32
    m.table.set_timeout(m.ct, parts * SECOND // HZ if parts <= M32 >> 1 else 1, m.p.ts)


ACTS: Final[dict[str, Callable[[Message, Any], bool]]] = {
    "gatekeeperRequest": sought,
    "gatekeeperConfirm": found,
    "registrationRequest": registers,
    "registrationConfirm": registered,
    "unregistrationRequest": leaves,
    "admissionRequest": asks,
    "admissionConfirm": admitted,
    "locationRequest": sought,
    "locationConfirm": located,
    "infoRequestResponse": informs,
}
