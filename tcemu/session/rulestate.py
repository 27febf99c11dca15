"""Counters of rules as a recorder reads them, and by how much they moved since it last looked (oracle nlink.py tc_stats, agent.py)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tcemu.ir.step import Do
from tcemu.session.dumped import Place, lost
from tcemu.tc import kinds

if TYPE_CHECKING:
    from tcemu.ir.ruleset import Rule, Slot
    from tcemu.session.session import Session

TRACE_TABLE: Final = "oracle_trace"  # the recorder's own, which is not looked at
COUNTERS: Final = ("packets", "bytes", "drops", "overlimits")
WITH_ACTIONS: Final = ("flower", "matchall", "u32", "basic", "fw")  # kinds of filter whose actions the recorder finds

Counts = dict[str, int]
TcKey = tuple[str, int, int, int, str, int, int, str]


class RuleState:
    """Remembers counters between two looks."""

    def __init__(self, session: Session, tc: bool, nft: bool) -> None:
        self.session, self.tc, self.nft = session, tc, nft
        self._hooks: list[str] = []
        self._lost: dict[str, set[Place]] = {}
        self._old_tc: dict[TcKey, Counts] = {}
        self._old_nft: dict[tuple[str, str], Any] = {}

    def restart(self) -> None:
        """Find the hooks anew and count from here."""
        self._hooks = self.find_hooks() if self.tc else []
        self._lost = {hook: lost(self.session, hook) for hook in self._hooks}
        self.delta()

    def find_hooks(self) -> list[str]:
        """``dev X ingress``, ``dev X egress`` or ``block N``, as `tc qdisc show` lists them."""
        found: list[str] = []
        for qdisc in json.loads(self.session.tc(["-j", "qdisc", "show"]).stdout or "[]"):
            if qdisc.get("kind") not in ("ingress", "clsact"):
                continue
            for side in ("ingress", "egress") if qdisc["kind"] == "clsact" else ("ingress",):
                block = qdisc.get(f"{side}_block")
                hook = f"block {block}" if block else f"dev {qdisc['dev']} {side}"
                if hook not in found:
                    found.append(hook)
        return found

    def delta(self) -> list[dict[str, Any]]:
        """What moved since the last look."""
        out: list[dict[str, Any]] = []
        if self.tc:
            new = {key: counts for hook in self._hooks for key, counts in tc_counters(self.session, hook, self._lost[hook])}
            out += _tc_delta(self._old_tc, new)
            self._old_tc = new
        if self.nft:
            state = nft_counters(self.session)
            out += _nft_delta(self._old_nft, state)
            self._old_nft = state
        return out


def tc_counters(session: Session, hook: str, unseen: set[Place]) -> list[tuple[TcKey, Counts]]:
    """The counters of every action of every filter behind a hook, in the order of a dump; but for those that the dump leaves out."""
    ruleset = session.ruleset
    found: list[tuple[TcKey, Counts]] = []
    for chain in ruleset.chains.children(f"tc {hook}"):
        rules: dict[int, list[Rule]] = {}
        for rule in ruleset.rules.children(chain.key) + ruleset.rules.children(f"{chain.key}/u32"):
            rules.setdefault(rule.slot, []).append(rule)
        for slot in ruleset.slots.children(chain.key):
            if slot.kind in WITH_ACTIONS and (int(chain.name), slot.rank, slot.kind) not in unseen:
                for rule in kinds.listed(slot.kind, rules.get(slot.rank, [])):
                    found += _actions(session, hook, int(chain.name), slot, rule)
    return found


def _actions(session: Session, hook: str, chain: int, slot: Slot, rule: Rule) -> list[tuple[TcKey, Counts]]:
    found = []
    order = 0
    for step in rule.steps:
        if not isinstance(step, Do) or not step.obj:
            continue
        order += 1
        action = session.ruleset.objects.get(step.obj)
        if action is not None:
            handle = int(rule.key.rsplit("/", 1)[1], 16)
            key = (hook, chain, slot.rank, slot.protocol, slot.kind, handle, order, action.kind)
            found.append((key, {name: getattr(action.stats, name) for name in COUNTERS}))
    return found


_NAMES: Final = ("hook", "chain", "pref", "protocol", "kind", "handle", "order", "action")


def _tc_delta(old: dict[TcKey, Counts], new: dict[TcKey, Counts]) -> list[dict[str, Any]]:
    out = []
    for key, now in new.items():
        was = old.get(key, {})
        moved = {name: value - was.get(name, 0) for name, value in now.items() if value != was.get(name, 0)}
        if moved:
            out.append(dict(zip(_NAMES, key, strict=True)) | moved)
    return out


# ---------------------------------------------------------------- nft


def nft_counters(session: Session) -> dict[tuple[str, str], Any]:
    """Counters and quotas of rules by handle and place, of named objects, and all elements of sets."""
    state: dict[tuple[str, str], Any] = {}
    listing = session.nft(["-j", "list", "ruleset"])
    if listing.exit_code or not listing.stdout.strip():
        return state
    for item in json.loads(listing.stdout)["nftables"]:
        ((kind, thing),) = item.items()
        if thing.get("table") == TRACE_TABLE:
            continue
        where = f"{thing.get('family')} {thing.get('table')} "
        if kind == "rule":
            _rule_counters(state, f"{where}{thing['chain']} handle {thing['handle']}", thing["expr"])
        elif kind in ("counter", "quota"):
            state[kind, where + thing["name"]] = {name: thing[name] for name in ("packets", "bytes", "used") if name in thing}
        elif kind in ("set", "map", "meter"):
            state["set", where + thing["name"]] = _without_expiry(thing.get("elem", []))
    return state


def _rule_counters(state: dict[tuple[str, str], Any], where: str, expressions: list[dict[str, Any]]) -> None:
    for place, expression in enumerate(expressions):
        for stateful in ("counter", "quota"):
            value = expression.get(stateful)
            if isinstance(value, dict):
                kept = {name: number for name, number in value.items() if name in ("packets", "bytes", "used") and isinstance(number, int)}
                if kept:
                    state["rule", f"{where} expr {place}"] = kept


def _nft_delta(old: dict[tuple[str, str], Any], new: dict[tuple[str, str], Any]) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for key, value in new.items():
        if value == old.get(key):
            continue
        if key[0] == "set":
            out.append({key[0]: key[1], "elem": value})
        else:
            was = old.get(key, {})
            out.append({key[0]: key[1], **{name: number - was.get(name, 0) for name, number in value.items()}})
    return out


def _without_expiry(element: Any) -> Any:
    """Elements less the seconds they have left, which are no change."""
    if isinstance(element, dict):
        return {name: _without_expiry(value) for name, value in element.items() if name != "expires"}
    return [_without_expiry(item) for item in element] if isinstance(element, list) else element
