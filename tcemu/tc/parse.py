"""From words to commands. Knows no ruleset: of the world only whether a device is there, for tc asks while it reads.

    words --tcemu.syntax, grammar/tc.lark--> reductions --Parse--> Command

The grammar says which words may stand where; a `Parse` gets the reductions in the order of the words and hands keys and values
to the reader of the kind (tcemu/tc/flower.py FlowerReader, tcemu/tc/actions/ct.py CtReader …), whose own sentences say what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

from tcemu.syntax.table import load
from tcemu.syntax.words import Word, WordFailure, parse_words
from tcemu.tc import friendly, kinds, qdisc, readers
from tcemu.tc.command import (
    ActionName,
    ActionsCommand,
    ActionSpec,
    ChainCommand,
    ClassCommand,
    Command,
    Control,
    FilterCommand,
    QdiscCommand,
)
from tcemu.tc.complaint import USAGE, ComplaintError, duplicate, incomplete, invalid, no_device
from tcemu.tc.names import ETH_ALL
from tcemu.tc.trie import Walk
from tcemu.tc.usage import usage
from tcemu.world import World

ROOT: Final = 0xFFFFFFFF
INGRESS: Final = 0xFFFFFFF2
EGRESS: Final = 0xFFFFFFF3
INGRESS_PARENT: Final = 0xFFFFFFF1


class Names:
    """What the reading of words needs of the world: devices by name, whether it is strict, and where notes go."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.strict = world.strict
        self.said: list[str] = []

    def index(self, name: str) -> int:
        """A device's index; a friendly world makes the device."""
        device = self.world.host.devices.get(name)
        if device is not None:
            return device.index
        if self.strict:
            raise no_device(name)
        return friendly.make_device(self.world, name, self.said)


