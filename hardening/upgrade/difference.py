"""In what two trees of files differ, as values that the process which compares them hands over as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hardening.base.values import frozen


@frozen(eq=False)
class NewCall:
    """A system call, by its ``number``, that a ``program`` may make and could not before. ``path`` is the file that brings
    it, ``way`` the symbols that lead to it. It is ``likely`` where most runs of the program come to it, as far as branches
    show; not where every program with this C library may come to it, or where it was a library that made it before."""

    number: int
    program: str
    path: str
    way: Sequence[str]
    likely: bool = True


@frozen(eq=False)
class NewRights:
    """Capabilities, by number, and a set-user-ID or set-group-ID bit that a file lends and did not lend before;
    ``effective`` as in `FileRights`."""

    path: str
    capabilities: Sequence[int] = ()
    effective: bool = False
    set_id: bool = False


@frozen(eq=False)
class NewPort:
    """A ``port`` that a file of configuration names to listen on; ``before`` are those that it named."""

    path: str
    port: int
    before: Sequence[int] = ()


@frozen(eq=False)
class Missing:
    """What a ``program`` needs and the new tree has not, in words; ``path`` is the file that asks for it."""

    path: str
    program: str
    what: str


@frozen(eq=False)
class Difference:
    """All of it, beside the ``directories`` to write to that are new and those that have ``gone``. ``called`` are all
    numbers that each program may call, ``programs`` how many there were that are new or changed, of a ``machine``. What
    could not be looked at: ``computed`` is how many calls of a file have a number that is computed, ``loads`` are files that
    load others at run time, ``unread`` says why a file was not read. ``owners`` are the packages of files."""

    calls: Sequence[NewCall]
    called: Mapping[str, Sequence[int]]
    rights: Sequence[NewRights]
    missing: Sequence[Missing]
    ports: Sequence[NewPort]
    directories: Sequence[str]
    gone: Sequence[str]
    computed: Mapping[str, int]
    loads: Sequence[str]
    unread: Mapping[str, str]
    programs: int
    machine: str
    owners: Mapping[str, str]

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Difference:
        """What `attrs.asdict` made of one."""
        made = {"calls": NewCall, "rights": NewRights, "missing": Missing, "ports": NewPort}
        rows = {name: [kind(**row) for row in data[name]] for name, kind in made.items()}
        return cls(**{**data, **rows})
