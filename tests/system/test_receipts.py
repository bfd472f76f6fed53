"""The law of receipts: that of a run which was loosened in any one setting never holds against the stricter stack.

A stack that is loosened in many settings runs once; its receipt holds against the stack itself, and is held against each
stack that lacks one of the loosenings, which it must not. `--all` takes every system call, too.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.base.linux import mountinfo
from hardening.mechanism.mechanism import Mechanism, State, Verification
from hardening_capabilities import Capabilities
from hardening_capabilities.table import BY_NAME
from hardening_process.settings import RLIMITS
from hardening_rootfs import hidden
from hardening_rootfs.settings import MASKED, READ_ONLY
from tests.support import bundles, loosenings, runs
from tests.support.disks import fill, small_disk
from tests.support.features import available, require
from tests.support.loosenings import Group, loosening
from tests.support.sample import is_whole
from tests.support.thirdparty import acme_scratch
from tests.support.users import ordinary

pytestmark = pytest.mark.system

#: For every run of the suite; `--all` takes all.
SOME_CALLS = ("ptrace", "mount", "socket", "keyctl", "bpf", "personality", "io_uring_setup", "userfaultfd", "unshare")


def _calls(names: Iterable[str]) -> list[loosenings.Loosening]:
    return [loosening(f"seccomp.{name}", [name], "seccomp", "allow") for name in names]


def _dropped(leaf: str, members: Iterable[str]) -> list[loosenings.Loosening]:
    return [loosening(f"rootfs.{leaf}.{member}", [member], "rootfs", leaf, "drop") for member in members]


def _present(paths: Iterable[str]) -> list[str]:
    """Those that this host has, that no other of them is another name of, and that lie in no other."""
    there = [path for path in paths if path.startswith("/") and "*" not in path and os.path.exists(path)]
    real = Counter(os.path.realpath(path) for path in there)
    alone = [path for path in there if os.path.realpath(path) == path and real[path] == 1]
    return [path for path in alone if not any(path.startswith(f"{other}/") for other in there)]


NAMESPACES = [loosening(f"namespaces.{name}", "host") for name in ("ipc", "uts", "net", "cgroup")]
#: But `locks`, which Linux has no more, and those of which a caller has none to give.
LIMITS = [name for name in RLIMITS if name not in ("locks", "nice", "rtprio")]
HIGH: dict[str, int | str] = {
    **dict.fromkeys(LIMITS, 128), **dict.fromkeys(("as", "data", "stack", "fsize", "rss"), "16G"),
    "core": "1M", "msgqueue": 8192, "memlock": "128K",
}  # fmt: skip
LOW = {name: {int: 64, str: 0}[type(value)] if value != "16G" else "8G" for name, value in HIGH.items()}


def tomls(table: Mapping[str, Any]) -> str:
    return "".join(
        f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}\n" for key, value in table.items()
    )


#: Options of volumes, each with its stricter value in the base: the leaf is the volume's.
VOLUMES = {"write": ("ro", "rw"), "suid": ("ro", "ro,suid"), "dev": ("ro", "ro,dev"), "exec": ("ro,noexec", "ro"),
           "tied": ("ro", "ro,rslave"), "shared": ("ro", "ro,rshared")}  # fmt: skip
SYSCTLS = {
    # New namespaces have the host's.
    "net.ipv4.ip_forward": {"0": "1", "1": "0"}[Path("/proc/sys/net/ipv4/ip_forward").read_text().strip()],
    "net.ipv4.ip_unprivileged_port_start": "80",
    "kernel.msgmax": "65535",
    "fs.mqueue.msg_max": "20",
}
#: Enough for the command of these tests.
CONFINED = {"read": ["/usr", "/lib", "/lib64", "/bin", "/etc", "/dev", "/proc"], "write": ["/dev", "/tmp"],
            "execute": ["/usr", "/lib", "/lib64", "/bin"], "ioctl": ["/dev"]}  # fmt: skip
GROUPS = {
    "process": Group(
        "process",
        [
            *(loosening(f"process.rlimits.{name}", value) for name, value in HIGH.items()),
            loosening("process.umask", "022"),
            loosening("process.oom_score_adj", 600),
            loosening("process.environment.HARDENING_TRIED", ["HARDENING_TRIED"], "process", "environment", "add"),
        ],
        base="[process]\noom_score_adj = 700\n[process.rlimits]\n" + tomls(LOW),
    ),
    "values": Group(
        "values",
        # No name is another one: of PATH, HOME and LANG, which callers have, too, and of one that is new or empty.
        [loosening(f"process.set_environment.{name}", value) for name, value in
         (("PATH", "/tmp:/usr/bin:/bin"), ("HOME", "/tmp"), ("LANG", "evil"), ("MODE", "evil"), ("EMPTY", "x"))],
        base="[process.set_environment]\nLANG = 'C'\nMODE = 'safe'\nEMPTY = ''\n",
    ),
    "host namespaces": Group("host namespaces", NAMESPACES),
    "own namespaces": Group(
        "own namespaces",
        [
            loosening("namespaces.id_map", "root"),
            *(loosening(f"namespaces.sysctls.{key}", SYSCTLS[key], "namespaces", "sysctls", key) for key in SYSCTLS),
        ],
        base='[rootfs.proc]\nsubset = ""\n',  # runc sets them through the container's /proc
    ),
    "processes of the host": Group(
        "processes of the host",
        [loosening("namespaces.pid", "host"), loosening("rootfs.proc.hidepid", "off"), loosening("rootfs.proc.subset", "")],
    ),
    "volumes": Group(
        "volumes",
        [loosening(f"rootfs.volumes./data/{name}", [f"/usr/share:/data/{name}:{loose}"], "rootfs", "volumes", "add")
         for name, (_, loose) in VOLUMES.items()],
        base="[rootfs]\ntmpfs.add = ['/data:size=1M']\nvolumes = ["
        + ", ".join(f"'/usr/share:/data/{name}:{strict}'" for name, (strict, _) in VOLUMES.items()) + "]\n",
    ),
    "system calls": Group(
        "system calls",
        [*_calls(SOME_CALLS), loosening("seccomp.architectures.x86", ["x86"], "seccomp", "architectures", "add"),
         loosening("seccomp.restrict_suid_sgid", False)],
        base="[seccomp]\nallow = ['@strict']\n",
    ),
    "other calls": Group(
        "other calls",
        [loosening("seccomp.*", {"default": "log", "allow": ["@strict"]}, "seccomp")],
        base="[seccomp]\nallow = ['@strict']\n",
    ),
    "killed calls": Group(
        "killed calls",
        [loosening("seccomp.*", {"default": "errno:ENOSYS", "allow": ["@strict"]}, "seccomp")],
        base="[seccomp]\ndefault = 'kill-process'\nallow = ['@strict']\n",
    ),
    # Of which runc knows neither, the second without root.
    "flags": Group("flags", [loosening("seccomp.flags.spec-allow", ["spec-allow"], "seccomp", "flags", "add")],
                   runtimes=("native", "crun")),
    "groups": Group("groups", [loosening("process.groups.5", ["5"], "process", "groups", "add")],
                    runtimes=("native", "crun")),
    "new privileges": Group(
        "new privileges",
        [loosening("capabilities.no_new_privileges", False)],
        # Then the filter is loaded before the ids are set and the capabilities dropped, and must let them be.
        base="[seccomp]\nallow = ['@strict', '@credentials']\n",
    ),
    "ids of the host": Group(
        "ids of the host",
        [loosening("namespaces.user", "host")],
        callers=("root",),
    ),
    # Rootless runc keeps the caller's own group beside that of another user, which its receipt tells.
    "user": Group("user", [loosening("process.user", "0")], base="[process]\nuser = '1'\n", runtimes=("native", "crun")),
    "clocks": Group("clocks", [loosening("namespaces.time", "host")], base="[namespaces]\ntime = 'private'\n",
                    runtimes=("native", "crun")),  # runc knows none
    "whole proc and sys": Group(
        "whole proc and sys",
        [*_dropped("masked_paths", _present(MASKED)), *_dropped("read_only_paths", _present(READ_ONLY))],
        base="[rootfs]\nproc.subset = ''\nsys = 'read-only'\n",
    ),
    "propagation": Group("propagation", [loosening("rootfs.propagation", "slave")]),
    "terminal": Group("terminal", [loosening("process.terminal", True)], terminal=True),
    "ceilings": Group(
        "ceilings",
        [loosening(f"process.resources.{name}", value) for name, value in
         (("pids", 300), ("memory", "512M"), ("memory_swap", "1G"), ("cpu", 2), ("cgroup", "/tried"))],
        base="[process.resources]\npids = 200\nmemory = '256M'\nmemory_swap = '256M'\ncpu = 1\n",
        callers=("root",), runtimes=("native",),
    ),
    "secrets": Group(
        "secrets",
        [loosening("secrets.given.db", ["db,mode=0440"], "secrets", "given", "add"),
         loosening("secrets.given.key", ["key,target=/opt/key"], "secrets", "given", "add"),
         loosening("secrets.given.token", ["token"], "secrets", "given", "add")],
        base="[secrets]\ngiven = ['db']\n",
    ),
    "variables": Group("variables", [loosening("secrets.given.WORD", ["WORD,type=env"], "secrets", "given", "add")],
                       runtimes=("native",)),
    "capabilities": Group(
        "capabilities",
        [loosening(f"capabilities.{name}", [name], "capabilities", "add") for name in BY_NAME],
    ),
    "a third party's": Group(
        "a third party's",
        [loosening("scratch.files", 200), loosening("scratch.programs", True)],
        base="[scratch]\nfiles = 100\n",
        others=(acme_scratch,),
    ),
    "landlock": Group(
        "landlock",
        [
            *(loosening(f"landlock.{name}", [*places, "/var/tmp"]) for name, places in CONFINED.items()),
            *(loosening(f"landlock.{name}", [80, 443]) for name in ("bind", "connect")),
            *(loosening(f"landlock.{name}", True) for name in ("abstract_sockets", "signals")),
        ],
        base="[landlock]\nabstract_sockets = false\nsignals = false\nbind = [80]\nconnect = []\n"
        + "".join(f"{name} = {places}\n" for name, places in CONFINED.items()),
    ),
    "confinement": Group("confinement", [loosening("landlock.mounts", True)], base="[landlock]\nmounts = false\n"),
    "mounts": Group(
        "mounts",
        [
            loosening("rootfs.tmpfs./tmp", ["/tmp:size=128M"], "rootfs", "tmpfs", "add"),
            loosening("rootfs.tmpfs./run", ["/run:size=16M,mode=777"], "rootfs", "tmpfs", "add"),
            loosening("rootfs.tmpfs./var/tmp", ["/var/tmp:size=64M,exec"], "rootfs", "tmpfs", "add"),
            loosening("rootfs.tmpfs./opt", ["/opt:size=1M"], "rootfs", "tmpfs", "add"),
            loosening("rootfs.shm_size", "32M"),
            loosening("rootfs.devices./dev/fuse", ["/dev/fuse"], "rootfs", "devices", "add"),
            loosening("rootfs.volumes./mnt", ["/etc:/mnt:ro"], "rootfs", "volumes", "add"),
            loosening("rootfs.sys", "read-only"),
            # What is hidden below /root, and the caller's stores below the other, would be masked where nobody can go.
            *_dropped("hidden_paths", set(_present(hidden.PATHS)) - {"/root", "/var/lib/hardening"}),
        ],
    ),
}  # fmt: skip


def is_without_effect(leaf: str, caller: str, runtime: str) -> bool:
    """Whether what a leaf permits is not to be had here. The launcher makes a cgroup namespace for a rootless runtime,
    which the container then shares, and never the caller's; of private mounts nothing comes to slaves."""
    if leaf in ("rootfs.propagation", "rootfs.volumes./data/tied"):
        mounts = map(mountinfo.fields, mountinfo.lines(Path("/proc/self/mountinfo").read_text()))
        return not any("shared:" in " ".join(before[6:]) for before, _ in mounts if before[4] == "/")
    rootless = caller == "user" and (runtime == "runc" or (runtime == "crun" and not available("cgroup2-unified")))
    return leaf == "namespaces.cgroup" and rootless


