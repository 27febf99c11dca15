"""Baselines: findings that are known and accepted, by fingerprints that survive moved lines.

A fingerprint is made of the rule, the file and the text of the line; several alike are counted.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from typing import Final

from tcemu.diagnostics import TcemuError
from tcemu.lint.finding import Finding

FORMAT: Final = "tcemu lint baseline 1"


def fingerprint(finding: Finding) -> str:
    """32 hexadecimal digits."""
    import os

    name = os.path.basename(finding.spans[0].file if finding.spans else finding.file)
    content = " ".join(finding.text.split()) or finding.key
    return hashlib.sha256("\0".join((finding.rule, name, content)).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def write(path: str, findings: Sequence[Finding]) -> None:
    """Keep findings as known."""
    counted = Counter(fingerprint(finding) for finding in findings)
    document = {"format": FORMAT, "findings": dict(sorted(counted.items()))}
    with open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(document, indent=1) + "\n")


def read(path: str) -> Counter[str]:
    """Known findings. Raises TcemuError (2)."""
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        if document["format"] != FORMAT:
            raise ValueError
        return Counter({str(name): int(count) for name, count in document["findings"].items()})
    except OSError as slip:
        raise TcemuError(f"baseline {path} cannot be read: {slip.strerror}", exit_code=2) from slip
    except (ValueError, KeyError, TypeError, AttributeError) as slip:
        raise TcemuError(f"{path} is no baseline of tcemu lint", exit_code=2) from slip


def without(findings: Sequence[Finding], known: Counter[str]) -> tuple[list[Finding], int]:
    """Findings that are not known, and how many were."""
    left = Counter(known)
    kept = []
    for finding in findings:
        name = fingerprint(finding)
        if left[name] > 0:
            left[name] -= 1
        else:
            kept.append(finding)
    return kept, len(findings) - len(kept)
