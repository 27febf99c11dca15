"""The words behind ``type KIND`` of `ip link`, and what the kernel refuses of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tcemu.host.ip.words import BUSY, FILE_EXISTS, TOOL, USAGE, Complaint, Words, address, device, kernel, number, rtnetlink, wrong
from tcemu.host.kinds import ADDRESS, DEVICE, FLAG, KEY, KINDS, NUMBER, ON_OFF, PAIR, Word
from tcemu.host.model import Device, Host
from tcemu.host.text import ip4, show_address, show_ip4

_Check = Callable[[Host, dict[str, str], str], None]

_PROTOCOLS: Final = {"802.1q": "802.1Q", "802.1ad": "802.1ad", "0x8100": "802.1Q", "0x88a8": "802.1ad"}
# vxlan's complaint when no UDP port was given: the kernel's own default is not IANA's
_NO_PORT: Final = (
    "vxlan: destination port not specified\n"
    "Will use Linux kernel default (non-standard value)\n"
    "Use 'dstport 4789' to get the IANA assigned value\n"
    "Use 'dstport 0' to get default and quiet this message\n"
)


def read_kind(kind: str, words: Words, host: Host) -> tuple[dict[str, str], str]:
    """The kind's parameters as it keeps them, and the device below if the words name one."""
    row = KINDS.get(kind)
    if row is None:
        if words:
            raise _unknown(kind, words.word)
        return {}, ""
    link: dict[str, str] = {}
    lower = ""
    while words:
        typed = words.take()
        word = next((word for word in row.words if word.name.startswith(typed) and typed), None)
        if word is None:
            raise _unknown(kind, typed)
        kept = word.kept or word.name
        if word.takes == DEVICE:
            lower = device(host, words.value(), USAGE).key
        elif word.takes == FLAG:
            link[kept] = ""
        else:
            if kept in link and word.takes == NUMBER:
                value = words.value()
                raise Complaint(f'Error: either "{kept}" is duplicate, or "{value}" is a garbage.', USAGE)
            link[kept] = _value(word, kept, words)
    return link, lower


def _unknown(kind: str, word: str) -> Complaint:
    """A kind without words of its own, known or not, takes none."""
    if kind not in KINDS or not KINDS[kind].words:
        return Complaint(f'Garbage instead of arguments "{word} ...". Try "ip link help".', USAGE)
    return Complaint(f'{kind}: unknown command "{word}"?', USAGE if kind in ("gre", "gretap", "ip6gre", "ip6gretap") else TOOL)


def _value(word: Word, kept: str, words: Words) -> str:
    if word.takes == NUMBER:
        return str(_number(words.value(), kept, word.most))
    if word.takes == PAIR:
        return f"{_number(words.value(), 'min port', word.most)} {_number(words.value(), 'max port', word.most)}"
    if word.takes == ADDRESS:
        typed = words.value()
        return "" if typed == "any" else show_address(*address(typed))
    if word.takes == KEY:
        return _key(words.value(), word.name)
    if word.takes == ON_OFF:
        return "on" if words.switch(word.name) else "off"
    value = words.value()
    if word.name == "protocol":
        if value.lower() not in _PROTOCOLS:
            raise wrong(value, "protocol is invalid")
        return _PROTOCOLS[value.lower()]
    return value


def _number(typed: str, key: str, most: int) -> int:
    value = number(typed, most)
    if value is None:
        raise wrong(typed, f"invalid {key}")
    return value


def _key(typed: str, key: str) -> str:
    """A tunnel key as iproute2 shows it, a dotted quad."""
    value = ip4(typed) if "." in typed else number(typed)
    if value is None:
        raise Complaint(f'invalid value for "{key}": "{typed}"; it should be an unsigned integer', USAGE)
    return show_ip4(value)


def refuse(host: Host, kind: str, link: dict[str, str], lower: str) -> None:
    """The kernel's reasons not to make such a device."""
    check = _CHECKS.get(kind)
    if check is not None:
        check(host, link, lower)


def warnings(kind: str, link: dict[str, str]) -> str:
    """What the tool says on stderr though it goes on."""
    return _NO_PORT if kind == "vxlan" and "dstport" not in link and "id" in link else ""


def _vlan(host: Host, link: dict[str, str], lower: str) -> None:
    if "id" not in link:
        raise kernel("8021q: VLAN properties not specified.")
    if int(link["id"]) >= 4096:
        raise kernel("8021q: Invalid VLAN id.")
    if not lower:
        raise kernel("8021q: link not specified.")
    same = [other for other in host.devices if other.kind == "vlan" and other.lower == lower]
    if any(int(other.link["id"]) == int(link["id"]) and _tag(other.link) == _tag(link) for other in same):
        raise kernel("8021q: VLAN device already exists.")


def _tag(link: dict[str, str]) -> str:
    return link.get("protocol", "802.1Q")


def _vxlan(host: Host, link: dict[str, str], lower: str) -> None:
    if "id" not in link and "external" not in link:
        raise kernel("Required attributes not provided to perform the operation.")
    for other in host.devices:
        if (
            other.kind == "vxlan"
            and _port(other) == link.get("dstport", "8472")
            and int(other.link.get("id", "0")) == int(link.get("id", "0"))
            and _six(other.link) == _six(link)
        ):
            raise kernel("A VXLAN device with the specified VNI already exists.")


def _port(other: Device) -> str:
    return other.link.get("dstport", "8472" if other.kind == "vxlan" else "6081")


def _six(link: dict[str, str]) -> bool:
    return ":" in link.get("remote", link.get("local", ""))


def _geneve(host: Host, link: dict[str, str], lower: str) -> None:
    external = "external" in link
    if "id" not in link and not external:
        raise kernel("Not enough attributes provided to perform the operation.")
    for other in host.devices:
        if other.kind != "geneve":
            continue
        if _port(other) == link.get("dstport", "6081"):
            if "external" in other.link and not external:
                raise kernel("There already exists an externally controlled device on this destination port.")
            if external and "external" not in other.link:
                raise kernel("There already exists at least one externally controlled device on this destination port.")
        alike = other.link.get("id") == link.get("id") and other.link.get("remote") == link.get("remote")
        if alike and _port(other) == link.get("dstport", "6081"):
            raise rtnetlink(BUSY)


def _tunnel(kind: str) -> _Check:
    def check(host: Host, link: dict[str, str], lower: str) -> None:
        names = ("local", "remote", "key", "ikey", "external")
        if not any(name in link for name in names):  # the kernel's own gre0 or tunl0, which tcemu does not list
            raise rtnetlink(FILE_EXISTS)
        for other in host.devices:
            if other.kind == kind and [other.link.get(name) for name in names] == [link.get(name) for name in names]:
                raise rtnetlink(FILE_EXISTS)

    return check


_CHECKS: Final[dict[str, _Check]] = {
    "vlan": _vlan,
    "vxlan": _vxlan,
    "geneve": _geneve,
    "gre": _tunnel("gre"),
    "gretap": _tunnel("gretap"),
    "ip6gre": _tunnel("ip6gre"),
    "ip6gretap": _tunnel("ip6gretap"),
    "ipip": _tunnel("ipip"),
    "sit": _tunnel("sit"),
    "erspan": _tunnel("erspan"),
}
