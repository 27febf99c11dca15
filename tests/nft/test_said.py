"""What nft 1.0.6 says of mistakes, in whole. Source of said.txt: rulesets written for this test, errors observed with nft 1.0.6 (`said.txt`:
input, ``-- said``, standard error; ``==`` between cases; each on a table ip t and a table inet i with a chain c on the hook input)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcemu import Session

BEFORE = "".join(f"table {name} {{ chain c {{ type filter hook input priority 0; }}; }}\n" for name in ("ip t", "inet i"))
CASES = [case.split("-- said\n") for case in (Path(__file__).parent / "said.txt").read_text(encoding="utf-8").split("==\n")]


@pytest.mark.parametrize(("text", "said"), CASES, ids=[case[0].strip().replace("\n", " ⏎ ") for case in CASES])
def test_a_mistake_is_told_as_nft_tells_it(text: str, said: str) -> None:
    session = Session(strict=True)
    session.nft(["-f", "-"], stdin=BEFORE)
    answer = session.nft(["-f", "-"], stdin=text)
    assert (answer.exit_code, answer.stderr) == (1, said)
