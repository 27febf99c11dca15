"""The rules, one file a subject. `RULES` is all of them in the order of their ids."""

from __future__ import annotations

from typing import Final

from tcemu.lint.rules import anomalies, flowtables, hooks, load, nat, ops, sets, state, tc

MODULES: Final = (load, hooks, anomalies, sets, state, nat, flowtables, tc, ops)
RULES: Final = tuple(sorted((one for module in MODULES for one in module.RULES), key=lambda one: one.id))
