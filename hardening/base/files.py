"""Paths as text, small files whole, and the one that tells of a process. (`os.path` and the buffered files of `io` take
longer than what they do.)"""

from __future__ import annotations

import _stat as stat
import errno
import sys

from hardening.base.linux.system import os

CHUNK = 1 << 12  # bytes; what fits into it costs no allocation of its own
MAX_LINKS = 40  # that the kernel follows on one way (path_resolution(7))
#: How the names begin of what is being written.
PARTIAL = ".partial-"
RELAYED = 1 << 16  # bytes that are passed on at once
#: Where fields stand in what `process` gives.
STATE, TERMINAL, FLAGS, USER_TIME, SYSTEM_TIME, STARTTIME = 0, 4, 6, 11, 12, 19
#: Files of a process in /proc: what it writes, and what its network namespace does.
IO, NETWORK = "io", "net/snmp"
PTS_MAJOR = 136
#: The locale that Python gives itself where it finds none that it can use (PEP 538).
_LOCALE, _COERCED = b"LC_CTYPE", (b"C.UTF-8", b"C.utf8", b"UTF-8")


def is_below(path: str, directory: str) -> bool:
    """Whether a path lies below a directory and is not that itself, by their names."""
    return path != directory and path.startswith(directory.rstrip("/") + "/")


def join(directory: str, name: str) -> str:
    """``name`` below ``directory``, or ``name`` itself where it is absolute."""
    return name if name.startswith("/") else f"{directory.rstrip('/')}/{name}"


def absolute(path: str) -> str:
    """A path from the root on, without `.`, `..` and repeated slashes, as `os.path.abspath` makes it."""
    parts: list[str] = []
    for part in join(os.getcwd(), path).split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def base(path: str) -> str:
    """What follows the last slash."""
    return path.rpartition("/")[2]


def parent(path: str) -> str:
    """What stands before the last slash; the root for what lies in it."""
    return path.rpartition("/")[0] or "/"


def encode(path: str) -> bytes:
    """A path as the kernel takes it; `UnicodeEncodeError` where the file system's encoding cannot say it."""
    return path.encode(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())


def decode(path: bytes) -> str:
    """A path of the kernel as text."""
    return path.decode(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())


def environment() -> dict[str, str]:
    """The variables of the environment as text, as they were when this process began."""
    variables: dict[bytes, bytes] = os.environ  # type: ignore[assignment]  # which `posix` has as bytes
    return {decode(name): decode(value) for name, value in variables.items()}


def restore_environment() -> None:
    """Have the environment as it was at execve(2), also for whatever is started from here: without the locale that Python
    has put there for itself. Where that cannot be told it stays."""
    variables: dict[bytes, bytes] = os.environ  # type: ignore[assignment]
    if variables.get(_LOCALE) not in _COERCED:
        return
    try:
        begun = dict(item.partition(b"=")[::2] for item in _bytes("/proc/self/environ").split(b"\0"))
    except OSError:
        return
    if _LOCALE not in begun:
        os.unsetenv(_LOCALE)
        del variables[_LOCALE]
    elif begun[_LOCALE] != variables[_LOCALE]:
        os.putenv(_LOCALE, begun[_LOCALE])
        variables[_LOCALE] = begun[_LOCALE]


def is_text(word: str) -> bool:
    """Whether a word of a command line, or the value of a variable, is UTF-8, as configurations are."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def exists(path: str) -> bool:
    """Whether something lies at a path, a link that leads nowhere included."""
    try:
        os.lstat(path)
    except OSError:
        return False
    return True


def same(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether two results of stat(2) are of one file."""
    return (one.st_ino, one.st_dev) == (other.st_ino, other.st_dev)


def read(path: str) -> str:
    """A file of /proc or /sys as text; bytes that are no UTF-8 become surrogates. `OSError`."""
    return _bytes(path).decode("utf-8", "surrogateescape")


def _bytes(path: str) -> bytes:
    with Opened(os.open(path, os.O_RDONLY | os.O_CLOEXEC)) as fd:
        return read_all(fd)


def read_all(fd: int) -> bytes:
    """Whatever comes out of a descriptor until its end. `OSError`."""
    parts = []
    while part := os.read(fd, CHUNK):
        parts.append(part)
    return b"".join(parts)


def process(pid: int | str) -> list[str]:
    """What the kernel says of a process (or ``self``) after its name, which may hold anything: the fields of
    proc_pid_stat(5) from the state on. `OSError`."""
    return read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def open_counter(pid: int, name: str) -> int:
    """A file of a process in /proc that counts something, to be read once the process has ended: a descriptor, -1 where the
    host hides it."""
    try:
        return os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def processor_time(pid: int | str) -> float:
    """Seconds of processor time that a process has had, without its children's. `OSError`."""
    fields = process(pid)
    return (int(fields[USER_TIME]) + int(fields[SYSTEM_TIME])) / os.sysconf("SC_CLK_TCK")


def started(pid: int | str) -> int | None:
    """When a process started, in ticks of the clock since the boot, which tells it from a later one of the same number; None
    where there is none, or only its zombie. `OSError`."""
    try:
        fields = process(pid)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[STATE] in ("Z", "X") else int(fields[STARTTIME])


def terminal() -> str | None:
    """The controlling terminal's name below /dev, which no redirection changes; None without one (proc_pid_stat(5))."""
    try:
        device = int(process("self")[TERMINAL])
    except OSError:
        return None
    major, minor = os.major(device), os.minor(device)
    if device == 0:
        return None
    if major == PTS_MAJOR:
        return f"pts/{minor}"
    try:
        return base(os.readlink(f"/sys/dev/char/{major}:{minor}"))
    except OSError:
        return f"{major}:{minor}"


