"""Expressions, one file a kind: parser actions, type, what the engine reads, text and JSON.

`KINDS` maps the ``kind`` of a `tcemu.nft.tree.Key` to its file's `Kind`.
"""

from __future__ import annotations

from typing import Any, Final

from tcemu.nft.expressions import ct, exthdr, fib, generators, ipsec, meta, operators, osf, payload, rt, socket, tunnel
from tcemu.nft.expressions.kind import Kind

MODULES: Final = (payload, tunnel, exthdr, meta, ct, rt, fib, socket, osf, ipsec, generators)
KINDS: Final[dict[str, Kind]] = {kind.name: kind for module in MODULES for kind in module.KINDS}
ACTIONS: Final[dict[str, Any]] = {name: action for module in (operators, *MODULES) for name, action in module.ACTIONS.items()}
