"""Where the records of launches go: the kernel's audit system, else journald, else a file of the caller's own.

The first sink that keeps a record is the one. Nothing here waits for a disk: what the kernel or journald has taken, or
what write(2) has put into the file, counts as kept.
"""

from __future__ import annotations

import errno
import fcntl
import select
import sys
from _stat import S_ISREG

from hardening.launch import abi, files, jsontext, kernel
from hardening.launch.system import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Protocol

    class Sink(Protocol):
        """One place for records."""

        name: str
        #: Bytes of text that the longest field of a record may have.
        longest: int

        def write(self, record: dict[str, object]) -> bool:
            """Put one record there: whether it is sure that it is kept. `OSError` when it is not."""
            ...

        def close(self) -> None:
            """Let go of it."""
            ...


NLMSG_HEADER = 16  # sizeof(struct nlmsghdr)
AUDIT_VIRT_CONTROL = 2500  # libaudit.h: "Start, Pause, Stop VM", what libvirt writes of its containers
TIMEOUT = 2000  # milliseconds that a sink has to answer

JOURNAL = "/run/systemd/journal/socket"
MESSAGE_ID = "8d6f1f3d0f6a4e0f9c0b6f2b6d1c7a52"  # of every record, for `journalctl MESSAGE_ID=`
WARNING, INFORMATION = "4", "6"  # syslog(3)

FILE = "records.jsonl"
OLD_FILE = "records.1.jsonl"
MAX_FILE = 8 << 20  # bytes; then the file becomes the old one


class Audit:
    """The kernel's audit system (audit(7)), which stamps each record with the caller's own login uid."""

    name = "audit"
    longest = 1400

    def __init__(self) -> None:
        """Ask for the state of the audit system: a thread of the kernel answers, meanwhile there is other work to do.

        `OSError` where there is none, or for nobody in the caller's place.
        """
        self._socket = kernel.socket(abi.AF_NETLINK, abi.SOCK_RAW, abi.NETLINK_AUDIT)
        self._sequence = 0
        self._certain: bool | None = None
        try:
            self._send(abi.AUDIT_GET, b"", abi.NLM_F_REQUEST)
        except OSError:
            os.close(self._socket)
            raise
        self._waiting = True  # for the answer, which comes once

    def connected(self) -> Audit:
        """This, once the answer is there. `OSError` where the caller may not write, or nobody would keep what is written."""
        if self._certain is None:
            self._certain = self._is_kept()
        return self

    def _is_kept(self) -> bool:
        """Whether a daemon takes the records; False where only CAP_AUDIT_CONTROL could tell.

        Without a daemon they would go to the kernel's ring buffer, and with auditing off nowhere, both without an error.
        """
        if not self._waiting:
            raise OSError(errno.ENOTCONN, "it has been asked before")
        self._waiting = False
        try:
            kind, payload = self._receive()
        except PermissionError:
            if kernel.capget()[0] >> abi.CAPABILITIES.index("CAP_AUDIT_WRITE") & 1:
                return False
            raise
        enabled, daemon = (int.from_bytes(payload[at : at + 4], sys.byteorder) for at in (4, 12))
        if kind != abi.AUDIT_GET or not enabled or not daemon:
            raise OSError(errno.ENOTCONN, "no audit daemon takes records")
        return True

    def write(self, record: dict[str, object]) -> bool:
        """Send one user message and wait until the kernel has taken it."""
        text = audit_text(record).encode("ascii")
        if len(text) >= abi.AUDIT_MESSAGE_TEXT_MAX:
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        self._send(AUDIT_VIRT_CONTROL, text + b"\0", abi.NLM_F_REQUEST | abi.NLM_F_ACK)
        self._receive()
        return bool(self._certain)

    def close(self) -> None:
        """Close the socket."""
        os.close(self._socket)

    def _send(self, kind: int, payload: bytes, flags: int) -> None:
        self._sequence += 1
        order = sys.byteorder
        size = NLMSG_HEADER + len(payload)
        header = (size.to_bytes(4, order), kind.to_bytes(2, order), flags.to_bytes(2, order))
        os.write(self._socket, b"".join((*header, self._sequence.to_bytes(4, order), bytes(4), payload)))

    def _receive(self) -> tuple[int, bytes]:
        """The type and the content of the answer. `OSError`, also where it says so."""
        order = sys.byteorder
        ready = select.poll()
        ready.register(self._socket, select.POLLIN)
        while True:
            if not ready.poll(TIMEOUT):
                raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
            data = os.read(self._socket, abi.AUDIT_MESSAGE_TEXT_MAX)
            if int.from_bytes(data[8:12], order) != self._sequence:
                continue
            answer = int.from_bytes(data[4:6], order)
            if answer == abi.NLMSG_ERROR:
                number = -int.from_bytes(data[16:20], order, signed=True)
                if number:
                    raise OSError(number, os.strerror(number))
            return answer, data[NLMSG_HEADER:]


