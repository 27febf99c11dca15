"""nft's own trace: an observer that tells what `nft monitor trace` would hear of.

::

    begin → matched, step … → finish: "rule"     a chain below ends: "return"     end: "return", "policy"

A rule's message comes when it has run, as its own ``meta nftrace set 1`` counts. Sources: see `tcemu.ir.trace`.
"""

from __future__ import annotations

from typing import Final

from tcemu.engine.program import Env, Observer
from tcemu.fields import ETH_DST, G_ARP, G_ETH, G_IP4, G_IP6, IIF, MARK, OIF
from tcemu.ir import verdict as codes
from tcemu.ir.trace import Headers, Message
from tcemu.packet.packet import LINK_ETHER, Packet

LEAST_NETWORK: Final = 40  # NFT_TRACETYPE_NETWORK_HSIZE
LEAST_TRANSPORT: Final = 20  # NFT_TRACETYPE_TRANSPORT_HSIZE
WORDS: Final = {codes.ACCEPT: "accept", codes.DROP: "drop", codes.QUEUE: "queue", codes.STOLEN: "stolen", codes.RETURN: "return"}
PROTOCOLS: Final = {G_IP4: 0x0800, G_IP6: 0x86DD, G_ARP: 0x0806}


class Frame:
    """One traversal of a base chain. ``stack`` holds the chains, innermost last."""

    def __init__(self, env: Env, p: Packet, chain: str) -> None:
        self.env = env
        self.packet = p
        self.base = chain
        self.stack: list[str] = []
        self.rule = ""  # the rule that is running
        self.verdict = codes.PIPE
        self.shown = False  # the headers have been told
        self.of_nft = not chain.startswith("tc ")


class NfTracer(Observer):
    """Collects messages about packets whose nftrace is set, or about all (``every``)."""

    def __init__(self, every: bool = False, other: Observer | None = None) -> None:
        super().__init__()
        self.every = every
        self.other = other  # hears all as well
        self.messages: list[Message] = []
        self._frames: list[Frame] = []
        self._passing = False

    # ------------------------------------------------------------ what the evaluator says

    def begin(self, env: Env, p: Packet, chain: str) -> bool:
        if self._passing:
            self._passing = False
            return False
        self._passing = True
        self._frames.append(Frame(env, p, chain))
        return True

    def end(self, env: Env, p: Packet, chain: str, code: int) -> None:
        frame = self._frames[-1]
        if not frame.of_nft:
            self._frames.pop()
            return
        final = frame.rule != "" and frame.verdict in (codes.ACCEPT, codes.DROP, codes.QUEUE, codes.STOLEN)
        self._finish("")
        if not final:
            self._leave("")
            self._tell("policy", frame.base, "", WORDS.get(code, "accept"))
        self._frames.pop()

    def chain(self, name: str) -> None:
        if self.other is not None:
            self.other.chain(name)
        frame = self._frames[-1]
        if not frame.of_nft:
            return
        jumped = frame.verdict
        self._finish(name)
        if jumped == codes.GOTO and frame.stack:
            frame.stack.pop()
        frame.stack.append(name)

    def missed(self, rule: str) -> None:
        if self.other is not None:
            self.other.missed(rule)
        if self._frames[-1].of_nft:
            self._finish("")
            self._leave(rule.rpartition("/")[0])

    def matched(self, rule: str) -> None:
        if self.other is not None:
            self.other.matched(rule)
        frame = self._frames[-1]
        if frame.of_nft:
            self._finish("")
            self._leave(rule.rpartition("/")[0])
            frame.rule = rule

    def step(self, rule: str, index: int, what: str, verdict: int) -> None:
        if self.other is not None:
            self.other.step(rule, index, what, verdict)
        self._frames[-1].verdict = verdict

    def say(self, kind: str, text: str) -> None:
        if self.other is not None:
            self.other.say(kind, text)

    # ------------------------------------------------------------ what becomes of it

    def _finish(self, target: str) -> None:
        """The running rule is through; ``target`` is the chain that it leads to."""
        frame = self._frames[-1]
        rule, verdict = frame.rule, frame.verdict
        frame.rule, frame.verdict = "", codes.PIPE
        if not rule or verdict == codes.MISS:
            return
        if verdict == codes.RETURN:
            self._tell("return", frame.stack[-1], rule, "return")
            frame.stack.pop()
            return
        word = WORDS.get(verdict, "continue")
        if verdict in (codes.JUMP, codes.GOTO):
            word = f"{'jump' if verdict == codes.JUMP else 'goto'} {target.partition('/')[2]}"
        self._tell("rule", frame.stack[-1], rule, word)

    def _leave(self, chain: str) -> None:
        """Chains that ended before the evaluator came back to ``chain`` ("" for none)."""
        frame = self._frames[-1]
        while frame.stack and frame.stack[-1] != chain:
            self._tell("return", frame.stack.pop(), "", "continue")

    def _tell(self, kind: str, chain: str, rule: str, verdict: str) -> None:
        frame = self._frames[-1]
        p = frame.packet
        if not (p.traced or self.every):
            return
        headers = None if frame.shown else headers_of(p)
        frame.shown = True
        self.messages.append(Message(int(p.number), kind, chain, rule, verdict, int(p.f[MARK]), headers))


def headers_of(p: Packet) -> Headers:
    """What the kernel puts into a message (nft_trace_fill_pkt_info)."""
    groups = p.groups
    at = p.l3 if p.l3 >= 0 else p.start
    link = p.data[p.start : at] if groups & G_ETH and p.link == LINK_ETHER and p.f[ETH_DST] >= 0 else b""
    transport = p.l4 if at < p.l4 <= p.l3_end else p.l3_end
    protocol = next((number for group, number in PROTOCOLS.items() if groups & group), 0)
    network = p.data[at : min(transport, at + LEAST_NETWORK)]
    return Headers(int(p.f[IIF]), int(p.f[OIF]), link, network, p.data[transport : min(p.l3_end, transport + LEAST_TRANSPORT)], protocol)
