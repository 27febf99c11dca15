"""Operation: what goes wrong when a ruleset lives on a machine with others, for long, and under load."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tcemu.diagnostics import Span
from tcemu.ir.effect import Count, Last, Limit, Log
from tcemu.ir.operand import Load
from tcemu.ir.step import Masked, Match, Member
from tcemu.lint.asks import drops
from tcemu.lint.catalogue import Rule, rule
from tcemu.lint.finding import Finding, Fix
from tcemu.lint.rules.hooks import chain, table_of
from tcemu.lint.rules.state import EST
from tcemu.lint.source import commands
from tcemu.nft.notes import RuleNote, unpack

if TYPE_CHECKING:
    from tcemu.lint.subject import Subject
    from tcemu.lint.view import RuleView

OWNERS: Final = (
    "docker",
    "libvirt",
    "firewalld",
    "kube",
    "cali-",
    "cilium",
    "f2b",
    "fail2ban",
    "lxc",
    "lxd",
    "incus",
    "podman",
    "netavark",
    "tailscale",
    "ts-input",
)
SERVICES: Final = (
    "docker",
    "libvirtd",
    "firewalld",
    "kubelet",
    "k3s",
    "fail2ban",
    "lxd",
    "incus",
    "podman",
    "tailscaled",
    "crowdsec-firewall-bouncer",
)
DEFAULT_MAX: Final = 262_144  # nf_conntrack_max on a machine with 4 GiB or more (nf_conntrack_core.c nf_conntrack_init_start)
DYNAMIC: Final = re.compile(
    r"(ppp|pppoe|wg|tun|tap|veth|docker|virbr|lxc|vnet|wwan|usb|br-|cni|cali|tailscale|wlan|vxlan|flannel)[\w.-]*|\w+\.\d+"
)


@rule(
    "OP001",
    "warning",
    "flush ruleset takes away what others have put there",
    why="""`flush ruleset` empties the tables of everybody. Docker, libvirt, Kubernetes, fail2ban and others keep theirs in the same kernel and do not put them back until they are
        restarted. Others are seen from --base and from services that the script names.""",
    bad=(
        "#!/bin/sh\nsystemctl restart docker\nnft -f - <<EOF\nflush ruleset\n" + table_of(chain("input", EST)) + "\nEOF",
        "#!/bin/sh\nnft flush ruleset\nnft add table inet f\nservice fail2ban start",
    ),
    good=(
        "#!/bin/sh\nsystemctl restart docker\nnft -f - <<EOF\ntable inet f\nflush table inet f\n" + table_of(chain("input", EST)) + "\nEOF",
        "#!/usr/sbin/nft -f\nflush ruleset\n" + table_of(chain("input", EST)),
    ),
    fix="declare and flush your own table: `table inet f` and `flush table inet f`",
    source="docker for-linux#1472; man nft, RULESET",
)
def flushes_others(subject: Subject, rule: Rule) -> Iterator[Finding]:
    others = sorted({name for name in subject.owners for owner in OWNERS if owner in name.lower()})
    for call in subject.calls:
        if call.tool in ("systemctl", "service", "docker"):
            others += [word.removesuffix(".service") for word in call.words if word.removesuffix(".service") in SERVICES]
            others += ["docker"] if call.tool == "docker" else []
    if not others:
        return
    names = ", ".join(dict.fromkeys(others[:4]))
    for text, command, _outer in commands(subject):
        if command.op == "flush" and command.what == "ruleset":
            yield rule.at(subject, subject.span(text, command.at), f"this takes away the rules of {names} too")


INCLUDE: Final = re.compile(r'^\s*include\s+"([^"]*[*?\[][^"]*)"')


@rule(
    "OP002",
    "warning",
    "an include that matches no file",
    why="""An include with a wildcard that matches nothing is silently empty: a renamed folder takes all its rules away, and nothing complains.""",
    bad=(
        'table inet f {\n  chain c {\n  }\n}\ninclude "no-such-folder-here/*.nft"',
        'include "./not-there-*.nft"\ntable ip f {\n}',
    ),
    good=(
        'include "/dev/nul*"\ntable inet f {\n  chain c {\n  }\n}',
        '# include "no-such-folder-here/*.nft"\ntable ip f {\n}',
    ),
    fix="correct the path, or include a file that must be there",
    source="man nft, INCLUDE FILES: wildcards",
)
def empty_include(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for text in subject.nft:
        for source in text.parser.lexer.sources[:1]:
            for number, line in enumerate(source.text.split("\n"), 1):
                found = INCLUDE.match(line)
                if found is None or any(glob.glob(path) for path in _paths(source.name, found[1])):
                    continue
                origin = text.origins[number - 1] if text.origins is not None else None
                span = Span(origin.file if origin else source.name, origin.line if origin else number, found.start(1) + 1, found.end(1) + 1)
                if os.path.isabs(found[1]) and not os.path.isdir(os.path.dirname(found[1])):
                    subject.doubt("whether an include matches a file", f"there is no {os.path.dirname(found[1])} on this machine", span)
                    continue
                yield rule.at(subject, span, "no file matches: the include is silently empty")


def _paths(name: str, pattern: str) -> list[str]:
    return [pattern] if os.path.isabs(pattern) else [pattern, os.path.join(os.path.dirname(name), pattern)]


@rule(
    "OP003",
    "warning",
    "more connections than the table holds",
    why="""When the connection table is full the kernel drops every new connection ("nf_conntrack: table full"). With --peak N the expected number is held against
        net.netfilter.nf_conntrack_max as the script or --host sets it, or its usual default of 262144.""",
    bad=(
        "sysctl -w net.netfilter.nf_conntrack_max=65536\nnft add table inet f",
        "#!/bin/sh\nsysctl net.netfilter.nf_conntrack_max=131072\nnft add table inet f\n",
    ),
    good=(
        "sysctl -w net.netfilter.nf_conntrack_max=1048576\nnft add table inet f",
        "#!/bin/sh\nsysctl -w net.netfilter.nf_conntrack_max=524288\nnft add table inet f",
    ),
    fix="raise nf_conntrack_max (and nf_conntrack_buckets), or shorten timeouts",
    source="felix#617; Linux Documentation/networking/nf_conntrack-sysctl.rst",
    options=("--peak", "200000"),
)
def too_many(subject: Subject, rule: Rule) -> Iterator[Finding]:
    if not subject.peak:
        return
    limit, span = DEFAULT_MAX, None
    for setting in subject.host.sysctls:
        if setting.key.endswith("nf_conntrack_max") and setting.value.isdigit():
            limit = int(setting.value)
    for call in subject.calls:
        for word in call.words if call.tool == "sysctl" else ():
            name, _, value = word.replace("/", ".").partition("=")
            if name.endswith("nf_conntrack_max") and value.strip().isdigit():
                limit, span = int(value), call.span
    if subject.peak > limit:
        place = span or next((Span(name, 1, 1, 2) for name in subject.texts), None)
        yield rule.at(subject, place, f"{subject.peak:,} connections are expected, and the table holds {limit:,}")


@rule(
    "OP004",
    "info",
    "drops that nobody can see",
    why="""A drop without a counter, a log or a comment leaves no trace: when something does not work, nobody sees which rule it was, nor why the rule is there.""",
    bad=(
        table_of(chain("input", EST, "ip saddr 192.0.2.0/24 drop", policy="accept")),
        table_of(chain("forward", "tcp dport 25 reject", "udp dport 19 drop")),
    ),
    good=(
        table_of(chain("input", EST, "ip saddr 192.0.2.0/24 counter drop")),
        table_of(chain("input", EST, 'ip saddr 192.0.2.0/24 drop comment "spammers"')),
    ),
    fix="add `counter`, or a comment",
    source="a habit of operators; nftables wiki, Counters",
)
def unseen(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for key in subject.view.nft_chains:
        if key.split("/")[0] in subject.based:
            continue
        silent = [other for other in subject.view.rules(key) if drops(other) and not _traced(other)]
        if silent:
            count = f"{len(silent)} rules of this chain drop" if len(silent) > 1 else "this rule drops"
            yield rule.at(subject, subject.place(silent[0].key), f"{count} without counter, log or comment", silent[0].key)


def _traced(other: RuleView) -> bool:
    return (
        any(isinstance(effect, Count | Log | Last) for _, effect, _ in other.acts)
        or bool(unpack(other.rule.note, RuleNote).comment)
        or any(getattr(step, "obj", "") for step in other.rule.steps)
    )


@rule(
    "OP005",
    "warning",
    "log without a limit",
    why="""Each packet writes a line: whoever can send packets fills the disk and keeps the kernel busy. A limit in front of the log, in a rule of its own, keeps the drop as it
        is.""",
    bad=(
        table_of(chain("input", EST, 'log prefix "dropped: " drop', policy="drop")),
        table_of(chain("forward", "tcp dport 23 log level info counter drop")),
    ),
    good=(
        table_of(chain("input", EST, 'limit rate 5/minute log prefix "dropped: "', policy="drop")),
        table_of(chain("input", EST, "ip saddr 192.0.2.0/24 log group 2 drop", policy="drop")),
    ),
    fix='put `limit rate 5/minute log prefix "…"` in a rule of its own, in front of the drop',
    source="man nft, LOG STATEMENT; a common outage",
)
def unlimited_log(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for other in subject.view.having(Log):
        limited = any(isinstance(effect, Limit) for _, effect, _ in other.acts) or any(
            "/limit " in getattr(step, "obj", "") for step in other.rule.steps
        )
        logs = [
            (step, effect)
            for step, effect in other.effects(Log)
            if isinstance(effect, Log) and effect.group is None and effect.level != "audit"
        ]
        if logs and not limited and not _limited_before(subject, other) and other.table.split("/")[0] not in subject.based:
            yield rule.at(
                subject, subject.step_place(other.key, logs[0][0]), "a line for each packet: whoever sends packets fills the log", other.key
            )


def _limited_before(subject: Subject, other: RuleView) -> bool:
    """Do all that jump to its chain, or the rule in front of it, limit what comes?"""
    callers = subject.view.callers.get(other.chain, [])
    if callers and all(any(isinstance(effect, Limit) for _, effect, _ in caller.acts) for caller in callers):
        return True
    rules = subject.view.rules(other.chain)
    at = next(number for number, one in enumerate(rules) if one.key == other.key)
    return any(isinstance(effect, Limit) for one in rules[:at] if one.verdict is not None for _, effect, _ in one.acts)


@rule(
    "OP006",
    "info",
    "iif for a device that comes and goes",
    why="""iif and oif keep the device's number: when a tunnel, a PPP link or a container's device goes and comes back it has another number, and the rule matches nothing until it is loaded
        again. iifname compares names, at a small cost.""",
    bad=(
        table_of(chain("input", 'iif "ppp0" tcp dport 22 drop')),
        table_of(chain("forward", "oif wg0 accept", "iif { tun0, eth0 } accept")),
    ),
    good=(
        table_of(chain("input", 'iifname "ppp0" tcp dport 22 drop')),
        table_of(chain("input", "iif lo accept", 'iif "eth0" tcp dport 22 accept')),
    ),
    fix="write iifname or oifname",
    source="mesh11sd#198, firewall4#84; man nft, META EXPRESSIONS",
)
def by_number(subject: Subject, rule: Rule) -> Iterator[Finding]:
    names = {device.rank: device.key for device in subject.host.devices}
    for other in subject.view.looking("meta.iif", "meta.oif"):
        for number, step in enumerate(other.rule.steps):
            if not isinstance(step, Match) or not isinstance(step.left, Load) or step.left.field not in ("meta.iif", "meta.oif"):
                continue
            values = [step.test.value] if isinstance(step.test, Masked) else []
            if isinstance(step.test, Member):
                values = [low[0] for low, high in subject.view.members.of(step.test.set) if low and low == high]
            moving = [names[value] for value in values if value in names and DYNAMIC.fullmatch(names[value])]
            if moving:
                span = subject.step_place(other.key, number)
                yield rule.at(
                    subject,
                    span,
                    f"{moving[0]} has another number when it comes back: this no longer matches then",
                    other.key,
                    fixes=_by_name(subject, span),
                )


def _by_name(subject: Subject, span: Span | None) -> tuple[Fix, ...]:
    """iif becomes iifname, where the word stands there."""
    if span is None:
        return ()
    text = subject.line(span)[span.column - 1 : span.end - 1]
    found = re.search(r"(?<![\w])(iif|oif)(?=[\s{\"])", text)
    if found is None:
        return ()
    start = span.column + found.start()
    return (Fix(Span(span.file, span.line, start, start + 3), f"{found[1]}name"),)


RULES: Final = (
    flushes_others,
    empty_include,
    too_many,
    unseen,
    unlimited_log,
    by_number,
)
