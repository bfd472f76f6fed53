"""Conditions of requirements, held against what `packaging` says of them."""

from __future__ import annotations

import pytest
from packaging.markers import Marker

from hardening.markers import applies


@pytest.mark.parametrize(
    "marker",
    [
        'python_version >= "3.8"',
        'python_version < "3.8"',
        '"3.8" > python_version',
        'python_full_version >= "3.11.0" and python_version != "2.*"',
        "extra == 'x'",
        "extra != 'x'",
        'python_version >= "3.8" and extra == "test"',
        'sys_platform == "win32" or (os_name == "posix" and implementation_name != "pypy")',
        'sys_platform in "linux darwin"',
        "'linux' not in sys_platform",
        'platform_system == "Linux" and platform_machine != "none"',
        'platform_python_implementation == "CPython"',
    ],
)
def test_a_condition_is_true_as_it_is_for_installers(marker: str) -> None:
    assert applies(marker) is Marker(marker).evaluate({"extra": ""})


@pytest.mark.parametrize(
    "marker",
    [
        "nonsense ==",
        'foo == "x"',
        "1 < 2",
        "not extra",
        '__import__("os")',
        '"a" < "b" < "c"',
        'platform_release >= "3"',
        'python_version is "3"',
    ],
)
def test_what_cannot_be_read_counts(marker: str) -> None:
    assert applies(marker)
