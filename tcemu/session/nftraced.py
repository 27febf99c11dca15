"""Messages of nft's trace as text, with the session's rules and names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tcemu.ir.trace import Message
    from tcemu.session.session import Session


def text_of(session: Session, messages: Iterable[Message], names: dict[int, str] | None = None) -> str:
    """What `nft monitor trace` would have written; ``names``: of devices by index, those of the session without them."""
    from tcemu.nft.names import Names
    from tcemu.nft.show import Out
    from tcemu.nft.trace_text import line

    out = Out(session.ruleset, Names(session.host), session.now())
    devices = names if names is not None else {device.index: device.name for device in session.host.devices}
    return "".join(line(message, out, devices) for message in messages)
