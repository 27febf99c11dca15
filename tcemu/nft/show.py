"""Listings: tables, chains, rules, sets and objects as nft writes them, from what is stored.

`Out` holds the options of output and prints forms (`tcemu.nft.forms`); it is handed to the printers of every kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from tcemu.ir.effect import UpdateSet
from tcemu.ir.ruleset import Chain, Element, Flowtable, Object, Rule, Ruleset, Set, Table
from tcemu.ir.step import Do
from tcemu.nft import datatypes
from tcemu.nft.datatypes import TYPES, Datatype
from tcemu.nft.expressions import KINDS as EXPRESSIONS
from tcemu.nft.names import Names
from tcemu.nft.notes import ChainNote, ElementNote, FlowtableNote, RuleNote, SetNote, TableNote, unpack
from tcemu.nft.statements import KINDS as STATEMENTS
from tcemu.nft.units import show_time

Form = list[Any]
MS: Final = 1_000_000  # ns
PRECEDENCE: Final = {"<<": 1, ">>": 1, "&": 2, "^": 3, "|": 4}
FIVE: Final = frozenset(
    [
        "nf_proto",
        "integer",
        "xinteger",
        "arp_op",
        "inet_proto",
        "inet_service",
        "tcp_flag",
        "dccp_pkttype",
        "mark",
        "iface_index",
        "classid",
        "uid",
        "gid",
        "ct_dir",
    ]
)
TWO: Final = frozenset(("ipv4_addr", "pkt_type", "ct_state", "ct_status"))


class Out:
    """Options of output, and the printing of forms."""

    def __init__(self, ruleset: Ruleset, names: Names, now: int = 0) -> None:
        self.ruleset = ruleset
        self.names = names
        self.now = now
        self.handles = False
        self.stateless = False
        self.terse = False
        self.later = False  # as nft 1.1 lists
        self.hosts = False
        self.services = False
        self.guid = False
        self.numeric_priority = False
        self.numeric_protocol = False
        self.numeric_time = False
        self.numeric_symbol = False
        self.seconds = False
        self.show_interval = False
        self.steps: list[Any] = []
        self.table = ""  # of the rule that is listed

    # ------------------------------------------------------------ expressions
    def text(self, form: Form, above: int = 0) -> str:
        """An expression; ``above`` is the precedence of what it stands in."""
        kind = form[0]
        if kind == "v":
            return self.value(TYPES[form[1]], form[2])
        if kind == "list":
            return datatypes.bits_of(TYPES[form[1]], form[2], self)
        if kind == "flags":
            return datatypes.bits_of(TYPES[form[1]], form[2], self, " | ")
        if kind == "prefix":
            return f"{self.text(form[1])}/{form[2]}"
        if kind == "range":
            return self._range(form)
        if kind == "concat":
            return " . ".join(self.text(part) for part in form[1:])
        if kind == "op":
            text = self._binop(form)
            return f"({text})" if above and above < PRECEDENCE[form[1]] else text
        if kind == "@":
            return self.set_ref(form)
        if kind == "map":
            return f"{self.text(form[1])} map {self.text(form[2])}"
        if kind == "verdict":
            return f"{form[1]} {form[2]}" if form[2] else str(form[1])
        if kind == "*":
            return "*"
        return EXPRESSIONS[kind].text(form, self)

    def _range(self, form: Form) -> str:
        """The ends of a range are numbers even where a single value would be a word."""
        with self.numeric():
            return f"{self.text(form[1])}-{self.text(form[2])}"

    @contextmanager
    def numeric(self) -> Iterator[None]:
        """All values as numbers."""
        kept = self.services, self.guid, self.numeric_protocol, self.numeric_symbol, self.seconds, self.hosts
        self.services = self.guid = self.hosts = False
        self.numeric_protocol = self.numeric_symbol = self.seconds = True
        yield
        self.services, self.guid, self.numeric_protocol, self.numeric_symbol, self.seconds, self.hosts = kept

    def _binop(self, form: Form) -> str:
        _kind, op, left, right = form
        mine = PRECEDENCE[op]
        if left[0] == "op" and left[1] in ("<<", ">>") and right[0] == "v" and isinstance(right[2], int) and TYPES[right[1]].table:
            return f"{self._argument(left, mine)} {op} 0x{right[2]:x}"  # a shifted value has no words any more
        return f"{self._argument(left, mine)} {op} {self._argument(right, mine)}"

    def _argument(self, form: Form, mine: int) -> str:
        inner = PRECEDENCE.get(form[1], 0) if form[0] == "op" else 4 if form[0] == "flags" else 0
        text = self.text(form)
        return f"({text})" if inner > mine else text

    def value(self, dtype: Datatype, value: int | str) -> str:
        """A value of a type."""
        return datatypes.show(dtype, value, self)

    def time(self, ms: int) -> str:
        """A time as the options want it: in units, or in whole seconds."""
        return f"{ms // 1000}s" if self.numeric_time else show_time(ms)

    def json(self, form: Form) -> Any:
        from tcemu.nft.show_json import expression

        return expression(form, self)

    # ------------------------------------------------------------ statements
    def effect(self, place: Any) -> Any:
        """The effect of a step, for statements with state; a pair is a statement inside a set update."""
        if isinstance(place, list):
            step = self.steps[place[0]]
            return step.effect.effects[place[1]] if isinstance(step, Do) and isinstance(step.effect, UpdateSet) else None
        step = self.steps[place]
        return step.effect if isinstance(step, Do) else step

    def stmt(self, form: Form) -> str:
        """A statement."""
        return STATEMENTS[form[0]].text(form, self)

    def stmt_json(self, form: Form) -> Any:
        return STATEMENTS[form[0]].json(form, self)

    def begin(self, rule: Rule) -> None:
        """The statements of this rule are listed next."""
        self.steps = rule.steps
        self.table = rule.parent.rpartition("/")[0]

    def rules_in_place(self, name: str) -> str:
        """The rules of a chain that stands in the rule that is listed, a line each and without handles."""
        kept, handles = self.steps, self.handles
        self.handles = False
        lines = [f"\t\t\t{self.rule(rule)}\n" for rule in self.ruleset.rules.children(f"{self.table}/{name}")]
        self.steps, self.handles = kept, handles
        return "".join(lines)

    def rule(self, rule: Rule) -> str:
        """A rule on one line."""
        note = unpack(rule.note, RuleNote)
        self.begin(rule)
        text = " ".join(self.stmt(form) for form in note.body)
        if note.comment is not None:
            text += f' comment "{note.comment}"'
        return text + (f" # handle {note.handle}" if self.handles else "")

    # ------------------------------------------------------------ sets
    def set_ref(self, form: Form) -> str:
        """``@name``, or the members of an anonymous set."""
        _kind, key, name = form
        record = self.ruleset.sets.get(key)
        if record is None or not record.anonymous:
            return f"@{name or (record.name if record else '')}"
        steps, self.steps = self.steps, []
        text = ", ".join(self.element(record, unpack(record.note, SetNote), element) for element in self.elements(record))
        self.steps = steps
        return f"{{ {text} }}"

    def elements(self, record: Set) -> list[Element]:
        """A set's members as nft sorts them."""
        from tcemu.nft.elements import ordered

        return ordered(self.ruleset, record)

    def element(self, record: Set, note: SetNote, element: Element) -> str:
        """One member."""
        from tcemu.nft.elements import data_form, key_form, states, timeout_of

        own = unpack(element.note, ElementNote)
        text = self.text(key_form(record, note, element, own))
        for effect, form in states(element, own):
            self.steps = [Do(effect)]
            text += f" {self.stmt(form)}"
        timeout = timeout_of(element, own)
        if timeout:
            text += f" timeout {self.time(timeout)}"
        left = self.expires(element)
        if left and not self.stateless:
            text += f" expires {self.time(left)}"
        if own.comment is not None:
            text += f' comment "{own.comment}"'
        data = data_form(record, note, element, own)
        return text if data is None else f"{text} : {self.text(data)}"

    def expires(self, element: Element) -> int:
        """Milliseconds that an element has left, or 0."""
        return max((element.expires - self.now) // MS, 1) if element.expires else 0

    def set_block(self, record: Set, indent: str = "\t", members: list[Element] | None = None) -> str:
        """A named set or map, with all its members or those given."""
        note = unpack(record.note, SetNote)
        noun = "meter" if note.meter else "map" if note.data_types or note.object else "set"
        lines = [f"{indent}{noun} {record.name} {{" + (f" # handle {note.handle}" if self.handles else "")]
        lines += [f"{indent}\t{line}" for line in self.set_lines(record, note)]
        if members is None:
            members = [] if self.terse else self.elements(record)
        if members:
            lines.append(f"{indent}\telements = {{ {self._members(record, note, members)} }}")
        return "\n".join([*lines, f"{indent}}}", ""])

    def set_lines(self, record: Set, note: SetNote) -> Iterator[str]:
        """The settings of a set or map."""
        word = "typeof" if note.typeof is not None else "type"
        key = self.text(note.typeof) if note.typeof is not None else " . ".join(note.types)
        data = ""
        if note.object:
            data = f" : {note.object}"
        elif note.data_types:
            shown = self.text(note.data_typeof) if note.data_typeof is not None else " . ".join(note.data_types)
            data = f" : {'interval ' if note.data_interval else ''}{shown}"
        yield f"{word} {key}{data}"
        if note.policy == "memory":
            yield "policy memory"
        if record.size:
            yield f"size {record.size}"
        flags = [flag for flag in ("constant", "dynamic", "interval", "timeout") if flag in note.flags]
        if note.timeout and "timeout" in flags and "dynamic" not in flags and flags == ["timeout"]:
            flags = []
        if flags:
            yield f"flags {','.join(flags)}"
        if note.stmts:
            yield " ".join(self._template(form) for form in note.stmts)
        if note.auto_merge:
            yield "auto-merge"
        if note.timeout:
            yield f"timeout {self.time(note.timeout)}"
        if note.gc:
            yield f"gc-interval {self.time(note.gc)}"
        if note.comment is not None:
            yield f'comment "{note.comment}"'

    def _template(self, form: Form) -> str:
        """A statement that each new element of a set gets."""
        stateless, self.stateless = self.stateless, True
        text = str(form[2]) if form[0] == "text" else self.stmt(form)
        self.stateless = stateless
        return text

    def _members(self, record: Set, note: SetNote, members: list[Element]) -> str:
        text, count = "", 0
        for number, element in enumerate(members):
            if number:
                text += self._delimiter(note, count)
                count = 0 if text.endswith("\t     ") else count
            text += self.element(record, note, element)
            count += 1
        return text

    def _delimiter(self, note: SetNote, count: int) -> str:
        """A comma, and a new line where the line is full (nftables expression.c calculate_delim)."""
        name = note.types[0] if len(note.types) == 1 else ""
        most = 5 if name in FIVE else 2 if name in TWO else 0
        return ", " if count < most else ",\n\t\t\t     "

    # ------------------------------------------------------------ chains and tables
    def chain_block(self, chain: Chain, indent: str = "\t", rules: bool = True) -> str:
        """A chain, with its rules or without."""
        note = unpack(chain.note, ChainNote)
        lines = [f"{indent}chain {chain.name} {{" + (f" # handle {note.handle}" if self.handles else "")]
        if note.comment is not None:
            lines.append(f'{indent}\tcomment "{note.comment}"')
        if note.hook:
            lines.append(f"{indent}\t{self.hook(chain, note)}")
            if note.flags:
                lines.append(f"{indent}\tflags {','.join(note.flags)};")
        for rule in self.ruleset.rules.children(chain.key) if rules else []:
            lines.append(f"{indent}\t{self.rule(rule)}")
        return "\n".join([*lines, f"{indent}}}", ""])

    def hook(self, chain: Chain, note: ChainNote) -> str:
        """``type filter hook input priority filter; policy accept;``"""
        from tcemu.nft.priorities import show

        text = f"type {note.type} hook {note.hook}"
        if len(note.devices) == 1:
            text += f' device "{note.devices[0]}"'
        elif note.devices:
            text += f" devices = {{ {', '.join(note.devices)} }}"
        family = chain.parent.partition(" ")[0]
        text += f" priority {note.priority if self.numeric_priority else show(family, note.hook, note.priority)};"
        return text + (f" policy {note.policy};" if note.policy else "")

    def table_block(self, table: Table) -> str:
        """A table with all that is in it."""
        note = unpack(table.note, TableNote)
        head = f"table {table.family} {table.name} {{" + (f" # handle {note.handle}" if self.handles else "") + "\n"
        if note.flags:
            head += f"\tflags {','.join(note.flags)}\n"
        if note.comment is not None:
            head += f'\tcomment "{note.comment}"\n'
        blocks = [self.object_block(record) for record in self.objects(table.key)]
        blocks += [self.set_block(record) for record in self.ruleset.sets.children(table.key) if not hidden(record)]
        blocks += [self.flowtable_block(record) for record in self.ruleset.flowtables.children(table.key)]
        blocks += [self.chain_block(chain) for chain in self.ruleset.chains.children(table.key) if not in_place(chain)]
        gap = "\n" if note.flags and blocks else ""
        return head + gap + "\n".join(blocks) + "}\n"

    def objects(self, table: str) -> list[Object]:
        """The objects of a table, oldest first."""
        return sorted(self.ruleset.objects.children(table), key=lambda record: record.rank)

    def object_block(self, record: Object, indent: str = "\t") -> str:
        from tcemu.nft.objects import block

        return block(record, self, indent)

    def flowtable_block(self, record: Flowtable, indent: str = "\t") -> str:
        """A flowtable."""
        from tcemu.nft.priorities import show

        note = unpack(record.note, FlowtableNote)
        lines = [f"{indent}flowtable {record.name} {{" + (f" # handle {note.handle}" if self.handles else "")]
        priority = str(record.priority) if self.numeric_priority else show("netdev", "ingress", record.priority)
        lines.append(f"{indent}\thook {note.hook} priority {priority}")
        if record.devices:
            lines.append(f"{indent}\tdevices = {{ {', '.join(sorted(record.devices))} }}")
        if note.flags:
            lines.append(f"{indent}\tflags {','.join(note.flags)}")
        if record.counter:
            lines.append(f"{indent}\tcounter")
        return "\n".join([*lines, f"{indent}}}", ""])


def hidden(record: Set) -> bool:
    """Anonymous sets stand in their rules; meters are listed by ``list meters`` only."""
    return record.anonymous or unpack(record.note, SetNote).meter


def in_place(chain: Chain) -> bool:
    """The chain stands in the rule that jumps to it."""
    return unpack(chain.note, ChainNote).binding
