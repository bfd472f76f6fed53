"""Every program runs twice: as root, and as an ordinary user."""

from __future__ import annotations

import pytest

from tests.support.features import require
from tests.support.users import User, ordinary


@pytest.fixture(params=["root", "rootless"])
def user(request: pytest.FixtureRequest) -> User | None:
    """Who starts the program: None is root."""
    if request.param == "root":
        require("root")
        return None
    require("userns")
    return ordinary()
