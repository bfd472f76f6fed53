"""Running a bundle under another OCI runtime (crun, runc) with the promises of the native launcher.

The runtime only creates and starts the container (`create`, `start`, `delete`); this process is the subreaper that its
first process falls to, and watches it as it watches a native one: signals, terminal, exit code, receipt. A second
process, the cleanup process, deletes the container when this one is killed.
"""

from __future__ import annotations

import _socket
import os
import select
import stat

from hardening.base import files, links, places, trusted
from hardening.base.files import Opened
from hardening.base.guarded import TERMINAL_USE, block_signals, is_nameless_pipe, stand_between
from hardening.base.linux import abi, kernel, mountinfo
from hardening.base.linux.failure import Step
from hardening.base.linux.system import signal
from hardening.base.pointer import items, lookup, table
from hardening.errors import EXIT_LAUNCHER, LaunchError
from hardening.launch.cgroup import group
from hardening.launch.cgroup.hierarchy import groups_anywhere
from hardening.launch.config.bundle import IMAGE_STORE, NODES, Bundle, is_judged
from hardening.launch.config.config_mounts import COPIES, is_bind
from hardening.launch.container.directory import RUNTIME
from hardening.launch.oci.ociprogram import RuntimeProgram, classify, enter_view, kill, kill_unfinished, open_process
from hardening.launch.record import receipt
from hardening.launch.supervise.cleaning import finally_do
from hardening.launch.supervise.cleanup_process import CleanupProcess
from hardening.launch.supervise.feed import Feed
from hardening.launch.supervise.supervise import Supervisor, exit_code, kill_orphans

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardening.launch.context import LaunchContext

CREATED = "created"  # to the cleanup process; every other word is the pid of the runtime that creates
CREATE_PAUSE = 1.0  # seconds in which a runtime that the cleanup process has not heard of comes to an end
CREATE_LONGEST = 60.0  # seconds that the cleanup process gives a runtime that creates


def run(bundle: Bundle, context: LaunchContext) -> int:
    """Run the bundle under the runtime: the command's exit code. `LaunchError` when it never ran."""
    refuse_movable_sources(bundle)
    refuse_others_group(bundle)
    mask = block_signals()
    report = receipt.Report(bundle, context.secrets) if context.request.receipt else None
    kernel.prctl(abi.PR_SET_CHILD_SUBREAPER, 1)
    refuse_nodes(bundle, context.request.runtime)
    enter_view(bundle.document, crun=context.request.crun)
    # What the runtime can reach shows only from here.
    refuse_fifos(bundle)
    refuse_links(bundle)
    return _ExternalRun(bundle, context, mask, report).run()


def refuse_movable_sources(bundle: Bundle) -> None:
    """`LaunchError` for a root, or the source of a bind mount, in whose place somebody else could put another one: the
    runtime looks it up by its path, after everybody who has judged it; and for one that a link leads elsewhere since."""
    judged = is_judged(_annotations(bundle))
    for source, origin in _sources(bundle.document):
        path = os.path.join(bundle.directory, source)
        try:
            trusted.require_secure_path(_image_root(bundle, path) or path)
            os.close(links.find_source(source, bundle.directory, judged=judged))
        except trusted.UntrustedError as error:
            hint = "--runtime native opens it once; or name one below directories that only you and root can write"
            raise LaunchError(f"{source} can be replaced by others: {error}", origin=origin, hint=hint) from error
        except OSError as error:
            hint = getattr(error, "hint", "")
            raise LaunchError(f"{path} cannot be opened: {error.strerror}", origin=origin, hint=hint) from error


def refuse_others_group(bundle: Bundle) -> None:
    """`LaunchError` for a control group that is no container's own, or that somebody uses. A runtime would put the container
    into it, limit all that is in it, and crun kills that at the end."""
    path = lookup(bundle.document, "/linux/cgroupsPath")
    if not isinstance(path, str) or not path:
        return
    if why := places.wrong_group(path):
        hint = "name a group of the container's own, or leave the path out"
        raise LaunchError(why, origin="config.json:/linux/cgroupsPath", hint=hint)
    if taken := group.group_in_use(path):
        raise group.taken_by_another(taken)


def _image_root(bundle: Bundle, path: str) -> str:
    """The unpacked image in which a path lies, '' where it lies in none: that belongs to ids of containers, which all
    see it read-only."""
    store = _annotations(bundle).get(IMAGE_STORE)
    roots = f"{os.path.realpath(store)}/roots/" if isinstance(store, str) else ""
    if not roots or os.path.normpath(path) != path or not path.startswith(roots):
        return ""
    return roots + path.removeprefix(roots).partition("/")[0]


def _sources(document: object) -> Iterator[tuple[str, str]]:
    """What a runtime opens of the host by its path, each with where the configuration says it."""
    root = lookup(document, "/root/path")
    if isinstance(root, str):
        yield root, "config.json:/root/path"
    for pointer, mount in _mounts(document):
        source = mount.get("source")
        if isinstance(source, str) and _binds(mount):
            yield source, f"config.json:{pointer}/source"


def _mounts(document: object) -> Iterator[tuple[str, dict[str, object]]]:
    """The entries of `/mounts`, each with its pointer."""
    for index, mount in enumerate(items(document, "/mounts")):
        if isinstance(mount, dict):
            yield f"/mounts/{index}", mount


def _binds(mount: dict[str, object]) -> bool:
    return is_bind(mount.get("type"), items(mount, "/options"))


def _root(bundle: Bundle) -> str:
    return os.path.join(bundle.directory, str(lookup(bundle.document, "/root/path")))


def _annotations(bundle: Bundle) -> dict[str, object]:
    return table(bundle.document, "/annotations")


def refuse_nodes(bundle: Bundle, program: str) -> None:
    """`LaunchError` for a root whose device nodes would work though a limit withholds devices: ``program`` mounts it as the
    host has it."""
    if NODES not in _annotations(bundle):
        return
    path = os.path.realpath(_root(bundle))
    with Step("look at the mounts of the root", "/root/path"):
        below = [mount for mount in mountinfo.read() if mount.place.startswith(f"{path}/")]
        working = [mount.place for mount in below if "nodev" not in mount.options]
        if not os.statvfs(path).f_flag & os.ST_NODEV:
            working.insert(0, path)
    if working:
        raise LaunchError(
            f"device nodes in {working[0]} would work under {os.path.basename(program)}, and a limit withholds devices",
            origin="config.json:/root/path",
            hint="--runtime native mounts it without; or mount that file system with nodev",
        )


def refuse_links(bundle: Bundle) -> None:
    """`LaunchError` for a mount point that was judged, and that a link of the root, or of what is mounted above it, leads
    elsewhere since. The runtime looks once more, so this only meets what has been there for a moment."""
    tops = {"": _root(bundle)}
    for pointer, mount in _mounts(bundle.document) if is_judged(_annotations(bundle)) else ():
        destination = mount.get("destination")
        if not isinstance(destination, str):
            continue
        place = destination.rstrip("/")
        cover = max((top for top in tops if place.startswith(f"{top}/")), key=len, default="")
        if tops[cover]:
            with Step(f"mount {mount.get('type', 'bind')} on {place}", f"{pointer}/destination"):
                links.require_none(tops[cover], place.removeprefix(cover).lstrip("/"))
        if _binds(mount):
            tops[place] = os.path.join(bundle.directory, str(mount.get("source")))
        elif COPIES not in items(mount, "/options"):  # with it, the links of what it covers are in it as well
            tops[place] = ""


def refuse_fifos(bundle: Bundle) -> None:
    """`LaunchError` for a mount point, or what stands above one, that is a FIFO: crun opens it, and waits for somebody at
    the other end."""
    try:
        top = os.open(_root(bundle), os.O_PATH | os.O_CLOEXEC)
    except OSError:  # the runtime will say so
        return
    with Opened(top):
        for pointer, mount in _mounts(bundle.document):
            destination = mount.get("destination")
            parts = destination.strip("/").split("/") if isinstance(destination, str) else []
            for end in range(1, len(parts) + 1):
                place = "/".join(parts[:end])
                if _is_fifo(top, place):
                    raise LaunchError(f"/{place} in the root is a FIFO", origin=f"config.json:{pointer}/destination")


def _is_fifo(top: int, path: str) -> bool:
    try:
        found = kernel.openat2(top, os.fsencode(path or "."), os.O_PATH, abi.IN_ROOT)
    except (OSError, ValueError):
        return False
    with Opened(found):
        return stat.S_ISFIFO(os.fstat(found).st_mode)


class _ExternalRun:
    """One run, in the order of its methods."""

    def __init__(
        self, bundle: Bundle, context: LaunchContext, mask: frozenset[int], report: receipt.Report | None
    ) -> None:
        self._bundle = bundle
        self._context = context
        self._state = os.path.join(context.directory.path, RUNTIME)
        asked = context.request
        self._runtime = RuntimeProgram(asked.runtime, asked.id, self._state, mask, crun=asked.crun)
        self._report = report
        self._secrets = context.secrets
        self._feed: Feed | None = None
        self._terminal = lookup(bundle.document, "/process/terminal") is True

    def run(self) -> int:
        """Create, watch, delete."""
        self._context.directory.make()  # before, so that the cleanup process has it locked, too
        cleanup = CleanupProcess(self._clean_up, without=[self._secrets.fd] if self._secrets is not None else [])
        try:
            self._runtime.make_state(self._bundle.document)
            return self._run(cleanup)
        finally:
            finally_do(
                self._runtime.delete,
                lambda: kill_orphans(spare=cleanup.pid),
                self._context.cleaning.finish,
                cleanup.dismiss,
            )

    def _clean_up(self, words: Iterator[str]) -> None:
        """What the cleanup process does: once this process is gone, end what the runtime has made, and remove it."""
        self._context.cleaning.after_kill(lambda: self._end(words), self._runtime.delete)

    def _end(self, words: Iterator[str]) -> None:
        creator = container = None
        for word in words:
            if word == CREATED:
                container = self._container()
            else:
                creator = open_process(int(word))
        if container is None:
            # A runtime that is killed over its work leaves more than one that has done it.
            select.select([creator] if creator is not None else [], [], [], CREATE_LONGEST if creator else CREATE_PAUSE)
            if creator is not None:
                kill(creator)
            container = self._container()
        if container is not None:
            # By itself: crun does not delete a container whose bundle has been swept away meanwhile.
            kill(container)
        kill_unfinished(self._state)

    def _container(self) -> int | None:
        """A pidfd of the container's first process; None when it has ended already, or was never made."""
        try:
            with open(os.path.join(self._state, "pid"), encoding="utf-8") as file:
                return open_process(int(file.read()))
        except (FileNotFoundError, ValueError):
            return None

    def _run(self, cleanup: CleanupProcess) -> int:
        listener = self._listen() if self._terminal else None
        standard, copies = self._standard_descriptors()
        pid = self._create(standard, cleanup)
        cleanup.tell(CREATED)
        for fd in standard:
            os.close(fd)
        if self._secrets is not None:
            self._secrets.give(pid)
        return self._watch(pid, listener, copies)

    def _listen(self) -> _socket.socket:
        listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        with Step("listen for the console"):
            listener.bind(os.path.join(self._state, "console"))
            listener.listen(1)
        return listener

    def _standard_descriptors(self) -> tuple[list[int], dict[int, int]]:
        """What the container gets as 0, 1 and 2, and the pipes to copy from.

        Runtimes give the standard descriptors to the container's user (fchown(2)). A nameless pipe of the caller's may
        have any owner; nothing else may, so a pipe stands between.
        """
        standard = []
        if self._context.request.stdin and not self._terminal:
            if is_nameless_pipe(0):
                standard.append(os.dup(0))
            else:
                self._feed = Feed()
                standard.append(self._feed.reader)
        else:
            reader, writer = os.pipe()
            os.close(writer)
            standard.append(reader)
        writers, copies = stand_between(lambda _status: False)
        return [*standard, *(writers[fd] if fd in writers else os.dup(fd) for fd in (1, 2))], copies

    def _create(self, standard: list[int], cleanup: CleanupProcess) -> int:
        pid_file = os.path.join(self._state, "pid")
        argv = self._runtime.argv("create", "--bundle", self._bundle.directory, "--pid-file", pid_file)
        if self._terminal:
            argv += ["--console-socket", os.path.join(self._state, "console")]
        creator = self._runtime.spawn([*argv, self._context.request.id], standard)
        cleanup.tell(str(creator))
        if os.waitstatus_to_exitcode(os.waitpid(creator, 0)[1]) != 0:
            raise self._failure("create")
        with open(pid_file, encoding="utf-8") as file:
            pid = int(file.read())
        self._runtime.created(pid)
        return pid

    def _watch(self, pid: int, listener: _socket.socket | None, copies: dict[int, int]) -> int:
        signals = kernel.signalfd(signal.valid_signals() - TERMINAL_USE)
        supervisor = Supervisor(pid, signals, keep_stdin=self._context.request.stdin)
        supervisor.copies = copies
        supervisor.observer = self._context.observer
        supervisor.reaps_orphans = True
        supervisor.feed = self._feed
        if listener is not None:
            supervisor.relay_terminal(_receive_console(listener))
        report = self._report
        if report is not None:
            with Step("trace the container's first process for its receipt", hint="run as root, or without a receipt"):
                target = self._context.request.receipt
                supervisor.trace_until_exec(report.helpers, lambda stopped: report.write(target, stopped))
        self._context.records.launched()
        supervisor.io = files.open_counter(pid, files.IO)
        supervisor.keep_memory(self._bundle.document)
        supervisor.count_network(self._bundle.document)
        # Not awaited here: a traced process may have to be let go on before the runtime returns.
        supervisor.helper = self._runtime.spawn(self._runtime.argv("start", self._context.request.id), None)
        try:
            status = supervisor.watch()
        finally:
            supervisor.reap_helper()
            os.close(signals)
            if self._feed is not None:
                self._feed.end()
        code = exit_code(status)
        # The container cannot write this log: what stands there is of the runtime, which could not execute.
        failed = code != 0 and (supervisor.helper_status != 0 or classify(self._runtime.message()) != EXIT_LAUNCHER)
        self._context.records.waited(status, "" if failed else self._why(code, supervisor))
        if failed:
            raise self._failure("start")
        supervisor.announce()
        return supervisor.settled(code)

    def _why(self, code: int, supervisor: Supervisor) -> str:
        """What the command was denied, which is told; empty where it has not failed, or the kernel does not say."""
        if not code:
            return ""
        from hardening.launch.supervise.denied import tell

        document = self._bundle.document
        groups = groups_anywhere(str(lookup(document, "/linux/cgroupsPath") or ""))
        return tell(supervisor.failed(code, document, groups), self._context)

    def _failure(self, verb: str) -> LaunchError:
        text = self._runtime.message() or "no reason given"
        name = os.path.basename(self._context.request.runtime)
        return LaunchError(f"{name} {verb}: {text}", exit_code=classify(text))


def _receive_console(listener: _socket.socket) -> int:
    """Accept the runtime's connection and take the terminal's master from it."""
    connection, _ = listener._accept()  # type: ignore[attr-defined]
    other = _socket.socket(fileno=connection)
    _, rights, _, _ = other.recvmsg(4096, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
    other.close()
    listener.close()
    if not rights:
        raise LaunchError("the runtime sent no terminal over its console socket")
    return int.from_bytes(rights[0][2][:4], "little")
