"""What the kernel refuses, with the reasons of errno(3)."""

from __future__ import annotations

from typing import Final

from tcemu.nft.errors import NftError
from tcemu.nft.tree import At

ENOENT: Final = "No such file or directory"
EEXIST: Final = "File exists"
EBUSY: Final = "Device or resource busy"
EOPNOTSUPP: Final = "Operation not supported"
EINVAL: Final = "Invalid argument"
E2BIG: Final = "Argument list too long"
ENFILE: Final = "Too many open files in system"
EMLINK: Final = "Too many links"
EPROTO: Final = "Protocol error"
ERANGE: Final = "Numerical result out of range"
EOVERFLOW: Final = "Value too large for defined data type"


class KernelError(NftError):
    """What the kernel refuses."""

    def __init__(self, reason: str, *places: At) -> None:
        super().__init__(f"Could not process rule: {reason}", *places)


class Missing(KernelError):
    """What the kernel does not find, said with nft's guess at what was meant: told only where nothing else is wrong, as all refusals are."""

    def __init__(self, message: str, *places: At) -> None:
        super().__init__(ENOENT, *places)
        self.message = message
