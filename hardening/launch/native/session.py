"""The session of the process that becomes the command: what it inherits of the caller's, where it stands, what it
executes."""

from __future__ import annotations

import errno
import fcntl

from hardening.base.guarded import open_to_all, stand_between
from hardening.base.linux import abi, kernel
from hardening.base.linux.failure import Step
from hardening.base.linux.system import os, signal
from hardening.errors import LaunchError
from hardening.launch.native import lookup, sources
from hardening.launch.native.mounts import clone_device
from hardening.launch.native.operation import Building, Preparation, Surrender
from hardening.launch.native.root import UnmappedRootError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hardening.launch.native.identity import DropBounding
    from hardening.launch.native.operation import LaunchState

#: The calls of init after a filter that is loaded early.
AFTER_EARLY_FILTER = (
    *("prctl", "setgroups", "setresgid", "setresuid", "capget", "capset"),
    *("ioctl", "read", "rt_sigprocmask", "execve"),
)
#: Permissions of a file, as chmod(2) has them.
_OWNER_WRITES, _GROUP_WRITES, _OTHERS_WRITE, _ALL_READ = 0o200, 0o020, 0o002, 0o444


class StandBetween(Preparation):
    """Pipes between the command and what of the caller's it is not to have, or could not open again, unless it has a
    terminal of its own. ``uid`` and ``gids`` are the command's ids on the host, -1 for one that is not known there."""

    text = "put pipes before standard output and error"
    uid: int
    gids: tuple[int, ...]

    def execute(self, state: LaunchState) -> None:
        if state.command.terminal:
            return
        state.writers, state.copies = stand_between(self._may_write)
        if state.keep_stdin:
            open_to_all(0, _ALL_READ)

    def _may_write(self, status: os.stat_result) -> bool:
        """Whether the permissions of a file let the command write to it."""
        if status.st_uid == self.uid:
            return bool(status.st_mode & _OWNER_WRITES)
        return bool(status.st_mode & (_GROUP_WRITES if status.st_gid in self.gids else _OTHERS_WRITE))


class StartSession(Building):
    """A session without a terminal, which no process of the container's ids can trace: from the first of them that runs
    until execve(2) this is still the launcher, with descriptors of the host (CVE-2019-5736, ptrace(2))."""

    text = "start a session that nobody traces"

    def execute(self, state: LaunchState) -> None:
        kernel.prctl(abi.PR_SET_DUMPABLE, 0)
        os.umask(0)
        os.setsid()


class LeavePropagation(Building):
    """Nothing that is mounted from now on reaches the host."""

    text = "leave the host's mount propagation"

    def execute(self, state: LaunchState) -> None:
        sources.make_slave()


class OpenNull(Building):
    """The host's null device for standard input that is not passed on, through a mount of its own: by a descriptor, too, its
    mode could be changed (fchmod(2))."""

    text = "open /dev/null where standard input is not passed on"

    def execute(self, state: LaunchState) -> None:
        if not (state.keep_stdin or state.command.terminal):
            tree = clone_device("/dev/null", os.makedev(1, 3))
            state.stdin = os.open(f"/proc/self/fd/{tree}", os.O_RDWR | os.O_CLOEXEC)
            os.close(tree)


class PutSecrets(Building):
    """The secrets that were handed over, in their places."""

    pointer = "/annotations"
    text = "put the secrets in their places"

    def execute(self, state: LaunchState) -> None:
        if state.secrets is not None:
            state.variables = state.secrets.put(state.root.find)


class MakeWorkingDirectory(Building):
    """The working directory where it is missing, as other runtimes make it."""

    pointer = "/process/cwd"
    text = "make the working directory where it is missing"

    def execute(self, state: LaunchState) -> None:
        root, path = state.root, state.command.cwd
        hint = f"choose a working directory that is there inside, or show one there (-v {path}:{path})"
        with Step(f"make the working directory {path}, which is not there inside", self.pointer, hint):
            try:
                there = root.find_if_present(path)
                os.close(root.target(path, directory=True) if there is None else there)
            except UnmappedRootError as error:
                error.hint = hint  # for a directory nobody is to give up the user namespace
                raise
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise
                # A magic link: where that leads is looked at once it was followed.


