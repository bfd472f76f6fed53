"""Images of real registries, of layouts, directories and archives that skopeo wrote; and of registries that misbehave."""

from __future__ import annotations

import base64
import gzip
import json
import os
import socket
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hardening.errors import HardeningError, ImageError
from hardening.images import check, media, pull
from hardening.images.ids import Ids
from hardening.images.media import Platform
from hardening.images.reference import parse
from hardening.images.store import ImageStore
from hardening.images.transport.http import TransferBounds
from tests.support.disks import small_disk
from tests.support.images import archive, entry, folder, layout, opened
from tests.support.registry import PASSWORD, USER, Registry, registry

OWN = Ids(owner=(os.geteuid(), os.getegid()))
LAYERS = (archive([folder("etc"), entry("etc/a", b"one")]), archive([entry("etc/b", b"two" * 1000)]))


@pytest.fixture
def kept(tmp_path: Path) -> ImageStore:
    return opened(tmp_path / "images")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry(tmp_path_factory.mktemp("plain")) as running:
        yield running


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry(tmp_path_factory.mktemp("secured"), secured=True) as running:
        yield running


def fetch(kept: ImageStore, name: str, **options: Any) -> str:
    return pull.pull(kept, pull.PullRequest(parse(name), OWN, **options)).digest


def skopeo(*words: str) -> None:
    subprocess.run(["skopeo", "copy", "-q", *words], check=True, capture_output=True, timeout=60)


def is_whole(kept: ImageStore, digest: str) -> bool:
    root = kept.root(digest, OWN)
    assert root is not None
    assert (root.path / "etc/a").read_text() + (root.path / "etc/b").read_text() == "one" + "two" * 1000
    return check.check(kept).problems == ()


def is_empty(kept: ImageStore) -> bool:
    """Whether no name was given, and nothing half-made is there."""
    assert check.check(kept).problems == ()
    return not kept.records() and not kept.roots() and not list(kept.partial.iterdir())


# --- sources that behave ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["gzip", "zstd", "plain"])
def test_a_layout(kept: ImageStore, tmp_path: Path, how: str) -> None:
    digest = layout(tmp_path / "image", LAYERS, how=how)
    assert fetch(kept, f"oci:{tmp_path}/image:v1") == fetch(kept, f"oci:{tmp_path}/image") == digest
    assert is_whole(kept, digest)


def test_what_skopeo_wrote(kept: ImageStore, tmp_path: Path) -> None:
    digest = layout(tmp_path / "image", LAYERS)
    skopeo(f"oci:{tmp_path}/image:v1", f"dir:{tmp_path}/dir")
    skopeo(f"oci:{tmp_path}/image:v1", f"docker-archive:{tmp_path}/plain.tar:team/app:v1")
    (tmp_path / "packed.tgz").write_bytes(gzip.compress((tmp_path / "plain.tar").read_bytes()))
    assert fetch(kept, f"dir:{tmp_path}/dir") == digest
    for name in ("plain.tar", "plain.tar:team/app:v1", "packed.tgz"):
        found = fetch(kept, f"docker-archive:{tmp_path}/{name}")
        assert is_whole(kept, found)
    with pytest.raises(ImageError, match=r"no image docker\.io/team/app:v2") as refused:
        fetch(kept, f"docker-archive:{tmp_path}/plain.tar:team/app:v2")
    assert "it has docker.io/team/app:v1" in (refused.value.hint or "")


def test_a_full_disk_is_told_where_an_archive_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.tgz").write_bytes(gzip.compress(archive([entry("a", os.urandom(1 << 20))])))
    with small_disk(tmp_path / "disk") as disk:
        kept = opened(disk / "images")
        with pytest.raises(
            ImageError, match=f"cannot be unpacked in {kept.partial}: No space left on device"
        ) as refused:
            fetch(kept, f"docker-archive:{tmp_path}/a.tgz")
        assert "free space there" in (refused.value.hint or "")
        assert is_empty(kept)
        assert os.statvfs(disk).f_bavail > 100


