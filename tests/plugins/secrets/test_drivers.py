"""The drivers, each with the real program behind it: values come back byte for byte, and whatever is missing is an error in
words that does not keep anybody waiting."""

from __future__ import annotations

import os
import pty
import secrets
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hardening.base import places
from hardening.base import programs as limits
from hardening.errors import UsageError
from hardening.mechanism.secret_driver import LONGEST, SecretError
from hardening_secrets.drivers import programs
from tests.plugins.secrets.stores import Kept
from tests.support import hunting
from tests.support.patience import until

VALUES = {"text": b"correct horse\n", "bytes": bytes(range(256)), "one": b"\0"}
PLANTED = "planted-3f7a0c55d1"


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "store")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory of GnuPG's with two keys: one without a passphrase, one whose passphrase nobody knows."""
    folder = tmp_path_factory.mktemp("g")
    folder.chmod(0o700)
    for name, phrase in (("open@example.org", ""), ("locked@example.org", "unknown")):
        argv = ["gpg", "--homedir", str(folder), "--batch", "--pinentry-mode", "loopback", "--passphrase", phrase]
        subprocess.run(
            [*argv, "--quick-generate-key", name, "default", "default", "never"], check=True, capture_output=True
        )
    yield folder
    subprocess.run(["gpgconf", "--homedir", str(folder), "--kill", "all"], check=True)


def test_a_gpg_secret_is_encrypted_where_it_is_kept_and_comes_back_as_it_was(kept: Kept, home: Path) -> None:
    for name, value in {**VALUES, "large": os.urandom(LONGEST)}.items():
        kept.create(name, value, "gpg", key="open@example.org", homedir=str(home))
        assert kept.open(name) == value
    kept.create("planted", PLANTED.encode(), "gpg", key="open@example.org", homedir=str(home))
    assert hunting.in_files(PLANTED, [kept.path]) == []
    kept.rotate("planted", b"new")
    assert kept.open("planted") == b"new"
    (record,) = [record for record in kept.store.records() if record.name == "planted"]
    assert len(record.options["key"]) == 40  # the fingerprint, whatever the key was called
    for name in (*VALUES, "large", "planted"):
        kept.remove(name)
    assert kept.files() == []


def without_terminal(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a session of its own, which has no terminal to ask on."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=Path(__file__).parents[3], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, start_new_session=True, timeout=60, check=False,
    )  # fmt: skip


def test_an_agent_that_would_have_to_ask_without_a_terminal_is_said_to(kept: Kept, home: Path) -> None:
    kept.create("db", PLANTED.encode(), "gpg", key="locked@example.org", homedir=str(home))
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "gpg-agent"], check=True)  # which knows the passphrase
    code = (
        "import sys; from pathlib import Path; from hardening.mechanism.secret_driver import SecretError\n"
        "from tests.plugins.secrets.stores import Kept\n"
        "try: Kept(Path(sys.argv[1])).open('db')\n"
        "except SecretError as error: print(error)"
    )
    done = without_terminal(code, str(kept.path))
    assert "gpg-agent asks for the passphrase, and there is no terminal to ask on" in done.stdout, done.stderr
    assert "hint: unlock the key first" in done.stdout


