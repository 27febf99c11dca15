#!/usr/bin/env python3
"""How many packets a second: tcemu compiled, tcemu interpreted, and the Linux kernel on the same packets, in one run.

    python benchmarks/engine.py [--packets 1000000] [--interpreted-packets 200000] [--no-kernel]

Packets are of about 90 bytes (benchmarks/make_traffic.py), the ruleset has 22 rules in 3 chains with connection states and a
set of 1,000 addresses (benchmarks/firewall.py). What counts is CPU time on one core; the capture is read as part of it. The
kernel (as root only) forwards the frames between two veth pairs in a network namespace of its own, with the same ruleset;
its time is that of the process that injects them, softirq included, once in all ("gross") and once less what injecting
them into a veth pair that leads nowhere takes ("net").
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from firewall import ruleset  # noqa: E402
from make_traffic import FLOWS, PACKETS  # noqa: E402
from make_traffic import main as make_traffic  # noqa: E402


def replayed(capture: Path, rules: Path, engine: str) -> dict[str, float]:
    """One replay in a process of its own, of that form of the engine."""
    environment = {**os.environ, "TCEMU_ENGINE": engine, "TCEMU_SESSION": str(capture.with_suffix(f".{engine}.db"))}
    done = subprocess.run(
        [sys.executable, __file__, "--worker", str(capture), str(rules)], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"the {engine} run failed:\n{done.stderr}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def worker(capture: str, rules: str) -> None:
    """The packets alone: rules are loaded before the clock starts, and what came of it is not saved."""
    from tcemu import Session, form
    from tcemu.capture.merge import Merge
    from tcemu.capture.open import open_capture
    from tcemu.engine.replay import Replay
    from tcemu.session.running import Running

    with Session() as session:
        session.ip("link add name eth0 type tap")
        session.ip("link set eth0 up")
        loaded = session.nft(["-f", rules])
        if loaded.exit_code:
            sys.exit(loaded.stderr)
        running = Running(session)
        index = next(number for number, name in running.names.items() if name == "eth0")
        play = Replay(running.machine, Merge([open_capture(capture)]), [index])
        started = time.process_time()
        packets = int(play.run())
        taken = time.process_time() - started
        seen = [(str(rule.key), int(rule.hits)) for rule in running.machine.program.rules if rule.hits]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"packets": packets, "seconds": taken, "megabytes": peak, "form": form.name(), "rules": seen}))


def frames_of(capture: Path, mac: bytes) -> list[bytes]:
    """The capture's frames, addressed to the router."""
    from tcemu.capture.open import open_capture

    reader = open_capture(capture)
    found = []
    while reader.next():
        found.append(mac + reader.data[reader.start + 6 : reader.end])
    return found


def injected(device: str, frames: list[bytes]) -> float:
    """CPU seconds that sending the frames takes, with all that happens before the call returns."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
        out.bind((device, 0))
        send = out.send
        started = time.process_time()
        for frame in frames:
            try:
                send(frame)
            except OSError:
                time.sleep(0.0001)
        return time.process_time() - started


def sh(*commands: str) -> None:
    for command in commands:
        subprocess.run(command, shell=True, check=True, capture_output=True)


def kernel(capture: Path, rules: Path) -> tuple[float, float] | None:
    """Packets a second, gross and net, of the kernel that this runs on; None where it cannot be asked."""
    space = f"tcemu{os.getpid()}"
    try:
        sh(
            f"ip netns add {space}",
            "ip link add tcemu0 type veth peer name tcemu1",
            "ip link add tcemu2 type veth peer name tcemu3",
            f"ip link set tcemu1 netns {space}",
            f"ip link set tcemu2 netns {space}",
            "ip link set tcemu0 up && ip link set tcemu3 up",
            f"ip -n {space} link set lo up && ip -n {space} link set tcemu1 up && ip -n {space} link set tcemu2 up",
            f"ip -n {space} addr add 10.255.0.1/24 dev tcemu1 && ip -n {space} addr add 10.254.0.1/24 dev tcemu2",
            f"ip -n {space} neigh add 10.254.0.2 lladdr 02:00:00:00:00:fe dev tcemu2 nud permanent",
            f"ip -n {space} route add default via 10.254.0.2",
            f"ip netns exec {space} sysctl -w net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.tcemu1.rp_filter=0"
            " net.netfilter.nf_conntrack_max=1000000",
        )
        mac = bytes.fromhex(
            subprocess.check_output(f"ip netns exec {space} cat /sys/class/net/tcemu1/address", shell=True, text=True).replace(":", "")
        )
        frames = frames_of(capture, mac)
        idle = injected("tcemu0", [b"\x02\0\0\0\0\x01" + frame[6:] for frame in frames])  # nobody's address: dropped at once
        sh(f"ip netns exec {space} nft -f {rules}")
        busy = injected("tcemu0", frames)
        passed = int(Path("/sys/class/net/tcemu3/statistics/rx_packets").read_text())
    except (OSError, subprocess.CalledProcessError) as slip:
        print(f"the kernel cannot be measured here: {slip}", file=sys.stderr)
        return None
    finally:
        subprocess.run(f"ip link del tcemu0; ip link del tcemu3; ip netns del {space}", shell=True, check=False, capture_output=True)
    if passed < len(frames) * 0.99:
        print(f"the kernel forwarded only {passed} of {len(frames)}", file=sys.stderr)
    return len(frames) / busy, len(frames) / max(busy - idle, 1e-9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--interpreted-packets", type=int, default=200_000)
    parser.add_argument("--no-kernel", action="store_true")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(*options.worker)
        return
    with tempfile.TemporaryDirectory() as folder:
        rules, large, small = Path(folder) / "firewall.nft", Path(folder) / "large.pcap", Path(folder) / "small.pcap"
        rules.write_text(ruleset(), encoding="utf-8")
        make_traffic(["--packets", str(options.packets), str(large)])
        flows = max(1, options.interpreted_packets * FLOWS // PACKETS)
        make_traffic(["--packets", str(options.interpreted_packets), "--flows", str(flows), str(small)])
        rows = []
        for engine, capture in (("compiled", large), ("interpreted", small)):
            figures = replayed(capture, rules, engine)
            if figures["form"] != engine:
                print(f"this installation has no {engine} engine", file=sys.stderr)
                continue
            rows.append((f"tcemu {engine}", figures["packets"] / figures["seconds"], f"{figures['megabytes']:.0f} MB resident"))
        if not options.no_kernel and os.geteuid() == 0:
            found = kernel(small, rules)
            if found:
                release = os.uname().release
                rows += [
                    (f"Linux {release} gross", found[0], "injection included"),
                    (f"Linux {release} net", found[1], "less the injection"),
                ]
        base = rows[0][1]
        for name, rate, note in rows:
            print(f"{name:32} {rate / 1e6:8.3f} Mpps  {rate / base:6.2f} of the first  {note}")


if __name__ == "__main__":
    main()
