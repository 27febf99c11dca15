"""From a listing of filters back to the commands that make them: what a person does who copies a dump into a script.

Where tc's listing does not tell what was put in (sizes it rounds, times, a policer without rate, programs of iptables), or tells it in a
form that is no input of tc's, there is no way back and `commands` gives None.
"""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Callable

from tcemu.tc.actions.pedit import ADDRESS4, HEADERS, INT, SHOWN

RENAMED = {"icmp_type": "type", "icmp_code": "code"}
LEFT_OUT = ("eth_type", "not_in_hw")
CONTROLS = r"(?:pipe|pass|drop|continue|reclassify|trap|goto chain \d+|jump \d+)"


class NoWayBackError(Exception):
    """The listing is no input."""


def commands(listing: str, place: list[str]) -> list[list[str]] | None:
    """Commands that make the filters of ``tc filter show``; ``place``: the words that say where (dev eth0 ingress)."""
    found = []
    lines = listing.split("\n")
    heads = [at for at, line in enumerate(lines) if line.startswith("filter ")]
    try:
        for start, end in zip(heads, [*heads[1:], len(lines)], strict=True):
            if " handle 0x" in lines[start] or " fh 800::" in lines[start] or (" route chain " in lines[start] and " fh " in lines[start]):
                found.append(_filter(lines[start], lines[start + 1 : end], place))
            elif table := re.search(r"(.*) fh ([0-7]?\w{1,2}|[1-7]\w\w|8(?!00)\w\w|[9a-f]\w\w): ht divisor (\d+)", lines[start]):
                found.append([*_bare([table[1]], place)[0][:-1], "handle", f"{table[2]}:", "u32", "divisor", table[3]])
            elif " fh " in lines[start] and " fh 800: " not in lines[start]:
                return None
        if not found:
            found = _bare([lines[head] for head in heads], place)
    except NoWayBackError:
        return None
    return found


def _bare(heads: list[str], place: list[str]) -> list[list[str]]:
    """A slot without filters: what fw and u32 make of no options at all."""
    shape = re.match(r"filter (?:parent \S+ )?protocol (\S+) pref (\d+) (fw|u32) chain (\d+)", heads[0]) if heads else None
    if shape is None or len(heads) > 1 + (shape[3] == "u32"):
        return []
    return [["filter", "add", *place, "protocol", _protocol(shape[1]), "pref", shape[2], "chain", shape[4], shape[3]]]


def _filter(head: str, body: list[str], place: list[str]) -> list[str]:
    """One filter's command."""
    shape = re.match(r"filter (?:parent \S+ )?protocol (\S+) pref (\d+) (\w+) chain (\d+) (?:handle (0x\w+)|fh (\S+))(.*)", head)
    if shape is None:
        raise NoWayBackError
    protocol, pref, kind, chain, handle, fh, rest = shape.groups()
    cut = next((at for at, line in enumerate(body) if line.startswith("\taction order")), len(body))
    keys = KINDS.get(kind)
    if keys is None:
        raise NoWayBackError
    if kind == "matchall" and cut == len(body) and not rest.split() and len(body) < 3:
        raise NoWayBackError  # with class 0, which is not listed
    words = ["filter", "add", *place, "protocol", _protocol(protocol), "pref", pref, "chain", chain]
    if kind != "route":  # whose handle is made of what it matches
        words += ["handle", handle or fh]
    words += [kind, *keys(rest.split(), [line for line in body[:cut] if line.strip()])]
    if words[-1] in ("basic", "route") and cut == len(body):
        words += ["classid", "0"]  # which is not listed
    for text in re.split(r"\taction order \d+: ", "\n".join(body[cut:]))[1:]:
        words += ["action", *_action(text)]
    return words


def _protocol(text: str) -> str:
    return hex(int(text[1:-1])) if text.startswith("[") else text


def _plain(rest: list[str], body: list[str]) -> list[str]:
    words = [*rest, *(word for line in body for word in line.split())]
    words.sort(key=lambda word: not word.startswith("skip_"))  # tc looks for a word behind these
    words = ["classid" if word == "flowid" else word for word in words if word not in ("not_in_hw", "???")]
    return [*words, "classid", "0"] if words and words[-1].startswith("skip_") else words  # which is not listed


def _u32(rest: list[str], body: list[str]) -> list[str]:
    flow = re.search(r"flowid (\S+)", " ".join(rest))
    words = ["classid", flow[1]] if flow and flow[1] != "???" else []
    for line in body:
        match = re.fullmatch(r"  match (\w{8})/(\w{8}) at (nexthdr\+)?(-?\d+)", line.rstrip())
        if match is None:
            raise NoWayBackError
        words += ["match", "u32", f"0x{match[1]}", f"0x{match[2]}", "at", f"{match[3] or ''}{match[4]}"]
    if "not_in_hw" not in rest or "terminal" in rest or not words or {"link", "skip_hw"} & set(rest):
        raise NoWayBackError
    return words


