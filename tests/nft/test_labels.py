"""Names of conntrack labels in rules (/etc/connlabel.conf), as nft 1.0.6 reads and lists them with the same file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcemu import Session

FILE = "# labels\n0 eth0-in\n0x1 eth0-out\n3 voice # of calls\n  64 far\n127 last\n128 toofar\n5 voice\n"
RULES = """table ip t {
	chain c {
		ct label set voice
		ct label voice counter
		ct label 64
		ct label != far counter
		ct label set 5
		ct label voice | far
		ct label set far | 3
		ct label != voice | 4
	}
}
"""
LISTED = """table ip t {
	chain c {
		ct label set "voice"
		ct label "voice" counter packets 0 bytes 0
		ct label "far"
		ct label != "far" counter packets 0 bytes 0
		ct label set "voice"
		ct label "voice","far"
		ct label set "voice" | "far"
		ct label != "voice" | 4
	}
}
"""


@pytest.fixture
def label_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "connlabel.conf"
    monkeypatch.setattr("tcemu.nft.names.LABELS", str(path))
    return path


def test_labels_are_read_and_listed_by_name(label_file: Path) -> None:
    label_file.write_text(FILE)
    with Session() as session:
        assert session.nft_file(RULES).exit_code == 0
        assert session.nft("list ruleset").stdout == LISTED
        document = session.nft(["-j", "list", "ruleset"]).stdout
    assert '"right": ["voice", "far"]' in document
    assert '"value": {"|": ["voice", "far"]}' in document
    assert '"value": "voice"' in document


def test_without_a_file_labels_are_numbers(label_file: Path) -> None:
    with Session() as session:
        assert session.nft_file("table ip t {\n chain c {\n ct label 3,64\n ct label set 3 | 64\n }\n}\n").exit_code == 0
        assert "ct label 3,64\n" in session.nft("list ruleset").stdout
        assert "ct label set 3 | 64\n" in session.nft("list ruleset").stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [("nonesuch", '/etc/connlabel.conf: could not parse conntrack label "nonesuch"'), ("toofar", "toofar: bit 128 out of range (128 max)")],
    ids=["unknown", "too-far"],
)
def test_what_is_no_label_is_refused(label_file: Path, name: str, said: str) -> None:
    label_file.write_text(FILE)
    with Session() as session:
        session.nft_file("table ip t {\n chain c {\n }\n}\n")
        reply = session.nft(f"add rule ip t c ct label {name}")
        assert reply.exit_code == 1
        assert f"Error: {said}" in reply.stderr


def test_a_file_is_read_up_to_what_is_no_line_of_it(label_file: Path) -> None:
    label_file.write_text("1 one\nnot a line\n2 two\n")
    with Session() as session:
        session.nft_file("table ip t {\n chain c {\n ct label 1\n ct label 2\n }\n}\n")
        listed = session.nft("list ruleset").stdout
    assert 'ct label "one"' in listed
    assert "ct label 2" in listed
