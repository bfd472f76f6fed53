"""The lookaside server: signatures for everybody, and nothing else of the disk for anybody."""

from __future__ import annotations

import http.client
import itertools
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from hardening.errors import UsageError
from hardening_trust.serve import MOST_OF_ONE, PATIENCE, parse_address, serve

DIGEST = "sha256=" + "a" * 64
PLACE = f"team/app@{DIGEST}"
_PROGRAM = "import sys; from pathlib import Path; from hardening_trust.serve import *; \
serve(Path(sys.argv[1]), parse_address(sys.argv[2]), lambda url: print(url, flush=True), float(sys.argv[3]))"


@contextmanager
def serving(
    folder: Path, address: str = "127.0.0.1:0", patience: float = PATIENCE
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server in a process of its own: its host and port."""
    argv = [sys.executable, "-c", _PROGRAM, str(folder), address, str(patience)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield line.strip().removeprefix("http://"), process
        finally:
            process.terminate()
            process.wait(30)


def ask(host: str, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    (folder / PLACE).mkdir(parents=True)
    (folder / PLACE / "signature-1").write_bytes(b"one")
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "secret").write_bytes(b"secret")
    (folder / PLACE / "secret").write_bytes(b"secret")
    (folder / PLACE / "signature-2").symlink_to(tmp_path / "secret")
    (folder / "link").symlink_to(tmp_path)
    (folder / f"linked@{DIGEST}").symlink_to(folder / PLACE)
    (folder / PLACE / "signature-3").mkdir()
    os.mkfifo(folder / PLACE / "signature-4")
    return folder


def test_signatures_are_served_and_nothing_else(store: Path) -> None:
    with serving(store) as (host, _):
        assert ask(host, f"/{PLACE}/signature-1") == (200, b"one")
        assert ask(host, f"//{PLACE}/signature-1?x") == (200, b"one")
        assert ask(host, f"/{PLACE.replace('@', '%40')}/signature-1") == (200, b"one")
        assert ask(host, f"/{PLACE}/signature-1", "HEAD") == (200, b"")
        for path in (
            "/", f"/{PLACE}", f"/{PLACE}/", f"/{PLACE}/secret", "/secret", f"/{PLACE}/signature-9", f"/{PLACE}/signature-0",
            f"/{PLACE}/signature-2", f"/{PLACE}/signature-3", f"/{PLACE}/signature-4", f"/linked@{DIGEST}/signature-1",
            f"/link/store/{PLACE}/signature-1", f"/team/../{PLACE}/signature-1", f"/%2e%2e/store/{PLACE}/signature-1",
            f"/{PLACE}/../../secret", "/../secret", "//../secret", f"/{PLACE}/signature-1%00", f"/{PLACE}/signature-1/",
            f"/./{PLACE}/signature-1", "/etc/passwd", "*", f"http://x/{PLACE}/signature-2",
        ):  # fmt: skip
            status, body = ask(host, path)
            assert (status, b"secret" in body) == (404, False), path


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_it_is_read_only(store: Path, method: str) -> None:
    with serving(store) as (host, _):
        assert ask(host, f"/{PLACE}/signature-1", method)[0] == 501
    assert (store / PLACE / "signature-1").read_bytes() == b"one"


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_it_is_told_to_and_writes_nothing(store: Path, ending: signal.Signals) -> None:
    with serving(store) as (host, process):
        name, _, port = host.rpartition(":")
        with socket.create_connection((name, int(port)), timeout=30) as rude:
            rude.sendall(b"\x1b[31m /\x1b[31m\r\n\r\n")
            assert rude.recv(1)
        with socket.create_connection((name, int(port)), timeout=30):  # somebody who says nothing keeps nobody
            process.send_signal(ending)
            out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "", "")


def test_it_serves_on_ipv6(store: Path) -> None:
    with serving(store, "[::1]:0") as (host, _):
        assert re.fullmatch(r"\[::1\]:\d+", host)
        assert ask(host, f"/{PLACE}/signature-1") == (200, b"one")


@pytest.mark.parametrize(
    "text",
    ["", "80", ":80", "::1:80", "localhost", "localhost:", "localhost:http", "a:65536", "a:-1", "a:" + "1" * 5000],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="is not an address"):
        parse_address(text)


def test_an_address_that_is_taken_and_a_directory_that_is_missing(store: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UsageError, match="Address already in use"):
        serve(store, taken.getsockname(), print)
    with pytest.raises(UsageError, match="No such file"):
        serve(tmp_path / "missing", ("127.0.0.1", 0), print)
    with pytest.raises(UsageError, match="no host has such a name"):
        serve(store, ("a" * 70 + ".example", 0), print)


def connected(host: str, source: str = "127.0.0.1") -> socket.socket:
    name, _, port = host.rpartition(":")
    return socket.create_connection((name, int(port)), timeout=30, source_address=(source, 0))


def test_who_asks_slowly_is_parted_with_and_keeps_nobody_from_asking(store: Path) -> None:
    """A byte now and then is no silence, but a request has an end."""
    with serving(store, patience=0.5) as (host, _), connected(host) as slow:
        slow.settimeout(0.05)
        end = b""
        for letter in itertools.cycle(b"GET /a"):  # for as long as it is taken
            try:
                slow.sendall(bytes([letter]))
                end = slow.recv(1)
            except TimeoutError:
                continue
            except OSError:
                pass
            break
        assert end == b""
        assert ask(host, f"/{PLACE}/signature-1") == (200, b"one")


def test_one_address_has_not_all_connections_and_who_waits_longest_goes_first(store: Path) -> None:
    with serving(store) as (host, _), ExitStack() as held:
        slow = [held.enter_context(connected(host, "127.0.0.2")) for _ in range(MOST_OF_ONE)]
        for connection in slow:
            connection.sendall(b"GET /a")
        with connected(host, "127.0.0.2") as quick:
            quick.sendall(f"GET /{PLACE}/signature-1 HTTP/1.0\r\n\r\n".encode())
            assert quick.recv(12) == b"HTTP/1.1 200"
        (ended,), _, _ = select.select(slow, [], [], 30)
        assert ended.recv(1) == b""
        assert ask(host, f"/{PLACE}/signature-1") == (200, b"one")
