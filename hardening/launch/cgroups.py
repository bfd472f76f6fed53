"""A control group for one container: cgroup v2, or the per-controller hierarchies of v1 and hybrid hosts."""

from __future__ import annotations

import _stat as stat
import errno
import select

from hardening.base import files, locks, places
from hardening.base.frozen import Frozen
from hardening.base.linux import mountinfo
from hardening.base.linux.system import os
from hardening.errors import LaunchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from hardening.launch.config.model import Resources

_GROUP = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: Groups that have not gone yet, or meanwhile.
_GOING = (errno.EBUSY, errno.ENOENT, errno.ENODEV)
#: Why a group cannot be had. EBUSY: it has processes, or groups of its own. The others: another launch claims it just now.
TAKEN = (errno.EBUSY, errno.EWOULDBLOCK, errno.ENOENT, errno.EEXIST)
_UNIFIED = "/linux/resources/unified"
_BOTH = "set it in a member of /linux/resources that version 1 has as well"
_EVERY = "cgroup"  # begins the names of files that each group of version 2 has, without a controller
MADE, CLAIMED = "made ", "claimed "  # how the words of `Cgroup.tell` begin
#: Seconds between two attempts to remove a group. It is empty shortly after its last process was killed; but one that waits
#: for a lock of the kernel's, as to make a network namespace on a busy host, dies seconds later: 20 in all.
PAUSES = tuple(0.01 * tens for tens in range(1, 21) for _ in range(10))


class Hierarchy(Frozen):
    """One mounted hierarchy: its mount point, its controllers, this process's own group in it."""

    mount: str
    controllers: tuple[str, ...]
    unified: bool
    own: str


class Limit(Frozen):
    """What to write into a file of a group, of version 2 or 1, and the JSON pointer of who asks for it."""

    unified: bool
    file: str
    value: str
    pointer: str