class Journal:
    """journald, by its native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL)."""

    name = "journald"
    longest = 16384

    def __init__(self, path: str = JOURNAL) -> None:
        """Connect. `OSError` where no journald listens."""
        self._socket = kernel.socket(abi.AF_UNIX, abi.SOCK_DGRAM)
        try:
            kernel.connect_unix(self._socket, files.encode(path))
            os.set_blocking(self._socket, False)
        except OSError:
            os.close(self._socket)
            raise

    def write(self, record: dict[str, object]) -> bool:
        """Send one datagram."""
        fields = {
            "MESSAGE": f"{record['event']} {record['id']}",
            "MESSAGE_ID": MESSAGE_ID,
            "PRIORITY": WARNING if record["event"] == "refused" else INFORMATION,
            "SYSLOG_IDENTIFIER": "hardening",
            "HARDENING_EVENT": record["event"],
            "HARDENING_ID": record["id"],
            "HARDENING_RECORD": jsontext.dump(record),
        }
        # JSON text has no line breaks, and neither have the others.
        data = "".join(f"{name}={value}\n" for name, value in fields.items()).encode("ascii")
        ready = select.poll()
        ready.register(self._socket, select.POLLOUT)
        if not ready.poll(TIMEOUT):
            raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        os.write(self._socket, data)
        return True

    def close(self) -> None:
        """Close the socket."""
        os.close(self._socket)