def write(path: str, text: str) -> None:
    """Write a file of /proc or /sys that is there, in one write(2). `OSError`."""
    with Opened(os.open(path, os.O_WRONLY | os.O_CLOEXEC)) as fd:
        os.write(fd, text.encode("utf-8", "surrogateescape"))


def open_file(path: str, folder: int | None = None, *, follow: bool = False) -> int:
    """A descriptor of a regular file, to read it: through a symbolic link only where they are to be ``follow``ed, and never
    waiting for who would write into a FIFO in its place. Raises `OSError`."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    return regular(os.open(path, flags, dir_fd=folder), path)


def regular(fd: int, path: str) -> int:
    """A descriptor of a regular file; `OSError` for another one, which is closed."""
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is not a regular file", path)
    return fd


def open_own(path: str, flags: int, folder: int | None = None) -> int:
    """A descriptor of a regular file that has no other name, to write it, with more ``flags`` (open(2)); one that is made is
    only its owner's. Written through is neither a symbolic link nor a hard one, and nobody is waited for who would read from
    a FIFO in its place. Raises `OSError`."""
    # To open a device would already do something, and nobody else can put one there after the look.
    try:
        _require_one_name(os.stat(path, dir_fd=folder, follow_symlinks=False), path)
    except FileNotFoundError:
        if not flags & os.O_CREAT:
            raise
    flags |= os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600, dir_fd=folder)
    try:
        _require_one_name(os.fstat(fd), path)
    except OSError:
        os.close(fd)
        raise
    return fd


def _require_one_name(status: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", path)
    if status.st_nlink > 1:
        raise OSError(errno.EMLINK, "it has other names, too (hard links)", path)


def create(path: str, data: bytes, mode: int = 0o600, folder: int | None = None, *, durable: bool = False) -> None:
    """Write a file that is not there yet; until it is whole, only its owner can read it. ``durable`` content is on the disk
    afterwards. Raises `OSError`; then nothing is left of it."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    whole = False
    try:
        write_all(fd, data)
        os.fchmod(fd, mode)
        if durable:
            os.fsync(fd)
        whole = True
    finally:
        os.close(fd)
        if not whole:
            os.unlink(path, dir_fd=folder)


def replace(
    path: str, data: bytes, mode: int = 0o600, folder: int | None = None, *, within: str = "", durable: bool = False
) -> None:
    """Have ``data`` at a path, which may be seen from a ``folder``, all of it or nothing, in the place of the file or the
    link that is there. It is written in its directory, or one ``within`` the same file system, under a name that begins with
    `PARTIAL`. Raises `OSError`, also for a device or a pipe, which is not replaced; then all is as it was, unless the disk
    fails at the last (EIO of fsync(2))."""
    _require_replaceable(path, folder)
    directory = path.rpartition("/")[0] or ("/" if path.startswith("/") else ".")
    partial = join(within or directory, f"{PARTIAL}{os.urandom(6).hex()}")
    with open_names(directory, folder, durable=durable) as names:
        create(partial, data, mode, folder, durable=durable)
        renamed = False
        try:
            os.rename(partial, path, src_dir_fd=folder, dst_dir_fd=folder)
            renamed = True
        finally:
            if not renamed:
                os.unlink(partial, dir_fd=folder)
        if durable:
            os.fsync(names)


def _require_replaceable(path: str, folder: int | None) -> None:
    try:
        mode = os.stat(path, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode)):  # rename(2) refuses a directory
        raise OSError(errno.EEXIST, "it is not a regular file", path)


def make_directory(path: str, mode: int, folder: int | None = None) -> bool:
    """Make a directory of just this mode, whatever the umask; False where something of its name is there. Raises
    `OSError`."""
    # Not by chmod(2) afterwards: one who is killed in between would leave another mode for ever.
    umask = os.umask(0)
    try:
        os.mkdir(path, mode, dir_fd=folder)
    except FileExistsError:
        return False
    finally:
        os.umask(umask)
    return True


def open_names(directory: str, folder: int | None = None, *, durable: bool = True) -> Opened:
    """A directory, for a block that changes its names, and where they are to be ``durable`` has them on the disk (fsync(2)).
    That needs one that can be listed, and fails before anything is changed where it cannot. Raises `OSError`."""
    access = os.O_RDONLY if durable else os.O_PATH
    return Opened(os.open(directory, access | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder))


def sync(directory: str) -> None:
    """Have the names in a directory on the disk. Raises `OSError`, as fsync(2) does."""
    with open_names(directory) as names:
        os.fsync(names)


def write_all(fd: int, data: bytes) -> None:
    """Write all of it: one write(2) may take a part, on a disk that fills up. `OSError`."""
    rest = memoryview(data)  # and no copy, in which a secret would stay
    while rest:
        rest = rest[os.write(fd, rest) :]


def relay(fd: int, data: bytes) -> int:
    """Write all of ``data``; the number of an error that the writer of it should have met (a full disk, a reader that is
    gone), 0 for none. A terminal that is hung up is none, the container goes on."""
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            from select import POLLOUT, poll

            writable = poll()
            writable.register(fd, POLLOUT)
            writable.poll()
        except OSError as error:
            return 0 if error.errno == errno.EIO else error.errno or errno.EIO
    return 0


class Opened:
    """A descriptor that is closed at the end of a ``with`` block, which gives a lock on it back:
    ``with Opened(locks.lock(path)):``."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __enter__(self) -> int:
        return self.fd

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)
