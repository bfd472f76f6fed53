"""Why a system call failed, where a secret is not there, not this user's, or not to be changed (``hardening why``)."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import attrs

from hardening.errors import HardeningError
from hardening.launch.secret import secrets
from hardening.mechanism.denial import Cause, SystemCall, Way
from hardening.mechanism.idmaps import inside
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import id_maps
from hardening_secrets.settings import SecretsSettings, Use, is_name, leaf, usual
from hardening_secrets.store import SecretStore

_CHANGES = frozenset({"write", "create", "remove", "change"})


def denied(settings: SecretsSettings, context: Context, call: SystemCall) -> Iterator[Cause]:
    """The causes."""
    given = next((use for use in settings.uses() if use.is_file and use.target == call.path), None)
    if given is None:
        yield from _not_given(call)
    elif call.access & _CHANGES:
        if call.failed_with(errno.EROFS, errno.EBUSY):
            what, advice = f"{call.path} is a secret, and read-only", "copy it to a place in memory: /tmp"
            yield Cause(leaf(given), what, advice=advice, certain=bool(call.error))
    elif call.error == errno.EACCES and given.mode & 0o444 != 0o444:
        yield from _not_theirs(given, context, call)


def _not_given(call: SystemCall) -> Iterator[Cause]:
    """A secret that the caller has, and that no layer gives to the command."""
    place, _, name = call.path.rpartition("/")
    if place != secrets.PLACE or not is_name(name) or not call.failed_with(errno.ENOENT):
        return
    try:
        known = SecretStore.of_caller().known(name)
    except HardeningError:
        return  # a store that nobody may trust gives nothing
    if known is not None:
        use = Use(name, target=usual(name))
        yield Cause(leaf(use), f"the secret {name} is not given to the command", (Way(leaf(use), use),))


def _not_theirs(given: Use, context: Context, call: SystemCall) -> Iterator[Cause]:
    """A file that another user of the command's reads."""
    maps = id_maps(context)
    uid = call.caller.uid if maps is None else inside(maps.uids, call.caller.uid)
    owner = "the command's user" if given.uid is None else f"user {given.uid}"
    if uid is None or uid == given.uid:
        return
    ways = [attrs.evolve(given, uid=uid, origin=None), attrs.evolve(given, mode=given.mode | 0o444, origin=None)]
    what = f"{given.target} is for {owner} alone ({given.mode:04o}), and the caller is user {uid}"
    yield Cause(leaf(given), what, [Way(leaf(given), use) for use in ways])
