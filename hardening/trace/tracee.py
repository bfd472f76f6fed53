"""What a stopped process shows of itself: its memory, where it stands, its descriptors, its rights (proc(5))."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from pathlib import PurePosixPath

from hardening.base import files
from hardening.base.linux import abi, acl, executable, kernel, ptrace
from hardening.base.values import frozen
from hardening.mechanism.denial import Caller, Seen

#: The longest path that the kernel takes, with its null byte (limits.h), and the size of a page of memory.
PATH_MAX = PAGE = 4096
#: As long as most strings are.
_SHORT = 128
#: The longest address of a socket (struct sockaddr_storage).
MOST_ADDRESS = 128
_NULL = os.makedev(1, 3)  # null(4)


@frozen
class Socket:
    """What a descriptor refers to: numbers of the kernel's (socket(2))."""

    family: int
    kind: int
    protocol: int


class Status:
    """Lines of proc_pid_status(5), each found when it is asked for."""

    def __init__(self, text: str) -> None:
        self._text = "\n" + text

    def get(self, name: str, default: str = "") -> str:
        """A line without its name; ``default`` where there is none."""
        _, found, rest = self._text.partition(f"\n{name}:\t")
        return rest.partition("\n")[0] if found else default


class Tracee:
    """A process that stands still. What cannot be read, since it has just been killed or belongs to somebody else, is
    empty."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._memory = ptrace.Memory(pid, PAGE)

    def link(self, name: str) -> str:
        """Where a link of /proc/PID leads: a path from the container's root on, or such as ``socket:[4711]``."""
        try:
            return os.readlink(f"/proc/{self.pid}/{name}")
        except OSError:
            return ""

    def text(self, name: str) -> str:
        """A file of /proc/PID."""
        try:
            return files.read(f"/proc/{self.pid}/{name}")
        except OSError:
            return ""

    def descriptor(self, number: int) -> str:
        """The path of what a descriptor is open on, or such as ``pipe:[4711]``."""
        return self.link(f"fd/{number}")

    def is_masked(self, number: int) -> bool:
        """Whether a descriptor is open on the null device in the place of a file, which then reads as empty (masked paths of
        the OCI runtime specification)."""
        try:
            found = os.stat(f"/proc/{self.pid}/fd/{number}")
        except OSError:
            return False
        return stat.S_ISCHR(found.st_mode) and found.st_rdev == _NULL and self.descriptor(number) != os.devnull

    def status(self) -> Status:
        """Its proc_pid_status(5)."""
        return Status(self.text("status"))

    def mapped(self, address: int) -> str:
        """The path of the file that is mapped at an address (proc_pid_maps(5)); empty for memory of no file."""
        for line in self.text("maps").splitlines():
            area, *_, path = (*line.split(maxsplit=5), "")[:6]
            first, _, end = area.partition("-")
            if int(first, 16) <= address < int(end, 16):
                return path.removesuffix(" (deleted)") if path.startswith("/") else ""
        return ""

    def argv(self) -> tuple[str, ...]:
        """The words of its command line."""
        return tuple(self.text("cmdline").rstrip("\0").split("\0"))

    def command(self) -> str:
        """Its name (proc_pid_comm(5))."""
        return self.text("comm").removesuffix("\n")

    def caller(self) -> Caller:
        """Who it is, and what it may."""
        status = self.status()
        uids, gids = status.get("Uid").split(), status.get("Gid").split()
        held = int(status.get("CapEff", "0"), 16)
        return Caller(
            pid=int(status.get("Tgid") or self.pid),  # the process, whichever of its threads this is
            command=status.get("Name"),
            executable=self.link("exe"),
            uid=int(uids[3]) if uids else 0,
            gid=int(gids[3]) if gids else 0,
            capabilities=frozenset(name.removeprefix("CAP_") for name in abi.capability_names(held)),
            filters=int(status.get("Seccomp_filters", "0")),
        )

    def most_memory(self) -> int:
        """The most bytes of memory that it ever had at a time (VmHWM, proc_pid_status(5))."""
        return int(self.status().get("VmHWM", "0").removesuffix("kB")) << 10

    def memory(self, address: int, size: int) -> bytes:
        """What its memory holds, up to `PAGE` bytes, as much of it as is mapped."""
        try:
            return self._memory.read(address, size)
        except OSError:
            return b""

    def raw_string(self, address: int) -> bytes:
        """A path, or another string, from an address to its null byte. It may end with the last page that is mapped."""
        found, size = b"", min(_SHORT, PAGE - address % PAGE)
        with suppress(OSError):
            while address and len(found) < PATH_MAX:
                part = self._memory.read(address, size)
                end = part.find(b"\0")
                if end >= 0:
                    return found + part[:end]
                found += part
                address += size
                size = PAGE - address % PAGE
        return found[:PATH_MAX]

    def string(self, address: int) -> str:
        """`raw_string` as text."""
        return files.decode(self.raw_string(address))

    def numbers(self, address: int, count: int, size: int = 8) -> tuple[int, ...]:
        """Unsigned numbers of so many bytes each; fewer than asked for where memory ends."""
        data = self.memory(address, count * size)
        return tuple(int.from_bytes(data[at : at + size], "little") for at in range(0, len(data) - size + 1, size))

    def message_name(self, address: int, *, is_long: bool) -> bytes:
        """The address that sendmsg(2) sends to, by that of its struct msghdr; empty where that has none."""
        header = self.numbers(address, 2, 8 if is_long else 4)
        return (
            self.memory(header[0], min(header[1] & 0xFFFFFFFF, MOST_ADDRESS)) if len(header) == 2 and header[0] else b""
        )

    def path(self, text: str, directory: str | None = None) -> str:
        """The absolute path for one that the process gives, seen from its working directory, or from that of a link of
        /proc/PID, such as ``fd/3``. Empty where there is nothing that a path could begin with."""
        base = self.link(directory or "cwd") if not text.startswith("/") else self.link("root")
        # Two slashes at the beginning would stay (os.path.normpath).
        return "/" + os.path.normpath(f"{base}/{text}").lstrip("/") if base.startswith("/") else ""

    def way(self, path: str) -> tuple[Seen, ...]:
        """The files on the way to an absolute path inside, from the root on, up to a link or what may not be looked at."""
        seen: list[Seen] = []
        for part in (*reversed(PurePosixPath(path).parents), PurePosixPath(path)) if path else ():
            place = f"/proc/{self.pid}/root{part}"
            try:
                found = os.lstat(place)
            except OSError:
                break
            if stat.S_ISLNK(found.st_mode):  # which leads elsewhere here
                break
            seen.append(Seen(str(part), found.st_uid, found.st_gid, found.st_mode, acl.has_list(place)))
        return tuple(seen)

    def socket(self, number: int) -> Socket | None:
        """What a socket of it is, asked of the kernel by a copy of the descriptor; None for none, or where it may not be
        had (pidfd_getfd(2))."""
        try:
            with files.Opened(os.pidfd_open(self.group())) as process:
                fd = kernel.pidfd_getfd(process, number)
            with files.Opened(fd):
                copy = socket.socket(fileno=fd)
                kinds = (socket.SO_DOMAIN, socket.SO_TYPE, socket.SO_PROTOCOL)
                found = Socket(*(copy.getsockopt(socket.SOL_SOCKET, kind) for kind in kinds))
                copy.detach()
                return found
        except OSError:
            return None

    def received(self, address: int, *, is_long: bool) -> int:
        """Where the first bytes are that recvmsg(2) has filled in, by the address of its struct msghdr; 0 where that has
        none."""
        size = 8 if is_long else 4
        header = self.numbers(address, 3, size)  # the address of who sent it, the size of that, the array of places
        return next(iter(self.numbers(header[2], 1, size)), 0) if len(header) == 3 else 0

    def group(self) -> int:
        """The process that this thread is of."""
        return int(self.status().get("Tgid") or self.pid)

    def inside(self, name: str, number: int) -> int:
        """The id inside for one of the host, by ``uid_map`` or ``gid_map``; -1 for one that has none."""
        for line in self.text(name).splitlines():
            first, outside, size = map(int, line.split())
            if outside <= number < outside + size:
                return first + number - outside
        return -1

    def without_effect(self) -> tuple[tuple[int, ...], str] | None:
        """What the file that it has just executed promises and it has not become: ids, and words."""
        status = self.status()
        try:
            found = os.stat(f"/proc/{self.pid}/exe")
            uid, gid = (int(status.get(key).split()[1]) for key in ("Uid", "Gid"))
            held = int(status.get("CapPrm"), 16)
        except (OSError, ValueError, IndexError):  # it was killed this moment
            return None
        if found.st_mode & stat.S_ISUID and found.st_uid != uid:
            wanted = self.inside("uid_map", found.st_uid)
            return (wanted,), _set_id_without_effect("user", found.st_uid, wanted)
        group = stat.S_ISGID | stat.S_IXGRP
        if found.st_mode & group == group and found.st_gid != gid:
            wanted = self.inside("gid_map", found.st_gid)
            return (wanted,), _set_id_without_effect("group", found.st_gid, wanted)
        missing = abi.capability_names(self._file_capabilities() & ~held)
        return ((), f"file capabilities without effect: {', '.join(missing)}") if missing else None

    def _file_capabilities(self) -> int:
        """The permitted set of the file that it executes (capabilities(7), File capabilities); 0 without, and where it is
        another user namespace's."""
        try:
            found = executable.capabilities(os.getxattr(f"/proc/{self.pid}/exe", executable.ATTRIBUTE))
        except OSError:
            return 0
        if found is None or (found.owner and self.inside("uid_map", found.owner)):
            return 0
        return found.permitted


def _set_id_without_effect(kind: str, owner: int, inside: int) -> str:
    """What a program's set-user-ID or set-group-ID bit was to make of it; nobody inside is an owner who is not mapped."""
    who = str(inside) if inside >= 0 else f"of the host's {kind} {owner}, whom no {kind} inside stands for,"
    return f"set-{kind}-ID {who} without effect"
