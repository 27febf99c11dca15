"""Sets and maps while packets run: elements that live and die, count, limit and lead somewhere.

::

    key words -> exact: Keys -> number -> Item          a word is 64 bits; an IPv6 address or a name takes two
                 ranges: Space -> number -> Item
                 else the catch-all Item, if there is one

What never changes and holds nothing is a plain test of `tcemu.engine.values` instead. Sources: net/netfilter/nft_lookup.c,
nft_set_hash.c (nft_rhash_update), nft_dynset.c, nft_objref.c.
"""

from __future__ import annotations

from typing import Final

from librt.vecs import append, vec
from mypy_extensions import i64

from tcemu.engine.program import Chain, Env, Op, Test
from tcemu.engine.values import SIGN, Keys, Value
from tcemu.ir.verdict import MISS, PIPE
from tcemu.packet.packet import Packet

CROWDED: Final = 64  # so many numbers of dead elements are worth numbering anew


class Item:
    """An element. ``expires`` is in ns, 0 for never; ``data`` are a map's words; ``ops`` are its own statements."""

    def __init__(self, number: i64) -> None:
        self.number: i64 = number
        self.gone: bool = False
        self.timeout: i64 = 0
        self.expires: i64 = 0
        self.data: list[int] = []
        self.code: i64 = PIPE  # a verdict map's verdict
        self.to: Chain | None = None
        self.acts: Op | None = None  # an object map's object
        self.ops: Op | None = None
        self.place: str = ""  # its key on the shelf; empty while it is not there
        self.form: i64 = 0  # of an element that a packet made: which of the table's forms its statements have

    def run(self, env: Env, p: Packet) -> bool:
        """nft_set_elem_update_expr: the element's statements, until one says that the rule does not match."""
        op = self.ops
        while op is not None:
            if op.run(env, p) != PIPE:
                return False
            op = op.next
        return True

    def dead(self, now: i64) -> bool:
        """Deleted, or its time is over?"""
        return self.gone or 0 < self.expires <= now


class Space:
    """Ranges over several parts: the part that tells elements best apart is bisected, what is left is looked through.

    ``words`` is how many words each part takes. Numbers are kept with their sign bit flipped, so that signed order is unsigned order.
    """

    def __init__(self, words: list[int], low: list[int], high: list[int]) -> None:
        self.words: vec[i64] = vec[i64](words)
        self.width: i64 = sum(words)
        self.low: vec[i64] = vec[i64]([word ^ SIGN for word in low])
        self.high: vec[i64] = vec[i64]([word ^ SIGN for word in high])
        self.first: i64 = 0  # the chosen part's first word
        self.size: i64 = 1  # and how many it has
        self.bounds: vec[i64] = vec[i64]()  # where a stretch begins
        self.starts: vec[i64] = vec[i64]()  # its candidates' place
        self.candidates: vec[i64] = vec[i64]()
        self.seen: vec[i64] = vec[i64]([0] * sum(words))
        self.choose()

    def choose(self) -> None:
        """Take the part whose stretches have the fewest candidates."""
        best: i64 = -1
        at: i64 = 0
        for size in self.words:
            cost = self.prepare(at, size, best)
            if best < 0 or (0 <= cost < best):
                best = cost
                self.first, self.size = at, size
            at += size
        self.prepare(self.first, self.size, -1)

    def prepare(self, first: i64, size: i64, limit: i64) -> i64:
        """Cut one part into stretches at whose ends candidates change; how many candidates there are, -1 above the limit."""
        count = len(self.low) // self.width if self.width > 0 else 0
        begins: dict[tuple[int, ...], list[int]] = {}
        ends: dict[tuple[int, ...], list[int]] = {}
        for number in range(count):
            base = number * self.width + first
            begins.setdefault(tuple([self.low[base + step] for step in range(size)]), []).append(number)
            ends.setdefault(tuple([self.high[base + step] for step in range(size)]), []).append(number)
        # a stretch begins where an element does, and right behind where one ends
        behind: dict[tuple[int, ...], list[int]] = {}
        for point, numbers in ends.items():
            further = following(point)
            if further is not None:
                behind[further] = numbers
        points = sorted(set(begins) | set(behind))
        self.bounds = vec[i64]()
        self.starts = vec[i64]()
        self.candidates = vec[i64]()
        alive: dict[int, None] = {}
        total: i64 = 0
        for point in points:
            for number in behind.get(point, []):
                alive.pop(number, None)
            for number in begins.get(point, []):
                alive[number] = None
            for word in point:
                self.bounds = append(self.bounds, word)
            self.starts = append(self.starts, total)
            for number in alive:
                self.candidates = append(self.candidates, number)
            total += len(alive)
            if 0 <= limit < total:
                return -1
        self.starts = append(self.starts, total)
        return total

    def at(self, key: vec[i64]) -> i64:
        """The number of the first element that holds the key, or -1."""
        seen = self.seen
        step: i64 = 0
        while step < self.width:
            seen[step] = key[step] ^ SIGN
            step += 1
        stretch = self.stretch(seen)
        if stretch < 0:
            return -1
        place = self.starts[stretch]
        end = self.starts[stretch + 1]
        while place < end:
            number = self.candidates[place]
            if self.holds(number, seen):
                return number
            place += 1
        return -1

    def stretch(self, seen: vec[i64]) -> i64:
        """The stretch of the chosen part that the key is in, -1 in front of all."""
        size = self.size
        left: i64 = 0
        right = len(self.bounds) // size
        bounds = self.bounds
        while left < right:
            middle = (left + right) >> 1
            step: i64 = 0
            base = middle * size
            while step < size - 1 and bounds[base + step] == seen[self.first + step]:
                step += 1
            if bounds[base + step] <= seen[self.first + step]:
                left = middle + 1
            else:
                right = middle
        return left - 1

    def holds(self, number: i64, seen: vec[i64]) -> bool:
        """Is every part within the element's bounds?"""
        at: i64 = 0
        base = number * self.width
        for size in self.words:
            step: i64 = 0
            while step < size - 1 and self.low[base + at + step] == seen[at + step]:
                step += 1
            if seen[at + step] < self.low[base + at + step]:
                return False
            step = 0
            while step < size - 1 and self.high[base + at + step] == seen[at + step]:
                step += 1
            if seen[at + step] > self.high[base + at + step]:
                return False
            at += size
        return True


