"""A layer of what was learnt: the text says what the data says, with a comment at each line."""

from __future__ import annotations

import tomllib

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.errors import UsageError
from hardening.learn import layer
from hardening.learn.recording import Recording, Run
from hardening.learn.software import Software
from hardening.mechanism.evidence import LearntStatement

SOFTWARE = Software(("libc6 2.41-12", "redis-server 5:8.0.2"), (("/opt/a b", f"sha256:{'0' * 64}"),))
RECORDING = Recording(frozenset({Run("a", "2026-11-29", "re\ndis", "6.1.0 x86_64", frozenset(), software=SOFTWARE)}))
WORDS = st.text(max_size=8)
LESSONS = st.lists(
    st.one_of(
        st.builds(
            LearntStatement,
            st.sampled_from([("allow",), ("tmpfs", "drop")]),
            WORDS,
            WORDS,
            st.just(True),
            st.frozensets(st.sampled_from(["a.b", "a.c"])),
        ),
        st.builds(
            LearntStatement,
            st.sampled_from([("default",), ("rlimits", "nofile")]),
            st.one_of(WORDS, st.integers(0, 9)),
            WORDS,
        ),
    ),
    max_size=6,
)


@given(st.dictionaries(st.sampled_from(["seccomp", "rootfs"]), LESSONS))
def test_the_text_says_what_the_data_says(statements: dict[str, list[LearntStatement]]) -> None:
    written = tomllib.loads(layer.text(("strict",), RECORDING, statements, ()))
    assert written.pop("extends") == ["strict"]
    assert written.pop("description") == "re\\ndis: what 1 run asked for"
    assert written.pop("learnt") == RECORDING.fingerprint().table()
    assert written == layer.tables(statements, layer.reason(RECORDING))


def test_the_head_says_how_much_there_was_at_a_time() -> None:
    (run,) = RECORDING.runs
    run = attrs.evolve(run, peaks=(("files", 9), ("memory", (3 << 20) + 1), ("tasks", 2)))
    written = layer.text(("strict",), Recording(frozenset({run})), {}, ())
    assert "\n# Most at a time: 4M of memory, tasks: 2, files that a process had open: 9.\n" in written


def test_each_line_says_what_was_seen() -> None:
    statements = {
        "seccomp": [
            LearntStatement(("allow",), "read", "3 calls in 1 run, by sh", element=True),
            LearntStatement(
                ("allow",),
                "ptrace",
                "1 call in 1 run, by gdb\x1b[1m",
                element=True,
                loosens=frozenset({"seccomp.ptrace"}),
            ),
        ],
        "process": [LearntStatement(("rlimits", "nofile"), 64, "at most 9 files at a time")],
    }
    refused = [layer.Barred("seccomp.bpf", "1 call in 1 run", "the limit deny at team.toml:3")]
    assert (
        layer.text(("strict",), RECORDING, statements, refused)
        == """\
description = "re\\\\ndis: what 1 run asked for"
extends = ["strict"]

[seccomp]
allow = [
  "read",  # 3 calls in 1 run, by sh
  "ptrace",  # 1 call in 1 run, by gdb\\x1b[1m
]

[process]
rlimits.nofile = 64  # at most 9 files at a time

[[exceptions]]
setting = "seccomp.ptrace"
reason = "1 call in 1 run, by gdb\\\\x1b[1m (learnt on 2026-11-29, to be reviewed)"

# What was executed: another version may ask for more (`hardening check` says when there is one).
[learnt]
on = "2026-11-29"
kernels = ["6.1.0 x86_64"]
packages = [
  "libc6 2.41-12",
  "redis-server 5:8.0.2",
]
files."/opt/a b" = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

# Asked for, and refused by a limit:
# - seccomp.bpf, 1 call in 1 run: the limit deny at team.toml:3
"""
    )
    assert layer.loosened(layer.without(statements, ["seccomp.ptrace"])) == {}


INJECTED = "seccomp.x\n[limits.seccomp]\ndeny = []\n#"


def test_nothing_that_was_seen_becomes_a_line_of_the_layer() -> None:
    files = (("/" + INJECTED, INJECTED),)
    run = Run("a", "2026-11-29", INJECTED, INJECTED, frozenset(), software=Software((INJECTED,), files))
    statements = {
        "seccomp": [LearntStatement(("allow",), INJECTED, INJECTED, element=True, loosens=frozenset({INJECTED}))]
    }
    barred = [layer.Barred(INJECTED, INJECTED, INJECTED)]
    written = tomllib.loads(layer.text(("strict",), Recording(frozenset({run})), statements, barred))
    assert written.keys() == {"description", "extends", "seccomp", "exceptions", "learnt"}
    assert written["seccomp"] == {"allow": [INJECTED]}


@pytest.mark.parametrize(
    "statements",
    [
        {"extends": [LearntStatement(("a",), 1, "")]},
        {"rootfs": [LearntStatement(("tmpfs", "/a\udcff"), True, "")]},
        {"rootfs": [LearntStatement(("tmpfs",), 1, ""), LearntStatement(("tmpfs", "add"), "a", "", element=True)]},
        {"rootfs": [LearntStatement(("tmpfs",), "a", "", element=True), LearntStatement(("tmpfs",), 1, "")]},
        {"rootfs": [LearntStatement(("shm_size",), 1 << 64, "")]},
    ],
)
def test_what_would_be_read_as_something_else_is_not_written(statements: dict[str, list[LearntStatement]]) -> None:
    with pytest.raises(UsageError):
        layer.text(("strict",), RECORDING, statements, ())
