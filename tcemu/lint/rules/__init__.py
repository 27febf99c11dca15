"""The rules, one file a subject. `RULES` is all of them in the order of their ids."""

from __future__ import annotations

from typing import Final

from tcemu.lint.rules import (
    absent,
    anomalies,
    bits,
    contradictions,
    fast_path,
    features,
    flowtables,
    hooks,
    load,
    marks,
    nat,
    ops,
    paths,
    policies,
    sets,
    state,
    tc,
    tc_ct,
    translated,
)

MODULES: Final = (
    *(load, absent, hooks, policies, anomalies, contradictions, sets, bits, state, paths, marks),
    *(nat, translated, flowtables, fast_path, tc, tc_ct, ops, features),
)
RULES: Final = tuple(sorted((one for module in MODULES for one in module.RULES), key=lambda one: one.id))
