"""The hooks of netfilter: a hook's stages in their order, conntrack and NAT among them.

Sources: net/netfilter/core.c nf_hook_slow; net/netfilter/nf_conntrack_core.c nf_conntrack_in, nf_conntrack_proto.c nf_confirm;
net/netfilter/nf_nat_core.c nf_nat_inet_fn, nf_nat_proto.c.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.entry import CONFIRMED, EXPECTED, HELPER, SEQ_ADJUST, TEMPLATE, Entry
from tcemu.conntrack.nat import DST, SRC, is_set_up, null_binding, translate, translate_error
from tcemu.conntrack.settings import Settings
from tcemu.engine.effects.synproxy import TEMPLATE_ENTRY, adopt, pass_by
from tcemu.engine.effects.track import CT_SLOTS, FLOWER_STATES, NFT_STATES, show_ct
from tcemu.engine.ports import (
    BROADCAST,
)
from tcemu.engine.program import (
    NF_INPUT,
    NF_OUTPUT,
    NF_POSTROUTING,
    NF_PREROUTING,
    PF_IPV4,
)
from tcemu.engine.run import evaluate
from tcemu.engine.stages import CONFIRM, CONNTRACK, DEFRAG, NAT, ROUTED_RULES, RULES, SYNPROXY, Stage
from tcemu.engine.wire import Sink, Wire
from tcemu.fields import (
    G_CT,
    G_FRAG,
    IIF,
    IP6_SADDR,
    IP_DADDR,
    IP_SADDR,
    IP_TOS,
    L4PROTO,
    MARK,
    OIF,
    PKT_LEN,
)
from tcemu.ir.verdict import ACCEPT, DROP, STOLEN
from tcemu.packet.numbers import COMPILED
from tcemu.packet.packet import (
    IS_REPLY,
    NEW,
    RELATED,
    RELATED_REPLY,
    UNTRACKED,
    Packet,
)
from tcemu.packet.protocols import IPPROTO_ICMP, IPPROTO_ICMPV6

NF_ACCEPT: Final = 1
USER_OUT: Final = -2  # users of reassembly besides the prerouting hook
SETTLED: Final = CONFIRMED | HELPER | SEQ_ADJUST | EXPECTED  # only CONFIRMED of these: nothing is left to do for the connection


class Netfilter(Wire):
    """What a packet meets at a hook."""

    __slots__ = ("reroute",)

    def __init__(self, settings: Settings | None = None, sink: Sink | None = None) -> None:
        super().__init__(settings, sink)
        self.reroute: bool = False  # a hook on the way out changed what the route was chosen by

    def run_stages(self, p: Packet, first: Stage | None, family: i64, iif: i64, oif: i64) -> i64:
        """nf_hook_slow over the stages of a hook, or of several hooks that follow each other."""
        if first is None:
            return ACCEPT
        f = p.f
        f[IIF] = iif
        f[OIF] = oif
        before, other = self.nf_hook, self.family
        self.family = family
        code: i64 = ACCEPT
        stage: Stage | None = first
        if first.kind == DEFRAG and (p.groups & G_FRAG) == 0 and p.mru == 0:
            stage = first.next
        while stage is not None:
            self.nf_hook = stage.hook
            kind = stage.kind
            if kind == RULES:
                chain = stage.chain
                assert chain is not None
                code = evaluate(self, p, chain)
            elif kind == CONNTRACK:
                code = self.track(p)
            elif kind == CONFIRM:
                ct = p.ct
                if ct is not None and ((ct.status & SETTLED) != CONFIRMED or self.conntrack.watcher is not None):
                    code = self.confirm(p)
            elif kind != DEFRAG:
                code = self.own_stage(p, stage)
            elif (p.groups & G_FRAG) != 0 or p.mru != 0:
                code = self.reassemble(p)
            if code != ACCEPT:
                if self.observer is not None and code == DROP:
                    self.observer.say("drop", p.reason or "a rule says so")
                break
            stage = stage.next
        self.nf_hook = before
        self.family = other
        return code

    def own_stage(self, p: Packet, stage: Stage) -> i64:
        """NAT, SYN proxies, and rules that may change the route."""
        if stage.kind == NAT:
            return self.nat(p, stage)
        if stage.kind == SYNPROXY:
            return pass_by(self, p)
        chain = stage.chain
        assert chain is not None and stage.kind == ROUTED_RULES
        f = p.f
        four = self.family == PF_IPV4
        at: i64 = IP_SADDR if four else IP6_SADDR
        size: i64 = 1 if four else 2
        source, target, far = f[at], f[at + size], f[at + 2 * size - 1]
        mark, tos = f[MARK], f[IP_TOS]
        code = evaluate(self, p, chain)
        if source != f[at] or target != f[at + size] or far != f[at + 2 * size - 1] or mark != f[MARK] or tos != f[IP_TOS]:
            self.reroute = True  # nf_route_table_hook4
        return code

    def reassemble(self, p: Packet) -> i64:
        """nf_defrag: of a fragment, or of what was put together before (ipv4_conntrack_defrag, ipv6_defrag)."""
        held = self.defragment(p, USER_OUT if self.nf_hook == NF_OUTPUT else -1)
        if held == 0 and p.mru > 0:
            p.f[PKT_LEN] = p.end - p.l3 + self.cut
        return ACCEPT if held == 0 else STOLEN if held > 0 else DROP

    def track(self, p: Packet) -> i64:
        """nf_conntrack_in: with the zone of a template, if the packet brought one."""
        zone: i64 = 0
        way: i64 = 3
        proxied = False
        ct = p.ct
        if ct is not None:
            if (ct.status & TEMPLATE) == 0:
                return ACCEPT
            if isinstance(ct, Entry):
                zone = ct.zone
                zone_dir: int = ct.zone_dir
                way = zone_dir
                proxied = ct is TEMPLATE_ENTRY
            p.ct = None
        if p.ctinfo == UNTRACKED:
            return ACCEPT
        conntrack = self.conntrack
        if self.nf_hook == NF_PREROUTING:
            code = conntrack.track(p, zone, way, True)
            p.summed = conntrack.settings.checksum != 0
        else:
            code = conntrack.track(p, zone, way, False)
            p.summed = False
        ct = p.ct
        if proxied:
            adopt(ct)
        if COMPILED or ct is None:
            show_ct(p)
        else:  # as `show_ct` does it, less a call
            info = p.ctinfo
            p.groups |= G_CT
            labels = ct.labels
            if labels is None:
                p.slots[CT_SLOTS] = (FLOWER_STATES[info], ct.zone, ct.mark, 0, 0, NFT_STATES[info])
            else:
                p.slots[CT_SLOTS] = (FLOWER_STATES[info], ct.zone, ct.mark, labels.high, labels.low, NFT_STATES[info])
        if self.observer is not None:
            self.observer.say("ct", self.ask("ct", p))
        return ACCEPT if code == NF_ACCEPT else DROP

    def confirm(self, p: Packet) -> i64:
        """nf_confirm: helpers look at the packet, then a new connection enters the table."""
        ct = p.ct
        if isinstance(ct, Entry) and ct.extra is not None and ct.extra.helper != "":
            self.conntrack.broadcast_mask = self.mask_of_all(p)
        if self.conntrack.finish(p) != NF_ACCEPT:
            p.reason = p.reason or "the entry was not confirmed"
            return DROP
        return ACCEPT

    def mask_of_all(self, p: Packet) -> i64:
        """The mask of the network that a program's packet goes to all of, else 0 (nf_conntrack_broadcast_help)."""
        hop = self.route
        if hop is None or hop.kind != BROADCAST or not self.socket:
            return 0
        port = self.port(hop.device)
        if port is not None:
            for own in port.addresses:
                mask = (0xFFFFFFFF << (32 - own.prefix)) & 0xFFFFFFFF if own.family == 4 else 0
                if own.family == 4 and (own.low | (0xFFFFFFFF & ~mask)) == p.f[IP_DADDR]:
                    return mask
        return 0

    def nat(self, p: Packet, stage: Stage) -> i64:
        """nf_nat_inet_fn and what its family puts in front: the first packet chooses, the others follow."""
        ct = p.ct
        if not isinstance(ct, Entry) or (ct.status & TEMPLATE) != 0:
            return ACCEPT
        info = p.ctinfo
        manip: i64 = SRC if self.nf_hook in (NF_POSTROUTING, NF_INPUT) else DST
        if info in (RELATED, RELATED_REPLY) and p.f[L4PROTO] == (IPPROTO_ICMP if self.family == PF_IPV4 else IPPROTO_ICMPV6):
            return ACCEPT if translate_error(p, ct, info, manip) == NF_ACCEPT else DROP
        if info in (NEW, RELATED, RELATED_REPLY) and not is_set_up(ct, manip):
            for way in stage.ways:
                code = evaluate(self, p, way.chain)
                if code != ACCEPT:
                    return code
                if is_set_up(ct, manip):
                    break
            if not is_set_up(ct, manip) and not null_binding(self.conntrack, ct, manip, self.now):
                return DROP
        elif ct.masquerade > 0 and self.nf_hook == NF_POSTROUTING and info < IS_REPLY and ct.masquerade != p.f[OIF]:
            p.reason = "nat: it was masqueraded for another device"
            self.conntrack.kill(ct)
            return DROP
        if (ct.status & 0x30) == 0:
            return ACCEPT
        code = translate(p, ct, info, manip)
        if self.nf_hook == NF_OUTPUT:
            self.reroute = True
        return ACCEPT if code == NF_ACCEPT else DROP
