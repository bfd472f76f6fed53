"""What the files of control groups say of what their own limits refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.launch.cgroup.events import oom_kills, refused_processes

OF_V2 = {"memory.events": "low 0\nmax 9\noom 1\noom_kill 2\n", "memory.events.local": "oom 1\noom_kill 0\n"}
OF_V1 = {"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n", "memory.failcnt": "3\n"}
PIDS = {"pids.max": "20\n", "pids.peak": "20\n", "pids.events": "max 4\n"}


def group(place: Path, files: dict[str, str]) -> list[str]:
    for name, text in files.items():
        (place / name).write_text(text)
    return [str(place)]


@pytest.mark.parametrize(
    ("files", "killed"),
    [
        ({}, 0),
        (OF_V2, 2),
        ({"memory.events": OF_V2["memory.events"]}, 2),  # before Linux 5.2
        ({**OF_V2, "memory.events.local": "oom 0\noom_kill 2\n"}, 0),  # the host's memory, or a group's below
        ({**OF_V2, "memory.events": "oom 1\noom_kill 0\n"}, 0),
        (OF_V1, 1),
        ({**OF_V1, "memory.failcnt": "0\n"}, 0),  # the host's memory
        ({**OF_V1, "memory.failcnt": "0\n", "memory.memsw.failcnt": "1\n"}, 1),
    ],
)
def test_a_kill_counts_where_the_limit_of_the_group_was_reached(
    files: dict[str, str], killed: int, tmp_path: Path
) -> None:
    assert oom_kills(group(tmp_path, files)) == killed


@pytest.mark.parametrize(
    ("files", "refused"),
    [
        ({}, 0),
        (PIDS, 4),
        ({**PIDS, "pids.events": "max 0\n"}, 0),
        ({**PIDS, "pids.peak": "19\n"}, 0),  # a group above was full
        ({**PIDS, "pids.events.local": "max 0\n"}, 0),  # a group below was full
        ({**PIDS, "pids.events.local": "max 3\n"}, 3),
        ({"pids.max": "20\n", "pids.events": "max 4\n"}, 0),  # a kernel that does not say whose limit it was
    ],
)
def test_a_refusal_counts_where_the_group_had_all_that_it_may(
    files: dict[str, str], refused: int, tmp_path: Path
) -> None:
    assert refused_processes(group(tmp_path, files)) == refused