@pytest.fixture(scope="session")
def rows() -> Iterator[Counter[tuple[str, str, str, str]]]:
    """How many loosenings there were, and of how many the receipt held, by mechanism, caller and runtime."""
    found: Counter[tuple[str, str, str, str]] = Counter()
    yield found
    keys = {key[:3] for key in found}
    print()
    print(loosenings.table({key: (found[*key, "loosened"], found[*key, "hold"]) for key in keys}))


STARTS = [(name, who, runtime) for name, group in GROUPS.items() for who in group.callers for runtime in group.runtimes]


@pytest.mark.sampled
@pytest.mark.parametrize(("name", "caller", "runtime"), STARTS)
def test_a_loosened_run_does_not_hold_against_the_stricter_stack(
    name: str,
    caller: str,
    runtime: str,
    rows: Counter[tuple[str, str, str, str]],
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
) -> None:
    group = GROUPS[name]
    require("root" if caller == "root" else "userns")
    user = ordinary() if caller == "user" else None
    for key, value in loosenings.TRIED.items():
        monkeypatch.setenv(key, value)
    plugins = group.plugins
    with runs.workplace() as folder:
        report = loosenings.taken(group, runtime, user, plugins, folder)
        own = loosenings.held(report, group.layers(), plugins, user, folder)
        assert own.failing == []
        holding = []
        for item in group.loosenings if is_whole(pytestconfig) else group.loosenings[::6]:
            if is_without_effect(item.leaf, caller, runtime):
                continue
            found = loosenings.held(report, group.layers(item), plugins, user, folder)
            rows[item.mechanism, caller, runtime, "loosened"] += 1
            if found.holds:
                rows[item.mechanism, caller, runtime, "hold"] += 1
                holding.append(item.leaf)
    assert holding == []


