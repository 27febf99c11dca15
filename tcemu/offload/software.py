"""The netfilter flow table itself (net/netfilter/nf_flow_table_core.c), seen as a backend: it takes all that may be offered.

The engine keeps the kernel's flow tables in any case, with their conditions, timeouts and ends (`tcemu.offload.flows`,
`tcemu.offload.nft_flows`). This backend has the same flows and counts what went by them, so that the software path can be put beside others.
"""

from __future__ import annotations

from tcemu.offload.table import TableBackend


class SoftwareBackend(TableBackend):
    """No limit, no delay, no aging of its own: the kernel's table is a growing hash (rhashtable)."""

    name = "software"
