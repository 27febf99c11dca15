"""The machine: a packet's way through devices, tc, netfilter's hooks and routing.

::

    receive → tc ingress → netdev ingress → stack ┬ VLAN device, bridge
                                                  └ prerouting → route ┬ input → local (sockets, tunnels)
                                                                       └ forward → postrouting → transmit
    transmit → netdev egress → tc egress → the wire, a peer, or a tunnel and transmit again

One packet runs to its end before the next (net/core/dev.c __netif_receive_skb_core, __dev_queue_xmit). Linux 6.1 sends
mirred's nested ingress packets straight on (tc-act-mirred-loop), so nothing is queued here either.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.entry import HW_OFFLOADED, OFFLOADED, Entry
from tcemu.conntrack.settings import Settings
from tcemu.conntrack.tuples import TCP
from tcemu.engine.bridge import Bridged
from tcemu.engine.ports import LOCAL, UNICAST, HostTables
from tcemu.engine.program import Program, Way
from tcemu.engine.stages import build
from tcemu.engine.wire import Programs, Sink
from tcemu.fields import ETH_SRC, G_CVLAN, G_ETH, G_IP4, G_IP6, G_PPPOE, G_VLAN, IP6_SADDR, IP_SADDR
from tcemu.ir.verdict import ACCEPT, DROP, REDIRECT, TRAP
from tcemu.offload.nft_flows import NUMBERS
from tcemu.offload.watch import Watch
from tcemu.packet.decode import load
from tcemu.packet.packet import UNTRACKED, Packet

__all__ = ["Machine", "Programs", "Sink"]

TICK: Final = 100_000_000


class Machine(Bridged):
    """See the module's text. All devices, routes and chains in it are of one moment; `set_tables` and `load` renew them."""

    __slots__ = ("accepted", "dropped", "held", "next_tick", "packet", "received", "redirected", "trapped", "verdict", "watch")

    def __init__(self, settings: Settings | None = None, sink: Sink | None = None) -> None:
        super().__init__(settings, sink)
        self.packet: Packet = Packet()
        # final verdicts of received packets
        self.received: i64 = 0
        self.accepted: i64 = 0
        self.dropped: i64 = 0
        self.redirected: i64 = 0
        self.held: i64 = 0  # fragments that wait for others or went into a whole packet, and packets that were queued
        self.trapped: i64 = 0
        self.verdict: i64 = ACCEPT  # of the last one
        self.next_tick: i64 = 0
        self.watch: Watch | None = None  # told by the flow tables

    # ------------------------------------------------------------ renewing

    def set_tables(self, tables: HostTables) -> None:
        """Take the host's devices, routes and neighbours."""
        old = self.tables
        tables.generation = old.generation if old.print == tables.print else old.generation + 1
        for port in old.ports:
            if port is not None and port.up and not self._is_up(tables, port.index):
                for flows in self.program.nft_flows.values():
                    flows.clean(self.conntrack, port.index, self.now)
        self.tables = self.conntrack.routes = tables
        self.placeless = self.friendly and not tables.configured
        self.settled = self.friendly and tables.configured
        self._ways()

    def _is_up(self, tables: HostTables, index: i64) -> bool:
        port = tables.ports[index] if index < len(tables.ports) else None
        return port is not None and port.up

    def load(self, program: Program) -> None:
        """Take a program."""
        for zone, flows in self.program.flow_tables.items():
            # connections stay in the flow table of their zone while some action of it lives (tcf_ct_flow_table_put)
            if zone in program.flow_tables:
                program.flow_tables[zone].take_over(flows)
            else:
                flows.clean(self.conntrack, self.now)
        self._keep_flows(program)
        program.adopt(self.program)
        self.program = program
        for flows in program.flow_tables.values():
            flows.watch = self.watch
            flows.tcp_timeout = self.conntrack.settings.flow_tcp
            flows.udp_timeout = self.conntrack.settings.flow_udp
        self.hooks4 = build(program, "ip")
        self.hooks6 = build(program, "ip6")
        self.hooks_arp = build(program, "arp")
        self.hooks_bridge = build(program, "bridge")
        self._ways()

    def _keep_flows(self, program: Program) -> None:
        """nft's flow tables go on; those that were deleted give their connections back."""
        settings = self.conntrack.settings
        for key, flows in self.program.nft_flows.items():
            new = program.nft_flows.get(key)
            if new is None:
                flows.clean(self.conntrack, 0, self.now)
            else:
                new.take_over(flows)
        for key, flows in program.nft_flows.items():
            flows.tcp_timeout, flows.udp_timeout = settings.flow_tcp, settings.flow_udp
            flows.watch = self.watch
            if key not in self.program.nft_flows:
                flows.started = flows.collected = self.now

    def restore_flows(self, entries: list[Entry], now: i64) -> None:
        """Put connections that were offloaded when a session was kept back into their flow tables, or end their offload."""
        self.now = now
        for entry in entries:
            if (entry.status & OFFLOADED) == 0:
                continue
            flows = self.program.flow_tables.get(entry.zone) if entry.flow_table < NUMBERS else None
            if flows is not None:
                flows.adopt(entry, now)
            elif entry.flow_table < NUMBERS or not self._restore(entry):
                entry.status &= ~(OFFLOADED | HW_OFFLOADED)
                entry.flow_table = 0
                settings = self.conntrack.settings
                self.conntrack.unoffload(entry, settings.flow_tcp if entry.proto == TCP else settings.flow_udp, now)

    def note_flows(self) -> None:
        """Write on the entries when their flows in nft's tables expire, for those who keep them."""
        for flows in self.program.nft_flows.values():
            for flow in flows.flows:
                flow.entry.flow_expires = flow.expires

    def _restore(self, entry: Entry) -> bool:
        """A flow of nft, along the routes as they are now."""
        for flows in self.program.nft_flows.values():
            if flows.number != entry.flow_table:
                continue
            family: int = entry.family
            orig, reply = entry.orig, entry.reply
            there = self.tables.route(family, reply.src_high, reply.src)
            back = self.tables.route(family, orig.src_high, orig.src)
            if there is not None and back is not None and there.kind == UNICAST and back.kind == UNICAST:
                there_path, back_path = self.path(flows, there, back.device), self.path(flows, back, there.device)
                flow = flows.add(entry, there_path, back_path, self.tables.generation, self.now)
                flow.expires = entry.flow_expires
                return True
        return False

    def _ways(self) -> None:
        count = len(self.tables.ports)
        self.in_ways = [_linked(self.program.ingress.get(index, [])) for index in range(count)]
        self.out_ways = [_linked(self.program.egress.get(index, [])) for index in range(count)]

    # ------------------------------------------------------------ in

    def receive(self, data: bytes, start: i64, end: i64, wire: i64, ts: i64, link: i64, device: i64) -> None:
        """A frame arrives on a device at a time (ns)."""
        p = self.packet
        load(p, data, start, end, wire, ts, link, device)
        p.number = self.received = self.received + 1
        self.now = ts
        if ts >= self.next_tick:
            self.advance(ts)
        self.cut = wire - (end - start)
        if self.settled and self.is_own_frame(p, device):
            verdict = self.verdict = ACCEPT if self.send_local(p.data[p.l3 : p.l3_end], ts, False) == 0 else DROP
        else:
            verdict = self.verdict = self.ingress(p, device)
        if verdict == ACCEPT:
            self.accepted += 1
        elif verdict == DROP:
            self.dropped += 1
        elif verdict == TRAP:
            self.trapped += 1
        elif verdict == REDIRECT:
            self.redirected += 1
        else:
            self.held += 1

    def is_own_frame(self, p: Packet, device: i64) -> bool:
        """Did the machine itself send the frame? A capture of a port holds both ways; what went out goes through output again."""
        port = self.port(device)
        f = p.f
        if port is None or not port.up or port.mac == 0 or (p.groups & G_ETH) == 0 or f[ETH_SRC] != port.mac or p.lies:
            return False
        if (p.groups & G_IP4) != 0:
            hop = self.tables.local(4, 0, f[IP_SADDR])
        elif (p.groups & G_IP6) != 0:
            hop = self.tables.local(6, f[IP6_SADDR], f[IP6_SADDR + 1])
        else:
            return False
        return hop is not None and hop.kind == LOCAL and (p.groups & (G_VLAN | G_CVLAN | G_PPPOE)) == 0

    def advance(self, now: i64) -> None:
        """Let time pass: connections, fragments and flows expire."""
        self.now = now
        self.next_tick = now + TICK
        if self.neighbours.next_due <= now:
            self.remind(now)
        watch = self.watch
        if watch is not None:
            watch.tick(now)
        for flows in self.program.flow_tables.values():
            flows.collect(self.conntrack, now)
        for table in self.program.nft_flows.values():
            table.collect(self.conntrack, now)
        self.conntrack.turn(now)
        self.defrag.expire(now)

    def settle(self, now: i64) -> None:
        """As `advance`, and look at every connection: for those who list or keep them."""
        self.advance(now)
        self.conntrack.sweep(now)

    def ask(self, what: str, p: Packet) -> str:
        if what == "ct":
            return describe_ct(p)
        return ""


def describe_ct(p: Packet) -> str:
    """What conntrack made of the packet, in words."""
    if p.ct is None:
        return "untracked" if p.ctinfo == UNTRACKED else f"invalid: {p.reason}" if p.reason else "invalid"
    names = {0: "established", 1: "related", 2: "new", 3: "established, reply", 4: "related, reply"}
    text = names.get(p.ctinfo, "?")
    return f"{text} ({p.reason})" if p.reason else text


def _linked(ways: list[Way]) -> Way | None:
    for here, behind in pairwise(ways):
        here.next = behind
    if ways:
        ways[-1].next = None
    return ways[0] if ways else None
