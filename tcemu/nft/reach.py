"""From which base chains a chain is reached, and whether what stands in it may be reached from there.

The kernel walks each table's base chains whenever a batch brought statements that care (nf_tables_api.c nft_table_validate): the
first rule or element that makes a table wrong is refused, and so is each after it. Here every chain's note counts what its rules
need and where they lead; a rule is held against the base chains above it and what lies below it only.
"""

from __future__ import annotations

from typing import Final

from tcemu.ir.ruleset import Ruleset
from tcemu.nft.notes import ChainNote, pack, unpack
from tcemu.nft.refusal import EMLINK, EOPNOTSUPP

DEPTH: Final = 16  # NFT_JUMP_STACK_SIZE


class Node:
    """A chain, or a map with verdicts: a base chain's type and hook, what its rules need, and where they lead, with how often each."""

    __slots__ = ("hook", "is_map", "leads", "needs", "type", "up")

    def __init__(self, note: ChainNote | None = None) -> None:
        self.is_map = note is None
        self.type = note.type if note is not None else ""
        self.hook = note.hook if note is not None else ""
        self.needs = note.needs if note is not None else {}
        self.leads = note.leads if note is not None else {}
        self.up: set[str] = set()


class Reach:
    """The chains of one table as a graph."""

    def __init__(self, ruleset: Ruleset, table: str) -> None:
        self.ruleset = ruleset
        self.nodes: dict[str, Node] = {}
        self.changed: set[str] = set()
        self.wrong = ""  # why the table has been refused already
        for chain in ruleset.chains.children(table):
            self.nodes[chain.key] = Node(unpack(chain.note, ChainNote))
        for key in list(self.nodes):
            for lead in self.nodes[key].leads:
                self._link(key, lead)

    def chain(self, key: str, note: ChainNote) -> None:
        """A new chain."""
        self.nodes[key] = Node(note)

    def count(self, source: str, needs: list[str], leads: list[str], by: int) -> None:
        """A rule of a chain, or an element of a map, comes (by 1) or goes (by -1)."""
        node = self.nodes.get(source)
        if node is None or not (needs or leads):
            return
        self.changed.add(source)
        _count(node.needs, needs, by)
        _count(node.leads, leads, by)
        for lead in leads:
            self._link(source, lead)
            if lead not in node.leads and lead in self.nodes:
                self.nodes[lead].up.discard(source)

    def _link(self, source: str, lead: str) -> None:
        node = self.nodes.get(lead)
        if node is None:
            record = self.ruleset.sets.get(lead)
            if record is None or not record.verdicts:
                return
            node = self.nodes[lead] = Node()
            for element in self.ruleset.elements.children(lead):
                if element.verdict is not None and element.verdict.to:
                    _count(node.leads, [element.verdict.to], 1)
            for target in node.leads:
                self._link(lead, target)
        node.up.add(source)

    def save(self) -> None:
        """Write the counts into the chains' notes."""
        for key in self.changed:
            chain = self.ruleset.chains.get(key)
            if chain is not None:
                note = unpack(chain.note, ChainNote)
                note.needs, note.leads = self.nodes[key].needs, self.nodes[key].leads
                chain.note = pack(note)
                self.ruleset.chains.put(chain)
        self.changed.clear()

    # ------------------------------------------------------------ checking
    def check(self, source: str, needs: list[str], leads: list[str]) -> str:
        """Why the table is wrong now that the chain or map has that, or ""."""
        if not self.wrong and (needs or leads) and source in self.nodes:
            self.wrong = self._check(source, needs, leads)
        return self.wrong

    def _check(self, source: str, needs: list[str], leads: list[str]) -> str:
        bases = [self.nodes[key] for key in self._closure([source], True) if self.nodes[key].hook]
        if not bases:
            return ""
        wanted = set(needs)
        for key in self._closure([lead for lead in leads if lead in self.nodes], False):
            wanted.update(self.nodes[key].needs)
        if leads and self._height(source, True, {}) + self._height(source, False, {}) >= DEPTH:
            return EMLINK
        return "" if all(_met(need, base) for base in bases for need in wanted) else EOPNOTSUPP

    def _closure(self, keys: list[str], upward: bool) -> set[str]:
        """These nodes and all above or below them."""
        seen = set(keys)
        while keys:
            node = self.nodes[keys.pop()]
            for key in node.up if upward else node.leads:
                if key not in seen and key in self.nodes:
                    seen.add(key)
                    keys.append(key)
        return seen

    def _height(self, key: str, upward: bool, known: dict[str, int]) -> int:
        """The longest way up to a base chain, or down, in jumps; DEPTH at least where the way down goes in circles."""
        if key in known:
            return known[key]
        known[key] = FAR if upward else DEPTH
        node = self.nodes[key]
        best = 0 if node.hook or not upward else FAR
        for other in node.up if upward else node.leads:
            if other in self.nodes:
                step = 0 if self.nodes[key if upward else other].is_map else 1
                best = max(best, step + self._height(other, upward, known))
        known[key] = best
        return best


FAR: Final = -1000


def _count(counts: dict[str, int], names: list[str], by: int) -> None:
    for name in names:
        left = counts.get(name, 0) + by
        if left > 0:
            counts[name] = left
        else:
            counts.pop(name, None)


def _met(need: str, base: Node) -> bool:
    kind, _, hooks = need.partition(":")
    return (not kind or kind == base.type) and base.hook in hooks.split(",")
