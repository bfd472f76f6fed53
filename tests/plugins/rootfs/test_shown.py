"""Where a path lies, by the mounts that are made, and what makes a place empty."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening_rootfs.settings import RootfsSettings
from hardening_rootfs.shown import Place, mounted_with, place_of, shown, source_of_hidden, there
from tests.plugins.rootfs.stacks import composed, context_of


def place(folder: Path, said: str, path: str) -> Place:
    """Where a stack of one layer has a path."""
    composition = composed(folder, f"[rootfs]\n{said}\n")
    settings = composition.settings["rootfs"]
    assert isinstance(settings, RootfsSettings)
    return place_of(settings, context_of(composition), path)


@pytest.mark.parametrize(
    ("path", "leaf", "source", "lacks"),
    [
        ("/usr/bin/env", "rootfs.path", "/usr/bin/env", ["rw"]),
        ("/tmp/x", "rootfs.tmpfs./tmp", "", ["exec"]),
        ("/data/in/../file", "rootfs.volumes./data", "{}/file", []),
        ("/data/deep/file", "rootfs.volumes./data/deep", "{}/file", ["rw"]),
        ("/nowhere", "rootfs.path", "", ["rw"]),
    ],
)
def test_a_path_lies_in_the_nearest_mount(path: str, leaf: str, source: str, lacks: list[str], tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    found = place(tmp_path, f'volumes.add = ["{tmp_path}:/data", "{tmp_path}:/data/deep:ro"]', path)
    assert (found.leaf, found.source) == (leaf, source.format(tmp_path))
    assert [right for right in ("rw", "exec") if found.lacks(right)] == lacks


def test_links_of_a_root_are_followed_in_it(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "real").mkdir(parents=True)
    (root / "link").symlink_to("/real")
    found = place(tmp_path, f'path = "{root}"', "/link/new")
    assert (found.path, found.source, found.top) == ("/real/new", f"{root}/real/new", str(root))
    assert found.existing == f"{root}/real"
    assert mounted_with(place(tmp_path, "", "/tmp/x")) == 0


def test_what_is_mounted_below_a_hidden_directory_is_seen(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    said = f'[rootfs]\nhidden_paths.add = ["/opt"]\nmasked_paths.add = ["/usr/share"]\nvolumes.add = ["{hidden}:/opt/in"]\n'
    composition = composed(tmp_path, said)
    context, settings = context_of(composition), composition.settings["rootfs"]
    seen = shown(context)
    assert [seen.hiding(path) for path in ("/opt/x", "/opt/in/x", "/usr/share/doc", "/usr/lib")] == [
        "/opt", None, "/usr/share", None,
    ]  # fmt: skip
    assert source_of_hidden(settings, context, "/usr/share/doc", "/usr/share") == "/usr/share/doc"
    assert shown(context) is seen


def test_what_the_caller_may_not_look_at_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    assert not there(f"{tmp_path}/none")
    monkeypatch.setattr("os.lstat", refuse)
    assert there(f"{tmp_path}/none")
