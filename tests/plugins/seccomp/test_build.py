"""Filters as libseccomp makes them."""

from __future__ import annotations

import re

import pytest

from hardening.base.linux.libseccomp import Libseccomp
from hardening.errors import SpecError
from hardening_seccomp.actions import ALLOW, EPERM
from hardening_seccomp.build import Condition, building


def test_refusals_of_the_library_say_what_they_are_about() -> None:
    library = Libseccomp.load()
    with building(library, ALLOW.returned, 0, [library.native()], tree=False) as builder:
        twice = [Condition(0, "EQ", 1), Condition(0, "EQ", 2)]
        with pytest.raises(SpecError, match=re.compile("getppid.*Invalid", re.DOTALL)):
            builder.rule(EPERM.returned, 110, twice, what="getppid")