def following(point: tuple[int, ...]) -> tuple[int, ...] | None:
    """The number behind one of several words (sign bits flipped); None behind the last."""
    words = list(point)
    at = len(words) - 1
    while at >= 0:
        if words[at] != (1 << 63) - 1:
            words[at] += 1
            return tuple(words)
        words[at] = -(1 << 63)
        at -= 1
    return None


class SetTable:
    """One set, shared by all rules that use it. ``size`` is the most elements that packets may bring it to, 0 for no limit."""

    def __init__(self, key: str, words: list[int]) -> None:
        self.key: str = key
        self.words: list[int] = words
        self.width: i64 = sum(words)
        self.keys: Keys = Keys(self.width, 8)
        self.space: Space | None = None
        self.items: list[Item] = []  # by number, of `keys` or of `space`
        self.rest: Item | None = None  # the catch-all
        self.size: i64 = 0
        self.timeout: i64 = 0
        self.dynamic: bool = False
        self.data_words: int = 0
        self.spans: bool = False  # a map of ranges: the words of the upper end stand behind those of the lower one
        self.live: i64 = 0  # elements that packets have not deleted; those that timed out count until the next tidying
        self.template: Op | None = None  # statements that each new element gets
        self.forms: list[object] = [()]  # the statements of elements that packets make, as records; the first are the set's own

    def find(self, key: vec[i64], now: i64) -> Item | None:
        """The living element of a key, without the catch-all."""
        space = self.space
        number = self.keys.at(key) if space is None else space.at(key)
        if number < 0:
            return None
        item = self.items[number]
        return None if item.dead(now) else item

    def place(self, key: vec[i64]) -> Item:
        """A new element, in the place of a dead one of the same key if there was one."""
        number = self.keys.add(key)
        item = Item(number)
        if number < len(self.items):
            item.place = self.items[number].place
            self.items[number] = item
        else:
            self.items.append(item)
        self.live += 1
        return item

    def tidy(self, now: i64) -> None:
        """Garbage collection: what timed out makes room; numbers of dead elements are given up when they are many."""
        dead: i64 = 0
        for item in self.items:
            if not item.gone and 0 < item.expires <= now:
                item.gone = True
                self.live -= 1
            if item.gone:
                dead += 1
        if self.space is None and dead > CROWDED and dead * 2 > len(self.items):
            self.renumber()

    def renumber(self) -> None:
        """Number the living anew. Dead ones whose shelf record is still there stay, for whoever writes back."""
        old_keys, old = self.keys, self.items
        self.keys = Keys(self.width, len(old))
        self.items = []
        key: vec[i64] = vec[i64]([0] * self.width)
        for item in old:
            if item.gone and item.place == "":
                continue
            base = item.number * self.width
            at: i64 = 0
            while at < self.width:
                key[at] = old_keys.keys[base + at]
                at += 1
            item.number = self.keys.add(key)
            self.items.append(item)

    def words_of(self, item: Item) -> list[int]:
        """The words of an exact element's key."""
        base = item.number * self.width
        out: list[int] = []
        at: i64 = 0
        while at < self.width:
            out.append(self.keys.keys[base + at])
            at += 1
        return out


def gather(first: Value, key: vec[i64], env: Env, p: Packet) -> bool:
    """Read the parts of a key; False when one is not there."""
    value: Value | None = first
    at: i64 = 0
    while value is not None:
        key[at] = value.get(env, p)
        if not value.ok:
            return False
        at += 1
        value = value.next
    return True


