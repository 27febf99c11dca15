"""The reductions of actions and of what filters hold besides keys: handed to the reader under way."""

from __future__ import annotations

from typing import Any, Final, NoReturn

from tcemu.syntax.words import Word
from tcemu.tc import kinds, readers
from tcemu.tc.command import (
    Control,
)
from tcemu.tc.complaint import USAGE, ComplaintError, incomplete
from tcemu.tc.parse_qdiscs import QdiscReductions
from tcemu.tc.usage import usage


class ActionReductions(QdiscReductions):
    """Part of `tcemu.tc.parse.Parse`; one line of classes, for compiled ones have no second parent."""

    def do_action_head(self, _word: Word) -> None:
        if self.acts is None:
            self.acts = []

    def do_acts_verb(self, word: Word) -> str:
        self.acts = []
        return self.do_verb(word)

    def do_act_head(self, word: Word) -> None:
        self.act = kinds.action_reader(_ACTION_NAME.get(word.terminal, word.terminal.lower()))(self, word)

    def do_act_value(self, name: Word, value: Word) -> None:
        self.act.value(BPF_NAMES.get(name.terminal, name.terminal), value)

    def do_act_values(self, *words: Word) -> None:
        self.act.values(words)

    def do_act_flag(self, name: Word) -> None:
        self.act.flag(name.terminal, name)

    def do_control(self, word: Word) -> Control:
        self.word = word
        return plain_control(word.terminal)

    def do_control_goto(self, goto: Word, _chain: Word, value: Word) -> Control:
        self.word = goto
        chain = readers.unsigned(value, readers.U32)
        if chain is None or chain > 0x0FFFFFFF:
            self.bad_control('Illegal "chain index"\n')
        return Control("GOTO", chain)

    def do_control_jump(self, jump: Word, value: Word) -> Control:
        self.word = jump
        count = readers.unsigned(value, readers.U32)
        if count is None or count > 0x0FFFFFFF:
            self.bad_control(f'Invalid "jump count" ({value})\n')
        return Control("JUMP", count)

    def bad_control(self, text: str) -> NoReturn:
        """A control word that does not parse: gact says its usage; the others fall back, and the word is tried as the next action."""
        if self.act is not None and self.act.KIND == "police":
            self.act.fail(text)
        if self.act is not None and self.act.KIND != "gact":
            text *= 2
        raise ComplaintError(text + usage("gact"), USAGE, True)

    def do_act_control(self, control: Control) -> None:
        self.act.control = control

    def do_act_body(self, *items: Any) -> None:
        for item in items:
            if isinstance(item, Control):
                self.act.control = item

    def do_gact_bare(self, control: Control) -> None:
        self.act = kinds.action_reader("gact")(self, self.word)
        self.act.control = control

    def do_gact_index(self, word: Word) -> None:
        self.act = kinds.action_reader("gact")(self, word)

    def do_gact_bind(self, _head: Any, value: Word) -> None:
        self.act.value("INDEX", value)

    def do_gact_random(self, _random: Word, how: Word, control: Control, value: Word) -> None:
        self.act.random(how.terminal.lower(), control, value)

    def do_words(self, *words: Word | None) -> tuple[Word, ...]:
        return tuple([word for word in words if word is not None])

    def do_munge(self, header: Word, field: Word, command: tuple[Word, ...]) -> None:
        self.act.munge((header, field, *command))

    def do_munge_raw(self, *items: Any) -> None:
        self.act.raw((*(item for item in items[:-1] if item is not None), *items[-1]))

    def do_police_head(self, word: Word) -> None:
        self.act = kinds.action_reader("police")(self, word)
        self.act.option = "police"

    def do_filter_police(self, *_items: Any) -> None:
        self.reader.police = self.act.finish()
        self.act = None

    def do_u32_flag(self, word: Word) -> None:
        self.reader.flag("SKIP_HW_WHOLE" if word.terminal == "SKIP_HW_KEY" else "SKIP_SW_WHOLE", word)

    def do_u32_match(self, _match: Word, words: tuple[Any, ...]) -> None:
        self.reader.select(_flat(words))

    def do_u32_sample(self, _sample: Word, words: tuple[Any, ...], _name: Word | None, divisor: Word | None) -> None:
        self.reader.sample(_flat(words), divisor)

    def do_u32_offset(self, offset: Word, *items: tuple[Word, ...]) -> None:
        if offset.place == len(self.words) - 1:
            raise incomplete()
        self.reader.offset(list(items))

    def do_u32_hash(self, hashed: Word, *items: tuple[Word, ...]) -> None:
        if hashed.place == len(self.words) - 1:
            raise incomplete()
        self.reader.hashkey(list(items))

    def do_bpf_program(self, *items: Any) -> None:
        words = [item for item in items if isinstance(item, Word)]
        if words[0].terminal == "RUN":
            del words[0]
        name = words[0].terminal
        self.reader.value(BPF_NAMES.get(name, name), words[1])

    def do_ematch(self, _match: Word, *words: Word) -> None:
        self.reader.expression(words)

    def do_xt(self, _head: Any, *words: Word | None) -> None:
        self.act.target([word for word in words if word is not None])

    def do_police_control(self, control: Control) -> None:
        self.act.exceed(control)

    def do_police_conform(self, *items: Any) -> None:
        self.act.conform_exceed(items)

    def do_gate_entry(self, *words: Word) -> None:
        self.act.entry(words)

    def do_mirred_end(self, *items: Any) -> None:
        self.do_act_body(*items)
        for place, item in enumerate(items):
            if isinstance(item, Word) and item.terminal == "M_DEV":
                self.act.value("M_DEV", items[place + 1])

    def do_act_end(self, _body: Any, _c: Any, cookie: Word | None, _h: Any, hw_stats: Word | None, percpu: Any, skip: Any) -> None:
        assert self.acts is not None
        spec = self.act.finish()
        if cookie is not None:
            self.cookie = self.act.cookie(cookie)
        spec.cookie = self.cookie  # and those behind it have it, too (parse_action keeps it)
        if hw_stats is not None:
            spec.hw_stats = self.act.hw_stats(hw_stats)
        spec.no_percpu = percpu is not None
        spec.skip = "" if skip is None else str(skip)
        self.acts.append(spec)
        self.act = None


BPF_NAMES: Final = {"BC": "BYTECODE", "BCF": "BYTECODE_FILE", "OBJ": "OBJECT_FILE", "PINNED_SHORT": "PINNED"}
_ACTION_NAME: Final = {"BPF_ACTION": "bpf"}


_plain: Final[dict[str, Control]] = {}


def plain_control(word: str) -> Control:
    """A control word without a number."""
    found = _plain.get(word)
    if found is None:
        found = _plain[word] = Control(word, 0)
    return found


def _flat(words: tuple[Any, ...]) -> tuple[Word, ...]:
    """Words with those of an inner group in line."""
    found: list[Word] = []
    for word in words:
        found += word if isinstance(word, tuple) else (word,)
    return tuple(found)
