"""Which failures a missing capability takes itself for the reason of, and which it leaves to others."""

from __future__ import annotations

import errno
import os
import signal
import struct
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
import pytest

from hardening.mechanism.denial import Caller, Cause, Seen, Size, SystemCall
from hardening.mechanism.mechanism import Context
from hardening_capabilities import Capabilities, CapabilitiesSettings
from hardening_capabilities.checks import CHECKS, fitting
from hardening_capabilities.settings import ADDED, ROOT
from hardening_namespaces.facts import NamespaceFacts
from hardening_namespaces.settings import TYPES
from hardening_process.kinds import User
from hardening_process.settings import ProcessSettings
from hardening_rootfs.paths import RootPath
from hardening_rootfs.settings import RootfsSettings
from tests.plugins.capabilities.stacks import EVERY, host, namespaces
from tests.plugins.capabilities.test_spec import settings
from tests.plugins.process.stacks import strict
from tests.support.features import require

SUBIDS = ((100_000, 65_536),)


@pytest.fixture
def as_root() -> None:
    """An ordinary user gives no file away."""
    require("root")


def call(
    name: str, *arguments: int, error: int = errno.EPERM, uid: int = 0, has: Sequence[str] = (), **more: Any
) -> Any:
    caller = Caller(7, "cmd", more.pop("executable", "/bin/cmd"), uid, uid, frozenset(has), 1)
    return SystemCall(name, -1, 0, (*arguments, *[0] * (6 - len(arguments))), caller, error, **more)


def context(
    *, by: int = 0, runs: str = "", root: Path | None = None, bounding: frozenset[str] = EVERY, **places: Any
) -> Context:
    """Launched by the user ``by``, the command ``runs`` as another; in a network of its own, and the host's users."""
    plain = host(bounding=bounding)
    facts = {**plain.facts, NamespaceFacts: NamespaceFacts(frozenset(TYPES), "", SUBIDS, SUBIDS, True)}
    on = attrs.evolve(plain, uid=by, gid=by, groups=(by,), facts=MappingProxyType(facts))
    process = strict(ProcessSettings, user=User(runs, runs) if runs else User())
    others: list[object] = [namespaces(**{"user": "host", "net": "private", **places}), process]
    if root is not None:
        others.append(strict(RootfsSettings, path=RootPath(str(root))))
    return Context(on, {type(other): other for other in others})


def private(*, root: Path | None = None, **places: Any) -> Context:
    """In a user namespace of its own, with a range of ids."""
    return context(root=root, user="private", **places)


def causes(
    asked: SystemCall, within: Context | None = None, chosen: CapabilitiesSettings | None = None
) -> dict[str, Cause]:
    found = Capabilities().denied(chosen or settings(), within or context(), asked)
    return {cause.leaf: cause for cause in found}


def leaves(asked: SystemCall, within: Context | None = None, chosen: CapabilitiesSettings | None = None) -> list[str]:
    return [leaf.removeprefix("capabilities.") for leaf in causes(asked, within, chosen)]


