"""A device goes, or has another name: the ruleset follows, as the kernel's notifiers do.

Source: net/sched/sch_generic.c dev_shutdown() (qdiscs and what is attached to them), net/sched/act_mirred.c mirred_device_event()
(the action stays, without a target), net/netfilter/nf_tables_netdev.c nf_tables_netdev_event() (hooks of chains and flowtables).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from tcemu.ir.codec import SHELVES, decoder, encode
from tcemu.ir.effect import Output

if TYPE_CHECKING:
    from tcemu.ir.ruleset import Ruleset
    from tcemu.session.session import Session
    from tcemu.shelf import Record, Shelf

# how a device's name stands in keys and records, in front of it and behind it (tcemu.ir.ruleset)
_PLACES = (("tc dev ", " "), ("tc qdisc ", '"'), ("tc qdisc ", " "), ("tc root ", '"'), ('device":"', '"'))


def unplug(session: Session, name: str) -> None:
    """The device is gone."""
    ruleset = session.ruleset
    with session.transaction():
        _drop_qdiscs(session, name)
        _retarget(ruleset, name, "")
        for attachment in [one for one in ruleset.attachments if one.device == name and one.kind != "tc"]:
            _unhook(ruleset, attachment.key, attachment.chain)
        for flowtable in [one for one in ruleset.flowtables if name in one.devices]:
            flowtable.devices = tuple(device for device in flowtable.devices if device != name)
            ruleset.flowtables.put(flowtable)


def _drop_qdiscs(session: Session, name: str) -> None:
    from tcemu.tc.notes import QdiscNote, unpack
    from tcemu.tc.qdisc import remove
    from tcemu.tc.work import Work

    for record in session.ruleset.tables.children(f"tc qdisc {name}"):
        work = Work(session)
        remove(work, unpack(QdiscNote, record.note))
        work.commit()


def _retarget(ruleset: Ruleset, name: str, new: str) -> None:
    for action in ruleset.objects.children("tc mirred"):
        if isinstance(action.effect, Output) and action.effect.device == name:
            action.effect = replace(action.effect, device=new)
            ruleset.objects.put(action)


def _unhook(ruleset: Ruleset, attachment: str, chain: str) -> None:
    """A netdev base chain loses a device; with its last one it goes, with its rules."""
    ruleset.attachments.delete(attachment)
    if any(one.chain == chain for one in ruleset.attachments):
        return
    for rule in ruleset.rules.children(chain):
        ruleset.rules.delete(rule.key)
    ruleset.chains.delete(chain)


def rename(session: Session, name: str, new: str) -> None:
    """The device has another name. The kernel keeps indexes where tcemu keeps names, so whatever holds the name is written anew."""
    ruleset = session.ruleset
    old, now = (tuple(f'"{lead}{one}{tail}'.encode() for lead, tail in _PLACES) for one in (name, new))
    with session.transaction():
        _retarget(ruleset, name, new)
        for shelf_name, kind in SHELVES.items():
            shelf: Shelf[Record] = getattr(ruleset, shelf_name)
            decode = decoder(kind).decode
            for record in list(shelf):
                body = encode(record)
                changed = body
                for before, after in zip(old, now, strict=True):
                    changed = changed.replace(before, after)
                if changed != body:
                    shelf.delete(record.key)
                    shelf.put(decode(changed))
        for flowtable in [one for one in ruleset.flowtables if name in one.devices]:
            flowtable.devices = tuple(new if device == name else device for device in flowtable.devices)
            ruleset.flowtables.put(flowtable)
