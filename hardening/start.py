"""What `scripts/hardening-cli` imports first: the short way to a cache entry, and the way to the whole program. Each looks
at who could have written what it runs, before it imports that.

There is no ``python -m hardening``, which would be the package of the directory where somebody stands (`sys.path`).
"""

from __future__ import annotations

import sys
from posix import _exit, listdir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeAlias

    #: Raises for the first of some packages whose bytecode somebody else could have written.
    Refuse: TypeAlias = Callable[[Iterable[str]], None]


def start(program: str, refuse_others: Refuse) -> int | None:
    """Do what was typed: the exit code, None where `site` and the whole program are needed for that; ``program`` is the path
    of the caller, which has the words for what ``refuse_others`` raises."""
    if sys.flags.no_site:
        _short(program, refuse_others)
        return None
    ours = [f"{place}/{name}" for place in sys.path for name in names(place) if name.startswith("hardening")]
    refuse_others(folder for package in ours for folder in tree(package))
    from hardening.whole import main

    return main()


def _short(program: str, refuse_others: Refuse) -> None:
    """Run the entry for what was typed, and exit. Returns where there is none, or anything is not as it should be: the
    whole program finds that again, and has the words for it."""
    import gc

    gc.disable()  # nothing is made that only a collection would free, until the watch over the command begins
    # What this way imports lies there (`[tool.importlinter]` in pyproject.toml), whatever it is that it runs.
    refuse_others(folder for place in sys.path for folder in lean(f"{place}/hardening"))
    try:
        from hardening.launch.quick import main
    except (EOFError, ImportError, MemoryError, OSError, SyntaxError, SystemError, TypeError, ValueError):
        return
    code: int | None = 125  # `hardening.errors.EXIT_LAUNCHER`
    try:
        code = main(program)
    finally:
        if code is not None:  # whatever is raised: what may have begun is not begun again
            _exit(code)


def lean(package: str) -> list[str]:
    """The packages of the short way: ``package`` itself, and the whole of its two lowest rooms."""
    return [package, *tree(f"{package}/base"), *tree(f"{package}/launch")]


def tree(package: str) -> Iterator[str]:
    """A package and those below it."""
    yield package
    for name in names(package):
        if "." not in name and name != "__pycache__":
            yield from tree(f"{package}/{name}")


def names(folder: str) -> list[str]:
    """The names in a folder; none of what the import system passes over among the entries of `sys.path`."""
    try:
        return listdir(folder)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
