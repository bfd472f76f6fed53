"""Commands that fail by their own doing, by the modes of their own files, by a sandbox or a limit of their own, by the host:
no stack is the reason, whatever the errno."""

from __future__ import annotations

from types import MappingProxyType

_PYTHON = "import ctypes, errno, os, resource, signal, socket, struct, sys\nlibc = ctypes.CDLL(None, use_errno=True)\n"
#: A filter that answers one call and allows the others: load the number, compare, return.
_FILTER = """
def restrict(number, answer):
    steps = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (6, 0, 0, answer), (6, 0, 0, 0x7fff0000)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = struct.pack("@HP", len(steps), ctypes.addressof(code))
    libc.prctl(38, 1, 0, 0, 0)
    if libc.prctl(22, 2, ctypes.create_string_buffer(program), 0, 0):
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
"""
_LANDLOCK = """
rules = libc.syscall(444, ctypes.byref(ctypes.c_uint64(1 << 1 | 1 << 8)), 8, 0)
libc.prctl(38, 1, 0, 0, 0)
if libc.syscall(446, rules, 0):
    sys.exit("landlock")
"""


def _sh(text: str) -> tuple[str, ...]:
    return ("sh", "-c", "cd /tmp && " + text)


def _py(text: str) -> tuple[str, ...]:
    return ("/usr/bin/python3", "-c", _PYTHON + "os.chdir('/tmp')\n" + text)


#: by who is the reason, and by what it does: the command
CONTROLS = MappingProxyType(
    {
        "modes": {
            "reads a file without rights": _sh("touch f; chmod 000 f; cat f"),
            "writes a read-only file": _sh("touch f; chmod 444 f; echo x >f"),
            "executes what is not executable": _sh("echo true >f; chmod 644 f; ./f"),
            "enters a directory without rights": _sh("mkdir d; chmod 000 d; cd d"),
            "removes from a read-only directory": _sh("mkdir d; touch d/f; chmod 555 d; rm -f d/f"),
            "makes a directory in a read-only one": _sh("mkdir d; chmod 555 d; mkdir d/e"),
            "makes a file in a read-only directory": _sh("mkdir d; chmod 555 d; touch d/f"),
            "lists a directory that cannot be read": _sh("mkdir d; chmod 311 d; ls d"),
            "renames out of a read-only directory": _sh("mkdir d; touch d/f; chmod 555 d; mv d/f f"),
            "opens a library without rights": _py(
                "open('l.so', 'w').close(); os.chmod('l.so', 0)\nctypes.CDLL('/tmp/l.so')"
            ),
        },
        "names": {
            "reads what is missing": _sh("cat missing"),
            "executes what is missing": _sh("./missing"),
            "goes through a file": _sh("touch f; cat f/g"),
            "follows a loop": _sh("ln -s l l; cat l"),
            "reads a directory": _sh("mkdir d; cat d"),
            "removes a full directory": _sh("mkdir d; touch d/f; rmdir d"),
            "makes a directory twice": _sh("mkdir d; mkdir d"),
            "has a name that is too long": _sh("touch $(printf '%0300d' 0)"),
        },
        "itself": {
            "ends with 1": _sh("exit 1"),
            "finds nothing": _sh("grep -q missing /etc/passwd"),
            "says that it is not permitted": _sh("echo 'mount: Operation not permitted' >&2; exit 1"),
            "says that permission is denied": _sh("echo 'open: Permission denied' >&2; exit 126"),
            "says that the disk is read-only": _sh("echo 'Read-only file system' >&2; exit 1"),
            "says that a function is not implemented": _sh("echo 'clone3: Function not implemented' >&2; exit 1"),
            "speaks of what it has not looked for": _sh("echo /root/x, CAP_NET_RAW, no new privileges, $$ >&2; exit 3"),
            "raises EPERM": _py("raise PermissionError(errno.EPERM, 'Operation not permitted')"),
            "ends with 159": _sh("exit 159"),
            "ends with 137": _sh("exit 137"),
            "sends itself SIGSYS": _sh("sh -c 'kill -SYS $$'"),
            "sends itself SIGKILL": _sh("sh -c 'kill -KILL $$'"),
            "sends itself SIGXFSZ": _sh("sh -c 'kill -XFSZ $$'"),
            "has a child that sends itself SIGSYS": _sh("sh -c 'kill -SYS $$'; exit 3"),
            "runs out of time": _sh("timeout 0.2 sleep 9"),
            "calls with a bad descriptor": _py("os.close(99)"),
            "calls with a bad argument": _py("os.lseek(os.open('/etc/passwd', os.O_RDONLY), -1, 9)"),
            "signals nobody": _py("os.kill(99999, 15)"),
            "waits for nobody": _py("os.wait()"),
            "probes for clone3 and fails later": _py("libc.syscall(435, 0, 0)\nsys.exit('no such luck')"),
            "probes a hidden place and fails later": _sh("cat /root/.netrc 2>/dev/null; cat missing"),
        },
        "limits": {
            "lowers its open files": _py(
                "resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))\nfiles = [open('/etc/passwd'), open('/etc/passwd')]"
            ),
            "lowers its size of files": _sh("ulimit -f 1; head -c 9000 /dev/zero >f"),
            "lowers its memory": _py("resource.setrlimit(resource.RLIMIT_AS, (1 << 28, 1 << 28))\nbytearray(1 << 29)"),
            "lowers its processor time": _py("resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True: pass"),
        },
        "sandboxes": {
            "has a filter of its own": _py(_FILTER + "restrict(83, 0x50001)\nos.mkdir('d')"),
            "has a filter of its own that answers ENOSYS": _py(_FILTER + "restrict(83, 0x50000 | 38)\nos.mkdir('d')"),
            "has a filter of its own that kills": _py(_FILTER + "restrict(83, 0x80000000)\nos.mkdir('d')"),
            "has a child with a filter that kills": _py(
                _FILTER
                + "if os.fork() == 0:\n    restrict(83, 0x80000000)\n    os.mkdir('d')\nsys.exit(os.wait()[1] and 1)"
            ),
            "has a Landlock domain": _py(_LANDLOCK + "open('f', 'w')"),
            "has a Landlock domain in which it executes nothing": _py(
                _LANDLOCK.replace("1 << 1 | 1 << 8", "1") + "os.execv('/bin/true', ['true'])"
            ),
            "keeps itself from writing and executing": _py(
                "import mmap\nlibc.prctl(65, 1, 0, 0, 0)\nmmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)"
            ),
        },
        "host": {
            "asks for a larger pipe than the host lets anybody have": _py(
                "import fcntl\nfcntl.fcntl(os.pipe()[1], fcntl.F_SETPIPE_SZ, 1 << 26)"
            ),
            "writes to a full device": _sh("echo x >/dev/full"),
            "connects to a socket that is missing": _py("socket.socket(socket.AF_UNIX).connect('/tmp/missing')"),
            "connects to a port where nobody listens": _py("socket.create_connection(('127.0.0.1', 9))"),
            "binds a port twice": _py(
                "s = socket.socket(); s.bind(('127.0.0.1', 8099)); s.listen()\nsocket.socket().bind(('127.0.0.1', 8099))"
            ),
        },
    }
)

