"""What names stand for: devices of the host, users, groups, conntrack labels."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tcemu.host.model import Host

LABELS: Final = "/etc/connlabel.conf"
LONGEST: Final = 511
_LABEL: Final = re.compile(r"(?:0x([0-9a-fA-F]+)|(\d+))\s+(\S+)")


class Names:
    """Lookups that types need to read and write values."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._by_index: dict[int, str] | None = None
        self._hosts: dict[str, str] | None = None
        self._labels: list[tuple[int, str]] | None = None

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

    def label(self, name: str) -> int | None:
        """The bit of a named conntrack label."""
        return next((bit for bit, known in self.labels() if known == name), None)

    def label_name(self, bit: int) -> str | None:
        """The name of a conntrack label's bit."""
        return next((name for known, name in self.labels() if known == bit), None)

    def labels(self) -> list[tuple[int, str]]:
        """Bits and names of /etc/connlabel.conf, up to a line that is not one (src/rt.c rt_symbol_table_init)."""
        if self._labels is None:
            self._labels = []
            try:
                with open(LABELS, encoding="utf-8", errors="replace") as file:
                    for line in file:
                        text = line.lstrip(" \t").rstrip("\n")
                        if not text or text[0] == "#":
                            continue
                        found = _LABEL.match(text)
                        if found is None:
                            break
                        self._labels.append((int(found[1], 16) if found[1] else int(found[2]), found[3][:LONGEST]))
            except OSError:
                pass
        return self._labels
