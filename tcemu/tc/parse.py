"""From words to commands. Knows no ruleset: of the world only whether a device is there, for tc asks while it reads.

    words --tcemu.syntax, grammar/tc.lark--> reductions --Parse--> Command

The grammar says which words may stand where; a `Parse` gets the reductions in the order of the words and hands keys and values
to the reader of the kind (tcemu/tc/flower.py FlowerReader, tcemu/tc/actions/ct.py CtReader …), whose own sentences say what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from tcemu.syntax.table import Table, load
from tcemu.syntax.words import Word, WordFailure, parse_words
from tcemu.tc import kinds, readers
from tcemu.tc.command import (
    ActionName,
    ActionsCommand,
    ChainCommand,
    Command,
    FilterCommand,
    RecordCommand,
)
from tcemu.tc.complaint import USAGE, ComplaintError, duplicate, incomplete, invalid
from tcemu.tc.names import ETH_ALL
from tcemu.tc.parse_actions import ActionReductions
from tcemu.tc.parse_failures import complain
from tcemu.tc.parse_state import EGRESS, INGRESS, LISTS, ROOT, Names
from tcemu.tc.trie import Walk
from tcemu.tc.usage import usage


class Parse(ActionReductions):
    """One command while it is read."""

    def __init__(self) -> None:
        self.walk: Walk | None = None
        self.actions: dict[str, Callable[..., Any]] = {
            name[3:]: getattr(self, name) for name in dir(self) if name.startswith("do_") and callable(getattr(self, name))
        }

    def walk_of(self, table: Table) -> Walk:
        """The steps of the parser that this has met so far."""
        if self.walk is None or self.walk.table is not table:
            self.walk = Walk(table, self.actions, HEARD)
        return self.walk

    # ------------------------------------------------------------ the frame
    def do_frame_value(self, name: Word, value: Word) -> None:
        terminal = name.terminal
        if terminal == "DEV":
            self._dev(value)
        elif terminal == "BLOCK":
            self._block(value)
        elif terminal == "PARENT":
            self._parent(value)
        elif terminal == "HANDLE":
            self._handle(value)
        elif terminal == "F_PROTOCOL":
            self._protocol(value)
        elif terminal == "CHAIN":
            self._chain(value)
        else:
            self._prio(value)
        self.seen[terminal] = value

    def _dev(self, value: Word) -> None:
        if self.dev:
            raise duplicate("dev", value)
        if self.block:
            raise ComplaintError('Error: "dev" and "block" are mutually exclusive\n', USAGE)
        self.dev = value[:15].rstrip("\0")

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
            raise invalid(f"{'i' if self.verb in LISTS else 'I'}nvalid parent ID", value)
        self.parent = parent

    def _handle(self, value: Word) -> None:
        if self.handle is not None:
            raise duplicate("handle", value)
        self.handle = value

    def _prio(self, value: Word) -> None:
        if self.prio:
            raise duplicate("priority", value)
        prio = readers.unsigned(value, readers.U32, 0)
        if self.verb in LISTS:
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
        if self.verb in LISTS:
            self.say(usage("filter"))  # and goes on
            return
        raise ComplaintError(usage("filter"), 0)

    def do_list_value(self, name: Word, value: Word) -> None:
        """The frame of a listing, which says it in its own words when device and block meet."""
        if (name.terminal == "DEV" and self.block) or (name.terminal == "BLOCK" and self.dev):
            this, other = ("dev", "block") if name.terminal == "DEV" else ("block", "dev")
            raise ComplaintError(f'Error: "{this}" cannot be used in the same time as "{other}"\n', USAGE)
        self.do_frame_value(name, value)

    # ------------------------------------------------------------ kinds of filters
    def do_filter_head(self, word: Word) -> None:
        self.kind_place = word.place
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

    def do_rsvp_end(self, side: Word, address: Word, more: tuple[Word, ...] | None) -> None:
        self.reader.end(side, address, more or ())

    def do_rsvp_tunnel(self, *words: Word) -> None:
        self.reader.tunnel(words)

    def do_filter_end(self, *_items: Any) -> Any:
        return self.reader.finish()

    def unknown_kind(self, kind: str, rest: Sequence[str]) -> FilterCommand:
        """A kind that tc has no reader for: options cannot be read, and the kernel has the last word."""
        kind = kind[:15]
        self.begin_frame(kind)
        if rest:
            raise ComplaintError(f'Unknown filter "{kind}", hence option "{rest[0]}" is unparsable\n')
        handle = 0
        if self.handle is not None:
            number = readers.unsigned(self.handle, readers.U32, 16)
            if number is None:
                raise ComplaintError(f'Unparsable filter ID "{self.handle}"\n')
            handle = number
        command = self.command(self.verb)
        command.handle = handle
        return command

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
        if self.kind and self.kind_place + 1 < len(self.words):  # options are read, and then not wanted
            raise ComplaintError(f'Garbage instead of arguments "{self.words[self.kind_place + 1]} ...". Try "tc filter help".\n', USAGE)
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
        if not self.parent:
            raise ComplaintError("Must specify filter parent\n", USAGE)
        self.check_place()
        self.device()
        return ChainCommand(self.command("get"))

    def do_chain_list(self, *_items: Any) -> Command:
        self.device()
        return ChainCommand(self.command("list"))

    def do_chain_help(self, *_items: Any) -> Command:
        raise ComplaintError(usage("chain"), 0)

    def do_nothing(self, *_words: Word) -> Command:
        """``tc actions`` alone."""
        raise ComplaintError("", 0)

    def do_actions_help(self, *_words: Word) -> Command:
        raise ComplaintError(usage("actions"), USAGE)

    def do_monitor(self, _monitor: Word, *words: Word) -> Command:
        from tcemu.tc.monitor import recorded, refuse

        path = recorded(words)
        if path is not None:
            return RecordCommand(path)
        reply = refuse(words)
        raise ComplaintError(reply.stderr, reply.exit_code)

    def do_exec(self, _exec: Word, *words: Word) -> Command:
        """``tc exec`` runs a program with file descriptors of eBPF maps: there are none."""
        if not words:
            raise ComplaintError('No command given, try "tc exec help".\n', USAGE)
        if words[0] and "help".startswith(words[0]):
            raise ComplaintError(usage("exec"), 0)
        raise ComplaintError(f'exec: unable to find "{words[0]}"\n', USAGE)

    def do_help(self, _word: Word) -> Command:
        raise ComplaintError(usage("tc"), 0)

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
# how many of their values the reductions look at that do not look at all
HEARD: Final = {
    "lse_end": 0,
    "filter_end": 0,
    "filter_modify": 2,
    "filter_get": 2,
    "filter_list": 0,
    "filter_help": 0,
    "chain_modify": 2,
    "chain_get": 0,
    "chain_list": 0,
    "chain_help": 0,
    "actions_modify": 2,
    "filter_police": 0,
}
EMPTY: Final = "\0"  # no word of a command line can hold it
_idle: list[Parse] = []


def parse(words: Sequence[str], names: Names) -> Command:
    """The command that the words are. Raises ComplaintError with tc's own sentence when they are none."""
    if "" in words:  # which begins no keyword (lib/utils.c matches)
        try:
            return parse([word or EMPTY for word in words], names)
        except ComplaintError as slip:
            raise ComplaintError(slip.text.replace(EMPTY, ""), slip.exit_code, slip.dies) from None
    reading = _idle.pop() if _idle else Parse()
    before = len(names.said)
    try:
        reading.reset(words, names)
        command: Command | None = reading.walk_of(load("tc")).parse(words)
        if command is None:
            del names.said[before:]
            reading.reset(words, names)
            command = parse_words(load("tc"), words, reading.actions)
        return command
    except WordFailure as failure:
        return complain(failure, words, reading, before, parse)
    finally:
        _idle.append(reading)
