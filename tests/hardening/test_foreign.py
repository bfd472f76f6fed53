"""The types of the OCI specification, asked of configurations that other programs write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hardening.errors import HardeningError, Problems, SpecError
from hardening.foreign import require_shape, strip
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
        ({"process": {"args": ["\udcff"]}}, "/process/args/0", "a string of Unicode"),
        ({"windows": {"\udcff": 1}}, "/windows/\\udcff", "a key of Unicode"),
        (
            {"linux": {"resources": {"blockIO": {"weight": float("nan")}}}},
            "/linux/resources/blockIO/weight",
            "a finite",
        ),
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


def test_a_value_nested_without_end_is_refused() -> None:
    value: Any = 1
    for _ in range(900):
        value = [value]
    with pytest.raises(SpecError, match="levels deep"):
        require_shape({"vm": value})


def test_only_what_somebody_answers_for_stays() -> None:
    document = {
        "ociVersion": "1.2.0",
        "hooks": {"prestart": [{"path": "/bin/sh"}]},
        "vm": {},
        "windows": {},
        "process": {
            "args": ["id"],
            "cwd": "/",
            "apparmorProfile": "tight",
            "scheduler": {"policy": "SCHED_FIFO"},
            "ioPriority": {"class": "IOPRIO_CLASS_RT"},
            "oomScoreAdj": 7,
        },
        "linux": {
            "intelRdt": {},
            "personality": {"domain": "LINUX32"},
            "namespaces": [],
            "resources": {"unified": {"a": "b"}},
        },
    }
    kept, excesses = strip(document, ["/process/oomScoreAdj"])
    assert kept == {
        "ociVersion": "1.2.0",
        "process": {"args": ["id"], "cwd": "/", "apparmorProfile": "tight", "oomScoreAdj": 7},
        "linux": {"namespaces": [], "resources": {}},
    }
    gone = "/hooks /vm /windows /process/scheduler /process/ioPriority /linux/intelRdt /linux/personality "
    assert {item.pointer for item in excesses} == set((gone + "/linux/resources/unified").split())
    assert strip(kept, ["/process/oomScoreAdj"]) == (kept, [])


def test_a_field_named_like_a_parent_of_known_ones_goes_where_it_is_no_object() -> None:
    assert strip({"linux": 7}, ["/linux/sysctl"])[0] == {}
    assert strip({"a": {"b": 1, "c": 2}, "a/b": 3}, ["/a/b"])[0] == {"a": {"b": 1}}


def test_annotations_that_direct_a_runtime_go_and_those_that_inform_stay() -> None:
    names = (
        "run.oci.seccomp_bpf_data",
        "run.oci.keep_original_groups",
        "module.wasm.image/variant",
        "org.criu.config",
        "runc.x",
        "org.systemd.property.CPUQuota",
    )
    directives = dict.fromkeys(names, "1")
    informing = {"io.container.manager": "libpod", "org.opencontainers.image.stopSignal": "15"}
    kept, excesses = strip({"annotations": directives | informing}, [])
    assert kept == {"annotations": informing}
    assert len(excesses) == len(directives)
    assert "/annotations/module.wasm.image~1variant" in {item.pointer for item in excesses}
    assert (
        strip({"annotations": directives}, [f"/annotations/{name}".replace("e/v", "e~1v") for name in directives])[1]
        == []
    )