class File:
    """A file of JSON lines that only its owner can read, at `locations`."""

    name = "file"
    longest = 16384

    def __init__(self, directory: str) -> None:
        """Open the file, made with its directory if missing. `OSError` where that cannot be, or others could write it."""
        self.path = files.join(directory, FILE)
        make(directory, 0o700)
        self._directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            require_own(os.fstat(self._directory))
            self._fd = self._open()
        except OSError:
            os.close(self._directory)
            raise

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(FILE, flags, 0o600, dir_fd=self._directory)
        try:
            status = os.fstat(fd)
            require_own(status)
            if not S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "not a regular file")
        except OSError:
            os.close(fd)
            raise
        return fd

    def write(self, record: dict[str, object]) -> bool:
        """Append one line, or nothing at all."""
        line = (jsontext.dump(record) + "\n").encode("ascii")
        size = self._lock()
        try:
            if size and size + len(line) > MAX_FILE:
                os.rename(FILE, OLD_FILE, src_dir_fd=self._directory, dst_dir_fd=self._directory)
                os.close(self._fd)
                self._fd = self._open()
                fcntl.flock(self._fd, fcntl.LOCK_EX)
                size = os.fstat(self._fd).st_size
            written = os.write(self._fd, line)
            if written < len(line):  # a full disk takes what it can
                os.ftruncate(self._fd, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        return True

    def close(self) -> None:
        """Close the file and its directory."""
        os.close(self._fd)
        os.close(self._directory)

    def _lock(self) -> int:
        """Lock the file that has the name now, as another process may have made it the old one: its size."""
        while True:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                named = os.stat(FILE, dir_fd=self._directory, follow_symlinks=False).st_ino
            except FileNotFoundError:
                named = 0
            status = os.fstat(self._fd)
            if named == status.st_ino:
                return status.st_size
            os.close(self._fd)
            self._fd = self._open()


def require_own(status: os.stat_result) -> None:
    """Raise `OSError` unless this is the caller's and nobody else can write to it."""
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise OSError(errno.EPERM, f"not only uid {os.geteuid()} could write to it")


def make(directory: str, mode: int) -> None:
    """Make a directory with those above it, unless it is there. `OSError`."""
    try:
        os.mkdir(directory, mode)
    except FileExistsError:
        return
    except FileNotFoundError:
        # As `hardening.state` makes its directory, which this may be: mapped ids of containers pass through it.
        make(files.parent(directory), 0o711)
        os.mkdir(directory, mode)
    os.chmod(directory, mode)


def locations(environment: Mapping[str, str]) -> Iterator[str]:
    """The directories for the file of records, the best first: a place that outlives a session and a start of the
    machine, else one that does not."""
    explicit = environment.get("HARDENING_STATE")
    if explicit:
        yield files.join(explicit if explicit.startswith("/") else files.absolute(explicit), "records")
    if os.geteuid() == 0:
        yield from ("/var/log/hardening", "/run/hardening/records")
    else:
        home = environment.get("HOME", "")
        state = environment.get("XDG_STATE_HOME") or (files.join(home, ".local/state") if home else "")
        if state.startswith("/"):
            yield files.join(state, "hardening/records")
        # Another user's HOME comes along where nothing but the ids was changed. To ask the user database is slow.
        own = _home()
        if own not in ("", home):
            yield files.join(own, ".local/state/hardening/records")
        if environment.get("XDG_RUNTIME_DIR"):
            yield files.join(environment["XDG_RUNTIME_DIR"], "hardening/records")


def _home() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return ""


class Places:
    """All sinks of a caller, and those of them that were opened. Some variables of ``environment`` say where the caller's
    own file lies (`locations`)."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._opened: list[Sink] = []
        self._audit: Audit | None = None
        try:
            self._audit = Audit()
        except OSError:  # a kernel without
            return
        self._opened.append(self._audit)

    def each(self) -> Iterator[tuple[str, Callable[[], Sink]]]:
        """Every sink in the order in which it is tried: what it is, and what opens it or raises `OSError`."""
        if self._audit is not None:
            yield "the audit system", self._audit.connected
        yield "journald", lambda: self._keep(Journal())
        for place in locations(self._environment):
            yield place, lambda place=place: self._keep(File(place))  # type: ignore[misc]

    def _keep(self, sink: Sink) -> Sink:
        self._opened.append(sink)
        return sink

    def close(self) -> None:
        """Close every sink."""
        for sink in self._opened:
            sink.close()


def encode(text: str) -> str:
    """An untrusted text as the value of an audit field, as audit_encode_nv_string(3) has it: in quotes, or in hexadecimal
    where it holds a quote, a space, or what is not printable ASCII."""
    plain = text.isascii() and text.isprintable() and not any(char in text for char in "\"' ")
    return f'"{text}"' if plain else text.encode("utf-8", "backslashreplace").hex().upper()


#: Who wrote a record, in the field where libvirt and others say what they are.
AUDIT_WRITER = "hardening"
OPERATIONS = {"launch": "start", "refused": "start", "exception": "exception", "end": "stop"}
#: What of a record goes into an audit message, and its name there. Names that audit knows are shown by `ausearch -i` as
#: what they mean.
AUDIT_NAMES = {"command": "cmd", "code": "exit-code", "signal": "sig", "not_enforced": "not-enforced", "id": "vm"}
AUDIT_PLAIN = ("gid", "spec", "result", "code", "signal", "seconds")
AUDIT_TEXTS = (
    *("id", "runtime", "command", "image", "profiles", "enforced", "partly", "not_enforced", "setting", "reason"),
    *("ticket", "expires", "origin", "error"),
)


def audit_text(record: dict[str, object]) -> str:
    """A record as the text of an audit message. The kernel adds pid, uid, auid and ses (and is to be believed)."""
    event = str(record["event"])
    fields = {"virt": AUDIT_WRITER, "op": OPERATIONS[event]}
    for name, value in record.items():
        if value in (None, [], ""):
            continue
        if name in AUDIT_PLAIN:
            fields[AUDIT_NAMES.get(name, name)] = str(value)
        elif name in AUDIT_TEXTS:
            fields[AUDIT_NAMES.get(name, name)] = encode(_as_text(name, value))
    fields |= {"exe": encode(sys.executable or "?"), "hostname": "?", "addr": "?"}
    fields["terminal"] = str(record["terminal"] or "?")
    fields["res"] = "failed" if event == "refused" else "success"
    return " ".join(f"{name}={value}" for name, value in fields.items())


def _as_text(name: str, value: object) -> str:
    if not isinstance(value, list):
        return str(value)
    if name == "command":
        return " ".join(map(quote, value))
    if name == "profiles":
        return _fitting([f"{escape(item['name'])}:{item['sha256'] or '-'}" for item in value])
    return ",".join(map(escape, value))


def _fitting(pairs: list[str]) -> str:
    """The first of many profiles, and how many more there are: a message has an end. The digest of the specification
    covers them all."""
    kept: list[str] = []
    size = 0
    for pair in pairs:
        size += len(pair.encode("utf-8", "backslashreplace")) + 1
        if size > Audit.longest:
            return ",".join([*kept, f"+{len(pairs) - len(kept)}"])
        kept.append(pair)
    return ",".join(kept)


def escape(name: str) -> str:
    """A name in a list that commas divide, and without spaces, for which the list would be in hexadecimal."""
    return name.replace("%", "%25").replace(",", "%2C").replace(" ", "%20")


def quote(word: str) -> str:
    """A word as the shell would read it, as shlex.quote(), which costs too much to import."""
    if word and word.isascii() and all(char.isalnum() or char in "@%+=:,./-_" for char in word):
        return word
    return "'" + word.replace("'", "'\"'\"'") + "'"
