"""A checked configuration -> the operations of its launch, in their order: pure, it asks nothing of the host.

The order is the kernel's. Where it could not be another one, a comment says why.
"""

from __future__ import annotations

from hardening.base.linux import abi
from hardening.launch.config.bundle import IMAGE_STORE, SECRETS, is_judged
from hardening.launch.config.config_linux import DEFAULT_DEVICES
from hardening.launch.native import devices, identity, mounts, namespaces, processes, session, sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardening.base.linux.idmaps import IdMap
    from hardening.launch.config.wanted import Namespace, Wanted, WantedMount
    from hardening.launch.native.operation import Operation, Operations

DEFAULT_UMASK = 0o022
#: A file system that shows one kind of namespace, and that only the owner of that namespace may mount.
SHOWN_BY = {"sysfs": "network", "mqueue": "ipc", "proc": "pid"}


def translate(wanted: Wanted) -> Operations:
    """All operations, stage by stage."""
    return (
        *_prepare(wanted),
        *_clone(wanted),
        *_start(wanted),
        *_map(wanted),
        *_separate(wanted),
        *_enter(wanted),
        *_build(wanted),
        *_limit(wanted),
        *_surrender(wanted),
    )


def _prepare(wanted: Wanted) -> Iterator[Operation]:
    """What is refused at once fails later, or worse, does not fail."""
    if wanted.namespace("user") is None:
        yield namespaces.RequirePrivilege()
    if wanted.device_rules:
        from hardening.launch.native import rules

        yield rules.CheckDescriptors(rules=wanted.device_rules)
    labels = [("/process/selinuxLabel", wanted.process.selinux_label)]
    labels += [(mount.pointer, value or "") for mount in wanted.mounts for key, value in mount.data if key == "context"]
    for pointer, label in labels:
        if label:
            yield identity.RequireSelinux(pointer=pointer, label=label)
    if wanted.has_group():
        from hardening.launch.native import grouping

        yield grouping.CreateCgroup(path=wanted.cgroups_path, resources=wanted.resources)
    process = wanted.process
    mapped = wanted.namespace("user") is not None
    yield session.StandBetween(
        uid=_outside(wanted.uid_map, process.uid) if mapped else process.uid,
        gids=tuple(_outside(wanted.gid_map, gid) if mapped else gid for gid in (process.gid, *process.groups)),
    )
    if joined := _joined(wanted):
        from hardening.launch.native import joins

        yield from (joins.OpenNamespace(pointer=f"{one.pointer}/path", kind=one.kind, path=one.path) for one in joined)


def _outside(maps: tuple[IdMap, ...], number: int) -> int:
    """The host's id for one of the container's; -1 where it is not known."""
    for line in maps:
        if line.inside <= number < line.inside + line.count:
            return line.outside + number - line.inside
    return -1


def _clone(wanted: Wanted) -> Iterator[Operation]:
    judged = is_judged(dict(wanted.annotations))
    no_devices = 0 if wanted.devices_in_root() else abi.MOUNT_ATTR_NODEV
    yield sources.CloneRoot(
        path=wanted.root,
        judged=judged,
        # pivot_root(2) takes no shared root: what is more than this it gets once it is entered.
        propagation=abi.MS_SLAVE if wanted.root_propagation == abi.MS_SLAVE else abi.MS_PRIVATE,
        attributes=no_devices | (abi.MOUNT_ATTR_NOSUID if wanted.process.no_new_privileges else 0),
    )
    for mount in wanted.mounts:
        if mount.kind == "bind":
            spreads = mount.propagation in (abi.MS_SHARED, abi.MS_SLAVE)
            yield sources.CloneSource(
                pointer=mount.pointer,
                source=mount.source,
                judged=judged,
                recursive=mount.recursive,
                propagation=0
                if mount.propagation == abi.MS_SHARED
                else mount.propagation
                if spreads
                else abi.MS_PRIVATE,
                propagation_below=mount.propagation_below or not spreads,
            )
            if wanted.device_rules:
                from hardening.launch.native import rules

                yield rules.KeepDevices(
                    pointer=mount.pointer,
                    source=mount.source,
                    recursive=mount.recursive,
                    rules=wanted.device_rules,
                    has_user_namespace=wanted.creates("user"),
                )


def _joined(wanted: Wanted) -> list[Namespace]:
    return [namespace for namespace in wanted.namespaces if namespace.path]


def _is_alone(wanted: Wanted) -> bool:
    """Whether init needs no intermediate process: neither a joined process namespace nor a new time namespace takes who
    enters it, but the children that it starts then (setns(2), time_namespaces(7))."""
    return not wanted.creates("time") and not _joined(wanted)


