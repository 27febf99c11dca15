"""The nf_conntrack sysctls: what the administrator may turn.

Names and units are those of Documentation/networking/nf_conntrack-sysctl.rst; times are given in seconds and
kept in nanoseconds. `Settings.set` speaks sysctl, the tracker reads the attributes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from mypy_extensions import i64

from tcemu.conntrack.timeouts import SECOND, TCP_RETRANS, TCP_UNACK, Timeouts


class Settings:
    """Every sysctl that changes a verdict or a listing. Defaults: Linux 6.1 (nf_conntrack_standalone.c and the trackers)."""

    def __init__(self) -> None:
        self.timeouts: Timeouts = Timeouts()
        self.max: i64 = 262_144
        self.buckets: i64 = 262_144
        self.expect_max: i64 = 4096
        self.checksum: i64 = 1
        self.acct: i64 = 0
        self.timestamp: i64 = 0
        self.events: i64 = 2
        self.log_invalid: i64 = 0
        self.tcp_loose: i64 = 1
        self.tcp_be_liberal: i64 = 0
        self.tcp_max_retrans: i64 = 3
        self.tcp_ignore_invalid_rst: i64 = 0
        self.dccp_loose: i64 = 1
        self.flow_tcp: i64 = 30 * SECOND  # nf_flowtable_tcp_timeout
        self.flow_udp: i64 = 30 * SECOND
        self.frag6_time: i64 = 60 * SECOND
        self.frag6_high: i64 = 4 << 20  # bytes
        self.frag6_low: i64 = 3 << 20
        self.frag4_time: i64 = 30 * SECOND  # net.ipv4.ipfrag_time
        self.frag4_high: i64 = 4 << 20
        self.frag4_low: i64 = 3 << 20
        self.frag4_distance: i64 = 64

    def set(self, name: str, value: str | int) -> bool:
        """Write a sysctl by its dotted (or slashed) name; False when there is no such name or the value is not for it."""
        row = BY_NAME.get(name.replace("/", "."))
        number = _number(value)
        if row is None or number is None or not row.low <= number <= row.high:
            return False
        if row.seconds:
            number *= SECOND
        holder: object = self.timeouts if row.where in _OF_TIMEOUTS else self
        if row.state >= 0:
            states = getattr(holder, row.where)
            states[row.state] = number
        else:
            setattr(holder, row.where, number)
        return True

    def get(self, name: str) -> int | None:
        """Read a sysctl in its own unit; None when there is no such name."""
        row = BY_NAME.get(name.replace("/", "."))
        if row is None:
            return None
        value = getattr(self.timeouts if row.where in _OF_TIMEOUTS else self, row.where)
        number = int(value[row.state] if row.state >= 0 else value)
        return number // SECOND if row.seconds else number

    def changed(self) -> dict[str, int]:
        """The sysctls that differ from the kernel's defaults, for a session to keep."""
        plain = Settings()
        return {name: value for name in BY_NAME if (value := self.get(name)) is not None and value != plain.get(name)}


class Sysctl(NamedTuple):
    """One sysctl: where its value lives (an attribute, perhaps indexed by state) and what it may be."""

    where: str
    state: int = -1
    seconds: bool = False
    low: int = 0
    high: int = 2**31 - 1


_OF_TIMEOUTS: Final = frozenset(("tcp", "sctp", "dccp", "udp", "udp_stream", "icmp", "icmpv6", "gre", "gre_stream", "generic"))


def _number(value: str | int) -> int | None:
    if isinstance(value, int):
        return int(value)
    try:
        return int(value.strip(), 0)
    except ValueError:
        return None


def _time(where: str, state: int = -1) -> Sysctl:
    return Sysctl(where, state, seconds=True)


def _flag(where: str, high: int = 1) -> Sysctl:
    return Sysctl(where, high=high)


