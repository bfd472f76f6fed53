"""A journald of our own, in a mount namespace in which /run is empty."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import attrs

from tests.support.patience import PATIENCE, until
from tests.support.users import User

#: Audit= without a value leaves the machine's auditing as it is.
SCRIPT = """
set -eu
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/systemd/journald.conf.d /run/log
printf '[Journal]\\nStorage=volatile\\nAudit=\\nReadKMsg=no\\n' >/run/systemd/journald.conf.d/test.conf
mkdir -m 1777 /run/user
[ -s /etc/machine-id ] || {
    echo 0123456789abcdef0123456789abcdef >/run/machine-id
    mount --bind /run/machine-id /etc/machine-id
}
exec /usr/lib/systemd/systemd-journald
"""


@attrs.frozen
class Journal:
    """A running journald; ``pid`` is its process, in whose mount namespace commands must run to reach it."""

    pid: int

    def argv(self, command: Sequence[str]) -> list[str]:
        """A command in journald's mount namespace."""
        return ["nsenter", "-t", str(self.pid), "-m", "--", *command]

    def run(
        self,
        command: Sequence[str],
        user: User | None = None,
        env: Mapping[str, str] | None = None,
        *,
        input: str = "",  # noqa: A002
    ) -> subprocess.CompletedProcess[str]:
        """Run a command that can reach the journal, as root or as ``user``."""
        words = self.argv(user.argv(command) if user is not None else command)
        return subprocess.run(words, env=env, cwd="/", input=input, capture_output=True, text=True, check=False)

    def stop(self) -> None:
        """End journald; its mount namespace lives as long as somebody holds it."""
        subprocess.run(["kill", str(self.pid)], check=True)


@contextmanager
def running() -> Iterator[Journal]:
    """Run journald until the block ends."""
    process = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", SCRIPT], stdin=subprocess.DEVNULL
    )
    try:
        journal = Journal(process.pid)
        listens = ["test", "-S", "/run/systemd/journal/socket"]
        until(lambda: process.poll() is not None or journal.run(listens).returncode == 0)
        assert process.returncode is None, f"journald ended with {process.returncode}"
        yield journal
    finally:
        process.terminate()
        process.wait(PATIENCE)