DENIED = [
    (call("setuid", 5, ids=(5,)), "SETUID"),
    (call("setresgid", 5, 5, 5), "SETGID"),
    (call("setgroups", 0), "SETGID"),
    (call("write", 3, path="/proc/7/uid_map"), "SETUID"),
    (call("write", 3, path="/proc/self/gid_map"), "SETGID"),
    (call("write", 3, path="/proc/self/uid_map"), "SETFCAP"),
    (call("kill", 5, 15), "KILL"),
    (call("prctl", 24, 12), "SETPCAP"),
    (call("capset", capabilities=frozenset({"SYS_PTRACE"})), "SYS_PTRACE"),
    (call("setxattr", attribute="security.capability"), "SETFCAP"),
    (call("setxattr", attribute="trusted.overlay"), "SYS_ADMIN"),
    (call("mount", text="mount /proc"), "SYS_ADMIN"),
    (call("unshare", 0x20000), "SYS_ADMIN"),
    (call("clone", 0x40000011), "SYS_ADMIN"),
    (call("clone3", namespaces=0x20000000), "SYS_ADMIN"),
    (call("sethostname"), "SYS_ADMIN"),
    (call("swapon"), "SYS_ADMIN"),
    (call("setns", 3), "SYS_ADMIN"),
    (call("quotactl"), "SYS_ADMIN"),
    (call("fanotify_init"), "SYS_ADMIN"),
    (call("io_uring_setup", 8), "SYS_ADMIN"),
    (call("ioctl", 0, 0x5412), "SYS_ADMIN"),
    (call("ioctl", 3, 0xFFFFFFFFC0045877), "SYS_ADMIN"),
    (call("chroot"), "SYS_CHROOT"),
    (call("ptrace", 16, 9), "SYS_PTRACE"),
    (call("process_vm_readv", 9), "SYS_PTRACE"),
    (call("process_vm_writev", 9), "SYS_PTRACE"),
    (call("readlink", error=errno.EACCES, path="/proc/9/exe"), "SYS_PTRACE"),
    (call("userfaultfd"), "SYS_PTRACE"),
    (call("socket", 2, 3, 1), "NET_RAW"),
    (call("socket", 10, 0x80803, 58), "NET_RAW"),
    (call("socket", 17, 2), "NET_RAW"),
    (call("ioctl", 3, 0x8914), "NET_ADMIN"),
    (call("ioctl", 3, 0x400454CA), "NET_ADMIN"),
    (call("setsockopt", 3, 1, 36), "NET_ADMIN"),
    (call("getsockopt", 3, 0, 64), "NET_ADMIN"),
    (call("bind", 3, address="netlink route", text="bind netlink route"), "NET_ADMIN"),
    (call("recvmsg", 3, address="netlink route", request=16, text="netlink route RTM_NEWLINK"), "NET_ADMIN"),
    (call("recvfrom", 3, address="netlink audit", request=0x451), "AUDIT_WRITE"),
    (call("recvfrom", 3, address="netlink audit", request=0x3F0), "AUDIT_CONTROL"),
    (call("setsockopt", 3, 270, 1, address="netlink route"), "NET_ADMIN"),
    (call("setsockopt", 3, 1, 25), "NET_RAW"),
    (call("mlock", 0, 1 << 30, error=errno.ENOMEM, text="mlock 1 GiB"), "IPC_LOCK"),
    (call("mmap", 0, 1 << 20, 3, 0x2022, error=errno.EAGAIN), "IPC_LOCK"),
    (call("shmctl", 1, 11), "IPC_LOCK"),
    (call("shmget", 1, error=errno.EACCES), "IPC_OWNER"),
    (call("init_module"), "SYS_MODULE"),
    (call("iopl", 3), "SYS_RAWIO"),
    (call("acct"), "SYS_PACCT"),
    (call("reboot"), "SYS_BOOT"),
    (call("kexec_load"), "SYS_BOOT"),
    (call("setpriority", 0, 0, 1 << 64 - 1, error=errno.EACCES), "SYS_NICE"),
    (call("sched_setscheduler", 0, 1), "SYS_NICE"),
    (call("ioprio_set", 1, 0), "SYS_NICE"),
    (call("prlimit64", 0, 7), "SYS_RESOURCE"),
    (call("prctl", 35, 1), "SYS_RESOURCE"),
    (call("fcntl", 3, 1031), "SYS_RESOURCE"),
    (call("write", 3, error=errno.EACCES, path="/proc/self/oom_score_adj"), "SYS_RESOURCE"),
    (call("settimeofday"), "SYS_TIME"),
    (call("adjtimex"), "SYS_TIME"),
    (call("vhangup"), "SYS_TTY_CONFIG"),
    (call("ioctl", 3, 0x5606), "SYS_TTY_CONFIG"),
    (call("mknod", 0, 0x2000 | 0o600), "MKNOD"),
    (call("mknodat", 0, 0, 0x6000), "MKNOD"),
    (call("fcntl", 3, 1024, error=errno.EACCES), "LEASE"),
    (call("ioctl", 3, 0x40086602), "LINUX_IMMUTABLE"),
    (call("write", 3, path="/proc/self/loginuid"), "AUDIT_CONTROL"),
    (call("syslog", 3), "SYSLOG"),
    (call("syslog", 5), "SYSLOG"),
    (call("openat", path="/dev/kmsg"), "SYSLOG"),
    (call("timerfd_create", 8), "WAKE_ALARM"),
    (call("perf_event_open", error=errno.EACCES), "PERFMON"),
    (call("bpf", 5), "BPF"),
    (call("bpf", 5), "PERFMON"),
    (call("bpf", 5), "NET_ADMIN"),
    (call("bpf", 11), "SYS_ADMIN"),
    (call("open_by_handle_at"), "DAC_READ_SEARCH"),
    (call("chown", path="/nobody/knows", ids=(5, 5)), "CHOWN"),
    (call("fchmod", 3), "FOWNER"),
    (call("bind", 3, error=errno.EACCES, address="tcp 0.0.0.0:80"), "NET_BIND_SERVICE"),
    (call("bind", 3, error=errno.EACCES, address="udp [::1]:53"), "NET_BIND_SERVICE"),
]  # fmt: skip
#: The same calls, or their like, for which no capability was asked.
OTHERS = [
    call("setsockopt", 3, 1, 8, address="netlink route"),
    call("setuid", 5, error=errno.EINVAL, ids=(5,)),
    call("kill", 5, 15, error=errno.ESRCH),
    call("prctl", 38, 1),
    call("mount", error=errno.ENOENT),
    call("unshare", 0x10000000),
    call("unshare", 0x30000000),
    call("clone", 0x11),
    call("clone3"),
    call("clone3", namespaces=0x30000000),
    call("setxattr", path="/trusted.d/f", attribute="user.a", text="setxattr /trusted.d/f user.a", uid=5),
    call("ptrace", 0),
    call("set_mempolicy", 2),
    call("keyctl", 1),
    call("personality", 0x40000),
    call("socket", 2, 1),
    call("socket", 2, 3, error=errno.EAFNOSUPPORT),
    call("setsockopt", 3, 1, 2),
    call("mmap", 0, 4096, 5, error=errno.EPERM, text="mmap /lib/x.so (execute)"),
    call("mmap", 0, 4096, 5, error=errno.ENOMEM, text="mmap /lib/libblock.so"),
    call("mknod", 0, 0x1000),
    call("openat", path="/etc/shadow", error=errno.EROFS),
    call("openat", path="/etc/shadow", error=errno.ENOENT),
    call("bind", 3, error=errno.EACCES, address="tcp 0.0.0.0:8080"),
    call("bind", 3, error=errno.EACCES, address="unix /run/x.sock"),
    call("bind", 3, error=errno.EADDRINUSE, address="tcp 0.0.0.0:80"),
    call("execve", path="/bin/true", error=errno.ENOENT),
    call("chown", error=errno.EINVAL, ids=(5, 5)),
    call("ptrace", 16, error=0, signal=signal.SIGSYS),
]


