"""Init, shown to a tracer of the caller's before it builds anything."""

from __future__ import annotations

from hardening.base.linux.failure import Step
from hardening.base.linux.system import os
from hardening.errors import LaunchError


def have_traced(pid: int, tracer: int) -> None:
    """Tell a pid, as a line, to the socket ``tracer``, and wait until its other end answers with one byte: from then on init
    lets itself be traced by nobody. `LaunchError` where the other end is closed."""
    with Step("have the container's first process traced"):
        try:
            os.write(tracer, f"{pid}\n".encode())
            answer = os.read(tracer, 1)
        except (BrokenPipeError, ConnectionResetError):
            answer = b""
    os.close(tracer)
    if not answer:
        raise LaunchError("whoever was to trace the launch has ended, or may not")
