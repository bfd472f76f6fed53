"""What else than a stack may have refused a call."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.assemble.pipeline import examine
from hardening.base.linux import abi
from hardening.launch.config.bundle import HELPERS
from hardening.launch.supervise.signal_forwarder import read_status
from hardening.mechanism.denial import Caller, Seen, SystemCall
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import id_maps
from hardening.why import copies, elsewhere
from tests.hardening.why.test_question import HOST, composed

DOCUMENT: dict[str, Any] = {
    "root": {"path": "rootfs"},
    "mounts": [
        {"destination": "/usr", "type": "bind", "source": "/usr"},
        {"destination": "/usr/own", "type": "tmpfs", "source": "tmpfs"},
    ],
    "linux": {"namespaces": [{"type": "user"}]},
}
NO_FAMILY = 4242
#: What a stack knows that shows nothing.
NOWHERE = Context(HOST, {})
#: An access control list (acl(5), linux/posix_acl_xattr.h) that lets uid 4242 read, as an extended attribute holds it.
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in ((1, 6, 0xFFFFFFFF), (2, 4, 4242), (4, 0, 0xFFFFFFFF), (0x10, 4, 0xFFFFFFFF), (0x20, 0, 0xFFFFFFFF))
)


def shown(folder: Path) -> dict[str, Any]:
    """A configuration that shows a folder at /data."""
    return {**DOCUMENT, "mounts": [{"destination": "/data", "options": ["rbind"], "source": str(folder)}]}


def call(name: str, error: int, **more: Any) -> SystemCall:
    """A call that failed."""
    return SystemCall(
        name, 0, 0, **{"arguments": (0,) * 6, "caller": Caller(1, uid=4242, gid=4242), "error": error, **more}
    )


def volume(folder: Path) -> Context:
    """What a stack knows that shows a folder at /data."""
    return examine(composed({"rootfs": {"volumes": [f"{folder}:/data"]}}).composition, HOST)


def reason(asked: SystemCall, document: Mapping[str, Any]) -> str:
    """What is said of a call that no mode has anything to do with."""
    return elsewhere.reason(asked, document, NOWHERE)


def test_a_path_inside_is_found_on_the_host_by_the_mount_that_shows_it() -> None:
    assert elsewhere.outside(DOCUMENT, "/usr/bin/../lib") == "/usr/lib"
    assert elsewhere.outside(DOCUMENT, "/usr") == "/usr"
    assert elsewhere.outside(DOCUMENT, "/usr/own/file") is None
    assert elsewhere.outside(DOCUMENT, "/etc/passwd") == "/etc/passwd"
    assert elsewhere.outside({"root": {"path": "/srv/root"}}, "/etc/passwd") == "/srv/root/etc/passwd"


def test_a_file_that_does_not_exist_is_nobodys_doing(tmp_path: Path) -> None:
    found = reason(call("openat", errno.ENOENT, path="/data/no/file"), shown(tmp_path))
    assert found == f"the file itself: {tmp_path}/no does not exist on the host either"
    (tmp_path / "here").touch()
    assert reason(call("openat", errno.ENOENT, path="/data/here"), shown(tmp_path)) == ""


@pytest.mark.parametrize(
    ("mode", "access", "denied"),
    [(0o600, {"read"}, True), (0o644, {"read"}, False), (0o644, {"write"}, True), (0o644, {"execute"}, True)],
)
def test_the_mode_of_a_file_is_told_where_it_keeps_the_caller_out(
    mode: int, access: set[str], denied: bool, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.touch()
    file.chmod(mode)
    tmp_path.chmod(0o755)
    within = volume(tmp_path)
    asked = call("openat", errno.EACCES, path="/data/file", access=frozenset(access))
    assert ("the file's own mode: " in elsewhere.reason(asked, {}, within)) is denied
    assert elsewhere.reason(attrs.evolve(asked, error=errno.EPERM), {}, within) == ""
    root = Caller(1, capabilities=frozenset({"DAC_OVERRIDE"}))
    root_may = access != {"execute"}  # what nobody may execute, root may not either
    assert (elsewhere.reason(attrs.evolve(asked, caller=root), {}, within) == "") is root_may
    maps = id_maps(within)  # whoever is root inside, and is not the host's, which would be let in
    of_root = attrs.evolve(asked, caller=Caller(1, uid=maps.outside(0) or 0)) if maps is not None else asked
    assert not HOST.root or (elsewhere.reason(of_root, {}, within) == "") is root_may


def test_a_folder_of_the_host_that_the_command_does_not_go_through_keeps_nobody_out(tmp_path: Path) -> None:
    shared = tmp_path / "private/shared"
    shared.mkdir(parents=True)
    shared.chmod(0o755)
    (shared / "file").touch(0o644)
    (tmp_path / "private").chmod(0o700)
    asked = call("openat", errno.EACCES, path="/data/file", access=frozenset({"read"}))
    assert elsewhere.reason(asked, shown(shared), volume(shared)) == ""


def test_the_mode_of_a_file_with_a_list_of_access_control_says_nothing(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    file.chmod(0o600)
    asked = call("openat", errno.EACCES, path="/data/file", access=frozenset({"read"}))
    tmp_path.chmod(0o755)
    within = volume(tmp_path)
    assert elsewhere.reason(asked, {}, within).startswith("the file's own mode: ")
    os.setxattr(file, "system.posix_acl_access", ACL)
    assert elsewhere.reason(asked, {}, within) == ""


@pytest.mark.parametrize(
    ("blocks", "inodes", "full"),
    [((9, 0), (9, 5), True), ((9, 5), (9, 0), True), ((9, 5), (9, 5), False), ((0, 0), (0, 0), False)],
)
def test_no_space_is_left_where_the_file_system_has_none(
    blocks: tuple[int, int], inodes: tuple[int, int], full: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = (4096, 4096, blocks[0], blocks[1], blocks[1], inodes[0], inodes[1], inodes[1], 0, 255)
    monkeypatch.setattr(os, "statvfs", lambda place: os.statvfs_result(counts))
    found = reason(call("openat", errno.ENOSPC, path="/data/new/file"), shown(tmp_path))
    assert found == (f"the file system of {tmp_path} on the host: no space is left on it" if full else "")


def test_a_quota_that_is_used_up_is_told(tmp_path: Path) -> None:
    found = reason(call("write", errno.EDQUOT, path="/data/file"), shown(tmp_path))
    assert found == f"the file system of {tmp_path} on the host: the quota on it is used up"


def perf(pid: int, error: int = errno.EACCES, **more: Any) -> SystemCall:
    """A process's work is to be measured; -1 for all that a processor does."""
    return attrs.evolve(call("perf_event_open", error, **more), arguments=(0, pid % (1 << 64), 0, 0, 0, 0))


