"""The program: what a ruleset is lowered to. Small native classes, linked, nothing to look up while a packet runs.

::

    Chain.first -> Rule -> Rule -> …            in evaluation order, by Rule.next
                    | guard (slot, mask, value), then tests: Test -> Test   all must hold
                    | ops:  Op -> Op -> …       each yields a verdict code; PIPE goes on

The first masked comparison of a rule stands in the rule itself, because most rules are left there.
A verdict that leads to a chain leaves the chain in `Env.target`.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from tcemu.conntrack.table import Conntrack
from tcemu.engine.ports import Hop, HostTables
from tcemu.engine.sockets import LocalSocket
from tcemu.fields import G_META
from tcemu.ir.verdict import DROP, PIPE
from tcemu.offload.flows import ActCtTable
from tcemu.offload.nft_flows import FlowTable
from tcemu.packet.packet import Conn, Packet

MAX_RESTARTS: Final = 16  # net/sched/cls_api.c max_reclassify_loop
JUMP_DEPTH: Final = 16  # include/net/netfilter/nf_tables.h NFT_JUMP_STACK_SIZE
JUMP_TTL: Final = 32  # net/sched/act_api.c TCA_ACT_MAX_PRIO

AT_INGRESS: Final = 0
AT_EGRESS: Final = 1
AT_STACK: Final = 2

NF_PREROUTING: Final = 0  # enum nf_inet_hooks; the bridge's and arp's hooks count alike
NF_INPUT: Final = 1
NF_FORWARD: Final = 2
NF_OUTPUT: Final = 3
NF_POSTROUTING: Final = 4
NF_INGRESS: Final = 5
NF_EGRESS: Final = 6

PF_INET: Final = 1  # enum nf_inet_proto: NFPROTO_*
PF_IPV4: Final = 2
PF_ARP: Final = 3
PF_NETDEV: Final = 5
PF_BRIDGE: Final = 7
PF_IPV6: Final = 10


class Counter:
    """What one action, counter or quota has seen; copied to and from `tcemu.ir.stats.Stats`."""

    def __init__(self) -> None:
        self.packets: i64 = 0
        self.bytes: i64 = 0
        self.drops: i64 = 0
        self.overlimits: i64 = 0
        self.first_used: i64 = -1
        self.last_used: i64 = -1
        self.tokens: i64 = -1  # of nft limit: nanoseconds left in the bucket when it was last looked at, -1 for a full one
        self.checked: i64 = -1

    def hit(self, length: i64, now: i64) -> None:
        """One packet more."""
        self.packets += 1
        self.bytes += length
        self.last_used = now
        if self.first_used < 0:
            self.first_used = now


@mypyc_attr(allow_interpreted_subclasses=True)
class Observer:
    """Watches a packet's way; the base class sees nothing. One is set only while somebody traces."""

    def __init__(self) -> None:
        self.depth: i64 = 0

    def begin(self, env: Env, p: Packet, chain: str) -> bool:
        """A chain is about to be run from a hook; True to hear its `end`, and then this is asked again and must say False."""
        return False

    def end(self, env: Env, p: Packet, chain: str, code: i64) -> None:
        """It has been run, with that verdict."""

    def chain(self, name: str) -> None:
        """The packet enters a chain."""

    def missed(self, rule: str) -> None:
        """A rule's guards did not hold."""

    def matched(self, rule: str) -> None:
        """A rule's guards held."""

    def step(self, rule: str, index: i64, what: str, verdict: i64) -> None:
        """An effect ran."""

    def say(self, kind: str, text: str) -> None:
        """Anything else worth knowing: conntrack's reason, a route, a device, a drop."""


class Bucket:
    """What a policer remembers between packets; rules that share the action share it. Tokens are nanoseconds."""

    def __init__(self) -> None:
        self.checked: i64 = -1
        self.tokens: i64 = 0
        self.peak_tokens: i64 = 0
        self.packet_tokens: i64 = 0


class Memory:
    """What a rule remembers beside counters; it outlives a change of other rules."""

    def adopt(self, old: Memory) -> None:
        """Go on from what the same rule remembered before."""


