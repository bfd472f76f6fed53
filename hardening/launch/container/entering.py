"""Entering namespaces of a container that runs, as whoever owns its files (setns(2))."""

from __future__ import annotations

from hardening.base import files
from hardening.base.linux import abi, kernel
from hardening.base.linux.system import os

_FLAGS = {
    "user": abi.CLONE_NEWUSER,
    "net": abi.CLONE_NEWNET,
    "ipc": abi.CLONE_NEWIPC,
    "uts": abi.CLONE_NEWUTS,
    "mnt": abi.CLONE_NEWNS,
}


class OpenNamespaces:
    """OpenNamespaces of a process, opened before any is entered: /proc may be another one then."""

    def __init__(self, pid: int, *names: str) -> None:
        self._spaces = {name: os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in names}
        self._ids = [_first_id(f"/proc/{pid}/{kind}_map") for kind in ("gid", "uid")]

    def enter(self, name: str) -> bool:
        """Enter one; False where this process is in it already. ``user`` gives the rights over what belongs to it, and takes
        those over what does not. `OSError`."""
        space = self._spaces[name]
        if files.same(os.fstat(space), os.stat(f"/proc/self/ns/{name}")):
            return False
        kernel.setns(space, _FLAGS[name])
        if name == "user":
            kernel.prctl(abi.PR_SET_KEEPCAPS, 1)
            os.setresgid(self._ids[0], self._ids[0], self._ids[0])
            os.setresuid(self._ids[1], self._ids[1], self._ids[1])
            permitted = kernel.capget()[1]
            kernel.capset(permitted, permitted, 0)
            kernel.prctl(abi.PR_SET_DUMPABLE, 0)
        return True


def _first_id(path: str) -> int:
    """Root of a user namespace, or the first id that it has."""
    return min(int(line.split()[0]) for line in files.read(path).splitlines())