class Cgroup:
    """The groups of one container, one a hierarchy that limits something.

    ``tell`` hears of each group before it is made, and once it is this container's alone: words for `remove_left`.
    """

    def __init__(self, tell: Callable[[str], None] | None = None) -> None:
        self._directories: list[tuple[str, bool]] = []  # (path, whether it is v2), deepest last
        self._claims: list[int] = []
        self._tell = tell or (lambda _word: None)

    def create(self, path: str, needs: dict[str, list[Limit]]) -> None:
        """Make the groups and write the limits; `LaunchError` when this host or caller cannot."""
        hierarchies = read_hierarchies()
        unified = next((entry for entry in hierarchies if entry.unified), None)
        wanted: dict[str, list[str]] = {}
        for controller, limits in needs.items():
            hierarchy = next((entry for entry in hierarchies if controller in entry.controllers), None)
            if controller == _EVERY:
                hierarchy = unified
            if hierarchy is None:
                raise LaunchError(
                    f"no cgroup hierarchy of this host has the controller {controller!r}",
                    origin=f"config.json:{limits[0].pointer}",
                    hint="leave the limit out, or start the host with it: /proc/cgroups shows what its kernel has",
                )
            for limit in limits:
                if limit.pointer.startswith(_UNIFIED) and not hierarchy.unified:
                    reason = (
                        f"this host has the controller {controller!r} in a hierarchy of version 1, without this file"
                    )
                    raise LaunchError(reason, origin=f"config.json:{limit.pointer}", hint=_BOTH)
            wanted.setdefault(hierarchy.mount, []).append(controller)
        if not wanted and unified is not None:
            wanted[unified.mount] = []
        for hierarchy in hierarchies:
            if hierarchy.mount in wanted:
                self._make(hierarchy, path, wanted[hierarchy.mount], needs)

    def _make(
        self,
        hierarchy: Hierarchy,
        path: str,
        controllers: list[str],
        needs: dict[str, list[Limit]],
    ) -> None:
        parts = _parts(hierarchy, path)
        directory = hierarchy.mount
        origin = "config.json:/linux/cgroupsPath"
        try:
            for index, part in enumerate(parts):
                if hierarchy.unified:
                    _enable(directory, controllers)
                directory = files.join(directory, part)
                if not files.exists(directory):
                    self._tell(f"{MADE}{directory}")
                if index == len(parts) - 1:
                    self._claims.append(_claim(directory))
                elif not _make_directory(directory):
                    continue
                self._directories.append((directory, hierarchy.unified))
                if index == len(parts) - 1:
                    self._tell(f"{CLAIMED}{directory}")
                _inherit_cpuset(directory, hierarchy)
            for limit in [limit for controller in controllers for limit in needs[controller]]:
                if limit.unified == hierarchy.unified:
                    origin = f"config.json:{limit.pointer}"
                    if not files.exists(files.join(directory, limit.file)):
                        raise LaunchError(f"control groups of this host have no {limit.file}", origin=origin)
                    files.write(files.join(directory, limit.file), limit.value)
        except OSError as error:
            raise LaunchError(
                f"the cgroup {directory} cannot be set up: {error.strerror}",
                origin=origin,
                hint="run as root, or in a delegated cgroup (systemd-run --user --scope -p Delegate=yes), or leave"
                " resources out",
            ) from error

    def enter(self, pid: int) -> None:
        """Move a process into the groups."""
        for directory in self._leaves():
            files.write(files.join(directory, "cgroup.procs"), str(pid))

    def _leaves(self) -> list[str]:
        names = [directory for directory, _ in self._directories]
        return [name for name in names if not any(other.startswith(name + "/") for other in names)]

    def was_short_of_memory(self) -> bool:
        """Whether the kernel has killed a process in the groups for want of memory (cgroup v2: memory.events; v1:
        memory.oom_control). `OSError` where it does not say."""
        for directory in self._leaves():
            for name in ("memory.events", "memory.oom_control"):
                path = files.join(directory, name)
                if files.exists(path):
                    counts = dict(line.split(" ", 1) for line in files.read(path).splitlines())
                    return int(counts.get("oom_kill", "0")) > 0
        return False

    def remove(self) -> None:
        """Kill what is left inside and remove the groups that `create` made. `OSError` when one cannot be removed, once the
        others are."""
        leaves = self._leaves()
        try:
            _each(
                lambda directory: _kill_and_remove(directory) if directory in leaves else _remove_if_empty(directory),
                [directory for directory, _ in reversed(self._directories)],
            )
        finally:
            self._directories.clear()
            for claim in self._claims:
                os.close(claim)
            self._claims.clear()


def _parts(hierarchy: Hierarchy, path: str) -> list[str]:
    """The names from the mount point of a hierarchy to the group of a path, which may be relative to the own one."""
    relative = files.join(hierarchy.own, path)
    return [part for part in relative.split("/") if part not in ("", ".")]


def _places(path: str) -> Iterator[str]:
    """Where the group of a path that was written down is in each hierarchy; nowhere for what no launch has made: it would
    lead out of the hierarchy, is no group of a container's own, or no name that the kernel knows."""
    if places.wrong_group(path):
        return
    for hierarchy in read_hierarchies():
        below = "/".join(_parts(hierarchy, path))
        # The own group may lie above what a namespace shows (`/../a`).
        if not places.wrong_group(below) and _is_group(f"{hierarchy.mount}/{below}"):
            yield f"{hierarchy.mount}/{below}"


def _is_group(directory: str) -> bool:
    """Whether a directory is a group, and not what is mounted over one."""
    return files.exists(f"{directory}/cgroup.procs")


def is_taken(path: str) -> bool:
    """Whether a group of a path is there that another container, or anything else, uses. One that nobody does is removed, as
    it would be to make it anew. `OSError`."""
    return any(remove_unclaimed(directory) or _is_group(directory) for directory in _places(path))


def remove_abandoned(path: str) -> None:
    """Remove the groups of a path, with what is left inside, unless a launch holds them. `OSError`."""
    for directory in _places(path):
        try:
            held = _lock(directory)
        except OSError:
            continue
        try:
            _kill_and_remove(directory)
        finally:
            os.close(held)


