"""Bundles of each stance, for the tests of the launcher, and places where lines are typed, for those of the cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import bundles
from tests.support.bundles import Stance
from tests.support.cached import Place, typed_place
from tests.support.runs import workplace


@pytest.fixture(params=bundles.STANCES)
def stance(request: pytest.FixtureRequest) -> Stance:
    """Each caller and id map in turn."""
    return bundles.stance(request.param)


@pytest.fixture(params=["native", "crun", "runc"])
def runtime(request: pytest.FixtureRequest) -> str:
    """Each runtime in turn."""
    return str(request.param)


@pytest.fixture
def folder(stance: Stance) -> Iterator[Path]:
    """A folder of the stance's user."""
    with workplace(stance.user) as made:
        yield made


@pytest.fixture
def place() -> Iterator[Place]:
    """An empty place, with a state directory of its own."""
    with workplace() as folder:
        yield Place(folder)


@pytest.fixture(scope="module")
def typed() -> Iterator[Place]:
    """A place where one line was typed that depends on much; `Place.restore` brings its entry back."""
    with typed_place() as here:
        yield here
