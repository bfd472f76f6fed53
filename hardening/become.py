"""The lean start of `scripts/hardening` becomes the whole program, in the same process.

It runs without `site` until then, so that nothing of this may stand in `hardening.cli`, which imports other packages.
"""

from __future__ import annotations

import gc
import sys

from hardening.launch import files
from hardening.launch.guarded import guarded
from hardening.launch.quick import ADDED, VERSION
from hardening.launch.signals import signal
from hardening.launch.system import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def main(program: str) -> int:
    """Do what the words in `sys.argv` ask for; ``program`` is the path of the whole program. The exit code."""
    return guarded(lambda: _become(program))


def _become(program: str) -> int:
    make_ordinary(program)
    from hardening import imports

    imports.use()
    from hardening.whole import command

    return command()


def make_ordinary(program: str) -> None:
    """Make this interpreter, which is isolated, one that was started without -S, with signals and collector as it has them
    then."""
    import site

    from hardening import caches

    caches.use()  # what `site` imports for other packages comes under it as well
    site.main()
    _add_own(program, site.addsitedir)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)
    gc.enable()


def _add_own(program: str, add: Callable[[str], object]) -> None:
    """Add the packages beside the program where it is installed for one user: an isolated start leaves theirs out, but this
    one is where it runs from already."""
    library = f"{files.parent(program)}/../lib/python{VERSION}"
    for place in (f"{library}/{name}" for name in ADDED):
        if files.exists(f"{place}/hardening") and not any(_is_same(place, entry) for entry in sys.path):
            add(files.absolute(place))


def _is_same(place: str, other: str) -> bool:
    try:
        return files.same(os.stat(place), os.stat(other))
    except OSError:
        return False