def _anywhere(path: str) -> list[str]:
    """The groups that are there of a path which another runtime takes: runtimes differ in whether they begin at the top of a
    hierarchy or at their own group."""
    name = files.absolute(f"/{path}").lstrip("/")
    tops = {top for mount, _, _, own in _mounted() for top in (mount, files.join(mount, own.strip("/")))}
    return [group for group in sorted(files.join(top, name) for top in tops) if name and _is_group(group)]


def used(path: str) -> str:
    """A group of a path, wherever another runtime may look for that, which has processes or which a launch holds; '' where
    there is none."""
    return next((directory for directory in _anywhere(path) if _is_used(directory)), "")


def taken_by_another(directory: str) -> LaunchError:
    """That a group is another container's."""
    return LaunchError(
        f"the cgroup {directory} exists: another container uses it",
        origin="config.json:/linux/cgroupsPath",
        hint=f"see {directory}/cgroup.procs for its processes",
    )


def _is_used(directory: str) -> bool:
    try:
        here = _lock(directory)
        try:
            if files.exists(f"{directory}/cgroup.events"):  # of version 2, which counts those below as well
                return "populated 1" in files.read(f"{directory}/cgroup.events")
            below = [f"{directory}/{name}" for name in _groups(here)]
        finally:
            os.close(here)
        return bool(files.read(f"{directory}/cgroup.procs").strip()) or any(map(_is_used, below))
    except FileNotFoundError:  # it goes
        return False
    except OSError:
        return True


def remove_empty(path: str) -> None:
    """Remove the groups of a path that another runtime has made, where they are empty, which they are a moment after their
    last process is killed, and where nobody holds them."""
    for directory in _anywhere(path):
        for pause in PAUSES:
            if not os.access(files.parent(directory), os.W_OK) or not remove_unclaimed(directory):
                break
            select.select([], [], [], pause)


def remove_left(words: Sequence[str]) -> None:
    """Remove the groups of a launch that was killed, by what it told of them: with their members where it had claimed
    them, else only where they are empty and nobody's. `OSError`, once the others are removed."""
    claimed = {word.removeprefix(CLAIMED) for word in words if word.startswith(CLAIMED)}
    made = [word.removeprefix(MADE) for word in reversed(words) if word.startswith(MADE)]
    try:
        _each(_kill_and_remove, claimed)
    finally:
        _each(remove_unclaimed, made)


def _each(step: Callable[[str], object], directories: Iterable[str]) -> None:
    """Take a step for each group, whatever becomes of the others; the first `OSError` in the end."""
    problems: list[OSError] = []
    for directory in directories:
        try:
            step(directory)
        except OSError as error:
            problems.append(error)
    if problems:
        raise problems[0]


def remove_unclaimed(directory: str) -> bool:
    """Remove a group that is empty and that no launch holds; leave any other. Whether it is there still, held by nobody."""
    try:
        held = _lock(directory)
    except OSError:
        return False
    try:
        _remove_if_empty(directory)
    finally:
        os.close(held)
    return files.exists(directory)


def _kill_and_remove(directory: str) -> None:
    """Remove a group, with its processes and the groups that they made below it. `OSError`."""
    for pause in (*PAUSES, None):
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or pause is None:
                raise
            try:
                _kill_members(directory)
                _remove_below(directory)
            except OSError as problem:
                if problem.errno not in _GOING:
                    raise
            select.select([], [], [], pause)
        else:
            return


