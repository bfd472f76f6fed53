"""Signatures that are made here, with a key of the caller's: GnuPG itself, and skopeo, hold them against what they say."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from hardening.base import places
from hardening.base.openpgp.signing import signer
from hardening.errors import HostError, LaunchError, UsageError
from hardening_trust import payload
from tests.support.gpg import PASSPHRASE, Keys

DIGEST = "sha256:" + "a" * 64
NAME = "example.com/team/app:1"


def forget(keys: Keys) -> None:
    """Have the agent forget every passphrase."""
    reload = ["gpgconf", "--homedir", str(keys.home.path), "--reload", "gpg-agent"]
    subprocess.run(reload, check=True, capture_output=True, timeout=30)


def test_a_signature_says_what_was_signed(gpg_keys: Keys) -> None:
    signed = signer(gpg_keys.good, home=gpg_keys.home.path).sign(payload.made(DIGEST, NAME))
    said = payload.read(gpg_keys.home.run("--decrypt", data=signed))
    assert (said.digest, said.reference) == (DIGEST, NAME)
    assert said.creator is not None
    assert said.creator.startswith("hardening ")
    assert said.timestamp is not None


def test_skopeo_verifies_it(gpg_keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"schemaVersion": 2}))
    digest = subprocess.run(["skopeo", "manifest-digest", manifest], capture_output=True, text=True, check=True).stdout
    signature = tmp_path / "signature"
    signature.write_bytes(signer(gpg_keys.primary, home=gpg_keys.home.path).sign(payload.made(digest.strip(), NAME)))
    monkeypatch.setenv("GNUPGHOME", str(gpg_keys.home.path))
    argv = ["skopeo", "standalone-verify", str(manifest), NAME, gpg_keys.primary, str(signature)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr  # by the primary key, although there is a subkey that could have signed
    argv[3] = "example.com/team/app:2"
    assert subprocess.run(argv, capture_output=True, check=False, timeout=60).returncode != 0


def test_a_key_is_named_by_what_it_alone_has(gpg_keys: Keys) -> None:
    for name in (gpg_keys.good, gpg_keys.good[-16:], "good@example.com", f"{gpg_keys.good}!"):
        assert signer(name, home=gpg_keys.home.path).fingerprint == gpg_keys.good
    with pytest.raises(UsageError, match=f'"example.com" is more than one secret key: .*{gpg_keys.good}'):
        signer("example.com", home=gpg_keys.home.path)
    with pytest.raises(UsageError, match='there is no secret key "nobody"'):
        signer("nobody", home=gpg_keys.home.path)


def test_a_subkey_signs_where_it_is_named_so(gpg_keys: Keys) -> None:
    signed = signer(f"{gpg_keys.subkey}!", home=gpg_keys.home.path).sign(payload.made(DIGEST, NAME))
    listed = gpg_keys.home.run("--list-packets", data=signed).decode()
    assert gpg_keys.subkey[-16:] in listed


def test_a_key_that_has_expired_is_refused(gpg_keys: Keys) -> None:
    with pytest.raises(UsageError, match="cannot sign, or has expired"):
        signer(gpg_keys.expired, home=gpg_keys.home.path)


def test_a_key_with_a_passphrase_asks_for_nothing_without_a_terminal(gpg_keys: Keys) -> None:
    forget(gpg_keys)
    with pytest.raises(LaunchError, match="nobody can be asked for it: there is no terminal") as caught:
        signer(gpg_keys.locked, home=gpg_keys.home.path).sign(payload.made(DIGEST, NAME))
    assert "--passphrase-file" in str(caught.value)


def test_a_passphrase_comes_from_a_file(gpg_keys: Keys, tmp_path: Path) -> None:
    path = tmp_path / "passphrase"
    for ending in ("", "\n", "\r\n"):
        forget(gpg_keys)
        path.write_bytes((PASSPHRASE + ending).encode())
        signed = signer(gpg_keys.locked, path, gpg_keys.home.path).sign(payload.made(DIGEST, NAME))
        assert payload.read(gpg_keys.home.run("--decrypt", data=signed)).reference == NAME
    forget(gpg_keys)
    path.write_text("another one")
    with pytest.raises(LaunchError, match=r"wrong passphrase of key"):
        signer(gpg_keys.locked, path, gpg_keys.home.path).sign(payload.made(DIGEST, NAME))


@pytest.mark.parametrize(
    ("data", "problem"), [(b"a\nb\n", "not a single line"), (b"\xff", "UTF-8"), (b"a" * 5000, "single")]
)
def test_what_can_be_no_passphrase(gpg_keys: Keys, tmp_path: Path, data: bytes, problem: str) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=problem):
        signer(gpg_keys.locked, path, gpg_keys.home.path)
    with pytest.raises(UsageError, match="cannot read the passphrase"):
        signer(gpg_keys.locked, tmp_path / "missing", gpg_keys.home.path)


def test_without_gnupg_there_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "OF_COMMANDS", str(tmp_path))
    with pytest.raises(HostError, match=r"GnuPG \(gpg\) is not installed"):
        signer("x")
