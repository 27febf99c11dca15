"""Run a recorded kernel scenario and write what the recorder would have written.

The form of a scenario and of its results is that of the recordings (oracle: README, agent.py, nlink.py): ``steps.jsonl`` holds one
object for each command and packet, the other files are listings at the end. The machine is strict, and its clock is the
scenario's: the first packet is at `START`, a command happens right after the packet that it follows.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import tcemu
from tcemu.clock import SECOND
from tcemu.diagnostics import Diagnostic, StateError
from tcemu.engine.nftrace import NfTracer
from tcemu.host import devices, osf, sockets, sysctls
from tcemu.host.model import Device
from tcemu.session.following import following
from tcemu.session.nftraced import text_of
from tcemu.session.observed import Observed
from tcemu.session.rulestate import TRACE_TABLE, RuleState
from tcemu.session.running import Running
from tcemu.session.session import Session

if TYPE_CHECKING:
    from tcemu.offload.profile import Profile

START: Final = 1_700_000_000 * SECOND
SET_UP: Final = SECOND // 10  # how long before the first packet everything is in place
EIO: Final = 5  # what writing a frame to a tap that is down gives (drivers/net/tun.c tun_get_user)
TOOLS: Final = ("tc", "nft", "ip", "conntrack", "sysctl")
# what the recorder sets for every scenario (agent.py SYSCTL)
SYSCTLS: Final = {
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.default.rp_filter": 0,
    "net.ipv4.conf.all.send_redirects": 0,
    "net.ipv4.conf.default.send_redirects": 0,
    "net.ipv4.icmp_ratelimit": 0,
    "net.ipv4.icmp_echo_ignore_all": 1,
    "net.ipv6.icmp.ratelimit": 0,
    "net.ipv6.icmp.echo_ignore_all": 1,
    "net.ipv6.auto_flowlabels": 0,
    "net.ipv6.conf.default.accept_dad": 0,
    "net.ipv6.conf.default.router_solicitations": 0,
    "net.ipv6.conf.default.addr_gen_mode": 1,
    "net.netfilter.nf_conntrack_acct": 1,
}


class Arrival(NamedTuple):
    """A frame of the scenario: when (ns), on which device (``local``: sent by the machine itself), and its bytes."""

    ts: int
    device: str
    data: bytes


def run(directory: str | Path, out: str | Path, offload: Profile | None = None) -> None:
    """Run the scenario in a directory, with an offload backend if need be, and write its results into another.

    Raises StateError and CaptureError.
    """
    source, target = Path(directory), Path(out)
    config = read_config(source)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as slip:
        raise StateError(f"{target} cannot be made: {slip.strerror}") from slip
    with Session(strict=True) as session:
        Run(source, target, config, session, offload).main()


def read_config(source: Path) -> dict[str, Any]:
    """The scenario's own description."""
    path = source / "scenario.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as slip:
        raise StateError(f"{path} cannot be read: {getattr(slip, 'strerror', slip)}") from slip
    except ValueError as slip:
        raise StateError(f"{path} is not JSON: {slip}") from slip
    if not isinstance(config, dict) or "kind" not in config:
        raise StateError(
            f"{path} is no scenario", (Diagnostic(f"{path} is no scenario", hint="it needs at least a kind: tc, nft or flowtable"),)
        )
    return config


def read_packets(source: Path) -> list[Arrival]:
    """All frames of a scenario by time; frames of the same time in the order of their files' names."""
    from tcemu.capture.open import open_capture

    found: list[Arrival] = []
    for path in sorted(source.glob("in.*.pcap")):
        reader = open_capture(path)
        try:
            while reader.next():
                found.append(Arrival(reader.ts, path.name[3:-5], reader.data[reader.start : reader.end]))
        finally:
            reader.close()
    return sorted(found, key=lambda arrival: arrival.ts)


