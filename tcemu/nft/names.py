"""What names stand for: devices of the host, users, groups, conntrack labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tcemu.host.model import Host


class Names:
    """Lookups that types need to read and write values."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._by_index: dict[int, str] | None = None
        self._hosts: dict[str, str] | None = None

    def device_index(self, name: str) -> int | None:
        """The index of a device of the host."""
        device = self.host.devices.get(name)
        return device.rank if device is not None else None

    def device_name(self, index: int) -> str | None:
        """The name of the device with that index."""
        if self._by_index is None:
            self._by_index = {device.rank: device.key for device in self.host.devices}
        return self._by_index.get(index)

    def address(self, text: str) -> str:
        """What /etc/hosts calls an address; no name server is asked. The address itself where it has no name."""
        if self._hosts is None:
            self._hosts = {}
            try:
                with open("/etc/hosts", encoding="utf-8", errors="replace") as file:
                    for fields in (line.split("#")[0].split() for line in file):
                        if len(fields) > 1:
                            self._hosts.setdefault(fields[0], fields[1])
            except OSError:
                pass
        return self._hosts.get(text, text)

    def user(self, name: str) -> int | None:
        """A user's number."""
        import pwd

        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            return None

    def user_name(self, number: int) -> str | None:
        """A user's name."""
        import pwd

        try:
            return pwd.getpwuid(number).pw_name
        except (KeyError, OverflowError):
            return None

    def group(self, name: str) -> int | None:
        """A group's number."""
        import grp

        try:
            return grp.getgrnam(name).gr_gid
        except KeyError:
            return None

    def group_name(self, number: int) -> str | None:
        """A group's name."""
        import grp

        try:
            return grp.getgrgid(number).gr_name
        except (KeyError, OverflowError):
            return None

    def label(self, _name: str) -> int | None:
        """The bit of a named conntrack label (connlabel.conf is not read: its bits are the machine's, not the ruleset's)."""
        return None

    def label_name(self, _bit: int) -> str | None:
        """The name of a conntrack label's bit."""
        return None
