"""What a friendly world does for rulesets that name what is not there."""

from __future__ import annotations

from tcemu.host.model import Device
from tcemu.world import World


def make_device(world: World, name: str) -> None:
    """Make the device that a ruleset names first."""
    devices = world.host.devices
    highest = max((device.rank for device in devices), default=0)
    devices.put(Device(key=name, rank=highest + 1))
