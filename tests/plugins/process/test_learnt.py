"""What the mechanism learns from runs: limits with head-room over what they came to."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.mechanism.evidence import Evidence
from hardening_namespaces import Namespaces
from hardening_process import Process
from tests.plugins.process.stacks import context, host, settings
from tests.support import shipped


@pytest.mark.parametrize(("files", "limit"), [(0, None), (1, 64), (31, 64), (40, 128), (400, 1024), (3000, None)])
def test_a_limit_leaves_head_room_and_never_loosens(files: int, limit: int | None, tmp_path: Path) -> None:
    assembly = shipped.assembled(("strict",), ("true",), tmp_path)
    own = assembly.composition.settings["process"]
    found = {one.key: one.value for one in Process().learnt(own, assembly.context, Evidence((), 1, {"files": files}))}
    assert found.get(("rlimits", "nofile")) == limit


def test_a_ceiling_is_lowered_where_there_is_one(tmp_path: Path) -> None:
    evidence = Evidence((), 1, {"tasks": 50, "memory": 70 << 20})
    said = Process().learnt(settings(tmp_path), context(host()), evidence)
    assert not [one for one in said if one.key[0] == "resources"]
    base = '[process.resources]\npids = 1000\nmemory = "1G"\n'
    said = Process().learnt(settings(tmp_path, base), context(host()), evidence)
    found = {one.key: (one.value, one.comment) for one in said}
    assert found["resources", "pids"] == (128, "most tasks at a time: 50")
    assert found["resources", "memory"] == ("256M", "most memory at a time: 70M")


@pytest.mark.parametrize(("profile", "expected"), [("web", ["private"]), ("strict", [])])
def test_who_uses_no_network_has_one_of_its_own(profile: str, expected: list[str], tmp_path: Path) -> None:
    assembly = shipped.assembled((profile,), ("true",), tmp_path)
    own = assembly.composition.settings["namespaces"]
    said = Namespaces().learnt(own, assembly.context, Evidence((), 1, {}))
    assert [one.value for one in said] == expected
