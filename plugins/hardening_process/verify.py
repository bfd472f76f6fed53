"""Hold what the kernel says of a process against the settings (proc(5), cgroups(7))."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from hardening.launch.config.variables import public
from hardening.launch.secret.secrets import ENV, named
from hardening.mechanism import idmaps
from hardening.mechanism.mechanism import Context, State, Verification
from hardening.mechanism.roles import Identity, RootDirectory
from hardening_process import limits
from hardening_process.facts import stated_ceilings
from hardening_process.kinds import (
    CPU_PERIOD,
    NO_CEILING,
    UNLIMITED,
    Bound,
    CpuBound,
    ResourceLimit,
    RlimitKind,
    UmaskKind,
    lower,
)
from hardening_process.settings import RLIMITS, ProcessSettings
from hardening_process.spec import cgroup_path, enforceable

_STANDARD = [0, 1, 2]
_V1_UNLIMITED = 1 << 62  # what memory.limit_in_bytes has at least where there is no limit


def verify(settings: ProcessSettings, context: Context, receipt: Mapping[str, Any]) -> Iterator[Verification]:
    """Ids, groups, environment, limits, mask, score, terminal, descriptors and the control group."""
    document = context.spec.document if context.spec is not None else {}
    identity = settings.resolve(context)
    yield from _ids(settings, identity, context, receipt)
    for line in _environment(settings, document, receipt):  # a program that it has executed since may have others
        yield attrs.evolve(line, state=State.NOT_SEEN) if context.has_run and not line.holds else line
    if not context.has_run:
        yield _cwd(settings, context, receipt)
    found = limits.parse(receipt["limits"])
    for name in RLIMITS:
        ceiling, seen, kind = settings.rlimits[name], found.get(name, UNLIMITED), RlimitKind()
        if context.has_run:  # up to the hard limit a process goes by itself
            seen = ResourceLimit(lower(seen.soft, ceiling.soft), seen.hard)
        if ceiling != UNLIMITED:
            expected = f"at most {kind.show(ceiling)}"
            yield Verification.of(
                f"process.rlimits.{name}", expected, kind.show(seen), kind.is_no_looser_than(seen, ceiling)
            )
    mask, wanted = receipt["status"]["Umask"], UmaskKind()
    held = wanted.is_no_looser_than(int(mask, 8), settings.umask)
    yield Verification.of("process.umask", f"at least {wanted.show(settings.umask)}", mask, held)
    score = int(receipt["oom_score_adj"])
    yield Verification.of(
        "process.oom_score_adj", f"at least {settings.oom_score_adj}", str(score), score >= settings.oom_score_adj
    )
    yield from _terminal(settings, context, receipt)
    persona = receipt["personality"]
    if persona is None:
        yield Verification.unseen("process", "the native personality", "it may not be read")
    else:
        yield Verification.of("process", "the native personality", persona, not int(persona, 16))
    yield from _resources(settings, context, receipt)


def _ids(
    settings: ProcessSettings, identity: Identity, context: Context, receipt: Mapping[str, Any]
) -> Iterator[Verification]:
    status = receipt["status"]
    uid_map, gid_map = (idmaps.parse(receipt[name]) for name in ("uid_map", "gid_map"))
    uids = [idmaps.inside(uid_map, int(uid)) for uid in status["Uid"].split()]
    gids = [idmaps.inside(gid_map, int(gid)) for gid in status["Gid"].split()]
    for name, wanted, ids in (("uid", identity.uid, uids), ("gid", identity.gid, gids)):
        dropped = context.has_run and identity.is_root and None not in ids  # root becomes whom it likes
        yield Verification.of(
            "process.user", f"{name} {wanted}", f"{name} {_show(ids)}", dropped or set(ids) == {wanted}
        )
    # One that the namespace does not map is the caller's, and could not be dropped.
    groups = [(int(gid), idmaps.inside(gid_map, int(gid))) for gid in status["Groups"].split()]
    beyond = [(host, inside) for host, inside in groups if inside is None or inside not in gids]
    permitted = {*identity.groups, *(int(name) for name in settings.groups.having(True) if name.isdecimal())}
    held = all((host if inside is None else inside) in permitted for host, inside in beyond)
    shown = ", ".join(str(inside) if inside is not None else f"{host} of the host" for host, inside in beyond) or "none"
    expected = ", ".join(settings.groups.having(True)) or "none"
    yield Verification.of("process.groups.*", expected, shown, held)


def _environment(
    settings: ProcessSettings, document: Mapping[str, Any], receipt: Mapping[str, Any]
) -> Iterator[Verification]:
    """The names of the variables, and the values of those that a profile says; those that are typed or passed on no receipt
    has."""
    process = document.get("process") or {}
    composed = dict(entry.split("=", 1) for entry in process.get("env") or ())
    permitted = settings.environment.having(True)
    secrets = {secret.target for secret in named(document) if secret.kind == ENV}
    names = {*composed, *permitted, *secrets}
    named_leaf, set_leaf = "process.environment.*", "process.set_environment.*"
    found = receipt["environment"]
    if found is None:
        yield Verification.unseen(named_leaf, " ".join(sorted(names)), "it may not be read", set_leaf)
        return
    beyond = [name for name in found if name not in names]
    expected, shown = " ".join(sorted({*composed, *secrets})), " ".join(sorted(found))
    yield Verification.of(named_leaf, expected, f"also {', '.join(beyond)}" if beyond else shown, not beyond)
    stated = public(document)
    unseen = [name for name in stated if name in found and found[name] is None]
    # What the command line says here may be said by a profile there.
    told = {name: found[name] for name in {*stated, *composed.keys() - permitted} if found.get(name) is not None}
    other = {name: value for name, value in told.items() if composed[name] != value}
    # Their values are in no receipt and no digest of one, by which a short password could be guessed.
    nameless = sorted(composed.keys() - permitted - stated.keys() - told.keys())
    expected = " ".join([_shown(stated), *(f"{name} (value not compared)" for name in nameless)]).strip()
    absent = [f"no {name}" for name in (*stated, *nameless) if name not in found]
    if other or absent or not unseen:
        shown = " ".join([_shown(other), *absent]).strip() if other or absent else _shown(told)
        yield Verification.of(set_leaf, expected, shown, not other and not absent)
    else:
        yield Verification.unseen(set_leaf, expected, f"another value of {', '.join(unseen)}, or not a profile's")


def _shown(values: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(values.items()))


def _cwd(settings: ProcessSettings, context: Context, receipt: Mapping[str, Any]) -> Verification:
    root, found = context.of(RootDirectory), receipt["cwd"]
    wanted = root.resolved(settings.cwd) if root is not None else os.path.realpath(settings.cwd)
    if found is None:
        return Verification.unseen("process.cwd", wanted, "it may not be read")
    return Verification.of("process.cwd", wanted, found, found == wanted)


def _terminal(settings: ProcessSettings, context: Context, receipt: Mapping[str, Any]) -> Iterator[Verification]:
    tty, descriptors = receipt["tty"], receipt["descriptors"]
    expected = "a terminal of its own" if settings.terminal else "no terminal"
    if tty is None:
        yield Verification.unseen("process.terminal", expected, "it may not be read")
    else:
        yield Verification.of(
            "process.terminal", expected, f"tty {tty}" if tty else "no terminal", settings.terminal or not tty
        )
    if context.has_run:
        return
    if descriptors is None:
        yield Verification.unseen("process", "descriptors 0, 1, 2", "they may not be read")
    else:
        shown = f"descriptors {', '.join(map(str, descriptors))}"
        yield Verification.of("process", "descriptors 0, 1, 2", shown, set(descriptors) <= set(_STANDARD))


def _resources(settings: ProcessSettings, context: Context, receipt: Mapping[str, Any]) -> Iterator[Verification]:
    """The values in the files of the process's control groups, and where these lie."""
    found = ceilings(receipt["cgroup_values"])
    for name, wanted in stated_ceilings(settings).items():
        kind = CpuBound() if name == "cpu" else Bound(size=name != "pids")
        seen = found.get(name)
        expected = f"at most {kind.show(wanted)}"
        if seen is None:
            yield Verification.of(f"process.resources.{name}", expected, "no limit that can be read", False)
        else:
            yield Verification.of(f"process.resources.{name}", expected, kind.show(seen), seen <= wanted)
    yield _control_group(settings, context, receipt)


