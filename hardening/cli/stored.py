"""Keeping what a call has composed or judged, so that the next one finds it (`hardening.cache.entries`)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from hardening.assemble import bundle as bundles
from hardening.assemble import handover, pipeline
from hardening.base.pointer import ENVIRONMENT, lookup
from hardening.base.values import frozen
from hardening.cache import entries
from hardening.cache.entries import Entry, Open
from hardening.cache.validity import Validity, of_composition, of_verdict
from hardening.cli import start
from hardening.cli.options.entrypoint import ImageCommand
from hardening.cli.session import Session
from hardening.compose.composition import Composition
from hardening.launch import cache
from hardening.launch.cache import Line
from hardening.launch.config import variables
from hardening.launch.request import LaunchRequest, of_argv
from hardening.mechanism.fragment import Spec
from hardening.mechanism.host import probe
from hardening.mechanism.inputs import Input
from hardening.mechanism.mechanism import Context
from hardening.mechanism.runtime import Runtime


@frozen(eq=False)
class Storable:
    """A composition that may be kept for the options of ``line``, whose image brings words of its ``own``: what decides it,
    and the request that an entry keeps of what ``engine`` makes of ``launch``. ``shown`` are the options as people may see
    them."""

    line: Line
    own: ImageCommand
    validity: Validity
    kept: LaunchRequest
    engine: Runtime
    launch: LaunchRequest
    shown: str

    def argv(self, bundle: Path, *, remove: bool) -> list[str]:
        """The command of the launcher."""
        return self.engine.command(bundle, self.launch.changed(remove=remove))

    def obstacles(self, spec: Spec, typed: Mapping[str, str], missing: str | None) -> tuple[str, ...]:
        """Why nothing would be kept of a bundle after its run."""
        elsewhere = f"{self.engine.name} has the values of {', '.join(typed)} from the configuration alone"
        if self.engine.takes_variables:
            elsewhere = f"a value of {', '.join(typed)} does not stand in the line as it is"
        return (*([missing] if missing else ()), *([elsewhere] if self.values(spec, typed) is None else ()))

    def values(self, spec: Spec, typed: Mapping[str, str]) -> dict[str, str] | None:
        """The variables that each run has values of its own for; None where one cannot be had from a line again, or would
        have to be kept in the configuration."""
        if not self.engine.takes_variables:
            return None if typed else {}
        has = dict(entry.partition("=")[::2] for entry in lookup(spec.document, ENVIRONMENT) or ())
        passed = {name: has[name] for name in self.validity.passed if has.get(name) == os.environ.get(name)}
        if len(passed) < len(self.validity.passed) or self.places({**typed, **passed}) is None:
            return None
        return {**typed, **passed}

    def places(self, values: Mapping[str, str]) -> dict[str, list[int]] | None:
        """Where the same line has these values."""
        found: dict[str, list[int]] = {}
        for name, value in values.items():
            at = [] if name in self.validity.passed else variables.place(name, value, self.line.options, os.environ)
            if at is None:
                return None
            found[name] = at
        return found

    def start(
        self,
        entry: Entry,
        spec: Spec,
        typed: Mapping[str, str],
        notes: Sequence[str],
        looked: Sequence[Input],
        *,
        loses: bool,
        lasting: bool,
    ) -> NoReturn:
        """Write the bundle of an entry, and the entry itself where it is ``lasting``, and replace this process by the
        launcher, which holds it from then on. ``typed`` are the variables whose value was typed, ``looked`` is what decided
        the notes and the verdicts beside the composition; a run that ``loses`` its input says so each time."""
        values = self.values(spec, typed)
        replaced = typed if values is None else values
        written, launch = handover.split(self.engine, spec, replaced, self.launch, whole=False)
        bundles.write(written, entry.bundle, private=True)
        stays = False
        if lasting and values is not None:
            opened = Open(self.own.entrypoint, self.own.default, self.places(values) or {})
            stays = entries.store(
                entry, self.validity, self.kept, written, notes, looked, opened, shown=self.shown, loses=loses
            )
        if stays and not entries.is_alone(written):
            with suppress(OSError):  # then it is this run's alone until that ends
                entries.share(entry)
        start.hand_over(self.engine, entry.bundle, launch, entry.lock, remove=not stays)


def storable(
    here: Session,
    line: Line,
    own: ImageCommand,
    composition: Composition,
    context: Context,
    engine: Runtime,
    launch: LaunchRequest,
    *,
    fresh: bool,
    shown: str,
) -> Storable | tuple[str, ...]:
    """What is kept of a composition that ``line`` asked for, or why nothing is. It is asked before anything is contributed,
    so that what changes afterwards makes an entry that is never valid."""
    if fresh:
        return ("--fresh asks for that",)
    if launch.receipt:
        return ("a receipt is written of one run",)
    if launch.debug:
        return ("the operations of one run are shown",)
    if not here.stores:
        return ("this is not a call of the installed program",)
    if cache.is_bound():
        return ("what the administrator requires of this machine is held against each run",)
    if not _is_named(line, launch):
        return (f"the name of the container is not typed as one {cache.NAME}",)
    kept = of_argv(engine.command(Path("/"), launch))
    if kept is None:
        return (f"the runtime {engine.name} starts something else than the launcher",)
    command = own.command(line.command)
    validity = of_composition(here.plugins, here.search, composition, context, engine, command)
    if validity.unknown:
        return validity.unknown
    if not _is_still(here):
        return ("the host has changed meanwhile",)
    if not entries.has_room(line):
        return ("as many entries of this line as there may be are in use",)
    found = Storable(line, own, validity, kept, engine, launch, shown)
    if engine.takes_variables or not composition.has_typed:
        return found
    # A bundle with values that were typed lies where each start removes what a killed one has left, and not in the cache.
    draft = pipeline.assembled(
        here.plugins, composition, here.host, command, bundle=None, context=context, runtime=engine
    )
    return found.obstacles(draft.spec, handover.typed_variables(draft.spec, composition), None) or found


def _is_named(line: Line, launch: LaunchRequest) -> bool:
    """Whether what the cache takes for the name of a container is that: the word could be the value of another option."""
    return line.name == launch.name and bool(launch.name) == (cache.NAME in line.options)


@contextmanager
def entry(found: Storable | tuple[str, ...]) -> Iterator[tuple[Entry, Storable] | None]:
    """An entry for a bundle that is to be composed; None where nothing may be kept, or none can be had. It goes unless the
    launcher takes this process over."""
    made = entries.reserve(found.line) if isinstance(found, Storable) else None
    if made is None or not isinstance(found, Storable):
        yield None
        return
    try:
        yield made, found
    finally:
        entries.remove(made)


def _is_still(here: Session) -> bool:
    """Whether the host is as it was found at first: the fingerprints tell of it as it is now."""
    return probe(here.plugins.mechanisms) == here.host


def verdict(
    here: Session,
    engine: Runtime,
    argv: Sequence[str],
    launch: LaunchRequest,
    bundle: Path,
    digest: str,
    looked: Sequence[Input],
) -> None:
    """Keep that a bundle was admitted. ``looked`` is what the verdicts on it rest on."""
    kept = of_argv(argv) if here.stores and not cache.is_bound() else None
    line = next(cache.lines(list(here.words)), None)
    if kept is None or line is None or not _is_named(line, launch):
        return
    validity = of_verdict(here.plugins, here.host, engine, looked)
    if _is_still(here):
        entries.store_verdict(line, validity, kept, bundle, digest)