class SetTest(Test):
    """nft_lookup_eval on a set: an element that is found runs its statements, and these may say no."""

    def __init__(self, first: Value, table: SetTable, negate: bool) -> None:
        super().__init__()
        self.first: Value = first
        self.table: SetTable = table
        self.negate: bool = negate
        self.key: vec[i64] = vec[i64]([0] * table.width)

    def test(self, env: Env, p: Packet) -> bool:
        if not gather(self.first, self.key, env, p):
            return False
        table = self.table
        item = table.find(self.key, env.now)
        if (item is not None) != self.negate:
            return item is None or item.run(env, p)
        rest = table.rest
        return rest is not None and not rest.dead(env.now) and rest.run(env, p)


class SpaceTest(Test):
    """The values are in one of the boxes of a set that never changes and holds nothing."""

    def __init__(self, first: Value, space: Space, negate: bool) -> None:
        super().__init__()
        self.first: Value = first
        self.space: Space = space
        self.negate: bool = negate
        self.key: vec[i64] = vec[i64]([0] * space.width)

    def test(self, env: Env, p: Packet) -> bool:
        return gather(self.first, self.key, env, p) and (self.space.at(self.key) >= 0) != self.negate


class Search:
    """A lookup in a map, whose words several values read."""

    def __init__(self, first: Value, table: SetTable) -> None:
        self.first: Value = first
        self.table: SetTable = table
        self.key: vec[i64] = vec[i64]([0] * table.width)
        self.item: Item | None = None

    def run(self, env: Env, p: Packet) -> Item | None:
        """The element, after its statements ran; None for a miss."""
        self.item = None
        if not gather(self.first, self.key, env, p):
            return None
        item = self.table.find(self.key, env.now)
        if item is None:
            item = self.table.rest
            if item is None or item.dead(env.now):
                return None
        if not item.run(env, p):
            return None
        self.item = item
        return item


class MapValue(Value):
    """A word of what a map holds for a key. The first word looks it up, the others read on; they are got in order."""

    def __init__(self, search: Search, word: i64) -> None:
        super().__init__()
        self.search: Search = search
        self.word: i64 = word

    def get(self, env: Env, p: Packet) -> i64:
        item = self.search.run(env, p) if self.word == 0 else self.search.item
        if item is None or self.word >= len(item.data):
            self.ok = False
            return 0
        self.ok = True
        return item.data[self.word]


class VerdictMapOp(Op):
    """nft vmap: a key that is not there ends the rule."""

    def __init__(self, search: Search) -> None:
        super().__init__(MISS, None, 0, None)
        self.search: Search = search

    def run(self, env: Env, p: Packet) -> i64:
        item = self.search.run(env, p)
        if item is None:
            return MISS
        if item.to is not None:
            env.target = item.to
        return item.code


class ObjectMapOp(Op):
    """nft_objref_map_eval: the object that a map holds for a key acts."""

    def __init__(self, search: Search) -> None:
        super().__init__(PIPE, None, 0, None)
        self.search: Search = search

    def run(self, env: Env, p: Packet) -> i64:
        item = self.search.run(env, p)
        acts = item.acts if item is not None else None
        return MISS if acts is None else acts.run(env, p)


ADD: Final = 0
UPDATE: Final = 1
DELETE: Final = 2


class UpdateSetOp(Op):
    """nft_dynset_eval: a packet writes a set."""

    def __init__(self, what: i64, first: Value, table: SetTable, timeout: i64, template: Op | None) -> None:
        super().__init__(PIPE, None, 0, None)
        self.what: i64 = what
        self.first: Value = first
        self.table: SetTable = table
        self.timeout: i64 = timeout  # ns; 0 is the set's
        self.template: Op | None = template
        self.form: i64 = 0
        self.data: Value | None = None
        self.key: vec[i64] = vec[i64]([0] * table.width)

    def run(self, env: Env, p: Packet) -> i64:
        table = self.table
        if not gather(self.first, self.key, env, p):
            return MISS
        item = table.find(self.key, env.now)
        if self.what == DELETE:
            if item is not None:
                item.gone = True
                table.live -= 1
            return PIPE
        timeout = self.timeout if self.timeout > 0 else table.timeout
        if item is None:
            item = self.made(env, p, timeout)
            if item is None:
                return MISS
        elif self.what == UPDATE and item.expires > 0:
            item.expires = env.now + timeout
        return PIPE if item.run(env, p) else MISS

    def made(self, env: Env, p: Packet, timeout: i64) -> Item | None:
        """nft_dynset_new; None when the set is full or the data is not there."""
        table = self.table
        if 0 < table.size <= table.live:
            table.tidy(env.now)
            if table.size <= table.live:
                p.reason = "the set is full"
                return None
        words: list[int] = []
        value = self.data
        while value is not None:
            words.append(value.get(env, p))
            if not value.ok:
                return None
            value = value.next
        item = table.place(self.key)
        item.data = words
        if timeout > 0:
            item.timeout = timeout
            item.expires = env.now + timeout
        item.ops = copied(self.template)
        item.form = self.form
        return item


def copied(template: Op | None) -> Op | None:
    """A chain of ops like the template's, each with a state of its own."""
    if template is None:
        return None
    first = template.fresh()
    last = first
    op = template.next
    while op is not None:
        behind = op.fresh()
        last.next = behind
        last = behind
        op = op.next
    last.next = None
    return first
