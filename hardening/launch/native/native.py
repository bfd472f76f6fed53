"""The native run: prepares what needs the caller's eyes and privileges, starts the container, cleans up after it."""

from __future__ import annotations

import _stat as stat

from hardening.base import files
from hardening.base.guarded import TERMINAL_USE, block_signals, complain, open_to_all, stand_between
from hardening.base.linux import abi, kernel
from hardening.base.linux.failure import Step
from hardening.base.linux.signals import signal
from hardening.base.linux.system import os
from hardening.errors import LaunchError
from hardening.launch.config import config
from hardening.launch.config.bundle import Bundle, load_filter
from hardening.launch.config.wanted import Wanted
from hardening.launch.native import sources, starting
from hardening.launch.native.channel import Channel, from_message, pair
from hardening.launch.supervise.cleaning import Cleaning, finally_do

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardening.base.linux.idmaps import IdMap
    from hardening.launch.cgroups import Cgroup
    from hardening.launch.context import LaunchContext
    from hardening.launch.native import joins
    from hardening.launch.native.setup import NativeSupervisor
    from hardening.launch.supervise.guard import Guard

#: The exit code of what SIGKILL has ended, of a shell also that waited for it, and what is said where memory is the reason.
KILLED, OUT_OF_MEMORY = 128 + signal.SIGKILL, "out of memory"


def run(bundle: Bundle, context: LaunchContext) -> int:
    """Run the bundle's command to its end: its exit code. `LaunchError` when it never ran; nothing is left then."""
    wanted = config.read(bundle.document, files.join(bundle.directory, "config.json"))
    _check_host(wanted, keep_stdin=context.request.stdin)
    mask = block_signals()
    with_group = wanted.resources is not None or bool(wanted.cgroups_path)
    watcher = context.watcher
    # Without a group, a bundle to be removed and an entry among the containers there is nothing that does not die with it.
    guard = None
    if with_group or context.cleaning.takes_bundle or (watcher is not None and watcher.needs_guard):
        guard = _stand_guard(context)
    group = None
    try:
        if guard is not None and watcher is not None:
            watcher.guarded = True
        if with_group:
            from hardening.launch.cgroups import Cgroup, limits

            group = Cgroup(guard.tell if guard is not None else None)
            group.create(wanted.cgroups_path or f"hardening-{os.getpid()}", limits(wanted.resources))
        return _Run(bundle, wanted, group, context, mask, guard).run()
    finally:
        finally_do(*([group.remove] if group is not None else []), context.cleaning.finish)
        if guard is not None:
            guard.dismiss()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _stand_guard(context: LaunchContext) -> Guard:
    from hardening.launch.supervise.guard import Guard

    secrets = context.secrets
    return Guard(lambda words: _clean(words, context.cleaning), without=secrets.fd if secrets is not None else -1)


def _clean(words: Iterator[str], cleaning: Cleaning) -> None:
    """What the guard does after a stage that was killed."""

    def remove_groups() -> None:
        heard = list(words)
        if heard:
            from hardening.launch.cgroups import remove_left

            remove_left(heard)

    cleaning.after_kill(remove_groups)


def _check_host(wanted: Wanted, *, keep_stdin: bool) -> None:
    """Refuse at once what would fail later, or worse, not fail."""
    if wanted.namespace("user") is None and not abi.has_capability(kernel.capget()[0], "CAP_SYS_ADMIN"):
        raise LaunchError(
            "without a user namespace only root can make the other namespaces",
            origin="config.json:/linux/namespaces",
            hint="add a user namespace with uidMappings and gidMappings, or run as root",
        )
    if wanted.device_rules:
        from hardening.launch.config import device_rules

        terminal = wanted.process.terminal
        device_rules.check_descriptors(wanted, () if terminal else (0, 1, 2) if keep_stdin else (1, 2))
    labels = [("/process/selinuxLabel", wanted.process.selinux_label)]
    labels += [(mount.pointer, value or "") for mount in wanted.mounts for key, value in mount.data if key == "context"]
    for pointer, label in labels:
        if label and not files.exists("/sys/fs/selinux/enforce"):
            raise LaunchError(
                f"the SELinux label {label} cannot be enforced: SELinux is not enabled on this host",
                origin=f"config.json:{pointer}",
                hint='boot with SELinux, or set requirement = "best-effort" for it',
            )


