"""Keys of flower that came after 6.1. A strict session knows them as little as tc 6.1.0 does.

Source: iproute2 6.14 tc/f_flower.c, man tc-flower(8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcemu.syntax.words import Word
from tcemu.tc import readers

if TYPE_CHECKING:
    from tcemu.tc.flower_read import FlowerReader

KEYS: Final = {
    "L2_MISS": ("meta.l2_miss", 1, "l2_miss"),
    "L2TPV3_SID": ("l2tp.sid", 0xFFFFFFFF, "l2tpv3_sid"),
    "SPI": ("esp.spi", 0xFFFFFFFF, "spi"),
    "MDL": ("cfm.mdl", 7, "cfm"),
    "OP": ("cfm.op", 0xFF, "cfm"),
    "ENC_FLAGS": ("enc.flags", 0, "enc_flags"),
    "PFCP_OPTS": ("pfcp", 0, "pfcp_opts"),
}
PROTOS: Final = {"l2tp": 115, "esp": 50, "ah": 51}
ENC_FLAGS: Final = (("tuncsum", 4), ("tundf", 8), ("tunoam", 16), ("tuncrit", 32))  # TCA_FLOWER_KEY_FLAGS_TUNNEL_*


def read(reader: FlowerReader, name: str, word: Word) -> None:
    """Keys that tc 6.1 does not have; a strict session knows them as little."""
    field, limit, text = KEYS[name]
    if reader.parse.names.strict:
        reader.complain(text)
    if name == "PFCP_OPTS":
        reader.read_options("pfcp", text, word)
    elif name == "ENC_FLAGS":
        value = mask = 0
        for token in word.split("/"):
            bit = dict(ENC_FLAGS).get(token.removeprefix("no"))
            if bit is None:
                reader.illegal(text)
            mask |= bit
            value |= 0 if token.startswith("no") else bit
        reader.values[field] = (value, mask)
    else:
        number = readers.unsigned(word, limit, 0)
        if number is None:
            reader.illegal(text)
        reader.values[field] = (number, limit)
