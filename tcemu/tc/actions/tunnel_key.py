"""tunnel_key: tell a tunnel device how to wrap the packet, or forget how it came wrapped.

Source: iproute2 6.1 tc/m_tunnel_key.c, man tc-tunnel_key(8); net/sched/act_tunnel_key.c.
"""

from __future__ import annotations

from typing import Any

from tcemu.ir.effect import Tunnel
from tcemu.ir.ruleset import Object
from tcemu.syntax.words import Word
from tcemu.tc import readers, tunnel_options
from tcemu.tc.actions.base import ActionReader
from tcemu.tc.command import ActionSpec, FilterCommand
from tcemu.tc.complaint import RefusalError
from tcemu.tc.notes import ActionNote
from tcemu.tc.printers import address_text, show_control, show_index
from tcemu.tc.work import Work
from tcemu.tc.writer import Writer


class TunnelKeyReader(ActionReader):
    """Reads tunnel_key."""

    KIND = "tunnel_key"

    def __init__(self, parse: Any, head: Word) -> None:
        super().__init__(parse, head)
        self.op = ""
        self.source: readers.Prefix | None = None
        self.target: readers.Prefix | None = None
        self.key: int | None = None
        self.port = 0
        self.numbers = {"tos": 0, "ttl": 0}
        self.csum = True
        self.options = ("", "")
        self.ported = False

    def flag(self, name: str, word: Word) -> None:
        if name == "HELP":
            self.usage()
        if name in ("CSUM_WORD", "NOCSUM"):
            self.csum = name == "CSUM_WORD"
            return
        if self.op:
            self.explain(f'unexpected "{word}" - action already specified\n')
        self.op = name.lower()

    def on_src_ip(self, word: Word) -> None:
        self.source = readers.address(word)

    def on_dst_ip(self, word: Word) -> None:
        self.target = readers.address(word)

    def on_id(self, word: Word) -> None:
        self.key = readers.unsigned(word, readers.U32)
        if self.key is None:
            self.fail('Illegal "id"\n')

    def on_dst_port(self, word: Word) -> None:
        port = readers.unsigned(word, readers.U16)
        if port is None:
            self.fail('Illegal "dst port"\n')
        self.port, self.ported = port, True

    def on_tos(self, word: Word) -> None:
        self._number("tos", word)

    def on_ttl(self, word: Word) -> None:
        self._number("ttl", word)

    def _number(self, name: str, word: Word) -> None:
        number = readers.unsigned(word, readers.U8)
        number = readers.unsigned(word, readers.U8, 16) if number is None else number
        if number is None:
            self.fail(f'Illegal "{name}"\n')
        self.numbers[name] = number

    def on_geneve_opts(self, word: Word) -> None:
        self._options("geneve", word)

    def on_vxlan_opts(self, word: Word) -> None:
        self._options("vxlan", word)

    def on_erspan_opts(self, word: Word) -> None:
        self._options("erspan", word)

    def _options(self, kind: str, word: Word) -> None:
        text = tunnel_options.canonical(kind, word)
        if text is None:
            self.fail(f'Illegal "{kind}_opts"\n')
        self.options = (kind, text)

    def finish(self) -> ActionSpec:
        source, target = self.source, self.target
        if self.op == "set" and (source is None or target is None):
            self.explain("set needs tunnel_key parameters\n")
        if self.op != "set":
            return self.spec(Tunnel() if self.op == "unset" else None)
        assert source is not None and target is not None
        family = source.family if source.family == target.family else -1
        spec = self.spec(
            Tunnel(
                family,
                source.address,
                target.address,
                self.key,
                self.port,
                self.numbers["tos"],
                self.numbers["ttl"],
                self.csum,
                self.options[1],
                self.options[0],
            )
        )
        spec.extra = {"ported": True} if self.ported else {}
        return spec


READER = TunnelKeyReader


def check(_work: Work, spec: ActionSpec, _command: FilterCommand | None) -> Tunnel:
    """What the kernel wants (tunnel_key_init)."""
    tunnel = spec.effect
    if not isinstance(tunnel, Tunnel):
        raise RefusalError("Unknown tunnel key action")
    if tunnel.options_kind == "geneve":
        tunnel_options.check_geneve(tunnel.options)
    if tunnel.options_kind == "erspan":
        tunnel_options.check_erspan(tunnel.options)
    if tunnel.family < 0:
        raise RefusalError("Missing either ipv4 or ipv6 src and dst")
    return tunnel


def show(out: Writer, action: Object, note: ActionNote, now: int) -> None:
    """Print a tunnel_key."""
    tunnel = action.effect
    assert isinstance(tunnel, Tunnel)
    out.string("kind", "%s ", "tunnel_key")
    out.string("mode", " %s", "set" if tunnel.family else "unset")
    if tunnel.family:
        _show_set(out, tunnel, bool(note.extra.get("ported")))
    show_control(out, " ", action.then, "")
    out.newline()
    show_index(out, "\t index %u", action, note, now)


def _show_set(out: Writer, tunnel: Tunnel, ported: bool) -> None:
    out.newline()
    out.string("src_ip", "\tsrc_ip %s", address_text(tunnel.family, tunnel.source))
    out.newline()
    out.string("dst_ip", "\tdst_ip %s", address_text(tunnel.family, tunnel.target))
    if tunnel.key is not None:
        out.newline()
        out.number("key_id", "\tkey_id %u", tunnel.key)
    if ported and tunnel.port:
        out.newline()
        out.number("dst_port", "\tdst_port %u", tunnel.port)
    if tunnel.options_kind:
        tunnel_options.show(out, tunnel.options_kind, tunnel.options)
    out.newline()
    out.string("flag", "\t%s", "csum" if tunnel.csum else "nocsum")
    if tunnel.tos:
        out.newline()
        out.number("tos", "\ttos 0x%x", tunnel.tos)
    if tunnel.ttl:
        out.newline()
        out.number("ttl", "\tttl %u", tunnel.ttl)
