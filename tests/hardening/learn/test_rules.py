"""Which paths stand for those that runs have made."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hardening.learn.rules import SYSTEM, collapsed

NAMES = st.sampled_from(["etc", "tmp", "var", "lib", "a", "b", "x.1", "x.2"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(lambda names: "/" + "/".join(names))
RUNS = st.lists(st.frozensets(PATHS, max_size=6), max_size=4)


def test_names_that_differ_by_run_are_their_directory() -> None:
    assert collapsed([{"/tmp/make.17/a", "/tmp/lock"}, {"/tmp/make.18/a", "/tmp/lock"}]) == {"/tmp"}
    assert collapsed([{"/data/log/1.aof"}, {"/data/log/2.aof"}]) == {"/data/log"}


def test_a_name_that_one_run_alone_has_made_is_itself() -> None:
    assert collapsed([{"/data/db", "/data/log"}, {"/data/log"}]) == {"/data/db", "/data/log"}
    assert collapsed([{"/tmp/make.17"}]) == {"/tmp/make.17"}


def test_a_directory_of_the_system_never_stands_for_what_is_in_it() -> None:
    assert collapsed([{"/etc/passwd.17"}, {"/etc/passwd.18"}]) == {"/etc/passwd.17", "/etc/passwd.18"}
    assert collapsed([{"/a"}, {"/b"}]) == {"/a", "/b"}


@given(RUNS)
def test_each_path_is_covered_and_nothing_is_permitted_that_no_two_runs_differ_in(runs: list[frozenset[str]]) -> None:
    found = collapsed(runs)
    every = frozenset().union(*runs)
    for path in every:
        assert any(path == place or path.startswith(place + "/") for place in found), path
    for place in found - every:
        assert place not in SYSTEM
        inside = [
            {path[len(place) + 1 :].split("/")[0] for path in run if path.startswith(place + "/")} for run in runs
        ]
        assert any(one - other and other - one for one in inside for other in inside)


@given(RUNS)
def test_the_order_of_runs_is_no_matter_and_once_is_enough(runs: list[frozenset[str]]) -> None:
    found = collapsed(runs)
    assert collapsed(runs[::-1]) == found
    assert collapsed([*runs, *runs]) == found