@pytest.mark.parametrize(("asked", "name"), DENIED, ids=lambda item: getattr(item, "name", item))
def test_a_call_that_takes_a_capability_names_it_and_offers_it_last(asked: SystemCall, name: str) -> None:
    cause = causes(asked)[f"capabilities.{name}"]
    assert f"takes {name}" in cause.what
    assert (cause.ways[-1].leaf, cause.ways[-1].value) == (cause.leaf, ROOT)
    assert not cause.certain, "a filter may have answered the same"
    assert [way.size for way in cause.ways] == sorted(way.size for way in cause.ways)


@pytest.mark.parametrize(("asked", "name"), DENIED, ids=lambda item: getattr(item, "name", item))
def test_who_has_it_or_was_given_it_is_denied_by_something_else(asked: SystemCall, name: str) -> None:
    holder = attrs.evolve(asked, caller=attrs.evolve(asked.caller, capabilities=frozenset({name})))
    # Who has made a user namespace has them all in that, and none above it.
    assert name not in leaves(holder) or asked.path.endswith("_map")
    for chosen in (settings(name), settings(root=[name])):
        assert name not in leaves(asked, chosen=chosen)


@pytest.mark.parametrize("asked", OTHERS, ids=lambda item: f"{item.name} {item.outcome}")
def test_what_takes_none_is_none_of_its_own(asked: SystemCall) -> None:
    assert leaves(asked) == []


def test_each_line_of_the_table_has_a_call_here() -> None:
    used = {id(check) for asked, _ in DENIED for check in CHECKS if check.fits(asked)}
    assert [check for check in CHECKS if id(check) not in used] == []
    elsewhere = {"CHOWN", "FOWNER", "NET_BIND_SERVICE"}
    assert all(fitting(asked) for asked, name in DENIED if not (asked.capabilities or name in elsewhere))


