"""Archives are read as others write them, and what is malformed is an error and nothing else."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.errors import ImageError
from hardening.images.unpacking import tar
from hardening.images.unpacking.compression import decompressed
from tests.support.images import archive, entry, folder, link, packed

LONG = "d" * 120 + "/" + "e" * 120
ENTRIES = [
    folder("a", 0o711, 5, 6),
    entry("a/file", b"content" * 200, mode=0o4755, uid=1000, gid=70000),
    entry("a/empty", b""),
    link("a/link", "../etc/passwd"),
    link("hard", "a/file", hard=True),
    entry(LONG, b"x"),
    link("to-long", LONG),
    entry("pipe", kind=tarfile.FIFOTYPE),
    entry("null", kind=tarfile.CHRTYPE, device=(1, 3)),
    entry("disk", kind=tarfile.BLKTYPE, device=(8, 0)),
    entry("größe", b"y"),
]


def read(data: bytes) -> list[tuple[tar.TarEntry, bytes]]:
    """All entries with their contents."""
    reader = tar.TarReader(io.BytesIO(data).read, "archive")
    return [(found, b"".join(reader.data())) for found in reader]


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_what_python_writes_is_read(form: int) -> None:
    found = read(archive(ENTRIES, form))
    assert [item.name.decode().rstrip("/") for item, _ in found] == [info.name for info, _ in ENTRIES]
    assert [content for _, content in found] == [content for _, content in ENTRIES]
    kinds = [tar.DIRECTORY, tar.FILE, tar.FILE, tar.LINK, tar.HARD_LINK, tar.FILE, tar.LINK, tar.FIFO, tar.CHARACTER]
    assert [item.kind for item, _ in found] == [*kinds, tar.BLOCK_DEVICE, tar.FILE]
    first, second = found[0][0], found[1][0]
    assert (first.mode, first.uid, first.gid, first.mtime) == (0o711, 5, 6, 10**18)
    assert (second.mode, second.uid, second.gid) == (0o4755, 1000, 70000)
    assert [item.target.decode() for item, _ in found if item.target] == ["../etc/passwd", "a/file", LONG]


def test_content_that_nobody_reads_is_passed_over() -> None:
    reader = tar.TarReader(io.BytesIO(archive(ENTRIES)).read, "archive")
    assert len(list(reader)) == len(ENTRIES)


def test_attributes_and_exact_times_come_from_pax_headers() -> None:
    pax = {"SCHILY.xattr.user.note": "hello", "mtime": "1000000000.25", "comment": "x"}
    ((found, _),) = read(archive([entry("a", b"", pax=pax)]))
    assert dict(found.attributes) == {"user.note": b"hello"}
    assert found.mtime == 1_000_000_000_250_000_000


def test_an_archive_may_end_after_its_last_file() -> None:
    """So umoci writes it."""
    data = archive([entry("a", b"x" * 65)])
    assert read(data[: 512 + 65])[0][1] == b"x" * 65
    assert read(b"") == []


def block(**changes: bytes) -> bytes:
    """A header of an empty file, with some fields changed and a right checksum."""
    places = {"name": 0, "mode": 100, "uid": 108, "size": 124, "sum": 148, "type": 156, "target": 157}
    header = bytearray(archive([entry("a")], tarfile.USTAR_FORMAT)[:512])
    for field, value in changes.items():
        header[places[field] : places[field] + len(value)] = value
    if "sum" not in changes:
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (block(sum=b"000000\0 "), "wrong checksum"),
        (block(type=b"S"), "sparse files"),
        (block(type=b"Z"), "unknown type"),
        (block(size=b"9" * 11), "an invalid number"),
        (block(size=b"\xff" * 12), "negative or too large"),
        (block(size=b"\x80" + b"\xff" * 11), "negative or too large"),
        (block(size=b"00000000010"), "ends in the middle"),
        (block(type=b"5", size=b"00000000010"), "content for an entry that is not a file"),
        (block(type=b"x", size=b"77777777777"), "a header of 8589934591 bytes"),
        (block(type=b"x", size=b"00000000010") + b"bad\n" * 128, "pax header that is malformed"),
        (block(type=b"L", size=b"00000000010") + b"a\0\0\0\0\0\0\0".ljust(512, b"\0"), "ends after a header"),
        (block(type=b"2"), "link without a target"),
        (2 * (block(type=b"L", size=b"00000000010") + b"a" * 8 + b"\0" * 504), "two headers of one kind"),
        (2 * block(type=b"x") + block(), "two headers of one kind"),
        (2 * block(type=b"g") + block(), "two headers of one kind"),
        (2 * block(type=b"K") + block(), "two headers of one kind"),
        (block(type=b"L") + block(type=b"K") + block(type=b"L") + block(), "two headers of one kind"),
        (block()[:300], "ends too early"),
        (archive([entry("x" * 256)]), "an invalid file name"),
        (archive([entry("a/" * 2100 + "a")]), "an invalid file name"),
        (archive([entry("a", pax={"size": "-5"})]), "a wrong size"),
        (archive([entry("a", pax={"GNU.sparse.major": "1"})]), "sparse files"),
        (archive([entry("a", pax={"SCHILY.xattr.user." + "k" * 260: "v"})]), "a key of 278 bytes"),
        (archive([entry("a", pax={"SCHILY.xattr.user.a\0b": "v"})]), "malformed"),
        (archive([entry("a", pax={"uid": str(2**40)})]), "an invalid uid: 1099511627776"),
        (archive([entry("a", pax={"gid": str(2**32 - 1)})]), "an invalid gid: 4294967295"),
        (block(uid=b"\x80\0\0\0\xff\xff\xff\xff"), "an invalid uid: 4294967295"),
    ],
    ids=range(27),
)
def test_what_is_malformed_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        read(data)


def test_the_largest_id_and_one_header_of_each_kind_are_read() -> None:
    ((found, _),) = read(archive([entry("a", pax={"uid": str(2**32 - 2), "gid": str(2**32 - 2)})]))
    assert (found.uid, found.gid) == (2**32 - 2, 2**32 - 2)
    told: list[int] = []
    data = b"".join(block(type=kind) for kind in (b"g", b"x", b"L", b"K")) + block()
    reader = tar.TarReader(io.BytesIO(2 * data).read, "archive", header=told.append)
    assert len(list(reader)) == 2
    assert told == [0] * 8
    assert read(block(type=b"g")) == []


def test_old_archives_write_directories_as_files_with_a_slash() -> None:
    assert read(block(name=b"old/"))[0][0].kind == tar.DIRECTORY


_VALID = archive(ENTRIES)


@given(st.data())
def test_any_damage_is_an_error_or_read(data: st.DataObject) -> None:
    damaged = bytearray(_VALID)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = damaged[: data.draw(st.integers(0, len(damaged)))]
    try:
        read(bytes(cut))
    except ImageError:
        return


@given(st.binary(max_size=2048))
def test_any_bytes_are_an_error_or_read(data: bytes) -> None:
    try:
        read(data)
        read(block() + data)
    except ImageError:
        return


@given(st.binary(max_size=300), st.sampled_from(["gzip", "zstd", "plain"]), st.integers(0, 400))
def test_compressed_data_that_is_damaged_is_an_error_or_read(content: bytes, how: str, cut: int) -> None:
    whole = packed(content, how)[0]
    for damaged in (whole[:cut], whole[:cut] + b"\xff" + whole[cut + 1 :], whole + content):
        try:
            read_all = decompressed(io.BytesIO(damaged).read, "layer")
            while read_all(100):
                pass
        except ImageError:
            continue