def test_a_registry_without_encryption(kept: ImageStore, plain: Registry, tmp_path: Path) -> None:
    digest = layout(tmp_path / "image", LAYERS)
    skopeo("--dest-tls-verify=false", f"oci:{tmp_path}/image:v1", f"docker://{plain.host}/team/app:v1")
    with pytest.raises(ImageError, match="TLS handshake failed") as refused:
        fetch(kept, f"{plain.host}/team/app:v1")
    assert "--tls-verify=false" in (refused.value.hint or "")
    assert is_empty(kept)
    assert fetch(kept, f"{plain.host}/team/app:v1", verify=False) == digest
    assert fetch(kept, f"{plain.host}/team/app@{digest}", verify=False) == digest
    assert is_whole(kept, digest)
    with pytest.raises(ImageError, match="has no"):
        fetch(kept, f"{plain.host}/team/app:v2", verify=False)


def test_an_index_gives_the_image_for_this_machine(kept: ImageStore, plain: Registry, tmp_path: Path) -> None:
    digest = layout(tmp_path / "image", LAYERS, platforms=[media.own_platform(), Platform("linux", "s390x")])
    skopeo("--all", "--dest-tls-verify=false", f"oci:{tmp_path}/image:v1", f"docker://{plain.host}/many:v1")
    record = pull.pull(kept, pull.PullRequest(parse(f"{plain.host}/many:v1"), OWN, verify=False))
    assert record.digest == digest
    assert record.top != digest
    assert is_whole(kept, digest)
    assert fetch(kept, f"{plain.host}/many@{record.top}", verify=False) == digest
    layout(tmp_path / "other", LAYERS, platforms=[Platform("linux", "s390x")])
    with pytest.raises(ImageError, match="has no image for"):
        fetch(kept, f"oci:{tmp_path}/other:v1")
    layout(tmp_path / "single", LAYERS, platforms=[Platform("linux", "s390x")])


def log_in(path: Path, host: str, password: str = PASSWORD, identity: str = "") -> str:
    known = base64.b64encode(f"{USER}:{password}".encode()).decode()
    path.write_text(json.dumps({"auths": {host: {"auth": known, **({"identitytoken": identity} if identity else {})}}}))
    return str(path)


def test_a_registry_with_a_password_and_a_certificate(
    kept: ImageStore, secured: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = layout(tmp_path / "image", LAYERS)
    name = f"{secured.host}/team/app:v1"
    auth = log_in(tmp_path / "auth.json", secured.host)
    skopeo("--dest-tls-verify=false", "--authfile", auth, f"oci:{tmp_path}/image:v1", f"docker://{name}")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", auth)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(ImageError, match="certificate verify failed") as refused:
        fetch(kept, name)
    assert f"certs.d/{secured.host}/ca.crt" in (refused.value.hint or "")
    place = tmp_path / "containers/certs.d" / secured.host
    place.mkdir(parents=True)
    assert secured.certificate is not None
    (place / "ca.crt").write_bytes(secured.certificate.read_bytes())
    assert fetch(kept, name) == digest
    assert is_whole(kept, digest)
    monkeypatch.setenv("REGISTRY_AUTH_FILE", log_in(tmp_path / "wrong.json", secured.host, "not the password"))
    with pytest.raises(ImageError, match="access denied: these credentials may not pull team/app") as refused:
        fetch(kept, name)
    assert "not the password" not in str(refused.value)
    (tmp_path / "none.json").write_text("{}")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "none.json"))
    with pytest.raises(ImageError, match="authentication required for team/app") as refused:
        fetch(kept, name)
    assert f"podman login {secured.host}; no login is in {tmp_path}/none.json" in (refused.value.hint or "")