def _control_group(settings: ProcessSettings, context: Context, receipt: Mapping[str, Any]) -> Verification:
    """Where the control groups of the process lie. A runtime that is told nothing makes one below the caller's own, or at
    the top."""
    own = _groups(receipt["caller_cgroup"])
    moved = {name: path for name, path in _groups(receipt["cgroup"]).items() if path != own.get(name)}
    told = bool(settings.cgroup or enforceable(settings, context))
    parent = posixpath.dirname(cgroup_path(settings, context)) if told else "/"
    beyond = {
        path
        for name, path in moved.items()
        if posixpath.dirname(path) not in (own.get(name), posixpath.join(own.get(name, "/"), parent))
    }
    expected = f"below {settings.cgroup}" if settings.cgroup else "the caller's, or below it"
    if context.has_run and not settings.cgroup:
        groups = ", ".join(dict.fromkeys(_groups(receipt["cgroup"]).values()))
        return Verification.of("process.resources.cgroup", "that of whoever launched it", groups, True)
    shown = ", ".join(sorted(beyond or set(moved.values()))) or "the caller's"
    held = not beyond and (bool(moved) or not settings.cgroup)
    return Verification.of("process.resources.cgroup", expected, shown, held)


def ceilings(values: Mapping[str, str]) -> dict[str, int]:
    """What control groups limit, by leaf below `resources`, in the units of the settings."""
    found: dict[str, int] = {}
    numbers = {name: int(text) for name, text in values.items() if text.lstrip("-").isdecimal()}
    numbers |= {name: NO_CEILING for name, text in values.items() if text == "max"}
    if "pids.max" in numbers:
        found["pids"] = numbers["pids.max"]
    memory = numbers.get("memory.max", numbers.get("memory.limit_in_bytes"))
    if memory is not None:
        found["memory"] = memory if memory < _V1_UNLIMITED else NO_CEILING
    both = numbers.get("memory.memsw.limit_in_bytes")
    if "memory.swap.max" in numbers and memory is not None:
        both = min(NO_CEILING, memory + numbers["memory.swap.max"])
    if both is not None:
        found["memory_swap"] = both if both < _V1_UNLIMITED else NO_CEILING
    quota, _, period = values.get("cpu.max", "").partition(" ")
    quota, period = quota or values.get("cpu.cfs_quota_us", ""), period or values.get("cpu.cfs_period_us", "")
    if quota in ("max", "-1"):
        found["cpu"] = NO_CEILING
    elif quota.isdecimal() and period.isdecimal() and int(period):
        found["cpu"] = -(-int(quota) * CPU_PERIOD // int(period))
    return found


def _groups(text: str | None) -> dict[str, str]:
    """The control groups of a process by controllers."""
    return {words[1]: words[2] for line in (text or "").splitlines() for words in [line.split(":", 2)]}


def _show(ids: Iterable[int | None]) -> str:
    return ", ".join(sorted({"unmapped" if item is None else str(item) for item in ids}))
