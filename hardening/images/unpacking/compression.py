"""What layers are compressed with: nothing, gzip (RFC 1952) or zstd (RFC 8878), told by how the data begins.

Data is decompressed piece by piece: no more than is asked for is ever held, however much a little of it may become.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import IO, cast

from hardening.errors import ImageError

Read = Callable[[int], bytes]
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_UNREAD = {b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
_SKIPPABLE = b"\x2a\x4d\x18"  # the last three bytes of the magic of a frame without data, which zstd may begin with
_MAX_WINDOW = 1 << 27  # bytes
_INPUT = 1 << 17


def decompressed(read: Read, origin: object) -> Read:
    """A reader of what ``read`` gives, decompressed; raises `ImageError` for damaged data and other formats."""
    begin = read(6)
    while begin and len(begin) < 6 and (more := read(6 - len(begin))):
        begin += more
    pushed = _Pushed(begin, read)
    if begin.startswith(_GZIP):
        return _Gzip(pushed.read, origin).read
    if begin.startswith(_ZSTD) or begin[1:4] == _SKIPPABLE:
        return _zstd(pushed, origin)
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


class _Gzip:
    """The members of a gzip file, one after the other."""

    def __init__(self, read: Read, origin: object) -> None:
        self._input = read
        self._origin = origin
        self._waiting = b""
        self._member = zlib.decompressobj(31)

    def read(self, size: int) -> bytes:
        while True:
            if self._member.eof and not self._following():
                return b""
            if not self._waiting:
                self._waiting = self._input(_INPUT)
                if not self._waiting:
                    raise ImageError("truncated gzip data", origin=self._origin, hint="pull it again")
            try:
                piece = self._member.decompress(self._waiting, size)
            except zlib.error as error:
                raise ImageError(f"corrupt gzip data: {error}", origin=self._origin, hint="pull it again") from None
            self._waiting = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if piece:
                return piece

    def _following(self) -> bool:
        """Whether another member follows, which then is the current one. Zeros may fill the rest of a file."""
        while not self._waiting.strip(b"\0"):
            self._waiting = self._input(_INPUT)
            if not self._waiting:
                return False
        self._member = zlib.decompressobj(31)
        return True


def _zstd(source: _Pushed, origin: object) -> Read:
    import zstandard

    reader = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).stream_reader(
        cast("IO[bytes]", source), read_across_frames=True
    )

    def read(size: int) -> bytes:
        try:
            return reader.read(size)
        except zstandard.ZstdError as error:
            raise ImageError(f"corrupt zstd data: {error}", origin=origin, hint="pull it again") from None

    return read
