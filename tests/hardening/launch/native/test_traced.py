"""Init, shown to a tracer of the caller's. What becomes of a traced launch is in `tests/hardening/trace`."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from hardening.errors import LaunchError
from hardening.launch import main
from hardening.launch.native.native import have_traced
from hardening.launch.request import LaunchRequest


def test_the_launch_goes_on_when_it_is_answered() -> None:
    own, other = socket.socketpair()
    with own:
        own.send(b"\0")
        have_traced(4711, other.detach())
        assert own.recv(64) == b"4711\n"
        assert own.recv(64) == b""  # and nothing else holds the other end


def test_the_launch_ends_where_nobody_answers() -> None:
    own, other = socket.socketpair()
    own.close()
    with pytest.raises(LaunchError, match="whoever was to trace"):
        have_traced(4711, other.detach())


@pytest.mark.parametrize("changes", [{"receipt": "/r"}, {"runtime": "/usr/bin/crun"}, {"detach": True}])
def test_what_is_traced_by_nobody_else(changes: dict[str, object], tmp_path: Path) -> None:
    own, other = socket.socketpair()
    with own, other:
        request = LaunchRequest(bundle=str(tmp_path), tracer=other.fileno()).changed(**changes)
        with pytest.raises(LaunchError, match="only a native launch"):
            main.launch(request)
        assert not os.get_inheritable(other.fileno())
