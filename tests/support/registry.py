"""A docker registry on loopback, on a port that the kernel chooses: plain, or with TLS and a password."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

USER, PASSWORD = "tester", "correct horse"
_LISTENING = re.compile(r"listening on (127\.0\.0\.1:[0-9]+)")


@attrs.frozen
class Registry:
    """A registry that answers. ``certificate`` is that of its authority where it has TLS, ``data`` where it keeps all."""

    host: str
    data: Path
    certificate: Path | None = None


@contextmanager
def registry(folder: Path, *, secured: bool = False) -> Iterator[Registry]:
    """Run a registry that keeps its files in ``folder``; ``secured`` gives it TLS, and has it ask for `USER` and
    `PASSWORD`."""
    config = {
        "version": 0.1,
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": "127.0.0.1:0", "secret": "for tests", **(_tls(folder) if secured else {})},
        **(_password(folder) if secured else {}),
    }
    path = folder / "config.yml"
    path.write_text(json.dumps(config))  # JSON is YAML
    log = folder / "log"
    # Variables of such a name, as podman's REGISTRY_AUTH_FILE, are settings to it.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
    with (
        log.open("wb") as written,
        subprocess.Popen(["docker-registry", "serve", str(path)], stderr=written, env=environment) as process,
    ):
        try:
            yield Registry(_host(log, process), folder / "data", folder / "registry.crt" if secured else None)
        finally:
            process.terminate()
            process.wait(30)


def _host(log: Path, process: subprocess.Popen[bytes]) -> str:
    """Where it listens, once it says so."""
    end = time.monotonic() + 30
    while not (found := _LISTENING.search(log.read_text())):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.02)
    return found[1]


def _tls(folder: Path) -> dict[str, object]:
    """A certificate for 127.0.0.1 that is its own authority."""
    key, certificate = folder / "registry.key", folder / "registry.crt"
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subject = ["-subj", "/CN=registry", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-days", "2"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*request, *subject, *files], check=True, capture_output=True, timeout=30)
    return {"tls": {"certificate": str(certificate), "key": str(key)}}


def _password(folder: Path) -> dict[str, object]:
    """A file of passwords as htpasswd(1) writes it; the registry takes nothing but bcrypt."""
    script = "print crypt($ARGV[0], '$2b$04$abcdefghijklmnopqrstuu')"
    crypted = subprocess.run(["perl", "-e", script, PASSWORD], check=True, capture_output=True, text=True, timeout=30)
    path = folder / "htpasswd"
    path.write_text(f"{USER}:{crypted.stdout}\n")
    return {"auth": {"htpasswd": {"realm": "test", "path": str(path)}}}
