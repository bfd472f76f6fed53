"""Which host an address means: the one that is connected to, or none."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from hardening.errors import ImageError
from hardening.images.transport.http import Client, origin
from hardening.images.transport.watch import Watch


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://example.com/x?y#z", ("https", "example.com", 443)),
        ("https://Example.COM:5000", ("https", "example.com", 5000)),
        ("http://127.0.0.1/", ("http", "127.0.0.1", 80)),
        ("https://[::1]:5000/x", ("https", "::1", 5000)),
        ("https://example.com/a@b", ("https", "example.com", 443)),
    ],
)
def test_an_address_that_all_read_alike(url: str, wanted: tuple[str, str, int]) -> None:
    assert origin(url) == wanted


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example\\@good.example/",
        "https://evil.example\\.good.example/",
        "https://good.example@evil.example/",
        "https://:x@evil.example/",
        "https://good.example\t.evil.example/",
        "https://good.example\n/",
        "https://good.example /",
        "https://good\u3002example/",
        "https://good.example:0x50/",
        "https://good.example:99999/",
        "https://[::1/",
        "https://good%2eexample/",
        "",
    ],
)
def test_an_address_that_two_could_read_in_two_ways_is_none(url: str) -> None:
    with pytest.raises(ImageError, match="invalid URL") as refused:
        origin(url)
    assert str(refused.value.origin).isprintable()
    assert "@" not in str(refused.value.origin)


def test_a_watch_cuts_a_connection_when_the_time_is_up_and_not_before() -> None:
    here, there = socket.socketpair()
    before = threading.active_count()
    with here, there, Watch(600) as watch:
        watch.see(here)
        there.sendall(b"x")
        assert here.recv(1) == b"x"
        watch.until(time.monotonic())
        assert here.recv(1) == b""
        assert watch.expired
    assert threading.active_count() == before


def test_a_connection_that_is_made_after_its_time_is_cut_at_once() -> None:
    here, there = socket.socketpair()
    first, other = socket.socketpair()
    with here, there, first, other, Watch(0) as watch:
        watch.see(first)
        assert first.recv(1) == b""
        watch.see(here)
        assert here.recv(1) == b""


class _Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def test_an_authority_that_podman_takes_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One without the extension keyUsage, as openssl(1) makes it by itself."""
    keys = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    authority = ("-x509", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.crt", "-config", "ca.cnf")
    request = ("-subj", "/CN=server", "-keyout", "server.key", "-out", "server.csr")
    sign = ("-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-extfile", "san", "-out", "server.crt")
    (tmp_path / "san").write_text("subjectAltName=IP:127.0.0.1")
    (tmp_path / "ca.cnf").write_text(
        "[req]\ndistinguished_name = dn\nx509_extensions = ca\n[dn]\n[ca]\nbasicConstraints = critical,CA:TRUE\n"
    )
    for words in (("req", *keys, *authority), ("req", *keys, *request), ("x509", *sign)):
        subprocess.run(["openssl", *words], cwd=tmp_path, check=True, capture_output=True, timeout=30)
    server = HTTPServer(("127.0.0.1", 0), _Answering)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        host = f"127.0.0.1:{server.server_port}"
        place = tmp_path / "containers/certs.d" / host
        place.mkdir(parents=True)
        (place / "ca.crt").write_bytes((tmp_path / "ca.crt").read_bytes())
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        client = Client()
        with client.get(f"https://{host}/", {}) as answer:
            assert client.whole(answer, 10, "text") == b"ok"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
