"""`ip`: options, objects, batches. Source: iproute2 6.1 ip/ip.c, lib/utils.c do_batch()."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from tcemu.host.ip.out import Options
from tcemu.host.ip.words import TOOL, USAGE, Complaint, Machine, Words, matches

VERSION: Final = "ip utility, iproute2-6.1.0, tcemu\n"
USAGE_TEXT: Final = """Usage: ip [ OPTIONS ] OBJECT { COMMAND | help }
       ip [ -force ] -batch filename
       ip --import FILE...
where  OBJECT := { address | link | neighbour | route | rule | tuntap }
       OPTIONS := { -V[ersion] | -s[tatistics] | -d[etails] |
                    -j[son] | -p[retty] | -br[ief] | -o[neline] |
                    -f[amily] { inet | inet6 } | -4 | -6 |
                    -b[atch] [filename] | -n[etns] name }
       ip --import FILE... takes over what `ip -j` printed on another machine
"""
# in the tool's order, which decides what a short word means
# fmt: off
OBJECTS: Final = (
    "address", "addrlabel", "maddress", "route", "rule", "neighbor", "neighbour", "ntable", "ntbl", "link", "l2tp", "fou", "ila",
    "macsec", "tunnel", "tunl", "tuntap", "tap", "token", "tcpmetrics", "tcp_metrics", "monitor", "xfrm", "mroute", "mrule", "netns",
    "netconf", "vrf", "sr", "nexthop", "mptcp", "ioam", "help", "stats",
)
# fmt: on
_NO_VALUE: Final = ("-iec", "-resolve", "-timestamp", "-tshort", "-all", "-Numeric", "-echo")
Output = tuple[int, str, str]


class _Line:
    """The options of the whole call."""

    def __init__(self) -> None:
        self.options = Options()
        self.batch: str | None = None
        self.force = False
        self.imports = False


def run(argv: Sequence[str], stdin: str, machine: Machine) -> Output:
    """Run one command line (without the leading ``ip``): exit code, standard output, standard error."""
    line = _Line()
    try:
        words = _read_options(line, list(argv))
        if words is None:
            return 0, VERSION, ""
        if line.imports:
            return _import(words, machine)
        if line.batch is not None:
            return _batch(line, stdin, machine)
        if not words:
            raise Complaint(USAGE_TEXT.rstrip("\n"), USAGE)
        return _object(Words(words), machine, line.options)
    except Complaint as slip:
        return slip.exit_code, "", f"{slip}\n"


def _read_options(line: _Line, argv: list[str]) -> list[str] | None:
    """Take the options off; None when only the version was asked for."""
    at = 0
    while at < len(argv) and argv[at].startswith("-"):
        word = argv[at]
        at += 1
        if word in ("--import", "-import"):
            line.imports = True
            return argv[at:]
        option = word[1:] if word.startswith("--") else word
        if matches(option, "-Version"):
            return None
        at += _option(line, option, argv[at:])
    return argv[at:]


_SIMPLE: Final[tuple[tuple[str, dict[str, Any] | None], ...]] = (
    ("-4", {"family": 4}),
    ("-6", {"family": 6}),
    ("-0", {}),
    ("-statistics", None),
    ("-stats", None),
    ("-details", {"details": True}),
    ("-oneline", {"oneline": True}),
    ("-json", {"json": True}),
    ("-pretty", {"pretty": True}),
)


def _option(line: _Line, option: str, rest: list[str]) -> int:
    """One option; how many words it took besides itself."""
    if matches(option, "-family"):
        if not rest or rest[0] not in ("inet", "inet6", "link", "bridge", "mpls"):
            raise Complaint(f'Error: argument "{rest[0] if rest else ""}" is wrong: invalid protocol family', USAGE)
        line.options = line.options._replace(family={"inet": 4, "inet6": 6}.get(rest[0], 0))
        return 1
    for name, change in _SIMPLE:
        if (option == name) if len(name) == 2 else matches(option, name):
            line.options = line.options._replace(stats=line.options.stats + 1) if change is None else line.options._replace(**change)
            return 0
    if matches(option, "-force"):
        line.force = True
        return 0
    if matches(option, "-batch"):
        line.batch = rest[0] if rest else "-"
        return 1 if rest else 0
    if matches(option, "-brief"):
        line.options = line.options._replace(brief=True)
        return 0
    if option.startswith("-c") and matches(option.partition("=")[0], "-color"):
        return 0
    if matches(option, "-human-readable"):
        return 0
    if matches(option, "-help"):
        raise Complaint(USAGE_TEXT.rstrip("\n"), USAGE)
    if matches(option, "-netns"):
        name = rest[0] if rest else ""
        raise Complaint(f'Cannot open network namespace "{name}": No such file or directory', USAGE)
    if matches(option, "-rcvbuf", "-loops"):
        return 1
    if any(matches(option, name) for name in _NO_VALUE):
        return 0
    raise Complaint(f'Option "{option}" is unknown, try "ip -help".', USAGE)


# ---------------------------------------------------------------- objects and commands

Handler = Callable[[Words, Machine, Options], "str | None"]


def _object(words: Words, machine: Machine, options: Options) -> Output:
    typed = words.take()
    name = next((one for one in OBJECTS if one.startswith(typed) and typed), "")
    if name == "help":
        raise Complaint(USAGE_TEXT.rstrip("\n"), USAGE)
    if not name:
        raise Complaint(f'Object "{typed}" is unknown, try "ip help".', TOOL)
    table = _commands(name)
    if table is None:
        raise Complaint(f'tcemu does not model "ip {name}"; it has address, link, neighbour, route, rule and tuntap.', TOOL)
    verb = words.take() if words else "show"
    handler = next((one for names, one in table for one in (one,) if matches(verb, *names)), None)
    if handler is None:
        shown = {"neighbor": "neigh", "neighbour": "neigh", "tap": "tuntap"}.get(name, name)
        raise Complaint(f'Command "{verb}" is unknown, try "ip {shown} help".', USAGE)
    out = handler(words, machine, options)
    return 0, out or "", words.notes


def _commands(name: str) -> Sequence[tuple[tuple[str, ...], Handler]] | None:
    """The verbs of an object in the tool's order; the module is imported when it is used."""
    if name == "link":
        from tcemu.host.ip import link

        return (
            (("add",), lambda words, machine, options: link.add(words, machine)),
            (("set", "change"), lambda words, machine, options: link.set_(words, machine)),
            (("delete",), lambda words, machine, options: link.delete(words, machine)),
            (("show", "lst", "list"), link.show),
        )
    if name == "address":
        from tcemu.host.ip import addr

        return (
            (("add",), addr.add),
            (("change", "chg"), lambda words, machine, options: addr.change(words, machine, options, False)),
            (("replace",), lambda words, machine, options: addr.change(words, machine, options, True)),
            (("delete",), addr.delete),
            (("show", "lst", "list"), addr.show),
            (("flush",), addr.flush),
        )
    if name == "route":
        from tcemu.host.ip import route, route_show

        def adding(how: str) -> Handler:
            return lambda words, machine, options: route.add(words, machine, options, how)

        return (
            (("list", "show", "lst"), route_show.show),
            (("get",), route_show.get),
            (("add",), adding("add")),
            (("append",), adding("append")),
            (("prepend",), adding("append")),
            (("change", "chg"), adding("change")),
            (("replace",), adding("replace")),
            (("delete",), route.delete),
            (("flush",), route_show.flush),
        )
    if name == "rule":
        from tcemu.host.ip import rule

        return (
            (("list", "lst", "show"), rule.show),
            (("add",), rule.add),
            (("delete",), rule.delete),
            (("flush",), rule.flush),
        )
    if name in ("neighbor", "neighbour"):
        from tcemu.host.ip import neigh

        return (
            (("add",), lambda words, machine, options: neigh.add(words, machine, options, "add")),
            (("change", "chg"), lambda words, machine, options: neigh.add(words, machine, options, "change")),
            (("replace",), lambda words, machine, options: neigh.add(words, machine, options, "replace")),
            (("delete",), neigh.delete),
            (("get",), neigh.get),
            (("show", "lst", "list"), neigh.show),
            (("flush",), neigh.flush),
        )
    if name in ("tuntap", "tap"):
        from tcemu.host.ip import tuntap

        return (
            (("add",), lambda words, machine, options: tuntap.add(words, machine)),
            (("delete",), lambda words, machine, options: tuntap.delete(words, machine)),
            (("show", "lst", "list"), lambda words, machine, options: tuntap.show(words, machine)),
        )
    return None


