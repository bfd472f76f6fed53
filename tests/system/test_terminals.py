"""Job control, pipes and hang-ups: what a person at a shell does with a container as with any other command.

Where crun does the same, a plain ``crun run`` is held to the same test; docs/reference/launcher.md lists what differs.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.support import bundles, runs
from tests.support.bundles import Stance
from tests.support.patience import is_over, state, until
from tests.support.terminals import shell

pytestmark = pytest.mark.system

OURS = ("native", "crun", "runc")
ALONE = "crun alone"


@attrs.frozen
class Maker:
    """Makes command lines that run a container, by one runtime, as one user."""

    runtime: str
    stance: Stance
    folder: Path

    def argv(self, *command: str, terminal: bool = False, stdin: bool = True, pid: bool = True) -> list[str]:
        """A container with a command in a busybox root; without ``pid``, in the process namespace of the host."""
        document = self.stance.config(*command)
        document["process"]["terminal"] = terminal
        if not pid:
            document["linux"]["namespaces"] = [
                item for item in document["linux"]["namespaces"] if item["type"] != "pid"
            ]
        bundle = bundles.write(self.folder / os.urandom(4).hex(), document, user=self.stance.user)
        if self.runtime == ALONE:
            return bundles.alone(bundle)
        return bundles.launcher(bundle, self.runtime, self.stance.user, stdin=stdin)


def _made(runtime: str, name: str) -> Iterator[Maker]:
    stance = bundles.stance(name)
    with runs.workplace(stance.user) as folder:
        yield Maker(runtime, stance, folder)


@pytest.fixture(params=[*OURS, ALONE])
def any_runtime(request: pytest.FixtureRequest) -> Iterator[Maker]:
    """Ours and, for comparison, crun alone."""
    yield from _made(request.param, "root")


@pytest.fixture(params=[*((runtime, "root") for runtime in OURS), ("native", "user-range")], ids="-".join)
def maker(request: pytest.FixtureRequest) -> Iterator[Maker]:
    yield from _made(*request.param)


def test_a_terminal_is_given_back_with_its_size_followed(any_runtime: Maker) -> None:
    with shell() as person:
        modes = person.modes()
        person.start(any_runtime.argv("sh", terminal=True))
        person.expect("# ")
        person.resize(20, 60)
        # Under crun alone nobody waits for the change to have arrived.
        person.type("until stty size | grep '20 60'; do sleep 0.1; done\n")
        person.expect("\n20 60")
        person.type("exit 7\n")
        person.expect("@ ")
        assert person.ask("echo $?") == "7"
        assert person.modes() == modes


def test_a_terminal_is_given_back_by_a_container_that_is_killed(any_runtime: Maker) -> None:
    with shell() as person:
        modes = person.modes()
        person.start(any_runtime.argv("sh", "-c", "echo up''up; sleep 60; echo no", terminal=True))
        person.expect("upup")
        os.kill(runs.find(person.foreground, ["sh", "-c", "echo up''up; sleep 60; echo no"]), signal.SIGKILL)
        person.expect("@ ")
        assert person.ask("echo $?") == "137"
        assert person.modes() == modes


def test_ctrl_z_stops_a_job_with_all_its_processes_and_fg_goes_on(maker: Maker) -> None:
    command = ("sh", "-c", "echo be''gin; sleep 4711; echo e''nd; sleep 60")
    with shell() as person:
        person.start(maker.argv(*command, stdin=False))
        person.expect("begin")
        launcher = person.foreground
        first, second = runs.find(launcher, command), runs.find(launcher, ("sleep", "4711"))
        person.type("\x1a")
        person.expect("Stopped")
        assert state(launcher) == "T"
        until(lambda: state(first) == state(second) == "T")
        os.kill(second, signal.SIGTERM)  # which reaches it once it goes on
        person.type("fg\n")
        person.expect("\nend")
        runs.find(launcher, ("sleep", "60"))  # a shell that is about to fork takes the signal, and ends with 0
        person.type("\x03")
        person.expect("@ ")
        assert person.ask("echo $?") == "130"


def test_ctrl_c_reaches_all_processes_of_a_job(maker: Maker) -> None:
    with shell() as person:
        person.start(maker.argv("sh", "-c", "trap : INT; sleep 4711; echo end''ed $?; exit 5", stdin=False))
        until(lambda: person.foreground != person.pid)
        runs.find(person.foreground, ["sleep", "4711"])
        person.type("\x03")
        person.expect("ended 130")
        person.expect("@ ")
        assert person.ask("echo $?") == "5"


def test_ctrl_z_is_the_containers_own_in_a_terminal_of_its_own(maker: Maker) -> None:
    with shell() as person:
        modes = person.modes()
        person.start(maker.argv("sh", terminal=True))
        person.expect("# ")
        person.type("sleep 60\n")
        runs.find(person.foreground, ["sleep", "60"])
        person.type("\x1a")
        person.expect("Stopped")
        person.type("echo in''side; exit 3\n")
        person.expect("inside")
        person.type("exit 3\n")
        person.expect("@ ")
        assert person.ask("echo $?") == "3"
        assert person.modes() == modes


def test_a_stopped_terminal_session_leaves_the_terminal_to_the_shell_meanwhile(maker: Maker) -> None:
    with shell() as person:
        modes = person.modes()
        person.start(maker.argv("sh", "-c", "echo be''gin; cat; :", terminal=True))
        person.expect("begin")
        os.kill(person.foreground, signal.SIGTSTP)
        person.expect("Stopped")
        assert person.modes() == modes
        person.type("fg\n")
        person.type("typed\n")
        person.expect("typed\ntyped")  # the echo of the container's terminal, and what cat says
        person.type("\x04")
        person.expect("@ ")
        assert person.modes() == modes


def test_a_background_job_waits_for_the_terminal(maker: Maker) -> None:
    with shell() as person:
        modes = person.modes()
        person.start(maker.argv("sh", "-c", "stty size; read -r line; echo got:$line", terminal=True), background=True)
        until(lambda: "Stopped" in person.ask("jobs"))
        assert person.modes() == modes
        person.type("fg\n")
        person.expect("33 500")
        person.type("words\n")
        person.expect("got:words")
        person.expect("@ ")
        assert person.modes() == modes


def test_a_hang_up_ends_a_container(maker: Maker) -> None:
    with shell() as person:
        person.start(maker.argv("sh", "-c", "echo be''gin; cat; :", terminal=True))
        person.expect("begin")
        launcher = person.foreground
        pids = [launcher, runs.find(launcher, ["sh", "-c", "echo be''gin; cat; :"])]
    until(lambda: all(map(is_over, pids)))
    assert not list(maker.folder.glob("state/*/test-*"))


def test_what_ignores_a_hang_up_goes_on(any_runtime: Maker) -> None:
    argv = any_runtime.argv("sh", "-c", "echo ready; sleep 0.3; echo still here", stdin=False)
    with subprocess.Popen(["nohup", *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGHUP)
        assert process.stdout.read() == "still here\n"
        assert process.wait(60) == 0


def test_the_end_of_a_pipe_ends_what_writes_into_it(any_runtime: Maker) -> None:
    argv = any_runtime.argv("sh", "-c", "cat /dev/zero; echo code $? >&2", stdin=False)
    script = f"{shlex.join(argv)} | head -c 0; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "0\n"
    assert done.stderr.endswith("code 141\n")  # 128 and SIGPIPE


def test_the_first_process_meets_a_broken_pipe_as_an_error(any_runtime: Maker) -> None:
    """The kernel drops SIGPIPE for the first process of a PID namespace; what remains is EPIPE."""
    argv = any_runtime.argv("sh", "-c", "while echo y; do :; done; exit 9", stdin=False)
    script = f"{shlex.join(argv)} | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "y\n9\n"
    assert "Broken pipe" in done.stderr


def test_a_device_that_takes_no_more_is_met_as_a_broken_pipe(maker: Maker) -> None:
    argv = maker.argv("sh", "-c", "while echo y; do :; done; exit 9", stdin=False)
    with open("/dev/full", "w") as full:
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 9


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_closed_standard_descriptor_is_the_null_device(maker: Maker, closed: int) -> None:
    said = 1 if closed == 2 else 2
    script = (
        f"for fd in 0 1 2; do test -e /proc/self/fd/$fd || echo none; done >&{said}; echo x; cat; echo ready >&{said}"
    )
    argv = maker.argv("sh", "-c", script)
    line = f"{shlex.join(argv)} {closed}>&-"
    done = subprocess.run(["bash", "-c", line], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    text = done.stdout if said == 1 else done.stderr
    assert "none" not in text
    assert text.endswith("ready\n")


def test_orphans_fall_to_the_first_process(any_runtime: Maker) -> None:
    """A shell reaps them; what never waits for children, collects them as zombies, under crun as well."""
    alone = "set -- /proc/[0-9]*; while [ $# -gt 1 ]; do sleep 0.05; set -- /proc/[0-9]*; done; echo $1"
    argv = any_runtime.argv("sh", "-c", f"(sleep 0.1 & sleep 0.2 &); {alone}", stdin=False)
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "/proc/1\n"


@pytest.mark.parametrize("maker", [(runtime, "root") for runtime in OURS], ids="-".join, indirect=True)
def test_orphans_in_the_hosts_process_namespace_are_reaped(maker: Maker) -> None:
    script = "for n in 1 2 3 4 5; do (sleep 0.1 &); done; echo ready; sleep 600; :"
    argv = maker.argv("sh", "-c", script, stdin=False, pid=False)
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        first = next(pid for pid in map(int, children.read_text().split()) if _runs(pid, "sh"))
        until(
            lambda: (
                not [pid for pid in map(int, children.read_text().split()) if state(pid) == "Z" or _runs(pid, "sleep")]
            )
        )
        os.kill(first, signal.SIGKILL)
        assert process.wait(60) == 137


def test_a_timeout_ends_it(maker: Maker) -> None:
    argv = ["timeout", "0.7", *maker.argv("sh", "-c", "sleep 60; echo late", stdin=False)]
    assert subprocess.run(argv, stdin=subprocess.DEVNULL, timeout=60, check=False).returncode == 124


def _runs(pid: int, name: str) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text() == f"{name}\n"
    except OSError:
        return False
