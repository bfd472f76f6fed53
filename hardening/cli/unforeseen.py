"""Words for what no command foresees: what the system refuses, what of the program cannot be loaded, and every fault of the
program itself or of a plugin. None of them ends in a traceback, or in an exit code that says something else."""

from __future__ import annotations

import os

import click

from hardening.base.guarded import frames
from hardening.base.linux.system import signal
from hardening.errors import HardeningError, LaunchError, PluginError
from hardening.plugin.plugincalls import PluginTimeoutError

#: What is for the command line alone: it words what click raises, and ends as the caller wants it to.
FORESEEN = (click.ClickException, click.exceptions.Exit, click.Abort)
UNFORESEEN = (Exception, SystemExit, PluginTimeoutError)
_FRAMES = 3
MORE_MEMORY = "give the command more memory (ulimit -v, the cgroup's limit)"


def worded(error: BaseException) -> HardeningError:
    """An error of `UNFORESEEN` as one that a person can act on, with the exit code of the program."""
    if isinstance(error, HardeningError):
        return error
    if isinstance(error, BrokenPipeError):
        return LaunchError("broken pipe", exit_code=128 + signal.SIGPIPE)
    if isinstance(error, OSError):
        if error.filename is None and _is_nowhere():
            return LaunchError("the working directory does not exist any more", hint="change to another one (cd)")
        hint = "check the file, its permissions and the free space on its disk"
        return LaunchError(error.strerror or str(error), origin=error.filename, hint=hint)
    if isinstance(error, ImportError):
        hint = "give it more memory or open files (ulimit -v, ulimit -n), or install hardening again"
        return LaunchError(f"a part of the program cannot be loaded: {error}", hint=hint)
    if isinstance(error, SystemError):  # what Python's own compiler may end with where memory is short
        return LaunchError(f"Python itself has failed, most likely out of memory: {error}", hint=MORE_MEMORY)
    if isinstance(error, MemoryError):
        return LaunchError("out of memory", hint=MORE_MEMORY)
    of_plugin = _of_plugin(error)
    if of_plugin is not None:
        return of_plugin
    # Its text could hold anything that the program works on, a secret among it.
    where = " < ".join([f"{module}:{line}" for module, _, line in frames(error)][-1 : -_FRAMES - 1 : -1])
    what = f"hardening itself has failed: {type(error).__name__} ({where})"
    return LaunchError(what, hint="report this line, with the command, to the authors of hardening")


def _of_plugin(error: BaseException) -> PluginError | None:
    """The error for one that began in code of a package that brings a plugin or a command, and is not of the program: in a
    kind of values, or in a command of its own."""
    from hardening.cli import added
    from hardening.plugin.installed import brought
    from hardening.plugin.plugincalls import OWN, describe, fault
    from hardening.plugin.plugins import GROUP

    if not (packages := [module.partition(".")[0] for module, _, _ in frames(error)]):
        return None
    for item in (*brought(GROUP), *brought(added.GROUP)):
        module = item.value.partition(":")[0].strip()
        if item.distribution != OWN and module.partition(".")[0] in packages:
            return fault(item, f" failed: {describe(error, module)}")
    return None


def _is_nowhere() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False
