"""``hardening secret``: what each command prints and answers, as the installed program."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest

from tests.support import hunting
from tests.support.forking import typed

PROGRAM = str(Path(sys.executable).with_name("hardening"))
PLANTED = "planted-91e0c6a27b"


@attrs.frozen
class Typist:
    """Somebody who types ``hardening secret`` lines, with a store of their own."""

    folder: Path

    @property
    def environment(self) -> Mapping[str, str]:
        own = {"HARDENING_SECRETS": str(self.folder / "secrets"), "HARDENING_STATE": str(self.folder / "state")}
        return {**os.environ, **own, "NO_COLOR": "1", "COLUMNS": "120"}

    def type(self, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return typed(None, "secret", *words, text=text, env=self.environment, cwd=self.folder)


@pytest.fixture
def typist(tmp_path: Path) -> Typist:
    return Typist(tmp_path)


def test_a_store_in_the_environment_of_the_program_is_warned_of(typist: Typist) -> None:
    assert "warning" not in typist.type("create", "first", "-", text="1").stderr
    (typist.folder / "pyvenv.cfg").touch()
    created = typist.type("create", "second", "-", text="2")
    assert created.returncode == 0
    assert f"warning: {typist.folder}/secrets lies in a virtual environment" in created.stderr
    assert "such as ~/.local/opt/hardening" in created.stderr


def test_a_secret_from_its_creation_to_its_end(typist: Typist) -> None:
    (typist.folder / "key").write_bytes(PLANTED.encode() + b"\xff")
    created = typist.type("create", "db", "-", text=PLANTED)
    assert (created.returncode, created.stderr) == (0, "")
    identity = created.stdout.strip()
    assert typist.type("create", "tls/key", "key").returncode == 2
    assert typist.type("create", "tls-key", "key").returncode == 0

    rows = typist.type("ls").stdout.splitlines()
    assert rows[0].split() == ["ID", "NAME", "DRIVER", "CREATED", "UPDATED"]
    assert rows[1].split()[:3] == [identity, "db", "file"]
    assert typist.type("ls", "-q").stdout.split() == ["db", "tls-key"]
    assert [row["Spec"]["Name"] for row in json.loads(typist.type("ls", "--json").stdout)] == ["db", "tls-key"]

    (row,) = json.loads(typist.type("inspect", "db").stdout)
    assert row.keys() == {"ID", "CreatedAt", "UpdatedAt", "Spec"}
    assert row["Spec"] == {"Name": "db", "Driver": {"Name": "file", "Options": {}}}
    shown = json.loads(typist.type("inspect", "--showsecret", "db", "tls-key").stdout)
    assert shown[0]["SecretData"] == PLANTED
    assert "SecretData" not in shown[1]
    assert shown[1]["SecretDataBase64"].startswith("cGxhbnRlZC")

    rotated = typist.type("rotate", "db", "-", text="new\n")
    assert rotated.stdout.strip() == identity
    assert json.loads(typist.type("inspect", "--showsecret", identity).stdout)[0]["SecretData"] == "new\n"

    removed = typist.type("rm", "missing", "db")
    assert (removed.returncode, removed.stdout.strip()) == (2, identity)
    assert 'no such secret: "missing"' in removed.stderr
    assert typist.type("ls", "-q").stdout.split() == ["tls-key"]


def test_rm_says_by_its_exit_code_that_a_value_is_left(typist: Typist) -> None:
    options = [
        f"{name}={command} {{key}}" for name, command in (("store", "true"), ("read", "true"), ("delete", "false"))
    ]
    words = [word for option in options for word in ("--driver-opt", option)]
    assert typist.type("create", "db", "-", "-d", "command", *words, text="x").returncode == 0
    removed = typist.type("rm", "db")
    assert removed.returncode == 1
    assert removed.stderr.count("a value of db that is not used any more is still kept by command") == 1
    assert typist.type("ls", "-q").stdout == ""


def test_only_showsecret_shows_a_value(typist: Typist) -> None:
    typist.type("create", "db", "-", text=PLANTED)
    lines = (
        ("ls",), ("ls", "--json"), ("inspect", "db"), ("drivers",), ("create", "db", "-"), ("rotate", "missing", "-"),
        ("create", "other", "-", "-d", "command"), ("create", "x" * 254, "-"), ("rm", "db"),
    )  # fmt: skip
    for words in lines:
        done = typist.type(*words, text=PLANTED)
        assert PLANTED not in done.stdout + done.stderr, words
    assert hunting.in_files(PLANTED, [typist.folder]) == []


@pytest.mark.parametrize(
    ("words", "text", "reason"),
    [
        (("create", "db", "-"), "", "the secret is empty"),
        (("create", "db", "-"), "x" * 512_000, "the secret is too large"),
        (("create", "db", "missing"), "", "missing: cannot read the secret: No such file"),
        (("create", "db", "."), "", ".: cannot read the secret: it is not a regular file"),
        (("create", "..", "-"), "x", '".." is not the name of a secret'),
        (("create", "db", "-", "--driver", "vault"), "x", 'unknown secret driver "vault"'),
        (("create", "db", "-", "--driver-opt", "key"), "x", '"key" is not an option'),
        (("create", "db", "-", "--driver-opt", "a=b"), "x", "the driver file has no option a"),
        (("rotate", "db", "-"), "x", 'no such secret: "db"'),
        (("inspect", "db"), "", 'no such secret: "db"'),
        (("inspect",), "", "missing argument"),
    ],
)
def test_what_cannot_be_is_refused_with_a_hint(typist: Typist, words: tuple[str, ...], text: str, reason: str) -> None:
    done = typist.type(*words, text=text)
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr
    assert "hint:" in done.stderr
    assert typist.type("ls", "-q").stdout == ""


def test_a_store_that_others_can_read_is_an_error_of_its_own(typist: Typist) -> None:
    typist.type("create", "db", "-", text=PLANTED)
    (typist.folder / "secrets").chmod(0o755)
    for words in (("ls",), ("inspect", "db"), ("create", "x", "-"), ("rm", "db")):
        done = typist.type(*words, text="x")
        assert (done.returncode, done.stdout) == (125, "")
        assert "others than its owner can read or write it (mode 0755)" in done.stderr
        assert "hint: chmod go= " in done.stderr


def made(path: Path, kind: str) -> None:
    """Something else in the place of a file."""
    path.unlink()
    match kind:
        case "FIFO":
            os.mkfifo(path, 0o600)
        case "directory":
            path.mkdir(0o700)
        case "link":
            path.symlink_to("/dev/zero")
        case _:
            path.touch(0o600)
            path.write_text(kind)


@pytest.mark.parametrize("kind", ["", '{"id": "a', "[" * 60_000, "FIFO", "directory", "link"])
def test_a_damaged_secret_hides_no_other(typist: Typist, kind: str) -> None:
    one = typist.type("create", "one", "-", text="1").stdout.strip()
    (damaged,) = typist.folder.glob("secrets/secrets/*.json")
    assert typist.type("create", "two", "-", text="2").returncode == 0
    made(damaged, kind)
    listed = typist.type("ls", "-q")
    assert (listed.returncode, listed.stdout) == (0, "two\n")
    assert listed.stderr.startswith(f"{damaged}: ")
    assert len(listed.stderr.splitlines()) == 1
    assert typist.type("create", "three", "-", text="3").returncode == 0
    assert typist.type("rm", "two").returncode == 0
    assert typist.type("ls", "-q").stdout == "three\n"
    assert typist.type("inspect", "one").returncode == 125
    assert typist.type("inspect", one).returncode == 2
    assert len([*typist.folder.glob("secrets/values/file/*")]) == 2  # that of the damaged one, and the third


def test_the_drivers_are_listed_with_their_options(typist: Typist) -> None:
    shown = typist.type("drivers").stdout
    for text in (
        "file ",
        "gpg ",
        "pass ",
        "command ",
        "key: the key to encrypt to",
        "read: writes what is kept under {key}",
    ):
        assert text in shown


def test_a_terminal_is_not_read_from(typist: Typist) -> None:
    master, slave = pty.openpty()
    try:
        argv = [PROGRAM, "secret", "create", "db", "-"]
        done = subprocess.run(argv, stdin=slave, env=typist.environment, capture_output=True, text=True, check=False)
    finally:
        os.close(master)
        os.close(slave)
    assert done.returncode == 2
    assert "standard input is a terminal" in done.stderr
