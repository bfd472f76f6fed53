"""How the values of secrets get into the container and nowhere else (docs/reference/secrets.md).

They come in a sealed memfd (memfd_create(2)), which the whole program fills right before it becomes the launcher. Only
the process that puts them in their places reads it: the one that becomes the command, or for another runtime one that
enters the container's mount namespace before its start. Neither can be traced or leave a core dump (PR_SET_DUMPABLE). A file
lies on a tmpfs that is filled before it is mounted, read-only, so that no value touches a disk or a path of the host; a
variable goes to execve(2).
"""

from __future__ import annotations

import _stat as stat
import fcntl

from hardening.base import files
from hardening.base.frozen import Frozen
from hardening.base.linux import abi, children, kernel
from hardening.base.linux.failure import Step
from hardening.base.linux.system import os
from hardening.base.pointer import items, lookup
from hardening.errors import HardeningError, LaunchError
from hardening.launch.container.entering import OpenNamespaces
from hardening.launch.secret.secrets import ENV, MOUNT, PLACE, POINTER, Secret, named, unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_BLOCK = 1 << 16  # a tmpfs counts in pages, of which this is the largest
_SEALS = 0x0002 | 0x0004 | 0x0008  # F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE (fcntl(2))
_GET_SEALS = 1034
_HINT = "`hardening run` and `hardening launch` open the secrets that a configuration names and pass them"


