"""Real commands, traced: as root, and as an ordinary user, who asks from the outside too."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import pytest

from hardening.base.digest import ANNOTATION, of_filter
from hardening.base.linux import abi
from hardening.trace.failures import MOST_OUTPUT
from tests.support import bundles, runs
from tests.support.bundles import Stance
from tests.support.features import require
from tests.support.forking import scripted
from tests.support.users import program

pytestmark = pytest.mark.system

#: Traces the bundle, as whoever runs this, and prints what `trace` found; standard error of the command is left alone.
SCRIPT = """
import json, sys
from pathlib import Path
import attrs
from hardening.launch.request import LaunchRequest
from hardening.trace import recording
from hardening.trace.failures import FailureRecorder
from hardening.trace.tracer import Idle, trace
options = json.loads(sys.argv[2])
if options.pop("faulty", False):
    FailureRecorder.on_entry = lambda *_: [][0]
if "until" in options:
    place = Path(options["until"])
    options["until"] = lambda command: command > 0 and place.exists()
if "idle" in options:
    options["idle"] = Idle(*options["idle"])
if options.get("recording"):
    recording.prepare(Path(sys.argv[1]))
found = trace(LaunchRequest(), sys.argv[1], streams={1: 2}, **options)
uses = [(use.call.text, use.call.error, use.often, use.programs) for use in found.uses]
found = attrs.evolve(found, uses=frozenset(), made={})
print(json.dumps({"recorded": uses} | attrs.asdict(found, value_serializer=lambda _, __, value: (
    sorted(value) if isinstance(value, frozenset) else dict(value) if hasattr(value, "keys") else value))))
"""
PYTHON = "/usr/bin/python3"


Change: TypeAlias = Callable[[dict[str, Any], Path], None]


def _nothing(document: dict[str, Any], root: Path) -> None:
    """Leave a configuration and a root as they are."""


@attrs.frozen
class Seen:
    """What one trace found, and what the command printed."""

    code: int
    ended: str
    failures: tuple[dict[str, Any], ...]
    processes: dict[int, dict[str, Any]]
    command: int
    files: int
    tasks: int
    memory: int
    printed: str
    recorded: dict[tuple[str, int], int]

    def failed(self, text: str) -> dict[str, Any]:
        """The one failure with this text."""
        found = [call for call in self.failures if call["text"] == text]
        assert found, [call["text"] for call in self.failures]
        return found[-1]


@pytest.fixture(params=("root", "user-range"))
def stance(request: pytest.FixtureRequest) -> Stance:
    return bundles.stance(request.param)


@pytest.fixture
def folder(stance: Stance) -> Iterator[Path]:
    with runs.workplace(stance.user) as place:
        yield place


def traced(
    folder: Path,
    stance: Stance,
    *command: str,
    filter_: bytes = b"",
    root: bool = False,
    change: Change = _nothing,
    **options: Any,
) -> Seen:
    """Trace a command in a busybox root, with the host's programs where it has ``root``."""
    words = made(folder, stance, *command, filter_=filter_, root=root, change=change, **options)
    done = scripted(stance.user, SCRIPT, *words)
    assert done.returncode == 0, done.stderr
    return seen(done.stdout, done.stderr)


def seen(text: str, printed: str) -> Seen:
    found = json.loads(text)
    processes = {int(pid): process for pid, process in found["processes"].items()}
    plain = {name: found[name] for name in ("ended", "command", "files", "tasks", "memory")}
    recorded = {(text, error): often for text, error, often, _ in found["recorded"]}
    failures = tuple(found["failures"])
    return Seen(found["status"], failures=failures, processes=processes, printed=printed, recorded=recorded, **plain)


def started(folder: Path, stance: Stance, *command: str, **options: Any) -> list[str]:
    """The command line that traces a command."""
    python = sys.executable if stance.user is None else str(Path(program(stance.user)).parent / "python")
    argv = [python, "-B", "-c", SCRIPT, *made(folder, stance, *command, **options)]
    return argv if stance.user is None else stance.user.argv(argv)


