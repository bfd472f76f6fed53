"""A stack that has not changed is not composed again: what was stored runs, at once, killed and without space, too."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hardening.base import files
from hardening.launch.cgroup.hierarchy import read_hierarchies
from tests.support.cached import OPEN, PROGRAM, WAIT, WHOLE, Place, write_alike_bytes
from tests.support.features import UNSET_LOGINUID, require
from tests.support.patience import until
from tests.support.runs import RUNTIMES, busybox_root, find, require_cgroups, workplace
from tests.support.users import ordinary

pytestmark = pytest.mark.system


# --- what is used again -----------------------------------------------------------------------------------------------


def test_the_same_line_runs_what_was_stored_and_says_the_same(place: Place) -> None:
    line = ("run", "-p", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    first = place.type(*line)
    assert "warning: namespaces.net" in first.stderr
    assert (first.returncode, first.stdout) == (7, "out\n")
    stored = {path: path.lstat() for path in place.state.rglob("cache/*/*/**/*")}
    assert place.finds(*line)
    second = place.type(*line)
    # What this host has not at all is told once.
    said = [line for line in first.stderr.splitlines() if not line.startswith("not enforced: selinux.")]
    assert (second.returncode, second.stdout, second.stderr.splitlines()) == (7, "out\n", said)
    after = {path: path.lstat() for path in place.state.rglob("cache/*/*/**/*")}
    assert {path: status.st_ctime_ns for path, status in after.items()} == {
        path: status.st_ctime_ns for path, status in stored.items()
    }


def test_the_second_time_one_interpreter_is_started_and_it_keeps_the_pid(place: Place) -> None:
    require("root")  # newuidmap(1) gains nothing under a tracer that has no more than the user
    line = ("run", "-q", "-p", "strict", "--", "true")
    assert place.type(*line).returncode == 0
    trace = place.folder / "trace"
    traced = Place(place.folder, ("strace", "-f", "-qq", "-e", "trace=execve", "-o", str(trace), str(PROGRAM)))
    assert traced.type(*line).returncode == 0
    calls = [text.split() for text in trace.read_text().splitlines() if "execve(" in text and "ENOENT" not in text]
    names = [re.findall(r'execve\("([^"]+)"', " ".join(words))[0] for words in calls]
    found = [Path(name).name.rstrip("0123456789.") for name in names]
    # The helper of Landlock is the command's process, which the kernel may have none for.
    assert found in (["hardening", "python", ".landlock", "true"], ["hardening", "python", "true"])
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
            assert uids[1] == (uids[0] if uids[0] != UNSET_LOGINUID else str(os.getuid()))
            process.communicate("go\n")
            assert process.returncode == 3
    assert len(place.entries()) == 1


def test_an_ordinary_user_has_a_cache_too() -> None:
    user = ordinary()
    with workplace(user) as folder:
        here = Place.of(folder, user)
        line = ("run", "-q", "-p", "strict", "--", "id", "-u")
        first, second = here.type(*line), here.type(*line)
        assert (first.returncode, first.stdout) == (0, f"{user.uid}\n"), first.stderr
        assert (second.returncode, second.stdout, second.stderr) == (0, first.stdout, first.stderr)
        assert len(here.entries()) == 1
        assert here.entries()[0].stat().st_uid == user.uid


@pytest.mark.parametrize("caller", [None, "ordinary"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_missing_working_directory_is_made_and_goes_with_its_entry(runtime: str, caller: str | None) -> None:
    require_cgroups(runtime)
    user = ordinary() if caller else None
    with workplace(user) as folder:
        here = Place(folder) if user is None else Place.of(folder, user)
        line = ("run", "-q", "-p", "strict", "--runtime", runtime, "-w", "/nonexist/a/b", "--", "pwd")
        for _ in range(2):
            done = here.type(*line)
            assert (done.returncode, done.stdout, done.stderr) == (0, "/nonexist/a/b\n", "")
        made = here.bundle() / "rootfs/nonexist/a/b"
        assert made.stat().st_uid == (os.geteuid() if user is None else user.uid)
        done = here.type("cache", "clear")
        assert (done.returncode, done.stdout) == (0, "1 entry removed\n"), done.stderr
        assert list(here.state.glob("cache/*")) == []


def test_what_is_made_in_a_volume_belongs_to_whom_the_volume_does() -> None:
    user = ordinary()
    with workplace(user) as folder:
        here = Place.of(folder, user)
        data = folder / "data"
        data.mkdir()
        os.chown(data, user.uid, user.gid)
        command = ("sh", "-c", "touch z; pwd")
        done = here.type("run", "-q", "-p", "default", "-v", f"{data}:/data", "-w", "/data/x/y", "--", *command)
        assert (done.returncode, done.stdout, done.stderr) == (0, "/data/x/y\n", "")
        made = [data / "x", data / "x/y", data / "x/y/z"]
        assert [(path.stat().st_uid, path.stat().st_gid) for path in made] == [(user.uid, user.gid)] * 3
        subprocess.run(user.argv(["rm", "-r", str(data / "x")]), check=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_signals_of_the_command_give_the_same_exit_code(place: Place, number: int) -> None:
    line = ("run", "-q", "-p", "strict", "--", "sh", "-c", f"sh -c 'kill -{number} $PPID'; kill -{number} $$; exit 9")
    assert place.type(*line).returncode == place.type(*line).returncode
    assert len(place.entries()) == 1


def test_an_entry_whose_control_group_is_in_use_is_passed_over(place: Place) -> None:
    require("cgroups")
    line = ("run", "-q", "-p", "strict", "--pids-limit", "50", "--", "true")
    assert place.type(*line).returncode == 0
    assert place.finds(*line)
    (entry,) = place.entries()
    name = json.loads((entry.parent / "bundle/config.json").read_text())["linux"]["cgroupsPath"]
    hierarchy = next(entry for entry in read_hierarchies() if "pids" in entry.controllers)
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
                assert len(place.entries()) == 2
            finally:
                other.kill()
        assert group.exists()
    finally:
        remove_soon(group)


def remove_soon(group: Path) -> None:
    """Remove a group once the kernel has seen that it is empty."""

    def gone() -> bool:
        with suppress(OSError):
            group.rmdir()
        return not group.exists()

    until(gone)


def test_a_run_that_the_launcher_refuses_is_refused_again(place: Place) -> None:
    line = ("run", "-q", "-p", "strict", "--", "no-such-command")
    first, second = place.type(*line), place.type(*line)
    assert first.returncode == second.returncode == 127
    assert first.stderr == second.stderr
    # Whoever has typed it has seen no config.json.
    assert first.stderr.startswith(
        "hardening: no-such-command: command not found in the container\nhint: PATH inside is /"
    )


# --- one stack, many commands -----------------------------------------------------------------------------------------


def is_used(place: Place, *words: str, expected: str, entries: int = 1, **options: Any) -> None:
    """A line prints this, and was run from the entries that there were."""
    done = place.type(*words, **options)
    assert (done.returncode, done.stdout) == (0, expected), done.stderr
    assert len(place.entries()) == entries, words


def test_an_entry_is_good_for_every_command_in_every_folder_and_with_every_value_that_passes(place: Place) -> None:
    profile = place.folder / "app.toml"
    profile.write_text('extends = ["default"]\n')
    line = ("run", "-q", "-p", str(profile), "-e", "PASSED", "-e", "GIVEN=a b", "--")
    script = 'echo "$PASSED $GIVEN $LANG $0 $*"'

    def with_values(passed: str, lang: str) -> dict[str, str | None]:
        return {"PASSED": passed, "LANG": lang, "TERM": "xterm"}

    is_used(place, *line, "echo", "one", expected="one\n", changes=with_values("x", "C"))
    for words in (("echo", "two"), ("printf", "--", "-p"), ("sh", "-c", "pwd")):
        expected = {"echo": "two\n", "printf": "-p", "sh": "/\n"}[words[0]]
        is_used(place, *line, *words, expected=expected, changes=with_values("y", "de"), cwd="/usr")
    said = "y z a b de -- --\n"
    is_used(place, *line, "sh", "-c", script, "--", "--", expected=said, changes=with_values("y z", "de"), cwd="/")
    # What is not set is another configuration; so is a value that may be an address with a password, and that is nowhere.
    is_used(place, *line, "echo", "one", expected="one\n", entries=2, changes={**with_values("x", "C"), "PASSED": None})
    secret = with_values("http://me:canary@host", "C")
    is_used(place, *line, "sh", "-c", "echo $PASSED", expected="http://me:canary@host\n", entries=2, changes=secret)
    assert not [path for path in place.state.rglob("*") if path.is_file() and b"canary" in path.read_bytes()]


def test_what_counts_from_the_folder_is_another_stack_in_another_one(place: Place) -> None:
    for name, umask in (("a", "027"), ("b", "022")):
        (place.folder / name / "data").mkdir(parents=True)
        (place.folder / name / "data/file").write_text(f"{name}\n")
        (place.folder / name / "app.toml").write_text(OPEN.format(umask).replace("default", "debug"))
    by_path = ("run", "-q", "-p", "./app.toml", "--", "sh", "-c", "umask")
    shown = ("run", "-q", "-v", "./data:/data:ro", "--", "cat", "/data/file")
    in_set = ("run", "-q", "--set", 'rootfs.volumes.add=["data:/data:ro"]', "--", "cat", "/data/file")
    for name, umask, before in (("a", "0027", 0), ("b", "0022", 3), ("a", "0027", None), ("b", "0022", None)):
        here = place.folder / name
        kept = [6, 6, 6] if before is None else [before + 1, before + 2, before + 3]
        is_used(place, *by_path, expected=f"{umask}\n", entries=kept[0], cwd=here)
        is_used(place, *shown, expected=f"{name}\n", entries=kept[1], cwd=here)
        is_used(place, *in_set, expected=f"{name}\n", entries=kept[2], cwd=here)


def test_the_name_of_a_container_is_no_part_of_the_stack(place: Place) -> None:
    line = ("run", "-q", "-d", "--rm", "-p", "strict")
    for name in (("--name", "one"), ("--name=two",)):
        assert place.type(*line, *name, "--", "sleep", "600").returncode == 0
    listed = json.loads(place.type("ps", "--json").stdout)
    assert {entry["name"] for entry in listed} == {"one", "two"}
    assert len(place.entries()) == 1
    for wrong in ("../x", "0123456789ab", ""):
        done = place.type(*line, "--name", wrong, "--", "true")
        assert done.returncode == 2, done.stderr
    assert place.type("rm", "-f", "one", "two").returncode == 0


#: Lines that have the words of one that is kept, and mean something else.
OTHERS = (
    (("run", "-q", "-e", "--", "-p", "strict", "--", "echo", "x"), 2, "needs a value"),
    (("run", "-q", "-p", "strict", "echo", "good"), 125, "is taken for an image"),
    (("run", "-q", "-p", "strict"), 2, "no command"),
    (("run", "-q", "-p", "strict", "--"), 2, "no command"),
    (("run", "-q", "-p", "strict", "--name", "--", "echo", "x"), 2, "is not the name of a container"),
    (("run", "-q", "-p", "strict", "--", "--", "echo"), 127, "--: command not found"),
    (("run", "-q", "-p", "strict", "--", "-p", "default"), 127, "-p: command not found"),
    (("run", "-q", "-p", "strict", "--", ""), 2, ""),
)


@pytest.mark.parametrize(("words", "code", "said"), OTHERS)
def test_a_line_that_means_something_else_does(strict: Place, words: tuple[str, ...], code: int, said: str) -> None:
    done = strict.type(*words)
    assert (done.returncode == 0, done.stdout) == (code == 0, "")
    assert said in done.stderr
    whole = strict.type(words[0], "--fresh", *words[1:])
    assert (done.returncode, done.stderr) == (whole.returncode, whole.stderr.replace(" --fresh", ""))


@pytest.fixture(scope="module")
def strict() -> Iterator[Place]:
    """A place where the entry of the strict profile is kept, also with a name."""
    with workplace() as folder:
        here = Place(folder)
        for more in ((), ("--name", "one")):
            assert here.type("run", "-q", "-p", "strict", *more, "--", "echo", "good").stdout == "good\n"
        yield here


def test_a_command_that_is_not_shown_inside_is_answered_as_ever(place: Place) -> None:
    program = place.folder / "tool"
    program.write_text("#!/bin/sh\necho tool\n")
    program.chmod(0o755)
    busybox_root(place.folder / "tree")
    line = ("run", "-q", "-p", "strict", "--rootfs", str(place.folder / "tree"), "--")
    assert place.type(*line, "true").returncode == 0
    for name in ("./tool", str(program)):
        done = place.type(*line, name)
        assert done.returncode == 127
        assert f"hint: {name} is not shown inside: add -v" in done.stderr
        assert done.stderr == place.type("run", "--fresh", *line[1:], name).stderr
    assert len(place.entries()) == 1
    assert place.finds(*line, "/bin/true")
    assert place.finds(*line, "./bin/true")


# --- at once, killed, no space ----------------------------------------------------------------------------------------


def begin(place: Place, *options: str) -> subprocess.Popen[str]:
    """A command that runs until it is told to go."""
    pipe = subprocess.PIPE
    line = ("run", "-q", "-i", "-p", "strict", *options, "--", *WAIT)
    process = subprocess.Popen(
        [*place.program, *line], cwd=place.folder, env=place.surroundings(), stdin=pipe, stdout=pipe, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def end(running: list[subprocess.Popen[str]]) -> None:
    for process in running:
        process.communicate("go\n")
        assert process.returncode == 3


def test_runs_at_once_share_one_entry(place: Place) -> None:
    running = [begin(place) for _ in range(3)]
    assert len(place.entries()) == 1
    assert place.type("cache", "clear").stdout == "0 entries removed\n"
    (listed,) = json.loads(place.type("cache", "list", "--json").stdout)
    assert (listed["running"], listed["profiles"]) == (True, "strict")
    end(running)
    assert place.type("cache", "clear").stdout == "1 entry removed\n"
    assert not place.entries()


def test_entries_are_told_apart_without_what_may_be_a_secret(place: Place) -> None:
    for more in ((), ("--hostname", "box"), ("-e", "GREETING=sesame")):
        done = place.type("run", "-q", "-p", "strict", *more, "--", "true")
        assert done.returncode == 0, done.stderr
    listed = json.loads(place.type("cache", "list", "--json").stdout)
    assert [entry["options"] for entry in listed] == [
        f"-q -p strict{more}" for more in (" -e GREETING", " --hostname box", "")
    ]
    assert "sesame" not in json.dumps(listed)


def test_runs_at_once_that_have_a_control_group_have_an_entry_each_and_use_them_again(place: Place) -> None:
    require("cgroups")
    for _ in range(2):
        running = [begin(place, "--pids-limit", "50") for _ in range(3)]
        assert len(place.entries()) == 3
        assert place.type("cache", "clear").stdout == "0 entries removed\n"
        end(running)
    assert len(place.entries()) == 3
    assert place.type("cache", "clear").stdout == "3 entries removed\n"


@pytest.mark.parametrize("when", ["1", "2"])
def test_a_writer_that_is_killed_leaves_nothing_that_is_believed(place: Place, when: str) -> None:
    line = ("run", "-q", "-p", "strict", "--", "true")
    inject = ("-e", "trace=rename", "-e", f"inject=rename:signal=KILL:when={when}")
    killed = Place(place.folder, ("strace", "-qq", "-o", "/dev/null", *inject, *WHOLE))
    assert killed.type(*line).returncode == -signal.SIGKILL
    assert len([*place.state.glob("cache/*/*/")]) == 1
    assert not place.finds(*line) or when == "2"
    assert place.type(*line).returncode == 0
    assert len([*place.state.glob("cache/*/*/")]) == 1
    assert len(place.entries()) == 1


def test_where_the_entry_cannot_be_written_the_command_runs_all_the_same(place: Place) -> None:
    require("root")  # newuidmap(1) gains nothing under a tracer that has no more than the user
    line = ("run", "-q", "-p", "strict", "--", "echo", "good")
    inject = ("-f", "-e", "trace=rename", "-e", "inject=rename:error=ENOSPC:when=2")
    full = Place(place.folder, ("strace", "-qq", "-o", "/dev/null", *inject, *WHOLE))
    done = full.type(*line)
    assert (done.returncode, done.stdout) == (0, "good\n"), done.stderr
    assert not place.entries()
    assert not [*place.state.glob("cache/*/*/bundle")]


def test_where_no_bundle_can_be_written_nothing_is_left(place: Place) -> None:
    limited = Place(place.folder, ("prlimit", "--fsize=8192:8192", *place.program))
    done = limited.type("run", "-q", "-p", "strict", "--", "echo", "good")
    assert (done.returncode, done.stdout) == (125, "")
    assert "cannot write the bundle: File too large" in done.stderr
    assert not [*place.state.glob("cache/*/*/*"), *place.state.glob("launches/*")]


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