_NF: Final = {
    "nf_conntrack_max": Sysctl("max"),
    "nf_conntrack_buckets": Sysctl("buckets"),
    "nf_conntrack_expect_max": Sysctl("expect_max"),
    "nf_conntrack_checksum": _flag("checksum"),
    "nf_conntrack_acct": _flag("acct"),
    "nf_conntrack_timestamp": _flag("timestamp"),
    "nf_conntrack_events": _flag("events", 2),
    "nf_conntrack_log_invalid": _flag("log_invalid", 255),
    "nf_conntrack_tcp_loose": _flag("tcp_loose"),
    "nf_conntrack_tcp_be_liberal": _flag("tcp_be_liberal"),
    "nf_conntrack_tcp_max_retrans": _flag("tcp_max_retrans", 255),
    "nf_conntrack_tcp_ignore_invalid_rst": _flag("tcp_ignore_invalid_rst"),
    "nf_conntrack_tcp_timeout_syn_sent": _time("tcp", 1),
    "nf_conntrack_tcp_timeout_syn_recv": _time("tcp", 2),
    "nf_conntrack_tcp_timeout_established": _time("tcp", 3),
    "nf_conntrack_tcp_timeout_fin_wait": _time("tcp", 4),
    "nf_conntrack_tcp_timeout_close_wait": _time("tcp", 5),
    "nf_conntrack_tcp_timeout_last_ack": _time("tcp", 6),
    "nf_conntrack_tcp_timeout_time_wait": _time("tcp", 7),
    "nf_conntrack_tcp_timeout_close": _time("tcp", 8),
    "nf_conntrack_tcp_timeout_max_retrans": _time("tcp", TCP_RETRANS),
    "nf_conntrack_tcp_timeout_unacknowledged": _time("tcp", TCP_UNACK),
    "nf_conntrack_udp_timeout": _time("udp"),
    "nf_conntrack_udp_timeout_stream": _time("udp_stream"),
    "nf_conntrack_icmp_timeout": _time("icmp"),
    "nf_conntrack_icmpv6_timeout": _time("icmpv6"),
    "nf_conntrack_gre_timeout": _time("gre"),
    "nf_conntrack_gre_timeout_stream": _time("gre_stream"),
    "nf_conntrack_generic_timeout": _time("generic"),
    "nf_conntrack_sctp_timeout_closed": _time("sctp", 1),
    "nf_conntrack_sctp_timeout_cookie_wait": _time("sctp", 2),
    "nf_conntrack_sctp_timeout_cookie_echoed": _time("sctp", 3),
    "nf_conntrack_sctp_timeout_established": _time("sctp", 4),
    "nf_conntrack_sctp_timeout_shutdown_sent": _time("sctp", 5),
    "nf_conntrack_sctp_timeout_shutdown_recd": _time("sctp", 6),
    "nf_conntrack_sctp_timeout_shutdown_ack_sent": _time("sctp", 7),
    "nf_conntrack_sctp_timeout_heartbeat_sent": _time("sctp", 8),
    "nf_conntrack_dccp_timeout_request": _time("dccp", 1),
    "nf_conntrack_dccp_timeout_respond": _time("dccp", 2),
    "nf_conntrack_dccp_timeout_partopen": _time("dccp", 3),
    "nf_conntrack_dccp_timeout_open": _time("dccp", 4),
    "nf_conntrack_dccp_timeout_closereq": _time("dccp", 5),
    "nf_conntrack_dccp_timeout_closing": _time("dccp", 6),
    "nf_conntrack_dccp_timeout_timewait": _time("dccp", 7),
    "nf_conntrack_dccp_loose": _flag("dccp_loose"),
    "nf_conntrack_frag6_timeout": _time("frag6_time"),
    "nf_conntrack_frag6_high_thresh": Sysctl("frag6_high"),
    "nf_conntrack_frag6_low_thresh": Sysctl("frag6_low"),
    "nf_flowtable_tcp_timeout": _time("flow_tcp"),
    "nf_flowtable_udp_timeout": _time("flow_udp"),
}
BY_NAME: Final = {f"net.netfilter.{name}": row for name, row in _NF.items()} | {
    "net.nf_conntrack_max": Sysctl("max"),
    "net.ipv4.ipfrag_time": _time("frag4_time"),
    "net.ipv4.ipfrag_high_thresh": Sysctl("frag4_high"),
    "net.ipv4.ipfrag_low_thresh": Sysctl("frag4_low"),
    "net.ipv4.ipfrag_max_dist": Sysctl("frag4_distance"),
}

# sysctls that change neither a verdict nor a connection here, and why
WITHOUT_EFFECT: Final = {
    "net.netfilter.nf_conntrack_count": "it is read only; conntrack -C tells",
    "net.netfilter.nf_conntrack_buckets": "the size of a hash that is not the kernel's; its chains can be too long only by chance",
    "net.netfilter.nf_conntrack_events": "it decides whether conntrack -E hears of anything",
    "net.netfilter.nf_conntrack_log_invalid": "reasons are told without it",
    "net.netfilter.nf_conntrack_frag6_low_thresh": "Linux has not looked at it since 4.17 (Documentation/networking/ip-sysctl.rst)",
    "net.netfilter.nf_conntrack_dccp_loose": "in the table of Linux 6.1 nothing but a Request begins a connection (dccp_new)",
    "net.ipv4.ipfrag_low_thresh": "as of frag6_low_thresh",
}
