"""The databases of rpm: what rpm itself has written is read as rpm reads it, and what is hostile is told."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardening_scan import rpm
from hardening_scan.malformed import Malformed
from tests.support import packages
from tests.support.sample import examples

FILES = {"sqlite": "rpmdb.sqlite", "ndb": "Packages.db", "bdb_ro": "Packages"}
_Mend = Callable[[bytearray], object]


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory, rpm_files: Sequence[Path]) -> Mapping[str, Path]:
    """A database of each format, by its name in rpm."""
    place = tmp_path_factory.mktemp("rpm")
    made = {name: packages.rpm_database(place / name, name, rpm_files) for name in ("sqlite", "ndb")}
    headers = list(rpm.sqlite((made["sqlite"] / "rpmdb.sqlite").read_bytes()))
    return {**made, "bdb_ro": packages.berkeley_database(place / "bdb", headers)}


@pytest.fixture(scope="module")
def header(databases: Mapping[str, Path]) -> bytes:
    return next(rpm.sqlite((databases["sqlite"] / "rpmdb.sqlite").read_bytes()))


def shown(name: str, data: bytes) -> list[str]:
    return sorted(f"{item.name} {item.version} {item.architecture}" for item in rpm.packages(name, data))


@pytest.mark.parametrize("backend", FILES)
def test_a_database_is_read_as_rpm_reads_it(databases: Mapping[str, Path], backend: str) -> None:
    place = databases[backend]
    answer = shown(FILES[backend], (place / FILES[backend]).read_bytes())
    assert answer == packages.rpm_answer(place, backend) == list(packages.TINY)


@pytest.mark.parametrize("options", [("db_lorder=4321",), ("db_pagesize=512",), ("db_pagesize=65536", "h_nelem=1000")])
def test_berkeley_db_has_pages_of_every_size_and_order(tmp_path: Path, header: bytes, options: tuple[str, ...]) -> None:
    many = [header] * 40
    place = packages.berkeley_database(tmp_path / "db", many, *options)
    assert len(rpm.packages("Packages", (place / "Packages").read_bytes())) == 40


def test_what_was_removed_is_gone(tmp_path: Path, databases: Mapping[str, Path]) -> None:
    for backend in ("sqlite", "ndb"):
        place = tmp_path / backend
        place.mkdir()
        for file in databases[backend].iterdir():
            (place / file.name).write_bytes(file.read_bytes())
        packages.call("rpm", "--dbpath", place, "--define", f"_db_backend {backend}", "-e", "--justdb", "tiny")
        assert shown(FILES[backend], (place / FILES[backend]).read_bytes()) == [packages.TINY[0]]


def entries(*rows: tuple[int, int, int, int], store: bytes) -> bytes:
    """A header with an index of these rows: tag, type, offset, count."""
    index = b"".join(struct.pack(">IIII", *row) for row in rows)
    return struct.pack(">II", len(rows), len(store)) + index + store


STORE = b"name\x001\x002\0\0\0\0\x05"
GOOD = ((1000, 6, 0, 1), (1001, 6, 5, 1), (1002, 6, 7, 1))


def test_a_header_without_epoch_and_architecture_is_one() -> None:
    assert rpm.package(entries(*GOOD, store=STORE)).version == "1-2"
    assert rpm.package(entries(*GOOD, (1003, 4, 9, 1), store=STORE)).version == "5:1-2"


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\0" * 8,
        entries(*GOOD, store=STORE)[:-1],
        entries(*GOOD, store=STORE) + b"\0",
        struct.pack(">II", 0xFFFFFFFF, 0xFFFFFFFF),
        entries(*GOOD[:2], store=STORE),
        entries(*GOOD, GOOD[0], store=STORE),
        entries(*GOOD, (1003, 6, 0, 1), store=STORE),
        entries(*GOOD, (1003, 4, 12, 1), store=STORE),
        entries(*GOOD, (1003, 4, 9, 2), store=STORE),
        entries((1000, 6, 100, 1), *GOOD[1:], store=STORE),
        entries((1000, 8, 0, 1), *GOOD[1:], store=STORE),
        entries(*GOOD, (5000, 10, 0, 1), store=STORE),
        entries(*GOOD, (5000, 6, 0, 0), store=STORE),
        entries((1000, 6, 4, 1), *GOOD[1:], store=STORE),
        entries(*GOOD[:2], (1002, 6, 12, 1), store=STORE),
    ],
)
def test_a_header_that_is_none_is_told(bad: bytes) -> None:
    with pytest.raises(Malformed):
        rpm.package(bad)


SCHEMAS = {
    "no table": "CREATE TABLE x (blob BLOB)",
    "a view": "CREATE VIEW Packages AS WITH RECURSIVE n(blob) AS (SELECT 1 UNION ALL SELECT blob FROM n) SELECT * FROM n",
    "another kind of table": "CREATE VIRTUAL TABLE Packages USING fts5(blob)",
    "a column that is computed": "CREATE TABLE Packages (a, blob AS (zeroblob(99999999))); INSERT INTO Packages VALUES (1)",
    "no column": "CREATE TABLE Packages (a)",
    "a number": "CREATE TABLE Packages (blob); INSERT INTO Packages VALUES (1)",
    "a text": "CREATE TABLE Packages (blob); INSERT INTO Packages VALUES ('header')",
    "nothing": "CREATE TABLE Packages (blob); INSERT INTO Packages VALUES (NULL)",
}


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_a_database_of_something_else_is_told(tmp_path: Path, schema: str) -> None:
    database = sqlite3.connect(tmp_path / "db")
    database.executescript(schema)
    database.close()
    with pytest.raises(Malformed):
        rpm.packages("rpmdb.sqlite", (tmp_path / "db").read_bytes())


def _slots(data: bytearray) -> Iterator[int]:
    return (start for start in range(32, 4096, 16) if any(data[start + 4 : start + 8]))


def _twice(data: bytearray) -> None:
    """All slots lead to the first block."""
    first, *others = _slots(data)
    for start in others:
        data[start + 8 : start + 16] = data[first + 8 : first + 16]


def _loop(data: bytearray) -> None:
    """Each page of an overflow leads to itself."""
    size = int.from_bytes(data[20:24], "little")
    for start in range(size, len(data), size):
        if data[start + 25] == 7:
            data[start + 16 : start + 20] = data[start + 8 : start + 12]
            data[start + 22 : start + 24] = b"\0\0"


MENDS: list[tuple[str, str, _Mend]] = [
    ("ndb", "another version", lambda data: data.__setitem__(4, 1)),
    ("ndb", "more pages than there are", lambda data: data.__setitem__(slice(12, 16), b"\xff" * 4)),
    ("ndb", "no slot", lambda data: data.__setitem__(32, 0)),
    ("ndb", "a slot that leads out of it", lambda data: data.__setitem__(slice(40, 44), b"\xff" * 4)),
    ("ndb", "a block of another", _twice),
    ("ndb", "a byte of a header", lambda data: data.__setitem__(4096 + 64, data[4096 + 64] ^ 1)),
    ("bdb_ro", "another kind of database", lambda data: data.__setitem__(25, 9)),
    ("bdb_ro", "it is encrypted", lambda data: data.__setitem__(24, 1)),
    ("bdb_ro", "a size of pages", lambda data: data.__setitem__(slice(20, 24), b"\1\0\0\0")),
    ("bdb_ro", "more pages than there are", lambda data: data.__setitem__(slice(32, 36), b"\xff" * 4)),
    ("bdb_ro", "pages in a circle", _loop),
]


@pytest.mark.parametrize(("backend", "mend"), [(item[0], item[2]) for item in MENDS], ids=[item[1] for item in MENDS])
def test_a_database_that_lies_is_told(databases: Mapping[str, Path], backend: str, mend: _Mend) -> None:
    data = bytearray((databases[backend] / FILES[backend]).read_bytes())
    mend(data)
    with pytest.raises(Malformed):
        rpm.packages(FILES[backend], bytes(data))


def test_a_value_has_no_more_pages_than_the_file(databases: Mapping[str, Path]) -> None:
    data = bytearray((databases["bdb_ro"] / FILES["bdb_ro"]).read_bytes())
    size = int.from_bytes(data[20:24], "little")
    for start in range(size, len(data), size):
        if data[start + 25] == 7:  # it leads to itself, a byte each time
            data[start + 16 : start + 20] = data[start + 8 : start + 12]
            data[start + 22 : start + 24] = b"\1\0"
    with pytest.raises(Malformed, match="more pages than the file"):
        rpm.packages(FILES["bdb_ro"], bytes(data))


@pytest.mark.parametrize("backend", FILES)
@settings(max_examples=examples(150))
@given(data=st.data())
def test_whatever_is_damaged_is_an_answer_or_told(
    databases: Mapping[str, Path], backend: str, data: st.DataObject
) -> None:
    damaged = bytearray((databases[backend] / FILES[backend]).read_bytes())
    for _ in range(data.draw(st.integers(1, 8), "changes")):
        # Lengths and offsets stand in the beginning of pages and of headers: damage is likelier there.
        start = data.draw(st.one_of(st.integers(0, 600), st.integers(0, len(damaged) - 1)), "place")
        damaged[start : start + 4] = data.draw(
            st.one_of(st.binary(min_size=4, max_size=4), st.just(b"\xff" * 4)), "bytes"
        )
    cut = data.draw(st.one_of(st.just(len(damaged)), st.integers(0, len(damaged))), "length")
    try:
        found = rpm.packages(FILES[backend], bytes(damaged[:cut]))
    except Malformed:
        return
    assert len(found) <= len(packages.TINY)


@given(data=st.data())
@settings(max_examples=examples(200))
def test_whatever_a_header_is_it_is_an_answer_or_told(header: bytes, data: st.DataObject) -> None:
    damaged = bytearray(header)
    start = data.draw(st.integers(0, 8 + 16 * int.from_bytes(header[:4], "big")), "place")
    damaged[start : start + 4] = data.draw(st.binary(min_size=4, max_size=4), "bytes")
    try:
        rpm.package(bytes(damaged))
    except Malformed:
        return