class Env:
    """What effects may use of the machine they run in. `tcemu.engine.machine.Machine` is the real one."""

    __slots__ = (
        "assigned",
        "conntrack",
        "device",
        "family",
        "hook",
        "in_hardware",
        "length",
        "nesting",
        "nf_hook",
        "now",
        "observer",
        "random",
        "route",
        "secret",
        "socket",
        "stack",
        "tables",
        "target",
    )

    def __init__(self, conntrack: Conntrack) -> None:
        self.conntrack: Conntrack = conntrack
        self.now: i64 = 0
        self.length: i64 = 0  # qdisc_pkt_len: what tc actions count for this packet at this hook
        self.hook: i64 = AT_INGRESS
        self.device: i64 = 0  # index of the device whose hook runs
        self.tables: HostTables = HostTables()
        self.nf_hook: i64 = NF_PREROUTING  # of netfilter, while one of its hooks runs
        self.family: i64 = PF_IPV4  # nft_pf: what netfilter takes the packet for there
        self.route: Hop | None = None  # skb_dst: where routing leads the packet in hand, once that is decided
        self.socket: bool = False  # the packet in hand comes from a local program (skb->sk)
        self.target: Chain | None = None
        self.stack: list[Rule] = []
        self.nesting: i64 = 0  # mirred_nest_level
        self.observer: Observer | None = None
        self.in_hardware: bool = False  # all that the packet in hand met so far is in a network card, see `tcemu.engine.effects.track`
        self.random: i64 = 1  # state of the seeded generator
        self.secret: i64 = 1  # of SYN cookies
        self.assigned: LocalSocket | None = None  # the local socket that tproxy gave the packet in hand

    def forward(self, p: Packet, device: i64, ingress: bool, copy: bool) -> i64:
        """Send the packet, or a copy, to a device's egress or into its ingress; 0, 1 for NET_XMIT_DROP or a negative errno."""
        return -19

    def defragment(self, p: Packet, zone: i64) -> i64:
        """Reassemble for tc ct: 0 the packet is whole (perhaps now), 1 the fragment is held, -1 it is bad."""
        return 0

    def device_up(self, device: i64) -> bool:
        """Is there such a device, and is it up?"""
        return False

    def reject(self, p: Packet, how: i64, code: i64) -> None:
        """Answer a packet with an ICMP error or a TCP reset (nft reject); see `tcemu.engine.effects.reject`."""

    def duplicate(self, p: Packet, family: i64, high: i64, low: i64, device: i64) -> None:
        """Send a copy to another host (nft dup): to a neighbour's address, by a device or 0 for the one that routing says."""

    def hand_over(self, p: Packet, device: i64, family: i64, high: i64, low: i64) -> bool:
        """Send the packet itself out of a device (nft fwd), to a neighbour if ``family`` is not 0; False where it cannot go."""
        return False

    def path_mtu(self, p: Packet, back: bool) -> i64:
        """The MTU of the packet's route, or of the route back to its source; 0 when there is none."""
        return 0

    def emit(self, data: bytes, ct: Conn | None, info: i64) -> None:
        """Send an IP packet of the machine's own making, with a connection (or none) that it belongs to."""

    def offload(self, p: Packet, flows: FlowTable) -> bool:
        """Offer the packet's connection to a flow table (nft flow add); False where it may not be offloaded."""
        return False

    def log(self, p: Packet, prefix: str, level: str, group: i64, size: i64) -> None:
        """The packet came by an nft log statement; ``group`` -1 is the system log."""

    def ask_user(self, p: Packet, queue: i64, bypass: bool) -> i64:
        """What the program behind a queue says of the packet: an `tcemu.ir.verdict` code."""
        return 4

    def ask(self, what: str, p: Packet) -> str:
        """Say something to the observer that costs too much to say unasked."""
        return ""

    def draw(self, below: i64) -> i64:
        """A pseudo-random number under ``below`` (xorshift; the kernel's generator cannot be known, ours is seeded)."""
        x = self.random
        x ^= (x << 13) & 0x7FFFFFFF
        x ^= x >> 17
        x ^= (x << 5) & 0x7FFFFFFF
        self.random = x & 0x7FFFFFFF
        return self.random % below


class Test:
    """A guard. `next` is the guard behind it."""

    def __init__(self) -> None:
        self.next: Test | None = None

    def test(self, env: Env, p: Packet) -> bool:
        """Does it hold?"""
        return True