def made(
    folder: Path,
    stance: Stance,
    *command: str,
    filter_: bytes = b"",
    root: bool = False,
    change: Change = _nothing,
    **options: Any,
) -> list[str]:
    """The words of `SCRIPT`, for a bundle that is made."""
    document = stance.config(*command)
    (folder / "bundle").mkdir(parents=True)
    if filter_:
        require("seccomp")
        (folder / "bundle" / "seccomp.bpf").write_bytes(filter_)
        document["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}
        document["annotations"] = {ANNOTATION: of_filter(document["linux"]["seccomp"], filter_)}
    bundle = bundles.write(folder / "bundle", document)
    if root:
        document["mounts"].insert(
            0, {"destination": "/usr", "source": "/usr", "type": "bind", "options": ["rbind", "ro"]}
        )
        document["process"]["env"] = ["PATH=/usr/bin:/bin"]
        for name in ("lib", "lib64"):
            (bundle / "rootfs" / name).symlink_to(f"usr/{name}")
        (bundle / "rootfs/usr").mkdir()
    bundles.write(bundle, document, user=stance.user)
    change(document, bundle / "rootfs")
    (bundle / "config.json").write_text(json.dumps(document))
    return [str(bundle), json.dumps(options)]


def answering(number: int, action: int) -> bytes:
    """A filter with one answer for a call: load the number; jump; the answer; allow."""
    code = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, action), (0x06, 0, 0, 0x7FFF0000)]
    return b"".join(
        op.to_bytes(2, "little") + bytes((true, false)) + value.to_bytes(4, "little") for op, true, false, value in code
    )


MKDIR = {"x86_64": 83, "aarch64": 34}[os.uname().machine]
UMOUNT = {"x86_64": 166, "aarch64": 39}[os.uname().machine]
MADE = "mkdir" if MKDIR == 83 else "mkdirat"
EPERM, KILL_PROCESS, KILL_THREAD, TRAP, TRACE = 0x00050001, 0x80000000, 0x00000000, 0x00030000, 0x7FF00000