class ConnectStreams(Building):
    """Standard input, output and error."""

    text = "connect the standard streams"

    def execute(self, state: LaunchState) -> None:
        if state.stdin >= 0:
            os.dup2(state.stdin, 0)
        for number, writer in state.writers.items():
            os.dup2(writer, number)
        if state.slave >= 0:
            with Step("make the console the controlling terminal", "/process/terminal"):
                fcntl.ioctl(state.slave, abi.TIOCSCTTY, 0)
                for number in (0, 1, 2):
                    os.dup2(state.slave, number)


class NewKeyring(Building):
    """A session keyring of its own: keys belong to no namespace, and the caller's would be the command's (keyrings(7))."""

    text = "start a session keyring"

    def execute(self, state: LaunchState) -> None:
        kernel.new_session_keyring()


class ChangeDirectory(Building):
    """The working directory, inside of the root."""

    pointer = "/process/cwd"
    text = "go to the working directory"

    def execute(self, state: LaunchState) -> None:
        path = state.command.cwd
        with Step(f"go to {path}", self.pointer, "the directory must exist in the container"):
            os.chdir(path)
            # A descriptor of the host that slipped through as a working directory shows as unreachable (CVE-2024-21626).
            if not os.getcwd().startswith("/"):
                raise LaunchError(f"{path} lies outside of the container's root", origin=f"config.json:{self.pointer}")


class FindCommand(Building):
    """The file to execute, while there are privileges to say why there is none."""

    pointer = "/process/args/0"
    text = "find the command"

    def execute(self, state: LaunchState) -> None:
        state.path = lookup.find_command(state.command)


class ReportReady(Building):
    """The main process sets the limits and records the launch meanwhile."""

    text = "tell the main process that the root is ready"

    def execute(self, state: LaunchState) -> None:
        state.channel.send("ready", state.path, str(lookup.lent_capabilities(state.path)))


class AwaitRelease(Surrender):
    """Nothing is executed that is not limited and recorded; the filter comes with the word."""

    text = "wait until the launch is recorded"

    def execute(self, state: LaunchState) -> None:
        state.program = state.channel.receive_bytes(int(state.channel.expect("go")[0]))


class CloseDescriptors(Surrender):
    """Nothing but the three standard descriptors reaches the command (CVE-2024-21626). This and the umask come before a
    filter that may know neither."""

    text = "keep all but the standard descriptors from the command"

    def execute(self, state: LaunchState) -> None:
        kernel.close_on_exec_from(3)


class SetUmask(Surrender):
    """The command's umask."""

    pointer = "/process/user/umask"
    text = "set the umask"
    mask: int

    def execute(self, state: LaunchState) -> None:
        os.umask(self.mask)


class DieWithLauncher(Surrender):
    """The last change of credentials has cleared the parent-death signal (prctl(2)). Should the parent have died before
    this, its end of the channel is closed."""

    text = "die with the main process"

    def execute(self, state: LaunchState) -> None:
        kernel.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
        if not state.channel.is_open():
            os._exit(1)


class RestoreSignals(Surrender):
    """The caller's signal mask: from here on a signal that waits may end this process."""

    pointer = "/linux/seccomp"
    hint = "without noNewPrivileges the filter is loaded before this, and has to allow it"
    text = "restore the signal mask with rt_sigprocmask"

    def execute(self, state: LaunchState) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, state.signal_mask)


class CheckAccess(Surrender):
    """Whether the command's ids may execute it, while there is no filter yet that may keep this process from saying why."""

    pointer = "/process/args/0"
    text = "look whether the command may execute its file"

    def execute(self, state: LaunchState) -> None:
        lookup.check_access(state.path)
        bounding: DropBounding | None = state.first("DropBounding")
        lookup.check_helpers(state.command, state.path, bounding.kept if bounding is not None else -1)


class Execute(Surrender):
    """Become the command (execve(2))."""

    pointer = "/process/args"
    text = "execute the command"

    def execute(self, state: LaunchState) -> None:
        lookup.execute(state.path, state.command, state.variables)
