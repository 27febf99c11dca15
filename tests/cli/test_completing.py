"""What a shell is offered, and that bash, zsh and fish do with their scripts what they should."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tcemu.cli.completing import SCRIPTS

if TYPE_CHECKING:
    from conftest import Run

OFFERED = (
    ("fi", ["filter"]),
    ("filter add d", ["dev"]),
    ("filter add dev eth0 ingress protocol ip flower ct_", ["ct_label", "ct_mark", "ct_state", "ct_zone"]),
    ("tc -s filter show d", ["dev"]),
    ("--session x.db --strict fil", ["filter"]),
    ("--st", ["--strict"]),
    ("-s", []),
    ("replay --i", ["--in"]),
    ("session ex", ["export"]),
    ("session export --tc ", ["batch", "script"]),
    ("help rep", ["replay"]),
    ("nft list ", []),
)


@pytest.mark.parametrize(("line", "words"), OFFERED, ids=[row[0] for row in OFFERED])
def test_what_is_offered(tcemu: Run, line: str, words: list[str]) -> None:
    done = tcemu("--complete", "tcemu", *line.split(" "))
    assert (done.code, done.out.split()) == (0, words)


def test_devices_of_the_session_are_offered(tcemu: Run) -> None:
    tcemu("ip", "link", "add", "uplink", "type", "dummy")
    assert tcemu("--complete", "tcemu-tc", "filter", "show", "dev", "up").out == "uplink\n"
    assert tcemu("--complete", "tcemu", "filter", "show", "dev", "").out.split() == ["lo", "uplink"]


def test_asking_makes_no_session(tcemu: Run, home: Path) -> None:
    tcemu("--complete", "tcemu", "filter", "show", "dev", "")
    assert not list(home.rglob("*.db"))


def test_namespaces_are_offered(tcemu: Run) -> None:
    tcemu("-n", "blue", "ip", "link", "add", "x", "type", "dummy")
    assert tcemu("--complete", "tcemu", "-n", "b").out == "blue\n"


@pytest.mark.parametrize("shell", SCRIPTS)
def test_a_script_is_printed(tcemu: Run, shell: str) -> None:
    assert tcemu("completion", shell).out == SCRIPTS[shell]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_can_read_its_script(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    script = tmp_path / "script"
    script.write_text(SCRIPTS[shell], encoding="utf-8")
    done = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# what each shell is made to do with a line: the script's own function, with what the shell would have set
CALLS = {
    "bash": 'eval "$SCRIPT"; COMP_LINE=$LINE; COMP_POINT=${#LINE}; _tcemu; printf "%s\\n" "${COMPREPLY[@]}"',
    "zsh": 'compdef() {}; compadd() { print -l -- "${(@P)2}" }; _files() { print files }; eval "$SCRIPT"; '
    'words=("${(@s: :)LINE}"); CURRENT=$#words; _tcemu',
    "fish": 'eval "$SCRIPT"; complete -C "$LINE"',
}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tcemu filter add dev eth0 ing", ["ingress"]),
        ("tcemu filter add dev eth0 ingress protocol ip flower ct_", ["ct_label", "ct_mark", "ct_state", "ct_zone"]),
        ("tcemu session export --tc ba", ["batch"]),
        ("tcemu-tc qdisc sh", ["show"]),
    ],
)
@pytest.mark.parametrize("shell", CALLS)
def test_a_shell_completes(shell: str, line: str, words: list[str], home: Path, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    assert completed(shell, line, tmp_path).split() == words


def test_bash_completes_behind_an_equals_sign_and_a_colon(home: Path, tmp_path: Path) -> None:
    assert completed("bash", "tcemu --session=a:b fi", tmp_path).split() == ["filter"]


def test_zsh_offers_files_where_no_word_may_follow(home: Path, tmp_path: Path) -> None:
    if shutil.which("zsh") is None:
        pytest.skip("no zsh here")
    assert completed("zsh", "tcemu replay x", tmp_path) == "files\n"


def completed(shell: str, line: str, folder: Path) -> str:
    """What the shell's function says of a line."""
    for name in ("tcemu", "tcemu-tc"):
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m tcemu "$@"\n', encoding="utf-8")
        program.chmod(0o755)
    env = os.environ | {"SCRIPT": SCRIPTS[shell], "LINE": line, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    call = [shell, "-f", "-c"] if shell == "zsh" else [shell, "-c"]
    return subprocess.run([*call, CALLS[shell]], capture_output=True, text=True, env=env, check=True).stdout