def test_a_question_is_answered_where_the_kernel_always_asks() -> None:
    def asked(name: str, *arguments: int) -> list[str]:
        made = call(name, *arguments)
        return leaves(attrs.evolve(made, caller=attrs.evolve(made.caller, pid=0)))

    assert asked("chroot") == ["SYS_CHROOT"]
    assert asked("unshare", 0x20000) == ["SYS_ADMIN"]
    assert asked("mknod", 0, 0x2000) == ["MKNOD"]
    for name in ("kill", "setuid", "chmod", "chown", "bpf", "setpriority", "adjtimex"):
        assert asked(name) == []


def test_a_limit_decides_where_a_capability_does_nothing() -> None:
    assert leaves(call("mlock", error=errno.ENOMEM, uid=100_000, text="mlock"), private()) == []


@pytest.mark.parametrize(
    ("asked", "places", "reaches"),
    [
        (call("settimeofday"), {}, True),
        (call("syslog", 5), {}, True),
        (call("syslog", 3), {}, False),
        (
            call("recvmsg", 3, address="netlink route", request=16, text="netlink route RTM_NEWLINK"),
            {"net": "host"},
            True,
        ),
        (
            call("recvmsg", 3, address="netlink route", request=16, text="netlink route RTM_NEWLINK"),
            {"net": "private"},
            False,
        ),
        (call("sethostname"), {"uts": "host"}, True),
        (call("sethostname"), {"uts": "private"}, False),
        (call("kill", 5, 15), {"pid": "host"}, True),
        (call("kill", 5, 15), {"pid": "private"}, False),
        (call("mount"), {"mount": "host"}, True),
        (call("mount"), {"mount": "private"}, False),
        (call("mknod", 0, 0x2000), {}, False),
        (call("setuid", 5, ids=(5,)), {}, False),
    ],
)
def test_what_a_capability_changes_of_the_host_and_stays_is_said(
    asked: SystemCall, places: dict[str, Any], reaches: bool
) -> None:
    (cause,) = causes(asked, context(**places)).values()
    assert cause.ways[-1].reaches_host == reaches


def test_a_set_group_id_bit_that_is_lost_in_silence_takes_one() -> None:
    assert leaves(call("fchmodat", error=0, path="/tmp/f")) == ["FSETID"]
    assert leaves(call("fchmodat", error=0, path="/tmp/f", has=["FSETID"])) == []


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("process is missing required capability NET_ADMIN", ["NET_ADMIN"]),
        ("missing cap_net_raw+p capability or setuid?", ["NET_RAW"]),
        ('The "no new privileges" flag is set', ["no_new_privileges"]),
        ("NET_ADMIN is what it is", []),
        ("capabilities of NOBODY", []),
    ],
)
def test_what_a_program_says_at_its_end_that_it_lacks_is_tried(said: str, named: list[str]) -> None:
    end = call("", error=0, output=said)
    assert leaves(end) == named
    has = [name for name in named if name.isupper()]
    assert leaves(end, chosen=settings(*has, no_new_privileges=False)) == []


def test_a_host_name_that_is_shared_takes_one_of_its_own() -> None:
    assert leaves(call("sethostname", uid=100_000), private(uts="host")) == []
    assert leaves(call("sethostname", uid=100_000), private()) == ["SYS_ADMIN"]


def test_another_user_needs_it_added_and_one_that_root_has_become_gets_none() -> None:
    asked = call("chroot", uid=1000)
    (way,) = causes(asked, context(runs="1000"))["capabilities.SYS_CHROOT"].ways
    assert way.value == ADDED
    assert leaves(asked, context(runs="1000"), settings(root=["SYS_CHROOT"])) == ["SYS_CHROOT"]
    assert leaves(asked, context()) == []


def test_what_the_caller_cannot_give_has_no_way() -> None:
    cause = causes(call("chroot"), context(bounding=EVERY - {"SYS_CHROOT"}))["capabilities.SYS_CHROOT"]
    assert not cause.ways
    assert "bounding set" in cause.advice