def test_gnupg_that_is_missing_is_said_to_be(kept: Kept, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.create("db", b"x", "gpg", key="open@example.org", homedir=str(home))
    monkeypatch.setattr(places, "OF_COMMANDS", "/nonexistent")
    for use in (
        lambda: kept.open("db"),
        lambda: kept.rotate("db", b"y"),
        lambda: kept.create("b", b"x", "gpg", key="a"),
    ):
        with pytest.raises(SecretError, match=r"GnuPG \(gpg\) is not installed") as caught:
            use()
        assert caught.value.hint
    monkeypatch.undo()
    assert kept.open("db") == b"x"


def test_an_agent_that_does_not_answer_holds_nobody_up(kept: Kept, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.create("db", b"x", "gpg", key="open@example.org", homedir=str(home))
    assert kept.open("db") == b"x"
    argv = ["gpg-connect-agent", "--homedir", str(home), "getinfo pid", "/bye"]
    agent = int(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()[1])
    os.kill(agent, signal.SIGSTOP)
    try:
        monkeypatch.setattr(limits, "PATIENCE", 1.0)
        with pytest.raises(SecretError, match="GnuPG did not end within 1 seconds"):
            kept.open("db")
    finally:
        os.kill(agent, signal.SIGCONT)
    monkeypatch.undo()
    assert kept.open("db") == b"x"


def test_a_key_that_has_expired_is_said_to_have(kept: Kept, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where GnuPG ends long before it has read a large value."""
    argv = ["gpg", "--homedir", str(home), "--batch", "--passphrase", "", "--faked-system-time", "20240101T000000!"]
    argv += ["--quick-generate-key", "old@example.net", "default", "default", "20240201T000000"]
    subprocess.run(argv, check=True, capture_output=True)
    for value in (b"x", os.urandom(LONGEST)):
        with pytest.raises(SecretError, match=r"does not encrypt to [0-9A-F]{40}: the key has expired") as caught:
            kept.create("db", value, "gpg", key="old@example.net", homedir=str(home))
        assert caught.value.hint
    assert kept.store.records() == []


def test_a_key_that_is_not_there_or_not_one_is_refused(kept: Kept, home: Path) -> None:
    with pytest.raises(UsageError, match="the driver gpg needs a key"):
        kept.create("db", b"x", "gpg")
    with pytest.raises(UsageError, match=r'GnuPG finds no key by "nobody@example\.org"'):
        kept.create("db", b"x", "gpg", key="nobody@example.org", homedir=str(home))
    with pytest.raises(UsageError, match="GnuPG finds 2 keys"):
        kept.create("db", b"x", "gpg", key="example.org", homedir=str(home))
    with pytest.raises(SecretError, match="GnuPG cannot be used"):
        kept.create("db", b"x", "gpg", key="a", homedir="/nonexistent")
    with pytest.raises(UsageError, match="no option colour"):
        kept.create("db", b"x", "gpg", key="a", colour="red")
    assert kept.store.records() == []


def test_what_gnupg_cannot_decrypt_is_said_to_be(kept: Kept, home: Path) -> None:
    kept.create("db", b"x", "gpg", key="open@example.org", homedir=str(home))
    (path,) = (kept.path / "values/gpg").iterdir()
    path.write_bytes(b"not encrypted")
    with pytest.raises(SecretError, match="the ciphertext is corrupt"):
        kept.open("db")
    other = home / "other"
    other.mkdir(0o700)
    kept.create("other", b"x", "gpg", key="open@example.org", homedir=str(home))
    public = subprocess.run(["gpg", "--homedir", str(home), "--export"], check=True, capture_output=True).stdout
    subprocess.run(
        ["gpg", "--homedir", str(other), "--batch", "--import"], check=True, capture_output=True, input=public
    )
    kept.create("third", b"x", "gpg", key="open@example.org", homedir=str(other))
    with pytest.raises(SecretError, match=r"its secret key [0-9A-F]{40} is missing"):
        kept.open("third")


def test_pass_keeps_values_as_entries(kept: Kept, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNUPGHOME", str(home))
    place = tmp_path / "passwords"
    with pytest.raises(SecretError, match="pass failed with 1") as caught:
        kept.create("early", b"x", "pass", dir=str(place))  # it was never initialised
    assert caught.value.hint == f"is {place} made by `pass init`?"
    assert kept.store.records() == []
    environment = {**os.environ, "PASSWORD_STORE_DIR": str(place)}
    subprocess.run(["pass", "init", "open@example.org"], env=environment, check=True, capture_output=True)
    for name, value in VALUES.items():
        kept.create(name, value, "pass", dir=str(place))
        assert kept.open(name) == value
    kept.rotate("text", b"new")
    assert kept.open("text") == b"new"
    assert len(list(place.glob("hardening/*.gpg"))) == len(VALUES)
    kept.create("lost", b"x", "pass", dir=str(place))
    (lost,) = (record.key for record in kept.store.records() if record.name == "lost")
    (place / f"hardening/{lost}.gpg").unlink()
    with pytest.raises(SecretError, match=f"there is no entry hardening/{lost}"):
        kept.open("lost")
    kept.remove("lost")
    assert kept.store.notes == []
    for name in VALUES:
        kept.remove(name)
    assert list(place.glob("hardening/*.gpg")) == []
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SecretError, match="cannot start pass"):
        kept.create("db", b"x", "pass", dir=str(place))
    with pytest.raises(UsageError, match="is not a folder of a password store"):
        kept.create("db", b"x", "pass", prefix="../x")


def commands(vault: Path, **changed: str) -> dict[str, str]:
    place = shlex.quote(str(vault))
    usual = {"store": f"dd of={place}/{{key}}", "read": f"cat {place}/{{key}}", "delete": f"rm -f {place}/{{key}}"}
    return {**usual, **changed}


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    place = tmp_path / "the vault"
    place.mkdir(0o700)
    return place


def test_commands_get_values_over_standard_input_and_output(kept: Kept, vault: Path) -> None:
    for name, value in {**VALUES, "large": os.urandom(LONGEST)}.items():
        kept.create(name, value, "command", **commands(vault))
        assert kept.open(name) == value
    kept.rotate("text", b"new")
    assert kept.open("text") == b"new"
    assert len(list(vault.iterdir())) == len(VALUES) + 1
    for name in (*VALUES, "large"):
        kept.remove(name)
    assert list(vault.iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"store": "false {key}"}, "false failed with 1"),
        ({"store": "no-such-program {key}"}, "cannot start no-such-program"),
        ({"store": "sh -c 'exit 3' {key}"}, "sh failed with 3"),
        ({"store": "sh -c 'kill -9 $$' {key}"}, "sh was killed by signal 9"),
    ],
)
def test_a_command_that_fails_keeps_nothing_and_shows_no_value(
    kept: Kept, vault: Path, changed: dict[str, str], reason: str
) -> None:
    with pytest.raises(SecretError, match=reason) as caught:
        kept.create("db", PLANTED.encode(), "command", **commands(vault, **changed))
    assert PLANTED not in str(caught.value)
    assert kept.store.records() == []
    assert list(vault.iterdir()) == []


#: How a program can bring a value, or enough of it, into what it says.
LEAKS = {
    "whole": "cat",
    "one line of several": "sed -n 2p",
    "the first half": "head -c 15",
    "base64": "base64",
    "in the middle of a line": "sed 's/^/cannot parse: /; s/$/ (why?)/'",
    "behind much else": "{ head -c 5000 /dev/zero | tr '\\0' x; echo; cat; }",
    "control characters": "{ printf '\\033]0;'; cat; printf '\\007'; }",
}
LINES = f"user=me\n{PLANTED}\nend"


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
@pytest.mark.parametrize("stream", ["&2", "&1"])
def test_nothing_that_a_failing_program_says_is_told(kept: Kept, vault: Path, leak: str, stream: str) -> None:
    """Every form and every part of the value, on both streams, of each of the three commands."""
    place = shlex.quote(str(vault))

    def leaking(before: str) -> str:
        return f"sh -c {shlex.quote(f'{before} {leak} >{stream}; exit 3')} {{key}}"

    with pytest.raises(SecretError) as stored:
        kept.create("db", LINES.encode(), "command", **commands(vault, store=leaking("")))
    given = commands(vault, read=leaking(f"cat {place}/* |"), delete=leaking(f"cat {place}/* |"))
    kept.create("db", LINES.encode(), "command", **given)
    with pytest.raises(SecretError) as opened:
        kept.open("db")
    store = kept.store
    store.remove("db", kept.drivers)
    told = [stored.value.message, opened.value.message, *store.notes]
    assert len(told) == 3
    assert all(text.endswith("sh failed with 3") for text in told), told
    key = next(vault.iterdir()).name
    for error in (stored.value, opened.value):
        assert str(error.hint).startswith("its output is not shown; run the command of the option `")
    assert f"`read` by hand for the key {key}" in str(opened.value.hint)


def test_the_value_of_a_command_is_in_no_argument_or_variable(kept: Kept, vault: Path) -> None:
    script = (
        f"cat /proc/*/cmdline /proc/*/environ 2>/dev/null > {shlex.quote(str(vault))}/seen; cat >/dev/null; : {{key}}"
    )
    kept.create("db", PLANTED.encode(), "command", **commands(vault, store=f"sh -c {shlex.quote(script)}"))
    assert (vault / "seen").stat().st_size > 0
    assert hunting.in_files(PLANTED, [vault]) == []


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "needs the option store"),
        ({"store": "a {key}", "read": "b {key}"}, "needs the option delete"),
        ({"store": "a", "read": "b {key}", "delete": "c {key}"}, "store is not a command with {key} in it"),
        ({"store": "a 'b {key}", "read": "b {key}", "delete": "c {key}"}, "No closing quotation"),
        ({"store": "a {key}", "read": "b {key}", "delete": "c {key}", "list": "d"}, "has no option list"),
    ],
)
def test_commands_that_are_none_are_refused(kept: Kept, given: dict[str, str], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        kept.create("db", b"x", "command", **given)
    assert kept.store.records() == []


@pytest.mark.parametrize("script", ["exec {}", "exec >&-; exec {}", "{} & exit 0", "exec >&-; {} & wait"])
def test_a_program_that_does_not_end_is_ended_with_its_children(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    command = f"sleep {secrets.randbelow(10**9) + 1000}"
    monkeypatch.setattr(limits, "PATIENCE", 0.5)
    with pytest.raises(SecretError, match=r"did not end within 0\.5 seconds"):
        programs.run(["sh", "-c", script.format(command)])
    argv = ["pgrep", "-x", "-f", command]
    until(lambda: subprocess.run(argv, capture_output=True, check=False).returncode == 1)


def test_a_program_leaves_no_core_dump_not_even_to_another_program() -> None:
    """With this limit the kernel pipes none either (core(5)), which it does with 0."""
    lines = programs.run(["cat", "/proc/self/limits"]).decode().splitlines()
    (limit,) = [line.split()[-3:] for line in lines if line.startswith("Max core file size")]
    assert limit == ["1", "1", "bytes"]


ASKING = (
    "from hardening.mechanism.secret_driver import SecretError; from hardening_secrets.drivers import programs\n"
    "try: print('given', programs.run(['sh', '-c', 'read answer </dev/tty && printf %s \"$answer\"']))\n"
    "except SecretError as error: print(error)"
)


def test_a_program_may_ask_on_the_terminal_if_there_is_one() -> None:
    assert "sh failed with" in without_terminal(ASKING).stdout
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(Path(__file__).parents[3])
        os.execv(sys.executable, [sys.executable, "-c", ASKING])
    os.write(terminal, b"sesame\n")
    said = b""
    with suppress(OSError):  # how a terminal ends that nobody has open any more
        while part := os.read(terminal, 4096):
            said += part
    os.waitpid(pid, 0)
    os.close(terminal)
    assert b"given b'sesame'" in said


def test_a_program_that_gives_too_much_is_ended() -> None:
    with pytest.raises(SecretError, match=f"gives more than {LONGEST} bytes"):
        programs.run(["cat", "/dev/zero"])


def test_the_file_driver_has_no_options(kept: Kept) -> None:
    with pytest.raises(UsageError, match="the driver file has no option path"):
        kept.create("db", b"x", "file", path="/tmp")
