"""Mutated rulesets: what no input may do. By hand: ``python tests/nft/mutations.py --cases 100000 [--seeds DIR]``.

Holds for every text, however broken: no exception, no more than two seconds, exit code 0 or 1; a refused one changes nothing; the
listing of an accepted one loads again and lists the same; its JSON loads again. Seeds are the examples and the rules below, and the
``*.nft`` files of a directory.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tcemu import Session

LIMIT = 2  # seconds
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
RULES = """
ip saddr 10.0.0.0/8 tcp dport { 22, 80-90 } ct state new,established counter accept
ip6 saddr fe80::/10 icmpv6 type { nd-neighbor-solicit, echo-request } limit rate over 5/second burst 10 packets drop
iifname "eth*" oifname != "lo" meta mark set mark | 0x10 ct mark set meta mark
tcp flags & (syn | ack) == syn tcp option maxseg size set rt mtu log prefix "in: " level info flags all
meta l4proto vmap { tcp : jump b, udp : goto b, icmp : accept }
ip daddr . tcp dport vmap { 1.2.3.4 . 80 : accept, 5.6.7.8 . 443 : drop }
dnat ip to tcp dport map { 80 : 10.0.0.1 . 8080, 443 : 10.0.0.2 . 8443 }
snat to 1.2.3.4-1.2.3.9:1000-2000 fully-random,persistent
add @s { ip saddr timeout 5m counter } update @d { ip saddr . tcp dport limit rate 1/minute }
reject with icmpx admin-prohibited
queue flags bypass to numgen inc mod 4 offset 10
meter m { ip saddr limit rate 10/second } masquerade random
fib saddr . iif oif missing drop
ct original ip saddr 1.1.1.1 ct bytes > 100000 ct label set "x"
@th,16,16 { 53, 80 } @nh,0,8 & 0xf0 == 0x40 exthdr frag exists frag id 1-5
ether saddr 00:11:22:33:44:55 vlan id 5 arp operation request
meta hour "17:00"-"19:00" meta day { "Monday", "Friday" } meta time < "2030-01-01 00:00:00"
jump { tcp dport 5 accept; drop } comment "x"
quota over 10 mbytes used 2 kbytes ct count over 5 last
ip dscp set af11 ip6 flowlabel 5 tcp sequence 1 udp length > 10
tproxy to 127.0.0.1:5000 synproxy mss 1460 wscale 7 timestamp sack-perm
numgen random mod 10 vmap { 0-4 : accept, 5-9 : drop } jhash ip saddr . ip daddr mod 7 seed 0xdeadbeef 3
"""
FRAMES = """
define net = { 10.0.0.0/8, 192.168.0.0/16 }
define port = 22
table FAMILY t {
	comment "x"
	set s { type ipv4_addr; flags dynamic,timeout; timeout 1h; size 100; }
	set d { type ipv4_addr . inet_service; flags dynamic; }
	set i { type ipv4_addr; flags interval; auto-merge; elements = { 1.0.0.0/8, 2.2.2.2-2.2.2.9, 3.3.3.3 } }
	map v { type inet_service : verdict; elements = { 80 : accept, 81-90 : drop } ; flags interval; }
	map o { typeof ip saddr : ip daddr . tcp dport; elements = { 1.1.1.1 : 2.2.2.2 . 80 }; }
	counter k { packets 1 bytes 2; }
	quota q { over 5 mbytes; }
	limit l { rate 5/second; }
	ct helper h { type "ftp" protocol tcp; }
	ct timeout u { protocol tcp; policy = { established : 100 }; }
	chain b { return; }
	chain c { type filter hook input priority filter + 5; policy drop;
		RULES
	}
}
add element FAMILY t i { 5.5.5.5 comment "y" }
insert rule FAMILY t c accept
delete element FAMILY t i { 3.3.3.3 }
"""
WORDS_TEXT = """
table chain rule set map element add delete insert replace create flush list reset rename handle index position type hook priority policy
filter nat route accept drop reject jump goto return continue ip ip6 inet arp bridge netdev tcp udp icmp meta ct saddr daddr sport dport mark
{ } ( ) ; , : . - / = == != < > <= >= & | ^ << >> ! @ $ * \\ " # 0 1 65535 65536 4294967296 18446744073709551616 0x 0xff -1 1.2.3.4 ::1
fe80::/129 10.0.0.0/33 1.1.1.1-1.1.1.0 "" "x" $net $port @s @i @nope eth0 lo timeout 1d2h3m 5 kbytes/second counter limit quota log prefix
vmap map dnat snat to typeof flags interval dynamic constant elements comment define include undefine redefine
"""
WORDS = WORDS_TEXT.split()
FAMILIES = ("ip", "ip6", "inet", "inet", "bridge", "netdev", "arp")


class Slow(Exception):
    """A text took too long."""


def seeds(folder: str) -> list[str]:
    """The texts that are mutated."""
    rules = [line for line in RULES.split("\n") if line]
    texts = [FRAMES.replace("RULES", rule) for rule in rules]
    paths = [*EXAMPLES.rglob("*.nft"), *(Path(folder).glob("*.nft") if folder else ())]
    return texts + [text for text in (path.read_text(errors="replace") for path in paths) if len(text) < 4000]


def mutated(chance: random.Random, texts: list[str]) -> str:
    """One text, changed in one to six places."""
    text = chance.choice(texts).replace("FAMILY", chance.choice(FAMILIES))
    for _ in range(chance.choice((0, 1, 1, 1, 2, 2, 3, 6))):
        text = _changed(chance, text, texts)
    return text


def _changed(chance: random.Random, text: str, texts: list[str]) -> str:
    pieces = re.findall(r"\s+|[\w.:/-]+|.", text)
    if not pieces:
        return text
    place = chance.randrange(len(pieces))
    how = chance.randrange(8)
    if how == 0:
        del pieces[place]
    elif how == 1:
        pieces.insert(place, chance.choice(WORDS) + " ")
    elif how == 2:
        pieces[place] = chance.choice(WORDS)
    elif how == 3:
        pieces.insert(place, pieces[chance.randrange(len(pieces))])
    elif how == 4:
        other = chance.randrange(len(pieces))
        pieces[place], pieces[other] = pieces[other], pieces[place]
    elif how == 5:
        return text[: chance.randrange(len(text) + 1)] + chance.choice(("", "\n", " }", "\x00", "é", "\\\n"))
    elif how == 6:
        lines, other_lines = text.split("\n"), chance.choice(texts).split("\n")
        lines.insert(chance.randrange(len(lines)), chance.choice(other_lines))
        return "\n".join(lines)
    else:
        start = chance.randrange(len(pieces))
        pieces[place:place] = pieces[start : start + chance.randrange(1, 12)]
    return "".join(pieces)


@contextmanager
def limited() -> Iterator[None]:
    """No more than `LIMIT` seconds of CPU."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Slow

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def unordered(listing: str) -> str:
    """A listing with the members of sets sorted, without the braces of a single one, and with commas between bits.

    Of bits combined nft lists those of equal keys in turn forwards and backwards, and a set that its merging left one member reads as that.
    It lists ``ct state == new,related`` as ``new | related``, which, loaded, it lists as ``new,related``.
    """

    def members(match: re.Match[str]) -> str:
        found = sorted(match[1].split(", "))
        return found[0] if len(found) == 1 else "{ " + ", ".join(found) + " }"

    return re.sub(r"\{ ([^{}\n]*) \}", members, re.sub(r"(?<=[a-z]) \| (?=[a-z])", ",", listing))


