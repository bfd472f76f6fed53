"""Nothing stands in a receipt that nobody looks at, and nothing that is looked at can change unseen.

Each item of the receipt of a real run is changed, each is taken away, and something is put beside. Then some line is another
one: it does not hold, or the kernel is quoted with other words. What tells no line anything is listed here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Any

import attrs
import pytest

from hardening.base.linux import mountinfo
from hardening.launch.config.model import DEFAULT_DEVICES
from hardening.mechanism.mechanism import Context, State
from hardening.runs.receipt import FORMS
from hardening_rootfs import hidden
from tests.support import loosenings, runs
from tests.support.features import require
from tests.support.loosenings import Group
from tests.support.sample import is_whole
from tests.support.users import ordinary
from tests.system.test_receipts import LOW, SYSCTLS, tomls

pytestmark = pytest.mark.system

STACK = """
[namespaces]
{time}[namespaces.sysctls]
"net.ipv4.ip_forward" = "{forwarded}"
"kernel.msgmax" = "4096"
[process]
set_environment = {{MODE = "safe"}}
[rootfs]
volumes = ["/usr/share:/data:ro"]
[rootfs.proc]
subset = ""
[secrets]
given = ["db"]
{resources}[process.rlimits]
""" + tomls(LOW)
TIME = 'time = "private"\n'  # which runc 1.1 does not know, and crun only where the container's root is the caller
#: Limits of a control group, which neither an ordinary user nor crun need have here.
RESOURCES = """[process.resources]
pids = 200
memory = "256M"
memory_swap = "256M"
cpu = 1
"""
#: Who starts a command with what, a receipt each.
STARTS = [(caller, runtime) for caller in ("root", "user") for runtime in runs.RUNTIMES]
BY_START = pytest.mark.sampled(kinds=lambda row: (*row["seen"], str(row.get("changes"))))
#: A file system of the caller's.
HOST = mountinfo.read()[0].device
FIELDS = ("device", "host", "top", "tied", "kind")
#: What mounts take away, and what a value in the options of a file system becomes.
RESTRICTIONS = ("ro", "nosuid", "nodev", "noexec")
LOOSER = {
    "size": "size=9999999k",
    "mode": "mode=1777",
    "nr_inodes": "nr_inodes=999999",
    "hidepid": "hidepid=off",
    "subset": "subset=",
}
#: What decides no line here, and why that is so; below, what depends on the host.
INFORMATIONAL = {
    "pid exe loginuid secrets.*.name secrets.*.name -": "kept for people",
    **{
        " ".join(f"status.{name} status.{name} -" for name in names.split()): why
        for names, why in {
            "Name State Tgid Ngid Pid PPid TracerPid NStgid NSpid NSpgid NSsid Kthread Threads": "which process it is",
            "Vm* Rss* HugetlbPages CoreDumping THP_enabled untag_mask x86_Thread_features* FDSize *ctxt_switches":
                "what it has used until then",
            "SigQ SigPnd ShdPnd SigBlk SigIgn SigCgt Cpus_allowed* Mems_allowed*": "the caller's, and no setting's",
            "Seccomp Speculation*": "the filters tell it, and the digest of what was loaded",
        }.items()
    },
    "caller_cgroup.* - cgroup.* -": "the kernel tells of all hierarchies: of one alone there is no path to compare",
    "limits.0 limits.0 -": "the headings",
    "limits.Max?file?locks limits.Max?file?locks -": "the kernel ignores it",
    "observed.effects.net.ipv4.ip_forward.net.ipv4.ip_forward* observed.effects.kernel.msgmax*":
        "what a parameter makes of itself was composed",
    "observed.tree.* -": "a place that is not there",
    "environment.TERM environment.LANG environment.LC_*": "the caller's",
    "enforce": "of a host without SELinux",
    "mountinfo.*.id mountinfo.*.parent mountinfo.*.source": "the kernel's number and the name that was given",
    " ".join(f"mountinfo./run/secrets{what}" for what in (" -", ".host", ".top", ".kind", ".size", ".nr_inodes", ".mode")):
        "what is in the place of secrets is told by each secret",
    "mountinfo./.kind mountinfo./.top mountinfo./.device mountinfo./.host": "a root that was made is told by its entries",
    " ".join(f"caller_mountinfo.*.{word}" for word in ("id", "parent", "source", "kind", "tied")):
        "where something lies is its device and path",
    " ".join(f"caller_mountinfo.*.{word}" for word in (*RESTRICTIONS, *LOOSER)):
        "what the caller may do there says nothing of the container's own mount",
}  # fmt: skip


def informational(report: Mapping[str, Any], document: Mapping[str, Any], root: str) -> Iterator[str]:
    """What decides no line on this host: names of items, or patterns of them. The root is built at ``root``."""
    linux = document["linux"]
    if not linux.get("resources"):  # nothing of a control group was asked for
        yield from ("cgroup_values.*", "caller_cgroup.*")
    if "time" not in {item["type"] for item in linux["namespaces"]}:  # it is the caller's
        yield from ("timens_offsets.*", "caller_namespaces.time")
    for line in report["mountinfo"]:
        (*_, place, _), (*_, options) = (part[:6] for part in mountinfo.fields(line))
        if "ro" in options.split(","):  # the file system itself, whatever its mount says
            yield f"mountinfo.{place}.ro"
        # What a runtime has mounted to build the root, where a bind shows that place: judged by what it is a copy of.
        if place.startswith(f"{root}/") or place == root:
            yield from (
                f"mountinfo.{place}{what}"
                for what in (" -", *(f".{word}" for word in (*FIELDS, *RESTRICTIONS, *LOOSER)))
            )
    for path in (*linux["maskedPaths"], *DEFAULT_DEVICES):  # what is visible there is told
        yield f"mountinfo.{path} -"
        told = ("top", "kind", "ro") if report["observed"]["paths"].get(path) == "empty" else ()
        yield from (f"mountinfo.{path}.{word}" for word in (*FIELDS, *RESTRICTIONS, *LOOSER) if word not in told)
    for path in linux["readonlyPaths"]:
        yield from (f"observed.paths.{path}", f"observed.paths.{path} -")  # its mount tells
        # A part of the kernel's own files has no programs and no devices, whose options are those of all of it.
        yield from (f"mountinfo.{path}.{word}" for word in ("kind", "nosuid", "nodev", "noexec", *LOOSER))
    for path in linux["maskedPaths"]:  # it is not there, here and in the container
        if report["observed"]["paths"].get(path) == "absent":
            yield f"observed.paths.{path} -"
    for path in hidden.PATHS:  # somebody else has removed it meanwhile: it is not looked for any more
        if not os.path.lexists(path):
            yield f"observed.paths.{path} -"
    for mount in document["mounts"]:
        # The device tells what is bound, and of a file system that was made it is any but one of the caller's.
        bound = {"bind", "rbind"} & {*mount.get("options", ())}
        yield f"mountinfo.{mount['destination']}.{'kind' if bound else 'device'}"
    # Those that are set, or change with one that is, have the value of that.
    implied = {name for changed in report["observed"]["effects"].values() for name in changed}
    for name in implied | linux["sysctl"].keys():
        yield from (f"observed.new_sysctls.{name}", f"observed.new_sysctls.{name} -")
    sources = [str(mount["source"]) for mount in document["mounts"] if str(mount.get("source", "")).startswith("/")]
    others = {line.split(" ")[4] for line in report["caller_mountinfo"]}
    covers = {
        max((place for place in others if f"{source}/".startswith(f"{place.rstrip('/')}/")), key=len)
        for source in sources
    }
    for place in others - covers:  # nothing of the container's lies there
        yield f"caller_mountinfo.{place} -"
        yield from (f"caller_mountinfo.{place}.{word}" for word in ("device", "top", "place", "host"))


#: What is put into lists and tables: no part of the configuration.
ADDED: dict[str, Any] = {
    "joined": ["net"],
    "descriptors": [9],
    "status": {"Groups": "5"},
    "environment": {"ANOTHER": None},
    "mountinfo": ["9999 1 0:999 / /another rw - tmpfs tmpfs rw"],
    "secrets": [{"name": "other", "type": "mount", "target": "/run/secrets/other", "found": True}],
    "observed.nodes": {"/dev/another": "b 8:0"},
    "observed.tree": {"/another": "file 7"},
}
COMPARED = (
    *(f"status.{name}" for name in ("Uid", "Gid", "NoNewPrivs", "Umask")),
    *(f"status.Cap{name}" for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")),
    *(f"limits.Max {name}" for name in ("open files", "core file size", "locked memory", "stack size", "processes")),
    *(f"mountinfo.{place} -" for place in ("/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/tmp", "/run", "/data", "/usr")),
    *(f"observed.devices./dev/{name}{what}" for name in ("null", "zero", "tty") for what in ("", " -")),
    *(f"observed.sysctls.{name}{what}" for name in ("net.ipv4.ip_forward", "kernel.msgmax") for what in ("", " -")),
    "observed.sysctls.net.ipv4.conf.all.forwarding", "observed.paths./etc/shadow", "observed.uts.hostname",
    *(f"mountinfo.{place}.{word}" for place in ("/proc", "/tmp", "/data") for word in ("top", "place", "tied")),
    *(f"mountinfo.{place}.{word}" for place in ("/proc", "/tmp") for word in RESTRICTIONS[1:]),
    *(f"mountinfo.{place}.{word}" for place in ("/proc", "/tmp") for word in ("host", "kind")),
    "mountinfo./proc.hidepid", "mountinfo./tmp.size", "mountinfo./run.mode",
    *(f"mountinfo./data.{word}" for word in ("device", "ro", "nosuid", "nodev")),
    "mountinfo./dev/mqueue.host", "mountinfo./dev/pts.host", "mountinfo./dev/pts.mode", "mountinfo./dev/shm.size",
    "environment.MODE", "environment.MODE -", "environment.PATH", "cgroup_values.cpu.cfs_quota_us",
    *(f"{name} +" for name in ADDED),
    "uid_map", "gid_map", "setgroups", "cwd", "tty", "personality", "oom_score_adj", "timens_offsets.0", "namespaces.net",
    "caller_namespaces.net", "caller_namespaces.net -", "environment.HOME", "seccomp.filters.0", "secrets.0.mode",
    "observed.tree./etc",
)  # fmt: skip


def compared(seen: Seen) -> set[str]:
    """What must decide a line; of `COMPARED` all but what this receipt does not have."""
    assert seen.context.spec is not None
    linux = seen.context.spec.document["linux"]
    absent = set() if linux.get("resources") else {"cgroup_values.cpu.cfs_quota_us"}
    absent |= set() if "time" in {item["type"] for item in linux["namespaces"]} else {"timens_offsets.0"}
    absent |= set() if seen.caller == "root" else {"seccomp.filters.0"}  # read back by ptrace(2)
    several = {f"{side}_map" for side in ("uid", "gid") if "\n" in seen.report[f"{side}_map"].strip()}
    return {*COMPARED} - absent - several | {f"{name}.0" for name in several}


def is_informational(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for key in INFORMATIONAL for pattern in _patterns(key))


def _same(report: Mapping[str, Any]) -> Iterator[Change]:
    """A namespace that is the caller's, too: any other of the caller's is as good as another."""
    for name, link in report["namespaces"].items():
        changed = {**report["caller_namespaces"], name: link}
        yield f".caller_namespaces.{name}", {**report, "caller_namespaces": changed}


def _additions(report: Mapping[str, Any]) -> Iterator[Change]:
    for name, more in ADDED.items():
        outer, _, inner = name.rpartition(".")
        value = report[outer][inner] if outer else report[name]
        value = {**value, **more} if isinstance(more, dict) else [*value, *more]
        yield f".{name} +", {**report, outer: {**report[outer], inner: value}} if outer else {**report, name: value}


def _patterns(key: str) -> list[str]:
    return re.findall(r"\S+(?: -)?", key)


Change = tuple[str, Any]


def _changed(text: str) -> str:
    """Other text of the same form."""

    def other(match: re.Match[str]) -> str:
        return str(int(match[0]) - 1 if int(match[0]) else 1).zfill(len(match[0]))

    return re.sub(r"\d+", other, text) if re.search(r"\d", text) else f"{text}x"


def _changes(value: object, name: str = "") -> Iterator[Change]:
    """Names of items, each with a value that differs in that item alone."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if name != ".caller_namespaces":  # see `_same`
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
        yield from ((f"{name}{what}", other) for what, other in _texts(name, value) if other != value)
    elif isinstance(value, int):
        yield name, value + 1
    elif value is None:
        yield from ((name, other) for other in ("x", 0))


