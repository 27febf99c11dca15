"""mlx5: which filters a card has, in whose words others are refused, its tables, and what it counted.

Source of what is expected: the cover letter of 5 March 2020, drivers/net/ethernet/mellanox/mlx5/core/en/tc_ct.c and en_tc.c (messages), the
listings of iproute2 (f_flower.c, tc_util.c print_tcstats_basic_hw).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tcemu import Session
from tcemu.ir.effect import Track
from tcemu.ir.ruleset import Object, Rule
from tcemu.offload.backend import find
from tcemu.offload.profile import choose
from tcemu.session.offloading import use

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
LETTER = [
    "filter add dev ens1f0_0 ingress prio 1 chain 0 proto ip flower src_mac 24:8a:07:a5:28:01 ct_state -trk "
    "action ct pipe action goto chain 2",
    "filter add dev ens1f0_0 ingress prio 1 chain 2 proto ip flower ct_state +trk+new action ct commit pipe "
    "action tunnel_key set src_ip 192.0.2.1 dst_ip 192.0.2.2 id 98 dst_port 4789 action mirred egress redirect dev vxlan0",
    "filter add dev ens1f0_0 ingress prio 1 chain 2 proto ip flower ct_state +trk+est "
    "action tunnel_key set src_ip 192.0.2.1 dst_ip 192.0.2.2 id 98 dst_port 4789 action mirred egress redirect dev vxlan0",
]


@pytest.fixture
def card() -> Iterator[Session]:
    with Session() as session:
        use(session, choose("mlx5"))
        for name in ("eth1", "eth2"):
            session.ip(f"link add {name} type dummy")
        assert not session.tc("qdisc add dev eth0 clsact").exit_code
        yield session


def test_of_the_cover_letters_three_filters_the_first_and_the_third_are_in_hardware() -> None:
    with Session() as session:
        use(session, choose("mlx5"))
        session.ip("link add name vxlan0 type vxlan external dstport 4789")
        for line in LETTER:
            assert not session.tc(line).exit_code
        listing = json.loads(session.tc("-j filter show dev ens1f0_0 ingress").stdout)
        places = [(one["chain"], one["options"]) for one in listing if "handle" in one.get("options", {})]
        assert [(chain, "in_hw" in options, "not_in_hw" in options) for chain, options in places] == [
            (0, True, False),
            (2, False, True),
            (2, True, False),
        ]
        judge = session.hardware
        assert judge is not None
        rules = {rule.key: judge.refusal(rule, []) for rule in session.ruleset.rules}
        assert list(rules.values())[1] == "mlx5_core: matching on ct_state +new isn't supported"


PIPELINE = """\
dev ens1f0_0 ingress chain 0 (miss id 1):
  ens1f0_0 ingress chain 0 prio 1 handle 0x1: ether.saddr 24:8a:07:a5:28:01 proto ip ct_state -trk -> set chain miss id 1, set fte_id 1, \
set zone 0; goto pre_ct zone 0
dev ens1f0_0 ingress chain 2 (miss id 2):
  ens1f0_0 ingress chain 2 prio 1 handle 0x2: proto ip ct_state +trk+est -> count, encapsulate (key 98), redirect to vxlan0
pre_ct zone 0:
  zone == 0, +trk -> post action
  else -> CT
CT:
CT-NAT:
post action:
  fte_id == 1 -> count, goto chain 2
software only:
  ens1f0_0 ingress chain 2 prio 1 handle 0x1: proto ip ct_state +trk+new: mlx5_core: matching on ct_state +new isn't supported
