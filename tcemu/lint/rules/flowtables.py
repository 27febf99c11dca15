"""Flowtables: what may stand where, and what a flow that is offloaded passes by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tcemu.ir.effect import Offload
from tcemu.lint.catalogue import Rule, rule
from tcemu.lint.finding import Finding
from tcemu.lint.rules.hooks import chain, table_of

if TYPE_CHECKING:
    from tcemu.lint.subject import Subject

FT: Final = "flowtable ft {\n    hook ingress priority 0\n    devices = { lan, wan }\n    counter\n  }"


@rule(
    "FT001",
    "error",
    "flow add outside the forward hook",
    why="""Only forwarded connections can be offloaded: the kernel takes `flow add` in chains that hook forward, and refuses it elsewhere (Operation not
        supported); nft -c says nothing.""",
    bad=(
        table_of(FT, chain("prerouting", "ct state established flow add @ft")),
        table_of(FT, chain("postrouting", "ip protocol tcp flow add @ft"), head="table ip f"),
    ),
    good=(
        table_of(FT, chain("forward", "ct state established meta l4proto { tcp, udp } flow add @ft")),
        table_of(FT, "chain off {\n    flow add @ft\n  }", chain("forward", "ct state established meta l4proto tcp jump off")),
    ),
    fix="move the rule to a chain of type filter that hooks forward",
    source="Linux net/netfilter/nft_flow_offload.c (nft_flow_offload_validate); man nft, FLOWTABLES",
)
def offload_hook(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for one in subject.view.all:
        for step, _effect in one.effects(Offload):
            wrong = [base for base in subject.view.bases_of(one) if base.hook != "forward"]
            if wrong or one.family in ("bridge", "arp", "netdev"):
                where = f"hook {wrong[0].hook}" if wrong else f"family {one.family}"
                spans = (subject.step_place(one.key, step), subject.place(wrong[0].chain) if wrong else None)
                yield rule.at(subject, spans, f"flow add in {where}: the kernel takes it in forward only", one.key)


RULES: Final = (offload_hook,)
