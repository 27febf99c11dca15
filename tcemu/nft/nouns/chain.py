"""Chains: add, delete, flush, rename. Source: Linux net/netfilter/nf_tables_api.c (nf_tables_addchain, nf_tables_updchain, nf_tables_delchain)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcemu.ir.ruleset import Attachment, Chain, Table
from tcemu.ir.step import Do, Step
from tcemu.ir.verdict import ACCEPT, DROP, RETURN, Verdict
from tcemu.nft.define import chain as settings_of
from tcemu.nft.errors import NftError
from tcemu.nft.kernel import Kernel, check_name, unhinted
from tcemu.nft.notes import ChainNote, RuleNote, pack, unpack
from tcemu.nft.refusal import EBUSY, EEXIST, EOPNOTSUPP, KernelError
from tcemu.nft.tree import Command

if TYPE_CHECKING:
    from tcemu.nft.run import Run

NAT_HOOKS = ("prerouting", "input", "output", "postrouting")


def add(run: Run, command: Command) -> None:
    """Add a chain and the rules of its block."""
    make_alone(run, command)
    rules(run, command)


def make_alone(run: Run, command: Command) -> None:
    """Add a chain without its rules."""
    run.cache.need_table(command.spec.family, command.spec.table, command.spec.table_at)
    settings = settings_of(command, command.spec.family)
    for name in settings.devices if settings is not None else []:
        run.need_device(name, command.at)
    make(run.kernel, command, settings)


def rules(run: Run, command: Command) -> None:
    """Add the rules of a chain's block."""
    if command.body is not None:
        for rule in command.body.members:
            run.one(Command(rule.at, "add", "rule", command.spec.plain(), rule))


def make(kernel: Kernel, command: Command, settings: ChainNote | None) -> Chain:
    """Make a chain, or change one that is there; ``settings`` are those of a base chain (or a comment)."""
    spec = command.spec
    table = kernel.table(spec.outer())
    check_name(spec.name, spec.name_at)
    key = f"{table.key}/{spec.name}"
    record = kernel.ruleset.chains.get(key)
    if record is not None:
        if command.op == "create":
            raise KernelError(EEXIST, spec.name_at)
        _change(kernel, command, record, settings)
        return record
    note = settings or ChainNote()
    if note.hook or note.flags:
        _check(command, table.family, note)
    if note.hook:
        note.policy = note.policy or "accept"
    note.handle = kernel.next_handle(table)
    made = Chain(key=key, parent=table.key, rank=note.handle, name=spec.name, note=pack(note))
    made.end = Verdict(RETURN) if not note.hook else Verdict(DROP if note.policy == "drop" else ACCEPT)
    kernel.ruleset.chains.put(made)
    kernel.tell("chain", made)
    kernel.reach(table.key).chain(key, note)
    _attach(kernel, made, table, note)
    return made


def _check(command: Command, family: str, note: ChainNote) -> None:
    """Which types may hook where (nft_chain_nat.c, nft_chain_route.c, nft_chain_filter.c)."""
    wrong = (
        ("offload" in note.flags and family != "netdev")
        or (note.type == "nat" and (family not in ("ip", "ip6", "inet") or note.hook not in NAT_HOOKS or note.priority <= -200))
        or (note.type == "route" and (family not in ("ip", "ip6", "inet") or note.hook != "output"))
        or (note.type != "filter" and family in ("arp", "bridge", "netdev"))
    )
    if wrong:
        raise KernelError(EOPNOTSUPP, command.at)


def _change(kernel: Kernel, command: Command, record: Chain, settings: ChainNote | None) -> None:
    """Only the policy of a chain changes."""
    if settings is None:
        return
    note = unpack(record.note, ChainNote)
    if settings.hook:
        if not note.hook:
            raise KernelError(EEXIST, command.spec.name_at)
        mine = (settings.type, settings.hook, settings.priority, settings.devices)
        if mine != (note.type, note.hook, note.priority, note.devices):
            raise KernelError(EEXIST if command.op == "create" else EOPNOTSUPP, command.at)
    if settings.policy:
        if not note.hook:
            raise KernelError(EOPNOTSUPP, command.at)
        note.policy = settings.policy
        record.end = Verdict(DROP if note.policy == "drop" else ACCEPT)
    record.note = pack(note)
    kernel.ruleset.chains.put(record)
    if settings.policy:
        kernel.tell("chain", record)