"""


def test_the_cover_letters_filters_as_the_pipeline_of_a_card() -> None:
    with Session() as session:
        session.ip("link add name vxlan0 type vxlan external dstport 4789")
        for line in LETTER:
            assert not session.tc(line).exit_code
        backend = find("mlx5")
        backend.install(session.ruleset)
        shown = "".join(f"{name}:\n" + "".join(f"  {line}\n" for line in lines) for name, lines in backend.tables()[2:])
        assert shown == PIPELINE


REFUSED = {
    "ct_state +trk+new action drop": "mlx5_core: matching on ct_state +new isn't supported",
    "ct_state +trk+rel action drop": "mlx5_core: matching on ct_state +rel isn't supported",
    "ct_state +trk+inv action drop": "mlx5_core: matching on ct_state +inv isn't supported",
    "ip_proto tcp dst_port 80-90 action drop": "mlx5_core: Unsupported key",
    "action ct pipe": "mlx5_core: Rule must have at least one forward/drop action",
    "action continue": 'Offload of "continue" action is not supported',
    "action simple sdata hello": "Action does not support offload",
    "action skbedit mark 3 pipe action drop": "mlx5_core: Not implemented offload action",
    "action mirred ingress redirect dev eth1": "mlx5_core: redirect to ingress is supported only for OVS internal ports",
    "action pass random netrand drop 5": "Unsupported generic action offload",
}
TAKEN = [
    "ct_state +trk-rel-inv+est action drop",
    "ct_state -trk action ct zone 3 nat pipe action goto chain 1",
    "ct_state +trk+est+rpl ct_mark 7 ct_label 5 action mirred egress redirect dev eth1",
    "ip_proto tcp dst_port 80 dst_ip 10.0.0.0/8 action vlan push id 5 pipe action mirred egress redirect dev eth1",
    "action mirred egress mirror dev eth1 pipe action mirred egress redirect dev eth2",
    "action ct clear pipe action goto chain 1",
    "action pass",
]


@pytest.mark.parametrize("filter_, words", REFUSED.items(), ids=REFUSED)
def test_a_filter_that_stays_in_software_is_refused_with_skip_sw(card: Session, filter_: str, words: str) -> None:
    base = "filter add dev eth0 ingress prio 1 proto ip flower"
    refused = card.tc(f"{base} skip_sw {filter_}")
    assert (refused.exit_code, refused.stderr.partition("\n")[0]) == (2, f"Error: {words}.")
    assert not card.tc("filter show dev eth0 ingress").stdout
    assert not card.tc(f"{base} {filter_}").exit_code
    assert "not_in_hw" in card.tc("filter show dev eth0 ingress").stdout


@pytest.mark.parametrize("filter_", TAKEN)
def test_a_filter_that_hardware_takes_is_accepted_with_skip_sw(card: Session, filter_: str) -> None:
    done = card.tc(f"filter add dev eth0 ingress prio 1 proto ip flower skip_sw {filter_}")
    assert not done.exit_code, done.stderr
    listing = card.tc("filter show dev eth0 ingress").stdout
    assert "  skip_sw\n  in_hw in_hw_count 1\n" in listing


def test_a_ct_action_with_a_helper_is_never_in_hardware() -> None:
    """Newer tc knows helpers of ct; tc 6.1 does not, so the action is made here."""
    ftp = Object(key="tc ct 1", kind="ct", effect=Track(commit=True, helper="ftp"))
    refusal = find("mlx5").judge(Rule(key="tc dev eth0 ingress/0/1/00000001"), [ftp])
    assert refusal is not None
    assert refusal.text == "a ct action with a helper (ftp) is never offloaded (tcf_ct_offload_act_setup)"


def test_skip_hw_keeps_a_filter_out(card: Session) -> None:
    assert not card.tc("filter add dev eth0 ingress prio 1 proto ip flower skip_hw action drop").exit_code
    assert "  skip_hw\n  not_in_hw\n" in card.tc("filter show dev eth0 ingress").stdout


@pytest.mark.parametrize("backend", ["", "software", "none", "home-router"])
def test_without_a_card_skip_sw_is_refused_and_nothing_is_in_hardware(backend: str) -> None:
    with Session() as session:
        if backend:
            use(session, choose(backend))
        session.tc("qdisc add dev eth0 clsact")
        assert session.tc("filter add dev eth0 ingress prio 1 proto ip flower skip_sw action drop").exit_code == 2
        assert not session.tc("filter add dev eth0 ingress prio 1 proto ip flower action drop").exit_code
        assert "not_in_hw" in session.tc("filter show dev eth0 ingress").stdout


@pytest.mark.parametrize(
    "key, words",
    [
        ("vlan_actions", "firmware vlan actions support is missing"),
        ("fwd_and_modify", "firmware fwd and modify support is missing"),
        ("register_loopback", "register loopback isn't supported"),
        ("post_action", "post action is missing"),
        ("skb_extension", "tc skb extension missing"),
    ],
)
def test_a_card_that_lacks_something_offloads_no_connections(tmp_path: Path, key: str, words: str) -> None:
    path = tmp_path / "card.toml"
    path.write_text(f'backend = "mlx5"\n[driver]\n{key} = false\n', encoding="utf-8")
    with Session() as session:
        use(session, choose(str(path)))
        session.tc("qdisc add dev eth0 clsact")
        base = "filter add dev eth0 ingress prio 1 proto ip flower skip_sw"
        assert "offload of ct matching isn't available" in session.tc(f"{base} ct_state +trk+est action drop").stderr
        assert "offload of ct action isn't available" in session.tc(f"{base} action ct pipe action goto chain 1").stderr
        assert not session.tc(f"{base} action drop").exit_code
    from tcemu.conntrack.entry import Entry

    refusal = find("mlx5", choose(str(path))).admit(Entry())
    assert refusal is not None
    assert refusal.text == f"mlx5_core: tc ct offload not supported, {words}"


# ---------------------------------------------------------------- packets


@pytest.fixture
def played() -> Iterator[Session]:
    """The example's three filters on a morning's packets, on a card."""
    with Session() as session:
        use(session, choose("mlx5"))
        session.tc(["-batch", str(EXAMPLES / "cover-letter.tc")])
        session.replay({"eth0": str(EXAMPLES / "captures" / "office.pcap")})
        yield session


def counters(session: Session, chain: int, handle: str) -> list[tuple[int, int, int]]:
    """(all packets, software's, hardware's) of each action of a filter."""
    listing = json.loads(session.tc(f"-s -j filter show dev eth0 ingress chain {chain}").stdout)
    (found,) = [one["options"]["actions"] for one in listing if one.get("options", {}).get("handle") == int(handle, 16)]
    return [
        (one["stats"]["packets"], one["stats"].get("sw_packets", one["stats"]["packets"]), one["stats"].get("hw_packets", 0))
        for one in found
    ]


def test_hardware_counts_what_met_its_filters_and_its_table_and_software_the_rest(played: Session) -> None:
    assert counters(played, 0, "1") == [(153, 41, 112)] * 2
    assert counters(played, 2, "1") == [(9, 9, 0)] * 3
    assert counters(played, 2, "2") == [(144, 32, 112)] * 2


def test_the_text_of_a_split_counter_is_that_of_tc(played: Session) -> None:
    text = played.tc("-s filter show dev eth0 ingress chain 2").stdout
    assert re.search(
        r"\tAction statistics:\n\tSent \d+ bytes 144 pkt \(dropped 0, overlimits 0 requeues 0\) \n"
        r"\tSent software \d+ bytes 32 pkt\n\tSent hardware \d+ bytes 112 pkt\n\tbacklog 0b 0p requeues 0\n\tused_hw_stats delayed\n",
        text,
    )


def test_the_sums_are_those_of_a_machine_without_a_card(played: Session) -> None:
    with Session() as plain:
        plain.tc(["-batch", str(EXAMPLES / "cover-letter.tc")])
        plain.replay({"eth0": str(EXAMPLES / "captures" / "office.pcap")})
        for chain in (0, 2):
            want, got = (
                re.findall(r"Sent (\d+) bytes (\d+) pkt \(", session.tc(f"-s filter show dev eth0 ingress chain {chain}").stdout)
                for session in (plain, played)
            )
            assert want == got


def test_a_connection_in_hardware_is_listed_so(played: Session) -> None:
    assert "[HW_OFFLOAD]" in played.conntrack("-L").stdout
    assert "[OFFLOAD]" not in played.conntrack("-L").stdout


def test_a_filter_that_software_skips_matches_in_hardware_only() -> None:
    """skip_sw on the filter of established packets: those whose connection the card does not know pass it by."""
    with Session() as session:
        use(session, choose("mlx5"))
        for line in (EXAMPLES / "cover-letter.tc").read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                session.tc(
                    line.replace("flower ct_state +trk+est action tunnel_key set", "flower skip_sw ct_state +trk+est action tunnel_key set")
                )
        result = session.replay({"eth0": str(EXAMPLES / "captures" / "office.pcap")})
        hits = {rule.label.place: rule.hits for rule in result.rules}
        assert hits["eth0 ingress chain 2 pref 1 handle 0x2"] == 112


def test_a_trace_says_where_a_packet_leaves_hardware(played: Session) -> None:
    """The first packet of a connection: the card's table of connections does not know it, and software goes on at chain 0."""
    from scapy.layers.inet import IP, TCP
    from scapy.layers.l2 import Ether

    way = played.trace(bytes(Ether() / IP(src="192.168.10.21", dst="203.0.113.99") / TCP(sport=5, dport=80, flags="S")), "eth0")
    said = [event.text for event in way.events if event.kind == "hardware"]
    assert said == ["a miss: software goes on with this rule"]
