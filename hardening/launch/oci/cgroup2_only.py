"""A view of the cgroups that crun accepts on hosts with v1 hierarchies.

crun refuses a hybrid host ("cgroups in hybrid mode not supported"), whatever its cgroup manager. In a mount namespace
of its own, with cgroup2 alone at /sys/fs/cgroup, it runs. An ordinary user may make such a mount namespace only inside
a user namespace; that one maps each id to itself, so that the ids in `config.json` keep their meaning.
"""

from __future__ import annotations

import os

from hardening.base.linux import abi, kernel, userns
from hardening.base.linux.failure import Step

CGROUP2_MAGIC_FILE = "/sys/fs/cgroup/cgroup.controllers"


def show_only_cgroup2(document: object) -> None:
    """Move this process into such a view, unless the host is pure cgroup2. Raises `LaunchError`."""
    if os.path.exists(CGROUP2_MAGIC_FILE):
        return
    if abi.has_capability(kernel.capget()[0], "CAP_SYS_ADMIN"):
        with Step("make a mount namespace for crun"):
            kernel.unshare(abi.CLONE_NEWNS)
    else:
        userns.enter(document)
    with Step("mount cgroup2 for crun", hint="use --runtime native or runc, which do not need this"):
        top = os.open("/", os.O_PATH | os.O_CLOEXEC)
        kernel.mount_setattr(top, propagation=abi.MS_SLAVE, recursive=True)
        os.close(top)
        place = os.open("/sys/fs/cgroup", os.O_PATH | os.O_CLOEXEC)
        tree = kernel.new_filesystem("cgroup2", (), 0)
        kernel.move_mount(tree, place)
        os.close(tree)
        os.close(place)
