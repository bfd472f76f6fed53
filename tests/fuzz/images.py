"""What registries and images say: manifests, configurations, layers, archives, names, logins, lists of packages."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import os
import re
import shutil
import sqlite3
import stat
import struct
import tarfile
import zlib
from functools import cache
from pathlib import Path
from urllib.parse import urlencode

import zstandard

from hardening.compose.image_defaults import ImageDefaults
from hardening.errors import UsageError
from hardening.images import media, reference
from hardening.images.ids import Ids
from hardening.images.reference import Name, Reference
from hardening.images.transport import auth
from hardening.images.transport.archive import Archive
from hardening.images.unpacking import compression, unpack
from hardening.images.unpacking.tree import Limits
from hardening.mechanism.mechanism import Reading
from hardening.mechanism.used import Used
from hardening_process.passwd import Accounts
from hardening_scan import external, packages, rpm
from hardening_scan.malformed import Malformed
from tests.fuzz.harness import HERE, target
from tests.fuzz.mutate import of_json, of_lines, of_tar, plain
from tests.support import shipped
from tests.support.images import archive as archived
from tests.support.images import entry, folder, link

HEX = "0123456789abcdef" * 4


def _repeats(data: bytes) -> bool:
    """Whether a key is given twice in one object."""
    found = []
    json.loads(data, object_pairs_hook=lambda pairs: found.append(len(pairs) != len({key for key, _ in pairs})))
    return any(found)


@target(of_json, "hardening.images.media")
def manifest(data: bytes, _: Path) -> None:
    """No key twice, no digest that is none, and no more layers than there may be."""
    media.choose(data, "here", media.own_platform())
    found = media.instances(data, "here")
    blobs = [inner for inner, _ in found] if found is not None else list(media.read_manifest(data, "here").blobs)
    assert not _repeats(data)
    for blob in blobs:
        assert re.fullmatch("sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", blob.digest)
        assert 0 <= blob.size <= media.MAX_BLOB
    assert len(blobs) <= media.MAX_LAYERS + 1 or found is not None


@target(of_json, "hardening.compose.image_defaults hardening_process.users hardening.images.media", short=100)
def imageconfig(data: bytes, _: Path) -> None:
    """What it says to the mechanisms is text that a configuration can hold."""
    plugins, host = shipped.here()
    config = media.read_config(data, "here")["config"]
    offer = ImageDefaults.of(
        Used("docker.io/library/x:latest", f"sha256:{HEX}", Path("/store")), config, plugins.mechanisms
    )
    for mechanism in plugins.mechanisms:
        found = offer.taken(mechanism, Reading(host, {}))
        for said in found.values():
            str(said).encode()


def _layers() -> list[bytes]:
    some = [
        folder("dir"), entry("dir/file", b"x" * 700, mode=0o4755), link("link", "dir"), link("hard", "dir/file", hard=True),
        entry("link/x", b"y"), entry("dir/.wh.file"), entry(".wh..wh..opq"), entry("e" * 150, b"l"),
        entry("null", kind=tarfile.CHRTYPE, device=(1, 3)), entry("pipe", kind=tarfile.FIFOTYPE),
        entry("attr", b"", pax={"SCHILY.xattr.user.a": "b"}),
    ]  # fmt: skip
    bad = [[entry("../up", b"z")], [folder("beside"), link("out", "../beside"), entry("out/z", b"q")]]
    return [archived(some), archived(some, tarfile.GNU_FORMAT), *map(archived, bad)]


def _emptied(path: Path) -> None:
    """An empty directory, whatever was in it: others than root cannot remove what lies in one that they cannot write to."""
    for above, names, _ in os.walk(path):
        for name in names:
            if not os.path.islink(inner := os.path.join(above, name)):
                os.chmod(inner, 0o700)
    if path.exists():
        path.chmod(0o700)
        shutil.rmtree(path)
    path.mkdir()


@target(
    of_tar, "hardening.images.unpacking.tar hardening.images.unpacking.tree hardening.images.unpacking.unpack "
    "hardening.images.unpacking.whiteouts",
    seeds=_layers, short=200, jailed=True,
)  # fmt: skip
def layer(data: bytes, place: Path) -> None:
    """What lies beside the root stays as it is, and nothing in it is a device or lends rights."""
    root, beside, file = place / "root", place / "beside", place / "layer"
    for path in (root, beside):
        _emptied(path)
    (beside / "canary").write_text("alive")
    file.write_bytes(data)
    ids = Ids(owner=(os.geteuid(), os.getegid()))
    limits = Limits(file=1 << 20, total=4 << 20, entries=500, names=1 << 16, searched=10_000)
    what = unpack.ImageLayer(file, "layer", media.digest_of(data))
    try:
        unpack.unpack([what], root, ids, limits, keep_ids=False, tell=lambda _: None)
    finally:
        assert [path.name for path in beside.iterdir()] == ["canary"]
        assert (beside / "canary").read_text() == "alive"
        assert {path.name for path in place.iterdir()} == {"root", "beside", "layer"}
        for above, _, names in os.walk(root):
            for name in names:
                mode = os.lstat(os.path.join(above, name)).st_mode
                assert not stat.S_ISCHR(mode)
                assert not stat.S_ISBLK(mode)
                assert not mode & (stat.S_ISUID | stat.S_ISGID)


def _compressed() -> list[bytes]:
    text = b"some text " * 300
    return [gzip.compress(text, mtime=0), zstandard.compress(text), bz2.compress(text), text,
            gzip.compress(b"a", mtime=0) * 2 + bytes(20)]  # fmt: skip


@target(plain, "hardening.images.unpacking.compression", seeds=_compressed)
def stream(data: bytes, _: Path) -> None:
    """What zlib makes of it, and no more than is asked for at a time."""
    read = compression.decompressed(io.BytesIO(data).read, "here")
    parts: list[bytes] = []
    while (piece := read(1 << 12)) and len(parts) < 1000:
        assert len(piece) <= 1 << 12
        parts.append(piece)
    if data.startswith(b"\x1f\x8b"):
        assert b"".join(parts).startswith(zlib.decompressobj(31).decompress(data, 4_000_000)[: 1000 << 12])


def _archives() -> list[bytes]:
    config = (HERE / "corpus/imageconfig/config").read_bytes()
    listed = json.dumps([{"Config": "c.json", "RepoTags": ["a/b:1"], "Layers": ["l/layer.tar"]}]).encode()
    whole = archived(
        [entry("manifest.json", listed), entry("c.json", config), link("l/layer.tar", "../m"), entry("m", b"1")]
    )
    return [whole, gzip.compress(whole, mtime=0)]


@target(of_tar, "hardening.images.transport.archive hardening.images.unpacking.tar", seeds=_archives, short=200)
def archive(data: bytes, place: Path) -> None:
    """Each layer has as many bytes as it says, out of the archive."""
    path = place / "archive"
    path.write_bytes(data)
    source = Archive(Name("docker-archive", path=str(path)), lambda: place)
    try:
        text, kind = source.manifest()
        found = media.read_manifest(text, path, kind)
        assert sum(len(piece) for piece in source.blob(found.config)) == found.config.size
        for blob in found.layers:
            assert sum(len(piece) for piece in source.blob(blob)) <= blob.size
    finally:
        source.close()


def grammar(text: str) -> tuple[str, str, str, str] | None:
    """Host, path, tag and digest of a docker reference as distribution's `reference` reads it; None for what it refuses."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    if len(text) == 64 and set(text) <= set("0123456789abcdef"):
        return None
    rest, at, digest = text.partition("@")
    kind, _, digits = digest.partition(":")
    if at and not (len(digits) == {"sha256": 64, "sha512": 128}.get(kind) and set(digits) <= set("0123456789abcdef")):
        return None
    head, slash, last = rest.rpartition("/")
    last, colon, tag = last.partition(":")
    word = letters + letters.upper() + "0123456789_"
    if colon and not (0 < len(tag) <= 128 and tag[0] in word and set(tag) <= set(word + ".-")):
        return None
    name = head + slash + last
    if len(name) == 64 and set(name) <= set("0123456789abcdef"):
        return None
    host, slash, path = name.partition("/")
    if not slash or not (set(host) & set(".:[") or host == "localhost"):
        host, path = "docker.io", name
    host = "docker.io" if host == "index.docker.io" else host
    if host == "docker.io" and "/" not in path:
        path = f"library/{path}"
    found = all(_component(part, letters + "0123456789") for part in path.split("/")) and _domain(host, word[:-1])
    if not found or len(f"{host}/{path}") > 255:
        return None
    return host, path, tag or ("" if digest else "latest"), digest


