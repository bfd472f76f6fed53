"""Who runs the command: from what was said, the id map and the root's accounts to numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hardening.base.pointer import lookup
from hardening.errors import ProfileError
from hardening.mechanism.idmaps import IdMaps
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import Identity, RootDirectory, id_maps, joins_user_namespace, natural_ids
from hardening.mechanism.schema import Leaf
from hardening_process.bounds import Bounds
from hardening_process.kinds import User, UserKind
from hardening_process.passwd import Accounts

_USER = Leaf("process", "user")


def can_set_groups(context: Context) -> bool:
    """Whether the launch can replace the caller's supplementary groups: root can, and so can a user namespace whose
    group map the setgid helper has written (user_namespaces(7), /proc/PID/setgroups)."""
    maps = id_maps(context)
    if context.host.root:
        return True
    return joins_user_namespace(context) or (maps is not None and maps.needs_helpers(context.host))


def identify(user: User, groups: Iterable[str], context: Context, accounts: Accounts | None = None) -> Identity:
    """Resolve names and ids by ``accounts``, by default those of the composed root.

    Raises `ProfileError` for a name that they lack, for an id that the user namespace does not map, and for one that a
    limit does not permit.
    """
    accounts = accounts if accounts is not None else Accounts.read(root(context))
    found = look_up(user, groups, context, accounts)
    bounds(context, accounts).require(found.uid, found.gid, found.groups)
    return found


def look_up(user: User, groups: Iterable[str], context: Context, accounts: Accounts) -> Identity:
    """What names and ids amount to, whether or not a limit permits it."""
    uid, gid = natural_ids(context)
    if user.user:
        own = uid, gid
        uid, gid = _user(user.user, accounts)
        if (uid, gid) == (own[0], -1):
            gid = own[1]
        elif gid < 0:
            gid = uid
        if user.group:
            gid = _group(user.group, accounts, "process.user")
    found = sorted({_group(name, accounts, "process.groups") for name in groups}) if can_set_groups(context) else []
    _require_mapped(uid, gid, found, id_maps(context))
    return Identity(uid, gid, tuple(found), accounts.home(uid))


def bounds(context: Context, accounts: Accounts) -> Bounds:
    """The limits of who runs the command, with what its ids mean here: a volume with `idmap` shows files of the host's ids
    as those of the same number."""
    rootfs = context.of(RootDirectory)
    shows_host = rootfs is not None and any(volume.idmap for volume in rootfs.mounted_volumes())
    maps = None if shows_host else id_maps(context)
    return Bounds(context.limits("process"), accounts, natural_ids(context), maps)


def root(context: Context) -> Path:
    """The directory that the command sees as ``/``."""
    rootfs = context.of(RootDirectory)
    return rootfs.directory() if rootfs is not None else Path("/")


def _user(name: str, accounts: Accounts) -> tuple[int, int]:
    """The uid and the account's gid, which is -1 where there is no account."""
    account = accounts.by_uid(int(name)) if name.isdecimal() else accounts.user(name)
    if account is not None and not (account.uid == 0 and not name.isdecimal()):
        return account.uid, account.gid
    if account is not None:  # who names a user means none with root's rights, whatever an image makes of the name
        raise ProfileError(
            f'process.user: "{name}" is root, uid 0, in {accounts.root / "etc/passwd"}',
            hint='write "root" where that is meant, or name another user',
        )
    if name.isdecimal():
        return int(name), 0 if name == "0" else -1
    raise ProfileError(
        f'process.user: there is no user "{name}" in {accounts.root / "etc/passwd"}',
        hint="name a user of the root, or write the id",
    )


