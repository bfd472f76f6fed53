"""Finding runtimes and their versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening_oci import program


@pytest.mark.parametrize("name", ["crun", "runc"])
def test_an_installed_runtime_tells_its_version(name: str) -> None:
    found = program.find(name)
    assert found is not None
    version = program.version(found)
    assert version is not None
    assert len(program.numbers(version)) >= 2


def test_what_is_no_runtime() -> None:
    assert program.find("no-such-runtime") is None
    assert program.version(Path("/nowhere")) is None
    assert program.version(Path("/bin/false")) is None


def test_numbers() -> None:
    assert program.numbers("1.1.15+ds1") == (1, 1, 15)
    assert program.numbers("1.2.0-rc.1") == (1, 2, 0)
    assert program.numbers("unknown") == ()
