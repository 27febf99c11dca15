"""Words of bits and protocol fields that do not mean what they seem to."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tcemu.ir.operand import Bits, Key, Load, Operand
from tcemu.ir.step import AnyBit, Compare, Masked, Match, Member, Not, Test
from tcemu.ir.verdict import GOTO, JUMP
from tcemu.lint.catalogue import Rule, rule
from tcemu.lint.finding import Finding, Fix
from tcemu.lint.rules.hooks import chain, table_of
from tcemu.lint.view import RuleView

if TYPE_CHECKING:
    from tcemu.lint.subject import Subject


TRANSPORTS: Final = {1: "icmp", 6: "tcp", 17: "udp", 33: "dccp", 58: "ipv6-icmp", 132: "sctp", 136: "udplite"}


BIT_WORDS: Final = ("tcp.flags", "ct.label", "ct.status", "ct status", "ct label", "ct original status", "ct reply status")


def bits_of(operand: Operand) -> str:
    """The name of what an operand reads, where that is a word of bits that packets combine."""
    if isinstance(operand, Load) and operand.field in ("tcp.flags", "ct.label", "ct.status"):
        return operand.field.replace(".", " ")
    if isinstance(operand, Key) and operand.what == "ct" and operand.args and operand.args[-1] in ("status", "label"):
        return f"ct {operand.args[-1]}"
    if isinstance(operand, Bits) and operand.mask in (0xFF, 0xFFF, 0xFFFFFFFF, (1 << 128) - 1) and not operand.xor:
        return bits_of(operand.of)
    return ""


def single_values(view_members: list[tuple[tuple[int, ...], tuple[int, ...]]]) -> list[int] | None:
    """The elements as numbers, None where some are ranges."""
    if any(not low or low != high for low, high in view_members):
        return None
    return [low[0] for low, _ in view_members]


@rule(
    "NF106",
    "warning",
    "a protocol that this header does not carry",
    why="""IPv4 does not carry ICMPv6, nor IPv6 ICMP, so that `ip protocol icmpv6` and `ip6 nexthdr icmp` match nothing anybody sends. And `ip6 nexthdr`
        looks at the first header behind the fixed one only: with an extension header in between (hop-by-hop before MLD, fragments) it does not match.""",
    bad=(
        table_of(chain("input", "ip protocol icmpv6 accept")),
        table_of(chain("input", "ip6 nexthdr icmp accept")),
        table_of(chain("input", "ip6 nexthdr icmpv6 accept", "ip6 nexthdr udp drop")),
    ),
    good=(
        table_of(chain("input", "meta l4proto icmpv6 accept", "ip protocol icmp accept")),
        table_of(chain("input", "ip6 nexthdr hopopt drop", "icmpv6 type echo-request accept")),
    ),
    fix="match `meta l4proto`, which is behind all extension headers",
    source="checked with nft 1.0.6 on Linux 6.18; ao2.it, MLD behind hop-by-hop options; man nft, META EXPRESSIONS",
)
def wrong_header(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for one in subject.view.looking("ip6.nexthdr", "meta.l4proto"):
        for number, step in enumerate(one.rule.steps):
            if not isinstance(step, Match) or step.implied or isinstance(step.test, Not):
                continue
            values = _plain_values(subject, step.test)
            if isinstance(step.left, Load) and step.left.field == "ip6.nexthdr":
                named = [TRANSPORTS[value] for value in values if value in TRANSPORTS]
                if named:
                    message = "IPv6 carries no ICMP" if named == ["icmp"] else f"{named[0]} behind an extension header does not match"
                    yield rule.at(subject, subject.step_place(one.key, number), message, one.key, "match `meta l4proto`")
            elif isinstance(step.left, Load) and step.left.field == "meta.l4proto" and values == [58] and _only_ip4(one, number):
                yield rule.at(subject, subject.step_place(one.key, number), "IPv4 carries no ICMPv6: this never matches", one.key)


def _only_ip4(one: RuleView, number: int) -> bool:
    if one.family == "ip":
        return True
    return any(box.dims.get("meta nfproto") == ((2, 2),) for box in one.boxes) and number > 0


def _plain_values(subject: Subject, test: Test) -> list[int]:
    if isinstance(test, Masked):
        return [test.value]
    if isinstance(test, Compare) and test.op == "==":
        return [test.value]
    if isinstance(test, Member):
        return [low[0] for low, high in subject.view.members.of(test.set) if low and low == high]
    return []


@rule(
    "NF201",
    "warning",
    "a set of single bits is looked up whole",
    why="""tcp flags, ct status and ct label are words of bits. A set is looked up for the whole word: `tcp flags { syn, ack }` matches a packet that has SYN
        and nothing else, or ACK and nothing else, and not SYN+ACK. Without the braces, `tcp flags syn,ack` asks for any of the bits.""",
    bad=(
        table_of(chain("input", "tcp flags { syn, ack } accept")),
        table_of(chain("forward", "ct status { snat, dnat } accept")),
    ),
    good=(
        table_of(chain("input", "tcp flags syn,ack accept")),
        table_of(chain("input", "tcp flags { syn, syn | ack, ack } accept")),
        table_of(chain("input", "ct state { established, related } accept")),
    ),
    fix="leave the braces out for any of the bits, or write the combinations that are meant",
    source="NFT_BUGS.md, bug 1; nftables src/evaluate.c (expr_evaluate_relational)",
)
def bits_in_sets(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for one in subject.view.looking(*BIT_WORDS):
        for number, step in enumerate(one.rule.steps):
            test = step.test if isinstance(step, Match) else None
            test = test.test if isinstance(test, Not) else test
            if not isinstance(step, Match) or not isinstance(test, Member) or not bits_of(step.left):
                continue
            values = single_values(subject.view.members.of(test.set))
            if values is not None and len(values) > 1 and all(value and not value & (value - 1) for value in values):
                name = bits_of(step.left)
                message = f"{name} is compared whole with each element: a packet with two of these bits does not match"
                yield rule.at(subject, subject.step_place(one.key, number), message, one.key, f"`{name} a,b` asks for any of the bits")


@rule(
    "NF202",
    "warning",
    "nft -o would merge rules on bits into a set",
    why="""`nft -o` merges neighbouring rules that differ in one value into one rule with a set. Where the value is a bit of a word of bits, the set is
        looked up whole and the merged rule matches less than the two did.""",
    bad=(
        "nft -o -f - <<'EOF'\n" + table_of(chain("input", "tcp flags syn accept", "tcp flags ack accept")) + "\nEOF",
        "#!/bin/sh\nnft -o -f - <<EOF\n" + table_of(chain("forward", "ct status snat accept", "ct status dnat accept")) + "\nEOF",
    ),
    good=(
        "nft -f - <<'EOF'\n" + table_of(chain("input", "tcp flags syn accept", "tcp flags ack accept")) + "\nEOF",
        "nft -o -f - <<'EOF'\n" + table_of(chain("input", "tcp dport 22 accept", "tcp dport 80 accept")) + "\nEOF",
    ),
    fix="write one rule (`tcp flags syn,ack accept`), or do not load it with -o",
    source="NFT_BUGS.md, bug 1; nftables src/optimize.c",
)
def merged_bits(subject: Subject, rule: Rule) -> Iterator[Finding]:
    optimizing = [call for call in subject.calls if call.tool == "nft" and any(_optimizes(word) for word in call.words)]
    if not optimizing:
        return
    for key in subject.view.nft_chains:
        rules = subject.view.rules(key)
        for one, other in itertools.pairwise(rules):
            left = [match for match in one.matches if bits_of(match.left) and not isinstance(match.test, Member)]
            right = [match for match in other.matches if bits_of(match.left) and not isinstance(match.test, Member)]
            differ = left and right and bits_of(left[0].left) == bits_of(right[0].left) and left[0].test != right[0].test
            if differ and one.verdict == other.verdict and len(one.matches) == len(other.matches):
                spans = (subject.place(other.key), subject.place(one.key), optimizing[0].span)
                yield rule.at(
                    subject, spans, f"nft -o merges these two into a set of {bits_of(left[0].left)}, which matches less", other.key
                )


def _optimizes(word: str) -> bool:
    return word == "--optimize" or (word.startswith("-") and not word.startswith("--") and "o" in word and word.strip("-cof") == "")


@rule(
    "NF203",
    "warning",
    "`tcp flags syn` matches SYN+ACK too",
    why="""`tcp flags syn` asks whether the bit is set, whatever else is: it matches the answer SYN+ACK as well. A rule that is meant for new connections
        (a rate limit, a counter, an accept) then takes the answers of outgoing ones.""",
    bad=(
        table_of(chain("input", "tcp flags syn limit rate over 25/second drop")),
        table_of(chain("input", "tcp dport 22 tcp flags syn accept")),
    ),
    good=(
        table_of(chain("input", "tcp flags & (fin|syn|rst|ack) == syn limit rate over 25/second drop")),
        table_of(chain("input", "ct state new tcp flags syn accept")),
        table_of(chain("forward", "tcp flags syn tcp option maxseg size set rt mtu")),
    ),
    fix="match `tcp flags & (fin|syn|rst|ack) == syn`, or `ct state new`",
    source="man nft, TCP HEADER EXPRESSION; facts of flags in nftables src/evaluate.c",
)
def loose_syn(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for one in subject.view.looking("tcp.flags"):
        if one.verdict is None or one.verdict.code in (JUMP, GOTO) or any("ct.state" in box.dims for box in one.boxes):
            continue
        for number, step in enumerate(one.rule.steps):
            if isinstance(step, Match) and bits_of(step.left) == "tcp flags" and step.test == AnyBit(2):
                span = subject.step_place(one.key, number)
                line = subject.line(span) if span is not None else ""
                text = line[span.column - 1 : span.end - 1] if span is not None else ""
                fixes = (Fix(span, "tcp flags & (fin|syn|rst|ack) == syn"),) if span is not None and text.strip() == "tcp flags syn" else ()
                _ = fixes  # it changes what the rule matches: proposed as a hint, never done
                yield rule.at(subject, span, "this matches SYN+ACK too", one.key, "tcp flags & (fin|syn|rst|ack) == syn")


RULES: Final = (
    wrong_header,
    bits_in_sets,
    merged_bits,
    loose_syn,
)
