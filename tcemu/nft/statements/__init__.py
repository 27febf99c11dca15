"""Statements, one file a kind: parser actions, evaluation, what the engine runs, text and JSON. `KINDS` maps names to them."""

from __future__ import annotations

from typing import Any, Final

from tcemu.nft.statements import (
    assign,
    connlimit,
    counter,
    flow,
    forward,
    last,
    limit,
    log,
    match,
    misc,
    nat,
    objref,
    queue,
    quota,
    reject,
    synproxy,
    tproxy,
    update,
    verdict,
)
from tcemu.nft.statements.kind import Kind

MODULES: Final = (
    match,
    verdict,
    counter,
    limit,
    quota,
    connlimit,
    last,
    objref,
    log,
    reject,
    nat,
    tproxy,
    synproxy,
    queue,
    forward,
    update,
    assign,
    flow,
    misc,
)
KINDS: Final[dict[str, Kind]] = {kind.name: kind for module in MODULES for kind in module.KINDS}
ACTIONS: Final[dict[str, Any]] = {name: action for module in MODULES for name, action in module.ACTIONS.items()}