@pytest.mark.parametrize("runtime", runs.RUNTIMES)
@pytest.mark.parametrize(
    ("user", "names"),
    [
        ("private", ("user", "net", "ipc", "uts", "pid", "cgroup", "time")),
        ("private", ("cgroup",)),
        ("host", ("net", "ipc", "uts", "pid", "cgroup", "time")),
    ],
)
def test_what_belongs_to_another_container_is_not_the_containers_own(
    user: str, names: tuple[str, ...], runtime: str
) -> None:
    """Whose number is another than the caller's, and whose maps of ids are those that each container of the caller has."""
    require("root")
    base = f"[namespaces]\ntime = 'private'\nuser = '{user}'\n"
    if runtime == "runc":  # which knows no time
        base, names = base.replace("'private'", "'host'", 1), tuple(name for name in names if name != "time")
    with runs.running(loosenings.FIRST, base, runtime="native") as other, runs.workplace() as folder:
        joined = [loosening(f"namespaces.{name}", f"/proc/{other.pid}/ns/{name}") for name in names]
        group = Group("joined", joined, base=base)
        report = loosenings.taken(group, runtime, None, runs.installed(), folder)
        whole = loosenings.held(report, group.layers(), runs.installed(), None, folder)
        # crun binds the /proc of a user namespace that it joins.
        assert [line for line in whole.failing if not line[0].startswith("rootfs.proc.")] == []
        for item in joined:
            found = loosenings.held(report, group.layers(item), runs.installed(), None, folder)
            assert item.leaf in [line[0] for line in found.failing]


