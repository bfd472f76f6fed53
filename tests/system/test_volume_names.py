"""What is mounted on the host gives files other names, and no other rights: asked of commands that look."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardening.launch.config.config_mounts import COPIES
from tests.support.cached import Place
from tests.support.features import require
from tests.support.runs import busybox_root, workplace

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


#: What is swapped for a link to what lies beside it: the words of the run, what is swapped, and what the refusal names.
SWAPPED = {
    "a source": (("-v", "./ok:/data:ro"), "ok", "{0}/ok"),
    "above a source": (("-v", "./ok/sub:/data:ro"), "ok", "{0}/ok/sub"),
    "a source by a link": (("-v", "./link:/data:ro"), "ok", "{0}/ok"),
    "a destination": (("-v", "./ok:/srv/place/data:ro"), "image/srv/place", "/srv/place/data"),
    "a place in memory": (("--tmpfs", "/srv/place/data"), "image/srv/place", "/srv/place/data"),
    "a destination in a volume": (("-v", "./ok:/data", "-v", "./other:/data/sub:ro"), "ok/sub", "/data/sub"),
    "a destination in a copy": (
        ("-v", "./ok:/data", "--tmpfs", "/data/sub", "-v", "./other:/data/sub/x:ro"),
        "ok/sub/x",
        "/data/sub/x",
    ),
    "the root": ((), "image", "{0}/image"),
    "a directory of the root": ((), "image/etc", "{0}/image/etc"),
}


def swap(folder: Path, name: str) -> None:
    """Let a link lead to it from where a directory was."""
    (folder / name).rename(folder / f"{name}-before")
    (folder / name).symlink_to(f"{Path(name).name}-before")


@pytest.mark.parametrize("runtime", ["native", "crun", "runc"])
@pytest.mark.parametrize("case", SWAPPED)
def test_what_was_judged_is_what_is_mounted(case: str, runtime: str) -> None:
    """A link that is laid between the composition and the launch leads to what nobody has judged."""
    require("root")
    require("userns")
    words, swapped, named = SWAPPED[case]
    with workplace() as folder:
        for name in ("ok/sub/x", "other", "image/srv/place/data"):
            (folder / name).mkdir(parents=True)
        (folder / "link").symlink_to("ok")
        for entry in busybox_root(folder / "new").iterdir():
            entry.rename(folder / "image" / entry.name)
        place = Place(folder)
        made = place.type(
            "compose", "-q", "-p", "default", "-o", "b", "--rootfs", "./image", *words, "--", "sh", "-c", "echo ran"
        )
        assert made.returncode == 0, made.stderr
        config = json.loads((folder / "b/config.json").read_text())
        for mount in config["mounts"]:  # as engines write it, and `apply` leaves it
            mount["options"] += [COPIES] if mount["type"] == "tmpfs" and mount["destination"] == "/data/sub" else []
        (folder / "b/config.json").write_text(json.dumps(config))
        launch = ("launch", "--runtime", runtime, "b")
        done = place.type(*launch)
        assert (done.returncode, done.stdout) == (0, "ran\n"), done.stderr
        swap(folder, swapped)
        done = place.type(*launch)
        assert (done.returncode, done.stdout) == (125, ""), done.stderr
        assert f"{named.format(folder)}" in done.stderr
        assert "a link created since this was composed redirects it" in done.stderr
        assert "hint: remove the link, or compose this again" in done.stderr
        # Of a bundle that was made elsewhere links are followed, inside the root.
        del config["annotations"]["org.hardening.profiles"]
        (folder / "b/config.json").write_text(json.dumps(config))
        if runtime == "native":
            done = place.type(*launch)
            assert (done.returncode, done.stdout) == (0, "ran\n"), done.stderr


def test_a_stored_plan_does_not_count_where_a_link_leads_elsewhere(folder: Path) -> None:
    (folder / "app.toml").write_text(f'extends = ["default"]\n[limits.rootfs]\nvolume_sources = ["{folder}/ok"]\n')
    line = ("run", "-q", "-p", "./app.toml", "-v", "./ok/sub:/x:ro", "--", "echo", "ran")
    place = Place(folder)
    assert place.type(*line).stdout == "ran\n"
    assert place.finds(*line)
    (folder / "ok/sub").rmdir()
    (folder / "ok/sub").symlink_to("../other")
    done = place.type(*line)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert f"{folder}/other" in done.stderr
