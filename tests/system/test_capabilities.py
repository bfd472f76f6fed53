"""The guarantees of `[capabilities]`, as the kernel reports them of a running process, seen from the host.

Each guarantee has its counterpart: with the mechanism loosened, the same question gets the other answer. So no test
passes because of something else that happens to hold.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from hardening.mechanism.host import plain
from hardening.mechanism.mechanism import Verification
from hardening_capabilities.host import probe
from hardening_capabilities.spec import SETS
from hardening_capabilities.table import BY_NAME, mask_names
from tests.support.features import require
from tests.support.reports import verdict
from tests.support.runs import RUNTIMES, Running, finished, running
from tests.support.users import ordinary

pytestmark = pytest.mark.system

MECHANISMS = ("namespaces", "process", "capabilities")
FIELDS = ("CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb")

#: Rootless runc gives its pipes to the container's root, so that must be the caller.
ID_MAP = "auto" if os.geteuid() == 0 else "root"
#: runc knows time namespaces from 1.2 on; neither these nor resources have a part here.
PROCESS = '[process]\nresources.requirement = "best-effort"'
COMMON = f'[namespaces]\ntime = "host"\nid_map = "{ID_MAP}"\n{PROCESS}'
HOST_USER = f'[namespaces]\ntime = "host"\nuser = "host"\n{PROCESS}'


def sets(found: Running) -> dict[str, frozenset[str]]:
    """The five sets of a process by their names in /proc/PID/status."""
    return {field: mask_names(int(found.status[field], 16)) for field in FIELDS}


def expected(three: frozenset[str], others: frozenset[str] = frozenset()) -> dict[str, frozenset[str]]:
    return dict(zip(FIELDS, (three, three, three, others, others), strict=True))


def wrong(found: Running, *profiles: str) -> list[Verification]:
    """What the mechanism's own verdict on the kernel's report does not find right."""
    return [check for check in verdict(found, "capabilities", MECHANISMS, *profiles) if not check.holds]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_by_default_there_is_no_capability_and_none_can_be_gained(runtime: str) -> None:
    with running(COMMON, runtime=runtime, mechanisms=MECHANISMS) as found:
        assert sets(found) == expected(frozenset())
        assert found.status["NoNewPrivs"] == "1"
        assert wrong(found, COMMON) == []


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_root_has_what_was_added_in_three_sets(runtime: str) -> None:
    text = f'{COMMON}\nuser = "0"\n[capabilities]\nadd = ["CHOWN", "KILL"]'
    with running(text, runtime=runtime, mechanisms=MECHANISMS) as found:
        assert sets(found) == expected(frozenset({"CHOWN", "KILL"}))
        assert wrong(found, text) == []
        assert len(wrong(found, COMMON)) == 3  # held against the strict settings, this process has too much


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_another_user_has_what_was_added_in_all_five(runtime: str) -> None:
    require("root")
    text = f'{COMMON}\nuser = "1000"\n[capabilities]\nadd = ["NET_BIND_SERVICE"]'
    with running(text, runtime=runtime, mechanisms=MECHANISMS) as found:
        added = frozenset({"NET_BIND_SERVICE"})
        assert sets(found) == expected(added, added)
        assert found.ask("id -u") == "1000"
        assert wrong(found, text) == []


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_is_for_root_another_user_does_not_have(runtime: str) -> None:
    """The very same command is refused to a user for whom it is not, and done by one for whom it is."""
    require("root")
    given = f'{COMMON}\nuser = "%s"\n[capabilities]\n%s = ["SYS_CHROOT"]'

    def code(user: int, array: str) -> int:
        command = ["/bin/busybox", "chroot", "/", "/bin/busybox", "true"]
        return finished(given % (user, array), command=command, runtime=runtime, mechanisms=MECHANISMS).code

    with running(given % (1000, "root"), runtime=runtime, mechanisms=MECHANISMS) as found:
        assert sets(found) == expected(frozenset()) | {"CapBnd": frozenset({"SYS_CHROOT"})}
        assert wrong(found, given % (1000, "root")) == []
        assert [check.kernel for check in wrong(found, COMMON)] == ["CapBnd: SYS_CHROOT"]
    assert code(1000, "root") != 0
    assert (code(1000, "add"), code(0, "root")) == (0, 0)


@pytest.mark.parametrize(
    ("runtime", "id_map"),
    [("native", "root"), ("native", "keep-id"), ("crun", "root"), ("crun", "keep-id"), ("runc", "root")],
)
def test_an_ordinary_callers_container_obeys_too(runtime: str, id_map: str) -> None:
    require("userns")
    text = f'{COMMON}\n[capabilities]\nadd = ["CHOWN"]\n'.replace(ID_MAP, id_map)
    with running(text, runtime=runtime, mechanisms=MECHANISMS, user=ordinary()) as found:
        added = frozenset({"CHOWN"})
        assert sets(found) == expected(added, added if id_map == "keep-id" else frozenset())
        assert found.status["NoNewPrivs"] == "1"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_without_a_user_namespace_the_bounding_set_of_the_host_cuts(runtime: str) -> None:
    require("root")
    text = f'{HOST_USER}\n[capabilities]\nadd = ["ALL"]'
    with running(text, runtime=runtime, mechanisms=MECHANISMS) as found:
        assert found.shares("user")
        assert sets(found) == expected(probe(plain()).bounding)
        assert wrong(found, text) == []


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_in_a_user_namespace_every_capability_can_be_had(runtime: str) -> None:
    require("userns")
    text = f'{COMMON}\nuser = "0"\n[capabilities]\nadd = ["ALL"]'
    with running(text, runtime=runtime, mechanisms=MECHANISMS) as found:
        assert not found.shares("user")
        assert sets(found) == expected(frozenset(BY_NAME))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_new_privileges_are_permitted_only_when_said(runtime: str) -> None:
    text = f"{COMMON}\n[capabilities]\nno_new_privileges = false"
    with running(text, runtime=runtime, mechanisms=MECHANISMS) as found:
        assert found.status["NoNewPrivs"] == "0"
        assert [check.leaf for check in wrong(found, COMMON)] == ["capabilities.no_new_privileges"]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("SYS_CHROOT", "chroot / true"),
        ("SYS_ADMIN", "mount -t tmpfs tmpfs /data"),
        ("CHOWN", "touch /tmp/x; chown 7:7 /tmp/x"),
    ],
)
def test_the_kernel_refuses_what_a_dropped_capability_permits(runtime: str, name: str, command: str) -> None:
    """The very same command is refused without the capability and done with it."""
    base = f'{COMMON}\nuser = "0"\n'
    shell = ["/bin/busybox", "sh", "-c", command.replace("chroot", "busybox chroot").replace("chown", "busybox chown")]
    without = finished(base, command=shell, runtime=runtime, mechanisms=MECHANISMS)
    given = f'{base}[capabilities]\nadd = ["{name}"]'
    with_it = finished(given, command=shell, runtime=runtime, mechanisms=MECHANISMS)
    assert without.code != 0
    assert "not permitted" in without.stderr.lower() or "denied" in without.stderr.lower(), without.stderr
    assert with_it.code == 0, with_it.stderr


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_capability_that_slips_into_the_configuration_is_noticed(runtime: str) -> None:
    def slip(document: dict[str, Any]) -> None:
        for name in SETS[:2] + SETS[3:4]:
            document["process"]["capabilities"][name] = ["CAP_NET_RAW"]

    text = f'{COMMON}\nuser = "0"'
    with running(text, runtime=runtime, mechanisms=MECHANISMS, change=slip) as found:
        assert sets(found) != expected(frozenset())
        assert {check.kernel for check in wrong(found, text)} == {
            f"{field}: NET_RAW" for field in ("CapBnd", "CapPrm", "CapEff")
        }


def test_the_tests_run_where_the_host_has_something_to_take_away() -> None:
    """Guards the guards: as root with a bounding set, so an empty set is the mechanism's doing."""
    if os.geteuid() == 0:
        assert probe(plain()).bounding
