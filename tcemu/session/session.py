"""A session: a machine with its ruleset, counters and connections, kept in a file or in memory, and the tools that work on it.

::

    with Session() as s:                        # in memory; Session("lab.db") keeps
        s.ip("link add eth0 type dummy")
        s.tc("filter add dev eth0 ingress protocol ip flower action drop")
        print(s.replay({"eth0": "a.pcap"}).packets)

Each tool takes a list of words (argv without the program's name) or a string: a command line split as a shell does for `tc`, `ip`
and `conntrack`, one text of nft commands for `nft`. An error that the tool itself reports is a `Result` with its exit code; a
session that cannot be read or written raises `StateError`; anything else that is raised is a defect of tcemu.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

from tcemu import clock
from tcemu.host import model
from tcemu.host.model import Host
from tcemu.host.profile import PLAIN, Profile
from tcemu.host.profile import read as read_profile
from tcemu.session.rows import TableShelf
from tcemu.session.store import IN_MEMORY, Store

if TYPE_CHECKING:
    from pathlib import Path

    from tcemu.conntrack.expect import ExpectWatcher
    from tcemu.conntrack.record import EntryRecord, ExpectationRecord
    from tcemu.conntrack.stats import Stats, Watcher
    from tcemu.ir.ruleset import Ruleset
    from tcemu.session.offloading import RuleJudge
    from tcemu.session.replayed import ReplayResult
    from tcemu.session.traced import Trace
    from tcemu.world import Reply

CLOCK = "clock"  # meta: the capture time in ns at which the session stands, once it has replayed something

OFFLOAD = "offload"  # meta: the profile of the offload backend in use, as JSON


class Result(NamedTuple):
    """What a tool answered."""

    exit_code: int
    stdout: str
    stderr: str


class Session:
    """See the module's text. It is the `tcemu.world.World` that commands work on, and the machine that `ip` works on."""

    def __init__(self, path: str | Path | None = None, *, strict: bool = False, namespace: str = "", profile: str = "") -> None:
        """Open a session.

        path: the session's file, made when it is not there; None without a namespace is a session in memory.
        strict: exactly as the kernel has it; else a device or qdisc that a command names first is made, with a note on stderr.
        profile: which kernel and tc, in the words of `tcemu.host.profile`; where it is empty, those of $TCEMU_PROFILE.
        namespace: the name of a network namespace; its file lies beside ``path``, or under ``$XDG_STATE_HOME/tcemu``.
        """
        if path is None and not namespace:
            self.path = IN_MEMORY
        else:
            from tcemu.session.places import locate

            self.path = locate(str(path) if path is not None else "", namespace)
        self.strict = strict
        words = profile or os.environ.get("TCEMU_PROFILE", "")
        self.profile: Profile = read_profile(words) if words else PLAIN
        self.namespace = namespace
        self.store = Store(self.path)
        self.host: Host = _host(self.store)
        self._ruleset: Ruleset | None = None
        self._connections: TableShelf[EntryRecord] | None = None
        self._expectations: TableShelf[ExpectationRecord] | None = None
        self._now: int | None = None
        if self.store.fresh:
            from tcemu.host import devices

            with self.store.transaction():
                devices.loopback(self.host)

    # ------------------------------------------------------------ what commands work on

    @property
    def ruleset(self) -> Ruleset:
        """The rules, sets, counters and attachments."""
        if self._ruleset is None:
            self._ruleset = _ruleset(self.store)
        return self._ruleset

    @property
    def connections(self) -> TableShelf[EntryRecord]:
        """The connection tracking table as it is kept between commands."""
        if self._connections is None:
            from tcemu.conntrack.record import EntryRecord

            self._connections = TableShelf(self.store, "connections", EntryRecord)
        return self._connections

    @property
    def expectations(self) -> TableShelf[ExpectationRecord]:
        """What connections expect."""
        if self._expectations is None:
            from tcemu.conntrack.record import ExpectationRecord

            self._expectations = TableShelf(self.store, "expectations", ExpectationRecord)
        return self._expectations

    @property
    def tracker_stats(self) -> Stats:
        """What the tracker counted over all replays (`conntrack -S`)."""
        from tcemu.session.running import kept_stats

        return kept_stats(self)

    @property
    def hardware(self) -> RuleJudge | None:
        """The offload backend that the session uses, as tc asks it about filters."""
        if self.store.meta(OFFLOAD) is None:
            return None
        from tcemu.session.offloading import judge

        return judge(self)

    def now(self) -> int:
        """The session's time in ns since 1970: where the last replayed capture ended, or the wall clock before any."""
        if self._now is None:
            kept = self.store.meta(CLOCK)
            self._now = kept if isinstance(kept, int) else None
        return clock.wall() if self._now is None else self._now

    def set_now(self, now: int | None) -> None:
        """Move the session to a moment of a capture; None gives it back to the wall clock."""
        self.store.set_meta(CLOCK, now)
        self._now = now

    def forget_clock(self) -> None:
        """Ask the file for the session's time anew (after a transaction that was undone)."""
        self._now = None

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing; may be nested."""
        return self.store.transaction()

    def forget_device(self, name: str) -> None:
        """A device is gone: qdiscs and chains on it go, actions that sent to it lose their target."""
        from tcemu.session.unplug import unplug

        unplug(self, name)

    def rename_device(self, name: str, new: str) -> None:
        """A device has another name: what hangs on it follows."""
        from tcemu.session.unplug import rename

        rename(self, name, new)

    # ------------------------------------------------------------ the tools

    def tc(self, args: str | Sequence[str], stdin: str = "") -> Result:
        """Run a `tc` command."""
        from tcemu.tc.commands import run

        return self._run(run, _words(args), stdin)

    def nft(self, args: str | Sequence[str], stdin: str = "") -> Result:
        """Run `nft`: a list is its argv, a string one text of commands."""
        from tcemu.nft.commands import run

        return self._run(run, [args] if isinstance(args, str) else list(args), stdin)

    def nft_file(self, text: str) -> Result:
        """Load a ruleset as ``nft -f -`` does."""
        return self.nft(["-f", "-"], stdin=text)

    def conntrack(self, args: str | Sequence[str], stdin: str = "") -> Result:
        """Run a `conntrack` command."""
        from tcemu.conntrack.commands import run

        return self._run(run, _words(args), stdin)

    def ip(self, args: str | Sequence[str], stdin: str = "") -> Result:
        """Run an `ip` command."""
        from tcemu.host.ip.commands import run

        with self.store.reading():
            return Result(*run(_words(args), stdin, self))

    def sysctl(self, args: str | Sequence[str], stdin: str = "") -> Result:
        """Run a `sysctl` command."""
        from tcemu.session.sysctl import run

        return self._run(run, _words(args), stdin)

    def socket(self, args: str | Sequence[str], stdin: str = "") -> Result:
        """Run a `tcemu socket` command: sockets of the machine's programs."""
        from tcemu.host.programs import socket

        return self._tell(socket, _words(args))

    def osf(self, args: str | Sequence[str], stdin: str = "") -> Result:
        """Run a `tcemu osf` command: fingerprints of operating systems."""
        from tcemu.host.programs import fingerprints

        return self._tell(fingerprints, _words(args))

    def _tell(self, run: Callable[[Sequence[str], Host], tuple[int, str, str]], words: list[str]) -> Result:
        from tcemu.diagnostics import TcemuError

        try:
            with self.transaction():
                return Result(*run(words, self.host))
        except TcemuError as slip:
            return Result(slip.exit_code, "", slip.render())

    def _run(self, run: Callable[[Sequence[str], str, Session], Reply], words: list[str], stdin: str) -> Result:
        with self.store.reading():
            return Result(*run(words, stdin, self))

    # ------------------------------------------------------------ packets

    def replay(
        self,
        inputs: Mapping[str, str | Path | Sequence[str | Path]],
        out: str | Path | None = None,
        *,
        verdicts: bool = False,
        explain: int = 0,
        seed: int = 1,
        log_dir: str | Path | None = None,
        queue: str | Callable[[int, bytes], bool] | None = None,
        nft_trace: bool = False,
        watcher: Watcher | None = None,
        expect_watcher: ExpectWatcher | None = None,
        offload: str | Path | None = None,
    ) -> ReplayResult:
        """Play captures (device → file or files) through the ruleset.

        out: a directory for the frames that leave, one capture a device. verdicts: keep one a packet. explain: keep the way of the
        first so many packets, rule by rule. seed: of what the kernel would draw at random. log_dir: a directory for what nft log sees.
        queue: what programs behind nft queues say, ``accept``, ``drop`` or a function of the queue's number and the packet (from its
        network header on) that gives True to accept. nft_trace: keep what `nft monitor trace` would write. watcher: is told what happens
        to connections (`tcemu.conntrack.stats.Watcher`), expect_watcher: and to expectations (`tcemu.conntrack.expect.ExpectWatcher`).
        offload: a backend, a profile's name or its file; the result's ``offload`` has what became of each connection. Raises CaptureError, and StateError for an unknown backend.
        """
        from tcemu.session.replayed import replay

        profile = None
        if offload is not None:
            from tcemu.offload.profile import choose

            profile = choose(str(offload))
        return replay(
            self,
            inputs,
            out,
            verdicts=verdicts,
            explain=explain,
            seed=seed,
            log_dir=log_dir,
            queue=queue,
            nft_trace=nft_trace,
            watcher=watcher,
            expect_watcher=expect_watcher,
            offload=profile,
        )

    def trace(self, frame: bytes, device: str) -> Trace:
        """The way of one frame that arrives on a device, step by step; nothing is changed by it."""
        from tcemu.session.traced import trace

        return trace(self, frame, device)

    # ------------------------------------------------------------ ending

    def close(self) -> None:
        """Close the file."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, slip: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _words(args: str | Sequence[str]) -> list[str]:
    if isinstance(args, str):
        import shlex

        return shlex.split(args)
    return list(args)


def _host(store: Store) -> Host:
    return Host(
        TableShelf(store, "devices", model.Device),
        TableShelf(store, "addresses", model.Address),
        TableShelf(store, "routes", model.Route),
        TableShelf(store, "neighbours", model.Neighbour),
        TableShelf(store, "sysctls", model.Sysctl),
        TableShelf(store, "counters", model.Counter),
        TableShelf(store, "sockets", model.Socket),
        TableShelf(store, "fingerprints", model.Fingerprint),
        TableShelf(store, "policies", model.Policy),
    )


def _ruleset(store: Store) -> Ruleset:
    from tcemu.ir.codec import SHELVES
    from tcemu.ir.ruleset import Ruleset

    return Ruleset(**{name: TableShelf(store, name, kind) for name, kind in SHELVES.items()})  # type: ignore[arg-type]
