"""Captures through a session's ruleset, and what became of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from tcemu.diagnostics import CaptureError, Refused
from tcemu.engine.machine import Machine, Sink
from tcemu.engine.nftrace import NfTracer
from tcemu.engine.replay import Listener, Progress, Replay
from tcemu.engine.trace import Event, Tracer, event_data
from tcemu.host.kinds import KINDS, PLAIN
from tcemu.ir.verdict import NAMES
from tcemu.session.labels import Label, labels
from tcemu.session.listening import Listening
from tcemu.session.moment import enter_capture_time
from tcemu.session.nftraced import text_of
from tcemu.session.offloading import Share, shares, used
from tcemu.session.offloading import keep as keep_report
from tcemu.session.running import Running, numbers, undone
from tcemu.session.traceline import is_heard, send

if TYPE_CHECKING:
    from tcemu.capture.reader import Reader
    from tcemu.capture.writer import Writer
    from tcemu.conntrack.expect import ExpectWatcher
    from tcemu.conntrack.stats import Watcher
    from tcemu.offload.profile import Profile
    from tcemu.session.session import Session

Inputs = Mapping[str, "str | Path | Sequence[str | Path]"]
LINK_ETHERNET: Final = 1
LINK_RAW: Final = 101


class RuleHits(NamedTuple):
    """How often a rule's guards held."""

    key: str
    label: Label
    hits: int


class Way(NamedTuple):
    """One packet's way: its number from 1, time in ns, device, and events."""

    number: int
    ts: int
    device: str
    events: list[Event]
    verdict: str


