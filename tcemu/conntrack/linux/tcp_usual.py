"""TCP: nearly all segments. An acknowledgement, perhaps with data, on an established connection and inside its window.

What `tcp_window.in_window` and `tcp.settle` would do is done in one stretch; until all four inequalities hold, nothing is written.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.entry import ASSURED, SEEN_REPLY, Entry, Side
from tcemu.conntrack.linux.tcp_options import read_sack
from tcemu.conntrack.linux.tcp_states import ACK, ES
from tcemu.conntrack.linux.tcp_window import HALF, M32, MAX_ACK_WINDOW, SACK_PERM, UNACKED, learn, recall
from tcemu.conntrack.settings import Settings
from tcemu.conntrack.timeouts import TCP_RETRANS, TCP_UNACK
from tcemu.fields import TCP_ACK, TCP_SEQ, TCP_WINDOW
from tcemu.packet.packet import Packet

UNUSUAL: Final = -100


def take_usual(s: Settings, ct: Entry, p: Packet, sender: Side, receiver: Side, way: i64, size: i64, doff: i64) -> i64:
    """The timeout, or UNUSUAL when it is for others to judge. ``size`` and ``doff``: bytes of the segment and of its header."""
    f = p.f
    seq = f[TCP_SEQ]
    ack = f[TCP_ACK]
    sack = ack
    if doff > 20 and (receiver.flags & SACK_PERM) != 0:
        sack = read_sack(p, ack)
    end = (seq + size - doff) & M32
    mine = sender.max_window
    theirs = receiver.max_window
    known = receiver.end
    reach = mine
    if reach < MAX_ACK_WINDOW:
        reach = MAX_ACK_WINDOW
    if (
        mine == 0
        or ((seq - sender.max_end - 1) & HALF) == 0
        or ((sack - known - 1) & HALF) == 0
        or (theirs != 0 and ((sender.end - theirs - 1 - end) & HALF) == 0)
        or ((known - reach - 1 - sack) & HALF) == 0
    ):
        return UNUSUAL
    raw = f[TCP_WINDOW]
    scale: int = sender.scale
    learn(sender, receiver, ack, sack, end, raw << scale, True)
    recall(ct, way, seq << 32 | ack, end << 16 | raw)
    ct.last_index = ACK
    timeouts = s.timeouts.tcp
    if ct.extra is not None:
        policy = ct.policy
        if policy is not None:
            timeouts = policy.tcp
    timeout = timeouts[ES]
    retrans: int = ct.retrans
    if retrans >= s.tcp_max_retrans and timeout > timeouts[TCP_RETRANS]:
        timeout = timeouts[TCP_RETRANS]
    elif ((sender.flags | receiver.flags) & UNACKED) != 0 and timeout > timeouts[TCP_UNACK]:
        timeout = timeouts[TCP_UNACK]
    elif raw == 0 and timeout > timeouts[TCP_RETRANS]:
        timeout = timeouts[TCP_RETRANS]
    status = ct.status
    if (status & SEEN_REPLY) == 0:
        if timeout > timeouts[TCP_UNACK]:
            timeout = timeouts[TCP_UNACK]
    elif (status & ASSURED) == 0:
        ct.status = status | ASSURED
    return timeout
