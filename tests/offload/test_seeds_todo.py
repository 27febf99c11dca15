"""What the patch sets' cover letters said was missing, each with the answer that tcemu gives.

The lists: "software flow offload infrastructure" (3 December 2017), "Flow offload infrastructure" v2 (7 December 2017), "expose flow offload
tables as an ebpf map" (25 November 2018). Expected behaviour: net/netfilter/nf_flow_table_*.c of Linux 6.1 and the recordings flowtable-*.
"""

from __future__ import annotations

from pathlib import Path

import net
import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw


def test_todo_ipv6_connections_take_the_fast_path(tmp_path: Path) -> None:
    """2017, both lists: "Only IPv4 at this time", "IPv6 support"."""
    result = net.play(net.fast_router(), tmp_path, net.tcp(six=True))
    assert net.fast(result) == 6
    assert [packet.hlim for packet in net.sent(tmp_path, "wan")] == [63] * 5


def test_todo_port_translation_goes_by_the_fast_path(tmp_path: Path) -> None:
    """2017 v2: "Port address translation, so far only layer 3 NATs": source and port are translated on every packet, fast or not."""
    nat = f"chain nat {{ type nat hook postrouting priority srcnat; oifname wan tcp dport 80 snat ip to {net.ROUTER}:6000; }}"
    frames = net.tcp(answers=net.ROUTER)
    for _, packet in frames:
        if packet[IP].src == net.SERVER:
            packet[TCP].dport = 6000
    result = net.play(net.fast_router(more=nat), tmp_path, frames)
    assert net.fast(result) == 6
    assert {(packet[IP].src, packet[TCP].sport) for packet in net.sent(tmp_path, "wan")} == {(net.ROUTER, 6000)}
    assert {(packet[IP].dst, packet[TCP].dport) for packet in net.sent(tmp_path, "lan")} == {(net.CLIENT, 40000)}


def test_todo_destination_translation_goes_by_the_fast_path(tmp_path: Path) -> None:
    """2017, first list: "Only IPv4 SNAT is supported"."""
    nat = f"chain nat {{ type nat hook prerouting priority dstnat; iifname lan tcp dport 80 dnat ip to {net.SERVER}:8080; }}"
    frames = net.tcp(target="203.0.113.9")
    for _, packet in frames:
        if packet[IP].src == net.SERVER:
            packet[TCP].sport = 8080
    result = net.play(net.fast_router(more=nat), tmp_path, frames)
    assert net.fast(result) == 6
    assert {(packet[IP].dst, packet[TCP].dport) for packet in net.sent(tmp_path, "wan")} == {(net.SERVER, 8080)}
    assert {(packet[IP].src, packet[TCP].sport) for packet in net.sent(tmp_path, "lan")} == {("203.0.113.9", 80)}


def test_todo_pmtu_a_packet_longer_than_the_mtu_goes_by_the_rules_and_is_answered(tmp_path: Path) -> None:
    """2017 v2: "PMTU interactions": too long with DF set gets its ICMP error from the slow path, and the flow stays."""
    session = net.fast_router()
    assert not session.ip("link set wan mtu 600").exit_code
    large = net.out(
        IP(src=net.CLIENT, dst=net.SERVER, flags="DF") / TCP(sport=40000, dport=80, flags="A", seq=131, ack=531) / Raw(bytes(900))
    )
    result = net.play(session, tmp_path, [*net.tcp(), large, *net.tcp()[3:5]])
    assert net.flow(result)["slow"][0]["text"] == "its 940 bytes are longer than the MTU of the way out, 600"
    assert net.flow(result)["status"] == "offloaded"
    errors = [packet for packet in net.sent(tmp_path, "lan") if packet[IP].proto == 1]
    assert [(packet.payload.payload.type, packet.payload.payload.code, packet.payload.payload.nexthopmtu) for packet in errors] == [
        (3, 4, 600)
    ]


def test_todo_stateful_tracking_comes_back_with_the_end_of_the_connection(tmp_path: Path) -> None:
    """2017 v2: "stateful flow tracking": FIN takes the flow out, and the tracker sees the connection close."""
    session = net.fast_router()
    result = net.play(session, tmp_path, net.tcp(fin=True))
    assert net.events(result)[-1] == ("left", 10)
    assert net.flow(result)["events"][-1]["text"] == "a FIN or RST ends the connection"
    assert " TIME_WAIT " in session.conntrack("-L").stdout


def test_todo_netns_each_namespace_has_its_own_flow_tables(tmp_path: Path) -> None:
    """2017, both lists: "netns support": the same table and the same tuples in two namespaces do not meet."""
    one, two = net.fast_router(), net.rules(net.router(), f"table inet t {{ {net.FORWARD % 'counter'} }}")
    assert net.fast(net.play(one, tmp_path / "one", net.tcp())) == 6
    assert net.fast(net.play(two, tmp_path / "two", net.tcp())) == 0
    assert "[OFFLOAD]" in one.conntrack("-L").stdout
    assert "[OFFLOAD]" not in two.conntrack("-L").stdout


@pytest.mark.parametrize("flags, packets", [("counter;", 9), ("", 3)], ids=["with counter", "without"])
def test_todo_counters_of_a_connection_go_on_with_the_flag_and_stand_still_without(tmp_path: Path, flags: str, packets: int) -> None:
    """2017, first list: "No flow counters at this time"."""
    session = net.fast_router(flags, **{"net.netfilter.nf_conntrack_acct": "1"})
    net.play(session, tmp_path, net.tcp())
    words = session.conntrack("-L").stdout.split()
    assert sum(int(word.partition("=")[2]) for word in words if word.startswith("packets=")) == packets


