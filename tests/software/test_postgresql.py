"""PostgreSQL makes a cluster, stores, answers and restarts, and its superuser gets no further."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from tests.software.harness import Place, Service, placed, unneeded
from tests.support.users import User

pytestmark = pytest.mark.system

QUIET = ("-c", "listen_addresses=", "-c", "autovacuum=off", "-c", "fsync=off")


def programs() -> Path:
    """Where Debian keeps the newest version's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    assert found, "PostgreSQL is not installed"
    return found[-1].parent


@attrs.frozen
class Server:
    """A running server."""

    place: Place
    service: Service

    def sql(self, statement: str) -> str:
        """What psql prints outside, or the error."""
        socket = str(self.place.folder / "data")
        done = self.place.outside(
            "timeout", "60", "psql", "-h", socket, "-U", "me", "-d", "postgres", "-XtAqc", statement
        )
        return (done.stdout + done.stderr).strip()


@contextmanager
def cluster(user: User | None, *, direct: bool = True) -> Iterator[Place]:
    with placed("postgresql", user, direct=direct) as place:
        place.folders(*([] if (place.folder / "data").exists() else ["data"]))
        done = place.run(str(programs() / "initdb"), "-D", "/data/db", "-U", "me", "-A", "trust", "--no-sync")
        assert done.returncode == 0, done.stderr
        assert "Operation not permitted" not in done.stderr
        yield place


@contextmanager
def server(place: Place, *profiles: str) -> Iterator[Server]:
    command = (str(programs() / "postgres"), "-D", "/data/db", "-k", "/data", *QUIET)
    with place.serving(*command, profiles=profiles) as service:
        running = Server(place, service)
        service.until(lambda: running.sql("select 6 * 7") == "42")
        yield running


def works(place: Place) -> None:
    with server(place) as running:
        assert running.sql("drop table if exists t; create table t as select generate_series(1, 1000) n") in (
            "",
            NOTICE,
        )
        assert running.service.stop(signal.SIGKILL) == -signal.SIGKILL
    # It looks whether the segment of shared memory of the one before is still in use.
    with server(place) as running:
        assert running.sql("select sum(n) from t") == "500500"
        assert running.service.stop(signal.SIGINT) == 0
        assert "Operation not permitted" not in running.service.log


NOTICE = 'NOTICE:  table "t" does not exist, skipping'


def test_it_makes_a_cluster_stores_and_answers(user: User | None) -> None:
    """What was committed outlives SIGKILL; a query runs in several processes."""
    with cluster(user, direct=False) as place:
        works(place)
        with server(place) as running:
            assert running.sql("select count(*) from t") == "1000"
            assert running.sql("set max_parallel_workers_per_gather = 2; select count(distinct n) from t") == "1000"


def test_a_superuser_gets_no_further(user: User | None) -> None:
    with cluster(user) as place:
        place.file("secret", "secret\n")
        with server(place) as running:
            attempts = {
                f"select pg_read_file('{place.folder}/secret')": "No such file",
                "copy (select 1) to '/usr/evil'": "Read-only file system",
                "copy (select 1) to program 'cp /bin/true /tmp/evil && chmod 755 /tmp/evil && /tmp/evil'": "program",
                "copy (select 1) to program 'exec 3<>/dev/tcp/127.0.0.1/9'": "program",
                "copy (select 1) to program 'cat /etc/shadow | grep root'": "program",
            }
            for statement, words in attempts.items():
                answer = running.sql(statement)
                assert answer.startswith("ERROR"), statement
                assert words in answer


@pytest.mark.complete
def test_nothing_on_the_page_can_be_left_out() -> None:
    with cluster(None) as place:
        assert unneeded(place, works) == []


def test_the_shipped_profile_needs_no_exception(user: User | None) -> None:
    with cluster(user) as place:
        idmap, who = (":idmap", '[process]\nuser = "postgres"\n') if user is None else ("", "")
        place.file("volume.toml", f'{who}[rootfs]\nvolumes.add = ["./data:/data{idmap}"]\n')
        with server(place, "web", "./volume.toml") as running:
            assert running.sql("select 1") == "1"
