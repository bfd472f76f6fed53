"""Places where lines are typed, for the tests of stored plans."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.plans import Place, typed_place
from tests.support.runs import workplace


@pytest.fixture
def place() -> Iterator[Place]:
    """An empty place, with a state directory of its own."""
    with workplace() as folder:
        yield Place(folder)


@pytest.fixture(scope="module")
def typed() -> Iterator[Place]:
    """A place where one line was typed that depends on much; `Place.restore` brings its plan back."""
    with typed_place() as here:
        yield here
