"""A checked configuration -> the operations of its launch, in their order: pure, it asks nothing of the host.

The order is the kernel's. Where it could not be another one, a comment says why.
"""

from __future__ import annotations

from hardening.base.linux import abi
from hardening.launch.config.bundle import IMAGE_STORE, SECRETS, is_judged
from hardening.launch.config.model import DEFAULT_DEVICES, Device
from hardening.launch.native import devices, identity, mounts, namespaces, processes, session, sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardening.base.linux.idmaps import IdMap
    from hardening.launch.config.model import ConfigMount, Configuration, Namespace
    from hardening.launch.native.operation import Operation, Operations

DEFAULT_UMASK = 0o022
#: A file system that shows one kind of namespace, and that only the owner of that namespace may mount.
SHOWN_BY = {"sysfs": "network", "mqueue": "ipc", "proc": "pid"}
MOUNTS: dict[str, type[mounts.MountBind | mounts.MountNew]] = {
    "bind": mounts.MountBind,
    "tmpfs": mounts.MountTmpfs,
    "sysfs": mounts.MountSysfs,
    "devpts": mounts.MountDevpts,
}


def translate(config: Configuration) -> Operations:
    """All operations, stage by stage."""
    return (
        *_prepare(config),
        *_clone(config),
        *_start(config),
        *_map(config),
        *_separate(config),
        *_enter(config),
        *_build(config),
        *_limit(config),
        *_surrender(config),
    )


def _prepare(config: Configuration) -> Iterator[Operation]:
    """What is refused at once fails later, or worse, does not fail."""
    if config.namespace("user") is None:
        yield namespaces.RequirePrivilege()
    if config.device_rules:
        from hardening.launch.native import rules

        yield rules.CheckDescriptors(rules=config.device_rules)
    labels = [("/process/selinuxLabel", config.process.selinux_label)]
    labels += [(mount.pointer, value or "") for mount in config.mounts for key, value in mount.data if key == "context"]
    for pointer, label in labels:
        if label:
            yield identity.RequireSelinux(pointer=pointer, label=label)
    if config.has_group():
        from hardening.launch.native import grouping

        yield grouping.CreateCgroup(path=config.cgroups_path, resources=config.resources)
    process = config.process
    mapped = config.namespace("user") is not None
    yield session.StandBetween(
        uid=_outside(config.uid_map, process.uid) if mapped else process.uid,
        gids=tuple(_outside(config.gid_map, gid) if mapped else gid for gid in (process.gid, *process.groups)),
    )
    if joined := _joined(config):
        from hardening.launch.native import joins

        yield from (joins.OpenNamespace(pointer=f"{one.pointer}/path", namespace=one) for one in joined)


def _outside(maps: tuple[IdMap, ...], number: int) -> int:
    """The host's id for one of the container's; -1 where it is not known."""
    for line in maps:
        if line.inside <= number < line.inside + line.count:
            return line.outside + number - line.inside
    return -1


def _clone(config: Configuration) -> Iterator[Operation]:
    judged = is_judged(dict(config.annotations))
    no_devices = 0 if config.devices_in_root() else abi.MOUNT_ATTR_NODEV
    yield sources.CloneRoot(
        path=config.root,
        judged=judged,
        # pivot_root(2) takes no shared root: what is more than this it gets once it is entered.
        propagation=abi.MS_SLAVE if config.root_propagation == abi.MS_SLAVE else abi.MS_PRIVATE,
        attributes=no_devices | (abi.MOUNT_ATTR_NOSUID if config.process.no_new_privileges else 0),
    )
    for mount in config.mounts:
        if mount.kind == "bind":
            # A shared one stays so until it is mounted, or it would spread nothing; what is not to spread is cut off whole.
            propagation = {abi.MS_SHARED: 0, abi.MS_SLAVE: abi.MS_SLAVE}.get(mount.propagation, abi.MS_PRIVATE)
            below = mount.propagation_below or propagation == abi.MS_PRIVATE
            yield sources.CloneSource(
                pointer=mount.pointer, mount=mount, judged=judged, propagation=propagation, below=below
            )
            if config.device_rules:
                from hardening.launch.native import rules

                yield rules.KeepDevices(
                    pointer=mount.pointer,
                    mount=mount,
                    rules=config.device_rules,
                    has_user_namespace=config.creates("user"),
                )


def _joined(config: Configuration) -> list[Namespace]:
    return [namespace for namespace in config.namespaces if namespace.path]


def _is_alone(config: Configuration) -> bool:
    """Whether init needs no intermediate process: neither a joined process namespace nor a new time namespace takes who
    enters it, but the children that it starts then (setns(2), time_namespaces(7))."""
    return not config.creates("time") and not _joined(config)