def test_a_kind_of_sockets_that_no_kernel_has() -> None:
    asked = call("socket", errno.EAFNOSUPPORT, arguments=(NO_FAMILY, 1, 0, 0, 0, 0))
    assert "the host's kernel" in reason(asked, DOCUMENT)
    assert not reason(attrs.evolve(asked, arguments=(socket.AF_UNIX, 1, 0, 0, 0, 0)), DOCUMENT)


def test_the_kernel_is_not_asked_for_sockets_that_a_filter_has_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(socket, "socket", lambda *of: asked.append(of))
    found = call("socket", errno.EAFNOSUPPORT, arguments=(NO_FAMILY, 1, 0, 0, 0, 0))
    assert not elsewhere.reason(found, DOCUMENT, NOWHERE, is_certain=True)
    assert not asked


ICMP = call("socket", errno.EACCES, arguments=(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 1, 0, 0, 0))
#: What forbids an ordinary user a user namespace on Debian.
FORBIDDEN = ("kernel.unprivileged_userns_clone", "0")
ROOT = Caller(1, capabilities=frozenset({"PERFMON"}))


@pytest.mark.parametrize(
    ("asked", "name", "value", "told"),
    [
        (call("bind", errno.EACCES, address="tcp 0.0.0.0:80"), "net.ipv4.ip_unprivileged_port_start", "1024", True),
        (call("bind", errno.EACCES, address="tcp 0.0.0.0:80"), "net.ipv4.ip_unprivileged_port_start", "80", False),
        (ICMP, "net.ipv4.ping_group_range", "1 0", True),
        (ICMP, "net.ipv4.ping_group_range", "0 2147483647", False),
        (
            attrs.evolve(ICMP, arguments=(socket.AF_INET6, socket.SOCK_DGRAM, 58, 0, 0, 0)),
            "net.ipv4.ping_group_range",
            "1 0",
            True,
        ),
        (
            attrs.evolve(ICMP, arguments=(socket.AF_INET, socket.SOCK_RAW, 1, 0, 0, 0)),
            "net.ipv4.ping_group_range",
            "1 0",
            False,
        ),
        (call("unshare", errno.ENOSPC, arguments=(abi.CLONE_NEWNET, *(0,) * 5)), "user.max_net_namespaces", "0", True),
        (call("clone", errno.EPERM, arguments=(abi.CLONE_NEWUSER, *(0,) * 5)), *FORBIDDEN, True),
        (call("clone3", errno.EPERM, namespaces=abi.CLONE_NEWUSER), *FORBIDDEN, True),
        (call("clone3", errno.EPERM, arguments=(abi.CLONE_NEWUSER, *(0,) * 5)), *FORBIDDEN, False),
        (
            call("openat", errno.EPERM, path="/tmp/a CLONE_NEWUSER", text="openat /tmp/a CLONE_NEWUSER"),
            *FORBIDDEN,
            False,
        ),
        (call("inotify_add_watch", errno.ENOSPC, path="/data"), "fs.inotify.max_user_watches", "8", True),
        (call("inotify_add_watch", errno.EACCES), "fs.inotify.max_user_watches", "8", False),
        (perf(0), "kernel.perf_event_paranoid", "2", True),
        (perf(0), "kernel.perf_event_paranoid", "1", False),
        (perf(0, errno.EPERM), "kernel.perf_event_paranoid", "2", False),
        (perf(0, caller=ROOT), "kernel.perf_event_paranoid", "2", False),
        (perf(-1), "kernel.perf_event_paranoid", "1", True),
        (perf(-1), "kernel.perf_event_paranoid", "0", False),
        (perf(42), "kernel.perf_event_paranoid", "3", True),
        (perf(42), "kernel.perf_event_paranoid", "2", False),
        (call("ptrace", errno.EPERM), "kernel.yama.ptrace_scope", "3", True),
        (call("ptrace", errno.EPERM), "kernel.yama.ptrace_scope", "1", False),
        (call("syslog", errno.EPERM), "kernel.dmesg_restrict", "1", True),
        (call("syslog", errno.EPERM), "kernel.dmesg_restrict", "0", False),
        (call("bpf", errno.EPERM), "kernel.unprivileged_bpf_disabled", "2", True),
        (call("bpf", errno.EPERM), "kernel.unprivileged_bpf_disabled", "0", False),
    ],
)
def test_a_setting_of_the_hosts_kernel_is_told_where_its_value_forbids_the_call(
    asked: SystemCall, name: str, value: str, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elsewhere, "SYSCTLS", tmp_path)
    assert reason(asked, {}) == ""
    setting = tmp_path.joinpath(*name.split("."))
    setting.parent.mkdir(parents=True)
    setting.write_text(value.replace(" ", "\t") + "\n")
    assert reason(asked, {}).startswith(f"the host: {name} is {value}") is told


