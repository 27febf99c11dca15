"""What nft says of names that are not there. Source: nft 1.0.6, observed with the same ruleset."""

from __future__ import annotations

import pytest

from tcemu import Session

RULESET = """table ip tab { chain fooo { }; set sett { type mark; }; map mapp { type mark : mark; }; counter cntr {}; }
table ip6 tabx { chain barr { }; set setx { type mark; }; }
table inet tabz { chain bazz { }; }
"""
KERNEL = "Could not process rule: No such file or directory"
PLAIN = "No such file or directory"


def meant(what: str) -> str:
    return f"{PLAIN}; did you mean {what}?"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("add rule ip tab barr accept", KERNEL),
        ("add rule ip taby barr accept", meant("table ‘tabx’ in family ip6")),
        ("add rule ip tab fooz accept", meant("chain ‘fooo’ in table ip ‘tab’")),
        ("add rule ip6 tab fooo accept", meant("table ‘tab’ in family ip")),
        ("insert rule ip tab foox accept", meant("chain ‘fooo’ in table ip ‘tab’")),
        ("flush chain ip tab foox", KERNEL),
        ("delete chain ip tab barr", meant("chain ‘barr’ in table ip6 ‘tabx’")),
        ("delete table ip tax", meant("table ‘tab’ in family ip")),
        ("flush table ip tax", KERNEL),
        ("list table ip tax", PLAIN),
        ("list chain ip tab foox", PLAIN),
        ("list set ip tab setz", PLAIN),
        ("list sets table ip tax", meant("table ‘tab’ in family ip")),
        ("list counter ip tab cntx", meant("obj ‘cntr’ in table ip ‘tab’")),
        ("delete counter ip tab cntx", meant("obj ‘cntr’ in table ip ‘tab’")),
        ("reset counter ip tab cntx", KERNEL),
        ("flush set ip tab setz", meant("set ‘sett’ in table ip ‘tab’")),
        ("delete map ip tab maqq", meant("map ‘mapp’ in table ip ‘tab’")),
        ("add element ip tab setz { 1 }", meant("set ‘sett’ in table ip ‘tab’")),
    ],
)
def test_guess_at_a_misspelt_name(command: str, said: str) -> None:
    session = Session(strict=True)
    assert session.nft(["-f", "-"], stdin=RULESET).exit_code == 0
    answer = session.nft(command)
    assert (answer.exit_code, answer.stderr.split("\n")[0]) == (1, f"Error: {said}")