def test_calls_that_fail_are_told_in_words(folder: Path, stance: Stance) -> None:
    code = """
import ctypes, os, socket
os.chdir("/tmp")
def attempt(call, *words, **named):
    try:
        call(*words, **named)
    except OSError:
        pass
attempt(open, "missing")
attempt(open, "/etc/../none")
os.close(os.open("closed", os.O_CREAT, 0o040))
attempt(open, "closed")
attempt(os.open, "/usr/new", os.O_WRONLY | os.O_CREAT)
attempt(os.rename, "/tmp/a", "b")
attempt(os.mkdir, "x", 0o755, dir_fd=os.open("/usr", os.O_RDONLY))
attempt(os.chown, "/usr", 7, -1)
attempt(os.setuid, 4711)
attempt(socket.socket, socket.AF_PACKET, socket.SOCK_RAW)
attempt(socket.socket().connect, ("127.0.0.1", 9))
attempt(socket.socket(socket.AF_INET6).bind, ("2001:db8::1", 80))
attempt(socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto, b"x", ("192.0.2.1", 53))
attempt(socket.socket(socket.AF_UNIX).connect, "s")
attempt(socket.socket(socket.AF_UNIX).connect, "\\0name")
attempt(os.unshare, os.CLONE_NEWNS | os.CLONE_NEWNET)
ctypes.CDLL(None).syscall(435, os.CLONE_NEWNET.to_bytes(88, "little"), 88)  # clone3(2)
attempt(os.setxattr, "/usr", "trusted.x", b"")
attempt(os.kill, 4711, 15)
attempt(os.execv, "/etc", ["etc"])
ctypes.CDLL(None).mount(b"proc", b"/proc", b"proc", 0, None)
os.write(2, b"it fai")
os.write(2, b"led\\n")
"""
    found = traced(folder, stance, PYTHON, "-ISc", code, root=True)
    assert (found.code, found.ended) == (0, "")
    assert found.failed("openat /tmp/missing (read)")["error"] == errno.ENOENT
    assert found.failed("openat /none (read)")["access"] == ["read"]
    closed = found.failed("openat /tmp/closed (read)")
    assert [(seen["place"], seen["mode"] & 0o777) for seen in closed["way"][-1:]] == [("/tmp/closed", 0o040)]
    assert [seen["place"] for seen in closed["way"]] == ["/", "/tmp", "/tmp/closed"]
    assert found.failed("openat /usr/new (write, create)")["error"] == errno.EROFS
    renamed = found.failed("rename /tmp/a to /tmp/b")
    assert (renamed["path"], renamed["target"], renamed["access"]) == ("/tmp/a", "/tmp/b", ["create", "remove"])
    assert found.failed("mkdirat /usr/x")["path"] == "/usr/x"
    assert found.failed("chown /usr 7 -1")["ids"] == [7]
    assert found.failed("setuid 4711")["ids"] == [4711]
    assert found.failed("socket packet SOCK_RAW")["address"] == "packet"
    assert found.failed("connect 127.0.0.1:9")["address"] == "tcp 127.0.0.1:9"
    assert found.failed("bind [2001:db8::1]:80")["address"] == "tcp [2001:db8::1]:80"
    assert found.failed("sendto udp 192.0.2.1:53")["address"] == "udp 192.0.2.1:53"
    assert found.failed("connect unix /tmp/s")["path"] == "/tmp/s"
    assert found.failed("connect unix @name")["address"] == "unix @name"
    assert found.failed("unshare with CLONE_NEWNS|CLONE_NEWNET")["error"] == errno.EPERM
    assert found.failed("clone3 with CLONE_NEWNET")["namespaces"] == abi.CLONE_NEWNET
    assert found.failed("setxattr /usr trusted.x")["attribute"] == "trusted.x"
    assert found.failed("kill 4711 SIGTERM")["error"] == errno.ESRCH
    assert found.failed("execve /etc")["access"] == ["execute"]
    mounted = found.failed("mount /proc")
    assert (mounted["path"], mounted["access"], mounted["error"]) == ("/proc", ["mount"], errno.EPERM)
    assert mounted["output"] == "it failed\n"
    assert mounted["caller"]["executable"].startswith("/usr/bin/python3")
    assert mounted["caller"]["uid"] == (0 if stance.user is None else stance.user.uid)


def test_a_filter_that_answers_with_an_errno(folder: Path, stance: Stance) -> None:
    found = traced(folder, stance, "mkdir", "/tmp/x", filter_=answering(MKDIR, EPERM))
    call = found.failed(f"{MADE} /tmp/x")
    assert (call["error"], call["access"], call["caller"]["filters"]) == (errno.EPERM, ["create"], 1)


@pytest.mark.parametrize("action", [KILL_PROCESS, KILL_THREAD, TRAP])
def test_a_filter_that_ends_the_process(folder: Path, stance: Stance, action: int) -> None:
    """The first process of a pid namespace too, which a trap would spare while it is traced."""
    for number, command in enumerate((("mkdir", "/tmp/x"), ("sh", "-c", "(mkdir /tmp/x); exit $?"))):
        found = traced(folder / str(number), stance, *command, filter_=answering(MKDIR, action))
        call = found.failed(f"{MADE} /tmp/x")
        assert (call["error"], call["signal"], call["path"]) == (0, signal.SIGSYS, "/tmp/x")
        assert found.code == 128 + signal.SIGSYS


def test_the_end_of_a_process_is_told_with_what_it_wrote_last(folder: Path, stance: Stance) -> None:
    """Of none that went well, and of none that the end of the command has ended."""
    code = "sleep 99 & true; sh -c 'echo lost >&2; kill -KILL $$'; echo given up >&2; exit 4"
    found = traced(folder, stance, "sh", "-c", code)
    ends = [(call["text"], call["signal"], call["output"]) for call in found.failures if not call["name"]]
    assert ends == [("ended by SIGKILL", signal.SIGKILL, "lost\n"), ("exit code 4", 0, "Killed\ngiven up\n")]


