"""No value of a secret is in what is told of a command."""

from __future__ import annotations

import json
import os
import posixpath
import shlex
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.assemble import handover, redaction
from hardening.assemble.redaction import Redaction
from hardening.base.text import printable
from hardening.errors import quoted
from hardening.mechanism.denial import Caller, SystemCall
from hardening.profile import toml_text
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


SECRETS = st.text(st.sampled_from("abcXYZ019\"'\\\\/$ é\x1b="), min_size=8, max_size=24).filter(
    lambda text: len(text.strip()) >= 8 and text == text.strip() and "\x1b" not in (text[0], text[-1])
)


@given(SECRETS)
def test_in_whatever_way_a_value_is_quoted_it_is_left_out(value: str) -> None:
    leave = redaction._lines([value])
    layer = toml_text.inline({f"/var/lib/{value}/f": f"x{value}y"})
    for told, often in (
        (layer, 2),
        (shlex.join(["--set", layer]), 2),
        (json.dumps(f"/var/{value}/f"), 1),
        (quoted(f"/var/{value}/f"), 1),
        (posixpath.normpath(f"/var/{value}/f"), 1),
        (printable(f"/var/{value}/f"), 1),
    ):
        assert leave.of(told).count("…") == often


@pytest.mark.parametrize(
    "value", ["hunter//sec ret/./xyzzy", "none/of/../hunter/xyzzy", "./hunter/xyzzy/", "hunter/.."]
)
@pytest.mark.parametrize("around", ["{}", "{}/more", "{}more", "some{}", "so/me{}mo/re"])
def test_a_value_is_left_out_of_a_path_that_was_cleaned(value: str, around: str) -> None:
    told = posixpath.normpath("/etc/" + around.format(value))
    found = redaction._lines([value]).of(f"openat {told} (write, create)")
    for part in ("hunter", "xyzzy"):
        assert part not in found


@pytest.mark.parametrize(
    ("value", "told", "left"),
    [
        ("Zm9v/QmFyMTIz", "the file itself: /etc/Zm9v does not exist", "the file itself: /etc/… does not exist"),
        ("hun\teré x/q", "/etc/hun\teré x does not exist", "/etc/… does not exist"),
        ("hun\teré x/q", "/etc/hun\\teré x does not exist", "/etc/… does not exist"),
        ("hunter/sec ret/xyzzy", '"/etc/hunter/sec ret" is no directory', '"/etc/…" is no directory'),
        ("hunter/xyzzy", "/etc/hunter/2 and /etc/hunters", "/etc/hunter/2 and /etc/hunters"),
        ("read/write/hunter", "open /x (read, create)", "open /x (read, create)"),
        ("share/python3/hunter", "/usr/share/doc", "/usr/share/doc"),
        ("usr/share/hunter", "/usr/share is there", "/usr/share is there"),  # as the host has it
    ],
)
def test_a_folder_in_a_value_is_left_out_where_a_path_ends_with_it(value: str, told: str, left: str) -> None:
    assert redaction._lines([value]).of(told) == left


@pytest.mark.parametrize(
    ("value", "plain"),
    [("/usr/bin", True), ("/data/x", True), ("127.0.0.1:8099", True), ("80", True), ("./here", False),
     ("/9j4AAQSkZJRgABAQ", False), ("135792468", False), ("hunter2hunter2", False)],
)  # fmt: skip
def test_a_path_of_the_host_or_the_container_and_a_small_number_are_no_secrets(value: str, plain: bool) -> None:
    spec: Any = SimpleNamespace(document={"mounts": [{"destination": "/data"}]})
    assert redaction._is_plain(value, spec) == plain
