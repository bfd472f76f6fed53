"""The two stacks that `hardening diff` and `hardening prove` hold against each other, as they are named."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from hardening.base.pointer import CONFIG
from hardening.base.wholefile import Owner
from hardening.cli import output
from hardening.cli.session import Request, Session
from hardening.compare.difference import StackComparison, compare
from hardening.compose.implied import compose_here
from hardening.errors import HardeningError
from hardening.profile.layers import Layer, Stack, parse_layer
from hardening.profile.source import read
from hardening.report.difference import Side, renamed

if TYPE_CHECKING:
    from hardening.compare.revision import Copy


@contextmanager
def named(here: Session, before: str, after: str) -> Iterator[tuple[Side, Side]]:
    """The two sides of some names, composed where they are stacks; of a profile that a revision has not yet, what its new
    self extends. Raises `UsageError`, and what composing raises."""
    from hardening.compare.revision import NoSuchFile

    with ExitStack() as kept:
        try:
            one = _side(here, before, kept)
        except NoSuchFile as missing:
            if "," in after or os.path.basename(before.partition(":")[2]) != os.path.basename(after.rpartition(":")[2]):
                raise
            other = _side(here, after, kept)
            if other.composition is None:
                raise
            output.note(f"{missing.message}: what is new is held against what it extends")
            yield _extended(here, other, other.composition.stack), other
        else:
            yield one, _side(here, after, kept)


def _extended(here: Session, new: Side, stack: Stack) -> Side:
    """What the last profile of a stack extends; what holds without any profile, where it extends none."""
    name = f"what it extends ({', '.join(stack.layers[-1].extends) or 'nothing'})"
    below = attrs.evolve(stack, layers=stack.layers[:-1])
    return Side(name, compose_here(below, here.plugins.mechanisms, here.host, here.today), new.shown)


def compared(here: Session, before: Side, after: Side) -> StackComparison:
    """How the second side stands to the first. Raises what reading a bundle, or tightening it, raises."""
    one, other = before.composition, after.composition
    if one is not None and other is not None:
        return compare(one, other, here.host)
    from hardening.assemble.bundle import read_config
    from hardening.compare.configuration import against, between

    stack, first = (other, True) if one is None else (one, False)
    if stack is None:
        both = Path(before.name), Path(after.name)
        return between(read_config(both[0]), read_config(both[1]), (_file(both[0]), _file(both[1])))
    file = Path(before.name if first else after.name)
    return against(here.plugins, stack, here.host, read_config(file), _file(file), first=first)


def _side(here: Session, name: str, kept: ExitStack) -> Side:
    if os.path.isfile(_file(Path(name))) and _file(Path(name)).suffix == ".json":
        return Side(name, None)
    shown: dict[str, str] = {}
    copies: list[Copy] = []

    def reader(path: Path, name: str, *, owner: Owner = Owner.ANY) -> Layer:
        copy = next((item for item in copies if path.is_relative_to(item.top)), None)
        return parse_layer((read if copy is None else copy.read)(path, name, owner=owner))

    try:
        profiles = tuple(_profiles(name, copies, shown, kept))
        found = here.compose(Request(profiles, reader=reader if copies else None))
    except HardeningError as error:
        for problem in error.problems:
            problem.message = renamed(problem.message, shown)
            problem.origin = renamed(str(problem.origin), shown) if problem.origin is not None else None
            problem.hint = renamed(problem.hint, shown) if problem.hint else None
        raise
    return Side(name, found, shown)


def _file(path: Path) -> Path:
    """The configuration that a path names."""
    return path / CONFIG if path.is_dir() else path


def _profiles(name: str, copies: list[Copy], shown: dict[str, str], kept: ExitStack) -> Iterator[str]:
    for part in [name] if os.path.lexists(name) else name.split(","):
        revision, colon, path = part.partition(":")
        if not colon or not revision or os.path.lexists(part):
            yield part
            continue
        from hardening.compare.revision import checked_out  # few stacks are of a revision

        copy = kept.enter_context(checked_out(revision, path, os.getcwd()))
        copies.append(copy)
        shown[f"{copy.top}/"] = f"{revision}:"
        yield str(copy.path)
