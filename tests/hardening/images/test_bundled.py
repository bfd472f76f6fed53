"""What a configuration binds of the store: only of the image that it names, and never to be written to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.errors import ImageError, SpecError
from hardening.images import removal
from hardening.images.bundled import require
from hardening.images.store import ImageStore
from hardening.mechanism import inputs
from hardening.mechanism.used import DIGEST, REFERENCE, STORE, Used

ONE, OTHER = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


@attrs.frozen
class Place:
    """A store with two images, and the directory of a bundle."""

    store: ImageStore
    bundle: Path

    def root(self, digest: str = ONE) -> Path:
        return self.store.path / "roots" / f"{digest.replace(':', '-')}-key" / removal.ROOT

    def document(
        self, path: object, *mounts: object, readonly: object = True, named: str | None = ONE
    ) -> dict[str, Any]:
        image = Used("oci:/srv/image:v1", named, self.store.path) if named is not None else None
        return {
            "root": {"path": str(path) if isinstance(path, Path) else path, "readonly": readonly},
            "mounts": list(mounts),
            "annotations": image.annotations if image is not None else {},
        }

    def refused(self, path: object, *mounts: object, readonly: object = True, named: str | None = ONE) -> str:
        with pytest.raises(SpecError) as caught:
            require(self.document(path, *mounts, readonly=readonly, named=named), self.bundle)
        return caught.value.message


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    found = Place(ImageStore(tmp_path / "images"), tmp_path / "bundle")
    found.store.make()
    monkeypatch.setenv("HARDENING_IMAGES", str(found.store.path))
    (found.bundle / "rootfs").mkdir(parents=True)
    for digest in (ONE, OTHER):
        found.root(digest).mkdir(parents=True)
        (found.root(digest).parent / removal.ABOUT).write_text("{}")
    return found


def bind(source: object, *options: str, kind: str = "bind") -> dict[str, Any]:
    return {"destination": "/x", "type": kind, "source": str(source), "options": list(options)}


def test_the_root_of_the_image_that_is_named_is_held(place: Place) -> None:
    looked = require(place.document(place.root(), bind(place.root() / "etc", "rbind", "ro")), place.bundle)
    assert {*inputs.way(place.root()), *inputs.way(place.root().parent / removal.ABOUT)} <= set(looked)
    assert not place.store.prune()


def test_a_root_that_is_no_image_may_be_written_to_and_the_way_to_it_is_looked_at(place: Place) -> None:
    document = place.document("rootfs", bind("/srv", "rbind"), readonly=False, named=None)
    assert {*inputs.way(place.bundle / "rootfs"), *inputs.way("/srv")} <= set(require(document, place.bundle))


@pytest.mark.parametrize("readonly", [False, None, "true", 1])
def test_a_root_that_all_runs_share_is_never_writable(place: Place, readonly: object) -> None:
    assert "stays read-only" in place.refused(place.root(), readonly=readonly)
    assert "stays read-only" in place.refused(place.root() / "etc", readonly=readonly)


@pytest.mark.parametrize("options", [(), ("rbind",), ("rbind", "rw"), ("ro", "rw"), ("rro", "rrw")])
def test_no_mount_of_one_is_writable(place: Place, options: tuple[str, ...]) -> None:
    for kind in ("bind", "none", "tmpfs"):
        if kind != "tmpfs" or "rbind" in options:
            assert "stays read-only" in place.refused("rootfs", bind(place.root() / "etc", *options, kind=kind))
    require(place.document("rootfs", bind(place.root(), "rro")), place.bundle)


def test_the_root_of_another_image_is_not_bound(place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "binds the root of another" in place.refused(place.root(OTHER))
    assert "binds the root of another" in place.refused(place.root(), bind(place.root(OTHER), "ro"))
    assert "binds the root of another" in place.refused(place.store.path / "roots")
    assert "does not give its digest" in place.refused(place.root(), named="")
    other = place.document(place.root())
    other["annotations"][STORE] = str(tmp_path / "elsewhere")
    with pytest.raises(SpecError, match="binds the root of another"):
        require(other, place.bundle)
    monkeypatch.setenv("HARDENING_IMAGES", str(tmp_path / "empty"))
    assert "binds the root of another" in place.refused(place.root(OTHER))
    require(place.document(place.root()), place.bundle)


def test_a_root_is_known_by_where_it_is_however_it_is_spelt(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "roots").symlink_to(place.store.path / "roots")
    (place.bundle / "linked").symlink_to(place.root())
    relative = place.root().relative_to(tmp_path)
    spelt = ("linked", f"../{relative}", f"{place.root()}/../root", f"/{place.root()}", f"/proc/self/root{place.root()}",
             str(tmp_path / "roots" / place.root().parent.name / "root"))  # fmt: skip
    for path in spelt:
        for line in ((path,), ("rootfs", bind(path, "ro"))):
            assert "does not name the image" in place.refused(*line, named=None), path
            assert "binds the root of another" in place.refused(*line, named=OTHER), path
        assert "stays read-only" in place.refused(path, readonly=False)
        require(place.document(path), place.bundle)
    (place.bundle / "rootfs").rmdir()
    (place.bundle / "rootfs").symlink_to(place.root())
    assert "does not name the image" in place.refused(None, named=None)
    (tmp_path / "store").symlink_to(place.store.path)
    monkeypatch.setenv("HARDENING_IMAGES", str(tmp_path / "store"))
    assert "does not name the image" in place.refused(place.root(), named=None)


def test_what_is_gone_is_told(place: Place) -> None:
    (place.root().parent / removal.ABOUT).unlink()
    with pytest.raises(ImageError, match="no longer in the store"):
        require(place.document(place.root()), place.bundle)


@pytest.mark.parametrize("path", [5, "a\0b", "\ud800"])
def test_values_that_are_no_paths_are_for_the_runtime_to_refuse(place: Place, path: object) -> None:
    for document in (place.document(path, path, {"source": path, "options": [path]}), {"root": path, "mounts": path}):
        require(document, place.bundle)
    require(place.document("rootfs", named=None), place.bundle)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (STORE, "/a\0b", "neither a name nor a path"),
        (REFERENCE, "a\0b", "neither a name nor a path"),
        (REFERENCE, "\udcff", "neither a name nor a path"),
        (STORE, "/\ud800", "neither a name nor a path"),
        (DIGEST, f"{ONE}\0", "is not a digest"),
        (DIGEST, "x:../../..", "is not a digest"),
        (DIGEST, "x:/a/fifo", "is not a digest"),
        (DIGEST, ONE[:-1], "is not a digest"),
        (DIGEST, f"sha512:{'1' * 64}", "is not a digest"),
        (DIGEST, f"sha256:{'A' * 64}", "is not a digest"),
    ],
)
def test_an_image_that_is_named_by_what_is_none_is_refused(place: Place, name: str, value: str, message: str) -> None:
    document = place.document("rootfs")
    document["annotations"][name] = value
    with pytest.raises(ImageError, match=message) as caught:
        require(document, place.bundle)
    assert caught.value.origin == "config.json:/annotations"