def _start(wanted: Wanted) -> Iterator[Operation]:
    user, pid = wanted.creates("user"), wanted.creates("pid")
    if _is_alone(wanted):
        yield processes.StartProcess(flags=(abi.CLONE_NEWUSER if user else 0) | (abi.CLONE_NEWPID if pid else 0))
        return
    yield processes.StartProcess(flags=0)
    if joined := _joined(wanted):
        from hardening.launch.native import joins

        # The user namespace takes away the privileges over what the caller's own one owns: it is joined, or made, last.
        for one in joined:
            if one.kind != "user":
                yield joins.JoinAsCaller(pointer=one.pointer, kind=one.kind, flag=one.flag)
        kinds = {one.kind for one in joined}
        for mount in wanted.mounts if wanted.namespace("user") is not None else ():
            shown = SHOWN_BY.get(mount.kind, "")
            if shown in kinds:
                yield joins.MakeShown(
                    pointer=mount.pointer,
                    destination=mount.destination,
                    kind=mount.kind,
                    source=mount.source,
                    attributes=_attributes(mount),
                    data=mount.data,
                    shown=shown,
                )
    if user:
        yield namespaces.MakeUserNamespace()


def _map(wanted: Wanted) -> Iterator[Operation]:
    if wanted.has_group():
        from hardening.launch.native import grouping

        # Before the cgroup namespace is made, whose root is the group that its maker is in (cgroup_namespaces(7)).
        yield grouping.EnterCgroup()
    mapped = [mount for mount in wanted.mounts if mount.idmapped]
    if not (mapped or wanted.creates("user")):
        return
    if wanted.creates("user"):
        yield namespaces.WriteIdMaps(uid_map=wanted.uid_map, gid_map=wanted.gid_map)
    # By a namespace whose maps are written: the kernel takes no other (mount_setattr(2)).
    for mount in mapped:
        yield sources.MapSourceIds(
            pointer=mount.pointer,
            source=mount.source,
            uid_map=mount.uid_map,
            gid_map=mount.gid_map,
            below=mount.idmap_below,
        )


def _separate(wanted: Wanted) -> Iterator[Operation]:
    if wanted.process.oom_score_adj is not None:
        # Before anything makes this process non-dumpable: its files in /proc belong to root then.
        yield namespaces.SetOomScore(score=wanted.process.oom_score_adj)
    joined = _joined(wanted)
    if joined:
        from hardening.launch.native import joins

        yield joins.Hide()
        # First the user namespace: it gives the privileges over what it owns.
        for one in sorted(joined, key=lambda one: one.kind != "user"):
            yield joins.JoinOwned(pointer=one.pointer, kind=one.kind, flag=one.flag)
    flags = 0
    for namespace in wanted.namespaces:
        # Message queues belong to whoever makes their namespace, so that waits until this process has its ids.
        if not namespace.path and namespace.kind not in ("pid", "user", "ipc"):
            flags |= namespace.flag
    yield namespaces.MakeNamespaces(flags=flags)
    if wanted.time_offsets:
        # Before the first process is in it: then they are fixed (time_namespaces(7)).
        lines = (f"{clock} {seconds} {nanoseconds}\n" for clock, seconds, nanoseconds in wanted.time_offsets)
        yield namespaces.SetClocks(lines="".join(lines))
    # Before other ids are taken, which may not reach the sources.
    yield sources.CloneInside()
    if not _is_alone(wanted):
        pid = wanted.namespace("pid")
        yield processes.StartInit(
            pointer=pid.pointer if pid else "", flags=abi.CLONE_NEWPID if wanted.creates("pid") else 0
        )


def _enter(wanted: Wanted) -> Iterator[Operation]:
    """What init does before it builds the root."""
    yield session.StartSession()
    yield session.LeavePropagation()
    if wanted.process.selinux_label:
        yield identity.OpenSelinuxLabel()
    yield session.OpenNull()
    if wanted.namespace("user") is not None:
        # Before anything is made: a file of an id without a map cannot be (EOVERFLOW).
        uids, gids = ([entry.inside for entry in maps] for maps in (wanted.uid_map, wanted.gid_map))
        yield identity.BecomeNamespaceRoot(
            uid=0 if 0 in uids or not uids else min(uids), gid=0 if 0 in gids or not gids else min(gids)
        )
    if wanted.creates("ipc"):
        yield namespaces.MakeIpcNamespace()
    # Kernel settings are written through the host's /proc, while nothing of the container's can stand in its place.
    names = dict(wanted.sysctl)
    hostname = wanted.hostname or names.pop("kernel.hostname", "")
    domainname = wanted.domainname or names.pop("kernel.domainname", "")
    if hostname:
        yield namespaces.SetHostName(name=hostname)
    if domainname:
        yield namespaces.SetDomainName(name=domainname)
    if wanted.creates("network"):
        yield namespaces.BringUpLoopback()
    for name, value in names.items():
        yield namespaces.SetSysctl(name=name, value=value)


