"""The processes of a launch. The main process starts init, which becomes the command. Where namespaces are joined or a
time namespace is made it takes an intermediate one between: neither a joined process namespace nor a new time namespace
takes who enters it.
"""

from __future__ import annotations

import sys

from hardening.base.linux import abi, kernel
from hardening.base.linux.system import os, signal
from hardening.errors import EXIT_LAUNCHER, HardeningError, LaunchError
from hardening.launch.native.channel import pair, report
from hardening.launch.native.operation import (
    INIT,
    INTERMEDIATE,
    Building,
    Joining,
    Separation,
    Starting,
    Surrender,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hardening.launch.native.operation import LaunchState


class StartProcess(Starting):
    """clone(2) of init, or of the intermediate process, into new namespaces: ``flags`` are their ``CLONE_NEW*``.

    A user namespace comes first, and with it the right to make the others (user_namespaces(7)).
    """

    pointer = "/linux/namespaces"
    flags: int

    def describe(self) -> str:
        return "make the user namespace" if self.flags & abi.CLONE_NEWUSER else "start a process"

    def execute(self, state: LaunchState) -> None:
        state.near, state.channel = pair()
        state.pid = kernel.clone(self.flags)
        if state.pid == 0:
            state.near.close()
            _be(_intermediate if state.first("StartInit") else _alone, state)
        state.channel.close()


class StartInit(Separation):
    """clone(2) of init as a child of the main process, which waits for it; ``flags`` may be ``CLONE_NEWPID``."""

    pointer: str
    flags: int

    def describe(self) -> str:
        return "start the container's first process"

    def execute(self, state: LaunchState) -> None:
        child = kernel.clone(abi.CLONE_PARENT | self.flags)
        if child == 0:
            _be(_init, state)
        state.channel.send("child", str(child))


def _be(step: Callable[[LaunchState], None], state: LaunchState) -> None:
    """Run a process to its end, and report an error. Does not return."""
    code = EXIT_LAUNCHER
    try:
        step(state)
        code = 0
    except LaunchError as error:
        report(state.channel, error)
    except (OSError, ImportError, HardeningError, MemoryError) as error:
        report(state.channel, LaunchError(f"the launch failed: {error}"))
    finally:
        # Whatever happened: this copy of the main process must not go on as if it were that.
        kind, defect, trace = sys.exc_info()
        if kind is not None and defect is not None:
            sys.excepthook(kind, defect, trace)
        os._exit(code)


def _alone(state: LaunchState) -> None:
    """Be init, in the new user and process namespaces already."""
    state.process = INIT
    kernel.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)  # it dies with the main process
    state.channel.expect("mapped")
    state.perform(Separation)
    _init(state)


def _intermediate(state: LaunchState) -> None:
    """Join and make the namespaces, then start init in them."""
    state.process = INTERMEDIATE
    kernel.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
    state.perform(Joining)
    state.channel.send("entered")
    state.channel.expect("mapped")
    state.perform(Separation)


def _init(state: LaunchState) -> None:
    """Build the root, give up the privileges and become the command."""
    state.process = INIT
    if state.waits:
        state.channel.expect("begin")
    state.perform(Building)
    state.perform(Surrender)