class ReplayResult:
    """What a replay did. Times are ns since 1970; counts are of packets."""

    def __init__(self) -> None:
        self.packets = 0
        self.bytes = 0
        self.undecoded = 0  # of link types that are counted and not looked into
        self.first = -1
        self.last = -1
        self.verdicts: dict[str, int] = {}  # accepted, dropped, redirected, held, trapped
        self.inputs: dict[str, int] = {}  # device → packets read for it
        self.sent: dict[str, int] = {}  # device → frames that left by it
        self.files: dict[str, str] = {}  # device → capture written
        self.rules: list[RuleHits] = []
        self.connections = 0  # in the table at the end
        self.tracker: dict[str, int] = {}  # found, invalid, insert, drop …
        self.warnings: list[str] = []
        self.notes: list[str] = []
        self.each: list[str] | None = None  # one verdict a packet, if asked for
        self.ways: list[Way] = []
        self.logged: dict[str, int] = {}  # packets by capture in the folder for logs
        self.nft_trace = ""  # what `nft monitor trace` would have written, if asked for
        self.stopped = False
        self.shares: list[Share] = []  # packets and bytes of each flow table, and of the backend
        self.offload: dict[str, Any] | None = None  # with a backend: see `tcemu.session.offloading.Offloading.document`

    def document(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        shown: dict[str, Any] = {"packets": self.packets, "bytes": self.bytes, "undecoded": self.undecoded}
        shown |= {"first_ns": self.first, "last_ns": self.last, "inputs": self.inputs, "verdicts": self.verdicts, "sent": self.sent}
        shown |= {"files": self.files, "connections": self.connections, "conntrack": self.tracker}
        shown["inputs"] = self.inputs
        shown["rules"] = [{"key": rule.key, "place": rule.label.place, "text": rule.label.text, "hits": rule.hits} for rule in self.rules]
        shown["offload"] = [share._asdict() for share in self.shares]
        shown |= {"warnings": self.warnings, "notes": self.notes}
        if self.each is not None:
            shown["each"] = self.each
        if self.logged:
            shown["logged"] = self.logged
        if self.nft_trace:
            shown["nft_trace"] = self.nft_trace
        if self.ways:
            shown["ways"] = [way._asdict() | {"events": [event_data(event) for event in way.events]} for way in self.ways]
        return shown

    def __repr__(self) -> str:
        shown = ", ".join(f"{count} {name}" for name, count in self.verdicts.items() if count)
        return f"<ReplayResult: {self.packets} packets: {shown}; {self.connections} connections>"


def replay(
    session: Session,
    inputs: Inputs,
    out: str | Path | None = None,
    *,
    verdicts: bool = False,
    explain: int = 0,
    seed: int = 1,
    log_dir: str | Path | None = None,
    queue: str | Callable[[int, bytes], bool] | None = None,
    nft_trace: bool = False,
    progress: Progress | None = None,
    keep: bool = True,
    watcher: Watcher | None = None,
    expect_watcher: ExpectWatcher | None = None,
    offload: Profile | None = None,
) -> ReplayResult:
    """See `Session.replay`. ``offload``: the backend of this replay; the session's own without one.

    ``keep`` False leaves the session as it was, and so does a replay that fails or is interrupted.

    The session is locked while it is read and while it is written, not while packets run: other shells go on meanwhile.
    """
    result = ReplayResult()
    wall = session.now()
    with Sources(inputs) as sources:
        first = sources.first_moment()

        def prepare() -> None:
            enter_capture_time(session, first, wall)
            sources.plug(session, result)

        def begin() -> Running:
            prepare()
            return Running(session, None, seed, offload if offload is not None else used(session))

        running = undone(session, begin)
        machine = running.machine
        if watcher is not None:
            watcher.muted = machine.conntrack.settings.events == 0
            running.watch(watcher)
        if expect_watcher is not None:
            expect_watcher.muted = machine.conntrack.settings.events == 0
            machine.conntrack.expectations.watcher = expect_watcher
        sender = Sender(running, out) if out is not None else None
        if sender is not None:
            machine.sink, machine.frames = sender, True
        programs = Listening(machine, running.names, log_dir, queue) if log_dir is not None or queue is not None else None
        machine.programs = programs
        heard = keep and is_heard(session)
        tracer = NfTracer() if nft_trace or heard else None
        try:
            _play(running, sources, result, progress, verdicts, explain, tracer)
            if sender is not None:
                result.sent, result.files = sender.finish()
            if programs is not None:
                programs.finish()
                result.logged = programs.counts
        except BaseException:
            for open_files in (sender, programs):
                if open_files is not None:
                    open_files.abort()
            raise
        if tracer is not None:
            text = text_of(session, tracer.messages, running.names)
            result.nft_trace = text if nft_trace else ""
            if heard:
                send(session, text)
        result.warnings += sources.warnings()
    if keep:
        with session.transaction():
            prepare()
            running.save(result.last if result.last >= 0 else None)
    _tell(running, result)
    if keep and result.offload is not None:
        keep_report(session, result.offload)
    return result


def _play(
    running: Running,
    sources: Sources,
    result: ReplayResult,
    progress: Progress | None,
    verdicts: bool,
    explain: int,
    told: NfTracer | None,
) -> None:
    """Run the loop: first the packets that are explained, then the rest at full speed."""
    from tcemu.capture.merge import Merge

    machine = running.machine
    loop = Replay(machine, Merge(sources.readers), sources.indexes)
    listener = Verdicts() if verdicts else None
    names = sources.devices
    bar = progress if progress is not None else Progress()
    for number in range(1, explain + 1):
        tracer = Tracer()
        if told is None:
            machine.observer = tracer
        else:
            told.other = tracer
            machine.observer = told
        if not loop.run(None, listener, 1):
            break
        device = names[int(loop.merge.index)]
        result.ways.append(Way(number, int(machine.now), device, tracer.events, verdict_name(machine)))
    if told is not None:
        told.other = None
    machine.observer = told
    if not explain or len(result.ways) == explain:
        loop.run(bar, listener)
    result.packets, result.bytes, result.stopped = int(loop.packets), int(loop.bytes), loop.stopped
    result.first, result.last = int(loop.first), int(loop.last)
    if result.packets:
        machine.settle(result.last)
    result.undecoded = sum(int(reader.undecoded) for reader in sources.readers)
    for name, reader in zip(names, sources.readers, strict=True):
        result.inputs[name] = result.inputs.get(name, 0) + int(reader.number)
    result.each = listener.names if listener is not None else None


class Verdicts(Listener):
    """Keeps one verdict a packet."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def packet(self, machine: Machine, reader: int) -> None:
        self.names.append(verdict_name(machine))


def verdict_name(machine: Machine) -> str:
    """The word for what became of the last packet."""
    return NAMES[int(machine.verdict)]


def _tell(running: Running, result: ReplayResult) -> None:
    """Counts of the machine and of its rules."""
    machine = running.machine
    result.verdicts = {
        "accepted": int(machine.accepted),
        "dropped": int(machine.dropped),
        "redirected": int(machine.redirected),
        "held": int(machine.held),
        "trapped": int(machine.trapped),
    }
    hits = [(rule.key, int(rule.hits)) for rule in machine.program.rules]
    named = labels(running.session, [key for key, _ in hits])
    result.rules = [RuleHits(key, named[key], count) for key, count in hits]
    strangers = int(machine.strangers)
    if 2 * strangers > result.packets:
        result.notes.append(
            f"{strangers:,} packets were for other stations: their Ethernet destination is no address of the device (ip link set DEV address MAC)"
        )
    result.connections = int(machine.conntrack.count)
    result.shares = shares(machine, running.offloading)
    if running.offloading is not None:
        running.offloading.gather()
        result.offload = running.offloading.document(result.packets, result.bytes)
    before = running.stats_before
    result.tracker = {name: value - before[name] for name, value in numbers(machine.conntrack.stats).items()}


# ---------------------------------------------------------------- where packets come from and go to


class Sources:
    """The captures that are read, each for a device."""

    def __init__(self, inputs: Inputs) -> None:
        from tcemu.capture.open import open_capture

        self.readers: list[Reader] = []
        self.indexes: list[int] = []
        self.devices: list[str] = []
        self._paths: list[str] = []
        try:
            for device, paths in inputs.items():
                for path in [paths] if isinstance(paths, str | os.PathLike) else paths:
                    self.readers.append(open_capture(path))
                    self.devices.append(device)
                    self._paths.append(os.fspath(path))
        except BaseException:
            self.close()
            raise
        if not self.readers:
            raise CaptureError("there is no capture to replay")

    def plug(self, session: Session, result: ReplayResult) -> None:
        """Find the devices, or make them in a friendly session."""
        from tcemu.host import devices

        self.indexes, notes = [], []
        for name in self.devices:
            device = session.host.devices.get(name)
            if device is None:
                if session.strict or not devices.valid_name(name):
                    raise Refused(f'Cannot find device "{name}"', exit_code=1)
                devices.ensure(session.host, name)
                device = session.host.devices.get(name)
                assert device is not None
                notes.append(f"device {name} was not there and has been made")
            if not device.up:
                notes.append(f"device {name} is down: its packets are lost (ip link set {name} up)")
            self.indexes.append(device.index)
        result.notes = list(dict.fromkeys((*result.notes, *notes)))

    def first_moment(self) -> int:
        """The time of the earliest first packet; 0 when there are no packets. Standard input cannot be looked into ahead."""
        from tcemu.capture.open import open_capture

        first = -1
        for path in self._paths:
            if path == "-" or not os.path.isfile(path):
                continue
            reader = open_capture(path)
            try:
                if reader.next() and (first < 0 or reader.ts < first):
                    first = int(reader.ts)
            finally:
                reader.close()
        return max(first, 0)

    def warnings(self) -> list[str]:
        """What the readers found odd."""
        return [warning for reader in self.readers for warning in reader.warnings]

    def close(self) -> None:
        """Close all files."""
        for reader in self.readers:
            reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Sender(Sink):
    """Frames that leave go into one capture a device."""

    def __init__(self, running: Running, out: str | Path) -> None:
        super().__init__()
        self.wants_frames = True
        self._machine = running.machine
        self._folder = Path(out)
        self._names = running.names
        self._links = {index: _link_of(kind) for index, kind in running.kinds.items()}
        self._writers: dict[int, Writer] = {}
        self._counts: dict[int, int] = {}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as slip:
            raise CaptureError(f"{self._folder} cannot be made: {slip.strerror}") from slip

    def transmit(self, device: int, data: bytes) -> None:
        writer = self._writers.get(device)
        if writer is None:
            from tcemu.capture.writer import create_capture

            name = self._names.get(device, str(device))
            writer = self._writers[device] = create_capture(self._folder / f"{name}.pcap", self._links.get(device, LINK_ETHERNET), name)
            self._counts[device] = 0
        self._counts[device] += 1
        writer.write(data, 0, len(data), len(data), self._machine.now)

    def finish(self) -> tuple[dict[str, int], dict[str, str]]:
        """Close the files; how many frames each device sent, and where they are."""
        for writer in self._writers.values():
            writer.close()
        names = {device: self._names.get(device, str(device)) for device in self._writers}
        return {names[one]: count for one, count in self._counts.items()}, {
            name: str(self._folder / f"{name}.pcap") for name in names.values()
        }

    def abort(self) -> None:
        """Leave no half files behind."""
        for writer in self._writers.values():
            writer.abort()


def _link_of(kind: str) -> int:
    return LINK_ETHERNET if KINDS.get(kind, PLAIN).layer in ("ether", "loopback") else LINK_RAW
