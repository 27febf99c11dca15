"""The words that the pages of the tools explain are the words that the tools take: none is missing, none is made up."""

from __future__ import annotations

import ast
import inspect
from types import ModuleType

import mdoc
import pytest
import tc_keywords

from tcemu.conntrack import words as conntrack_words
from tcemu.host import kinds
from tcemu.host.ip import addr, commands, link, neigh, route, route_show, tuntap
from tcemu.tc import ematch, flow
from tcemu.tc.actions import pedit
from tcemu.tc.commands import COUNTED
from tcemu.tc.kinds import ACTIONS, FILTERS, READ_ONLY

TC = mdoc.read("tcemu-tc.8")
IP = mdoc.read("tcemu-ip.8")
CONNTRACK = mdoc.read("tcemu-conntrack.8")
EVERYWHERE = {"help"}  # prints the usage wherever it stands; the page says so once


# ---------------------------------------------------------------- tc

RULES = {"bpf action": "bpf_action"}
KINDS = list(dict.fromkeys([*FILTERS, *READ_ONLY.values()]))  # in one order for all workers
PARTS = {
    "OBJECTS": (
        ("start",),
        (
            "frame",
            "filter_kind",
            "qdisc_item",
            "qdisc_kind",
            "qdisc_list_item",
            "class_kind",
            "class_list_item",
            "list_frame",
            "act",
            "act_name",
        ),
    ),
    "OBJECTS/Words of qdisc and class": (("qdisc_item", "qdisc_kind", "qdisc_list_item", "class_kind", "class_list_item"), ()),
    "FILTERS/Words before the kind": (("frame",), ()),
    "ACTIONS/What happens next": (("control", "act_index"), ()),
    "ACTIONS/Behind an action": (("act",), ("act_body",)),
    **{f"FILTERS/{kind}": ((kind,), ("action_list", "police_filter")) for kind in KINDS},
    **{f"ACTIONS/{kind}": ((RULES.get(f"{kind} action", kind),), ("control", "police_verdict", "act_index")) for kind in ACTIONS},
}


def said(page: mdoc.Page, path: str) -> set[str]:
    """The keywords that the items of one section say, with those of no section below it but verbs."""
    found = {word for item in page[path].items for macro, word in item if macro == "Cm"}
    return found | ({word for item in page[f"{path}/Verbs"].items for macro, word in item if macro == "Cm"} if path == "OBJECTS" else set())


@pytest.mark.parametrize("path", PARTS)
def test_the_page_of_tc_explains_the_words_of_the_grammar(path: str) -> None:
    rules, stop = PARTS[path]
    wanted = set().union(*(tc_keywords.words(rule, frozenset(stop)) for rule in rules)) - EVERYWHERE - {path.rsplit("/", 1)[-1]}
    assert said(TC, path) - EVERYWHERE - {path.rsplit("/", 1)[-1]} == wanted


def test_the_page_of_tc_has_a_part_for_each_kind_and_no_other() -> None:
    others = {"Words before the kind", "The filter's own policer", "What happens next", "Behind an action"}
    assert {name.split("/")[1] for name in TC if name.startswith("FILTERS/")} - others == set(KINDS)
    assert {name.split("/")[1] for name in TC if name.startswith("ACTIONS/")} - others == set(ACTIONS)


def test_the_page_of_tc_lists_the_options() -> None:
    assert mdoc.flags(TC, "OPTIONS") == {name for name, _ in COUNTED} | {"-echo"}


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("FILTERS/basic", ematch.KINDS),
        ("FILTERS/flow", flow.KEYS),
        ("ACTIONS/pedit", [name for _, _, fields in pedit.HEADERS.values() for name in fields]),
    ],
)
def test_the_page_of_tc_names_what_a_value_may_be(path: str, names: list[str]) -> None:
    text = {word for line in TC[path].text for word in line.replace(",", " ").split()}
    assert set(names) <= text


# ---------------------------------------------------------------- words that a module compares


