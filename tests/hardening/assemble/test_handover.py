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
from hardening.errors import UsageError
from hardening.launch.config.bundle import SECRETS
from hardening.launch.secret import secrets
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
