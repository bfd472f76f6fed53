"""What the mechanism learns from runs: limits with head-room over what they came to."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.mechanism.evidence import Evidence
from hardening_namespaces import Namespaces
from hardening_process import Process
from tests.support import shipped


@pytest.mark.parametrize(("files", "limit"), [(0, None), (1, 64), (31, 64), (40, 128), (400, 1024), (3000, None)])
def test_a_limit_leaves_head_room_and_never_loosens(files: int, limit: int | None, tmp_path: Path) -> None:
    assembly = shipped.assembled(("strict",), ("true",), tmp_path)
    settings = assembly.composition.settings["process"]
    found = {
        one.key: one.value for one in Process().learnt(settings, assembly.context, Evidence((), 1, {"files": files}))
    }
    assert found.get(("rlimits", "nofile")) == limit


@pytest.mark.parametrize(("profile", "expected"), [("web", ["private"]), ("strict", [])])
def test_who_uses_no_network_has_one_of_its_own(profile: str, expected: list[str], tmp_path: Path) -> None:
    assembly = shipped.assembled((profile,), ("true",), tmp_path)
    settings = assembly.composition.settings["namespaces"]
    said = Namespaces().learnt(settings, assembly.context, Evidence((), 1, {}))
    assert [one.value for one in said] == expected