def _component(part: str, plain_letters: str) -> bool:
    """Runs of letters and digits between single separators: a dot, one or two underscores, any number of dashes."""
    if not part or part[0] not in plain_letters or part[-1] not in plain_letters:
        return False
    marks, run = [], ""
    for letter in part:
        if letter in plain_letters:
            marks.append(run)
            run = ""
        else:
            run += letter
    return all(mark in ("", ".", "_", "__") or set(mark) == {"-"} for mark in marks)


def _domain(host: str, plain_letters: str) -> bool:
    name, colon, port = host, "", ""
    if host.startswith("["):
        inside, _, after = host[1:].partition("]")
        _, colon, port = after.partition(":")
        if (
            not inside
            or not set(inside) <= set("abcdefABCDEF0123456789:")
            or after not in ("", f":{port}")
            or "]" not in host
        ):
            return False
        name = "x"
    elif ":" in host:
        name, colon, port = host.partition(":")
    if colon and not (port and set(port) <= set("0123456789")):
        return False
    return all(
        part and set(part) <= {*plain_letters, "-"} and part[0] != "-" and part[-1] != "-" for part in name.split(".")
    )


@target(plain, "hardening.images.reference", refusals=(UnicodeDecodeError,), short=2000)
def name(data: bytes, _: Path) -> None:
    """Taken or refused, and of the same parts, as by distribution's grammar; what is written reads back."""
    text = data.decode()
    wanted = grammar(text)
    try:
        found = reference.parse_docker(text)
    except UsageError as error:
        str(error).encode()
        assert wanted is None, wanted
    else:
        assert wanted == (found.host, found.path, found.tag, found.digest)
        assert reference.parse_docker(str(found)) == found
    try:
        whole = reference.parse(text)
    except UsageError:
        return
    assert reference.parse(str(whole)) == whole


