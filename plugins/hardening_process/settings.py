"""The `[process]` table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from hardening.base.places import OF_COMMANDS
from hardening.base.text import nearest
from hardening.base.values import frozen
from hardening.mechanism.kinds import Choice, Exact, Flag, Unordered
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import CommandProcess, Identity
from hardening.mechanism.schema import (
    WILDCARD,
    ConfigField,
    Members,
    Schema,
    Statement,
    family,
    listing,
    read_table,
    scalar,
)
from hardening.profile.source import Node
from hardening_process.kinds import (
    NO_CEILING,
    UNLIMITED,
    Bound,
    CpuBound,
    OomKind,
    ResourceLimit,
    RlimitKind,
    UmaskKind,
    User,
    UserKind,
)
from hardening_process.users import identify, tightened_ids

#: The locale categories of locale(7): what `LC_*` means in `environment`.
LOCALE = tuple(
    f"LC_{name}"
    for name in (
        "ALL", "ADDRESS", "COLLATE", "CTYPE", "IDENTIFICATION", "MEASUREMENT", "MESSAGES", "MONETARY", "NAME",
        "NUMERIC", "PAPER", "TELEPHONE", "TIME",
    )
)  # fmt: skip
GROUPS = {"LC_*": LOCALE}
#: keys in the spelling of the command line -> the settings that they say
SHORTHAND = {"env": ("environment", "set_environment"), "ulimit": ("rlimits",)}

#: setrlimit(2): name in TOML -> what it limits
RLIMITS = {
    "as": "bytes of address space",
    "core": "bytes of a core file",
    "cpu": "seconds of processor time",
    "data": "bytes of data segment",
    "fsize": "bytes of a file that is written",
    "locks": "file locks (ignored since Linux 2.4.25)",
    "memlock": "bytes of locked memory",
    "msgqueue": "bytes in POSIX message queues",
    "nice": "20 minus the lowest nice value",
    "nofile": "open files",
    "nproc": "processes of the user",
    "rss": "bytes of resident memory (ignored since Linux 2.4.30)",
    "rtprio": "real-time priority",
    "rttime": "microseconds of real-time processor time without a system call that blocks",
    "sigpending": "queued signals of the user",
    "stack": "bytes of stack",
}

_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"


def _absolute(node: Node) -> str:
    path = node.filled()
    if not path.startswith("/"):
        raise node.error(f'"{path}" is not an absolute path', hint="the path is one inside the root, such as /work")
    return path


def _variable(node: Node) -> str:
    name = node.string()
    if name in GROUPS or re.fullmatch(_VARIABLE, name):
        return name
    hint = "name each variable: only LC_* stands for several" if "*" in name else "letters, digits and underscores"
    raise node.error(f'"{name}" is not the name of a variable', hint=hint)


def _set_variable(node: Node) -> str:
    name = node.string()
    if not re.fullmatch(_VARIABLE, name):
        raise node.error(f'"{name}" is not the name of a variable', hint="letters, digits and underscores")
    return name


def _group(node: Node) -> str:
    value = UserKind().parse(Node(f"user:{node.raw}", node.path, node.document)).group
    if not value:
        raise node.error("a group is missing", hint='write "1000" or "name"')
    return value


def _rlimit(node: Node) -> str:
    name = node.string().lower().removeprefix("rlimit_")
    if name not in RLIMITS:
        raise node.error("unknown resource limit", hint=nearest(name, tuple(RLIMITS)) or f"known: {', '.join(RLIMITS)}")
    return name


def _cgroup(node: Node) -> str:
    path = node.filled()
    if path and (not path.startswith("/") or ".." in path.split("/")):
        raise node.error(f'"{path}" is not the path of a cgroup', hint='write it from the top: "/containers"')
    return "/" + path.strip("/") if path else ""


#: why unstated ceilings of cgroups set none
_UNSTATED = "many hosts have no cgroups for ordinary users, and a launch that asks for nothing works on them"
_VALUE: Unordered[str | None] = Unordered(Node.filled, "a string", ("", "x"))


@frozen
class ProcessSettings(CommandProcess):
    """Composed `[process]`."""

    user: User = scalar(
        UserKind(),
        User(),
        "Who runs the command, `user[:group]` by id or by the root's /etc/passwd. The natural user is the one that the id "
        "map names: the caller as itself for `keep-id` and `one-id`, 0 for a range of root's; without a private user "
        "namespace it is the caller.",
        lenient="no id of an ordinary user exists everywhere",
    )
    groups: Members[bool] = listing(
        _group,
        "Supplementary groups, by id or by the root's /etc/group; no others are kept.",
        examples=("5", "audio"),
    )
    cwd: str = scalar(
        Unordered(_absolute, "an absolute path", ("/", "/tmp")),  # noqa: S108
        "/",
        "Working directory.",
        field=ConfigField("/process/cwd", unset="/"),
    )
    environment: Members[bool] = listing(
        _variable,
        "Variables that are passed on from the caller, by name; `LC_*` stands for those of locale(7).",
        default=("TERM", "LANG", *LOCALE),
        lenient="without its terminal and language a command shows its output wrongly, and neither tells a secret",
    )
    set_environment: Members[str | None] = family(
        _VALUE,
        rest=None,
        absent=None,
        default={"PATH": OF_COMMANDS},
        read_member=_set_variable,
        help="Variables with a value of their own; they go before `environment`, and its limits bind their names, too.",
        bound_by="environment",
    )
    rlimits: Members[ResourceLimit] = family(
        RlimitKind(),
        rest=UNLIMITED,
        absent=UNLIMITED,
        default={
            "core": ResourceLimit(0, 0),
            "memlock": ResourceLimit(65536, 65536),
            "msgqueue": ResourceLimit(0, 0),
            "nice": ResourceLimit(0, 0),
            "nofile": ResourceLimit(1024, 4096),
            "rtprio": ResourceLimit(0, 0),
        },
        read_member=_rlimit,
        help="Ceilings of setrlimit(2), by name. `unlimited` sets none: the caller's own limit stays, which also cuts "
        "every other value.",
        lenient="no number of files, and no time or size, suits every command",
    )
    umask: int = scalar(UmaskKind(), 0o077, "Permissions that new files lack.")
    oom_score_adj: int = scalar(
        OomKind(),
        0,
        "How soon the kernel kills the command when memory runs out; never less than the caller's own.",
        lenient="the command goes before the caller only where that is asked for",
    )
    terminal: bool = scalar(
        Flag(strict=False),
        False,
        "Whether the command gets a terminal of its own.",
        field=ConfigField("/process/terminal", unset=False),
    )
    pids: int = scalar(
        Bound(1, unit="number"), NO_CEILING, "Most processes and threads.", name="resources.pids", lenient=_UNSTATED
    )
    memory: int = scalar(
        Bound(1 << 20, size=True, unit="bytes"),
        NO_CEILING,
        "Most memory, page cache included.",
        name="resources.memory",
        lenient=_UNSTATED,
    )
    memory_swap: int = scalar(
        Bound(1 << 20, size=True, unit="bytes"),
        NO_CEILING,
        "Most memory and swap together.",
        name="resources.memory_swap",
        lenient=_UNSTATED,
    )
    cpu: int = scalar(CpuBound(), NO_CEILING, "Most processor time.", name="resources.cpu", lenient=_UNSTATED)
    cgroup: str = scalar(
        Exact(_cgroup, "path of a cgroup, or nothing", None, ("", "/a", "/b")),
        "",
        "The cgroup in which that of the command is made; nothing means the caller's own, or the nearest that it can use.",
        name="resources.cgroup",
    )
    resources_requirement: str = scalar(
        Choice(("required", "best-effort")),
        "required",
        "Whether a host whose cgroups cannot enforce a ceiling of `resources` stops the launch.",
        name="resources.requirement",
    )

    def resolve(self, context: Context) -> Identity:
        return context.once(_identity, self)

    def tightened_ids(self, document: Mapping[str, Any], context: Context) -> tuple[int, int, tuple[int, ...]]:
        """See `hardening_process.users.tightened_ids`."""
        return tightened_ids(self.user, self.groups.having(True), document, context)

    def tightened_uid(self, document: Mapping[str, Any], context: Context) -> int:
        return self.tightened_ids(document, context)[0]

    def variable_of(self, name: str) -> str:
        if self.set_environment[name] is not None:
            return "process.set_environment"
        return "process.environment" if self.environment[name] else ""

    @property
    def dumps_core(self) -> bool:
        return self.rlimits["core"].hard != 0


def _identity(settings: ProcessSettings, context: Context) -> Identity:
    return identify(settings.user, settings.groups.having(True), context)


def read(schema: Schema, table: Node) -> Iterator[Statement]:
    """The says of a layer's table. Besides the settings it may hold `env` and `ulimit`, arrays in the spelling of the
    command line: ``"NAME"``, ``"NAME=value"`` and ``"nofile=1024:4096"``."""
    said = list(_expand(read_table(schema, table, own=SHORTHAND)))
    for key, reader in zip(SHORTHAND, (_read_env, _read_ulimit), strict=True):
        node = table.get(key)
        if node is not None:
            said += reader(node)
    yield from _once(said)


def expand(name: str) -> Sequence[str]:
    """What a name in an exception, or the key of an option, means: `environment.LC_*` is each of its variables."""
    setting, _, member = name.partition(".")
    if setting == "environment" and member in GROUPS:
        return tuple(f"environment.{variable}" for variable in GROUPS[member])
    if setting == "groups" and member == "root":
        return ("groups.0",)
    return SHORTHAND.get(name, (name,))


def _expand(statements: Iterable[Statement]) -> Iterator[Statement]:
    """Replace a group of variables by its members, except those that the table names itself."""
    stated = list(statements)
    named = {statement.member for statement in stated if statement.setting == "environment"}
    for statement in stated:
        if statement.setting == "environment" and statement.member in GROUPS:
            for variable in GROUPS[statement.member]:
                if variable not in named:
                    yield attrs.evolve(statement, member=variable)
        else:
            yield statement


def _read_env(node: Node) -> Iterator[Statement]:
    for item in node.items():
        name, given, value = item.string().partition("=")
        named = Node(name, item.path, item.document)
        if given:
            yield Statement("set_environment", _set_variable(named), value, item.origin)
        else:
            yield from _expand([Statement("environment", _variable(named), True, item.origin)])


def _read_ulimit(node: Node) -> Iterator[Statement]:
    for item in node.items():
        name, given, value = item.string().partition("=")
        if not given:
            raise item.error(f'"{item.raw}" is not a limit', hint='write "nofile=1024" or "nofile=1024:4096"')
        limit = RlimitKind().parse(Node(value, item.path, item.document))
        yield Statement("rlimits", _rlimit(Node(name, item.path, item.document)), limit, item.origin)


def _once(statements: Iterable[Statement]) -> Iterable[Statement]:
    """Each leaf once: of two shorthands for one, as podman has it, the later one counts."""
    last: dict[tuple[str, str], Statement] = {}
    for statement in statements:
        if statement.member == WILDCARD or statement.setting not in ("environment", "set_environment", "rlimits"):
            yield statement
        else:
            last[statement.setting, statement.member] = statement
    yield from last.values()


def of_image(config: Mapping[str, Any]) -> dict[str, object]:
    """User, working directory and variables, as `[process]` has them; an empty one says nothing. A user that is no text is
    given on: who cannot be read must not become the natural user, which may be root."""
    found: dict[str, object] = {}
    user, folder = config.get("User"), config.get("WorkingDir")
    if user is not None and user != "":
        found["user"] = user
    if isinstance(folder, str) and folder:
        found["cwd"] = folder if folder.startswith("/") else f"/{folder}"
    variables = config.get("Env")
    pairs = [item.partition("=") for item in variables if isinstance(item, str)] if isinstance(variables, list) else []
    if pairs:
        found["set_environment"] = {name: value for name, equals, value in pairs if equals and name}
    return found
