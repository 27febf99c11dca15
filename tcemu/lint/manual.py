"""The catalogue as the section RULES of tcemu-lint(1); ``python -m tcemu.lint.manual PAGE`` puts it into the page."""

from __future__ import annotations

import sys
from typing import Final

from tcemu.lint.catalogue import everything

BEGIN: Final = '.\\" The rules: written by tcemu.lint.manual from the catalogue.'
END: Final = '.\\" End of the rules.'


def section() -> str:
    """The list of rules in mdoc."""
    lines = [BEGIN, '.Bl -tag -width "NF113"']
    for one in everything().values():
        lines += [f".It Li {one.id} Pq {one.severity}", _escaped(one.title[0].upper() + one.title[1:]) + "."]
        lines += [".br", _escaped("Mend: " + " ".join(one.fix.split())) + "."]
    return "\n".join([*lines, ".El", END])


def _escaped(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text.startswith((".", "'")) else text


def put(page: str) -> str:
    """A page with the section as it is now."""
    head, _, rest = page.partition(BEGIN)
    return head + section() + rest.partition(END)[2]


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        old = file.read()
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(put(old))