@target(of_json, "hardening.images.transport.auth", short=150)
def login(data: bytes, place: Path) -> None:
    """What is found can be sent."""
    path = place / "auth.json"
    path.write_bytes(data)
    path.chmod(0o600)
    found = auth.find(Reference("h.x", "team/app", "1"), {"REGISTRY_AUTH_FILE": str(path)}, 1000)
    if found is not None:
        assert found.basic.isascii()
        urlencode({"refresh_token": found.token}).encode()


@cache
def _databases() -> list[bytes]:
    """One package in each format of rpm."""
    store = b"name\x001\x002\0"
    rows = ((1000, 6, 0, 1), (1001, 6, 5, 1), (1002, 6, 7, 1))
    header = struct.pack(">II", 3, len(store)) + b"".join(struct.pack(">IIII", *row) for row in rows) + store
    database = sqlite3.connect(":memory:")
    database.execute("PRAGMA page_size = 512")
    database.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
    database.execute("INSERT INTO Packages VALUES (1, ?)", (header,))
    blocks = (16 + len(header) + 12 + 15) // 16
    body = struct.pack("<4sIII", b"BlbS", 1, 1, len(header)) + header
    body = body.ljust(16 * blocks - 12, b"\0")
    ndb = struct.pack("<4sIII", b"RpmP", 0, 1, 1).ljust(32, b"\0") + struct.pack("<4sIII", b"Slot", 1, 256, blocks)
    ndb += b"Slot".ljust(16, b"\0") * ((4096 - len(ndb)) // 16)
    ndb += body + struct.pack("<II4s", zlib.adler32(body), len(header), b"BlbE")
    return [database.serialize(), ndb, berkeley(header), berkeley(header, 90)]


def berkeley(value: bytes, claimed: int = 0) -> bytes:
    """A hash of Berkeley DB with one value; one that claims more than it has leads from its page to the same one."""
    size = claimed or len(value)
    meta = bytearray(512)
    struct.pack_into("<III", meta, 12, 0x061561, 9, 512)
    meta[25], meta[32:36] = 8, (2).to_bytes(4, "little")
    page = bytearray(512)
    page[25], page[20:22] = 13, (2).to_bytes(2, "little")
    items = [b"\1" + (1).to_bytes(4, "little"), struct.pack("<B3xII", 3, 2, size)]
    end = 512
    for number, item in enumerate(items):
        end -= len(item)
        page[end : end + len(item)] = item
        struct.pack_into("<H", page, 26 + 2 * number, end)
    over = bytearray(512)
    over[25] = 7
    used = 1 if claimed else len(value)
    struct.pack_into("<IHH", over, 16, 2 if claimed else 0, 1, used)
    over[26 : 26 + len(value)] = value
    return bytes(meta + page + over)


@target(plain, "hardening_scan.rpm", seeds=_databases, refusals=())
def database(data: bytes, _: Path) -> None:
    """No more packages than bytes, by whichever of the readers."""
    for kind in rpm.READERS:
        try:
            found = rpm.packages(kind, data)
        except Malformed as error:
            str(error).encode()
        else:
            assert len(found) * 8 <= len(data)
            str(found).encode()


@target(of_lines, "hardening_scan.packages hardening_process.passwd", short=100)
def listed(data: bytes, place: Path) -> None:
    """Lists of packages and of accounts: no id that is none."""
    for read in (lambda text: packages.stanzas("dpkg", text), packages.apk, packages.pacman):
        try:
            str(read(data)).encode()
        except Malformed as error:
            str(error).encode()
    (place / "etc").mkdir(exist_ok=True)
    for file in ("passwd", "group"):
        (place / "etc" / file).write_bytes(data)
    accounts = Accounts.read(place)
    ids = [*(account.uid for account in accounts.users), *(gid for _, gid in accounts.groups)]
    assert all(0 <= number < (1 << 32) - 1 for number in ids)


@target(of_json, "hardening_scan.external")
def scanner(data: bytes, _: Path) -> None:
    """An answer that is none is told, and a failure never passes for nothing found."""
    for code in (0, 1):
        found = external.answer("x", code, data, "/tree")
        for item in found:
            item.detail.encode("utf-8", "surrogatepass")
            assert item.path.startswith("/")
        assert (
            found
            or code == 0
            or b"pass" in data
            or b"notApplicable" in data
            or b"informational" in data
            or b"review" in data
        )
