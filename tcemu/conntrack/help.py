"""What `conntrack -h` says: the tool's commands and options, in tcemu's words."""

from __future__ import annotations

from typing import Final

HELP: Final = """\
Command line interface for the connection tracking system. Version 1.4.7 (tcemu)
Usage: conntrack [commands] [options]

Commands:
  -L [table] [options]		show connections
  -G [table] parameters		show one connection or expectation by its tuple
  -D [table] parameters		delete connections
  -I [table] parameters		make a connection or expectation
  -A [table] parameters		the same; one that is there is no failure
  -U [table] parameters		change connections
  -F [table]			delete all
  -C [table]			count
  -S				show statistics
  -R file			do what lines of -I, -A, -U, -D and -F say
  -E [table] [options] --in DEV=FILE	play captures and show events (--in is tcemu's own)
  -V				show the version

Tables: conntrack, expect, dying, unconfirmed

Which connections:
  -s, --src, --orig-src ip[/n]		source of the original direction
  -d, --dst, --orig-dst ip[/n]		destination of the original direction
  -r, --reply-src ip			source of the reply direction
  -q, --reply-dst ip			destination of the reply direction
      --mask-src, --mask-dst ip		compare only these bits of -s, -d
  -p, --protonum proto			transport protocol, with it:
      --sport, --dport, --reply-port-src, --reply-port-dst, --state
      --icmp-type, --icmp-code, --icmp-id, --srckey, --dstkey
  -f, --family ipv4|ipv6		address family
  -m, --mark mark[/mask]		mark
  -u, --status word[,...]		ASSURED, SEEN_REPLY, UNREPLIED, EXPECTED, FIXED_TIMEOUT, OFFLOAD
  -w, --zone, --orig-zone, --reply-zone n	zone
  -n, --src-nat [ip[:port]]		source is translated
  -g, --dst-nat [ip[:port]]		destination is translated
  -j, --any-nat [ip[:port]]		one of them is

Expectations (-I expect):
      --tuple-src, --tuple-dst ip[/n]	source and destination that are expected
      --mask-src, --mask-dst ip		bits of them that matter
      --tuple-port-src, --tuple-port-dst, --mask-port-src, --mask-port-dst	behind -p

How to show, what to set:
  -o, --output word[,...]		extended, id, timestamp, ktimestamp, xml, save
  -e, --event-mask word[,...]		NEW, UPDATES, DESTROY, ALL (-E)
  -z, --zero				set counters to zero while showing
  -t, --timeout seconds			time that is left (-I, -U)
"""
