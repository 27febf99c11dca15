"""Tunnel metadata: tc tunnel_key, and what flower's enc keys see of it."""

from __future__ import annotations

from mypy_extensions import i64

from tcemu.engine.program import Chain, Counter, Env, Op
from tcemu.fields import ENC_DPORT, ENC_DST4, ENC_DST6, ENC_KEY, ENC_SPORT, ENC_SRC4, ENC_SRC6, ENC_TOS, ENC_TTL, G_ENC
from tcemu.packet.packet import Packet, TunnelInfo


def show_tunnel(p: Packet) -> None:
    """Put the packet's tunnel metadata into its slots (net/core/flow_dissector.c skb_flow_dissect_tunnel_info)."""
    f = p.f
    f[ENC_SRC4] = f[ENC_DST4] = f[ENC_SRC6] = f[ENC_SRC6 + 1] = f[ENC_DST6] = f[ENC_DST6 + 1] = 0
    info = p.tunnel
    if info is None:
        p.groups &= ~G_ENC
        f[ENC_KEY] = f[ENC_SPORT] = f[ENC_DPORT] = f[ENC_TOS] = f[ENC_TTL] = 0
        return
    p.groups |= G_ENC
    if info.family == 4:
        f[ENC_SRC4] = info.source
        f[ENC_DST4] = info.target
    else:
        f[ENC_SRC6] = info.source_high
        f[ENC_SRC6 + 1] = info.source
        f[ENC_DST6] = info.target_high
        f[ENC_DST6 + 1] = info.target
    f[ENC_KEY] = info.key
    f[ENC_SPORT] = info.sport
    f[ENC_DPORT] = info.dport
    f[ENC_TOS] = info.tos
    f[ENC_TTL] = info.ttl


class TunnelOp(Op):
    """net/sched/act_tunnel_key.c tunnel_key_act: set hangs the metadata on the packet, unset takes it off."""

    def __init__(self, then: i64, to: Chain | None, number: i64, counter: Counter | None, info: TunnelInfo | None) -> None:
        super().__init__(then, to, number, counter)
        self.info: TunnelInfo | None = info

    def run(self, env: Env, p: Packet) -> i64:
        self.count(env)
        p.tunnel = self.info
        show_tunnel(p)
        return self.leave(env)
