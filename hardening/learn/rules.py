"""Which paths stand for those that runs have made: names that every run makes anew are no names to write into a layer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

#: Directories of a system, which hold what no run has asked for (hier(7)): never written in the place of what is in them.
SYSTEM = frozenset(
    {"/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib32", "/lib64", "/libx32", "/mnt", "/opt", "/proc", "/root",
     "/sbin", "/srv", "/sys", "/usr", "/usr/bin", "/usr/lib", "/usr/local", "/usr/sbin", "/usr/share", "/var", "/var/lib"}
)  # fmt: skip


def collapsed(runs: Sequence[Iterable[str]]) -> frozenset[str]:
    """Absolute paths that each run has created, by run; names that differ from run to run as their directory.

    A directory stands for what is in it where two runs have each created a name there that the other one has not, such as a
    process id or a digest, and is not one of `SYSTEM`. Else, and always after a single run, a path stands for itself.
    """
    return frozenset(_below("", [{tuple(path.strip("/").split("/")) for path in paths} for paths in runs]))


def _below(directory: str, runs: Sequence[set[tuple[str, ...]]]) -> Iterable[str]:
    """``directory`` has no slash at its end; the paths are relative to it."""
    names = [{path[0] for path in run if path} for run in runs]
    named = [found for found in names if found]
    differ = any(one - other and other - one for index, one in enumerate(named) for other in named[:index])
    if differ and (directory or "/") not in SYSTEM:
        return (directory,)
    found = [directory or "/"] if any(() in run for run in runs) else []
    for name in sorted(set().union(*names)):
        inside = [{path[1:] for path in run if path and path[0] == name} for run in runs]
        found += _below(f"{directory}/{name}", inside)
    return found
