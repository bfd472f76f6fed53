"""The store holds what it says, keeps what it had where something goes wrong, and believes nobody else."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from hardening.errors import ImageError
from hardening.images import check, inuse, media, removal, store
from hardening.images.ids import Ids, load
from hardening.images.media import Descriptor
from hardening.images.reference import parse
from hardening.images.store import ImageStore
from hardening.images.unpacking import unpack
from hardening.images.unpacking.tree import Limits
from tests.support.features import require
from tests.support.homes import set_home
from tests.support.images import archive, entry, folder, layout, opened

NAME = parse("example.com/app:v1")
OWN = Ids(owner=(os.geteuid(), os.getegid()))


@pytest.fixture
def kept(tmp_path: Path) -> ImageStore:
    return opened(tmp_path / "images")


def add(kept: ImageStore, data: bytes, *, digest: str = "", size: int = -1) -> str:
    wanted = digest or media.digest_of(data)
    with kept.stage() as stage:
        kept.add(wanted, [data[:3], data[3:]], len(data) if size < 0 else size, stage)
    return wanted


def image(kept: ImageStore, tmp_path: Path, content: bytes = b"x") -> str:
    """An image with a name and a root."""
    digest = layout(tmp_path / "layout", [archive([folder("d", 0o500), entry("d/a", content)])])
    for path in (tmp_path / "layout/blobs/sha256").iterdir():
        add(kept, path.read_bytes())
    with kept.stage() as stage:
        unpack.ensure(kept, digest, OWN, stage, Limits())
        kept.name(NAME, digest, digest, stage)
    return digest


def test_where_the_store_is(monkeypatch: pytest.MonkeyPatch) -> None:
    set_home(monkeypatch, "/home/a")
    assert str(store.location({}, 0)) == "/var/lib/hardening/images"
    assert str(store.location({"HOME": "/home/b"}, 5)) == "/home/a/.local/share/hardening/images"
    assert str(store.location({"XDG_DATA_HOME": "/data"}, 5)) == "/data/hardening/images"
    assert str(store.location({"HARDENING_IMAGES": "/elsewhere"}, 0)) == "/elsewhere"
    assert str(store.location({"XDG_DATA_HOME": "data"}, 5)) == "/home/a/.local/share/hardening/images"
    set_home(monkeypatch, None)
    for nowhere in ({}, {"XDG_DATA_HOME": "data"}):
        with pytest.raises(ImageError, match="no directory for images"):
            store.location(nowhere, 5)


@pytest.mark.parametrize("algorithm", ["sha256:", "sha512:"])
def test_a_blob_is_kept_by_its_digest(kept: ImageStore, algorithm: str) -> None:
    digest = add(kept, b"content", digest=media.digest_of(b"content", algorithm))
    assert kept.read(digest) == b"content"
    assert kept.has(Descriptor(digest, 7))
    assert not kept.has(Descriptor(digest, 8))


@pytest.mark.parametrize(
    ("size", "digest", "message"),
    [
        (3, "", "larger than the 3 bytes"),
        (9, "", "blob truncated: 7 of 9 bytes"),
        (7, "sha256:" + "0" * 64, "digest mismatch: received sha256:ed7002b439e9ac84"),
    ],
)
def test_a_blob_that_is_not_what_it_should_be_is_not_kept(
    kept: ImageStore, size: int, digest: str, message: str
) -> None:
    with pytest.raises(ImageError, match=message):
        add(kept, b"content", digest=digest, size=size)
    assert kept.blobs() == []
    assert not list(kept.partial.iterdir())


def test_a_blob_that_was_changed_is_not_believed(kept: ImageStore) -> None:
    digest = add(kept, b"content")
    kept.blob(digest).write_bytes(b"changed")
    with pytest.raises(ImageError, match="digest mismatch"):
        kept.read(digest)
    assert "digest mismatch" in check.check(kept).problems[0]


def test_a_name_stands_for_an_image_until_it_is_forgotten(kept: ImageStore) -> None:
    assert kept.find(NAME) is None
    with kept.stage() as stage:
        first = kept.name(NAME, "sha256:1", "sha256:0", stage)
        assert kept.find(NAME) == first
        second = kept.name(NAME, "sha256:2", "sha256:0", stage)
    assert kept.records() == [second]
    kept.remove(str(NAME))
    kept.remove(str(NAME))
    assert kept.records() == []


def test_a_malformed_record_is_told(kept: ImageStore) -> None:
    kept.name_file(NAME).write_text("{}")
    with pytest.raises(ImageError, match="malformed"):
        kept.find(NAME)
    assert check.check(kept).problems == (f"{kept.name_file(NAME)}: is malformed",)


@pytest.mark.parametrize("name", ["", "blobs", "blobs/sha256", "names", "signatures", "roots", "partial"])
def test_a_store_that_others_could_write_is_refused(kept: ImageStore, name: str) -> None:
    (kept.path / name).chmod(0o777)
    with pytest.raises(ImageError, match="other users can write to it"):
        ImageStore.existing(kept.path)


def test_a_store_below_what_others_can_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    opened(tmp_path / "open/images")
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(ImageError, match="can be written by others"):
        ImageStore.existing(tmp_path / "open/images")


def test_a_store_behind_a_link_of_the_wrong_kind_is_refused(kept: ImageStore, tmp_path: Path) -> None:
    (kept.path / "names").rmdir()
    (kept.path / "names").symlink_to(tmp_path)
    with pytest.raises(ImageError, match="other users can write to it"):
        ImageStore.existing(kept.path)


def test_there_need_be_no_store(tmp_path: Path) -> None:
    assert ImageStore.existing(tmp_path / "none") is None


def test_what_nobody_names_is_swept_and_what_is_named_stays(kept: ImageStore, tmp_path: Path) -> None:
    digest = image(kept, tmp_path)
    stray = add(kept, b"stray")
    for signed in (kept.signatures("sha256:" + "9" * 64, str(NAME)), kept.signatures(digest, "other")):
        signed.mkdir()
    kept.signatures(digest, str(NAME)).mkdir()
    assert kept.prune()
    assert not kept.blob(stray).exists()
    assert len(kept.blobs()) == 3
    assert len(kept.roots()) == 1
    assert kept.signed() == [kept.signatures(digest, str(NAME))]
    assert check.check(kept).problems == ()
    kept.remove(str(NAME))
    assert kept.prune()
    assert (kept.blobs(), kept.roots(), kept.signed()) == ([], [], [])


def test_nothing_is_swept_while_somebody_uses_the_store(kept: ImageStore) -> None:
    stray = add(kept, b"stray")
    with kept.shared():
        assert not kept.prune()
    assert kept.blob(stray).exists()


def test_what_a_killed_process_left_is_tidied_and_what_is_held_stays(kept: ImageStore) -> None:
    (kept.partial / "left").mkdir()
    (kept.partial / "left/blob").write_bytes(b"half")
    with kept.stage() as stage:
        removal.prune(kept.partial)
        assert list(kept.partial.iterdir()) == [stage]


def test_what_cannot_be_removed_is_in_nobody_s_way(kept: ImageStore) -> None:
    require("root")
    for name in ("kept", "left"):
        (kept.partial / name / "place").mkdir(parents=True)
    stuck = kept.partial / "kept/place"
    subprocess.run(["mount", "--bind", stuck, stuck], check=True)
    try:
        removal.prune(kept.partial)
        assert [path.name for path in kept.partial.iterdir()] == ["kept"]
    finally:
        subprocess.run(["umount", stuck], check=True)


def test_a_check_finds_what_is_missing(kept: ImageStore, tmp_path: Path) -> None:
    digest = image(kept, tmp_path)
    assert check.check(kept) == check.Checked(1, 3, 1, ())
    layer = kept.manifest(digest).layers[0].digest
    kept.blob(layer).write_bytes(b"damaged")
    assert check.check(kept).problems == (f"{kept.blob(layer)}: digest mismatch",)
    kept.blob(layer).unlink()
    assert check.check(kept).problems == (f"{NAME}: the blob {layer} is missing",)
    (kept.roots()[0] / "root.json").write_text(json.dumps({"entries": 1, "digest": "sha256:other"}))
    assert check.check(kept).problems[-1].endswith("is the root of another image")
    (kept.roots()[0] / "root.json").unlink()
    assert check.check(kept).problems[-1].endswith("incomplete root")
    kept.blob(kept.manifest(digest).config.digest).unlink()
    assert "cannot be read: No such file" in check.check(kept).problems[0]


def test_nobody_uses_a_root_that_nobody_mounts(kept: ImageStore, tmp_path: Path) -> None:
    image(kept, tmp_path)
    assert inuse.user(kept.roots()[0]) is None


def test_ids_of_a_run_and_their_names() -> None:
    mapped = Ids.of(([(0, 100, 50), (50, 1000, 1)], [(0, 200, 51)]), 1000, 1000)
    assert mapped.outside(5, 5) == (105, 205)
    assert mapped.outside(50, 50) == (1000, 250)
    assert mapped.outside(51, 0) is None
    assert load(json.loads(json.dumps(mapped.dump()))) == mapped
    assert Ids.of(None, 0, 0) == Ids()
    assert Ids().outside(7, 8) == (7, 8)
    assert Ids.of(None, 1000, 100) == Ids(owner=(1000, 100))
    assert Ids.of(([(1000, 1000, 1)], [(100, 100, 1)]), 1000, 100) == Ids(owner=(1000, 100))
    assert len({item.key for item in (mapped, Ids(), Ids(owner=(1, 1)), Ids(owner=(1, 2)))}) == 4
    assert mapped.needs_namespace(1000)
    assert not mapped.needs_namespace(0)
    assert not Ids(owner=(1000, 100)).needs_namespace(1000)