def test_threads_that_execute_and_processes_that_share(folder: Path, stance: Stance) -> None:
    """A thread that is not the first executes; vfork(2); a thousand children."""
    code = """
import os, subprocess, threading
for number in range(20):
    thread = threading.Thread(target=lambda: os.path.exists(f"/none/{number}"))
    thread.start()
    thread.join()
subprocess.run(["/bin/cat", "/none/child"])
def become():
    os.execv("/bin/sh", ["sh", "-c", "i=0; while [ $i -lt 1000 ]; do : & i=$((i+1)); done; wait; cat /none/thread; exit 3"])
threading.Thread(target=become).start()
threading.Event().wait()
"""
    found = traced(folder, stance, PYTHON, "-ISc", code, root=True)
    assert found.code == 3
    texts = [call["text"] for call in found.failures]
    for path in (
        *(f"stat /none/{number}" for number in range(20)),
        "open /none/child (read)",
        "open /none/thread (read)",
    ):
        assert any(path.removeprefix("stat ").removeprefix("open ") in text for text in texts), path
    assert len(found.processes) > 1000
    assert found.processes[found.command]["argv"][0] == "sh"
    assert all(process["status"] is not None for process in found.processes.values())


def test_signals_and_stops_are_the_command_s(folder: Path, stance: Stance) -> None:
    """Handlers run, a process that stops stops, and goes on when it is told to."""
    code = """
import os, signal, subprocess
signal.signal(signal.SIGUSR1, lambda *_: os.write(2, b"caught"))
os.kill(os.getpid(), signal.SIGUSR1)
child = subprocess.Popen(["/bin/sleep", "100"])
for number, ask in ((signal.SIGSTOP, os.WUNTRACED), (signal.SIGCONT, os.WCONTINUED), (signal.SIGTERM, 0)):
    child.send_signal(number)
    print(os.waitpid(child.pid, ask)[1], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
os._exit(4)
"""
    found = traced(folder, stance, PYTHON, "-ISc", code, root=True)
    assert found.printed == "caught4991\n65535\n15\n"
    assert found.code == 4  # the first process of a pid namespace is not killed from inside


def test_a_thread_that_is_made_untraced_is_not_followed_and_ends_with_the_others(folder: Path, stance: Stance) -> None:
    code = """
import ctypes, os, time
libc = ctypes.CDLL(None)
reader, writer = os.pipe()
if libc.syscall(56, 0x00800000 | 17, 0, 0, 0, 0) == 0:  # clone with CLONE_UNTRACED
    libc.unlink(b"/never-there")
    os.write(writer, b"x")
    time.sleep(600)
os.read(reader, 1)
print(os.listdir("/proc/self/task") != [], flush=True)
os._exit(7)
"""
    found = traced(folder, stance, PYTHON, "-ISc", code, root=True)
    assert (found.code, found.printed) == (7, "True\n")
    assert "/never-there" not in {call["path"] for call in found.failures}


def test_a_command_that_traces_itself_is_told_no(folder: Path, stance: Stance) -> None:
    code = "import ctypes, os; os._exit(ctypes.CDLL(None).ptrace(0, 0, 0, 0) == -1)"
    found = traced(folder, stance, PYTHON, "-ISc", code, root=True)
    assert found.code == 1
    assert found.failed("ptrace PTRACE_TRACEME")["error"] == errno.EPERM


def test_calls_of_the_other_architecture(folder: Path, stance: Stance) -> None:
    require("ia32")
    code = """
import ctypes, mmap, struct
place = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40, 7)
address = ctypes.addressof(ctypes.c_char.from_buffer(place))
path = b"/none/x\\0"
place[:8] = path
code = bytes([0x53, 0xB8]) + struct.pack("<I", 39) + b"\\xBB" + struct.pack("<I", address) + bytes([0xCD, 0x80, 0x5B, 0xC3])
place[16:16 + len(code)] = code
ctypes.CFUNCTYPE(ctypes.c_int)(address + 16)()
"""
    found = traced(folder, stance, PYTHON, "-ISc", code, root=True)
    calls = [call for call in found.failures if call["text"] == "mkdir /none/x"]
    assert [(call["architecture"], call["number"], call["error"]) for call in calls] == [(0x40000003, 39, errno.ENOENT)]


