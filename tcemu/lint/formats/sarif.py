"""SARIF 2.1.0 (OASIS), with the catalogue's documentation as help of the rules. Source: sarif-schema-2.1.0.json."""

from __future__ import annotations

import json
from typing import Any, Final

from tcemu import __version__
from tcemu.diagnostics import Span
from tcemu.lint.baseline import fingerprint
from tcemu.lint.catalogue import Rule, explain
from tcemu.lint.finding import Finding
from tcemu.lint.run import Report, rules_of

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS: Final = {"error": "error", "warning": "warning", "info": "note"}


def write(report: Report, _colour: bool = False) -> str:
    """The log."""
    rules = rules_of(report.findings)
    number = {name: place for place, name in enumerate(rules)}
    driver = {
        "name": "tcemu lint",
        "version": __version__,
        "informationUri": "https://en.wikipedia.org/wiki/Nftables",
        "rules": [_rule(one) for one in rules.values()],
    }
    results = [_result(finding, number[finding.rule]) for finding in report.findings]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def _rule(one: Rule) -> dict[str, Any]:
    return {
        "id": one.id,
        "shortDescription": {"text": one.title},
        "fullDescription": {"text": " ".join(one.why.split())},
        "help": {"text": explain(one)},
        "defaultConfiguration": {"level": LEVELS[one.severity]},
    }


def _location(span: Span) -> dict[str, Any]:
    region = {"startLine": max(span.line, 1), "startColumn": max(span.column, 1), "endColumn": max(span.end, span.column, 1)}
    return {"physicalLocation": {"artifactLocation": {"uri": _uri(span.file)}, "region": region}}


def _unplaced(finding: Finding) -> list[dict[str, Any]]:
    """The dump and the rule's key."""
    found: dict[str, Any] = {"logicalLocations": [{"fullyQualifiedName": finding.key}]} if finding.key else {}
    if finding.file:
        found["physicalLocation"] = {"artifactLocation": {"uri": _uri(finding.file)}}
    return [found] if found else []


def _uri(path: str) -> str:
    from urllib.parse import quote

    return quote(path or "stdin", errors="surrogateescape")


def _result(finding: Finding, number: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": number,
        "level": LEVELS[finding.severity],
        "message": {"text": finding.message},
        "locations": [_location(span) for span in finding.spans[:1]] or _unplaced(finding),
        "partialFingerprints": {"tcemu/v1": fingerprint(finding)},
    }
    if len(finding.spans) > 1:
        found["relatedLocations"] = [_location(span) for span in finding.spans[1:]]
    if finding.witness is not None:
        found["properties"] = {"witness": finding.witness.what, "shows": finding.witness.says, "frame": finding.witness.frame.hex()}
    return found