class Op:
    """An effect with its verdict. Subclasses do their work in `run`; most end in ``return self.then``."""

    def __init__(self, then: i64, to: Chain | None, number: i64, counter: Counter | None) -> None:
        self.next: Op | None = None
        self.then: i64 = then
        self.to: Chain | None = to
        self.number: i64 = number
        self.counter: Counter | None = counter
        self.name: str = ""

    def run(self, env: Env, p: Packet) -> i64:
        """Do it; the verdict code. Whoever returns GOTO or JUMP sets ``env.target`` (see `leave`)."""
        return self.leave(env)

    def leave(self, env: Env) -> i64:
        """The op's own verdict, its target put where the evaluator finds it."""
        if self.to is not None:
            env.target = self.to
        return self.then

    def fresh(self) -> Op:
        """A copy with a state of its own, for a new element of a set; ops without state serve all."""
        return self

    def count(self, env: Env) -> None:
        """Count as tc actions do before they act."""
        counter = self.counter
        if counter is not None:
            counter.hit(env.length, env.now)

    def drop(self, env: Env) -> i64:
        """Count a drop and drop."""
        counter = self.counter
        if counter is not None:
            counter.drops += 1
        return DROP


class Index:
    """A run of rules whose guards look at the same bits: the first rule of each value, and what stands behind the run."""

    def __init__(self, after: Rule | None) -> None:
        self.rules: dict[int, Rule] = {}
        self.after: Rule | None = after


class Rule:
    """A lowered rule: guards, then ops."""

    def __init__(self, key: str, slot: i64) -> None:
        self.key: str = key
        self.slot: i64 = slot
        self.next: Rule | None = None
        self.miss: Rule | None = None  # where failed tests behind a good guard lead: `next`, or past what of its run cannot match
        self.over: Rule | None = None  # where a body leads that yields no verdict: `miss` if it changes nothing that guards see
        self.back: Rule | None = None  # where a return from the chain that it jumps to leads: `over` if nothing there changes anything
        self.next_slot: Rule | None = None  # the first rule of another prio slot
        self.go_on: Rule | None = None  # where tc's continue leads: there, or to `next` where the kind looks on
        self.index: Index | None = None  # of the run that starts here
        self.need: i64 = G_META  # groups that must be there
        self.guard_slot: i64 = 0
        self.guard_mask: i64 = 0
        self.guard_value: i64 = 0
        self.guard_fails: bool = False  # what must not come of comparing
        self.tests: Test | None = None
        self.ops: Op | None = None
        self.short: Op | None = None  # the same in fewer, where nobody watches
        self.lead: i64 = 0  # how many ops stand before the first action
        self.hits: i64 = 0
        self.hardware: bool = False  # a backend has the rule in hardware
        self.hw_packets: i64 = 0  # of the hits, those that happened there
        self.hw_bytes: i64 = 0
        self.hw_left: i64 = 0  # packets that came here in hardware and went on in software

    def op_at(self, index: i64) -> Op | None:
        """The op that ``index`` ops stand before."""
        op = self.ops
        while op is not None and index > 0:
            op = op.next
            index -= 1
        return op

    def place_of(self, op: Op) -> i64:
        """How many ops stand before an op of the rule."""
        place: i64 = 0
        other = self.ops
        while other is not None and other is not op:
            other = other.next
            place += 1
        return place


class Chain:
    """A lowered chain; `end` is the verdict behind its last rule."""

    def __init__(self, key: str, end: i64, max_restarts: i64) -> None:
        self.key: str = key
        self.first: Rule | None = None
        self.end: i64 = end
        self.max_restarts: i64 = max_restarts  # 0 for nft
        self.entered: i64 = 0


class Way:
    """A chain attached at a hook, in priority order (nf_hook_entries, or a clsact block)."""

    def __init__(self, chain: Chain, priority: i64, kind: str, device: i64) -> None:
        self.chain: Chain = chain
        self.priority: i64 = priority
        self.kind: str = kind
        self.device: i64 = device  # 0 for all
        self.family: i64 = 0  # PF_INET or PF_NETDEV at ingress and egress
        self.flows: FlowTable | None = None  # a flow table stands here, and no chain
        self.next: Way | None = None


class MaskedTest(Test):
    """``slot & mask == value``."""

    def __init__(self, slot: i64, mask: i64, value: i64, negate: bool) -> None:
        super().__init__()
        self.slot: i64 = slot
        self.mask: i64 = mask
        self.value: i64 = value
        self.negate: bool = negate

    def test(self, env: Env, p: Packet) -> bool:
        return ((p.f[self.slot] & self.mask) == self.value) != self.negate


