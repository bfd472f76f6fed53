"""What learns of a run while it is made: that the command runs, its output, its end.

A launch in the foreground loads this module and no other for it, before its command runs.
"""

from __future__ import annotations

from hardening.base.guarded import complain
from hardening.errors import LaunchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardening.launch.container.container_state import ContainerEntry
    from hardening.launch.container.directory import LaunchDirectory
    from hardening.launch.request import LaunchRequest
    from hardening.launch.supervise.cleaning import Cleaning
    from hardening.launch.supervise.cleanup_process import CleanupProcess


class RunObserver:
    """Learns of a run. ``readers`` are ends of pipes of the container's output, with the numbers that they stand for.

    ``write`` gets what comes from them, and all output where it ``captures`` that. ``delay`` is how long a command runs, in
    seconds, before it is spoken of. ``needs_cleanup`` says that something would be left should this process be killed;
    ``guarded``, that there is a cleanup process anyway. ``cleaning`` is what a cleanup process does. ``why`` is
    why the kernel has ended the command, where that is known.
    """

    captures = False
    delay = 0.0
    needs_cleanup = True
    guarded = False
    cleaning: Cleaning | None = None
    why = ""

    def __init__(self, request: LaunchRequest, directory: LaunchDirectory) -> None:
        self.request = request
        self.directory = directory
        self.readers: dict[int, int] = {}

    def prepare(self, document: object) -> None:
        """Called before anything is started. `LaunchError` stops the launch."""
        raise NotImplementedError

    def started(self, pid: int) -> bool:
        """Called when the command runs; False ends it."""
        raise NotImplementedError

    def write(self, number: int, data: bytes) -> None:
        """Take output of the container."""
        raise NotImplementedError

    def tell(self, text: str) -> None:
        """Tell whoever looks at the output why the command has ended."""
        complain(text)

    def abandon(self) -> None:
        """Called by the cleanup process, in a copy of this process as it was after `prepare`, when this process was
        killed."""
        from hardening.launch.container.container_state import abandon

        abandon(self.request.directory, keep=self.request.detach and not self.request.auto_remove)


class Attached(RunObserver):
    """Writes a container of the foreground down once its command has run for a moment, so that others can find it, and takes
    that away. It would cost a tenth of a launch, so what is over before is not written down."""

    delay = 0.1

    def __init__(self, request: LaunchRequest, directory: LaunchDirectory) -> None:
        super().__init__(request, directory)
        self.needs_cleanup = bool(request.name)
        self._document: object = None
        self._entry: ContainerEntry | None = None
        self._cleanup: CleanupProcess | None = None

    def prepare(self, document: object) -> None:
        self._document = document
        if self.request.name:
            self._describe().create(self.request.name)

    def _describe(self) -> ContainerEntry:
        from hardening.launch.container.container_state import ContainerEntry, describe

        self._entry = self._entry or ContainerEntry(self.directory, describe(self.request, self._document))
        return self._entry

    def started(self, pid: int) -> bool:
        from hardening.launch.container.container_state import identify

        process = identify(pid)
        if process is None:  # it has ended already
            return True
        try:
            if not (self.needs_cleanup or self.guarded):
                from hardening.launch.supervise.cleanup_process import CleanupProcess

                self._cleanup = CleanupProcess(self._clean, late=True)
            entry = self._describe()
            if entry.exists:
                entry.update(process=process)
            else:
                entry.description["process"] = process
                entry.create("")
        except (OSError, LaunchError) as error:
            # What others see of it is no reason to end a command that runs.
            complain(f"`hardening ps` does not show this container: {error}")
        return True

    def _clean(self, words: Iterator[str]) -> None:
        list(words)  # there are none; their end is that of the launcher
        if self.cleaning is not None:
            self.cleaning.after_kill()

    def end(self, code: int) -> None:
        """Take the container away, and tell those who wait how it ended."""
        try:
            if self._entry is not None and self._entry.exists:
                self._entry.finish(code, self.why)
            if self.directory.fd >= 0:
                from hardening.launch.container.container_state import remove

                remove(self.directory.path)
        except OSError as error:  # which does not change how the command has ended
            complain(f"{self.request.directory}: {error.strerror}")
        finally:
            if self._cleanup is not None:
                self._cleanup.dismiss()
