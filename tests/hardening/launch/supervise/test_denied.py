"""What is said at the end of a command that has failed, and when nothing is."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hardening.launch.supervise import denied
from hardening.launch.supervise.denied import BAD_CALL, FailedRun, Remains, denials, is_worth_a_hint

DOCUMENT: dict[str, Any] = {
    "process": {"terminal": False, "rlimits": [{"type": "RLIMIT_CPU", "soft": 1, "hard": 2}]},
    "linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}, "resources": {"memory": {"limit": 1 << 25}}},
}
TERMINAL: dict[str, Any] = {**DOCUMENT, "process": {**DOCUMENT["process"], "terminal": True}}
FILTERED = Remains(seccomp="3", filters="1")
KILLED = int(signal.SIGKILL)


@pytest.fixture(autouse=True)
def _without_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denied, "read_status", lambda _pid: {"Seccomp_filters": "0"})


def said(run: FailedRun) -> list[str]:
    return [one.setting for one in denials(run)]


@pytest.mark.parametrize(
    ("remains", "document", "settings"),
    [
        (FILTERED, DOCUMENT, ["seccomp"]),
        (FILTERED, TERMINAL, ["seccomp"]),
        (FILTERED, {}, []),  # the filter is the command's own
        (Remains(seccomp="3", filters="2"), DOCUMENT, []),  # it has one of its own as well
        (Remains(seccomp="2", filters="1"), DOCUMENT, []),  # anybody has sent the signal
        (Remains(), DOCUMENT, []),  # a kernel that does not say
    ],
)
def test_a_filter_is_blamed_where_it_was_alone_and_has_ended_the_process(
    remains: Remains, document: dict[str, Any], settings: list[str]
) -> None:
    assert said(FailedRun(code=BAD_CALL, document=document, remains=remains, signal=int(signal.SIGSYS))) == settings


def test_a_filter_around_the_launcher_may_be_the_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denied, "read_status", lambda _pid: {"Seccomp_filters": "1"})
    for filters in ("1", "2"):
        assert said(FailedRun(code=BAD_CALL, document=DOCUMENT, remains=Remains(seccomp="3", filters=filters))) == []


@pytest.mark.parametrize(
    ("number", "seconds", "limit", "settings"),
    [
        (signal.SIGKILL, 2.0, ("2", "2"), ["process.rlimits.cpu"]),
        (signal.SIGKILL, 1.99, ("2", "2"), []),  # by somebody
        (signal.SIGKILL, 2.0, ("1", "1"), []),  # its own limit
        (signal.SIGKILL, 2.0, ("", ""), []),  # it is not known
        (signal.SIGXCPU, 1.0, ("2", "2"), ["process.rlimits.cpu"]),
        (signal.SIGXCPU, 1.0, ("1", "2"), []),  # by itself: the kernel raises the limit
        (signal.SIGXCPU, 0.5, ("2", "2"), []),
        (signal.SIGTERM, 2.0, ("2", "2"), []),
        (0, 2.0, ("2", "2"), []),
    ],
)
def test_processor_time_is_blamed_where_it_was_used_up(
    number: int, seconds: float, limit: tuple[str, str], settings: list[str]
) -> None:
    remains = Remains(seconds=seconds, limit=limit)
    assert said(FailedRun(code=128 + number, document=DOCUMENT, remains=remains, signal=number)) == settings


def test_the_kernel_shows_the_limit_that_has_ended_a_process() -> None:
    """Which is blamed where it is the configuration's, and not where it is the command's own."""
    pid = os.fork()
    if not pid:
        resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
        while True:
            pass
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    found = denied.remains(pid, -1)
    os.waitpid(pid, 0)
    assert found.limit == ("1", "1")
    assert 1 <= found.seconds < 1.9
    limited = {**DOCUMENT["process"], "rlimits": [{"type": "RLIMIT_CPU", "soft": 1, "hard": 1}]}
    for process, settings in ((limited, ["process.rlimits.cpu"]), (DOCUMENT["process"], [])):
        run = FailedRun(code=137, document={**DOCUMENT, "process": process}, remains=found, signal=KILLED)
        assert said(run) == settings


@pytest.mark.parametrize(
    ("code", "number", "text"),
    [
        (137, KILLED, "OOM-killed (limit 32M"),
        (137, 0, "a process of it was OOM-killed"),
        (1, 0, "a process of it was OOM-killed"),
    ],
)
def test_memory_is_blamed_for_whoever_was_killed(code: int, number: int, text: str, tmp_path: Path) -> None:
    (tmp_path / "memory.events").write_text("oom 1\noom_kill 1\n")
    (found,) = denials(FailedRun(code=code, document=DOCUMENT, groups=[str(tmp_path)], signal=number))
    assert found.text.startswith(text)
    assert found.reason == ("out of memory" if number else "")


def test_memory_is_not_blamed_for_a_signal_that_somebody_has_sent(tmp_path: Path) -> None:
    (tmp_path / "memory.events").write_text("oom 1\noom_kill 1\n")
    run = FailedRun(code=137, document=DOCUMENT, groups=[str(tmp_path)], signal=KILLED, disturbed=True)
    assert list(denials(run)) == []


@pytest.fixture
def counter(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "snmp"
    path.write_text("Ip: Forwarding OutNoRoutes\nIp: 2 3\nIcmp: InMsgs\nIcmp: 0\n")
    with path.open("rb") as file:
        yield file.fileno()


def test_what_a_command_went_on_without_is_no_news_of_one_that_others_have_ended(counter: int) -> None:
    assert said(FailedRun(code=1, document=DOCUMENT, network=counter)) == ["namespaces.net"]
    assert said(FailedRun(code=130, document=DOCUMENT, network=counter)) == []
    assert said(FailedRun(code=1, document=DOCUMENT, network=counter, disturbed=True)) == []
    assert said(FailedRun(code=1, document=TERMINAL, network=counter)) == []


def test_a_full_disk_of_the_host_is_no_full_place_in_memory() -> None:
    full = os.open("/proc", os.O_PATH)  # a file system without a free block
    found = os.fstatvfs(full)
    assert found.f_bavail == 0
    assert said(FailedRun(code=1, document=DOCUMENT, memory=[("/tmp", "64m", full)])) == []
    assert said(FailedRun(code=1, document=DOCUMENT, memory=[("/tmp", "50%", full)])) == []
    same = str(found.f_blocks * found.f_frsize)
    assert said(FailedRun(code=1, document=DOCUMENT, memory=[("/tmp", same, full)])) == ["/tmp"]
    os.close(full)


def test_what_cannot_be_read_is_not_said(tmp_path: Path) -> None:
    (tmp_path / "memory.events").write_text("nothing that is known\n")
    (tmp_path / "empty").touch()
    with (tmp_path / "empty").open("rb") as file:
        assert said(FailedRun(code=1, document=DOCUMENT, groups=[str(tmp_path)], network=file.fileno())) == []


@pytest.mark.parametrize(
    ("run", "worth"),
    [
        (FailedRun(code=1, document=DOCUMENT, remains=Remains(written=53)), True),
        (FailedRun(code=1, document=DOCUMENT), True),  # it is not known
        (FailedRun(code=1, document=DOCUMENT, remains=Remains(written=1)), False),  # grep, test, false
        (FailedRun(code=BAD_CALL, document=DOCUMENT, remains=Remains(written=1)), True),
        (FailedRun(code=1, document=TERMINAL, remains=Remains(written=53)), False),
        (FailedRun(code=1, document=DOCUMENT, remains=Remains(written=53), disturbed=True), False),
        *(
            (FailedRun(code=code, document=DOCUMENT, remains=Remains(written=53)), False)
            for code in (130, 137, 141, 143)
        ),
    ],
)
def test_a_hint_is_given_where_somebody_may_look_for_a_reason(run: FailedRun, worth: bool) -> None:
    assert is_worth_a_hint(run) == worth


def test_the_remains_of_a_process_are_read_before_it_is_reaped() -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(writer, b"x" * 64)
        os._exit(3)
    with open(f"/proc/{pid}/io", "rb") as io:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        found = denied.remains(pid, io.fileno())
        os.waitpid(pid, 0)
    os.close(reader)
    os.close(writer)
    assert (found.written, found.seconds >= 0) == (64, True)
    assert denied.remains(pid, -1).written == -1