def wrong(session: Session, other: Session, text: str) -> str:
    """What is wrong with how a text was taken, or nothing. Both sessions hold nothing when it begins, and a table when it is refused."""
    for one in (session, other):
        one.nft("flush ruleset")
    session.nft("add table ip kept { chain c { counter; }; }")
    before = session.nft(["-a", "list", "ruleset"]).stdout
    answer = session.nft(["-f", "-"], stdin=text)
    if answer.exit_code not in (0, 1):
        return f"exit code {answer.exit_code}"
    listed = session.nft(["-s", "list", "ruleset"]).stdout
    if answer.exit_code:
        after = session.nft(["-a", "list", "ruleset"]).stdout
        return "" if after == before and answer.stderr else f"refused and changed, or refused without a word:\n{after}"
    again = other.nft(["-f", "-"], stdin=listed)
    if again.exit_code:
        return f"the listing is refused:\n{again.stderr}\n{listed}"
    if unordered(other.nft(["-s", "list", "ruleset"]).stdout) != unordered(listed):
        return f"the listing lists otherwise:\n{listed}\nthen\n{other.nft(['-s', 'list', 'ruleset']).stdout}"
    document = session.nft(["-j", "list", "ruleset"]).stdout
    other.nft("flush ruleset")
    other.nft(["-j", "-f", "-"], stdin=document)  # not all that nft prints loads again; it must not fail otherwise than by saying so
    return ""


def main() -> None:
    """Try many; print what is wrong, with the text."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", default="")
    parser.add_argument("--stop", type=int, default=20, help="after so many failures")
    asked = parser.parse_args()
    texts, failures, taken, began = seeds(asked.seeds), 0, 0, time.process_time()
    session, other = Session(strict=True), Session(strict=True)
    for number in range(asked.cases):
        text = mutated(random.Random(f"{asked.seed} {number}"), texts)
        try:
            with limited():
                slip = wrong(session, other, text)
        except Slow:
            slip = f"more than {LIMIT} s"
        except Exception:
            slip = traceback.format_exc(limit=-6)
        if slip:
            failures += 1
            session, other = Session(strict=True), Session(strict=True)
            print(f"=== {asked.seed} {number}: {slip}\n--- text\n{text}\n", flush=True)
            if failures >= asked.stop:
                break
        taken += 1
    print(f"{taken} texts, {failures} failures, {time.process_time() - began:.0f} s")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
