"""A directory that a stranger has filled decides nothing: every file that any command looks for lies there, every relative
place of the environment leads there, and each command does and says what it does in an empty directory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from tests.support import users
from tests.support.cached import PROGRAM
from tests.support.features import require
from tests.support.runs import workplace
from tests.support.sample import is_whole
from tests.support.users import User, ordinary

pytestmark = pytest.mark.system

LOOSE = """
[namespaces]
net = "host"
[seccomp]
default = "allow"
[rootfs]
volumes = ["/:/stolen"]
"""
ACCEPT = '{"default": [{"type": "insecureAcceptAnything"}]}'
PROFILES = ("strict", "default", "base", "web", "evil", "trust", "hardening")
MODULES = ("click", "attr", "attrs", "pluggy", "yaml", "sitecustomize", "usercustomize", "site", "hardening", "grp", "shlex",
           "hardening_rootfs", "_cffi_backend", "encodings")  # fmt: skip
PROGRAMS = ("gpg", "gpg-agent", "pass", "docker-credential-x", "scanner", "git", "ssh", "python", "python3", "readlink",
            "crun", "runc", "newuidmap", "ausearch", "id", "true", "env", "sh", "hardening-cli")  # fmt: skip
#: Each variable that names a place, as somebody could have it by mistake, or by another's.
RELATIVE = {
    "HOME": ".", "XDG_CONFIG_HOME": ".config", "XDG_DATA_HOME": ".", "XDG_STATE_HOME": "./state", "XDG_CACHE_HOME": ".",
    "XDG_RUNTIME_DIR": "run", "PYTHONPATH": ":.", "PYTHONHOME": ".", "PYTHONSTARTUP": "click.py", "PYTHONUSERBASE": ".",
    "PYTHONEXECUTABLE": "./.venv/bin/python", "__PYVENV_LAUNCHER__": "./.venv/bin/python", "VIRTUAL_ENV": ".venv",
    "OPENSSL_CONF": "openssl.cnf", "OPENSSL_MODULES": ".", "BASH_ENV": "rc", "ENV": "rc",
    "BASH_FUNC_[%%": "() { echo TRAPPED >&2; }", "BASH_FUNC_readlink%%": "() { echo TRAPPED >&2; }",
}  # fmt: skip
KEEPING = [word for name in ("store", "read", "delete") for word in ("--driver-opt", f"{name}=scanner {{key}}")]
COMMANDS = (
    ("--version",),
    ("profile", "list"),
    ("profile", "show", "strict"),
    ("compose", "-p", "strict", "--format", "toml"),
    ("compose", "--format", "toml"),
    ("explain", "-p", "strict", "namespaces.net"),
    ("explain", "-p", "evil", "namespaces.net"),
    ("run", "-q", "-p", "strict", "--", "sh", "-c", "id -u; ls -d /stolen; readlink /proc/self/ns/net | grep -c :"),
    ("run", "-q", "--", "id", "-u"),
    ("run", "-q", "--fresh", "-p", "strict", "--", "id", "-u"),
    ("run", "-q", "-p", "strict", "oci:nowhere", "--", "true"),
    ("doctor",),
    ("plugin", "list"),
    ("trust", "show", "-p", "strict"),
    ("trust", "lint", "-p", "strict"),
    ("images",),
    ("pull", "-q", "127.0.0.1:1/some/image:v1"),
    ("ps", "-a"),
    ("stop", "evil"),
    ("log", "-n", "0"),
    ("prune",),
    ("secret", "ls"),
    ("secret", "drivers"),
    ("secret", "create", "a", "-", "-d", "gpg", "--driver-opt", "key=nobody@example.com"),
    ("secret", "create", "b", "-", "-d", "pass", "--driver-opt", "prefix=nowhere/below"),
    ("secret", "create", "c", "-", "-d", "command", *KEEPING),
    ("scan", "-p", "strict", "--set", 'scan.command=["scanner", "{root}"]', "/etc/skel"),
    ("launch", "."),
    ("receipt", "-p", "strict", "receipt.json"),
    ("completion", "bash"),
    ("nonsense",),
)  # fmt: skip


@attrs.frozen
class Caller:
    """Who types, where their own things are, and with which program."""

    folder: Path
    program: str
    user: User | None

    def type(self, words: tuple[str, ...], place: Path) -> tuple[int, str, str]:
        """Exit code, standard output and error of a command in a place, which is not told there."""
        kept = {**os.environ, **(self.user.environment if self.user else {})}
        kept = {name: value for name, value in kept.items() if not name.startswith(("XDG_", "PYTHON", "GNUPG"))}
        own = {f"HARDENING_{name}": str(self.folder / name.lower()) for name in ("STATE", "SECRETS", "IMAGES")}
        environment = {**kept, **own, **RELATIVE, "PATH": f":.:bin:{kept['PATH']}", "TERM": "dumb"}
        argv = [self.program, *words]
        # Which program starts ours is not what is asked.
        argv = ["/usr/bin/env" if word == "env" else word for word in self.user.argv(argv)] if self.user else argv
        done = subprocess.run(
            argv, cwd=place, env=environment, input="value", capture_output=True,
            text=True, check=False, timeout=120,
        )  # fmt: skip
        return done.returncode, done.stdout.replace(str(place), "HERE"), done.stderr.replace(str(place), "HERE")


def fill(place: Path) -> None:
    """Lay everything there that some command could look for."""
    trap = f"#!/bin/sh\necho TRAPPED >&2\n: >{place}/ran\n"
    snare = f"import os\nos.write(2, b'TRAPPED')\nopen({str(place / 'ran')!r}, 'w')\n"
    version = "python{}.{}".format(*sys.version_info)
    for folder in (".", "hardening", f"lib/{version}/site-packages", f".venv/lib/{version}/site-packages",
                   f".local/lib/{version}/site-packages", f"../lib/{version}/site-packages"):  # fmt: skip
        (place / folder).mkdir(parents=True, exist_ok=True)
        for name in MODULES:
            if not (place / folder / name).is_dir():
                (place / folder / f"{name}.py").write_text(snare)
    for folder in (".", "bin", ".venv/bin"):
        (place / folder).mkdir(exist_ok=True)
        for name in PROGRAMS:
            (place / folder / name).write_text(trap)
            (place / folder / name).chmod(0o755)
    (place / ".venv/pyvenv.cfg").write_text(f"home = {place}/bin\n")
    for folder in ("profiles", "hardening/profiles", ".config/hardening/profiles", "etc/hardening/profiles", "."):
        (place / folder).mkdir(parents=True, exist_ok=True)
        for name in PROFILES:
            (place / folder / f"{name}.toml").write_text(LOOSE)
    (place / "hardening.toml").write_text('default = "./evil.toml"\n')
    login = json.dumps(
        {"auths": {"127.0.0.1:1": {"auth": "eDp5"}}, "credHelpers": {"127.0.0.1:1": "x"}, "credsStore": "x"}
    )
    for folder in (".", "containers", "run/containers", ".config/containers", ".docker"):
        (place / folder / "registries.d").mkdir(parents=True, exist_ok=True)
        (place / folder / "policy.json").write_text(ACCEPT)
        (place / folder / "registries.d/evil.yaml").write_text("default-docker:\n  lookaside: file:///evil\n")
        for name in ("auth.json", "config.json"):
            if folder != ".":
                (place / folder / name).write_text(login)
    (place / ".gnupg").mkdir(mode=0o700)
    (place / ".gnupg/gpg.conf").write_text("evil-option\n")
    (place / ".password-store").mkdir()
    (place / ".password-store/.gpg-id").write_text("evil\n")
    (place / ".git/hooks").mkdir(parents=True)
    for name in (
        "pyproject.toml",
        "setup.cfg",
        "openssl.cnf",
        "rc",
        ".env",
        "conftest.py",
        ".git/config",
        ".hardening",
    ):
        (place / name).write_text("evil\n")
    for path in place.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)


@contextmanager
def caller(user: User | None) -> Iterator[Caller]:
    with workplace(user) as folder:
        yield Caller(folder, users.program(user) if user else str(PROGRAM), user)


@pytest.mark.parametrize("who", ["own", "ordinary"])
def test_no_command_does_anything_else_in_a_hostile_directory(who: str, pytestconfig: pytest.Config) -> None:
    """An ordinary run types every fourth command."""
    if who == "ordinary":
        require("root")
    require("userns")
    with caller(ordinary() if who == "ordinary" else None) as here:
        clean, hostile = here.folder / "clean/x", here.folder / "hostile/x"
        for place in (clean, hostile):
            place.mkdir(parents=True)
        fill(hostile)
        if here.user is not None:
            for path in (here.folder / "hostile").rglob("*"):
                os.chown(path, here.user.uid, here.user.gid)  # a clone is its user's own
        for words in COMMANDS[:: 1 if is_whole(pytestconfig) else 4]:
            expected, found = here.type(words, clean), here.type(words, hostile)
            assert "TRAPPED" not in found[2], (words, found)
            assert not (hostile / "ran").exists(), (words, found)
            if words[0] in ("launch", "receipt", "doctor"):
                continue  # these are asked for something that lies here, or tell of other processes
            if words[0] == "explain" and "evil" in words:  # a hint may say by which path a file here is named
                found, expected = (
                    (code, text, error.partition("\nhint: ")[0]) for code, text, error in (found, expected)
                )
            assert found == expected, words