def may_write(wanted: Wanted, status: os.stat_result) -> bool:
    """Whether the permissions of a file let the command write to it, by its ids on the host."""
    process, mode = wanted.process, status.st_mode
    uids, gids = (wanted.uid_map, wanted.gid_map) if wanted.namespace("user") is not None else (None, None)
    if status.st_uid == _outside(uids, process.uid):
        return bool(mode & stat.S_IWUSR)
    if status.st_gid in [_outside(gids, gid) for gid in (process.gid, *process.groups)]:
        return bool(mode & stat.S_IWGRP)
    return bool(mode & stat.S_IWOTH)


def _outside(maps: tuple[IdMap, ...] | None, number: int) -> int:
    """The host's id for one of the container's; -1 where it is not known. ``maps`` None: there is no user namespace."""
    if maps is None:
        return number
    for line in maps:
        if line.inside <= number < line.inside + line.count:
            return line.outside + number - line.inside
    return -1


def _answer(channel: Channel, word: str) -> list[str]:
    """Wait for a message of the process that makes the namespaces: its fields. `LaunchError` for any other."""
    message, _ = channel.receive()
    if message[:1] == ["fail"]:
        raise from_message(message[1:])
    if message[:1] != [word]:
        raise LaunchError("the process that makes the namespaces exited unexpectedly")
    return message[1:]


