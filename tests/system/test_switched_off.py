"""Each part of a mechanism that a layer switches off by an exception changes what the kernel reports, and nothing else.

One command runs under `strict`, another under the same stack with one more layer. Every observation is made of both: the
one of the part that is switched off must differ, and no other may, but for those that the case names. So a test that looks
at the configuration, or at something that holds in any case, cannot pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

import attrs
import pytest

from hardening.errors import HardeningError
from tests.support import runs
from tests.support.features import available, require
from tests.support.runs import RUNTIMES, Running
from tests.support.users import User, ordinary

pytestmark = pytest.mark.system

STARTS = tuple((caller, runtime) for caller in ("root", "user") for runtime in RUNTIMES)
#: With all of /proc to be seen, what is masked and read-only there makes a difference.
WHOLE_PROC = """
[rootfs]
proc.subset = ""
masked_paths.add = ["/proc/interrupts"]
read_only_paths.add = ["/proc/irq"]
[[exceptions]]
setting = "rootfs.proc.subset"
reason = "a test"
"""


def mount(found: Running, place: str) -> str:
    """The flags and the file system's options of a mount; '' where there is none."""
    for line in reversed(found.read("mountinfo").splitlines()):
        before, _, after = line.partition(" - ")
        words = before.split()
        if words[4] == place:
            return f"{words[5]} {after.split(maxsplit=2)[2]}"
    return ""


def limit(found: Running, name: str) -> str:
    return next(line[26:].strip() for line in found.read("limits").splitlines() if line.startswith(name))


#: What is asked of the kernel: from outside, or by a program that tries.
OBSERVATIONS: Mapping[str, Callable[[Running], object]] = {
    "namespaces.pid": lambda found: found.shares("pid"),
    "namespaces.ipc": lambda found: found.shares("ipc"),
    "namespaces.uts": lambda found: found.shares("uts"),
    "namespaces.net": lambda found: found.shares("net"),
    "namespaces.cgroup": lambda found: found.shares("cgroup"),
    "namespaces.user": lambda found: found.shares("user"),
    "capabilities": lambda found: [found.status[name] for name in ("CapBnd", "CapEff", "CapPrm")],
    "no_new_privileges": lambda found: found.status["NoNewPrivs"],
    "seccomp": lambda found: found.attempt("nc -w 1 127.0.0.1 1")[1],
    "root": lambda found: mount(found, "/").split(",")[0],
    "/tmp": lambda found: mount(found, "/tmp"),
    "hidepid": lambda found: "hidepid=invisible" in mount(found, "/proc"),
    "subset": lambda found: "subset=pid" in mount(found, "/proc"),
    "/sys": lambda found: bool(mount(found, "/sys")),
    "masked": lambda found: found.attempt("cat /proc/interrupts")[1] == "",
    "read-only": lambda found: mount(found, "/proc/irq").startswith("ro"),
    "volume": lambda found: mount(found, "/data"),
    "device": lambda found: found.attempt("ls /dev/fuse")[0] == 0,
    "core": lambda found: limit(found, "Max core file size"),
    "nproc": lambda found: limit(found, "Max processes"),
    "umask": lambda found: found.status["Umask"],
    "environment": lambda found: found.ask('echo "$HOME"'),
    "label": lambda found: found.attempt("cat /proc/self/attr/current"),
}  # fmt: skip


@attrs.frozen
class Case:
    """A layer and the settings that it needs exceptions for; which observation differs, and which others with it."""

    layer: str
    settings: tuple[str, ...]
    flips: str
    also: tuple[str, ...] = ()
    before: str = ""
    needs: tuple[str, ...] = ()
    callers: tuple[str, ...] = ("root", "user")

    @property
    def text(self) -> str:
        exceptions = [f'[[exceptions]]\nsetting = "{name}"\nreason = "a test"\n' for name in self.settings]
        return "".join([self.layer + "\n", *exceptions])


