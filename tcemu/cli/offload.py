"""The commands of `tcemu offload`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from tcemu.cli import offloading
from tcemu.cli.main import Choice, write
from tcemu.cli.preparing import by_device, open_for, pairs, prepare
from tcemu.diagnostics import Diagnostic, TcemuError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tcemu.offload.journal import Story
    from tcemu.offload.profile import Profile

F = TypeVar("F", bound="Callable[..., Any]")
pass_choice = click.make_pass_decorator(Choice)
EPILOG: Final = "\b\nExamples:\n  tcemu offload use mlx5\n  tcemu offload why --in eth0=a.pcap --rules ct.tc --flow 10.0.0.1:40000"


def source(command: F) -> F:
    """The options that say where the answer comes from: the last replay that the session kept, or one that is made now."""
    options = (
        click.option("--in", "inputs", multiple=True, callback=pairs, metavar="DEV=FILE", help="Replay this capture now; nothing is kept."),
        click.option("--rules", multiple=True, type=click.Path(), metavar="FILE", help="With --in: rules to load first."),
        click.option("--offload", metavar="WORD", help="With --in: a backend, a profile, or a profile's TOML file."),
        click.option("--rfc-exact", is_flag=True, help="With --in and ebpf: the flow map's lookup as the RFC had it."),
        click.option("--sysctl", multiple=True, callback=pairs, metavar="NAME=VALUE", help="With --rules: a setting of the machine."),
        click.option("--json", "as_json", is_flag=True, help="JSON."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def flow_option(command: F) -> F:
    """Which connections are meant."""
    return click.option(
        "--flow", metavar="WORDS", default="", help="Only connections with all these: tcp, ADDRESS, ADDRESS:PORT, :PORT, zone=N."
    )(command)


def profile_of(word: str | None, rfc_exact: bool) -> Profile | None:
    """The profile that the options mean."""
    if not word:
        if rfc_exact:
            word = "ebpf"
        else:
            return None
    from dataclasses import replace

    from tcemu.offload.profile import choose

    profile = choose(word)
    return replace(profile, driver=profile.driver | {"rfc_exact": True}) if rfc_exact else profile


def report_of(
    choice: Choice,
    inputs: list[tuple[str, str]],
    rules: tuple[str, ...],
    offload: str | None,
    rfc_exact: bool,
    sysctl: list[tuple[str, str]],
) -> dict[str, Any]:
    """What a replay found: the kept one, or one made now on a copy of the session's machine."""
    from tcemu.session.offloading import kept, used

    if not inputs:
        with choice.open() as session:
            found = kept(session)
        if found is None:
            sentence = "no replay with a backend has been kept"
            hint = "tcemu replay --offload software --in DEV=FILE, or give --in here"
            raise TcemuError(sentence, (Diagnostic(sentence, hint=hint),), exit_code=1)
        return found
    from tcemu.offload.profile import choose
    from tcemu.session.replayed import replay

    if sysctl and not rules:
        sentence = "--sysctl would change the session's machine, which is left as it is here"
        raise TcemuError(sentence, (Diagnostic(sentence, hint="give --rules, too, or set it with tcemu sysctl"),), exit_code=2)
    profile = profile_of(offload, rfc_exact)
    with open_for(choice, scratch=bool(rules)) as session:
        if profile is None:
            profile = used(session) or choose("software")
        with session.transaction() if rules else _nothing():
            prepare(session, rules, sysctl)
        result = replay(session, by_device(inputs), keep=False, offload=profile)
    for note in result.warnings:
        click.echo(f"tcemu: {note}", err=True)
    assert result.offload is not None
    return result.offload | {"first_ns": result.first}


def _nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()


def chosen(report: dict[str, Any], flow: str) -> list[Story]:
    """The connections that the words mean."""
    from tcemu.session.offloading import stories

    return [story for story in stories(report) if story.matches(flow.split())]


@click.group("offload", epilog=EPILOG)
def offload_group() -> None:
    """What was offloaded, what was not, and why.

    Each command looks at the last replay that the session kept with a backend (tcemu replay --offload WORD, or after tcemu offload use), or,
    with --in, at a replay that is made now and not kept.
    """


@offload_group.command("use", epilog="\b\nExamples:\n  tcemu offload use mlx5\n  tcemu offload use my-card.toml\n  tcemu offload use off")
@click.argument("word", metavar="WORD")
@pass_choice
def use_command(choice: Choice, /, word: str) -> int:
    """Give the session's machine a backend: its name, a profile's name, or a profile's TOML file; off takes it away.

    Replays use it from then on, and tc says of each filter whether it is in hardware.
    """
    from tcemu.offload.profile import choose
    from tcemu.session.offloading import use

    with choice.open() as session:
        use(session, None if word == "off" else choose(word))
    return 0


