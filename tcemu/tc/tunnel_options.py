"""Options of tunnel headers: Geneve, VXLAN GBP, ERSPAN, GTP; the same words in flower keys and in tunnel_key.

A canonical text holds numbers without names: Geneve ``class:type:data,…`` in hexadecimal, VXLAN the group number, ERSPAN
``version:index:direction:hwid``, GTP ``type:qfi`` in hexadecimal.
Source: iproute2 6.1 tc/m_tunnel_key.c, tc/f_flower.c (flower_parse_enc_opts_*, flower_print_*_opts).
"""

from __future__ import annotations

import errno
from typing import Final

from tcemu.tc import readers
from tcemu.tc.complaint import RefusalError
from tcemu.tc.writer import Writer

ERSPAN: Final = (("ver", readers.U8), ("index", readers.U32), ("dir", readers.U8), ("hwid", readers.U8))
GBP_MASK: Final = 0x48FFFF  # VXLAN_GBP_MASK


def canonical(kind: str, text: str) -> str | None:
    """The canonical text of options as written for tunnel_key, or None."""
    return {"geneve": _geneve, "vxlan": _vxlan, "erspan": _erspan, "gtp": _gtp, "pfcp": _pfcp}[kind](text)


def with_masks(kind: str, word: str) -> tuple[str, str] | None:
    """Key and mask of tunnel options; a missing mask is all ones (flower_parse_enc_opts_*)."""
    if kind != "geneve":
        text, slash, tail = word.partition("/")
        full = {
            "vxlan": "0xffffffff",
            "erspan": f"{text.partition(':')[0]}:0xffffffff:0xff:0xff",
            "gtp": "ff:ff",
            "pfcp": "ff:ffffffffffffffff",
        }[kind]
        key, mask = canonical(kind, text), canonical(kind, tail if slash else full)
        return None if key is None or mask is None else (key, mask)
    keys, masks = [], []
    for option in word.split(","):
        text, slash, tail = option.partition("/")
        if text.count(":") != 2 or text.startswith(":") or text.endswith(":") or "::" in text:
            return None
        keys.append(text)
        masks.append(tail if slash else f"ffff:ff:{'f' * len(text.rpartition(':')[2])}")
    key, mask = canonical(kind, ",".join(keys)), canonical(kind, ",".join(masks))
    return None if key is None or mask is None else (key, mask)


def _geneve(text: str) -> str | None:
    options = []
    for option in text.split(","):
        parts = option.split(":")
        if len(parts) != 3:
            return None
        number, code, data = (
            readers.unsigned(parts[0], readers.U16, 16),
            readers.unsigned(parts[1], readers.U8, 16),
            readers.hexbytes(parts[2]),
        )
        if number is None or code is None or data is None:
            return None
        options.append(f"{number:04x}:{code:02x}:{data.hex()}")
    return ",".join(options)


def _vxlan(text: str) -> str | None:
    group = readers.unsigned(text, readers.U32, 0)
    return None if group is None else str(group & GBP_MASK)


def _erspan(text: str) -> str | None:
    parts = text.split(":")
    if len(parts) > 4:
        return None
    values = [0, 0, 0, 0]
    for place, part in enumerate(parts):
        value = readers.unsigned(part, ERSPAN[place][1], 0) if part else 0
        if value is None:
            return None
        values[place] = value
    version, index, direction, hardware = values
    return f"{version}:{index}:0:0" if version == 1 else f"{version}:0:{direction & 1}:{hardware & 0x3F}"


def check_geneve(text: str) -> None:
    """Data come in words of four bytes (fl_set_geneve_opt, tunnel_key_copy_geneve_opt)."""
    for option in text.split(","):
        octets = len(option.rpartition(":")[2]) // 2
        if octets < 4:
            raise RefusalError("Tunnel key geneve option data is less than 4 bytes long", errno.ERANGE)
        if octets % 4:
            raise RefusalError("Tunnel key geneve option data is not a multiple of 4 bytes long", errno.ERANGE)


def check_erspan(text: str) -> None:
    """What the kernel says of versions that there are not (fl_set_erspan_opt, tunnel_key_copy_erspan_opt)."""
    if text.partition(":")[0] not in ("1", "2"):
        raise RefusalError("Tunnel key erspan option ver is incorrect")


def _gtp(text: str) -> str | None:
    parts = text.split(":")
    if len(parts) < 2:
        return None
    kind, flow = (readers.unsigned(part, readers.U8, 16) if part else 0 for part in parts[:2])
    return None if kind is None or flow is None else f"{kind:02x}:{flow:02x}"


def _pfcp(text: str) -> str | None:
    kind, _, session = text.partition(":")
    number, seid = readers.unsigned(kind, readers.U8, 16), readers.unsigned(session, readers.U64, 16)
    return None if number is None or seid is None else f"{number:02x}:{seid:x}"


def show(out: Writer, kind: str, text: str) -> None:
    """Print options of tunnel_key."""
    if kind == "geneve":
        out.open_array("geneve_opts")
        out.newline()
        out.text("\tgeneve_opts ")
        show_geneve(out, text)
        out.text(text)
        out.close_array()
        return
    out.newline()
    out.text(f"\t{kind}_opts ")
    out.open_array(f"{kind}_opts")
    out.open()
    if kind == "vxlan":
        out.number("gbp", "%u", int(text))
    else:
        for place, part in enumerate(text.split(":")):
            out.number(ERSPAN[place][0], "%u" if not place else ":%u", int(part))
    out.close()
    out.close_array()


def show_geneve(out: Writer, text: str) -> None:
    """Geneve options as JSON objects."""
    for option in text.split(",") if out.json else ():
        number, code, data = option.split(":")
        out.open()
        out.number("class", "", int(number, 16))
        out.number("type", "", int(code, 16))
        out.open_array("data")
        for byte in bytes.fromhex(data):
            out.item(byte)
        out.close_array()
        out.close()


def show_key(out: Writer, kind: str, key: str, mask: str) -> None:
    """Print options of a flower key with their masks."""
    if out.json and kind not in ("gtp", "pfcp"):
        for name, text in ((f"{kind}_opt_key", key), (f"{kind}_opt_mask", mask)):
            out.open_array(name)
            if kind == "geneve":
                show_geneve(out, text)
            else:
                out.open()
                if kind == "vxlan":
                    out.number("gbp", "", int(text))
                else:
                    for place, part in enumerate(text.split(":")):
                        out.number(ERSPAN[place][0], "", int(part))
                out.close()
            out.close_array()
    out.newline()
    out.text(f"  {kind}_opts " + ",".join(f"{left}/{right}" for left, right in zip(key.split(","), mask.split(","), strict=False)))
