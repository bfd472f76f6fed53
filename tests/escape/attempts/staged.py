"""Attempts whose success is seen from the host: on the launcher's mounts, and on the caller's terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.escape import launches
from tests.escape.attacks import terminal
from tests.escape.attempt import Attempt, Outcome, Profiled, Staged, allow
from tests.escape.world import World
from tests.support import bundles, runs

#: A launcher that opens every place by its path, as the host sees it.
BY_PATH = """
from hardening.base.linux import kernel
import posix
kernel.openat2 = lambda directory, path, flags, resolve: posix.open(path, flags | posix.O_CLOEXEC, dir_fd=directory)
"""
#: An accomplice outside of the container replaces the link at the right moment.
ACCOMPLICE = """
from hardening.launch.native import mounts
import posix
careful = mounts.ProtectPath.execute
def protect(self, state):
    if self.pointer == "/linux/readonlyPaths/0":
        posix.unlink("proc", dir_fd=state.root.tree)
        posix.symlink("other", "proc", dir_fd=state.root.tree)
    careful(self, state)
mounts.ProtectPath.execute = protect
"""
THROUGH_LINKS = """
from hardening.base.linux import abi, kernel
opened = kernel.openat2
kernel.openat2 = lambda directory, path, flags, resolve: opened(directory, path, flags, resolve & ~abi.RESOLVE_NO_SYMLINKS)
"""
#: A launcher that masks files with what the container has at /dev/null.
OWN_NULL = """
from hardening.base.linux import abi, kernel
from hardening.launch.native import mounts
def mask(self, root, place):
    root.mount_at(kernel.open_tree(root.find("/dev/null"), b"", abi.OPEN_TREE_CLONE), place)
mounts.MaskPath.cover = mask
"""
#: A launcher that mounts the terminal by its path.
CONSOLE_BY_PATH = """
from hardening.base.linux import kernel
from hardening.launch.native import devices
opened, clone = devices.open_console, kernel.open_tree
def open_console(root, *rest):
    kernel.open_tree = lambda tree, path, flags: clone(root.find("/dev/pts/0"), b"", flags)
    try:
        return opened(root, *rest)
    finally:
        kernel.open_tree = clone
devices.open_console = open_console
"""
#: A launcher that writes kernel settings when the container's files are in place.
SETTINGS_LAST = """
from hardening.launch.native import mounts, namespaces
enter, write = mounts.EnterRoot.execute, namespaces.SetSysctl.execute
namespaces.SetSysctl.execute = lambda self, state: None
def enter_root(self, state):
    enter(self, state)
    for operation in state.operations:
        if isinstance(operation, namespaces.SetSysctl):
            write(operation, state)