def _called(index: int, item: object) -> str:
    """An item of a list: a mount by its place, a limit by its name, a control group by its controllers."""
    if isinstance(item, str) and " - " in item:
        return item.split(" ")[4]
    if isinstance(item, str) and re.match(r"\d+:[^:]*:/", item):
        return item.split(":")[1]
    return re.split(r"\s{2,}", item)[0] if isinstance(item, str) and item.startswith("Max ") else str(index)


def _texts(name: str, value: str) -> Iterator[tuple[str, str]]:
    """Other texts in the place of one, each with what has changed in it."""
    if " - " in value:
        yield from _mounts(value)
    elif name.startswith((".cgroup.", ".caller_cgroup.")):
        yield "", f"{value.rstrip('/')}/elsewhere/below"
    elif name.startswith(".observed.paths."):
        yield "", "absent" if value == "shown" else "shown"
    else:
        yield "", _changed(value)


def _mounts(line: str) -> Iterator[tuple[str, str]]:
    """A line of mountinfo with one thing changed."""
    first, last = mountinfo.fields(line)
    options, data = first[5].split(","), last[2].split(",")

    def with_(index: int, text: str) -> str:
        return " ".join([*first[:index], text, *first[index + 1 :], "-", *last])

    yield ".id", with_(0, "99999")
    yield ".parent", with_(1, "99999")
    yield ".device", with_(2, "99:99")
    yield ".host", with_(2, HOST)
    yield ".top", with_(3, "/elsewhere")
    yield ".place", with_(4, f"{first[4]}x")
    for word in RESTRICTIONS:
        if word in options:
            kept = [option for option in options if option != word]
            yield f".{word}", with_(5, ",".join(["rw", *kept] if word == "ro" else kept))
    yield ".tied", " ".join([*first[:6], "shared:99", "-", *last])
    yield ".kind", " ".join([*first, "-", "ext4", *last[1:]])
    yield ".source", " ".join([*first, "-", last[0], "another", *last[2:]])
    for option in data:
        key, equals, _ = option.partition("=")
        if key in LOOSER and equals:
            changed = [LOOSER[key] if other == option else other for other in data]
            yield f".{key}", " ".join([*first, "-", *last[:2], ",".join(changed), *last[3:]])


