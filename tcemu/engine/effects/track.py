"""tc ct: connection tracking as an action, with its own flow table per zone (net/sched/act_ct.c)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.conntrack.defrag import is_odd_fragment
from tcemu.conntrack.entry import CONFIRMED, EXPECTED, HELPER, Entry
from tcemu.conntrack.nat import NatRange, act_nat
from tcemu.conntrack.seqadj import make_room
from tcemu.conntrack.table import Conntrack
from tcemu.engine.program import Chain, Counter, Env, Op
from tcemu.fields import (
    CT_FLOWER,
    CT_LABEL,
    CT_MARK,
    CT_STATE,
    CT_ZONE,
    FCT_EST,
    FCT_INV,
    FCT_NEW,
    FCT_REL,
    FCT_RPL,
    FCT_TRK,
    G_CT,
    G_IP4,
    G_IP6,
    G_PPPOE,
    G_VLAN,
    IP_IHL,
    L4PROTO,
    NCT_ESTABLISHED,
    NCT_INVALID,
    NCT_NEW,
    NCT_RELATED,
    NCT_UNTRACKED,
    NETPROTO,
    VLAN_ETHTYPE,
)
from tcemu.ir.verdict import STOLEN
from tcemu.offload.flows import ActCtTable
from tcemu.packet.numbers import COMPILED
from tcemu.packet.packet import ESTABLISHED, ESTABLISHED_REPLY, IS_REPLY, NEW, RELATED, RELATED_REPLY, UNTRACKED, Packet
from tcemu.packet.protocols import ETH_P_8021AD, ETH_P_8021Q, ETH_P_IP, ETH_P_IPV6, IPPROTO_TCP
from tcemu.packet.rewrite import trim_to_ip
from tcemu.packet.tags import net_offset

NF_ACCEPT: Final = 1
TCP_HEADER: Final = 20
CT_SLOTS: Final = slice(CT_FLOWER, CT_STATE + 1)
# by ctinfo: established, related, new, and the first two in the reply direction
FLOWER_STATES: Final = (
    FCT_TRK | FCT_EST,
    FCT_TRK | FCT_REL,
    FCT_TRK | FCT_NEW,
    FCT_TRK | FCT_EST | FCT_RPL,
    FCT_TRK | FCT_REL | FCT_RPL,
)
NFT_STATES: Final = (NCT_ESTABLISHED, NCT_RELATED, NCT_NEW, NCT_ESTABLISHED, NCT_RELATED)


def show_ct(p: Packet) -> None:
    """Put what conntrack knows into the packet's slots.

    flower reads net/core/flow_dissector.c skb_flow_dissect_ct with fl_ct_info_to_flower_map (cls_flower.c); nft reads
    net/netfilter/nft_ct.c nft_ct_get_eval.
    """
    f = p.f
    ct = p.ct
    info = p.ctinfo
    if not COMPILED and ct is not None and info <= RELATED_REPLY:
        # the six slots stand side by side, and CPython sets them at once
        p.groups |= G_CT
        labels = ct.labels
        if labels is None:
            p.slots[CT_SLOTS] = (FLOWER_STATES[info], ct.zone, ct.mark, 0, 0, NFT_STATES[info])
        else:
            p.slots[CT_SLOTS] = (FLOWER_STATES[info], ct.zone, ct.mark, labels.high, labels.low, NFT_STATES[info])
        return
    if ct is None:
        f[CT_MARK] = f[CT_LABEL] = f[CT_LABEL + 1] = 0
        f[CT_STATE] = NCT_UNTRACKED if info == UNTRACKED else NCT_INVALID
        if p.tracked:
            f[CT_FLOWER] = FCT_TRK | FCT_INV
            f[CT_ZONE] = p.track_zone
            p.groups |= G_CT
        else:
            f[CT_FLOWER] = f[CT_ZONE] = 0
            p.groups &= ~G_CT
        return
    p.groups |= G_CT
    f[CT_ZONE] = ct.zone
    f[CT_MARK] = ct.mark
    f[CT_LABEL] = ct.label_high
    f[CT_LABEL + 1] = ct.label_low
    if info == ESTABLISHED:
        f[CT_FLOWER] = FCT_TRK | FCT_EST
        f[CT_STATE] = NCT_ESTABLISHED
    elif info == ESTABLISHED_REPLY:
        f[CT_FLOWER] = FCT_TRK | FCT_EST | FCT_RPL
        f[CT_STATE] = NCT_ESTABLISHED
    elif info == NEW:
        f[CT_FLOWER] = FCT_TRK | FCT_NEW
        f[CT_STATE] = NCT_NEW
    elif info == RELATED:
        f[CT_FLOWER] = FCT_TRK | FCT_REL
        f[CT_STATE] = NCT_RELATED
    elif info == RELATED_REPLY:
        f[CT_FLOWER] = FCT_TRK | FCT_REL | FCT_RPL
        f[CT_STATE] = NCT_RELATED


def _is_ip(p: Packet) -> bool:
    """tcf_ct_skb_nf_family by the ethertype behind the tag, and room for a header (tcf_ct_ipv4_is_fragment).

    Two tags are one too many: vlan_get_protocol looks for the inner one in front of skb->data, which already stands behind the
    Ethernet header here, and takes bytes of the IP header for an ethertype (include/linux/if_vlan.h __vlan_get_protocol_offset).
    """
    if (p.groups & G_VLAN) != 0 and p.f[VLAN_ETHTYPE] in (ETH_P_8021Q, ETH_P_8021AD):
        return False
    if (p.groups & (G_IP4 | G_IP6)) != 0:
        return (p.groups & G_PPPOE) == 0
    kind = p.f[NETPROTO]
    room = p.end - net_offset(p)
    return (kind == ETH_P_IP and room >= 20) or (kind == ETH_P_IPV6 and room >= 40)


class TrackOp(Op):
    """tcf_ct_act. In order: clear? → L3 only → defragment → trim → cached? → flow table → conntrack → NAT → commit → offload."""

    def __init__(self, then: i64, to: Chain | None, number: i64, counter: Counter | None, zone: i64, flows: ActCtTable) -> None:
        super().__init__(then, to, number, counter)
        self.zone: i64 = zone
        self.flows: ActCtTable = flows
        self.commit: bool = False
        self.force: bool = False
        self.clear: bool = False
        self.mark: i64 = 0
        self.mark_mask: i64 = 0
        self.label_high: i64 = 0
        self.label_low: i64 = 0
        self.label_mask_high: i64 = 0
        self.label_mask_low: i64 = 0
        self.helper: str = ""
        self.helper_proto: i64 = 0
        self.helper_family: i64 = 0
        self.nat: bool = False
        self.range: NatRange | None = None

    def run(self, env: Env, p: Packet) -> i64:
        self.count(env)
        if self.clear:
            p.tracked = False
            if p.ct is not None:
                p.ct = None
                p.ctinfo = UNTRACKED
            show_ct(p)
            return self.leave(env)
        if not _is_ip(p):
            p.reason = "ct: the packet is neither IPv4 nor IPv6"
            return self.drop(env)
        if (p.groups & (G_IP4 | G_IP6)) != 0:
            held = env.defragment(p, self.zone)
            if held > 0:
                return STOLEN
            if held < 0 or not trim_to_ip(p):
                p.reason = p.reason or "ct: bad fragment or length"
                return self.drop(env)
        elif is_odd_fragment(p):
            return STOLEN
        # else conntrack finds the header broken, and the packet invalid
        code = self._track(env, p)
        if code < 0:
            return self.drop(env)
        p.tracked = True
        p.track_zone = self.zone
        show_ct(p)
        watch = env.observer
        if watch is not None:
            watch.say("ct", env.ask("ct", p))
        return self.leave(env)

    def _track(self, env: Env, p: Packet) -> i64:
        """From the lookup to the offload; -1 to drop."""
        table = env.conntrack
        cached = self._cached(env, p)
        skip_add = False
        if not cached:
            pieces = p.pieces
            if pieces is not None and pieces[0] < TCP_HEADER and p.f[L4PROTO] == IPPROTO_TCP and p.f[IP_IHL] == 5:
                p.pieces = (
                    None  # tcf_ct_flow_table_fill_tuple_ipv4 pulls the whole header into the first piece, and the pieces no longer suit
                )
            if self.flows.lookup(table, p, env.now):
                skip_add = True
                env.in_hardware = env.in_hardware and self.flows.in_hardware
            else:
                env.in_hardware = False
                p.ct = None
                p.ctinfo = NEW
                if table.track(p, self.zone, 3, True) != NF_ACCEPT:
                    return 0
        ct = p.ct
        if not isinstance(ct, Entry):
            return 0
        if self.helper != "" and not cached and (ct.status & (CONFIRMED | EXPECTED)) == 0:
            self._assign(ct)  # init_conntrack, by the template
        if self.nat and act_nat(table, p, self.range, self.commit) != NF_ACCEPT:
            p.reason = p.reason or "ct: translation failed"
            return -1
        if self.flows.helps and self._help(table, p, ct, not cached and not skip_add) != NF_ACCEPT:
            p.reason = p.reason or "ct: the helper drops the packet"
            return -1
        if self.commit:
            ct.mark = (ct.mark & ~self.mark_mask & 0xFFFFFFFF) | self.mark
            if self.label_mask_high != 0 or self.label_mask_low != 0:
                ct.has_labels = True
                ct.label_high = (ct.label_high & ~self.label_mask_high) | self.label_high
                ct.label_low = (ct.label_low & ~self.label_mask_low) | self.label_low
            if table.confirm(p) != NF_ACCEPT:
                p.reason = p.reason or "ct: the entry was not confirmed"
                return -1
        now_ct = p.ct
        if not skip_add and isinstance(now_ct, Entry):
            self.flows.offer(now_ct, p, env.now)
        return 0

    def _assign(self, ct: Entry) -> None:
        """__nf_ct_try_assign_helper."""
        if (ct.status & HELPER) == 0:
            ct.helper = self.helper
            ct.status |= HELPER

    def _help(self, table: Conntrack, p: Packet, ct: Entry, fresh: bool) -> i64:
        """The helper has its look at a packet that this action tracked (``fresh``), or that commit confirms (Linux 6.2)."""
        confirmed = (ct.status & CONFIRMED) != 0
        added = False
        if not confirmed and self.commit and self.helper != "" and ct.helper == "":
            self._assign(ct)
            added = True
            if self.nat:
                make_room(ct)
        if not (fresh or added if confirmed else self.commit):
            return NF_ACCEPT
        if self.helper != "" and (ct.family != self.helper_family or ct.proto != self.helper_proto):
            return NF_ACCEPT
        return table.help(p, ct)

    def _cached(self, env: Env, p: Packet) -> bool:
        """tcf_ct_skb_nfct_cached: the packet was tracked in this zone already."""
        ct = p.ct
        if ct is None:
            return False
        if ct.zone == self.zone and (self.helper == "" or not isinstance(ct, Entry) or ct.helper in ("", self.helper)):
            if not self.force or p.ctinfo < IS_REPLY:
                return True
            # "force" wants this direction to be the original one
            if isinstance(ct, Entry):
                env.conntrack.kill(ct)
        p.ct = None
        p.ctinfo = UNTRACKED
        return False
