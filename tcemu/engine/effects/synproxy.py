"""nft synproxy: the machine answers a SYN for a server, and asks the server only when the client has answered in turn.

::

    client            here                        server
    SYN        →      SynProxyOp: SYN+ACK, its number a cookie; nothing is remembered
    ACK        →      SynProxyOp: the cookie is right →  SYN     (a new connection, from `TEMPLATE_ENTRY`)
                      passing:                        ←  SYN+ACK
               ←      ACK that opens the window,   ACK  →
    data       →      numbers and timestamps moved, both ways   ←  data

Sources: net/netfilter/nft_synproxy.c nft_synproxy_do_eval, nft_synproxy_tcp_options; nf_synproxy_core.c synproxy_recv_client_ack,
synproxy_send_*, ipv4_synproxy_hook, ipv6_synproxy_hook.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.entry import CONFIRMED, TEMPLATE, Entry, Extra
from tcemu.conntrack.seqadj import begin_at, make_room
from tcemu.engine.program import Env, Op
from tcemu.fields import G_IP4, G_TCP, L4PROTO, TCP_ACK, TCP_FLAGS, TCP_SEQ, TCP_WINDOW
from tcemu.ir.verdict import ACCEPT, DROP, MISS, PIPE, STOLEN
from tcemu.packet.checksum import good_sum, is_cut
from tcemu.packet.packet import ESTABLISHED_REPLY, IS_REPLY, NEW, Conn, Packet
from tcemu.packet.protocols import IPPROTO_TCP
from tcemu.packet.proxied import MSS, SACK, TIMESTAMP, WSCALE, Options, move_timestamp, segment
from tcemu.packet.syncookie import check, make

TH_SYN: Final = 2
TH_RST: Final = 4
TH_ACK: Final = 16
SYN_SENT: Final = 1  # TCP_CONNTRACK_*
SYN_RECV: Final = 2
CLOSE: Final = 8
M32: Final = 0xFFFFFFFF
COARSE: Final = 63  # bits of a timestamp that the proxy keeps its notes in
SACK_NOTE: Final = 16
NO_SCALE: Final = 15
ISN: Final = 0  # places in `Extra.proxied`
ECHO: Final = 1
AWAY: Final = 2


def made_template() -> Entry:
    """synproxy_net_init: what the SYN to a server is given, so that its connection is known as proxied."""
    entry = Entry()
    entry.status = TEMPLATE | CONFIRMED
    return entry


TEMPLATE_ENTRY: Final = made_template()


def adopt(ct: Conn | None) -> None:
    """nf_ct_add_synproxy: a connection that began with the template is proxied."""
    if not isinstance(ct, Entry) or (ct.status & CONFIRMED) != 0:
        return
    make_room(ct)
    extra = ct.extra
    if extra is not None and len(extra.proxied) == 0:
        extra.proxied = [0, 0, 0]


class SynProxyOp(Op):
    """The statement, or a named object."""

    def __init__(self, bits: i64, mss: i64, scale: i64) -> None:
        super().__init__(PIPE, None, 0, None)
        self.bits: i64 = bits  # what the server behind the proxy is said to have, see `tcemu.packet.proxied`
        self.mss: i64 = mss
        self.scale: i64 = scale
        self.options: Options = Options()

    def run(self, env: Env, p: Packet) -> i64:
        f = p.f
        if f[L4PROTO] != IPPROTO_TCP:
            return MISS
        if (p.groups & G_TCP) == 0 or (not is_cut(p) and not good_sum(p, IPPROTO_TCP, p.l4, p.l3_end)):
            p.reason = "synproxy: the segment is broken"
            return DROP
        options = self.options
        if not options.read(p):
            p.reason = "synproxy: the segment's options are broken"
            return DROP
        if (f[TCP_FLAGS] & TH_SYN) != 0:
            self.answer(env, p, options)
            return STOLEN
        if (f[TCP_FLAGS] & TH_ACK) != 0:
            return STOLEN if ask_server(env, p, options, f[TCP_SEQ]) else DROP
        return PIPE

    def answer(self, env: Env, p: Packet, options: Options) -> None:
        """A SYN+ACK whose number is a cookie, and whose timestamp holds what the client offers."""
        options.bits &= self.bits
        asked = options.mss
        options.mss = self.mss
        if (options.bits & TIMESTAMP) != 0:
            options.echo = options.value
            options.value = (env.now // 1_000_000) & M32 & ~COARSE
            if (options.bits & WSCALE) != 0:
                options.value |= options.scale
                options.scale = self.scale
            else:
                options.value |= NO_SCALE
            if (options.bits & SACK) != 0:
                options.value |= SACK_NOTE
        else:
            options.bits &= ~(WSCALE | SACK)
        four = (p.groups & G_IP4) != 0
        cookie = make(p, asked, env.secret, env.now)
        data = segment(p, four, True, cookie, (p.f[TCP_SEQ] + 1) & M32, TH_SYN | TH_ACK, 0, options.written())
        p.reason = "synproxy: answered for the server"
        env.emit(data, p.ct, ESTABLISHED_REPLY if p.ct is not None else NEW)


def ask_server(env: Env, p: Packet, options: Options, seq: i64) -> bool:
    """synproxy_recv_client_ack: a good cookie sends a SYN to the server; False where it is not good."""
    f = p.f
    mss = check(p, (f[TCP_ACK] - 1) & M32, env.secret, env.now)
    if mss == 0:
        p.reason = "synproxy: the acknowledgement holds no cookie of ours"
        return False
    options.mss = mss
    options.bits |= MSS
    if (options.bits & TIMESTAMP) != 0:
        options.scale = options.echo & 15
        if options.scale != NO_SCALE:
            options.bits |= WSCALE
        if (options.echo & SACK_NOTE) != 0:
            options.bits |= SACK
    # the acknowledgement tells `pass_by` the cookie when the SYN comes there with a connection of its own
    ack = (f[TCP_ACK] - 1) & M32
    data = segment(p, (p.groups & G_IP4) != 0, False, (seq - 1) & M32, ack, TH_SYN, f[TCP_WINDOW], options.written())
    p.reason = "synproxy: the client answered, now the server is asked"
    env.emit(data, TEMPLATE_ENTRY, NEW)
    return True


def pass_by(env: Env, p: Packet) -> i64:
    """ipv4_synproxy_hook: what a packet of a proxied connection meets on its way out or in; a verdict."""
    ct = p.ct
    if not isinstance(ct, Entry) or (p.groups & G_TCP) == 0:
        return ACCEPT
    extra = ct.extra
    if extra is None or len(extra.proxied) == 0:
        return ACCEPT
    f = p.f
    flags = f[TCP_FLAGS]
    reply = p.ctinfo >= IS_REPLY
    proxied = extra.proxied
    if ct.state == CLOSE and (flags & TH_RST) != 0 and reply:
        begin_at(ct, 1, signed(proxied[ISN] - f[TCP_SEQ] + 1))
    elif ct.state == SYN_SENT or (ct.state == CLOSE and (flags & (TH_SYN | TH_ACK)) == TH_SYN and not reply):
        if ct.state == CLOSE:
            proxied[AWAY] = 0  # opened once more
        options = Options()
        if not options.read(p):
            return DROP
        if (flags & (TH_SYN | TH_ACK)) == TH_ACK and not reply:
            return STOLEN if ask_server(env, p, options, (f[TCP_SEQ] + 1) & M32) else DROP
        proxied[ISN] = f[TCP_ACK]
        if (options.bits & TIMESTAMP) != 0:
            proxied[ECHO] = options.echo
    elif ct.state == SYN_RECV and (flags & (TH_SYN | TH_ACK)) == TH_SYN | TH_ACK:
        return meet(env, p, ct, extra)
    away: i64 = proxied[AWAY]
    if away != 0:
        move_timestamp(p, not reply, (-away if reply else away) & M32)
    return ACCEPT


def meet(env: Env, p: Packet, ct: Entry, extra: Extra) -> i64:
    """The server agrees: it gets its ACK, the client one that opens the window, and the numbers of both are known."""
    f = p.f
    options = Options()
    if not options.read(p):
        return DROP
    if (options.bits & TIMESTAMP) != 0:
        extra.proxied[AWAY] = (options.value - extra.proxied[ECHO]) & M32
    options.bits &= ~(MSS | WSCALE | SACK)
    four = (p.groups & G_IP4) != 0
    side = ct.orig_side
    window: i64 = side.max_window & 0xFFFF if side is not None else 0
    after = (f[TCP_SEQ] + 1) & M32
    options.swap()
    env.emit(segment(p, four, True, f[TCP_ACK], after, TH_ACK, window, options.written()), None, NEW)
    begin_at(ct, 1, signed(extra.proxied[ISN] - f[TCP_SEQ]))
    options.swap()
    data = segment(p, four, False, after, f[TCP_ACK], TH_ACK, f[TCP_WINDOW] >> options.scale, options.written())
    env.emit(data, ct, ESTABLISHED_REPLY)
    p.reason = "synproxy: the server agreed"
    return STOLEN


def signed(value: i64) -> i64:
    """A difference of numbers as signed 32 bits."""
    value &= M32
    return value - 0x100000000 if value > 0x7FFFFFFF else value


__all__ = ["TEMPLATE_ENTRY", "SynProxyOp", "adopt", "pass_by"]
