"""Hooks: what may not stand there, and what can never match there or comes too late or too early."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tcemu.ir.effect import Effect, Reject, SetCt, Translate
from tcemu.ir.operand import Bits, Key, Load, Operand
from tcemu.ir.step import Match, Not
from tcemu.lint import claims
from tcemu.lint.catalogue import Rule, rule
from tcemu.lint.finding import Finding
from tcemu.lint.view import Base, RuleView

if TYPE_CHECKING:
    from tcemu.lint.subject import Subject

PASSES: Final = "nft -c says nothing"


def table_of(*lines: str, head: str = "table inet f") -> str:
    """A small ruleset for an example."""
    return head + " {\n" + "\n".join(f"  {line}" for line in lines) + "\n}"


def chain(hook: str, *rules: str, policy: str = "accept", priority: str = "filter", kind: str = "filter", name: str = "") -> str:
    """A base chain for an example."""
    body = "".join(f"    {one}\n" for one in rules)
    return f"chain {name or hook} {{\n    type {kind} hook {hook} priority {priority}; policy {policy};\n{body}  }}"


@rule(
    "NF101",
    "error",
    "chains jump in a circle",
    why=f"""A chain that leads back to itself is refused by the kernel when a base chain leads to it ("Too many links"); {PASSES}.""",
    bad=(
        table_of(chain("input", "jump a"), "chain a {\n    jump b\n  }", "chain b {\n    tcp dport 22 jump a\n  }").replace(
            "  chain input", "  chain a {\n  }\n  chain b {\n  }\n  chain input", 1
        ),
        table_of("chain a {\n  }", chain("forward", "goto a"), "chain a {\n    ip saddr 10.0.0.1 goto a\n  }"),
    ),
    good=(
        table_of("chain b {\n  }", "chain a {\n    jump b\n  }", chain("input", "jump a", "jump b")),
        table_of("chain a {\n    tcp dport 22 return\n  }", chain("input", "jump a", "jump a")),
    ),
    fix="take one of the jumps out; return goes back to where the chain was called from",
    source="checked with nft 1.0.6 on Linux 6.18; Linux nf_tables_api.c (nft_chain_validate)",
)
def loop(subject: Subject, rule: Rule) -> Iterator[Finding]:
    view = subject.view
    told: set[str] = set()
    for start in view.nft_chains:
        if start in told or start not in view.below_strictly(start):
            continue
        ring = [key for key in view.below(start) if start in view.below_strictly(key)]
        told.update(ring)
        spans = tuple(
            subject.place(one.key) for key in ring for one in view.rules(key) if any(target in ring for target in view.targets(one))
        )
        names = " → ".join(key.rpartition("/")[2] for key in [*ring, start])
        if any(view.reach.get(key) for key in ring):
            yield rule.at(subject, spans[:4] or subject.place(start), f"chains jump in a circle: {names}", start)
    if not told:
        yield from too_deep(subject, rule)


def too_deep(subject: Subject, rule: Rule) -> Iterator[Finding]:
    """Too many links without a circle: chains that jump 16 deep."""
    from tcemu.lint.rules.load import told

    yield from told(subject, rule)


def _hooks(bases: list[Base]) -> str:
    return ", ".join(dict.fromkeys(base.hook for base in bases))


ALLOWED: Final = {
    "dnat": ("prerouting", "output"),
    "redirect": ("prerouting", "output"),
    "snat": ("postrouting", "input"),
    "masquerade": ("postrouting",),
}


@rule(
    "NF102",
    "error",
    "a translation in the wrong hook",
    why=f"""dnat and redirect work in prerouting and output, snat in postrouting and input, masquerade in postrouting, and all only in chains of
        type nat. Elsewhere the kernel refuses the rule (Operation not supported); {PASSES}.""",
    bad=(
        table_of(chain("prerouting", "oifname wan masquerade", kind="nat", priority="dstnat"), head="table ip n"),
        table_of(chain("postrouting", "tcp dport 80 dnat to 10.0.0.2", kind="nat", priority="srcnat"), head="table ip n"),
        table_of(chain("postrouting", "oifname wan masquerade"), head="table ip n"),
    ),
    good=(
        table_of(chain("postrouting", "oifname wan masquerade", kind="nat", priority="srcnat"), head="table ip n"),
        table_of(chain("prerouting", "tcp dport 80 dnat to 10.0.0.2", kind="nat", priority="dstnat"), head="table ip n"),
    ),
    fix="move the rule to a nat chain of the right hook",
    source="checked with nft 1.0.6 on Linux 6.18; Linux nft_nat.c (nft_nat_validate), nft_masq.c (nft_masq_validate), nft_redir.c",
)
def nat_hook(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for one in subject.view.having(Translate):
        for step, effect in one.effects(Translate):
            assert isinstance(effect, Translate)
            wrong = [base for base in subject.view.bases_of(one) if base.hook not in ALLOWED[effect.kind] or base.kind != "nat"]
            if wrong:
                where = f"a {wrong[0].kind} chain of hook {wrong[0].hook}"
                wanted = " or ".join(ALLOWED[effect.kind])
                yield rule.at(
                    subject,
                    (subject.step_place(one.key, step), subject.place(wrong[0].chain)),
                    f"{effect.kind} in {where}: the kernel takes it in nat chains of {wanted} only",
                    one.key,
                )


@rule(
    "NF103",
    "error",
    "reject in a hook that cannot answer",
    why=f"""reject works in input, forward and output (prerouting since Linux 5.9); in postrouting the kernel refuses it; {PASSES}.""",
    bad=(
        table_of(chain("postrouting", "oifname wan ip daddr 10.0.0.0/8 reject")),
        table_of(
            "chain no {\n    reject with tcp reset\n  }", chain("postrouting", "ip daddr 10.0.0.0/8 jump no"), head="table ip f"
        ).replace("reject with tcp reset", "reject"),
    ),
    good=(
        table_of(chain("forward", "oifname wan ip daddr 10.0.0.0/8 reject")),
        table_of(chain("postrouting", "oifname wan ip daddr 10.0.0.0/8 drop")),
    ),
    fix="reject in forward or output, or drop here",
    source="checked with nft 1.0.6 on Linux 6.18; Linux nft_reject.c (nft_reject_validate)",
)
def reject_hook(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for one in subject.view.having(Reject):
        for step, _effect in one.effects(Reject):
            wrong = [base for base in subject.view.bases_of(one) if base.hook in ("postrouting", "egress")]
            if wrong:
                spans = (subject.step_place(one.key, step), subject.place(wrong[0].chain))
                yield rule.at(
                    subject, spans, f"reject in hook {_hooks(wrong)}: the kernel takes it in prerouting, input, forward and output", one.key
                )


NEVER: Final = {
    "oif": ("prerouting", "input", "ingress"),
    "iif": ("output",),
}


def interface_side(operand: Operand) -> str:
    """``iif`` or ``oif`` where an operand looks at an interface (by index, name, type or group)."""
    if isinstance(operand, Bits):
        return interface_side(operand.of)
    name = operand.args[0] if isinstance(operand, Key) and operand.what == "meta" and operand.args else ""
    name = operand.field.removeprefix("meta.") if isinstance(operand, Load) else name
    return name[:3] if name in ("iif", "oif", "iifname", "oifname", "iiftype", "oiftype", "iifgroup", "oifgroup") else ""


@rule(
    "NF104",
    "warning",
    "an interface that is not known in this hook",
    why="""Where a packet goes is not known before routing, so that oif and oifname match nothing in prerouting and input; a packet of the machine's
        own came from nowhere, so that iif and iifname match nothing in output. The rule loads and never does anything.""",
    bad=(
        table_of(chain("prerouting", 'oifname "wan" drop')),
        table_of(chain("output", 'iifname "lan" tcp dport 25 drop')),
        table_of(chain("input", 'oifname "lo" accept')),
    ),
    good=(
        table_of(chain("forward", 'iifname "lan" oifname "wan" accept')),
        table_of(chain("postrouting", 'oifname "wan" counter')),
        table_of(chain("input", 'iifname "lo" accept')),
    ),
    fix="match the other side, or move the rule to forward or postrouting",
    source="checked on Linux 6.18; Linux net/netfilter/nft_meta.c (nft_meta_get_eval), include/linux/netfilter.h (nf_hook_state)",
)
def unknown_interface(subject: Subject, rule: Rule) -> Iterator[Finding]:
    names = [f"meta {side}{what}" for side in ("iif", "oif") for what in ("name", "type", "group")]
    for one in subject.view.looking("meta.iif", "meta.oif", *names):
        bases = subject.view.bases_of(one)
        for number, step in enumerate(one.rule.steps):
            if not isinstance(step, Match) or isinstance(step.test, Not):
                continue
            side = interface_side(step.left)
            if side and bases and all(base.hook in NEVER[side] for base in bases):
                spans = (subject.step_place(one.key, number), subject.place(bases[0].chain))
                found = rule.at(subject, spans, f"{side} is not known in hook {_hooks(bases)}: this never matches", one.key)
                yield found._replace(claim=claims.never(subject, one, (number,), one.boxes))


@rule(
    "NF107",
    "warning",
    "the zone is set when the connection has been looked up",
    why="""`ct zone set` writes what the lookup of the connection will use. The lookup is at priority -200: behind it the statement has no effect.""",
    bad=(
        table_of(chain("prerouting", 'iifname "blue" ct zone set 1', priority="mangle")),
        table_of(chain("output", "ct zone set 2", priority="filter")),
    ),
    good=(
        table_of(chain("prerouting", 'iifname "blue" ct zone set 1', priority="raw")),
        table_of(chain("output", "ct zone set 2", priority="-225")),
    ),
    fix="move the rule to a chain of priority raw (-300)",
    source="man nft, CONNTRACK STATEMENT; nftables doc/statements.txt; checked on Linux 6.18",
)
def late_zone(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for one, step, base in _ct_sets(subject, "zone"):
        if base.priority >= -200:
            spans = (subject.step_place(one.key, step), subject.place(base.chain))
            yield rule.at(
                subject, spans, f"the connection was looked up at priority -200, and this is at {base.priority}: no effect", one.key
            )


def _ct_sets(subject: Subject, key: str) -> Iterator[tuple[RuleView, int, Base]]:
    for one in subject.view.having(*SETTERS):
        for step, effect in one.effects(*SETTERS):
            if ct_key(effect) == key:
                for base in subject.view.bases_of(one)[:1]:
                    yield one, step, base


def ct_key(effect: Effect) -> str:
    """The key of the connection that an effect writes."""
    if isinstance(effect, SetCt):
        return effect.key
    target = getattr(effect, "target", None)
    if isinstance(target, Load) and target.field.startswith("ct."):
        return target.field[3:]
    if isinstance(target, Key) and target.what == "ct":
        return next((word for word in target.args if word not in ("original", "reply")), "")
    return ""


def _setters() -> tuple[type, ...]:
    from tcemu.ir.effect import Assign

    return (SetCt, Assign)


SETTERS: Final = _setters()


@rule(
    "NF108",
    "warning",
    "a helper is set before there is a connection",
    why="""`ct helper set` needs the packet's connection, which is looked up at priority -200: at or before that the statement does nothing.""",
    bad=(
        table_of(
            'ct helper ftp-21 {\n    type "ftp" protocol tcp\n  }',
            chain("prerouting", 'tcp dport 21 ct helper set "ftp-21"', priority="raw"),
        ),
        table_of(
            'ct helper ftp-21 {\n    type "ftp" protocol tcp\n  }',
            chain("prerouting", 'tcp dport 21 ct helper set "ftp-21"', priority="-200"),
        ),
    ),
    good=(
        table_of(
            'ct helper ftp-21 {\n    type "ftp" protocol tcp\n  }',
            chain("prerouting", 'tcp dport 21 ct helper set "ftp-21"', priority="filter"),
        ),
        table_of(
            'ct helper ftp-21 {\n    type "ftp" protocol tcp\n  }',
            chain("prerouting", 'tcp dport 21 ct helper set "ftp-21"', priority="mangle"),
        ),
    ),
    fix="move the rule behind priority -200, to priority filter",
    source="man nft, CT HELPER: the helper is assigned after conntrack lookup; Linux nft_ct.c (nft_ct_helper_obj_eval)",
)
def early_helper(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for one in subject.view.all:
        for number, step in enumerate(one.rule.steps):
            if "/ct helper " not in getattr(step, "obj", ""):
                continue
            early = [base for base in subject.view.bases_of(one) if base.priority <= -200]
            if early:
                spans = (subject.step_place(one.key, number), subject.place(early[0].chain))
                yield rule.at(
                    subject, spans, f"the connection is looked up at priority -200, and this is at {early[0].priority}: no effect", one.key
                )


RULES: Final = (
    loop,
    nat_hook,
    reject_hook,
    unknown_interface,
    late_zone,
    early_helper,
)
