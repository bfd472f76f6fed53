"""No value of a secret is in what is told of a command."""

from __future__ import annotations

import os

from hardening.assemble import handover, redaction
from hardening.assemble.redaction import Redaction
from hardening.mechanism.denial import Caller, SystemCall
from hardening.report.table import Table


def test_values_are_left_out_of_texts_tables_and_fields() -> None:
    leave = Redaction(("hunter2hunter2", "root"))
    assert leave.of("open /x/hunter2hunter2.txt") == "open /x/….txt"
    assert leave.of({"root": ["root", 1, None, ("rootfs.path", "/root/x")]}) == {
        "root": ["…", 1, None, ("rootfs.path", "/…/x")]
    }
    assert leave.of(Table(("a",), (("hunter2hunter2",),))) == Table(("a",), (("…",),))
    call = SystemCall("openat", 257, 0, (0,) * 6, Caller(1, "root"), path="/hunter2hunter2", access=frozenset({"read"}))
    assert leave.of(call) == SystemCall(
        "openat", 257, 0, (0,) * 6, Caller(1, "…"), path="/…", access=frozenset({"read"})
    )


def test_each_line_of_a_secret_is_left_out_and_what_is_too_short_to_tell_is_not() -> None:
    child, writer = os.pipe()
    fd = handover.seal({"key": b"first line\nsecond line\n", "pin": b"123", "raw": b"\xff\xfe\xfd\xfc"})
    pid = os.fork()
    if pid == 0:  # which leaves no core dump any more
        try:
            found = redaction.of_secrets(fd).of("a first line, a second line, 123, \udcff\udcfe\udcfd\udcfc")
            os.write(writer, found.encode())
        finally:
            os._exit(0)
    os.close(fd)
    os.close(writer)
    os.waitpid(pid, 0)
    assert os.read(child, 100).decode() == "a …, a …, 123, …"
    os.close(child)


def test_without_secrets_nothing_is_left_out() -> None:
    assert redaction.of_secrets(-1).of("anything") == "anything"