class Parse:
    """One command while it is read."""

    def __init__(self) -> None:
        self.walk: Walk | None = None
        self.actions: dict[str, Callable[..., Any]] = {
            name[3:]: getattr(self, name) for name in dir(self) if name.startswith("do_") and callable(getattr(self, name))
        }

    def reset(self, words: Sequence[str], names: Names) -> None:
        """Be ready for another command."""
        self.words = words
        self.names = names
        self.devices = names.index
        self.said = names.said
        self.verb = ""
        self.seen: dict[str, Word] = {}
        self.dev = ""
        self.block = 0
        self.parent = 0
        self.prio = 0
        self.protocol = 0
        self.chain = 0
        self.handle: str | None = None
        self.kind = ""
        self.number = 0
        self.blocks: dict[str, int] = {}
        self.rest: tuple[str, ...] = ()
        self.reader: Any = None
        self.act: Any = None
        self.acts: list[ActionSpec] | None = None
        self.word: Word = Word("", 0, "")

    # ------------------------------------------------------------ the frame
    def say(self, text: str) -> None:
        """What a reader says on standard error though nothing is wrong."""
        self.said.append(text)

    def do_verb(self, word: Word) -> str:
        self.verb = word.terminal.lower().replace("_verb", "")
        return self.verb

    def do_frame_value(self, name: Word, value: Word) -> None:
        terminal = name.terminal
        getattr(self, _FRAME[terminal])(value)
        self.seen[terminal] = value

    def _dev(self, value: Word) -> None:
        if self.dev:
            raise duplicate("dev", value)
        if self.block:
            raise ComplaintError('Error: "dev" and "block" are mutually exclusive\n', USAGE)
        self.dev = value[:15]

    def _block(self, value: Word) -> None:
        if self.block:
            raise duplicate("block", value)
        if self.dev:
            raise ComplaintError('Error: "dev" and "block" are mutually exclusive\n', USAGE)
        block = readers.unsigned(value, readers.U32, 0)
        if not block:
            raise invalid("invalid block index value", value)
        self.block = block

    def _parent(self, value: Word) -> None:
        if self.parent:
            raise duplicate("parent", value)
        parent = readers.classid(value)
        if parent is None:
            raise invalid(f"{'i' if self.verb in _LISTS else 'I'}nvalid parent ID", value)
        self.parent = parent

    def _handle(self, value: Word) -> None:
        if self.handle is not None:
            raise duplicate("handle", value)
        self.handle = value

    def _prio(self, value: Word) -> None:
        if self.prio:
            raise duplicate("priority", value)
        prio = readers.unsigned(value, readers.U32, 0)
        if self.verb in _LISTS:
            if prio is None:
                raise invalid("invalid preference", value)
        elif prio is None or prio > readers.U16:
            raise invalid("invalid priority value", value)
        self.prio = prio

    def _protocol(self, value: Word) -> None:
        if "F_PROTOCOL" in self.seen:
            raise duplicate("protocol", value)
        protocol = readers.protocol(value)
        if protocol is None:
            raise invalid("invalid protocol", value)
        self.protocol = protocol

    def _chain(self, value: Word) -> None:
        if "CHAIN" in self.seen:
            raise duplicate("chain", value)
        chain = readers.unsigned(value, readers.U32, 0)
        if chain is None:
            raise invalid("invalid chain index value", value)
        self.chain = chain

    def do_frame_hook(self, word: Word) -> None:
        if self.parent:
            raise ComplaintError(f'Error: "{word}" is duplicate parent ID\n', USAGE)
        self.parent = ROOT if word.terminal == "ROOT" else INGRESS if word.terminal == "INGRESS" else EGRESS
        self.seen["PARENT"] = word

    def do_frame_help(self, _word: Word) -> None:
        raise ComplaintError(usage("filter"), 0)

    def do_frame_estimator(self, *_words: Word) -> None:
        """Taken and forgotten: the kernel keeps no estimator for filters."""

    def device(self) -> str:
        """The frame's device, looked up; the empty name if there is none."""
        if self.dev:
            self.devices(self.dev)
        return self.dev

    # ------------------------------------------------------------ kinds of filters
    def do_filter_head(self, word: Word) -> None:
        self.begin_kind(str(word))

    def begin_kind(self, kind: str) -> None:
        """The frame is over: the device is looked up, then the kind's reader reads the handle and goes on."""
        self.begin_frame(kind)
        self.reader = kinds.filter_reader(kind)(self)

    def begin_frame(self, kind: str) -> None:
        """What comes between the frame and the kind's options."""
        if not self.protocol and "F_PROTOCOL" not in self.seen and (self.verb in ("add", "replace")) and self.words[0][0] == "f":
            self.protocol = ETH_ALL
        if self.verb == "get":
            self.check_get(kind)
        self.kind = kind
        self.device()

    def check_get(self, kind: str) -> None:
        """What tc filter get wants before it looks at anything else."""
        if "F_PROTOCOL" not in self.seen:
            raise ComplaintError("Must specify filter protocol\n", USAGE)
        if not self.prio:
            raise ComplaintError("Must specify filter priority\n", USAGE)
        self.check_place()
        if not kind:
            raise ComplaintError("Must specify filter type\n", USAGE)

    def check_place(self) -> None:
        """Get and chain get want a parent and a device or block."""
        if not self.parent and not self.block:
            raise ComplaintError("Must specify filter parent\n", USAGE)
        if not self.dev and not self.block:
            raise ComplaintError('Must specify netdevice "dev" or block index "block"\n', USAGE)

    def do_key_value(self, name: Word, value: Word) -> None:
        self.reader.value(name.terminal, value)

    def do_key_flag(self, name: Word) -> None:
        self.reader.flag(name.terminal, name)

    def do_lse_head(self, _word: Word) -> None:
        self.reader.begin_lse()

    def do_lse_end(self, *_items: Any) -> None:
        self.reader.end_lse()

    def do_filter_end(self, *_items: Any) -> Any:
        return self.reader.finish()

    def unknown_kind(self, kind: str, rest: Sequence[str]) -> Command:
        """A kind that tc has no reader for: options cannot be read, and the kernel has the last word."""
        kind = kind[:15]
        self.begin_frame(kind)
        if rest and kind not in OFFERED:
            raise ComplaintError(f'Unknown filter "{kind}", hence option "{rest[0]}" is unparsable\n')
        handle = 0
        if self.handle is not None:
            number = readers.unsigned(self.handle, readers.U32, 16)
            if number is None:
                raise ComplaintError(f'Unparsable filter ID "{self.handle}"\n')
            handle = number
        return self.command(self.verb)._replace(handle=handle)

    def bad_action(self, text: str) -> ComplaintError:
        """What the caller of parse_action adds."""
        where = "fw " if self.kind == "fw" else ""
        return ComplaintError(f'{text}Illegal {where}"action"\n', 1 if self.reader is not None else USAGE)

    # ------------------------------------------------------------ actions
    def do_action_head(self, _word: Word) -> None:
        if self.acts is None:
            self.acts = []

    def do_acts_verb(self, word: Word) -> str:
        self.acts = []
        return self.do_verb(word)

    def do_act_head(self, word: Word) -> None:
        self.act = kinds.action_reader(_ACTION_NAME.get(word.terminal, word.terminal.lower()))(self, word)

    def do_act_value(self, name: Word, value: Word) -> None:
        self.act.value(name.terminal, value)

    def do_act_values(self, *words: Word) -> None:
        self.act.values(words)

    def do_act_flag(self, name: Word) -> None:
        self.act.flag(name.terminal, name)

    def do_control(self, word: Word) -> Control:
        self.word = word
        return Control(word.terminal, 0)

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

    def do_u32_offset(self, _offset: Word, *items: tuple[Word, ...]) -> None:
        self.reader.offset(list(items))

    def do_u32_hash(self, _hash: Word, *items: tuple[Word, ...]) -> None:
        self.reader.hashkey(list(items))

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
            spec.cookie = self.act.cookie(cookie)
        if hw_stats is not None:
            spec.hw_stats = self.act.hw_stats(hw_stats)
        spec.no_percpu = percpu is not None
        spec.skip = "" if skip is None else str(skip)
        self.acts.append(spec)
        self.act = None

    # ------------------------------------------------------------ commands
    def do_filter_modify(self, _object: Word, verb: str, *_items: Any) -> Command:
        if not self.kind:
            self.device()
            if self.handle is not None:
                raise ComplaintError('Must specify filter type when using "handle"\n', USAGE)
            if not self.protocol and verb in ("add", "replace") and "F_PROTOCOL" not in self.seen:
                self.protocol = ETH_ALL
        return self.command(verb)

    def command(self, verb: str) -> FilterCommand:
        """The filter command as the frame and the kind's reader left it."""
        reader = self.reader
        return FilterCommand(
            verb,
            self.dev,
            self.block,
            self.parent,
            self.prio,
            self.protocol,
            self.chain,
            self.kind,
            reader.handle if reader is not None else 0,
            reader.options if reader is not None else None,
            self.acts or [],
            frozenset(self.seen),
            reader.police if reader is not None else None,
        )

    def do_filter_get(self, _object: Word, verb: str, *_items: Any) -> Command:
        if not self.kind:
            self.check_get("")
        if self.handle is None:
            raise ComplaintError('Must specify filter "handle"\n', USAGE)
        return self.command(verb)

    def do_filter_list(self, *_items: Any) -> Command:
        self.device()
        return self.command("list")

    def do_filter_help(self, *_items: Any) -> Command:
        raise ComplaintError(usage("filter"), 0)

    def do_chain_modify(self, _object: Word, verb: str, *_items: Any) -> Command:
        if not self.kind:
            self.device()
        return ChainCommand(self.command(verb))

    def do_chain_get(self, *_items: Any) -> Command:
        self.check_place()
        self.device()
        return ChainCommand(self.command("get"))

    def do_chain_list(self, *_items: Any) -> Command:
        self.device()
        return ChainCommand(self.command("list"))

    def do_chain_help(self, *_items: Any) -> Command:
        raise ComplaintError(usage("chain"), 0)

    def do_help(self, _word: Word) -> Command:
        raise ComplaintError(usage("tc"), 0)

    # ------------------------------------------------------------ qdiscs and classes
    def do_qdisc_value(self, name: Word, value: Word) -> None:
        terminal = name.terminal
        if terminal in self.seen or (terminal == "PARENT" and self.parent):
            raise duplicate("parent" if terminal == "PARENT" else str(name), value)
        if terminal == "DEV":
            self.dev = value[:15]
        elif terminal in ("INGRESS_BLOCK", "EGRESS_BLOCK"):
            block = readers.unsigned(value, readers.U32, 0)
            if not block:
                raise invalid(f"invalid {terminal.lower().replace('_', ' ')} index value", value)
            self.blocks[terminal] = block
        elif terminal == "HANDLE":
            handle = qdisc.handle_of(value)
            if handle is None:
                raise invalid("invalid qdisc ID", value)
            self.number = handle
        else:
            classid = readers.classid(value)
            if classid is None:
                raise invalid("invalid parent ID" if terminal == "PARENT" else "invalid class ID", value)
            if terminal == "PARENT":
                self.parent = classid
            else:
                self.number = classid
        self.seen[terminal] = value

    def do_qdisc_root(self, _word: Word) -> None:
        if self.parent:
            raise ComplaintError('Error: "root" is duplicate parent ID\n', USAGE)
        self.parent = ROOT

    def do_qdisc_hook(self, word: Word) -> None:
        if self.parent and self.verb not in _LISTS:
            raise ComplaintError(f'Error: "{word}" is a duplicate parent ID\n', USAGE)
        self.parent = INGRESS_PARENT
        self.kind = "clsact" if word.terminal == "CLSACT" else "ingress"
        if self.verb not in _LISTS:
            self.number = INGRESS_PARENT & 0xFFFF0000

    def do_qdisc_other(self, kind: Word, *options: Word) -> None:
        self.kind = kind[:15]
        self.rest = tuple(str(word) for word in options)
        if not options and any(name.startswith(kind) for name in ("ingress_block", "egress_block", "estimator", "stab")):
            raise incomplete()
        if options and kind not in qdisc.KNOWN:
            raise ComplaintError(f'Unknown qdisc "{self.kind}", hence option "{options[0]}" is unparsable\n')

    def do_qdisc_help(self, *_words: Word) -> None:
        text = usage("class" if self.words[0].startswith("c") else "qdisc")
        if not self.verb:
            raise ComplaintError(text, 0)
        self.say(text)  # and goes on

    def do_qdisc_nothing(self, _word: Word) -> None:
        """Words that change nothing here."""

    def do_qdisc_modify(self, _object: Word, verb: str, *_items: Any) -> Command:
        self.device()
        blocks = self.blocks
        return QdiscCommand(
            verb,
            self.dev,
            self.kind,
            {},
            self.number,
            self.parent,
            blocks.get("INGRESS_BLOCK", 0),
            blocks.get("EGRESS_BLOCK", 0),
            self.rest,
        )

    def do_qdisc_list(self, *_items: Any) -> Command:
        self.device()
        return QdiscCommand("list", self.dev, self.kind, dict(self.seen), self.number, self.parent)

    def do_class_modify(self, _object: Word, verb: str, *_items: Any) -> Command:
        self.device()
        return ClassCommand(verb, self.dev, self.kind, self.number, self.parent, self.rest)

    def do_class_list(self, *_items: Any) -> Command:
        if not self.dev:
            raise ComplaintError('"dev" is required\n', USAGE)
        self.device()
        return ClassCommand("list", self.dev, "", 0, self.parent, ())

    def do_class_help(self, *_items: Any) -> Command:
        raise ComplaintError(usage("class"), 0)

    # ------------------------------------------------------------ actions as objects
    def do_actions_modify(self, _object: Word, verb: str, *_items: Any) -> Command:
        return ActionsCommand(verb, self.acts or [])

    def do_actions_get(self, _object: Word, verb: str, *words: Word) -> Command:
        """``action KIND index N …``; the first word is not looked at (tc_action_gd)."""
        names = []
        rest = list(words[1:])
        while rest:
            word = rest.pop(0)
            if word == "action":
                continue
            kind = str(word) if word in kinds.ACTIONS else "gact"
            if not rest or not rest[0] or not "index".startswith(rest[0]):
                raise ComplaintError(f"Error: no index specified action: {kind}\n", USAGE)
            if len(rest) == 1:
                raise incomplete()
            number = readers.unsigned(rest[1], readers.U32)
            if number is None:
                raise ComplaintError('Illegal "index"\n', USAGE)
            names.append(ActionName(kind, number))
            del rest[:2]
        return ActionsCommand(verb, [], names)

    def do_actions_list(self, _object: Word, verb: str, *words: Word) -> Command:
        """``action KIND``; the first word is not looked at, nor is what follows (tc_act_list_or_flush)."""
        if len(words) < 2:
            raise ComplaintError(usage("actions"), USAGE)
        return ActionsCommand("flush" if verb == "flush" else "list", [], [ActionName(str(words[1]), 0)])


