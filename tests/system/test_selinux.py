"""The guarantees of `[selinux]`: labels that the kernel gives, launches that stop without them, and leases of category
pairs that live exactly as long as their containers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.assemble import bundle
from hardening.assemble.spec import to_json
from hardening.errors import HostError
from hardening.launch.config.bundle import LEASES
from hardening.mechanism.host import plain
from hardening_selinux.host import probe
from hardening_selinux.labels import Label
from hardening_selinux.mcs import FOLDER, Lease
from tests.plugins.selinux.test_mcs import abandoned, end, start
from tests.plugins.selinux.test_mcs import leases as reserved
from tests.support import users
from tests.support.features import require
from tests.support.leases import living
from tests.support.patience import is_over, until
from tests.support.runs import RUNTIMES, assembled, finished, launch_argv, running, workplace

pytestmark = pytest.mark.system

MECHANISMS = ("namespaces", "rootfs", "selinux")
COMMON = '[namespaces]\ntime = "host"\n[rootfs]\nsys = "none"\n'
BEST_EFFORT = f'{COMMON}[selinux]\nrequirement = "best-effort"\n'


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "state"))


@pytest.fixture
def inactive() -> None:
    require("selinux-off")


# --- labels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_command_has_the_label_and_a_pair_of_its_own(runtime: str) -> None:
    require("selinux")
    with running(COMMON, runtime=runtime, mechanisms=MECHANISMS) as one:
        with running(COMMON, runtime=runtime, mechanisms=MECHANISMS) as other:
            labels = [Label.parse(found.read("attr/current")) for found in (one, other)]
        for found, label in zip((one, other), labels, strict=True):
            assert str(label) == found.document["process"]["selinuxLabel"]
            assert label.type == probe(plain()).contexts.process.type
        assert labels[0].level != labels[1].level


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_without_the_mechanism_the_command_has_the_callers_label(runtime: str) -> None:
    require("selinux")
    with running(f"{COMMON}[selinux]\nenabled = false", runtime=runtime, mechanisms=MECHANISMS) as found:
        assert Label.parse(found.read("attr/current")).type != probe(plain()).contexts.process.type


@pytest.mark.usefixtures("inactive")
def test_a_required_launch_stops_where_selinux_is_not_active(tmp_path: Path) -> None:
    with workplace() as folder, pytest.raises(HostError, match="SELinux is not active") as raised:
        assembled([COMMON], ["/bin/true"], folder=folder, mechanisms=MECHANISMS)
    assert raised.value.exit_code == 125
    assert not (tmp_path / "state").exists()


@pytest.mark.usefixtures("inactive")
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_best_effort_launch_goes_on_without_labels_and_says_so(runtime: str, tmp_path: Path) -> None:
    with workplace() as folder:
        assembly = assembled([BEST_EFFORT], ["/bin/true"], folder=folder, mechanisms=MECHANISMS)
    said = [(finding.rule, finding.leaf) for finding in assembly.findings]
    assert ("core/not-enforced", "selinux.enabled") in said
    ended = finished(BEST_EFFORT, command=["/bin/true"], runtime=runtime, mechanisms=MECHANISMS)
    assert ended.code == 0, ended.stderr
    assert "selinuxLabel" not in ended.document["process"]
    assert LEASES not in ended.document["annotations"]
    assert not (tmp_path / "state/selinux").exists()


# --- leases -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the leases of a state directory lie."""
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "state"))
    return tmp_path / "state" / FOLDER


@pytest.fixture
def lease(folder: Path) -> Lease:
    """A lease that nothing keeps alive any more, except whoever locks it."""
    return abandoned(folder)


def naming(lease: Lease) -> Any:
    """A change of a configuration: it names the lease, as that of a labelled container does."""

    def change(document: dict[str, Any]) -> None:
        document.setdefault("annotations", {})[LEASES] = json.dumps([str(lease.path)])

    return change


def test_a_running_container_keeps_its_pair_and_an_ended_one_gives_it_back(lease: Lease, folder: Path) -> None:
    with running(BEST_EFFORT, runtime="native", mechanisms=MECHANISMS, change=naming(lease)):
        assert living(folder) == {lease.pair: lease.path}
    until(lambda: not living(folder))


def test_without_the_annotation_nothing_keeps_it(lease: Lease) -> None:
    with running(BEST_EFFORT, runtime="native", mechanisms=MECHANISMS):
        assert living(lease.path.parent) == {}


def test_a_killed_launch_gives_the_pair_back(lease: Lease, folder: Path) -> None:
    with running(BEST_EFFORT, runtime="native", mechanisms=MECHANISMS, change=naming(lease)) as found:
        assert living(folder) == {lease.pair: lease.path}
        found.process.send_signal(signal.SIGKILL)
        found.process.wait(60)
        until(lambda: not living(folder))
        until(lambda: is_over(found.pid), lambda: "the container outlived its launch, and its pair")


def test_two_containers_never_run_with_one_lease(lease: Lease) -> None:
    with running(BEST_EFFORT, runtime="native", mechanisms=MECHANISMS, change=naming(lease)):
        second = finished(
            BEST_EFFORT, command=["/bin/true"], runtime="native", mechanisms=MECHANISMS, change=naming(lease)
        )
    assert second.code == 125
    assert "holds this lease" in second.stderr


def test_a_bundle_whose_lease_is_gone_is_not_launched(lease: Lease) -> None:
    assert living(lease.path.parent) == {}
    ended = finished(BEST_EFFORT, command=["/bin/true"], runtime="native", mechanisms=MECHANISMS, change=naming(lease))
    assert ended.code == 125
    assert "compose the bundle again" in ended.stderr


def test_launches_are_not_disturbed_by_others_who_reserve(tmp_path: Path, folder: Path) -> None:
    """A launch takes its lock without waiting: while the bundle exists, nobody else may even try it."""
    holder = start(folder, 1, str(tmp_path / "bundle"))
    try:
        (found,) = reserved(holder)
        with workplace() as place:
            assembly = assembled([BEST_EFFORT], ["/bin/true"], folder=place, mechanisms=MECHANISMS)
            document = assembly.spec.document
            naming(found)(document)
            bundle.write(attrs.evolve(assembly.spec, config=to_json(document)), place / "bundle")
            (tmp_path / "bundle").symlink_to(place / "bundle")
            end(holder)
            with looking(folder):
                for _ in range(10):
                    done = subprocess.run(launch_argv("native", place), capture_output=True, text=True, check=False)
                    assert "lease" not in done.stderr, done.stderr
            assert found.pair in living(folder)
    finally:
        end(holder)


@contextmanager
def looking(folder: Path) -> Iterator[None]:
    """Meanwhile, another process looks at every lease again and again, as each reservation does."""
    imports = "import sys; from pathlib import Path; from tests.support.leases import living"
    code = f"{imports}\nwhile True: living(Path(sys.argv[1]))"
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)], cwd=users.REPOSITORY)
    try:
        yield
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
