"""Packages of rpm, made once for all tests of scans."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support import packages


@pytest.fixture(scope="session")
def rpm_files(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    """Files of the packages that `packages.TINY` shows."""
    return packages.rpms(tmp_path_factory.mktemp("rpms"))
