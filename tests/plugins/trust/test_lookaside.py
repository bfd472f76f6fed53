"""Signatures beside a registry: from a directory, from a server that does as it should, and from others."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hardening.errors import HardeningError, ImageError, ProfileError, UsageError
from hardening.images.reference import Reference, parse, parse_docker
from hardening.images.signatures import LONGEST, MOST
from hardening_trust import lookaside
from hardening_trust.lookaside import fetch, write
from hardening_trust.registriesd import Registries
from hardening_trust.signatures import Signature, Simple, UnreadableSignature, read
from hardening_trust.subjects import SignatureLocations

IMAGE = parse_docker("registry.example.com:5000/team/app:1")
DIGEST = "sha256:" + "a" * 64
NAME = f"team/app@sha256={'a' * 64}"


def url_of(folder: Path) -> str:
    return folder.as_uri()


def signatures(base: str, image: Reference, digest: str) -> tuple[Signature, ...]:
    return tuple(read(data, origin) for data, origin in fetch(base, image, digest))


def test_signatures_are_written_and_read_in_their_order(tmp_path: Path) -> None:
    base = url_of(tmp_path / "with space")
    assert list(fetch(base, IMAGE, DIGEST)) == []
    paths = [write(base, IMAGE, DIGEST, b"\xa3%d" % number) for number in range(3)]
    assert paths == [tmp_path / "with space" / NAME / f"signature-{number}" for number in (1, 2, 3)]
    assert signatures(base, IMAGE, DIGEST) == tuple(
        Simple(str(path), b"\xa3%d" % number) for number, path in enumerate(paths)
    )
    assert sorted(path.name for path in paths[0].parent.iterdir()) == ["signature-1", "signature-2", "signature-3"]
    assert paths[0].stat().st_mode & 0o777 == 0o644 & ~_umask()


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def test_reading_ends_at_the_first_that_is_missing(tmp_path: Path) -> None:
    for _ in range(4):
        write(url_of(tmp_path), IMAGE, DIGEST, b"\xa3")
    (tmp_path / NAME / "signature-2").unlink()
    assert len(signatures(url_of(tmp_path), IMAGE, DIGEST)) == 1
    assert write(url_of(tmp_path), IMAGE, DIGEST, b"\xa3").name == "signature-2"


def test_those_of_another_manifest_or_repository_are_others(tmp_path: Path) -> None:
    write(url_of(tmp_path), IMAGE, DIGEST, b"\xa3")
    assert not signatures(url_of(tmp_path), parse_docker("registry.example.com:5000/team/other:1"), DIGEST)
    assert not signatures(url_of(tmp_path), IMAGE, "sha256:" + "b" * 64)
    assert len(signatures(url_of(tmp_path), parse_docker("elsewhere.example.com/team/app:2"), DIGEST)) == 1


def test_two_who_write_at_once_both_find_a_place(tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=lambda: [write(url_of(tmp_path), IMAGE, DIGEST, b"\xa3") for _ in range(10)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(signatures(url_of(tmp_path), IMAGE, DIGEST)) == 40


def test_there_is_an_end_to_them(tmp_path: Path) -> None:
    for _ in range(MOST):
        write(url_of(tmp_path), IMAGE, DIGEST, b"\xa3")
    assert len(signatures(url_of(tmp_path), IMAGE, DIGEST)) == MOST
    with pytest.raises(ImageError, match="more than 128 signatures"):
        write(url_of(tmp_path), IMAGE, DIGEST, b"\xa3")
    (tmp_path / NAME / f"signature-{MOST + 1}").write_bytes(b"\xa3")
    with pytest.raises(ImageError, match="more than 128 signatures"):
        signatures(url_of(tmp_path), IMAGE, DIGEST)


def test_one_that_is_too_large_unreadable_or_no_file(tmp_path: Path) -> None:
    path = write(url_of(tmp_path), IMAGE, DIGEST, b"\xa3" * (LONGEST + 1))
    with pytest.raises(UnreadableSignature, match="larger than"):
        signatures(url_of(tmp_path), IMAGE, DIGEST)
    for make in (Path.mkdir, os.mkfifo):  # the second would hold no signature, and end nowhere
        path.rmdir() if path.is_dir() else path.unlink()
        make(path)
        with pytest.raises(ImageError, match="is not a regular file"):
            signatures(url_of(tmp_path), IMAGE, DIGEST)


@pytest.mark.parametrize("base", ["ftp://x", "x", "", "https://example.com/sigs"])
def test_nothing_is_written_to_what_is_no_directory(base: str) -> None:
    with pytest.raises(UsageError, match="cannot be written to") as caught:
        write(base, IMAGE, DIGEST, b"\xa3")
    assert "lookaside-staging" in str(caught.value)


def test_nothing_is_read_from_other_places() -> None:
    with pytest.raises(ProfileError, match="Unsupported scheme when reading signatures from ftp://x"):
        signatures("ftp://x", IMAGE, DIGEST)


def test_a_place_that_cannot_be_written_to_says_so(tmp_path: Path) -> None:
    (tmp_path / "team").write_bytes(b"")
    with pytest.raises(ImageError, match="cannot write the signature: Not a directory"):
        write(url_of(tmp_path), IMAGE, DIGEST, b"\xa3")


Answer = Callable[[BaseHTTPRequestHandler, int], None]


@contextmanager
def server(answer: Answer) -> Iterator[str]:
    """A server that answers as it likes; each answer gets the number of the signature that is asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self, int(self.path.rpartition("-")[2]))

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}/sigs"
        running.shutdown()
        thread.join()