CASES = {
    "pid": Case('[namespaces]\npid = "host"\n[rootfs]\nproc.hidepid = "off"\nproc.subset = ""',
                ("namespaces.pid", "rootfs.proc.hidepid", "rootfs.proc.subset"), "namespaces.pid",
                ("hidepid", "subset", "masked", "read-only")),
    "ipc": Case('[namespaces]\nipc = "host"', ("namespaces.ipc",), "namespaces.ipc"),
    "uts": Case('[namespaces]\nuts = "host"', ("namespaces.uts",), "namespaces.uts"),
    "net": Case('[namespaces]\nnet = "host"', ("namespaces.net",), "namespaces.net"),
    "cgroup": Case('[namespaces]\ncgroup = "host"', ("namespaces.cgroup",), "namespaces.cgroup"),
    "user": Case('[namespaces]\nuser = "host"', ("namespaces.user",), "namespaces.user", ("/tmp",), callers=("root",)),
    "capabilities": Case('[capabilities]\nadd = ["CHOWN"]', ("capabilities.CHOWN",), "capabilities"),
    # Then the filter is loaded before the ids are set and the capabilities dropped, and must let them be.
    "no new privileges": Case('[capabilities]\nno_new_privileges = false\n[seccomp]\nallow = ["@strict", "@credentials"]',
                              ("capabilities.no_new_privileges", "seccomp.@credentials"), "no_new_privileges"),
    "seccomp": Case('[seccomp]\nallow = ["@strict", "@network"]', ("seccomp.@network",), "seccomp"),
    "read-only root": Case("[rootfs]\nread_only = false", ("rootfs.read_only",), "root"),
    "noexec": Case('[rootfs]\ntmpfs.add = ["/tmp:size=64M,exec"]', ("rootfs.tmpfs./tmp",), "/tmp"),
    "size": Case('[rootfs]\ntmpfs.add = ["/tmp:size=128M"]', ("rootfs.tmpfs./tmp",), "/tmp"),
    "hidden processes": Case('[rootfs]\nproc.hidepid = "off"', ("rootfs.proc.hidepid",), "hidepid"),
    "subset": Case('[rootfs]\nproc.subset = ""', ("rootfs.proc.subset",), "subset", ("read-only", "masked")),
    "sys": Case('[rootfs]\nsys = "read-only"', ("rootfs.sys",), "/sys"),
    "masked path": Case('[rootfs]\nmasked_paths.drop = ["/proc/interrupts"]', ("rootfs.masked_paths./proc/interrupts",),
                        "masked", before=WHOLE_PROC),
    "read-only path": Case('[rootfs]\nread_only_paths.drop = ["/proc/irq"]', ("rootfs.read_only_paths./proc/irq",),
                           "read-only", before=WHOLE_PROC),
    "volume": Case('[rootfs]\nvolumes.add = ["/usr:/data:ro"]', ("rootfs.volumes./data",), "volume"),
    "device": Case('[rootfs]\ndevices.add = ["/dev/fuse"]', ("rootfs.devices./dev/fuse",), "device", needs=("fuse",)),
    "core files": Case('[process]\nrlimits.core = "1M"', ("process.rlimits.core",), "core"),
    "processes": Case("[process]\nrlimits.nproc = 513", ("process.rlimits.nproc",), "nproc"),
    "umask": Case('[process]\numask = "022"', ("process.umask",), "umask"),
    "environment": Case('[process]\nenvironment.add = ["HOME"]', ("process.environment.HOME",), "environment"),
    "selinux": Case("[selinux]\nenabled = false", ("selinux.enabled",), "label", ("/tmp",), needs=("selinux",)),
}  # fmt: skip


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    with runs.workplace() as folder:
        yield runs.busybox_root(folder / "root")


@cache
def observed(layers: tuple[str, ...], runtime: str, user: User | None) -> dict[str, object]:
    """Every observation of a command under a stack."""
    with runs.running(*layers, runtime=runtime, user=user) as found:
        return {name: look(found) for name, look in OBSERVATIONS.items()}


def starts_in_namespaces_of_its_own(runtime: str) -> bool:
    """Whether the launcher makes a cgroup namespace for a rootless runtime, so that the container shares that one and
    never the caller's: the stricter side."""
    return runtime == "runc" or (runtime == "crun" and not available("cgroup2-unified"))


@pytest.mark.parametrize(
    ("name", "caller", "runtime"),
    [(name, *start) for name, case in CASES.items() for start in STARTS if start[0] in case.callers],
)
def test_what_is_switched_off_is_off_in_the_kernel(root: Path, name: str, caller: str, runtime: str) -> None:
    case = CASES[name]
    for feature in (*case.needs, "root" if caller == "root" else "userns"):
        require(feature)
    user = ordinary() if caller == "user" else None
    base = f'extends = ["strict"]\n[rootfs]\npath = "{root}"\n'
    before = (base, case.before) if case.before else (base,)
    strict = observed(before, runtime, user)
    loose = observed((*before, case.text), runtime, user)
    changed = {key for key, value in strict.items() if loose[key] != value}
    if name == "cgroup" and caller == "user" and starts_in_namespaces_of_its_own(runtime):
        assert changed == set()
        return
    assert case.flips in changed
    assert changed <= {case.flips, *case.also}


@pytest.mark.parametrize("name", CASES)
def test_the_layer_alone_is_refused(root: Path, name: str) -> None:
    """Without its exceptions each of these layers is an error: none of them is a loosening that is free."""
    case = CASES[name]
    base = f'extends = ["strict"]\n[rootfs]\npath = "{root}"\n'
    before = (base, case.before) if case.before else (base,)
    with runs.workplace() as folder:
        host = runs.host_of(None, runs.installed())
        with pytest.raises(HardeningError) as error:
            runs.composed((*before, case.layer), runs.installed(), host, folder)
    assert error.value.exit_code == 2
