"""tcemu: Linux packet rulesets without Linux.

``from tcemu import Session`` is the whole Python contract; see :mod:`tcemu.session.session`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if os.environ.get("TCEMU_ENGINE") == "interpreted":
    from tcemu.form import interpret

    interpret()

if TYPE_CHECKING:
    from tcemu.session.replayed import ReplayResult
    from tcemu.session.session import Result, Session

__all__ = ["ReplayResult", "Result", "Session", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Load the contract's names on first use, so that importing a part does not import the whole."""
    if name in ("Session", "Result"):
        from tcemu.session import session

        return getattr(session, name)
    if name == "ReplayResult":
        from tcemu.session.replayed import ReplayResult

        return ReplayResult
    raise AttributeError(name)