def test_a_second_pull_fetches_nothing_that_is_there(kept: ImageStore, tmp_path: Path) -> None:
    digest = layout(tmp_path / "image", LAYERS)
    fetch(kept, f"oci:{tmp_path}/image")
    for path in (tmp_path / "image/blobs/sha256").iterdir():
        if path.name != digest.partition(":")[2]:
            path.unlink()
    assert fetch(kept, f"oci:{tmp_path}/image") == digest


# --- verdicts and signatures ------------------------------------------------------------------------------------------


def test_signatures_are_there_when_the_verdict_is_asked_and_layers_are_not(kept: ImageStore, tmp_path: Path) -> None:
    digest = layout(tmp_path / "image", LAYERS)
    asked: list[str] = []

    def judge(wanted: str, staged: Path) -> None:
        asked.append(wanted)
        assert (staged / "signature-1").read_bytes() == f"oci:{tmp_path}/image {wanted}".encode()
        assert not any(kept.has(blob) for blob in kept.manifest(wanted).layers)
        raise HardeningError("rejected")

    with pytest.raises(HardeningError, match="rejected"):
        fetch(
            kept,
            f"oci:{tmp_path}/image",
            judge=judge,
            signatures=lambda name, wanted: [f"{name} {wanted}".encode()],
        )
    assert asked == [digest]
    assert is_empty(kept)
    assert not kept.signed()


def test_signatures_stay_where_the_next_pull_is_refused_or_finds_none(kept: ImageStore, tmp_path: Path) -> None:
    name = f"oci:{tmp_path}/image"
    digest = layout(tmp_path / "image", LAYERS)
    layout(tmp_path / "other", LAYERS)

    def refuse(_: str, staged: Path) -> None:
        if not list(staged.iterdir()):
            raise HardeningError("rejected")

    def read() -> list[bytes]:
        return [path.read_bytes() for path in sorted(kept.signatures(digest, name).iterdir())]

    fetch(kept, name, judge=refuse, signatures=lambda name, digest: [b"x"])
    with pytest.raises(HardeningError, match="rejected"):
        fetch(kept, name, judge=refuse)
    assert read() == [b"x"]
    assert fetch(kept, name) == fetch(kept, f"oci:{tmp_path}/other") == digest
    assert read() == [b"x"]
    assert not kept.signatures(digest, f"oci:{tmp_path}/other").exists()
    damage = blob_of(tmp_path / "image", 1)
    damage.write_bytes(b"")
    kept.blob(f"sha256:{damage.name}").unlink()
    with pytest.raises(ImageError, match="truncated"):
        fetch(kept, name, signatures=lambda name, digest: [b"y"])
    assert read() == [b"x"]


# --- layouts and archives that are broken -----------------------------------------------------------------------------


def blob_of(place: Path, number: int) -> Path:
    """The file of the layer of this number in a layout."""
    index = json.loads((place / "index.json").read_bytes())
    files = place / "blobs/sha256"
    manifest = json.loads((files / index["manifests"][0]["digest"].partition(":")[2]).read_bytes())
    digest: str = manifest["layers"][number]["digest"]
    return files / digest.partition(":")[2]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "blob truncated"),
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), "larger than"),
        (lambda path: path.write_bytes(b"y" + path.read_bytes()[1:]), "digest mismatch: received"),
        (lambda path: path.unlink(), "cannot be read: No such file"),
        (lambda path: (path.unlink(), path.mkdir()), "not a regular file"),
    ],
    ids=["short", "long", "changed", "missing", "directory"],
)
def test_a_damaged_layer_leaves_the_store_as_it_was(
    kept: ImageStore, tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    layout(tmp_path / "image", LAYERS)
    damage(blob_of(tmp_path / "image", 1))
    with pytest.raises(ImageError, match=message):
        fetch(kept, f"oci:{tmp_path}/image")
    assert is_empty(kept)


def test_what_a_name_stood_for_stays_where_the_next_pull_fails(kept: ImageStore, tmp_path: Path) -> None:
    first = layout(tmp_path / "image", LAYERS)
    fetch(kept, f"oci:{tmp_path}/image")
    layout(tmp_path / "image", [archive([entry("../out", b"x")])])
    with pytest.raises(ImageError, match="in it"):
        fetch(kept, f"oci:{tmp_path}/image")
    assert [record.digest for record in kept.records()] == [first]
    assert is_whole(kept, first)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (None, "cannot be read"),
        ("[]", "not a JSON object"),
        ('{"manifests": []}', "has no image"),
        ('{"manifests": [5]}', "not a descriptor"),
        ('{"manifests": [{"digest": "sha256:x", "size": 1}]}', "no digest"),
    ],
)
def test_a_layout_that_is_none(kept: ImageStore, tmp_path: Path, index: str | None, message: str) -> None:
    if index is not None:
        (tmp_path / "index.json").write_text(index)
    with pytest.raises(ImageError, match=message):
        fetch(kept, f"oci:{tmp_path}:v1")


