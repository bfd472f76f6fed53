"""The kernel's audit system with a daemon of our own, for one test at a time."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from tests.support.patience import PATIENCE, until

LOCK = Path("/run/lock/hardening-test-audit")
CONFIGURATION = """
local_events = yes
write_logs = yes
log_file = {log}
log_group = root
log_format = RAW
flush = SYNC
max_log_file = 100
max_log_file_action = IGNORE
space_left = 2
space_left_action = IGNORE
admin_space_left = 1
admin_space_left_action = IGNORE
disk_full_action = IGNORE
disk_error_action = IGNORE
"""


@attrs.frozen
class AuditSystem:
    """A running audit daemon and its log."""

    log: Path

    @contextmanager
    def watching(self, path: Path, key: str) -> Iterator[None]:
        """Have accesses that write to ``path`` recorded under ``key``."""
        rule = (str(path), "-p", "wa", "-k", key)
        control("-w", *rule)
        try:
            yield
        finally:
            control("-W", *rule)

    def search(self, wanted: str, *arguments: str) -> str:
        """What ausearch(8) finds once ``wanted`` is in it. The daemon writes line by line, a moment after the
        kernel has its messages."""
        argv = ["ausearch", "-if", str(self.log), *arguments]

        def found() -> str:
            done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
            return done.stdout if done.returncode == 0 and wanted in done.stdout else ""

        return until(found, lambda: argv)


def control(*arguments: str) -> str:
    """auditctl(8)."""
    return subprocess.run(["auditctl", *arguments], capture_output=True, text=True, check=True).stdout


def status() -> dict[str, str]:
    """The state of the audit system; empty where the caller may not ask for it."""
    done = subprocess.run(["auditctl", "-s"], capture_output=True, text=True, check=False)
    return dict(re.findall(r"^(\w+) (\S+)$", done.stdout, re.MULTILINE)) if done.returncode == 0 else {}


def is_free() -> bool:
    """Whether the audit system can be asked, and belongs to nobody."""
    return os.geteuid() == 0 and status().get("pid") == "0"


@contextmanager
def alone() -> Iterator[None]:
    """Wait until no other test has the audit system. No ordinary user ever has it, nor may write to root's file."""
    if os.geteuid() != 0:
        yield
        return
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def daemon(folder: Path) -> Iterator[AuditSystem]:
    """Run auditd(8) with its log in ``folder``; afterwards the audit system is as it was."""
    before = status()
    folder.chmod(0o700)
    log = folder / "audit.log"
    configuration = folder / "auditd.conf"
    configuration.write_text(CONFIGURATION.format(log=log))
    configuration.chmod(0o640)
    process = subprocess.Popen(["auditd", "-n", "-c", str(folder)], stdin=subprocess.DEVNULL)
    try:
        until(lambda: status().get("pid") == str(process.pid) or process.poll() is not None)
        assert process.returncode is None, f"auditd ended with {process.returncode}"
        yield AuditSystem(log)
    finally:
        process.terminate()
        process.wait(PATIENCE)
        control("-e", before["enabled"])
