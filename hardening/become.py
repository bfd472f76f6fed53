"""The lean start of `scripts/hardening` becomes the whole program, in the same process.

It runs without `site` until then, so that nothing of this may stand in `hardening.cli`, which imports other packages.
"""

from __future__ import annotations

import gc
import sys

from hardening.errors import LaunchError
from hardening.launch import files
from hardening.launch.guarded import guarded
from hardening.launch.signals import signal
from hardening.launch.system import os


def main(program: str) -> int:
    """Do what the words in `sys.argv` ask for; ``program`` is the path of the whole program. The exit code."""
    return guarded(lambda: _become(program, sys.argv[1:]))


def _become(program: str, words: list[str]) -> int:
    """Raises `LaunchError` where the program has to start again and cannot."""
    if make_ordinary():
        from hardening import imports

        imports.use()
        from hardening import cli

        return cli.main()
    try:
        os.execv(program, ["hardening", *words])
    except OSError as error:
        raise LaunchError(f"cannot start {program}: {error.strerror}", hint="install hardening again") from None


def make_ordinary() -> bool:
    """Make this interpreter one that was started without -I and -S, with signals and collector as it has them then. False
    where another start is needed for that: where a variable is meant for Python, or the caller has packages of their own."""
    if any(name.startswith("PYTHON") for name in files.environment()):
        return False
    import site

    from hardening import caches

    if files.exists(site.getusersitepackages()):
        return False
    caches.use()  # what `site` imports for other packages comes under it as well
    site.main()
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)
    gc.enable()
    return True
