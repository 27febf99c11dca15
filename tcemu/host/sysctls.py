"""The machine's own settings that change what becomes of a packet, with the kernel's defaults.

Those of connection tracking stand in `tcemu.conntrack.settings`. Sources: Documentation/networking/ip-sysctl.rst; net/ipv4/devinet.c
devinet_sysctl_forward (ip_forward and conf.all.forwarding are one setting).
"""

from __future__ import annotations

from typing import Final

from tcemu.host.model import Host, Sysctl

FORWARD4: Final = "net.ipv4.ip_forward"
FORWARD6: Final = "net.ipv6.conf.all.forwarding"
ECHO4: Final = "net.ipv4.icmp_echo_ignore_all"
ECHO6: Final = "net.ipv6.icmp.echo_ignore_all"
RATE4: Final = "net.ipv4.icmp_ratelimit"  # ms
RATE6: Final = "net.ipv6.icmp.ratelimit"

DEFAULTS: Final = {FORWARD4: "0", ECHO4: "0", RATE4: "1000", FORWARD6: "0", ECHO6: "0", RATE6: "1000"}
SAME: Final = {"net.ipv4.conf.all.forwarding": FORWARD4, "net.nf_conntrack_max": "net.netfilter.nf_conntrack_max"}


def dotted(name: str) -> str:
    """A name as it is kept: dots between its parts (``net/ipv4/ip_forward`` too), and one name for one setting."""
    plain = name.replace("/", ".")
    return SAME.get(plain, plain)


def value_of(host: Host, name: str) -> str | None:
    """What a setting is, by itself or as the kernel has it at first; None where nobody knows."""
    plain = dotted(name)
    kept = host.sysctls.get(plain)
    return kept.value if kept is not None else DEFAULTS.get(plain)


def number_of(host: Host, name: str) -> int:
    """A setting as a number, 0 where it is none."""
    try:
        return int(value_of(host, name) or "0", 0)
    except ValueError:
        return 0


def put(host: Host, name: str, value: str) -> None:
    """Keep a setting."""
    host.sysctls.put(Sysctl(key=dotted(name), value=value))