def test_a_layout_of_several_images_needs_a_name(kept: ImageStore, tmp_path: Path) -> None:
    layout(tmp_path / "image", LAYERS, tag="one")
    index = json.loads((tmp_path / "image/index.json").read_bytes())
    second = {**index["manifests"][0], "annotations": {"org.opencontainers.image.ref.name": "two"}}
    index["manifests"].append(second)
    (tmp_path / "image/index.json").write_text(json.dumps(index))
    with pytest.raises(ImageError, match="several images") as refused:
        fetch(kept, f"oci:{tmp_path}/image")
    assert "it has one, two" in (refused.value.hint or "")
    with pytest.raises(ImageError, match='no image "three"'):
        fetch(kept, f"oci:{tmp_path}/image:three")
    assert fetch(kept, f"oci:{tmp_path}/image:two")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "has no file manifest.json"),
        ({"manifest.json": b"{}"}, "not a list of images"),
        ({"manifest.json": b"[{}]"}, "malformed"),
        ({"manifest.json": b'[{"Config": "c", "Layers": []}]'}, "has no file c"),
        ({"manifest.json": b'[{"Config": "c", "Layers": []}]', "c": b"{}"}, "no digests of its layers"),
        (
            {"manifest.json": b'[{"Config": "c", "Layers": ["x"]}]', "c": b'{"rootfs": {"diff_ids": []}}'},
            "does not have the layers",
        ),
    ],
    ids=range(6),
)
def test_an_archive_that_is_none(kept: ImageStore, tmp_path: Path, members: Mapping[str, bytes], message: str) -> None:
    (tmp_path / "a.tar").write_bytes(archive([entry(name, content) for name, content in members.items()]))
    with pytest.raises(ImageError, match=message):
        fetch(kept, f"docker-archive:{tmp_path}/a.tar")


def test_an_archive_that_says_it_holds_more_than_any_disk(kept: ImageStore, tmp_path: Path) -> None:
    for size in (1 << 40, 1 << 62, (1 << 63) - 1):
        info, _ = entry("manifest.json", b"", pax={"size": str(size)})
        (tmp_path / "a.tar").write_bytes(archive([(info, b"")]))
        with pytest.raises(ImageError, match=f"has a file of {size} bytes") as refused:
            fetch(kept, f"docker-archive:{tmp_path}/a.tar")
        assert str(refused.value.origin) == f"{tmp_path}/a.tar"


# --- registries that misbehave ----------------------------------------------------------------------------------------

MANIFEST, INDEX = media.OCI_MANIFEST, media.OCI_INDEX
QUICK = TransferBounds(connect=5, read=0.3, document=1, window=0.3, slowest=100_000, redirects=3)


