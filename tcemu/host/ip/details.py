"""What ``ip -details link`` says of a kind: text and JSON side by side.

Source: iproute2 6.1 ip/iplink_vxlan.c, iplink_geneve.c, link_gre.c, iplink_vlan.c, tested against Linux 6.1.192.
"""

from __future__ import annotations

from typing import Any

from tcemu.host.model import Device

Face = tuple[str, dict[str, Any]]


def describe(device: Device) -> Face:
    """The text behind ``maxmtu`` (empty for a plain device), and the members of ``info_data``."""
    if device.kind in ("physical", "loopback"):
        return "", {}
    words, data = _KINDS.get(device.kind, _plain)(device)
    name = "tun" if device.kind in ("tap", "tun") else device.kind
    return f"\n    {name} {words}", data


def _plain(device: Device) -> Face:
    """A kind whose parameters are kept as they were given."""
    shown = {name: value for name, value in device.link.items() if value}
    return "".join(f"{name} {value} " for name, value in shown.items()), dict(shown)


def _tap(device: Device) -> Face:
    return f"type {device.kind} pi off vnet_hdr off persist on ", {
        "type": device.kind,
        "pi": False,
        "vnet_hdr": False,
        "multi_queue": False,
        "persist": True,
    }


def _vlan(device: Device) -> Face:
    protocol = device.link.get("protocol", "802.1Q")
    number = int(device.link.get("id", "0"))
    names = ["REORDER_HDR"] if device.link.get("reorder_hdr", "on") == "on" else []
    names += [
        name for word, name in (("gvrp", "GVRP"), ("mvrp", "MVRP"), ("loose_binding", "LOOSE_BINDING")) if device.link.get(word) == "on"
    ]
    return f"protocol {protocol} id {number} <{','.join(names)}> ", {"protocol": protocol, "id": number, "flags": names}


def _ttl(device: Device) -> tuple[str, int]:
    word = device.link.get("ttl", "")
    return ("auto", 0) if word in ("", "0", "auto") else (word, int(word) if word.isdigit() else 0)


def _tos(device: Device) -> tuple[str, str]:
    word = device.link.get("tos", "")
    if not word or word == "0":
        return "", ""
    return (f"tos {word} ", "0x1") if word == "inherit" else (f"tos {hex(int(word, 0))} ", hex(int(word, 0)))


def _on(device: Device, word: str, default: bool) -> bool:
    if word in device.link:
        return True
    return False if f"no{word}" in device.link else default


def _ends(device: Device, order: tuple[str, ...]) -> Face:
    """Remote and local address in a kind's order."""
    words, data = "", {}
    for end in order:
        value = device.link.get(end, "")
        if value:
            words += f"{end} {value} "
            data[f"{end}6" if ":" in value and device.kind != "ip6gre" else end] = value
    return words, data


def _vxlan(device: Device) -> Face:
    external = "external" in device.link
    number = int(device.link.get("id", "0"), 0)
    ends, end_data = _ends(device, ("remote", "local"))
    low, high = (device.link.get("srcport", "0 0").split() * 2)[:2]
    port = int(device.link.get("dstport", "8472"))
    learning = _on(device, "learning", not external)
    tos, tos_data = _tos(device)
    ttl, ttl_data = _ttl(device)
    csum, zero_tx, zero_rx = _on(device, "udpcsum", True), _on(device, "udp6zerocsumtx", False), _on(device, "udp6zerocsumrx", False)
    words = (
        ("external " if external else "")
        + f"id {number} {ends}"
        + (f"dev {device.lower} " if device.lower else "")
        + f"srcport {low} {high} dstport {port} "
        + ("" if learning else "nolearning ")
        + f"{tos}ttl {ttl} ageing 300 {'' if csum else 'no'}udpcsum {'' if zero_tx else 'no'}udp6zerocsumtx {'' if zero_rx else 'no'}udp6zerocsumrx "
    )
    data: dict[str, Any] = {"external": True} if external else {}
    data |= {"id": number} | end_data | ({"link": device.lower} if device.lower else {})
    data |= {"port_range": {"low": int(low), "high": int(high)}, "port": port, "learning": learning}
    data |= ({"tos": tos_data} if tos_data else {}) | {"ttl": ttl_data, "df": "unset", "ageing": 300, "udp_csum": csum}
    return words, data | {"udp_zero_csum6_tx": zero_tx, "udp_zero_csum6_rx": zero_rx}


def _geneve(device: Device) -> Face:
    external = "external" in device.link
    number = int(device.link.get("id", "0"), 0)
    ends, end_data = _ends(device, ("remote",))
    tos, tos_data = _tos(device)
    ttl, ttl_data = _ttl(device)
    port = int(device.link.get("dstport", "6081"))
    six = ":" in device.link.get("remote", "")
    words = ("external " if external else "") + f"id {number} {ends}ttl {ttl} {tos}dstport {port} "
    data: dict[str, Any] = ({"external": True} if external else {}) | {"id": number} | end_data
    data |= {"ttl": ttl_data} | ({"tos": tos_data} if tos_data else {}) | {"df": "unset", "port": port}
    zero_rx = _on(device, "udp6zerocsumrx", not six)
    if six:
        zero_tx = _on(device, "udp6zerocsumtx", False)
        words += f"{'' if zero_tx else 'no'}udp6zerocsumtx "
        data["udp_zero_csum6_tx"] = zero_tx
    elif not external:
        csum = _on(device, "udpcsum", False)
        words += f"{'' if csum else 'no'}udpcsum "
        data["udp_csum"] = csum
    return words + f"{'' if zero_rx else 'no'}udp6zerocsumrx ", data | {"udp_zero_csum6_rx": zero_rx}


def _gre(device: Device) -> Face:
    external = "external" in device.link
    remote, local = device.link.get("remote", "any"), device.link.get("local", "any")
    six = device.kind.startswith("ip6")
    words = ("external " if external else "") + f"remote {remote} local {local} "
    data: dict[str, Any] = ({"external": True} if external else {}) | {"remote": remote, "local": local}
    ttl = device.link.get("ttl", "64" if six and not external else "inherit")
    if six:
        words += f"hoplimit {ttl} encaplimit {0 if external else 4} tclass {int(device.link.get('tos', '0'), 0):#04x} flowlabel 0x00000 "
        data |= {"ttl": int(ttl) if ttl.isdigit() else 0}
    else:
        words += f"ttl {ttl} "
        tos = device.link.get("tos", "")
        words += f"tos {tos} " if tos else ""
        data |= {"ttl": int(ttl) if ttl.isdigit() else 0} | ({"tos": tos} if tos else {}) | {"pmtudisc": "nopmtudisc" not in device.link}
        words += "nopmtudisc " if "nopmtudisc" in device.link else ""
    for word, both in (("ikey", "key"), ("okey", "key")):
        value = device.link.get(word, device.link.get(both, ""))
        if value:
            words += f"{word} {value} "
            data[word] = value
    for word, both in (("iseq", "seq"), ("oseq", "seq"), ("icsum", "csum"), ("ocsum", "csum")):
        if word in device.link or both in device.link:
            words += f"{word} "
            data[word] = True
    return words, data


def _ipip(device: Device) -> Face:
    words, data = _gre(device)
    return f"any {words}pmtudisc ", {"proto": "any"} | data


_KINDS = {
    "tap": _tap,
    "tun": _tap,
    "vlan": _vlan,
    "vxlan": _vxlan,
    "geneve": _geneve,
    "gre": _gre,
    "gretap": _gre,
    "ip6gre": _gre,
    "ip6gretap": _gre,
    "erspan": _gre,
    "ipip": _ipip,
}
