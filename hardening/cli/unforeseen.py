"""Words for what no command foresees: what the system refuses, and what of the program cannot be loaded."""

from __future__ import annotations

import os

from hardening.errors import LaunchError
from hardening.launch.signals import signal

#: A SystemError is what Python's own compiler may end with where memory is short.
UNFORESEEN = (OSError, ImportError, MemoryError, SystemError)
MORE_MEMORY = "give the command more memory (ulimit -v, the cgroup's limit)"


def worded(error: OSError | ImportError | MemoryError | SystemError) -> LaunchError:
    """An error of `UNFORESEEN` as one that a person can act on, with the exit code of the program."""
    if isinstance(error, BrokenPipeError):
        return LaunchError("nobody reads what is said", exit_code=128 + signal.SIGPIPE)
    if isinstance(error, OSError):
        if error.filename is None and _is_nowhere():
            return LaunchError("the working directory does not exist any more", hint="change to another one (cd)")
        hint = "look at the file, its permissions and the space on its disk"
        return LaunchError(error.strerror or str(error), origin=error.filename, hint=hint)
    if isinstance(error, ImportError):
        hint = "give it more memory or open files (ulimit -v, ulimit -n), or install hardening again"
        return LaunchError(f"a part of the program cannot be loaded: {error}", hint=hint)
    if isinstance(error, SystemError):
        return LaunchError(f"Python itself has failed, most likely for want of memory: {error}", hint=MORE_MEMORY)
    return LaunchError("out of memory", hint=MORE_MEMORY)


def _is_nowhere() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False