def test_time_ends_a_command_and_gives_what_was_seen(folder: Path, stance: Stance) -> None:
    found = traced(folder, stance, "sh", "-c", "cat /none; while :; do sleep 1; done", seconds=2)
    assert (found.ended, found.code) == ("time", 128 + signal.SIGKILL)
    assert any(call["path"] == "/none" for call in found.failures)


@pytest.mark.parametrize(("for_anything", "ended"), [(True, "idle"), (False, "")])
def test_who_waits_and_listens_for_nobody_is_ended_where_it_may_wait_for_anything(
    folder: Path, stance: Stance, for_anything: bool, ended: str
) -> None:
    found = traced(folder, stance, "sh", "-c", "cat /none; exec sleep 4", idle=(1.0, for_anything))
    assert (found.ended, bool(found.failures)) == (ended, True)


def test_a_launch_that_fails_is_no_trace(folder: Path, stance: Stance) -> None:
    found = traced(folder, stance, "no-such-command")
    assert found.code == 127
    assert "no-such-command" in found.printed


def test_nothing_is_left_of_a_tracer_that_is_killed(folder: Path, stance: Stance) -> None:
    argv = started(folder, stance, "sh", "-c", "sleep 4711 & echo ready >&2; while :; do sleep 1; done")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/") as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "ready\n"
        for pid in runs.descendants(process.pid):
            if runs.command_line(pid).split(b"\0")[1:2] == [b"-B"]:
                os.kill(pid, signal.SIGKILL)
    runs.deserted(folder)


def test_a_fault_of_a_tracer_ends_what_it_traces(folder: Path, stance: Stance) -> None:
    argv = started(folder, stance, "sleep", "4711", faulty=True)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/", timeout=60)
    assert "IndexError" in done.stderr
    runs.deserted(folder)


def test_a_set_user_id_file_that_changes_nobody(folder: Path, stance: Stance) -> None:
    """The configuration has no_new_privs: execve(2) is fine, and nobody is told. The file is root's inside."""

    def as_another(document: dict[str, Any], root: Path) -> None:
        document["process"]["user"] = {"uid": 1, "gid": 1}
        shutil.copy(root / "bin/busybox", root / "bin/cat-as-root")
        runs.hand_over(root, stance.user)  # which takes the bits away (chown(2))
        (root / "bin/cat-as-root").chmod(0o4755)

    found = traced(folder, stance, "cat-as-root", change=as_another)
    call = found.failed("execve /bin/cat-as-root (set-user-ID 0 without effect)")
    assert (call["error"], call["ids"], call["access"]) == (0, [0], ["execute"])


def test_a_recording_tells_what_says_something_and_denies_what_was_denied(folder: Path, stance: Stance) -> None:
    """As it was asked: from where the process stood then."""
    script = "read -r line </etc/passwd; mkdir /tmp/x; cd /etc; cd ..; (cd /tmp; cat none; cat ../etc/none); exit 5"
    found = traced(folder, stance, "sh", "-c", script, filter_=answering(MKDIR, EPERM), recording=True)
    assert found.code == 5
    assert {
        ("openat /etc/passwd (read)", errno.ENOENT),
        ("openat /tmp/none (read)", errno.ENOENT),
        ("openat /etc/none (read)", errno.ENOENT),
        ("chdir /etc", 0),
        ("chdir /", 0),
        ("chdir /tmp", 0),
    } <= found.recorded.keys()
    assert any(text.startswith("execve /") and not error for text, error in found.recorded)
    assert not any(text.startswith(("write", "mkdir", "brk")) for text, _ in found.recorded)
    assert "mkdir: can't create directory '/tmp/x': Operation not permitted" in found.printed


