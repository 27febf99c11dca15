"""From the wall clock to a capture's: a session that was made just now replays packets of years ago.

Until a session replays something its clock is the wall's, and rules are stamped with it. The first capture moves the session to
its own time: stamps and lifetimes keep their distance to "now", which becomes the capture's first packet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcemu.session.session import CLOCK

if TYPE_CHECKING:
    from tcemu.session.session import Session


def enter_capture_time(session: Session, first: int, wall: int) -> None:
    """Move the session from the wall clock's ``wall`` to a capture's first packet (both ns), if it is at the wall clock still."""
    if session.store.meta(CLOCK) is not None:
        return
    shift = first - wall
    with session.transaction():
        for action in list(session.ruleset.objects):
            if action.stats.installed:
                action.stats.installed += shift
                session.ruleset.objects.put(action)
        for element in list(session.ruleset.elements):
            if element.expires:
                element.expires += shift
                session.ruleset.elements.put(element)
        for record in list(session.connections):
            record.expires += shift
            record.started += shift
            session.connections.put(record)
        session.set_now(first)