def _remove_below(directory: str) -> None:
    """Remove the groups below one that are empty by now. With v1 each one's processes are killed first."""
    # From one to the next, and by `..` back: a container can nest them deeper than a path, or the descriptors, reach.
    here, names = os.open(directory, _GROUP), list[str]()
    try:
        left = [_groups(here)]
        while left[-1] or names:
            name = left[-1].pop() if left[-1] else ".."
            above, here = here, os.open(name, _GROUP, dir_fd=here)
            os.close(above)
            if name == "..":
                left.pop()
                os.rmdir(names.pop(), dir_fd=here)
            else:
                names.append(name)
                _kill_members(f"/proc/self/fd/{here}")
                left.append(_groups(here))
    except OSError as error:
        if error.errno not in _GOING:
            raise
    finally:
        os.close(here)


def _groups(directory: int) -> list[str]:
    names = os.listdir(directory)
    return [name for name in names if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)]


def _remove_if_empty(directory: str) -> None:
    """Remove a group, unless it holds processes, or the group of another container by now."""
    try:
        os.rmdir(directory)
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.ENOENT):
            raise


def _claim(directory: str) -> int:
    """Make a group, and hold a lock (flock(2)) on it that ends with this process: the descriptor.

    A group that is there already, empty and not held, is what a killed launch has left: it is removed first, for its
    limits are not known. `LaunchError` for any other.
    """
    used = taken_by_another(directory)
    try:
        # Whoever can open a group can lock it: nobody else can until it is locked.
        if not _make_directory(directory, 0o700):
            held = _lock(directory)
            try:
                os.rmdir(directory)
            finally:
                os.close(held)
            os.mkdir(directory, 0o700)
        try:
            held = _lock(directory)
            os.fchmod(held, 0o755)
            return held
        except OSError as error:
            if error.errno not in TAKEN:
                _remove_if_empty(directory)
            raise
    except OSError as error:
        if error.errno in TAKEN:
            raise used from error
        raise


def _lock(directory: str) -> int:
    fd = locks.acquire(locks.open_directory(directory), wait=False)
    try:
        # Another launch may have removed it as a leftover before it was locked, and made one of its own.
        if not files.same(os.fstat(fd), os.stat(directory)):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), directory)
    except OSError:
        os.close(fd)
        raise
    return fd


def _make_directory(directory: str, mode: int = 0o755) -> bool:
    """Make a group, unless it is there; whether it is new."""
    try:
        os.mkdir(directory, mode)
    except FileExistsError:
        return False
    return True


def _kill_members(directory: str) -> None:
    if files.exists(files.join(directory, "cgroup.kill")):
        try:
            files.write(files.join(directory, "cgroup.kill"), "1")
        except OSError as error:
            # A threaded group has no processes: they are those of the group above that is none.
            if error.errno != errno.EOPNOTSUPP:
                raise
        return
    members = [int(line) for line in files.read(files.join(directory, "cgroup.procs")).split()]
    for member in members:
        if member:  # 0 stands for a process outside of this pid namespace
            try:
                os.kill(member, 9)
            except ProcessLookupError:
                continue


