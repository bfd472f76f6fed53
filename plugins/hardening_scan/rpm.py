"""The packages of rpm: its database, in the three formats that it has had, and the headers that stand in it.

Everything is read strictly from a copy in memory, and what a database says of itself (lengths, offsets, counts) is held
against what is there. Sources: rpm's manual, "RPM v4 package format", for headers; rpm's lib/backend/ndb/rpmpkg.c for
`Packages.db`; Berkeley DB's db_page.h for `Packages`, a hash of version 8 to 10.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from hardening.mechanism.scanner import Package
from hardening_scan.malformed import Malformed

#: Bytes of a database, of a header and of a string in one; packages in a database.
LONGEST, HEADER, TEXT, MOST = 256 << 20, 64 << 20, 1024, 100_000
#: Instructions of SQLite between two looks at how many there were, and looks.
_STEP, _STEPS = 10_000, 10_000

_NAME, _VERSION, _RELEASE, _EPOCH, _ARCH = 1000, 1001, 1002, 1003, 1022
_INT32, _STRING, _TYPES = 4, 6, 9
_HASH_PAGES, _OVERFLOW, _HASH_META = (2, 13), 7, 8
_INLINE, _OFF_PAGE = 1, 3


def packages(name: str, data: bytes) -> list[Package]:
    """The packages of a database of this file name, which is one of `READERS`. Raises `Malformed`."""
    found: list[Package] = []
    size = 0
    for header in READERS[name](data):
        size += len(header)
        if size > len(data):
            raise Malformed("its packages lie over one another")
        if len(found) >= MOST:
            raise Malformed(f"it has more than {MOST} packages")
        found.append(package(header))
    return found


def package(header: bytes) -> Package:
    """What a header as databases have it, without the magic, says of its package. Raises `Malformed`."""
    if len(header) < 8:
        raise Malformed("truncated header")
    count, size = struct.unpack_from(">II", header)
    store = 8 + 16 * count
    if not 0 < count <= 0xFFFF or len(header) != store + size:
        raise Malformed("invalid length of a header")
    found: dict[int, str] = {}
    for tag, kind, offset, items in struct.iter_unpack(">IIII", header[8:store]):
        if kind > _TYPES or offset >= size or not items:
            raise Malformed("a header points outside of itself")
        if tag not in (_NAME, _VERSION, _RELEASE, _EPOCH, _ARCH):
            continue
        if tag in found or items != 1 or kind != (_INT32 if tag == _EPOCH else _STRING):
            raise Malformed("a header has a tag twice, or of another type")
        found[tag] = _number(header, store + offset) if tag == _EPOCH else _text(header, store + offset)
    if not all(found.get(tag) for tag in (_NAME, _VERSION, _RELEASE)):
        raise Malformed("a header names no package, or no version")
    epoch = f"{found[_EPOCH]}:" if _EPOCH in found else ""
    return Package("rpm", found[_NAME], f"{epoch}{found[_VERSION]}-{found[_RELEASE]}", found.get(_ARCH, ""))


def _number(header: bytes, start: int) -> str:
    if start + 4 > len(header):
        raise Malformed("a header points outside of itself")
    return str(int.from_bytes(header[start : start + 4], "big"))


def _text(header: bytes, start: int) -> str:
    end = header.find(b"\0", start, start + TEXT)
    if end < 0:
        raise Malformed("a string has no end")
    return header[start:end].decode("utf-8", "backslashreplace")


def sqlite(data: bytes) -> Iterator[bytes]:
    """The headers of `rpmdb.sqlite`. SQLite gets a copy in memory, and may do nothing but read one table of it."""
    import sqlite3

    if not data.startswith(b"SQLite format 3\0") or len(data) < 100:
        raise Malformed("it is not a database of SQLite")
    # Bytes 18 and 19 say that there is a write-ahead log, which a copy in memory cannot have: fileformat2 of SQLite, 1.3.3.
    copy = data[:18] + b"\1\1" + data[20:]
    steps = iter(range(_STEPS))
    database = sqlite3.connect(":memory:", isolation_level=None)

    def allowed(action: int, table: str | None, *_: str | None) -> int:
        read = action == sqlite3.SQLITE_READ and table in ("Packages", "sqlite_master")
        return sqlite3.SQLITE_OK if read or action == sqlite3.SQLITE_SELECT else sqlite3.SQLITE_DENY

    try:
        database.deserialize(copy)
        del copy
        database.text_factory = bytes
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, HEADER)
        database.execute("PRAGMA trusted_schema = OFF")
        database.execute("PRAGMA cell_size_check = ON")
        database.set_authorizer(allowed)
        database.set_progress_handler(lambda: next(steps, None) is None, _STEP)
        kinds = database.execute("SELECT type, sql FROM sqlite_master WHERE name = 'Packages'").fetchmany(2)
        if [(kind, (sql or b"")[:12].upper()) for kind, sql in kinds] != [(b"table", b"CREATE TABLE")]:
            raise Malformed("it has no table of packages")
        for (blob,) in database.execute("SELECT blob FROM Packages"):
            if type(blob) is not bytes:
                raise Malformed("invalid header")
            yield blob
    except (sqlite3.Error, MemoryError, UnicodeDecodeError) as error:
        why = getattr(
            error, "sqlite_errorname", type(error).__name__
        )  # its message has names of the database, in any bytes
        raise Malformed(f"SQLite cannot read it ({why})") from None
    finally:
        database.close()


def ndb(data: bytes) -> Iterator[bytes]:
    """The headers of `Packages.db`: slots of 16 bytes in pages of 4096, which lead to blocks with a sum of their own."""
    if len(data) < 4096 or struct.unpack_from("<4sI", data) != (b"RpmP", 0):
        raise Malformed("it is not an ndb of version 0")
    pages = int.from_bytes(data[12:16], "little")
    if not 0 < pages <= len(data) // 4096:
        raise Malformed("it is shorter than its header states")
    for magic, index, block, blocks in struct.iter_unpack("<4sIII", data[32 : pages * 4096]):
        if magic != b"Slot":
            raise Malformed("invalid slot")
        if not index:
            continue  # free
        start, end = 16 * block, 16 * (block + blocks)
        if block < pages * 256 or end > len(data) or blocks < 2:
            raise Malformed("a slot points outside of it")
        head, number, _, size = struct.unpack_from("<4sIII", data, start)
        total, again, tail = struct.unpack_from("<II4s", data, end - 12)
        if (head, tail, number, again) != (b"BlbS", b"BlbE", index, size) or (16 + size + 12 + 15) // 16 != blocks:
            raise Malformed("invalid block")
        if zlib.adler32(data[start : end - 12]) != total:
            raise Malformed("checksum mismatch of a block")
        yield data[start + 16 : start + 16 + size]


def berkeley(data: bytes) -> Iterator[bytes]:
    """The headers of `Packages`: the values of a hash, by the number of their package; number 0 counts them."""
    order = next((sign for sign in "<>" if data[12:16] == struct.pack(f"{sign}I", 0x061561)), "")
    if not order or len(data) < 512 or data[25] != _HASH_META or data[24]:
        raise Malformed("it is not a hash of Berkeley DB")
    version, page = struct.unpack_from(f"{order}II", data, 16)
    (last,) = struct.unpack_from(f"{order}I", data, 32)
    if not 8 <= version <= 10 or page not in (1 << power for power in range(9, 17)) or len(data) < (last + 1) * page:
        raise Malformed("it is of another version, or cut off")
    reader = _Pages(data, order, page, last)
    for number in range(1, last + 1):
        if data[number * page + 25] in _HASH_PAGES:
            yield from reader.values(number)


class _Pages:
    """The pages of a Berkeley DB."""

    def __init__(self, data: bytes, order: str, page: int, last: int) -> None:
        self._data, self._order, self._page, self._last = data, order, page, last

    def values(self, number: int) -> Iterator[bytes]:
        """What stands in a page of the hash, whose items are a key and a value by turns."""
        start = number * self._page
        (count,) = struct.unpack_from(f"{self._order}H", self._data, start + 20)
        if 26 + 2 * count > self._page or count % 2:
            raise Malformed("invalid page")
        places = struct.unpack_from(f"{self._order}{count}H", self._data, start + 26)
        ends = (self._page, *places)  # items lie from the end of the page to its beginning
        for index in range(0, count, 2):
            key = self._item(start, places[index], ends[index])
            value = self._item(start, places[index + 1], ends[index + 1])
            if len(key) != 5 or key[0] != _INLINE:
                raise Malformed("invalid key")
            if key[1:] != bytes(4):
                yield self._value(value)

    def _item(self, start: int, begin: int, end: int) -> bytes:
        if not 26 < begin < end <= self._page:
            raise Malformed("an item lies outside of its page")
        return self._data[start + begin : start + end]

    def _value(self, item: bytes) -> bytes:
        if item[0] == _INLINE:
            return item[1:]
        if item[0] != _OFF_PAGE or len(item) != 12:
            raise Malformed("invalid value")
        number, size = struct.unpack_from(f"{self._order}II", item, 4)
        if size > HEADER:
            raise Malformed(f"a header is longer than {HEADER} bytes")
        parts: list[bytes] = []
        left = size
        while left:
            start = number * self._page
            if not 0 < number <= self._last or self._data[start + 25] != _OVERFLOW:
                raise Malformed("a value points outside of it")
            if len(parts) > self._last:
                raise Malformed("a value has more pages than the file")
            number, _, used = struct.unpack_from(f"{self._order}IHH", self._data, start + 16)
            if not 0 < used <= min(left, self._page - 26):
                raise Malformed("invalid length of a value")
            parts.append(self._data[start + 26 : start + 26 + used])
            left -= used
        return b"".join(parts)


#: How the files of rpm are read that have its packages.
READERS: Mapping[str, Callable[[bytes], Iterator[bytes]]] = MappingProxyType(
    {"rpmdb.sqlite": sqlite, "Packages.db": ndb, "Packages": berkeley}
)
