"""Several base chains at one hook, and chains that none leads to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tcemu.lint import claims
from tcemu.lint.catalogue import Rule, rule
from tcemu.lint.finding import Finding
from tcemu.lint.view import Base, RuleView

if TYPE_CHECKING:
    from tcemu.lint.subject import Subject
from tcemu.lint.rules.hooks import chain, table_of


@rule(
    "NF109",
    "warning",
    "two base chains at the same place",
    why="""Base chains of one hook and one priority run in the order in which they were registered, which nobody promises and a reload changes.""",
    bad=(
        table_of(chain("input", "tcp dport 22 accept", name="a"), chain("input", "drop", name="b")),
        table_of(chain("forward", "ip saddr 10.0.0.1 drop")) + "\n" + table_of(chain("forward", "counter"), head="table ip g"),
    ),
    good=(
        table_of(chain("input", "tcp dport 22 accept", name="a"), chain("input", "drop", name="b", priority="filter + 1")),
        table_of(chain("input", "counter"), head="table ip f") + "\n" + table_of(chain("input", "counter"), head="table ip6 f"),
    ),
    fix="give one of them another priority, or make them one chain",
    source="man nft, CHAINS: priority; checked on Linux 6.18",
)
def same_place(subject: Subject, rule: Rule) -> Iterator[Finding]:
    bases = subject.view.bases
    for number, base in enumerate(bases):
        for other in bases[:number]:
            if (base.hook, base.priority, base.device) != (other.hook, other.priority, other.device):
                continue
            shared = base.family == other.family or (
                "inet" in (base.family, other.family) and {base.family, other.family} <= {"inet", "ip", "ip6"}
            )
            if (
                shared
                and (base.kind == "nat") == (other.kind == "nat")
                and _says_something(subject, base)
                and _says_something(subject, other)
            ):
                name = f"{other.family} {other.chain.partition(' ')[2]}"
                message = f"same hook ({base.hook}) and priority ({base.priority}) as chain {name}: their order is not defined"
                yield rule.at(subject, (subject.place(base.chain), subject.place(other.chain)), message, base.chain)
                break


def _says_something(subject: Subject, base: Base) -> bool:
    return base.drops or bool(subject.view.rules(base.chain))


@rule(
    "NF110",
    "warning",
    "accepted here and dropped by another base chain",
    why="""accept ends the evaluation of one base chain only: the packet goes on to the other base chains of the hook, and where one of them drops what
        it does not know, the packet is lost. It is the usual surprise beside the tables of Docker, firewalld and libvirt.""",
    bad=(
        table_of(chain("input", "tcp dport 22 accept", priority="-10"), head="table inet mine")
        + "\n"
        + table_of(chain("input", "ct state established,related accept", "tcp dport 80 accept", policy="drop")),
        table_of(chain("forward", "ip saddr 172.17.0.0/16 accept", priority="filter"), head="table ip docker")
        + "\n"
        + table_of(chain("forward", "ct state established,related accept", policy="drop", priority="filter + 10")),
    ),
    good=(
        table_of(chain("input", "tcp dport 22 accept", priority="-10"), head="table inet mine")
        + "\n"
        + table_of(chain("input", "ct state established,related accept", "tcp dport 22 accept", policy="drop")),
        table_of(chain("input", "tcp dport 22 accept", policy="drop")) + "\n" + table_of(chain("forward", "drop"), head="table inet g"),
    ),
    fix="accept it in the chain that drops too, or mark the packet here and accept the mark there",
    source="nftables doc/nft.txt, OVERALL EVALUATION OF THE RULESET; docker and firewalld threads",
)
def dropped_elsewhere(subject: Subject, rule: Rule) -> Iterator[Finding]:
    from tcemu.lint.order import accepted_by

    for base in subject.view.bases:
        if base.kind != "filter" or base.hook not in ("input", "forward", "output"):
            continue
        later = [
            other
            for other in subject.view.hooked(base.hook, "filter")
            if other.drops and other.chain != base.chain and other.table != base.table and shared_families(base, other)
        ]
        for other in later:
            for one in subject.view.rules(base.chain):
                if one.verdict is None or one.verdict.code != 3 or not _specific(one):
                    continue
                whole = other.family in ("inet", base.family) or _of_family(one, other.family)
                if whole and accepted_by(subject, one, other) == "never":
                    name = other.chain.partition("/")[0] + " " + other.chain.rpartition("/")[2]
                    message = f"accepted here, and then dropped by the policy of chain {name}, where no rule accepts it"
                    found = rule.at(subject, (subject.place(one.key), subject.place(other.chain)), message, one.key)
                    yield found._replace(claim=claims.lost(other, claims.boxes_at(subject, one, base), one))


def shared_families(one: Base, other: Base) -> bool:
    """Is there a packet that both see?"""
    return one.family == other.family or "inet" in (one.family, other.family)


def _of_family(one: RuleView, family: str) -> bool:
    """Does the rule speak of packets of that family only?"""
    wanted = ((2, 2),) if family == "ip" else ((10, 10),)
    return all(box.dims.get("meta nfproto") == wanted for box in one.boxes)


def _specific(one: RuleView) -> bool:
    return any(name.startswith(("th.", "ip.", "ip6.", "meta iifname", "meta.iif", "icmp")) for name in one.loads)


RAW: Final = -200


@rule(
    "NF111",
    "warning",
    "policies of one hook contradict each other",
    why="""An inet table sees both families, an ip or ip6 table one of them. Where one of the two has policy drop and the other accept, whoever reads only the
        second believes that packets pass.""",
    bad=(
        table_of(chain("input", "tcp dport 22 accept", policy="drop"))
        + "\n"
        + table_of(chain("input", "tcp dport 80 accept"), head="table ip f4"),
        table_of(chain("forward", "counter"))
        + "\n"
        + table_of(chain("forward", "ct state established accept", policy="drop"), head="table ip6 f6"),
    ),
    good=(
        table_of(chain("input", "tcp dport 22 accept", policy="drop")) + "\n" + table_of(chain("forward", "counter"), head="table ip f4"),
        table_of(chain("input", "counter")) + "\n" + table_of(chain("input", "tcp dport 80 counter"), head="table ip f4"),
    ),
    fix="keep one table for both families, or give both the same policy",
    source="nftables doc/nft.txt, OVERALL EVALUATION OF THE RULESET",
)
def two_policies(subject: Subject, rule: Rule) -> Iterator[Finding]:
    bases = [base for base in subject.view.bases if base.kind == "filter" and base.hook in ("input", "forward", "output")]
    for number, base in enumerate(bases):
        for other in bases[:number]:
            mixed = (
                "inet" in (base.family, other.family)
                and base.family != other.family
                and {base.family, other.family} <= {"inet", "ip", "ip6"}
            )
            if mixed and base.hook == other.hook and base.drops != other.drops:
                loose, tight = (base, other) if other.drops else (other, base)
                opens = any(one.verdict is not None and one.verdict.code == 3 for one in subject.view.rules(loose.chain))
                if loose.priority != tight.priority and not (opens and loose.priority > RAW):
                    continue
                names = [f"{one.table} {one.chain.rpartition('/')[2]}" for one in (tight, loose)]
                message = f"hook {base.hook}: policy drop in {names[0]}, policy accept in {names[1]}"
                yield rule.at(subject, (subject.place(loose.chain), subject.place(tight.chain)), message, loose.chain)


@rule(
    "NF112",
    "info",
    "a chain that nothing leads to",
    why="""A chain without a hook runs only when a rule or a map jumps to it. One that nothing leads to is a leftover, or a jump was forgotten.""",
    bad=(
        table_of("chain ssh {\n    tcp dport 22 accept\n  }", chain("input", "drop")),
        table_of("chain b {\n    drop\n  }", "chain a {\n    jump b\n  }"),
    ),
    good=(
        table_of("chain ssh {\n    tcp dport 22 accept\n  }", chain("input", "jump ssh")),
        table_of(
            "chain ssh {\n    accept\n  }",
            "map m {\n    type inet_service : verdict\n    elements = { 22 : jump ssh }\n  }",
            chain("input", "tcp dport vmap @m"),
        ),
    ),
    fix="remove it, or jump to it",
    source="a common check of rulesets; man nft, CHAINS",
)
def unreached(subject: Subject, rule: Rule) -> Iterator[Finding]:
    view = subject.view
    for key in view.nft_chains:
        if view.reach.get(key) or subject.ruleset.chains.get(key) is None or not view.rules(key):
            continue
        record = subject.ruleset.chains.get(key)
        if record is None or key.split("/")[0] in subject.based or "__chain" in record.name:
            continue
        if not view.bases and not any(key in leads for leads in view.leads.values()) and len(view.nft_chains) < 3:
            continue  # a snippet: what hooks it is elsewhere
        found = rule.at(subject, subject.place(key), f"no hook, no jump and no map leads to chain {record.name}", key)
        yield found._replace(claim=claims.unled(subject, key, view.rules(key)))


RULES: Final = (
    same_place,
    dropped_elsewhere,
    two_policies,
    unreached,
)