@pytest.mark.parametrize("names", [("user",), ("user", "net", "ipc", "pid")])
def test_an_ordinary_user_gets_no_receipt_of_what_joins(names: tuple[str, ...]) -> None:
    """Nobody who lives in a joined namespace may trace the process that enters it, and so neither may its caller: the
    command does not run."""
    require("userns")
    user = ordinary()
    with runs.running(loosenings.FIRST, user=user, runtime="native") as other, runs.workplace() as folder:
        joined = [loosening(f"namespaces.{name}", f"/proc/{other.pid}/ns/{name}") for name in names]
        with pytest.raises(AssertionError, match=r"cannot trace .*\nhint: run as root, or without a receipt"):
            loosenings.taken(Group("joined", joined), "native", user, runs.installed(), folder)
        assert not (folder / "receipt.json").exists()


@pytest.mark.parametrize("runtime", runs.RUNTIMES)
def test_a_receipt_that_cannot_be_written_is_named_and_the_command_does_not_run(tmp_path: Path, runtime: str) -> None:
    with small_disk(tmp_path / "disk") as disk, runs.workplace() as folder:
        fill(disk)
        bundle = bundles.write(folder / "bundle", bundles.config("echo", "ran"))
        bundles.make_root(bundle / "rootfs")
        done = bundles.launch(bundle, runtime, receipt=disk / "receipt.json")
        assert (done.returncode, done.stdout, [path.name for path in disk.iterdir()]) == (125, "", ["filler"])
        assert f"{disk}/receipt.json: cannot write the receipt: No space left on device" in done.stderr


