"""The steps of docs/howto/tighten-a-podman-bundle.md, by podman itself and as they stand there: the kernel says what the
command may do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.docs.examples import ROOT, blocks
from tests.support import runs
from tests.support.features import require
from tests.support.podman import apart

pytestmark = pytest.mark.system

PAGE = ROOT / "docs/howto/tighten-a-podman-bundle.md"
(PROFILE,) = (block.text for block in blocks(PAGE) if block.language == "toml")
HOOK, COPY = (block.text for block in blocks(PAGE) if block.language == "sh")
IMAGE = "registry.example.com/job"
ASK = ("cat", "/proc/self/status")
#: Of what podman gives and `default` does not: CAP_SETFCAP of capabilities(7).
SETFCAP = 1 << 31


@pytest.fixture
def folder() -> Iterator[Path]:
    require("root")
    require("cgroup2-mount")
    with runs.workplace() as place:
        root = runs.busybox_root(place / "root")
        subprocess.run(["tar", "-C", root, "-cf", place / "root.tar", "."], check=True)
        (place / "podman.toml").write_text(PROFILE)
        (place / "containers.conf").write_text(
            '[containers]\ncgroups = "disabled"\nnetns = "none"\n[engine]\nruntime = "crun"\ncgroup_manager = "cgroupfs"\n'
        )
        (place / "storage.conf").write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{place}/graph"\nrunroot = "{place}/graph/run"\n'
        )
        yield place


def typed(folder: Path, text: str, command: Sequence[str] = ASK) -> subprocess.CompletedProcess[str]:
    """Type ``text`` in ``folder``, where podman has an image that runs ``command``."""
    words = ", ".join(f'"{word}"' for word in command)
    script = f"cd {folder}\npodman import -q -c 'CMD [{words}]' root.tar {IMAGE} >/dev/null\n{text}"
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "HARDENING_STATE": str(folder / "state"),
    }
    argv = apart(folder, ["bash", "-ec", script])
    return subprocess.run(argv, capture_output=True, text=True, check=False, env=environment, cwd="/", timeout=120)


def within(done: subprocess.CompletedProcess[str]) -> bool:
    """Whether the kernel reports of the command no more than the profile `default` permits, of what podman permits."""
    pairs = [line.split() for line in done.stdout.splitlines()]
    found = {pair[0]: int(pair[1], 16) for pair in pairs if pair and pair[0] in ("CapEff:", "CapBnd:", "NoNewPrivs:")}
    assert len(found) == 3, done.stdout + done.stderr
    return not (found["CapEff:"] | found["CapBnd:"]) & SETFCAP and found["NoNewPrivs:"] == 1


@pytest.mark.parametrize("steps", [HOOK, COPY], ids=["hook", "copy"])
def test_the_steps_of_the_page_hold_the_command_to_the_profile(folder: Path, steps: str) -> None:
    done = typed(folder, steps)
    assert done.returncode == 0, done.stderr
    assert within(done)


def test_podmans_own_settings_hold_every_container_to_the_profile(folder: Path) -> None:
    steps = HOOK.replace('--hooks-dir "$PWD/hooks" ', "")
    assert steps != HOOK
    assert not within(typed(folder, f"podman run --rm {IMAGE}"))
    with (folder / "containers.conf").open("a") as file:
        file.write(f'hooks_dir = ["{folder}/hooks"]\n')
    assert within(typed(folder, steps))


def test_what_is_tightened_after_the_init_changes_nothing(folder: Path) -> None:
    """As the page says: so it tells nobody to."""
    done = typed(
        folder,
        f"podman create --name job {IMAGE} && podman init job\n"
        "config=$(podman inspect job --format '{{.OCIConfigPath}}')\n"
        "for how in --in-place --check; do hardening apply -q -p ./podman.toml $how $config >/dev/null; done\n"
        "podman start --attach job\n",
    )
    assert done.returncode == 0, done.stderr
    assert not within(done)


def test_what_is_executed_later_is_not_held_to_it(folder: Path) -> None:
    steps = HOOK.replace("run --rm", "run --rm -d --name job")
    assert steps != HOOK
    done = typed(folder, f"{steps}podman exec job {' '.join(ASK)}\n", command=["sleep", "100"])
    assert not within(done)


def test_where_apply_fails_podman_starts_nothing(folder: Path) -> None:
    steps = HOOK.replace("$PWD/podman.toml", "there-is-none")
    assert steps != HOOK
    done = typed(folder, steps)
    assert done.returncode != 0
    assert "NoNewPrivs" not in done.stdout


def test_the_copy_runs_under_crun_as_well(folder: Path) -> None:
    steps = COPY.replace("launch tight", "launch --runtime crun tight")
    assert steps != COPY
    done = typed(folder, steps)
    assert done.returncode == 0, done.stderr
    assert within(done)


def test_the_native_launcher_names_the_runtime_that_runs_it(folder: Path) -> None:
    added = 's/"resources": *{/&"blockIO":{"weight":10},/'
    steps = COPY.replace("hardening launch", f"sed -i '{added}' tight/config.json\nhardening launch")
    assert steps != COPY
    done = typed(folder, steps)
    assert "/linux/resources/blockIO: the native launcher limits pids, memory, cpu and huge pages only" in done.stderr
    assert "hint: `hardening launch --runtime crun tight` runs it\n" in done.stderr
