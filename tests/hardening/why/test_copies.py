"""Copies of what a command may write to."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from hardening.images.ids import Ids
from hardening.mechanism.fragment import Spec
from hardening.why import copies

OWN = Ids(owner=(os.geteuid(), os.getegid()))


def document(*mounts: dict[str, Any], **root: Any) -> dict[str, Any]:
    """A configuration with these mounts."""
    return {
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs", "readonly": True, **root},
        "process": {"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}, "noNewPrivileges": True},
        "mounts": list(mounts),
        "linux": {"namespaces": [{"type": "mount"}]},
    }


def bind(source: Path, *options: str) -> dict[str, Any]:
    """A mount of a place at itself."""
    return {"destination": str(source), "type": "bind", "source": str(source), "options": ["rbind", *options]}


def _spec(found: dict[str, Any]) -> Spec:
    return Spec(json.dumps(found).encode(), {}, {})


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A folder with a file that has two names, in a folder."""
    place = tmp_path / "volume"
    (place / "inner").mkdir(parents=True)
    (place / "inner/file").write_text("content")
    (place / "inner/file").chmod(0o640)
    os.link(place / "inner/file", place / "other")
    return place


def test_what_can_be_written_is_told_from_what_is_only_shown(volume: Path) -> None:
    shown = document(bind(volume), bind(volume / "inner", "rro"), bind(Path("/dev/null")))
    assert copies.writable(shown) == (copies.Writable("/mounts/0/source", str(volume)),)
    assert copies.writable(document(path=str(volume), readonly=False)) == (copies.Writable("/root/path", str(volume)),)


def test_a_copy_stands_in_with_all_that_lies_in_it(volume: Path, tmp_path: Path) -> None:
    launch = tmp_path / "launch"
    launch.mkdir()
    spec = _spec(document(bind(volume / "inner"), bind(volume)))
    made = copies.made(spec, str(launch), OWN).document
    inner, whole = (Path(mount["source"]) for mount in made["mounts"])
    assert whole.is_relative_to(launch)
    assert inner == whole / "inner"
    assert (inner / "file").read_text() == "content"
    assert (inner / "file").stat().st_mode & 0o777 == 0o640
    assert (inner / "file").samefile(whole / "other")
    (inner / "file").write_text("changed")
    assert (volume / "other").read_text() == "content"
    copies.remove(str(launch))
    assert not list(launch.iterdir())


def test_too_much_is_not_copied(volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "MOST_FILES", 2)
    with pytest.raises(copies.TooMuch, match="which is too much to be copied for each run") as caught:
        copies.made(_spec(document(bind(volume))), str(tmp_path), OWN)
    assert caught.value.hint is not None
    assert "--in-place" in caught.value.hint
    copies.require_small(document(bind(volume, "ro")))