@pytest.mark.parametrize(
    ("asked", "places"),
    [
        (call("settimeofday", uid=100_000), {}),
        (call("settimeofday", uid=100_000, has=["SYS_TIME"]), {}),
        (call("setns", 3, uid=100_000, has=["SYS_ADMIN"]), {}),
        (call("ioprio_set", 1, 0, 1 << 13, uid=100_000), {}),
        (call("bind", 3, error=errno.EACCES, address="tcp 0.0.0.0:80", uid=100_000), {"net": "host"}),
    ],
)
def test_in_a_user_namespace_of_its_own_a_capability_over_the_host_does_nothing(
    asked: SystemCall, places: dict[str, Any]
) -> None:
    found = causes(asked, private(**places))
    assert list(found) == ["namespaces.user"]
    assert "does nothing here" in found["namespaces.user"].advice


def test_what_an_ordinary_user_may_not_do_anyhow_is_not_the_stacks_doing() -> None:
    rootless = private()
    rootless = attrs.evolve(rootless, host=attrs.evolve(rootless.host, uid=1000))
    (cause,) = causes(call("settimeofday", uid=100_000), rootless).values()
    assert (cause.regardless, list(cause.ways)) == (True, [])
    assert not causes(call("settimeofday", uid=100_000), private())["namespaces.user"].regardless
    assert causes(call("settimeofday", uid=100_005), private())["namespaces.user"].regardless


def test_a_private_user_namespace_maps_who_asks() -> None:
    assert leaves(call("mount", uid=100_000), private()) == ["SYS_ADMIN"]
    assert leaves(call("mount", uid=100_005), private()) == [], "it has changed its user"


def test_groups_that_nobody_can_change_are_left_alone() -> None:
    """An ordinary user's map of one id: /proc/PID/setgroups says `deny`, whatever the process may do."""
    one = namespaces(user="private", net="private", id_map="one-id")
    rootless = context(by=1000)
    rootless = attrs.evolve(rootless, composed={**rootless.composed, type(one): one})
    for has in ((), ("SYS_ADMIN",), ("SETGID",)):
        assert "SETGID" not in leaves(call("setgroups", 1, uid=1000, has=has), rootless)
        assert "SYS_ADMIN" not in leaves(call("setgroups", 1, uid=1000, has=has), rootless)


def test_smaller_ways_are_parameters_of_the_own_network() -> None:
    bind = call("bind", 3, error=errno.EACCES, address="tcp 0.0.0.0:443")
    raw = call("socket", 2, 3, 1)
    for asked, leaf, value in (
        (bind, "namespaces.sysctls.net.ipv4.ip_unprivileged_port_start", "443"),
        (raw, "namespaces.sysctls.net.ipv4.ping_group_range", "0 0"),
    ):
        (cause,) = causes(asked).values()
        assert (cause.ways[0].leaf, cause.ways[0].value, cause.ways[0].size) == (leaf, value, Size.CALL)
        (shared,) = causes(asked, context(net="host")).values()
        assert len(shared.ways) == 1


