"""The pages of tcemu's own commands say what click's command tree says, and each command's help has an example."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import click
import mdoc
import pytest

from tcemu.capture.link import LAYOUTS
from tcemu.capture.linktypes import NAMES
from tcemu.cli import expression, main
from tcemu.cli.app import app
from tcemu.diagnostics import TcemuError
from tcemu.session import rulesfile
from tcemu.session.replayed import ReplayResult, Way
from tcemu.session.session import Session
from tcemu.session.store import SHELVES

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = sorted(app.commands)


def tree(command: click.Command, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], click.Command]:
    """All commands by their words."""
    found = {path: command}
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            found |= tree(child, (*path, name))
    return found


def context(path: tuple[str, ...]) -> click.Context:
    """The context in which click would run the command."""
    made = click.Context(app, info_name="tcemu", **app.context_settings)
    for place, name in enumerate(path, 1):
        made = click.Context(tree(app)[path[:place]], info_name=name, parent=made)
    return made


def options(*path: str) -> set[str]:
    """The options of a command and of those below it."""
    return {name for place in tree(app) if place[: len(path)] == path for name in own_options(place)}


def own_options(path: tuple[str, ...]) -> set[str]:
    """The options of one command."""
    parameters = tree(app)[path].get_params(context(path))
    return {name for one in parameters if isinstance(one, click.Option) for name in (*one.opts, *one.secondary_opts)}


# ---------------------------------------------------------------- each command


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_of_a_command_lists_its_options(name: str) -> None:
    assert mdoc.flags(mdoc.read(f"tcemu-{name}.1"), "OPTIONS") == options(name)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_synopsis_of_a_command_has_its_options_and_arguments(name: str) -> None:
    synopsis = [mdoc.macros(line[1:]) for line in mdoc.read(f"tcemu-{name}.1")["SYNOPSIS"].text if line.startswith(".")]
    words = [pair for line in synopsis for pair in line]
    assert {f"-{word}" for macro, word in words if macro == "Fl"} == options(name) - {"-h", "--help"}
    named = {word for macro, word in words if macro == "Ar"}
    for path, command in tree(app.commands[name]).items():
        assert all(any(word in line for line in map(str, synopsis)) for word in path)
        for parameter in command.params:
            if isinstance(parameter, click.Argument):
                assert parameter.make_metavar(context((name, *path))).strip("[].") in named


def test_the_page_of_sessions_lists_the_commands() -> None:
    group = app.commands["session"]
    assert isinstance(group, click.Group)
    assert set(mdoc.words(mdoc.read("tcemu-session.1"), "DESCRIPTION", "Cm")) == set(group.commands)


@pytest.mark.parametrize("path", list(tree(app)), ids=lambda path: " ".join(path) or "tcemu")
def test_the_help_of_a_command_has_an_example(path: tuple[str, ...]) -> None:
    text = tree(app)[path].get_help(context(path))
    shown = re.search(r"Examples?:\n((?:\s{4}.*\n?)+)", text)
    assert shown is not None
    assert re.search(r"tcemu( -n \w+)?" + "".join(rf" {name}\b" for name in path), shown[1])


# ---------------------------------------------------------------- the program

PROGRAM = mdoc.read("tcemu.1")


def test_the_page_of_the_program_lists_its_options() -> None:
    assert mdoc.flags(PROGRAM, "OPTIONS") >= own_options(())
    taken = set(re.findall(r'"(--?[\w-]+)"', source("read_options")))
    assert mdoc.flags(PROGRAM, "OPTIONS") <= own_options(()) | taken
    named = {f"-{word}" for line in PROGRAM["OPTIONS"].text for macro, word in mdoc.macros(line[1:]) if macro == "Fl"}
    assert taken <= named


def source(function: str) -> str:
    """A function of the way in, as text."""
    text = Path(main.__file__).read_text(encoding="utf-8")
    return next(ast.get_source_segment(text, node) or "" for node in ast.parse(text).body if getattr(node, "name", "") == function)


def test_the_page_of_the_program_lists_the_commands() -> None:
    assert set(mdoc.words(PROGRAM, "DESCRIPTION/Commands of tcemu", "Cm")) == {*COMMANDS, "help"}
    assert set(mdoc.words(PROGRAM, "DESCRIPTION/Commands of the tools", "Cm")) == {*main.TC_OBJECTS, *main.TOOLS}


def test_the_page_of_the_program_lists_the_environment() -> None:
    read = {
        name
        for path in [*(ROOT / "tcemu").rglob("*.py"), ROOT / "setup.py"]
        for name in re.findall(r'environ(?:\.get\(|\[)"([A-Z_]+)"', path.read_text(encoding="utf-8"))
    }
    assert set(mdoc.words(PROGRAM, "ENVIRONMENT", "Ev")) == read - {"CC"}


def test_the_page_of_the_program_lists_the_exit_codes() -> None:
    kinds: list[type[TcemuError]] = [TcemuError, *TcemuError.__subclasses__()]
    codes = {0, main.INTERNAL, main.INTERRUPTED, main.NOBODY_READS, main.SESSION_TROUBLE, *(kind.exit_code for kind in kinds)}
    assert {int(word) for word in mdoc.words(PROGRAM, "EXIT STATUS", "Li")} == codes


# ---------------------------------------------------------------- what a page names besides options

REPLAY = mdoc.read("tcemu-replay.1")


def test_the_page_of_replay_describes_the_document() -> None:
    result = ReplayResult()
    result.each, result.ways = [], [Way(1, 0, "eth0", [], "accept")]
    result.logged, result.nft_trace = {"log.pcap": 1}, "trace id 00000001 …"
    assert set(mdoc.words(REPLAY, "THE DOCUMENT", "Li")) == {*result.document(), "conntrack_table"}


def test_the_page_of_replay_names_the_verdicts_of_the_summary() -> None:
    assert set(mdoc.words(REPLAY, "THE SUMMARY", "Li")) == set(played().verdicts)


def played() -> ReplayResult:
    with Session() as session:
        return session.replay({"eth0": ROOT / "examples" / "captures" / "eth0.pcap"})


def test_the_page_of_replay_lists_the_link_types() -> None:
    shown = set(REPLAY["CAPTURES"].blocks[0].split())
    assert shown == {NAMES[number].split(" ")[0] for number in LAYOUTS}


def test_the_page_of_replay_names_the_kinds_of_rule_files() -> None:
    assert set(mdoc.words(REPLAY, "RULE FILES", "Pa")) == set(rulesfile.SUFFIXES)


def test_the_page_of_sessions_lists_the_tables() -> None:
    assert set(mdoc.words(mdoc.read("tcemu-session.1"), "THE FILE", "Li")) == set(SHELVES)


def test_the_page_of_trace_names_modules_and_layers_that_are_there() -> None:
    text = mdoc.read("tcemu-trace.1")["PACKETS"].text
    listed = [{word.rstrip(",") for word in line.removeprefix(".Li ").split() if word != ","} for line in text if line.startswith(".Li ")]
    modules, layers = set().union(*listed[1:3]), set().union(*listed[3:])
    assert modules == {name.rpartition(".")[2] for name in expression.MODULES}
    assert layers <= set(expression.layer_classes())
