"""Which host an address means: the one that is connected to, or none."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from hardening.errors import ImageError
from hardening.images.http import origin
from hardening.images.watch import Watch


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
    with pytest.raises(ImageError, match="no address of a web server") as refused:
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
