"""Protocols that announce other connections, one file each; loaded when the first connection has a helper.

ftp tftp irc amanda sane sip pptp netbios-ns snmp, and H.323: RAS, Q.931 and H.245, which only Q.931 gives a connection.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from tcemu.conntrack.expect import FOLLOW_FORWARDED, FOLLOW_MASTER, FOLLOW_PPTP, FOLLOW_SIP
from tcemu.conntrack.helper import Helper, Helping

if TYPE_CHECKING:
    from tcemu.conntrack.entry import Entry
    from tcemu.conntrack.expect import Expectation
    from tcemu.conntrack.table import Conntrack

TCP, UDP = 6, 17
# name and transport protocol -> module and class
KNOWN: Final = {
    ("ftp", TCP): ("ftp", "Ftp"),
    ("tftp", UDP): ("tftp", "Tftp"),
    ("irc", TCP): ("irc", "Irc"),
    ("amanda", UDP): ("amanda", "Amanda"),
    ("sane", TCP): ("sane", "Sane"),
    ("sip", UDP): ("sip", "Sip"),
    ("sip", TCP): ("sip", "Sip"),
    ("pptp", TCP): ("pptp", "Pptp"),
    ("netbios-ns", UDP): ("broadcast", "NetbiosNames"),
    ("snmp", UDP): ("broadcast", "Snmp"),
    ("RAS", UDP): ("h323.ras", "Ras"),
    ("Q.931", TCP): ("h323.q931", "Q931"),
    ("H.245", TCP): ("h323.channels", "H245"),
}
# what becomes of an expected connection -> module and function
FOLLOWING: Final = {
    FOLLOW_MASTER: ("common", "follow_master"),
    FOLLOW_SIP: ("sip_nat", "follow"),
    FOLLOW_PPTP: ("pptp", "follow"),
    FOLLOW_FORWARDED: ("h323.nat", "follow_forwarded"),
}


class Protocols(Helping):
    """See `tcemu.conntrack.helper`."""

    def __init__(self) -> None:
        self.made: dict[tuple[str, int], Helper | None] = {}

    def helper(self, name: str, proto: int) -> Helper | None:
        key = (name, proto)
        if key not in self.made:
            where = KNOWN.get(key)
            self.made[key] = getattr(import_module(f"tcemu.conntrack.helpers.{where[0]}"), where[1])() if where else None
        return self.made[key]

    def follow(self, table: Conntrack, entry: Entry, expected: Expectation, now: int) -> None:
        where, name = FOLLOWING[expected.follow]
        getattr(import_module(f"tcemu.conntrack.helpers.{where}"), name)(table, entry, expected, now)