def lines(composition: Any, context: Context, report: Mapping[str, Any], *, filters: bool) -> list[tuple[str, ...]]:
    kept = [item for item in composition.mechanisms if filters == (item.name == "seccomp")]
    found = [line for item in kept for line in item.verify(composition.settings[item.name], context, report)]
    return [(line.leaf, line.expected, line.kernel, str(line.state)) for line in found]


@attrs.frozen
class Seen:
    """A receipt that holds, its composition and what is composed."""

    report: Mapping[str, Any]
    composition: Any
    context: Context
    caller: str
    root: str


@pytest.fixture(scope="module", params=STARTS, ids="-".join)
def seen(request: pytest.FixtureRequest) -> Iterator[Seen]:
    caller, runtime = request.param
    require("root" if caller == "root" else "userns")
    user = ordinary() if caller == "user" else None
    plugins = runs.installed()
    text = STACK.format(
        forwarded=SYSCTLS["net.ipv4.ip_forward"],
        time=TIME if runtime == "native" else "",
        resources=RESOURCES if (caller, runtime) in (("root", "native"), ("root", "runc")) else "",
    )
    group = Group("all", [], base=text)
    with runs.workplace() as folder:
        report = loosenings.taken(group, runtime, user, plugins, folder)
        composition, assembly = loosenings.assembled(group.layers(), plugins, user, folder)
        assert loosenings.held(report, group.layers(), plugins, user, folder).failing == []
        yield Seen(
            report,
            composition,
            attrs.evolve(assembly.context, spec=assembly.spec),
            caller,
            str(folder / "bundle/rootfs"),
        )


