r"""Connection tracking offload of mlx5: the driver's tables, and what is in them.

Each filter with a ct action becomes two rules, so that its actions and its counter run only after the connection was found::

    chain table N          CT zone tables           CT / CT-NAT            post action
    +--------------+       +---------------+       +-----------------+    +------------------+
    | the filter's |------>| pre_ct Z      |--+--->| tuple + zone    |--->| fte_id           |--> chain M, port, drop …
    | own match    |       | pre_ct_nat Z  |  |    | (both ways)     |    | count, the rest  |
    +--------------+       +---------------+  |    +-----------------+    +------------------+
     chain miss id           zone and +trk     |     ct state, mark,           ^
     fte_id, zone            (+nat) already ---+---- labels id, zone           |
     tunnel id, decap        there ------------------------------------------- +

A packet that misses in any table goes on in software, at the chain that the miss id stands for (tc skb extension), with the zone and the
state that were found so far. Registers: Source: drivers/net/ethernet/mellanox/mlx5/core/en/tc_ct.h, en_tc.c mlx5e_tc_attr_to_reg_mappings.

A filter that is not in hardware sends the packets that it matches to software, even where a filter behind it is in hardware and would match
them there: on a card the later one wins, which no ruleset wants. Source: assumed.
"""

from __future__ import annotations

from typing import Final

from tcemu.conntrack.entry import DST_NAT, NAT_MASK, SRC_NAT, Entry
from tcemu.conntrack.names import protocol
from tcemu.ir import effect as effects
from tcemu.ir.ruleset import Object, Rule, Ruleset
from tcemu.offload import mlx5_rules
from tcemu.offload.backend import Refusal, actions_of, kept_back
from tcemu.offload.profile import Profile
from tcemu.offload.rule_words import match_words, place_words, verdict_words
from tcemu.offload.table import TableBackend, way

# what is set into a register: name → register and bits
REGISTERS: Final = {
    "chain miss id": "C0[15:0]",
    "zone restore": "C1[7:0]",
    "tunnel id": "C1[31:8]",
    "zone": "C2[15:0]",
    "ct state": "C2[31:16]",
    "mark": "C3",
    "labels id": "C4",
    "fte_id": "C5",
}
PICTURE: Final = """\
chain N (original match) -> pre_ct / pre_ct_nat (per zone) -> CT / CT-NAT (tuple + zone) -> post action (fte_id) -> …
   set chain miss id           zone and +trk (+nat) known:       set ct state, mark,           count, the filter's
   set fte_id, zone,           straight to post action           labels id, zone restore,      remaining actions
   tunnel id; decap                                              translate
a miss in any table: software goes on at the chain of the miss id, with the zone and state found so far"""


class Split:
    """A filter in hardware: its chain, match and actions, and for one with a ct action the number that ties its halves together."""

    def __init__(self, rule: Rule, actions: list[Object]) -> None:
        self.rule, self.actions = rule, actions
        self.table, self.chain, self.prio, _ = rule.key.split("/")
        self.match = match_words(rule)
        self.fte = 0
        self.zone = 0
        self.nat = False
        self.decap = any(isinstance(action.effect, effects.Tunnel) and not action.effect.family for action in actions)
        self.before: list[Object] = []
        self.behind: list[Object] = actions
        for place, action in enumerate(actions):
            track = action.effect
            if isinstance(track, effects.Track) and not track.clear:
                self.before, self.behind = actions[:place], actions[place + 1 :]
                self.zone, self.nat = track.zone, track.nat is not None
                self.fte = -1
                break


