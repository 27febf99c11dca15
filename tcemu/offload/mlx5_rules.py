"""Which tc filters mlx5 takes, in the driver's own words.

Sources: drivers/net/ethernet/mellanox/mlx5/core/en/tc_ct.c mlx5_tc_ct_match_add, en_tc.c __parse_cls_flower and parse_tc_actions,
en/tc/act/*.c; net/sched/cls_api.c tc_setup_offload_action, net/sched/act_*.c tcf_*_offload_act_setup. The device is taken to have the
capability ``ignore_flow_level``, so chains and priorities have no range, and goto may lead backwards.
"""

from __future__ import annotations

from typing import Any, Final

from tcemu.fields import FCT_EST, FCT_INV, FCT_NEW, FCT_REL, FCT_RPL, FCT_TRK
from tcemu.ir import effect as effects
from tcemu.ir import verdict as v
from tcemu.ir.operand import Key, Load
from tcemu.ir.ruleset import Object, Rule
from tcemu.ir.step import Do, Masked, Match, Range
from tcemu.offload.backend import Refusal

DRIVER: Final = "mlx5_core: "
# flower's fields that the driver's dissector has no part for
UNKNOWN: Final = ("arp.", "l2tp.", "esp.", "pppoe.", "ppp.", "cfm.", "vlan.count", "meta.l2_miss", "enc.flags")
FIRST_FRAGMENT: Final = 2  # FLOW_DIS_FIRST_FRAG
CT_FLAGS: Final = FCT_TRK | FCT_EST | FCT_NEW | FCT_REL | FCT_INV | FCT_RPL
# what mlx5_tc_ct_init asks for, in its order
NEEDS: Final = (
    ("vlan_actions", "firmware vlan actions support is missing"),
    ("fwd_and_modify", "firmware fwd and modify support is missing"),
    ("register_loopback", "register loopback isn't supported"),
    ("post_action", "post action is missing"),
    ("skb_extension", "tc skb extension missing"),
)
# kinds of action that have an offload_act_setup
ABLE: Final = ("gact", "mirred", "vlan", "tunnel_key", "csum", "pedit", "skbedit", "sample", "ct", "mpls", "police", "gate")
NOT_IN_FDB: Final = ("gate",)
CONTROLS: Final = {v.CONTINUE: "continue", v.RECLASSIFY: "reclassify", v.PIPE: "pipe"}


def no(text: str) -> Refusal:
    """A refusal in the driver's words."""
    return Refusal("driver", DRIVER + text)


def plain(text: str) -> Refusal:
    """A refusal in the words of the kernel outside of the driver."""
    return Refusal("kernel", text)


def missing(driver: dict[str, Any]) -> str:
    """Why connection tracking is not offloaded at all on this device; nothing where it is."""
    for key, words in NEEDS:
        if not driver.get(key, True):
            return f"tc ct offload not supported, {words}"
    return ""


def judge(rule: Rule, actions: list[Object], driver: dict[str, Any]) -> Refusal | None:
    """The first thing that the driver has against a filter."""
    table = rule.key.split("/", 1)[0]
    if table.endswith(" egress"):
        return plain("the eswitch takes filters of ingress (and of shared blocks at ingress)")
    for step in rule.steps:
        if isinstance(step, Match) and not step.implied:
            refusal = judge_match(step, driver)
            if refusal is not None:
                return refusal
        elif isinstance(step, Do) and isinstance(step.effect, effects.Count):
            return judge_matchall(actions)
    return judge_actions(actions, driver)


def judge_match(step: Match, driver: dict[str, Any]) -> Refusal | None:
    """__parse_cls_flower for one key."""
    if isinstance(step.left, Key):
        return None if step.left.what in ("geneve_opts", "vxlan_opts") else no("Unsupported key")
    if not isinstance(step.left, Load):
        return plain("only flower's keys are offered to drivers")
    field = step.left.field
    if field.startswith("ct."):
        return judge_ct(field, step, driver)
    if field.startswith(UNKNOWN) or isinstance(step.test, Range):
        return no("Unsupported key")
    if field == "frag.flags" and isinstance(step.test, Masked) and step.test.mask & FIRST_FRAGMENT:
        return no("Match on frag first/later is not supported")
    return None


