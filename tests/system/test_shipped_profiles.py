"""Every configuration that a stack of shipped profiles composes is a valid one of OCI, and starts under every runtime; the
page of each profile says what it composes to."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from hardening.assemble import bundle
from hardening.assemble.spec import to_json
from tests.support import ocischema, runs, shipped
from tests.support.features import available, require
from tests.support.runs import RUNTIMES
from tests.support.users import REPOSITORY, User, ordinary
from tools import facts

pytestmark = pytest.mark.system

PROFILES = ("base", "strict", "default", "web", "batch", "build", "debug", "agent")
PAIRS = (
    ("default", "strict"), ("web", "strict"), ("batch", "strict"), ("build", "strict"), ("web", "debug"), ("batch", "debug"),
    ("build", "debug"),
)  # fmt: skip
STACKS = (*((name,) for name in PROFILES), *PAIRS)
COMMAND = ("/bin/sh", "-c", "exit 42")

#: `base` states nothing: what it leaves strict, this host or an older runc may not have.
ALONE = '[selinux]\nrequirement = "best-effort"\n[namespaces]\ntime = "host"\n'
VOLUMES = """
[rootfs]
volumes.add = ["{folder}/data:/data:rw", "{folder}/data:/seen:ro,noexec"]
tmpfs.add = ["/work:size=1M"]
"""
TERMINAL = '[process]\nterminal = true\nset_environment.TERM = "linux"\n'
RESOURCES = '[process.resources]\npids = 100\nmemory = "256M"\ncpu = 1.5\n'


def permitted(text: str, *settings: str) -> str:
    """A layer with an exception for each setting that an earlier one may have stated."""
    exceptions = "".join(f'[[exceptions]]\nsetting = "{name}"\nreason = "a test"\n' for name in settings)
    return text + exceptions


def problems(document: Mapping[str, Any]) -> list[str]:
    return [
        f"{error.json_path}: {error.message}"
        for error in ocischema.validator().iter_errors(json.loads(to_json(document)))
    ]


def runtimes(document: Mapping[str, Any]) -> Iterator[str]:
    """The runtimes that can give the container its cgroup on this host, where it asks for one."""
    limited = bool(document.get("linux", {}).get("resources"))
    for runtime in RUNTIMES:
        if not (limited and runtime == "crun" and not available("cgroup2-controllers")):
            yield runtime


def start(profiles: Sequence[str], folder: Path, user: User | None = None) -> None:
    """Compose, hold against the schema, and run what all runtimes are given to the end under each."""
    work = folder / "cwd"
    work.mkdir()
    runs.hand_over(work, user)
    with chdir(work):  # which the profile of an agent mounts
        assembly = shipped.assembled(profiles, COMMAND, folder, user)
    assert problems(assembly.spec.document) == []
    target = folder / "bundle"
    for runtime in runtimes(assembly.spec.document):
        subprocess.run(["rm", "-rf", str(target)], check=True)
        bundle.write(assembly.spec, target)
        runs.hand_over(target, user)
        argv = runs.launch_argv(runtime, folder, user)
        environment = user.environment if user is not None else os.environ
        done = subprocess.run(
            argv, input="", capture_output=True, text=True, check=False, cwd="/", env=environment, timeout=60
        )
        assert done.returncode == 42, f"{runtime}: {done.stdout} {done.stderr}"


def layers_of(stack: Sequence[str], folder: Path, root: bool) -> list[str]:
    """A stack, completed for this host; with a root of its own if ``root``."""
    names = [*stack, *([shipped.layer(folder, "alone", ALONE)] if stack == ("base",) else [])]
    if root:
        text = f'[rootfs]\npath = "{runs.busybox_root(folder / "root")}"\n'
        (folder / "root/work").mkdir(exist_ok=True)
        (folder / "root/seen").mkdir(exist_ok=True)
        names.append(shipped.layer(folder, "root", text))
    return names


@pytest.mark.sampled("root", "caller", kinds=lambda row: row["stack"])
@pytest.mark.parametrize("caller", ["root", "user"])
@pytest.mark.parametrize("root", [False, True], ids=["host-root", "busybox"])
@pytest.mark.parametrize("stack", STACKS, ids="+".join)
def test_every_stack_starts(stack: tuple[str, ...], root: bool, caller: str) -> None:
    require("root" if caller == "root" else "userns")
    user = ordinary() if caller == "user" else None
    with runs.workplace(user) as folder:
        names = layers_of(stack, folder, root)
        runs.hand_over(folder, user)
        start(names, folder, user)


MORE = {
    "volumes": (VOLUMES, ("rootfs.volumes./data", "rootfs.volumes./seen", "rootfs.tmpfs./work")),
    "terminal": (TERMINAL, ("process.terminal",)),
    "resources": (RESOURCES, ()),
}


@pytest.mark.sampled("more")
@pytest.mark.parametrize("more", MORE)
@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_takes_what_people_add(name: str, more: str) -> None:
    require("root")
    if more == "resources":
        require("cgroups")
    text, settings = MORE[more]
    with runs.workplace() as folder:
        (folder / "data").mkdir()
        added = shipped.layer(folder, more, permitted(text.format(folder=folder), *settings))
        start([*layers_of((name,), folder, True), added], folder)


@pytest.mark.parametrize("change", ["type", "missing", "enum"])
def test_the_schema_notices(change: str, tmp_path: Path) -> None:
    """The counter-proof: the schema with all that it refers to is really applied."""
    document = json.loads(to_json(shipped.assembled(["default"], COMMAND, tmp_path).spec.document))
    assert problems(document) == []
    if change == "type":
        document["linux"]["uidMappings"][0]["hostID"] = "0"
    elif change == "missing":
        del document["mounts"][0]["destination"]
    else:
        document["linux"]["seccomp"]["defaultAction"] = "SCMP_ACT_WHATEVER"
    assert problems(document) != []


@pytest.mark.parametrize("name", PROFILES)
def test_the_page_of_a_profile_says_what_it_composes_to(name: str) -> None:
    """`tools/facts.py NAME` prints the table."""
    page = (REPOSITORY / f"docs/profiles/{name}.md").read_text()
    assert page.endswith(f"{facts.table(name)}\n")


def test_every_shipped_profile_is_among_these() -> None:
    assert {path.stem for path in shipped.FILES} == set(PROFILES)
