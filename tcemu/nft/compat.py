"""Forms of nft's language that never were in a release: the ``flow offload`` of the first patch set, of December 2017, without a table.

``TCEMU_COMPAT=flow-offload-v1`` lets them in. The word is read as a table of a name that nobody gives, so that positions in messages stay.
"""

from __future__ import annotations

import os
import re
from typing import Final

V1: Final = "flow-offload-v1"
TABLE: Final = "Z."  # "offload" is as long as "add @Z."
_FORM: Final = re.compile(r'"[^"\n]*"|#[^\n]*|\b(?P<flow>flow[ \t]+)offload\b(?![ \t]*@)')


def compatible(text: str) -> str:
    """The text with old forms as new ones, where they are wanted."""
    if "offload" not in text or V1 not in os.environ.get("TCEMU_COMPAT", "").split(","):
        return text
    return _FORM.sub(lambda found: f"{found['flow']}add @{TABLE}" if found["flow"] else found[0], text)
