"""Whether the ids of a command are within the limits of `user` and `groups`, whatever they were said by: the files of an
image make names, and the group of an account, into any number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hardening.base.values import frozen
from hardening.errors import ProfileError
from hardening.mechanism.idmaps import IdMaps
from hardening.mechanism.schema import WILDCARD
from hardening_process.kinds import User
from hardening_process.passwd import Accounts

_HINT = "no exception lifts a limit: run as another user or group, or have the limit changed where it is set"
_PERMIT = (
    "no exception lifts a limit: run as another user or group, or have the group permitted where the limit is set, below "
    "[limits.process]:"
)


@frozen
class Bounds:
    """``limits`` are those of `[limits.process]`, by setting and member; ``accounts`` those that names are looked up in;
    ``natural`` the user and group that the command has when nothing is said; ``maps`` None where ids are the host's."""

    limits: Mapping[tuple[str, str], Any]
    accounts: Accounts
    natural: tuple[int, int]
    maps: IdMaps | None

    def require(self, uid: int, gid: int, groups: Iterable[int]) -> None:
        """Raise `ProfileError` for a user with its group, and for a supplementary group, that no limit permits."""
        if why := self.why_not(uid, gid):
            raise ProfileError(f"process.user: {uid}:{gid} {why}", hint=self._permit(gid))
        for group in groups:
            if not self._permits(group):
                raise ProfileError(
                    f"process.groups: {group} exceeds the limit of process.groups", hint=self._permit(group)
                )

    def why_not(self, uid: int, gid: int) -> str:
        """Why a user may not have this group for its first one; empty where it may. A user's own needs no permission, and
        any other is one of its groups."""
        limit = self.limits.get(("user", "")) or User()
        binds = bool(limit.user) and not limit.is_root
        if binds and limit.group:
            return ""  # the fold held the group that was said to that of the limit
        if not self.limits or limit == User(str(uid), str(gid)) or self._is_own(uid, gid):
            return ""
        named = not self._groups().get(WILDCARD, True)
        if binds and not (named and self._permits(gid)):
            return f"exceeds the limit {limit} of process.user, which names no group"
        return "" if self._permits(gid) else "has a group that exceeds the limit of process.groups"

    def _groups(self) -> dict[str, bool]:
        return {member: value for (setting, member), value in self.limits.items() if setting == "groups"}

    def _permits(self, gid: int) -> bool:
        """Whether the limit of `groups` permits an id. Where it names those that may be, one of the names is enough; where
        it names those that may not, each of them counts, those of the host too: an image need not know them."""
        members, names = self._groups(), {str(gid), *_names(self.accounts, gid)}
        if not members.get(WILDCARD, True):
            return any(members.get(name, False) for name in (names if gid else {"0"}))
        if all(members.values()):
            return True
        return all(members.get(name, True) for name in {*names, *_names(_host(), gid)})

    def _permit(self, gid: int) -> str:
        """The hint for a group: the line that permits it, where the limit names those that may be."""
        from hardening.profile.toml_text import inline  # for errors

        members = self._groups()
        if members.get(WILDCARD, True) and not all(members.values()):
            return _HINT  # the limit takes this one away
        named = sorted(name for name, value in members.items() if value and name != WILDCARD)
        return f"{_PERMIT}\ngroups = {inline([*named, str(gid)])}"

    def _is_own(self, uid: int, gid: int) -> bool:
        """Whether a group is the user's own: the natural one's, that of the host's account, or that of the same number in
        a private user namespace, and outside of one where the host has no such account and no such group. The account of
        another root is no witness."""
        if (uid, gid) == self.natural:
            return True
        private = self.maps is not None and self.maps.outside_gid(gid) != gid
        if private and self.accounts.root != Path("/"):
            return uid == gid
        known = _host()
        account = known.by_uid(uid)
        if account is not None and account.gid == gid:
            return True
        return uid == gid and (private or (account is None and not _names(known, gid)))


def _host() -> Accounts:
    return Accounts.read(Path("/"))


def _names(accounts: Accounts, gid: int) -> list[str]:
    return [name for name, known in accounts.groups if known == gid]