def test_a_network_of_the_commands_own_has_settings_of_its_own() -> None:
    own = {"linux": {"namespaces": [{"type": "network"}]}}
    assert reason(call("bind", errno.EACCES, address="tcp 0.0.0.0:80"), own) == ""
    assert reason(ICMP, own) == ""


def test_a_filter_that_neither_the_stack_nor_the_caller_has_loaded_is_the_programs_own() -> None:
    inherited = int(read_status("self")["Seccomp_filters"])

    def said(more: int, document: Mapping[str, Any], error: int = errno.EPERM) -> bool:
        inside = call("mkdir", error, caller=Caller(1, filters=inherited + more))
        return reason(inside, document).startswith("the program's own sandbox may have")

    filtered = {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ERRNO"}}}
    assert [said(more, filtered) for more in (0, 1, 2)] == [False, False, True]
    assert [said(more, {}) for more in (0, 1)] == [False, True]
    assert not said(2, filtered, errno.ENOENT)


@pytest.mark.parametrize(
    ("name", "uid", "error", "is_told"),
    [
        ("fchownat", 4242, errno.EPERM, True),
        ("chown32", 4242, errno.EPERM, True),
        ("fchownat", 100_000, errno.EPERM, False),
        ("fchownat", 4242, errno.EROFS, False),
        ("chmod", 4242, errno.EPERM, False),
    ],
)
def test_an_account_of_the_callers_own_may_give_no_file_away(name: str, uid: int, error: int, is_told: bool) -> None:
    context = Context(attrs.evolve(HOST, uid=4242), {})
    asked = call(name, error, path="/usr/own/file", caller=Caller(1, uid=uid, filters=1))
    assert ("own account" in elsewhere.reason(asked, {**DOCUMENT, "linux": {"seccomp": {"x": 1}}}, context)) is is_told


@pytest.mark.parametrize(
    ("access", "above", "uid", "error", "is_told"),
    [
        ({"change"}, 0o755, 4242, errno.EPERM, True),
        ({"change"}, 0o755, 0, errno.EPERM, False),  # its owner
        ({"change"}, 0o755, 4242, errno.EACCES, False),
        ({"remove"}, 0o1777, 4242, errno.EPERM, True),
        ({"remove"}, 0o777, 4242, errno.EPERM, False),
        ({"write"}, 0o1777, 4242, errno.EPERM, False),
    ],
)
def test_the_owner_is_told_who_alone_changes_a_file_or_removes_it_from_a_sticky_folder(
    access: set[str], above: int, uid: int, error: int, is_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = {"/d/f": Seen("/d/f", 0, 0, 0o100644), "/d": Seen("/d", 0, 0, 0o040000 | above)}
    monkeypatch.setattr(elsewhere, "file_of", lambda context, call, path: ways[path])
    monkeypatch.setattr(elsewhere, "is_own_root", lambda context, caller: False)
    monkeypatch.setattr(elsewhere, "withheld", lambda context, call: None)
    asked = call("x", error, path="/d/f", access=frozenset(access), caller=Caller(1, uid=uid, filters=1))
    for reached in (False, True):  # by a capability, which the stack gives or does not
        monkeypatch.setattr(elsewhere, "is_reached", lambda context, seen, reached=reached: reached)
        assert ("the file's own owner: /d/f" in reason(asked, DOCUMENT)) is (is_told and not reached)


def test_an_attribute_of_the_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = str(tmp_path / "kept")
    monkeypatch.setattr(copies, "kept_as", lambda path: "immutable" if path == kept else "")
    asked = call("openat", errno.EPERM, path="/data/kept")
    assert f"{kept} is immutable on the host" in reason(asked, shown(tmp_path))
    assert not reason(attrs.evolve(asked, path="/data/other"), shown(tmp_path))
    for access, is_kept in (("write", True), ("read", False)):
        found = elsewhere.outlasts_copies(attrs.evolve(asked, access=frozenset({access})), shown(tmp_path))
        assert found is is_kept


@pytest.mark.parametrize(
    ("name", "error", "about", "said"),
    [
        ("mkdir", errno.EEXIST, {"path": "/data/x"}, "/data/x: it is there already"),
        ("rmdir", errno.ENOTEMPTY, {"path": "/data/x"}, "/data/x: the directory is not empty"),
        ("openat", errno.EISDIR, {"path": "/data/x"}, "/data/x: it is a directory"),
        ("openat", errno.ELOOP, {"path": "/data/x"}, "/data/x: too many levels of symbolic links"),
        ("openat", errno.ENAMETOOLONG, {"path": "/data/x"}, "/data/x: the name is too long"),
        ("execve", errno.ETXTBSY, {"path": "/data/x"}, "/data/x: text file busy: somebody has it open to write to it"),
        ("bind", errno.EADDRINUSE, {"address": "tcp 127.0.0.1:80"}, "tcp 127.0.0.1:80: address already in use"),
        ("connect", errno.ECONNREFUSED, {"address": "tcp [::1]:1"}, "tcp [::1]:1: connection refused: nobody listens there"),
    ],
)  # fmt: skip
def test_what_is_refused_whoever_asks_is_told_by_its_errno(
    name: str, error: int, about: dict[str, Any], said: str
) -> None:
    assert elsewhere.of_itself(call(name, error, **about)) == said


def test_what_may_be_refused_to_some_alone_is_not_told_by_its_errno() -> None:
    assert not elsewhere.of_itself(call("bind", errno.EACCES, address="tcp 127.0.0.1:80"))
    assert not elsewhere.of_itself(call("mkdir", errno.EEXIST))


def test_a_script_whose_interpreter_is_missing_is_told_with_that(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/no/such/interpreter\n")
    asked = call("execve", errno.ENOENT, path="/data/script")
    assert reason(asked, shown(tmp_path)).endswith(
        "names /no/such/interpreter, and /no does not exist on the host either"
    )


def test_who_has_confined_itself_may_have_done_it() -> None:
    asked = call("openat", errno.EACCES, caller=Caller(1, is_confined=True))
    assert "landlock" in reason(asked, {})
    helped = {"annotations": {HELPERS: '[["/helper"]]'}, "process": {"args": ["/helper", "--", "x"]}}
    assert "landlock" not in reason(asked, helped)  # the helper has, by the stack
    assert not reason(attrs.evolve(asked, error=errno.ENOENT), {})
    assert not reason(attrs.evolve(asked, caller=Caller(1)), {})