class _Run:
    """One native run, in the order of its methods."""

    def __init__(
        self,
        bundle: Bundle,
        wanted: Wanted,
        group: Cgroup | None,
        context: LaunchContext,
        mask: frozenset[int],
        guard: Guard | None,
    ) -> None:
        self._guard = guard
        self._bundle = bundle
        self._directory = bundle.directory
        self._wanted = wanted
        self._group = group
        self._context = context
        self._mask = mask
        self._writers: dict[int, int] = {}  # 1 or 2 -> the end that the container gets in its place
        self._copies: dict[int, int] = {}
        self._program = b""  # the filter, once it is loaded

    def run(self) -> int:
        """Start, supervise, clean up."""
        self._protect_descriptors()
        trees = self._open_sources()
        try:
            channel, pid = self._start(trees)
        finally:
            if trees is not None:
                trees.close()
        # From here on the process makes its namespaces and mounts, while this one prepares what it will need of it.
        from hardening.launch.native.setup import NativeSupervisor

        signals = kernel.signalfd(signal.valid_signals() - TERMINAL_USE)
        supervisor = NativeSupervisor(self._wanted, channel, pid, signals, keep_stdin=self._context.request.stdin)
        supervisor.copies = self._copies
        supervisor.watcher = self._context.watcher
        supervisor.reaps_orphans = not self._wanted.creates("pid")
        supervisor.on_wait = self._prepare
        supervisor.on_release = self._context.records.launched
        try:
            self._begin(supervisor, channel)
            code = supervisor.run()
            self._context.records.waited(supervisor.status, self._why(code))
            return supervisor.settled(code)
        finally:
            os.close(signals)
            if not self._wanted.creates("pid"):
                from hardening.launch.supervise.supervise import kill_orphans

                kill_orphans(spare=self._guard.pid if self._guard is not None else 0)
            if not supervisor.executed:
                supervisor.remove_made()

    def _why(self, code: int) -> str:
        """Why the kernel has killed the command or what it waited for, which is told; empty where nothing is to be told."""
        resources = self._wanted.resources
        if code != KILLED or self._group is None or resources is None or resources.memory is None:
            return ""
        try:
            if not self._group.was_short_of_memory():
                return ""
        except OSError:  # it cannot be told
            return ""
        from hardening.base import units

        complain(
            f"OOM-killed (limit {units.show_size(resources.memory)}, process.resources.memory)\n"
            "hint: `hardening explain process.resources.memory`, with the profiles of the run, shows the line that decided"
        )
        if self._context.watcher is not None:
            self._context.watcher.why = OUT_OF_MEMORY
        return OUT_OF_MEMORY

    def _prepare(self) -> bytes:
        """What is done while the process builds its root: the last look at whether it is to run, the filter, which is
        checked, and the way of the records."""
        if self._context.confirm is not None:
            self._context.confirm()
        self._program = load_filter(self._bundle, self._wanted)
        self._context.records.prepare()
        return self._program

    def _protect_descriptors(self) -> None:
        """Put pipes between the command and what of the caller's it is not to have, or could not open again, unless the
        container has a terminal of its own."""
        if self._wanted.process.terminal:
            return
        self._writers, self._copies = stand_between(lambda status: may_write(self._wanted, status))
        if self._context.request.stdin:
            open_to_all(0, stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)

    def _open_sources(self) -> sources.Sources | None:
        try:
            return sources.open_sources(self._wanted, self._directory)
        except PermissionError:
            if any(mount.idmapped for mount in self._wanted.mounts):
                raise LaunchError(
                    "id-mapped mounts need privilege over the file system",
                    origin="config.json:/mounts",
                    hint="run as root, or leave idmap out",
                ) from None
            return None  # the user namespace will permit it

    def _start(self, trees: sources.Sources | None) -> tuple[Channel, int]:
        """Start the process that becomes the command, and map its ids: the channel to it and its pid."""
        channel, far_end = pair()
        if not self._wanted.creates("pid"):
            kernel.prctl(abi.PR_SET_CHILD_SUBREAPER, 1)
        joined = self._open_joined()
        try:
            setup = starting.Setup(
                wanted=self._wanted,
                bundle=self._directory,
                sources=trees,
                joined=joined,
                keep_stdin=self._context.request.stdin,
                signal_mask=self._mask,
                waits=self._has_to_wait(),
                writers=tuple(self._writers.items()),
                secrets=self._context.secrets,
            )
            pid = starting.start(setup, channel, far_end)
        finally:
            if joined is not None:
                joined.close()
        for writer in self._writers.values():
            os.close(writer)
        secrets = self._context.secrets
        if secrets is not None:
            secrets.close()
        try:
            if self._group is not None:
                with Step("move the container into its cgroup", "/linux/cgroupsPath"):
                    self._group.enter(pid)
            alone = starting.is_enough(self._wanted)
            if not alone:
                _answer(channel, "entered")
            self._prepare_ids(pid, trees)
            channel.send("mapped")
            if alone:
                return channel, pid
            second = int(_answer(channel, "child")[0])
        except (OSError, LaunchError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        os.waitpid(pid, 0)
        return channel, second

    def _open_joined(self) -> joins.Joins | None:
        if not any(namespace.path for namespace in self._wanted.namespaces):
            return None
        from hardening.launch.native import joins

        return joins.open_all(self._wanted)

    def _prepare_ids(self, pid: int, trees: sources.Sources | None) -> None:
        own = None
        if self._wanted.creates("user"):
            from hardening.base.linux import idmaps

            idmaps.write_maps(pid, self._wanted.uid_map, self._wanted.gid_map)
            if trees is not None and any(mount.own_idmap for mount in self._wanted.mounts):
                own = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if trees is not None:
                sources.map_ids(self._wanted, trees, own)
        finally:
            if own is not None:
                os.close(own)

    def _has_to_wait(self) -> bool:
        """Whether the process that becomes the command is to say nothing before it is known here."""
        return bool(self._context.request.receipt) or not starting.is_enough(self._wanted)

    def _begin(self, supervisor: NativeSupervisor, channel: Channel) -> None:
        """Let a process that waits go on to its mounts. An error is its end."""
        if not self._has_to_wait():
            return
        try:
            self._trace(supervisor)
            channel.send("begin")
        except BrokenPipeError:  # it has ended; whoever listens to it learns why
            return
        except (OSError, LaunchError):
            supervisor.send_signal(signal.SIGKILL)
            os.waitpid(supervisor.pid, 0)
            raise

    def _trace(self, supervisor: NativeSupervisor) -> None:
        target = self._context.request.receipt
        if target:
            from hardening.launch.record import receipt

            with Step("trace the container's first process for its receipt", hint="run as root, or without a receipt"):
                report = receipt.Report(self._bundle, self._context.secrets)
                supervisor.trace_until_exec(lambda stopped: report.write(target, stopped, self._program))
