"""Hold what the kernel says of the namespaces of a process against the settings (namespaces(7))."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hardening.mechanism import idmaps
from hardening.mechanism.mechanism import Context, Verification
from hardening.mechanism.roles import HOST, PRIVATE
from hardening_namespaces.host import PROC_NAMES, link_of
from hardening_namespaces.settings import TYPES, NamespacesSettings, sysctl_name, sysctl_namespace
from hardening_namespaces.spec import stated_sysctls

_NONE = "(none)"  # what the kernel calls no domain name


def verify(settings: NamespacesSettings, context: Context, receipt: Mapping[str, Any]) -> Iterable[Verification]:
    """The links in /proc/PID/ns against those of the caller, the whole maps of ids, the names, the clocks, and the sysctls
    that differ from those of new namespaces."""
    for name in TYPES:
        yield _namespace(settings, name, receipt)
    yield from _maps(settings, context, receipt)
    yield from _names(settings, receipt)
    yield from _clocks(settings, receipt)
    yield _sysctls(settings, context, receipt)


def _namespace(settings: NamespacesSettings, name: str, receipt: Mapping[str, Any]) -> Verification:
    own, caller = receipt["namespaces"], receipt["caller_namespaces"]
    key, where = PROC_NAMES[name], settings.where(name)
    # None: the kernel has no such namespace.
    link = own.get(key) or "not supported"
    if where == PRIVATE and own.get(key) and not caller.get(key):
        return Verification.unseen(f"namespaces.{name}", where, f"{link}, and the caller's is unknown")
    # An inode number does not tell whose a namespace is: what was joined is not the container's own.
    alien = "the caller's" if link == caller.get(key) else "joined" if key in receipt["joined"] else ""
    holds = bool(own.get(key)) and not alien if where == PRIVATE else where == HOST or link == link_of(name, where)
    return Verification.of(f"namespaces.{name}", where, f"{link} ({alien})" if alien else link, holds)


def _maps(settings: NamespacesSettings, context: Context, receipt: Mapping[str, Any]) -> Iterator[Verification]:
    """Every line of the maps, and whether groups can be dropped (user_namespaces(7), setgroups)."""
    maps = settings.id_maps(context.host)
    also = ("namespaces.uid_map", "namespaces.gid_map")
    if maps is None:  # the caller's maps, or those of whom the command joins: the link of the namespace tells
        link = _namespace(settings, "user", receipt)
        yield Verification("namespaces.id_map", link.expected, link.kernel, link.state, also)
        return
    setgroups = "allow" if context.host.root or maps.needs_helpers(context.host) else "deny"
    same = receipt["setgroups"] == setgroups
    for leaf, side, ranges in (("uid_map", "uid", maps.uids), ("gid_map", "gid", maps.gids)):
        rows, wanted = sorted(idmaps.parse(receipt[f"{side}_map"])), sorted(ranges)
        expected, found = (" ".join(map(str, each)) for each in (wanted, rows))
        yield Verification.of(f"namespaces.{leaf}", expected, found, rows == wanted)
        same = same and rows == wanted
    expected, found = (f"{settings.id_map}, setgroups {word}" for word in (setgroups, receipt["setgroups"]))
    yield Verification.of(
        "namespaces.id_map", expected, found if same else f"other maps, {found.partition(', ')[2]}", same
    )


def _names(settings: NamespacesSettings, receipt: Mapping[str, Any]) -> Iterator[Verification]:
    if settings.uts != PRIVATE:
        return
    found = receipt["observed"].get("uts") or {}
    for name, wanted in (("hostname", settings.hostname), ("domainname", settings.domainname or _NONE)):
        leaf = f"namespaces.{name}"
        if name not in found:
            yield Verification.unseen(leaf, wanted, "the namespace could not be entered")
        else:
            yield Verification.of(leaf, wanted, found[name], found[name] == wanted)


def _clocks(settings: NamespacesSettings, receipt: Mapping[str, Any]) -> Iterator[Verification]:
    offsets = {
        words[0]: words[1] for line in (receipt["timens_offsets"] or "").splitlines() for words in [line.split()]
    }
    if settings.time == PRIVATE:
        for clock, wanted in (("boottime", settings.boottime_offset), ("monotonic", settings.monotonic_offset)):
            none = None if receipt["namespaces"].get("time") else "0"  # a kernel without such namespaces
            leaf, found = f"namespaces.time_offsets.{clock}", offsets.get(clock, none)
            if found is None:
                yield Verification.unseen(leaf, str(wanted), "it may not be read")
            else:
                yield Verification.of(leaf, str(wanted), found, found == str(wanted))


def _sysctls(settings: NamespacesSettings, context: Context, receipt: Mapping[str, Any]) -> Verification:
    """Each parameter that was composed has its value, each that those change has what they make of it, and all others are
    those of new namespaces."""
    leaf = "namespaces.sysctls.*"
    private = [name for name in TYPES if settings.where(name) == PRIVATE and not context.lacks(f"namespaces.{name}")]
    stated = stated_sysctls(settings, private)
    found, new, effects = (receipt["observed"].get(key) for key in ("sysctls", "new_sysctls", "effects"))
    expected = _shown(stated) or "those of new namespaces"
    if found is None or new is None or effects is None:
        return Verification.unseen(leaf, expected, "the namespaces could not be entered")
    effects = {sysctl_name(cause): changed for cause, changed in effects.items()}
    implied = {name: value for cause in stated for name, value in effects.get(cause, {}).items()}
    unread = [name for name in {**stated, **implied} if name not in found]
    if unread:
        return Verification.unseen(leaf, expected, f"unread: {', '.join(unread)}")
    wanted = {**new, **implied, **stated}
    # What is joined by path has the parameters that its owner gave it.
    joined = [name for name in TYPES if settings.where(name) not in (PRIVATE, HOST)]
    own = {name: value for name, value in found.items() if (sysctl_namespace(name) or "ipc") not in joined}
    other = {name for name, value in own.items() if value.split() != wanted.get(name, "").split()}
    kernel = _shown({name: found[name] for name in {*stated, *other}}) or "those of new namespaces"
    return Verification.of(leaf, expected, kernel, not other)


def _shown(values: Mapping[str, str]) -> str:
    return " ".join(f"{name}={','.join(value.split())}" for name, value in sorted(values.items()))
