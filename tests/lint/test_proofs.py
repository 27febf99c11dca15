"""Rules in the way of others: what is found, what is left alone, and that each witness does in a session what the finding says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tcemu import Session
from tcemu.lint.catalogue import Rule, everything
from tcemu.lint.rules.hooks import chain, table_of
from tcemu.lint.run import Report
from tcemu.session.linting import lint_text

FOUND = {
    "a prefix in a prefix": (table_of(chain("input", "ip saddr 10.0.0.0/8 drop", "ip saddr 10.1.0.0/16 accept")), "NF113"),
    "a set in a set": (table_of(chain("input", "tcp dport { 22, 80, 443 } drop", "tcp dport { 80, 443 } accept")), "NF113"),
    "a range in two ranges": (
        table_of(chain("input", "tcp dport 1-100 drop", "tcp dport 101-200 drop", "tcp dport 50-150 accept")),
        "NF113",
    ),
    "inside a negation": (table_of(chain("input", "ip saddr != 10.0.0.0/8 drop", "ip saddr 192.0.2.1 accept")), "NF113"),
    "two states together": (
        table_of(chain("input", "ct state established accept", "ct state related accept", "ct state established,related drop")),
        "NF113",
    ),
    "behind a jump": (
        table_of(
            "chain sub {\n    tcp dport 22 accept\n  }",
            chain("input", "ip saddr 10.0.0.0/8 jump sub", "ip saddr 10.0.0.1 tcp dport 22 drop"),
        ),
        "NF113",
    ),
    "inside the called chain": (
        table_of(
            "chain sub {\n    ip saddr 10.0.0.1 accept\n  }", chain("input", "ip saddr 10.0.0.0/24 drop", "ip saddr 10.0.0.0/8 jump sub")
        ),
        "NF113",
    ),
    "by a verdict map": (table_of(chain("input", "tcp dport vmap { 22 : drop, 80 : accept }", "tcp dport 22 accept")), "NF113"),
    "by an earlier base chain": (
        table_of(chain("prerouting", "ip saddr 10.0.0.0/8 drop", priority="raw"), chain("input", "ip saddr 10.1.1.1 tcp dport 22 accept")),
        "NF113",
    ),
    "by another table": (
        table_of(chain("input", "tcp dport 23 drop", priority="-10"), head="table ip a")
        + "\n"
        + table_of(chain("input", "tcp dport 23 accept"), head="table ip b"),
        "NF113",
    ),
    "concatenations": (
        table_of(chain("input", "ip saddr . tcp dport { 10.0.0.1 . 22, 10.0.0.2 . 80 } drop", "ip saddr 10.0.0.1 tcp dport 22 accept")),
        "NF113",
    ),
    "bits of flags": (
        table_of(chain("input", "tcp flags & (syn|ack) == syn drop", "tcp flags & (fin|syn|rst|ack) == syn accept")),
        "NF113",
    ),
    "IPv6": (table_of(chain("forward", "ip6 daddr 2001:db8::/32 drop", "ip6 daddr 2001:db8:1::/48 udp dport 53 accept")), "NF113"),
    "names with a wildcard": (table_of(chain("forward", 'iifname "wg*" drop', 'iifname "wg0" accept')), "NF113"),
    "the machine's own packets": (table_of(chain("output", "tcp dport 25 drop", "ip daddr 192.0.2.1 tcp dport 25 accept")), "NF113"),
}
LEFT_ALONE = {
    "a narrower rule in front": table_of(chain("input", "ip saddr 10.1.0.0/16 drop", "ip saddr 10.0.0.0/8 accept")),
    "a limit takes only some": table_of(chain("input", "ip saddr 10.0.0.0/8 limit rate 1/second drop", "ip saddr 10.1.0.0/16 accept")),
    "a quota takes only some": table_of(chain("input", "quota over 1 mbytes drop", "tcp dport 22 accept")),
    "a random pick": table_of(chain("input", "numgen random mod 2 0 drop", "tcp dport 22 accept")),
    "a named set may change": table_of(
        "set s {\n    type ipv4_addr\n    elements = { 10.0.0.1 }\n  }", chain("input", "ip saddr @s drop", "ip saddr 10.0.0.1 accept")
    ),
    "a mark that is set in between": table_of(chain("input", "meta mark 1 drop", "meta mark set 1", "meta mark 1 accept")),
    "packets without ports": table_of(chain("input", "tcp dport 0-65535 drop", "meta l4proto tcp accept")),
    "fragments and a negated port": table_of(chain("input", "tcp dport 22 drop", "tcp dport != 22 drop", "meta l4proto tcp accept")),
    "a return goes on above": table_of(
        "chain sub {\n    tcp dport 22 return\n    drop\n  }", chain("input", "jump sub", "tcp dport 22 accept")
    ),
    "an accept in another base chain": table_of(chain("input", "tcp dport 22 accept", priority="-10"), head="table ip a")
    + "\n"
    + table_of(chain("input", "tcp dport 22 drop"), head="table ip b"),
    "a drop behind an accept of an earlier base chain": table_of(
        chain("input", "ip saddr 10.0.0.1 accept", "drop", priority="-10", name="early"),
        chain("input", "ip saddr 10.0.0.0/24 counter accept"),
    ),
    "a drop that a return goes round": table_of(
        "chain sub {\n    tcp dport 22 return\n    drop\n  }",
        chain("input", "jump sub", priority="-10"),
        chain("input", "tcp dport 22 counter accept"),
    ),
    "a mark that another chain sets": table_of(
        chain("prerouting", "meta mark 1 drop", priority="raw"),
        chain("prerouting", "ip saddr 10.0.0.1 meta mark set 1", priority="mangle"),
        chain("input", "meta mark 1 accept"),
    ),
    "a state before there is a connection": table_of(
        chain("prerouting", "ct state established drop", priority="raw"), chain("input", "ct state established accept")
    ),
    "another family": table_of(chain("input", "meta nfproto ipv6 drop", "ip saddr 10.0.0.1 accept")),
    "only a counter": table_of(chain("input", "ip saddr 10.0.0.0/8 counter", "ip saddr 10.0.0.1 accept")),
    "addresses behind a translation": table_of(
        chain("prerouting", "ip daddr 192.0.2.1 dnat to 10.0.0.2", kind="nat", priority="dstnat"),
        chain("forward", "ip daddr 10.0.0.2 accept"),
        head="table ip n",
    ),
}
DEVICE = "table netdev n {\n  chain in {\n    type filter hook ingress device eth0 priority 0; policy accept;\n    ip saddr 10.0.0.0/8 drop\n  }\n}\n"
TC = "tc qdisc add dev eth0 clsact\n"
FOUND |= {
    "by a device's ingress": (DEVICE + table_of(chain("forward", 'iifname "eth0" ip saddr 10.1.2.3 accept')), "NF113"),
    "by forward and output, for postrouting": (
        table_of(chain("forward", "ip daddr 192.0.2.9 drop"), chain("output", "ip daddr 192.0.2.0/24 drop"), head="table ip f")
        + "\n"
        + table_of(chain("postrouting", "ip daddr 192.0.2.9 masquerade", kind="nat", priority="srcnat"), head="table ip n"),
        "NF113",
    ),
    "by several filters of tc": (
        TC
        + "tc filter add dev eth0 ingress prio 1 protocol ip flower dst_ip 10.0.0.0/9 action drop\n"
        + "tc filter add dev eth0 ingress prio 2 protocol ip flower dst_ip 10.128.0.0/9 action drop\n"
        + "tc filter add dev eth0 ingress prio 3 protocol ip flower dst_ip 10.0.0.0/8 action pass",
        "NF113",
    ),
    "by a filter at egress": (
        TC
        + "tc filter add dev eth0 egress prio 1 protocol ip flower ip_proto udp action drop\n"
        + "tc filter add dev eth0 egress prio 2 protocol ip flower ip_proto udp dst_port 53 action pass",
        "NF113",
    ),
    "narrower in front of broader": (
        table_of(chain("input", "ip saddr 10.1.0.0/16 accept", "ip saddr 10.0.0.0/8 accept", policy="drop")),
        "NF115",
    ),
    "correlated": (table_of(chain("forward", "ip saddr 10.0.0.0/8 drop", "ip daddr 10.0.0.0/8 accept", policy="accept")), "NF116"),
    "correlated behind another rule": (
        table_of(chain("forward", "tcp dport 8 accept", "ip saddr 10.0.0.0/8 drop", "ip daddr 10.0.0.0/8 accept", policy="accept")),
        "NF116",
    ),
    "contradicting itself": (table_of(chain("input", "tcp dport 22 tcp dport 2222 accept")), "NF105"),
    "a chain whose callers let nothing through": (
        table_of("chain sub {\n    udp dport 53 accept\n  }", chain("input", "meta l4proto tcp jump sub")),
        "NF105",
    ),
    "a chain that nothing leads to": (table_of("chain sub {\n    udp dport 53 accept\n  }", chain("input", "counter")), "NF112"),
    "a chain of IPv6 that nothing leads to": (
        table_of("chain sub {\n    udp dport 53 accept\n  }", chain("input", "counter"), head="table ip6 f"),
        "NF112",
    ),
    "an interface that is not known": (table_of(chain("prerouting", 'oifname "wan" tcp dport 25 drop')), "NF104"),
    "a chain of tc that nothing leads to": (
        TC
        + "tc filter add dev eth0 ingress protocol ip flower action pass\n"
        + "tc filter add dev eth0 ingress protocol ip chain 3 flower dst_ip 10.0.0.1 action drop",
        "TC005",
    ),
}
LEFT_ALONE |= {
    "another device's ingress": DEVICE + table_of(chain("forward", 'iifname "eth1" ip saddr 10.1.2.3 accept')),
    "only forward drops, for postrouting": table_of(chain("forward", "ip daddr 192.0.2.9 drop"), head="table ip f")
    + "\n"
    + table_of(chain("postrouting", "ip daddr 192.0.2.9 masquerade", kind="nat", priority="srcnat"), head="table ip n"),
    "a gap between filters of tc": TC
    + "tc filter add dev eth0 ingress prio 1 protocol ip flower dst_ip 10.0.0.0/9 action drop\n"
    + "tc filter add dev eth0 ingress prio 2 protocol ip flower dst_ip 10.192.0.0/10 action drop\n"
    + "tc filter add dev eth0 ingress prio 3 protocol ip flower dst_ip 10.0.0.0/8 action pass",
    "correlated, and taken before by a third": table_of(
        chain(
            "forward",
            "ip saddr 10.0.0.0/8 ip daddr 10.0.0.0/8 counter accept",
            "ip saddr 10.0.0.0/8 drop",
            "ip daddr 10.0.0.0/8 log accept",
        )
    ),
}
ORDER = ("NF113", "NF115", "NF116")
# rules all of whose findings carry a witness
PROVED = (
    *("NF104", "NF105", "NF110", "NF112", "NF113", "NF114", "NF115", "NF116", "NF118"),
    *("CT001", "CT002", "CT003", "CT004", "CT006", "CT007", "CT011", "CT012", "NAT01", "NAT03", "FT010"),
)


@pytest.mark.parametrize(("text", "rule"), FOUND.values(), ids=FOUND)
def test_a_rule_that_is_never_reached_is_found_and_proved(text: str, rule: str) -> None:
    report = lint_text(text, "text")[1]
    found = [finding for finding in report.findings if finding.rule == rule]
    assert found, (report.findings, report.doubts)
    assert found[0].witness is not None
    assert len(found[0].witness.frame) >= 34


@pytest.mark.parametrize("text", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_what_is_not_sure_is_no_finding(text: str, ids: Callable[[str], list[str]]) -> None:
    assert [name for name in ids(text) if name in ORDER] == []


@pytest.mark.parametrize("name", PROVED)
def test_every_finding_of_the_rule_carries_a_witness(name: str, example: Callable[[Rule, str], Report]) -> None:
    rule = everything()[name]
    for text in rule.bad:
        found = [finding for finding in example(rule, text).findings if finding.rule == name]
        assert found
        assert all(finding.witness is not None and finding.witness.says for finding in found)


def test_the_witness_says_what_becomes_of_it_without_the_rule_in_the_way() -> None:
    (finding,) = [one for one in lint_text(FOUND["correlated"][0], "text")[1].findings if one.rule == "NF116"]
    assert finding.witness is not None
    assert finding.witness.says == "line 4 takes it; without that, line 5 does, to another end"


def test_a_rule_of_a_dump_is_shown_as_nft_lists_it() -> None:
    with Session() as session:
        assert session.nft_file(FOUND["a prefix in a prefix"][0]).exit_code == 0
        dump = session.nft(["-j", "list", "ruleset"]).stdout
    report = lint_text(dump, "dump.json")[1]
    (finding,) = [one for one in report.findings if one.rule == "NF113"]
    assert (finding.path, finding.text) == ("dump.json", "ip saddr 10.1.0.0/16 accept")
    assert "`ip saddr 10.0.0.0/8 drop` takes all its packets before" in finding.message


def test_a_witness_meets_the_taker_in_a_session() -> None:
    text = table_of(
        chain("forward", "ip saddr 10.0.0.0/8 counter drop", "ip saddr 10.1.2.3 tcp dport 22 counter accept"), head="table ip f"
    )
    (finding,) = [one for one in lint_text(text, "text")[1].findings if one.rule == "NF113"]
    assert finding.witness is not None
    with Session() as session:
        for line in (
            "link add in0 type dummy",
            "link set in0 address 02:00:00:00:00:02 up",
            "link add out0 type dummy",
            "link set out0 up",
            "route add 192.0.2.0/24 dev out0",
            "route add 10.0.0.0/8 dev in0",
        ):
            assert session.ip(line).exit_code == 0, line
        from tcemu.host.model import Sysctl

        session.host.sysctls.put(Sysctl(key="net.ipv4.ip_forward", value="1"))
        assert session.nft_file(text).exit_code == 0
        way = session.trace(finding.witness.frame, "in0")
    matched = [event.key for event in way.events if event.kind == "matched"]
    assert matched == ["ip f/forward/2"]
    assert finding.key == "ip f/forward/3"


def test_what_no_packet_confirms_is_a_doubt() -> None:
    text = table_of("set s {\n    type ipv4_addr\n  }", chain("input", "ip saddr @s drop", "ip saddr @s tcp dport 22 accept"))
    report = lint_text(text, "text")[1]
    assert [finding for finding in report.findings if finding.rule in ORDER] == []
    assert any("no elements" in doubt.why for doubt in report.doubts)


def test_of_a_large_ruleset_only_what_concerns_the_packet_is_run() -> None:
    many = [f"ip saddr 10.{number // 250}.{number % 250}.1 tcp dport {1 + number} accept" for number in range(2100)]
    text = table_of(chain("input", *many, "ip saddr 10.1.2.0/24 drop", "ip saddr 10.1.2.9 udp dport 53 log accept"))
    (finding,) = [one for one in lint_text(text, "text")[1].findings if one.rule == "NF113"]
    assert finding.witness is not None
    assert finding.witness.says == "line 2104 takes it; without that, line 2105 does"
