"""505 captures of other projects, read by our readers alone; the counts are tshark's and capinfos' (corpora/README.md).

They live beside the project (``TCEMU_SHARED`` or ``../shared``) and are no part of it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tcemu.capture.link import locate
from tcemu.capture.open import open_capture
from tcemu.capture.reader import Reader
from tcemu.packet.packet import LINK_ETHER, LINK_IP, LINK_OTHER

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("TCEMU_SHARED", ROOT.parent / "shared"))
FOLDER = SHARED / "corpora" / "captures"
INDEX = FOLDER / "index.jsonl"

pytestmark = pytest.mark.skipif(not INDEX.exists(), reason=f"no corpora at {FOLDER}")

# captures whose last record is cut off: tshark counts what is before it, and so do we
CUT = {"scapy__bad_rsn_parsing_overrides_ssid.pcap"}
# link types that tcemu only counts (see capture.link)
COUNTED = {
    "pyroute2__nl0.pcap",
    "scapy__zigbee-join-authenticate.pcap",
    "scapy__zigbee-transport-key-skke_1.pcap",
    "tcpdump__802_15_4-data.pcap",
    "tcpdump__arcnet-rfc1051-arp-icmp-http.pcap",
    "tcpdump__unsupported-link-type-160.pcap",
    "tcpdump__unsupported-link-type-dbus.pcap",
    "wireshark__dvb-ci_UV1_0000.pcap",
    "zeek__ieee80211.15.4.pcap",
}


def cases(kind: str) -> list[dict[str, Any]]:
    if not INDEX.exists():
        return []
    rows = [json.loads(line) for line in INDEX.read_text(encoding="utf-8").splitlines()]
    return [row | {"name": row["file"].split("/", 1)[1]} for row in rows if row["class"] == kind]


def walk(name: str, chunk: int = 256 * 1024) -> tuple[Reader, list[int]]:
    reader = open_capture(FOLDER / name, chunk)
    kinds = [0, 0, 0]
    while reader.next():
        kinds[locate(reader)] += 1
        assert reader.start <= reader.first <= reader.last <= reader.end <= len(reader.data)
    return reader, kinds


@pytest.mark.parametrize("case", cases("normal"), ids=lambda case: case["name"])
def test_every_packet_of_a_good_capture_is_read(case: dict[str, Any]) -> None:
    reader, kinds = walk(case["name"])
    assert reader.number == case["packets"]
    assert sum(kinds) == case["packets"]
    assert reader.damaged == (case["name"] in CUT)
    assert len(reader.warnings) == (case["name"] in CUT | COUNTED), reader.warnings
    assert sorted({interface.link for interface in reader.interfaces} & set(case["dlt"])) == case["dlt"]


@pytest.mark.parametrize("case", cases("malformed"), ids=lambda case: case["name"])
def test_a_fuzzed_capture_is_read_as_far_as_it_goes(case: dict[str, Any]) -> None:
    reader, _ = walk(case["name"])  # all of these have a good file header
    assert reader.number in (case["packets"], case["capinfos_packets"])


@pytest.mark.parametrize("case", [case for case in cases("normal") if case["bytes"] < 20_000], ids=lambda case: case["name"])
def test_how_the_bytes_arrive_changes_nothing(case: dict[str, Any]) -> None:
    whole, kinds = walk(case["name"])
    pieces, same = walk(case["name"], 1021)
    assert (pieces.number, same, pieces.warnings) == (whole.number, kinds, whole.warnings)


# captures that have IP behind other link headers than Ethernet: packets by link kind, from tshark's protocol column
INSIDE = {
    "zeek__llc.pcap": (LINK_IP, 1333),  # fddi, llc, ip
    "tcpdump__ipoib.pcap": (LINK_IP, 26),  # and 4 arp
    "ndpi__someip_sd_sample.pcap": (LINK_ETHER, 6),  # ppi
    "arkime__nflog.pcap": (LINK_IP, 10),
    "zeek__nflog-bad-tlv-len.pcap": (LINK_OTHER, 1),
    "tcpdump__OSPFv3_NBMA_adjacencies.pcap": (LINK_IP, 86),  # frame relay
    "tcpdump__bgp-aigp.pcap": (LINK_ETHER, 1),  # juniper
    "zeek__wlanmon.pcap": (LINK_IP, 3),
    "suricata__decode-sll2-02__input.pcap": (LINK_IP, 159),
}


@pytest.mark.parametrize(("name", "want"), INSIDE.items(), ids=INSIDE)
def test_the_network_layer_is_found_behind_link_headers(name: str, want: tuple[int, int]) -> None:
    _, kinds = walk(name)
    assert kinds[want[0]] == want[1]
