"""The commands that are ours and no other tool's, by click: replay, trace, lint, scenario, session. The only importer of click, tabulate, rich."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from tcemu.cli.main import Choice, write
from tcemu.cli.offload import offload_group
from tcemu.cli.preparing import by_device, open_for, pairs, prepare, programs
from tcemu.diagnostics import Diagnostic, TcemuError, near

if TYPE_CHECKING:
    from collections.abc import Callable

    from tcemu.conntrack.events import EventLog, ExpectLog
    from tcemu.session.replayed import ReplayResult
    from tcemu.session.session import Session

PROGRAM: Final = "tcemu"
EPILOG: Final = """\b
Examples:
  tcemu filter add dev eth0 ingress protocol ip flower ip_proto tcp dst_port 80 action drop
  tcemu replay --in eth0=traffic.pcap --rules rules.tc
  tcemu replay --in eth0=a.pcap --in eth1=b.pcap --rules r.nft --out sent/ --json
  tcemu trace eth0 'Ether()/IP(dst="10.0.0.2")/TCP(dport=80, flags="S")'
  tcemu -n blue nft -f ruleset.nft
\b
The tools themselves, on the session's machine instead of the kernel:
  filter, qdisc, class, chain, actions  as tc has them, with tc's options in front
  nft, conntrack, ip, sysctl            as nft, conntrack, ip and sysctl
  socket, osf                           sockets of the machine's programs; fingerprints for nft's osf
  tcemu-tc, tcemu-nft, tcemu-conntrack (or symlinks named tc, nft, conntrack): exactly as the kernel has it