OFFERED: Final = ("rsvp", "rsvp6", "tcindex")  # kinds that tc reads and the kernel here does not have; their options are not looked at
_LISTS: Final = ("list", "show", "lst")
_FRAME: Final = {
    "DEV": "_dev",
    "BLOCK": "_block",
    "PARENT": "_parent",
    "HANDLE": "_handle",
    "PREFERENCE": "_prio",
    "F_PRIORITY": "_prio",
    "F_PROTOCOL": "_protocol",
    "CHAIN": "_chain",
}
_ACTION_NAME: Final = {"BPF_ACTION": "bpf"}


def _flat(words: tuple[Any, ...]) -> tuple[Word, ...]:
    """Words with those of an inner group in line."""
    found: list[Word] = []
    for word in words:
        found += word if isinstance(word, tuple) else (word,)
    return tuple(found)


_PROBE: Final[dict[str, Callable[..., Any]]] = {
    f"{name}_{what}": lambda *_items: None
    for name in ("filter", "chain", "qdisc", "class", "actions")
    for what in ("modify", "get", "list")
}
_idle: list[Parse] = []


def parse(words: Sequence[str], names: Names) -> Command:
    """The command that the words are. Raises ComplaintError with tc's own sentence when they are none."""
    reading = _idle.pop() if _idle else Parse()
    before = len(names.said)
    try:
        reading.reset(words, names)
        if reading.walk is None or reading.walk.table is not load("tc"):
            reading.walk = Walk(load("tc"), reading.actions)
        command: Command | None = reading.walk.parse(words)
        if command is None:
            del names.said[before:]
            reading.reset(words, names)
            command = parse_words(load("tc"), words, reading.actions)
        return command
    except WordFailure as failure:
        return _complain(failure, words, reading, before)
    finally:
        _idle.append(reading)


