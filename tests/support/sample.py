"""What an ordinary run takes of a generated matrix: the same rows everywhere, and each kind of row at least once.

`@pytest.mark.sampled` beside a test's `parametrize` takes rows until each value of each parameter has one, which a digest
of the rows' names chooses. `@pytest.mark.sampled("runtime", kinds=…, one_in=3)` looks at the named parameters only, and at
each item of what ``kinds`` makes of a row, a mapping of its parameters; it takes one in three of the other rows, too. A
test that is marked `system` is sampled without a word, for containers take time: who calls, and the runtime, change there
from row to row and from test to test (`ROTATED`). `@pytest.mark.complete` leaves a whole test out. `--all` takes
everything, and so does who names a test (`tests/laws/test_x.py::test_y`). `--one-row` takes one row of every test, which
is enough where another interpreter runs what this one has run, but for those whose rows go through lines of their own
(`@pytest.mark.every_row`).
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

import pytest
from hypothesis import settings

#: Parameters of system tests that stand for who calls and for the runtime: each row that is taken has one of their values,
#: and not each value a row.
ROTATED = {"any_runtime", "caller", "case", "here", "maker", "person", "place", "runtime", "stance", "user", "who"}


def is_whole(config: pytest.Config) -> bool:
    """Whether this run was asked for everything."""
    return bool(config.getoption("--all"))


def examples(number: int) -> int:
    """How many examples a property gets that has a number of its own in a whole run: in an ordinary one as many fewer as of
    any other property."""
    return max(1, number * settings().max_examples // 100)


def takes_all(config: pytest.Config) -> bool:
    """Whether somebody has asked for everything, or named a test."""
    return is_whole(config) or any("::" in word for word in config.args)


def take(metafunc: pytest.Metafunc) -> None:
    """Keep of the rows of a test those that this run takes, before anything is made of the others."""
    definition, calls = metafunc.definition, metafunc._calls
    mark = definition.get_closest_marker("sampled") or definition.get_closest_marker("system")
    is_one = metafunc.config.getoption("--one-row") and not definition.get_closest_marker("every_row")
    if (mark is not None or is_one) and calls and not takes_all(metafunc.config):
        # Not of the whole id: a file that moves keeps its rows.
        rows = {f"{definition.name}[{call.id}]": call.params for call in calls}
        taken = {min(rows, key=_digest)} if is_one or mark is None else _sample(rows, mark)
        calls[:] = [call for call in calls if f"{definition.name}[{call.id}]" in taken]


def _sample(rows: Mapping[str, Mapping[str, object]], mark: pytest.Mark) -> set[str]:
    """Of the rows of one test, by their names with their parameters."""
    digests = {name: _digest(name) for name in rows}
    left = {name: _kinds(rows[name], mark) for name in sorted(rows, key=digests.__getitem__)}
    taken: set[str] = set()
    while not taken or any(left.values()):
        fullest = max(left, key=lambda name: len(left[name]))
        taken.add(fullest)
        seen = left.pop(fullest)
        left = {name: kinds - seen for name, kinds in left.items()}
    one_in = mark.kwargs.get("one_in")
    return taken | {name for name in left if one_in and digests[name] % one_in == 0}


def _digest(name: str) -> int:
    return int.from_bytes(sha256(name.encode()).digest()[:8])


def _kinds(parameters: Mapping[str, object], mark: pytest.Mark) -> set[tuple[str | int, object]]:
    kinds = mark.kwargs.get("kinds")
    names = mark.args if mark.args or kinds else parameters.keys() - (ROTATED if mark.name == "system" else ())
    return {*((name, _key(parameters[name])) for name in names), *enumerate(kinds(parameters) if kinds else ())}


def _key(value: object) -> object:
    """What is the same for equal values, and in every worker: no text, in which a set has any order."""
    try:
        hash(value)
    except TypeError:
        return id(value)  # rows that share a value share the object
    return type(value), value
