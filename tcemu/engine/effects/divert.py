"""nft statements that send packets elsewhere: reject, dup, fwd, queue, log, tproxy.

Sources: net/netfilter/nft_reject.c, nft_reject_inet.c; nft_dup_netdev.c, net/ipv4/netfilter/nft_dup_ipv4.c; nft_fwd_netdev.c;
nft_queue.c; nft_log.c; nft_tproxy.c.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from tcemu.engine.keys import ends_of, port_of
from tcemu.engine.program import Env, Op
from tcemu.engine.sockets import Ends
from tcemu.engine.values import Value
from tcemu.fields import G_IP4, G_IP6, IIF
from tcemu.ir.verdict import ACCEPT, DROP, MISS, PIPE, STOLEN
from tcemu.offload.nft_flows import FlowTable
from tcemu.packet.packet import Packet

RESET: Final = 0  # what a rejected packet is answered with
ICMP4: Final = 1
ICMP6: Final = 2
ICMPX: Final = 3

CODES4: Final = (0, 3, 1, 13)  # icmpx no-route, port-unreachable, host-unreachable, admin-prohibited as ICMP has them
CODES6: Final = (0, 4, 3, 1)  # and as ICMPv6 has them


class RejectOp(Op):
    """Answer and drop."""

    def __init__(self, how: i64, code: i64) -> None:
        super().__init__(DROP, None, 0, None)
        self.how: i64 = how
        self.code: i64 = code

    def run(self, env: Env, p: Packet) -> i64:
        p.reason = "rejected"
        how = self.how
        code = self.code
        if how == ICMPX:
            how = ICMP4 if (p.groups & G_IP4) != 0 else ICMP6
            code = (CODES4 if how == ICMP4 else CODES6)[code & 3]
        if (how == ICMP4 and (p.groups & G_IP4) == 0) or (how == ICMP6 and (p.groups & G_IP6) == 0):
            return DROP
        env.reject(p, how, code)
        return DROP


class DuplicateOp(Op):
    """dup: a copy goes to a device (netdev family) or to another host (ip families)."""

    def __init__(self, device: Value | None, family: i64, address: Value | None) -> None:
        super().__init__(PIPE, None, 0, None)
        self.device: Value | None = device
        self.family: i64 = family
        self.address: Value | None = address

    def run(self, env: Env, p: Packet) -> i64:
        index: i64 = 0
        device = self.device
        if device is not None:
            index = device.get(env, p)
            if not device.ok:
                return MISS
        address = self.address
        if address is None:
            env.duplicate(p, 0, 0, 0, index)
            return PIPE
        high: i64 = 0
        low = address.get(env, p)
        behind = address.next
        if behind is not None and address.ok:
            high = low
            low = behind.get(env, p)
            if not behind.ok:
                return MISS
        if not address.ok:
            return MISS
        env.duplicate(p, self.family, high, low, index)
        return PIPE


class ForwardOp(Op):
    """fwd: the packet itself leaves by another device."""

    def __init__(self, device: Value, family: i64, address: Value | None) -> None:
        super().__init__(STOLEN, None, 0, None)
        self.device: Value = device
        self.family: i64 = family
        self.address: Value | None = address

    def run(self, env: Env, p: Packet) -> i64:
        index = self.device.get(env, p)
        if not self.device.ok:
            return MISS
        high: i64 = 0
        low: i64 = 0
        address = self.address
        if address is not None:
            low = address.get(env, p)
            if not address.ok:
                return MISS
            behind = address.next
            if behind is not None:
                high = low
                low = behind.get(env, p)
        return STOLEN if env.hand_over(p, index, self.family, high, low) else DROP


class QueueOp(Op):
    """queue: a program decides."""

    def __init__(self, low: i64, high: i64, value: Value | None, bypass: bool) -> None:
        super().__init__(ACCEPT, None, 0, None)
        self.low: i64 = low
        self.high: i64 = high
        self.value: Value | None = value
        self.bypass: bool = bypass

    def run(self, env: Env, p: Packet) -> i64:
        queue = self.low
        value = self.value
        if value is not None:
            queue = value.get(env, p)
            if not value.ok:
                return MISS
        return env.ask_user(p, queue, self.bypass)


class LogOp(Op):
    """log."""

    def __init__(self, prefix: str, level: str, group: i64, size: i64) -> None:
        super().__init__(PIPE, None, 0, None)
        self.prefix: str = prefix
        self.level: str = level
        self.group: i64 = group
        self.size: i64 = size

    def run(self, env: Env, p: Packet) -> i64:
        env.log(p, self.prefix, self.level, self.group, self.size)
        return PIPE


class TransparentProxyOp(Op):
    """tproxy: the packet gets a transparent socket of this machine: the one of its connection, else one that listens where it says."""

    def __init__(self, family: i64, address: Value | None, port: Value | None) -> None:
        super().__init__(PIPE, None, 0, None)
        self.family: i64 = family  # 4, 6, or 0 for either
        self.address: Value | None = address
        self.port: Value | None = port

    def run(self, env: Env, p: Packet) -> i64:
        p.reason = "tproxy: no transparent socket"
        ends = ends_of(p)
        if ends is None or self.family not in (0, ends.family):
            return MISS
        sockets = env.tables.sockets
        found = sockets.find(ends)
        if found is None or found.peer_port == 0:
            if not self.lead(env, p, ends):
                return MISS
            found = sockets.find(ends)
            if found is not None and found.peer_port != 0:
                return MISS
        if found is None or not found.transparent:
            return MISS
        p.reason = ""
        env.assigned = found
        return PIPE

    def lead(self, env: Env, p: Packet, ends: Ends) -> bool:
        """nf_tproxy_laddr4, _laddr6: where a listener is looked for; False where the address cannot be read."""
        address = self.address
        if address is not None:
            ends.to_high, ends.target = 0, address.get(env, p)
            behind = address.next
            if behind is not None and address.ok:
                ends.to_high, ends.target = ends.target, behind.get(env, p)
            if not address.ok or (behind is not None and not behind.ok):
                return False
        if address is None or (ends.to_high | ends.target) == 0:
            device = port_of(env, p.f[IIF])
            if device is not None:
                for own in device.addresses:
                    if own.family == ends.family and not own.secondary:
                        ends.to_high, ends.target = own.high, own.low
                        break
        port = self.port
        if port is not None:
            number = port.get(env, p)
            if not port.ok:
                return False
            if number != 0:
                ends.dport = number
        return True


class OffloadOp(Op):
    """flow add: the rest of the rule is for connections that were just offloaded (nft_flow_offload_eval)."""

    def __init__(self, flows: FlowTable) -> None:
        super().__init__(PIPE, None, 0, None)
        self.flows: FlowTable = flows

    def run(self, env: Env, p: Packet) -> i64:
        return PIPE if env.offload(p, self.flows) else MISS
