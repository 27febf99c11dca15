"""What nft or the kernel would refuse, told before anybody loads it, in the tools' own words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from tcemu.lint.catalogue import Rule, rule
from tcemu.lint.finding import Finding, Fix
from tcemu.nft.refusal import EMLINK, ENOENT, EOPNOTSUPP, KernelError
from tcemu.nft.tree import Body, Command
from tcemu.nft.tree import Rule as WrittenRule

if TYPE_CHECKING:
    from tcemu.lint.subject import NftText, Subject
    from tcemu.nft.errors import NftError

CHECKED: Final = "checked with nft 1.0.6"
TAKING_AWAY: Final = ("delete", "flush", "rename", "reset", "list", "replace")
# beginnings and pieces of nft's messages, by the rule that speaks of them
BY_WORDS: Final = (
    ("NF001", ("expecting newline or semicolon",)),
    (
        "NF002",
        ("conflicting protocols specified", "meta nfproto is only useful", "protocol specification is invalid", "incompatible icmp match"),
    ),
    ("NF003", ("Statement after terminal statement",)),
    ("NF004", ("conflicting intervals specified", "interval overlaps with an existing one")),
    ("NF005", ("Interface does not exist",)),
    ("NF008", ("specify `dnat ip", "specify `snat ip", "ip or ip6 must be specified with address", "specify either ip or ip6")),
    ("NF012", ("You must add 'flags interval'", "flags interval")),
)


def classified(subject: Subject) -> Iterator[tuple[str, NftText, NftError]]:
    """Everything that was wrong with texts of nft, with the id of the rule that speaks of it."""
    for text in subject.nft:
        for error in text.errors:
            yield _class(text, error), text, error


def _class(text: NftText, error: NftError) -> str:
    for name, pieces in BY_WORDS:
        if any(piece in error.message for piece in pieces):
            return name
    command = command_at(text, error)
    if error.message.startswith("Could not process rule"):
        return _refused(command, error)
    if (
        error.message.startswith((ENOENT, "Table", "Set", "Chain")) and "o such file" in error.message
    ) or "does not exist" in error.message:
        return "NF010" if command is not None and command.op in TAKING_AWAY else "NF009"
    return "NF000"


def _refused(command: Command | None, error: NftError) -> str:
    if command is None:
        return "NF000"
    if ENOENT in error.message:
        if command.op in TAKING_AWAY:
            return "NF010"
        return "NF011" if command.what == "flowtable" else "NF009"
    if EMLINK in error.message:
        return "NF101"
    if EOPNOTSUPP in error.message and command.what == "chain" and isinstance(command.body, Body):
        kind, hook = command.body.values.get("type"), str(command.body.values.get("hook", ""))
        if kind == "nat":
            return "NF006" if hook in ("prerouting", "input", "output", "postrouting") else "NF007"
    if EOPNOTSUPP in error.message and command.what in ("set", "map") and isinstance(command.body, Body):
        flags = [str(flag) for flag in command.body.values.get("flags", ())]
        if "interval" in flags and "dynamic" in flags:
            return "NF207"
    if EOPNOTSUPP in error.message and command.what == "rule":
        return "NF1XX"  # what may not stand in a hook: rules of their own find these in the ruleset
    return "NF000"


def command_at(text: NftText, error: NftError) -> Command | None:
    """The innermost command that a message is about."""
    if not error.places:
        return None
    at = error.places[0]
    best: Command | None = None

    def look(command: Command) -> None:
        nonlocal best
        if _spans(command, at[0]) and (best is None or command.at[1] - command.at[0] <= best.at[1] - best.at[0] or best.at[0] < 0):
            best = command
        if isinstance(command.body, Body):
            for member in command.body.members:
                inner: Any = member
                if isinstance(inner, Command):
                    look(inner)
                elif inner.at[0] <= at[0] < max(inner.at[1], inner.at[0] + 1):
                    best = Command(inner.at, "add", "rule", command.spec, inner)

    for command in text.commands:
        look(command)
    return best


def _spans(command: Command, at: int) -> bool:
    spec = command.spec
    places = [command.at, spec.at, spec.name_at, spec.table_at, spec.handle_at]
    if isinstance(command.body, Body):
        places.append(command.body.at)
    return any(low <= at < max(high, low + 1) for low, high in places if low >= 0)


def told(subject: Subject, rule: Rule) -> Iterator[Finding]:
    """The findings of a rule that passes on what nft or the kernel says."""
    for name, text, error in classified(subject):
        if name == rule.id:
            yield _finding(subject, rule, text, error)


def _finding(subject: Subject, rule: Rule, text: NftText, error: NftError) -> Finding:
    spans = tuple(subject.span(text, place) for place in error.places)
    words = error.message.removeprefix("Could not process rule: ")
    message = f"the kernel refuses it: {words}" if isinstance(error, KernelError) else words
    if not any(spans) and text.parser.lexer.sources:
        from tcemu.diagnostics import Span

        spans = (Span(text.parser.lexer.sources[0].name, 1, 1, 1),)
    return rule.at(subject, spans, message)


@rule(
    "NF000",
    "error",
    "nft does not take it",
    why="""nft or the kernel refuses the text, for a reason that no other rule of this catalogue speaks of. The whole file would not load,
        because nft loads a file in one transaction.""",
    bad=(
        "table inet f {\n  chain input {\n    type filter hook input priority 0\n    tpc dport 22 accept\n  }\n}",
        "table inet f {\n  chain input {\n    tcp dport 70000 accept\n  }\n}",
    ),
    good=(
        "table inet f {\n  chain input {\n    type filter hook input priority 0\n    tcp dport 22 accept\n  }\n}",
        "table inet f {\n  chain input {\n    tcp dport 65535 accept\n  }\n}",
    ),
    fix="read the message: it is nft's own",
    source=f"nftables src/parser_bison.y, src/evaluate.c; {CHECKED}",
)
def refused(subject: Subject, rule: Rule) -> Iterator[Finding]:
    placed = list(subject_hooked(subject))
    for name, text, error in classified(subject):
        if name == "NF000" or (name == "NF1XX" and not (placed and _of_hooks(text, error))):
            yield _finding(subject, rule, text, error)


def _of_hooks(text: NftText, error: NftError) -> bool:
    """Is the rule that was refused one that translates, rejects or offloads, or that jumps to such?"""
    command = command_at(text, error)
    stmts = command.body.stmts if command is not None and isinstance(command.body, WrittenRule) else []
    return any(
        stmt.kind in ("nat", "reject", "flow", "chain", "vmap") or getattr(stmt.args.get("verdict"), "chain", None) is not None
        for stmt in stmts
    )


def subject_hooked(subject: Subject) -> Iterator[Finding]:
    """What NF102, NF103 and FT001 find: the refusals of hooks that have rules of their own."""
    from tcemu.lint.rules import flowtables, hooks

    for one in (hooks.nat_hook, hooks.reject_hook, flowtables.offload_hook):
        yield from one.check(subject, one)


@rule(
    "NF001",
    "error",
    "a rule or setting is not ended",
    why="""Before the closing brace of a block nft wants a newline or a semicolon behind the last rule; on one line the semicolon is needed.""",
    bad=(
        "table ip f { chain input { tcp dport 22 accept } }",
        "table inet f {\n  chain c { ip saddr 10.0.0.1 drop }\n}",
    ),
    good=(
        "table ip f { chain input { tcp dport 22 accept; }; }",
        "table inet f {\n  chain c {\n    ip saddr 10.0.0.1 drop\n  }\n}",
    ),
    fix="put a semicolon or a newline in front of the brace",
    source=f"nftables src/parser_bison.y (stmt_separator); {CHECKED}",
)
def unended(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for found in told(subject, rule):
        span = found.spans[0] if found.spans else None
        brace = span is not None and subject.line(span)[span.column - 1 : span.end - 1] == "}"
        yield found._replace(fixes=(Fix(span, ";}"),)) if brace and span is not None else found


@rule(
    "NF002",
    "error",
    "protocols that exclude each other in one rule",
    why="""A rule that asks for tcp and udp, for ip and ip6, or for a protocol that the table's family does not carry can match no packet; nft
        refuses what it can see of this.""",
    bad=(
        "table inet f {\n  chain c {\n    tcp dport 53 udp dport 53 accept\n  }\n}",
        "table ip f {\n  chain c {\n    ip6 saddr fe80::/10 accept\n  }\n}",
        "table inet f {\n  chain c {\n    ip saddr 10.0.0.1 ip6 daddr ::1 drop\n  }\n}",
    ),
    good=(
        "table inet f {\n  chain c {\n    meta l4proto { tcp, udp } th dport 53 accept\n  }\n}",
        "table inet f {\n  chain c {\n    ip6 saddr fe80::/10 accept\n  }\n}",
    ),
    fix="write one rule for each, or match `meta l4proto { tcp, udp } th dport …`",
    source=f"nftables src/evaluate.c (resolve_protocol_conflict); {CHECKED}",
)
def conflicting(subject: Subject, rule: Rule) -> Iterator[Finding]:
    yield from told(subject, rule)


@rule(
    "NF003",
    "error",
    "a statement behind a verdict that ends the rule",
    why="""accept, drop, reject, jump and the like end a rule: what stands behind them in the same rule could never run, and nft refuses it.
        Logging and counting go in front of the verdict.""",
    bad=(
        "table ip f {\n  chain c {\n    tcp dport 22 accept counter\n  }\n}",
        'table ip f {\n  chain c {\n    drop log prefix "dropped "\n  }\n}',
    ),
    good=(
        "table ip f {\n  chain c {\n    tcp dport 22 counter accept\n  }\n}",
        'table ip f {\n  chain c {\n    log prefix "dropped " drop\n  }\n}',
    ),
    fix="move the statement in front of the verdict",
    source=f"nftables src/evaluate.c (rule_evaluate); {CHECKED}",
)
def behind_verdict(subject: Subject, rule: Rule) -> Iterator[Finding]:
    yield from told(subject, rule)


@rule(
    "NF004",
    "error",
    "elements of a set overlap",
    why="""Elements of an interval set may not overlap unless the set says auto-merge. Lists that are generated or fetched (block lists,
        providers' prefixes) overlap sooner or later, and then the reload of the whole ruleset fails.""",
    bad=(
        "table ip f {\n  set bad {\n    type ipv4_addr; flags interval\n    elements = { 10.0.0.0/8, 10.1.0.0/16 }\n  }\n}",
        "table ip f {\n  chain c {\n    tcp dport vmap { 20-30 : accept, 25 : drop }\n  }\n}",
    ),
    good=(
        "table ip f {\n  set bad {\n    type ipv4_addr; flags interval; auto-merge\n    elements = { 10.0.0.0/8, 10.1.0.0/16 }\n  }\n}",
        "table ip f {\n  set bad {\n    type ipv4_addr; flags interval\n    elements = { 10.0.0.0/8, 11.1.0.0/16 }\n  }\n}",
    ),
    fix="add `auto-merge` to the set, or remove the narrower element",
    source=f"nftables src/intervals.c (set_overlap); firewalld#1344; {CHECKED}",
)
def overlapping(subject: Subject, rule: Rule) -> Iterator[Finding]:
    yield from told(subject, rule)


