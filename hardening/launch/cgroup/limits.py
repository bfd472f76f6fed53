"""What limits of `/linux/resources` are in files of control groups, of version 2 and of version 1."""

from __future__ import annotations

from hardening.base.frozen import Frozen
from hardening.errors import LaunchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hardening.launch.config.model import Resources

UNIFIED = "/linux/resources/unified"
EVERY = "cgroup"  # begins the names of files that each group of version 2 has, without a controller


class Limit(Frozen):
    """What to write into a file of a group, of version 2 or 1, and the JSON pointer of who asks for it."""

    unified: bool
    file: str
    value: str
    pointer: str


def limits(resources: Resources | None) -> dict[str, list[Limit]]:
    """Controller -> what `/linux/resources` asks for."""
    needs: dict[str, list[Limit]] = {}
    if resources is None:
        return needs

    def add(controller: str, old: tuple[str, str] | None, new: tuple[str, str] | None, pointer: str = "") -> None:
        for unified, pair in ((False, old), (True, new)):
            if pair is not None:
                place = pointer or f"/linux/resources/{controller.removesuffix('set')}"
                limit = Limit(unified=unified, file=pair[0], value=pair[1], pointer=place)
                needs.setdefault(controller, []).append(limit)

    def shown(value: int) -> str:
        return "max" if value < 0 else str(value)

    if resources.pids is not None:
        text = shown(resources.pids if resources.pids else -1)
        add("pids", ("pids.max", text), ("pids.max", text))
    if resources.memory is not None:
        add("memory", ("memory.limit_in_bytes", str(resources.memory)), ("memory.max", shown(resources.memory)))
    if resources.memory_swap is not None:
        add("memory", ("memory.memsw.limit_in_bytes", str(resources.memory_swap)), _swap(resources))
    if resources.memory_reservation is not None:
        value = resources.memory_reservation
        add("memory", ("memory.soft_limit_in_bytes", str(value)), ("memory.low", str(max(value, 0))))
    if resources.cpu_shares is not None:
        # The conversion that the runtime spec's implementations share: 2..262144 -> 1..10000.
        weight = 1 + (resources.cpu_shares - 2) * 9999 // 262142
        add("cpu", ("cpu.shares", str(resources.cpu_shares)), ("cpu.weight", str(weight)))
    if resources.cpu_quota is not None or resources.cpu_period is not None:
        quota, period = resources.cpu_quota or -1, resources.cpu_period or 100_000
        add("cpu", ("cpu.cfs_period_us", str(period)), ("cpu.max", f"{shown(quota)} {period}"))
        add("cpu", ("cpu.cfs_quota_us", str(quota)), None)
    if resources.cpus:
        add("cpuset", ("cpuset.cpus", resources.cpus), ("cpuset.cpus", resources.cpus))
    if resources.mems:
        add("cpuset", ("cpuset.mems", resources.mems), ("cpuset.mems", resources.mems))
    for size, most in resources.hugepages:
        # What is used, and what is reserved, which fails early where the other kills.
        for kind in ("", "rsvd."):
            old, new = f"hugetlb.{size}.{kind}limit_in_bytes", f"hugetlb.{size}.{kind}max"
            add("hugetlb", (old, str(most)), (new, str(most)), "/linux/resources/hugepageLimits")
    for file, text in resources.unified:
        add(file.partition(".")[0], None, (file, text), f"{UNIFIED}/{file}")
    return needs


def _swap(resources: Resources) -> tuple[str, str]:
    """v2 counts swap alone, the spec memory and swap together."""
    total, memory = resources.memory_swap or 0, resources.memory or 0
    if total < 0:
        return "memory.swap.max", "max"
    if total < memory:
        raise LaunchError("is below the memory limit", origin="config.json:/linux/resources/memory/swap")
    return "memory.swap.max", str(total - memory)
