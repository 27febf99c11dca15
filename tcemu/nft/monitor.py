"""``nft monitor``: tell what other processes change in the session, until interrupted.

    nft monitor [new|destroy] [tables|chains|sets|rules|elements|ruleset]

The kernel sends events; here the ruleset is looked at again whenever the session's file has another version. ``trace`` is the caller's: what
packets do is told by replays (`tcemu.session.traceline`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tcemu.nft.cache import Cache
from tcemu.nft.commands import Options, execute, output, parse_options
from tcemu.nft.events import Event, changes, look, told
from tcemu.nft.kernel import Kernel
from tcemu.world import Reply, World


def asked(argv: Sequence[str]) -> Options | None:
    """The options, if the command is a monitor that can be followed."""
    options = parse_options(argv)
    words = " ".join(options.words).split()
    if options.file or not words or words[0] != "monitor":
        return None
    return options


def wants_trace(options: Options) -> bool:
    """``monitor trace``?"""
    return " ".join(options.words).split()[1:] == ["trace"]


def follow(world: World, options: Options, changed: Iterable[None], tell: Callable[[str], None]) -> Reply:
    """Tell changes as they come, unless the command is wrong. ``changed`` has an item each time that the session's file is another."""
    words = " ".join(options.words).split()[1:]
    refused = execute(options, "", " ".join(options.words) + "\n", world)
    if refused.exit_code:
        return refused
    which = next((word for word in words if word in ("new", "destroy")), "")
    what = next((word for word in words if word not in ("new", "destroy", "json", "vm", "xml")), "")
    seen = look(world.ruleset)
    for _ in changed:
        now = look(world.ruleset)
        events = told(changes(seen, now, output(options, world)), which, what)
        seen = now
        tell(_text(events, options, world))
    return refused


def _text(events: list[Event], options: Options, world: World) -> str:
    import json

    if options.has("j"):
        return "".join(json.dumps(event.json, ensure_ascii=False) + "\n" for event in events)
    lines = "".join(f"{event.text}\n" for event in events)
    return lines + (f"# new generation {Kernel(world.ruleset, Cache(world.ruleset)).generation()} by process 0 (tcemu)\n" if lines else "")