class Peer(ThreadingHTTPServer):
    """A registry that answers as a test says: ``answer`` gets the path and the handler. ``asked`` are all requests, with
    their ``Authorization``."""

    daemon_threads = True

    def __init__(self, answer: Callable[[str, Handler], None]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.asked: list[tuple[str, str | None]] = []
        self.gone = threading.Event()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Peer

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Authorization"]))
        self.server.answer(self.path, self)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""

    def send(self, data: bytes, status: int = 200, length: int | None = None, **headers: str) -> None:
        """Answer at once."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def peer(answer: Callable[[str, Handler], None]) -> Iterator[Peer]:
    with Peer(answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.gone.set()
            server.shutdown()
            thread.join()


def image(place: Path) -> tuple[bytes, dict[str, bytes]]:
    """The manifest of an image, and its blobs by digest."""
    digest = layout(place, LAYERS)
    blobs = {f"sha256:{path.name}": path.read_bytes() for path in (place / "blobs/sha256").iterdir()}
    return blobs[digest], blobs


def serving(place: Path, **instead: Callable[[str, Handler], None]) -> Callable[[str, Handler], None]:
    """What a registry answers, with something else for ``manifests`` or ``blobs``."""
    manifest, blobs = image(place)

    def answer(path: str, handler: Handler) -> None:
        kind = "manifests" if "/manifests/" in path else "blobs"
        if kind in instead:
            instead[kind](path, handler)
        elif kind == "manifests":
            handler.send(manifest, Content_Type=MANIFEST)
        else:
            handler.send(blobs[path.rpartition("/")[2]])

    return answer


def no_end(path: str, handler: Handler) -> None:
    handler.send(b"", length=1 << 40)
    while not handler.server.gone.is_set():
        try:
            handler.wfile.write(b"x" * 65536)
        except OSError:
            return


def silence(path: str, handler: Handler) -> None:
    handler.server.gone.wait(30)


def silence_in_the_middle(path: str, handler: Handler) -> None:
    handler.send(b"x", length=1000)
    handler.server.gone.wait(30)


def drops(path: str, handler: Handler) -> None:
    handler.send(b"", length=100_000)
    for _ in range(1000):
        if handler.server.gone.wait(0.05):
            return
        try:
            handler.wfile.write(b"x")
        except OSError:
            return


def endless(begin: bytes, piece: bytes) -> Callable[[str, Handler], None]:
    """What sends something now and then, for ever, and never comes to its end."""

    def answer(path: str, handler: Handler) -> None:
        with suppress(OSError):
            handler.wfile.write(begin)
            while not handler.server.gone.wait(0.02):
                handler.wfile.write(piece)

    return answer


def hangs_up(path: str, handler: Handler) -> None:
    handler.send(b"x", length=1000)


def circle(path: str, handler: Handler) -> None:
    handler.send(b"", 302, Location=path)


WRONG: dict[str, tuple[dict[str, Callable[[str, Handler], None]], str]] = {
    "silent": ({"manifests": silence}, "timed out"),
    "silent-later": ({"manifests": silence_in_the_middle}, "timed out in the middle"),
    "manifest-in-drops": ({"manifests": drops}, "timed out"),
    "continuing": ({"manifests": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100)}, "timed out"),
    "status-in-drops": ({"manifests": endless(b"", b"H")}, "timed out"),
    "header-in-drops": ({"manifests": endless(b"HTTP/1.1 200 OK\r\nX: ", b"x")}, "timed out"),
    "endless-trailers": (
        {"manifests": endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n")}, "timed out",
    ),
    "blob-with-trailers": (
        {"blobs": endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n")}, "timed out",
    ),
    "endless-manifest": ({"manifests": no_end}, "sends more than 4194304 bytes as a manifest"),
    "cut-manifest": ({"manifests": hangs_up}, "connection closed|not JSON"),
    "no-json": ({"manifests": lambda path, to: to.send(b"<html>")}, "not JSON"),
    "another-manifest": (
        {"manifests": lambda path, to: to.send(b"{}", Docker_Content_Digest="sha256:" + "0" * 64)}, "is not the announced",
    ),
    "error": (
        {"manifests": lambda path, to: to.send(b'{"errors": [{"message": "on\\u001b[31m fire"}]}', 500)},
        r"returned 500 \(on\[31m fire\)",
    ),
    "too-many": ({"manifests": lambda path, to: to.send(b"", 429)}, "rate limited"),
    "circle": ({"manifests": circle}, "too many redirects"),
    "strange-redirect": (
        {"manifests": lambda path, to: to.send(b"", 302, Location="file:///etc/passwd")}, "invalid URL",
    ),
    "strange-login": (
        {"manifests": lambda path, to: to.send(b"", 401, WWW_Authenticate="Digest x")}, "unsupported authentication scheme",
    ),
    "long-login": (
        {"manifests": lambda path, to: to.send(b"", 401, WWW_Authenticate="Bearer " + "a" * 60000)}, "longer than 4096",
    ),
    "backslash": (
        {"manifests": lambda path, to: to.send(b"", 302, Location="http://127.0.0.1:1\\@127.0.0.1:2/")}, "invalid URL",
    ),
    "space": ({"manifests": lambda path, to: to.send(b"", 302, Location="http://127.0.0.1/ \tx")}, "invalid URL"),
    "user": ({"manifests": lambda path, to: to.send(b"", 302, Location="http://a@127.0.0.1:1/")}, "invalid URL"),
    "bracket": ({"manifests": lambda path, to: to.send(b"", 302, Location="http://[::1")}, "invalid URL"),
    "bracket-token": (
        {"manifests": lambda path, to: to.send(b"", 401, WWW_Authenticate='Bearer realm="http://[::1"')}, "invalid URL",
    ),
    "port": ({"manifests": lambda path, to: to.send(b"", 302, Location="http://127.0.0.1:x/")}, "invalid URL"),
    "token-elsewhere": (
        {"manifests": lambda path, to: to.send(b"", 401, WWW_Authenticate='Bearer realm="ftp://x/"')},
        "does not use HTTPS",
    ),
    "endless-blob": ({"blobs": no_end}, "larger than the"),
    "silent-blob": ({"blobs": silence_in_the_middle}, "timed out in the middle"),
    "blob-in-drops": ({"blobs": drops}, "bytes a second"),
    "cut-blob": ({"blobs": hangs_up}, "connection closed"),
    "no-blob": ({"blobs": lambda path, to: to.send(b"", 404)}, "has no blob sha256:"),
    "another-blob": ({"blobs": lambda path, to: to.send(b"x" * 10)}, "larger than|truncated|mismatch"),
    "blob-circle": ({"blobs": circle}, "too many redirects"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_registry_that_misbehaves_leaves_nothing(kept: ImageStore, tmp_path: Path, case: str) -> None:
    instead, message = WRONG[case]
    with peer(serving(tmp_path / "image", **instead)) as server:
        with pytest.raises(ImageError, match=message) as refused:
            fetch(kept, f"{server.host}/app", verify=False, bounds=QUICK)
        assert "\x1b" not in str(refused.value)
        assert refused.value.hint
        assert not connections(server.host)  # while the error is held, whose frames hold what they were about
    assert is_empty(kept)


def connections(host: str) -> list[int]:
    """The descriptors of this process that are connected to a server: of those that the server took, it is the other end."""
    found = []
    for number in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):  # that of the list itself, and what listens
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                with socket.socket(fileno=os.dup(number)) as thing:
                    to = thing.getpeername()
                    if thing.family == socket.AF_INET and f"{to[0]}:{to[1]}" == host:
                        found.append(number)
    return found


def test_nobody_answers_at_all(kept: ImageStore) -> None:
    with peer(lambda path, to: None) as server:
        host = server.host
    with pytest.raises(ImageError, match="cannot be reached: Connection refused"):
        fetch(kept, f"{host}/app", bounds=QUICK)


def test_a_digest_that_was_typed_is_held_against_what_comes(kept: ImageStore, tmp_path: Path) -> None:
    with (
        peer(serving(tmp_path / "image")) as server,
        pytest.raises(ImageError, match="digest mismatch: received sha256:"),
    ):
        fetch(kept, f"{server.host}/app@sha256:{'0' * 64}", verify=False)
    assert is_empty(kept)


def test_an_index_that_lies_about_its_image(kept: ImageStore, tmp_path: Path) -> None:
    manifest, blobs = image(tmp_path / "image")
    wanted = media.own_platform()
    said = {"os": "linux", "architecture": wanted.architecture}
    lie = {"mediaType": MANIFEST, "digest": "sha256:" + "1" * 64, "size": len(manifest), "platform": said}
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [lie]}).encode()

    def answer(path: str, handler: Handler) -> None:
        handler.send(index if path.endswith("latest") else manifest if "manifests" in path else blobs[path[-71:]])

    with peer(answer) as server, pytest.raises(ImageError, match="differs from its entry in the index"):
        fetch(kept, f"{server.host}/app", verify=False)
    assert is_empty(kept)


def test_credentials_stay_with_the_registry(kept: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blobs lie elsewhere, as those of the big registries do: their server learns neither password nor token."""
    manifest, blobs = image(tmp_path / "image")
    elsewhere = lambda path, to: to.send(blobs[path.rpartition("/")[2]])  # noqa: E731
    with peer(elsewhere) as other:

        def answer(path: str, handler: Handler) -> None:
            if path.startswith("/token"):
                handler.send(json.dumps({"token": "the-token"}).encode())
            elif handler.headers["Authorization"] != "Bearer the-token":
                realm = f'Bearer realm="http://{handler.server.host}/token",service="s",scope="ignored"'
                handler.send(b"", 401, WWW_Authenticate=realm)
            elif "/manifests/" in path:
                handler.send(manifest, Content_Type=MANIFEST)
            else:
                handler.send(b"", 307, Location=f"http://{other.host}{path}")

        with peer(answer) as server:
            monkeypatch.setenv("REGISTRY_AUTH_FILE", log_in(tmp_path / "auth.json", server.host))
            fetch(kept, f"{server.host}/team/app", verify=False)
    assert [secret for _, secret in other.asked] == [None] * 3
    known = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    assert [item for item in server.asked if item[0].startswith("/token")] == [
        ("/token?scope=repository%3Ateam%2Fapp%3Apull&service=s", f"Basic {known}")
    ]


@pytest.mark.parametrize("identity", ["", "the-identity"])
def test_a_login_of_another_host_is_not_answered(
    kept: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, identity: str
) -> None:
    """A host that a registry redirects to may ask who asks, and is not told, neither by itself nor by its token service."""
    manifest, _ = image(tmp_path / "image")

    def curious(path: str, handler: Handler) -> None:
        realm = f'Bearer realm="http://{handler.server.host}/token",service="s"'
        handler.send(b"", 401, WWW_Authenticate=realm)

    with peer(curious) as other:

        def answer(path: str, handler: Handler) -> None:
            if handler.headers["Authorization"] is None:
                handler.send(b"", 401, WWW_Authenticate='Basic realm="r"')
            elif "/manifests/" in path:
                handler.send(manifest, Content_Type=MANIFEST)
            else:
                handler.send(b"", 307, Location=f"http://{other.host}{path}")

        with peer(answer) as server:
            monkeypatch.setenv("REGISTRY_AUTH_FILE", log_in(tmp_path / "auth.json", server.host, identity=identity))
            with pytest.raises(ImageError, match=rf"redirects to {other.host}, which denies access \(401\)"):
                fetch(kept, f"{server.host}/team/app", verify=False)
    assert [secret for _, secret in other.asked] == [None]
    assert not [path for path, _ in other.asked if path.startswith("/token")]


def test_plain_http_is_not_asked_unless_it_is_permitted(kept: ImageStore, tmp_path: Path) -> None:
    with peer(serving(tmp_path / "image")) as server:
        with pytest.raises(ImageError, match="TLS handshake failed"):
            fetch(kept, f"{server.host}/app", bounds=QUICK)
        assert server.asked == []
