"""The types of the OCI specification, asked of configurations that other programs write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hardening.errors import HardeningError, Problems, SpecError
from hardening.foreign import require_shape
from tests.support import bundles


@pytest.mark.parametrize(
    ("document", "pointer", "wanted"),
    [
        ({"process": 7}, "/process", "an object"),
        ({"process": None}, "/process", "an object"),
        ({"process": {"args": "id"}}, "/process/args", "an array"),
        ({"process": {"args": ["id", 7]}}, "/process/args/1", "a string"),
        ({"process": {"terminal": 1}}, "/process/terminal", "true or false"),
        ({"process": {"user": {"uid": True}}}, "/process/user/uid", "an integer of at most 64 bits"),
        ({"process": {"rlimits": [{"hard": 1 << 64}]}}, "/process/rlimits/0/hard", "an integer of at most 64 bits"),
        ({"process": {"rlimits": {"hard": 1}}}, "/process/rlimits", "an array"),
        ({"mounts": [7]}, "/mounts/0", "an object"),
        ({"mounts": [{"destination": "/"}, {"options": [None]}]}, "/mounts/1/options/0", "a string"),
        ({"annotations": {"a/b~c": 7}}, "/annotations/a~1b~0c", "a string"),
        ({"linux": {"seccomp": {"syscalls": [{"names": "read"}]}}}, "/linux/seccomp/syscalls/0/names", "an array"),
        ({"linux": {"timeOffsets": {"boottime": {"secs": "1"}}}}, "/linux/timeOffsets/boottime/secs", "an integer"),
        ({"linux": {"resources": {"pids": 7}}}, "/linux/resources/pids", "an object"),
    ],
)
def test_a_value_of_another_type_is_refused_at_its_pointer(document: dict[str, Any], pointer: str, wanted: str) -> None:
    with pytest.raises(SpecError, match=f"{wanted}.* is expected") as caught:
        require_shape(document)
    assert caught.value.origin == pointer
    assert caught.value.hint


def test_every_wrong_value_is_named() -> None:
    with pytest.raises(Problems) as caught:
        require_shape({"root": 7, "hostname": 7, "linux": []})
    assert [problem.origin for problem in caught.value.problems] == ["/root", "/hostname", "/linux"]


def test_what_no_mechanism_looks_at_is_left_to_the_runtime() -> None:
    require_shape({"windows": 7, "hooks": {"prestart": 7}, "process": {"new": None}, "linux": {"intelRdt": {"x": 7}}})


def test_our_own_configurations_have_the_right_shape() -> None:
    require_shape(bundles.config("true"))


def test_a_wrong_configuration_is_refused_before_any_mechanism_sees_it(tmp_path: Path) -> None:
    from hardening import pipeline
    from hardening.cli.session import Request
    from tests.hardening.cli.samples import profile, session

    profile(tmp_path, "default", "[box]\nsize = 1\n")
    here = session(tmp_path)
    with pytest.raises(HardeningError, match="/annotations: an object is expected"):
        pipeline.tighten(here.plugins, here.compose(Request(("default",))), here.host, {"annotations": 7})
