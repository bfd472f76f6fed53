"""What a `config.json` asks for, as frozen values that need no more interpretation."""

from __future__ import annotations

from hardening.base.frozen import Frozen
from hardening.base.linux import abi
from hardening.base.linux.idmaps import IdMap

DEFAULT_DEVICES = {
    "/dev/null": (1, 3),
    "/dev/zero": (1, 5),
    "/dev/full": (1, 7),
    "/dev/random": (1, 8),
    "/dev/urandom": (1, 9),
    "/dev/tty": (5, 0),
}
#: A number of a device in a rule for all of them.
ANY = -1


class Namespace(Frozen):
    """One namespace: ``flag`` is its ``CLONE_NEW*``; with a ``path`` it is joined, else created."""

    kind: str
    flag: int
    path: str
    pointer: str


class ConfigMount(Frozen):
    """One entry of `/mounts`. ``kind`` is ``bind`` or a file system type.

    A relative ``source`` of a bind mount starts at the bundle.
    ``add`` and ``add_below`` are ``MOUNT_ATTR_*`` for the mount itself and for it and all below; ``atime`` replaces
    the access time mode where it is not None. ``copies``: a tmpfs is filled with what it covers. ``idmap`` is ``()`` for
    none; ``own_idmap`` means the maps of the container's user namespace.
    """

    pointer: str
    destination: str
    kind: str
    source: str = ""
    recursive: bool = False
    add: int = 0
    add_below: int = 0
    atime: int | None = None
    propagation: int = 0
    propagation_below: bool = False
    data: tuple[tuple[str, str | None], ...] = ()
    own_idmap: bool = False
    uid_map: tuple[IdMap, ...] = ()
    gid_map: tuple[IdMap, ...] = ()
    idmap_below: bool = False
    copies: bool = False

    @property
    def idmapped(self) -> bool:
        """Whether ids are mapped on this mount."""
        return self.own_idmap or bool(self.uid_map)

    @property
    def attributes(self) -> int:
        """``MOUNT_ATTR_*`` of a new file system from its start."""
        return ((self.add | self.add_below) & ~abi.MOUNT_ATTR_RDONLY) | (self.atime or 0)

    @property
    def late(self) -> int:
        """Those that it gets when the root is complete: in a read-only one no mount point could be made."""
        return (self.add | self.add_below) & abi.MOUNT_ATTR_RDONLY


class ConfigCapabilities(Frozen):
    """The five sets of capabilities(7) as bit masks."""

    bounding: int = 0
    effective: int = 0
    permitted: int = 0
    inheritable: int = 0
    ambient: int = 0


class Rlimit(Frozen):
    """One resource limit: ``number`` is its ``RLIMIT_*``."""

    name: str
    number: int
    soft: int
    hard: int
    pointer: str


class Invocation(Frozen):
    """The command of `/process`, which no operation holds, as it may be another one at each launch: its words, those of the
    helpers that stand before it (`hardening.launch.config.confinement`), its variables, its working directory, and whether
    it has a terminal, with the size of that in characters."""

    args: tuple[str, ...]
    helpers: tuple[tuple[str, ...], ...] = ()
    env: tuple[tuple[str, str], ...]
    cwd: str
    terminal: bool
    console_size: tuple[int, int] | None


class ConfigProcess(Frozen):
    """`/process`. ``capabilities`` None: the field is absent, and the sets are empty."""

    command: Invocation
    uid: int
    gid: int
    umask: int | None
    groups: tuple[int, ...]
    capabilities: ConfigCapabilities
    rlimits: tuple[Rlimit, ...]
    no_new_privileges: bool
    oom_score_adj: int | None
    selinux_label: str


class Device(Frozen):
    """One device node: ``kind`` is ``c`` or ``b``."""

    path: str
    kind: str
    major: int
    minor: int
    mode: int
    uid: int
    gid: int


class Rule(Frozen):
    """One rule: ``kind`` is ``a`` for all, ``c`` or ``b``; a number may be `ANY`; ``access`` is some of ``rwm``."""

    allow: bool
    kind: str
    major: int
    minor: int
    access: frozenset[str]

    @property
    def is_for_all(self) -> bool:
        """Whether it is for each device."""
        return self.kind == "a" or (self.major == ANY and self.minor == ANY)

    def covers(self, kind: str, major: int, minor: int) -> bool:
        """Whether it is for this device."""
        return self.kind == "a" or (self.kind == kind and self.major in (ANY, major) and self.minor in (ANY, minor))


class Resources(Frozen):
    """Limits of a control group. None: not asked for. Bytes, microseconds, counts; -1 means no limit."""

    pids: int | None = None
    memory: int | None = None
    memory_swap: int | None = None
    memory_reservation: int | None = None
    cpu_shares: int | None = None
    cpu_quota: int | None = None
    cpu_period: int | None = None
    cpus: str = ""
    mems: str = ""
    hugepages: tuple[tuple[str, int], ...] = ()  # (size as the kernel writes it, bytes)
    unified: tuple[tuple[str, str], ...] = ()  # (file of cgroup v2, what to write)


class ConfigSeccomp(Frozen):
    """The compiled filter: its flags for seccomp(2), the JSON data that it is compiled from, and the digest of both that
    the bundle states (lower-case hex)."""

    flags: int
    source: object
    sha256: str


class Configuration(Frozen):
    """A whole configuration."""

    root: str
    root_read_only: bool
    root_propagation: int
    process: ConfigProcess
    hostname: str
    domainname: str
    mounts: tuple[ConfigMount, ...]
    annotations: tuple[tuple[str, str], ...]
    namespaces: tuple[Namespace, ...]
    uid_map: tuple[IdMap, ...]
    gid_map: tuple[IdMap, ...]
    time_offsets: tuple[tuple[str, int, int], ...]
    sysctl: tuple[tuple[str, str], ...]
    masked: tuple[str, ...]
    read_only: tuple[str, ...]
    seccomp: ConfigSeccomp | None
    devices: tuple[Device, ...]
    root_propagation_below: bool = False
    device_rules: tuple[Rule, ...] = ()
    resources: Resources | None
    cgroups_path: str

    def namespace(self, kind: str) -> Namespace | None:
        """The namespace of a kind (``pid``, ``user``, …) that is to be created or joined, or None."""
        for namespace in self.namespaces:
            if namespace.kind == kind:
                return namespace
        return None

    def creates(self, kind: str) -> bool:
        """Whether a new namespace of this kind is made."""
        namespace = self.namespace(kind)
        return namespace is not None and not namespace.path

    def has_group(self) -> bool:
        """Whether it has a control group of its own."""
        return self.resources is not None or bool(self.cgroups_path)

    def at_dev(self) -> ConfigMount | None:
        """The mount that is seen at `/dev`, or None."""
        found = [mount for mount in self.mounts if mount.destination.rstrip("/") == "/dev"]
        return found[-1] if found else None

    def devices_in_root(self) -> bool:
        """Whether devices of the configuration are nodes of the root itself, and of no mount at `/dev`."""
        return bool(self.devices) and self.namespace("user") is None and self.at_dev() is None

    def annotation(self, name: str) -> str | None:
        """The value of an annotation, or None."""
        return dict(self.annotations).get(name)
