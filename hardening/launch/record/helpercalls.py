"""What the helpers before a command (`hardening.launch.config.confinement`) ask of the kernel while they are traced, and its
answers: nothing that is there afterwards tells of some confinements (landlock(7))."""

from __future__ import annotations

from hardening.base.linux import abi, ptrace
from hardening.base.linux.system import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Bytes that are kept of what an argument points to, and from which address on it may point to something (proc(5),
#: mmap_min_addr).
KEPT, LOWEST = 64, 4096
_STANDARD = ("0", "1", "2")


class HelperCalls:
    """The calls of each helper, as a receipt has them (docs/reference/receipts.md)."""

    def __init__(self, helpers: int) -> None:
        self.found: list[dict[str, Any]] = []
        self._left = helpers
        self._call: dict[str, Any] | None = None  # that the kernel has not answered yet
        self._stops = ptrace.SyscallStops()

    def follows(self, pid: int) -> bool:
        """Whether what a process has executed right now is a helper, and no command yet."""
        if not self._left:
            return False
        self._left -= 1
        self._call = None
        self.found.append({"exe": os.readlink(f"/proc/{pid}/exe"), "calls": []})
        return True

    def take(self, pid: int) -> None:
        """Take a stop of its at a system call. `OSError`."""
        kind, _, number, arguments, _ = self._stops.read(pid)
        if kind != abi.PTRACE_SYSCALL_INFO_EXIT:
            memory = ptrace.Memory(pid, KEPT)
            pointed = {str(place): _pointed(memory, value) for place, value in enumerate(arguments)}
            self._call = {
                "number": number,
                "arguments": list(arguments),
                "memory": {place: data.hex() for place, data in pointed.items() if data},
                "descriptors": _descriptors(f"/proc/{pid}/fd"),
            }
        elif self._call is not None:
            result = number - (1 << 64) if number >> 63 else number
            self.found[-1]["calls"].append({**self._call, "result": result})
            self._call = None


def _pointed(memory: ptrace.Memory, address: int) -> bytes:
    try:
        return memory.read(address, KEPT) if address >= LOWEST else b""
    except OSError:
        return b""


def _descriptors(place: str) -> dict[str, str]:
    """What a process has open beyond the standard streams; nothing where that is the container's root's to read."""
    try:
        return {name: os.readlink(f"{place}/{name}") for name in os.listdir(place) if name not in _STANDARD}
    except OSError:
        return {}
