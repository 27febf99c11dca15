#!/bin/sh
# Rules as many scripts have them: for a shell on a router, and for `tcemu replay --rules examples/guard.sh`.
# Telnet and remote desktops are nobody's business from outside, pings at most ten a second.
set -e
tc qdisc add dev eth0 clsact
tc filter add dev eth0 ingress prio 1 protocol ip flower ip_proto tcp dst_port 23 action drop
tc filter add dev eth0 ingress prio 1 protocol ip flower ip_proto tcp dst_port 3389 action drop
tc filter add dev eth0 ingress prio 2 protocol ip flower ip_proto icmp type 8 \
    action police pkts_rate 10 pkts_burst 10 conform-exceed drop/pipe