def _attach(kernel: Kernel, chain: Chain, table: Table, note: ChainNote) -> None:
    """The ways into a base chain: one, or one a device."""
    if not note.hook:
        return
    for device in note.devices or [""]:
        made = Attachment(key=f"{chain.key}@{device}", parent=table.key, rank=kernel.next_registration(), chain=chain.key, kind=note.type)
        made.layer, made.hook, made.device, made.priority = table.family, note.hook, device, note.priority
        kernel.ruleset.attachments.put(made)


def delete(run: Run, command: Command) -> None:
    """Delete a chain to which nothing jumps, with its rules."""
    kernel, spec = run.kernel, command.spec
    try:
        record = kernel.chain(spec)
    except NftError:
        if command.op == "destroy":
            return
        raise
    if unpack(record.note, ChainNote).uses:
        raise KernelError(EBUSY, spec.name_at if spec.name else spec.handle_at)
    kernel.flush(record)
    for attachment in kernel.ruleset.attachments.children(record.parent):
        if attachment.chain == record.key:
            kernel.ruleset.attachments.delete(attachment.key)
    kernel.ruleset.chains.delete(record.key)
    kernel.forget(record.parent)


def flush(run: Run, command: Command) -> None:
    """Remove a chain's rules."""
    try:
        record = run.kernel.chain(command.spec)
    except NftError as error:
        raise unhinted(error) from None
    run.kernel.flush(record)


# ---------------------------------------------------------------- rename
def rename(run: Run, command: Command) -> None:
    """Give a chain another name; what jumps to it follows."""
    kernel, spec = run.kernel, command.spec
    run.cache.need_table(spec.family, spec.table, spec.table_at)
    if kernel.ruleset.chains.get(f"{spec.family} {spec.table}/{spec.name}") is None:
        raise run.cache.chain_not_found(spec.name, spec.name_at)
    record = kernel.chain(spec)
    new = f"{record.parent}/{command.body}"
    if kernel.ruleset.chains.get(new) is not None:
        raise KernelError(EEXIST, command.at)
    kernel.forget(record.parent)
    rules = kernel.ruleset.rules.children(record.key)
    kernel.ruleset.chains.delete(record.key)
    old, record.key, record.name = record.key, new, str(command.body)
    kernel.ruleset.chains.put(record)
    for rule in rules:
        kernel.ruleset.rules.delete(rule.key)
        rule.key, rule.parent = f"{new}/{rule.key.rpartition('/')[2]}", new
        kernel.ruleset.rules.put(rule)
    _retarget(kernel, record.parent, old, new)


def _retarget(kernel: Kernel, table: str, old: str, new: str) -> None:
    """Verdicts and attachments follow a renamed chain."""
    for attachment in kernel.ruleset.attachments.children(table):
        if attachment.chain == old:
            kernel.ruleset.attachments.delete(attachment.key)
            attachment.chain, attachment.key = new, attachment.key.replace(old, new, 1)
            kernel.ruleset.attachments.put(attachment)
    for chain in kernel.ruleset.chains.children(table):
        note = unpack(chain.note, ChainNote)
        if old in note.leads:
            note.leads[new] = note.leads.pop(old)
            chain.note = pack(note)
            kernel.ruleset.chains.put(chain)
            _rules(kernel, chain, old, new, len(table) + 1)
    for record in kernel.ruleset.sets.children(table):
        for element in kernel.ruleset.elements.children(record.key) if record.verdicts else []:
            if element.verdict is not None and element.verdict.to == old:
                element.verdict = Verdict(element.verdict.code, new)
                kernel.ruleset.elements.put(element)


def _rules(kernel: Kernel, chain: Chain, old: str, new: str, start: int) -> None:
    for rule in kernel.ruleset.rules.children(chain.key):
        note = unpack(rule.note, RuleNote)
        if old not in note.uses:
            continue
        note.uses = [new if use == old else use for use in note.uses]
        note.body = [[*form[:2], new[start:]] if form[0] == "verdict" and form[2] == old[start:] else form for form in note.body]
        rule.steps = [_renamed(step, old, new) for step in rule.steps]
        rule.note = pack(note)
        kernel.ruleset.rules.put(rule)


def _renamed(step: Step, old: str, new: str) -> Step:
    if isinstance(step, Do) and step.then.to == old:
        return Do(step.effect, Verdict(step.then.code, new, step.then.number), step.obj, step.implied)
    return step