def compared(*modules: ModuleType) -> set[str]:
    """The strings that modules compare ``word`` or ``option`` with, skip, or look for by prefix."""
    found: set[str] = set()
    for module in modules:
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Compare) and isinstance(node.left, ast.Name) and node.left.id in ("word", "option"):
                found |= strings(module, node.comparators)
            elif isinstance(node, ast.Call) and called(node) in ("matches", "skip"):
                found |= strings(module, node.args)
    return found


def called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else node.func.attr if isinstance(node.func, ast.Attribute) else ""


def strings(module: ModuleType, nodes: list[ast.expr]) -> set[str]:
    """The strings of constants, tuples of them, and names of a module's tuples."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
        elif isinstance(node, ast.Tuple):
            found |= strings(module, node.elts)
        elif isinstance(node, ast.Name) and isinstance(value := getattr(module, node.id, None), tuple):
            found |= set(value)
    return found


# ---------------------------------------------------------------- ip

NO_WORDS = {"", "+", "-", "0", "254"}  # values that mean something by themselves
IP_WORDS = {
    "link": compared(link),
    "address": compared(addr),
    "route": compared(route, route_show),
    "neighbour": compared(neigh),
    "tuntap": compared(tuntap),
}


@pytest.mark.parametrize("name", IP_WORDS)
def test_the_page_of_ip_explains_the_verbs_and_words_of_an_object(name: str) -> None:
    section = IP[f"OBJECTS/{name}"]
    taken = {word for names, _ in commands._commands(name) or () for word in names} | IP_WORDS[name] - NO_WORDS
    assert said(IP, f"OBJECTS/{name}") <= taken
    assert taken <= {word for line in section.text for word in line.split()}


def test_the_page_of_ip_has_a_part_for_each_object_and_no_other() -> None:
    modelled = {name for name in commands.OBJECTS if commands._commands(name)} - {"neighbor", "tap"}  # other spellings
    assert {path.split("/")[1] for path in IP if path.startswith("OBJECTS/")} == modelled


def test_the_page_of_ip_lists_the_options() -> None:
    options = {name for name in compared(commands) if name.startswith("-")}
    options |= {name for name, _ in commands._SIMPLE} | set(commands._NO_VALUE)
    assert mdoc.flags(IP, "OPTIONS") == options


def test_the_page_of_ip_explains_the_kinds_of_links_and_their_words() -> None:
    made = {name: {word.name for word in kind.words} for name, kind in kinds.KINDS.items() if name not in ("loopback", "physical")}
    found: dict[str, set[str]] = {}
    for item in IP["KINDS OF LINKS"].items:
        names = [word for macro, word in item if macro == "Ic"]
        found |= {name: {word for macro, word in item if macro == "Cm"} for name in names}
    assert found == made


# ---------------------------------------------------------------- conntrack


def test_the_page_of_conntrack_lists_the_commands() -> None:
    wanted = {f"-{letter}" for letter in conntrack_words.COMMANDS} | {
        f"--{name}" for names in conntrack_words.COMMANDS.values() for name in names
    }
    assert mdoc.flags(CONNTRACK, "COMMANDS") == wanted | set(conntrack_words.LOAD)


def test_the_page_of_conntrack_lists_the_options() -> None:
    wanted = {f"-{letter}" for letter, _, _ in conntrack_words.OPTIONS if letter.isalpha()}
    wanted |= {f"--{name}" for _, names, _ in conntrack_words.OPTIONS for name in names}
    wanted |= {f"--{name}" for options in conntrack_words.OWN_OPTIONS.values() for name in options}
    assert mdoc.flags(CONNTRACK, "OPTIONS") == wanted


@pytest.mark.parametrize(
    ("section", "names"),
    [
        ("COMMANDS", conntrack_words.TABLES),
        ("OPTIONS", [*conntrack_words.STATUS_WORDS, "UNREPLIED"]),
        ("OPTIONS", conntrack_words.OUTPUT_WORDS),
        ("OPTIONS", conntrack_words.OWN_PROTOCOLS),
    ],
    ids=["tables", "status", "output", "protocols"],
)
def test_the_page_of_conntrack_names_what_a_value_may_be(section: str, names: list[str]) -> None:
    text = {word for line in CONNTRACK[section].text for word in line.split()}
    assert set(names) <= text