class WideTest(Test):
    """A masked comparison of two slots."""

    def __init__(self, slot: i64, mask_high: i64, mask_low: i64, value_high: i64, value_low: i64, negate: bool) -> None:
        super().__init__()
        self.slot: i64 = slot
        self.mask_high: i64 = mask_high
        self.mask_low: i64 = mask_low
        self.value_high: i64 = value_high
        self.value_low: i64 = value_low
        self.negate: bool = negate

    def test(self, env: Env, p: Packet) -> bool:
        same = (p.f[self.slot] & self.mask_high) == self.value_high and (p.f[self.slot + 1] & self.mask_low) == self.value_low
        return same != self.negate


class BitsTest(Test):
    """Any of the bits is set."""

    def __init__(self, slot: i64, bits: i64, negate: bool) -> None:
        super().__init__()
        self.slot: i64 = slot
        self.bits: i64 = bits
        self.negate: bool = negate

    def test(self, env: Env, p: Packet) -> bool:
        return ((p.f[self.slot] & self.bits) != 0) != self.negate


class RangeTest(Test):
    """``low <= slot <= high`` for values that fit 63 bits."""

    def __init__(self, slot: i64, low: i64, high: i64, negate: bool) -> None:
        super().__init__()
        self.slot: i64 = slot
        self.low: i64 = low
        self.high: i64 = high
        self.negate: bool = negate

    def test(self, env: Env, p: Packet) -> bool:
        value = p.f[self.slot]
        return (self.low <= value <= self.high) != self.negate


class NeverTest(Test):
    """Never holds: the guard asks for something that no packet here can have (``Source: assumed``)."""

    def test(self, env: Env, p: Packet) -> bool:
        return False


class HardwareTest(Test):
    """The packet is in hardware still: for rules that software skips (tc skip_sw)."""

    def test(self, env: Env, p: Packet) -> bool:
        return env.in_hardware


class GroupTest(Test):
    """All these headers are there; for guards in the middle of a body."""

    def __init__(self, groups: i64) -> None:
        super().__init__()
        self.groups: i64 = groups

    def test(self, env: Env, p: Packet) -> bool:
        return (p.groups & self.groups) == self.groups


class Guard(Op):
    """A guard in the middle of a body, behind an effect: a MISS ends the rule."""

    def __init__(self, test: Test) -> None:
        super().__init__(PIPE, None, 0, None)
        self.guard: Test = test

    def run(self, env: Env, p: Packet) -> i64:
        return PIPE if self.guard.test(env, p) else 1


class Program:
    """All chains, and the ways in."""

    def __init__(self) -> None:
        self.chains: dict[str, Chain] = {}
        self.rules: list[Rule] = []
        self.ingress: dict[int, list[Way]] = {}  # by device index: tc first, then netdev by priority
        self.egress: dict[int, list[Way]] = {}
        self.hooks: dict[str, list[Way]] = {}  # "ip prerouting" …, sorted by priority
        self.counters: dict[str, Counter] = {}  # by object key
        self.anonymous: list[tuple[str, int, Counter]] = []  # rule key, step index, counter
        self.sets: list[object] = []  # `tcemu.engine.sets.SetTable`, for whoever writes them back
        self.tracked: set[str] = set()  # families whose hooks connection tracking is in: ip, ip6, bridge
        self.proxied: set[str] = set()  # families whose hooks a SYN proxy is in: ip, ip6
        self.buckets: list[tuple[Counter, Bucket]] = []
        self.flow_tables: dict[int, ActCtTable] = {}  # by zone
        self.nft_flows: dict[str, FlowTable] = {}  # by key of the flowtable
        self.memories: dict[str, Memory] = {}  # by rule and step

    def adopt(self, old: Program) -> None:
        """Go on with what rules that are still there remembered."""
        for key, memory in self.memories.items():
            before = old.memories.get(key)
            if before is not None:
                memory.adopt(before)

    def flow_table(self, zone: int) -> ActCtTable:
        """The flow table of tc ct in a zone, made on first use."""
        table = self.flow_tables.get(zone)
        if table is None:
            table = self.flow_tables[zone] = ActCtTable(zone)
        return table

    def bucket(self, counter: Counter | None) -> Bucket:
        """The bucket that goes with a counter; rules that share the action share both."""
        for shared, bucket in self.buckets:
            if shared is counter:
                return bucket
        made = Bucket()
        if counter is not None:
            self.buckets.append((counter, made))
        return made
