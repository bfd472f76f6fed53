"""What podman (of root and of an ordinary user), docker and containerd wrote runs after `hardening apply`, under each
runtime and nowhere looser than the profile; what does not is refused for a reason that stands here."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from hardening.runs import receipt
from tests.support import apart, engines, runs
from tests.support.features import available, require
from tests.support.forking import typed
from tests.support.patience import until
from tests.support.runs import RUNTIMES
from tests.support.tighter import looser, tightened, write
from tests.support.users import User, ordinary

pytestmark = pytest.mark.system

PROFILES = ("default", "web", "strict")
_WEIGHT = {"native": "/linux/resources/blockIO: the native launcher limits pids, memory, cpu and huge pages only"}
_GROUPS = {"runc": "/process/user/additionalGids: runc gives no groups to the command of an ordinary user"}
#: Options of an engine, in whose configuration some runtime says what.
REFUSED: Mapping[tuple[str, str], Mapping[str, str]] = MappingProxyType(
    {
        ("podman", "--blkio-weight 100"): _WEIGHT,
        ("docker", "--blkio-weight 100"): _WEIGHT,
        # The engine's init, a file of the host's, is a volume that none of the profiles has.
        ("docker", "--init"): dict.fromkeys(RUNTIMES, "/sbin/docker-init"),
        ("rootless", "--userns keep-id"): _GROUPS,
        ("rootless", "--userns nomap"): _GROUPS,
        ("rootless", "-u 1000:1000"): _GROUPS,
        ("rootless", "-u 33 --group-add 44"): _GROUPS,
        **({} if available("cgroup2-controllers") else {("podman", "--cgroup-conf pids.max=50"): {
            "native": "/linux/resources/unified/pids.max: this host has the controller 'pids' in a hierarchy of version 1",
            "runc": "cannot use unified on cgroup v1",
        }}),
    }
)  # fmt: skip


@pytest.fixture(scope="session")
def outcomes() -> Iterator[dict[tuple[str, str, str], dict[str, str]]]:
    """What became of each bundle under each profile, by runtime: printed in the end."""
    found: dict[tuple[str, str, str], dict[str, str]] = {}
    yield found
    print()
    for row, by_runtime in found.items():
        print(" | ".join((*row, *(f"{runtime}: {text}" for runtime, text in by_runtime.items()))))


WRITTEN = [(engine, words) for engine in engines.OPTIONS for words in engines.options(engine)]


def _kinds(row: Mapping[str, Any]) -> tuple[object, ...]:
    """Each engine, a configuration of its own and a privileged one, each runtime, and each refusal of one."""
    engine, words, runtime = row["engine"], row["words"], row["runtime"]
    kind = words if words in ("", "--privileged") else "with options"
    return engine, kind, runtime, REFUSED.get((engine, words), {}).get(runtime)


@pytest.mark.sampled("profile", kinds=_kinds)
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("engine", "words"), WRITTEN)
def test_what_an_engine_wrote_runs_within_the_profile(
    engine: str, words: str, profile: str, runtime: str, outcomes: dict[tuple[str, str, str], dict[str, str]]
) -> None:
    require("root")
    require("x86_64")  # the machine of the kept filters
    require("cgroup2-mount")
    if engine == "rootless":
        require("userns")
    user = ordinary() if engine == "rootless" else None
    refused = REFUSED.get((engine, words), {}).get(runtime)
    with runs.workplace(user) as folder:
        root = runs.busybox_root(folder / "root")
        document = engines.bundle_of(engine, words, folder, root)
        document["process"]["terminal"] = False
        runs.hand_over(folder, user)
        write(tightened(document, profile, folder, user), runtime, folder, user)
        target = folder / "receipt.json"
        done = launched(folder, runtime, target, user)
        text = "runs" if done.returncode == 0 else done.stderr.strip().splitlines()[-1]
        outcomes.setdefault((engine, words, profile), {})[runtime] = text
        assert (done.returncode != 0) == (refused is not None), done.stderr
        if refused is not None:
            assert refused in done.stderr
        else:
            assert looser(receipt.read(target), profile, user) == []
        # crun and runc leave the groups above that of a container.
        top = document["linux"].get("cgroupsPath", folder.name).strip("/").partition("/")[0]
        until(lambda: _removed(top), lambda: apart.groups(top))


def launched(folder: Path, runtime: str, receipt_file: Path, user: User | None) -> subprocess.CompletedProcess[str]:
    """Type the command line that the pages give."""
    words = ("launch", "--runtime", runtime, "--receipt", str(receipt_file), str(folder / "bundle"))
    environment = {**(os.environ if user is None else user.environment), "HARDENING_STATE": str(folder / "state")}
    return typed(user, *words, cwd="/", env=environment)


def _removed(group: str) -> bool:
    for place in apart.groups(group):
        with suppress(OSError):
            place.rmdir()
    return not apart.groups(group)


def test_each_of_the_166_has_its_options() -> None:
    assert sum(len(engines.options(engine)) for engine in engines.OPTIONS) == 166
    for engine in engines.OPTIONS:
        assert list(engines.kept(engine)["bundles"]) == engines.options(engine)