@rule(
    "NF006",
    "error",
    "a nat chain in front of connection tracking",
    why="""Chains of type nat work on connections, which are looked up at priority -200; at or before that the kernel refuses them.""",
    bad=(
        "table ip n {\n  chain pre {\n    type nat hook prerouting priority -300\n  }\n}",
        "table ip n {\n  chain post {\n    type nat hook postrouting priority raw\n  }\n}",
    ),
    good=(
        "table ip n {\n  chain pre {\n    type nat hook prerouting priority dstnat\n  }\n}",
        "table ip n {\n  chain pre {\n    type nat hook prerouting priority -199\n  }\n}",
    ),
    fix="use priority dstnat (-100) in prerouting and output, srcnat (100) in postrouting and input",
    source=f"Linux net/netfilter/nf_tables_api.c (nft_chain_parse_hook); man nft, CHAINS; {CHECKED}",
)
def early_nat(subject: Subject, rule: Rule) -> Iterator[Finding]:
    yield from told(subject, rule)


@rule(
    "NF007",
    "error",
    "a nat chain in a hook that translates nothing",
    why="""Chains of type nat exist for prerouting, input, output and postrouting. There is nothing to translate in forward.""",
    bad=(
        "table ip n {\n  chain through {\n    type nat hook forward priority 0\n  }\n}",
        "table inet n {\n  chain through {\n    type nat hook forward priority 100\n  }\n}",
    ),
    good=(
        "table ip n {\n  chain through {\n    type filter hook forward priority 0\n  }\n}",
        "table ip n {\n  chain post {\n    type nat hook postrouting priority srcnat\n  }\n}",
    ),
    fix="move it to prerouting (dnat) or postrouting (snat, masquerade)",
    source=f"Linux net/netfilter/nft_chain_nat.c (hook_mask); {CHECKED}",
)
def forward_nat(subject: Subject, rule: Rule) -> Iterator[Finding]:
    yield from told(subject, rule)


