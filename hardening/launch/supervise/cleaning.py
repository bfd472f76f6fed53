"""What a launch holds, and takes away at its end: the bundle and the leases.

It is done once. A lease or a bundle is reserved anew as soon as it is gone, so what lies in its place afterwards belongs to
another launch.
"""

from __future__ import annotations

from hardening.base import files
from hardening.base.guarded import complain
from hardening.base.linux.system import signal
from hardening.errors import HardeningError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hardening.launch.record.recording import Records
    from hardening.launch.request import LaunchRequest


class Cleaning:
    """The bundle and the leases of one launch. ``takes_bundle`` says that the bundle goes with it."""

    def __init__(self, request: LaunchRequest, abandon: Callable[[], None] | None, records: Records) -> None:
        self.takes_bundle = request.remove and files.exists(files.join(request.bundle, "config.json"))
        self._request = request
        self._abandon = abandon
        self._records = records
        self._held: dict[str, int] = {}
        self._done = False
        if self.takes_bundle:  # loaded now: when the command has ended, another version may be installed
            from hardening.base import trees  # noqa: F401
            from hardening.launch.container import leases  # noqa: F401

    def hold(self, names: tuple[str, ...]) -> None:
        """Hold the leases. `LaunchError`."""
        if not names:
            return
        from hardening.launch.container import leases

        self._held = leases.hold(names)

    def finish(self) -> None:
        """Take away what goes with the launch, unless that was done already. `OSError`."""
        if self._done or not self.takes_bundle:
            return
        self._done = True
        from hardening.base import trees
        from hardening.launch.container import leases

        try:
            leases.remove(self._held)
        finally:
            trees.remove(self._request.bundle)

    def release(self) -> None:
        """Let go of the leases."""
        if self._held:
            from hardening.launch.container import leases

            leases.release(self._held)

    def after_kill(self, *ends: Callable[[], None]) -> None:
        """Do, as the cleanup process, what the launcher would have done had it not been killed, and record that it was.

        ``ends`` end the container. Each step is done whatever becomes of the others, and what fails is in the record; only
        a container that could not be ended keeps its leases and its bundle, by which the next launch finds it.
        """
        problems: list[str] = []
        try:
            for end in ends:
                problems += attempt(end)
            rest = [] if problems else [self.finish]
            if self._abandon is not None:
                rest.append(self._abandon)
            for step in rest:
                problems += attempt(step)
        finally:
            attempt(lambda: self._records.abandoned(128 + signal.SIGKILL, problems))


def finally_do(*steps: Callable[[], None]) -> None:
    """Do each step that ends a run, whatever becomes of the others. What cannot be taken away is told, and never takes the
    place of what the command, or the launch, said."""
    for step in steps:
        for problem in attempt(step):
            complain(f"left behind: {problem}")


def attempt(step: Callable[[], None]) -> list[str]:
    """Do a step of which nobody would hear that it fails: why it does, in a list."""
    try:
        step()
    except (HardeningError, OSError, ImportError) as error:
        return [str(error).partition("\n")[0]]
    except MemoryError:
        return ["out of memory"]
    return []