def _expression(body: list[str]) -> list[str]:
    """The expression of extended matches, whose keys at offsets and needles are listed in another form than they are written in."""
    text = " ".join(line.strip() for line in body)
    if not text:
        return []
    if "ref " in text:
        raise NoWayBackError  # a policer, which tc lists in rounded numbers
    text = re.sub(r"u32\((\w{8})/(\w{8}) at (\S+)\)", r"u32(u32 0x\1 0x\2 at \3)", text)
    if re.search(r'nbyte\((?:[0-9a-f]{2} )+"[^"]*[.][^"]*"', text) or text.count("nbyte(") > 1:
        raise NoWayBackError  # bytes that are no letters, and needles that were written over each other
    return ["match", re.sub(r'nbyte\((?:[0-9a-f]{2} )+"', 'nbyte("', text)]


def _basic(rest: list[str], body: list[str]) -> list[str]:
    return [*_expression(body), *_plain(rest, [])]


def _cgroup(rest: list[str], body: list[str]) -> list[str]:
    if rest or not body:
        raise NoWayBackError
    return _expression(body)


def _route(rest: list[str], body: list[str]) -> list[str]:
    if body or "police" in rest or "fromif" in rest:
        raise NoWayBackError  # a policer; or a handle that is made of the number of a device
    return _plain(rest, [])


def _flow(rest: list[str], body: list[str]) -> list[str]:
    words = [word.removesuffix("sec") if before == "perturb" else word for before, word in itertools.pairwise(["", *rest])]
    return [*words, *_expression(body)]


def _bpf_filter(rest: list[str], body: list[str]) -> list[str]:
    program = re.search(r"bytecode '(.*)'", " ".join(rest))
    if program is None or body:
        raise NoWayBackError
    return ["bytecode", program[1], *_plain(rest[: rest.index("bytecode")], [])]


def _flower(rest: list[str], body: list[str]) -> list[str]:
    """Keys of a flower filter, what PPPoE carries in front of the addresses that are read by it."""
    words: list[str] = []
    early: list[str] = []
    if any(line.startswith("    lse") for line in body):
        body = [line for line in body if not line.startswith("    lse")] + [
            "  mpls " + " ".join(line.strip() for line in body if line.startswith("    lse"))
        ]
        body = [line for line in body if line.strip() != "mpls"]
    for line in body:
        key, *values = line.split()
        if key in LEFT_OUT:
            continue
        if key in ("pppoe_sid", "ppp_proto"):
            if values and values[0].startswith("["):
                raise NoWayBackError
            early = [*early, key, *values] if key == "ppp_proto" else [key, *values, *early]
        elif key in ("vlan_ethtype", "cvlan_ethtype"):
            words += [key, _protocol(values[0])]
        elif key == "ip_proto":
            values = [{"icmp": "0x1", "icmpv6": "0x3a"}.get(values[0], values[0])]  # which tc refuses for the other IP
            words += [key, values[0] if not re.fullmatch("[0-9a-f]{2}", values[0]) else f"0x{values[0]}"]
        else:
            words += [RENAMED.get(key, key), *values]
    return [*_plain(rest, []), *early, *words]


# ---------------------------------------------------------------- actions


def _action(text: str) -> list[str]:
    """One action's words; its tail are index, cookie and flags."""
    kind = text.split(maxsplit=1)[0] if text.strip() else ""
    tail = re.search(r"\n\s*index (\d+) ref \d+ bind \d+", text)
    reader = READERS.get(kind)
    if reader is None:
        raise NoWayBackError
    words = reader(re.split(r"\n\s*(?:index \d+ ref|cookie|no_percpu|skip_hw|hw_stats|ref \d+ bind)", text)[0], text)
    if tail is not None:
        at = len(words)
        if kind == "ct":  # which takes no index behind the verdict
            at -= 3 if "goto" in words else 2 if words[-2] == "jump" else 1
        words[at:at] = ["index", tail[1]]
    cookie = re.search(r"\n\tcookie (\w+)", text)
    if cookie is not None:
        words += ["cookie", cookie[1]]
    stats = re.search(r"\n\thw_stats (.*)", text)
    if stats is not None:
        words += ["hw_stats", *stats[1].split()]
    return words + [flag for flag in ("no_percpu", "skip_hw") if re.search(rf"\n\t([^\n]*\t)?{flag}", text)]


def _as_it_is(body: str, _text: str) -> list[str]:
    return body.split()


def _gact(body: str, _text: str) -> list[str]:
    control = re.match(rf"gact action ({CONTROLS})", body)
    if control is None:
        raise NoWayBackError
    random = re.search(rf"random type (netrand|determ) ({CONTROLS}) val (\d+)", body)
    return ["gact", *control[1].split(), *(["random", random[1], *random[2].split(), random[3]] if random else ())]


def _mirred(body: str, _text: str) -> list[str]:
    shape = re.match(r"mirred \((\w+) (\w+) to device (\S+)\) (.*)", body)
    if shape is None:
        raise NoWayBackError
    control = shape[4].split()
    return ["mirred", shape[1].lower(), shape[2].lower(), "dev", shape[3], *(control if control != ["stolen"] else ())]


