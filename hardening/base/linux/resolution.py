"""By which names a path leads through a root directory, as a process goes whose root that is (path_resolution(7)).

What is only named goes this way: to be judged, compared, or looked at again. What is opened leaves the way to the kernel
(openat2(2), RESOLVE_IN_ROOT), for a name may be that of another file by then; and where it counts whose each link is, the
ways are those of `hardening.base.links` and `hardening.base.trusted`.
"""

from __future__ import annotations

import os
import stat

from hardening.base.files import MAX_LINKS
from hardening.base.values import frozen


@frozen
class PathResolution:
    """Where a path leads inside a root: ``path`` has no symbolic links in it, and ``missing`` are its last components, those
    that are not there, or cannot be looked at. ``names`` are all that were looked at on the way, as paths inside the root
    whose directories are no links. ``problem`` says why the kernel would find nothing even if the missing ones were made;
    empty where it would."""

    path: str
    missing: tuple[str, ...]
    names: tuple[str, ...] = ()
    problem: str = ""

    @property
    def existing(self) -> str:
        """The part that exists."""
        parts = self.path.strip("/").split("/")
        return "/" + "/".join(parts[: len(parts) - len(self.missing)])


def resolve(path: str, root: str = "/") -> PathResolution:
    """Follow ``path``, absolute or not, from the directory ``root``, and never out of it."""
    top, pending = root.rstrip("/"), _parts(path)
    reached, names, links = list[str](), list[str](), 0
    missing, problem, in_directory = tuple[str, ...](), "", True
    while pending and not (missing or problem):
        part = pending.pop()
        if part == ".." and in_directory:
            del reached[-1:]
            continue
        # Of a file the kernel knows no `..`: it is missing there.
        name = "/".join(("", *reached, part))
        names.append(name)
        mode, target = _look(top + name)
        if target:
            links += 1
            problem = "too many symbolic links" if links > MAX_LINKS else ""
            reached = [] if target.startswith("/") else reached
            pending += _parts(target)
        elif mode and not stat.S_ISLNK(mode):
            reached.append(part)
            in_directory = stat.S_ISDIR(mode)
        else:
            missing = (part, *reversed(pending))
    if ".." in missing:
        problem = f"a .. leads back from {names[-1].removesuffix('/..')}, which is no directory"
    return PathResolution("/" + "/".join((*reached, *missing)), missing, tuple(names), problem)


def _parts(path: str) -> list[str]:
    """The names in a path, the last one first."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _look(path: str) -> tuple[int, str]:
    """The mode of a name, and the target of a link; 0 of what is not there or cannot be looked at, or be a name."""
    mode = 0
    try:
        mode = os.lstat(path).st_mode
        return mode, os.readlink(path) if stat.S_ISLNK(mode) else ""
    except (OSError, ValueError):
        return mode, ""
