"""A stack that has not changed is not composed again; one that has, is; and nothing is believed that could be wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hardening.inputs import way
from hardening.launch import cgroups, files
from hardening.launch.digest import sha256
from tests.support import users
from tests.support.features import require
from tests.support.plans import PROGRAM, Place
from tests.support.runs import busybox_root, find, workplace
from tests.support.users import ordinary

pytestmark = pytest.mark.system

OPEN = 'extends = ["default"]\n[process]\numask = "{}"\n'
PROFILE = 'extends = ["strict"]\n[process]\numask = "{}"\n'
UMASK = ("run", "-q", "-p", "./app.toml", "--", "sh", "-c", "umask")
WAIT = ("sh", "-c", "echo ready; read -r line; exit 3")


@pytest.fixture
def place() -> Iterator[Place]:
    with workplace() as folder:
        yield Place(folder)


@pytest.fixture(scope="module")
def typed() -> Iterator[Place]:
    """A place where one line was typed that depends on much; `Place.restore` brings its plan back."""
    with workplace() as folder:
        here = Place(folder)
        (folder / "app.toml").write_text(OPEN.format("077"))
        busybox_root(folder / "tree")
        (folder / "tree/etc/group").write_text("root:x:0:\n")
        (folder / "data").mkdir()
        done = here.type(*LINE)
        assert (done.returncode, done.stdout) == (0, "0077\n"), done.stderr
        here.keep()
        yield here


LINE = (
    *("run", "-q", "-p", "./app.toml", "--rootfs", "./tree", "-v", "./data:/data", "-u", "root"),
    *("--", "sh", "-c", "umask"),
)


def write_alike(path: Path, text: str) -> None:
    """Replace a file by one of the same size, and of the same time as far as that can be had."""
    before = path.stat()
    assert len(text.encode()) == before.st_size
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_mtime_ns, path.stat().st_size) == (before.st_mtime_ns, before.st_size)


# --- what is used again -----------------------------------------------------------------------------------------------


def test_the_same_line_runs_what_was_stored_and_says_the_same(place: Place) -> None:
    line = ("run", "-p", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    first = place.type(*line)
    assert "warning: namespaces.net" in first.stderr
    assert (first.returncode, first.stdout) == (7, "out\n")
    stored = {path: path.lstat() for path in place.state.rglob("plans/*/*/**/*")}
    assert place.finds(*line)
    second = place.type(*line)
    assert (second.returncode, second.stdout, second.stderr) == (7, "out\n", first.stderr)
    after = {path: path.lstat() for path in place.state.rglob("plans/*/*/**/*")}
    assert {path: status.st_ctime_ns for path, status in after.items()} == {
        path: status.st_ctime_ns for path, status in stored.items()
    }


def test_the_second_time_one_interpreter_is_started_and_it_keeps_the_pid(place: Place) -> None:
    line = ("run", "-q", "-p", "strict", "--", "true")
    assert place.type(*line).returncode == 0
    trace = place.folder / "trace"
    traced = Place(place.folder, ("strace", "-f", "-qq", "-e", "trace=execve", "-o", str(trace), str(PROGRAM)))
    assert traced.type(*line).returncode == 0
    calls = [text.split() for text in trace.read_text().splitlines() if "execve(" in text and "ENOENT" not in text]
    names = [re.findall(r'execve\("([^"]+)"', " ".join(words))[0] for words in calls]
    assert [Path(name).name.rstrip("0123456789.") for name in names] == ["hardening", "python", "true"]
    assert calls[0][0] == calls[1][0] != calls[2][0]


@pytest.mark.parametrize("again", [False, True])
def test_the_command_is_a_child_of_what_was_typed_with_its_login_uid(place: Place, again: bool) -> None:
    line = ("run", "-q", "-i", "-p", "strict", "--", *WAIT)
    for _ in range(1 + again):
        argv = [*place.program, *line]
        pipe = subprocess.PIPE
        with subprocess.Popen(
            argv, cwd=place.folder, env=place.surroundings(), stdin=pipe, stdout=pipe, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            child = find(process.pid, WAIT)
            assert f"PPid:\t{process.pid}\n" in Path(f"/proc/{child}/status").read_text()
            uids = [Path(f"/proc/{pid}/loginuid").read_text() for pid in ("self", child)]
            assert uids[0] == uids[1]
            process.communicate("go\n")
            assert process.returncode == 3
    assert len(place.plans()) == 1


def test_an_ordinary_user_has_plans_too() -> None:
    user = ordinary()
    with workplace(user) as folder:
        program = users.program(user)
        here = Place(folder, tuple(user.argv([program])), user.environment)
        line = ("run", "-q", "-p", "strict", "--", "id", "-u")
        first, second = here.type(*line), here.type(*line)
        assert (first.returncode, first.stdout) == (0, f"{user.uid}\n"), first.stderr
        assert (second.returncode, second.stdout, second.stderr) == (0, first.stdout, first.stderr)
        assert len(here.plans()) == 1
        assert here.plans()[0].stat().st_uid == user.uid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_signals_of_the_command_give_the_same_exit_code(place: Place, number: int) -> None:
    line = ("run", "-q", "-p", "strict", "--", "sh", "-c", f"sh -c 'kill -{number} $PPID'; kill -{number} $$; exit 9")
    assert place.type(*line).returncode == place.type(*line).returncode
    assert len(place.plans()) == 1


def test_a_slot_whose_control_group_is_in_use_is_passed_over(place: Place) -> None:
    require("cgroups")
    line = ("run", "-q", "-p", "strict", "--pids-limit", "50", "--", "true")
    assert place.type(*line).returncode == 0
    assert place.finds(*line)
    (plan,) = place.plans()
    name = json.loads((plan.parent / "bundle/config.json").read_text())["linux"]["cgroupsPath"]
    hierarchy = next(entry for entry in cgroups.read_hierarchies() if "pids" in entry.controllers)
    group = Path(hierarchy.mount, files.join(hierarchy.own, name).strip("/"))
    group.mkdir()
    try:
        # One that is empty, a killed launch has left.
        assert place.finds(*line)
        assert place.type(*line).returncode == 0
        group.mkdir()
        with subprocess.Popen(["sleep", "600"]) as other:
            try:
                (group / "cgroup.procs").write_text(str(other.pid))
                for _ in range(2):
                    done = place.type(*line)
                    assert done.returncode == 0, done.stderr
                assert place.finds(*line)
                assert len(place.plans()) == 2
            finally:
                other.kill()
        assert group.exists()
    finally:
        remove_soon(group)


def remove_soon(group: Path) -> None:
    """Remove a group once the kernel has seen that it is empty."""
    deadline = time.monotonic() + 10
    while group.exists():
        with suppress(OSError):
            group.rmdir()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_run_that_the_launcher_refuses_is_refused_again(place: Place) -> None:
    line = ("run", "-q", "-p", "strict", "--", "no-such-command")
    first, second = place.type(*line), place.type(*line)
    assert first.returncode == second.returncode == 127
    assert first.stderr == second.stderr
    # Whoever has typed it has seen no config.json.
    assert first.stderr.startswith(
        "hardening: no-such-command: command not found in the container\nhint: PATH inside is /"
    )


# --- what is looked at ------------------------------------------------------------------------------------------------


def test_nothing_has_changed(typed: Place) -> None:
    typed.restore()
    assert typed.finds(*LINE)
    assert typed.finds(*LINE)


def _edit_profile(here: Place) -> None:
    write_alike(here.folder / "app.toml", OPEN.format("027"))


def _open_profile(here: Place) -> None:
    (here.folder / "app.toml").chmod(0o664)


def _open_folder(here: Place) -> None:
    here.folder.chmod(0o775)


def _shadow(here: Place) -> None:
    (here.folder / "profiles").mkdir()
    (here.folder / "profiles/strict.toml").write_text("")


def _rename_root(here: Place) -> None:
    (here.folder / "tree/etc/passwd").write_text("root:x:0:0:root:/elsewhere:/bin/sh\n")


def _new_directory(here: Place) -> None:
    (here.folder / "tree/new").mkdir()


def _other_link(here: Place) -> None:
    (here.folder / "tree/bin").rename(here.folder / "tree/usr-bin")
    (here.folder / "tree/bin").symlink_to("usr-bin")


def _no_volume(here: Place) -> None:
    (here.folder / "data").rmdir()
    (here.folder / "data").write_text("")


def _hidden(here: Place) -> None:
    (here.folder / "tree/etc/shadow").write_text("")


def _full(here: Place) -> None:
    (here.folder / "tree/run/file").write_text("")


CHANGES: tuple[Callable[[Place], None], ...] = (
    _edit_profile, _open_profile, _open_folder, _shadow, _rename_root, _new_directory, _other_link, _no_volume,
)  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_on_disk_is_seen(typed: Place, change: Callable[[Place], None]) -> None:
    typed.restore()
    saved = typed.folder.parent / f"{typed.folder.name}-saved"
    shutil.copytree(typed.folder, saved, symlinks=True)
    try:
        change(typed)
        assert not typed.finds(*LINE)
        # Below a folder that others can write to, nothing of the state directory is believed, or touched.
        if change is not _open_folder:
            assert not typed.plans(), "a plan that will never count again is taken away"
    finally:
        for entry in typed.folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        shutil.copytree(saved, typed.folder, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(saved)
        typed.folder.chmod(0o755)
    typed.restore()
    assert typed.finds(*LINE), "what was changed back counts again"


def test_a_change_composes_anew_and_runs_what_is_said_now(place: Place) -> None:
    (place.folder / "app.toml").write_text(PROFILE.format("077"))
    assert place.type(*UMASK).stdout == "0077\n"
    write_alike(place.folder / "app.toml", PROFILE.format("027"))
    done = place.type(*UMASK)
    assert (done.returncode, done.stdout) == (2, "")
    assert "umask" in done.stderr
    assert not place.plans()
    write_alike(place.folder / "app.toml", PROFILE.format("077"))
    assert place.type(*UMASK).stdout == "0077\n"
    assert len(place.plans()) == 1


@pytest.mark.parametrize(
    "surroundings",
    [
        {"changes": {"TERM": "another"}},
        {"changes": {"LC_TIME": "C"}},
        {"changes": {"HOME": "/var/empty"}},
        {"changes": {"XDG_CONFIG_HOME": "/var/empty"}},
        {"changes": {"LD_LIBRARY_PATH": "/var/empty"}},
        {"changes": {"PYTHONPATH": "/var/empty"}},
        {"cwd": "/"},
        {"umask": 0o027},
        {"stdin": "file"},
    ],
    ids=str,
)
def test_surroundings_count_and_leave_the_plan_to_those_that_have_them(
    typed: Place, surroundings: dict[str, Any]
) -> None:
    typed.restore()
    with (typed.folder / "app.toml").open() as file:
        given: dict[str, Any] = {key: file if value == "file" else value for key, value in surroundings.items()}
        assert not typed.finds(*LINE, **given)
    assert typed.finds(*LINE)


@pytest.mark.parametrize("words", [(*LINE, "x"), LINE[:-1], ("run", "--runtime", "crun", *LINE[1:]), ("run", *LINE)])
def test_other_words_are_another_line(typed: Place, words: tuple[str, ...]) -> None:
    typed.restore()
    assert not typed.finds(*words)


@pytest.mark.parametrize("change", ["limit", "oom"])
def test_the_caller_s_own_limits_count(typed: Place, change: str) -> None:
    import resource

    def lower() -> None:
        if change == "limit":
            resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512))
        else:
            Path("/proc/self/oom_score_adj").write_text("300")

    typed.restore()
    assert not typed.finds(*LINE, preexec_fn=lower)


def rewrite(plan: Path, **values: object) -> None:
    """Change a plan, and have it look as if it had been written so."""
    found = json.loads(plan.read_bytes().split(b"\n", 1)[1]) | values
    text = json.dumps(found).encode()
    plan.write_bytes(sha256(text).encode() + b"\n" + text)


def test_the_last_day_of_an_exception_is_the_last_day_of_its_plan(place: Place) -> None:
    text = """extends = ["strict"]
process.umask = "022"
[[exceptions]]
setting = "process.umask"
reason = "shared files"
expires = 2999-12-31
"""
    (place.folder / "app.toml").write_text(text)
    assert place.type(*UMASK).stdout == "0022\n"
    assert place.read()["until"] == "2999-12-31"
    assert place.finds(*UMASK)
    rewrite(place.plans()[0], until="2001-01-01")
    assert not place.finds(*UMASK)


def test_no_time_zone_gives_an_exception_another_day(place: Place) -> None:
    day = datetime.now(UTC).date() - timedelta(days=1)
    text = f"""extends = ["strict"]
process.umask = "022"
[[exceptions]]
setting = "process.umask"
reason = "shared files"
expires = {day}
"""
    (place.folder / "app.toml").write_text(text)
    for zone in ("UTC+24", "UTC-24"):
        done = place.type(*UMASK, changes={"TZ": zone})
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert "expired" in done.stderr
    (place.folder / "app.toml").write_text(text.replace(str(day), str(day + timedelta(days=1))))
    for zone in ("UTC-24", "UTC+24"):
        assert place.type(*UMASK, changes={"TZ": zone}).stdout == "0022\n"
    found = place.read()
    assert found["until"] == str(day + timedelta(days=1))
    rewrite(place.plans()[0], until=str(day))
    assert not place.finds(*UMASK, changes={"TZ": "UTC+24"})


def test_a_time_zone_that_python_cannot_have_is_said(place: Place) -> None:
    # tzfile(5): one kind of local time, twenty years behind UTC.
    zone = struct.pack(">4s16x6llbb4s", b"TZif", 0, 0, 0, 0, 1, 4, -20 * 365 * 86400, 0, 0, b"OLD")
    (place.folder / "zone").write_bytes(zone)
    for words in (("run", "-q", "-p", "strict", "--", "true"), ("profile", "list"), ("log",)):
        done = place.type(*words, changes={"TZ": f":{place.folder}/zone"})
        assert done.returncode == 125
        assert done.stderr.startswith("hardening: the time zone in TZ cannot be used: "), done.stderr
        assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("caller", ["own", "ordinary"])
def test_every_file_that_a_composition_opens_is_an_input_or_code(caller: str) -> None:
    """Held against what strace(1) sees of the process that composes, for stacks that use much."""
    user = ordinary() if caller == "ordinary" else None
    with workplace(user) as folder:
        whole, before, environment = PROGRAM, list[str](), dict(os.environ)
        if user is not None:
            whole, before, environment = Path(users.program(user)), user.argv([]), dict(user.environment)
        busybox_root(folder / "tree")
        (folder / "data").mkdir()
        trace = folder / "trace"
        strace = (*before, "strace", "-f", "-s", "4096", "-e", "trace=%file", "-o", str(trace))
        here = Place(folder, (*strace, str(whole.with_name("hardening-cli"))), environment)
        lines: tuple[tuple[str, ...], ...] = (
            ("-p", "strict", "--", "true"),
            ("-p", "default", "-v", "./data:/srv/data:ro", "--memory", "64M", "-u", "nobody", "--", "true"),
            ("-p", "default", "--runtime", "runc", "--rootfs", "./tree", "-v", "./data:/data", "--", "/bin/true"),
        )
        for words in lines if user is None else lines[:1]:
            shutil.rmtree(here.state, ignore_errors=True)
            done = here.type("run", "-q", *words)
            assert len(here.plans()) == 1, done.stderr
            assert _undeclared(trace, here.read()["inputs"], here, whole.parents[1]) == set()


def _undeclared(trace: Path, inputs: dict[str, dict[str, str]], here: Place, prefix: Path) -> set[str]:
    declared = {_path(kind, argument) for kind, table in inputs.items() for argument in table}
    mounts = inputs.get("mounts", {})
    absent = {path for path, seen in inputs["name"].items() if seen == "-"}
    listed = {*inputs.get("entries", {}), *inputs.get("empty", {})}
    return {
        path
        for path in _opened(trace, here.folder)
        if path not in declared
        and os.path.dirname(path) not in listed
        and not any(path.startswith(f"{name}/") for name in absent)
        and not all(item.argument in declared for item in way(path))
        and not _is_of_python(path, here, prefix)
        # The facts of all cgroups are found out, and used where there are ceilings.
        and not ("cgroup cgroup2" not in mounts and path.startswith(("/proc/self/cgroup", "/sys/fs/cgroup")))
        and path != "/proc/self/mountinfo"
    }  # fmt: skip


def _path(kind: str, argument: str) -> str:
    return argument.split("\n")[0] if kind == "lines" else argument.partition(" ")[2] if kind == "access" else argument


def _opened(trace: Path, folder: Path) -> set[str]:
    """The paths that the first process names until it becomes the launch stage."""
    rows = trace.read_text().splitlines()
    first = rows[0].split()[0]
    found: set[str] = set()
    for row in rows:
        match = re.match(r'(\d+) +(\w+)\((?:AT_FDCWD, )?"([^"]*)"', row)
        if match is None or match[1] != first or match[2].startswith("symlink"):
            continue
        if match[2] == "execve" and "hardening.launch" in row:
            break
        found.add(os.path.normpath(os.path.join(folder, match[3])))
    return found


def _is_of_python(path: str, here: Place, prefix: Path) -> bool:
    """What the interpreter, the loader and the C library open to start, what this process says of itself, and the state."""
    code = {*sys.path, os.path.dirname(os.__file__), sys.prefix, os.path.dirname(sys._base_executable)}  # type: ignore[attr-defined]
    code.add(str(prefix))
    code |= {"/usr/lib/locale", "/usr/share/locale", "/usr/share/locale-langpack", str(here.state), "/usr/lib/ssl"}
    alone = {"/etc/localtime", "/etc/ld.so.preload", "/dev/null", "/proc/sys/vm/overcommit_memory", "/proc/uptime", "/"}
    alone |= {"/proc/self/stat", "/proc/self/maps", str(here.folder)}
    library = re.search(r"\.so[.\d]*$|gconv-modules|/tls/|/glibc-hwcaps", path) is not None
    return path in alone or library or any(path == place or path.startswith(f"{place}/") for place in code if place)


# --- what is not stored -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        ("--fresh",),
        ("--receipt", "r.json"),
        ("-e", "API_TOKEN=x"),
        ("--rootfs", "./tree", "--set", "rootfs.read_only=false"),
    ],
    ids=str,
)
def test_what_may_not_last_is_not_stored(place: Place, options: tuple[str, ...]) -> None:
    busybox_root(place.folder / "tree")
    shutil.rmtree(place.folder / "tree/run")
    done = place.type("run", "-q", "-p", "base", *options, "--", "/bin/true")
    assert done.returncode == 0, done.stderr
    assert not place.plans()
    assert not list(place.state.glob("bundles/*"))


def test_a_variable_is_in_the_plan_as_a_digest_and_in_the_bundle_for_the_caller_alone(place: Place) -> None:
    line = ("run", "-q", "-p", "strict", "--", "true")
    assert place.type(*line, changes={"LANG": "aa_MARKER.UTF-8"}).returncode == 0
    (plan,) = place.plans()
    assert b"MARKER" not in plan.read_bytes()
    for path in (plan, place.bundle() / "config.json", place.bundle() / "seccomp.bpf"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for path in (place.state / "plans", *(place.state / "plans").glob("*/"), *(place.state / "plans").glob("*/*/")):
        if path.is_dir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o711


THIRD = """
from hardening.hookspecs import hookimpl
from hardening.runtime import Verdict

@hookimpl
def hardening_admit(candidate):
    return None
"""
DECLARED = """
@hookimpl
def hardening_inputs(composition, host):
    return ()
"""


def _install(folder: Path, text: str, version: str) -> None:
    """Install a plugin into a folder of PYTHONPATH."""
    for old in folder.glob("*.dist-info"):
        shutil.rmtree(old)
    info = folder / f"third-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: third\nVersion: {version}\n")
    (info / "entry_points.txt").write_text("[hardening]\nthird = third_plugin\n")
    (folder / "third_plugin.py").write_text(text)
    time.sleep(0.1)  # code that is younger than the process that loads it is not vouched for


def test_a_plugin_that_judges_without_saying_what_it_looks_at_keeps_all_from_being_stored(place: Place) -> None:
    _install(place.folder / "site", THIRD, "1.0")
    changes = {"PYTHONPATH": str(place.folder / "site")}
    line = ("run", "-q", "-p", "strict", "--", "true")
    assert place.type(*line, changes=changes).returncode == 0
    assert not place.plans()


def test_a_plugin_counts_with_its_version_and_its_code(place: Place) -> None:
    site = place.folder / "site"
    _install(site, THIRD + DECLARED, "1.0")
    changes: dict[str, str | None] = {"PYTHONPATH": str(site)}
    line = ("run", "-q", "-p", "strict", "--", "true")
    assert place.type(*line, changes=changes).returncode == 0
    assert place.finds(*line, changes=changes)
    place.keep()
    _install(site, THIRD + DECLARED, "1.1")
    assert not place.finds(*line, changes=changes)
    _install(site, THIRD + DECLARED, "1.0")
    place.restore()
    write_alike(site / "third_plugin.py", (THIRD + DECLARED).replace("return None", "return 0 or None"[:11]))
    assert not place.finds(*line, changes=changes)


# --- what is not believed ---------------------------------------------------------------------------------------------


def _evil(here: Place) -> None:
    path = here.bundle() / "config.json"
    document = json.loads(path.read_text())
    document["process"]["args"] = ["echo", "evil"]
    path.write_text(json.dumps(document))


def _evil_with_digest(here: Place) -> None:
    _evil(here)
    (plan,) = here.plans()
    data = plan.read_bytes()
    old = json.loads(data.split(b"\n", 1)[1])["config"].encode()
    plan.write_bytes(data.replace(old, sha256((here.bundle() / "config.json").read_bytes()).encode()))


def _filter(here: Place) -> None:
    path = here.bundle() / "seccomp.bpf"
    write_alike_bytes(path, b"\x06\0\0\0\0\0\xff\x7f" * (path.stat().st_size // 8))


def write_alike_bytes(path: Path, data: bytes) -> None:
    before = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _cut(here: Place) -> None:
    (plan,) = here.plans()
    plan.write_bytes(plan.read_bytes()[:-100])


def _empty_plan(here: Place) -> None:
    here.plans()[0].write_bytes(b"")


def _no_json(here: Place) -> None:
    text = b"[1, 2"
    here.plans()[0].write_bytes(sha256(text).encode() + b"\n" + text)


def _other_shape(here: Place) -> None:
    text = b'{"until": 3, "inputs": []}'
    here.plans()[0].write_bytes(sha256(text).encode() + b"\n" + text)


def _unknown_look(here: Place) -> None:
    rewrite(here.plans()[0], inputs={"stars": {"x": "y"}})


def _more_skeleton(here: Place) -> None:
    (here.bundle() / "rootfs/more").mkdir()


def _other_skeleton(here: Place) -> None:
    (here.bundle() / "rootfs/run").rmdir()
    (here.bundle() / "rootfs/run").symlink_to("/tmp")


def _filled_skeleton(here: Place) -> None:
    (here.bundle() / "rootfs/run/file").write_text("x")


def _open_skeleton(here: Place) -> None:
    (here.bundle() / "rootfs").chmod(0o777)


def _no_bundle(here: Place) -> None:
    shutil.rmtree(here.bundle())


def _no_filter(here: Place) -> None:
    (here.bundle() / "seccomp.bpf").unlink()


def _link_for_bundle(here: Place) -> None:
    bundle = here.bundle()
    bundle.rename(here.folder / "moved")
    bundle.symlink_to(here.folder / "moved")


def _link_for_config(here: Place) -> None:
    config = here.bundle() / "config.json"
    config.rename(here.folder / "moved.json")
    config.symlink_to(here.folder / "moved.json")


def _link_for_plan(here: Place) -> None:
    (plan,) = here.plans()
    plan.rename(here.folder / "moved.plan")
    plan.symlink_to(here.folder / "moved.plan")


def _open_slot(here: Place) -> None:
    here.plans()[0].parent.chmod(0o777)


def _open_shelf(here: Place) -> None:
    here.plans()[0].parent.parent.chmod(0o775)


def _open_plan(here: Place) -> None:
    here.plans()[0].chmod(0o666)


def _open_state(here: Place) -> None:
    here.state.chmod(0o777)


TAMPERED: tuple[Callable[[Place], None], ...] = (
    _evil, _evil_with_digest, _filter, _cut, _empty_plan, _no_json, _other_shape, _unknown_look, _more_skeleton,
    _other_skeleton, _filled_skeleton, _open_skeleton, _no_bundle, _no_filter,
    _link_for_bundle, _link_for_config, _link_for_plan, _open_slot,
    _open_shelf, _open_plan, _open_state,
)  # fmt: skip


@pytest.mark.parametrize("tamper", TAMPERED)
def test_what_is_not_as_it_was_written_is_not_believed(typed: Place, tamper: Callable[[Place], None]) -> None:
    typed.restore()
    tamper(typed)
    assert not typed.finds(*LINE)
    for path in (typed.state, *typed.state.glob("plans/*")):
        path.chmod(0o711)
    if tamper not in (_open_slot, _open_shelf, _open_state):
        assert not typed.plans(), "a plan that will never count again is taken away"


@pytest.mark.parametrize("what", ["plan", "slot", "shelf", "plans", "config", "state"])
def test_what_belongs_to_another_user_is_not_believed(typed: Place, what: str) -> None:
    if os.geteuid() != 0:
        # Only root can give files away. To an ordinary user everything of root's is another user's.
        assert not typed.finds(*LINE, changes={"HARDENING_STATE": "/run"})
        return
    typed.restore()
    (plan,) = typed.plans()
    paths = {
        "plan": plan,
        "slot": plan.parent,
        "shelf": plan.parent.parent,
        "plans": plan.parents[2],
        "state": typed.state,
        "config": plan.parent / "bundle/config.json",
    }
    os.chown(paths[what], 48000, 48000)
    assert not typed.finds(*LINE)


def test_what_was_tampered_with_is_composed_again_and_taken_away(place: Place) -> None:
    line = ("run", "-q", "-p", "strict", "--", "echo", "good")
    assert place.type(*line).stdout == "good\n"
    before = place.plans()
    _evil(place)
    done = place.type(*line)
    assert (done.returncode, done.stdout) == (0, "good\n")
    after = place.plans()
    assert len(after) == 1
    assert after != before
    assert place.type(*line).stdout == "good\n"
    assert place.plans() == after


def _rewrite(here: Place, changes: dict[str, object]) -> None:
    """Change a plan as one could who can write to the state directory, digest and all."""
    (plan,) = here.plans()
    text = json.dumps({**here.read(), **changes}).encode()
    plan.write_bytes(sha256(text).encode() + b"\n" + text)


def test_a_plan_does_not_say_where_code_is_imported_from(place: Place) -> None:
    line = ("run", "-q", "-p", "strict", "--", "echo", "good")
    assert place.type(*line).stdout == "good\n"
    planted = place.folder / "planted"
    planted.mkdir()
    (planted / "_cffi_backend.py").write_text("import os\nos.write(1, b'planted')\nos._exit(0)\n")
    _rewrite(place, {"path": [str(planted)]})
    assert place.finds(*line)
    assert place.type(*line).stdout == "good\n"


@pytest.mark.parametrize(
    "words",
    [
        ["--runtime-command", "{}/planted", "--state", "/tmp", "--id", "x"],
        ["--runtime-command", "/bin/sh", "--state", "/tmp", "--id", "x"],
        ["--remove"],
        ["--receipt", "{}/receipt"],
        ["--name", "../../other", "--record", "/x"],
        ["--unknown"],
        ["--id"],
    ],
)
def test_a_plan_asks_for_nothing_that_was_not_typed(place: Place, words: list[str]) -> None:
    line = ("run", "-q", "-p", "strict", "--", "echo", "good")
    assert place.type(*line).stdout == "good\n"
    bundle = place.bundle()
    planted = place.folder / "planted"
    planted.write_text("#!/bin/sh\necho planted\n")
    planted.chmod(0o755)
    _rewrite(place, {"words": [word.format(place.folder) for word in words]})
    assert place.finds(*line)
    done = place.type(*line)
    assert (done.returncode, done.stdout) == (0, "good\n"), done.stderr
    assert bundle.exists()
    assert not (place.folder / "receipt").exists()


def test_a_plan_names_no_bundle_that_was_not_typed(place: Place) -> None:
    line = ("run", "-q", "-p", "strict", "--", "echo", "good")
    assert place.type("compose", "-p", "strict", "-o", "other", "--", "echo", "evil").returncode == 0
    assert place.type(*line).stdout == "good\n"
    config = sha256((place.folder / "other/config.json").read_bytes())
    _rewrite(place, {"bundle": str(place.folder / "other"), "config": config})
    assert place.type(*line).stdout == "good\n"


@pytest.mark.parametrize("words", [("-v", "{}:/work"), ("-v", "{}/state/plans:/work:ro"), ("--rootfs", "{}/state")])
def test_no_command_is_shown_what_is_believed_later(place: Place, words: tuple[str, ...]) -> None:
    words = tuple(word.format(place.folder) for word in words)
    assert place.type("run", "-q", "-p", "strict", "--", "true").returncode == 0
    done = place.type("run", "-p", "default", *words, "--", "ls", "/work")
    assert done.returncode == 2, done.stdout
    assert "must lie apart" in done.stderr


@pytest.mark.parametrize("again", [False, True])
def test_what_is_believed_later_is_empty_in_a_read_only_volume_and_the_hosts_root(place: Place, again: bool) -> None:
    (place.folder / "data").mkdir()
    line = ("run", "-q", "-p", "default", "-v", f"{place.folder}:/work:ro", "--")
    for _ in range(1 + again):
        done = place.type(*line, "sh", "-c", "ls /work; echo; ls /work/state")
        assert (done.returncode, done.stdout) == (0, "data\nstate\n\n"), done.stderr
    done = place.type("run", "-q", "-p", "default", "--", "ls", "-A", str(place.state))
    assert done.stdout == ""


def test_no_plan_counts_in_a_state_directory_that_others_can_replace(typed: Place) -> None:
    typed.restore()
    assert typed.finds(*LINE)
    mode = typed.folder.stat().st_mode
    typed.folder.chmod(0o777)
    assert not typed.finds(*LINE)
    typed.folder.chmod(mode)
    assert typed.finds(*LINE)


def test_a_secret_variable_is_nobody_elses_to_read(place: Place) -> None:
    """A stack with one is not kept as a plan; its bundle is there while it runs."""
    pipe = subprocess.PIPE
    line = ("run", "-q", "-i", "-p", "strict", "-e", "API_TOKEN=s3cret", "--", *WAIT)
    with subprocess.Popen(
        [*place.program, *line], cwd=place.folder, env=place.surroundings(), stdin=pipe, stdout=pipe, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        (config,) = place.state.glob("bundles/*/config.json")
        assert "s3cret" in config.read_text()
        assert {stat.S_IMODE(path.stat().st_mode) for path in (config, config.parent / "seccomp.bpf")} == {0o600}
        process.communicate("go\n")


# --- at once, killed, no space ----------------------------------------------------------------------------------------


def test_runs_of_one_line_at_once_have_a_slot_each_and_use_them_again(place: Place) -> None:
    line = ("run", "-q", "-i", "-p", "strict", "--", *WAIT)

    def begin() -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [*place.program, *line], cwd=place.folder, env=place.surroundings(), stdin=pipe, stdout=pipe, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    for _ in range(2):
        running = [begin() for _ in range(3)]
        assert len(place.plans()) == 3
        cleared = place.type("plan", "clear")
        assert cleared.stdout == "0 slots removed\n"
        listed = json.loads(place.type("plan", "list", "--json").stdout)
        assert [entry["running"] for entry in listed] == [True, True, True]
        for process in running:
            process.communicate("go\n")
            assert process.returncode == 3
        assert len(place.plans()) == 3
    assert place.type("plan", "clear").stdout == "3 slots removed\n"
    assert not place.plans()


@pytest.mark.parametrize("when", ["1", "2"])
def test_a_writer_that_is_killed_leaves_nothing_that_is_believed(place: Place, when: str) -> None:
    line = ("run", "-q", "-p", "strict", "--", "true")
    inject = ("-e", "trace=rename", "-e", f"inject=rename:signal=KILL:when={when}")
    killed = Place(place.folder, ("strace", "-qq", "-o", "/dev/null", *inject, str(PROGRAM.with_name("hardening-cli"))))
    assert killed.type(*line).returncode == -signal.SIGKILL
    assert len([*place.state.glob("plans/*/*/")]) == 1
    assert not place.finds(*line) or when == "2"
    assert place.type(*line).returncode == 0
    assert len([*place.state.glob("plans/*/*/")]) == 1
    assert len(place.plans()) == 1


def test_where_the_plan_cannot_be_written_the_command_runs_all_the_same(place: Place) -> None:
    line = ("run", "-q", "-p", "strict", "--", "echo", "good")
    inject = ("-f", "-e", "trace=rename", "-e", "inject=rename:error=ENOSPC:when=2")
    full = Place(place.folder, ("strace", "-qq", "-o", "/dev/null", *inject, str(PROGRAM.with_name("hardening-cli"))))
    done = full.type(*line)
    assert (done.returncode, done.stdout) == (0, "good\n"), done.stderr
    assert not place.plans()
    assert not [*place.state.glob("plans/*/*/bundle")]


def test_where_no_bundle_can_be_written_nothing_is_left(place: Place) -> None:
    limited = Place(place.folder, ("prlimit", "--fsize=8192:8192", *place.program))
    done = limited.type("run", "-q", "-p", "strict", "--", "echo", "good")
    assert (done.returncode, done.stdout) == (125, "")
    assert "cannot write the bundle: File too large" in done.stderr
    assert not [*place.state.glob("plans/*/*/*"), *place.state.glob("bundles/*")]


# --- launch -----------------------------------------------------------------------------------------------------------


def test_the_verdict_on_a_bundle_is_kept_until_the_bundle_changes(place: Place) -> None:
    made = place.type("compose", "-q", "-p", "strict", "-o", "b", "--", "echo", "good")
    assert made.returncode == 0, made.stderr
    line = ("launch", "./b")
    assert not place.finds(*line)
    assert place.type(*line).stdout == "good\n"
    assert place.finds(*line)
    assert place.type(*line).stdout == "good\n"
    config = place.folder / "b/config.json"
    text = config.read_text()
    config.write_text(text.replace('"ociVersion"', '"unknown": 1, "ociVersion"'))
    refused = place.type(*line)
    assert refused.returncode == 2
    assert "unknown" in refused.stderr
    config.write_text(text)
    assert place.type(*line).stdout == "good\n"
    program = place.folder / "b/seccomp.bpf"
    write_alike_bytes(program, b"\x06\0\0\0\0\0\xff\x7f" * (program.stat().st_size // 8))
    refused = place.type(*line)
    assert refused.returncode == 125
    assert "is not compiled from the linux.seccomp" in refused.stderr
    (place.folder / "b").chmod(0o777)
    assert "can be written by others" in place.type(*line).stderr