def _group(name: str, accounts: Accounts, leaf: str) -> int:
    if name.isdecimal():
        return int(name)
    gid = accounts.group(name)
    if gid is None:
        raise ProfileError(
            f'{leaf}: there is no group "{name}" in {accounts.root / "etc/group"}',
            hint="name a group of the root, or write the id",
        )
    if gid == 0:  # as with users: who names a group means none of root's, whatever an image makes of the name
        raise ProfileError(
            f'{leaf}: "{name}" is root\'s group, gid 0, in {accounts.root / "etc/group"}',
            hint='write "root" where that is meant, or name another group',
        )
    return gid


def _require_mapped(uid: int, gid: int, groups: Iterable[int], maps: IdMaps | None) -> None:
    if maps is None:
        return
    if maps.outside(uid) is None:
        raise _unmapped("process.user", f"uid {uid}", "uid_map", maps)
    for leaf, wanted in (("process.user", [gid]), ("process.groups", groups)):
        for item in wanted:
            if maps.outside_gid(item) is None:
                raise _unmapped(leaf, f"gid {item}", "gid_map", maps)


def _unmapped(leaf: str, what: str, name: str, maps: IdMaps) -> ProfileError:
    ranges = maps.uids if name == "uid_map" else maps.gids
    mapped = ", ".join(f"{r.inside}-{r.inside + r.size - 1}" if r.size > 1 else str(r.inside) for r in ranges)
    why = f"; {maps.limited}" if maps.limited else ""
    return ProfileError(
        f"{leaf}: {what} is not in the user namespace, which has {mapped}{why}",
        hint='choose one of these, or map more ids: root gets a range with namespaces.id_map = "auto", others with '
        '"keep-id" and a range of theirs in /etc/subuid and /etc/subgid',
        setting=leaf,
    )


def tightened_ids(
    user: User, names: Sequence[str], document: Mapping[str, Any], context: Context
) -> tuple[int, int, tuple[int, ...]]:
    """User and group that the tightened configuration runs as, and the groups that the settings name for them.

    Raises `ProfileError` where no limit permits them.
    """
    uid, gid, named = _within_settings(user, names, document, context)
    groups = (*named, *(int(name) for name in names if name.isdecimal()))
    if context.limits("process"):
        within = bounds(context, accounts_of(user, names, document, context))
        if uid and within.why_not(uid, gid):
            gid = uid  # the user's own, where that is one
        within.require(uid, gid, groups)
    return uid, gid, groups


def _within_settings(
    user: User, names: Sequence[str], document: Mapping[str, Any], context: Context
) -> tuple[int, int, tuple[int, ...]]:
    own = lookup(document, "/process/user") or {}
    uid, gid = own.get("uid", 0), own.get("gid", 0)
    limit, kind = context.limit(_USER), UserKind()
    asked = User(str(uid), str(gid))
    # Where no layer names a user, any will do that no limit forbids.
    is_free = not user.user and (limit is None or kind.is_no_looser_than(asked, limit))
    if is_free and all(name.isdecimal() for name in names):
        return uid, gid, ()
    identity = look_up(user, names, context, accounts_of(user, names, document, context))
    wanted = User(str(identity.uid), str(identity.gid))
    if not user.group and limit is None and gid:
        wanted = User(wanted.user, str(gid))  # a named user may be in any group but root's
    if not (is_free or (user.user and kind.is_no_looser_than(asked, wanted))):
        uid, gid = identity.uid, identity.gid
    return uid, gid, identity.groups


def accounts_of(user: User, names: Sequence[str], document: Mapping[str, Any], context: Context) -> Accounts:
    """The accounts of the root that the configuration names."""
    named = [name for name in (user.user, user.group, *names) if name]
    path = str(lookup(document, "/root/path") or "")
    if path.startswith("/"):
        return Accounts.read(Path(path))
    if all(name.isdecimal() for name in named):
        return Accounts(Path(path), (), ())
    if path and context.bundle is None:
        raise ProfileError(
            "process.user: a name cannot be looked up in a root whose path is relative to an unknown bundle",
            hint="write ids in the profile",
        )
    return Accounts.read(context.bundle / path if context.bundle is not None else root(context))
