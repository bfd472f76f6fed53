"""Reading a tar archive that nobody vouches for: POSIX ustar and pax, the long names of GNU, old archives (tar(5)).

The reader goes forward only, holds one header at a time, and believes no length that it has not bounded. What it does not
know it refuses, for whatever is skipped would be missing from the root.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import attrs

from hardening.base.values import frozen
from hardening.errors import ImageError

BLOCK = 512
CHUNK = 1 << 18
MAX_HEADER = 1 << 20  # bytes of a pax header or a long name
MAX_PATH, MAX_PART = 4095, 255  # PATH_MAX, NAME_MAX (limits.h)
MAX_ID = 2**32 - 2  # the one above means "leave it" to chown(2)
_MAX_NUMBER = (1 << 63) - 1

FILE, HARD_LINK, LINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = (
    "file",
    "hard link",
    "link",
    "char",
    "block",
    "dir",
    "fifo",
)
_KINDS = {
    b"0": FILE,
    b"\0": FILE,
    b"7": FILE,
    b"1": HARD_LINK,
    b"2": LINK,
    b"3": CHARACTER,
    b"4": BLOCK_DEVICE,
    b"5": DIRECTORY,
    b"6": FIFO,
}
_SPARSE = "sparse files of GNU tar are not read"
_XATTR = "SCHILY.xattr."
_MAX_KEY = len(_XATTR) + 255  # XATTR_NAME_MAX (limits.h)
#: What stands before an entry and belongs to it: pax records, and the long names of GNU.
_PAX, _GLOBAL, _NAME, _TARGET = b"x", b"g", b"L", b"K"


@frozen
class TarEntry:
    """One entry. ``name`` and ``target`` are bytes as they stand there, ``mode`` the permission bits with set-id and sticky
    bits, ``mtime`` nanoseconds since the epoch."""

    name: bytes
    kind: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    target: bytes = b""
    attributes: Mapping[str, bytes] = attrs.field(factory=dict)


class TarReader:
    """The entries of an archive. ``read(n)`` gives at most ``n`` bytes, b'' at the end; ``origin`` names the archive.
    ``skip(n)`` passes over content faster than by reading it, where that can be done; ``header(n)`` is told of each header
    of ``n`` bytes that is no entry, of which there is at most one of a kind before an entry, and may raise."""

    def __init__(
        self,
        read: Callable[[int], bytes],
        origin: object,
        skip: Callable[[int], object] | None = None,
        header: Callable[[int], object] | None = None,
    ) -> None:
        self._read = read
        self._pass = skip
        self._count = header
        self._origin = origin
        self._left = 0  # bytes of the current entry that were not read
        self._padding = 0

    def __iter__(self) -> Iterator[TarEntry]:
        """Each entry in its order; what was not read of it with `data` is passed over. Raises `ImageError`."""
        before: dict[bytes, bytes] = {}
        extended: dict[str, bytes] = {}
        while (header := self._header()) is not None:
            kind = header[156:157]
            if kind in (_PAX, _GLOBAL, _NAME, _TARGET):
                if kind in before:  # without end, they would fill the memory
                    raise self._wrong("has two headers of one kind for one entry")
                before[kind] = self._whole(_number(header[124:136], self._wrong))
                if self._count is not None:
                    self._count(len(before[kind]))
                if kind in (_PAX, _GLOBAL):
                    read = self._pax(before[kind])
                    extended = (
                        read if kind == _PAX else extended
                    )  # those of a whole archive say nothing that a root needs
                continue
            entry = self._entry(header, extended, before)
            before, extended = {}, {}
            self._left = entry.size
            self._padding = -entry.size % BLOCK
            yield entry
            self._skip()
        if before.keys() - {_GLOBAL}:
            raise self._wrong("ends after a header that belongs to an entry")

    def data(self) -> Iterator[bytes]:
        """The content of the current entry. Raises `ImageError` where the archive ends in it."""
        while self._left:
            piece = self._read(min(self._left, CHUNK))
            if not piece:
                raise self._wrong("ends in the middle of an entry")
            self._left -= len(piece)
            yield piece

    def _skip(self) -> None:
        if self._pass is not None and self._left:
            self._pass(self._left)
            self._left = 0
        for _ in self.data():
            pass
        self._exactly(self._padding, may_end=True)  # umoci leaves out what follows the last file
        self._padding = 0

    def _header(self) -> bytes | None:
        """The next header; None at the end, which is a block of zeros or simply the end."""
        block = self._exactly(BLOCK, may_end=True)
        if not block or not block.strip(b"\0"):
            return None
        said = _number(block[148:156], self._wrong)
        unsigned = sum(block) - sum(block[148:156]) + 8 * 32
        if said != unsigned:
            signed = unsigned - 256 * sum(byte > 127 for byte in block[:148] + block[156:])
            if said != signed:
                raise self._wrong("has a header with a wrong checksum")
        return block

    def _exactly(self, size: int, *, may_end: bool = False) -> bytes:
        parts = []
        left = size
        while left:
            piece = self._read(left)
            if not piece:
                break
            parts.append(piece)
            left -= len(piece)
        if left and not (may_end and left == size):
            raise self._wrong("ends too early")
        return b"".join(parts)

    def _whole(self, size: int) -> bytes:
        """The content of a header that has one."""
        if size > MAX_HEADER:
            raise self._wrong(f"has a header of {size} bytes")
        content = self._exactly(size)
        self._exactly(-size % BLOCK)
        return content

    def _pax(self, content: bytes) -> dict[str, bytes]:
        """The records of a pax header: ``LENGTH KEY=VALUE`` and a newline each."""
        found: dict[str, bytes] = {}
        position = 0
        while position < len(content):
            space = content.find(b" ", position, position + 20)
            digits = content[position:space] if space > 0 else b""
            end = position + int(digits) if digits.isdigit() else 0
            record = content[space + 1 : end]
            key, equals, value = record[:-1].partition(b"=")
            if not (space < end <= len(content)) or not equals or record[-1:] != b"\n" or b"\0" in key:
                raise self._wrong("has a pax header that is malformed")
            if len(key) > _MAX_KEY:
                raise self._wrong(f"has a key of {len(key)} bytes in a pax header")
            name = key.decode("utf-8", "replace")
            if name.startswith("GNU.sparse."):
                raise self._wrong(_SPARSE)
            found[name] = value
            position = end
        return found

    def _entry(self, header: bytes, extended: Mapping[str, bytes], before: Mapping[bytes, bytes]) -> TarEntry:
        kind = _KINDS.get(header[156:157])
        if kind is None:
            if header[156:157] == b"S":
                raise self._wrong(_SPARSE)
            raise self._wrong(f"has an entry of an unknown type ({header[156:157]!r})")
        name = header[:100].partition(b"\0")[0]
        prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
        name = before[_NAME].rstrip(b"\0") if _NAME in before else prefix + b"/" + name if prefix else name
        target = before[_TARGET].rstrip(b"\0") if _TARGET in before else header[157:257].partition(b"\0")[0]
        name, target = extended.get("path", name), extended.get("linkpath", target)
        for path in (name, target):
            if len(path) > MAX_PATH or b"\0" in path or any(len(part) > MAX_PART for part in path.split(b"/")):
                raise self._wrong(f"has an invalid file name: {path[:60]!r}…")
        if kind == FILE and name.endswith(b"/"):
            kind = DIRECTORY  # so old archives write them
        if kind in (HARD_LINK, LINK) and not target:
            raise self._wrong(f"has a link without a target: {name!r}")
        size = self._decimal(extended, "size", header[124:136])
        return TarEntry(
            name,
            kind,
            _number(header[100:108], self._wrong) & 0o7777,
            self._id(extended, "uid", header[108:116]),
            self._id(extended, "gid", header[116:124]),
            size if kind == FILE else self._no_content(size),
            self._time(extended, header[136:148]),
            target if kind in (HARD_LINK, LINK) else b"",
            {key.removeprefix(_XATTR): value for key, value in extended.items() if key.startswith(_XATTR)},
        )

    def _no_content(self, size: int) -> int:
        """Programs do not agree on whether content follows the header of what is no file."""
        if size:
            raise self._wrong("has content for an entry that is not a file")
        return 0

    def _decimal(self, extended: Mapping[str, bytes], key: str, field: bytes) -> int:
        said = extended.get(key)
        if said is None:
            return _number(field, self._wrong)
        if not said.isdigit() or len(said) > 19 or int(said) > _MAX_NUMBER:
            raise self._wrong(f"has a wrong {key} in a pax header")
        return int(said)

    def _id(self, extended: Mapping[str, bytes], key: str, field: bytes) -> int:
        found = self._decimal(extended, key, field)
        if found > MAX_ID:
            raise self._wrong(f"has an invalid {key}: {found}")
        return found

    def _time(self, extended: Mapping[str, bytes], field: bytes) -> int:
        said = extended.get("mtime")
        if said is None:
            # A time before 1970 is the one number that may be negative; it is of no use here.
            return min(_number(field, self._wrong) if not field[0] & 0x80 or field[0] == 0x80 else 0, 1 << 33) * 10**9
        whole, _, fraction = said.partition(b".")
        if not whole.isdigit() or len(whole) > 12 or (fraction and not fraction.isdigit()):
            return 0
        return int(whole) * 10**9 + int(fraction[:9].ljust(9, b"0"))

    def _wrong(self, problem: str) -> ImageError:
        return ImageError(
            f"the archive {problem}",
            origin=self._origin,
            hint="build or save the image again, or report this to its author",
        )


def _number(field: bytes, wrong: Callable[[str], ImageError]) -> int:
    """An octal number, or one of GNU's in base 256, from 0 to 2**63 - 1."""
    if field[0] & 0x80:
        value = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
        if field[0] != 0x80 or value > _MAX_NUMBER:
            raise wrong("has a number that is negative or too large")
        return value
    digits = field.strip(b"\0 ")
    if not digits:
        return 0
    if any(digit not in b"01234567" for digit in digits):
        raise wrong(f"has an invalid number: {digits!r}")
    return int(digits, 8)
