"""Running the programs behind drivers: the value goes in and out over standard input and output and nowhere else, and nobody
waits for ever.

What a program says beside that is thrown away unread. It knows the value, and so no word of it can be told: a part of the
value could be in it, in any form.
"""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import BinaryIO

from hardening.base import programs
from hardening.mechanism.secret_driver import LONGEST, SecretError


def run(
    argv: Sequence[str], value: bytes | None = None, environment: Mapping[str, str] | None = None, *, hint: str = ""
) -> bytes:
    """What a program writes to standard output, with ``value`` on its standard input; without one there is none. Where there
    is a terminal it may ask there. Raises `SecretError` where it cannot be started, fails (with a ``hint``), takes too long,
    or writes more than a secret can hold."""
    asks = programs.terminal() is not None
    with _memory() as given:
        given.write(value or b"")
        given.seek(0)
        try:
            process = programs.start(
                argv,
                stdin=given if value is not None else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                more=environment,
                asks=asks,
                private=True,
            )
        except OSError as error:
            install = "install it, or choose another driver"
            raise SecretError(f"cannot start {argv[0]}: {error.strerror}", hint=install) from None
    try:
        data = _read(process, argv[0], programs.ASKING if asks else programs.PATIENCE)
    finally:
        programs.end(process)
    if process.returncode != 0:
        code = process.returncode
        how = f"failed with {code}" if code > 0 else f"was killed by signal {-code}"
        raise SecretError(f"{argv[0]} {how}", hint=hint or "its output is not shown; run it by hand to see it")
    return data


@contextmanager
def _memory() -> Iterator[BinaryIO]:
    """A file that is on no disk."""
    with os.fdopen(os.memfd_create("hardening-secret"), "w+b") as file:
        yield file


def _read(process: subprocess.Popen[bytes], name: str, patience: float) -> bytes:
    """Standard output to its end, which is the program's end as well."""
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    end = time.monotonic() + patience
    poll = select.poll()  # which takes descriptors of any number
    poll.register(process.stdout, select.POLLIN)
    data = b""
    while True:
        if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
            raise _overdue(name, patience)
        part = os.read(process.stdout.fileno(), 1 << 16)
        data += part
        if len(data) > LONGEST:
            raise SecretError(f"{name} gives more than {LONGEST} bytes", hint="a secret has at most so many")
        if not part:
            break
    try:
        process.wait(max(0.1, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise _overdue(name, patience) from None
    return data


def _overdue(name: str, patience: float) -> SecretError:
    return SecretError(f"{name} did not end within {patience:g} seconds", hint="does it wait for a password?")
