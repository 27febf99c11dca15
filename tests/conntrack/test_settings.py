"""The sysctls: defaults of Linux 6.1, ranges, units."""

from __future__ import annotations

import pytest

from tcemu.conntrack.settings import BY_NAME, Settings

# source: Documentation/networking/nf_conntrack-sysctl.rst and the trackers' *_timeouts arrays, Linux 6.1
DEFAULTS = {
    "nf_conntrack_acct": 0,
    "nf_conntrack_checksum": 1,
    "nf_conntrack_dccp_loose": 1,
    "nf_conntrack_dccp_timeout_closereq": 64,
    "nf_conntrack_dccp_timeout_closing": 64,
    "nf_conntrack_dccp_timeout_open": 43200,
    "nf_conntrack_dccp_timeout_partopen": 480,
    "nf_conntrack_dccp_timeout_request": 240,
    "nf_conntrack_dccp_timeout_respond": 480,
    "nf_conntrack_dccp_timeout_timewait": 240,
    "nf_conntrack_events": 2,
    "nf_conntrack_frag6_timeout": 60,
    "nf_conntrack_generic_timeout": 600,
    "nf_conntrack_gre_timeout": 30,
    "nf_conntrack_gre_timeout_stream": 180,
    "nf_conntrack_icmp_timeout": 30,
    "nf_conntrack_icmpv6_timeout": 30,
    "nf_conntrack_log_invalid": 0,
    "nf_conntrack_sctp_timeout_closed": 10,
    "nf_conntrack_sctp_timeout_cookie_echoed": 3,
    "nf_conntrack_sctp_timeout_cookie_wait": 3,
    "nf_conntrack_sctp_timeout_established": 210,
    "nf_conntrack_sctp_timeout_heartbeat_sent": 30,
    "nf_conntrack_sctp_timeout_shutdown_ack_sent": 3,
    "nf_conntrack_sctp_timeout_shutdown_recd": 3,
    "nf_conntrack_sctp_timeout_shutdown_sent": 3,
    "nf_conntrack_tcp_be_liberal": 0,
    "nf_conntrack_tcp_ignore_invalid_rst": 0,
    "nf_conntrack_tcp_loose": 1,
    "nf_conntrack_tcp_max_retrans": 3,
    "nf_conntrack_tcp_timeout_close": 10,
    "nf_conntrack_tcp_timeout_close_wait": 60,
    "nf_conntrack_tcp_timeout_established": 432000,
    "nf_conntrack_tcp_timeout_fin_wait": 120,
    "nf_conntrack_tcp_timeout_last_ack": 30,
    "nf_conntrack_tcp_timeout_max_retrans": 300,
    "nf_conntrack_tcp_timeout_syn_recv": 60,
    "nf_conntrack_tcp_timeout_syn_sent": 120,
    "nf_conntrack_tcp_timeout_time_wait": 120,
    "nf_conntrack_tcp_timeout_unacknowledged": 300,
    "nf_conntrack_timestamp": 0,
    "nf_conntrack_udp_timeout": 30,
    "nf_conntrack_udp_timeout_stream": 120,
    "nf_flowtable_tcp_timeout": 30,
    "nf_flowtable_udp_timeout": 30,
}


@pytest.mark.parametrize(("name", "value"), DEFAULTS.items(), ids=DEFAULTS)
def test_defaults(name: str, value: int) -> None:
    assert Settings().get(f"net.netfilter.{name}") == value


@pytest.mark.parametrize("name", BY_NAME)
def test_every_name_is_written_and_read(name: str) -> None:
    settings = Settings()
    old = settings.get(name)
    assert old is not None
    new = 1 - old if BY_NAME[name].high == 1 else old - 1 if old > 0 else 1
    assert settings.set(name, str(new))
    assert settings.get(name) == new
    assert settings.get(name.replace(".", "/")) == new
    # net.nf_conntrack_max is another name of net.netfilter.nf_conntrack_max
    assert settings.changed().pop(name) == new


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("net.netfilter.nf_conntrack_acct", 2),
        ("net.netfilter.nf_conntrack_max", -1),
        ("net.netfilter.nf_conntrack_udp_timeout", "x"),
        ("a.b", 1),
    ],
    ids=["too-big", "negative", "no-number", "no-name"],
)
def test_what_does_not_fit_is_refused(name: str, value: str | int) -> None:
    settings = Settings()
    assert not settings.set(name, value)
    assert settings.changed() == {}


def test_times_are_nanoseconds_inside() -> None:
    settings = Settings()
    settings.set("net.netfilter.nf_conntrack_tcp_timeout_close_wait", "0x10")
    settings.set("net.netfilter.nf_flowtable_udp_timeout", 1)
    assert settings.timeouts.tcp[5] == 16_000_000_000
    assert settings.flow_udp == 1_000_000_000
