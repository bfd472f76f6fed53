"""What mechanisms know of one another: by what somebody answers for, whoever that is.

Composed settings that derive from one of the classes here answer for it, and no two mechanisms may. Another one asks with
`Context.of`, as in ``context.of(Isolation)``, and gets None where nobody answers. The facts that a mechanism probes may
derive from `SystemCalls`, for `Host.find`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from hardening.base.values import frozen
from hardening.mechanism.idmaps import IdMaps

if TYPE_CHECKING:
    from hardening.mechanism.host import Host
    from hardening.mechanism.mechanism import Context
    from hardening.mechanism.schema import Members
    from hardening.profile.source import Origin

PRIVATE, HOST = "private", "host"
#: What a mount may permit -> the option that takes it away (mount(8)). What reads, limits, composes, tightens, shows and
#: verifies mounts reads this table; the launcher has to know the option (`hardening.launch.config.config_mounts`).
RIGHTS: Mapping[str, str] = {"rw": "ro", "suid": "nosuid", "dev": "nodev", "exec": "noexec"}
#: What a volume permits where nobody says.
USUAL_RIGHTS = frozenset({"rw", "exec"})
READ_ONLY_RIGHTS = USUAL_RIGHTS - {"rw"}


class Isolation(ABC):
    """Which namespaces the command has for itself (namespaces(7))."""

    @abstractmethod
    def where(self, name: str) -> str:
        """Where the namespace of a name is, such as ``net``: `PRIVATE`, `HOST`, or the path of one that is joined."""

    @abstractmethod
    def id_maps(self, host: Host) -> IdMaps | None:
        """The maps of a private user namespace; None where the command stays in the caller's or joins another."""

    @property
    @abstractmethod
    def sets_sysctls(self) -> bool:
        """Whether parameters of the kernel are set."""


def id_maps(context: Context) -> IdMaps | None:
    """The maps of the command's own user namespace; None where it stays in the caller's or joins another."""
    return context.once(_id_maps)


def _id_maps(context: Context) -> IdMaps | None:
    isolation = context.of(Isolation)
    return None if isolation is None or context.lacks("namespaces.user") else isolation.id_maps(context.host)


def joins_user_namespace(context: Context) -> bool:
    """Whether the command enters a user namespace that exists already; its id map is not known before."""
    isolation = context.of(Isolation)
    return isolation is not None and isolation.where("user").startswith("/")


def natural_ids(context: Context) -> tuple[int, int]:
    """The user and group that the command has when nothing is said."""
    maps = id_maps(context)
    if maps is not None:
        return maps.natural
    # Entering a user namespace gives its root's capabilities; its root is the one id that it surely has.
    return (0, 0) if joins_user_namespace(context) else (context.host.uid, context.host.gid)


class Privileges(ABC):
    """What of root's power the command keeps (capabilities(7))."""

    no_new_privileges: bool

    @property
    @abstractmethod
    def added(self) -> frozenset[str]:
        """The capabilities that root of the container may have, in their short form: ``NET_RAW``."""

    def opened_by(self, capability: str) -> frozenset[str]:
        """The system calls that a dangerous capability is for, and hardly anything else."""
        return frozenset()

    def has_other_uses(self, capability: str) -> bool:
        """Whether a capability does something where none of these runs."""
        return True


class CallFilter(ABC):
    """Which system calls run (seccomp(2))."""

    @abstractmethod
    def lets_run(self, call: str) -> bool:
        """Whether a system call runs, with some arguments at least."""