\b
Sessions: --session FILE or $TCEMU_SESSION, else $XDG_STATE_HOME/tcemu/session.db; -n NAME is a network namespace, a session of
its own. --strict or TCEMU_STRICT=1: a device that a command names first is not made.
"""


def run(argv: list[str], choice: Choice) -> int:
    """Run one of our commands; the exit code."""
    if argv[:1] == ["help"]:
        argv = [*argv[1:], "--help"]
    if argv and not argv[0].startswith("-") and argv[0] not in app.commands:
        raise unknown(argv[0])
    try:
        code = app.main(argv or ["--help"], prog_name=PROGRAM, standalone_mode=False, obj=choice)
    except click.exceptions.Exit as slip:
        return slip.exit_code
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as slip:
        slip.show()
        return slip.exit_code
    return code if isinstance(code, int) else 0


def unknown(word: str) -> TcemuError:
    """A word that is no command."""
    from tcemu.cli.main import TC_OBJECTS, TOOLS

    guess = near(word, (*app.commands, *TC_OBJECTS, *TOOLS))
    sentence = f"{word!r} is no command"
    hint = f"did you mean {guess}?" if guess else "tcemu --help lists the commands"
    return TcemuError(sentence, (Diagnostic(sentence, hint=hint),), exit_code=2)


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("-n", "--namespace", metavar="NAME", help="The session of this network namespace.")
@click.option("--session", metavar="FILE", help="The session's file.")
@click.option("--strict", is_flag=True, help="Exactly as the kernel has it: nothing is made on first mention.")
@click.option(
    "--profile",
    metavar="WORDS",
    help="Which kernel, tc and nft: linux-VERSION, iproute2-VERSION, nft-VERSION, no-zones, no-MODULE, with commas between.",
)
@click.option("--tz", metavar="ZONE", help="The time zone of times of day and dates in nft rules.")
@click.version_option(
    None, "-V", "--version", message="%(version)s", package_name="tcemu", help="Say the version, and whether the engine is compiled."
)
def app(namespace: str, session: str, strict: bool, profile: str, tz: str) -> None:
    """Run tc and nft rulesets on captures, with the connection tracking and NAT of Linux, without a kernel.

    Options of the program stand in front of the command and are read before click sees them; they are here for this page.
    """


pass_choice = click.make_pass_decorator(Choice)


# ---------------------------------------------------------------- replay


@app.command(
    epilog="\b\nExamples:\n  tcemu replay --in eth0=a.pcap.gz --rules ct.tc\n  tcemu replay --in eth0=- --json < a.pcapng | jq .verdicts"
)
@click.option(
    "--in", "inputs", multiple=True, required=True, callback=pairs, metavar="DEV=FILE", help="A capture that arrives on a device."
)
@click.option(
    "--rules", multiple=True, type=click.Path(), metavar="FILE", help="Rules to load first: nft, a batch of tc or ip, or a script."
)
@click.option("--out", type=click.Path(), metavar="DIR", help="Write what leaves, one capture a device.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of tables.")
@click.option("--conntrack", "show_connections", is_flag=True, help="List the connections at the end.")
@click.option("--explain", type=click.IntRange(0), default=0, metavar="N", help="Show the way of the first N packets.")
@click.option("--events", is_flag=True, help="What happens to connections, as conntrack -E says it, and what was wrong with packets.")
@click.option("--verdicts", is_flag=True, help="With --json: the verdict of each packet.")
@click.option("--nft-trace", is_flag=True, help="Show what `nft monitor trace` would, of packets whose nftrace is set.")
@click.option("--log-dir", type=click.Path(), metavar="DIR", help="Write what nft log sees: lines, and a capture a group.")
@click.option("--queue", type=click.Choice(("accept", "drop")), help="What programs behind nft queues say; without it nobody listens.")
@click.option(
    "--offload", metavar="WORD", help="A backend of connections, a profile, or its TOML file: software, mlx5, home-router, ebpf …"
)
@click.option("--rfc-exact", is_flag=True, help="With ebpf: the flow map's lookup as the RFC of 2018 had it.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of what the kernel would draw at random.")
@click.option("--sysctl", multiple=True, callback=pairs, metavar="NAME=VALUE", help="A setting of the machine.")
@click.option("--socket", "sockets", multiple=True, metavar="WORDS", help="A local program's socket, as `tcemu socket add` has it.")
@click.option("--osf", type=click.Path(), metavar="FILE", help="Fingerprints of operating systems (pf.os), for nft's osf.")
@click.option("--keep", is_flag=True, help="With --rules: load them into the session and keep counters and connections there.")
@pass_choice
def replay(
    choice: Choice,
    inputs: list[tuple[str, str]],
    rules: tuple[str, ...],
    out: str | None,
    as_json: bool,
    show_connections: bool,
    explain: int,
    events: bool,
    verdicts: bool,
    nft_trace: bool,
    log_dir: str | None,
    queue: str | None,
    offload: str | None,
    rfc_exact: bool,
    seed: int,
    sysctl: list[tuple[str, str]],
    sockets: tuple[str, ...],
    osf: str | None,
    keep: bool,
) -> int:
    """Play captures through a ruleset.

    Without --rules it is the session's ruleset, and counters, connections and the clock are kept in the session. With --rules the files
    are run on a copy of the session's machine (devices, addresses, routes, settings) with no other rules, and nothing is kept: the same
    call gives the same answer every time. --keep loads them into the session instead.
    """
    from tcemu.cli.offload import profile_of
    from tcemu.cli.replaying import progress_bar

    profile = profile_of(offload, rfc_exact)
    with open_for(choice, scratch=bool(rules) and not keep) as session:
        prepare(session, rules, sysctl)
        programs(session, sockets, osf)
        with progress_bar([path for _, path in inputs]) as progress:
            from tcemu.session.replayed import replay as play

            told: list[str] = []
            log = event_log(told.append if as_json else write) if events else None
            waited = expect_log(told.append if as_json else write) if events else None
            result = play(
                session,
                by_device(inputs),
                out,
                verdicts=verdicts,
                explain=explain,
                seed=seed,
                log_dir=log_dir,
                queue=queue,
                nft_trace=nft_trace,
                progress=progress,
                keep=True,
                watcher=log,
                expect_watcher=waited,
                offload=profile,
            )
        report(session, result, as_json, show_connections, told if events else None)
    return 1 if result.stopped else 0


def event_log(emit: Callable[[str], None]) -> EventLog:
    """Events as `conntrack -E` writes them, with reasons."""
    from tcemu.conntrack.events import EventLog
    from tcemu.conntrack.request import parse

    return EventLog(parse(["-E", "-o", "timestamp"]), emit, reasons=True)


def expect_log(emit: Callable[[str], None]) -> ExpectLog:
    """Events of expectations, among those of connections."""
    from tcemu.conntrack.events import ExpectLog
    from tcemu.conntrack.request import parse

    return ExpectLog(parse(["-E", "expect", "-o", "timestamp"]), emit, "expectation ")


def report(session: Session, result: ReplayResult, as_json: bool, show_connections: bool, events: list[str] | None = None) -> None:
    """Tables or a document on standard output, warnings on standard error."""
    from tcemu.cli import replaying

    for note in (*result.notes, *result.warnings):
        click.echo(f"tcemu: {note}", err=True)
    connections = session.conntrack(["-L", "-o", "extended"]).stdout if show_connections else ""
    if as_json:
        import json

        document = result.document()
        if show_connections:
            document["conntrack_table"] = connections.splitlines()
        if events is not None:
            document["events"] = [line.rstrip("\n") for line in events]
        write(json.dumps(document) + "\n")
        return
    write(replaying.summary(result))
    if connections:
        write("\n" + connections)


# ---------------------------------------------------------------- trace


@app.command(epilog='\b\nExample:\n  tcemu trace eth0 \'Ether()/IP(dst="10.0.0.2")/UDP(dport=53)/b"query"\'')
@click.argument("device", metavar="DEV")
@click.argument("packet", metavar="PACKET")
@click.option("--json", "as_json", is_flag=True, help="Events as JSON.")
@click.option("--nft", is_flag=True, help="As `nft monitor trace` writes it: nft's rules only.")
@pass_choice
def trace(choice: Choice, device: str, packet: str, as_json: bool, nft: bool) -> int:
    """Show the way of one packet that arrives on DEV, rule by rule; nothing is changed by it.

    PACKET is a scapy expression, or the frame's bytes in hex. The expression is read, not evaluated: layers, literal arguments, / and b"".
    """
    from tcemu.cli.expression import frame_of

    frame = frame_of(packet)
    with choice.open() as session:
        way = session.trace(frame, device)
    if as_json:
        import json

        from tcemu.engine.trace import event_data

        events = [event_data(event) for event in way.events]
        sent = [{"device": one.device, "hex": one.data.hex()} for one in way.sent]
        write(json.dumps({"verdict": way.verdict, "events": events, "sent": sent}) + "\n")
    elif nft:
        write(way.nft)
    else:
        write(way.text)
    return 0


# ---------------------------------------------------------------- lint


@app.command(
    epilog="\b\nExamples:\n  tcemu lint /etc/nftables.conf\n  tcemu lint --host links.json --format sarif --output lint.sarif firewall.nft setup.sh\n"
    "  tcemu lint --explain NF113"
)
@click.argument("paths", nargs=-1, metavar="[FILE]...", type=click.Path())
@click.option("--select", multiple=True, metavar="ID,…", help="Ask only these rules (ids or their beginnings, ALL).")
@click.option("--ignore", multiple=True, metavar="ID,…", help="Do not ask these rules.")
@click.option(
    "--severity", multiple=True, callback=pairs, metavar="ID=LEVEL", help="How bad a rule's findings are: info, warning, error, off."
)
@click.option(
    "--base", multiple=True, type=click.Path(), metavar="FILE", help="A ruleset that is loaded already (nft list ruleset, or its JSON)."
)
@click.option(
    "--host", "hosts", multiple=True, type=click.Path(), metavar="FILE", help="The machine: what ip -j printed of links and addresses."
)
@click.option("--profile", default="", metavar="WORDS", help="What it is meant for: linux-5.15,nft-1.0.2,iproute2-5.15.")
@click.option("--assert", "asserts", multiple=True, metavar="PROTO/PORT", help="This must get in, as tcp/22.")
@click.option("--peak", type=click.IntRange(0), default=0, metavar="N", help="Connections expected at a time.")
@click.option("--fix", is_flag=True, help="Mend in the files what can be mended safely.")
@click.option("--baseline", default="", type=click.Path(), metavar="FILE", help="Say nothing of the findings kept in FILE.")
@click.option("--write-baseline", default="", type=click.Path(), metavar="FILE", help="Keep all findings in FILE as known.")
@click.option("--format", "form", default="", metavar="NAME", help="text, json, sarif, github, gitlab or junit; text unless configured.")
@click.option("--output", default="", type=click.Path(), metavar="FILE", help="Write the report there.")
@click.option("--witness", default="", type=click.Path(), metavar="DIR", help="Write the witness packets there, a capture each.")
@click.option("--fail-on", default="", metavar="LEVEL", help="Exit 1 from this severity on: info, warning (as is) or error.")
@click.option("--kind", default="", metavar="KIND", help="What the files are: nft, tc, ip, script, nft-json, tc-json.")
@click.option("--color", "colour", type=click.Choice(("auto", "always", "never")), default="auto", help="Colours in text.")
@click.option("--each", is_flag=True, help="Each file is a machine of its own; otherwise all files make one.")
@click.option("--no-config", "config", is_flag=True, flag_value=False, default=True, help="Do not look for pyproject.toml or .tcemu.toml.")
@click.option("--verbose", is_flag=True, help="Say what could not be decided, too.")
@click.option("--explain", multiple=True, metavar="ID", help="Explain a rule and do nothing else.")
@click.option("--list", "listing", is_flag=True, help="List all rules and do nothing else.")
def lint(paths: tuple[str, ...], explain: tuple[str, ...], listing: bool, **options: Any) -> int:
    """Find what nft and tc take and nobody should deploy, without root and without loading anything.

    FILEs are nft rulesets, batches of tc or ip, shell scripts with lines of these tools, saved sessions, or what nft -j and tc -j printed.
    The exit code is 0 when there is nothing to say, 1 with findings, 2 when the call or a file is wrong.
    """
    from tcemu.cli import linting

    if explain or listing:
        write(linting.explained(explain) if explain else linting.listed())
        return 0
    for name in ("select", "ignore"):
        options[name] = tuple(word.strip() for given in options[name] for word in given.split(",") if word.strip())
    options["severity"] = tuple(options["severity"])
    return linting.run(linting.Asked(paths, **options))


# ---------------------------------------------------------------- scenario


@app.group(epilog="\b\nExample:\n  tcemu scenario run tests/conformance/scenarios/tc-ct-tcp-basic --out /tmp/result")
def scenario() -> None:
    """Recorded kernel scenarios: what a real Linux did with a ruleset and packets."""


@scenario.command("run", epilog="\b\nExample:\n  tcemu scenario run tests/conformance/scenarios/tc-ct-tcp-basic --out /tmp/result")
@click.argument("directory", metavar="DIR", type=click.Path())
@click.option("--out", required=True, type=click.Path(), metavar="OUT", help="Where the results go; made if need be.")
@click.option("--offload", metavar="WORD", help="With this backend, profile or TOML file beside the kernel's flow tables.")
def scenario_run(directory: str, out: str, offload: str | None) -> int:
    """Run the scenario in DIR and write the files of its expected/ into OUT."""
    from tcemu.cli.offload import profile_of
    from tcemu.session.scenario import run as run_scenario

    run_scenario(directory, out, profile_of(offload, False))
    return 0


app.add_command(offload_group)


# ---------------------------------------------------------------- session


@app.group("session", epilog="\b\nExamples:\n  tcemu session list\n  tcemu session export > saved.jsonl")
def session_group() -> None:
    """The files that sessions live in."""


@session_group.command("list", epilog="\b\nExample:\n  tcemu session list")
def session_list() -> int:
    """List the sessions that are not named by file: name, size, file."""
    from tcemu.cli.sessions import listing

    write(listing())
    return 0


@session_group.command("show", epilog="\b\nExample:\n  tcemu -n blue session show")
@pass_choice
def session_show(choice: Choice) -> int:
    """Say what the session holds."""
    from tcemu.cli.sessions import contents

    with choice.open() as session:
        write(contents(session))
    return 0


@session_group.command("remove", epilog="\b\nExample:\n  tcemu session remove blue")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@pass_choice
def session_remove(choice: Choice, names: tuple[str, ...]) -> int:
    """Delete sessions by name; without one, the session at hand."""
    from tcemu.cli.sessions import remove

    write(remove(choice, names))
    return 0


@session_group.command("export", epilog="\b\nExamples:\n  tcemu session export saved.jsonl\n  tcemu session export --tc batch rules.tc")
@click.option(
    "--tc", "form", type=click.Choice(["batch", "script"]), help="Write what tc holds as its commands: for tc -batch, or a shell script."
)
@click.argument("path", metavar="FILE", default="-")
@pass_choice
def session_export(choice: Choice, form: str | None, path: str) -> int:
    """Write the whole session as JSON lines to FILE (- is standard output)."""
    from tcemu.session.transfer import export, tc_commands

    with choice.open() as session, click.open_file(path, "wb") as target:
        for line in export(session) if form is None else tc_commands(session, form == "script"):
            target.write(line + b"\n")
    return 0


@session_group.command("import", epilog="\b\nExample:\n  tcemu -n copy session import saved.jsonl")
@click.argument("path", metavar="FILE", default="-")
@pass_choice
def session_import(choice: Choice, path: str) -> int:
    """Put what export wrote into the session, in place of everything that it holds."""
    from tcemu.session.transfer import take_over

    try:
        with click.open_file(path, "rb") as source, choice.open() as session:
            write(take_over(session, source))
    except OSError as slip:
        raise TcemuError(f"{path} cannot be read: {slip.strerror}") from slip
    return 0


# ---------------------------------------------------------------- completion


@app.command(epilog="\b\nExamples:\n  source <(tcemu completion bash)\n  tcemu completion zsh > ~/.zfunc/_tcemu")
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print what makes SHELL (bash, zsh or fish) complete the words of tcemu and of tc."""
    from tcemu.cli.completing import SCRIPTS

    write(SCRIPTS[shell])
    return 0
