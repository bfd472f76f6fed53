"""The data file: complete, known to libseccomp, and what the shipped groups allow."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from hardening.base.linux.libseccomp import Libseccomp
from hardening_seccomp import groups
from hardening_seccomp.actions import ALLOW, ENOSYS, EPERM, Action, ActionKind
from hardening_seccomp.build import token_of
from hardening_seccomp.conditions import fill
from hardening_seccomp.settings import StrictDefaults

LIBRARY = Libseccomp.load()
DATA = groups.load()


def names(architecture: str) -> frozenset[str]:
    return frozenset(LIBRARY.names(token_of(LIBRARY, architecture)))


@pytest.mark.parametrize("architecture", ["x86_64", "aarch64", "x86"])
def test_every_system_call_stands_in_a_group(architecture: str) -> None:
    assert names(architecture) - DATA.names == frozenset()


def test_every_name_is_one() -> None:
    token = LIBRARY.native()
    assert [name for name in DATA.names if LIBRARY.number(token, name) is None] == []
    assert set(DATA.guards) | set(DATA.widths) <= DATA.names


def test_what_programs_do_without_is_a_group() -> None:
    assert DATA.members["@fallback"] == DATA.fallbacks.keys()
    assert all(DATA.fallbacks.values())
    assert [DATA.denial(name) for name in ("clone3", "ptrace")] == [ENOSYS, EPERM]


def test_every_group_has_a_meaning() -> None:
    assert all(DATA.meanings[name] for name in DATA.members)
    assert DATA.members["@container-default"] == DATA.members["@default"]


def test_strict_has_no_network_and_nothing_privileged() -> None:
    strict = DATA.members["@strict"]
    privileged = DATA.members["@privileged"] | DATA.members["@debug"] | DATA.members["@obsolete"]
    assert strict & privileged == frozenset()
    assert strict & DATA.members["@network"] == {"socketpair"}
    assert "clone3" not in strict


def test_default_stays_within_what_podman_allows() -> None:
    data = json.loads(Path("/usr/share/containers/seccomp.json").read_text())
    allowed = {
        name
        for rule in data["syscalls"]
        if rule["action"] == "SCMP_ACT_ALLOW" and not rule["includes"].get("caps")
        for name in rule["names"]
    }
    newer = {name for name in DATA.members["@default"] if "xattrat" in name or name.startswith(("lsm_", "file_"))}
    harmless = {"mseal", "uretprobe", "io_pgetevents"}
    assert (DATA.members["@default"] & names("x86_64")) - allowed - newer - harmless == frozenset()


def test_guards_look_at_the_lower_half_only() -> None:
    ioctl = fill(DATA.allowed("ioctl", "x86_64"), ALLOW)
    assert ioctl.value((0, 0x5412, 0, 0, 0, 0)) == EPERM
    assert ioctl.value((0, 0xDEAD00005412, 0, 0, 0, 0)) == EPERM
    assert ioctl.value((0, 0x5413, 0, 0, 0, 0)) == ALLOW
    clone = fill(DATA.allowed("clone", "x86_64"), ALLOW)
    assert clone.value((0x01200011, 0, 0, 0, 0, 0)) == ALLOW
    assert clone.value((0x10000011, 0, 0, 0, 0, 0)) == EPERM


@pytest.mark.parametrize(("machine", "index"), [("x86_64", 0), ("aarch64", 0), ("s390", 1), ("s390x", 1)])
def test_clone_makes_no_namespaces_wherever_its_flags_are(machine: str, index: int) -> None:
    vectors = [tuple(0x10000000 if position == at else 0 for position in range(6)) for at in (0, 1)]
    for rule in (fill(DATA.allowed("clone", machine), ENOSYS), StrictDefaults(machine)["clone"]):
        assert [rule.value(vector) for vector in vectors] == [EPERM if at == index else ALLOW for at in (0, 1)]


def test_groups_give_only_sockets_that_a_network_namespace_separates() -> None:
    """AF_UNIX, AF_INET, AF_INET6 and most of AF_NETLINK; not AF_RXRPC, AF_ALG, AF_VSOCK, AF_QIPCRTR, AF_XDP and the like."""
    denied = Action(ActionKind.ERRNO, errno.EAFNOSUPPORT)
    socket, pair = fill(DATA.allowed("socket", "x86_64"), ENOSYS), fill(DATA.allowed("socketpair", "x86_64"), ENOSYS)
    for family in range(64):
        answer = ALLOW if family in (1, 2, 10, 16) else denied
        for dirt in (0, 1 << 32):
            assert socket.value((family | dirt, 1, 0, 0, 0, 0)) == answer
            assert pair.value((family | dirt, 1, 0, 0, 0, 0)) == (ALLOW if family == 1 else denied)
    allowed = [number for number in range(64) if socket.value((16, 3, number, 0, 0, 0)) == ALLOW]
    assert allowed == [0, 4, 6, 12, 15, 16]


def test_the_reference_page_lists_every_group_and_guard() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/seccomp.md").read_text()
    for name, meaning in DATA.meanings.items():
        assert f"| `{name}` | {meaning} |" in page
    for name, guard in DATA.guards.items():
        assert f"| `{name}` | {guard.why}" in page
    for name, instead in DATA.fallbacks.items():
        assert f"| `{name}` | {instead} |" in page


def test_what_programs_call_instead_are_calls_of_the_table() -> None:
    nothing = {name for name, then in DATA.replacements.items() if not then}
    assert nothing == {
        *("get_mempolicy", "getrandom", "io_uring_enter", "io_uring_register", "io_uring_setup", "keyctl"),
        *("landlock_create_ruleset", "listmount", "lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr"),
        *("map_shadow_stack", "mseal", "name_to_handle_at", "pidfd_open", "rseq", "statmount"),
    }
    assert DATA.replacements["open_tree_attr"] == {"open_tree", "mount_setattr"}
    assert frozenset().union(*DATA.replacements.values()) <= DATA.names