#: What `crun spec` asks for, and more: `apply` keeps of it what its profile permits.
ASKED = {"NET_RAW", "KILL", "SYS_PTRACE"}
APPLIED = Group(
    "applied",
    [
        *(loosening(f"capabilities.{name}", [name], "capabilities", "add") for name in sorted(ASKED)),
        *_calls(("ptrace", "keyctl", "userfaultfd")),
        loosening("process.rlimits.nofile", 128),
        loosening("process.umask", "022"),
        loosening("namespaces.net", "host"),
    ],
    base="[seccomp]\nallow = ['@strict']\n[process]\nrlimits.nofile = 64\n",
)


@pytest.mark.parametrize("runtime", runs.RUNTIMES)
def test_what_apply_lets_be_does_not_hold_against_the_stricter_stack(runtime: str) -> None:
    """Its root, mounts and variables are its own, which no stack composed: each loosening shows in a line that differs
    beside these."""
    require("root")
    with runs.workplace() as folder:
        subprocess.run(["crun", "spec"], cwd=folder, check=True)
        document = json.loads((folder / "config.json").read_text())
        document["root"]["path"] = str(runs.busybox_root(folder / "root"))
        document["process"] |= {"args": ["/bin/true"], "terminal": False}
        document["process"]["user"]["umask"] = 0o022
        for given in document["process"]["capabilities"].values():
            given += [f"CAP_{name}" for name in ASKED if f"CAP_{name}" not in given]
        linux = document["linux"]
        linux["namespaces"] = [item for item in linux["namespaces"] if item["type"] != "network"]
        linux.pop("resources", None)
        report = loosenings.taken_of_applied(APPLIED, document, runtime, runs.installed(), folder)
        own = loosenings.held(report, APPLIED.layers(), runs.installed(), None, folder)
        foreign = ("rootfs.", "process.set_environment.", "namespaces.hostname")
        assert [line for line in own.failing if not line[0].startswith(foreign)] == []
        for item in APPLIED.loosenings:
            found = loosenings.held(report, APPLIED.layers(item), runs.installed(), None, folder)
            beside = {line[0] for line in found.failing} - {line[0] for line in own.failing}
            assert {leaf.partition(".")[0] for leaf in beside} == {item.mechanism}, item.leaf


@pytest.mark.parametrize("runtime", runs.RUNTIMES)
@pytest.mark.parametrize("caller", ["root", "user"])
def test_a_third_party_s_lines_say_what_the_kernel_says(caller: str, runtime: str) -> None:
    require("root" if caller == "root" else "userns")
    user = ordinary() if caller == "user" else None
    group = GROUPS["a third party's"]
    with runs.workplace() as folder:
        report = loosenings.taken(group, runtime, user, group.plugins, folder)
        strict = [loosenings.FIRST, group.base]
        found = loosenings.held(report, strict, group.plugins, user, folder)
        assert [line for line in found.failing if line[0].startswith("scratch.")] == [
            ("scratch.files", "at most 100", "200", "does not hold"),
            ("scratch.programs", "False", "executable", "does not hold"),
        ]


