"""`/mounts` and `/root` of a configuration -> each `ConfigMount` (runtime-spec config.md, mount_setattr(2))."""

from __future__ import annotations

from hardening.base.linux import abi
from hardening.base.linux.idmaps import IdMap
from hardening.launch.config.model import ConfigMount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from hardening.launch.config.reader import ConfigTable

ATTRIBUTES = {
    "ro": abi.MOUNT_ATTR_RDONLY,
    "nosuid": abi.MOUNT_ATTR_NOSUID,
    "nodev": abi.MOUNT_ATTR_NODEV,
    "noexec": abi.MOUNT_ATTR_NOEXEC,
    "nodiratime": abi.MOUNT_ATTR_NODIRATIME,
    "nosymfollow": abi.MOUNT_ATTR_NOSYMFOLLOW,
}
# The opposite takes back what an earlier option of the same entry asked for. It never lifts what the source's own
# mount carries: that would be a loosening of the host.
OPPOSITES = {"rw" if name == "ro" else name.removeprefix("no"): flag for name, flag in ATTRIBUTES.items()}
ACCESS_TIMES = {
    "noatime": abi.MOUNT_ATTR_NOATIME,
    "strictatime": abi.MOUNT_ATTR_STRICTATIME,
    "relatime": abi.MOUNT_ATTR_RELATIME,
    "atime": abi.MOUNT_ATTR_RELATIME,
    "norelatime": abi.MOUNT_ATTR_STRICTATIME,
    "nostrictatime": abi.MOUNT_ATTR_RELATIME,
}
PROPAGATION = {
    "private": abi.MS_PRIVATE,
    "slave": abi.MS_SLAVE,
    "shared": abi.MS_SHARED,
    "unbindable": abi.MS_UNBINDABLE,
}
# File systems that the launcher mounts, with the options that it hands to the kernel. A name that ends in '=' takes
# a value.
FILE_SYSTEMS: dict[str, tuple[str, ...]] = {
    "tmpfs": ("size=", "mode=", "nr_inodes=", "nr_blocks=", "uid=", "gid=", "huge=", "mpol=", "noswap", "context="),
    "proc": ("hidepid=", "subset=", "gid="),
    "sysfs": (),
    "devpts": ("newinstance", "ptmxmode=", "mode=", "gid=", "uid=", "max=", "context="),
    "mqueue": (),
    "cgroup": (),
    "cgroup2": (),
}
#: podman's and CRI-O's word for a tmpfs that is filled with what it covers.
COPIES = "tmpcopyup"


class _Options:
    """The options of one entry while they are read."""

    def __init__(self) -> None:
        self.kind = ""
        self.recursive = False
        self.add = 0
        self.add_below = 0
        self.atime: int | None = None
        self.propagation = 0
        self.propagation_below = False
        self.data: list[tuple[str, str | None]] = []
        self.idmap = ""
        self.copies = False

    def take(self, option: str) -> bool:
        """Read an option that every kind of mount has; False when it is none of those."""
        below = option[1:] if option.startswith("r") else ""
        if option in ATTRIBUTES:
            self.add |= ATTRIBUTES[option]
        elif option in OPPOSITES:
            self.add &= ~OPPOSITES[option]
        elif below in ATTRIBUTES:
            self.add_below |= ATTRIBUTES[below]
        elif below in OPPOSITES:
            self.add_below &= ~OPPOSITES[below]
        elif option in ACCESS_TIMES:
            self.atime = ACCESS_TIMES[option]
        elif option in PROPAGATION:
            self.propagation, self.propagation_below = PROPAGATION[option], False
        elif below in PROPAGATION:
            self.propagation, self.propagation_below = PROPAGATION[below], True
        else:
            return option in ("defaults", "")  # podman writes the second
        return True


def read_mounts(config: ConfigTable, label: str) -> tuple[ConfigMount, ...]:
    """All entries of `/mounts`; ``label`` is `/linux/mountLabel`."""
    return tuple(_read_mount(table, label) for table in config.tables("mounts"))


