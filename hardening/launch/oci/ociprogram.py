"""Another OCI runtime as a program: how it is called for one container, and what is left of one is deleted.

What the cleanup of a container needs whose launcher and cleanup process were killed stands in its state directory, not in
its bundle, which is the caller's, and may be gone or another one by then.
"""

from __future__ import annotations

import os
import select

from hardening.base import files, jsontext, trees
from hardening.base.files import Opened
from hardening.base.linux import children
from hardening.base.linux.failure import Step
from hardening.base.linux.system import signal
from hardening.base.pointer import lookup, table
from hardening.errors import (
    EXIT_LAUNCHER,
    EXIT_NOT_EXECUTABLE,
    EXIT_NOT_FOUND,
    HardeningError,
    LaunchError,
    quoted,
)
from hardening.launch.cgroup import removal
from hardening.launch.config.bundle import read_json
from hardening.launch.container.container_state import identify
from hardening.launch.container.directory import ROOM
from hardening.launch.supervise.cleaning import attempt

DELETE_ATTEMPTS = 50
DELETE_PAUSE = 0.02  # seconds
KILL_LONGEST = 30.0  # seconds
#: Links in a container's state directory: the runtime, and the path of its control groups.
PROGRAM, GROUP = "program", "group"
#: Files there, as JSON: of the configuration what `enter_view` needs, and the container's first process.
VIEW, PROCESS = "view.json", "process.json"
LOG = "log"
ROOT = "root"  # in it, the directory for what the runtime writes down


class RuntimeProgram:
    """A runtime and one container of it, whose state is in the directory ``state``. ``mask`` are the signals that the
    runtime finds blocked; ``crun`` says that it behaves as crun does."""

    def __init__(self, program: str, identity: str, state: str, mask: frozenset[int], *, crun: bool = False) -> None:
        self.program = program
        self.crun = crun
        self.identity = identity
        self.state = state
        self._log = os.path.join(state, LOG)
        self._mask = mask

    def make_state(self, document: object) -> None:
        """Make the state directory of a configuration's container, in that of its launch. `LaunchError`."""
        linux = table(document, "/linux")
        maps = {key: linux[key] for key in ("uidMappings", "gidMappings") if key in linux}
        view = {"linux": maps, "crun": self.crun}
        with Step(f"make the runtime's state directory {self.state}", hint=ROOM):
            os.mkdir(self.state, 0o700)
            try:
                self._write(VIEW, view)
                # What the runtimes call it that are told nothing.
                group = str(linux.get("cgroupsPath") or self.identity)
                os.symlink(group, os.path.join(self.state, GROUP))
                os.symlink(self.program, os.path.join(self.state, PROGRAM))  # the last: all is there
            except OSError:
                trees.remove(self.state)
                raise

    def created(self, pid: int) -> None:
        """Write down the first process of the container, before it is started. `LaunchError`."""
        with Step(f"record the container's process in {self.state}"):
            self._write(PROCESS, identify(pid))

    def _write(self, name: str, value: object) -> None:
        files.replace(os.path.join(self.state, name), jsontext.dump(value).encode())

    def argv(self, *words: str) -> list[str]:
        """The command line of the runtime."""
        root = os.path.join(self.state, ROOT)
        # crun would print its late errors as JSON to the container's standard error.
        style = "text" if self.crun else "json"
        return [self.program, "--root", root, "--log", self._log, "--log-format", style, *words]

    def spawn(self, argv: list[str], standard: list[int] | None) -> int:
        """Start it: its pid.

        It has a process group of its own: what kills this process's must not stop a runtime in the middle of its work, of
        which nobody but itself knows how far it has come.
        """
        actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(standard or ())]
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"}
        for name in ("XDG_RUNTIME_DIR", "HOME"):
            if os.environ.get(name, "").startswith("/"):
                environment[name] = os.environ[name]
        with Step(f"start {argv[0]}"):
            return os.posix_spawn(argv[0], argv, environment, file_actions=actions, setsigmask=self._mask, setpgroup=0)

    def delete(self) -> None:
        """Delete the container, and its state directory; a short wait lets its last process go. Nothing where it is gone.
        `LaunchError` where the runtime does not delete it: what is known of it stays."""
        if os.path.isdir(os.path.join(self.state, ROOT, self.identity)):
            with Opened(os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)) as null:
                for _ in range(DELETE_ATTEMPTS):
                    pid = self.spawn(self.argv("delete", "--force", self.identity), [null, null, null])
                    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0:
                        break
                    select.select([], [], [], DELETE_PAUSE)
                else:
                    name, reason = os.path.basename(self.program), self.message() or "no reason given"
                    hint = f"the next launch tries again; what is known of the container stays in {self.state}"
                    raise LaunchError(f"{name} delete: {reason}", hint=hint)
        if os.path.isdir(self.state):
            remove_rest(self.state)

    def message(self) -> str:
        """The last error in the runtime's log, '' when it wrote none."""
        try:
            with open(self._log, "rb") as file:
                lines = [line.strip() for line in file if line.strip()]
        except FileNotFoundError:
            return ""
        try:
            # Some runtimes end no entry with a newline (runsc).
            text = b"".join(lines).replace(b"}{", b"}\n{")
            entries = [jsontext.parse(line, self._log) for line in text.splitlines()]
        except HardeningError:
            return lines[-1].decode(errors="replace")
        errors = [entry for entry in entries if isinstance(entry, dict) and entry.get("level") in ("error", "fatal")]
        return str(errors[-1].get("msg", "")) if errors else ""