def _start(config: Configuration) -> Iterator[Operation]:
    user, pid = config.creates("user"), config.creates("pid")
    if _is_alone(config):
        yield processes.StartProcess(flags=(abi.CLONE_NEWUSER if user else 0) | (abi.CLONE_NEWPID if pid else 0))
        return
    yield processes.StartProcess(flags=0)
    if joined := _joined(config):
        from hardening.launch.native import joins

        # The user namespace takes away the privileges over what the caller's own one owns: it is joined, or made, last.
        for one in joined:
            if one.kind != "user":
                yield joins.JoinAsCaller(pointer=one.pointer, namespace=one)
        kinds = {one.kind for one in joined}
        for mount in config.mounts if config.namespace("user") is not None else ():
            shown = SHOWN_BY.get(mount.kind, "")
            if shown in kinds:
                yield joins.MakeShown(pointer=mount.pointer, mount=mount, shown=shown)
    if user:
        yield namespaces.MakeUserNamespace()


def _map(config: Configuration) -> Iterator[Operation]:
    if config.has_group():
        from hardening.launch.native import grouping

        # Before the cgroup namespace is made, whose root is the group that its maker is in (cgroup_namespaces(7)).
        yield grouping.EnterCgroup()
    mapped = [mount for mount in config.mounts if mount.idmapped]
    if not (mapped or config.creates("user")):
        return
    if config.creates("user"):
        yield namespaces.WriteIdMaps(uid_map=config.uid_map, gid_map=config.gid_map)
    # By a namespace whose maps are written: the kernel takes no other (mount_setattr(2)).
    for mount in mapped:
        yield sources.MapSourceIds(pointer=mount.pointer, mount=mount)


def _separate(config: Configuration) -> Iterator[Operation]:
    if config.process.oom_score_adj is not None:
        # Before anything makes this process non-dumpable: its files in /proc belong to root then.
        yield namespaces.SetOomScore(score=config.process.oom_score_adj)
    joined = _joined(config)
    if joined:
        from hardening.launch.native import joins

        yield joins.Hide()
        # First the user namespace: it gives the privileges over what it owns.
        for one in sorted(joined, key=lambda one: one.kind != "user"):
            yield joins.JoinOwned(pointer=one.pointer, namespace=one)
    flags = 0
    for namespace in config.namespaces:
        # Message queues belong to whoever makes their namespace, so that waits until this process has its ids.
        if not namespace.path and namespace.kind not in ("pid", "user", "ipc"):
            flags |= namespace.flag
    yield namespaces.MakeNamespaces(flags=flags)
    if config.time_offsets:
        # Before the first process is in it: then they are fixed (time_namespaces(7)).
        lines = (f"{clock} {seconds} {nanoseconds}\n" for clock, seconds, nanoseconds in config.time_offsets)
        yield namespaces.SetClocks(lines="".join(lines))
    # Before other ids are taken, which may not reach the sources.
    yield sources.CloneInside()
    if not _is_alone(config):
        pid = config.namespace("pid")
        yield processes.StartInit(
            pointer=pid.pointer if pid else "", flags=abi.CLONE_NEWPID if config.creates("pid") else 0
        )


def _enter(config: Configuration) -> Iterator[Operation]:
    """What init does before it builds the root."""
    yield session.StartSession()
    yield session.LeavePropagation()
    if config.process.selinux_label:
        yield identity.OpenSelinuxLabel()
    yield session.OpenNull()
    if config.namespace("user") is not None:
        # Before anything is made: a file of an id without a map cannot be (EOVERFLOW).
        uids, gids = ([entry.inside for entry in maps] for maps in (config.uid_map, config.gid_map))
        yield identity.BecomeNamespaceRoot(
            uid=0 if 0 in uids or not uids else min(uids), gid=0 if 0 in gids or not gids else min(gids)
        )
    if config.creates("ipc"):
        yield namespaces.MakeIpcNamespace()
    # Kernel settings are written through the host's /proc, while nothing of the container's can stand in its place.
    names = dict(config.sysctl)
    hostname = config.hostname or names.pop("kernel.hostname", "")
    domainname = config.domainname or names.pop("kernel.domainname", "")
    if hostname:
        yield namespaces.SetHostName(name=hostname)
    if domainname:
        yield namespaces.SetDomainName(name=domainname)
    if config.creates("network"):
        yield namespaces.BringUpLoopback()
    for name, value in names.items():
        yield namespaces.SetSysctl(name=name, value=value)