# ---------------------------------------------------------------- batches and dumps


def _batch(line: _Line, stdin: str, machine: Machine) -> Output:
    """``-batch FILE``: a line is a command; the first that fails ends it unless ``-force``."""
    assert line.batch is not None
    name = line.batch
    if name == "-":
        text = stdin
    else:
        try:
            with open(name, encoding="utf-8", errors="surrogateescape") as source:
                text = source.read()
        except OSError as slip:
            raise Complaint(f'Cannot open file "{name}" for reading: {slip.strerror}', TOOL) from slip
    out, err, code = [], [], 0
    with machine.transaction():
        for number, words in _batch_lines(text):
            try:
                done = _object(Words(words), machine, line.options)
            except Complaint as slip:
                done = slip.exit_code, "", f"{slip}\n"
            out.append(done[1])
            err.append(done[2])
            if done[0] == USAGE:  # the tool itself ended
                return USAGE, "".join(out), "".join(err)
            if done[0]:
                err.append(f"Command failed {name}:{number}\n")
                code = TOOL
                if not line.force:
                    break
    return code, "".join(out), "".join(err)


def _batch_lines(text: str) -> list[tuple[int, list[str]]]:
    """(line number, words) of a batch; # starts a comment, a backslash joins lines (lib/utils.c getcmdline, makeargs)."""
    found: list[tuple[int, list[str]]] = []
    held = ""
    for number, line in enumerate(text.split("\n"), 1):
        held += line.split("#", 1)[0]
        if held.endswith("\\"):
            held = held[:-1]
            continue
        words = _split(held)
        if words:
            found.append((number, words))
        held = ""
    return found


def _split(line: str) -> list[str]:
    if '"' not in line and "'" not in line:
        return line.split()
    import shlex

    try:
        return shlex.split(line)
    except ValueError:
        raise Complaint("Unterminated quoted string", TOOL) from None


def _import(names: list[str], machine: Machine) -> Output:
    """``--import FILE…``."""
    from tcemu.diagnostics import StateError
    from tcemu.host.ip.dumps import load

    if not names:
        raise Complaint("--import needs the files that `ip -j link`, `ip -j addr`, … wrote", USAGE)
    try:
        documents = []
        for name in names:
            with open(name, encoding="utf-8") as source:
                documents.append((name, source.read()))
        with machine.transaction():
            return 0, load(machine.host, documents), ""
    except (OSError, UnicodeDecodeError) as slip:
        raise Complaint(f"cannot read {name}: {slip}", TOOL) from slip
    except StateError as slip:
        raise Complaint(str(slip), TOOL) from slip
