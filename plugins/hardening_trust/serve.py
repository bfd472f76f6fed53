"""Sharing a lookaside directory over HTTP, read-only: signatures, and nothing else that may lie there.

A path of a request is walked from the directory on, name by name, and never through a symbolic link.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import BoundedSemaphore, Thread
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from hardening.errors import UsageError
from hardening.images.signatures import LONGEST

#: Seconds that a client may be silent for, and how many are served at once.
PATIENCE = 20
MOST_AT_ONCE = 128

#: Repository, manifest digest, number.
_PATH = re.compile(rb"/+[a-z0-9._/-]+@[a-z0-9]+=[0-9a-f]+/signature-[1-9][0-9]{0,2}")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def serve(directory: Path, address: tuple[str, int], listening: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; ``listening`` is called with the URL once requests are answered. Raises
    `UsageError` for a directory that cannot be opened and an address that cannot be had."""
    ending = {signal.SIGTERM, signal.SIGINT}
    # Blocked in every thread, so that the main one can wait for them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    try:
        with _server(directory, address) as server:
            thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
            thread.start()
            host, port = server.socket.getsockname()[:2]
            listening(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
            signal.sigwait(ending)
            server.shutdown()
            thread.join()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT`` or ``[IPV6]:PORT``; port 0 lets the kernel choose. Raises `UsageError`."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise UsageError(f'"{text}" is no address to serve on', hint="write HOST:PORT, such as 127.0.0.1:8080")
    return host, int(port)


class _Server(ThreadingHTTPServer):
    """One thread for each connection, and no more of them than there is room for."""

    daemon_threads = True
    folder: int

    def __init__(self, address: tuple[str, int], family: socket.AddressFamily, folder: int) -> None:
        self.address_family = family
        self.folder = folder
        self.room = BoundedSemaphore(MOST_AT_ONCE)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self.room.acquire(timeout=1):  # no longer: meanwhile nobody can end the server
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, or says nothing, is no news."""


@contextmanager
def _server(directory: Path, address: tuple[str, int]) -> Iterator[_Server]:
    try:
        folder = os.open(directory, _FOLDER & ~os.O_NOFOLLOW)
    except OSError as error:
        raise UsageError(f"cannot serve it: {error.strerror}", origin=directory, hint="name a directory") from None
    try:
        try:
            found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            server = _Server(address, found[0][0], folder)
        except OSError as error:
            raise UsageError(
                f"cannot serve on {address[0]}:{address[1]}: {error.strerror or error}",
                hint="name an address of this host, and a free port",
            ) from None
        with server:
            yield server
    finally:
        os.close(folder)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "hardening"
    sys_version = ""
    timeout = PATIENCE
    server: _Server

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        data = _read(self.server.folder, self.path)
        if data is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if with_body:
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Nothing: what a client sends is not for the terminal."""


def _read(folder: int, target: str) -> bytes | None:
    """The signature that a request is for; None where there is none."""
    path = unquote_to_bytes(urlsplit(target).path)
    if not _PATH.fullmatch(path):
        return None
    names = [name for name in path.split(b"/") if name]
    if any(name in (b".", b"..") for name in names):
        return None
    here = os.dup(folder)
    try:
        for name in names[:-1]:
            inner = os.open(name, _FOLDER, dir_fd=here)
            os.close(here)
            here = inner
        with open(os.open(names[-1], _FILE, dir_fd=here), "rb") as file:
            status = os.fstat(file.fileno())
            return file.read(LONGEST) if stat.S_ISREG(status.st_mode) and status.st_size <= LONGEST else None
    except OSError:
        return None
    finally:
        os.close(here)