@frozen
class Identity:
    """The ids of the command as it sees them itself, in its own user namespace. ``groups`` are the supplementary ones,
    sorted; ``home`` is that of the root's account, or ``/``."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str = "/"

    @property
    def is_root(self) -> bool:
        """Whether the command runs as uid 0 of its user namespace."""
        return self.uid == 0


class CommandProcess(ABC):
    """Who runs the command, and with what."""

    @abstractmethod
    def resolve(self, context: Context) -> Identity:
        """Who the command runs as. Raises `ProfileError` for a name that the root does not know, for an id that the user
        namespace does not map, and for one that a limit does not permit."""

    @abstractmethod
    def tightened_uid(self, document: Mapping[str, Any], context: Context) -> int:
        """The uid that a foreign configuration has once it is tightened."""

    @abstractmethod
    def variable_of(self, name: str) -> str:
        """The setting that gives the command a variable of this name; empty where none does."""

    @property
    @abstractmethod
    def dumps_core(self) -> bool:
        """Whether the command may leave core dumps."""


def runs_as_root(context: Context) -> bool:
    """Whether the command runs as uid 0 of its user namespace; raises `ProfileError` as `CommandProcess.resolve` does."""
    account = context.of(CommandProcess)
    return (account.resolve(context).uid if account is not None else natural_ids(context)[0]) == 0


def restrictions(rights: Collection[str], below: str = "") -> list[str]:
    """The mount options that leave no other rights; with ``below`` an ``r``, in what is mounted below, too."""
    return [f"{below}{without}" for right, without in RIGHTS.items() if right not in rights]


@frozen
class Volume:
    """A file or directory of the host, shown in the container. ``source`` is a path on the host, ``target`` one in the
    container; ``rights`` are of `RIGHTS`; ``recursive`` shows what is mounted below the source, too; ``idmap`` maps the
    owners of files as the container's user namespace maps ids. Two volumes are equal wherever they were said."""

    source: str
    target: str
    rights: frozenset[str] = USUAL_RIGHTS
    recursive: bool = True
    idmap: bool = False
    propagation: str = "rprivate"
    relabel: str = ""
    origin: Origin | None = attrs.field(default=None, eq=False)

    @property
    def writable(self) -> bool:
        """Whether files can be written through it."""
        return "rw" in self.rights

    def options(self) -> list[str]:
        """Mount options; the restrictions hold for what is mounted below, too."""
        below = "r" if self.recursive else ""
        writable, idmap = ["rw"] if self.writable else [], [f"{below}idmap"] if self.idmap else []
        return [f"{below}bind", *writable, *restrictions(self.rights, below), *idmap, self.propagation]

    def grants(self) -> list[str]:
        """The words that stand for what it gives: ``rw``, rights, ``idmap``, propagation, and how it is relabelled."""
        words = [right for right in RIGHTS if right in self.rights]
        words += ["idmap"] if self.idmap else []
        words += [word for word in ("slave", "shared") if self.propagation.removeprefix("r") == word]
        return [*words, self.relabel] if self.relabel else words


class RootDirectory(ABC):
    """What the command sees as ``/``."""

    masked_paths: Members[bool]

    @abstractmethod
    def directory(self) -> Path:
        """The directory on the host. Raises `ProfileError` where it is none."""

    @abstractmethod
    def resolved(self, path: str) -> str:
        """Where a path inside leads, links followed."""

    @abstractmethod
    def mounted_volumes(self) -> Sequence[Volume]:
        """The volumes there are, by destination."""

    @abstractmethod
    def mounted_tmpfs(self) -> Collection[str]:
        """The places in memory there are."""

    def writable_places(self) -> Collection[str]:
        """The places of which something below is mounted so that files can be written."""
        return ("/",)


class TightenedRoot(ABC):
    """What the command of a foreign configuration sees as ``/`` once that is tightened."""

    @abstractmethod
    def elsewhere(self, document: Mapping[str, Any], context: Context, place: str) -> str:
        """Where a mount at a place would lie instead, in the root of the configuration with the mounts that it keeps; empty
        where the place is itself."""

    def kept_writable(self, document: Mapping[str, Any], context: Context) -> Collection[str]:
        """The places where the mounts that it keeps let files be written."""
        return ("/",)


class SystemCalls(ABC):
    """What filters of system calls amount to on this host: facts, for runtimes."""

    #: Why libseccomp cannot be used; empty where it can.
    problem: str

    @abstractmethod
    def resolves(self, name: str) -> bool:
        """Whether libseccomp knows a system call by its name, and with it a runtime that asks it."""

    @abstractmethod
    def is_young(self, name: str) -> bool:
        """Whether a system call may be younger than libseccomp, and is known by its number."""

    def of_engine(self, capabilities: Collection[str], profile: str | None, host: Host) -> Mapping[str, Any] | None:
        """The `/linux/seccomp` that podman and docker make for a container with these capabilities (``CAP_NET_RAW``):
        of a ``profile`` in their own format, its text or its absolute path, and of None that which they have themselves.
        None where that is not known."""
        return None

    @abstractmethod
    def kept_from_launch(self, seccomp: Mapping[str, Any], host: Host) -> Sequence[str]:
        """The system calls that a launch makes once a filter is loaded early, and that this one never lets run: a
        configuration's ``/linux/seccomp``. Raises `SpecError` for one that cannot be read."""