class Run:
    """One run of a scenario."""

    def __init__(self, source: Path, target: Path, config: dict[str, Any], session: Session, offload: Profile | None = None) -> None:
        self.source, self.target, self.config, self.session = source, target, config, session
        self.offload = offload
        self.steps: list[dict[str, Any]] = []
        self.uses_nft = (source / "rules.nft").exists() or bool(config.get("nft"))
        self.uses_tc = (source / "rules.tc").exists() or config["kind"] == "tc"
        self.observed = Observed(
            stack=(self.uses_tc and config["kind"] == "tc") or bool(config.get("stack")), local=bool(config.get("local"))
        )
        self.rules = RuleState(session, self.uses_tc, self.uses_nft)
        self.tracer = NfTracer() if config.get("trace") else None

    def main(self) -> None:
        """Set up, run, write."""
        session = self.session
        session.set_now(START - SET_UP)
        self.set_up()
        self.trace_on()
        self.observed.name_devices(session.host, [one["name"] for one in self.config.get("devices", []) if one.get("type", "tap") == "tap"])
        self.running = Running(session, self.observed, offload=self.offload)
        self.running.machine.observer = self.tracer
        self.running.machine.answers = True
        self.rules.restart()
        pending = sorted(self.config.get("commands", []), key=lambda command: int(command["after"]))
        packets = read_packets(self.source)
        base = packets[0].ts if packets else 0
        self.flush(pending, 0)
        quiet = self.config.get("probe", "all") == "frames"
        for number, arrival in enumerate(packets, 1):
            self.packet(number, arrival, base, not quiet or number == len(packets))
            self.flush(pending, number)
        self.flush(pending, 1 << 30)
        (self.target / "steps.jsonl").write_text("".join(json.dumps(step) + "\n" for step in self.steps), encoding="utf-8")
        self.final()

    # ------------------------------------------------------------ setting up

    def set_up(self) -> None:
        """Sysctls, devices, addresses, routes, neighbours, rulesets, in the recorder's order."""
        session, config = self.session, self.config
        ipv6 = int(not config.get("ipv6", False))
        settings = {"net.ipv6.conf.all.disable_ipv6": ipv6, "net.ipv6.conf.default.disable_ipv6": ipv6} | SYSCTLS | config.get("sysctl", {})
        for name, value in settings.items():
            sysctls.put(session.host, name, str(value))
        for one in config.get("devices", []):
            if one.get("type", "tap") == "tap":
                devices.add(session.host, Device(key=one["name"], kind="tap", up=False, was_up=False))
        code, _, err = session.ip(["-batch", "-"], "\n".join(self.host_lines()))
        if code:
            raise StateError(f"the scenario's devices cannot be set up: {err.strip()}")
        self.programs()
        for name, tool, option in (("rules.nft", "nft", "-f"), ("rules.tc", "tc", "-batch")):
            path = self.source / name
            if path.exists():
                result = getattr(session, tool)([option, str(path)])
                shown = [text.replace(str(path), name) for text in (result.stdout, result.stderr)]
                self.steps.append({"cmd": f"{tool} {option} {name}", "rc": result.exit_code, "stdout": shown[0], "stderr": shown[1]})

    def programs(self) -> None:
        """Sockets of local programs, and a fingerprint file."""
        config, host = self.config, self.session.host
        for proto, ports in config.get("listen", {}).items():
            for port in ports:
                sockets.add(host, proto, "::" if config.get("ipv6") else "0.0.0.0", port)
        for one in config.get("sockets", []):
            sockets.add(
                host,
                one["proto"],
                one["addr"],
                one["port"],
                peer=(one["peer"][0], one["peer"][1]) if "peer" in one else None,
                transparent=bool(one.get("transparent")),
                mark=one.get("mark", 0),
                v6only=bool(one.get("v6only", 1)),
            )
        if (self.source / "pf.os").exists():
            osf.load(host, str(self.source / "pf.os"))

    def host_lines(self) -> list[str]:
        """The lines of `ip` that make the scenario's machine."""
        lines = []
        config = self.config
        for one in config.get("devices", []):
            name = one["name"]
            if one.get("type", "tap") != "tap":
                lines.append(f"link add name {name} {one['link']}")
            lines += [f"link set {name} {word} {one[key]}" for key, word in (("mac", "address"), ("mtu", "mtu")) if key in one]
            lines += [f"link set {port} master {name}" for port in one.get("ports", [])]
        for one in config.get("devices", []):
            if one.get("up", True):
                lines.append(f"link set {one['name']} up")
            lines += [f"addr add {address} dev {one['name']}" + (" nodad" if ":" in address else "") for address in one.get("addr", [])]
        for route in config.get("routes", []):
            lines.append(f"route add {route['dst']}" + (f" via {route['via']}" if "via" in route else "") + f" dev {route['dev']}")
        lines += [f"neigh add {near['ip']} lladdr {near['mac']} dev {near['dev']} nud permanent" for near in config.get("neigh", [])]
        return lines

    # ------------------------------------------------------------ steps

    def packet(self, number: int, arrival: Arrival, base: int, look: bool) -> None:
        """One packet and everything that it causes."""
        machine = self.running.machine
        now = START + arrival.ts - base
        follow = self.config.get("follow", {}).get(str(number))
        if follow is not None:
            arrival = arrival._replace(data=following(arrival.data, self.answers(int(follow[0])), int(follow[1])))
        step: dict[str, Any] = {"n": number, "ts": round((arrival.ts - base) / SECOND, 6), "dev": arrival.device, "in": arrival.data.hex()}
        machine.settle(now)
        before = self.observed.take_out()
        if before:
            step["before"] = before
        errno = self.inject(arrival, now)
        if errno:
            step["errno"] = errno
        step["out"] = self.observed.take_out()
        for key, frames in (("stack", self.observed.take_stack()), ("local", self.observed.take_local())):
            if frames:
                step[key] = frames
        if look:
            self.running.sync()
            step["rules"] = self.rules.delta()
            step["ct"], expected = self.observed.connections(machine.conntrack, now)
            if expected:
                step["exp"] = expected
        self.session.set_now(now)
        self.steps.append(step)

    def answers(self, number: int) -> list[bytes]:
        """The frames that left at packet ``number``."""
        return [bytes.fromhex(frame["hex"]) for step in self.steps if step.get("n") == number for frame in step["out"]]

    def inject(self, arrival: Arrival, now: int) -> int:
        """Put the frame into the machine; the errno of what the recorder's write would have given."""
        machine = self.running.machine
        if arrival.device == "local":
            return int(machine.send_local(arrival.data, now))
        device = self.session.host.devices.get(arrival.device)
        if device is None or not device.up:
            return EIO
        machine.receive(arrival.data, 0, len(arrival.data), len(arrival.data), now, 0, device.index)
        return 0

    def flush(self, pending: list[dict[str, Any]], number: int) -> None:
        """The commands that follow packet ``number``."""
        while pending and pending[0]["after"] <= number:
            self.command(pending.pop(0)["run"])

    def command(self, line: str) -> None:
        """One command."""
        words = shlex.split(line)
        if words[0] in TOOLS:
            result = self.running.command(words[0], words[1:])
            step = {"cmd": line, "rc": result.exit_code, "stdout": result.stdout, "stderr": result.stderr}
        else:
            step = {"cmd": line, "rc": 127, "stdout": "", "stderr": f"[Errno 2] No such file or directory: {words[0]!r}"}
        out = self.observed.take_out()
        if out:
            step["out"] = out
        self.steps.append(step)
        if words[0] in ("tc", "nft", "ip"):
            self.rules.restart()  # a command may reset, replace or remove rules: deltas start over

    # ------------------------------------------------------------ tracing

    def trace_on(self) -> None:
        """The recorder's own table, which has packets traced."""
        if self.tracer is not None:
            chain = "chain {0} {{ type filter hook {0} priority -500; meta nftrace set 1; }};"
            chains = " ".join(chain.format(hook) for hook in self.config.get("trace_hooks", ["prerouting", "output"]))
            self.session.nft([f"table {self.config.get('trace_family', 'inet')} {TRACE_TABLE} {{ {chains} }}"])

    def trace_off(self) -> None:
        """What was told, and the table away."""
        if self.tracer is not None:
            text = text_of(self.session, self.tracer.messages)
            (self.target / "nft_trace.txt").write_text(text, encoding="utf-8")
            self.session.nft(["delete", "table", self.config.get("trace_family", "inet"), TRACE_TABLE])

    # ------------------------------------------------------------ the end

    def final(self) -> None:
        """Listings of everything."""
        self.running.save()
        self.listing("conntrack.txt", [f"conntrack -L -f {family} -o extended,id" for family in ("ipv4", "ipv6")])
        lines = self.observed.proc_lines(self.running.machine.conntrack, self.session.now())
        (self.target / "proc_nf_conntrack.txt").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        if self.uses_tc:
            hooks = self.rules.find_hooks()
            self.listing("tc_filter.txt", [f"tc -s filter show {hook}" for hook in hooks])
            self.listing_json("tc_filter.json", [f"tc -s -j filter show {hook}" for hook in hooks])
            self.listing_json("tc_chain.json", [f"tc -j chain show {hook}" for hook in hooks])
        self.trace_off()
        if self.uses_nft:
            self.listing("nft_ruleset.txt", ["nft -a list ruleset"])
            self.listing_json("nft_ruleset.json", ["nft -j list ruleset"])
        meta = {"kernel": f"tcemu {tcemu.__version__}"}
        (self.target / "meta.json").write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")

    def answer(self, line: str) -> tuple[str, str]:
        """(stdout, stderr) of a listing."""
        words = line.split()
        result = getattr(self.session, words[0])(words[1:])
        return result.stdout, result.stderr

    def listing(self, name: str, commands: list[str]) -> None:
        """A text file of ``$ command`` lines with their output."""
        text = "".join(f"$ {command}\n{''.join(self.answer(command))}" for command in commands)
        (self.target / name).write_text(text, encoding="utf-8")

    def listing_json(self, name: str, commands: list[str]) -> None:
        """A JSON file keyed by command; output that is not JSON (some tc actions') is kept as text."""
        documents: dict[str, Any] = {}
        for command in commands:
            out = self.answer(command)[0]
            try:
                documents[command] = json.loads(out or "[]")
            except ValueError:
                documents[command] = {"invalid": out}
        (self.target / name).write_text(json.dumps(documents, indent=1) + "\n", encoding="utf-8")
