"""The way of one frame through a session, step by step; nothing is changed by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tcemu.diagnostics import Refused
from tcemu.engine.machine import Sink
from tcemu.engine.nftrace import NfTracer
from tcemu.engine.trace import Event, Tracer, render
from tcemu.session.labels import labels
from tcemu.session.nftraced import text_of
from tcemu.session.offloading import used
from tcemu.session.replayed import verdict_name
from tcemu.session.running import Running, undone

if TYPE_CHECKING:
    from tcemu.session.session import Session


class Sent(NamedTuple):
    """A frame that left."""

    device: str
    data: bytes


class Trace(NamedTuple):
    """What happened to the frame: its verdict, the events, the frames that left because of it, and all that as text."""

    verdict: str
    events: list[Event]
    sent: list[Sent]
    text: str
    nft: str  # the same in the words of `nft monitor trace`

    def __str__(self) -> str:
        return self.text


class _Keep(Sink):
    def __init__(self) -> None:
        super().__init__()
        self.wants_frames = True
        self.frames: list[tuple[int, bytes]] = []

    def transmit(self, device: int, data: bytes) -> None:
        self.frames.append((device, data))


def trace(session: Session, frame: bytes, device: str) -> Trace:
    """See `Session.trace`. Raises Refused when there is no such device."""
    from tcemu.host import devices

    sink = _Keep()
    tracer = Tracer()
    heard = NfTracer(every=True, other=tracer)

    def run() -> tuple[str, dict[int, str], dict[str, str], str]:
        if not session.strict:
            devices.ensure(session.host, device)
        port = session.host.devices.get(device)
        if port is None:
            raise Refused(f'Cannot find device "{device}"', exit_code=1)
        running = Running(session, sink, offload=used(session))
        running.machine.observer = heard
        running.machine.receive(frame, 0, len(frame), len(frame), session.now(), 0, port.index)
        keys = list(dict.fromkeys(event.key for event in tracer.events if event.kind in ("matched", "missed")))
        texts = {key: f"{label.place}: {label.text}" if label.text else label.place for key, label in labels(session, keys).items()}
        return verdict_name(running.machine), running.names, texts, text_of(session, heard.messages)

    verdict, names, texts, nft = undone(session, run)
    sent = [Sent(names.get(index, str(index)), data) for index, data in sink.frames]
    text = render(tracer.events, texts) + "".join(f"sent on {one.device}: {one.data.hex()}\n" for one in sent) + f"verdict: {verdict}\n"
    return Trace(verdict, tracer.events, sent, text, nft)
