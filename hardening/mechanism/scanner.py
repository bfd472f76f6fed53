"""The interface that a scanner implements: what a root has that it should not (``hardening scan``, `[scan]`)."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

from hardening.base.values import frozen
from hardening.mechanism.inputs import Inputs, Unknown

# What a root can have that it should not, as `[scan]` names it. `UNREAD` is what nobody could look at, and may be any.
SETUID, SETGID, CAPABILITIES, WORLD_WRITABLE = "setuid", "setgid", "file_capabilities", "world_writable"
DEVICES, CREDENTIALS, EXTERNAL, UNREAD = "devices", "credentials", "external", "unread"
#: What a profile permits or denies.
DENIABLE = (SETUID, SETGID, CAPABILITIES, WORLD_WRITABLE, DEVICES, CREDENTIALS, EXTERNAL)
KINDS = (*DENIABLE, UNREAD)


@frozen(order=True)
class Detection:
    """One thing that a root has: its kind, its path in the root, beginning with ``/`` (`os.fsdecode`), and what it is. No
    content of a file ever stands in it."""

    kind: str
    path: str
    detail: str


@frozen(order=True)
class Package:
    """A package that the package manager of a root knows."""

    manager: str
    name: str
    version: str
    architecture: str = ""


@frozen(eq=False)
class RootEntry:
    """One file of any type. ``descriptor`` holds it open (O_PATH), ``read`` opens a regular one and gives at most so many
    of its first bytes, ``pieces`` all of them, so many at a time; both raise `OSError`."""

    path: str
    status: os.stat_result
    descriptor: int
    read: Callable[[int], bytes]
    pieces: Callable[[int], Iterator[bytes]]


@frozen(eq=False)
class ScannedRoot:
    """The root as a whole. ``tree`` is a descriptor of its read-only mount, ``read`` gives at most so many of the first
    bytes of a regular file, links resolved inside the root; ``names`` those in a directory. Both raise `OSError`.
    ``packages`` are those that scanners list, once they have."""

    tree: int
    read: Callable[[str, int], bytes]
    names: Callable[[str], Iterable[str]]
    packages: tuple[Package, ...] = ()


class Scanner(ABC):
    """Looks at a root. It is called in a process of its own that sees the root through a read-only mount without devices,
    setuid and programs, and it starts nothing of the root's. What it raises is told as `UNREAD`, with its name, and refuses
    the root where something of its kinds is denied; so is a minute that one file takes it, after which it is asked
    nothing more."""

    #: In lists, and in errors.
    name: ClassVar[str]
    #: One line for lists.
    summary: ClassVar[str]
    #: The kinds of what it finds, of `KINDS`: ``external`` is what no other kind has. A gate asks only those of kinds that
    #: it denies.
    kinds: ClassVar[tuple[str, ...]]
    #: Whether it lists `packages`. It is asked wherever those are that may judge by them.
    lists: ClassVar[bool] = False

    def inputs(self) -> Inputs:
        """Everything outside of a root that decides what is found in it (`hardening.mechanism.inputs`), such as a
        database of what is known by now: a run is admitted without a scan for as long as that and the image are the
        same. Of a scanner that does not say it, every run scans anew."""
        yield Unknown(f"the scanner {self.name} does not say what it looks at")

    @abstractmethod
    def entry(self, entry: RootEntry) -> Iterable[Detection]:
        """What is to be said of one file; called once for each, in no order."""

    def packages(self, root: ScannedRoot) -> Iterable[Package | Detection]:
        """The packages of a root, and what of their lists cannot be read, where it ``lists`` them; called before `whole` is
        of any scanner."""
        return ()

    def owners(self, root: ScannedRoot, paths: Sequence[str]) -> Mapping[str, str]:
        """The package that has each of some files, with its version, by its path; those that no package has are left out.
        ``root`` has no ``tree`` and no ``packages`` then (``hardening check``)."""
        return {}

    def whole(self, root: ScannedRoot) -> Iterable[Detection]:
        """What is to be said of the root, after all files."""
        return ()