mounts.EnterRoot.execute = enter_root
"""


def launched(
    world: World, prepare: Callable[[Path, dict[str, Any]], None], script: str, code: str
) -> subprocess.CompletedProcess[str]:
    """Run a busybox bundle that ``prepare`` (folder, configuration) has changed, under a launcher that runs ``code``."""
    stance = bundles.stance("root" if world.user is None else "user-range")
    with runs.workplace(world.user) as folder:
        document = stance.config("sh", "-c", script)
        document["root"]["readonly"] = False
        bundles.make_root(folder / "bundle" / "rootfs")
        prepare(folder / "bundle", document)
        bundle = bundles.write(folder / "bundle", document, user=world.user)
        argv = launches.with_code(bundles.launcher(bundle, user=world.user), code)
        environment = dict(world.user.environment) if world.user is not None else None
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/", timeout=60,
                              check=False, env=environment)  # fmt: skip


def host_directory(world: World) -> Path:
    """An empty directory of the host, owned by the caller."""
    place = world.folder / "host"
    place.mkdir(exist_ok=True)
    for name in place.iterdir():
        name.rmdir() if name.is_dir() else name.unlink()
    runs.hand_over(place, world.user)
    return place


def made_outside(world: World, prepare: Callable[[Path, dict[str, Any]], None], code: str) -> Outcome:
    """A launch that is to make something in `host_directory`."""
    place = host_directory(world)
    done = launched(world, prepare, "true", code)
    made = [path.name for path in place.iterdir()]
    if made:
        return Outcome(True, f"made {made[0]} on the host")
    return Outcome(False, done.stderr.splitlines()[0] if done.stderr else "made in the root")


def mount_target(world: World, on: bool) -> Outcome:
    """A mount point behind a link of the root that leads out of it."""

    def prepare(bundle: Path, document: dict[str, Any]) -> None:
        (bundle / "rootfs" / "data").rmdir()
        (bundle / "rootfs" / "data").symlink_to(world.folder / "host")
        document["mounts"].append(
            {"destination": "/data/made", "type": "tmpfs", "source": "tmpfs", "options": ["size=4k"]}
        )

    return made_outside(world, prepare, "" if on else BY_PATH)


def console(world: World, on: bool) -> Outcome:
    """The container's own terminal is a link to a file that is masked later."""

    def prepare(bundle: Path, document: dict[str, Any]) -> None:
        pts = bundle / "devices" / "pts"
        pts.mkdir(parents=True)
        (pts / "ptmx").symlink_to("../real/ptmx")
        (pts / "0").symlink_to("/proc/interrupts")
        own_devices(bundle, document, kept="/dev/pts")
        for mount in document["mounts"]:
            if mount["destination"] == "/dev/pts":
                mount["destination"] = "/dev/real"
        document["linux"]["maskedPaths"] = ["/proc/interrupts"]
        document["process"]["terminal"] = True

    script = "test -c /dev/console && cat /proc/interrupts || cat /dev/console"
    return unmasked(launched(world, prepare, script, "" if on else CONSOLE_BY_PATH))


def own_devices(bundle: Path, document: dict[str, Any], kept: str = "") -> None:
    """A /dev that the attacker has filled, and no file systems below it but the one that is kept."""
    document["mounts"] = [mount for mount in document["mounts"]
                          if mount["destination"] == kept or not mount["destination"].startswith("/dev/")]  # fmt: skip
    for mount in document["mounts"]:
        if mount["destination"] == "/dev":
            mount |= {"type": "bind", "source": str(bundle / "devices"), "options": ["rbind"]}


def linked_proc(world: World, on: bool) -> Outcome:
    """/proc is a link, which leads elsewhere once it is mounted: masks go to the wrong place."""

    def prepare(bundle: Path, document: dict[str, Any]) -> None:
        root = bundle / "rootfs"
        (root / "proc").rename(root / "shown")
        (root / "other").mkdir()
        (root / "proc").symlink_to("shown")
        document["linux"]["maskedPaths"].append("/proc/interrupts")

    code = ACCOMPLICE + ("" if on else THROUGH_LINKS)
    return unmasked(launched(world, prepare, "cat /shown/interrupts", code))


def linked_null(world: World, on: bool) -> Outcome:
    """/dev/null of the container is a link to the file that it is to mask."""

    def prepare(bundle: Path, document: dict[str, Any]) -> None:
        devices = bundle / "devices"
        devices.mkdir()
        (devices / "null").symlink_to("/proc/interrupts")
        own_devices(bundle, document)
        document["linux"]["maskedPaths"] = ["/proc/interrupts"]

    return unmasked(launched(world, prepare, "cat /proc/interrupts", "" if on else OWN_NULL))


def unmasked(done: subprocess.CompletedProcess[str]) -> Outcome:
    if done.stdout:
        return Outcome(True, f"{len(done.stdout)} bytes of a masked file")
    return Outcome(False, done.stderr.splitlines()[0] if done.stderr else "an empty file")


