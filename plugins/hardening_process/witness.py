"""Programs that go beyond a resource limit, a mask or an identity of one stack, within those of another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from hardening.mechanism.evidence import Witness, unless
from hardening.mechanism.mechanism import Context
from hardening.mechanism.schema import Leaf
from hardening_process.kinds import MAX_LIMIT, ResourceLimit
from hardening_process.settings import ProcessSettings

#: Why no program shows these.
_SILENT: Mapping[str, str] = MappingProxyType(
    {
        "terminal": "a program that is run for it has no terminal",
        "resources.memory_swap": "what is swapped out is the kernel's choice",
        "resources.cpu": "no call is refused for it, and all take longer",
        "resources.cgroup": "it says who counts, and no call is refused for it",
    }
)
_TOO_MUCH = "a program that shows it would take too much of the host"
#: What a program may take to show that it is there.
_MOST_PROCESSES, _MOST_MEMORY = 2000, 1 << 29
_PROCESSES = """\
import time
for _ in range({more}):
    if os.fork() == 0:
        time.sleep(3)
        os._exit(0)"""


def witness(settings: ProcessSettings, context: Context, leaf: Leaf, value: object, floor: object) -> Iterator[Witness]:
    """Each looks at what the kernel says of the process itself, or asks for more."""
    if isinstance(value, ResourceLimit) and isinstance(floor, ResourceLimit):
        yield from _limit(leaf.member, value, floor)
    elif leaf.setting == "umask" and isinstance(value, int) and isinstance(floor, int):
        bits = floor & ~value
        attempt = unless(f"os.umask(0o777) & 0o{bits:o} == 0", "new files lack that permission")
        yield Witness(f"makes files with the permissions {bits:03o}", attempt)
    elif leaf.setting == "oom_score_adj":
        attempt = unless(f'int(open("/proc/self/oom_score_adj").read()) < {floor}', "the kernel kills it sooner")
        yield Witness(f"has an OOM score adjustment below {floor}", attempt)
    elif leaf.setting == "environment":
        yield Witness(f"knows the caller's {leaf.member}", unless(f'"{leaf.member}" in os.environ', "no such variable"))
    elif leaf.setting == "groups":
        number = leaf.member if leaf.member.isdecimal() else f"grp.getgrnam({leaf.member!r}).gr_gid"
        yield Witness(
            f"is of group {leaf.member}", unless(f"{number} in os.getgroups()", "no such group", "import grp")
        )
    elif leaf.setting == "resources.pids" and isinstance(floor, int):
        more = floor <= _MOST_PROCESSES
        yield Witness(f"has {floor + 1} processes", _PROCESSES.format(more=floor)) if more else Witness(_TOO_MUCH)
    elif leaf.setting == "resources.memory" and isinstance(floor, int):
        more = floor <= _MOST_MEMORY
        yield Witness(f"has {floor} bytes of memory", f'memory = b"x" * {floor}') if more else Witness(_TOO_MUCH)
    elif leaf.setting in _SILENT:
        yield Witness(_SILENT[leaf.setting])
    elif leaf.setting == "user":
        found = settings.resolve(context)
        ids = unless(f"(os.geteuid(), os.getegid()) == ({found.uid}, {found.gid})", "another user or group")
        yield Witness(f"runs as user {found.uid} and group {found.gid}", ids)


def _limit(name: str, value: ResourceLimit, floor: ResourceLimit) -> Iterator[Witness]:
    """A hard limit can be lowered and not raised; a soft one is where a process begins."""
    before = ("import resource", f"soft, hard = resource.getrlimit(resource.RLIMIT_{name.upper()})")
    most = MAX_LIMIT if value.hard is None else value.hard
    if floor.hard is not None and floor.hard < most:
        ask = f"resource.prlimit(0, resource.RLIMIT_{name.upper()}, (soft, {floor.hard + 1}))"
        attempt = "\n".join([*before, f"if 0 <= hard <= {floor.hard}:", f"    {ask}"])
        yield Witness(f"has a hard limit of {name} beyond {floor.hard}", attempt)
    elif floor.soft is not None:
        attempt = unless(f"not 0 <= soft <= {floor.soft}", "a lower soft limit", *before)
        yield Witness(f"begins with a soft limit of {name} beyond {floor.soft}", attempt)
