"""An ordinary user to run rootless tests as, whoever runs the tests."""

from __future__ import annotations

import fcntl
import os
import pwd
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import attrs

from tests.support import apart

NAME = "hardening-test"
LOCK = Path("/run/lock/hardening-test-user")
UID = 48611
SUBIDS = 65536
REPOSITORY = Path(__file__).resolve().parents[2]
#: Distributions that only tests and linters use, of which the user's copy of an environment has none.
_NOT_RUN = re.compile(
    r"PIL|_pytest|fonttools|hypothesis|matplotlib|mpl_|mypy|numpy|pillow|pip|ruff|setuptools", re.IGNORECASE
)


@contextmanager
def owner(path: Path) -> Iterator[None]:
    """Look with the effective uid of whom a file or directory belongs to: what is one's own is trusted by nobody else."""
    kept = os.geteuid()
    os.seteuid(path.stat().st_uid)
    try:
        yield
    finally:
        os.seteuid(kept)


@attrs.frozen
class User:
    """An ordinary user with a home and a runtime directory of their own."""

    name: str
    uid: int
    gid: int
    home: Path
    runtime: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a login would set, and nothing of the caller's."""
        return {
            "HOME": str(self.home),
            "USER": self.name,
            "LOGNAME": self.name,
            "SHELL": "/bin/sh",
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "LANG": "C.UTF-8",
            "XDG_RUNTIME_DIR": str(self.runtime),
        }

    def argv(self, command: Sequence[str]) -> list[str]:
        """The command as this user runs it. setpriv(1) opens no session, so that the loginuid stays as it is."""
        if self.uid == os.geteuid():
            return list(command)
        ids = [f"--reuid={self.uid}", f"--regid={self.gid}", "--init-groups"]
        # setpriv keeps root's capabilities up to its own execve(2), which so finds programs that only root may reach.
        return ["setpriv", *ids, "--inh-caps=-all", "--", "env", "--", *command]

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        input: str | None = None,  # noqa: A002
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as this user, at home unless ``cwd`` says otherwise; ``env`` adds to the environment."""
        return subprocess.run(
            self.argv(command),
            cwd=cwd or self.home,
            env={**self.environment, **(env or {})},
            input=input if input is not None else "",
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


@cache
def ordinary() -> User:
    """The caller where that is an ordinary user; where it is root, the user `NAME`, made if missing."""
    uid = os.geteuid()
    entry = pwd.getpwuid(uid) if uid else _made()
    runtime = Path(f"/run/user/{entry.pw_uid}")
    if uid == 0:
        _own(runtime, entry, 0o700)
    elif not os.access(runtime, os.W_OK):
        runtime = Path(f"/tmp/hardening-test-{uid}")
        runtime.mkdir(mode=0o700, exist_ok=True)
    return User(entry.pw_name, entry.pw_uid, entry.pw_gid, Path(entry.pw_dir), runtime)


def _made() -> pwd.struct_passwd:
    """The test user, with a range in subuid(5) and subgid(5), which the first process that asks makes while others wait."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        return _found_or_made()


def _found_or_made() -> pwd.struct_passwd:
    try:
        entry = pwd.getpwnam(NAME)
    except KeyError:
        for file in ("/etc/subuid", "/etc/subgid"):
            Path(file).touch(0o644)
        command = ["useradd", "--uid", str(UID), "--user-group", "--create-home", "--shell", "/bin/sh", NAME]
        subprocess.run(command, check=True, capture_output=True)
        entry = pwd.getpwnam(NAME)
    for file, option in (("/etc/subuid", "--add-subuids"), ("/etc/subgid", "--add-subgids")):
        lines = Path(file).read_text().splitlines()
        if not any(line.startswith(f"{NAME}:") for line in lines):
            first = max((int(line.split(":")[1]) + int(line.split(":")[2]) for line in lines), default=100_000)
            subprocess.run(["usermod", option, f"{first}-{first + SUBIDS - 1}", NAME], check=True)
    _own(Path(entry.pw_dir), entry, 0o755)
    return entry


def _own(path: Path, entry: pwd.struct_passwd, mode: int) -> None:
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    os.chown(path, entry.pw_uid, entry.pw_gid)


@cache
def program(user: User) -> str:
    """The path of a ``hardening`` program that ``user`` can start.

    Where the user may not enter the clone or the interpreter of its environment (a clone below /root), both are copied
    to a folder that everybody can read, which goes when the tests end.
    """
    script = Path(sys.executable).parent / "hardening"
    if _starts(user, script, "--version"):
        return str(script)
    python = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
    if not _starts(user, python, "--version"):
        python = apart.once("python", _copy_interpreter) / "bin" / python.name
    return str(apart.once("environment", partial(_copy_environment, script, python)) / "bin/hardening")


def _starts(user: User, *command: object) -> bool:
    return user.run([str(word) for word in command], cwd=Path("/")).returncode == 0


def _copy_interpreter(folder: Path) -> None:
    """Copy the interpreter that the environment was made with, and its standard library."""
    home, name = Path(sys.base_prefix), f"python3.{sys.version_info.minor}"
    needless = shutil.ignore_patterns("test", "site-packages", "config-*", "idlelib", "ensurepip")
    shutil.copytree(home / "lib" / name, folder / "lib" / name, ignore=needless)
    for library in (home / "lib").glob(f"lib{name}*.so*"):
        shutil.copy2(library, folder / "lib", follow_symlinks=False)
    # It finds a shared library of its own by an absolute path (DT_RUNPATH, ld.so(8)).
    data = (home / "bin" / name).read_bytes()
    path = os.fsencode(home / "lib") + b"\0"
    (folder / "bin").mkdir()
    copy = folder / "bin" / name
    copy.write_bytes(data.replace(path, b"$ORIGIN/../lib".ljust(len(path), b"\0")))
    copy.chmod(0o755)
    subprocess.run(["chmod", "-R", "go+rX", str(folder)], check=True)


def _copy_environment(script: Path, python: Path, folder: Path) -> None:
    """Make an environment of ``python`` with what is installed in this one, the clone among it, and its scripts."""
    subprocess.run([python, "-I", "-m", "venv", "--without-pip", str(folder)], check=True)
    site = folder / "lib" / python.name / "site-packages"
    installed = [path for path in Path(sysconfig.get_path("purelib")).iterdir() if not _NOT_RUN.match(path.name)]
    for path in installed:
        if path.is_dir():
            shutil.copytree(path, site / path.name, dirs_exist_ok=True)
        elif path.suffix != ".pth":
            shutil.copy2(path, site)
    for path in (REPOSITORY / "hardening", *REPOSITORY.glob("plugins/*"), *REPOSITORY.glob("profiles/*")):
        if path.is_dir():
            shutil.copytree(path, site / path.name, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    shutil.copy(script, folder / "bin/hardening")
    whole = folder / "bin/hardening-cli"
    text = script.with_name(whole.name).read_text().split("\n", 1)[1]
    whole.write_text(f"#!{folder}/bin/python\n{text}")
    (folder / "bin/hardening").chmod(0o755)
    # As an installation has them, compiled by root.
    subprocess.run([folder / "bin/python", "-I", "-m", "compileall", "-q", *site.glob("hardening*")], check=True)
    subprocess.run(["chmod", "-R", "go+rX", str(folder)], check=True)