@offload_group.command("backends", epilog="\b\nExample:\n  tcemu offload backends")
@pass_choice
def backends_command(choice: Choice) -> int:
    """List the backends and profiles that there are, and which one the session uses."""
    from tcemu.offload.backend import names
    from tcemu.offload.profile import built_in
    from tcemu.session.offloading import used

    with choice.open() as session:
        profile = used(session)
    write(f"backends: {' '.join(names())}\nprofiles: {' '.join(built_in())}\n")
    write(f"in use:   {profile.name or profile.backend}\n" if profile is not None else "in use:   none (the kernel's own flow tables)\n")
    return 0


@offload_group.command(
    "why", epilog="\b\nExample:\n  tcemu offload why --in eth0=a.pcap --rules ct.tc --offload mlx5 --flow 'tcp 10.0.0.1'"
)
@source
@flow_option
@pass_choice
def why_command(choice: Choice, /, as_json: bool, flow: str, **where: Any) -> int:
    """Say of each connection at which packet it could be, was, and was no longer offloaded, and with which exact condition."""
    report = report_of(choice, **where)
    found = chosen(report, flow)
    if as_json:
        write(json.dumps([story.document() for story in found]) + "\n")
    else:
        write(offloading.why(found, first_of(report)))
    return 0


def first_of(report: dict[str, Any]) -> int:
    """The moment that times are told from."""
    known = report.get("first_ns")
    if isinstance(known, int) and known >= 0:
        return known
    return min((event["ts"] for flow in report["flows"] for event in flow["events"]), default=0)


@offload_group.command("list", epilog="\b\nExample:\n  tcemu offload list --in eth0=a.pcap --rules ct.tc")
@source
@flow_option
@pass_choice
def list_command(choice: Choice, /, as_json: bool, flow: str, **where: Any) -> int:
    """A line a connection: the packet at which it could be, was, and was no longer offloaded, and how much took the fast path."""
    found = chosen(report_of(choice, **where), flow)
    write(json.dumps([story.document() for story in found]) + "\n" if as_json else offloading.listing(found))
    return 0


@offload_group.command("timeline", epilog="\b\nExample:\n  tcemu offload timeline --in eth0=a.pcap --rules ct.tc")
@source
@flow_option
@pass_choice
def timeline_command(choice: Choice, /, as_json: bool, flow: str, **where: Any) -> int:
    """All events by time."""
    report = report_of(choice, **where)
    found = chosen(report, flow)
    if as_json:
        events = [
            {"ts": mark.ts, "packet": mark.packet, "flow": f"{story.proto} {story.original}", **mark._asdict()}
            for story in found
            for mark in story.marks
        ]
        write(json.dumps(sorted(events, key=lambda event: (event["ts"], event["packet"]))) + "\n")
    else:
        write(offloading.timeline(found, first_of(report)))
    return 0


@offload_group.command("tables", epilog="\b\nExample:\n  tcemu offload tables --in eth0=a.pcap --rules ct.tc --offload mlx5")
@source
@pass_choice
def tables_command(choice: Choice, /, as_json: bool, **where: Any) -> int:
    """The backend's tables at the end of the replay; of mlx5 the pipeline of a card."""
    report = report_of(choice, **where)
    write(json.dumps({"backend": report["backend"], "tables": dict(report["tables"])}) + "\n" if as_json else offloading.tables(report))
    return 0


@offload_group.command("stats", epilog="\b\nExample:\n  tcemu offload stats --in eth0=a.pcap --rules ct.tc --offload home-router")
@source
@pass_choice
def stats_command(choice: Choice, /, as_json: bool, **where: Any) -> int:
    """Counters of the backend, the share of packets and bytes by each path, and what the profile makes of it."""
    report = report_of(choice, **where)
    if as_json:
        write(json.dumps({name: report[name] for name in ("backend", "profile", "packets", "bytes", "stats", "shares", "costs")}) + "\n")
    else:
        write(offloading.stats(report))
    return 0


@offload_group.command("pin", epilog="\b\nExample:\n  tcemu offload pin /sys/fs/bpf/flows && bpftool map dump pinned /sys/fs/bpf/flows")
@click.argument("path", metavar="PATH")
@source
@pass_choice
def pin_command(choice: Choice, /, path: str, as_json: bool, **where: Any) -> int:
    """Put the flow map of a replay with the ebpf backend into a real BPF hash map, pinned at PATH; needs CAP_BPF and a bpf file system."""
    from tcemu.offload.kernel_map import pin_rows

    where["offload"] = where["offload"] or "ebpf"
    report = report_of(choice, **where)
    rows = [bytes.fromhex(line[5:]) for _, lines in report["tables"] for line in lines if line.startswith("key: ")]
    if report["backend"] != "ebpf":
        sentence = f"the replay had the backend {report['backend']}, and not ebpf"
        raise TcemuError(sentence, (Diagnostic(sentence, hint="--offload ebpf"),), exit_code=2)
    count = pin_rows(path, rows)
    write(json.dumps({"path": path, "entries": count}) + "\n" if as_json else f"{count} keys pinned at {path}\n")
    return 0
