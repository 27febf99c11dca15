"""Which tool, which session, and how a process ends."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tcemu.cli import main

if TYPE_CHECKING:
    from conftest import Run

FILTER = ["filter", "add", "dev", "eth0", "ingress", "protocol", "ip", "flower", "action", "drop"]
NO_DEVICE = 'Cannot find device "eth0"\n'


# ---------------------------------------------------------------- which tool


@pytest.mark.parametrize("show", [["filter", "show"], ["f", "sh"], ["fil", "ls"], ["tc", "filter", "show"], ["-s", "filter", "show"]])
def test_tcs_objects_are_commands_of_ours(tcemu: Run, show: list[str]) -> None:
    assert tcemu(*FILTER).code == 0
    assert "gact action drop" in tcemu(*show, "dev", "eth0", "ingress").out


def test_ip_and_conntrack_are_commands_too(tcemu: Run) -> None:
    assert tcemu("ip", "-br", "link").out.startswith("lo ")
    assert tcemu("conntrack", "-L").err == "conntrack v1.4.7 (conntrack-tools): 0 flow entries have been shown.\n"


@pytest.mark.parametrize("name", ["tc", "/usr/sbin/tc", "tcemu-tc"])
def test_under_a_tools_name_we_are_that_tool_and_strict(process: Run, name: str) -> None:
    assert process(name, *FILTER) == (1, "", NO_DEVICE)
    assert process(name, "-V").out.startswith("tc utility, iproute2-")


def test_our_own_name_is_friendly_unless_told(process: Run) -> None:
    assert process("tcemu", "--strict", *FILTER) == (1, "", NO_DEVICE)
    assert process("tcemu", *FILTER, TCEMU_STRICT="1") == (1, "", NO_DEVICE)
    done = process("tcemu", *FILTER, TCEMU_STRICT="0")
    assert done.code == 0 and done.err.startswith("tcemu: note: ")


def test_standard_input_is_read_for_a_batch(process: Run) -> None:
    batch = "link add eth0 type dummy\nlink show eth0\n"
    assert "eth0: <BROADCAST,NOARP>" in process("tcemu", "ip", "-b", "-", stdin=batch).out


@pytest.mark.parametrize(
    ("word", "hint"),
    [("repaly", "did you mean replay?"), ("fliter", "did you mean filter?"), ("xyzzy", "tcemu --help lists the commands")],
)
def test_a_word_that_is_no_command(tcemu: Run, word: str, hint: str) -> None:
    assert tcemu(word) == (2, "", f"error: {word!r} is no command\nhint: {hint}\n")


def test_version_says_how_the_engine_runs(tcemu: Run) -> None:
    done = tcemu("--version")
    assert done.code == 0
    assert done.out.rstrip("\n").split(", ")[1] in ("engine compiled", "engine interpreted")


@pytest.mark.parametrize("words", [[], ["--help"], ["help"], ["-h"]])
def test_help_lists_commands_and_examples(tcemu: Run, words: list[str]) -> None:
    done = tcemu(*words)
    assert done.code == 0
    assert "Commands:\n" in done.out and "\n  replay " in done.out and "Examples:\n" in done.out


@pytest.mark.parametrize("command", ["replay", "trace", "scenario", "session"])
def test_every_command_has_help(tcemu: Run, command: str) -> None:
    done = tcemu("help", command)
    assert done.code == 0 and done.out.startswith(f"Usage: tcemu {command} ")


# ---------------------------------------------------------------- which session


def test_the_default_session_lies_under_the_state_home(tcemu: Run, home: Path) -> None:
    tcemu("ip", "link", "add", "eth0", "type", "dummy")
    assert (home / "tcemu" / "session.db").exists()
    assert "eth0" in tcemu("ip", "link").out


def test_a_namespace_is_another_session(tcemu: Run, home: Path) -> None:
    tcemu("-n", "blue", "ip", "link", "add", "eth0", "type", "dummy")
    assert "eth0" not in tcemu("ip", "link").out
    assert "eth0" in tcemu("--namespace=blue", "ip", "link").out
    assert "eth0" in tcemu("ip", "-n", "blue", "link").out
    assert "eth0" in tcemu("tc", "-n", "blue", "qdisc", "show", "dev", "eth0").err + "eth0"


def test_a_tools_unknown_namespace_is_the_tools_complaint(tcemu: Run) -> None:
    assert tcemu("tc", "-n", "nowhere", "qdisc") == (255, "", 'Cannot open network namespace "nowhere": No such file or directory\n')


def test_a_file_may_be_named_by_option_or_environment(tcemu: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tcemu("--session", str(home / "a.db"), "ip", "link", "add", "eth0", "type", "dummy")
    monkeypatch.setenv("TCEMU_SESSION", str(home / "a.db"))
    assert "eth0" in tcemu("ip", "link").out
    tcemu("-n", "red", "ip", "link")
    assert sorted(os.listdir(home)) == ["a.db", "a@red.db"]


@pytest.mark.parametrize("words", [["--session"], ["-n"]])
def test_an_option_without_its_value(tcemu: Run, words: list[str]) -> None:
    done = tcemu(*words)
    assert (done.code, done.out) == (2, "") and "needs a name" in done.err


# ---------------------------------------------------------------- how it ends


def test_a_session_that_cannot_be_used_is_one_sentence(tcemu: Run, home: Path) -> None:
    assert tcemu("--session", "/nowhere/s.db", "ip", "link") == (
        main.SESSION_TROUBLE,
        "",
        "error: session /nowhere/s.db cannot be opened: there is no directory /nowhere\n",
    )
    (home / "text").write_text("no session " * 100)
    assert tcemu("--session", str(home / "text"), *FILTER) == (3, "", f"error: {home}/text is not a session of tcemu\n")


def test_a_locked_session_is_one_sentence(tcemu: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tcemu.session.store.PATIENCE", 0.01)
    path = str(home / "s.db")
    tcemu("--session", path, "ip", "link")
    monkeypatch.setattr("tcemu.session.store.Store.__init__.__defaults__", (":memory:", 0.01))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert tcemu("--session", path, "ip", "link", "add", "eth0", "type", "dummy") == (
        3,
        "",
        f"error: session {path} is in use by another process\n",
    )
    holder.close()


def raising(slip: BaseException) -> Callable[..., int]:
    def body(*_: object) -> int:
        raise slip

    return body


def test_a_defect_is_a_sentence_and_a_hint(tcemu: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "tool", raising(ValueError("what a pity")))
    done = tcemu("ip", "link")
    assert done.code == main.INTERNAL
    assert (
        done.err
        == "tcemu: internal error: ValueError: what a pity\nhint: this is a defect of tcemu; TCEMU_DEBUG=1 shows where it happened\n"
    )
    monkeypatch.setenv("TCEMU_DEBUG", "1")
    with pytest.raises(ValueError, match="what a pity"):
        tcemu("ip", "link")


def test_an_interrupt_is_quiet(tcemu: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "tool", raising(KeyboardInterrupt()))
    assert tcemu("ip", "link") == (130, "", "")


def test_ctrl_c_in_the_middle_of_reading_is_quiet(home: Path) -> None:
    # where the tests run in the background of a shell, children would ignore interrupts
    heed = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{heed}; sys.argv[0] = 'tcemu'; from tcemu.cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "tc", "-batch", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    while not (home / "tcemu" / "session.db").exists():  # by then it waits for its input
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out, err) == (130, "", "")


def test_a_reader_that_leaves_is_no_error(process: Run, home: Path) -> None:
    batch = home / "b"
    batch.write_text("link show\n" * 5000)
    code = "import sys; sys.argv[0] = 'tcemu'; from tcemu.cli.main import main; main()"
    words = [sys.executable, "-c", code, "ip", "-b", str(batch)]
    writer = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert writer.stdout is not None and writer.stderr is not None
    writer.stdout.read(10)
    writer.stdout.close()
    err = writer.stderr.read()
    writer.stderr.close()
    assert (writer.wait(), err) == (main.NOBODY_READS, b"")


def test_words_that_are_not_utf8_are_refused(home: Path) -> None:
    code = "import sys; sys.argv[0] = 'tcemu'; from tcemu.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "ip", "link", "show", b"\xff\xfe"], capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: a word is not UTF-8: ")


def test_a_simple_command_imports_nothing_heavy(home: Path) -> None:
    code = (
        "import sys; sys.argv[0] = 'tcemu'; from tcemu.cli import main; import os; os._exit = lambda code: None;"
        "main.leave(lambda: main.dispatch(sys.argv[1:]));"
        "heavy = {'click', 'lark', 'scapy', 'rich', 'tabulate', 'argparse', 'typing_extensions', 'tcemu.engine.machine'} & set(sys.modules);"
        "print(sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code, *FILTER], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr
