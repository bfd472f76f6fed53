"""Which failures of a run are suspicious, from traces that are made up."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterable
from types import MappingProxyType
from typing import Any

import attrs
import pytest

from hardening.mechanism.denial import Caller, Cause, Size, SystemCall, Way
from hardening.mechanism.mechanism import Context
from hardening.trace.tracer import IDLE, Trace, TracedProcess
from hardening.why import causes
from hardening.why.runner import Ran
from tests.hardening.why.test_question import HOST


class Decides:
    """A mechanism that takes itself for the reason of every call of some names."""

    name = "box"

    def __init__(self, *names: str, certain: bool = True) -> None:
        self.names = names
        self.certain = certain

    def denied(self, settings: object, context: object, call: SystemCall) -> Iterable[Cause]:
        """A cause with two ways, the larger one first."""
        if call.name in self.names:
            ways = (Way(f"box.{call.name}", size=Size.CALL), Way(f"box.{call.name}", "answer", Size.ANSWER))
            yield Cause(f"box.{call.name}", "a test", ways, certain=self.certain)


class Composed:
    """Of a composition, what is asked for here."""

    settings = MappingProxyType({"box": None})

    def __init__(self, mechanism: Decides) -> None:
        self.mechanisms = (mechanism,)


def call(name: str, order: int, pid: int = 1, error: int = errno.EPERM, **more: Any) -> SystemCall:
    """A call that failed."""
    return SystemCall(name, 0, 0, (0,) * 6, Caller(pid, executable="/bin/x"), error=error, order=order, **more)


def process(pid: int, status: int, executable: str = "/bin/x") -> TracedProcess:
    """A process that has ended."""
    return TracedProcess(pid, ("x",), executable, status)


def ran(
    *failures: SystemCall, mechanism: Decides | None = None, statuses: tuple[int, ...] = (256,), **more: Any
) -> Ran:
    """A run with these failures."""
    processes = {pid: process(pid, status, **more) for pid, status in enumerate(statuses, 1)}
    trace = Trace(failures, MappingProxyType(processes), 1, statuses[0] >> 8, "", 9)
    composed: Any = Composed(mechanism or Decides())
    document = {"process": {"args": ["x"], "cwd": "/srv", "env": ["PATH=/bin"]}}
    return Ran(trace, composed, Context(HOST, {}), document, False)


def names(found: Ran) -> list[str]:
    """The calls in the order of suspicion."""
    return [item.call.name for item in causes.denials(found)]


def test_what_is_nearest_to_the_end_is_suspected_first() -> None:
    assert names(ran(call("a", 1), call("b", 2), call("c", 3))) == ["c", "b", "a"]


def test_what_a_process_speaks_of_goes_before() -> None:
    spoken = call("a", 1, path="/srv/file", output="x: /srv/file: Operation not permitted\n")
    said = call("b", 2, output="Operation not permitted\n")
    assert names(ran(spoken, said, call("c", 3))) == ["a", "b", "c"]


def test_a_name_that_is_a_part_of_a_word_is_not_spoken_of() -> None:
    words = "ENOENT: no such file or directory, mkdir '/home/x' at stage 2\n"
    made = call("mkdir", 1, path="/home/x", error=errno.ENOENT, output=words)
    looked = call("statx", 2, path="/srv/tag", error=errno.ENOENT, output=words)
    found = {item.call.name: (item.complaint, item.is_named) for item in causes.denials(ran(made, looked))}
    assert found == {"mkdir": (2, True), "statx": (1, False)}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("mount: /mnt: permission denied.", 2),
        ("permission denied", 0),
        ("mount /mnt: operation not permitted", 2),
        ("must be superuser to use mount.", 1),
        ("only root can mount /mnt", 2),
        ("no such luck", 0),
    ],
)
def test_the_errno_is_recognised_as_programs_write_it(said: str, told: int) -> None:
    (found,) = causes.denials(ran(call("mount", 1, path="/mnt", output=said)))
    assert found.complaint == told


@pytest.mark.parametrize(
    ("said", "error", "told"),
    [
        ('unable to open database "/srv/a.db"', errno.EROFS, 1),
        ('unable to open database "/srv/a.db"', errno.ENOENT, 0),
        ('unable to open "a.db"', errno.EROFS, 0),
        ('permission denied on key "a.db"', errno.EROFS, 2),
        ('permission denied on key "a.db"', errno.ENOENT, 0),
    ],
)
def test_a_file_is_spoken_of_in_words_of_its_own_by_its_whole_path(said: str, error: int, told: int) -> None:
    opened: dict[str, Any] = {"path": "/srv/a.db", "error": error, "output": said}
    (found,) = causes.denials(ran(call("openat", 1, access=frozenset({"write"}), **opened)))
    assert found.complaint == told


def test_a_file_that_is_only_asked_about_is_none_that_a_program_could_not_have() -> None:
    """Where an error comes from Python says with the file and the line, and asks the file first whether it is a terminal."""
    said = 'File "/lib/socket.py", line 233\nPermissionError: Operation not permitted\n'
    found = causes.denials(ran(call("ioctl", 1, path="/lib/socket.py", error=errno.ENOTTY, output=said)))
    assert [item.complaint for item in found] == [0]


def test_what_is_asked_for_in_hexadecimal_tells_calls_apart_and_what_is_counted_does_not() -> None:
    options = ("setsockopt SOL_SOCKET 0x7", "setsockopt SOL_SOCKET 0x8")
    texts = (*options, "kill 12 0", "kill 13 0", "openat /tmp/a0x7", "openat /tmp/a0x8")
    calls = [call(text.partition(" ")[0], order, text=text) for order, text in enumerate(texts)]
    assert [item.count for item in causes.denials(ran(*calls))] == [2, 2, 1, 1]


def test_what_a_process_says_later_is_of_what_failed_before() -> None:
    found = ran(
        call("a", 1, output="Traceback:\n"), call("b", 2, error=errno.ENOENT, output="x: Operation not permitted\n")
    )
    assert [(item.call.name, item.complaint) for item in causes.denials(found)] == [("a", 1), ("b", 0)]


def test_what_a_process_wrote_before_it_ended_is_not_of_what_failed_silently_on_the_way() -> None:
    spoken = call("a", 1, output="Operation not permitted\n")
    end = call("", 3, error=0, text="exit code 1", output="Operation not permitted\nSITE is not set\n")
    found = {item.call.name: item.complaint for item in causes.denials(ran(spoken, call("b", 2), end))}
    assert found == {"a": 1, "b": 0, "": 0}


def test_what_ended_a_process_goes_before_all() -> None:
    killed = call("a", 1, error=0, signal=signal.SIGSYS)
    assert names(ran(killed, call("b", 2, output="Operation not permitted"))) == ["a", "b"]


def test_a_process_that_went_well_has_missed_nothing() -> None:
    found = ran(call("a", 1, pid=2), call("b", 2, pid=3), statuses=(256, 0, 256), mechanism=Decides("a", "b"))
    denials = causes.denials(found)
    assert [(item.call.name, item.failed) for item in denials] == [("b", True), ("a", False)]
    assert [item.leaf for item in causes.outcome(found, denials, succeeded=False).suspects] == ["box.b"]


def test_equal_failures_are_one_with_a_count() -> None:
    found = ran(*(call("a", order, path=f"/tmp/{order}") for order in range(5)), call("a", 9, error=errno.EACCES))
    assert [(item.count, item.call.outcome) for item in causes.denials(found)] == [(1, "EACCES"), (5, "EPERM")]


def test_runs_fail_alike_that_end_alike_and_speak_of_the_same() -> None:
    def signature(*failures: SystemCall) -> object:
        found = ran(*failures)
        return causes.outcome(found, causes.denials(found), succeeded=False).signature

    spoken = call("a", 1, output="Operation not permitted")
    assert signature(spoken) == signature(spoken, call("b", 2))
    assert signature(spoken) != signature(call("b", 2, output="Operation not permitted"))


def test_smaller_ways_go_first_and_suspects_are_found_again() -> None:
    found = ran(call("a", 1), mechanism=Decides("a"))
    denials = causes.denials(found)
    (suspect,) = causes.outcome(found, denials, succeeded=False).suspects
    assert [way.size for way in suspect.ways] == [Size.ANSWER, Size.CALL]
    assert causes.blamed(denials, suspect) == (denials[0], denials[0].causes[0])


@pytest.mark.parametrize(
    ("said", "other", "evident"),
    [
        ("Operation not permitted", errno.EPERM, False),
        ("Operation not permitted", errno.EACCES, True),
        ("/srv/file: Operation not permitted", errno.EPERM, True),
    ],
)
def test_an_errno_that_two_calls_had_is_evidence_of_one_where_that_is_named(
    said: str, other: int, evident: bool
) -> None:
    found = ran(
        call("a", 1, path="/srv/file", output=said), call("b", 2, error=other, output=said), mechanism=Decides("a")
    )
    (suspect,) = causes.outcome(found, causes.denials(found), succeeded=False).suspects
    assert (suspect.evident and not suspect.rivals) is evident


@pytest.mark.parametrize(
    ("code", "of_init", "answer"), [(126, 125, "EACCES"), (127, 125, "ENOENT"), (126, errno.EPERM, "EPERM")]
)
def test_a_command_that_was_never_executed_failed_in_execve(code: int, of_init: int, answer: str) -> None:
    found = ran(statuses=(of_init << 8,), executable="")
    found = attrs.evolve(found, trace=attrs.evolve(found.trace, status=code))
    (denial,) = causes.denials(found)
    assert (denial.call.name, denial.call.outcome, denial.call.access) == ("execve", answer, frozenset({"execute"}))
    assert denial.is_evident


def test_a_denial_among_many_files_that_are_looked_for_is_asked_about() -> None:
    paths = [f"/lib/{one}{other}" for one in "abcdefghijklmnop" for other in "abcdefghijklmnop"]
    looked = [
        call("openat", order, error=errno.ENOENT, path=path, output="No such file or directory")
        for order, path in enumerate(paths, 1)
    ]
    found = causes.denials(ran(call("mkdir", 0, error=errno.EROFS), *looked, mechanism=Decides("mkdir")))
    assert [item.call.name for item in found if item.causes] == ["mkdir"]


def test_a_program_that_is_found_further_on_was_not_missing() -> None:
    looked = call("execve", 1, error=errno.ENOENT, path="/usr/local/bin/x")
    missing = call("execve", 2, error=errno.ENOENT, path="/usr/bin/y")
    assert [item.call.path for item in causes.denials(ran(looked, missing))] == ["/usr/bin/y"]


def test_that_nobody_has_reached_a_server_is_suspected_however_much_else_has_failed() -> None:
    bound = call("bind", 1, error=0, address="tcp 127.0.0.1:80")
    others = [call("x", number, path=f"/{chr(97 + number % 26)}/{chr(97 + number // 26)}") for number in range(2, 200)]
    found = ran(*others, mechanism=Decides("accept4"))
    found = attrs.evolve(found, trace=attrs.evolve(found.trace, ended=IDLE, bound=(bound,), calls=200))
    first = causes.denials(found)[0]
    assert (first.operation, [cause.leaf for cause in first.causes]) == (
        "reach tcp 127.0.0.1:80 from outside", ["box.accept4"]
    )  # fmt: skip
