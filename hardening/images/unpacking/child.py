"""A child that works on the files of a root: in a user namespace, where they belong to ids that only such a one may touch.

It tells its parent how far it is, and at last what came of it, in lines of JSON through a pipe. It ends with its parent.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import traceback
from collections.abc import Callable
from typing import Any

from hardening.base import files
from hardening.base.linux import children, userns
from hardening.errors import HardeningError, ImageError
from hardening.images.ids import Ids

Tell = Callable[[int], None]
_TOLD = 1 << 20  # bytes between two words on how far it is
_MEMORY = "check the free memory of this host, and try again"


def run(work: Callable[[Tell], Any], ids: Ids, tell: Tell | None = None) -> Any:
    """Call ``work`` in a child, in a user namespace if files of these ``ids`` need one. ``work`` gets a function to tell how
    many bytes it has done, and returns JSON data. Raises `OSError` where it does, and `ImageError` for all else that goes
    wrong there."""
    pid, reader = children.start(functools.partial(_work, work, ids, os.getpid()))
    last: dict[str, Any] = {}
    try:
        with os.fdopen(reader, "rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):  # it was killed while it wrote
                    break
                said = json.loads(line)
                if "done" in said:
                    if tell is not None:
                        tell(said["done"])
                else:
                    last = said
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        code = children.wait(pid)
    return _result(last, code)


def _work(work: Callable[[Tell], Any], ids: Ids, parent: int, writer: int) -> None:
    """The whole life of the child."""
    answer: dict[str, Any]
    try:
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup(1)
                signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # which this interpreter ignores
        if ids.needs_namespace(os.geteuid()):
            userns.enter(ids.document())
        children.end_with(parent)
        answer = {"result": work(_Teller(writer))}
    except HardeningError as error:
        origin = None if error.origin is None else str(error.origin)
        answer = {"message": error.message, "origin": origin, "hint": error.hint}
    except OSError as error:
        name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else None
        answer = {"errno": error.errno, "strerror": error.strerror, "filename": name}
    except MemoryError:
        answer = {"message": "there is not enough memory for it", "origin": None, "hint": _MEMORY}
    except BaseException as error:  # noqa: BLE001  # a fault of this program: it ends here, not in a copy of the parent
        answer = {"message": _fault(error), "origin": None, "hint": "use another image, and report this"}
    files.write_all(writer, json.dumps(answer).encode() + b"\n")


class _Teller:
    """Tells how many bytes are done, at most once for each `_TOLD` of them."""

    def __init__(self, writer: int) -> None:
        self._writer = writer
        self._untold = 0

    def __call__(self, size: int) -> None:
        self._untold += size
        if self._untold >= _TOLD:
            os.write(self._writer, b'{"done": %d}\n' % self._untold)
            self._untold = 0


def _fault(error: BaseException) -> str:
    """What was raised, and where, in one line."""
    places = traceback.extract_tb(error.__traceback__)
    where = f" ({os.path.basename(places[-1].filename)}:{places[-1].lineno})" if places else ""
    return f"cannot be done: {type(error).__name__}: {error}{where}"


def _result(last: dict[str, Any], code: int) -> Any:
    if "result" in last:
        return last["result"]
    if "message" in last:
        raise ImageError(last["message"], origin=last["origin"], hint=last["hint"])
    if "errno" in last:
        raise OSError(last["errno"], last["strerror"], last["filename"])
    raise ImageError(
        f"the unpacking process was killed by signal {-code}"
        if code < 0
        else "the unpacking process ended unexpectedly",
        hint=_MEMORY,
    )
