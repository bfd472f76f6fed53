"""A launch does nothing twice and opens nothing that it does not need, as strace(1) sees it; and what waits is small."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from hardening.launch.request import START
from tests.support import bundles, runs
from tests.support.patience import until

pytestmark = pytest.mark.system

#: What may be opened, and why.
NEEDED = {
    r"/etc/ld\.so\.cache|/(usr/)?lib/\S+\.so(\.\d+)*|/\S+/lib/libpython3\.\d+\.so\.1\.0": "the interpreter's libraries",
    r"/\S*/pyvenv\.cfg": "where the interpreter belongs",
    r"/usr/(lib|share)/locale/\S+|/\S+/gconv-modules\.cache|/etc/localtime": "the C library's start",
    r"/proc/sys/vm/overcommit_memory": "the C library's memory",
    r"/\S+/python3\.\d+(/lib-dynload|/encodings)?": "the interpreter searches its own modules",
    r"/\S+/python3\.\d+/(encodings/)?__pycache__/(__init__|utf_8|aliases|linecache|__future__)\.\S+\.pyc": "its start",
    r"/\S+/lib-dynload/\S+\.so": "modules of the interpreter that are no part of its program file",
    r"/\S+/site-packages(/_cffi_backend\.\S+\.so)?": "the calls of the kernel",
    r"PACKAGE|PACKAGE/hardening(/base(/linux)?|/launch(/[a-z]+)?)?": "the import of the first modules searches",
    r"PACKAGE/hardening/(base/(linux/)?|launch/([a-z]+/)?)?__pycache__/\w+\.\S+\.pyc": "the launcher",
    r"BUNDLE|BUNDLE/rootfs": "the bundle, and the root",
    r"/\S*/hardening(/records)?(/records\.jsonl)?": "the record of the launch",
    r"/proc/self/(loginuid|sessionid|stat)": "who launches, for the record",
    r"/etc/(nsswitch\.conf|passwd)": "the home of the account, where its records lie",
    r"/proc/self/oom_score_adj|/proc/self/setgroups|/proc/self/[ug]id_map": "what the container asks for, and what may be",
    r"/proc/\d+/(uid_map|gid_map|setgroups)": "the ids of the container",
    r"/proc/self/smaps": "the memory that is given back while the command takes long",
    r"/proc/\d+/stat": "whether the command was ever executed",
    r"/proc/\d+/(io|net/snmp|root)": "what is asked should the command fail: what it wrote, its network, what is full",
    r"/proc/self/fd/\d+": "sources of mounts, by the descriptor that was checked",
    r"/": "the place of the new root, in the new mount namespace",
    r"/dev/(null|zero|full|random|urandom|tty)": "the devices, and standard input",
    r"/sys": "shown read-only to a container whose network is not its own",
    r"/bin/true": "the command: it is not a magic link, and no script of one",
}
#: What is opened more than once, and why.
TWICE = {
    "/": "to cut it off from the host's mounts, then to mount the root on it",
    "BUNDLE": "the filter is read once the configuration is checked, while the namespaces are made",
    "/bin/true": "once without magic links, then to read its first line",
    "/etc/ld.so.cache": "for the interpreter, then for the calls of the kernel",
    "BUNDLE/rootfs": "an ordinary user needs the user namespace for it, which shows when it is tried without",
    "/proc/self/loginuid": "where there is none yet, it is written",
    "/dev/null": "as standard input, and as a device and mask of the container",
}
#: Steps that one launch takes at most so often.
STEPS = {
    "pivot_root": 1,
    "umount2": 1,
    "seccomp": 1,
    "sethostname": 1,
    "setsid": 1,
    "clone": 1,
    "keyctl": 1,
    "close_range": 1,
    "capset": 2,  # as the root of the namespace, then as the command
    "unshare": 2,  # the message queues belong to whoever makes their namespace, so that one comes later
    "chdir": 2,  # into the root, then where the command is to be
    "execve": 2,  # the launcher and the command
}
CALL = re.compile(r"^(\d+) +(\w+)\((.*?)\) += (-?\d+)")


@attrs.frozen
class Seen:
    """Successful system calls of a launch: those of each name, and the absolute paths that were opened."""

    calls: Counter[str]
    opened: Counter[str]


def parsed(text: str, bundle: Path, package: str) -> Seen:
    """What strace has written of the launcher and the process that becomes the command, up to its execve(2)."""
    calls: Counter[str] = Counter()
    opened: Counter[str] = Counter()
    pending: dict[str, str] = {}
    started, command = False, ""
    for line in text.splitlines():
        pid = line.split(" ", 1)[0]
        if line.endswith("<unfinished ...>"):
            pending[pid] = line.removesuffix(" <unfinished ...>")
            continue
        resumed = re.match(r"^\d+ +<\.\.\. \w+ resumed>(.*)", line)
        found = CALL.match(pending.pop(pid, "") + resumed[1] if resumed else line)
        if found is None or int(found[4]) < 0:
            continue
        name, arguments = found[2], found[3]
        launcher = name == "execve" and re.match(r'"[^"]+", \["[^"]+", "-I", "-B", "-S"', arguments) is not None
        started = started or launcher
        if not started or pid == command:
            continue
        calls[name] += 1
        if name == "execve" and not launcher:
            command = pid
        path = re.match(r'(?:AT_FDCWD, )?"(/[^"]*)"', arguments)
        if name in ("open", "openat", "openat2", "open_tree") and path is not None:
            place = path[1].replace(str(bundle), "BUNDLE")
            own = place == package or place.startswith(f"{package}/hardening")
            opened[place.replace(package, "PACKAGE") if own else place] += 1
    return Seen(calls, opened)


@pytest.fixture(scope="module", params=["root-mapped", "user-one-id"])
def seen(request: pytest.FixtureRequest) -> Iterator[Seen]:
    """One launch of /bin/true under strace, of an installation that is compiled as a whole."""
    stance = bundles.stance(request.param)
    with runs.workplace(stance.user) as folder:
        document = stance.config("/bin/true")
        document["process"]["oomScoreAdj"] = int(Path("/proc/self/oom_score_adj").read_text())
        bundle = bundles.write(folder / "bundle", document, user=stance.user)
        argv = bundles.launcher(bundle, user=stance.user)
        environment = dict(stance.user.environment) if stance.user is not None else None
        trace = folder / "trace"
        package = argv[argv.index(START) + 1].split(":")[0]
        subprocess.run([sys.executable, "-m", "compileall", "-q", f"{package}/hardening"], check=True)
        strace = ["strace", "-f", "-qq", "-s", "4096", "-o", str(trace), *argv]
        subprocess.run(strace, check=True, stdin=subprocess.DEVNULL, cwd="/", env=environment, timeout=60)
        yield parsed(trace.read_text(), bundle, package)


def test_nothing_is_opened_that_is_not_needed(seen: Seen) -> None:
    needed = re.compile("|".join(f"(?:{pattern})" for pattern in NEEDED))
    assert len(seen.opened) > 40
    assert [path for path in seen.opened if not needed.fullmatch(path)] == []


def test_nothing_is_opened_twice_without_a_reason(seen: Seen) -> None:
    again = [path for path, count in seen.opened.items() if count > 1 and not path.startswith("/proc/self/fd/")]
    assert [path for path in again if path not in TWICE] == []


def test_no_step_is_done_twice(seen: Seen) -> None:
    taken = {name: seen.calls[name] for name in STEPS}
    assert {name: count for name, count in taken.items() if count > STEPS[name]} == {}
    assert taken["pivot_root"] == taken["umount2"] == 1


def test_the_reader_of_traces_sees_what_is_done_twice() -> None:
    lines = ['1 execve("/p", ["p", "-I", "-B", "-S"], 0x1 /* 3 vars */) = 0', '1 openat(AT_FDCWD, "/x", O_RDONLY) = 3',
             '1 openat(AT_FDCWD, "/y", O_RDONLY) = -1 ENOENT (No such file or directory)',
             '2 openat(AT_FDCWD, "/x", O_RDONLY <unfinished ...>', "1 close(3) = 0", "2 <... openat resumed>) = 4",
             '2 execve("/bin/true", ["true"], 0x1) = 0', '2 openat(AT_FDCWD, "/x", O_RDONLY) = 3']  # fmt: skip
    seen = parsed("\n".join(lines), Path("/b"), "/package")
    assert seen.opened == {"/x": 2}
    assert seen.calls == {"execve": 2, "openat": 2, "close": 1}


@pytest.mark.parametrize("who", ["root-mapped", "user-range"])
@pytest.mark.parametrize("terminal", [False, True])
def test_what_waits_for_the_command_is_small(who: str, terminal: bool) -> None:
    """Resident memory, of which the proportional share (PSS) is the larger part only where nobody else runs Python."""
    stance = bundles.stance(who)
    with runs.workplace(stance.user) as folder:
        document = stance.config("sh", "-c", "echo ready; read -r line")
        document["process"]["terminal"] = terminal
        bundle = bundles.write(folder / "bundle", document, user=stance.user)
        argv = bundles.launcher(bundle, user=stance.user, stdin=True)
        environment = dict(stance.user.environment) if stance.user is not None else None
        launcher = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/", env=environment)
        assert launcher.stdin is not None
        assert launcher.stdout is not None
        try:
            assert launcher.stdout.readline().startswith(b"ready")
            until(lambda: memory(launcher.pid, "Rss") <= 9 * 1024, lambda: memory(launcher.pid, "Rss"))
            assert memory(launcher.pid, "Pss") <= memory(launcher.pid, "Rss")
        finally:
            launcher.stdin.close()
            launcher.wait(60)
            launcher.stdout.close()


def memory(pid: int, name: str) -> int:
    """A sum of /proc/PID/smaps_rollup in KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