def judge_ct(field: str, step: Match, driver: dict[str, Any]) -> Refusal | None:
    """mlx5_tc_ct_match_add."""
    if missing(driver):
        return no("offload of ct matching isn't available")
    if field != "ct.flower" or not isinstance(step.test, Masked):
        return None
    mask, value = step.test.mask, step.test.value
    if mask & ~CT_FLAGS:
        return no("only ct_state trk, est, new and rpl are supported for offload")
    for flag, name in ((FCT_REL, "rel"), (FCT_INV, "inv"), (FCT_NEW, "new")):
        if value & mask & flag:
            return no(f"matching on ct_state +{name} isn't supported")
    return None


def judge_matchall(actions: list[Object]) -> Refusal | None:
    """mlx5e_tc_configure_matchall: rates of a port, and nothing else."""
    if len(actions) == 1 and actions[0].kind == "police":
        return None
    return no("matchall action must be police") if actions else no("matchall called with no action")


def judge_actions(actions: list[Object], driver: dict[str, Any]) -> Refusal | None:
    """parse_tc_actions, action by action, then what all of them together must be."""
    for action in actions:
        refusal = judge_action(action, driver)
        if refusal is not None:
            return refusal
    if not actions:
        return no("Flow action is empty")
    if not any(forwards(action) or drops(action) for action in actions):
        return no("Rule must have at least one forward/drop action")
    if any(forwards(action) for action in actions) and any(drops(action) for action in actions):
        return no("Rule cannot support forward+drop action")
    if any(drops(action) for action in actions) and any(action.kind in ("pedit", "ct") for action in actions):
        return no("Drop with modify header action is not supported")
    return None


def judge_action(action: Object, driver: dict[str, Any]) -> Refusal | None:
    """One action: what the kernel asks of it, then what the driver does."""
    kind, effect = action.kind, action.effect
    if kind not in ABLE:
        return plain("Action does not support offload")
    if kind in NOT_IN_FDB:
        return no("Not implemented offload action")
    if kind == "gact":
        if action.otherwise is not None:
            return plain("Unsupported generic action offload")
        word = CONTROLS.get(action.then.code)
        return plain(f'Offload of "{word}" action is not supported') if word else None
    if isinstance(effect, effects.Track):
        if effect.helper:
            return plain(f"a ct action with a helper ({effect.helper}) is never offloaded (tcf_ct_offload_act_setup)")
        return no("offload of ct action isn't available") if missing(driver) else None
    if isinstance(effect, effects.Output) and effect.block:  # Source: assumed
        return plain("mirred to a block names no device that hardware could send to")
    if isinstance(effect, effects.Output) and effect.ingress:
        return (
            no("redirect to ingress is supported only for OVS internal ports") if not effect.copy else no("Not implemented offload action")
        )
    if isinstance(effect, effects.SetMeta):
        if effect.pkttype is None:
            return no("Not implemented offload action")
        return None if effect.pkttype == 0 else no("skbedit ptype is only supported with type host")
    if isinstance(effect, effects.Edit):
        return judge_edit(effect, driver)
    return None


def judge_edit(effect: effects.Edit, driver: dict[str, Any]) -> Refusal | None:
    """tcf_pedit_offload_act_setup and parse_pedit_to_modify_hdr."""
    known = driver.get("mangle", ["eth", "ip4", "ip6", "tcp", "udp"])
    for base, *_ in effect.keys:
        if base == "network" or not effect.extended:
            return plain("Unsupported pedit command offload")
        if base not in known:
            return no("attempt to offload an unsupported field")
    return None


def forwards(action: Object) -> bool:
    """Does it send the packet somewhere: a port, another chain, the host?"""
    return (action.kind == "mirred" and isinstance(action.effect, effects.Output)) or (
        action.kind == "gact" and action.then.code in (v.GOTO, v.ACCEPT, v.TRAP)
    )


def drops(action: Object) -> bool:
    """Does it drop the packet?"""
    return action.kind == "gact" and action.then.code == v.DROP