def limits(resources: Resources | None) -> dict[str, list[Limit]]:
    """Controller -> what `/linux/resources` asks for."""
    needs: dict[str, list[Limit]] = {}
    if resources is None:
        return needs

    def add(controller: str, old: tuple[str, str] | None, new: tuple[str, str] | None, pointer: str = "") -> None:
        for unified, pair in ((False, old), (True, new)):
            if pair is not None:
                place = pointer or f"/linux/resources/{controller.removesuffix('set')}"
                limit = Limit(unified=unified, file=pair[0], value=pair[1], pointer=place)
                needs.setdefault(controller, []).append(limit)

    def shown(value: int) -> str:
        return "max" if value < 0 else str(value)

    if resources.pids is not None:
        text = shown(resources.pids if resources.pids else -1)
        add("pids", ("pids.max", text), ("pids.max", text))
    if resources.memory is not None:
        add("memory", ("memory.limit_in_bytes", str(resources.memory)), ("memory.max", shown(resources.memory)))
    if resources.memory_swap is not None:
        add("memory", ("memory.memsw.limit_in_bytes", str(resources.memory_swap)), _swap(resources))
    if resources.memory_reservation is not None:
        value = resources.memory_reservation
        add("memory", ("memory.soft_limit_in_bytes", str(value)), ("memory.low", str(max(value, 0))))
    if resources.cpu_shares is not None:
        # The conversion that the runtime spec's implementations share: 2..262144 -> 1..10000.
        weight = 1 + (resources.cpu_shares - 2) * 9999 // 262142
        add("cpu", ("cpu.shares", str(resources.cpu_shares)), ("cpu.weight", str(weight)))
    if resources.cpu_quota is not None or resources.cpu_period is not None:
        quota, period = resources.cpu_quota or -1, resources.cpu_period or 100_000
        add("cpu", ("cpu.cfs_period_us", str(period)), ("cpu.max", f"{shown(quota)} {period}"))
        add("cpu", ("cpu.cfs_quota_us", str(quota)), None)
    if resources.cpus:
        add("cpuset", ("cpuset.cpus", resources.cpus), ("cpuset.cpus", resources.cpus))
    if resources.mems:
        add("cpuset", ("cpuset.mems", resources.mems), ("cpuset.mems", resources.mems))
    for size, most in resources.hugepages:
        # What is used, and what is reserved, which fails early where the other kills.
        for kind in ("", "rsvd."):
            old, new = f"hugetlb.{size}.{kind}limit_in_bytes", f"hugetlb.{size}.{kind}max"
            add("hugetlb", (old, str(most)), (new, str(most)), "/linux/resources/hugepageLimits")
    for file, text in resources.unified:
        add(file.partition(".")[0], None, (file, text), f"{_UNIFIED}/{file}")
    return needs


def _swap(resources: Resources) -> tuple[str, str]:
    """v2 counts swap alone, the spec memory and swap together."""
    total, memory = resources.memory_swap or 0, resources.memory or 0
    if total < 0:
        return "memory.swap.max", "max"
    if total < memory:
        raise LaunchError("is below the memory limit", origin="config.json:/linux/resources/memory/swap")
    return "memory.swap.max", str(total - memory)


def read_hierarchies() -> tuple[Hierarchy, ...]:
    """The cgroup hierarchies that this process sees mounted, v1 first; none that another mount covers."""
    found: dict[str, Hierarchy] = {}
    for mount, unified, names, own in _mounted():
        controllers = tuple(files.read(f"{mount}/cgroup.controllers").split()) if unified else names
        found[mount] = Hierarchy(mount=mount, controllers=controllers, unified=unified, own=own)
    return tuple(sorted(found.values(), key=lambda entry: entry.unified))


def _mounted() -> Iterator[tuple[str, bool, tuple[str, ...], str]]:
    """Each mount of a hierarchy: its place, whether it is v2, its controllers where it is v1, the group of this process."""
    own: dict[str, str] = {}
    for line in files.read("/proc/self/cgroup").rstrip("\n").split("\n"):
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            own[controller.removeprefix("name=")] = path
    for mount in mountinfo.seen(mountinfo.read()):
        if mount.kind == "cgroup2":
            yield mount.place, True, (), own.get("", "/")
        elif mount.kind == "cgroup":
            listed = (name.removeprefix("name=") for name in mount.data)
            names = tuple(name for name in listed if name in own)
            yield mount.place, False, names, own[names[0]] if names else "/"


def _enable(directory: str, controllers: list[str]) -> None:
    enabled = files.read(f"{directory}/cgroup.subtree_control").split()
    missing = [controller for controller in controllers if controller not in (*enabled, _EVERY)]
    if missing:
        files.write(f"{directory}/cgroup.subtree_control", " ".join(f"+{controller}" for controller in missing))


def _inherit_cpuset(directory: str, hierarchy: Hierarchy) -> None:
    """A new group of the v1 cpuset controller is empty, and takes no process until it is filled."""
    if hierarchy.unified or "cpuset" not in hierarchy.controllers:
        return
    for name in ("cpuset.cpus", "cpuset.mems"):
        files.write(files.join(directory, name), files.read(files.join(files.parent(directory), name)).strip())
