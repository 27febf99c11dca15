"""What nft's trace tells of a packet: one message for each rule that held, each return from a chain and each policy.

Source: net/netfilter/nf_tables_trace.c (nft_trace_notify), net/netfilter/nf_tables_core.c (nft_do_chain), Linux 6.1.
"""

from __future__ import annotations

from typing import NamedTuple


class Headers(NamedTuple):
    """The packet as the first message of a chain of the hooks shows it: devices by index (0 for none) and the bytes of its headers.

    ``network`` is at most 40 bytes, ``transport`` at most 20; ``link`` is empty where there is no link-layer header.
    """

    iif: int
    oif: int
    link: bytes
    network: bytes
    transport: bytes
    protocol: int  # ETH_P_*


class Message(NamedTuple):
    """kind is rule, return or policy; chain is the chain's key and rule the rule's; verdict as nft has the word, with a chain's name."""

    packet: int
    kind: str
    chain: str
    rule: str
    verdict: str
    mark: int
    headers: Headers | None
