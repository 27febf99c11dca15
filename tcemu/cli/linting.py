"""`tcemu lint`: from the command line's words and the configuration to a report on standard output and an exit code."""

from __future__ import annotations

import os
import sys
from typing import Final, NamedTuple

from tcemu.cli.main import write
from tcemu.diagnostics import Diagnostic, TcemuError, near
from tcemu.lint import baseline as baselines
from tcemu.lint import config as configs
from tcemu.lint.catalogue import everything, explain
from tcemu.lint.finding import SEVERITIES, Finding, worst
from tcemu.lint.profile import read as read_profile
from tcemu.lint.run import Choice, Report
from tcemu.session.linting import Wanted, lint_paths

FOUND: Final = 1


class Asked(NamedTuple):
    """The command line."""

    paths: tuple[str, ...]
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    severity: tuple[tuple[str, str], ...] = ()
    base: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    profile: str = ""
    asserts: tuple[str, ...] = ()
    peak: int = 0
    fix: bool = False
    baseline: str = ""
    write_baseline: str = ""
    form: str = ""
    output: str = ""
    witness: str = ""
    fail_on: str = ""
    colour: str = "auto"
    verbose: bool = False
    config: bool = True
    kind: str = ""
    each: bool = False


def run(asked: Asked) -> int:
    """Lint; 0 nothing to say, 1 findings. Raises TcemuError (2) for whatever else: 1 is for findings alone."""
    try:
        return _run(asked)
    except TcemuError as slip:
        slip.exit_code = 2
        raise
    except Exception as slip:
        if os.environ.get("TCEMU_DEBUG") == "1":
            raise
        sentence = f"internal error: {type(slip).__name__}: {slip}"
        hint = "this is a defect of tcemu; TCEMU_DEBUG=1 shows where it happened"
        raise TcemuError(sentence, (Diagnostic(sentence, hint=hint),), exit_code=2) from slip


def _run(asked: Asked) -> int:
    if not asked.paths:
        raise TcemuError("which file?", (Diagnostic("which file?", hint="tcemu lint FILE…, - for standard input"),), exit_code=2)
    import gc

    gc.disable()  # the process ends with the report, and what is read makes few circles
    config = configs.find(asked.paths[0]) if asked.config else configs.Config()
    wanted = _wanted(asked, config)
    report = _asked(wanted, asked.each)
    known = asked.baseline or config.beside("baseline")
    if known and (asked.baseline or os.path.exists(known)):
        kept, number = baselines.without(report.findings, baselines.read(known))
        report = report._replace(findings=kept, ignored=report.ignored + number)
    if asked.write_baseline:
        baselines.write(asked.write_baseline, report.findings)
        sys.stderr.write(f"{asked.write_baseline}: {len(report.findings)} findings kept as known\n")
        return 0
    if asked.fix:
        report = _mended(report, wanted, asked.each)
    if asked.witness:
        count = keep_witnesses(asked.witness, report.findings)
        sys.stderr.write(f"{asked.witness}: {count} witness packets\n")
    _show(asked, config, report)
    level = asked.fail_on or config.word("fail-on", "warning")
    if level not in SEVERITIES:
        raise TcemuError(f"{level!r} is no severity: info, warning or error", exit_code=2)
    return FOUND if worst(report.findings) >= SEVERITIES.index(level) else 0


def _wanted(asked: Asked, config: configs.Config) -> Wanted:
    pairs = config.values.get("severity", {})
    if not isinstance(pairs, dict):
        raise TcemuError(f"{config.path}: severity wants a table of ids and severities", exit_code=2)
    severity = (*((str(name), str(level)) for name, level in pairs.items()), *asked.severity)
    choice = Choice(asked.select or config.strings("select"), (*config.strings("ignore"), *asked.ignore), severity)
    folder = os.path.dirname(config.path)
    hosts = asked.hosts or tuple(os.path.join(folder, path) for path in config.strings("hosts"))
    bases = asked.base or tuple(os.path.join(folder, path) for path in config.strings("base"))
    profile = read_profile(asked.profile or config.word("profile"))
    asserts = tuple(_assertion(text) for text in asked.asserts or config.strings("assert"))
    return Wanted(asked.paths, bases, hosts, profile, choice, asserts, asked.peak, kind=asked.kind)


def _assertion(text: str) -> tuple[str, str]:
    """``tcp/22`` as protocol and port."""
    proto, slash, port = text.partition("/")
    if not slash or proto not in ("tcp", "udp", "sctp") or not port.isdigit() or not 0 < int(port) < 65536:
        raise TcemuError(f"{text!r} is nothing to assert: it wants PROTOCOL/PORT, as tcp/22", exit_code=2)
    return proto, port


def _asked(wanted: Wanted, each: bool) -> Report:
    """One report: on one machine that all files make, or on a machine a file."""
    if not each:
        return lint_paths(wanted)[1]
    reports = [lint_paths(wanted._replace(paths=(path,)))[1] for path in wanted.paths]
    return Report(
        [finding for one in reports for finding in one.findings],
        [doubt for one in reports for doubt in one.doubts],
        sum(one.ignored for one in reports),
    )


def _mended(report: Report, wanted: Wanted, each: bool) -> Report:
    """Change the files and lint them again, until nothing more is to be mended."""
    from tcemu.lint.fixing import apply

    total = 0
    for _ in range(5):
        count = apply(report.findings)
        total += count
        if not count:
            break
        report = _asked(wanted, each)
    sys.stderr.write(f"{total} place{'s' if total != 1 else ''} mended\n")
    return report


def _show(asked: Asked, config: configs.Config, report: Report) -> None:
    from tcemu.lint.formats import NAMES, writer

    form = asked.form or config.word("format", "text")
    if form not in NAMES:
        raise TcemuError(f"{form!r} is no format: {', '.join(NAMES)}", exit_code=2)
    colour = form == "text" and not asked.output and _colourful(asked.colour)
    text = writer(form)(report, colour)
    if form == "text" and asked.verbose:
        from tcemu.lint.formats.text import doubts

        text += doubts(report)
    if not asked.output:
        write(text)
        return
    try:
        with open(asked.output, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
    except OSError as slip:
        raise TcemuError(f"{asked.output} cannot be written: {slip.strerror}", exit_code=2) from slip


def _colourful(word: str) -> bool:
    if word != "auto":
        return word == "always"
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def keep_witnesses(folder: str, findings: list[Finding]) -> int:
    """Write each finding's witness packet as a capture of its own; how many."""
    from tcemu.session.proving import write_capture

    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as slip:
        raise TcemuError(f"{folder} cannot be made: {slip.strerror}", exit_code=2) from slip
    count = 0
    for finding in findings:
        if finding.witness is not None:
            count += 1
            line = finding.spans[0].line if finding.spans else 0
            write_capture(os.path.join(folder, f"{count:03d}-{finding.rule}-line-{line}.pcap"), finding.witness.frame)
    return count


def explained(names: tuple[str, ...]) -> str:
    """What ``--explain`` prints. Raises TcemuError (2) for an id that is none."""
    known = everything()
    parts = []
    for name in names:
        one = known.get(name.upper())
        if one is None:
            guess = near(name.upper(), known)
            hint = f"did you mean {guess}?" if guess else "tcemu lint --list names them all"
            raise TcemuError(f"there is no lint rule {name}", (Diagnostic(f"there is no lint rule {name}", hint=hint),), exit_code=2)
        parts.append(explain(one))
    return "\n".join(parts)


def listed() -> str:
    """All rules, one a line."""
    return "".join(f"{one.id:6} {one.severity:8} {one.title}\n" for one in everything().values())