def _build(wanted: Wanted) -> Iterator[Operation]:
    """The root and what is mounted in it, then what covers parts of that."""
    yield mounts.AttachRoot(judged=is_judged(dict(wanted.annotations)))
    if wanted.root_read_only:
        yield mounts.MakeRootReadOnly()
    yield from map(_mount, wanted.mounts)
    if wanted.annotation(SECRETS) is not None:
        yield session.PutSecrets()
    yield from _make_devices(wanted)
    yield devices.OpenConsole(uid=wanted.process.uid)
    if wanted.annotation(IMAGE_STORE) is None:  # a root that several containers share stays as it is
        yield session.MakeWorkingDirectory()
    # After all mounts: what is mounted later would uncover it.
    for index, path in enumerate(wanted.read_only):
        yield _protect(mounts.ProtectPath, f"/linux/readonlyPaths/{index}", path)
    for index, path in enumerate(wanted.masked):
        yield _protect(mounts.MaskPath, f"/linux/maskedPaths/{index}", path)
    yield mounts.EnterRoot(propagation=wanted.root_propagation, below=wanted.root_propagation_below)
    yield session.ConnectStreams()
    yield session.NewKeyring()
    yield session.ChangeDirectory()
    yield session.FindCommand()
    if wanted.process.selinux_label:
        yield identity.SetSelinuxLabel(label=wanted.process.selinux_label)
    yield session.ReportReady()


def _attributes(mount: WantedMount) -> int:
    """``MOUNT_ATTR_*`` of a new file system, but for read-only: what follows may have to make mount points in it."""
    return ((mount.add | mount.add_below) & ~abi.MOUNT_ATTR_RDONLY) | (mount.atime or 0)


def _mount(mount: WantedMount) -> Operation:
    if mount.kind == "bind":
        return mounts.MountBind(
            pointer=mount.pointer,
            destination=mount.destination,
            source=mount.source,
            add=mount.add,
            add_below=mount.add_below,
            access_time=-1 if mount.atime is None else mount.atime,
            propagation=mount.propagation if mount.propagation in (abi.MS_SHARED, abi.MS_UNBINDABLE) else 0,
            propagation_below=mount.propagation_below,
        )
    if mount.kind in ("cgroup", "cgroup2"):
        from hardening.launch.native.grouping import MountCgroups

        add = mount.add | mount.add_below
        return MountCgroups(pointer=mount.pointer, destination=mount.destination, kind=mount.kind, attributes=add)
    kind = {"tmpfs": mounts.MountTmpfs, "sysfs": mounts.MountSysfs, "devpts": mounts.MountDevpts}.get(
        mount.kind, mounts.MountNew
    )
    if mount.copies:
        from hardening.launch.native.copyup import MountCopy

        kind = MountCopy
    return kind(
        pointer=mount.pointer,
        destination=mount.destination,
        kind=mount.kind,
        source=mount.source,
        attributes=_attributes(mount),
        late=(mount.add | mount.add_below) & abi.MOUNT_ATTR_RDONLY,
        data=mount.data,
    )


def _protect(kind: type[mounts.ProtectPath], pointer: str, path: str) -> Operation:
    if "*" in path:
        from hardening.launch.native import matching

        kind = matching.MaskMatching if kind is mounts.MaskPath else matching.ProtectMatching
    return kind(pointer=pointer, path=path)


def _make_devices(wanted: Wanted) -> Iterator[Operation]:
    """`/dev`, unless the configuration binds one from elsewhere."""
    at_dev = wanted.at_dev()
    kind = at_dev.kind if at_dev is not None else ""
    if kind == "bind":
        return
    # In a user namespace the kernel makes no device node (mknod(2)).
    may_make = wanted.namespace("user") is None
    listed = {device.path for device in wanted.devices}
    for path, (major, minor) in DEFAULT_DEVICES.items():
        if path not in listed:
            yield devices.MakeDevice(
                pointer="",
                path=path,
                kind="c",
                major=major,
                minor=minor,
                mode=0o666,
                uid=0,
                gid=0,
                made=may_make and kind == "tmpfs",
                usual=True,
            )
    for index, device in enumerate(wanted.devices):
        yield devices.MakeDevice(
            pointer=f"/linux/devices/{index}",
            path=device.path,
            kind=device.kind,
            major=device.major,
            minor=device.minor,
            mode=device.mode,
            uid=device.uid,
            gid=device.gid,
            made=may_make,
            usual=device.path in DEFAULT_DEVICES,
        )
    if kind == "tmpfs":
        yield devices.MakeDeviceLinks()


def _limit(wanted: Wanted) -> Iterator[Operation]:
    if wanted.seccomp is not None:
        yield identity.ReadFilter(sha256=wanted.seccomp.sha256)
    for limit in wanted.process.rlimits:
        yield identity.SetLimit(
            pointer=limit.pointer, name=limit.name, number=limit.number, soft=limit.soft, hard=limit.hard
        )


def _surrender(wanted: Wanted) -> Iterator[Operation]:
    """From here on privileges only go down."""
    process, sets = wanted.process, wanted.process.capabilities
    load = [identity.LoadFilter(flags=wanted.seccomp.flags)] if wanted.seccomp is not None else []
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
    yield identity.SetCapabilities(
        effective=sets.effective, permitted=sets.permitted, inheritable=sets.inheritable, ambient=sets.ambient
    )
    yield session.DieWithLauncher()
    yield session.RestoreSignals()
    if process.no_new_privileges:
        yield session.CheckAccess()
        # Together and last: the filter need not allow what the launcher does, only execve(2).
        yield identity.ForbidNewPrivileges()
        yield from load
    yield session.Execute()
