"""How long a launch takes, in turns."""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import attrs

from tests.bench.contenders import BenchError, Contender
from tests.bench.samples import in_turns
from tests.support.users import User

T = TypeVar("T")


@attrs.frozen
class Timed:
    """Milliseconds of each run, by launcher, and why others were not measured."""

    samples: dict[str, list[float]]
    notes: list[str]


def timed(contenders: Sequence[Contender], rounds: int, warm: int, errors: Path) -> Timed:
    """Measure the launchers in turns. One that does not work here is left out."""
    measures, notes = {}, []
    for contender in contenders:
        try:
            contender.seconds(errors)
        except (BenchError, FileNotFoundError) as error:
            notes.append(str(error))
        else:
            measures[contender.name] = partial(_milliseconds, contender, errors)
    return Timed(in_turns(measures, rounds, warm=warm), notes)


def _milliseconds(contender: Contender, errors: Path) -> float:
    return contender.seconds(errors) * 1e3


def as_user(user: User | None, function: Callable[[], T]) -> T:
    """What a function returns in a child that has become ``user``; without one, here."""
    if user is None or user.uid == os.geteuid():
        return function()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reader)
            os.initgroups(user.name, user.gid)
            os.setresgid(user.gid, user.gid, user.gid)
            os.setresuid(user.uid, user.uid, user.uid)
            with os.fdopen(writer, "wb") as file:
                pickle.dump(function(), file)
            code = 0
        finally:
            if code:
                traceback.print_exc()
                sys.stderr.flush()
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        data = file.read()
    _, status = os.waitpid(child, 0)
    if status != 0:
        raise BenchError(f"measuring as {user.name} failed")
    result: T = pickle.loads(data)
    return result
