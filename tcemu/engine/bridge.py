"""Bridges: a frame's way from port to port, up to the machine, and from the machine to the ports.

::

    port → prerouting ┬ forward → postrouting → the other port, or all others
                      └ input → the bridge device's own ingress
    bridge device → output → postrouting → a port, or all

Conntrack stands in prerouting (with reassembly) and confirms in postrouting; it has no place in output. A VLAN tag goes along untouched:
ports do not filter VLANs. Spanning tree and multicast snooping are off. Source of that: assumed.

Sources: net/bridge/br_input.c (br_handle_frame, br_handle_frame_finish, br_pass_frame_up), br_forward.c, br_device.c (br_dev_xmit),
br_fdb.c; net/bridge/netfilter/nf_conntrack_bridge.c, nft_reject_bridge.c; net/netfilter/nft_reject_netdev.c, Linux 6.1.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.clock import SECOND
from tcemu.conntrack.entry import CONFIRMED, TEMPLATE
from tcemu.conntrack.settings import Settings
from tcemu.engine.effects.divert import ICMP4, RESET
from tcemu.engine.effects.track import show_ct
from tcemu.engine.netfilter import SETTLED
from tcemu.engine.ports import Port
from tcemu.engine.program import NF_INGRESS, NF_INPUT, PF_BRIDGE
from tcemu.engine.stack import Stack
from tcemu.engine.stages import BRIDGE_CONFIRM, BRIDGE_CONNTRACK, Hooks, Stage
from tcemu.engine.wire import ENETDOWN, Sink, hide_transport
from tcemu.fields import (
    ETH_DST,
    ETH_SRC,
    G_CVLAN,
    G_ETH,
    G_FRAG,
    G_IP4,
    G_IP6,
    G_PPPOE,
    G_VLAN,
    IIF,
    PKT_LEN,
    PKTTYPE,
)
from tcemu.ir.verdict import ACCEPT, DROP, STOLEN
from tcemu.packet.build import ethernet
from tcemu.packet.packet import BROADCAST, HOST, LINK_ETHER, MULTICAST, OTHERHOST, UNTRACKED, Packet
from tcemu.packet.protocols import ETH_P_IP, ETH_P_IPV6
from tcemu.packet.reply import tcp_reset, unreachable4, unreachable6
from tcemu.packet.rewrite import trim_to_ip

AGEING: Final = 300 * SECOND  # br->ageing_time
LINK_LOCAL: Final = 0x0180C2000000  # 01:80:c2:00:00:00 to …:0f stay on their link, but for the first where spanning tree is off
PAUSE: Final = 0x0180C2000001
EVERYBODY: Final = 0xFFFFFFFFFFFF
USER_BRIDGE: Final = -4  # of reassembly (IP_DEFRAG_CONNTRACK_BRIDGE_IN)


class Bridged(Stack):
    """The bridges of the machine, and what reject answers where there is no route."""

    __slots__ = ("hooks_bridge", "known", "seen")

    def __init__(self, settings: Settings | None = None, sink: Sink | None = None) -> None:
        super().__init__(settings, sink)
        self.hooks_bridge: Hooks = Hooks()
        self.known: dict[int, int] = {}  # bridge << 48 | MAC address -> the port that it was seen at
        self.seen: dict[int, int] = {}  # and when, ns

    # ------------------------------------------------------------ in

    def to_bridge(self, p: Packet, port: Port) -> i64:
        """br_handle_frame."""
        bridge = self.port(port.master)
        if bridge is None or not bridge.up or (p.groups & G_ETH) == 0:
            p.reason = "the bridge is down"
            return DROP
        f = p.f
        source, target = f[ETH_SRC], f[ETH_DST]
        if (source >> 40) & 1 or source == 0:
            p.reason = "the frame comes from no station's address"
            return DROP
        f[PKT_LEN] = self.length_in(p)
        if p.lies:
            hide_transport(p)
        if LINK_LOCAL < target <= LINK_LOCAL | 0xF:
            if target == PAUSE:
                p.reason = "a pause frame ends at the port"
                return DROP
            code = self.run_stages(p, self.hooks_bridge.input, PF_BRIDGE, port.index, 0)
            return code if code != ACCEPT else self.to_network(p, port)
        if target == bridge.mac:
            f[PKTTYPE] = HOST
        code = self.run_stages(p, self.hooks_bridge.prerouting, PF_BRIDGE, port.index, 0)
        return code if code != ACCEPT else self.switch(p, bridge, port)

    def switch(self, p: Packet, bridge: Port, port: Port) -> i64:
        """br_handle_frame_finish: learn, then up, to the port that is known, or to all."""
        f = p.f
        target = f[ETH_DST]
        self.learn(bridge, port, f[ETH_SRC])
        if (target >> 40) & 1:
            f[PKTTYPE] = BROADCAST if target == EVERYBODY else MULTICAST
            self.flood(p, bridge, port, False)
            return self.pass_up(p, bridge, port)
        if self.is_own(bridge, target):
            return self.pass_up(p, bridge, port)
        to = self.station(bridge, target)
        if to is None:
            return self.flood(p, bridge, port, False)
        if to.index == port.index:
            p.reason = "the station is at the port that the frame came by"
            return DROP
        return self.pass_on(p, port.index, to, False)

    def learn(self, bridge: Port, port: Port, mac: i64) -> None:
        """br_fdb_update."""
        key = bridge.index << 48 | mac
        if not self.is_own(bridge, mac):
            self.known[key] = port.index
            self.seen[key] = self.now

    def station(self, bridge: Port, mac: i64) -> Port | None:
        """br_fdb_find: the port of an address that was seen of late."""
        key = bridge.index << 48 | mac
        index: i64 = self.known.get(key, 0)
        if index == 0:
            return None
        when: i64 = self.seen[key]
        to = self.port(index)
        if when + AGEING <= self.now or to is None or to.master != bridge.index or not to.up:
            del self.known[key]
            del self.seen[key]
            return None
        return to

    def is_own(self, bridge: Port, mac: i64) -> bool:
        """Is it an address of the bridge or of one of its ports?"""
        if mac == bridge.mac:
            return True
        return any(port is not None and port.master == bridge.index and port.mac == mac for port in self.tables.ports)

    def pass_up(self, p: Packet, bridge: Port, port: Port) -> i64:
        """br_pass_frame_up: the bridge device gets the frame."""
        code = self.run_stages(p, self.hooks_bridge.input, PF_BRIDGE, port.index, 0)
        return code if code != ACCEPT else self.ingress(p, bridge.index)

    # ------------------------------------------------------------ out

    def flood(self, p: Packet, bridge: Port, came: Port | None, own: bool) -> i64:
        """br_flood: a copy to each other port, the one that joined last first."""
        sent = False
        iif: i64 = came.index if came is not None else 0
        ports = self.tables.ports
        at = len(ports) - 1
        while at > 0:
            to = ports[at]
            at -= 1
            if to is None or to.master != bridge.index or to.index == iif or not to.up:
                continue
            other = self.copied(p)
            if self.pass_on(other, iif, to, own) == ACCEPT:
                sent = True
            elif not p.reason:
                p.reason = other.reason
            self.spare.append(other)
        if not sent and not p.reason:
            p.reason = "the bridge has no other port for it"
        return ACCEPT if sent else DROP

    def pass_on(self, p: Packet, iif: i64, to: Port, own: bool) -> i64:
        """br_forward, br_forward_finish, br_dev_queue_push_xmit; ``own``: the machine itself sends."""
        hooks = self.hooks_bridge
        if own:
            code = self.run_stages(p, hooks.output, PF_BRIDGE, 0, to.index)
        else:
            code = self.run_stages(p, hooks.forward, PF_BRIDGE, iif, to.index)
        if code == ACCEPT:
            code = self.run_stages(p, hooks.postrouting, PF_BRIDGE, 0, to.index)
        if code != ACCEPT:
            return code
        p.f[IIF] = iif
        tag: i64 = 4 if (p.groups & G_VLAN) != 0 else 0
        if p.mru == 0 and p.end - p.start - tag > to.mtu + 18:
            p.reason = f"longer than the MTU of {to.name}"
            return DROP
        return ACCEPT if self.transmit(p, to) == 0 else DROP

    def from_bridge(self, p: Packet, port: Port) -> i64:
        """br_dev_xmit."""
        if (p.groups & G_ETH) == 0:
            return ENETDOWN
        p.f[PKT_LEN] = self.length_in(p)
        target = p.f[ETH_DST]
        to = self.station(port, target) if (target >> 40) & 1 == 0 else None
        if to is not None:
            self.pass_on(p, 0, to, True)
        else:
            self.flood(p, port, None, True)
        return 0

    # ------------------------------------------------------------ conntrack

    def own_stage(self, p: Packet, stage: Stage) -> i64:
        if stage.kind == BRIDGE_CONNTRACK:
            return self.track_bridged(p)
        if stage.kind == BRIDGE_CONFIRM:
            return self.confirm_bridged(p)
        return super().own_stage(p, stage)

    def track_bridged(self, p: Packet) -> i64:
        """nf_ct_bridge_pre."""
        ct = p.ct
        if (ct is not None and (ct.status & TEMPLATE) == 0) or p.ctinfo == UNTRACKED:
            return ACCEPT
        groups = p.groups
        if (groups & (G_IP4 | G_IP6)) == 0 or (groups & (G_CVLAN | G_PPPOE)) != 0:
            p.ct = None
            p.ctinfo = UNTRACKED
            show_ct(p)
            return ACCEPT
        if p.lies:
            return ACCEPT
        if p.end > p.l3_end and self.cut <= 0:
            trim_to_ip(p)
            p.f[PKT_LEN] = p.end - p.l3
        if (groups & G_FRAG) != 0:
            held = self.defragment(p, USER_BRIDGE)
            if held != 0:
                return STOLEN if held > 0 else DROP
            p.f[PKT_LEN] = p.end - p.l3 + self.cut
        return self.track(p)

    def confirm_bridged(self, p: Packet) -> i64:
        """nf_ct_bridge_post; nf_ct_bridge_in: what goes to many is tracked anew above."""
        ct = p.ct
        if ct is None or ((ct.status & SETTLED) == CONFIRMED and self.conntrack.watcher is None):
            return ACCEPT
        if self.nf_hook != NF_INPUT:
            return self.confirm(p)
        if (ct.status & CONFIRMED) == 0 and p.f[PKTTYPE] != HOST:
            p.ct = None
            p.ctinfo = 0
            show_ct(p)
        return ACCEPT

    # ------------------------------------------------------------ reject

    def reject_link(self, p: Packet, how: i64, code: i64) -> None:
        """nft_reject_bridge_eval, nft_reject_netdev_eval: back out of the device, to the MAC address that the packet came from."""
        if p.link != LINK_ETHER or p.f[PKTTYPE] not in (HOST, OTHERHOST):
            return
        if how == RESET:
            data = tcp_reset(p, 64, True)
        elif how == ICMP4:
            data = unreachable4(p, code)
        else:
            data = unreachable6(p, code)
        port = self.port(p.f[IIF])
        if not data or port is None:
            return
        kind: i64 = ETH_P_IP if (p.groups & G_IP4) != 0 else ETH_P_IPV6
        netdev = self.nf_hook == NF_INGRESS
        frame = ethernet(p.f[ETH_SRC], p.f[ETH_DST], kind) + data
        if not netdev and (p.groups & G_VLAN) != 0:
            frame = frame[:12] + p.data[p.start + 12 : p.start + 16] + frame[12:]  # nft_reject_br_push_etherhdr
        answer = self.taken(frame, LINK_ETHER)
        hook, family = self.nf_hook, self.family
        if netdev:
            self.transmit(answer, port)
        else:
            answer.f[PKT_LEN] = self.length_in(answer)
            self.pass_on(answer, 0, port, True)
        self.nf_hook, self.family = hook, family
        self.spare.append(answer)
