"""Foreign configurations become nowhere looser than the settings, and keep what is within them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.assemble.spec import assemble
from hardening.base.places import OF_COMMANDS
from hardening.errors import ProfileError
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Violation
from hardening.mechanism.schema import WILDCARD, Leaf, Members
from hardening_process.kinds import UNLIMITED, ResourceLimit, RlimitKind, User
from hardening_process.settings import ProcessSettings
from hardening_process.spec import INFINITY
from tests.plugins.process.stacks import PROCESS, context, host, root_with, strict


def tightened(
    own: ProcessSettings, document: dict[str, Any], **more: Any
) -> tuple[dict[str, Any], dict[str, Violation]]:
    """The configuration afterwards, and what it asked for beyond the settings, by leaf."""
    fragment = Fragment("process")
    violations = list(PROCESS.tighten(own, document, context(host(**more), own), fragment))
    return dict(assemble([fragment], document).document), {item.leaf: item for item in violations}


def rlimits(document: dict[str, Any]) -> dict[str, ResourceLimit]:
    found = {}
    for entry in document["process"]["rlimits"]:
        soft, hard = (None if entry[key] >= INFINITY else entry[key] for key in ("soft", "hard"))
        found[entry["type"].removeprefix("RLIMIT_").lower()] = ResourceLimit(soft, hard)
    return found


def test_what_is_within_the_settings_is_kept() -> None:
    own = strict(ProcessSettings, groups=Members({"7": True}, False), terminal=True)
    document = {
        "process": {
            "args": ["sh"],
            "cwd": "/work",
            "env": ["PATH=/bin", "A=1"],
            "user": {"uid": 33, "gid": 44, "additionalGids": [44, 7], "umask": 0o177},
            "oomScoreAdj": 500,
            "terminal": True,
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}],
        },
        "linux": {"resources": {"devices": [{"allow": False}]}, "cgroupsPath": "/x"},
    }
    after, violations = tightened(own, document)
    assert violations == {}
    assert after["process"]["user"] == {"uid": 33, "gid": 44, "additionalGids": [44, 7], "umask": 0o177}
    assert after["process"]["env"] == ["PATH=/bin", "A=1"]
    assert after["process"]["oomScoreAdj"] == 500
    assert (after["process"]["args"], after["process"]["cwd"]) == (["sh"], "/work")
    assert after["process"]["terminal"] is True
    assert after["linux"] == document["linux"]
    assert rlimits(after)["nofile"] == ResourceLimit(10, 20)
    assert rlimits(after)["core"] == ResourceLimit(0, 0), "what it lacks is added"


def test_what_is_beyond_is_cut_and_told() -> None:
    own = strict(ProcessSettings, user=User("33", "44"), pids=50, memory=1 << 26, memory_swap=1 << 26, cpu=50_000)
    document = {
        "process": {
            "user": {"uid": 0, "gid": 0, "additionalGids": [0, 10], "umask": 0o022},
            "oomScoreAdj": -500,
            "terminal": True,
            "env": ["GITHUB_TOKEN=x"],
            "rlimits": [{"type": "RLIMIT_CORE", "soft": INFINITY, "hard": INFINITY}],
        },
        "linux": {
            "resources": {"pids": {"limit": 0}, "memory": {"limit": 1 << 30}, "cpu": {"quota": 200, "period": 100}}
        },
    }
    after, violations = tightened(own, document)
    assert after["process"]["user"] == {"uid": 33, "gid": 44, "umask": 0o077}
    assert after["process"]["oomScoreAdj"] == 0
    assert after["process"]["terminal"] is False
    assert after["process"]["env"] == ["GITHUB_TOKEN=x"]
    assert rlimits(after)["core"] == ResourceLimit(0, 0)
    assert after["linux"]["resources"] == {
        "pids": {"limit": 50},
        "memory": {"limit": 1 << 26, "swap": 1 << 26},
        "cpu": {"quota": 50_000, "period": 100_000},
    }
    assert violations.keys() == {
        "process.user", "process.groups", "process.umask", "process.oom_score_adj", "process.terminal",
        "process.environment", "process.rlimits.core", "process.resources.pids", "process.resources.memory",
        "process.resources.cpu",
    }  # fmt: skip
    assert violations["process.user"].asked == "0:0"
    assert violations["process.environment"].pointer == "/process/env/0"
    assert "x" not in violations["process.environment"].asked.split()


def test_an_empty_configuration_gets_every_ceiling() -> None:
    own = strict(ProcessSettings, pids=50, cpu=50_000)
    after, violations = tightened(own, {"process": {}})
    assert violations == {}, "it asked for nothing"
    assert after["process"]["user"]["umask"] == 0o077
    assert after["linux"]["resources"] == {"pids": {"limit": 50}, "cpu": {"quota": 50_000, "period": 100_000}}


def test_the_natural_user_leaves_the_configurations_own() -> None:
    after, violations = tightened(strict(ProcessSettings), {"process": {"user": {"uid": 0, "gid": 0}}})
    assert (after["process"]["user"]["uid"], violations) == (0, {})


def test_a_user_without_group_leaves_the_configurations_group() -> None:
    own = strict(ProcessSettings, user=User("33"))
    after, violations = tightened(own, {"process": {"user": {"uid": 33, "gid": 44}}})
    assert (after["process"]["user"]["gid"], violations) == (44, {})


def test_under_any_limit_a_named_user_has_its_own_group() -> None:
    own = strict(ProcessSettings, user=User("33"))
    held = attrs.evolve(context(host(), own), limit={Leaf("process", "user"): User("33")}.get)
    fragment = Fragment("process")
    (violation,) = PROCESS.tighten(own, {"process": {"user": {"uid": 33, "gid": 44}}}, held, fragment)
    assert (violation.leaf, violation.asked, violation.allowed) == ("process.user", "33:44", "33:33")


def test_names_are_looked_up_in_the_configurations_own_root(tmp_path: Path) -> None:
    own = strict(ProcessSettings, user=User("app"))
    root = root_with(tmp_path, "app:x:33:44::/:\n")
    document = {"root": {"path": str(root)}, "process": {"user": {"uid": 0, "gid": 0}}}
    assert tightened(own, document)[0]["process"]["user"]["uid"] == 33
    with pytest.raises(ProfileError, match="relative to an unknown bundle"):
        tightened(own, {**document, "root": {"path": "rootfs"}})


def test_the_callers_hard_limits_count_too() -> None:
    own = strict(ProcessSettings, rlimits=Members({"nofile": ResourceLimit(1024, 4096)}, UNLIMITED))
    document = {"process": {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 2048, "hard": 2048}]}}
    after, _ = tightened(own, document, rlimits={"nofile": ResourceLimit(100, 512)})
    assert rlimits(after)["nofile"] == ResourceLimit(512, 512)


def test_a_limit_that_nobody_knows_is_left_to_the_runtime() -> None:
    entry = {"type": "RLIMIT_NEW", "soft": 1, "hard": 1}
    after, _ = tightened(strict(ProcessSettings), {"process": {"rlimits": [entry]}})
    assert entry in after["process"]["rlimits"]


def test_of_two_values_for_a_variable_the_last_is_kept() -> None:
    after, _ = tightened(strict(ProcessSettings), {"process": {"env": ["A=1", "B=2", "A=3"]}})
    assert sorted(after["process"]["env"]) == ["A=3", "B=2"]


def test_a_cgroup_outside_the_stated_one_is_moved_inside() -> None:
    own = strict(ProcessSettings, cgroup="/containers")
    after, violations = tightened(own, {"process": {}, "linux": {"cgroupsPath": "machine.slice:libpod:abc"}})
    assert after["linux"]["cgroupsPath"] == "/containers/machine.slice_libpod_abc"
    assert "process.resources.cgroup" in violations
    inside = {"process": {}, "linux": {"cgroupsPath": "/containers/x"}}
    assert tightened(own, inside)[1] == {}


NUMBERS = st.integers(0, 3000) | st.just(INFINITY)
CEILINGS = st.none() | st.integers(0, 3000)


@given(NUMBERS, NUMBERS, CEILINGS, CEILINGS)
def test_no_limit_is_looser_than_either_side(a: int, b: int, c: int | None, d: int | None) -> None:
    soft, hard = sorted((a, b))
    ceiling = ResourceLimit(*sorted((c, d), key=lambda value: (value is None, value or 0)))
    own = strict(ProcessSettings, rlimits=Members({"nofile": ceiling}, UNLIMITED))
    entry = {"type": "RLIMIT_NOFILE", "soft": soft, "hard": hard}
    document = {"process": {"rlimits": [entry]}}
    after, violations = tightened(own, document)
    found, asked = rlimits(after)["nofile"], rlimits(document)["nofile"]
    assert RlimitKind().is_no_looser_than(found, ceiling)
    assert RlimitKind().is_no_looser_than(found, asked)
    assert ("process.rlimits.nofile" in violations) == (found != asked)


@given(st.integers(-1, 400_000), st.integers(1000, 1_000_000), st.integers(1000, 400_000))
def test_processor_time_is_never_more_than_either_side(quota: int, period: int, ceiling: int) -> None:
    own = strict(ProcessSettings, cpu=ceiling)
    document = {"process": {}, "linux": {"resources": {"cpu": {"quota": quota, "period": period}}}}
    cpu = tightened(own, document)[0]["linux"]["resources"]["cpu"]
    share = cpu["quota"] / cpu["period"]
    assert 0 < share <= ceiling / 100_000
    assert quota <= 0 or share <= quota / period


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_the_example_of_a_runtime_becomes_strict(tmp_path: Path, runtime: str) -> None:
    subprocess.run([runtime, "spec"], cwd=tmp_path, check=True)
    document = json.loads((tmp_path / "config.json").read_text())
    own = strict(ProcessSettings, user=User("33", "33"), cpu=50_000)
    after, violations = tightened(own, document)
    assert {"process.user", "process.terminal"} <= violations.keys()
    assert after["process"]["user"] == {"uid": 33, "gid": 33, "umask": 0o077}
    assert after["process"]["args"] == document["process"]["args"]
    assert rlimits(after)["core"] == ResourceLimit(0, 0)
    assert after["linux"]["resources"]["devices"] == document["linux"]["resources"]["devices"]
    assert tightened(own, after)[1] == {}, "a second time there is nothing to cut"


def under(
    limits: dict[Leaf, Any], document: dict[str, Any], own: ProcessSettings
) -> tuple[dict[str, Any], list[Violation]]:
    """The configuration under limits that no layer comes near to, and what it asked for beyond them."""
    fragment = Fragment("process")
    on = host(environment={"LD_X": "the caller's"})
    held = attrs.evolve(
        context(on, own),
        limit=lambda leaf, other=None: limits.get(leaf, limits.get(attrs.evolve(leaf, member=WILDCARD), other)),
    )
    violations = list(PROCESS.tighten(own, document, held, fragment))
    return dict(assemble([fragment], document).document), violations


def test_a_limit_of_variables_leaves_those_that_a_command_has_anyway() -> None:
    entries = ["PATH=/evil", "HOME=/evil", "LD_X=1", "TERM=vt100", "GITHUB_TOKEN=x", "broken"]
    document: dict[str, Any] = {"process": {"env": entries, "user": {"uid": 33, "gid": 44}}}
    own = strict(ProcessSettings)
    limits = {Leaf("process", "environment", WILDCARD): False, Leaf("process", "environment", "TERM"): True}
    after, violations = under(limits, document, own)
    assert after["process"]["env"] == [f"PATH={OF_COMMANDS}", "HOME=/", "TERM=vt100"]
    told = {item.leaf: (item.asked, item.allowed) for item in violations}
    assert told["process.environment.LD_X"] == ("LD_X as it is", "LD_X unset")
    assert not any("evil" in text for pair in told.values() for text in pair), "a value may be a secret"
    only = {Leaf("process", "environment", "LD_X"): False}
    assert under(only, document, own)[0]["process"]["env"] == [entry for entry in entries if entry != "LD_X=1"]
    assert under(only, {"process": {"env": ["LD_X=1"]}}, own)[0]["process"]["env"] == []


@pytest.mark.parametrize(
    ("limit", "user", "after"),
    [
        (User(), "0:0", "1000:1000"),
        (User(), "7:8", "7:8"),
        (User("0", "0"), "0:0", "0:0"),
        (User("0", "5"), "0:6", "1000:1000"),
        (User("0", "5"), "0:5", "0:5"),
    ],
)
def test_a_limit_of_users_binds_who_is_named_by_no_layer(limit: User, user: str, after: str) -> None:
    uid, gid = map(int, user.split(":"))
    limits = {Leaf("process", "user"): limit}
    found = under(limits, {"process": {"user": {"uid": uid, "gid": gid}}}, strict(ProcessSettings))[0]["process"][
        "user"
    ]
    assert f"{found['uid']}:{found['gid']}" == after


def test_the_group_of_root_is_looser_than_that_of_a_named_user() -> None:
    own = strict(ProcessSettings, user=User("33"))
    assert tightened(own, {"process": {"user": {"uid": 33, "gid": 0}}})[0]["process"]["user"]["gid"] == 33
    assert tightened(own, {"process": {"user": {"uid": 33, "gid": 44}}})[0]["process"]["user"]["gid"] == 44
