"""What a packet costs in long chains and large sets, against short and small ones.

    python benchmarks/indexes.py [--packets 20000]

Each line is a ruleset at two sizes: microseconds of CPU per packet for the small and the large one, and how many times as much. Packets come
from all over 10.0.0.0/8, so that most meet nothing and some meet each part. A chain of 10,000 ``ip saddr X drop`` may cost at most 20
times a chain of 10.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from tcemu import Session
from tcemu.session.running import Running

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = "table ip t {\n"
CHAIN = "\tchain c {\n\t\ttype filter hook prerouting priority 0;\n"


def address(number: int) -> str:
    """The number-th address of many."""
    number = number * 2_654_435_761 & 0xFFFFFF
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def drops(size: int) -> str:
    """A rule an address."""
    return HEAD + CHAIN + "".join(f"\t\tip saddr {address(number)} drop\n" for number in range(size)) + "\t}\n}\n"


def ports(size: int) -> str:
    """A rule a port, with a counter."""
    return HEAD + CHAIN + "".join(f"\t\ttcp dport {1 + number % 65_535} counter drop\n" for number in range(size)) + "\t}\n}\n"


def jumps(size: int) -> str:
    """A rule a network, which leads to a chain."""
    nets = "".join(f"\t\tip daddr 10.{number >> 8 & 255}.{number & 255}.0/24 counter jump d\n" for number in range(size))
    return HEAD + "\tchain d { ip ttl 1 drop\n\t}\n" + CHAIN + nets + "\t}\n}\n"


def named(kind: str, elements: list[str], rule: str, flags: str = "") -> str:
    """A set and a rule that asks it."""
    return f"{HEAD}\tset s {{ type {kind}; {flags}\n elements = {{ {', '.join(elements)} }}\n\t}}\n{CHAIN}\t\t{rule}\n\t}}\n}}\n"


def exact(size: int) -> str:
    """A set of addresses."""
    return named("ipv4_addr", sorted({address(number) for number in range(size)}), "ip saddr @s drop")


def intervals(size: int) -> str:
    """A set of networks."""
    nets = [f"10.{number >> 8}.{number & 255}.0/28" for number in range(size)]
    return named("ipv4_addr", nets, "ip saddr @s drop", "flags interval;")


def boxes(size: int) -> str:
    """A set of networks with a range of ports each."""
    made = [f"10.{number >> 8}.{number & 255}.0/26 . {1000 + number % 100}-{1100 + number % 100}" for number in range(size)]
    return named("ipv4_addr . inet_service", made, "ip saddr . tcp dport @s drop", "flags interval;")


def verdicts(size: int) -> str:
    """A map from addresses to verdicts."""
    made = ", ".join(f"{one} : drop" for one in sorted({address(number) for number in range(size)}))
    return f"{HEAD}{CHAIN}\t\tip saddr vmap {{ {made} }}\n\t}}\n}}\n"


CASES: tuple[tuple[str, Callable[[int], str], int, int], ...] = (
    ("ip saddr X drop, a rule each", drops, 10, 10_000),
    ("tcp dport N counter drop, a rule each", ports, 10, 10_000),
    ("ip daddr NET counter jump d, a rule each", jumps, 10, 10_000),
    ("set of addresses", exact, 10, 20_000),
    ("set of networks", intervals, 10, 20_000),
    ("set of networks with ranges of ports", boxes, 10, 5_000),
    ("verdict map of addresses", verdicts, 10, 20_000),
)


def cost(ruleset: str, frames: list[bytes]) -> float:
    """Microseconds of CPU for a packet; the best of three."""
    with Session() as session:
        session.ip(["link", "add", "eth0", "type", "dummy"])
        session.ip(["link", "set", "eth0", "up"])
        loaded = session.nft(["-f", "-"], stdin=ruleset)
        if loaded.exit_code:
            raise SystemExit(loaded.stderr)
        machine = Running(session).machine
        device = next(one.index for one in session.host.devices if one.name == "eth0")
        times = []
        for _ in range(3):
            begun = time.process_time()
            for number, frame in enumerate(frames):
                machine.receive(frame, 0, len(frame), len(frame), 1_700_000_000_000_000_000 + number, 0, device)
            times.append(time.process_time() - begun)
        return min(times) / len(frames) * 1e6


def frames_of(count: int) -> list[bytes]:
    """TCP segments from many addresses to many ports; one in four is from an address that rules name."""
    from scapy.all import IP, TCP, Ether

    template = bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(dport=80))
    made = []
    for number in range(count):
        source = number % 16_384 if number % 4 == 0 else number * 40_503
        octets = bytes(int(part) for part in address(source).split("."))
        target = bytes((10, number & 63, number >> 6 & 255, number & 255))
        port = (1 + number * 7 % 20_000).to_bytes(2, "big")
        made.append(template[:26] + octets + target + template[34:36] + port + template[38:])
    return made


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, default=20_000)
    frames = frames_of(parser.parse_args().packets)
    for name, make, small, large in CASES:
        first, second = cost(make(small), frames), cost(make(large), frames)
        print(f"{name:42} {small:6} {first:7.2f} µs {large:7,} {second:7.2f} µs  × {second / first:5.2f}", flush=True)


if __name__ == "__main__":
    main()
