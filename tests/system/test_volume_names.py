"""What is mounted on the host gives files other names, and no other rights: asked of commands that look."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.features import require
from tests.support.plans import Place
from tests.support.runs import workplace

pytestmark = pytest.mark.system


@pytest.fixture
def folder() -> Iterator[Path]:
    """`ok`, from where volumes come, `other`, and `secret`, each with a file `name`."""
    require("root")
    with workplace() as place:
        for name in ("ok/sub", "ok/x", "other", "low/secret", "up", "work", "merged"):
            (place / name).mkdir(parents=True)
        (place / "other/name").write_text("elsewhere\n")
        (place / "low/secret/name").write_text("secret\n")
        (place / "low/public").write_text("public\n")
        yield place


def run(folder: Path, profile: str, mounts: str, volume: str, look: str) -> subprocess.CompletedProcess[str]:
    """Run a command with a volume, on a host where something more is mounted."""
    (folder / "app.toml").write_text(f'extends = ["default"]\n{profile}')
    words = ("run", "-q", "-p", "./app.toml", "-v", volume, "--", "sh", "-c", look)
    script = f'set -e; {mounts}; exec "$@"'
    there = Place(folder, ("unshare", "--mount", "sh", "-c", script, "sh", *Place(folder).program))
    return there.type(*words)


def test_what_is_mounted_in_a_permitted_place_comes_from_where_it_lies(folder: Path) -> None:
    limit = f'[limits.rootfs]\nvolume_sources = ["{folder}/ok"]\n'
    bind = "mount --bind other ok/x"
    for source in ("ok/x", "ok/x/name"):
        done = run(folder, limit, bind, f"./{source}:/x:ro", "cat /x/name /x")
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert f"it comes from {folder}/other" in done.stderr
    done = run(folder, limit, bind, "./ok:/x:ro", "ls -A /x/x /x")
    assert (done.returncode, done.stdout) == (0, "/x:\nsub\nx\n\n/x/x:\n"), done.stderr
    both = f'[limits.rootfs]\nvolume_sources = ["{folder}/ok", "{folder}/other"]\n'
    done = run(folder, both, bind, "./ok:/x:ro", "cat /x/x/name")
    assert (done.returncode, done.stdout) == (0, "elsewhere\n"), done.stderr
    # Who names a place means what is mounted there.
    at = f'[limits.rootfs]\nvolume_sources = ["{folder}/ok/x"]\n'
    done = run(folder, at, bind, "./ok/x:/x:ro", "cat /x/name")
    assert (done.returncode, done.stdout) == (0, "elsewhere\n"), done.stderr


@pytest.mark.parametrize(("hidden", "source"), [("merged", "low"), ("low", "merged")])
def test_the_layers_of_an_overlay_are_its_other_names(folder: Path, hidden: str, source: str) -> None:
    limit = f'[limits.rootfs]\nhidden_paths.add = ["{folder}/{hidden}/secret"]\n'
    options = f"lowerdir={folder}/low,upperdir={folder}/up,workdir={folder}/work"
    overlay = f"mount -t overlay -o {options} overlay merged"
    done = run(folder, limit, overlay, f"./{source}:/x:ro", "cat /x/public; ls -A /x/secret")
    assert (done.returncode, done.stdout) == (0, "public\n"), done.stderr
    done = run(folder, limit, overlay, f"./{source}/secret:/x:ro", "cat /x/name")
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert f"hidden_paths.{folder}/{hidden}/secret is limited to true" in done.stderr
