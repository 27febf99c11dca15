"""Keys of flower and the versions that they came with. A strict session knows those after 6.1 as little as tc 6.1.0 does.

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
AGES: Final[dict[str, tuple[int, ...]]] = {  # keys that are not as old as flower's VLANs and ports; a profile may be older than they
    **dict.fromkeys(("CT_STATE", "CT_ZONE", "CT_MARK", "CT_LABEL"), (5, 3)),
    **dict.fromkeys(("CVLAN_ID", "CVLAN_PRIO", "CVLAN_ETHTYPE", "ENC_TOS", "ENC_TTL", "GENEVE_OPTS"), (4, 19)),
    **dict.fromkeys(("VXLAN_OPTS", "ERSPAN_OPTS"), (5, 7)),
    **dict.fromkeys(("NUM_OF_VLANS", "PPPOE_SID", "PPP_PROTO", "GTP_OPTS"), (5, 19)),
    "L2TPV3_SID": (6, 2),
    "L2_MISS": (6, 5),
    "MDL": (6, 5),
    "OP": (6, 5),
    "SPI": (6, 6),
    "PFCP_OPTS": (6, 11),
    "ENC_FLAGS": (6, 12),
}
PROTO_AGES: Final[dict[str, tuple[int, ...]]] = {"l2tp": (6, 2), "esp": (6, 6), "ah": (6, 6)}
PROTOS: Final = {"l2tp": 115, "esp": 50, "ah": 51}
ENC_FLAGS: Final = (("tuncsum", 4), ("tundf", 8), ("tunoam", 16), ("tuncrit", 32))  # TCA_FLOWER_KEY_FLAGS_TUNNEL_*


def known(reader: FlowerReader, name: str, word: Word) -> None:
    """Complain of a key that the profile's tc does not have."""
    if not reader.parse.names.profile.knows(AGES[name], reader.parse.names.strict):
        reader.complain(KEYS[name][2] if name in KEYS else reader.parse.words[word.place - 1])


def read(reader: FlowerReader, name: str, word: Word) -> None:
    """Keys that tc 6.1 does not have."""
    field, limit, text = KEYS[name]
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
