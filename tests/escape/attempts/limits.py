"""What limits keep from the host's resources. Everything that is tried is small and ends by itself; what is measured is the
limit of the attempt, which is smaller still."""

from __future__ import annotations

from tests.escape.attacks import processes
from tests.escape.attempt import Attempt, Loosening, Profiled, say

NO_CONTROLLERS = "no cgroup is delegated to an ordinary user here, and a launch that asks for one stops"


def small(size: str) -> Loosening:
    """A /tmp of a size."""
    return Loosening(add={"rootfs.tmpfs": (f"/tmp:size={size}",)}, settings=("rootfs.tmpfs./tmp",))


ATTEMPTS = (
    Attempt("processes", "fork(2)", "more processes than are given", "`process.rlimits.nproc`",
            Profiled(processes.many_processes, say(process__rlimits__nproc=64), (say(process__rlimits__nproc=20),),
                     alone=True), relative=True),
    Attempt("processes, cgroup", "cgroups(7)", "the same where no limit of the user holds",
            "`process.resources.pids`",
            Profiled(processes.many_processes, say(process__resources__pids=64),
                     (say(process__resources__pids=20),), alone=True),
            refused={"rootless": NO_CONTROLLERS}, depends=True, needs=("cgroups",), relative=True),
    Attempt("memory", "cgroups(7)", "more memory than is given", "`process.resources.memory`",
            Profiled(processes.much_memory, say(process__resources__memory="96M"),
                     (say(process__resources__memory="32M"),), alone=True),
            refused={"rootless": NO_CONTROLLERS}, depends=True, needs=("cgroups",), relative=True),
    Attempt("addresses", "getrlimit(2)", "more addresses than are given", "`process.rlimits.as`",
            Profiled(processes.address_space, Loosening({"process.rlimits.as": "2G"}),
                     (Loosening({"process.rlimits.as": "256M"}),)), relative=True),
    Attempt("locked memory", "mlock(2)", "more memory that is never swapped", "`process.rlimits.memlock`",
            Profiled(processes.locked_memory, say(process__rlimits__memlock=1048576)), relative=True),
    Attempt("open files", "getrlimit(2)", "more open files than are given", "`process.rlimits.nofile`",
            Profiled(processes.many_descriptors, say(process__rlimits__nofile=1024),
                     (say(process__rlimits__nofile=256),)), relative=True),
    Attempt("disk", "tmpfs(5)", "more of /tmp than is given", "`rootfs.tmpfs./tmp`: `size`",
            Profiled(processes.fill_tmp, small("8M"), (small("1M"),), alone=True), relative=True),
    Attempt("inodes", "tmpfs(5)", "more empty files at /tmp than are given", "`rootfs.tmpfs./tmp`: `size`",
            Profiled(processes.many_files, small("8M"), (small("1M"),), alone=True), relative=True),
    Attempt("/dev/shm", "shm_overview(7)", "more of /dev/shm than is given", "`rootfs.shm_size`",
            Profiled(processes.fill_shm, say(rootfs__shm_size="8M"), (say(rootfs__shm_size="1M"),), alone=True),
            relative=True),
    Attempt("large file", "getrlimit(2)", "a larger file than is given", "`process.rlimits.fsize`",
            Profiled(processes.large_file, say(process__rlimits__fsize="8M"), (say(process__rlimits__fsize="1M"),)),
            relative=True),
)  # fmt: skip
