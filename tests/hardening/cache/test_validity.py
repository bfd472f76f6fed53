"""What a kept stack is valid by, beside what mechanisms say of it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import hardening_seccomp
from hardening.cache import validity
from hardening.cache.validity import Validity, with_code
from hardening.launch import fingerprints
from hardening.mechanism.inputs import Input, Unknown


def test_code_that_may_have_changed_since_it_was_loaded_is_not_vouched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validity, "_started", lambda: 0)
    assert with_code({"code": {}}) is None


def test_modules_and_the_data_beside_them_count_and_the_standard_library_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(validity, "_started", time.time_ns)
    found = with_code({"file": {"/x": "1"}, "code": {"/usr/bin/python3": "1 2 3"}})
    assert found is not None
    code = found["code"]
    package = Path(str(hardening_seccomp.__file__)).parent
    assert {str(package / "__init__.py"), str(package / "groups.toml"), "/usr/bin/python3"} <= code.keys()
    assert os.__file__ not in code
    assert not [path for path in code if path.endswith((".pyc", "py.typed"))]
    assert found["file"] == {"/x": "1"}


def test_this_process_began_before_now_and_after_the_machine_did() -> None:
    started = validity._started()
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert time.time_ns() - uptime * 1e9 - 1e9 < started < time.time_ns()


def test_variables_that_are_absent_are_not_passed_on() -> None:
    seen = {"passed": {"LANG": "sha256:1", "NONE": fingerprints.ABSENT}}
    assert Validity(seen, "", ()).passed == ("LANG",)
    assert Validity({}, "", ()).passed == ()


def test_a_value_in_the_configuration_counts_where_a_runtime_reads_it_from_there() -> None:
    assert validity._as_it_is(Input("passed", "LANG")) == Input("variable", "LANG")
    for item in (Input("file", "/x"), Unknown("a reason")):
        assert validity._as_it_is(item) is item