#: Of an ordinary user, and files of root's in a volume (`{}`) that `OWNED` makes: the volume, with its options, and a
#: command that is denied the same without a stack.
OWNED = """
cd {} && mkdir shown shown/closed && chmod 700 shown/closed && touch shown/closed/f && mkdir -m 1777 shown/sticky
touch shown/sticky/f && echo s >shown/secret && chmod 600 shown/secret && echo f >shown/file && mkdir shown/folder
chmod 755 . shown shown/folder; chmod 644 shown/file
"""
OF_OTHERS = MappingProxyType(
    {
        "reads a file without rights": (("-v", "{}/shown:/d:ro"), _sh("cat /d/secret")),
        "reads a volume without rights": (("-v", "{}/shown/secret:/f:ro"), _sh("cat /f")),
        "lists a folder without rights": (("-v", "{}/shown:/d:ro"), _sh("ls /d/closed")),
        "goes through a folder without rights": (("-v", "{}/shown:/d:ro"), _sh("cat /d/closed/f")),
        "writes another's file": (("--in-place", "-v", "{}/shown:/d"), _sh("echo y >>/d/file")),
        "writes another's volume": (("--in-place", "-v", "{}/shown/file:/f"), _sh("echo y >>/f")),
        "makes a file in another's folder": (("--in-place", "-v", "{}/shown:/d"), _sh("touch /d/folder/f")),
        "removes out of a sticky folder": (("--in-place", "-v", "{}/shown:/d"), _sh("rm -f /d/sticky/f")),
        "changes the mode of another's file": (("--in-place", "-v", "{}/shown:/d"), _sh("chmod 600 /d/file")),
        "changes the times of another's file": (
            ("--in-place", "-v", "{}/shown:/d"), _py("os.utime('/d/file', (1, 1))"),
        ),
    }
)  # fmt: skip


def uses_sockets(command: tuple[str, ...]) -> bool:
    """Whether a control needs sockets, which strict permits none of."""
    return "socket.socket" in command[-1] or "create_connection" in command[-1]