def _complain(failure: WordFailure, words: Sequence[str], reading: Parse, before: int) -> Command:
    """Say what tc says of a word that the grammar does not take here.

    The words before it are read as a command of their own first: what was pending there (an action's last checks) is complained of
    before the word is looked at. When they are complete, the word stands at the beginning of something; else inside.
    """
    symbols = failure.symbols
    word, index = failure.word, failure.index
    if not symbols:
        raise ComplaintError(f'Object "{word}" is unknown, try "tc help".\n', USAGE)
    if index == len(words):
        return _ended(failure, reading)
    reading.reset(words, reading.names)
    del reading.said[before:]
    try:
        parse_words(load("tc"), words[:index], {**reading.actions, **_PROBE})
    except WordFailure:
        return _inside(failure, reading)
    return _beside(failure, reading)


def _ended(failure: WordFailure, reading: Parse) -> Command:
    """The words ended too early; a few kinds say more of it than that a value is missing."""
    symbols, act = failure.symbols, reading.act
    if symbols[-1] == "acts_verb":
        raise reading.bad_action("")
    if symbols[-1] == "ACT":
        raise reading.bad_action("bad action empty 1\nparse_action: bad value (0:(null))!\n")
    if act is not None:
        act.ended(symbols, failure.values)
    elif act is None and reading.reader is not None:
        reading.reader.ended(symbols[-1], [value for value in failure.values if isinstance(value, Word)])
    raise incomplete()