def say(
    handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", length: int | None = None, to: str = ""
) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    if to:
        handler.send_header("Location", to)
    handler.end_headers()
    handler.wfile.write(body)


def test_a_server_is_asked_until_it_has_no_more() -> None:
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler, number: int) -> None:
        asked.append(handler.path)
        say(handler, 200 if number <= 2 else 404, b"\xa3%d" % number)

    with server(answer) as base:
        found = signatures(base, IMAGE, DIGEST)
    assert found == tuple(Simple(f"{base}/{NAME}/signature-{number}", b"\xa3%d" % number) for number in (1, 2))
    assert asked == [f"/sigs/{NAME}/signature-{number}" for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (lambda handler, _: say(handler, 500, b"no"), "answers 500"),
        (lambda handler, _: say(handler, 403, b"no"), "answers 403"),
        (lambda handler, _: say(handler, 302, to=handler.path), "redirects|leads on"),
        (lambda handler, _: say(handler, 200, b"<html>"), "a web page"),
        (lambda handler, _: say(handler, 200, b"\xa3", length=100), "incomplete|connection closed|more expected"),
        (lambda handler, _: say(handler, 200, b"\xa3" * (LONGEST + 1)), "larger than|more than"),
        (lambda handler, _: say(handler, 200, b"\xa3"), "more than 128 signatures"),
        (lambda handler, _: handler.wfile.write(b"no HTTP\r\n\r\n"), "cannot be reached|cannot read|connection closed"),
    ],
)
def test_a_server_that_does_not_do_as_it_should(answer: Answer, problem: str) -> None:
    with server(answer) as base, pytest.raises((HardeningError, UnreadableSignature), match=problem):
        signatures(base, IMAGE, DIGEST)


def test_a_server_that_takes_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    monkeypatch.setattr(lookaside, "PATIENCE", 0.2)

    def answer(_: BaseHTTPRequestHandler, __: int) -> None:
        done.wait(30)

    with server(answer) as base:
        try:
            with pytest.raises(ImageError, match="timed out"):
                signatures(base, IMAGE, DIGEST)
        finally:
            done.set()


def test_a_server_that_is_not_there() -> None:
    with server(lambda handler, _: say(handler, 404)) as base:
        pass
    with pytest.raises(HardeningError, match="cannot be reached: Connection refused"):
        signatures(base, IMAGE, DIGEST)


def test_where_signatures_are_looked_for_is_said() -> None:
    """A URL such as `file://x/sigs` has x for a host: the path that is looked at shows it."""
    image = "registry.example.com/team/app:1"
    name = f"team/app@{DIGEST.replace(':', '=')}/signature-1"
    cases: Sequence[tuple[Mapping[str, str | bool], str]] = (
        ({"lookaside": "https://registry.example.com/sigs"}, f"looked for https://registry.example.com/sigs/{name}"),
        ({"lookaside": "file:///srv/a%20b/"}, f"looked for /srv/a b/{name}"),
        ({"lookaside": "file://x/sigs"}, f"looked for /sigs/{name}"),
        (
            {"lookaside": "file:///srv", "use-sigstore-attachments": True},
            f"looked for /srv/{name} and registry.example.com/team/app:{DIGEST.replace(':', '-')}.sig",
        ),
    )
    for said, expected in cases:
        places = SignatureLocations(Registries({"registry.example.com": said}))
        assert places.where(parse(image), DIGEST) == expected
    assert SignatureLocations(Registries({})).where(parse("oci:/srv/x"), DIGEST) == "images of oci have none"
