"""What a text names and is not there when it loads, told in the words of nft."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tcemu.lint.catalogue import Rule, rule
from tcemu.lint.finding import Finding

if TYPE_CHECKING:
    from tcemu.lint.subject import Subject
from tcemu.lint.rules.load import CHECKED, told


@rule(
    "NF005",
    "error",
    "iif or oif names an interface that is not there",
    why="""iif and oif are compared as numbers, which nft looks up when it loads the rule: without the interface the whole file does not load,
        as at boot before the network is up. Which interfaces there are is known with --host.""",
    bad=(
        'table inet f {\n  chain c {\n    iif "ppp7" accept\n  }\n}',
        "table inet f {\n  chain c {\n    oif { wg7, tun9 } drop\n  }\n}",
    ),
    good=(
        'table inet f {\n  chain c {\n    iifname "ppp7" accept\n  }\n}',
        "table inet f {\n  chain c {\n    iif lo accept\n  }\n}",
    ),
    fix="use iifname or oifname, which are compared when a packet comes",
    source=f"nixpkgs#71227; nftables src/meta.c (ifindex_type_parse); {CHECKED}",
    options=("--host", "-"),
)
def absent_interface(subject: Subject, rule: Rule) -> Iterator[Finding]:
    yield from told(subject, rule)


@rule(
    "NF009",
    "error",
    "a chain, set, flowtable or object that is not there",
    why="""A rule jumps to a chain, or looks into a set, that the ruleset does not have (or has only in another table: names are of their table).""",
    bad=(
        "table inet f {\n  chain c {\n    tcp dport 22 jump ssh\n  }\n}",
        "table inet f {\n  chain c {\n    ip saddr @blocked drop\n  }\n}",
        "table inet a {\n  set s { type ipv4_addr; }\n}\ntable inet b {\n  chain c {\n    ip saddr @s drop\n  }\n}",
    ),
    good=(
        "table inet f {\n  chain ssh {\n  }\n  chain c {\n    tcp dport 22 jump ssh\n  }\n}",
        "table inet f {\n  set blocked { type ipv4_addr; }\n  chain c {\n    ip saddr @blocked drop\n  }\n}",
    ),
    fix="declare it in the same table, in front of what uses it; with a ruleset that is there already, give it with --base",
    source=f"openNDS#649; Linux nf_tables_api.c (nft_verdict_init); {CHECKED}",
)
def undefined(subject: Subject, rule: Rule) -> Iterator[Finding]:
    yield from told(subject, rule)


@rule(
    "NF010",
    "error",
    "something is flushed or deleted that may not be there",
    why="""flush and delete fail when their object is not there, and with them the whole transaction: the first load after boot does nothing.""",
    bad=(
        "flush table inet f\ntable inet f {\n  chain c {\n  }\n}",
        "delete table ip nat\nadd table ip nat",
    ),
    good=(
        "add table inet f\nflush table inet f\ntable inet f {\n  chain c {\n  }\n}",
        "table ip nat\ndelete table ip nat\ntable ip nat {\n  chain c {\n  }\n}",
    ),
    fix="declare it first (`table inet f` and then `flush table inet f`), or use destroy (nft 1.0.7, Linux 6.3); or give --base",
    source=f"puppet-nftables#74; {CHECKED}",
)
def taking_away(subject: Subject, rule: Rule) -> Iterator[Finding]:
    yield from told(subject, rule)


@rule(
    "NF011",
    "error",
    "a flowtable's device is not there",
    why="""The devices of a flowtable must exist when it is loaded; VLANs, bridges and tunnels that come up later make the whole file fail.
        Which devices there are is known with --host.""",
    bad=(
        "table inet f {\n  flowtable ft {\n    hook ingress priority 0\n    devices = { lo, wan7 }\n  }\n}",
        "table ip f {\n  flowtable ft {\n    hook ingress priority 0\n    devices = { eth9 }\n  }\n}",
    ),
    good=(
        "table inet f {\n  flowtable ft {\n    hook ingress priority 0\n    devices = { lo }\n  }\n}",
        "table ip f {\n  flowtable ft {\n    hook ingress priority 0\n  }\n}",
    ),
    fix="order the load behind the devices, or add the flowtable's devices when they come up",
    source="nixpkgs#141802, firewalld#1230; Linux nf_tables_api.c (nf_tables_parse_netdev_hooks)",
    options=("--host", "-"),
)
def absent_device(subject: Subject, rule: Rule) -> Iterator[Finding]:
    yield from told(subject, rule)


@rule(
    "NF012",
    "error",
    "an interval in a set that holds none",
    why="""A prefix or a range can only be an element of a set with `flags interval`.""",
    bad=(
        "table ip f {\n  set bad {\n    type ipv4_addr\n    elements = { 10.0.0.0/8 }\n  }\n}",
        "table ip f {\n  set ports {\n    type inet_service\n  }\n}\nadd element ip f ports { 1000-2000 }",
    ),
    good=(
        "table ip f {\n  set bad {\n    type ipv4_addr; flags interval\n    elements = { 10.0.0.0/8 }\n  }\n}",
        "table ip f {\n  set bad {\n    type ipv4_addr\n    elements = { 10.0.0.1 }\n  }\n}",
    ),
    fix="add `flags interval` to the set",
    source=f"fail2ban#13; nftables src/evaluate.c (interval_set_eval); {CHECKED}",
)
def no_intervals(subject: Subject, rule: Rule) -> Iterator[Finding]:
    yield from told(subject, rule)


RULES: Final = (
    absent_interface,
    undefined,
    taking_away,
    absent_device,
    no_intervals,
)
