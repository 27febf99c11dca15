"""Named objects: counter, quota, limit, ct helper, ct timeout, ct expectation, secmark, synproxy. One row a kind.

An object's key is "<table>/<kind> <name>"; its effect is what runs when a rule names it. Source: nftables src/rule.c (obj_print_data).
"""

from __future__ import annotations

from typing import Any, Final

from tcemu.ir.effect import Count, Effect, Helper, Limit, Nothing, Quota
from tcemu.ir.ruleset import Object
from tcemu.ir.stats import Stats
from tcemu.nft.errors import NftError
from tcemu.nft.notes import ObjectNote, unpack
from tcemu.nft.refusal import EINVAL, ENOENT, EOPNOTSUPP, ERANGE, KernelError
from tcemu.nft.statements import limit, quota, synproxy
from tcemu.nft.tree import At, Command

NOUNS: Final = ("counter", "quota", "ct helper", "limit", "ct timeout", "secmark", "ct expectation", "synproxy")
BOTH: Final = ("ip", "ip6")
# conntrack helpers and the network protocols that they serve (net/netfilter/nf_conntrack_*.c)
HELPERS: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("amanda", "udp"): BOTH,
    ("ftp", "tcp"): BOTH,
    ("tftp", "udp"): BOTH,
    ("sane", "tcp"): BOTH,
    ("sip", "tcp"): BOTH,
    ("sip", "udp"): BOTH,
    ("RAS", "udp"): BOTH,
    ("Q.931", "tcp"): BOTH,
    ("H.245", "udp"): BOTH,
    ("irc", "tcp"): ("ip",),
    ("netbios-ns", "udp"): ("ip",),
    ("pptp", "tcp"): ("ip",),
    ("snmp", "udp"): ("ip",),
    ("snmp_trap", "udp"): ("ip",),
}
TIMEOUTS: Final = {
    "tcp": (
        ("syn_sent", 120),
        ("syn_recv", 60),
        ("established", 432000),
        ("fin_wait", 120),
        ("close_wait", 60),
        ("last_ack", 30),
        ("time_wait", 120),
        ("close", 10),
        ("syn_sent2", 120),
        ("retrans", 300),
        ("unack", 300),
    ),
    "udp": (("unreplied", 30), ("replied", 120)),
}


def evaluate(command: Command, family: str) -> tuple[dict[str, Any], Effect]:
    """An object's configuration, complete, and its effect."""
    values = {key: value for key, value in command.body.values.items() if key not in ("comment", "outer")} if command.body else {}
    kind = command.what
    if kind == "counter":
        stats = Stats(packets=values.get("packets", 0), bytes=values.get("bytes", 0))
        return {}, Count(stats)
    if kind == "quota":
        config = {"bytes": values.get("bytes", 0), "over": values.get("over", False), quota.USED: values.get(quota.USED, 0)}
        return config, quota.effect(config)
    if kind == "limit":
        if not values.get("rate"):
            raise KernelError(EINVAL, place_of(command))
        config = {"rate": 0, "unit": 1, "burst": 0, "bytes": False, "over": False, **values}
        return config, limit.effect(config)
    if kind == "synproxy":
        return values, synproxy.effect({"mss": 0, "wscale": 0, "timestamp": False, "sack": False, **values})
    if kind == "secmark":
        return values, Nothing()
    config = _conntrack(command, kind, values, family)
    return config, Helper(kind, {key: str(value) for key, value in config.items()})


def _conntrack(command: Command, kind: str, values: dict[str, Any], family: str) -> dict[str, Any]:
    config: dict[str, Any] = {"l3proto": values.get("l3proto", family), "l4proto": values.get("l4proto", "")}
    if kind == "ct helper":
        config["type"] = values.get("type", "")
        config["l3proto"] = _helper_family(command, config, family)
    elif kind == "ct timeout":
        config["policy"] = _policy(config["l4proto"], values.get("policy", []))
        if not config["l4proto"]:
            raise KernelError(EOPNOTSUPP, place_of(command))
    else:
        if not all(values.get(key) for key in ("l4proto", "dport", "timeout", "size")):
            raise NftError("missing options", (command.spec.name_at[1] - 1, command.spec.name_at[1]))
        config.update({"dport": values["dport"], "timeout": values["timeout"], "size": values["size"] & 0xFF})
    return config


