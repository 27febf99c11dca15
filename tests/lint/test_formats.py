"""What a report looks like. SARIF is held against its schema (sarif-2.1.0.schema.json, of the schema store, RTM 5)."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from schema import check

from tcemu.lint.catalogue import everything
from tcemu.lint.formats import NAMES, writer
from tcemu.lint.run import Report
from tcemu.session.linting import lint_text

SCHEMA = json.loads((Path(__file__).parent / "sarif-2.1.0.schema.json").read_text(encoding="utf-8"))
TEXT = """table inet f {
\tchain input {
\t\ttype filter hook input priority filter; policy drop;
\t\tct state established,related accept
\t\tip saddr 10.0.0.0/8 accept
\t\tip saddr 10.1.2.3 tcp dport 22 drop
\t\tip saddr @missing drop
\t}
}
"""


@pytest.fixture(scope="module")
def report() -> Report:
    return lint_text(TEXT, "rules with a blank.nft")[1]


def test_the_checker_of_schemas_finds_what_is_wrong() -> None:
    good = {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "results": []}]}
    assert check(good, SCHEMA, SCHEMA) == []
    assert check({"version": "2.1.0"}, SCHEMA, SCHEMA)
    assert check({**good, "version": "2.0"}, SCHEMA, SCHEMA)
    assert check({**good, "runs": [{"tool": {"driver": {"name": 5}}}]}, SCHEMA, SCHEMA)
    assert check({**good, "unknown": 1}, SCHEMA, SCHEMA)


def test_sarif_is_valid(report: Report) -> None:
    document = json.loads(writer("sarif")(report, False))
    assert check(document, SCHEMA, SCHEMA) == []
    (run,) = document["runs"]
    assert [result["ruleId"] for result in run["results"]] == [finding.rule for finding in report.findings]
    assert all(run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])
    assert all("%20" in result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in run["results"])


@pytest.mark.parametrize("rule", everything().values(), ids=lambda rule: rule.id)
def test_the_help_of_each_rule_is_valid_sarif(rule: object) -> None:
    from tcemu.lint.finding import Finding

    finding = Finding(rule.id, rule.severity, rule.title)  # type: ignore[attr-defined]
    assert check(json.loads(writer("sarif")(Report([finding], []), False)), SCHEMA, SCHEMA) == []


def test_an_empty_report_is_valid_in_every_form() -> None:
    empty = Report([], [])
    assert check(json.loads(writer("sarif")(empty, False)), SCHEMA, SCHEMA) == []
    assert json.loads(writer("json")(empty, False))["findings"] == []
    assert json.loads(writer("gitlab")(empty, False)) == []
    assert writer("github")(empty, False) == ""
    assert ElementTree.fromstring(writer("junit")(empty, False)).get("failures") == "0"
    assert writer("text")(empty, False) == "nothing found\n"


def test_text_has_carets_under_tabs_and_the_witness(report: Report) -> None:
    text = writer("text")(report, False)
    block = text[text.index("rules with a blank.nft:6:3") :].split("\n")
    assert block[1] == "\t\tip saddr 10.1.2.3 tcp dport 22 drop"
    assert block[2] == "\t\t" + "^" * len("ip saddr 10.1.2.3 tcp dport 22 drop")
    assert any("witness: TCP 10.1.2.3:40001" in line for line in block[:6])
    assert "\033[" not in text
    assert "\033[" in writer("text")(report, True)


def test_json_keeps_places_and_frames(report: Report) -> None:
    rows = json.loads(writer("json")(report, False))["findings"]
    row = next(row for row in rows if row["rule"] == "NF113")
    assert row["places"][0] == {"file": "rules with a blank.nft", "line": 6, "column": 3, "end": 38}
    assert bytes.fromhex(row["witness"]["frame"])[12:14] == b"\x08\x00"


def test_github_says_a_command_a_finding(report: Report) -> None:
    lines = writer("github")(report, False).splitlines()
    assert len(lines) == len(report.findings)
    assert any(line.startswith("::error file=rules with a blank.nft,line=7,col=") for line in lines)
    assert all("\n" not in line and line.count("::") >= 2 for line in lines)


def test_gitlab_has_fingerprints(report: Report) -> None:
    issues = json.loads(writer("gitlab")(report, False))
    assert {issue["severity"] for issue in issues} <= {"critical", "minor", "info"}
    assert len({issue["fingerprint"] for issue in issues}) == len(issues)


def test_junit_counts_failures(report: Report) -> None:
    tree = ElementTree.fromstring(writer("junit")(report, False))
    assert (
        int(tree.get("failures", "0")) == len(tree.findall(".//failure")) == sum(finding.severity != "info" for finding in report.findings)
    )


def test_all_forms_are_there() -> None:
    assert set(NAMES) == {"text", "json", "sarif", "github", "gitlab", "junit"}
