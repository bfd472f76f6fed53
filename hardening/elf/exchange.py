"""What libraries do otherwise for the same symbol: a C library makes clone3(2) for pthread_create(3) where the version
before made clone(2), say. Who was seen to make the one comes to the other, whatever its branches show."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hardening.elf.closure import Linked
from hardening.elf.reach import STARTING


def exchanged(now: Linked, before: Linked, instead: Mapping[int, Collection[int]]) -> frozenset[int]:
    """Those system calls that a library makes now for a symbol that somebody uses, by calls alone, where it made them not
    for it before, but one of those that each is ``instead`` of. Raises `TooMuchCode`."""
    found = set[int]()
    of_old: dict[int, frozenset[str]] = {}
    for number, others in instead.items():
        news = _leading(now, number)
        if not news:
            continue
        for known in {number, *others} - of_old.keys():
            of_old[known] = _leading(before, known)
        if (news - of_old[number]) & frozenset[str]().union(*(of_old[other] for other in others)):
            found.add(number)
    return frozenset(found)


def _leading(linked: Linked, number: int) -> frozenset[str]:
    """The symbols for which a library makes a system call, and that another file uses."""
    found = set[str]()
    seen = {
        (index, where)
        for index, calls in enumerate(linked.system_calls)
        for site, made in calls.sites.items()
        if number in made and (where := linked.binaries[index].elf.function(site)) is not None
    }
    pending = list(seen)
    while pending:
        index, address = pending.pop()
        callers = {(index, caller) for caller in linked.binaries[index].callers(address)}
        for name in linked.names.get((index, address), ()):
            users = [user for user in linked.users.get(name, ()) if user != index and name not in STARTING]
            if users:
                found.add(name)
            callers |= {(user, caller) for user in users for caller in linked.binaries[user].callers(name)}
        pending += callers - seen
        seen |= callers
    return frozenset(found)
