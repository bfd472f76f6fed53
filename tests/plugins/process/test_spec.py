"""The configuration that settings become."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hardening.base.places import OF_COMMANDS
from hardening.mechanism.mechanism import Unsupported
from hardening.mechanism.schema import Members
from hardening_process.kinds import UNLIMITED, ResourceLimit, User
from hardening_process.settings import LOCALE, ProcessSettings
from tests.plugins.process.stacks import NO_CGROUPS, context, contributed, host, root_with, strict

NAMES = st.sampled_from(["TERM", "LANG", "LC_ALL", "AWS_SECRET_ACCESS_KEY", "PATH", "HOME", "EDITOR", "LD_PRELOAD"])


def environment(document: dict[str, Any]) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in document["process"]["env"])


def test_the_defaults(tmp_path: Path) -> None:
    own = strict(ProcessSettings)
    document = contributed(own, context(host(), own, root=root_with(tmp_path)))
    process = document["process"]
    assert process["user"] == {"uid": 1000, "gid": 1000, "umask": 0o077}
    assert process["cwd"] == "/"
    assert process["oomScoreAdj"] == 0
    assert process["terminal"] is False
    assert environment(document) == {"HOME": "/", "PATH": OF_COMMANDS}
    assert {"type": "RLIMIT_CORE", "soft": 0, "hard": 0} in process["rlimits"]
    assert "linux" not in document, "unstated ceilings need no cgroup"


@given(st.dictionaries(NAMES, st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)),
       st.sets(NAMES))  # fmt: skip
def test_nothing_of_the_callers_environment_passes_that_is_not_named(caller: dict[str, str], named: set[str]) -> None:
    own = strict(
        ProcessSettings,
        environment=Members(dict.fromkeys(named, True), False),
        set_environment=Members({"PATH": OF_COMMANDS}, None),
    )
    found = environment(contributed(own, context(host(environment=caller), own)))
    for name, value in found.items():
        if name not in ("PATH", "HOME"):
            assert name in named
            assert value == caller[name]
    assert found["PATH"] == OF_COMMANDS
    assert named & caller.keys() <= found.keys()


def test_variables_by_precedence(tmp_path: Path) -> None:
    root = root_with(tmp_path, "app:x:33:33::/srv/app:/bin/sh\n")
    own = strict(
        ProcessSettings,
        user=User("app"),
        environment=Members({"EDITOR": True, "LANG": True, "MISSING": True}, False),
        set_environment=Members({"PATH": "/bin", "EDITOR": "vi"}, None),
    )
    caller = {"EDITOR": "emacs", "LANG": "de", "HOME": "/home/caller"}
    found = environment(contributed(own, context(host(environment=caller), own, root=root)))
    assert found == {"EDITOR": "vi", "HOME": "/srv/app", "LANG": "de", "PATH": "/bin"}


def test_the_locale_passes_by_default() -> None:
    own = strict(ProcessSettings)
    caller = dict.fromkeys((*LOCALE, "LANG", "TERM", "LC_UNKNOWN"), "x")
    found = environment(contributed(own, context(host(environment=caller), own)))
    assert found.keys() == {*LOCALE, "LANG", "TERM", "PATH", "HOME"}


def test_a_terminal_has_a_type() -> None:
    own = strict(ProcessSettings, terminal=True)
    assert environment(contributed(own, context(host(), own)))["TERM"] == "xterm"
    given = context(host(environment={"TERM": "foot"}), own)
    assert environment(contributed(own, given))["TERM"] == "foot"


def test_limits_without_end_are_written_as_the_kernels_infinity() -> None:
    own = strict(ProcessSettings, rlimits=Members({"nofile": ResourceLimit(5, None)}, UNLIMITED))
    limits = contributed(own, context(host(), own))["process"]["rlimits"]
    assert limits == [{"type": "RLIMIT_NOFILE", "soft": 5, "hard": 2**64 - 1}]


def test_groups_are_written_where_they_can_be_set(tmp_path: Path) -> None:
    own = strict(ProcessSettings, groups=Members({"7": True, "8": False}, False))
    root = root_with(tmp_path)
    assert contributed(own, context(host(), own, root=root))["process"]["user"]["additionalGids"] == [7]
    alone = context(host(subids=()), own, root=root)
    assert "additionalGids" not in contributed(own, alone)["process"]["user"]


def test_ceilings_and_their_cgroup() -> None:
    own = strict(ProcessSettings, pids=50, memory=1 << 26, memory_swap=1 << 27, cpu=50_000)
    linux = contributed(own, context(host(), own, bundle=Path("/run/hardening/x:1")))["linux"]
    assert linux["resources"] == {
        "pids": {"limit": 50},
        "memory": {"limit": 1 << 26, "swap": 1 << 27},
        "cpu": {"quota": 50_000, "period": 100_000},
    }
    assert re.fullmatch(r"/user\.slice/hardening-x_1-[0-9a-f]{12}", linux["cgroupsPath"])


def test_bundles_of_one_name_have_cgroups_of_their_own() -> None:
    own = strict(ProcessSettings, pids=50)
    paths = {
        contributed(own, context(host(), own, bundle=Path(place, "web")))["linux"]["cgroupsPath"] for place in "ab"
    }
    assert len(paths) == 2


def test_a_stated_cgroup_holds_that_of_the_bundle() -> None:
    own = strict(ProcessSettings, cgroup="/containers")
    found = contributed(own, context(host(), own, bundle=Path("/run/hardening/one")))
    assert found["linux"].keys() == {"cgroupsPath"}
    assert found["linux"]["cgroupsPath"].startswith("/containers/hardening-one-")


def test_memory_is_never_above_memory_and_swap_together() -> None:
    for values in ({"memory": 1 << 30, "memory_swap": 1 << 26}, {"memory_swap": 1 << 26}):
        own = strict(ProcessSettings, **values)
        memory = contributed(own, context(host(), own))["linux"]["resources"]["memory"]
        assert memory == {"limit": 1 << 26, "swap": 1 << 26}


def test_what_the_host_lacks_is_left_out() -> None:
    own = strict(ProcessSettings, pids=50, memory=1 << 26, resources_requirement="best-effort")
    lacking = (Unsupported("process.resources.pids", "", "", True),)
    linux = contributed(own, context(host(), own, unsupported=lacking))["linux"]
    assert linux["resources"] == {"memory": {"limit": 1 << 26}}
    both = (*lacking, Unsupported("process.resources.memory", "", "", True))
    assert "linux" not in contributed(own, context(host(cgroups=NO_CGROUPS), own, unsupported=both))
