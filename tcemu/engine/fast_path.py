"""nft's flow tables: connections go into them at the forward hook, and their packets pass by the network layer.

Sources: net/netfilter/nft_flow_offload.c, nf_flow_table_ip.c nf_flow_offload_ip_hook.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.entry import OFFLOADED, Entry
from tcemu.conntrack.nat import DST, SRC, translate
from tcemu.engine.ports import (
    UNICAST,
    VLAN,
    Hop,
)
from tcemu.engine.program import (
    NF_FORWARD,
    PF_IPV4,
    PF_IPV6,
)
from tcemu.engine.resolve import Resolution
from tcemu.fields import (
    G_CVLAN,
    G_IP4,
    G_PPPOE,
    G_VLAN,
    IIF,
    IP6_DADDR,
    IP_DADDR,
    VLAN_ID,
    VLAN_TPID,
)
from tcemu.ir.verdict import ACCEPT, DROP, STOLEN
from tcemu.offload.nft_flows import FlowTable, Path
from tcemu.packet.packet import (
    ESTABLISHED,
    ESTABLISHED_REPLY,
    IS_REPLY,
    Packet,
)
from tcemu.packet.rewrite import decrement_ttl, vlan_pop

NF_ACCEPT: Final = 1


class FastPath(Resolution):
    """The way past the network layer."""

    __slots__ = ()

    def offload(self, p: Packet, flows: FlowTable) -> bool:
        """nft_flow_offload_eval: only in the forward hook, and when conntrack and the flow table both agree."""
        entry = p.ct
        hop = self.route
        if not isinstance(entry, Entry) or hop is None or self.nf_hook != NF_FORWARD:
            p.reason = "flow add: no connection"
            return False
        why = flows.refuses(entry, p)
        if why != "":
            if self.observer is not None:
                self.observer.say("offload", why)
            if flows.watch is not None and (entry.status & OFFLOADED) == 0:
                flows.watch.refused(flows.key, entry, why, p, self.now)
            return False
        f = p.f
        reply = p.ctinfo >= IS_REPLY
        this = self.path(flows, hop, f[IIF])
        near = entry.reply if reply else entry.orig
        family: int = entry.family
        back = self.tables.route(family, near.src_high, near.src)
        if back is None or back.device != f[IIF] or back.kind != UNICAST:
            back = Hop()  # nobody knows a way back by that device, so its network is taken to be there
            back.device = f[IIF]
        other = self.path(flows, back, hop.device)
        if reply:
            flow = flows.add(entry, other, this, self.tables.generation, self.now)
        else:
            flow = flows.add(entry, this, other, self.tables.generation, self.now)
        if flows.watch is not None:
            flows.watch.added(flows.key, entry, flows.hardware, flow.there.iif, flow.back.iif, p, self.now)
        return True

    def path(self, flows: FlowTable, hop: Hop, iif: i64) -> Path:
        """One way of a flow along a route.

        Where packets come in by a VLAN device whose lower device is the flow table's, they are found there, with their tag
        (nft_dev_path_info).
        """
        path = Path()
        path.iif, path.oif = iif, hop.device
        came = self.port(iif)
        if came is not None and came.kind == VLAN and came.lower in flows.devices:
            path.iif = came.lower
            path.vlan = came.vlan_tpid << 16 | came.vlan
        path.has_via, path.via_high, path.via = hop.has_via, hop.via_high, hop.via
        port = self.port(hop.device)
        if port is not None:
            path.mtu = port.mtu
        return path

    def fast_path(self, p: Packet, flows: FlowTable) -> i64:
        """nf_flow_offload_ip_hook, nf_flow_offload_ipv6_hook."""
        if (p.groups & (G_CVLAN | G_PPPOE)) != 0:
            return ACCEPT
        tag: i64 = p.f[VLAN_TPID] << 16 | p.f[VLAN_ID] if (p.groups & G_VLAN) != 0 else 0
        flow = flows.lookup(p, p.f[IIF], tag)
        if flow is None:
            if flows.watch is not None:
                flows.tell_bypass(self.conntrack, p, self.now)
            return ACCEPT
        reply = flows.reply
        if not flows.passes(self.conntrack, flow, p, self.length_in(p), self.tables.generation, self.now):
            return ACCEPT
        path = flow.back if reply else flow.there
        target = self.port(path.oif)
        if target is None:
            return DROP
        if tag != 0:
            vlan_pop(p)
        info: i64 = ESTABLISHED_REPLY if reply else ESTABLISHED
        if translate(p, flow.entry, info, SRC) != NF_ACCEPT or translate(p, flow.entry, info, DST) != NF_ACCEPT:
            return DROP
        decrement_ttl(p)
        family: i64 = PF_IPV4 if (p.groups & G_IP4) != 0 else PF_IPV6
        f = p.f
        high, low = path.via_high, path.via
        if not path.has_via:
            high, low = (0, f[IP_DADDR]) if family == PF_IPV4 else (f[IP6_DADDR], f[IP6_DADDR + 1])
        if self.observer is not None:
            self.observer.say("flowtable", flows.key)
        p.l3_end = p.end  # padding goes along
        self.to_neighbour(p, target, family, high, low)
        return STOLEN
