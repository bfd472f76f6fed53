"""The records of one launch as those see them who make it: what writes them is loaded once there is time for it.

To load and connect it takes longer than to make the container's process, and nobody waits for it before the command is
about to be executed (`hardening.launch.record.record`).
"""

from __future__ import annotations

import errno

from hardening.base import files, places
from hardening.base.linux.system import os
from hardening.errors import LaunchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hardening.launch.config.bundle import Bundle
    from hardening.launch.record.record import Recorder, Who
    from hardening.launch.record.sinks import RecordLocations


UNSET = 2**32 - 1  # the login uid and session of a process that no login is behind
LOGIN_UID, SESSION = "/proc/self/loginuid", "/proc/self/sessionid"


class Records:
    """The records of the launch that this process makes. ``identity`` names it, '' for a name that is made up; ``caller``
    is who launches (`who`)."""

    def __init__(self, identity: str, runtime: str, caller: Who) -> None:
        self._identity = identity or places.new_id()
        self._runtime = runtime
        self._caller: Who = {"loginuid": None, "session": None, **caller, "pid": os.getpid()}
        self._bundle: Bundle | None = None
        self._places: RecordLocations | None = None
        self._recorder: Recorder | None = None
        # A child that outlives this process learns from a byte in this pipe that the launch is recorded.
        self._pipe = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def claim(self) -> None:
        """Have this process, and all that it starts, under a login uid (`claim_login`). `LaunchError`."""
        try:
            self._caller |= claim_login()
        except OSError as error:
            raise LaunchError(
                f"the caller's login uid cannot be set: {error.strerror}",
                origin=LOGIN_UID,
                hint="start it from a session that has one (pam_loginuid(8)), or where /proc can be written to; "
                "without one the command could claim anybody's",
            ) from error

    def take(self, bundle: Bundle) -> None:
        """Say what is launched."""
        self._bundle = bundle

    def recorder(self) -> Recorder:
        """What writes them. `LaunchError`, on the first call, where an annotation of ours in the bundle is malformed."""
        if self._recorder is None:
            from hardening.launch.record.sinks import RecordLocations

            self._places = RecordLocations(files.environment())
            from hardening.launch.record.record import Recorder

            self._recorder = Recorder(self._identity, self._runtime, self._places.each, self._caller, self._pipe)
            if self._bundle is not None:
                origin = files.join(self._bundle.directory, "config.json")
                self._recorder.describe(self._bundle.document, self._bundle.sha256, origin)
        return self._recorder

    def prepare(self) -> None:
        """Load what writes them, and ask the audit system, which answers later. `LaunchError` as from `recorder`."""
        self.recorder()

    def launched(self) -> None:
        """Record that the command is about to be executed. `LaunchError` where nothing keeps it, and as from `recorder`."""
        self.recorder().launched()

    def waited(self, status: int | None, why: str = "") -> None:
        """Take the wait status of the command, and why the kernel has ended it where that is known."""
        self.recorder().waited(status, why)

    def over(self, code: int, error: str) -> None:
        """Record the end; ``error`` is why the command did not run, '' where it did. `OSError` where nothing keeps it; its
        file name is the place, and its text says of what."""
        recorder = self._at_last()
        try:
            if error:
                recorder.refused(error, code)
            else:
                recorder.ended(code)
        except OSError as problem:
            text = f"the end of {recorder.identity} cannot be recorded: {problem.strerror}"
            raise OSError(problem.errno, text, problem.filename) from problem

    def abandoned(self, code: int, problems: list[str]) -> None:
        """Record, in a child of that process, that this one was killed, and what of its launch could not be taken away.
        `OSError` where nothing keeps that."""
        from hardening.launch.record.sinks import RecordLocations

        self._at_last().abandoned(RecordLocations(files.environment()).each, code, problems)

    def _at_last(self) -> Recorder:
        """The recorder, with whatever could be read of the bundle: there is an error to be recorded already."""
        try:
            return self.recorder()
        except LaunchError:
            return self.recorder()

    def close(self) -> None:
        """Close what this has opened itself."""
        for fd in self._pipe:
            os.close(fd)
        if self._places is not None:
            self._places.close()


def who() -> Who:
    """The caller: ids and terminal, which a process in the background has no more."""
    return {"uid": os.getuid(), "gid": os.getgid(), "terminal": files.terminal()}


def login() -> Who:
    """Login uid and session, as the kernel has them; None without a login, or where the user namespace cannot name it."""
    return {"loginuid": _proc_number(LOGIN_UID), "session": _proc_number(SESSION)}


def claim_login() -> Who:
    """`login`, which is the caller's real uid and a session of its own from now on where no login has set one, as
    pam_loginuid(8) would have it. `OSError` where that cannot be.

    Whoever has none may write any (audit_set_loginuid() in the kernel's kernel/audit.c), a command in a container too.
    One that is set is inherited, and to change it takes CAP_AUDIT_CONTROL in the host's user namespace.
    """
    if _proc_number(LOGIN_UID) is None:
        try:
            files.write(LOGIN_UID, str(os.getuid()))
        except OSError as error:
            # No audit system in this kernel, or one is set that this user namespace has no number for.
            if error.errno not in (errno.ENOENT, errno.EPERM):
                raise
        else:
            return {"loginuid": os.getuid(), "session": _proc_number(SESSION)}
    return login()


def _proc_number(path: str) -> int | None:
    try:
        number = int(files.read(path))
    except (OSError, ValueError):  # a kernel without auditing
        return None
    return None if number == UNSET else number
