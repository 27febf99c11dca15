#!/usr/bin/env python3
"""Loading 10,000 flower filters with ct actions, and listing them: tcemu beside the real tc, in one run.

    python benchmarks/tc_batch.py [--filters 10000] [--times 3] [--guest DIR] [--json]

The real tc runs in a network namespace of this machine where its kernel has flower and act_ct (as root). Elsewhere ``--guest DIR``
boots a Linux 6.1 with qemu: DIR holds vmlinuz, initrd.gz, version and full/lib/modules; the initrd mounts this machine's root over 9p
(tag host) and DIR's share over 9p (tag out), and starts oracle.python oracle.agent --out DIR. KVM is used where it is to be had
(``TCEMU_ACCEL=tcg`` turns it off); a processor in software is many times slower. What it does to work of this sort is measured with a batch
of u32 filters, which more kernels have: the real tc loads it inside and outside, and times of the guest are divided by that ratio; where this
machine's kernel has no u32 either, by that of the same arithmetic. Shown are the best of several runs: CPU time (user and system) and wall time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ONE = "filter add dev eth0 ingress protocol ip prio 2 flower ip_proto tcp dst_port 80 action ct commit zone 1 pipe action drop"
ROUNDS = 3_000_000  # of the arithmetic that machines are compared by
PATIENCE = 900  # seconds for a guest


def batch(filters: int) -> str:
    """The batch: connections are looked up, marked and sent on; each filter has its own address, port and mark."""
    lines = []
    for number in range(filters):
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        lines.append(
            f"filter add dev eth0 ingress protocol ip prio 1 chain {number % 2} flower ct_state +trk+new ip_proto tcp dst_ip {address} "
            f"dst_port {1 + number % 60000} action ct commit zone {1 + number % 8} mark {number + 1} pipe action goto chain {2 + number % 3}\n"
        )
    return "".join(lines)


def u32_batch(filters: int) -> str:
    """A batch that more kernels take: u32 filters with mirred, 500 a chain."""
    return "".join(
        f"filter add dev eth0 ingress protocol ip prio 1 chain {number // 500} u32 match ip dst 10.0.{number >> 8 & 255}.{number & 255} "
        f"match ip dport {1 + number % 60000} 0xffff flowid 1:1 action mirred egress redirect dev eth1\n"
        for number in range(filters)
    )


def arithmetic() -> float:
    """CPU seconds of a fixed piece of work."""
    begun = time.process_time()
    value = 1
    for number in range(ROUNDS):
        value = (value * 1103515245 + number) & 0x7FFFFFFF
    return time.process_time() - begun


def timed(command: list[str], env: dict[str, str] | None = None) -> dict[str, float]:
    """CPU and wall seconds of a process; raises where it fails."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, env=env, check=False)
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{shlex.join(command)}: exit {done.returncode}: {done.stderr.decode()[:500]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu": cpu, "wall": wall, "lines": done.stdout.count(b"\n")}


def best(runs: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """The smallest of each time."""
    return {what: {name: min(run[what][name] for run in runs) for name in runs[0][what]} for what in runs[0]}


def real(rules: Path, times: int) -> dict[str, object]:
    """The real tc; must run in a network namespace of its own."""
    for modprobe in ("modprobe", "/run/modprobe"):  # the latter is a guest's
        with contextlib.suppress(OSError):
            modules = ("dummy", "tun", "cls_flower", "cls_u32", "act_ct", "act_gact", "act_mirred")
            subprocess.run([modprobe, "-a", *modules], check=False, capture_output=True)
    found: dict[str, object] = {"kernel": os.uname().release, "arithmetic": arithmetic()}
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(u32_batch(rules.read_text(encoding="utf-8").count("\n")))
        file.flush()
        with contextlib.suppress(SystemExit):
            runs = [{"u32": on_fresh_device(["tc", "-batch", file.name])} for _ in range(times)]
            found |= best(runs)
    with contextlib.suppress(SystemExit):
        runs = []
        for _ in range(times):
            load = on_fresh_device(["tc", "-batch", str(rules)])
            runs.append({"load": load, "show": timed(["tc", "filter", "show", "dev", "eth0", "ingress"])})
        found |= best(runs)
    return found


def on_fresh_device(command: list[str]) -> dict[str, float]:
    """A command that needs eth0 with a clsact and eth1."""
    for name in ("eth0", "eth1"):
        subprocess.run(["ip", "link", "del", name], check=False, capture_output=True)
        made = [["ip", "link", "add", name, "type", "dummy"], ["ip", "tuntap", "add", "dev", name, "mode", "tap"]]
        if all(subprocess.run(words, check=False, capture_output=True).returncode for words in made):
            raise SystemExit("no device can be made")
    subprocess.run(["tc", "qdisc", "add", "dev", "eth0", "clsact"], check=True)
    return timed(command)


def emulated(rules: Path, times: int) -> dict[str, object]:
    """tcemu, in a session of its own each time."""
    runs = []
    program = [sys.executable, "-m", "tcemu", "tc"]
    with tempfile.TemporaryDirectory() as folder:
        for number in range(times):
            env = os.environ | {"TCEMU_SESSION": f"{folder}/{number}.db", "TCEMU_STRICT": "1"}
            subprocess.run([sys.executable, "-m", "tcemu", "ip", "link", "add", "eth0", "type", "dummy"], env=env, check=True)
            subprocess.run([*program, "qdisc", "add", "dev", "eth0", "clsact"], env=env, check=True)
            load = timed([*program, "-batch", str(rules)], env)
            show = timed([*program, "filter", "show", "dev", "eth0", "ingress"], env)
            one = timed([*program, *ONE.split()], env)
            for verb in ("del", "add"):
                subprocess.run([*program, "qdisc", verb, "dev", "eth0", "clsact"], env=env, check=True)
            subprocess.run([sys.executable, "-m", "tcemu", "ip", "link", "add", "eth1", "type", "dummy"], env=env, check=True)
            other = Path(folder, "u32")
            other.write_text(u32_batch(rules.read_text(encoding="utf-8").count("\n")), encoding="utf-8")
            runs.append({"load": load, "show": show, "one": one, "u32": timed([*program, "-batch", str(other)], env)})
    return {"arithmetic": arithmetic(), **best(runs)}


def here(rules: Path, times: int) -> dict[str, object] | None:
    """The real tc on this machine's kernel, if it can."""
    command = ["unshare", "-n", sys.executable, __file__, "--real", str(rules), "--times", str(times)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return dict(json.loads(done.stdout)) if done.returncode == 0 else None


def guest(folder: Path, rules: Path, times: int) -> dict[str, object]:
    """The real tc on the guest's kernel."""
    wanted = os.environ.get("TCEMU_ACCEL", "kvm" if os.access("/dev/kvm", os.R_OK | os.W_OK) else "tcg")
    try:
        return boot_guest(folder, rules, times, wanted)
    except (subprocess.SubprocessError, SystemExit):
        if wanted != "kvm" or "TCEMU_ACCEL" in os.environ:
            raise
        return boot_guest(folder, rules, times, "tcg")  # a machine that only seems to have KVM


def boot_guest(folder: Path, rules: Path, times: int, accel: str) -> dict[str, object]:
    """One boot."""
    version = (folder / "version").read_text(encoding="utf-8").strip()
    with tempfile.TemporaryDirectory() as share:
        Path(share, "rules").write_text(rules.read_text(encoding="utf-8"), encoding="utf-8")
        Path(share, "times").write_text(str(times), encoding="utf-8")
        append = (
            f"console=ttyS0 quiet panic=-1 mitigations=off oracle.modules={folder}/full/lib/modules/{version} "
            f"oracle.python={os.path.realpath(sys.executable)} oracle.agent={Path(__file__).resolve()}"
        )
        machine = [
            "qemu-system-x86_64",
            "-M",
            "q35",
            "-cpu",
            "max",
            "-smp",
            "1",
            "-m",
            "1024",
            "-accel",
            accel,
            "-nodefaults",
            "-no-reboot",
        ]
        shown = ["-display", "none", "-serial", f"file:{share}/serial"]
        boot = ["-kernel", str(folder / "vmlinuz"), "-initrd", str(folder / "initrd.gz"), "-append", append]
        shares = [
            *("-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"),
            *("-virtfs", f"local,path={share},mount_tag=out,security_model=none"),
        ]
        subprocess.run([*machine, *shown, *boot, *shares], stdin=subprocess.DEVNULL, check=True, timeout=PATIENCE if accel == "tcg" else 60)
        result = Path(share, "result")
        if not result.exists():
            raise SystemExit(Path(share, "console").read_text(encoding="utf-8", errors="replace")[-1000:] or "the guest said nothing")
        return {"accelerator": accel, **json.loads(result.read_text(encoding="utf-8"))}


def table(mine: dict[str, object], other: dict[str, object] | None, filters: int, near: dict[str, object] | None) -> str:
    """What was measured, for people. ``near``: the real tc on this machine's kernel, as far as it goes."""
    rows = [f"{filters} filters with ct actions", f"tcemu            {figures(mine, 1.0)}"]
    rows.append(f"  of u32 filters {mine['u32']['cpu']:.2f} s CPU; one filter more {1000 * mine['one']['cpu']:.0f} ms CPU")  # type: ignore[index]
    if other is None:
        return "\n".join([*rows, "the real tc: this kernel has no flower with ct; give --guest"])
    scale, by = float(other["arithmetic"]) / float(mine["arithmetic"]), "arithmetic"  # type: ignore[arg-type]
    if near is not None and near is not other and "u32" in near and "u32" in other:
        scale, by = other["u32"]["cpu"] / near["u32"]["cpu"], "u32 batch"  # type: ignore[index]
    rows.append(
        f"tc on {other['kernel']}  {figures(other, 1.0)}  (as measured{', ' + str(other['accelerator']) if 'accelerator' in other else ''})"
    )
    rows.append(f"  divided by {scale:.2f}, the ratio of the same {by} there and here: {figures(other, scale)}")
    for what in ("load", "show"):
        for clock in ("cpu", "wall"):
            ratio = other[what][clock] / scale / mine[what][clock]  # type: ignore[index]
            rows.append(f"{what}, {clock}: tcemu is {ratio:.2f} times as fast as tc ({ratio * scale:.2f} as measured)")
    return "\n".join(rows)


def figures(one: dict[str, object], scale: float) -> str:
    """Times of one."""
    load, show = (one[what] for what in ("load", "show"))
    seconds: Callable[[object, str], str] = lambda row, name: f"{row[name] / scale:.2f}"  # type: ignore[index] # noqa: E731
    return (
        f"load {seconds(load, 'cpu')} s CPU, {seconds(load, 'wall')} s; show {seconds(show, 'cpu')} s CPU, {seconds(show, 'wall')} s, "
        f"{show['lines']:.0f} lines"  # type: ignore[index]
    )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--filters", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--guest", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--real", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--jobs", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.out:  # inside a guest
        result = real(options.out / "rules", int((options.out / "times").read_text(encoding="utf-8")))
        (options.out / "result").write_text(json.dumps(result), encoding="utf-8")
        return
    if options.real:
        print(json.dumps(real(options.real, options.times)))
        return
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "rules"
        rules.write_text(batch(options.filters), encoding="utf-8")
        near = here(rules, options.times)
        other = near if near is not None and "load" in near else None
        if other is None and options.guest:
            other = guest(options.guest.resolve(), rules, options.times)
        mine = emulated(rules, options.times)
    print(json.dumps({"tcemu": mine, "tc": other}) if options.json else table(mine, other, options.filters, near))


if __name__ == "__main__":
    main()