def redirected_setting(world: World, on: bool) -> Outcome:
    """A kernel setting of the configuration is written to where the root has a link: here to a file of the attacker."""

    def prepare(bundle: Path, document: dict[str, Any]) -> None:
        root = bundle / "rootfs"
        settings = root / "proc/sys/net/ipv4"
        settings.mkdir(parents=True)
        (root / "etc/target").write_text("untouched")
        (settings / "ip_unprivileged_port_start").symlink_to("/etc/target")
        document["mounts"] = [mount for mount in document["mounts"] if mount["destination"] != "/proc"]
        document["linux"]["sysctl"] = {"net.ipv4.ip_unprivileged_port_start": "80"}
        document["linux"]["maskedPaths"] = document["linux"]["readonlyPaths"] = []

    done = launched(world, prepare, "cat /etc/target", "" if on else SETTINGS_LAST)
    if done.returncode == 0 and done.stdout.startswith("80"):
        return Outcome(True, "written to the attacker's file")
    return Outcome(False, done.stdout or done.stderr)


def unused_console() -> str:
    """A virtual console that nobody looks at; another one for each run of the tests."""
    return f"/dev/tty{44 + os.getpid() % 20}"


def in_terminal(world: World, tries: Profiled, on: bool, device: str = "") -> Outcome:
    """Run an attack whose standard input is the caller's terminal: a new one, or a ``device`` of the host."""
    if device:
        master, slave = -1, os.open(device, os.O_RDWR | os.O_NOCTTY)
    else:
        master, slave = pty.openpty()
        tty.setraw(slave)
        os.set_blocking(slave, False)
    try:
        setup = tries.setup(world.stance, on=on)
        outcome = launches.attack(world, setup, [tries.name], base=launches.strict(), terminal=slave)[tries.name]
        if outcome.escaped and not device and os.read(slave, 16) != b"#":
            return Outcome(False, "nothing was typed")
        return outcome
    finally:
        os.close(slave)
        if master >= 0:
            os.close(master)


IN_SESSION = "import posix; posix.setsid = lambda: 0\n"
TYPE = Profiled(terminal.type_text, allow("ioctl"), before=IN_SESSION)
TYPE_IN_SESSION = Profiled(terminal.type_text, overlap=(allow("ioctl"),), left_out=IN_SESSION)
SELECT = Profiled(terminal.ask_console, allow("ioctl"), before=IN_SESSION)

ATTEMPTS = (
    Attempt("mount target", "CVE-2021-30465", "a mount point behind a link that leads out of the root",
            "launcher: places are looked up below the root",
            Staged(mount_target), fails_closed=True),
    Attempt("linked console", "CVE-2025-52565", "the container's terminal is a link to what is masked later",
            "launcher: the terminal is mounted by its descriptor",
            Staged(console)),
    Attempt("linked /proc", "CVE-2023-27561", "/proc is a link that moves between mount and mask",
            "launcher: /proc and /sys may not be links",
            Staged(linked_proc), fails_closed=True),
    Attempt("linked /dev/null", "CVE-2025-31133", "/dev/null of the root is a link to what it is to mask",
            "launcher: masks are made of the host's null device",
            Staged(linked_null)),
    Attempt("redirected setting", "CVE-2025-52881", "a link in the root takes what is written to /proc/sys",
            "launcher: settings are written before the root is built",
            Staged(redirected_setting)),
    Attempt("TIOCSTI", "CVE-2017-5226", "typing into the caller's terminal", "`seccomp.ioctl`: the guard on its request",
            Staged(lambda world, on: in_terminal(world, TYPE, on)), needs=("tiocsti",)),
    Attempt("TIOCSTI, session", "CVE-2017-5226", "the same where the filter lets it pass",
            "launcher: a session of its own",
            Staged(lambda world, on: in_terminal(world, TYPE_IN_SESSION, on)), needs=("tiocsti",)),
    Attempt("TIOCLINUX", "CVE-2023-28100", "the clipboard of the caller's virtual console",
            "`seccomp.ioctl`: the guard on its request",
            Staged(lambda world, on: in_terminal(world, SELECT, on, unused_console())), needs=("vt",)),
)  # fmt: skip
