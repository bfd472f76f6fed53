"""`/process` of a configuration -> `ConfigProcess` (runtime-spec config.md, "Process")."""

from __future__ import annotations

from hardening.base.linux import abi
from hardening.launch.config.model import ConfigCapabilities, ConfigProcess, Invocation, Rlimit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hardening.launch.config.reader import ConfigTable, Refused

MAX_ID = 2**32 - 2  # 2**32 - 1 means "no change" to the kernel
RLIM_INFINITY = 2**64 - 1
UNSUPPORTED: dict[str, Refused] = {
    "apparmorProfile": (str, "the native launcher does not set AppArmor profiles"),
    "ioPriority": (dict, "the native launcher does not set I/O priorities"),
    "scheduler": (dict, "the native launcher does not set scheduling policies"),
    "execCPUAffinity": (dict, "the native launcher does not set CPU affinities"),
    "commandLine": (str, "is for Windows"),
}
SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")


def read_process(config: ConfigTable) -> ConfigProcess | None:
    """The process, or None when the object is absent or no object."""
    table = config.table("process", required=True)
    if table is None:
        return None
    user = table.table("user")
    uid = gid = 0
    umask: int | None = None
    groups: tuple[int, ...] = ()
    if user is not None:
        uid = user.integer("uid", 0, MAX_ID) or 0
        gid = user.integer("gid", 0, MAX_ID) or 0
        umask = user.integer("umask", 0, 0o777)
        groups = user.integers("additionalGids", 0, MAX_ID)
        user.done({"username": (str, "is for Windows")})
    process = ConfigProcess(
        command=_read_command(table),
        uid=uid,
        gid=gid,
        umask=umask,
        groups=groups,
        capabilities=_read_capabilities(table),
        rlimits=_read_rlimits(table),
        no_new_privileges=table.flag("noNewPrivileges"),
        oom_score_adj=table.integer("oomScoreAdj", -1000, 1000),
        selinux_label=table.text("selinuxLabel", longest=4096),
    )
    table.done(UNSUPPORTED)
    return process


def _read_command(table: ConfigTable) -> Invocation:
    """The command of `/process`."""
    args = table.strings("args", required=True)
    if table.has("args") and (not args or not args[0]):
        table.refuse("args", "names no command")
    cwd = table.text("cwd", required=True)
    if cwd and not cwd.startswith("/"):
        table.refuse("cwd", "must be an absolute path")
    return Invocation(
        args=args,
        env=_read_environment(table),
        cwd=cwd,
        terminal=table.flag("terminal"),
        console_size=_read_console_size(table),
    )


def _read_environment(table: ConfigTable) -> tuple[tuple[str, str], ...]:
    pairs = []
    for index, entry in enumerate(table.strings("env")):
        name, equals, value = entry.partition("=")
        if not equals or not name:
            table.refuse("env", "must be NAME=VALUE", index)
        pairs.append((name, value))
    return tuple(pairs)


def _read_console_size(table: ConfigTable) -> tuple[int, int] | None:
    size = table.table("consoleSize")
    if size is None:
        return None
    height, width = size.integer("height", 0, 65535, required=True), size.integer("width", 0, 65535, required=True)
    size.done()
    return (height, width) if height is not None and width is not None else None


def _read_capabilities(table: ConfigTable) -> ConfigCapabilities:
    sets = table.table("capabilities")
    if sets is None:
        return ConfigCapabilities()
    masks = {name: _read_set(sets, name) for name in SETS}
    sets.done()
    if masks["effective"] & ~masks["permitted"]:
        sets.refuse("effective", "holds what the permitted set lacks")
    unheld = masks["ambient"] & ~(masks["permitted"] & masks["inheritable"])
    if unheld:
        sets.refuse("ambient", f"not permitted and inheritable, too: {', '.join(abi.capability_names(unheld))}")
    if masks["inheritable"] & ~(masks["bounding"] | masks["permitted"]):
        sets.refuse("inheritable", "holds what the bounding and the permitted set lack")
    return ConfigCapabilities(**masks)


def _read_set(sets: ConfigTable, name: str) -> int:
    mask = 0
    for index, capability in enumerate(sets.strings(name)):
        if capability in abi.CAPABILITIES:
            mask |= 1 << abi.CAPABILITIES.index(capability)
        else:
            sets.refuse(name, f"unknown capability {capability!r}", index)
    return mask


def _read_rlimits(table: ConfigTable) -> tuple[Rlimit, ...]:
    limits: list[Rlimit] = []
    entries = table.tables("rlimits")
    if not entries:
        return ()
    for entry in entries:
        name = entry.text("type", required=True)
        soft = entry.integer("soft", 0, RLIM_INFINITY, required=True)
        hard = entry.integer("hard", 0, RLIM_INFINITY, required=True)
        entry.done()
        number = abi.RLIMITS.get(name)
        if number is None:
            entry.refuse("type", f"this host has no resource limit {name!r}")
        elif any(limit.number == number for limit in limits):
            entry.refuse("type", f"{name} is limited twice")
        elif soft is not None and hard is not None:
            if soft > hard:
                entry.refuse("soft", "is above the hard limit")
            limits.append(Rlimit(name=name, number=number, soft=soft, hard=hard, pointer=entry.pointer))
    return tuple(limits)
