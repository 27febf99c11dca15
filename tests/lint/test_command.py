"""The command: exit codes, what is asked and how bad it is, comments, configuration, baselines, --fix, --witness."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tcemu.cli.app import run as app
from tcemu.cli.main import Choice
from tcemu.diagnostics import TcemuError

BAD = """table ip f {
  chain c {
    type filter hook input priority 0; policy accept;
    ip saddr 10.0.0.0/8 counter accept
    ip saddr 10.1.0.0/16 counter drop
  }
}
"""
TWICE = """table ip f {
  chain c {
    type filter hook input priority 0; policy accept;
    ip saddr 10.0.0.0/8 counter accept
    tcp dport 22 accept   # ssh
    tcp dport 22 accept
    iif "ppp0" tcp dport 25 counter drop
  }
}
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.nft"
    path.write_text(BAD)
    return path


def lint(*words: str | Path) -> int:
    """The exit code; a call that is wrong raises."""
    return app(["lint", *(str(word) for word in words)], Choice())


def names(text: str) -> list[str]:
    return re.findall(r"\[([A-Z]+\d+)\]$", text, re.M)


def test_findings_exit_with_1_and_none_with_0(rules: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert lint(rules) == 1
    assert "NF113" in names(capfd.readouterr().out)
    rules.write_text("table ip f {\n}\n")
    assert lint(rules) == 0
    assert capfd.readouterr().out == "nothing found\n"


@pytest.mark.parametrize(
    ("words", "piece"),
    [
        ((), "which file?"),
        (("none-there.nft",), "cannot be read"),
        (("--select", "XX9", "r.nft"), "no lint rule begins with 'XX9'"),
        (("--severity", "NF113=bad", "r.nft"), "is no severity"),
        (("--format", "html", "r.nft"), "is no format"),
        (("--profile", "bsd-5", "r.nft"), "is no part of a profile"),
        (("--assert", "22", "r.nft"), "nothing to assert"),
        (("--baseline", "none.json", "r.nft"), "cannot be read"),
        (("--explain", "NF999"), "there is no lint rule"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_call_exits_with_2(words: tuple[str, ...], piece: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.nft").write_text(BAD)
    with pytest.raises(TcemuError) as slip:
        lint(*words)
    assert slip.value.exit_code == 2
    assert piece in slip.value.render()


def test_what_goes_wrong_inside_exits_with_2(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tcemu.cli import linting

    def broken(_wanted: object) -> None:
        raise KeyError("inside")

    monkeypatch.setattr(linting, "lint_paths", broken)
    monkeypatch.delenv("TCEMU_DEBUG", raising=False)
    with pytest.raises(TcemuError, match="internal error: KeyError") as slip:
        lint(rules)
    assert slip.value.exit_code == 2


def test_a_broken_session_exits_with_2(tmp_path: Path) -> None:
    path = tmp_path / "broken.db"
    path.write_bytes(b"SQLite format 3\0" + b"x" * 200)
    with pytest.raises(TcemuError) as slip:
        lint(path)
    assert slip.value.exit_code == 2


def test_rules_are_chosen_by_their_beginnings(rules: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert lint("--select", "CT,OP", rules) == 0
    assert lint("--select", "NF1", "--ignore", "NF113", rules) == 0
    assert lint("--ignore", "NF", "--select", "NF113", rules) == 1
    assert names(capfd.readouterr().out) == ["NF113"]


def test_severities_are_configured(rules: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert lint("--severity", "NF113=info", rules) == 0
    assert "info: never matches" in capfd.readouterr().out
    assert lint("--severity", "NF=off", "--severity", "NF113=error", rules) == 1
    assert lint("--fail-on", "error", rules) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("counter drop", "counter drop # tcemu: ignore[NF113]"),
        lambda text: text.replace("counter drop", "counter drop # tcemu: ignore"),
        lambda text: text.replace("    ip saddr 10.1", "    # tcemu: ignore[OP004, NF1]\n    ip saddr 10.1"),
        lambda text: "# tcemu: ignore-file[NF113]\n" + text,
    ],
    ids=["line", "all", "before", "file"],
)
def test_comments_silence(change: object, rules: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rules.write_text(change(BAD))  # type: ignore[operator]
    assert lint(rules) == 0
    assert "1 ignored" in capfd.readouterr().out


def test_a_comment_for_another_rule_silences_nothing(rules: Path) -> None:
    rules.write_text(BAD.replace("counter drop", "counter drop # tcemu: ignore[NF114]"))
    assert lint(rules) == 1


@pytest.mark.parametrize("name", ["pyproject.toml", ".tcemu.toml"])
def test_configuration_is_found_upwards(name: str, rules: Path, capfd: pytest.CaptureFixture[str]) -> None:
    table = "[tool.tcemu.lint]" if name == "pyproject.toml" else "[lint]"
    (rules.parent / name).write_text(f'{table}\nignore = ["NF113"]\n')
    deep = rules.parent / "a" / "b"
    deep.mkdir(parents=True)
    moved = rules.rename(deep / "rules.nft")
    assert lint(moved) == 0
    assert lint("--no-config", moved) == 1
    (rules.parent / name).write_text(f"{table}\nignor = []\n")
    with pytest.raises(TcemuError, match="did you mean ignore"):
        lint(moved)


def test_a_baseline_keeps_what_is_known_though_lines_move(rules: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    known = tmp_path / "known.json"
    assert lint("--write-baseline", known, rules) == 0
    rules.write_text("# a line more\n\n" + BAD)
    assert lint("--baseline", known, rules) == 0
    rules.write_text(BAD.replace("    ip saddr 10.1", "    ip saddr 10.2.0.0/16 drop\n    ip saddr 10.1"))
    capfd.readouterr()
    assert lint("--baseline", known, "--select", "NF", rules) == 1
    assert names(capfd.readouterr().out) == ["NF113"]


def test_fix_mends_and_changes_nothing_else(rules: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rules.write_text(TWICE)
    assert lint("--fix", rules) == 0
    assert capfd.readouterr().err == "2 places mended\n"
    assert rules.read_text() == TWICE.replace("    tcp dport 22 accept\n", "").replace('iif "ppp0"', 'iifname "ppp0"')
    assert lint("--fix", rules) == 0
    assert capfd.readouterr().err == "0 places mended\n"


def test_witnesses_are_captures(rules: Path, tmp_path: Path) -> None:
    import scapy.layers.inet
    import scapy.layers.l2  # noqa: F401
    from scapy.utils import rdpcap

    assert lint("--witness", tmp_path / "proof", rules) == 1
    (path,) = sorted((tmp_path / "proof").iterdir())
    assert path.name == "001-NF113-line-5.pcap"
    (packet,) = rdpcap(str(path))
    assert packet["IP"].src == "10.1.0.1"


def test_a_report_goes_to_a_file(rules: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert lint("--format", "json", "--output", tmp_path / "out.json", rules) == 1
    assert capfd.readouterr().out == ""
    assert json.loads((tmp_path / "out.json").read_text())["findings"]


def test_explain_and_list_need_no_file(capfd: pytest.CaptureFixture[str]) -> None:
    assert lint("--explain", "nf113") == 0
    assert capfd.readouterr().out.startswith("NF113 (warning): shadowed")
    assert lint("--list") == 0
    assert len(capfd.readouterr().out.splitlines()) == 91


def test_the_hook_of_pre_commit_calls_the_command() -> None:
    text = (Path(__file__).resolve().parents[2] / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
    assert "id: tcemu-lint" in text
    assert "entry: tcemu lint" in text


def test_each_file_may_be_a_machine_of_its_own(rules: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rules.write_text(
        "table ip f {\n  chain c {\n    type filter hook input priority 0; policy accept;\n    ip saddr 10.0.0.0/8 counter drop\n  }\n}\n"
    )
    other = tmp_path / "other.nft"
    other.write_text(rules.read_text().replace("ip saddr 10.0.0.0/8 counter drop", "ip saddr 10.1.0.0/16 counter accept"))
    assert lint(rules, other) == 1
    assert names(capfd.readouterr().out) == ["NF113"]
    assert lint("--each", rules, other) == 0
    assert names(capfd.readouterr().out) == []


def test_lines_of_scripts_are_not_taken_out(tmp_path: Path) -> None:
    path = tmp_path / "up.sh"
    path.write_text("#!/bin/sh\nif true; then\nnft -f - <<EOF\n" + TWICE + "EOF\nfi\n")
    before = path.read_text()
    assert lint("--fix", "--ignore", "OP006", path) == 1
    assert path.read_text() == before


@pytest.mark.parametrize(
    "rule",
    ["limit rate 5/second accept", "meta mark set meta mark or 1", 'log prefix "x"', 'counter name "n"'],
    ids=lambda rule: rule.split(" ")[0],
)
def test_a_duplicate_that_does_something_stays(rule: str, rules: Path) -> None:
    rules.write_text(
        f"table ip f {{\n  counter n {{\n  }}\n  chain c {{\n    type filter hook input priority 0; policy accept;\n    {rule}\n    tcp dport 1 counter\n    {rule}\n  }}\n}}\n"
    )
    before = rules.read_text()
    lint("--fix", rules)
    assert rules.read_text() == before
