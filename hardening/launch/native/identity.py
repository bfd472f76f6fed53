"""Ids, capabilities and the seccomp filter of the process that becomes the command."""

from __future__ import annotations

import errno

from hardening.base import files
from hardening.base.linux import abi, kernel
from hardening.base.linux.failure import Step
from hardening.base.linux.system import os
from hardening.errors import LaunchError
from hardening.launch.config import bundle
from hardening.launch.native.operation import Building, Checking, Limiting, Preparation, Surrender

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hardening.launch.config.model import ConfigCapabilities, Rlimit
    from hardening.launch.native.operation import LaunchState

CAPABILITIES_AT = "/process/capabilities"
_MAPPED = "the user namespace must map this id"


class BecomeNamespaceRoot(Building):
    """Ids that the new user namespace maps, so that files made from now on have an owner."""

    pointer = "/linux/uidMappings"
    text = "take the ids of the user namespace"
    uid: int
    gid: int

    def execute(self, state: LaunchState) -> None:
        state.may_set_groups = files.read("/proc/self/setgroups").strip() == "allow"
        kernel.prctl(abi.PR_SET_KEEPCAPS, 1)
        if state.may_set_groups:
            os.setgroups([])
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)
        _, permitted, _ = kernel.capget()
        kernel.capset(permitted, permitted, 0)


class DropBounding(Surrender):
    """The bounding set without what the configuration does not list; it may not list more than there is. ``kept`` is a
    mask."""

    pointer = f"{CAPABILITIES_AT}/bounding"
    text = "drop the bounding set"
    kept: int

    def execute(self, state: LaunchState) -> None:
        missing = 0
        for number in range(64):
            kept = self.kept >> number & 1
            try:
                there = kernel.prctl(abi.PR_CAPBSET_READ if kept else abi.PR_CAPBSET_DROP, number)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                missing |= self.kept >> number << number  # beyond the kernel's last capability
                break
            missing |= (kept and not there) << number
        _refuse_missing(missing, "bounding", "the caller's bounding set lacks it")


class SetGroups(Surrender):
    """The supplementary groups."""

    pointer = "/process/user/additionalGids"
    text = "set the supplementary groups"
    groups: tuple[int, ...]

    def execute(self, state: LaunchState) -> None:
        if state.may_set_groups:
            os.setgroups(self.groups)
        elif self.groups:
            raise LaunchError(
                "supplementary groups cannot be set where one id only is mapped",
                origin=f"config.json:{self.pointer}",
                hint="map a range of ids (/etc/subuid, /etc/subgid), or leave the groups out",
            )


class BecomeGroup(Surrender):
    """The command's group."""

    pointer = "/process/user/gid"
    hint = _MAPPED
    text = "become group {gid}"
    gid: int

    def execute(self, state: LaunchState) -> None:
        os.setresgid(self.gid, self.gid, self.gid)
        _leave_no_core()


class BecomeUser(Surrender):
    """The command's user, for now with the capabilities of the one before."""

    pointer = "/process/user/uid"
    hint = _MAPPED
    text = "become user {uid}"
    uid: int

    def execute(self, state: LaunchState) -> None:
        kernel.prctl(abi.PR_SET_KEEPCAPS, 1)
        os.setresuid(self.uid, self.uid, self.uid)
        _leave_no_core()


def _leave_no_core() -> None:
    """After a change of ids, which has made of this process what ``fs.suid_dumpable`` says (proc_sys_fs(5)): with 2, as
    where systemd-coredump is installed, root's program for core dumps would get all that it holds, secrets too."""
    kernel.prctl(abi.PR_SET_DUMPABLE, 0)


class SetCapabilities(Surrender):
    """Exactly these sets. `LaunchError` when the kernel grants less."""

    pointer = CAPABILITIES_AT
    text = "set the capabilities"
    sets: ConfigCapabilities

    def execute(self, state: LaunchState) -> None:
        sets = self.sets
        permitted = kernel.capget()[1]
        _refuse_missing(sets.permitted & ~permitted, "permitted", "the caller does not have it")
        kernel.prctl(abi.PR_CAP_AMBIENT, abi.PR_CAP_AMBIENT_CLEAR_ALL)
        kernel.capset(sets.effective, sets.permitted, sets.inheritable)
        with Step("raise the ambient capabilities", f"{CAPABILITIES_AT}/ambient"):
            for number in range(64):
                if sets.ambient >> number & 1:
                    kernel.prctl(abi.PR_CAP_AMBIENT, abi.PR_CAP_AMBIENT_RAISE, number)


def _refuse_missing(missing: int, which: str, reason: str) -> None:
    if missing:
        raise LaunchError(
            f"{', '.join(abi.capability_names(missing))} cannot be given: {reason}",
            origin=f"config.json:{CAPABILITIES_AT}/{which}",
            hint="leave it out, or run with more capabilities",
        )


class SetLimit(Limiting):
    """One resource limit."""

    hint = "raising a hard limit needs CAP_SYS_RESOURCE: stay within what `ulimit -H` shows"
    text = "set {limit.name}"
    pointer: str
    limit: Rlimit

    def execute(self, state: LaunchState) -> None:
        kernel.prlimit(state.pid, self.limit.number, self.limit.soft, self.limit.hard)


class ForbidNewPrivileges(Surrender):
    """no_new_privs: what is executed gives no more than there is, and the kernel takes a filter from anybody (prctl(2))."""

    pointer = "/process/noNewPrivileges"
    text = "forbid new privileges"

    def execute(self, state: LaunchState) -> None:
        kernel.prctl(abi.PR_SET_NO_NEW_PRIVS, 1)


class ReadFilter(Checking):
    """The compiled filter beside the configuration, held to the ``sha256`` of both."""

    pointer = "/linux/seccomp"
    text = "read seccomp.bpf"
    sha256: str

    def execute(self, state: LaunchState) -> None:
        state.program = bundle.load_filter(state.bundle, self.sha256)


class LoadFilter(Surrender):
    """The seccomp filter, with its ``SECCOMP_FILTER_FLAG_*``."""

    pointer = "/linux/seccomp"
    hint = "it needs noNewPrivileges or CAP_SYS_ADMIN"
    text = "load the seccomp filter"
    mutes = True
    flags: int

    def execute(self, state: LaunchState) -> None:
        kernel.seccomp(state.program, self.flags)


class RequireSelinux(Preparation):
    """Refuse at once a label that nothing would enforce."""

    text = "look for SELinux, for the label {label}"
    pointer: str
    label: str

    def execute(self, state: LaunchState) -> None:
        if not files.exists("/sys/fs/selinux/enforce"):
            raise LaunchError(
                f"the SELinux label {self.label} cannot be enforced: SELinux is not enabled on this host",
                origin=f"config.json:{self.pointer}",
                hint='boot with SELinux, or set requirement = "best-effort" for it',
            )


class OpenSelinuxLabel(Building):
    """The attribute file that takes the label, opened while the host's /proc can be reached."""

    pointer = "/process/selinuxLabel"
    hint = "SELinux is not enabled on this host"
    text = "open /proc/self/attr/exec"

    def execute(self, state: LaunchState) -> None:
        state.label = os.open("/proc/self/attr/exec", os.O_WRONLY | os.O_CLOEXEC)


class SetSelinuxLabel(Building):
    """The label of the next execve(2), through the /proc of the host."""

    pointer = "/process/selinuxLabel"
    text = "set the SELinux label {label}"
    label: str

    def execute(self, state: LaunchState) -> None:
        os.write(state.label, self.label.encode())
        os.close(state.label)