def test_todo_a_flow_can_be_handed_over_to_the_software_path(tmp_path: Path) -> None:
    """2017, first list: "Missing netlink interface … to force the handover of flow to the software path": deleting the connection does."""
    session = net.fast_router()
    net.play(session, tmp_path / "first", net.tcp())
    assert session.conntrack(["-D", "-p", "tcp"]).exit_code == 0
    later = net.START + 10 * net.SECOND
    result = net.play(session, tmp_path / "second", net.tcp(port=40000), start=later)
    assert [kind for kind, _ in net.events(result)] == ["seen", "ready", "added", "taken"]


def test_todo_a_flow_table_is_of_the_devices_that_it_names(tmp_path: Path) -> None:
    """2017, first list: "instead of registering the flow table inconditionally": with one device the other direction stays slow."""
    session = net.rules(
        net.router(),
        f"table inet t {{ flowtable f {{ hook ingress priority filter; devices = {{ lan }}; }}; {net.FORWARD % 'flow add @f'} }}",
    )
    assert net.fast(net.play(session, tmp_path, net.tcp())) == 3


def test_todo_fragments_and_options_go_by_the_rules(tmp_path: Path) -> None:
    """2017, first list: "Packets that need fragmentation / PMTU / IP option handling … we should pass them up"."""
    option = net.out(IP(src=net.CLIENT, dst=net.SERVER, options=b"\x94\x04\0\0") / UDP(sport=5000, dport=53) / Raw(b"x"))
    last = net.out(IP(src=net.CLIENT, dst=net.SERVER, ttl=1) / UDP(sport=5000, dport=53) / Raw(b"x"))
    result = net.play(net.fast_router(), tmp_path, [*net.udp(), option, last])
    assert [reason["text"] for reason in net.flow(result)["slow"]] == [
        "it has IP options (header of 24 bytes)",
        "its time to live is 1: forwarding it takes the slow path",
    ]


def test_todo_the_flow_map_knows_translated_connections_by_both_their_tuples(tmp_path: Path) -> None:
    """2018: "NAT support (so that we could actually forward end-to-end …)": the map has what comes in by each device."""
    nat = f"chain nat {{ type nat hook postrouting priority srcnat; oifname wan snat ip to {net.ROUTER}; }}"
    result = net.play(net.fast_router(more=nat), tmp_path, net.tcp(answers=net.ROUTER), "ebpf")
    assert net.flow(result)["backend"]["packets"] == 6
    assert net.flow(result)["reply"] == f"{net.SERVER}:80 > {net.ROUTER}:40000"


def test_todo_the_first_form_without_a_table_is_taken_in_its_compatibility_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2017, first letter: ``ip protocol tcp flow offload counter``: offloaded once traffic in both directions was seen."""
    text = f"table inet x {{ {net.FORWARD % 'ip protocol tcp flow offload counter'} }}"
    assert "expecting @" in net.router().nft_file(text).stderr
    monkeypatch.setenv("TCEMU_COMPAT", "flow-offload-v1")
    session = net.rules(net.router(), text)
    assert "ip protocol tcp flow offload counter packets 0 bytes 0" in session.nft("list ruleset").stdout
    result = net.play(session, tmp_path, net.tcp())
    assert net.fast(result) == 6
    assert "counter packets 1 bytes 40" in session.nft("list ruleset").stdout
    assert "[OFFLOAD]" in session.conntrack("-L").stdout


def test_todo_the_first_form_leaves_ipv6_to_the_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2017, first list: "Only IPv4 at this time", kept in the compatibility mode."""
    monkeypatch.setenv("TCEMU_COMPAT", "flow-offload-v1")
    session = net.rules(net.router(), f"table inet x {{ {net.FORWARD % 'flow offload'} }}")
    result = net.play(session, tmp_path, net.tcp(six=True))
    assert net.fast(result) == 0
    assert "the first patch set knows IPv4 only" in [reason["text"] for reason in net.flow(result)["refused"]]


def test_packets_of_a_vlan_take_the_fast_path_at_the_lower_device(tmp_path: Path) -> None:
    """nft_dev_path_info, nf_flow_encap_pop (since 5.13): the flow table stands at the trunk, and the tag is part of what it looks up."""
    session = net.router()
    for line in (
        "link add link lan name lan.10 type vlan id 10",
        "link set lan.10 up",
        "addr del 10.0.0.254/24 dev lan",
        "addr add 10.0.0.254/24 dev lan.10",
        "neigh add 10.0.0.1 lladdr 02:00:00:00:00:11 dev lan.10 nud permanent",
    ):
        assert not session.ip(line).exit_code, line
    net.rules(session, f"table inet t {{ {net.FLOWTABLE % ''}; {net.FORWARD % 'flow add @f'} }}")
    frames = [(device, tagged(packet) if device == "lan" else packet) for device, packet in net.tcp()]
    result = net.play(session, tmp_path, frames)
    assert net.fast(result) == 6
    assert [packet[Dot1Q].vlan for packet in net.sent(tmp_path, "lan")] == [10] * 4
    assert [Dot1Q in packet for packet in net.sent(tmp_path, "wan")] == [False] * 5
    other = [("lan", tagged(packet, 11)) for device, packet in net.tcp()[3:4]]
    assert net.fast(net.play(session, tmp_path / "other", other, start=net.START + net.SECOND)) == 0


def tagged(packet: Packet, vlan: int = 10) -> Packet:
    return packet[Ether].__class__(src=packet[Ether].src, dst=packet[Ether].dst) / Dot1Q(vlan=vlan) / packet[Ether].payload
