"""Removing control groups: those that a launch has made, and what one that was killed has left. None that somebody uses."""

from __future__ import annotations

import errno
import select

from hardening.base import files
from hardening.base.files import Opened
from hardening.base.linux.system import os
from hardening.launch.cgroup.hierarchy import groups_anywhere, groups_of, is_group, lock, subgroups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MADE, CLAIMED = "made ", "claimed "  # how the words of `Cgroup.tell` begin
#: Seconds between two attempts to remove a group. It is empty shortly after its last process was killed; but one that waits
#: for a lock of the kernel's, as to make a network namespace on a busy host, dies seconds later: 20 in all.
PAUSES = tuple(0.01 * tens for tens in range(1, 21) for _ in range(10))
#: Groups that have not gone yet, or meanwhile.
_GOING = (errno.EBUSY, errno.ENOENT, errno.ENODEV)
_GROUP = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def is_taken(path: str) -> bool:
    """Whether a group of a path is there that another container, or anything else, uses. One that nobody does is removed, as
    it would be to make it anew. `OSError`."""
    return any(remove_unclaimed(directory) or is_group(directory) for directory in groups_of(path))


def remove_abandoned(path: str) -> None:
    """Remove the groups of a path, with what is left inside, unless a launch holds them. `OSError`."""
    for directory in groups_of(path):
        try:
            held = lock(directory)
        except OSError:
            continue
        with Opened(held):
            kill_and_remove(directory)


def remove_empty(path: str) -> None:
    """Remove the groups of a path that another runtime has made, where they are empty, which they are a moment after their
    last process is killed, and where nobody holds them."""
    for directory in groups_anywhere(path):
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
        each_group(kill_and_remove, claimed)
    finally:
        each_group(remove_unclaimed, made)


def each_group(step: Callable[[str], object], directories: Iterable[str]) -> None:
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
        held = lock(directory)
    except OSError:
        return False
    with Opened(held):
        remove_if_empty(directory)
    return files.exists(directory)


def kill_and_remove(directory: str) -> None:
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
        left = [subgroups(here)]
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
                left.append(subgroups(here))
    except OSError as error:
        if error.errno not in _GOING:
            raise
    finally:
        os.close(here)


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


def remove_if_empty(directory: str) -> None:
    """Remove a group, unless it holds processes, or the group of another container by now."""
    try:
        os.rmdir(directory)
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.ENOENT):
            raise
