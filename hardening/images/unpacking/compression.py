"""What layers are compressed with: nothing, gzip (RFC 1952) or zstd (RFC 8878), told by how the data begins.

Data is decompressed piece by piece: no more than is asked for is ever held, however much a little of it may become.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from typing import IO, cast

from hardening.errors import ImageError

Read = Callable[[int], bytes]
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_UNREAD = {b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
_SKIPPABLE = b"\x2a\x4d\x18"  # the last three bytes of the magic of a frame without data, which zstd may begin with
_MAX_WINDOW = 1 << 27  # bytes


def decompressed(read: Read, origin: object) -> Read:
    """A reader of what ``read`` gives, decompressed; raises `ImageError` for damaged data and other formats."""
    begin = read(6)
    while begin and len(begin) < 6 and (more := read(6 - len(begin))):
        begin += more
    pushed = _Pushed(begin, read)
    file = cast("IO[bytes]", pushed)
    if begin.startswith(_GZIP):
        return _worded(gzip.GzipFile(fileobj=file).read, "gzip", origin, gzip.BadGzipFile, zlib.error)
    if begin.startswith(_ZSTD) or begin[1:4] == _SKIPPABLE:
        import zstandard

        plain = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).stream_reader(file, read_across_frames=True)
        return _worded(plain.read, "zstd", origin, zstandard.ZstdError)
    for magic, name in _UNREAD.items():
        if begin.startswith(magic):
            raise ImageError(f"is compressed with {name}", origin=origin, hint="layers are plain, gzip or zstd")
    return pushed.read


class _Pushed:
    """A reader to which what was read of it before is given back."""

    def __init__(self, begin: bytes, read: Read) -> None:
        self._begin = begin
        self._next = read

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            raise ValueError("never all at once")
        if not self._begin:
            self._begin = self._next(size)
        piece, self._begin = self._begin[:size], self._begin[size:]
        return piece


def _worded(read: Read, kind: str, origin: object, *errors: type[Exception]) -> Read:
    """A reader whose ``errors`` say that the data is damaged."""

    def reader(size: int) -> bytes:
        try:
            return read(size)
        except EOFError:
            raise ImageError(f"truncated {kind} data", origin=origin, hint="pull it again") from None
        except errors as error:
            raise ImageError(f"corrupt {kind} data: {error}", origin=origin, hint="pull it again") from None

    return reader
