"""What the launcher is given beside a bundle, and the memfd that secrets are handed over in."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from hardening.assemble import handover
from hardening.base.linux import kernel
from hardening.errors import HardeningError, UsageError
from hardening.launch.config.bundle import SECRETS
from hardening.launch.secret import secrets
from hardening.mechanism.secret_driver import SecretError
from tests.support.users import ordinary, program


def test_nobody_can_change_what_was_sealed() -> None:
    fd = handover.seal({"a": b"one", "b": b""})
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        for seal in (fcntl.F_SEAL_SEAL, fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW, fcntl.F_SEAL_WRITE):
            assert seals & seal
        for change in (lambda: os.pwrite(fd, b"x", 0), lambda: os.ftruncate(fd, 1)):
            with pytest.raises(PermissionError):
                change()
        assert os.get_inheritable(fd)
        assert os.pread(fd, 100, 0) == secrets.pack({"a": b"one", "b": b""})
    finally:
        os.close(fd)


def test_a_process_that_leaves_no_core_can_leave_one_again_once_it_executes() -> None:
    code = (
        "import os, resource; from hardening.assemble import handover; handover.leave_no_core();"
        "assert os.stat('/proc/self/mem').st_uid == 0;"
        "os.execv('/bin/sh', ['sh', '-c', 'stat -c %u /proc/$$/mem'])"
    )
    # An ordinary user owns the files in /proc of processes that can be looked at; root owns those of the others.
    user = ordinary()
    python = Path(program(user)).with_name("python") if user.uid != os.geteuid() else Path(sys.executable)
    done = user.run([str(python), "-c", code])
    assert (done.returncode, done.stdout) == (0, f"{user.uid}\n"), done.stderr


ROWS = [{"name": "db", "type": "mount", "target": "/run/secrets/db"}]


class Engine:
    """Of a runtime, what is asked here."""

    name = "other"

    def __init__(self, *, takes: bool) -> None:
        self.takes_secrets = takes


def opened(document: dict[str, Any], *, takes: bool = True) -> int:
    here: Any = None  # plugins that are only asked where there is something to open
    engine: Any = Engine(takes=takes)
    return handover.open_secrets(here, engine, json.dumps(document).encode())


def test_without_secrets_nothing_is_opened() -> None:
    assert opened({}) == -1
    assert opened({"annotations": {"x": SECRETS}}) == -1
    assert opened({"annotations": {SECRETS: "[]"}}, takes=False) == -1


def test_a_runtime_that_gives_no_secrets_is_not_started_with_any() -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(UsageError, match="the runtime other does not give secrets") as caught:
        opened({"annotations": {SECRETS: json.dumps(ROWS)}}, takes=False)
    assert caught.value.hint == "use --runtime native, crun or runc"
    assert os.listdir("/proc/self/fd") == before


class Asked:
    """Plugins that give a value, or an error."""

    def __init__(self, answer: bytes | HardeningError) -> None:
        self.answer = answer

    def secrets(self, document: object) -> dict[str, bytes]:
        if isinstance(self.answer, HardeningError):
            raise self.answer
        return {"db": self.answer}


def apart(answer: bytes | HardeningError) -> int:
    here: Any = Asked(answer)
    engine: Any = Engine(takes=True)
    config = json.dumps({"annotations": {SECRETS: json.dumps(ROWS)}}).encode()
    return handover.open_secrets_apart(here, engine, config)


def test_who_has_secrets_opened_apart_can_still_be_looked_at() -> None:
    kernel.prctl(4, 1)  # PR_SET_DUMPABLE: another test of this process may have changed it
    fd = apart(b"a value")
    try:
        assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE
        assert os.get_inheritable(fd)
        assert secrets.unpack(os.pread(fd, 100, 0)) == {"db": b"a value"}
        assert kernel.prctl(3) == 1  # PR_GET_DUMPABLE
    finally:
        os.close(fd)


def test_an_error_of_secrets_that_are_opened_apart_is_told_as_it_is() -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(HardeningError) as caught:
        apart(SecretError("no such secret", origin="app.toml:4", hint="make it"))
    found = caught.value
    assert (found.message, found.origin, found.hint, found.exit_code) == (
        "no such secret",
        "app.toml:4",
        "make it",
        125,
    )
    assert os.listdir("/proc/self/fd") == before
