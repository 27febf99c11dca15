"""Lark as grammar compiler: grammar/*.lark to tables. The only module that imports Lark; never on a user's path.

Lark reads the grammar and computes the LALR(1) automaton (DeRemer and Pennello). The rest is bison's way: a state's
default is its most frequent reduction, the lowest rule on a tie, and none where the state shifts the error token
(bison, src/tables.c action_row); rows that are equal are stored once, and gotos as exceptions to a usual target.

``python -m tcemu.syntax.build [GRAMMAR_DIR OUT_DIR]`` builds all tables.
"""

from __future__ import annotations

import re
import sys
from ast import literal_eval
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, cast

import lark
from lark.common import ParserConf
from lark.grammar import NonTerminal, Rule, Symbol
from lark.lexer import TerminalDef
from lark.load_grammar import load_grammar
from lark.parsers.lalr_analysis import LALR_Analyzer

from tcemu.syntax.table import ABSENT, DROP, END, ERROR, KEEP, NO_DEFAULT, PASS, SPLICE, Table, digest_of, write_atomically

START = "start"
RULE_START = re.compile(r"^\??start(\.\d+)?\s*:", re.M)


class _State(NamedTuple):
    """One state of the automaton: terminal -> state, terminal -> rule, nonterminal -> state."""

    shifts: dict[str, int]
    reduces: dict[str, int]
    gotos: dict[str, int]
    reductions: frozenset[int]


def export_all(grammar_dir: Path, out_dir: Path) -> list[Path]:
    """Compile every grammar that has a start rule into ``<out_dir>/<name>.table``; the files written."""
    written = []
    for grammar in sorted(grammar_dir.glob("*.lark")):
        if RULE_START.search(grammar.read_text(encoding="utf-8")):
            target = out_dir / f"{grammar.stem}.table"
            write_table(grammar, target)
            written.append(target)
    return written


def write_table(grammar: Path, target: Path) -> Table:
    """Compile one grammar file and put its table in place."""
    table = compile_grammar(grammar)
    write_atomically(target, table.export())
    return table


def compile_grammar(grammar: Path) -> Table:
    """The table of a grammar file."""
    return compile_text(grammar.read_text(encoding="utf-8"), grammar.parent, f"{digest_of(grammar)}")


def compile_text(text: str, folder: Path | None = None, digest: str = "") -> Table:
    """The table of a grammar text; imports are looked up in ``folder``."""
    built, _files = cast(Any, load_grammar)(
        text, str(folder / "grammar.lark") if folder else "<text>", [str(folder)] if folder else [], False
    )
    declared = {str(name): _written(definition[0]) for name, definition in built.term_defs}
    terminals, rules, _ignored = built.compile([START], "*")
    analyzer: Any = LALR_Analyzer(ParserConf(rules, {}, [START]))
    analyzer.compute_lr0_states()
    analyzer.compute_reads_relations()
    analyzer.compute_includes_lookback()
    analyzer.compute_lookaheads()
    spelt = {term.name: _spellings(term, declared.get(term.name, [])) for term in terminals}
    names = [END, *declared]  # then those written inline
    names += [term.name for term in terminals if term.name not in declared]
    whole = {term.name for term in terminals if term.priority > 0}
    return Table(
        {
            "digest": digest or f"lark {lark.__version__}",
            "terminals": names,
            "keywords": [spelt.get(name, ()) for name in names],
            "whole": bytes(name in whole for name in names),
            **_assemble(analyzer, list(rules), {name: number for number, name in enumerate(names)}),
        }
    )


def _written(definition: Any) -> list[str]:
    """The strings of a terminal's definition in the order of the grammar (Lark sorts them by length)."""
    tokens = definition.scan_values(lambda token: getattr(token, "type", "") == "STRING") if definition else ()
    return [str(literal_eval(str(token))) for token in tokens if str(token).endswith('"')]


def _assemble(analyzer: Any, rules: list[Rule], term_no: dict[str, int]) -> dict[str, Any]:
    """The automaton's part of the table."""
    number = {rule: place for place, rule in enumerate(rules)}
    itemsets = _walk(analyzer)
    place = {id(itemset): n for n, itemset in enumerate(itemsets)}
    conflicts: list[str] = []
    states = [_state(itemset, place, number, rules, conflicts) for itemset in itemsets]
    goal = next(n for n, itemset in enumerate(itemsets) if any(_is_root(item) for item in itemset.closure))
    states[goal].shifts[END] = len(states)  # Lark leaves the end of the input out of its item sets; bison shifts it
    states.append(_State({}, {}, {}, frozenset()))
    symbols = [""] * len(states)
    for state in states:
        for name, target in (*state.shifts.items(), *state.gotos.items()):
            symbols[target] = name
    rows, row_of, default, eager = _rows(states, term_no)
    nonterms = sorted({str(rule.origin.name) for rule in rules})
    recipes = [_recipe(rule) for rule in rules]
    return {
        "starts": {START: place[id(analyzer.lr0_start_states[START])]},
        "accept": {START: len(states) - 1},
        "row_of": row_of,
        "rows": rows,
        "default": default,
        "eager": eager,
        "symbol_of": [str(name) for name in symbols],
        "gotos": _gotos(states, nonterms),
        "rule_of": [nonterms.index(rule.origin.name) for rule in rules],
        "length": bytes(len(rule.expansion) for rule in rules),
        "names": [_name(rule, recipe) for rule, recipe in zip(rules, recipes, strict=True)],
        "spliced": bytes(_spliced(rule.origin) for rule in rules),
        "recipe": recipes,
        "plain": [recipe.index(KEEP) if _sole(recipe) else -1 for recipe in recipes],
        "conflicts": sorted(conflicts),
    }