def is_bind(kind: object, options: Collection[object]) -> bool:
    """Whether an entry of `/mounts` is a bind mount by its type or its options, as runtimes take it."""
    return kind == "bind" or "bind" in options or "rbind" in options


def _read_mount(table: ConfigTable, label: str) -> ConfigMount:
    destination = table.text("destination", required=True)
    if destination and not destination.startswith("/"):
        table.refuse("destination", "must be an absolute path")
    kind = table.text("type", default="none")
    source = table.text("source")
    texts = table.strings("options")
    options = _Options()
    if is_bind(kind, texts):
        options.kind = "bind"
    elif kind in FILE_SYSTEMS:
        options.kind = kind
    else:
        table.refuse("type", f"the native launcher does not mount {kind!r}")
    # Of a type that is not known no option is.
    for index, option in enumerate(texts if options.kind else ()):
        reason = _read_option(options, option)
        if reason:
            table.refuse("options", reason, index)
    uid_map, gid_map = read_id_maps(table, "uidMappings"), read_id_maps(table, "gidMappings")
    _check_idmap(table, options, uid_map, gid_map)
    if options.kind == "bind" and not source:
        table.refuse("source", "a bind mount needs a path")
    if label and options.kind in ("tmpfs", "devpts") and not any(key == "context" for key, _ in options.data):
        options.data.append(("context", label))
    table.done()
    return ConfigMount(
        pointer=table.pointer,
        destination=destination,
        kind=options.kind,
        source=source,
        recursive=options.recursive,
        add=options.add,
        add_below=options.add_below,
        atime=options.atime,
        propagation=options.propagation,
        propagation_below=options.propagation_below,
        data=tuple(options.data),
        own_idmap=bool(options.idmap) and not uid_map,
        uid_map=uid_map,
        gid_map=gid_map,
        idmap_below=options.idmap == "ridmap",
        copies=options.copies,
    )


def _read_option(options: _Options, option: str) -> str:
    """Take one option; a reason when it cannot be taken."""
    if options.kind == "bind" and option in ("bind", "rbind"):
        options.recursive = options.recursive or option == "rbind"
        return ""
    if option in ("idmap", "ridmap"):
        options.idmap = option
        return ""
    if options.take(option):
        return ""
    if options.kind == "tmpfs" and option == COPIES:
        options.copies = True
        return ""
    key, equals, value = option.partition("=")
    known = FILE_SYSTEMS.get(options.kind, ())
    if (key + equals) in known:
        # mount(8) wants quotes around a label with commas; the kernel gets each option by itself, without.
        options.data.append((key, value.strip('"') if equals else None))
        return ""
    return f"the native launcher does not know the option {option!r} for {options.kind} mounts"


def _check_idmap(table: ConfigTable, options: _Options, uid_map: tuple[IdMap, ...], gid_map: tuple[IdMap, ...]) -> None:
    if (options.idmap or uid_map or gid_map) and options.kind not in ("bind", ""):
        table.refuse("options", "only bind mounts can be id-mapped")
    if bool(uid_map) != bool(gid_map):
        table.refuse("uidMappings", "uidMappings and gidMappings go together")
    if uid_map and not options.idmap:
        # The spec leaves the depth open; crun and runc map the whole tree then.
        options.idmap = "ridmap"


def read_id_maps(table: ConfigTable, key: str) -> tuple[IdMap, ...]:
    """A list of `containerID`, `hostID`, `size`."""
    maps = []
    for entry in table.tables(key):
        inside = entry.integer("containerID", 0, 2**32 - 2, required=True)
        outside = entry.integer("hostID", 0, 2**32 - 2, required=True)
        count = entry.integer("size", 1, 2**32 - 1, required=True)
        entry.done()
        if inside is not None and outside is not None and count is not None:
            if max(inside, outside) + count > 2**32 - 1:
                entry.refuse("size", "reaches beyond the last id")
            maps.append(IdMap(inside=inside, outside=outside, count=count))
    if len(maps) > 340:
        table.refuse(key, "the kernel takes at most 340 lines")
    return tuple(maps)
