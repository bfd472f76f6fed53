"""redis stores, persists and restarts, and those who may command it get no further."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from tests.software.harness import Place, Service, placed, unneeded
from tests.support.users import User

pytestmark = pytest.mark.system

SERVER = ("redis-server", "--port", "0", "--unixsocket", "/data/redis.sock", "--dir", "/data", "--appendonly", "yes")
ALWAYS = ("--appendfsync", "always")


@attrs.frozen
class Redis:
    """A running server."""

    place: Place
    service: Service

    def __call__(self, *command: str) -> str:
        """What redis-cli prints outside."""
        return self.place.outside("redis-cli", "-s", "data/redis.sock", *command).stdout.strip()


@contextmanager
def redis(place: Place, *options: str, profiles: tuple[str, ...] = ()) -> Iterator[Redis]:
    """A server that answers; it is killed at the end."""
    (place.folder / "data/redis.sock").unlink(missing_ok=True)
    with place.serving(*SERVER, *options, profiles=profiles) as service:
        client = Redis(place, service)
        service.until(lambda: client("ping") == "PONG")
        yield client


@contextmanager
def database(user: User | None, *, direct: bool = True) -> Iterator[Place]:
    with placed("redis", user, direct=direct) as place:
        place.folders("data")
        yield place


def works(place: Place) -> None:
    with redis(place, *ALWAYS) as client:
        assert client("set", "greeting", "hello") == "OK"
        assert client("get", "greeting") == "hello"


def test_it_stores_and_persists(user: User | None) -> None:
    """A value outlives SIGKILL in the append-only file, and SIGTERM in a snapshot made by a child."""
    with database(user, direct=False) as place:
        works(place)
        with redis(place) as client:
            assert client("get", "greeting") == "hello"
            assert client("set", "more", "x" * 100_000) == "OK"
            assert client("bgsave") == "Background saving started"
            client.service.until(lambda: "Background saving terminated with success" in client.service.log)
            assert client.service.stop(signal.SIGTERM) == 0
        assert (place.folder / "data/dump.rdb").stat().st_size > 0
        with redis(place) as client:
            assert client("strlen", "more") == "100000"


def test_who_commands_it_gets_no_further(user: User | None) -> None:
    """Files elsewhere, modules out of the data folder, and a master of the attacker's."""
    with database(user) as place:
        library = next(Path("/usr/lib").glob("*-linux-gnu/libm.so.6"))
        module = place.folder / "data/module.so"
        shutil.copy(library, module)
        module.chmod(0o755)
        with redis(place, "--enable-protected-configs", "yes", "--enable-module-command", "yes") as client:
            assert client("config", "set", "dir", "/etc") == "OK"
            assert "ERR" in client("save")
            client.service.until(lambda: "Read-only file system" in client.service.log)
            assert "Error loading the extension" in client("module", "load", "/data/module.so")
            client.service.until(lambda: "failed to map segment from shared object" in client.service.log)
            assert client("replicaof", "127.0.0.1", "1") == "OK"
            client.service.until(lambda: "Unable to connect to MASTER" in client.service.log)


@pytest.mark.complete
def test_nothing_on_the_page_can_be_left_out() -> None:
    with database(None) as place:
        assert unneeded(place, works) == []


def test_the_shipped_profile_needs_no_exception(user: User | None) -> None:
    with database(user) as place:
        idmap = ":idmap" if user is None else ""
        place.file("volume.toml", f'[rootfs]\nvolumes.add = ["./data:/data{idmap}"]\n')
        with redis(place, profiles=("web", "./volume.toml")) as client:
            assert client("set", "greeting", "hello") == "OK"