def test_a_recording_counts_each_call_and_has_the_answers_of_what_changes_something(
    folder: Path, stance: Stance
) -> None:
    """Of what only looks, the first answer stands for all."""
    often = "for i in 1 2 3; do [ -e /none ]; mkdir /tmp/one; rmdir /tmp/one; done"
    script = f"{often}; rmdir /tmp/none; mkdir /tmp/none; rmdir /tmp/none; sh -c 'kill -9 $$'; exit 5"
    found = traced(folder, stance, "sh", "-c", script, filter_=answering(UMOUNT, EPERM), recording=True)
    assert found.code == 5, found.printed
    looked = [often for (text, error), often in found.recorded.items() if text.split()[1:] == ["/none"] and error]
    assert looked == [3]
    assert found.recorded[f"{MADE} /tmp/one", 0] == 3
    assert (found.recorded["rmdir /tmp/one", 0], found.recorded["rmdir /tmp/none", 0]) == (3, 1)
    assert found.recorded["rmdir /tmp/none", errno.ENOENT] == 1
    assert sum(often for (text, _), often in found.recorded.items() if text.startswith("kill ")) == 1


@pytest.mark.parametrize("recording", [False, True])
def test_the_most_descriptors_and_tasks_at_a_time(folder: Path, stance: Stance, recording: bool) -> None:
    code = """
import os, threading
held = [os.pipe() for _ in range(20)]
for read, write in held:
    os.close(read), os.close(write)
go = threading.Event()
threads = [threading.Thread(target=go.wait) for _ in range(6)]
for thread in threads:
    thread.start()
child = os.fork()
if not child:
    os._exit(0)
os.waitpid(child, 0)
go.set()
"""
    filter_ = answering(MKDIR, EPERM)
    found = traced(folder, stance, PYTHON, "-ISc", code, root=True, filter_=filter_, recording=recording)
    assert found.code == 0
    assert found.files == (3 if recording else 3 + 2 * 20)  # a recording does not see them
    assert found.tasks == 1 + 6 + 1


def test_the_most_memory_at_a_time(folder: Path, stance: Stance) -> None:
    code = """
import os
for _ in range(2):  # one after the other
    child = os.fork()
    if not child:
        held = b"x" * (32 << 20)
        os._exit(0)
    os.waitpid(child, 0)
"""
    found = traced(folder, stance, PYTHON, "-ISc", code, root=True)
    assert 32 << 20 < found.memory < 90 << 20


@pytest.mark.parametrize("recording", [False, True])
def test_what_a_filter_asks_a_tracer_about_is_answered_as_without_one(
    folder: Path, stance: Stance, recording: bool
) -> None:
    """The trace is no tracer that it could have meant: the call is not made."""
    script = "mkdir /tmp/x; [ -e /tmp/x ] && echo made >&2; exit 5"
    found = traced(folder, stance, "sh", "-c", script, filter_=answering(MKDIR, TRACE), recording=recording)
    assert found.code == 5
    assert "made" not in found.printed.replace("mkdir", "")
    assert "Function not implemented" in found.printed


def test_what_a_filter_of_the_program_asks_a_tracer_about_is_not_made(folder: Path, stance: Stance) -> None:
    code = f"""
import ctypes, os
program = ctypes.create_string_buffer({answering(MKDIR, TRACE | 7)!r})
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_void_p)]
filter = Program(len(program.raw) // 8, ctypes.addressof(program))
libc = ctypes.CDLL(None)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(filter), 0, 0): os._exit(9)
try:
    os.mkdir("/tmp/x")
except OSError as error:
    print(error.strerror, os.path.exists("/tmp/x"))
"""
    found = traced(folder, stance, PYTHON, "-ISc", code, root=True, filter_=answering(UMOUNT, EPERM), recording=True)
    assert (found.code, found.printed) == (0, "Function not implemented False\n")