def enter_view(document: object, *, crun: bool) -> None:
    """Move this process to where the runtime sees what it needs: cgroup2 for crun, a user namespace for an ordinary user.
    `LaunchError`."""
    if crun:
        from hardening.launch.oci.cgroup2_only import show_only_cgroup2

        show_only_cgroup2(document)
    elif os.geteuid() != 0:
        from hardening.base.linux import userns

        # runc gives its files to the container's root, which need not be the caller.
        userns.enter(document)


def prune(state: str) -> HardeningError | None:
    """End and delete the container of a launch that nobody has locked: why that fails. `OSError`."""
    text = _delete_apart(state)
    if not text:
        return None
    message = f"cannot delete a container that a killed launch left: {text}"
    return LaunchError(message, origin=state, hint=f"once nothing of it runs: rm -r {quoted(state)}")


def _delete_apart(state: str) -> str:
    """Delete a container in a process of its own, which takes another view of the host: why that fails, or ''."""

    def delete(writer: int) -> None:
        problems = attempt(lambda: _delete_abandoned(state))
        os.write(writer, "".join(problems).encode("utf-8", "backslashreplace"))

    text, code = children.ask(delete)
    return text.decode() or (f"the process that does it ended with {code}" if code else "")


def _delete_abandoned(state: str) -> None:
    """`HardeningError`, `OSError`."""
    # Before: in the runtime's view, an ordinary user has no power over the processes of another launch's namespaces.
    kill_unfinished(state)
    _kill_started(state)
    try:
        program = os.readlink(os.path.join(state, PROGRAM))
    except FileNotFoundError:  # nothing was started yet
        remove_rest(state)
        return
    if files.exists(os.path.join(state, LOG)):
        os.unlink(os.path.join(state, LOG))  # the runtime would wait for who reads from a FIFO in its place
    view = read_json(state, VIEW)
    crun = lookup(view, "/crun") is True
    enter_view(view, crun=crun)
    RuntimeProgram(program, os.path.basename(os.path.dirname(state)), state, frozenset(), crun=crun).delete()


def _kill_started(state: str) -> None:
    """Kill the first process of a container that was created, and await its end. `LaunchError` where that does not come."""
    if not files.exists(os.path.join(state, PROCESS)):  # it was not started, and so `kill_unfinished` has found it
        return
    found = read_json(state, PROCESS)
    pid = lookup(found, "/pid")
    if type(pid) is not int:  # it had ended before it could be written down
        return
    if not 0 < pid < 1 << 31:
        raise LaunchError("names no process", origin=os.path.join(state, PROCESS))
    process = open_process(pid)
    if process is None:
        return
    with Opened(process):
        if identify(pid) == found:  # else another one has its number by now
            kill(process)
            if not select.select([process], [], [], KILL_LONGEST)[0]:
                raise LaunchError(f"its process {pid} does not end after SIGKILL", origin=state)


def open_process(pid: int) -> int | None:
    """A pidfd; None when the process has ended."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def kill(process: int) -> None:
    """Kill the process of a pidfd, if it is still there."""
    try:
        signal.pidfd_send_signal(process, signal.SIGKILL)
    except ProcessLookupError:
        return


def classify(text: str) -> int:
    """The exit code for a runtime's message: 127 for a command that is not there, 126 for one that cannot run."""
    lower = text.lower()
    if "exec" in lower and ("not found" in lower or "no such file" in lower):
        return EXIT_NOT_FOUND
    not_files = ("is not a regular file", "exists but it is not executable")
    refusals = ("permission denied", "exec format error", "is a directory")
    if ("exec" in lower and any(words in lower for words in refusals)) or any(words in lower for words in not_files):
        return EXIT_NOT_EXECUTABLE
    return EXIT_LAUNCHER


def kill_unfinished(state: str) -> None:
    """Kill what a runtime that was killed over `create` has left: itself, or the first process of its container, which
    would wait for ever to be started and which nobody has written down yet. It still has the runtime's command line."""
    mark = os.fsencode(f"\0--root\0{os.path.join(state, ROOT)}\0")
    for name in os.listdir("/proc"):
        if name.isdecimal() and mark in _command_line(name):
            process = open_process(int(name))
            if process is None:
                continue
            with Opened(process):
                if mark in _command_line(name):  # still, and so it is the one that is held
                    kill(process)


def _command_line(pid: str) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:  # it has ended
        return b""


def remove_rest(state: str) -> None:
    """Delete a state directory, and the control groups of a runtime that was killed before it had written down that it had
    made them."""
    try:
        group = os.readlink(os.path.join(state, GROUP))
    except FileNotFoundError:  # nothing was started yet
        group = ""
    if group:
        removal.remove_empty(group)
    trees.remove(state)