@pytest.fixture
def root(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    for name, mode, owner in (("mine", 0o600, 0), ("theirs", 0o600, 70), ("tool", 0o755, 70), ("text", 0o644, 70)):
        (tmp_path / name).write_text("x")
        os.chown(tmp_path / name, owner, owner)
        (tmp_path / name).chmod(mode)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("x")
    os.chown(tmp_path / "data", 70, 70)
    (tmp_path / "data").chmod(0o700)
    return tmp_path


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize(
    ("path", "access", "denied"),
    [
        ("/theirs", "read", True),
        ("/theirs", "write", True),
        ("/text", "write", True),
        ("/text", "read", False),
        ("/mine", "write", False),
        ("/data/file", "read", True),
        ("/data/new", "create", True),
        ("/data", "read", True),
        ("/new", "create", False),
        ("/text", "execute", False),
        ("/theirs", "execute", False),
        ("/gone/file", "read", False),
        ("/proc/1/mem", "write", False),
        ("/tmp/file", "read", False),
    ],
)
def test_root_without_dac_override_is_bound_by_modes(path: str, access: str, denied: bool, root: Path) -> None:
    asked = call("openat", error=errno.EACCES, path=path, access=frozenset({access}))
    named = [name for name in leaves(asked, context(root=root)) if name.startswith("DAC")]
    assert named == (["DAC_OVERRIDE"] if denied else [])


@pytest.mark.usefixtures("as_root")
def test_who_was_never_root_is_denied_by_the_file(root: Path) -> None:
    asked = call("openat", error=errno.EACCES, path="/theirs", access=frozenset({"read"}), uid=1000)
    assert leaves(asked, context(by=1000, root=root)) == []
    for name in ("chmod", "chown", "utimensat"):
        assert leaves(call(name, path="/theirs", uid=1000), context(by=1000, root=root)) == []


@pytest.mark.parametrize(
    ("asked", "owner", "found"),
    [
        ("chown", 1000, ["CHOWN"]),
        ("fchownat", 100_033, ["CHOWN"]),
        ("chown", 0, []),  # the host's root is nobody there
        ("chmod", 100_033, ["FOWNER"]),
        ("chmod", 1000, []),
        ("chmod", 0, []),
    ],
)
def test_a_capability_reaches_the_files_of_all_that_a_user_namespace_maps(
    asked: str, owner: int, found: list[str]
) -> None:
    """Of the caller's own account too, which without one may give no file away."""
    way = (Seen("/", 0, 0, 0o40755), Seen("/file", owner, owner, 0o100644))
    denied = call(asked, path="/file", way=way, uid=1000)
    assert leaves(denied, context(by=1000, runs="1000", user="private")) == found
    assert leaves(denied, context(by=1000, runs="1000", user="host")) == []


@pytest.mark.usefixtures("as_root")
def test_only_another_users_file_takes_fowner(root: Path) -> None:
    assert leaves(call("chmod", path="/theirs"), context(root=root)) == ["FOWNER"]
    assert leaves(call("chmod", path="/mine"), context(root=root)) == []


@pytest.mark.usefixtures("as_root")
def test_a_file_whose_owner_is_not_mapped_takes_more_than_a_capability(root: Path) -> None:
    asked = call("openat", error=errno.EACCES, path="/theirs", access=frozenset({"read"}), uid=100_000)
    assert leaves(asked, private(root=root)) == []


def _file_capability(path: Path, *names: int, effective: bool = True) -> None:
    mask = sum(1 << number for number in names)
    data = struct.pack("<IIIII", 0x02000000 | effective, mask & 0xFFFFFFFF, 0, mask >> 32, 0)
    os.setxattr(path, "security.capability", data)


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("uid", [0, 1000])
def test_a_file_capability_outside_of_the_bounding_set_is_certain(uid: int, root: Path) -> None:
    _file_capability(root / "tool", 13, 14)
    asked = call("execve", path="/tool", uid=uid)
    within = context(root=root, runs=str(uid) if uid else "")
    found = causes(asked, within, settings("IPC_LOCK"))
    assert list(found) == ["capabilities.NET_RAW"]
    cause = found["capabilities.NET_RAW"]
    assert cause.certain
    assert cause.ways[0].value == ROOT, "the bounding set is the same for every user"
    assert "setcap -r" in cause.advice
    assert leaves(asked, within, settings(root=["NET_RAW", "IPC_LOCK"])) == []
    # One that does not insist starts with what there is.
    _file_capability(root / "tool", 13, effective=False)
    assert leaves(asked, within) == []


@pytest.mark.usefixtures("as_root")
def test_the_hosts_root_lends_capabilities_to_every_user_namespace(root: Path) -> None:
    _file_capability(root / "tool", 13)
    assert leaves(call("execve", path="/tool", uid=100_000), private(root=root)) == ["NET_RAW"]


def test_who_changes_its_ids_may_keep_capabilities_on_the_way() -> None:
    assert leaves(call("setresgid", ids=(5, 5, 5), uid=100_005), private()) == ["SETGID"]


@pytest.mark.usefixtures("as_root")
def test_a_program_that_gives_nothing_is_held_by_no_new_privileges(root: Path) -> None:
    (root / "tool").chmod(0o4755)
    quiet = call("execve", error=0, path="/tool", uid=1000)
    within = context(root=root, runs="1000")
    (cause,) = causes(quiet, within).values()
    assert (cause.leaf, cause.ways[0].value, cause.ways[0].size) == (
        "capabilities.no_new_privileges",
        False,
        Size.WIDER,
    )
    assert leaves(quiet, within, settings(no_new_privileges=False)) == []
    assert leaves(attrs.evolve(quiet, path="/text"), within) == []
    # And what follows of it.
    then = call("setuid", 0, uid=1000, executable="/tool")
    assert leaves(then, within)[0] == "no_new_privileges"
    assert leaves(attrs.evolve(then, caller=attrs.evolve(then.caller, executable="/text")), within) == ["SETUID"]