@BY_START
def test_each_item_of_a_receipt_tells_some_line_something(seen: Seen, pytestconfig: pytest.Config) -> None:
    """An ordinary run changes one in eighteen of the items, the same everywhere."""
    report, composition, context = seen.report, seen.composition, seen.context
    assert context.spec is not None
    usual = {of_filters: lines(composition, context, report, filters=of_filters) for of_filters in (True, False)}
    silent, told = [], []
    for name, changed in (*_changes(report), *_additions(report), *_same(report)):
        name, of_filters = name.removeprefix("."), name.startswith((".seccomp", ".status.Seccomp", ".status.Spec"))
        if not (is_whole(pytestconfig) or is_taken(name)) or not all(FORMS[key](changed[key]) for key in FORMS):
            continue  # it is left out, or refused
        if lines(composition, context, changed, filters=of_filters) == usual[of_filters]:
            silent.append(name)
        else:
            told.append(name)
    here = {*informational(report, context.spec.document, seen.root)}
    read_back = ("seccomp.caller", "status.Seccomp_filters", "status.Seccomp_filters -")  # see below
    patterns = [pattern for pattern in here if "*" in pattern]
    rest = [name for name in silent if name not in here and not any(fnmatchcase(name, item) for item in patterns)]
    assert [name for name in rest if name not in read_back and not is_informational(name)] == []
    assert [name for name in sorted(compared(seen) - {*told}) if is_whole(pytestconfig) or is_taken(name)] == []


def is_taken(item: str) -> bool:
    """Whether an ordinary run changes an item of a receipt."""
    return sha256(item.encode()).digest()[0] % 18 == 0


@BY_START
@pytest.mark.parametrize(
    "changes",
    [
        {"seccomp": {"caller": 7}},
        {"seccomp": {"digest": "another"}},
        {"seccomp": {"digest": None}},
        {"status": {"Seccomp_filters": "9"}},
        {"status": {"Seccomp_filters": ""}},
    ],
)
def test_where_filters_cannot_be_read_back_their_number_and_digest_tell(
    changes: dict[str, dict[str, Any]], seen: Seen
) -> None:
    """As an ordinary user's receipt has it."""
    report, composition, context = seen.report, seen.composition, seen.context
    report = {**report, "seccomp": {**report["seccomp"], "filters": None}}
    assert all(line[3] == State.HOLDS for line in lines(composition, context, report, filters=True))
    changed = {**report, **{key: {**report[key], **more} for key, more in changes.items()}}
    assert not all(line[3] == State.HOLDS for line in lines(composition, context, changed, filters=True))