def _build(config: Configuration) -> Iterator[Operation]:
    """The root and what is mounted in it, then what covers parts of that."""
    yield mounts.AttachRoot(judged=is_judged(dict(config.annotations)))
    if config.root_read_only:
        yield mounts.MakeRootReadOnly()
    yield from map(_mount, config.mounts)
    if config.annotation(SECRETS) is not None:
        yield session.PutSecrets()
    yield from _make_devices(config)
    yield devices.OpenConsole(uid=config.process.uid)
    if config.annotation(IMAGE_STORE) is None:  # a root that several containers share stays as it is
        yield session.MakeWorkingDirectory()
    # After all mounts: what is mounted later would uncover it.
    for index, path in enumerate(config.read_only):
        yield _protect(mounts.ProtectPath, f"/linux/readonlyPaths/{index}", path)
    for index, path in enumerate(config.masked):
        yield _protect(mounts.MaskPath, f"/linux/maskedPaths/{index}", path)
    yield mounts.EnterRoot(propagation=config.root_propagation, below=config.root_propagation_below)
    yield session.ConnectStreams()
    yield session.NewKeyring()
    yield session.ChangeDirectory()
    yield session.FindCommand()
    if config.process.selinux_label:
        yield identity.SetSelinuxLabel(label=config.process.selinux_label)
    yield session.ReportReady()


def _mount(mount: ConfigMount) -> Operation:
    if mount.kind in ("cgroup", "cgroup2"):
        from hardening.launch.native.grouping import MountCgroups

        return MountCgroups(pointer=mount.pointer, mount=mount)
    if mount.copies:
        from hardening.launch.native.copyup import MountCopy

        return MountCopy(pointer=mount.pointer, mount=mount)
    return MOUNTS.get(mount.kind, mounts.MountNew)(pointer=mount.pointer, mount=mount)


def _protect(kind: type[mounts.ProtectPath], pointer: str, path: str) -> Operation:
    if "*" in path:
        from hardening.launch.native import matching

        kind = matching.MaskMatching if kind is mounts.MaskPath else matching.ProtectMatching
    return kind(pointer=pointer, path=path)


def _make_devices(config: Configuration) -> Iterator[Operation]:
    """`/dev`, unless the configuration binds one from elsewhere."""
    at_dev = config.at_dev()
    kind = at_dev.kind if at_dev is not None else ""
    if kind == "bind":
        return
    # In a user namespace the kernel makes no device node (mknod(2)).
    may_make = config.namespace("user") is None
    listed = {device.path for device in config.devices}
    for path, (major, minor) in DEFAULT_DEVICES.items():
        if path not in listed:
            usual = Device(path=path, kind="c", major=major, minor=minor, mode=0o666, uid=0, gid=0)
            yield devices.MakeDevice(pointer="", device=usual, made=may_make and kind == "tmpfs", usual=True)
    for index, device in enumerate(config.devices):
        is_usual = device.path in DEFAULT_DEVICES
        yield devices.MakeDevice(pointer=f"/linux/devices/{index}", device=device, made=may_make, usual=is_usual)
    if kind == "tmpfs":
        yield devices.MakeDeviceLinks()


def _limit(config: Configuration) -> Iterator[Operation]:
    if config.seccomp is not None:
        yield identity.ReadFilter(sha256=config.seccomp.sha256)
    for limit in config.process.rlimits:
        yield identity.SetLimit(pointer=limit.pointer, limit=limit)


def _surrender(config: Configuration) -> Iterator[Operation]:
    """From here on privileges only go down."""
    process, sets = config.process, config.process.capabilities
    load = [identity.LoadFilter(flags=config.seccomp.flags)] if config.seccomp is not None else []
    drop = identity.DropBounding(kept=sets.bounding)
    if process.no_new_privileges:
        yield drop  # while the main process sets the limits
    yield session.AwaitRelease()
    yield session.CloseDescriptors()
    yield session.SetUmask(mask=DEFAULT_UMASK if process.umask is None else process.umask)
    if not process.no_new_privileges:
        # Without no_new_privs the kernel takes a filter from the privileged only, so it must come first; what follows has to
        # pass it, as under other runtimes.
        yield from load
        yield drop
    # Groups while there is CAP_SETGID, the user last of the ids; capabilities after it, or it would take them
    # (capabilities(7)).
    yield identity.SetGroups(groups=process.groups)
    yield identity.BecomeGroup(gid=process.gid)
    yield identity.BecomeUser(uid=process.uid)
    yield identity.SetCapabilities(sets=sets)
    yield session.DieWithLauncher()
    yield session.RestoreSignals()
    if process.no_new_privileges:
        yield session.CheckAccess()
        # Together and last: the filter need not allow what the launcher does, only execve(2).
        yield identity.ForbidNewPrivileges()
        yield from load
    yield session.Execute()
