"""The protocol trackers of Linux 6.1 (net/netfilter/nf_conntrack_proto_*.c), one file each.

A tracker judges one packet of one connection and answers with a number: a timeout in nanoseconds (refresh the
connection for that long and count the packet), or one of the codes below, which are all negative.
"""

from __future__ import annotations

from typing import Final

INVALID: Final = -1  # the packet belongs to no connection (-NF_ACCEPT)
IGNORED: Final = -2  # valid, but it neither counts nor refreshes (NF_ACCEPT at once)
REPEAT: Final = -3  # the connection is over: forget it and look again (-NF_REPEAT)
FINISHED: Final = -4  # count the packet and forget the connection (nf_ct_kill_acct)
REFUSED: Final = -5  # drop the packet (-NF_DROP)
