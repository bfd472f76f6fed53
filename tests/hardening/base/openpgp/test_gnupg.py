"""GnuPG as every plugin starts it: it ends in time, whatever holds it up, and its codes say what came of a call."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import gnupg as python_gnupg
import pytest

from hardening.base import places, programs
from hardening.base.openpgp import gnupg
from hardening.base.openpgp.gnupg import GnuPG
from hardening.errors import HostError
from tests.support import gpg
from tests.support.gpg import Home
from tests.support.patience import until

LARGE = b"a" * 500_000  # more than a pipe holds


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    """A home with one key."""
    with gpg.home() as place:
        place.generate("good")
        yield place


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of another gpg, which the system has first."""
    place = tmp_path / "bin"
    place.mkdir()
    monkeypatch.setattr(places, "OF_COMMANDS", f"{place}:{places.OF_COMMANDS}")
    return place / "gpg"


def start(home: Home, beside: Path | None = None, script: str = "") -> GnuPG:
    """GnuPG, which runs a ``script`` where it is to sign."""
    if beside is not None:
        real = shutil.which("gpg", path=places.OF_COMMANDS.partition(":")[2])
        beside.write_text(f'#!/bin/sh\ncase "$*" in *--clear*) {script};; *) exec {real} "$@";; esac\n')
        beside.chmod(0o755)
    return gnupg.start(home.path)


def sign(started: GnuPG, home: Home, data: bytes = LARGE) -> object:
    return started.sign(data, keyid="good@example.com")


def running(command: str) -> list[int]:
    """The processes with a command line."""
    found = subprocess.run(["pgrep", "-x", "-f", command], capture_output=True, text=True, check=False).stdout
    return [int(pid) for pid in found.split()]


@pytest.mark.parametrize("script", ["{}", "{} & exit 0", "setsid {} & exit 0"])
def test_what_does_not_end_is_ended_with_its_children(
    beside: Path, home: Home, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    """What is in a session of its own lives on, and holds nobody up all the same."""
    command = f"sleep {secrets.randbelow(10**9) + 1000}"
    started = start(home, beside, script.format(command))
    monkeypatch.setattr(programs, "PATIENCE", 1.0)
    with pytest.raises(HostError, match="GnuPG did not end within 1 seconds") as caught:
        sign(started, home)
    assert "gpg-agent" in str(caught.value)
    if "setsid" in script:
        for pid in running(command):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not running(command))


def test_one_that_ends_before_it_has_read_its_input_has_a_result(beside: Path, home: Home) -> None:
    done = sign(start(home, beside, "echo '[GNUPG:] FAILURE sign 53' >&2; exit 2"), home)
    assert gnupg.codes(done) == {53}
    done = sign(start(home, beside, "kill -9 $$"), home)
    with pytest.raises(HostError, match="GnuPG was killed by signal 9"):
        gnupg.codes(done)


def test_the_callers_path_names_no_gpg(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else whoever must have their profiles signed would say themselves that they are."""
    (tmp_path / "gpg").write_text(f"#!/bin/sh\n: >{tmp_path}/ran\n")
    (tmp_path / "gpg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert gnupg.codes(sign(start(home), home, b"x")) == set()
    assert start(home).rows(["--list-keys"]) != [[""]]
    assert not (tmp_path / "ran").exists()


def test_an_agent_that_does_not_answer_holds_nobody_up(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    started = start(home)
    assert gnupg.codes(sign(started, home, b"x")) == set()
    argv = ["gpg-connect-agent", "--homedir", str(home.path), "getinfo pid", "/bye"]
    agent = int(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()[1])
    monkeypatch.setattr(programs, "PATIENCE", 1.0)
    os.kill(agent, signal.SIGSTOP)
    try:
        with pytest.raises(HostError, match="did not end within"):
            sign(started, home, b"x")
    finally:
        os.kill(agent, signal.SIGCONT)


def test_a_name_ends_no_line_of_a_listing(home: Home) -> None:
    """In some encodings and to some of Python's functions the letter is the end of a line."""
    with_name = ("--pinentry-mode", "loopback", "--passphrase", "", "--quick-gen-key")
    for end in ("\u0145", "\u2028"):
        home.run(*with_name, f"a{end}fpr:forged <{end}@example.org>", "ed25519", "sign")
    rows = start(home).rows(["--list-keys"])
    assert all(len(row) > 9 for row in rows if row[0] in ("pub", "fpr"))
    assert [row[9] for row in rows if row[0] == "uid" and "\u0145" in row[9]]


def test_python_gnupg_is_used_by_its_public_interface() -> None:
    """Neither overridden nor called: what is private in it may be another thing in its next release."""
    private = {name for name in vars(python_gnupg.GPG) if name.startswith("_") and not name.startswith("__")}
    assert "_handle_io" in private
    root = Path(gnupg.__file__).parents[3]
    files = [path for folder in ("hardening", "plugins") for path in (root / folder).rglob("*.py")]
    texts = {path: text for path in files if re.search(r"\bgnupg\b", text := path.read_text())}
    assert Path(gnupg.__file__) in texts
    assert not [(path, name) for path, text in texts.items() for name in private if re.search(rf"\b{name}\b", text)]
    assert not python_gnupg.GPG.__subclasses__()


def test_what_python_gnupg_raises_is_an_error_with_a_hint(home: Home, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="GnuPG cannot be used: gnupghome should be a directory") as caught:
        gnupg.start(tmp_path / "missing").verify(b"x")
    assert caught.value.hint
    with pytest.raises(HostError, match="GnuPG cannot be used: No recipients"):
        gnupg.start(home.path).encrypt(b"x", [])
