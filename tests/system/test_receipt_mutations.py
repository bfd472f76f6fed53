"""Nothing stands in a receipt that nobody looks at, and nothing that is looked at can change unseen.

Each item of the receipt of a real run is changed, and each is taken away. Then some line is another one: it does not hold,
or the kernel is quoted with other words. What tells no line anything is listed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import attrs
import pytest

from hardening.mechanism import Context
from hardening.receipt import FORMS
from tests.support import loosenings, runs
from tests.support.features import require
from tests.support.loosenings import Group
from tests.system.test_receipts import SYSCTLS

pytestmark = pytest.mark.system

STACK = """
[namespaces]
time = "private"
[namespaces.sysctls]
"net.ipv4.ip_forward" = "FORWARDED"
"kernel.msgmax" = "4096"
[process]
set_environment = {MODE = "safe"}
[rootfs]
volumes = ["/usr/share:/data:ro"]
[rootfs.proc]
subset = ""
[secrets]
given = ["db"]
"""
#: What decides no line here, and why that is so.
INFORMATIONAL = {
    "pid exe loginuid secrets.*.name secrets.*.name -": "kept for people",
    "status.*": "the fields that are compared are those below",
    "caller_namespaces.*": "it is enough to be in another one: without it nothing is seen",
    "caller_mountinfo.*": "where sources of mounts lie: most of the caller's are no source",
    "caller_cgroup.* cgroup.* cgroup_values.*": "the place alone is compared, and ceilings where some are composed",
    "limits.*": "those that are composed are compared: the names of these are below",
    "seccomp.caller": "counted where filters cannot be read back",
    "observed.effects.*": "what a parameter makes of itself was composed",
    "observed.new_sysctls.*": "compared for what nobody sets",
    "observed.paths.*": "what this host has not, and read-only paths, of which the mount tells",
    "observed.tree.* -": "a place that is not there",
    "mountinfo.* mountinfo.* -": "ids; mounts at the places below are composed, the others are told by what is there",
    "environment.TERM": "the caller's",
}
COMPARED = (
    *(f"status.{name}" for name in ("Uid", "Gid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Umask")),
    *(f"limits.Max {name}" for name in ("open files", "core file size", "locked memory")),
    *(f"mountinfo.{place} -" for place in ("/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/tmp", "/run", "/data", "/usr")),
    *(f"mountinfo.{place}" for place in ("/data", "/usr", "/tmp", "/dev/shm")),
    *(f"observed.devices./dev/{name}{what}" for name in ("null", "zero", "tty") for what in ("", " -")),
    *(f"observed.sysctls.{name}{what}" for name in ("net.ipv4.ip_forward", "kernel.msgmax") for what in ("", " -")),
    "observed.sysctls.net.ipv4.conf.all.forwarding", "observed.paths./etc/shadow", "observed.uts.hostname",
    "uid_map", "gid_map", "setgroups", "cwd", "tty", "personality", "oom_score_adj", "timens_offsets.0", "namespaces.net",
    "caller_namespaces.net -", "environment.HOME", "seccomp.filters.0", "secrets.0.mode", "observed.tree./etc",
)  # fmt: skip


def is_informational(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for key in INFORMATIONAL for pattern in _patterns(key))


def _patterns(key: str) -> list[str]:
    return re.findall(r"\S+(?: -)?", key)


Change = tuple[str, Any]


def _changed(text: str) -> str:
    """Other text of the same form."""

    def other(match: re.Match[str]) -> str:
        return str(int(match[0]) - 1 if int(match[0]) else 1).zfill(len(match[0]))

    return re.sub(r"\d+", other, text) if re.search(r"\d", text) else f"{text}x"


def _called(index: int, item: object) -> str:
    """An item of a list: a mount by its place, a limit by its name."""
    if isinstance(item, str) and " - " in item:
        return item.split(" ")[4]
    return re.split(r"\s{2,}", item)[0] if isinstance(item, str) and item.startswith("Max ") else str(index)


def _changes(value: object, name: str = "") -> Iterator[Change]:
    """Names of items, each with a value that differs in that item alone."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from ((path, {**value, key: other}) for path, other in _changes(item, f"{name}.{key}"))
            if name:
                yield f"{name}.{key} -", {other: value[other] for other in value if other != key}
    elif isinstance(value, list):
        for index, item in enumerate(value):
            rest = (value[:index], value[index + 1 :])
            called = f"{name}.{_called(index, item)}"
            yield from ((path, [*rest[0], other, *rest[1]]) for path, other in _changes(item, called))
            yield f"{called} -", [*rest[0], *rest[1]]
    elif isinstance(value, str) and "\n" in value:
        lines = value.split("\n")
        yield from ((path, "\n".join(other)) for path, other in _changes(lines, name))
    elif isinstance(value, str):
        yield name, _changed(value)
    elif isinstance(value, int):
        yield name, value + 1


def lines(composition: Any, context: Context, report: Mapping[str, Any], *, filters: bool) -> list[tuple[str, ...]]:
    kept = [item for item in composition.mechanisms if filters or item.name != "seccomp"]
    found = [line for item in kept for line in item.verify(composition.settings[item.name], context, report)]
    return [(line.leaf, line.expected, line.kernel, str(line.state)) for line in found]


def test_each_item_of_a_receipt_tells_some_line_something() -> None:
    require("root")
    plugins = runs.installed()
    group = Group("all", [], base=STACK.replace("FORWARDED", SYSCTLS["net.ipv4.ip_forward"]))
    with runs.workplace() as folder:
        report = loosenings.taken(group, "native", None, plugins, folder)
        composition, plan = loosenings.planned(group.layers(), plugins, None, folder)
        context = attrs.evolve(plan.context, spec=plan.spec)
        assert loosenings.held(report, group.layers(), plugins, None, folder).failing == []
        usual = {whole: lines(composition, context, report, filters=whole) for whole in (True, False)}
        silent, told = [], []
        for name, changed in _changes(report):
            name, whole = name.removeprefix("."), name.startswith((".seccomp", ".status.Seccomp", ".status.Spec"))
            if not all(FORMS[key](changed[key]) for key in FORMS):
                continue  # it is refused
            if lines(composition, context, changed, filters=whole) == usual[whole]:
                silent.append(name)
            else:
                told.append(name)
    assert [name for name in silent if not is_informational(name)] == []
    assert sorted({*COMPARED} - {*told}) == []
