"""What is said of a command that fails."""

from __future__ import annotations

import errno
import io
import json
from types import MappingProxyType
from typing import Any
from unittest.mock import Mock

import attrs
import pytest

from hardening.mechanism.denial import Caller, Cause, Size, SystemCall, Way
from hardening.mechanism.findings import Finding, Severity
from hardening.report import data, terminal, why
from hardening.report.table import plain
from hardening.trace.tracer import Trace
from hardening.why.causes import FailedCall
from hardening.why.inquiry import Attribution, Explanation
from hardening.why.loosening import Loosening
from hardening.why.runner import Ran
from hardening.why.world import Conclusion

CALL = SystemCall("bind", 49, 0, (0,) * 6, Caller(7, executable="/bin/x"), error=errno.EACCES, text="bind 0.0.0.0:80")
CAUSE = Cause("box.port", "it takes a right", certain=True)
DENIAL = FailedCall(CALL, 2, (CAUSE,), True, 2)
LOOSENING = Loosening(tables={"box": {"port": 80}}, options=("--port", "80"))


def _ran(ended: str, *, succeeded: bool = False) -> Ran:
    nothing: Any = None
    return Ran(Trace((), MappingProxyType({}), 7, 3, ended, 9), nothing, nothing, {}, succeeded, 60.1)


def explanation(conclusion: Conclusion, *attributions: Attribution, **more: Any) -> Explanation:
    """An answer."""
    ran = _ran(more.pop("ended", ""), succeeded=conclusion is Conclusion.NOT_NEEDED)
    rest = {"loosening": None, "elsewhere": (), "probes": (), "runs": 3, "seconds": 1.0, **more}
    return Explanation(ran, conclusion, attributions, **rest)


CONFIRMED = Attribution(DENIAL, CAUSE, None, confirmed=True, way=Way("box.port", 80, Size.PLACE), loosening=LOOSENING)
ENOUGH = Attribution(DENIAL, CAUSE, None, way=CONFIRMED.way, loosening=LOOSENING)
TRIED = Attribution(DENIAL, CAUSE, None, tried=("with box.port = 80 it is EPERM", "with box = any it is EINVAL"))
UNTRIED = Attribution(DENIAL, CAUSE, None, way=CONFIRMED.way, loosening=LOOSENING, untried="it reaches the host")
BARRED = Attribution(DENIAL, CAUSE, None, barrier="the limit 1024 at org.toml:2 forbids it")


@pytest.mark.parametrize(
    ("found", "outcome", "sentence"),
    [
        (explanation(Conclusion.NOT_NEEDED), "nothing needed", "nothing needs to be loosened: the command succeeds"),
        (
            explanation(Conclusion.FOUND, CONFIRMED, loosening=LOOSENING),
            "found",
            "bind 0.0.0.0:80 is refused (EACCES) by box.port; with the loosening below the command succeeds",
        ),
        (
            explanation(Conclusion.FOUND, CONFIRMED, CONFIRMED, running=_ran("idle")),
            "found",
            "2 things are refused that it needs; with all of them permitted the command runs on, and waits for others",
        ),
        (
            explanation(Conclusion.FOUND, ENOUGH, loosening=LOOSENING, running=_ran("time")),
            "still at work",
            "bind 0.0.0.0:80 is refused (EACCES) by box.port; with the loosening below the command was still at work after "
            "60 seconds, which it was not without: whether it then does what it is for, a longer --timeout or --until "
            "CHECK shows",
        ),
        (
            explanation(Conclusion.NOT_FOUND, BARRED),
            "limited",
            "this may be why, and cannot be tried: bind 0.0.0.0:80 is refused (EACCES) by box.port; the limit 1024 at "
            "org.toml:2 forbids it",
        ),
        (
            explanation(Conclusion.NOT_FOUND, BARRED, attrs.evolve(BARRED, cause=Cause("den.key", ""), barrier="no")),
            "limited",
            "this may be why, and cannot be tried: bind 0.0.0.0:80 is refused (EACCES) by box.port; box.port: the limit "
            "1024 at org.toml:2 forbids it; den.key: no",
        ),
        (
            explanation(Conclusion.NOT_FOUND, UNTRIED),
            "not tried",
            "this may be why, and was not tried: bind 0.0.0.0:80 is refused (EACCES) by box.port; it reaches the host",
        ),
        (
            explanation(Conclusion.NOT_FOUND, TRIED),
            "denied",
            "bind 0.0.0.0:80 is refused (EACCES) by box.port, and no loosening that was tried makes the command succeed: "
            "with box.port = 80 it is EPERM; with box = any it is EINVAL",
        ),
        (
            explanation(Conclusion.NOT_FOUND, elsewhere=((DENIAL, "the host: it is so"),)),
            "not by this stack",
            "not denied by this stack: bind 0.0.0.0:80 (EACCES): the host: it is so",
        ),
        (
            explanation(Conclusion.NOT_FOUND),
            "not by this stack",
            "not denied by this stack: no loosening makes it succeed (exit code 3 is the program's own)",
        ),
        (
            explanation(Conclusion.FLAKY),
            "flaky",
            "the command fails differently each time under the same stack: nothing is blamed for that",
        ),
        (
            explanation(Conclusion.STOPPED, BARRED, ended="time", runs=1),
            "unknown",
            "no answer: the command was still at work when its time was over: a longer --timeout shows more; what it was "
            "denied so far is not confirmed",
        ),
        (
            explanation(Conclusion.STOPPED, ended="idle", is_open=True),
            "unknown",
            "no answer: with what was tried the command was still at work when its time was over: a longer --timeout shows "
            "more",
        ),
        (
            explanation(Conclusion.NOT_FOUND, ended="idle"),
            "not by this stack",
            "not denied by this stack: no loosening makes it succeed",
        ),
        (
            explanation(Conclusion.STOPPED, ENOUGH, loosening=LOOSENING),
            "enough",
            "with the loosening below the command succeeds; the search ended before it was seen whether less is enough",
        ),
        (
            explanation(Conclusion.STOPPED, BARRED, ended="idle", runs=9),
            "unknown",
            "no answer: the search ended before there was one; what it was denied so far is not confirmed",
        ),
    ],
)
def test_the_answer_is_a_word_and_a_sentence(found: Explanation, outcome: str, sentence: str) -> None:
    assert (why.outcome(found), why.sentence(found)) == (outcome, sentence)
    data = why.data(found)
    json.dumps(data)
    assert (data["outcome"], data["answer"]) == (outcome, sentence)
    assert data["smallest"] == [row["loosening"] for row in data["denials"] if row["confirmed"]]


