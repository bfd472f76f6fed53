"""What will break: what an upgrade brings, held against a composed stack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import chain
from typing import Any

import attrs

from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.errors import HardeningError
from hardening.mechanism.denial import Caller, Cause, FileRights, PathAccess, PathAnswer, SystemCall
from hardening.mechanism.mechanism import Context, Mechanism
from hardening.trace import calls
from hardening.upgrade.difference import Difference
from hardening.why import loosen, question
from hardening.why.attempt import Attempt
from hardening.why.loosening import Loosening
from hardening.why.question import Answered

CALL, RIGHTS, MISSING, DIRECTORY = "system call", "file rights", "missing", "directory"
PORT, STACK = "port", "stack"
#: A port that anybody may listen on who may listen at all (ip(7), ip_unprivileged_port_start).
_ORDINARY = 65535


@frozen(eq=False)
class Breakage:
    """Something that worked before an upgrade and will not after it. ``kind`` is one of the above, ``what`` says it in
    words; ``path`` is the file that brings it, ``package`` whose that is, ``program`` the one that is in trouble, ``way``
    the symbols that lead from it to the system call. ``leaf`` decides it, at ``origin``; neither where no setting does.
    ``likely`` is as that of `NewCall`."""

    kind: str
    what: str
    path: str
    package: str = ""
    program: str = ""
    way: Sequence[str] = ()
    leaf: str = ""
    origin: str = ""
    loosening: Loosening | None = None
    advice: str = ""
    likely: bool = True


@frozen(eq=False)
class Foretold:
    """All of it; ``notes`` say what could not be looked at, ``programs`` how many there were that are new or changed."""

    breakages: Sequence[Breakage]
    notes: Sequence[str]
    programs: int


def foretell(attempt: Attempt, context: Context, found: Difference, packages: Mapping[str, str]) -> Foretold:
    """Hold in what two trees differ against a stack; ``packages`` are those known by path already."""
    owners = {**found.owners, **packages}
    judge = _Judge(attempt, context, found, owners)
    breakages = [*judge.calls(), *judge.rights()]
    breakages += [
        Breakage(MISSING, f"{item.what} is not there", item.path, owners.get(item.path, ""), item.program)
        for item in found.missing
        if not packages
    ]
    breakages += (*judge.directories(), *judge.ports())
    return Foretold(breakages, (*_notes(found, attempt), *_elsewhere(found, packages)), found.programs)


def judged(attempt: Attempt, context: Context) -> tuple[Set[int], Mapping[int, Set[int]]]:
    """The system calls of this machine, by number, that a stack permits, be it with some arguments alone; and those that it
    refuses whatever they are, each with those that do the same."""
    machine = attempt.host.machine
    if machine not in calls.MACHINES:
        return frozenset(), {}
    names = calls.by_number(calls.MACHINES[machine][0])
    numbers = {name: number for number, name in names.items()}
    found = {number: _refusal(attempt, context, number, machine) for number in names}
    refused = {
        number: {numbers[name] for name in known[1].equivalent if name in numbers}
        for number, known in found.items()
        if known is not None
    }
    return names.keys() - refused.keys(), refused


def _settings(attempt: Attempt) -> Iterable[tuple[Mechanism[Any], Any]]:
    composition = attempt.composition
    return ((mechanism, composition.settings[mechanism.name]) for mechanism in composition.mechanisms)


def _refusal(
    attempt: Attempt, context: Context, number: int, machine: str
) -> tuple[Mechanism[Any], Cause, SystemCall] | None:
    """What of a stack refuses a system call whatever its arguments, and the call."""
    architecture = calls.MACHINES[machine][0]
    name = calls.name(architecture, number)
    call = SystemCall(name, number, architecture, (0,) * 6, Caller(0), any_arguments=True)
    causes = (
        (mechanism, cause, call)
        for mechanism, settings in _settings(attempt)
        for cause in mechanism.denied(settings, context, call)
        if cause.certain
    )
    return next(causes, None)


def of_stack(error: HardeningError) -> Breakage:
    """That a stack does not compose, or nothing would run, with another root."""
    return Breakage(STACK, error.message, "", origin=str(error.origin or ""), advice=error.hint or "")


def _notes(found: Difference, attempt: Attempt) -> Iterator[str]:
    for path, count in sorted(found.computed.items()):
        yield f"{path}: {count} call{'s' * (count != 1)} with a number that is computed"
    if found.loads:
        yield f"load others at run time, which are not looked at: {', '.join(found.loads)}"
    for path, why in sorted(found.unread.items()):
        yield f"{path} is not looked at: {why}"
    if found.machine not in ("", attempt.host.machine):
        yield f"the programs are for {found.machine}: their system calls are not judged here"


def _elsewhere(found: Difference, packages: Mapping[str, str]) -> Iterator[str]:
    """What packages need of others, which their manager installs with them."""
    for item in found.missing if packages else ():
        yield f"{item.path}: {item.what} is not there, and may be in a package that is not named"


@attrs.define
class _Judge:
    attempt: Attempt
    context: Context
    found: Difference
    owners: Mapping[str, str]
    _loosenings: dict[tuple[str, int], Loosening | None] = attrs.Factory(dict)

    def calls(self) -> Iterator[Breakage]:
        """The system calls that are refused whatever their arguments, and that their program does not do without."""
        machine = self.found.machine
        if machine != self.attempt.host.machine:
            return
        refused: dict[int, tuple[Mechanism[Any], Cause, SystemCall] | None] = {}
        for new in self.found.calls:
            if new.number not in refused:
                refused[new.number] = _refusal(self.attempt, self.context, new.number, machine)
            known = refused[new.number]
            if known is None:
                continue
            mechanism, cause, call = known
            if cause.fallback is not None:
                made = {calls.name(call.architecture, number) for number in self.found.called[new.program]}
                if not cause.fallback or cause.fallback & made:
                    continue
            breakage = self._breakage(CALL, mechanism, cause, new.path, new.program, call)
            yield attrs.evolve(breakage, way=new.way, likely=new.likely)

    def rights(self) -> Iterator[Breakage]:
        """What files lend and no command gets."""
        for new in self.found.rights:
            rights = FileRights(new.path, frozenset(new.capabilities), new.effective, new.set_id)
            for mechanism, settings in _settings(self.attempt):
                for cause in mechanism.denied_rights(settings, self.context, rights):
                    yield self._breakage(RIGHTS, mechanism, cause, new.path, new.path)

    def directories(self) -> Iterator[Breakage]:
        """New directories to write to that are read-only, or not seen: likely to matter where the stack lets one be written
        to that has gone."""
        moved = any(not [*self._unwritable(path)] for path in self.found.gone)
        for path in self.found.directories:
            for mechanism, answer in self._unwritable(path):
                what = f"a directory to write to: {answer.denied}"
                leaf = next(iter(self.attempt.composition.meant(answer.leaf)), None)
                yield Breakage(
                    DIRECTORY, what, path, self.owners.get(path, ""), leaf=answer.leaf,
                    origin=leaf.origin if leaf else "", loosening=loosen.of_path(self.attempt, mechanism, path, answer),
                    likely=moved,
                )  # fmt: skip

    def ports(self) -> Iterator[Breakage]:
        """Ports of a configuration that are denied by what denies neither those that it had, nor others."""
        for new in self.found.ports:
            known = {item.entry.leaf for port in (*new.before, _ORDINARY) for item in self._bound(port) if item.entry}
            for item in self._bound(new.port):
                if item.entry is not None and item.entry.leaf not in known:
                    yield Breakage(
                        PORT, f"{item.asked}: {item.denied}", new.path,
                        self.owners.get(new.path, ""), leaf=str(item.entry.leaf), origin=item.entry.origin,
                        loosening=item.loosening, advice=item.advice,
                    )  # fmt: skip

    def _bound(self, port: int) -> Iterator[Answered]:
        uses = question.calls_of(f":{port}", self.context).values()
        asked = [call for call in chain.from_iterable(uses) if call.name == "bind"]
        return question.of_calls(self.attempt, self.context, asked)

    def _unwritable(self, path: str) -> Iterator[tuple[Mechanism[Any], PathAnswer]]:
        for mechanism, answer in question.path_answers(self.attempt.composition, self.context, path):
            if answer.asked == PathAccess.WRITABLE and answer.denied:
                yield mechanism, answer

    def _breakage(
        self,
        kind: str,
        mechanism: Mechanism[Any],
        cause: Cause,
        path: str,
        program: str,
        call: SystemCall | None = None,
    ) -> Breakage:
        key = cause.leaf, call.number if call is not None else -1
        if key not in self._loosenings:
            if call is not None:
                self._loosenings[key] = loosen.of_cause(self.attempt, mechanism, cause, call)
            else:
                self._loosenings[key] = loosen.first(self.attempt, cause.leaf, cause.ways)
        entry = next(iter(self.attempt.composition.meant(cause.leaf)), None)
        return Breakage(
            kind,
            cause.what,
            path,
            self.owners.get(path, ""),
            program,
            leaf=cause.leaf,
            origin=entry.origin if entry is not None else "",
            loosening=self._loosenings[key],
            advice=cause.advice,
        )


def root_of(composition: Composition) -> str:
    """The directory on the host that a stack's command sees as its root. Raises `ProfileError` where it is none."""
    from hardening.mechanism.roles import RootDirectory

    for settings in composition.settings.values():
        if isinstance(settings, RootDirectory):
            return str(settings.directory())
    return "/"
