"""sqlite keeps its databases in one folder, and SQL of others gets no further."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.software.harness import Place, placed, unneeded
from tests.support.users import User

pytestmark = pytest.mark.system

DATABASE = "/data/shop.db"


@contextmanager
def shop(user: User | None, *, direct: bool = True) -> Iterator[Place]:
    with placed("sqlite", user, direct=direct) as place:
        place.folders("data")
        yield place


def sql(place: Place, text: str, *profiles: str) -> tuple[int, str]:
    """The exit code of sqlite3 for a text on its standard input, and what it prints."""
    done = place.run("sqlite3", "-bail", DATABASE, stdin=text, profiles=profiles)
    return done.returncode, done.stdout + done.stderr


def works(place: Place) -> None:
    (place.folder / "data/shop.db").unlink(missing_ok=True)
    assert sql(place, "create table fruit(name, price); insert into fruit values ('apple', 3), ('pear', 4);") == (0, "")
    assert sql(place, "select sum(price) from fruit;") == (0, "7\n")


def test_it_keeps_what_it_is_given(user: User | None) -> None:
    with shop(user, direct=False) as place:
        works(place)
        assert sql(place, "pragma integrity_check;") == (0, "ok\n")


def test_two_containers_share_a_database(user: User | None) -> None:
    """With a write-ahead log, whose index both map as shared memory; the lock of one is seen by the other."""
    with shop(user) as place:
        assert sql(place, "pragma journal_mode = wal; create table n(v);") == (0, "wal\n")
        script = "begin immediate; insert into n values (1);\\n.shell echo held; sleep 1000\\n"
        with place.serving("sh", "-c", f"printf '{script}' | sqlite3 {DATABASE}") as service:
            service.until(lambda: "held" in service.log)
            code, said = sql(place, "insert into n values (2);")
            assert code != 0
            assert "database is locked" in said
            assert sql(place, "select count(*) from n;") == (0, "0\n")


def test_sql_of_others_gets_no_further(user: User | None) -> None:
    with shop(user) as place:
        library = next(Path("/usr/lib").glob("*-linux-gnu/libm.so.6"))
        shutil.copy(library, place.folder / "data/library.so")
        for statement, refusal in (
            ("attach '/etc/new.db' as other; create table other.t(a);", "unable to open database"),
            (".load /data/library", "failed to map segment from shared object"),
            (".output /usr/new", "cannot open"),
        ):
            assert refusal in sql(place, statement + "\n")[1]
        question = "select writefile('/usr/new', 'x') is null, length(readfile('/etc/shadow'));"
        assert sql(place, question) == (0, "1|0\n")  # an empty file lies over what is hidden
        assert not Path("/etc/new.db").exists()


def test_nothing_on_the_page_can_be_left_out() -> None:
    with shop(None) as place:
        assert unneeded(place, works) == []


def test_the_shipped_profile_needs_no_exception(user: User | None) -> None:
    with shop(user) as place:
        idmap = ":idmap" if user is None else ""
        place.file("volume.toml", f'[rootfs]\nvolumes.add = ["./data:/data{idmap}"]\n')
        assert sql(place, "pragma journal_mode = wal; select 6 * 7;", "batch", "./volume.toml") == (0, "wal\n42\n")