def test_what_a_process_says_of_a_failure_is_heard_wherever_it_says_it(folder: Path, stance: Stance) -> None:
    code = """
import os
log = os.open("/tmp/log", os.O_WRONLY | os.O_CREAT)
def attempt(name):
    try:
        open(name)
    except OSError as error:
        return error
attempt("/none/logged")
os.write(log, b"all is well")
os.write(log, b"cannot start: No such file or directory" + b"." * 5000)
attempt("/none/silent")
os.write(log, b"all is well")
attempt("/none/told")
os.write(1, b"that was no file")
os.writev(2, [b"No such ", b"thing\\n"])
"""
    found = traced(folder, stance, PYTHON, "-ISc", code, root=True)
    logged, silent, told = (
        found.failed(f"openat /none/{name} (read)")["output"] for name in ("logged", "silent", "told")
    )
    assert logged.startswith("cannot start: No such file or directory...")
    assert len(logged) == MOST_OUTPUT
    assert silent == told == "No such thing\n"


@pytest.mark.parametrize("how", ["interrupt", "check"])
def test_a_trace_that_is_ended_early_gives_what_was_seen(folder: Path, stance: Stance, how: str) -> None:
    place = folder / "over"
    options: dict[str, Any] = {"until": str(place)} if how == "check" else {}
    argv = started(folder, stance, "sh", "-c", "cat /none; echo ready >&2; while :; do sleep 1; done", **options)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/") as process:
        assert process.stderr is not None
        assert any("ready" in line for line in process.stderr)
        if how == "check":
            place.touch()
        else:
            pids = [pid for pid in runs.descendants(process.pid) if runs.command_line(pid).split(b"\0")[1:2] == [b"-B"]]
            os.kill(pids[0], signal.SIGINT)
        text, printed = process.communicate()
        assert process.returncode == 0, printed
    found = seen(text, printed)
    assert (found.ended, found.code) == (how, 128 + (signal.SIGKILL if how == "interrupt" else signal.SIGTERM))
    assert any(call["path"] == "/none" for call in found.failures)


def test_a_connection_that_nobody_waits_for_fails_when_it_is_asked_for(folder: Path, stance: Stance) -> None:
    code = """
import errno, socket, time
one = socket.socket(); one.bind(("127.0.0.1", 0)); port = one.getsockname()[1]
two = socket.socket(); two.setblocking(False)
assert two.connect_ex(("127.0.0.1", port)) == errno.EINPROGRESS
time.sleep(0.2)
assert two.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
"""
    found = traced(folder, stance, PYTHON, "-ISc", code, root=True)
    assert found.code == 0
    assert [call["error"] for call in found.failures if call["name"] == "connect"] == [errno.ECONNREFUSED]


def test_a_request_that_a_message_refuses_has_failed(folder: Path, stance: Stance) -> None:
    """netlink(7): each call goes well, and the answer says that an address may not be given."""
    code = """
import socket, struct
one = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
for receive in (lambda: one.recv(4096), lambda: one.recvmsg(4096)[0]):
    one.send(struct.pack("=IHHIIBBBBI", 24, 20, 5, 1, 0, socket.AF_INET, 8, 0, 0, 1))
    assert struct.unpack_from("=i", receive(), 16) == (-1,)
"""
    found = traced(folder, stance, PYTHON, "-ISc", code, root=True)
    assert found.code == 0
    refused = [call for call in found.failures if call["text"] == "netlink route RTM_NEWADDR"]
    assert [(call["name"], call["error"]) for call in refused] == [("recvfrom", 1), ("recvmsg", 1)]
    assert {(call["address"], call["request"]) for call in refused} == {("netlink route", 20)}


def test_a_set_group_id_bit_that_is_lost_is_told(folder: Path, stance: Stance) -> None:
    code = """
import os
os.close(os.open("/tmp/f", os.O_CREAT, 0o600))
os.chown("/tmp/f", -1, 1)
os.chmod("/tmp/f", 0o755)
os.chmod("/tmp/f", 0o2755)
"""

    def with_chown(document: dict[str, Any], root: Path) -> None:
        document["process"]["capabilities"] = {name: ["CAP_CHOWN"] for name in ("bounding", "effective", "permitted")}

    found = traced(folder, stance, PYTHON, "-ISc", code, root=True, change=with_chown)
    assert found.code == 0, found.printed
    (lost,) = [call for call in found.failures if call["name"].endswith("chmod")]
    assert (lost["text"], lost["error"]) == ("chmod /tmp/f 02755 (set-group-ID without effect)", 0)
