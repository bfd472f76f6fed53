"""Keeping what a call has composed or judged, so that the next one finds it (`hardening.plans`)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import attrs

from hardening import plans
from hardening.cli import start
from hardening.inputs import Input

if TYPE_CHECKING:
    from hardening.cli.session import Session
    from hardening.compose import Composition
    from hardening.mechanism import Context
    from hardening.pipeline import Plan
    from hardening.plans import Basis, Slot, Start
    from hardening.runtime import LaunchRequest, Runtime
    from hardening.spec import Spec


@attrs.frozen(repr=False)
class Kept:
    """A slot that a run is composed into, and what decides the composition."""

    slot: Slot
    basis: Basis
    begin: Start

    def start(self, spec: Spec, notes: Sequence[str], looked: Sequence[Input], *, lasting: bool) -> NoReturn:
        """Write the bundle, and the plan of a ``lasting`` one, and replace this process by the launch stage, which holds the
        slot from then on. ``looked`` is what decided the notes beside the composition."""
        start.require_descriptors()
        stays = plans.store(self.slot, self.basis, self.begin, spec, notes, looked, lasting=lasting)
        os.set_inheritable(self.slot.lock, True)
        words = ("--hold", str(self.slot.lock), *(() if stays else ("--remove",)), *self.begin.words)
        start.start(self.begin.argv(words, self.slot.bundle))


@contextmanager
def slot(
    here: Session,
    composition: Composition,
    context: Context,
    engine: Runtime,
    launch: LaunchRequest,
    *,
    wanted: bool,
) -> Iterator[Kept | None]:
    """A slot for a bundle that is to be composed; None where nothing may be stored. It goes unless the launch stage takes
    this process over."""
    begin = plans.Start.of(engine.command(Path("/"), launch)) if wanted and here.stores else None
    basis = plans.of_composition(here.plugins, here.search, composition, context, engine) if begin is not None else None
    if begin is None or basis is None or basis.unknown or not _is_still(here):
        yield None
        return
    found = plans.reserve(here.words)
    try:
        yield Kept(found, basis, begin) if found is not None else None
    finally:
        if found is not None:
            plans.drop(found)


def obstacles(here: Session, plan: Plan, engine: Runtime) -> tuple[str, ...]:
    """Why a composition would not be stored; nothing where it would be."""
    return plans.of_composition(here.plugins, here.search, plan.composition, plan.context, engine).unknown


def _is_still(here: Session) -> bool:
    """Whether the host is as it was found at first: the looks tell of it as it is now."""
    from hardening.host import probe

    return probe(here.plugins.mechanisms) == here.host


def verdict(here: Session, engine: Runtime, argv: Sequence[str], bundle: Path, digest: str) -> None:
    """Keep that a bundle was admitted."""
    begin = plans.Start.of(argv) if here.stores else None
    if begin is None:
        return
    basis = plans.of_verdict(here.plugins, here.host, engine)
    if _is_still(here):
        plans.store_verdict(here.words, basis, begin, bundle, digest)
