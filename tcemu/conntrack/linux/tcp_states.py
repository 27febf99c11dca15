"""TCP's state table (net/netfilter/nf_conntrack_proto_tcp.c, Linux 6.1, tcp_conntracks).

Two-letter states, in the order of enum tcp_conntrack::

    NO none  SS SYN sent  SR SYN+ACK seen  ES established  FW one FIN seen  CW that FIN acknowledged
    LA FINs of both sides  TW last ACK seen  CL closed by RST  S2 SYNs from both sides (simultaneous open)

    IG ignore: the packet may be good or bad and its receiver will tell; the tracker stays where it is
    IV invalid: no packet of this connection
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.packet.numbers import numbers

NO: Final = 0
SS: Final = 1
SR: Final = 2
ES: Final = 3
FW: Final = 4
CW: Final = 5
LA: Final = 6
TW: Final = 7
CL: Final = 8
S2: Final = 9
IV: Final = 10
IG: Final = 11

STATE_NAMES: Final = (
    "NONE",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSE",
    "SYN_SENT2",
)

# what a segment is, from its flags (enum tcp_bit_set)
SYN: Final = 0
SYNACK: Final = 1
FIN: Final = 2
ACK: Final = 3
RST: Final = 4
NONE: Final = 5
INDEX_NAMES: Final = ("syn", "synack", "fin", "ack", "rst", "none")

ROWS: Final = (
    # from the original side
    # NO SS  SR  ES  FW  CW  LA  TW  CL  S2
    (SS, SS, IG, IG, IG, IG, IG, SS, SS, S2),  # syn
    #   NO a connection begins; SS, S2 the SYN once more
    #   SR..LA a SYN does not belong here: the receiver answers with RST or a challenge ACK, or it is we who are out of step
    #   TW, CL the port is used again (RFC 1122 4.2.2.13)
    # NO SS  SR  ES  FW  CW  LA  TW  CL  S2
    (IV, IV, SR, IV, IV, IV, IV, IV, IV, SR),  # synack
    #   S2 answers the SYN of a simultaneous open; SR that answer once more; a client has no other use for SYN+ACK
    # NO SS  SR  ES  FW  CW  LA  TW  CL  S2
    (IV, IV, FW, FW, LA, LA, LA, TW, CL, IV),  # fin
    #   NO too late; SS, S2 nothing was opened yet; SR, ES the close begins
    #   FW, CW the other side's FIN was there, or the same one comes again; LA, TW, CL once more
    # NO SS  SR  ES  FW  CW  LA  TW  CL  S2
    (ES, IV, ES, ES, CW, CW, TW, TW, CL, IV),  # ack
    #   NO taken up in the middle (nf_conntrack_tcp_loose); SS, S2 nothing to acknowledge yet; SR the handshake is complete
    #   FW acknowledges the FIN; LA the last ACK, if it is no challenge (RFC 5961)
    # NO SS  SR  ES  FW  CW  LA  TW  CL  S2
    (IV, CL, CL, CL, CL, CL, CL, CL, CL, CL),  # rst
    (IV, IV, IV, IV, IV, IV, IV, IV, IV, IV),  # none
    # from the reply side
    # NO SS  SR  ES  FW  CW  LA  TW  CL  S2
    (IV, S2, IV, IV, IV, IV, IV, SS, IV, S2),  # syn
    #   NO cannot be; SS simultaneous open; S2 its SYN once more; TW reopened, perhaps with the roles changed
    # NO SS  SR  ES  FW  CW  LA  TW  CL  S2
    (IV, SR, IG, IG, IG, IG, IG, IG, IG, SR),  # synack
    #   SS, S2 the normal answer; SR once more
    #   ES..CL late, or the answer to a SYN that was ignored: then we are out of step and fall in again
    # NO SS  SR  ES  FW  CW  LA  TW  CL  S2
    (IV, IV, FW, FW, LA, LA, LA, TW, CL, IV),  # fin
    #   SS, S2 a server does not close what it has not opened; the others as from the original side
    # NO SS  SR  ES  FW  CW  LA  TW  CL  S2
    (IV, IG, SR, ES, CW, CW, TW, TW, CL, IG),  # ack
    #   SS, S2 perhaps a half-open connection's challenge; SR answers a late SYN, state stays; LA the last ACK, if no challenge
    # NO SS  SR  ES  FW  CW  LA  TW  CL  S2
    (IV, CL, CL, CL, CL, CL, CL, CL, CL, CL),  # rst
    (IV, IV, IV, IV, IV, IV, IV, IV, IV, IV),  # none
)
# the rows one behind the other: (direction * 6 + index) * 10 + state
STATES: Final = numbers([cell for row in ROWS for cell in row])

# flags of the header
TH_FIN: Final = 0x01
TH_SYN: Final = 0x02
TH_RST: Final = 0x04
TH_ACK: Final = 0x10
TH_URG: Final = 0x20
TH_JUDGED: Final = TH_FIN | TH_SYN | TH_RST | TH_ACK | TH_URG  # PSH, ECE and CWR go with everything

# bit n is set when the judged flags with value n may stand together
VALID_FLAGS: Final = (
    1 << TH_SYN
    | 1 << (TH_SYN | TH_URG)
    | 1 << (TH_SYN | TH_ACK)
    | 1 << TH_RST
    | 1 << (TH_RST | TH_ACK)
    | 1 << (TH_FIN | TH_ACK)
    | 1 << (TH_FIN | TH_ACK | TH_URG)
    | 1 << TH_ACK
    | 1 << (TH_ACK | TH_URG)
)


def index_of(flags: i64) -> i64:
    """get_conntrack_index: which row of the table the flags lead to."""
    if flags & TH_RST:
        return RST
    if flags & TH_SYN:
        return SYNACK if flags & TH_ACK else SYN
    if flags & TH_FIN:
        return FIN
    return ACK if flags & TH_ACK else NONE
