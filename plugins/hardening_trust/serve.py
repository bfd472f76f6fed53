"""Sharing a lookaside directory over HTTP, read-only: signatures, and nothing else that may lie there.

A path of a request is walked from the directory on, name by name, and never through a symbolic link.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from threading import BoundedSemaphore, Lock, Thread
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from hardening.errors import UsageError
from hardening.images.signatures import LONGEST

#: Seconds that a client has for a request and for taking its answer, and how many connections are served at once, of all
#: and of one address.
PATIENCE = 20.0
MOST_AT_ONCE, MOST_OF_ONE = 128, 32

#: Repository, manifest digest, number.
_PATH = re.compile(rb"/+[a-z0-9._/-]+@[a-z0-9]+=[0-9a-f]+/signature-[1-9][0-9]{0,2}")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def serve(
    directory: Path, address: tuple[str, int], listening: Callable[[str], None], patience: float = PATIENCE
) -> None:
    """Serve until SIGTERM or SIGINT; ``listening`` is called with the URL once requests are answered. Raises
    `UsageError` for a directory that cannot be opened and an address that cannot be had."""
    ending = {signal.SIGTERM, signal.SIGINT}
    # Blocked in every thread, so that the main one can wait for them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    try:
        with _server(directory, address, patience) as server:
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
    if not colon or not host or not port.isascii() or not port.isdigit() or len(port) > 5 or int(port) > 65535:
        raise UsageError(f'"{text}" is not an address to serve on', hint="write HOST:PORT, such as 127.0.0.1:8080")
    return host, int(port)


class _Server(ThreadingMixIn, TCPServer):
    """One thread for each connection, no more of them than there is room for, and none for longer than a request takes."""

    # Not `http.server.HTTPServer`, which asks the DNS who it is.
    allow_reuse_address = True
    request_queue_size = MOST_AT_ONCE
    daemon_threads = True

    def __init__(self, address: tuple[Any, ...], family: socket.AddressFamily, folder: int, patience: float) -> None:
        self.address_family = family
        self.folder = folder
        self.patience = patience
        self._room = BoundedSemaphore(MOST_AT_ONCE)
        self._lock = Lock()
        self._until: dict[socket.socket, float] = {}
        self._hosts: dict[socket.socket, str] = {}
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._make_room(client_address[0])
        if not self._room.acquire(timeout=1):  # no longer: meanwhile nobody can end the server
            self.shutdown_request(request)
            return
        self._hosts[request] = client_address[0]
        self.begin(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def begin(self, connection: socket.socket) -> None:
        """From now on the connection has the time of one request."""
        with self._lock:
            self._until[connection] = time.monotonic() + self.patience

    def service_actions(self) -> None:
        """Part with those who did not ask, or take their answer, in time; called between any two connections."""
        now = time.monotonic()
        with self._lock:
            for connection in [connection for connection, until in self._until.items() if until < now]:
                self._part(connection)

    def _make_room(self, host: str) -> None:
        """Part with who has waited longest, where there is no room for one more of a host, or for one more at all. Whoever
        asks at once has an answer long before that."""
        with self._lock:
            waiting = sorted(self._until, key=self._until.__getitem__)
            same = [connection for connection in waiting if self._hosts.get(connection) == host]
            if len(same) >= MOST_OF_ONE:
                self._part(same[0])
            elif len(waiting) >= MOST_AT_ONCE:
                self._part(waiting[0])

    def _part(self, connection: socket.socket) -> None:
        """End a connection, with the lock held: of one that is closed the number might be another's by now."""
        del self._until[connection]
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._until.pop(request, None)
            self._hosts.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, or says nothing, is no news."""


@contextmanager
def _server(directory: Path, address: tuple[str, int], patience: float) -> Iterator[_Server]:
    try:
        folder = os.open(directory, _FOLDER & ~os.O_NOFOLLOW)
    except OSError as error:
        raise UsageError(f"cannot serve it: {error.strerror}", origin=directory, hint="name a directory") from None
    try:
        try:
            found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            server = _Server(found[0][4], found[0][0], folder, patience)
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no host has such a name"
            raise UsageError(
                f"cannot serve on {address[0]}:{address[1]}: {reason or error}",
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
    server: _Server

    def handle_one_request(self) -> None:
        self.server.begin(self.connection)
        super().handle_one_request()

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
