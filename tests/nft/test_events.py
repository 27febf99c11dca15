"""What `nft monitor` tells of each command (source: nft 1.0.6 on Linux, one command a transaction, the lines as they came)."""

from __future__ import annotations

from tcemu import Session
from tcemu.nft.commands import output, parse_options
from tcemu.nft.events import changes, look

# fmt: off
TOLD = [
    ('add table ip t', ['add table ip t']),
    ('add chain ip t c { type filter hook input priority 0; policy accept; }', ['add chain ip t c { type filter hook input priority filter; policy accept; }']),
    ('add chain ip t d', ['add chain ip t d']),
    ('add rule ip t c tcp dport 22 counter accept comment "hi"', ['add rule ip t c tcp dport 22 counter packets 0 bytes 0 accept comment "hi"']),
    ('insert rule ip t c ip saddr 10.0.0.1 drop', ['insert rule ip t c ip saddr 10.0.0.1 drop']),
    ('add set ip t s { type ipv4_addr; flags interval; }', ['add set ip t s { type ipv4_addr; flags interval; } ']),
    ('add element ip t s { 10.0.0.0/8, 192.168.0.1-192.168.0.9 }', ['add element ip t s { 10.0.0.0/8 }', 'add element ip t s { 192.168.0.1-192.168.0.9 }']),
    ('add set ip t tm { type ipv4_addr; timeout 1h; counter; }', ['add set ip t tm { type ipv4_addr; counter; timeout 1h; } ']),
    ('add element ip t tm { 1.2.3.4 timeout 10m }', ['add element ip t tm { 1.2.3.4 counter packets 0 bytes 0 timeout 10m expires 10m }']),
    ('add map ip t m { type inet_service : verdict; }', ['add map ip t m { type inet_service : verdict; } ']),
    ('add element ip t m { 80 : accept, 443 : jump d }', ['add element ip t m { 80 : accept }', 'add element ip t m { 443 : jump d }']),
    ('add counter ip t cn', ['add counter ip t cn { packets 0 bytes 0 } ']),
    ('add quota ip t q { over 10 mbytes }', ['add quota ip t q { over 10 mbytes } ']),
    ('add limit ip t l { rate 10/second }', ['add limit ip t l { rate 10/second } ']),
    ('add ct helper ip t h { type "ftp" protocol tcp; }', ['add ct helper ip t h { type "ftp" protocol tcp; l3proto ip; } ']),
    ('add rule ip t c counter name cn', ['add rule ip t c counter name "cn"']),
    ('add rule ip t c tcp dport { 1, 2, 3-5 } accept', ['add rule ip t c tcp dport { 1-5 } accept']),
    ('add rule ip t c ip saddr vmap { 1.1.1.1 : accept, 2.2.2.2 : drop }', ['add rule ip t c ip saddr vmap { 1.1.1.1 : accept, 2.2.2.2 : drop }']),
    ('replace rule ip t c handle 3 tcp dport 23 counter drop', ['delete rule ip t c handle 3', 'add rule ip t c handle 4 tcp dport 23 counter packets 0 bytes 0 drop']),
    ('delete element ip t s { 10.0.0.0/8 }', ['delete element ip t s { 10.0.0.0/8 }']),
    ('add chain ip t c { policy drop; }', ['add chain ip t c { type filter hook input priority filter; policy drop; }']),
    ('delete rule ip t c handle 4', ['delete rule ip t c handle 4']),
    ('rename chain ip t d e', ['add chain ip t e']),
    ('flush chain ip t c', ['delete rule ip t c handle 3', 'delete rule ip t c handle 12', 'delete rule ip t c handle 14', 'delete set ip t __set0', 'delete rule ip t c handle 16', 'delete set ip t __map0']),
    ('delete element ip t m { 443 : jump e }', ['delete element ip t m { 443 : jump e }']),
    ('flush set ip t s', ['delete element ip t s { 192.168.0.1-192.168.0.9 }']),
    ('delete set ip t s', ['delete set ip t s']),
    ('delete counter ip t cn', ['delete counter ip t cn']),
    ('delete chain ip t e', ['delete chain ip t e']),
    ('add table inet x { flags dormant; comment "c"; }', ['add table inet x { flags dormant; }']),
    ('add table inet y { chain a { tcp dport 5 accept; udp dport { 1, 2 } drop; }; set z { type ipv4_addr . inet_service; elements = { 1.2.3.4 . 5 comment "e" }; }; }', ['add table inet y', 'add chain inet y a', 'add set inet y z { type ipv4_addr . inet_service; } ', 'add element inet y z { 1.2.3.4 . 5 comment "e" }', 'add rule inet y a tcp dport 5 accept', 'add rule inet y a udp dport { 1, 2 } drop']),
    ('delete table ip t', ['delete set ip t tm', 'delete set ip t m', 'delete quota ip t q', 'delete limit ip t l', 'delete ct helper ip t h', 'delete chain ip t c', 'delete table ip t']),
    ('flush ruleset', ['delete table inet x', 'delete rule inet y a handle 3', 'delete rule inet y a handle 5', 'delete set inet y __set0', 'delete set inet y z', 'delete chain inet y a', 'delete table inet y']),
]
# fmt: on


def test_each_command_is_told_as_nft_tells_it() -> None:
    told = []
    with Session(strict=True) as session:
        for command, _ in TOLD:
            before = look(session.ruleset)
            assert session.nft([command]).exit_code == 0, command
            out = output(parse_options(["monitor"]), session)
            told.append((command, [event.text for event in changes(before, look(session.ruleset), out)]))
    assert told == TOLD


def test_what_tc_changes_in_the_session_is_not_told() -> None:
    with Session(strict=True) as session:
        session.ip("link add eth0 type dummy")
        before = look(session.ruleset)
        assert session.tc("qdisc add dev eth0 clsact").exit_code == 0
        assert session.tc("filter add dev eth0 ingress protocol ip flower ip_proto tcp action ct pipe action drop").exit_code == 0
        assert session.nft(["add table ip t"]).exit_code == 0
        out = output(parse_options(["monitor"]), session)
        assert [event.text for event in changes(before, look(session.ruleset), out)] == ["add table ip t"]