def _helper_family(command: Command, config: dict[str, Any], family: str) -> str:
    """The network protocols that a helper serves there (nft_ct.c nft_ct_helper_obj_init)."""
    wanted = config["l3proto"]
    if family in ("ip", "ip6") and wanted in ("ip", "ip6") and wanted != family:
        raise KernelError(EINVAL, place_of(command))
    served = HELPERS.get((config["type"], config["l4proto"]), ())
    if wanted in ("ip", "ip6"):
        served = tuple(name for name in served if name == wanted)
    if not served:
        raise KernelError(ENOENT if config["type"] else ERANGE, place_of(command))
    return "inet" if len(served) == 2 else served[0]


def place_of(command: Command) -> At:
    """Where a refused object is told: at its name in a table's block, else the whole command."""
    named = command.spec.name_at
    return named if command.body is not None and command.body.at == named else command.at


def _policy(protocol: str, given: list[Any]) -> dict[str, int]:
    known = dict(TIMEOUTS.get(protocol, ()))
    policy = {}
    for state, seconds, at in given:
        if state not in known:
            raise NftError("invalid state for this protocol", at)
        policy[state] = seconds
    return {state: policy[state] for state in known if state in policy and policy[state] != known[state]}


# ---------------------------------------------------------------- printing
def lines(record: Object, config: dict[str, Any], out: Any) -> list[str]:
    """What stands in an object's block."""
    effect = record.effect
    if isinstance(effect, Count):
        return [] if out.stateless else [f"packets {effect.stats.packets} bytes {effect.stats.bytes}"]
    if isinstance(effect, Quota):
        return [quota.words(effect, out.stateless)]
    if isinstance(effect, Limit):
        return [limit.words(["limit", effect.rate, effect.unit, effect.burst, effect.bytes, effect.over])]
    if record.kind == "secmark":
        return [f'"{config.get("context", "")}"']
    if record.kind == "synproxy":
        rows = [f"mss {config['mss']}", f"wscale {config['wscale']}"]
        flags = ("timestamp" if config.get("timestamp") else "") + " " + ("sack-perm" if config.get("sack") else "")
        return rows + ([flags] if flags.strip() else [])  # the space is always there
    return _conntrack_lines(record.kind, config, out)


def _conntrack_lines(kind: str, config: dict[str, Any], out: Any) -> list[str]:
    if kind == "ct helper":
        return [f'type "{config["type"]}" protocol {config["l4proto"]}', f"l3proto {config['l3proto']}"]
    rows = [f"protocol {config['l4proto']}"]
    if kind == "ct timeout":
        rows.append(f"l3proto {config['l3proto']}")
        policy = ", ".join(f"{state} : {seconds}" for state, seconds in config["policy"].items())
        return [*rows, f"policy = {{ {policy} }}"]
    rows += [f"dport {config['dport']}", f"timeout {out.time(config['timeout'])}", f"size {config['size']}"]
    return [*rows, f"l3proto {config['l3proto']}"]


def block(record: Object, out: Any, indent: str = "\t") -> str:
    """An object with its block."""
    note = unpack(record.note, ObjectNote)
    rows = [f"{indent}{record.kind} {record.name} {{" + (f" # handle {note.handle}" if out.handles else "")]
    if note.comment is not None:
        rows.append(f'{indent}\tcomment "{note.comment}"')
    rows += [f"{indent}\t{line}" for line in lines(record, note.config, out)]
    return "\n".join([*rows, f"{indent}}}", ""])