def _tunnel_key(body: str, _text: str) -> list[str]:
    return ["id" if word == "key_id" else word for word in body.split()]


def _csum(body: str, _text: str) -> list[str]:
    shape = re.match(r"csum \((.*)\) action (.*)", body)
    if shape is None or not shape[1] or shape[1].startswith("?"):
        raise NoWayBackError
    return ["csum", *" and ".join(shape[1].split(", ")).split(), *shape[2].split()]


def _sample(body: str, _text: str) -> list[str]:
    return re.sub("trunc_size", "trunc", re.sub(r"rate 1/", "rate ", body)).split()


def _ctinfo(body: str, text: str) -> list[str]:
    words = body.split()
    dscp, mark = re.search(r" dscp (\w+) (\w+)", text), re.search(r" cpmark (\w+)", text)
    return [*words[:1], *(["dscp", dscp[1], hex(int(dscp[2], 16))] if dscp else ()), *(["cpmark", mark[1]] if mark else ()), *words[1:]]


def _skbmod(body: str, _text: str) -> list[str]:
    control = re.match(rf"skbmod ({CONTROLS})", body)
    if control is None:
        raise NoWayBackError
    return ["skbmod", *body[control.end() :].split(), *control[1].split()]


def _ife(body: str, _text: str) -> list[str]:
    shape = re.match(rf"ife (encode|decode) action ({CONTROLS}) type (\w+)", body)
    if shape is None:
        raise NoWayBackError
    rest = body[shape.end() :].split()
    if shape[1] == "decode":
        return ["ife", "decode", *shape[2].split()]
    return ["ife", "encode", *rest, "type", shape[3].replace("X", "x"), *shape[2].split()]


def _bpf(body: str, _text: str) -> list[str]:
    shape = re.match(rf"bpf bytecode '(.*)' default-action ({CONTROLS})", body)
    if shape is None:
        raise NoWayBackError
    return ["bpf", "bytecode", shape[1], *shape[2].split()]


def _pedit(body: str, text: str) -> list[str]:
    """Keys at their offsets; under a header the field that lies there."""
    control = re.match(rf"pedit action ({CONTROLS}) keys (\d+)", body.strip())
    if control is None:
        raise NoWayBackError
    munges: list[list[str]] = []
    extended = False
    for place, op, value, mask in re.findall(r"key #\d+  at (\S+): (val|add) (\w{8}) mask (\w{8})", text):
        keep, number = int(mask, 16), int(value, 16)
        if place.lstrip("-").isdigit():
            extended = extended or op == "add"
            munges.append(
                ["munge", "offset", place, "u32", "add" if op == "add" else "set", hex(number), "retain", hex(~keep & 0xFFFFFFFF)]
            )
        else:
            extended = True
            munges.append(["munge", *_field(place, "add" if op == "add" else "set", number, keep)])
    if int(control[2]) != len(munges):
        raise NoWayBackError
    return ["pedit", *(["ex"] if extended else []), *(word for munge in munges for word in munge), *control[1].split()]


def _field(place: str, op: str, number: int, keep: int) -> list[str]:
    """The field of a header that a key at an offset covers."""
    header, sign, offset = re.match(r"(\w+)([+-])(\d+)", place).groups()  # type: ignore[union-attr]
    for name, (base, _, fields) in HEADERS.items():
        for field, row in fields.items() if SHOWN.get(base) == header and sign == "+" else ():
            shift = 8 * (4 - row.length - row.offset % 4)
            covered = row.length <= 4 and row.offset // 4 * 4 == int(offset) and row.kind in (INT, ADDRESS4) and shift >= 0
            if covered and keep == 0xFFFFFFFF & ~((1 << 8 * row.length) - 1 << shift) and row.retain == (1 << 8 * row.length) - 1:
                value = number >> shift
                shown = hex(value) if row.kind == INT else ".".join(str(value >> n & 255) for n in (24, 16, 8, 0))
                return [name.lower(), field, op, shown]
    raise NoWayBackError


READERS: dict[str, Callable[[str, str], list[str]]] = {
    "gact": _gact,
    "mirred": _mirred,
    "tunnel_key": _tunnel_key,
    "csum": _csum,
    "sample": _sample,
    "ctinfo": _ctinfo,
    "skbmod": _skbmod,
    "ife": _ife,
    "bpf": _bpf,
    "pedit": _pedit,
    **dict.fromkeys(("ct", "vlan", "mpls", "connmark", "skbedit", "nat"), _as_it_is),
}


KINDS: dict[str, Callable[[list[str], list[str]], list[str]]] = {
    "flower": _flower,
    "matchall": _plain,
    "fw": _plain,
    "u32": _u32,
    "basic": _basic,
    "cgroup": _cgroup,
    "route": _route,
    "flow": _flow,
    "bpf": _bpf_filter,
}


def shown(words: list[str]) -> str:
    """A command, for a report."""
    return shlex.join(words)