class Mlx5Backend(TableBackend):
    """See the module's text."""

    name = "mlx5"
    hardware = True
    rules = True

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile)
        self.splits: list[Split] = []
        self.left: dict[str, tuple[Rule, Refusal]] = {}  # filters that stay in software
        self.miss_ids: dict[tuple[str, str], int] = {}  # chain → mapping, as the driver's mapping_add numbers them
        self.label_ids: dict[int, int] = {}

    # ------------------------------------------------------------ rules

    def judge(self, rule: Rule, actions: list[Object]) -> Refusal | None:
        return mlx5_rules.judge(rule, actions, self.profile.driver)

    def install(self, ruleset: Ruleset) -> dict[str, Refusal]:
        self.splits, self.left, self.miss_ids = [], {}, {}
        for rule in ruleset.rules:
            if not rule.key.startswith("tc "):
                continue
            actions = actions_of(ruleset, rule)
            refusal = kept_back(rule) or self.skipped(rule) or self.judge(rule, actions)
            if refusal is not None:
                self.left[rule.key] = (rule, refusal)
                continue
            split = Split(rule, actions)
            if split.fte:
                split.fte = 1 + sum(1 for other in self.splits if other.fte)
            self.miss_ids.setdefault((split.table, split.chain), len(self.miss_ids) + 1)
            self.splits.append(split)
        return {key: refusal for key, (_, refusal) in self.left.items()}

    def skipped(self, rule: Rule) -> Refusal | None:
        """Devices that the profile leaves out."""
        words = rule.key.split("/", 1)[0].split()
        if self.profile.devices and words[1] == "dev" and words[2] not in self.profile.devices:
            return Refusal("device", f"{words[2]} is no device of the backend")
        return None

    # ------------------------------------------------------------ flows

    def admit(self, entry: Entry) -> Refusal | None:
        missing = mlx5_rules.missing(self.profile.driver)
        if missing:
            return Refusal("driver", mlx5_rules.DRIVER + missing)
        if entry.proto == 47 and entry.status & NAT_MASK:
            return Refusal("nat", "header rewrites of connections are for TCP and UDP (tcf_ct_flow_table_add_action_nat)")
        return super().admit(entry)

    def labels(self, entry: Entry) -> int:
        """The id that stands for a connection's labels: registers have 32 bits, labels 128; 0 for none."""
        if not entry.has_labels:
            return 0
        half = (1 << 64) - 1
        label = (entry.label_high & half) << 64 | entry.label_low & half
        return self.label_ids.setdefault(label, len(self.label_ids) + 1) if label else 0

    # ------------------------------------------------------------ for people

    def tables(self) -> list[tuple[str, list[str]]]:
        shown = [("pipeline", PICTURE.split("\n")), ("registers", [f"{register:10} {name}" for name, register in REGISTERS.items()])]
        for table, chain in self.miss_ids:
            lines = [line for split in self.splits if (split.table, split.chain) == (table, chain) for line in self.chain_lines(split)]
            shown.append((f"{table.removeprefix('tc ')} chain {chain} (miss id {self.miss_ids[table, chain]})", lines))
        for zone, nat in sorted({(split.zone, split.nat) for split in self.splits if split.fte}):
            name = f"pre_ct{'_nat' if nat else ''} zone {zone}"
            known = "+trk and translated" if nat else "+trk"
            shown.append((name, [f"zone == {zone}, {known} -> post action", f"else -> {'CT-NAT' if nat else 'CT'}"]))
        flows = list(self.flows.values())
        shown.append(("CT", [line for flow in flows for line in self.tuple_lines(flow.entry, False)]))
        shown.append(("CT-NAT", [line for flow in flows if flow.entry.status & NAT_MASK for line in self.tuple_lines(flow.entry, True)]))
        shown.append(("post action", [self.post_line(split) for split in self.splits if split.fte]))
        software = [f"{place_words(rule)}: {match_words(rule)}: {refusal.text}" for rule, refusal in self.left.values()]
        shown.append(("software only", software))
        return shown

    def chain_lines(self, split: Split) -> list[str]:
        """A filter as it stands in its chain's table."""
        head = f"{place_words(split.rule)}: {split.match} ->"
        done = [verdict_words(action) for action in split.before]
        if not split.fte:
            return [f"{head} {', '.join(['count', *map(verdict_words, split.actions)])}"]
        sets = [f"set chain miss id {self.miss_ids[split.table, split.chain]}", f"set fte_id {split.fte}", f"set zone {split.zone}"]
        if split.decap:
            sets.append("set tunnel id; decap")
        return [f"{head} {', '.join([*done, *sets])}; goto pre_ct{'_nat' if split.nat else ''} zone {split.zone}"]

    def post_line(self, split: Split) -> str:
        """The other half of a filter with a ct action."""
        return f"fte_id == {split.fte} -> {', '.join(['count', *map(verdict_words, split.behind)])}"

    def tuple_lines(self, entry: Entry, nat: bool) -> list[str]:
        """Both rules of a connection."""
        lines = []
        for reply, end, other in ((False, entry.orig, entry.reply), (True, entry.reply, entry.orig)):
            sets = [f"set ct state +trk+est{'+rpl' if reply else ''}", f"mark {entry.mark:#x}", f"labels id {self.labels(entry)}"]
            sets.append(f"zone restore {entry.zone}")
            if nat:
                kinds = [name for bit, name in ((SRC_NAT, "src"), (DST_NAT, "dst")) if entry.status & bit]
                sets.append(f"translate ({', '.join(kinds)}) to {' > '.join(reversed(way(entry, other).split(' > ')))}")
            lines.append(f"{protocol(entry)} {way(entry, end)} zone {entry.zone} -> {', '.join(sets)}; post action")
        return lines
