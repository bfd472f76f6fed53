"""Writing the id maps of a new user namespace (user_namespaces(7), newuidmap(1))."""

from __future__ import annotations

from hardening.base import files, places
from hardening.base.files import Opened
from hardening.base.frozen import Frozen
from hardening.base.linux import abi, kernel
from hardening.base.linux.system import os, signal
from hardening.errors import LaunchError

HELPER_SECONDS = 60  # which may ask a directory of accounts for the ranges (subid in nsswitch.conf(5))


class IdMap(Frozen):
    """One line of a uid_map or gid_map (user_namespaces(7))."""

    inside: int
    outside: int
    count: int


def write_maps(pid: int, uid_map: tuple[IdMap, ...], gid_map: tuple[IdMap, ...]) -> bool:
    """Map the ids of the user namespace that process ``pid`` is in.

    Written directly where the kernel permits it to this process, else with newuidmap and newgidmap. The result is
    whether setgroups(2) stays allowed inside. Raises `LaunchError`.
    """
    effective = kernel.capget()[0]
    may = all(abi.has_capability(effective, name) for name in ("CAP_SETUID", "CAP_SETGID"))
    direct = may and _reaches(uid_map, gid_map)
    if direct or _is_own(uid_map, os.geteuid()):
        _write(f"/proc/{pid}/uid_map", uid_map)
    else:
        _run_helper("newuidmap", pid, uid_map)
    if direct:
        _write(f"/proc/{pid}/gid_map", gid_map)
    elif _is_own(gid_map, os.getegid()):
        _write_text(f"/proc/{pid}/setgroups", "deny")
        _write(f"/proc/{pid}/gid_map", gid_map)
        return False
    else:
        _run_helper("newgidmap", pid, gid_map)
    return True


def new_user_namespace(uid_map: tuple[IdMap, ...], gid_map: tuple[IdMap, ...]) -> int:
    """A descriptor of a user namespace that exists only for its maps, as id-mapped mounts want it."""
    from hardening.base.linux.children import Holder

    with Holder(abi.CLONE_NEWUSER) as pid:
        write_maps(pid, uid_map, gid_map)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)


def _reaches(uid_map: tuple[IdMap, ...], gid_map: tuple[IdMap, ...]) -> bool:
    """Whether every outside id exists in the namespace that this process itself is in."""
    for name, maps in (("uid_map", uid_map), ("gid_map", gid_map)):
        own = [tuple(map(int, line.split())) for line in files.read(f"/proc/self/{name}").splitlines()]
        for entry in maps:
            last = entry.outside + entry.count
            if not any(first <= entry.outside and last <= first + count for first, _, count in own):
                return False
    return True


def _is_own(maps: tuple[IdMap, ...], own: int) -> bool:
    return len(maps) == 1 and maps[0].outside == own and maps[0].count == 1


def _write(path: str, maps: tuple[IdMap, ...]) -> None:
    _write_text(path, "".join(f"{entry.inside} {entry.outside} {entry.count}\n" for entry in maps))


def _write_text(path: str, text: str) -> None:
    name = files.base(path)
    try:
        files.write(path, text)
    except OSError as error:
        raise LaunchError(
            f"{name} {text.strip()!r} is refused by the kernel: {error.strerror}",
            hint="ranges must not overlap, and every outside id must be one that the caller may use",
        ) from error


def _run_helper(name: str, pid: int, maps: tuple[IdMap, ...]) -> None:
    program = next(
        (path for path in (f"{place}/{name}" for place in places.OF_HELPERS) if os.access(path, os.X_OK)), None
    )
    if program is None:
        raise LaunchError(
            f"{name} is needed to map more than the caller's own id, and is not installed",
            hint="install the package uidmap (shadow-utils), or map one id only",
        )
    numbers = [str(number) for entry in maps for number in (entry.inside, entry.outside, entry.count)]
    # What it says belongs to the error, and to nobody where there is none.
    with Opened(os.memfd_create(name, os.MFD_CLOEXEC)) as output:
        child = os.posix_spawn(
            program,
            [name, str(pid), *numbers],
            {"PATH": "/usr/bin:/bin"},
            file_actions=[(os.POSIX_SPAWN_DUP2, output, 2)],
        )
        status = _end(child)
        words = os.pread(output, 1024, 0).decode("utf-8", "replace").strip()
    if status is None:
        raise LaunchError(
            f"{name} has not ended within {HELPER_SECONDS} seconds", hint="see what it waits for: strace -f"
        )
    if status != 0:
        database = "/etc/subuid" if name == "newuidmap" else "/etc/subgid"
        raise LaunchError(
            f"{name} refuses the map {' '.join(numbers)} (exit code {status}){f': {words}' if words else ''}",
            hint=f"the caller needs these outside ids in {database}, and {program} its setuid bit or capability",
        )


def _end(child: int) -> int | None:
    """The exit code of a helper; None for one that had to be killed, as its caller may: it has the caller's real uid."""
    from hardening.base.linux import children  # which a map of one id needs as little as a helper

    late = not children.ends(child, HELPER_SECONDS)
    if late:
        os.kill(child, signal.SIGKILL)  # nobody has waited for it, so that the number is its own
    status = children.wait(child)
    return None if late else status
