"""What composed settings permit, restated as sets of deeds: a second reading of each setting that knows none of the orders.

A stack is within another where each of its deeds is one of the other's. A setting is read from the object that a mechanism
is given, member by member as that mechanism looks it up when something runs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations
from typing import Any

from hardening.images.reference import parse
from hardening.launch.secret import secrets
from hardening.mechanism.schema import WILDCARD, Family, Scalar, Schema
from hardening_seccomp.conditions import Rule
from hardening_secrets.settings import Use, usual
from hardening_trust import identities, scopes
from hardening_trust.requirements import Accept, SignedBy, SigstoreSigned

Deeds = frozenset[object]

#: Settings that permit something with this one of their two values.
FLAGS = {
    "capabilities.no_new_privileges": False, "rootfs.read_only": False, "rootfs.masked_paths": False,
    "rootfs.read_only_paths": False, "rootfs.hidden_paths": False, "seccomp.restrict_suid_sgid": False,
    "selinux.enabled": False,
    **dict.fromkeys(
        ("process.groups", "process.environment", "process.terminal", "rootfs.volume_sources", "rootfs.devices",
         "rootfs.volume_destinations", "rootfs.volume_options", "rootfs.volume_sockets", "seccomp.architectures",
         "seccomp.flags.spec-allow", "scan.setuid", "scan.setgid", "scan.file_capabilities", "scan.world_writable",
         "scan.devices", "scan.credentials", "scan.external", "landlock.mounts", "landlock.abstract_sockets",
         "landlock.signals"), True),
}  # fmt: skip
#: Words of which each permits what those before it do.
LADDERS = {
    "capabilities.": "dropped root added", "rootfs.propagation": "private slave shared",
    "rootfs.proc.hidepid": "invisible noaccess off", "rootfs.sys": "none read-only",
    "selinux.relabel": "never private shared", "process.resources.requirement": "required best-effort",
}  # fmt: skip
#: Values that are one place or name among others, of which the first permits nothing that another does not.
PLACES = {
    **{f"namespaces.{name}": "private" for name in ("pid", "mount", "ipc", "uts", "net", "cgroup", "user", "time")},
    "namespaces.uid_map": (), "namespaces.gid_map": (),
    **{f"selinux.{name}": None for name in ("user", "role", "type", "level", "mount_label")},
    **dict.fromkeys(("namespaces.sysctls", "process.resources.cgroup", "rootfs.path")),
}  # fmt: skip
#: Settings whose values name something of the host.
_NAMING = ("rootfs.volumes", "rootfs.tmpfs", "secrets.given")
CEILINGS = ("rootfs.shm_size", *(f"process.resources.{name}" for name in ("pids", "memory", "memory_swap", "cpu")))
#: Settings of which no value permits more than another.
NEUTRAL = ("process.cwd", "process.set_environment", "namespaces.hostname", "namespaces.domainname",
           "namespaces.time_offsets.boottime", "namespaces.time_offsets.monotonic", "seccomp.flags.log",
           "trust.lookaside")  # fmt: skip
_ID_MAPS = {"auto": "a", "one-id": "b", "keep-id": "abc", "root": "d"}
_GROUPS = ("", "0", "5", "6", "nogroup")


def of(name: str, value: Any) -> Deeds:
    """What a value of a setting permits; ``name`` is that of the setting with its table."""
    if name in NEUTRAL:
        return frozenset()
    if name in FLAGS:
        return frozenset({"it"} if value is FLAGS[name] else ())
    if name in LADDERS or name.endswith(".requirement"):
        words = LADDERS.get(name, "required best-effort").split()
        return frozenset(words[1 : words.index(value) + 1])
    if name in PLACES:
        return frozenset(() if value == PLACES[name] else {value})
    if name in CEILINGS:
        return _up_to(value)
    found: Deeds = _OF[name](value)
    return found


#: Numbers that tell ceilings apart: the samples of every kind, and one beside each.
_NUMBERS = sorted(
    {
        1000,
        1001,
        1000 + (1 << 20),
        *(near for power in range(64) for near in ((1 << power) - 1, 1 << power, (1 << power) + 1)),
    }
)


def _up_to(value: int | None, what: str = "") -> Deeds:
    return frozenset((what, number) for number in _NUMBERS if value is None or number <= value)


def _rlimit(value: Any) -> Deeds:
    return _up_to(value.soft, "soft") | _up_to(value.hard, "hard")


def _user(value: Any) -> Deeds:
    ordinary = {("user", user, group) for user in ("1000", "nobody") for group in _GROUPS}
    natural = {*ordinary, "natural"}
    if value.user == "0":
        return frozenset({("root", value.group)})
    if not value.user:
        return frozenset(natural)
    groups = _GROUPS if value.group == "0" else (value.group,)
    return frozenset(("user", value.user, group) for group in groups)


def _tmpfs(value: Any) -> Deeds:
    if value is None:
        return frozenset()
    bits = {("mode", bit) for bit in range(9) if value.mode >> bit & 1}
    return frozenset({"it", *bits, *value.rights, *(() if value.mode & 0o1000 else ("others' files",))}) | _up_to(
        value.size
    )


def _volume(value: Any) -> Deeds:
    if value is None:
        return frozenset()
    reach = ("rprivate", "private", "slave", "rslave", "shared", "rshared")
    given = [
        "it",
        *value.rights,
        *(["below"] if value.recursive else []),
        *(["owners"] if value.idmap else []),
        *reach[1 : reach.index(value.propagation) + 1],
        *["Z", "z"][: ["", "Z", "z"].index(value.relabel)],
    ]
    return frozenset((value.source, value.target, word) for word in given)


def _use(value: Use | None) -> Deeds:
    if value is None:
        return frozenset()
    if value.is_file:
        place = (value.name, value.target, value.uid, value.gid)
        return frozenset((*place, bit) for bit in range(9) if value.mode >> bit & 1) | {(*place, "it")}
    # What each process inherits, it could also read in a file of the command's own.
    return frozenset({(value.name, value.target)}) | _use(Use(value.name, target=usual(value.name), mode=secrets.MODE))


def _command(value: tuple[str, ...]) -> Deeds:
    """Roots that a scanner objects to: each to one of its own."""
    objections = {("scanner", "{root}"): "one", ("other", "--sarif", "{root}"): "another"}
    return frozenset(
        {"one", "another", "a third"} - {objections[value]} if value else {"one", "another", "a third", "it"}
    )


def _places(value: tuple[str, ...]) -> Deeds:
    """Paths below those that are named, and beside them."""
    paths = ("/srv", "/srv/x", "/srv/data", "/srv/data/x", "/srv/database", "/opt", "/opt/x", "/x")
    return frozenset(path for path in paths for place in value if f"{path}/".startswith(f"{place.rstrip('/')}/"))


def _ports(value: tuple[str, ...]) -> Deeds:
    return frozenset(port for port in ("80", "443", "8080") if port in value or "any" in value)


_OF: Mapping[str, Callable[[Any], Deeds]] = {
    "namespaces.id_map": lambda value: frozenset(_ID_MAPS[value]),
    "process.user": _user,
    "process.rlimits": _rlimit,
    "process.umask": lambda value: frozenset(bit for bit in range(9) if not value >> bit & 1),
    "process.oom_score_adj": lambda value: frozenset(range(value, 1001)),
    "rootfs.tmpfs": _tmpfs,
    "rootfs.volumes": _volume,
    "rootfs.proc.subset": lambda value: frozenset(() if value == "pid" else {"all"}),
    "secrets.given": _use,
    "scan.command": _command,
    **{f"landlock.{name}": _places for name in ("read", "write", "execute", "ioctl")},
    **{f"landlock.{name}": _ports for name in ("bind", "connect")},
    # Each profile objects to something of its own.
    "apparmor.profile": lambda value: frozenset({"web", "base", "it"} - {*value}),
}

# --- which images are trusted: by signatures that one may have ------------------------------------------------------------

IMAGES = tuple(
    map(parse, ("docker.io/library/busybox:1", "docker.io/library/busybox:2", "docker.io/other/x:1", "quay.io/x/y:1",
                "a.example.com:5000/x:1", "b.example.com/x:1", "dir:/srv/x", "dir:/opt/x", "oci:/srv/x:1"))
)  # fmt: skip
_KEYS = ("/one.gpg", "/other.gpg", "/cosign.pub")


@cache
def _accepted(requirements: frozenset[Any], image: Any) -> Deeds:
    """The sets of one or two signatures, each a key and the reference that it names, with which an image is accepted."""
    signed = ("docker.io/library/busybox:1", "docker.io/library/busybox:2", "quay.io/x/y:1")
    signatures = [(key, name) for key in _KEYS for name in dict.fromkeys((str(image.docker or ""), *signed)) if name]
    worlds = [(), *combinations(signatures, 1), *combinations(signatures, 2)]
    return frozenset((image, world) for world in worlds if all(_satisfied(item, image, world) for item in requirements))


def _satisfied(requirement: Any, image: Any, world: Sequence[tuple[str, str]]) -> bool:
    if isinstance(requirement, SignedBy | SigstoreSigned):
        return any(
            key in requirement.key_paths and identities.accepts(requirement.identity, image.docker, name)
            for key, name in world
        )
    return isinstance(requirement, Accept)


# --- everything -----------------------------------------------------------------------------------------------------------


def of_any(name: str, value: Any, calls: Collection[tuple[int, ...]]) -> Deeds:
    """What a value of a setting permits, one of system calls or of images, too."""
    if name == "seccomp.":
        return _called(value, calls)
    if name == "trust.":
        return frozenset().union(*(_accepted(value, image) for image in IMAGES))
    return of(name, value)


def anything(name: str, samples: Collection[Any], calls: Collection[tuple[int, ...]]) -> Deeds:
    """What some value of a setting permits: of places and names there is always another one."""
    others = {"another"} if name in (*PLACES, *_NAMING) else set()
    return frozenset().union(others, *(of_any(name, value, calls) for value in samples))


def all_of(
    table: str,
    schema: Schema,
    settings: Any,
    members: Mapping[str, Collection[str]],
    calls: Collection[tuple[int, ...]],
) -> Iterator[tuple[object, Deeds]]:
    """What settings permit, by what is asked of them: each setting, and of families each of ``members``, of which some are
    named nowhere. Of system calls it is asked what happens with each of the argument vectors ``calls``."""
    for attribute, setting in schema.fields.items():
        name, value = f"{table}.{setting.name}", getattr(settings, attribute)
        if isinstance(setting, Scalar):
            yield name, of(name, value)
        elif name == "trust.":
            for image in IMAGES:
                yield image, _accepted(scopes.match(image, value.named, value.rest).requirements, image)
        else:
            same: dict[int, Deeds] = {}  # hundreds of calls have the same rule
            for member in members[setting.name]:
                found = _looked_up(setting, value, member)
                if name == "seccomp." and id(found) not in same:
                    same[id(found)] = _called(found, calls)
                yield (name, member), same[id(found)] if name == "seccomp." else of(name, found)


def _called(rule: Rule, calls: Collection[tuple[int, ...]]) -> Deeds:
    """Of each call how far it gets: past the answers that are stricter than its own."""
    return frozenset((vector, step) for vector in calls for step in range(rule.value(vector).kind, 8))


def _looked_up(setting: Family[Any], value: Any, member: str) -> Any:
    """The value of a member, named or not: where members are places, that of the nearest one above."""
    if member == WILDCARD:
        return value.rest
    name = member
    while setting.above is not None and name not in value.named and "/" in name.strip("/"):
        name = name.rpartition("/")[0]
    return value.named.get(name, value.rest)
