"""Ids, capabilities and the seccomp filter of the process that becomes the command."""

from __future__ import annotations

import errno

from hardening.base.linux import abi, kernel
from hardening.base.linux.failure import Step
from hardening.base.linux.system import os
from hardening.errors import LaunchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hardening.launch.config.wanted import Capabilities, Process, Wanted

CAPABILITIES_AT = "/process/capabilities"


def become_namespace_root(wanted: Wanted, *, may_set_groups: bool) -> None:
    """Take ids that the new user namespace maps, so that files made from now on have an owner."""
    uids = [entry.inside for entry in wanted.uid_map]
    gids = [entry.inside for entry in wanted.gid_map]
    uid = 0 if 0 in uids or not uids else min(uids)
    gid = 0 if 0 in gids or not gids else min(gids)
    with Step("take the ids of the user namespace", "/linux/uidMappings"):
        kernel.prctl(abi.PR_SET_KEEPCAPS, 1)
        if may_set_groups:
            os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        _, permitted, _ = kernel.capget()
        kernel.capset(permitted, permitted, 0)


def drop_bounding(capabilities: Capabilities) -> None:
    """Drop from the bounding set what the configuration does not list; refuse to go on when it lists too much."""
    missing = 0
    with Step("drop the bounding set", f"{CAPABILITIES_AT}/bounding"):
        for number in range(64):
            kept = capabilities.bounding >> number & 1
            try:
                there = kernel.prctl(abi.PR_CAPBSET_READ if kept else abi.PR_CAPBSET_DROP, number)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                missing |= capabilities.bounding >> number << number  # beyond the kernel's last capability
                break
            missing |= (kept and not there) << number
    _refuse_missing(missing, "bounding", "the caller's bounding set lacks it")


def become_user(process: Process, *, may_set_groups: bool) -> None:
    """Take the command's ids, and exactly its capabilities."""
    with Step("set the supplementary groups", "/process/user/additionalGids"):
        if may_set_groups:
            os.setgroups(process.groups)
        elif process.groups:
            raise LaunchError(
                "supplementary groups cannot be set where one id only is mapped",
                origin="config.json:/process/user/additionalGids",
                hint="map a range of ids (/etc/subuid, /etc/subgid), or leave the groups out",
            )
    hint = "the user namespace must map this id"
    with Step(f"become group {process.gid}", "/process/user/gid", hint):
        os.setresgid(process.gid, process.gid, process.gid)
        _leave_no_core()
    with Step(f"become user {process.uid}", "/process/user/uid", hint):
        kernel.prctl(abi.PR_SET_KEEPCAPS, 1)
        os.setresuid(process.uid, process.uid, process.uid)
        _leave_no_core()
    set_capabilities(process.capabilities)


def _leave_no_core() -> None:
    """After a change of ids, which has made of this process what ``fs.suid_dumpable`` says (proc_sys_fs(5)): with 2, as
    where systemd-coredump is installed, root's program for core dumps would get all that it holds, secrets too."""
    kernel.prctl(abi.PR_SET_DUMPABLE, 0)


def set_capabilities(capabilities: Capabilities) -> None:
    """Set permitted, effective, inheritable and ambient. `LaunchError` when the kernel grants less."""
    permitted = kernel.capget()[1]
    _refuse_missing(capabilities.permitted & ~permitted, "permitted", "the caller does not have it")
    with Step("set the capabilities", CAPABILITIES_AT):
        kernel.prctl(abi.PR_CAP_AMBIENT, abi.PR_CAP_AMBIENT_CLEAR_ALL)
        kernel.capset(capabilities.effective, capabilities.permitted, capabilities.inheritable)
    with Step("raise the ambient capabilities", f"{CAPABILITIES_AT}/ambient"):
        for number in range(64):
            if capabilities.ambient >> number & 1:
                kernel.prctl(abi.PR_CAP_AMBIENT, abi.PR_CAP_AMBIENT_RAISE, number)


def _refuse_missing(missing: int, which: str, reason: str) -> None:
    if missing:
        raise LaunchError(
            f"{', '.join(abi.capability_names(missing))} cannot be given: {reason}",
            origin=f"config.json:{CAPABILITIES_AT}/{which}",
            hint="leave it out, or run with more capabilities",
        )


def load_filter(wanted: Wanted, program: bytes) -> None:
    """Install the seccomp filter, if there is one."""
    if wanted.seccomp is not None:
        with Step("load the seccomp filter", "/linux/seccomp", "it needs noNewPrivileges or CAP_SYS_ADMIN"):
            kernel.seccomp(program, wanted.seccomp.flags)


def set_selinux_label(fd: int | None, label: str) -> None:
    """Ask for the label of the next execve(2), through the /proc of the host."""
    if fd is not None:
        with Step(f"set the SELinux label {label}", "/process/selinuxLabel"):
            os.write(fd, label.encode())
            os.close(fd)


def open_selinux_label(label: str) -> int | None:
    """The attribute file that takes the label; opened while the host's /proc can be reached."""
    if not label:
        return None
    with Step("open /proc/self/attr/exec", "/process/selinuxLabel", "SELinux is not enabled on this host"):
        return os.open("/proc/self/attr/exec", os.O_WRONLY | os.O_CLOEXEC)
