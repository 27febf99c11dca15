"""``nft -j -f``: commands in JSON, libnftables-json(5), made into the commands that text makes.

    {"nftables": [{"metainfo": …}, {"add": {"table": …}}, {"rule": …}, {"list": {"ruleset": null}}]}

An entry without a command word is added, so that what ``nft -j list ruleset`` prints loads again. Nothing has a place: messages
are "internal" ones (`tcemu.nft.json_reader`), and the first entry that cannot be read ends the reading.
Source: nftables src/parser_json.c (__json_parse, json_parse_cmd), observed with nft 1.0.6; "destroy", "get" and "synproxy" are of later versions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tcemu.nft.errors import NftError
from tcemu.nft.json_nouns import Nouns
from tcemu.nft.json_reader import Failed, Unreadable, load, maybe, typename
from tcemu.nft.objects import NOUNS as OBJECTS
from tcemu.nft.tree import NOWHERE, Body, Command, Rule, Spec

if TYPE_CHECKING:
    from tcemu.nft.parse import Parser

SCHEMA: Final = 1
LISTS: Final = (
    *("tables", "chains", "sets", "maps", "meters", "flowtables", "counters", "quotas", "limits", "secmarks", "synproxys"),
    *("ct helpers", "ct timeouts", "ct expectations", "ruleset", "hooks"),
)
SINGLES: Final = ("table", "chain", "set", "map", "meter", "flowtable", *OBJECTS)
IN_TABLE: Final = ("sets", "counters", "ct helpers", "ct timeouts", "ct expectations")
RESET: Final = ("counter", "counters", "quota", "quotas")
ORDER: Final = {"table": 0, "chain": 1}
FLUSHED: Final = ("table", "chain", "set", "map", "meter", "ruleset")


class Reader(Nouns):
    """One document; ``fatal`` says that nothing of it may be done."""

    def __init__(self, document: Any) -> None:
        super().__init__()
        self.document = document
        self.commands: list[Command] = []
        self.fatal = False
        self.listed: list[int] = []  # which commands are entries of a listing, without a word of their own

    def run(self) -> list[NftError]:
        """Read all; what was said on the way. Commands are then in the list of that name."""
        try:
            self._all()
        except Failed:
            self.fatal = True
        self._order()
        return self.errors

    def _order(self) -> None:
        """A listing has maps before the chains that they lead to; here chains come first."""
        entries = sorted((self.commands[place] for place in self.listed), key=lambda command: ORDER.get(command.what, 2))
        for place, command in zip(self.listed, entries, strict=True):
            self.commands[place] = command

    def _all(self) -> None:
        (entries,) = self.need(self.document, ("nftables", ""))
        if not isinstance(entries, list):
            raise self.fail('Value of property "nftables" must be an array.')
        for place, entry in enumerate(entries):
            if not isinstance(entry, dict):
                raise self.fail(f"Unexpected command array element of type {typename(entry)}, expected object.")
            if "metainfo" in entry:
                self._metainfo(entry["metainfo"])
                continue
            with self.saying(f"Parsing command array at index {place} failed."):
                self.commands.append(self._command(entry))

    def _metainfo(self, root: Any) -> None:
        version = maybe(root, "json_schema_version", "integer", SCHEMA)
        if version > SCHEMA:
            self.say(f"Schema version {version} not supported, maximum supported version is {SCHEMA}\n")
            raise self.fail("Metainfo verification failed.")

    def _command(self, entry: dict[str, Any]) -> Command:
        for word, read in _COMMANDS.items():
            if word in entry:
                return read(self, word, entry[word])
        made = self.add("add", entry)
        self.listed.append(len(self.commands))
        return made

    # ------------------------------------------------------------ add, create, delete
    def add(self, op: str, root: Any) -> Command:
        if not isinstance(root, dict):
            raise self.fail(f"Value of add command must be object (got {typename(root)} instead).")
        for what, body in root.items():
            if what == "rule":
                if op == "create":
                    raise self.fail("Create command not available for rules.")
                return self._rule(op, body)
            if what == "element":
                return self._element(op, body)
            if what in SINGLES:
                return self._noun(op, "set" if what == "meter" else what, body)
        raise self.fail("Unknown object passed to add command.")

    def _noun(self, op: str, what: str, root: Any) -> Command:
        deleting = op in ("delete", "destroy")
        word = "object" if what in OBJECTS else "set" if what == "map" else what
        spec = self.place(root, word, deleting and what != "ct helper")
        return Command(NOWHERE, op, what, spec, None if deleting else self._body(what, root))

    def _body(self, what: str, root: Any) -> Body | None:
        if what == "table":
            return self.table(root)
        if what == "chain":
            return self.chain(root)
        if what in ("set", "map"):
            return self.set_body(root, what == "map")
        return self.flowtable(root) if what == "flowtable" else self.object(what, root)

    def _element(self, op: str, root: Any) -> Command:
        wanted = [(name, "string") for name in ("family", "table", "name")]
        family, table, name, members = self.need(root, *wanted, ("elem", ""))
        self.check_family(family)
        with self.saying("Invalid set."):
            body = self.set("elem", members)
        return Command(NOWHERE, op, "element", Spec(NOWHERE, family, table, NOWHERE, name, NOWHERE), body)

    # ------------------------------------------------------------ rules
    def _rule(self, op: str, root: Any) -> Command:
        spec = self._chain_of(root)
        if op in ("delete", "destroy"):
            (spec.handle,) = self.need(root, ("handle", "integer"))
            self.check_family(spec.family)
            return Command(NOWHERE, op, "rule", spec)
        (exprs,) = self.need(root, ("expr", ""))
        self.check_family(spec.family)
        spec.index = maybe(root, "index", "integer")
        return Command(NOWHERE, op, "rule", spec, self._statements(root, exprs))

    def _chain_of(self, root: Any) -> Spec:
        family, table, chain = self.need(root, *((name, "string") for name in ("family", "table", "chain")))
        return Spec(NOWHERE, family, table, NOWHERE, chain, NOWHERE)

    def _statements(self, root: Any, exprs: Any) -> Rule:
        if not isinstance(exprs, list):
            raise self.fail('Value of property "expr" must be an array.')
        comment = maybe(root, "comment", "string")
        return Rule(NOWHERE, self.stmts(exprs), comment)

    def replace(self, op: str, root: Any) -> Command:
        """replace and insert: a handle says which rule, or before which."""
        (body,) = self.need(root, ("rule", ""))
        spec = self._chain_of(body)
        exprs = self.need(body, *((name, "string") for name in ("family", "table", "chain")), ("expr", ""))[3]
        spec.handle = maybe(body, "handle", "integer") or None
        spec.index = maybe(body, "index", "integer")
        if op == "replace" and spec.handle is None:
            raise self.fail("Handle is required when replacing a rule.")
        spec.position = op == "insert" and spec.handle is not None
        self.check_family(spec.family)
        return Command(NOWHERE, op, "rule", spec, self._statements(body, exprs))

    def rename(self, op: str, root: Any) -> Command:
        (body,) = self.need(root, ("chain", ""))
        wanted = ((name, "string") for name in ("family", "table", "name", "newname"))
        family, table, name, new = self.need(body, *wanted, start=7)
        self.check_family(family)
        return Command(NOWHERE, op, "chain", Spec(NOWHERE, family, table, NOWHERE, name, NOWHERE), new)

    # ------------------------------------------------------------ list, reset, flush, get
    def several(self, op: str, root: Any) -> Command:
        """A command on one thing or on all of a kind."""
        if not isinstance(root, dict):
            raise self.fail(f"Value of {op} command must be object (got {typename(root)} instead).")
        known = {"list": (*SINGLES, *LISTS), "reset": RESET, "flush": FLUSHED}[op]
        for what, body in root.items():
            if what in known:
                return self._many(op, what, body) if what in LISTS else Command(NOWHERE, op, what, self.place(body, what))
        raise self.fail(f"Unknown object passed to {op} command.")

    def _many(self, op: str, what: str, root: Any) -> Command:
        spec = Spec(NOWHERE, maybe(root, "family", "string", ""))
        if spec.family:
            self.check_family(spec.family)
        if what in IN_TABLE:
            spec.table = maybe(root, "table", "string", "")
            spec.family = spec.family or ("ip" if spec.table else "")
        if what.startswith("ct ") and not spec.table:
            raise self.fail(f"Listing {what} requires table reference.")
        return Command(NOWHERE, op, what, spec)

    def get(self, op: str, root: Any) -> Command:
        if not isinstance(root, dict) or "element" not in root:
            raise self.fail("Unknown object passed to get command.")
        return self._element(op, root["element"])


Read = Callable[[Reader, str, Any], Command]
_COMMANDS: Final[dict[str, Read]] = {
    "add": Reader.add,
    "replace": Reader.replace,
    "create": Reader.add,
    "insert": Reader.replace,
    "delete": Reader.add,
    "destroy": Reader.add,
    "list": Reader.several,
    "reset": Reader.several,
    "flush": Reader.several,
    "rename": Reader.rename,
    "get": Reader.get,
}


def fill(parser: Parser, text: str) -> list[NftError]:
    """Give a parser the commands of a text in JSON, as if it had read them; what was said. None of them where a mistake forbids all."""
    try:
        reader = Reader(load(text))
    except Unreadable:
        return [NftError("the text is no JSON")]
    said = reader.run()
    parser.commands += [] if reader.fatal else reader.commands
    return said
