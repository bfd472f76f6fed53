"""What operations say: on the page of the reference, while they are executed, and where the kernel refuses them."""

from __future__ import annotations

import importlib
import os
import pkgutil
import resource
from collections.abc import Iterator

import pytest

import hardening.launch.native
from hardening.base.linux import abi
from hardening.errors import LaunchError
from hardening.launch.config import config
from hardening.launch.config.bundle import Bundle
from hardening.launch.config.model import ConfigCapabilities, ConfigMount, Namespace, Rlimit
from hardening.launch.native import identity, joins, mounts, namespaces, sources
from hardening.launch.native.channel import pair
from hardening.launch.native.operation import STAGES, LaunchState, Operation
from hardening.launch.native.root import Root
from hardening.launch.native.translate import translate
from tests.docs.examples import ROOT
from tests.support import bundles, runs

PAGE = ROOT / "docs/reference/operations.md"
NOBODY = 65534


def classes() -> Iterator[type[Operation]]:
    for module in pkgutil.iter_modules(hardening.launch.native.__path__):
        found = importlib.import_module(f"hardening.launch.native.{module.name}")
        kinds = [kind for kind in vars(found).values() if isinstance(kind, type) and kind.__module__ == found.__name__]
        yield from (kind for kind in kinds if issubclass(kind, Operation) and kind.execute is not Operation.execute)


def rows() -> Iterator[str]:
    for stage in STAGES:
        for kind in sorted(classes(), key=lambda kind: kind.__name__):
            if issubclass(kind, stage):
                about = " ".join((kind.__doc__ or "").partition("\n\n")[0].split()).replace("``", "`")
                pointer = f"`{kind.pointer}`" if kind.pointer else ""
                yield f"| `{kind.__name__}` | {stage.__name__} | {stage.process} | {pointer} | {about} |"


def test_the_page_has_each_operation() -> None:
    assert [line for line in PAGE.read_text().splitlines() if line.startswith("| `")] == list(rows())


@pytest.mark.system
@pytest.mark.parametrize("name", ["root", "user-range", "user-one-id"])
def test_each_operation_is_described_as_it_is_executed(name: str) -> None:
    stance = bundles.stance(name)
    document = stance.config("echo", "here")
    with runs.workplace(stance.user) as folder:
        bundle = bundles.write(folder / "bundle", document, user=stance.user)
        done = bundles.launch(bundle, user=stance.user, debug=True)
    assert done.stdout == "here\n"
    for process in ("main", "init"):
        said = [line.partition(": ")[2] for line in done.stderr.splitlines() if line.startswith(f"{process}: ")]
        here = {"main": ("main",), "init": ("intermediate", "init")}[process]
        asked = [one.describe() for one in translate(config.read(document)) if one.process in here]
        # In the user namespace what the caller could not clone is cloned by another process.
        assert [line for line in said if not line.startswith("clone ")] == [
            text for text in asked if not text.startswith("clone ")
        ]


JOINED = Namespace(kind="ipc", flag=abi.CLONE_NEWIPC, path="/nowhere", pointer="/linux/namespaces/0")
BOUND = ConfigMount(pointer="/mounts/4", destination="/bound", kind="bind", source="/nowhere")
LIMIT = Rlimit(name="RLIMIT_NOFILE", number=resource.RLIMIT_NOFILE, soft=1, hard=2**40, pointer="/process/rlimits/0")
REFUSED = [
    (namespaces.MakeNamespaces(flags=abi.CLONE_NEWNS), "/linux/namespaces: cannot make the namespaces"),
    (namespaces.MakeIpcNamespace(), "/linux/namespaces: cannot make the ipc namespace"),
    (namespaces.SetOomScore(score=-1000), "/process/oomScoreAdj: cannot set the OOM score"),
    (namespaces.SetClocks(lines="monotonic 1 0\n"), "/linux/timeOffsets: cannot set the clocks of the time namespace"),
    (namespaces.SetHostName(name="x"), "/hostname: cannot set the host name"),
    (namespaces.SetDomainName(name="x"), "/domainname: cannot set the domain name"),
    (namespaces.BringUpLoopback(), "/linux/namespaces: cannot bring up the loopback interface"),
    (
        namespaces.SetSysctl(name="net.no.such", value="1"),
        "/linux/sysctl: cannot set net.no.such: No such file or directory",
    ),
    (
        joins.OpenNamespace(pointer=f"{JOINED.pointer}/path", namespace=JOINED),
        "/linux/namespaces/0/path: cannot open the ipc namespace /nowhere: No such file or directory",
    ),
    (
        sources.CloneRoot(path="/nowhere", judged=False, propagation=abi.MS_PRIVATE, attributes=0),
        "/root/path: /nowhere cannot be opened: No such file or directory",
    ),
    (
        sources.CloneSource(pointer=BOUND.pointer, mount=BOUND, judged=True, propagation=0, below=False),
        "/mounts/4/source: /nowhere cannot be opened: No such file or directory",
    ),
    (identity.DropBounding(kept=0), "/process/capabilities/bounding: cannot drop the bounding set"),
    (identity.SetGroups(groups=(1,)), "/process/user/additionalGids: cannot set the supplementary groups"),
    (identity.BecomeGroup(gid=0), "/process/user/gid: cannot become group 0"),
    (identity.BecomeUser(uid=0), "/process/user/uid: cannot become user 0"),
    (
        identity.SetCapabilities(sets=ConfigCapabilities(permitted=1)),
        "/process/capabilities/permitted: CAP_CHOWN cannot be given",
    ),
    (identity.LoadFilter(flags=0), "/linux/seccomp: cannot load the seccomp filter"),
    (
        identity.SetLimit(pointer=LIMIT.pointer, limit=LIMIT),
        "/process/rlimits/0: cannot set RLIMIT_NOFILE",
    ),
    (mounts.EnterRoot(propagation=0, below=False), "/root/path: cannot enter the root"),
]


@pytest.mark.parametrize(("operation", "said"), REFUSED, ids=lambda value: type(value).__name__)
def test_what_the_kernel_refuses_an_ordinary_user_names_its_field(operation: Operation, said: str) -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, refusal(operation).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    os.waitpid(pid, 0)
    assert text.startswith(f"config.json:{said}"), text


def refusal(operation: Operation) -> str:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    bundle = Bundle(directory="/", document={}, text=b"", sha256="")
    state = LaunchState((operation,), bundle, config.read(bundles.config("true")).process.command)
    state.root = Root(os.open("/", os.O_PATH), pair()[0])
    try:
        state.perform(type(operation))
    except LaunchError as error:
        return str(error)
    return "it was executed"


if __name__ == "__main__":
    text = [line for line in PAGE.read_text().splitlines() if not line.startswith("| `")]
    at = text.index("| --- | --- | --- | --- | --- |") + 1
    PAGE.write_text("\n".join([*text[:at], *rows(), *text[at:]]) + "\n")
