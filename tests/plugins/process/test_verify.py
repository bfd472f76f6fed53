"""Receipts by hand, held against the settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.assemble.spec import assemble
from hardening.base.places import OF_COMMANDS
from hardening.launch.config.bundle import VARIABLES
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import State, Verification
from hardening.mechanism.schema import Members
from hardening_process.kinds import NO_CEILING, User
from hardening_process.settings import ProcessSettings
from hardening_process.verify import verify
from tests.plugins.process.stacks import PROCESS, context, host, root_with, strict

LIMITS = """Limit                     Soft Limit           Hard Limit           Units
Max core file size        0                    0                    bytes
Max open files            1024                 4096                 files
Max locked memory         65536                65536                bytes
Max msgqueue size         0                    0                    bytes
Max nice priority         0                    0
Max realtime priority     0                    0
Max address space         unlimited            unlimited            bytes
"""
IDS = "101000\t101000\t101000\t101000"
OWN = "0::/user.slice\n"
#: What `PERSON` has, and what of it a profile says.
VALUES = {"HOME": "/home/a", "PATH": OF_COMMANDS}
PUBLIC = ["HOME", "PATH"]
RECEIPT: dict[str, Any] = {
    "pid": 7,
    "status": {"Uid": IDS, "Gid": IDS, "Groups": "", "Umask": "0077"},
    "uid_map": "         0     100000      65536\n",
    "gid_map": "         0     100000      65536\n",
    "oom_score_adj": 0,
    "limits": LIMITS,
    "cgroup": OWN,
    "caller_cgroup": OWN,
    "cgroup_values": {},
    "environment": VALUES,
    "cwd": "/",
    "tty": 0,
    "descriptors": [0, 1, 2],
    "personality": "00000000",
}
PERSON = strict(ProcessSettings, user=User("1000", "1000"), set_environment=Members(VALUES, None))


def verified(own: ProcessSettings, **changes: Any) -> list[Verification]:
    """The lines of a receipt that differs in these fields."""
    status = {**RECEIPT["status"], **changes.pop("status", {})}
    within = context(host(), own)
    fragment = Fragment("process")
    PROCESS.contribute(own, within, fragment)
    spec = assemble([fragment], annotations={VARIABLES: json.dumps(PUBLIC)})
    return list(verify(own, attrs.evolve(within, spec=spec), {**RECEIPT, "status": status, **changes}))


def lines(own: ProcessSettings, **changes: Any) -> dict[str, State]:
    """What comes of each leaf by a receipt that differs in these fields; the worst counts."""
    found = verified(own, **changes)
    return {line.leaf: line.state for line in sorted(found, key=lambda line: not line.holds)}


def failures(own: ProcessSettings, **changes: Any) -> set[str]:
    return {leaf for leaf, state in lines(own, **changes).items() if state is not State.HOLDS}


def test_a_receipt_that_holds() -> None:
    assert failures(PERSON) == set()


@pytest.mark.parametrize(
    ("leaf", "changes"),
    [
        ("process.user", {"status": {"Uid": "100000\t100000\t100000\t100000"}}),
        ("process.user", {"status": {"Uid": "101000\t100000\t101000\t101000"}}),
        ("process.user", {"status": {"Uid": "0\t0\t0\t0"}}),
        ("process.user", {"status": {"Gid": "100000\t100000\t100000\t100000"}}),
        ("process.groups.*", {"status": {"Groups": "100005"}}),
        ("process.groups.*", {"status": {"Groups": "27"}}),
        ("process.umask", {"status": {"Umask": "0022"}}),
        ("process.oom_score_adj", {"oom_score_adj": -1}),
        ("process.rlimits.core", {"limits": LIMITS.replace("core file size        0  ", "core file size        1  ")}),
        ("process.rlimits.nofile", {"limits": LIMITS.replace("4096", "unlimited")}),
        ("process.rlimits.memlock", {"limits": LIMITS.replace("Max locked memory", "Max something")}),
        ("process.environment.*", {"environment": {**VALUES, "GITHUB_TOKEN": None}}),
        ("process.set_environment.*", {"environment": {**VALUES, "HOME": "/elsewhere"}}),
        ("process.set_environment.*", {"environment": {**VALUES, "PATH": None}}),
        ("process.set_environment.*", {"environment": {"HOME": "/home/a"}}),
        ("process.cwd", {"cwd": "/tmp"}),
        ("process.terminal", {"tty": 34816}),
        ("process", {"descriptors": [0, 1, 2, 9]}),
        ("process", {"personality": "00040000"}),
        ("process.resources.cgroup", {"cgroup": "0::/elsewhere/box"}),
    ],
)  # fmt: skip
def test_a_receipt_that_does_not_hold(leaf: str, changes: dict[str, Any]) -> None:
    assert failures(PERSON, **changes) == {leaf}


@pytest.mark.parametrize(
    ("leaf", "key"),
    [
        ("process.environment.*", "environment"),
        ("process.cwd", "cwd"),
        ("process.terminal", "tty"),
        ("process", "descriptors"),
    ],
)
def test_what_may_not_be_read_is_not_seen(leaf: str, key: str) -> None:
    assert lines(PERSON, **{key: None})[leaf] is State.NOT_SEEN


def test_what_is_passed_on_may_be_there_or_not() -> None:
    own = attrs.evolve(PERSON, environment=Members({"LANG": True, "TERM": True}, False))
    assert failures(own, environment={**VALUES, "LANG": None}) == set()


def test_a_value_that_no_receipt_has_is_not_seen_and_one_that_differs_is_told() -> None:
    unseen = lines(PERSON, environment={**VALUES, "PATH": None})
    assert unseen["process.set_environment.*"] is State.NOT_SEEN
    other = lines(PERSON, environment={"HOME": "/elsewhere", "PATH": None})
    assert other["process.set_environment.*"] is State.DIFFERS


def test_what_is_typed_here_is_held_against_what_a_profile_says_there() -> None:
    own = attrs.evolve(PERSON, set_environment=Members({**VALUES, "MODE": "safe"}, None))
    assert failures(own, environment={**VALUES, "MODE": None}) == set()
    assert failures(own, environment={**VALUES, "MODE": "safe"}) == set()
    assert failures(own, environment={**VALUES, "MODE": "evil"}) == {"process.set_environment.*"}


def test_a_line_names_each_variable_of_which_no_value_is_compared() -> None:
    own = attrs.evolve(PERSON, set_environment=Members({**VALUES, "PIN": "1234"}, None))
    shown = " ".join(f"{name}={value}" for name, value in sorted(VALUES.items()))
    (line,) = (line for line in verified(own, environment={**VALUES, "PIN": None}) if "set_environment" in line.leaf)
    assert (line.expected, line.kernel, line.holds) == (f"{shown} PIN (value not compared)", shown, True)
    (line,) = (line for line in verified(own, environment={**VALUES, "PIN": "1234"}) if "set_environment" in line.leaf)
    assert (line.expected, line.kernel, line.holds) == (shown, f"{shown} PIN=1234", True)
    (line,) = (line for line in verified(own, environment=VALUES) if "set_environment" in line.leaf)
    assert (line.kernel, line.holds) == ("no PIN", False)


def test_permitted_groups_hold() -> None:
    own = attrs.evolve(PERSON, groups=Members({"5": True, "27": True}, False))
    assert failures(own, status={"Groups": "100005 27 101000"}) == set()


LIMITED = attrs.evolve(PERSON, pids=50, memory=1 << 26, memory_swap=1 << 27, cpu=50_000)
SECOND = {"pids.max": "50", "memory.max": "67108864", "memory.swap.max": "67108864", "cpu.max": "50000 100000"}
FIRST = {"pids.max": "50", "memory.limit_in_bytes": "67108864", "memory.memsw.limit_in_bytes": "134217728",
         "cpu.cfs_quota_us": "25000", "cpu.cfs_period_us": "50000"}  # fmt: skip
UNLIMITED = {"pids.max": "max", "memory.max": "max", "memory.swap.max": "max", "cpu.max": "max 100000",
             "memory.limit_in_bytes": "9223372036854771712", "memory.memsw.limit_in_bytes": "9223372036854771712",
             "cpu.cfs_quota_us": "-1"}  # fmt: skip


@pytest.mark.parametrize("values", [SECOND, FIRST])
def test_ceilings_are_those_in_the_files_of_the_control_group(values: dict[str, str]) -> None:
    own = {"cgroup": "0::/user.slice/hardening"}
    assert failures(LIMITED, cgroup_values=values, **own) == set()
    all_four = {f"process.resources.{name}" for name in ("pids", "memory", "memory_swap", "cpu")}
    assert failures(LIMITED, **own) == all_four
    free = {name: UNLIMITED[name] for name in values if name in UNLIMITED} | {"cpu.cfs_period_us": "50000"}
    assert failures(LIMITED, cgroup_values=free, **own) == all_four
    for name, text in values.items():
        if "period" not in name:
            more = values | {
                name: f"{int(text.split()[0]) + 1000} 100000" if name == "cpu.max" else str(int(text) + 1000)
            }
            assert failures(LIMITED, cgroup_values=more, **own) & all_four


def test_a_control_group_lies_where_it_was_said() -> None:
    own = attrs.evolve(PERSON, cgroup="/boxes")
    assert failures(own, cgroup="0::/boxes/hardening-1") == set()
    assert failures(own) == failures(own, cgroup="0::/others/hardening-1") == {"process.resources.cgroup"}
    assert failures(PERSON, cgroup="0::/user.slice/made-by-a-runtime") == set()
    assert failures(PERSON, cgroup="0::/made-by-a-runtime") == set()
    assert PERSON.pids == NO_CEILING


def test_a_named_user_is_the_one_of_the_root(tmp_path: Path) -> None:
    own = strict(ProcessSettings, user=User("app"))
    within = context(host(), own, root=root_with(tmp_path, "app:x:1000:1000::/:\n"))
    found = [line.holds for line in verify(own, within, RECEIPT) if line.leaf == "process.user"]
    assert found == [True, True]
    root = {**RECEIPT, "status": {**RECEIPT["status"], "Uid": "100000\t100000\t100000\t100000"}}
    assert not all(line.holds for line in verify(own, within, root) if line.leaf == "process.user")
