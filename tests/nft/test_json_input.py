"""JSON input: every answer below was given by nft 1.0.6 (``nft -j -f FILE`` in a fresh namespace), except where a later version is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tcemu import Session

PLACE = {"family": "ip", "table": "t", "chain": "c"}
RULE = '{"nftables": [{"add": {"rule": {"family": "ip", "table": "t", "chain": "c", "expr": [%s]}}}]}'
EXPR = "internal:0:0-0: Error: Parsing expr array at index 0 failed.\n\n"
ENTRY = "internal:0:0-0: Error: Parsing command array at index 0 failed.\n\n"
LEFT = "internal:0:0-0: Error: Invalid LHS of relational.\n\n"
RIGHT = "internal:0:0-0: Error: Invalid RHS of relational.\n\n"


@pytest.fixture
def session() -> Session:
    made = Session(strict=True)
    made.nft_file("table ip t { set s { type ipv4_addr; flags interval; }\n chain c { type filter hook input priority 0; }\n}\n")
    return made


def said(session: Session, text: str) -> str:
    answer = session.nft(["-j", text])
    assert answer.exit_code == 1
    return str(answer.stderr)


def internal(message: str) -> str:
    return f"internal:0:0-0: Error: {message}\n\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"nftables": 1}', internal('Value of property "nftables" must be an array.')),
        ('{"nftables": [1]}', internal("Unexpected command array element of type integer, expected object.")),
        ('{"nftables": [{}]}', internal("Unknown object passed to add command.") + ENTRY),
        ('{"nftables": [{"add": 1}]}', internal("Value of add command must be object (got integer instead).") + ENTRY),
        ('{"nftables": [{"add": {"table": {"family": "ipx", "name": "q"}}}]}', internal("Unknown family 'ipx'.") + ENTRY),
        ('{"nftables": [{"list": {"foo": {}}}]}', internal("Unknown object passed to list command.") + ENTRY),
        (
            '{"nftables": [{"delete": {"chain": {"family": "ip", "table": "t"}}}]}',
            internal("Either name or handle required to delete a chain.") + ENTRY,
        ),
        ('{"nftables": [{"create": {"rule": {}}}]}', internal("Create command not available for rules.") + ENTRY),
        (
            '{"nftables": [{"metainfo": {"json_schema_version": 2}}]}',
            internal("Schema version 2 not supported, maximum supported version is 1\n") + internal("Metainfo verification failed."),
        ),
        (RULE % '{"foo": 1}', internal("Unknown statement object 'foo'.") + EXPR + ENTRY),
        (RULE % "1", internal("Unexpected expr array element of type integer, expected object.") + ENTRY),
        (RULE % '{"log": {"level": "x"}}', internal("Invalid log level 'x'.") + EXPR + ENTRY),
        (RULE % '{"flow": {"op": "sub", "flowtable": "@f"}}', internal("Unknown flow offload statement op 'sub'.") + EXPR + ENTRY),
        (
            RULE % '{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "foo"}}, "right": 1}}',
            internal("Unknown ip field 'foo'.") + LEFT + EXPR + ENTRY,
        ),
        (
            RULE % '{"match": {"op": "==", "left": {"ct": {"key": "mark", "dir": "reply"}}, "right": 1}}',
            internal("Direction not supported by CT key 'mark'.") + LEFT + EXPR + ENTRY,
        ),
        (
            RULE % '{"match": {"op": "==", "left": {"ct": {"key": "mark"}}, "right": {"map": {"key": 1, "data": 2}}}}',
            internal("Expression type map not allowed in context (RHS).") + RIGHT + EXPR + ENTRY,
        ),
        (
            RULE % '{"match": {"op": "==", "left": {"ct": {"key": "mark"}}, "right": {"a": 1, "b": 2}}}',
            internal("""Malformed object (too many properties): '{"a": 1, "b": 2}'.""") + RIGHT + EXPR + ENTRY,
        ),
        (RULE.replace('"c"', '"nochain"') % '{"accept": null}', internal("Could not process rule: No such file or directory")),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "",
)
def test_a_mistake_is_told_with_its_trail(session: Session, text: str, message: str) -> None:
    assert said(session, text) == message


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("[]", 1, "Expected object, got array"),
        ('{"nftable": []}', 4, "Object item not found: nftables"),
        ('{"nftables": [{"add": {"table": {"family": 1}}}]}', 4, "Expected string, got integer"),
        ('{"nftables": [{"add": {"table": null}}]}', 1, "Expected object, got null"),
        ('{"nftables": [{"rename": {"chain": {"family": "ip", "table": "t", "name": "c"}}}]}', 22, "Object item not found: newname"),
        (RULE % '{"match": {"left": {"ct": {"key": "mark"}}, "right": 1}}', 14, "Object item not found: op"),
        (RULE % '{"match": {"op": "==", "left": {"&": [1]}, "right": 1}}', 5, "Array index 1 out of range"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else str(value),
)
def test_what_the_library_says_points_to_a_column_of_its_pattern(session: Session, text: str, column: int, message: str) -> None:
    assert said(session, text).startswith(f"Error: {message}\n{text}\n{' ' * (column - 1)}^\n")


def test_a_wrong_flag_is_told_and_left_out(session: Session) -> None:
    answer = session.nft(["-j", RULE % '{"log": {"flags": "foo"}}'])
    assert (answer.exit_code, answer.stderr) == (0, internal("Unknown log flag 'foo'."))
    assert "\t\tlog\n" in session.nft("list chain ip t c").stdout


def test_what_is_no_json_is_read_as_text(session: Session) -> None:
    assert said(session, '{"nftables": [') == "Error: syntax error, unexpected '{'\n{\"nftables\": [\n^\n"
    assert session.nft(["-j", "add table ip y"]).exit_code == 0


def test_a_refused_document_changes_nothing(session: Session) -> None:
    before = session.nft("list ruleset").stdout
    entries = [
        {"add": {"table": {"family": "ip", "name": "new"}}},
        {"add": {"rule": {**PLACE, "chain": "nochain", "expr": [{"drop": None}]}}},
    ]
    assert session.nft(["-j", json.dumps({"nftables": entries})]).exit_code == 1
    assert session.nft("list ruleset").stdout == before


def test_an_added_rule_goes_to_the_end_whatever_its_handle(session: Session) -> None:
    session.nft("add rule ip t c accept; add rule ip t c counter")
    handle = json.loads(session.nft(["-j", "list", "chain", "ip", "t", "c"]).stdout)["nftables"][2]["rule"]["handle"]
    for op in ("add", "insert"):
        session.nft(["-j", json.dumps({"nftables": [{op: {"rule": {**PLACE, "handle": handle, "expr": [{"log": None}]}}}]})])
    rules = [entry["rule"]["expr"] for entry in document(session) if "rule" in entry]
    assert [next(iter(rule[0])) for rule in rules] == ["log", "accept", "counter", "log"]


def document(session: Session) -> list[Any]:
    found: list[Any] = json.loads(session.nft(["-j", "list", "ruleset"]).stdout)["nftables"]
    return found


RULESET = """
table inet t {
	comment "of nft 1.0.8 and later"
	counter k { packets 1 bytes 2; comment "x"
	}
	quota q { over 5 mbytes used 3 bytes
	}
	limit l { rate over 5 kbytes/second burst 1 mbytes
	}
	ct helper h { type "ftp" protocol tcp; }
	ct timeout u { protocol tcp; policy = { established : 100, close : 5 }
	}
	ct expectation e { protocol tcp; dport 80; timeout 10m; size 4; l3proto ip
	}
	synproxy p { mss 1460; wscale 7; timestamp sack-perm
	}
	set s { type ipv4_addr; flags interval; elements = { 1.1.1.1-1.1.1.5, 10.0.0.0/8, 3.3.3.3 comment "three" }
	}
	set d { type ipv4_addr . inet_service; size 100; timeout 1h; }
	map m { type ipv4_addr : verdict; elements = { 1.2.3.4 : accept, 5.6.7.8 : jump b }
	}
	map o { type inet_service : counter; elements = { 80 : "k" }
	}
	map w { type ipv4_addr : ipv4_addr . inet_service; elements = { 1.1.1.1 : 2.2.2.2 . 90 }
	}
	chain b { accept
	}
	chain c { type filter hook input priority -5; policy drop;
		counter name "k" quota name "q" limit name "l" ct helper set "h"
		ip saddr @s tcp dport { 22, 80-90 } tcp flags syn / syn,ack ct state new,established counter packets 5 bytes 6
		meta mark set mark | 0x10 ct mark set meta mark ip dscp set af11
		ip saddr . tcp dport vmap { 1.2.3.4 . 80 : accept, 5.6.7.8 . 443 : drop }
		log prefix "a: " group 2 queue-threshold 5 snaplen 10
		limit rate over 10 mbytes/second burst 5 kbytes
		reject with icmpx admin-prohibited
		queue flags bypass to numgen inc mod 4 offset 10
		fib saddr . iif oif missing drop
		update @d { ip saddr . tcp dport timeout 5m } comment "dynamic"
		@th,16,16 53 @nh,0,8 & 0xf0 == 0x40 exthdr frag exists frag id 1-5 tcp option maxseg size 1-500
		meter mm { ip saddr limit rate 5/second }
		ct label set 5 ct original ip saddr 1.1.1.1 ct count over 5
		jump { tcp dport 5 accept
		}
	}
	chain n { type nat hook prerouting priority dstnat
		dnat ip to tcp dport map { 80 : 10.0.0.1 . 8080 }
		tcp dport 1 redirect to :80 random
		meta l4proto tcp tproxy ip to 127.0.0.1:5000
	}
}
"""


def test_a_listing_in_json_loads_again(session: Session) -> None:
    """But for what nft 1.0.6 leaves out of its JSON: comments of tables and chains, devices, typeof, dynamic, auto-merge."""
    first, second = Session(strict=True), Session(strict=True)
    assert first.nft_file(RULESET).stderr == ""
    answer = second.nft(["-j", "-f", "-"], stdin=first.nft(["-j", "list", "ruleset"]).stdout)
    assert (answer.exit_code, answer.stderr) == (0, "")
    lost = ('\tcomment "of nft 1.0.8 and later"\n', "\t\tflags dynamic,timeout\n", "\t\tflags timeout\n", "\t\tflags dynamic\n")
    shown = [one.nft("list ruleset").stdout for one in (first, second)]
    for text in lost:
        shown = [listing.replace(text, "") for listing in shown]
    assert shown[0] == shown[1]


@pytest.mark.parametrize(
    ("noun", "listed"),
    [
        (
            {"table": {"family": "ip", "name": "u", "comment": "x", "flags": ["dormant"]}},
            'table ip u {\n\tflags dormant\n\tcomment "x"\n}\n',
        ),
        (
            {
                "set": {
                    "family": "ip",
                    "table": "t",
                    "name": "q",
                    "type": "ipv4_addr",
                    "flags": ["interval"],
                    "auto-merge": True,
                    "comment": "y",
                }
            },
            '\tset q {\n\t\ttype ipv4_addr\n\t\tflags interval\n\t\tauto-merge\n\t\tcomment "y"\n\t}\n',
        ),
        (
            {"set": {"family": "ip", "table": "t", "name": "q", "type": {"typeof": {"payload": {"protocol": "ip", "field": "saddr"}}}}},
            "\tset q {\n\t\ttypeof ip saddr\n\t}\n",
        ),
        ({"chain": {"family": "ip", "table": "t", "name": "d", "comment": "z"}}, '\tchain d {\n\t\tcomment "z"\n\t}\n'),
    ],
    ids=["table", "set", "typeof", "chain"],
)
def test_what_later_versions_read_is_read(session: Session, noun: dict[str, Any], listed: str) -> None:
    """libnftables-json(5) of nftables 1.1."""
    assert session.nft(["-j", json.dumps({"nftables": [{"add": noun}]})]).exit_code == 0
    assert listed in session.nft("list ruleset").stdout


@pytest.mark.parametrize("depth", [600, 5000, 100_000])
def test_no_depth_overflows(session: Session, depth: int) -> None:
    expr = '{"&": [' * depth + "1" + ", 1]}" * depth
    answer = session.nft(["-j", RULE % f'{{"match": {{"op": "==", "left": {expr}, "right": 1}}}}'])
    assert answer.exit_code == 1
    assert "Error: " in answer.stderr
