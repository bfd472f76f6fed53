"""nginx serves its files on a socket, and a worker that was taken over gets no further."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.software.harness import Place, Service, placed, unneeded
from tests.support import runs
from tests.support.users import User

pytestmark = pytest.mark.system

RELOADED = ' add_header X-Reloaded "yes";'
#: What a configuration says that an attacker wrote.
ATTACK = """
        location /host/ { alias /; }
        location /put/ { alias /srv/; dav_methods PUT; }
        location /elsewhere/ { alias /usr/lib/; dav_methods PUT; }
        location /proxy { proxy_pass http://127.0.0.1:9; }
"""


@contextmanager
def site(user: User | None, *, direct: bool = True) -> Iterator[Place]:
    with placed("nginx", user, direct=direct) as place:
        place.folders("run", "site")
        place.file("site/hello.txt", "hello\n")
        yield place


@contextmanager
def nginx(place: Place, *profiles: str) -> Iterator[Service]:
    (place.folder / "run/http.sock").unlink(missing_ok=True)
    with place.serving("nginx", profiles=profiles) as service:
        yield service


def get(place: Place, path: str, *options: str) -> str:
    """What curl prints outside: the answer, and its status."""
    argv = ["curl", "-s", "-m", str(place.patience), "-w", "%{http_code}", *options, f"http://localhost{path}"]
    return place.outside(*argv, "--unix-socket", "run/http.sock").stdout


def change(place: Place, old: str, new: str) -> None:
    """Change the configuration in place: the container has the file itself, not its name."""
    text = (place.folder / "nginx.conf").read_text()
    assert old in text
    (place.folder / "nginx.conf").write_text(text.replace(old, new))


def works(place: Place) -> None:
    """It serves, reads its configuration again, ends when it is told to, and has nothing to complain about."""
    (place.folder / "nginx.conf").write_text((place.folder / "nginx.conf").read_text().replace(RELOADED, ""))
    with nginx(place) as service:
        service.until(lambda: get(place, "/hello.txt") == "hello\n200")
        change(place, "root /srv;", f"root /srv;{RELOADED}")
        service.process.send_signal(signal.SIGHUP)
        service.until(lambda: "X-Reloaded: yes" in get(place, "/hello.txt", "-i"))
        assert service.stop(signal.SIGQUIT) == 0
        assert service.log == ""


def test_it_serves_reloads_and_ends(user: User | None) -> None:
    with site(user, direct=False) as place:
        works(place)


def test_a_worker_that_was_taken_over_gets_no_further(user: User | None) -> None:
    with site(user) as place:
        change(place, "root /srv;", f"root /srv;{ATTACK}")
        with nginx(place) as service:
            service.until(lambda: get(place, "/hello.txt") == "hello\n200")
            assert "root:" not in get(place, "/host/etc/shadow")
            assert get(place, f"/host{place.folder}/nginx.conf").endswith("404")
            for target in ("/put/new", "/elsewhere/new"):
                assert get(place, target, "-T", "nginx.conf").endswith("500")
            service.until(lambda: service.log.count("Read-only file system") == 2)
            assert get(place, "/proxy").endswith("500")
            service.until(lambda: "socket() failed (1: Operation not permitted)" in service.log)
        assert not (place.folder / "site/new").exists()


@pytest.mark.complete
def test_nothing_on_the_page_can_be_left_out() -> None:
    with site(None) as place:
        assert unneeded(place, works) == []


def free_port() -> int:
    """A port that is free, and that the kernel gives to nobody who asks for any (ip(7), ip_local_port_range)."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        with suppress(OSError), socket.create_server(("127.0.0.1", random.randrange(1024, lowest))) as free:
            return int(free.getsockname()[1])


def test_the_shipped_profile_needs_no_exception(user: User | None) -> None:
    """On a port of the host's network. Root's server gives up root in its workers, as the distribution's does."""
    with site(user) as place:
        port = free_port()
        change(place, "unix:/run/nginx/http.sock", f"127.0.0.1:{port}")
        volumes = ["./site:/srv:ro", "./nginx.conf:/etc/nginx/nginx.conf:ro"]
        place.file("volumes.toml", f"[rootfs]\nvolumes.add = {json.dumps(volumes)}\n")
        with place.serving("nginx", profiles=("web", "./volumes.toml")) as service:
            argv = ["curl", "-s", f"http://127.0.0.1:{port}/hello.txt"]
            service.until(lambda: place.outside(*argv).stdout == "hello\n")
            worker = runs.find(service.process.pid, ["nginx: worker process"])
            master = int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])
            assert (os.stat(f"/proc/{worker}").st_uid != os.stat(f"/proc/{master}").st_uid) is (user is None)
