"""Python's http.server serves its folder and nothing else."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.software.harness import Place, placed, unneeded
from tests.support.users import User

pytestmark = pytest.mark.system

#: Port 0: the kernel chooses one that is free.
SERVER = ("python3", "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", "/srv", "0")


@contextmanager
def served(place: Place, *profiles: str) -> Iterator[http.client.HTTPConnection]:
    """A connection to the server."""
    with place.serving(*SERVER, profiles=profiles) as service:
        port = service.until(lambda: re.search(r"port (\d+)", service.log))[1]
        with closing(http.client.HTTPConnection("127.0.0.1", int(port), timeout=place.patience)) as connection:
            yield connection


def get(connection: http.client.HTTPConnection, path: str) -> tuple[int, str]:
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def works(place: Place) -> None:
    with served(place) as connection:
        assert get(connection, "/hello.txt") == (200, "hello\n")


@contextmanager
def site(user: User | None, *, direct: bool = True) -> Iterator[Place]:
    with placed("http-server", user, direct=direct) as place:
        place.folders("site")
        place.file("site/hello.txt", "hello\n")
        yield place


def test_it_serves_its_folder(user: User | None) -> None:
    with site(user, direct=False) as place:
        works(place)


def test_what_a_link_in_the_folder_leads_to_stays_hidden(user: User | None) -> None:
    with site(user) as place:
        place.file("secret.txt", "secret\n")
        (place.folder / "site/link").symlink_to(place.folder / "secret.txt")
        (place.folder / "site/shadow").symlink_to("/etc/shadow")
        assert (place.folder / "site/link").read_text() == "secret\n"
        with served(place) as connection:
            assert get(connection, "/link")[0] == 404
            assert get(connection, "/shadow") == (200, "")  # an empty file lies over it


@pytest.mark.complete
def test_nothing_on_the_page_can_be_left_out() -> None:
    with site(None) as place:
        assert unneeded(place, works) == []


def test_the_shipped_profile_needs_no_exception(user: User | None) -> None:
    with site(user) as place:
        place.file("volume.toml", '[rootfs]\nvolumes.add = ["./site:/srv:ro"]\n')
        with served(place, "web", "./volume.toml") as connection:
            assert get(connection, "/hello.txt") == (200, "hello\n")
