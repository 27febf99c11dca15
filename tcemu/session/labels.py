"""A rule's key as people know the rule: where it stands, and what its own tool prints of it, on one line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from tcemu.tc.u32_read import u32_handle

if TYPE_CHECKING:
    from tcemu.session.session import Session

TOO_MANY: Final = 2000  # rules beyond which no listing is made only to name them
_TC_HEAD: Final = re.compile(r"^filter .*?pref (\d+) (\w+)(?: chain (\d+))? (?:handle|fh) (\S+)")
_INLINE: Final = re.compile(r"\blink \S+|\bbytecode '.*'")  # of u32 and bpf: what the head line says besides
_NFT_RULE: Final = re.compile(r"^\t\t(.*) # handle (\d+)$")


class Label(NamedTuple):
    """Where a rule stands, and its text (empty when it was too much to ask for)."""

    place: str
    text: str


def place_of(key: str) -> str:
    """A rule's key in words: ``eth0 ingress chain 0 pref 1 handle 0x1``, or ``inet t f handle 5``."""
    if key.startswith("tc "):
        parts = key.split("/")
        if len(parts) != 4:
            return key
        table = parts[0].removeprefix("tc ").removeprefix("dev ")
        return f"{table} chain {parts[1]} pref {parts[2]} handle {int(parts[3], 16):#x}"
    table, _, rest = key.partition("/")
    chain, _, handle = rest.rpartition("/")
    return f"{table} {chain} handle {handle}" if handle else key


def labels(session: Session, keys: list[str]) -> dict[str, Label]:
    """Labels for all these rules."""
    texts: dict[str, str] = {}
    if len(keys) <= TOO_MANY:
        for table in dict.fromkeys(key.split("/")[0] for key in keys if key.startswith("tc ")):
            texts |= _tc_texts(session, table)
        if any(not key.startswith("tc ") for key in keys):
            texts |= _nft_texts(session)
    return {key: Label(place_of(key), texts.get(key, "")) for key in keys}


def _tc_texts(session: Session, table: str) -> dict[str, str]:
    """The filters behind a hook: keys of the match and actions, without indexes and counters."""
    found: dict[str, str] = {}
    key, words = "", []
    for line in session.tc(["filter", "show", *table.removeprefix("tc ").split()]).stdout.split("\n"):
        head = _TC_HEAD.match(line)
        if head is not None:
            key = f"{table}/{head[3] or 0}/{head[1]}/{_handle(head[4]):08x}"
            inline = _INLINE.search(line)
            words = [head[2], inline[0]] if inline is not None else [head[2]]
        elif line.startswith("filter "):
            key = ""
        elif key and (line.startswith(("  ", "\taction order"))):
            text = " ".join(re.sub(r"^action order \d+: ", "action ", line.strip()).split())
            if text not in ("not_in_hw", "in_hw") and not text.startswith("eth_type"):
                words.append(text)
        if key:
            found[key] = " ".join(words)
    return found


def _handle(text: str) -> int:
    """A filter's handle as a listing has it; u32's is table, bucket and node."""
    if ":" in text:
        return u32_handle(text) or 0
    return int(text, 16) if re.fullmatch(r"(0x)?[0-9a-f]+", text) else 0


def _nft_texts(session: Session) -> dict[str, str]:
    found: dict[str, str] = {}
    table = chain = ""
    for line in session.nft(["-a", "list", "ruleset"]).stdout.split("\n"):
        words = line.split()
        if line.startswith("table "):
            table = f"{words[1]} {words[2]}"
        elif line.startswith("\tchain "):
            chain = words[1]
        else:
            rule = _NFT_RULE.match(line)
            if rule is not None:
                found[f"{table}/{chain}/{rule[2]}"] = rule[1]
    return found