def test_what_was_enough_is_good_and_not_told_as_needed() -> None:
    found = explanation(Conclusion.STOPPED, ENOUGH, loosening=LOOSENING)
    assert found.is_good
    assert "enough, perhaps not needed" in plain(why.denials(found))
    assert not explanation(Conclusion.STOPPED, ENOUGH, loosening=LOOSENING, running=_ran("time")).is_good
    assert not explanation(Conclusion.STOPPED, ENOUGH).is_good


WARNING = Finding("box/allows-port", Severity.WARNING, "80 is allowed: it is\x1b served", "box.port", "command line")


def test_a_layer_says_at_its_head_what_no_run_has_shown_and_what_is_warned_of() -> None:
    body = 'extends = ["strict"]\n\n[box]\nport = 80\n'
    known = explanation(Conclusion.FOUND, CONFIRMED, loosening=LOOSENING)
    assert why.layer(known, '["strict"]') == body
    enough = explanation(Conclusion.STOPPED, ENOUGH, loosening=LOOSENING, warnings=(WARNING,))
    head = why.layer(enough, '["strict"]').removesuffix(body)
    assert head.startswith("# Enough, and perhaps not all of it needed: ")
    assert "longer --limit, or `hardening learn`" in head
    assert head.endswith("# warning: box.port: 80 is allowed: it is\\x1b served\n")
    assert all(line.startswith("# ") for line in head.splitlines())
    late = explanation(Conclusion.FOUND, ENOUGH, loosening=LOOSENING, running=_ran("time"))
    assert "longer --timeout" in why.layer(late, '["strict"]').removesuffix(body)


def test_a_denial_is_told_with_what_permits_it() -> None:
    found = explanation(Conclusion.FOUND, CONFIRMED, loosening=LOOSENING, probes=(DENIAL,))
    (row,) = why.data(found)["denials"]
    assert row["loosening"] == {**(data.loosening(LOOSENING) or {}), "leaf": "box.port", "size": "place"}
    assert (row["mechanism"], row["errno"], row["process"], row["count"]) == ("box", "EACCES", "/bin/x", 2)
    assert "bind 0.0.0.0:80  /bin/x" in plain(why.denials(found))
    assert plain(why.probes(found)).startswith("denied, and done without\n")


def test_what_permits_it_is_named_where_it_is_another_setting() -> None:
    found = explanation(Conclusion.FOUND, attrs.evolve(CONFIRMED, way=Way("net.port_start", 80)), loosening=LOOSENING)
    shown = plain(why.denials(found))
    assert "box.port" in shown
    assert "net.port_start" in shown


def test_json_has_a_name_from_outside_in_one_form() -> None:
    call = attrs.evolve(CALL, text="open /\\x1b[1m")
    item = attrs.evolve(DENIAL, call=call)
    found = explanation(Conclusion.NOT_FOUND, elsewhere=((item, "/\x1b[1m is missing"),))
    (row,) = why.data(found)["elsewhere"]
    assert (row["text"], row["cause"]) == ("open /\\x1b[1m", "/\\x1b[1m is missing")
    assert "\x1b" not in why.data(found)["answer"]


def test_on_a_terminal_it_is_a_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    drawn = io.StringIO()
    terminal.draw_tree(why.tree(explanation(Conclusion.FOUND, CONFIRMED, elsewhere=((DENIAL, "the host"),))), drawn)
    lines = drawn.getvalue().splitlines()
    assert "├── bind 0.0.0.0:80  EACCES" in lines
    assert "│   ├── asked by /bin/x, 2 times" in lines
    assert "    └── bind 0.0.0.0:80  EACCES: the host" in lines


@pytest.mark.parametrize(
    ("origin", "shown"),
    [
        ("/usr/lib/hardening/profiles/strict.toml:23", "strict.toml:23"),
        ("team.toml:4", "team.toml:4"),
        ("-v /srv/a:/b:ro", "-v /srv/a:/b:ro"),
        ("default (hardening_box)", "default (hardening_box)"),
    ],
)
def test_a_row_names_the_file_and_the_line_that_decide(origin: str, shown: str) -> None:
    entry: Any = Mock(origin=origin)
    found = explanation(Conclusion.FOUND, attrs.evolve(CONFIRMED, entry=entry), loosening=LOOSENING)
    assert why.denials(found).rows[0][4] == shown
    assert origin in why.sentence(found)
