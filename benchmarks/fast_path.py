#!/usr/bin/env python3
"""How much faster established connections are replayed by the flow table than by the rules.

    python benchmarks/fast_path.py [--packets 400000] [--flows 200] [--rounds 3]

A router between two networks with the benchmark's firewall (22 rules in 3 chains, `firewall.py`), once as it is and once with a flow
table of nft in front: ``flow add @fast`` as the forward chain's first rule. The same packets (few flows, each of thousands of packets)
come in by both devices, are routed, translated to nothing and sent; what counts is CPU time of the packets alone on one core, the best of
some rounds. The kernel's first patch set measured 2.5 times; here decoding, which both ways share, is most of a packet's time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from firewall import ruleset  # noqa: E402
from make_traffic import main as make_traffic  # noqa: E402

MACS = {"lan": "02:00:00:00:00:01", "wan": "02:00:00:00:00:02"}
HOST = (
    "link add name lan type tap",
    "link add name wan type tap",
    f"link set lan address {MACS['lan']} up",
    f"link set wan address {MACS['wan']} up",
    "addr add 10.0.255.254/16 dev lan",
    "addr add 192.0.2.1/24 dev wan",
    "neigh add 192.0.2.2 lladdr 02:00:00:00:00:fe dev wan nud permanent",
    "neigh add 10.0.255.1 lladdr 02:00:00:00:00:fd dev lan nud permanent",
    "route add 198.18.0.0/22 via 192.0.2.2 dev wan",
    "route add 10.0.0.0/17 via 10.0.255.1 dev lan",
    "route add 10.0.128.0/17 via 10.0.255.1 dev lan",
)
TABLE = "flowtable fast { hook ingress priority filter; devices = { lan, wan }; }\n\tset blocked"


def split(capture: Path, folder: Path) -> dict[str, Path]:
    """Two captures of one: what clients (10.0.0.0/16) send goes to the router's lan, the rest to its wan."""
    from tcemu.capture.open import open_capture
    from tcemu.capture.writer import create_capture

    paths = {name: folder / f"{name}.pcap" for name in MACS}
    writers = {name: create_capture(path, 1, name) for name, path in paths.items()}
    reader = open_capture(capture)
    while reader.next():
        frame = reader.data[reader.start : reader.end]
        name = "lan" if frame[26] == 10 else "wan"
        frame = bytes.fromhex(MACS[name].replace(":", "")) + frame[6:]
        writers[name].write(frame, 0, len(frame), len(frame), reader.ts)
    for writer in writers.values():
        writer.close()
    return paths


def worker(rules: str, captures: list[str]) -> None:
    """One replay: rules are loaded before the clock starts."""
    from tcemu import Session, form
    from tcemu.capture.merge import Merge
    from tcemu.capture.open import open_capture
    from tcemu.engine.replay import Replay
    from tcemu.host.model import Sysctl
    from tcemu.session.running import Running

    with Session() as session:
        session.host.sysctls.put(Sysctl(key="net.ipv4.ip_forward", value="1"))
        for line in HOST:
            done = session.ip(line)
            if done.exit_code:
                sys.exit(f"{line}: {done.stderr}")
        loaded = session.nft(["-f", rules])
        if loaded.exit_code:
            sys.exit(loaded.stderr)
        running = Running(session)
        machine = running.machine
        numbers = {name: number for number, name in running.names.items()}
        play = Replay(machine, Merge([open_capture(path) for path in captures]), [numbers["lan"], numbers["wan"]])
        started = time.process_time()
        packets = int(play.run())
        taken = time.process_time() - started
        fast = sum(int(flows.hits) for flows in machine.program.nft_flows.values())
        sent = sum(int(port.tx_packets) for port in machine.tables.ports if port is not None)
    print(json.dumps({"packets": packets, "seconds": taken, "fast": fast, "sent": sent, "form": form.name()}))


def measured(rules: Path, captures: list[Path]) -> dict[str, float]:
    """One replay in a process of its own."""
    environment = {**os.environ, "TCEMU_SESSION": str(rules.with_suffix(".db"))}
    command = [sys.executable, __file__, "--worker", str(rules), *map(str, captures)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"the replay failed:\n{done.stderr}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, default=400_000)
    parser.add_argument("--flows", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.worker[0], options.worker[1:])
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_traffic(["--packets", str(options.packets), "--flows", str(options.flows), str(folder / "all.pcap")])
        captures = list(split(folder / "all.pcap", folder).values())
        slow, fast = folder / "slow.nft", folder / "fast.nft"
        slow.write_text(ruleset(), encoding="utf-8")
        text = ruleset().replace("set blocked", TABLE, 1)
        text = text.replace("policy accept;\n", "policy accept;\n\t\tmeta l4proto { tcp, udp } flow add @fast\n", 1)
        fast.write_text(text, encoding="utf-8")
        best: dict[str, float] = {}
        shown: dict[str, dict[str, float]] = {}
        for _ in range(options.rounds):
            for way, rules in (("rules", slow), ("flow table", fast)):
                shown[way] = figures = measured(rules, captures)
                best[way] = max(best.get(way, 0), figures["packets"] / figures["seconds"])
        for way, figures in shown.items():
            share = 100 * figures["fast"] / figures["packets"]
            print(f"{way:12} {best[way] / 1e6:7.3f} Mpps  {share:5.1f} % on the fast path  {figures['sent']:,} sent  {figures['form']}")
        print(f"ratio {best['flow table'] / best['rules']:.2f}")


if __name__ == "__main__":
    main()
