"""How a foreign configuration is made nowhere looser than the settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hardening.base.pointer import lookup
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context, Violation
from hardening.mechanism.roles import Identity
from hardening.mechanism.schema import Leaf
from hardening_process import foreign_resources, spec
from hardening_process.facts import effective_oom_score_adj, effective_rlimit
from hardening_process.kinds import ResourceLimit, RlimitKind, UmaskKind
from hardening_process.secrets import why_secret
from hardening_process.settings import RLIMITS, ProcessSettings
from hardening_process.users import accounts_of


def tighten(
    settings: ProcessSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
) -> Iterator[Violation]:
    """Keep what the configuration asks for within the settings, cut the rest, add what is missing."""
    process = document.get("process") or {}
    yield from _user(settings, document, context, fragment)
    yield from _environment(settings, document, context, fragment)
    yield from _rlimits(settings, process.get("rlimits") or [], context, fragment)
    asked, least = process.get("oomScoreAdj"), effective_oom_score_adj(settings, context)
    if asked is not None and asked < least:
        yield Violation("/process/oomScoreAdj", str(asked), str(least), "process.oom_score_adj")
    fragment.put("/process/oomScoreAdj", max(least, asked if asked is not None else least), "process.oom_score_adj")
    yield from foreign_resources.tighten(settings, document, context, fragment)


def _user(
    settings: ProcessSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
) -> Iterator[Violation]:
    user = dict(lookup(document, "/process/user") or {})
    uid, gid, allowed = settings.tightened_ids(document, context)
    if (uid, gid) != (user.get("uid", 0), user.get("gid", 0)):
        yield Violation("/process/user", f"{user.get('uid', 0)}:{user.get('gid', 0)}", f"{uid}:{gid}", "process.user")
    asked, permitted = user.get("additionalGids") or [], {*allowed, gid}
    kept = [group for group in asked if group in permitted]
    if len(kept) < len(asked):
        dropped = ", ".join(str(group) for group in asked if group not in permitted)
        yield Violation("/process/user/additionalGids", dropped, "none of these", "process.groups")
    mask = user.get("umask")
    if mask is not None and not UmaskKind().is_no_looser_than(mask, settings.umask):
        yield Violation("/process/user/umask", f"{mask:03o}", f"{mask | settings.umask:03o}", "process.umask")
    user |= {"uid": uid, "gid": gid, "umask": (mask or 0) | settings.umask}
    user.pop("additionalGids", None)
    if kept:
        user["additionalGids"] = kept
    fragment.put("/process/user", user, "process.user", "process.groups", "process.umask")


def _environment(
    settings: ProcessSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
) -> Iterator[Violation]:
    """A configuration's environment is its own: it is kept, of two values the last, as execve(2)'s callers have it. In the
    place of a variable that a limit forbids stands that of a command of the settings, if such a one has it."""
    pointer = "/process/env"
    last = {entry.partition("=")[0]: (index, entry) for index, entry in enumerate(lookup(document, pointer) or ())}
    permitted = {name: context.limit(Leaf("process", "environment", name), True) for name in last}
    own: Mapping[str, str] = {}
    if not all(permitted.values()):
        own = _own_environment(settings, document, context)
        fragment.replace(pointer, "process.environment")
    for name, (index, entry) in last.items():
        kept = entry if permitted[name] else own.get(name)
        if kept is not None:
            fragment.item(pointer, name, kept, "process.environment")
        if kept != entry:
            leaf = f"process.environment.{name}"
            yield Violation(f"{pointer}/{index}", f"{name} as it is", kept or f"{name} unset", leaf)
        elif reason := why_secret(name, entry.partition("=")[2]):
            yield Violation(f"{pointer}/{index}", reason, "kept: hand secrets over as files", "process.environment")


def _own_environment(settings: ProcessSettings, document: Mapping[str, Any], context: Context) -> dict[str, str]:
    """The variables of a command of the settings, as whom the tightened configuration runs."""
    uid, gid, groups = settings.tightened_ids(document, context)
    accounts = accounts_of(settings.user, settings.groups.having(True), document, context)
    identity = Identity(uid, gid, groups, accounts.home(uid))
    return {name: f"{name}={value}" for name, value, _ in spec.environment(settings, identity, context)}


def _rlimits(
    settings: ProcessSettings, entries: Iterable[Mapping[str, Any]], context: Context, fragment: Fragment
) -> Iterator[Violation]:
    asked = {str(entry.get("type")): (index, entry) for index, entry in enumerate(entries)}
    for name in RLIMITS:
        ceiling = effective_rlimit(name, settings, context)
        index, entry = asked.pop(f"RLIMIT_{name.upper()}", (None, None))
        if entry is None:
            if ceiling is not None:
                fragment.item("/process/rlimits", name, spec.to_oci(name, ceiling), f"process.rlimits.{name}")
            continue
        wanted = ResourceLimit(_finite(entry.get("soft")), _finite(entry.get("hard")))
        met = RlimitKind().intersect(wanted, ceiling) if ceiling is not None else wanted
        if met != wanted:
            show = RlimitKind().show
            yield Violation(f"/process/rlimits/{index}", show(wanted), show(met), f"process.rlimits.{name}")
        fragment.item("/process/rlimits", name, spec.to_oci(name, met), f"process.rlimits.{name}")
    for kind, (_, entry) in asked.items():
        # No limit that this mechanism knows: whether to refuse it is the runtime's to say.
        fragment.item("/process/rlimits", kind, dict(entry), "process.rlimits")


def _finite(value: int | None) -> int | None:
    return None if value is None or value < 0 or value >= spec.INFINITY else value
