"""The ruleset of the engine benchmark as nft text: 22 rules in 3 chains, connection states, a set of 1,000 addresses."""

from __future__ import annotations

ELEMENTS = 1000


def ruleset() -> str:
    """An ordinary stateful firewall on the forward hook: most packets belong to connections that are established."""
    blocked = ", ".join(f"203.0.{113 + number // 250}.{number % 250}" for number in range(ELEMENTS))
    web = "\n".join(f"\t\ttcp dport {port} counter accept" for port in (22, 25, 80, 110, 443, 993, 3306, 5432, 8080))
    dns = "\n".join(f"\t\tudp dport {port} counter accept" for port in (53, 123, 443, 4500))
    return f"""table inet bench {{
	set blocked {{
		type ipv4_addr
		elements = {{ {blocked} }}
	}}
	chain forward {{
		type filter hook forward priority filter; policy accept;
		ip saddr @blocked counter drop
		ct state invalid counter drop
		ct state established,related counter accept
		meta l4proto tcp jump web
		meta l4proto udp jump names
		ip saddr 192.0.2.0/24 counter drop
		counter
	}}
	chain web {{
{web}
		counter
	}}
	chain names {{
{dns}
		counter
	}}
}}
"""
