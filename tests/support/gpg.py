"""GnuPG homes that are thrown away, with keys of every state that a signature can meet."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs
import pytest

from tests.support import apart
from tests.support.patience import until

#: When keys are made, so that signatures can be made in their past.
PAST = "20240101T000000"
#: Of the key that has one.
PASSPHRASE = "open sesame"


@attrs.frozen
class Home:
    """A GnuPG home, its path short enough for the agent's socket."""

    path: Path

    def run(self, *options: str, data: bytes = b"", check: bool = True, now: str = "") -> bytes:
        """What gpg writes; ``now`` is the time that it takes for the present."""
        clock = ("--faked-system-time", f"{now}!") if now else ()  # which stands still
        argv = ["gpg", "--homedir", str(self.path), "--batch", "--quiet", "--no-tty", "--yes", *clock, *options]
        done = subprocess.run(argv, input=data, capture_output=True, check=False, timeout=60)
        assert not check or done.returncode == 0, done.stderr.decode()
        return done.stdout

    def generate(self, name: str, *, usage: str = "sign", expires: str = "never", passphrase: str = "") -> str:
        """Make a key for NAME <NAME@example.com>: its fingerprint."""
        loopback = ("--pinentry-mode", "loopback", "--passphrase", passphrase)
        self.run(*loopback, "--quick-gen-key", f"{name} <{name}@example.com>", "ed25519", usage, expires, now=PAST)
        return self.fingerprints(f"{name}@example.com")[0]

    def add_subkey(self, fingerprint: str, usage: str = "sign", expires: str = "never") -> str:
        """Give a key a subkey: its fingerprint."""
        loopback = ("--pinentry-mode", "loopback", "--passphrase", "")
        self.run(*loopback, "--quick-add-key", fingerprint, "ed25519", usage, expires, now=PAST)
        return self.fingerprints(fingerprint)[-1]

    def revoke_subkey(self, fingerprint: str, number: int) -> None:
        """Revoke a subkey of a key; the first is number 1."""
        typed = f"key {number}\nrevkey\ny\n0\n\ny\nsave\n"
        self.run("--command-fd", "0", "--edit-key", fingerprint, data=typed.encode())

    def fingerprints(self, key: str) -> list[str]:
        """A key's fingerprint, and those of its subkeys."""
        listed = self.run("--with-colons", "--list-keys", key).decode().splitlines()
        return [line.split(":")[9] for line in listed if line.startswith("fpr:")]

    def export(self, *keys: str) -> bytes:
        """Public keys, armoured."""
        return self.run("--armor", "--export", *keys)

    def revoke(self, fingerprint: str) -> None:
        """Revoke a key by the certificate that gpg has made with it."""
        text = (self.path / "openpgp-revocs.d" / f"{fingerprint}.rev").read_text()
        self.run("--import", data=text.replace(":-----BEGIN", "-----BEGIN").encode())

    def sign(self, data: bytes, key: str, *options: str, now: str = "") -> bytes:
        """A signed message by exactly this key."""
        return self.run("--local-user", f"{key}!", *(options or ("--sign",)), data=data, now=now)


@contextmanager
def home() -> Iterator[Home]:
    """A home without keys; its agent ends with it."""
    path = apart.directory("gpg-", "/tmp")

    def removed() -> bool:
        with suppress(FileNotFoundError):  # an agent that ends takes its sockets away
            shutil.rmtree(path)
        return not path.exists()

    try:
        yield Home(path)
    finally:
        subprocess.run(
            ["gpgconf", "--homedir", str(path), "--kill", "all"], check=True, capture_output=True, timeout=30
        )
        until(removed)


@contextmanager
def no_agents(folder: Path) -> Iterator[None]:
    """End the agents that programs have started for homes below a folder: those of skopeo outlive it now and then."""
    try:
        yield
    finally:
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (process / "cmdline").read_bytes().split(b"\0")
                if words[0].endswith(b"gpg-agent") and any(word.startswith(bytes(folder)) for word in words):
                    os.kill(int(process.name), signal.SIGTERM)


@attrs.frozen
class Keys:
    """A home with a key of each state: fingerprints, and what each would hand out as its public key."""

    home: Home
    good: str
    other: str
    expired: str
    revoked: str
    primary: str
    subkey: str
    locked: str

    def public(self, *keys: str) -> bytes:
        return self.home.export(*keys)

    def signed(self, data: bytes, *, key: str = "", options: Sequence[str] = (), now: str = "") -> bytes:
        return self.home.sign(data, key or self.good, *options, now=now)


@contextmanager
def keys() -> Iterator[Keys]:
    """All keys; the revoked one is not yet revoked in this home, so that it still can sign: see `revoked_key`."""
    with home() as place:
        primary = place.generate("primary")
        yield Keys(
            place,
            good=place.generate("good"),
            other=place.generate("other"),
            expired=place.generate("expired", expires="2024-02-01"),
            revoked=place.generate("revoked"),
            primary=primary,
            subkey=place.add_subkey(primary),
            locked=place.generate("locked", passphrase=PASSPHRASE),
        )


def revoked_key(keys: Keys) -> bytes:
    """The public key of ``keys.revoked`` after it was revoked."""
    with home() as place:
        place.run("--import", data=keys.public(keys.revoked))
        shutil.copytree(keys.home.path / "openpgp-revocs.d", place.path / "openpgp-revocs.d", dirs_exist_ok=True)
        place.revoke(keys.revoked)
        return place.export(keys.revoked)


@pytest.fixture(scope="session")
def gpg_keys() -> Iterator[Keys]:
    with keys() as made:
        yield made
