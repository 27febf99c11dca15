"""No test sees the label names of the machine it runs on."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def label_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where names of labels would be read from; there is no such file at first."""
    path = tmp_path / "connlabel.conf"
    monkeypatch.setattr("tcemu.conntrack.labels.PATH", str(path))
    return path
