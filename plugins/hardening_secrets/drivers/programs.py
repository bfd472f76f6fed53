"""Running the programs behind drivers: the value goes in and out over standard input and output and nowhere else, and nobody
waits for ever."""

from __future__ import annotations

import os
import resource
import select
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import BinaryIO

from hardening.secrets import LONGEST, SecretError

#: Seconds that a program may take.
PATIENCE = 60.0
_MESSAGE = 4096  # bytes of standard error that are looked at


def run(
    argv: Sequence[str],
    value: bytes | None = None,
    environment: Mapping[str, str] | None = None,
    patience: float = PATIENCE,
) -> bytes:
    """What a program writes to standard output, with ``value`` on its standard input; without one there is none. Raises
    `SecretError` where it cannot be started, fails, takes too long, or writes more than a secret can hold."""
    with _memory() as given, _memory() as complaints:
        given.write(value or b"")
        given.seek(0)
        try:
            process = subprocess.Popen(
                argv,
                stdin=given if value is not None else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaints,
                env={**os.environ, **(environment or {})},
                preexec_fn=_leave_no_core,
            )
        except OSError as error:
            hint = "install it, or choose another driver"
            raise SecretError(f"cannot start {argv[0]}: {error.strerror}", hint=hint) from None
        with process:
            data = _read(process, argv[0], patience)
        complaints.seek(0)
        text = complaints.read(_MESSAGE)
    if process.returncode != 0:
        raise SecretError(
            f"{argv[0]} failed with {process.returncode}{_reason(text, (value or b'', data))}", hint="see what it says"
        )
    return data


@contextmanager
def _memory() -> Iterator[BinaryIO]:
    """A file that is on no disk."""
    with os.fdopen(os.memfd_create("hardening-secret"), "w+b") as file:
        yield file


def _leave_no_core() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _read(process: subprocess.Popen[bytes], name: str, patience: float) -> bytes:
    """Standard output to its end. The program is killed where it does not come in time, or is too much."""
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    end = time.monotonic() + patience
    data = b""
    while True:
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            process.kill()
            raise SecretError(f"{name} did not end within {patience:g} seconds", hint="does it wait for a password?")
        part = os.read(process.stdout.fileno(), 1 << 16)
        data += part
        if len(data) > LONGEST:
            process.kill()
            raise SecretError(f"{name} gives more than {LONGEST} bytes", hint="a secret has at most so many")
        if not part:
            break
    try:
        process.wait(max(0.1, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        raise SecretError(
            f"{name} did not end within {patience:g} seconds", hint="does it wait for a password?"
        ) from None
    return data


def _reason(text: bytes, values: Sequence[bytes]) -> str:
    """The last line that a program has complained with; nothing where a value could be in it."""
    if any(value and (value in text or value.strip() in text) for value in values):
        return ""
    lines = [line.strip() for line in text.decode("utf-8", "replace").splitlines() if line.strip()]
    return f": {lines[-1]}" if lines else ""
