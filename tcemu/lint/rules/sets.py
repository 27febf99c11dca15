"""Sets, maps and limits that do not mean what they seem to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tcemu.ir.effect import ConnLimit, Limit, Log, Quota, UpdateSet
from tcemu.ir.operand import Concat, Load
from tcemu.ir.step import Compare, Masked, Match, Range
from tcemu.lint.asks import drops
from tcemu.lint.catalogue import Rule, rule
from tcemu.lint.finding import Finding
from tcemu.lint.rules.hooks import chain, table_of
from tcemu.lint.rules.load import told
from tcemu.lint.source import commands
from tcemu.lint.view import RuleView
from tcemu.nft.notes import SetNote, unpack
from tcemu.nft.tree import Body

if TYPE_CHECKING:
    from tcemu.ir.ruleset import Set
    from tcemu.lint.subject import NftText, Subject
    from tcemu.nft.tree import Command

MANY: Final = 10  # rules in a row that could be a set
HUGE: Final = 100_000  # elements


def written_sets(subject: Subject) -> Iterator[tuple[NftText, Command, Body, Set, SetNote]]:
    """Sets as the texts define them, with their records."""
    for text, command, outer in commands(subject):
        if command.what not in ("set", "map") or not isinstance(command.body, Body) or command.op not in ("add", "create"):
            continue
        spec = outer.spec
        record = subject.ruleset.sets.get(f"{spec.family} {spec.table}/set {command.spec.name}")
        if record is not None:
            yield text, command, command.body, record, unpack(record.note, SetNote)


def updates(subject: Subject) -> dict[str, list[tuple[RuleView, int, UpdateSet]]]:
    """Rules that write to sets, by set."""
    found: dict[str, list[tuple[RuleView, int, UpdateSet]]] = {}
    for one in subject.view.having(UpdateSet):
        for step, effect in one.effects(UpdateSet):
            assert isinstance(effect, UpdateSet)
            found.setdefault(effect.set, []).append((one, step, effect))
    return found


BLOCK: Final = "chain input {\n    type filter hook input priority filter\n    tcp dport 22 add @seen { ip saddr }\n  }"
LIMITED: Final = BLOCK.replace("add @seen { ip saddr }", "add @seen { ip saddr timeout 1h }")


@rule(
    "NF204",
    "warning",
    "a set that packets fill has no size",
    why="""A set that rules add to takes as many elements as packets make, up to a default that nobody chose (65535); whoever can send packets fills it.
        Without `size` neither the memory nor what happens then is a decision.""",
    bad=(
        table_of("set seen {\n    type ipv4_addr; flags dynamic,timeout; timeout 10m\n  }", BLOCK),
        table_of("set seen {\n    type ipv4_addr; flags timeout\n  }", LIMITED, head="table ip f"),
    ),
    good=(
        table_of("set seen {\n    type ipv4_addr; size 4096; flags dynamic,timeout; timeout 10m\n  }", BLOCK),
        table_of("set seen {\n    type ipv4_addr; flags timeout; timeout 10m\n  }", chain("input", "ip saddr @seen drop")),
    ),
    fix="add `size N` to the set",
    source="man nft, SETS: size; checked on Linux 6.18",
)
def no_size(subject: Subject, rule: Rule) -> Iterator[Finding]:
    writers = updates(subject)
    for text, command, body, record, note in written_sets(subject):
        if ("dynamic" in note.flags or record.key in writers) and "size" not in body.values:
            yield rule.at(
                subject, subject.span(text, command.spec.name_at), f"rules add to set {record.name}, which has no size", record.key
            )


@rule(
    "NF205",
    "warning",
    "a set that packets fill is never emptied",
    why="""Elements that rules add stay until somebody deletes them, unless they time out. Without a timeout the set fills up, and then nothing is added any
        more: a limit or a block that is kept in it stops working.""",
    bad=(
        table_of("set seen {\n    type ipv4_addr; size 65535; flags dynamic\n  }", BLOCK),
        table_of("set bad {\n    type ipv4_addr; size 1000; flags dynamic\n  }", chain("input", "tcp dport 23 add @bad { ip saddr } drop")),
    ),
    good=(
        table_of("set seen {\n    type ipv4_addr; size 65535; flags dynamic,timeout\n  }", LIMITED),
        table_of(
            "set conns {\n    type ipv4_addr; size 65535; flags dynamic\n  }",
            chain("input", "add @conns { ip saddr ct count over 20 } drop"),
        ),
    ),
    fix="add `timeout` to the set, or to what the rule adds",
    source="man nft, SETS: timeout is mandatory if the set is added to from the packet path (ruleset)",
)
def no_timeout(subject: Subject, rule: Rule) -> Iterator[Finding]:
    writers = updates(subject)
    for text, command, _body, record, _note in written_sets(subject):
        found = writers.get(record.key, [])
        adding = [entry for entry in found if entry[2].op in ("add", "update")]
        kept = adding and not record.timeout and all(not effect.timeout for _, _, effect in adding)
        counted = any(isinstance(inner, ConnLimit) for _, _, effect in found for inner in effect.effects) or any(
            isinstance(effect, ConnLimit) for effect in record.effects
        )
        if kept and not counted and not any(effect.op == "delete" for _, _, effect in found):
            spans = (subject.span(text, command.spec.name_at), subject.step_place(adding[0][0].key, adding[0][1]))
            yield rule.at(subject, spans, f"what rules add to set {record.name} never times out", record.key)


@rule(
    "NF206",
    "warning",
    "elements that time out are merged",
    why="""auto-merge makes one range of neighbouring elements. Of elements with a timeout the range outlives what it was made of, and addresses match
        that nobody added, or that were to be gone.""",
    bad=(
        table_of("set bad {\n    type ipv4_addr; flags interval,timeout; auto-merge; timeout 1h\n  }"),
        table_of("set bad {\n    type ipv4_addr; flags interval; auto-merge\n    timeout 1d\n  }", head="table ip f"),
    ),
    good=(
        table_of("set bad {\n    type ipv4_addr; flags interval; auto-merge\n  }"),
        table_of("set bad {\n    type ipv4_addr; flags interval,timeout; timeout 1h\n  }"),
    ),
    fix="leave auto-merge out, or the timeout",
    source="mwan3#10",
)
def merged_timeouts(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for text, command, body, record, note in written_sets(subject):
        if note.auto_merge and (record.timeout or "timeout" in note.flags):
            at = body.places.get("auto_merge", command.spec.name_at)
            span = subject.span(text, at) or subject.place(record.key)
            yield rule.at(subject, span, f"set {record.name} merges elements that time out", record.key)


@rule(
    "NF207",
    "warning",
    "an interval set cannot be filled by packets",
    why="""Rules cannot add to a set with `flags interval`: the kernel refuses the rule, or the flag dynamic with it. Networks can only come from outside.""",
    bad=(
        table_of("set bad {\n    type ipv4_addr; size 100; flags interval,dynamic,timeout; timeout 1h\n  }"),
        table_of("set seen {\n    type ipv4_addr; size 100; flags interval,timeout; timeout 1h\n  }", BLOCK),
    ),
    good=(
        table_of("set bad {\n    type ipv4_addr; size 100; flags dynamic,timeout; timeout 1h\n  }"),
        table_of("set bad {\n    type ipv4_addr; flags interval\n  }", chain("input", "ip saddr @bad drop")),
    ),
    fix="use two sets, or add a masked address (`{ ip saddr & 255.255.255.0 }`) to a plain set",
    source="man nft, SETS: flags; Linux nft_dynset.c (nft_dynset_init)",
)
def interval_dynamic(subject: Subject, rule: Rule) -> Iterator[Finding]:
    yield from told(subject, rule)
    done = set()
    for text, command, body, record, note in written_sets(subject):
        if "interval" in note.flags and "dynamic" in note.flags:
            done.add(record.name)
            span = subject.span(text, body.places.get("flags", command.spec.name_at)) or subject.place(record.key)
            yield rule.at(subject, span, f"set {record.name} is of intervals, which packets cannot add", record.key)
    for text in subject.nft:
        yield from _refused_updates(subject, rule, text, done)


def _refused_updates(subject: Subject, rule: Rule, text: NftText, done: set[str]) -> Iterator[Finding]:
    from tcemu.lint.source import rules
    from tcemu.nft.tree import SetRef

    for read, written, command in rules(subject):
        if read is not text:
            continue
        for stmt in written.stmts:
            ref = stmt.args.get("set")
            if not isinstance(ref, SetRef) or ref.name in done or "op" not in stmt.args:
                continue
            record = subject.ruleset.sets.get(f"{command.spec.family} {command.spec.table}/set {ref.name}")
            if record is None:
                record = next((one for one in subject.ruleset.sets if one.name == ref.name), None)
            if record is not None and record.interval:
                yield rule.at(
                    subject, subject.span(text, stmt.at), f"set {ref.name} is of intervals, to which packets cannot add", record.key
                )


@rule(
    "NF208",
    "info",
    "many rules that one set would replace",
    why=f"""{MANY} or more rules in a row that differ in one value are tried one after the other; a set or a map is one lookup, however many elements it has.
        Of very large sets the memory is told.""",
    bad=(
        table_of(chain("input", *(f"ip saddr 192.0.2.{number} drop" for number in range(1, 14)))),
        table_of(chain("forward", *(f"tcp dport {number} accept" for number in range(8000, 8012)), policy="drop")),
    ),
    good=(
        table_of(chain("input", *(f"ip saddr 192.0.2.{number} drop" for number in range(1, 8)))),
        table_of(chain("input", *(f"ip saddr 192.0.2.{number} tcp dport {number} drop" for number in range(1, 14)))),
    ),
    fix="write one rule with a set (`flags interval` and `auto-merge` for networks), or a verdict map",
    source="nftables wiki, Sets; measured: a rule that does not match costs time, a lookup does not grow",
)
def many_alike(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for key in subject.view.nft_chains:
        run: list[RuleView] = []
        place = -1
        for one in [*subject.view.rules(key), None]:
            differs = _difference(run[-1], one) if run and one is not None else -1
            if differs >= 0 and (place in (-1, differs) or len(run) == 1):
                place = differs
                assert one is not None
                run.append(one)
                continue
            if len(run) >= MANY:
                message = f"{len(run)} rules from here on differ in one value: a set would be one lookup"
                yield rule.at(subject, subject.place(run[0].key), message, run[0].key)
            run, place = ([one] if one is not None else []), -1
    for record in subject.ruleset.sets:
        count = subject.ruleset.elements.count(record.key)
        if count >= HUGE:
            size = count * 120 >> 20
            yield rule.at(subject, subject.place(record.key), f"{count:,} elements take about {size} MiB of kernel memory", record.key)


def _difference(one: RuleView, other: RuleView) -> int:
    """The place of the only match in which two rules differ by a value; -1 where that is not so."""
    mine, theirs = one.rule.steps, other.rule.steps
    if len(mine) != len(theirs):
        return -1
    found = [number for number, (left, right) in enumerate(zip(mine, theirs, strict=True)) if left != right and not _counts(left, right)]
    if len(found) != 1:
        return -1
    left, right = mine[found[0]], theirs[found[0]]
    alike = (
        isinstance(left, Match) and isinstance(right, Match) and left.left == right.left and isinstance(left.test, Masked | Range | Compare)
    )
    return found[0] if alike and isinstance(getattr(right, "test", None), Masked | Range | Compare) else -1


def _counts(left: object, right: object) -> bool:
    return type(getattr(left, "effect", None)).__name__ == "Count" == type(getattr(right, "effect", None)).__name__


@rule(
    "NF209",
    "warning",
    "the limit lets the flood pass and drops the rest",
    why="""`limit rate N drop` matches packets up to the rate: it drops the first ones, and lets everything above the rate go on. To drop what is too much it
        takes `limit rate over N drop`.""",
    bad=(
        table_of(chain("input", "icmp type echo-request limit rate 10/second drop")),
        table_of(chain("input", "tcp dport 22 ct state new limit rate 5/minute counter reject")),
    ),
    good=(
        table_of(chain("input", "icmp type echo-request limit rate over 10/second drop")),
        table_of(chain("input", "tcp dport 22 ct state new limit rate 5/minute accept", policy="drop")),
        table_of(chain("input", 'limit rate 5/minute log prefix "drop " drop', policy="drop")),
    ),
    fix="write `limit rate over`",
    source="man nft, LIMIT STATEMENT; checked on Linux 6.18",
)
def inverted_limit(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for one in subject.view.having(Limit):
        limits = [(step, effect) for step, effect in one.effects(Limit) if isinstance(effect, Limit) and not effect.over]
        if not limits or not drops(one) or _dropped_anyhow(subject, one):
            continue
        yield rule.at(
            subject,
            subject.step_place(one.key, limits[0][0]),
            "drops up to the rate, and lets pass what is above it",
            one.key,
            "limit rate over …",
        )


def _dropped_anyhow(subject: Subject, one: RuleView) -> bool:
    """A limited log with a drop, where what is left is dropped right behind it or by the policy."""
    rules = subject.view.rules(one.chain)
    at = next(number for number, other in enumerate(rules) if other.key == one.key)
    behind = rules[at + 1] if at + 1 < len(rules) else None
    logs = any(isinstance(effect, Log) for _, effect, _ in one.acts)
    if behind is not None:
        return drops(behind) and (len(behind.matches) <= len(one.matches))
    bases = [base for base in subject.view.bases if base.chain == one.chain]
    return (logs or not bases) and all(base.drops for base in bases) and bool(bases or logs)


@rule(
    "NF210",
    "warning",
    "a limit per IPv6 address",
    why="""A customer or an attacker has a whole IPv6 network, mostly a /64, and can take a new address for each packet. A limit that is kept per address never
        holds, and its set fills up.""",
    bad=(
        table_of(
            "set flood {\n    type ipv6_addr; size 65535; flags dynamic,timeout; timeout 1m\n  }",
            chain("input", "update @flood { ip6 saddr limit rate over 10/second } drop"),
        ),
        table_of(
            "set conns {\n    type ipv6_addr; size 65535; flags dynamic\n  }",
            chain("input", "tcp dport 443 add @conns { ip6 saddr ct count over 20 } reject"),
        ),
    ),
    good=(
        table_of(
            "set flood {\n    type ipv6_addr; size 65535; flags dynamic,timeout; timeout 1m\n  }",
            chain("input", "update @flood { ip6 saddr & ffff:ffff:ffff:ffff:: limit rate over 10/second } drop"),
        ),
        table_of(
            "set flood {\n    type ipv4_addr; size 65535; flags dynamic,timeout; timeout 1m\n  }",
            chain("input", "update @flood { ip saddr limit rate over 10/second } drop"),
        ),
    ),
    fix="mask the address: `ip6 saddr & ffff:ffff:ffff:ffff::`",
    source="RFC 6177 (a site has a network); a common evasion",
)
def per_address(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for found in updates(subject).values():
        for one, step, effect in found:
            parts = effect.key.parts if isinstance(effect.key, Concat) else (effect.key,)
            limited = any(isinstance(inner, Limit | ConnLimit | Quota) for inner in effect.effects)
            flows = any(isinstance(part, Load) and part.field in ("th.sport", "ip6.daddr") for part in parts)
            if limited and not flows and any(isinstance(part, Load) and part.field == "ip6.saddr" for part in parts):
                yield rule.at(
                    subject, subject.step_place(one.key, step), "a limit per IPv6 address: who has a /64 has as many as he wants", one.key
                )


RULES: Final = (
    no_size,
    no_timeout,
    merged_timeouts,
    interval_dynamic,
    many_alike,
    inverted_limit,
    per_address,
)
