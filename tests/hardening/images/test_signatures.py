"""Signatures in the store: for a name, beside those that were there, and never in the place of them without need."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.errors import HardeningError, ImageError
from hardening.images.signatures import LONGEST, MOST, gather, keep, names
from hardening.images.store import ImageStore
from tests.support.images import opened


@pytest.fixture
def kept(tmp_path: Path) -> ImageStore:
    return opened(tmp_path / "images")


def sign(kept: ImageStore, *found: bytes, spoilt: bytes = b"spoilt", target: str = "name") -> list[bytes]:
    """Keep signatures: those that are there then. With ``spoilt`` among them an image would be refused."""

    def judge(folder: Path) -> None:
        if any(path.read_bytes() == spoilt for path in folder.iterdir()):
            raise HardeningError("refused")

    place = kept.signatures("sha256:1", target)
    with kept.stage() as stage:
        keep(kept, place, gather(kept, found, stage, "here"), stage, judge)
    assert not list(kept.partial.iterdir())
    return [(place / name).read_bytes() for name in names() if (place / name).exists()]


def test_what_was_kept_stays_whatever_another_pull_finds(kept: ImageStore) -> None:
    assert sign(kept) == []
    assert not kept.signed()
    assert sign(kept, b"one", b"two") == [b"one", b"two"]
    before = kept.signatures("sha256:1", "name").stat()
    assert sign(kept) == sign(kept, b"two") == [b"one", b"two"]
    assert kept.signatures("sha256:1", "name").stat() == before
    assert sign(kept, b"three", b"one") == [b"one", b"two", b"three"]
    assert sign(kept, b"four", target="other") == [b"four"]
    assert sign(kept) == [b"one", b"two", b"three"]


def test_what_spoils_the_others_goes_with_the_next_pull(kept: ImageStore) -> None:
    assert sign(kept, b"old", b"spoilt") == [b"old", b"spoilt"]
    assert sign(kept, b"new") == [b"new"]


def test_there_is_an_end_to_them(kept: ImageStore) -> None:
    many = [str(number).encode() for number in range(MOST)]
    assert sign(kept, *many) == many
    assert sign(kept, b"new") == [b"new"]
    for wrong in ([b""] * (MOST + 1), [bytes(LONGEST + 1)]):
        with pytest.raises(ImageError, match="more than"):
            sign(kept, *wrong)
    assert sign(kept, bytes(LONGEST))[1:] == [bytes(LONGEST)]
