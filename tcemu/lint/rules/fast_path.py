"""What goes by the rules on the fast path, and what never takes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tcemu.ir.step import Do
from tcemu.lint import claims
from tcemu.lint.asks import drops, has, looks_at, one
from tcemu.lint.catalogue import Rule, rule
from tcemu.lint.finding import Claim, Finding
from tcemu.lint.rules.hooks import chain, table_of
from tcemu.lint.space import Box, both, covers

if TYPE_CHECKING:
    from tcemu.lint.subject import Subject
from tcemu.lint.rules.flowtables import ADD, FT, flowtables, offloads, table_key


@rule(
    "FT007",
    "warning",
    "connections with a helper are offered, and never offloaded",
    why="""Connections with a helper (FTP, SIP) must be seen packet by packet; the kernel does not offload them, and what they expect neither. They take the slow path, and where
        the chain drops what is not offloaded, none.""",
    bad=(
        table_of(
            'ct helper ftp-21 {\n    type "ftp" protocol tcp\n  }',
            FT,
            chain("prerouting", 'tcp dport 21 ct helper set "ftp-21"'),
            chain("forward", ADD, "ct state established accept", policy="drop"),
        ),
        table_of('ct helper sip {\n    type "sip" protocol udp\n  }', FT, chain("forward", 'udp dport 5060 ct helper set "sip"', ADD)),
    ),
    good=(
        table_of(
            'ct helper ftp-21 {\n    type "ftp" protocol tcp\n  }',
            FT,
            chain("prerouting", 'tcp dport 21 ct helper set "ftp-21"'),
            chain("forward", 'ct helper != "ftp" ' + ADD, "ct state established,related accept", policy="drop"),
        ),
        table_of(FT, chain("forward", ADD, "ct state established,related accept")),
    ),
    fix='leave them out (`ct helper != "ftp"`), and accept established and related behind it',
    source="Linux nft_flow_offload.c (nf_ct_ext_exist NF_CT_EXT_HELPER)",
)
def helpers(subject: Subject, rule: Rule) -> Iterator[Finding]:
    assigned = [
        (other, number)
        for other in subject.view.all
        for number, step in enumerate(other.rule.steps)
        if isinstance(step, Do) and "/ct helper " in step.obj
    ]
    if not assigned:
        return
    for found, step, _effect in offloads(subject):
        if not looks_at(found, ("ct helper", "ct.helper")) and not has(found, "th.dport"):
            spans = (subject.step_place(found.key, step), subject.step_place(*((assigned[0][0].key, assigned[0][1]))))
            yield rule.at(subject, spans, "connections with this helper are tried here and never offloaded", found.key)
            return


@rule(
    "FT008",
    "warning",
    "ingress rules and the flowtable: which comes first",
    why="""A flowtable is looked up at the ingress hook of its devices. A chain there of the same or a higher priority number does not see packets of offloaded connections; one in front of it
        filters them still.""",
    bad=(
        table_of(FT, chain("forward", ADD))
        + "\ntable netdev n {\n  chain in {\n    type filter hook ingress device wan priority 10; policy accept;\n    ip saddr 192.0.2.66 drop\n  }\n}",
        table_of(FT, chain("forward", ADD))
        + "\ntable netdev n {\n  chain in {\n    type filter hook ingress device lan priority 0; policy accept;\n    ip saddr 192.0.2.66 counter drop\n  }\n}",
    ),
    good=(
        table_of(FT, chain("forward", ADD))
        + "\ntable netdev n {\n  chain in {\n    type filter hook ingress device wan priority -10; policy accept;\n    ip saddr 192.0.2.66 drop\n  }\n}",
        table_of(FT, chain("forward", ADD))
        + "\ntable netdev n {\n  chain in {\n    type filter hook ingress device dmz priority 10; policy accept;\n    ip saddr 192.0.2.66 drop\n  }\n}",
    ),
    fix="give the chain a lower priority number than the flowtable, or the flowtable a higher one",
    source="Linux nf_flow_table_inet.c; man nft, FLOWTABLES: hook and priority",
)
def ingress_order(subject: Subject, rule: Rule) -> Iterator[Finding]:
    used = {table_key(found, effect) for found, _, effect in offloads(subject)}
    for record in flowtables(subject):
        for base in subject.view.bases:
            late = base.hook == "ingress" and base.priority >= record.priority and base.device in record.devices
            if late and record.key in used and any(drops(other) for other in subject.view.rules(base.chain)):
                message = (
                    f"at priority {base.priority}, behind flowtable {record.name} ({record.priority}): it does not see what is offloaded"
                )
                yield rule.at(subject, (subject.place(base.chain), subject.place(record.key)), message, base.chain)


@rule(
    "FT009",
    "warning",
    "hardware offload that this device or these packets do not have",
    why="""`flags offload` asks the driver of each device. Virtual devices, bridges, tunnels and most drivers refuse, and then the flowtable does not load; only IPv4 and
        IPv6 over TCP and UDP are taken.""",
    bad=(
        table_of(FT.replace("counter", "flags offload; counter").replace("lan, wan", "br-lan, eth0"), chain("forward", ADD)),
        table_of(FT.replace("counter", "flags offload; counter").replace("lan, wan", "wg0, eth0"), chain("forward", ADD)),
    ),
    good=(
        table_of(FT.replace("counter", "flags offload; counter").replace("lan, wan", "eth1, eth0"), chain("forward", ADD)),
        table_of(FT.replace("lan, wan", "br-lan, eth0"), chain("forward", ADD)),
    ),
    fix="list the physical devices, or leave `flags offload` out",
    source="Linux nf_flow_table_offload.c (nf_flow_table_offload_setup); man nft, FLOWTABLES",
)
def hardware(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for record in flowtables(subject):
        if not record.hardware:
            continue
        soft = [name for name in record.devices if _virtual(subject, name)]
        if soft:
            yield rule.at(
                subject, subject.place(record.key), f"{', '.join(soft)}: a virtual device has no hardware to offload to", record.key
            )


def _virtual(subject: Subject, name: str) -> bool:
    device = subject.host.devices.get(name)
    kinds = ("bridge", "wireguard", "tun", "vxlan", "gre", "veth", "ifb", "loopback", "vlan", "geneve", "ppp", "macvlan", "ipvlan")
    if device is not None and device.kind in kinds and subject.known_host:
        return True
    return name.startswith(("br-", "br0", "bridge", "wg", "tun", "tap", "vxlan", "gre", "veth", "ifb", "ppp", "docker", "virbr"))


TC: Final = (
    "tc qdisc add dev eth0 clsact\ntc filter add dev eth0 ingress protocol ip flower ip_proto tcp action mirred egress redirect dev eth1\n"
)


@rule(
    "FT010",
    "warning",
    "tc sends packets away before nft sees them",
    why="""tc's ingress filters run before netfilter: what they redirect is seen by no table, neither by its filters nor by its flowtable. Rules of nft for these packets
        do nothing.""",
    bad=(
        TC + "nft -f - <<EOF\n" + table_of(chain("forward", 'iifname "eth0" tcp dport 80 drop')) + "\nEOF",
        TC + "nft -f - <<EOF\n" + table_of(chain("prerouting", 'iifname "eth0" meta l4proto tcp counter')) + "\nEOF",
    ),
    good=(
        TC + "nft -f - <<EOF\n" + table_of(chain("forward", 'iifname "eth0" udp dport 53 drop')) + "\nEOF",
        TC + "nft -f - <<EOF\n" + table_of(chain("forward", 'iifname "eth9" tcp dport 80 drop')) + "\nEOF",
    ),
    fix="filter in tc, or in the netdev family behind the redirect's other end",
    source="man tc-mirred; Linux net/core/dev.c (__netif_receive_skb_core)",
)
def never_seen(subject: Subject, rule: Rule) -> Iterator[Finding]:
    from tcemu.ir.effect import Output
    from tcemu.lint.asks import name_value

    for found in subject.view.tc_all:
        redirects = [effect for _, effect in found.effects(Output) if isinstance(effect, Output) and not effect.copy]
        if not redirects or not found.chain.endswith("ingress/0") or not found.boxes or not found.boxes[0].exact:
            continue
        device = found.table.split(" ")[2]
        taken = Box(
            {dim: values for dim, values in found.boxes[0].dims.items() if dim not in ("meta.protocol", "meta.netproto", "frag.flags")}
        )
        index = subject.host.devices.get(device)
        for other in subject.view.all:
            for box in other.boxes:
                by_name = box.dims.get("meta iifname") == one(name_value(device))
                by_index = index is not None and box.dims.get("meta.iif") == one(index.rank)
                if (by_name or by_index) and covers(taken, box, frozenset()):
                    spans = (subject.place(other.key), subject.place(found.key))
                    message = f"tc redirects these packets on {device} before nft sees them"
                    base = claims.base_of(subject.view, other)
                    claim = Claim(base, (both(found.boxes[0], box),), other.key, (found.key,))
                    yield rule.at(subject, spans, message, other.key)._replace(claim=claim)
                    break


RULES: Final = (
    helpers,
    ingress_order,
    hardware,
    never_seen,
)