def _verb_unknown(failure: WordFailure) -> Command | None:
    names = {"FILTER": "filter", "QDISC": "qdisc", "CHAIN_OBJECT": "chain", "ACTIONS": "actions", "CLASS": "class"}
    if len(failure.symbols) == 1 and failure.symbols[0] in names:
        raise ComplaintError(f'Command "{failure.word}" is unknown, try "tc {names[failure.symbols[0]]} help".\n', USAGE)
    return None


def _inside(failure: WordFailure, reading: Parse) -> Command:
    """A word in the middle of something unfinished: the kind under way says what it thinks of it."""
    _verb_unknown(failure)
    last = failure.symbols[-1]
    if last == "GOTO":
        reading.bad_control('"chain index" expected\n')
    if reading.act is not None:
        values = [value for value in failure.values if isinstance(value, Word)]
        if reading.act.stray(failure.word, last, values):
            return parse([*reading.words[: failure.index], *reading.words[failure.index + 1 :]], reading.names)
    elif reading.reader is not None:
        reading.reader.stray(failure.word, failure.symbols[-1], [value for value in failure.values if isinstance(value, Word)])
    return _beside(failure, reading)


def _beside(failure: WordFailure, reading: Parse) -> Command:
    """A word where a key, an action or a kind could begin."""
    _verb_unknown(failure)
    word = failure.word
    if reading.acts is not None:
        if word == "help":
            raise reading.bad_action("")
        raise ComplaintError(f"Bad action type {word}\n{usage('gact')}", USAGE, True)
    if reading.reader is not None:
        reading.reader.complain(word)
    rest = reading.words[failure.index + 1 :]
    if failure.symbols[0] == "CHAIN_OBJECT" and reading.verb == "get":
        reading.check_place()
        reading.device()
        if rest:
            raise ComplaintError(f'Garbage instead of arguments "{rest[0]} ...". Try "tc filter help".\n', USAGE)
        return ChainCommand(reading.command("get"))
    if failure.symbols[0] in ("QDISC", "CLASS"):
        return _beside_qdisc(failure, reading)
    if reading.verb in _LISTS:
        raise ComplaintError(f' What is "{word}"? Try "tc filter help"\n', USAGE)
    return reading.unknown_kind(word, rest)


def _beside_qdisc(failure: WordFailure, reading: Parse) -> Command:
    """A word that a qdisc does not take."""
    word = failure.word
    if reading.verb in _LISTS:
        raise ComplaintError(f'What is "{word}"? Try "tc {failure.symbols[0].lower()} help".\n', USAGE)
    raise ComplaintError(f'What is "{word}"?\nUsage: ... {reading.kind}\n')