def _is_root(item: Any) -> bool:
    return bool(item.is_satisfied and item.rule.origin.name == f"$root_{START}")


def _walk(analyzer: Any) -> list[Any]:
    """The item sets, breadth first from the start and by symbol name, so that numbers do not depend on hashing."""
    seen = [analyzer.lr0_start_states[START]]
    known = {id(seen[0])}
    for itemset in seen:
        for symbol in sorted(itemset.transitions, key=lambda symbol: (symbol.is_term, symbol.name)):
            target = itemset.transitions[symbol]
            if id(target) not in known:
                known.add(id(target))
                seen.append(target)
    return seen


def _state(itemset: Any, place: dict[int, int], number: dict[Rule, int], rules: list[Rule], conflicts: list[str]) -> _State:
    shifts = {s.name: place[id(to)] for s, to in itemset.transitions.items() if s.is_term}
    gotos = {s.name: place[id(to)] for s, to in itemset.transitions.items() if not s.is_term}
    reduces: dict[str, int] = {}
    found: set[int] = set()
    for terminal, candidates in itemset.lookaheads.items():
        chosen = _choose(terminal, candidates, number)
        found.add(chosen)
        if terminal.name in shifts:
            conflicts.append(f"{rules[chosen].origin.name} / {terminal.name}")
        else:
            reduces[terminal.name] = chosen
    return _State(shifts, reduces, gotos, frozenset(found))


def _choose(terminal: Symbol, candidates: Iterable[Rule], number: dict[Rule, int]) -> int:
    """The one rule to reduce; two of the same priority are an error of the grammar."""
    ranked = sorted(candidates, key=lambda rule: -((rule.options and rule.options.priority) or 0))
    if len(ranked) > 1 and _priority(ranked[0]) == _priority(ranked[1]):
        raise ValueError(f"reduce/reduce conflict at {terminal.name}:\n" + "\n".join(f"  {rule}" for rule in ranked))
    return number[ranked[0]]


def _priority(rule: Rule) -> int:
    return (rule.options and rule.options.priority) or 0


def _rows(states: list[_State], term_no: dict[str, int]) -> tuple[list[dict[int, int]], list[int], list[int], bytes]:
    """Rows, which row each state has, default reductions, and which states are eager."""
    rows: list[dict[int, int]] = []
    known: dict[tuple[tuple[int, int], ...], int] = {}
    row_of, default, eager = [], [], []
    for state in states:
        usual = _usual(state)
        row = {term_no[name]: target for name, target in state.shifts.items()}
        row.update({term_no[name]: -1 - rule for name, rule in state.reduces.items() if rule != usual})
        key = tuple(sorted(row.items()))
        if key not in known:
            known[key] = len(rows)
            rows.append(dict(key))
        row_of.append(known[key])
        default.append(usual)
        eager.append(1 if usual != NO_DEFAULT and not row else 0)
    return rows, row_of, default, bytes(eager)


def _usual(state: _State) -> int:
    """The default reduction as bison chooses it."""
    if ERROR in state.shifts or not state.reductions:
        return NO_DEFAULT
    if not state.shifts and len(state.reductions) == 1:
        return min(state.reductions)
    counts = Counter(state.reduces.values())
    return min(counts, key=lambda rule: (-counts[rule], rule), default=NO_DEFAULT)


def _gotos(states: list[_State], nonterms: list[str]) -> list[tuple[int, dict[int, int]]]:
    columns: dict[str, dict[int, int]] = {name: {} for name in nonterms}
    for number, state in enumerate(states):
        for name, target in state.gotos.items():
            columns[name][number] = target
    table = []
    for name in nonterms:
        column = columns[name]
        usual = Counter(column.values()).most_common(1)[0][0] if column else 0
        table.append((usual, {state: target for state, target in column.items() if target != usual}))
    return table


def _spliced(symbol: Symbol) -> bool:
    return isinstance(symbol, NonTerminal) and symbol.name.startswith("_")


def _recipe(rule: Rule) -> bytes:
    """What becomes of each child; Lark's empty_indices tell where a None stands."""
    absent = list(rule.options.empty_indices) if rule.options and rule.options.empty_indices else [False] * len(rule.expansion)
    children = iter(rule.expansion)
    recipe = []
    for empty in absent:
        recipe.append(ABSENT if empty else _fate(next(children)))
    return bytes(recipe)


def _fate(symbol: Symbol) -> int:
    if symbol.is_term:
        return DROP if getattr(symbol, "filter_out", False) or symbol.name.startswith("_") or symbol.name == ERROR else KEEP
    return SPLICE if _spliced(symbol) else KEEP


def _name(rule: Rule, recipe: bytes) -> str:
    """What a rule's action is looked up by; PASS for ``?rules`` that pass their only child on."""
    if not rule.alias and rule.options and rule.options.expand1 and _sole(recipe):
        return PASS
    return str(rule.alias or rule.origin.name)


def _sole(recipe: bytes) -> bool:
    """Exactly one child remains, whatever the input."""
    return recipe.count(KEEP) == 1 and SPLICE not in recipe and ABSENT not in recipe


def _spellings(term: TerminalDef, written: list[str]) -> tuple[str, ...]:
    """The words of a keyword terminal, as written; a true pattern has none."""
    if term.pattern.type == "str":
        return (str(term.pattern.value),)
    body = re.fullmatch(r"\(\?:(.*)\)", str(term.pattern.value))
    words = [re.sub(r"\\(.)", r"\1", word) for word in (body.group(1).split("|") if body else ())]
    return tuple(written) if sorted(words) == sorted(written) else ()


if __name__ == "__main__":
    here = Path(__file__).resolve().parents[1]
    chosen = [Path(arg) for arg in sys.argv[1:]] or [here.parent / "grammar", here / "data"]
    for path in export_all(*chosen):
        print(path)