class Handed(Frozen):
    """The secrets of one launch: what the configuration names, and the memfd ``fd`` with their values, of which this process
    holds no more than the descriptor. ``owner`` are the ids of the command, ``label`` is the SELinux label of mounts."""

    wanted: tuple[Secret, ...]
    fd: int
    owner: tuple[int, int]
    label: str

    def close(self) -> None:
        """Close the memfd here: what needs it has it."""
        os.close(self.fd)

    def put(self, find: Callable[[str], int]) -> dict[bytes, bytes]:
        """Mount the files in a root that is being built, as the process that becomes the command: its variables."""
        values = take(self.wanted, self.fd)
        self.mount(find, values)
        return variables(self.wanted, values)

    def give(self, pid: int) -> None:
        """Mount the files in a container that another runtime has created and not started, whose first process is ``pid``.
        The memfd is closed. `LaunchError`, also for a variable: the runtime has its environment from `config.json` alone."""
        for secret in self.wanted:
            if secret.kind == ENV:
                reason = f"the secret {secret.name} cannot be a variable under another runtime"
                raise LaunchError(
                    reason, origin=f"config.json:{POINTER}", hint="give it as a file, or use --runtime native"
                )
        with Step("start a process"):
            answer, code = children.ask(lambda writer: self._give(pid, writer))
        self.close()
        told = answer.decode("utf-8", "replace").split("\0")
        if len(told) == 3:  # all of it: it may have been killed while it wrote
            message, origin, hint = told
            raise LaunchError(message, origin=origin or None, hint=hint or None)
        if code or answer:
            raise LaunchError(f"the process that mounts the secrets ended with {code}")

    def _give(self, pid: int, writer: int) -> None:
        """Be the process that enters the container, and say what goes wrong there."""
        try:
            _enter(pid)  # which changes credentials, and with them what the next call keeps from core dumps
            values = take(self.wanted, self.fd)
            root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            self.mount(lambda path: _find(root, path), values)
            return
        except LaunchError as error:
            problem = error
        except (OSError, HardeningError, MemoryError) as error:
            problem = LaunchError(f"cannot mount the secrets: {error}")
        texts = (problem.message, str(problem.origin or ""), problem.hint or "")
        files.write_all(writer, "\0".join(text.replace("\0", "") for text in texts).encode("utf-8", "backslashreplace"))

    def observe(self, pid: int) -> list[dict[str, object]]:
        """What the kernel says of the files in a container, for its receipt: type, mode and owner as this process sees them,
        and never the content."""
        found: list[dict[str, object]] = []
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        for secret in self.wanted:
            row: dict[str, object] = {"name": secret.name, "type": secret.kind, "target": secret.target}
            if secret.kind == MOUNT:
                try:
                    fd = _find(root, secret.target)
                except OSError:
                    found.append({**row, "found": False})
                    continue
                status = os.fstat(fd)
                os.close(fd)
                row |= {
                    "found": stat.S_ISREG(status.st_mode),
                    "mode": stat.S_IMODE(status.st_mode),
                    "uid": status.st_uid,
                    "gid": status.st_gid,
                }
            found.append(row)
        os.close(root)
        return found

    def mount(self, find: Callable[[str], int], values: Mapping[str, bytes]) -> None:
        """Mount the secrets that are files. ``find`` opens (O_PATH) a path below the container's root, where the
        configuration has an empty mount for each place."""
        shown = [secret for secret in self.wanted if secret.kind == MOUNT]
        if not shown:
            return
        with Step("mount the secrets", POINTER):
            place = _place(find, PLACE)
            elsewhere = [secret for secret in shown if not secret.inside]
            if elsewhere:
                self._mount_elsewhere(find, place, elsewhere, values)
            tree = self._file_system({secret.inside: secret for secret in shown if secret.inside}, values)
            kernel.move_mount(tree, place)
            os.close(tree)
            os.close(place)

    def _mount_elsewhere(
        self, find: Callable[[str], int], place: int, elsewhere: list[Secret], values: Mapping[str, bytes]
    ) -> None:
        """Mount single files. They lie on a tmpfs that is in the tree for as long as they are taken from it."""
        tree = self._file_system({str(number): secret for number, secret in enumerate(elsewhere)}, values)
        kernel.move_mount(tree, place)
        for number, secret in enumerate(elsewhere):
            file = kernel.open_tree(tree, str(number).encode(), abi.OPEN_TREE_CLONE)
            target = _place(find, secret.target)
            kernel.move_mount(file, target)
            os.close(file)
            os.close(target)
        os.fchdir(tree)
        kernel.umount(b".", abi.MNT_DETACH)
        os.chdir("/")
        os.close(tree)

    def _file_system(self, placed: Mapping[str, Secret], values: Mapping[str, bytes]) -> int:
        """A detached, read-only tmpfs with the secrets in it, by their paths there."""
        folders = sorted({path[:at] for path in placed for at in range(len(path)) if path[at] == "/"})
        size = sum(len(values[secret.name]) // _BLOCK + 1 for secret in placed.values()) + len(folders) + 1
        options: list[tuple[str, str | None]] = [
            ("mode", "0755"),
            ("size", str(size * _BLOCK)),
            ("nr_inodes", str(len(placed) + len(folders) + 8)),
        ]
        options += [("context", self.label)] if self.label else []
        attributes = abi.MOUNT_ATTR_NOSUID | abi.MOUNT_ATTR_NODEV | abi.MOUNT_ATTR_NOEXEC
        tree = kernel.new_filesystem("tmpfs", options, attributes)
        for folder in folders:
            os.mkdir(folder, 0o755, dir_fd=tree)  # the mask is empty while a root is built
        for path, secret in placed.items():
            self._write(tree, path, secret, values[secret.name])
        kernel.mount_setattr(tree, add=abi.MOUNT_ATTR_RDONLY)
        return tree

    def _write(self, tree: int, path: str, secret: Secret, value: bytes) -> None:
        uid, gid = (
            own if said is None else said for said, own in zip((secret.uid, secret.gid), self.owner, strict=True)
        )
        with Step(f"write the secret {secret.name}", POINTER):
            files.create(path, value, secret.mode, tree)
        with Step(f"give the secret {secret.name} to {uid}:{gid}", POINTER, "the user namespace must map these ids"):
            os.chown(path, uid, gid, dir_fd=tree, follow_symlinks=False)


def handed(document: object, fd: int) -> Handed | None:
    """What a configuration names and was handed over as ``fd``, -1 for nothing; None where it names none. `LaunchError`
    where one does not go with the other."""
    wanted = named(document)
    require(wanted, fd)
    if not wanted:
        return None
    _require_shown(wanted, items(document, "/linux/maskedPaths"))
    ids = [lookup(document, f"/process/user/{key}") for key in ("uid", "gid")]
    owner = tuple(number if isinstance(number, int) else 0 for number in ids)
    label = lookup(document, "/linux/mountLabel")
    return Handed(wanted=wanted, fd=fd, owner=(owner[0], owner[1]), label=label if isinstance(label, str) else "")


def require(wanted: tuple[Secret, ...], fd: int) -> None:
    """`LaunchError` unless what was handed over (``fd``, -1 for nothing) can be what the configuration names."""
    if wanted and fd < 0:
        names = ", ".join(secret.name for secret in wanted)
        raise LaunchError(
            f"the values of secrets were not passed: {names}", origin=f"config.json:{POINTER}", hint=_HINT
        )
    if fd >= 0 and not wanted:
        raise LaunchError("secrets were passed that the configuration does not name", hint=_HINT)
    if fd >= 0 and fcntl.fcntl(fd, _GET_SEALS) & _SEALS != _SEALS:
        raise LaunchError("the secrets that were passed are not sealed", hint=_HINT)


def _require_shown(wanted: tuple[Secret, ...], masked: list[object]) -> None:
    """`LaunchError` for a file where something is masked: which of both is seen would depend on the runtime."""
    for path in masked:
        for secret in wanted:
            if secret.kind == MOUNT and f"{secret.target}/".startswith(f"{str(path).rstrip('/')}/"):
                reason = f"the secret {secret.name} cannot lie at {secret.target}, for {path} is masked"
                raise LaunchError(reason, origin="config.json:/linux/maskedPaths", hint="give it another target")


def take(wanted: tuple[Secret, ...], fd: int) -> dict[str, bytes]:
    """The values by name, read from the memfd, which is closed. From now on this process cannot be traced, nor leave a core
    dump. `LaunchError` where one is missing."""
    kernel.prctl(abi.PR_SET_DUMPABLE, 0)
    with Step("read the secrets"):
        data = os.pread(fd, os.fstat(fd).st_size, 0)
        os.close(fd)
    values = unpack(data)
    missing = [secret.name for secret in wanted if secret.name not in values]
    if missing:
        raise LaunchError(f"the value of a secret was not passed: {', '.join(missing)}", hint=_HINT)
    return values


def variables(wanted: Iterable[Secret], values: Mapping[str, bytes]) -> dict[bytes, bytes]:
    """The variables of the command's environment that are secrets. `LaunchError` for a value that none can hold."""
    found = {}
    for secret in wanted:
        if secret.kind == ENV:
            if b"\0" in values[secret.name]:
                reason = f"the secret {secret.name} cannot be a variable: it holds a NUL byte"
                raise LaunchError(reason, origin=f"config.json:{POINTER}", hint="give it as a file")
            found[files.encode(secret.target)] = values[secret.name]
    return found


def _place(find: Callable[[str], int], path: str) -> int:
    """The top of the empty mount at a path, through which nothing spreads (mount_namespaces(7))."""
    try:
        place = find(path)
        kernel.mount_setattr(place, propagation=abi.MS_PRIVATE)
    except OSError as error:
        text = "no mount of the configuration is there"
        raise OSError(error.errno, f"{path}: {error.strerror} ({text})") from error
    return place


def _enter(pid: int) -> None:
    """Enter the mount namespace of a process, and its user namespace, as whoever owns files there."""
    with Step("enter the container"):
        spaces = OpenNamespaces(pid, "user", "mnt")
        spaces.enter("user")
        spaces.enter("mnt")
    os.umask(0)


def _find(root: int, path: str) -> int:
    return kernel.openat2(root, files.encode(path.lstrip("/")), os.O_PATH, abi.IN_ROOT)
