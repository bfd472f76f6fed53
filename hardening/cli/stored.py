"""Keeping what a call has composed or judged, so that the next one finds it (`hardening.cache.plans`)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from hardening.base.values import frozen
from hardening.cache import plans
from hardening.cli import start
from hardening.launch.config import variables
from hardening.launch.request import of_stage
from hardening.mechanism.inputs import Input

if TYPE_CHECKING:
    from hardening.cache.plans import Basis, Slot
    from hardening.cli.session import Session
    from hardening.compose.composition import Composition
    from hardening.launch.request import LaunchRequest
    from hardening.mechanism.mechanism import Context
    from hardening.mechanism.runtime import Runtime


@frozen(eq=False)
class Storable:
    """A composition that may be stored for the line ``words``: what decides it, and the request that an entry keeps of what
    ``engine`` makes of ``launch``."""

    words: tuple[str, ...]
    basis: Basis
    kept: LaunchRequest
    engine: Runtime
    launch: LaunchRequest

    def argv(self, bundle: Path, *, remove: bool) -> list[str]:
        """The command of the launch stage."""
        return self.engine.command(bundle, self.launch.changed(remove=remove))

    def obstacles(self, typed: Mapping[str, str], missing: str | None) -> tuple[str, ...]:
        """Why nothing would be kept of a bundle after its run."""
        elsewhere = f"{self.engine.name} has the values of {', '.join(typed)} from the configuration alone"
        if self.engine.takes_variables:
            elsewhere = f"a value of {', '.join(typed)} does not stand in the line as it is"
        return (*([missing] if missing else ()), *([elsewhere] if self.places(typed) is None else ()))

    def places(self, typed: Mapping[str, str]) -> dict[str, list[int]] | None:
        """Where the same line has the values of variables again; None where one cannot be had from there, or would have to
        be kept in the configuration."""
        if not typed:
            return {}
        found = {name: variables.place(name, value, self.words, os.environ) for name, value in typed.items()}
        known = {name: place for name, place in found.items() if place is not None}
        return known if self.engine.takes_variables and len(known) == len(found) else None


@frozen(eq=False)
class Kept:
    """A slot that a run is composed into."""

    slot: Slot
    found: Storable

    def start(
        self, parts: start.Split, notes: Sequence[str], looked: Sequence[Input], *, loses: bool, lasting: bool
    ) -> NoReturn:
        """Write the bundle, and the plan of a ``lasting`` one, and replace this process by the launch stage, which holds the
        slot from then on. ``looked`` is what decided the notes and the verdicts beside the composition; a run that ``loses``
        its input says so each time."""
        places = self.found.places(parts.typed)
        stays = plans.store(
            *(self.slot, self.found.basis, self.found.kept, parts.spec, notes, looked, places or {}),
            loses=loses,
            lasting=lasting and places is not None,
        )
        start.hand_over(self.found.engine, self.slot.bundle, parts.launch, self.slot.lock, remove=not stays)


def storable(
    here: Session,
    words: tuple[str, ...],
    composition: Composition,
    context: Context,
    engine: Runtime,
    launch: LaunchRequest,
    *,
    fresh: bool,
) -> Storable | tuple[str, ...]:
    """What is stored of a composition that ``words`` asked for, or why nothing is. It is asked before anything is
    contributed, so that what changes afterwards makes a plan that never counts."""
    if fresh:
        return ("--fresh asks for that",)
    if launch.receipt:
        return ("a receipt is written of one run",)
    if not here.stores:
        return ("this is not a call of the installed program",)
    kept = of_stage(engine.command(Path("/"), launch))
    if kept is None:
        return (f"the runtime {engine.name} starts something else than the launch stage",)
    basis = plans.of_composition(here.plugins, here.search, composition, context, engine)
    if basis.unknown:
        return basis.unknown
    if not _is_still(here):
        return ("the host has changed meanwhile",)
    if not plans.has_room(words):
        return ("all slots of this line are in use",)
    return Storable(words, basis, kept, engine, launch)


@contextmanager
def slot(found: Storable | tuple[str, ...]) -> Iterator[Kept | None]:
    """A slot for a bundle that is to be composed; None where nothing may be stored, or no slot can be had. It goes unless
    the launch stage takes this process over."""
    taken = plans.reserve(found.words) if isinstance(found, Storable) else None
    if taken is None or not isinstance(found, Storable):
        yield None
        return
    try:
        yield Kept(taken, found)
    finally:
        plans.drop(taken)


def _is_still(here: Session) -> bool:
    """Whether the host is as it was found at first: the looks tell of it as it is now."""
    from hardening.mechanism.host import probe

    return probe(here.plugins.mechanisms) == here.host


def verdict(
    here: Session, engine: Runtime, argv: Sequence[str], bundle: Path, digest: str, looked: Sequence[Input]
) -> None:
    """Keep that a bundle was admitted. ``looked`` is what the verdicts on it rest on."""
    kept = of_stage(argv) if here.stores else None
    if kept is None:
        return
    basis = plans.of_verdict(here.plugins, here.host, engine, looked)
    if _is_still(here):
        plans.store_verdict(here.words, basis, kept, bundle, digest)