@rule(
    "NF008",
    "error",
    "dnat or snat in an inet table does not say for which family",
    why="""In a table of family inet a translation to an address must say `dnat ip to` or `dnat ip6 to`, unless a match before it settles it.""",
    bad=(
        "table inet n {\n  chain pre {\n    type nat hook prerouting priority dstnat\n    tcp dport 80 dnat to 10.0.0.2\n  }\n}",
        "table inet n {\n  chain post {\n    type nat hook postrouting priority srcnat\n    snat to 192.0.2.1\n  }\n}",
    ),
    good=(
        "table inet n {\n  chain pre {\n    type nat hook prerouting priority dstnat\n    tcp dport 80 dnat ip to 10.0.0.2\n  }\n}",
        "table ip n {\n  chain post {\n    type nat hook postrouting priority srcnat\n    snat to 192.0.2.1\n  }\n}",
    ),
    fix="write `dnat ip to` or `dnat ip6 to`",
    source=f"nftables src/evaluate.c (stmt_evaluate_nat); {CHECKED}",
)
def nat_family(subject: Subject, rule: Rule) -> Iterator[Finding]:
    yield from told(subject, rule)


RULES: Final = (
    refused,
    unended,
    conflicting,
    behind_verdict,
    overlapping,
    early_nat,
    forward_nat,
    nat_family,
)
