"""Layers are decompressed piece by piece, whatever they are compressed with."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma

import pytest

from hardening.errors import ImageError
from hardening.images.unpacking.compression import decompressed
from tests.support.images import packed

CONTENT = bytes(range(256)) * 5000


def whole(data: bytes, size: int = 1000) -> bytes:
    read = decompressed(io.BytesIO(data).read, "layer")
    parts = []
    while piece := read(size):
        assert len(piece) <= size
        parts.append(piece)
    return b"".join(parts)


@pytest.mark.parametrize("how", ["gzip", "zstd", "plain"])
def test_each_format_is_told_by_its_beginning(how: str) -> None:
    assert whole(packed(CONTENT, how)[0]) == CONTENT
    assert whole(packed(b"", how)[0]) == b""


def test_members_and_frames_follow_each_other() -> None:
    assert whole(gzip.compress(b"one") + gzip.compress(b"two") + b"\0" * 100) == b"onetwo"
    assert whole(packed(b"one", "zstd")[0] + packed(b"two", "zstd")[0]) == b"onetwo"


def test_a_bomb_is_never_held_whole() -> None:
    """A gigabyte of zeros comes in pieces of what was asked for."""
    bomb = gzip.compress(b"\0" * (1 << 24), 9)
    read = decompressed(io.BytesIO(bomb * 64).read, "layer")
    assert len(read(1 << 16)) <= 1 << 16


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip.compress(CONTENT)[:-20], "truncated gzip data"),
        (gzip.compress(b"x") + b"rubbish", "corrupt gzip"),
        (gzip.compress(b"x")[:3] + b"\xe0" + gzip.compress(b"x")[4:], "corrupt gzip"),
        (packed(CONTENT, "zstd")[0][:9] + b"\xff" * 60, "corrupt zstd"),
        (bz2.compress(b"x"), "compressed with bzip2"),
        (lzma.compress(b"x"), "compressed with xz"),
    ],
    ids=["cut", "rubbish", "reserved flags", "zstd", "bzip2", "xz"],
)
def test_what_cannot_be_decompressed_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        whole(data)