def test_a_third_party_s_setting_that_nobody_looks_at_is_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    require("root")
    group = GROUPS["a third party's"]
    with runs.workplace() as folder:
        report = loosenings.taken(group, "native", None, group.plugins, folder)
        monkeypatch.setattr(acme_scratch.Scratch, "verify", Mechanism.verify)
        found = loosenings.held(report, group.layers(), group.plugins, None, folder)
        assert [(line[0], line[3]) for line in found.failing] == [("scratch.files", "not seen")]


@pytest.mark.parametrize("runtime", runs.RUNTIMES)
def test_what_is_called_like_a_device_is_a_mount_like_any_other(runtime: str) -> None:
    """A part of a file system in memory, at any place below /dev."""
    require("root")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory, runs.workplace() as folder:
        source = Path(memory, "null")
        source.mkdir()
        item = loosening("rootfs.volumes./dev/x", [f"{source}:/dev/x:ro"], "rootfs", "volumes", "add")
        group = Group("a name", [item])
        report = loosenings.taken(group, runtime, None, runs.installed(), folder)
        assert loosenings.held(report, group.layers(), runs.installed(), None, folder).holds
        found = loosenings.held(report, group.layers(item), runs.installed(), None, folder)
        assert [line[:3] for line in found.failing] == [("rootfs.volumes.*", "no other mount", "also /dev/x")]


@pytest.mark.parametrize("runtime", runs.RUNTIMES)
@pytest.mark.parametrize("path", ["/dev/xmem", "/dev/sub/xmem", "/dev/shm/xmem", "/dev/full", ""])
def test_a_device_that_nobody_composed_does_not_hold(path: str, runtime: str) -> None:
    """A node, which only a container with the ids of the host can have, is in no list of mounts."""
    require("root")
    group = Group("devices", [], base="[namespaces]\nuser = 'host'\n")
    node = {"type": "c", "path": path, "major": 1, "minor": 11, "fileMode": 0o666, "uid": 0, "gid": 0}
    with runs.workplace() as folder:
        report = loosenings.taken(group, runtime, None, runs.installed(), folder, [node] if path else [])
        found = loosenings.held(report, group.layers(), runs.installed(), None, folder)
        differing = [("rootfs.devices.*", "no other device", f"also {path} (c 1:11)")] if path else []
        assert [line[:3] for line in found.failing] == differing


@pytest.mark.parametrize("runtime", runs.RUNTIMES)
def test_a_parameter_that_was_not_set_does_not_hold(runtime: str) -> None:
    require("root")
    name = "net.ipv4.conf.all.rp_filter"
    group = Group("a parameter", [], base='[rootfs.proc]\nsubset = ""\n')
    with runs.workplace() as folder:
        report = loosenings.taken(group, runtime, None, runs.installed(), folder)
        strict = [*group.layers(), f'[namespaces.sysctls]\n"{name}" = "1"\n']
        found = loosenings.held(report, strict, runs.installed(), None, folder)
        assert [line[0] for line in found.failing] == ["namespaces.sysctls.*"]


def test_a_mechanism_that_only_says_that_all_holds_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The counter-proof: with a `verify` that looks at nothing the law is broken, and what is asserted above fails."""
    require("root")
    group = GROUPS["new privileges"]
    (item,) = group.loosenings
    with runs.workplace() as folder:
        report = loosenings.taken(group, "native", None, runs.installed(), folder)
        assert not loosenings.held(report, group.layers(item), runs.installed(), None, folder).holds
        looked = Capabilities.verify

        def blind(self: Capabilities, *given: Any) -> list[Verification]:
            return [attrs.evolve(line, state=State.HOLDS) for line in looked(self, *given)]

        monkeypatch.setattr(Capabilities, "verify", blind)
        assert loosenings.held(report, group.layers(item), runs.installed(), None, folder).holds
