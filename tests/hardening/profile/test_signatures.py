"""Layers that have to be signed: each reason to refuse one, with its file and what to do."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

from hardening.base.digest import sha256
from hardening.base.openpgp.signing import signer
from hardening.errors import HardeningError
from hardening.profile import signatures
from hardening.profile.layers import SearchDirectory, SearchPath, Stack, resolve
from hardening.profile.signatures import Required
from hardening.profile.source import Origin, command_line
from tests.support.features import require
from tests.support.gpg import Keys, revoked_key

LINE = Origin("hardening", "hardening.toml:2")
TEXT = '# a comment\nextends = "shipped"\n[process]\numask = "077"\n'


@attrs.frozen
class Place:
    folder: Path
    keys: Keys

    @property
    def profile(self) -> Path:
        return self.folder / "team.toml"

    def sign(self, key: str, *, detach: bool = True) -> None:
        made = signer(key, home=self.keys.home.path).sign(self.profile.read_bytes(), detach=detach)
        self.signed(made)

    def signed(self, data: bytes) -> None:
        signatures.place(self.profile).write_bytes(data)

    def stack(self, said: Mapping[str, object] | None = None, *accepted: str) -> Stack:
        """The stack of the profile, where the keys ``accepted``, else the good one, are required."""
        return self.required(Required((self.file(*(accepted or (self.keys.good,))),), LINE), said)

    def file(self, *keys: str) -> Path:
        file = self.folder / "keys.gpg"
        file.write_bytes(self.keys.public(*keys))
        file.chmod(0o644)
        return file

    def required(self, required: Required, said: Mapping[str, object] | None = None) -> Stack:
        search = SearchPath((SearchDirectory(self.folder / "shipped", "package", shipped=True),))
        typed = command_line(said, {("exceptions",): "--exception x"}) if said is not None else None
        return resolve([str(self.profile)], search, typed, signed=required)

    def refused(self, *accepted: str) -> str:
        with pytest.raises(HardeningError) as caught:
            self.stack(None, *accepted)
        assert caught.value.hint is not None
        assert f"hardening profile sign --key ID {self.profile}" in caught.value.hint
        return str(caught.value)


@pytest.fixture
def place(gpg_keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    require("root")
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "state"))
    found = Place(tmp_path, gpg_keys)
    (tmp_path / "shipped").mkdir(mode=0o755)
    for path, text in ((found.profile, TEXT), (tmp_path / "shipped/shipped.toml", 'description = "of a package"')):
        path.write_text(text)
        path.chmod(0o644)
    return found


def test_a_signed_layer_says_by_whom_and_what_a_package_ships_needs_none(place: Place) -> None:
    place.sign(place.keys.good)
    stack = place.stack()
    (shipped, team) = stack.layers
    assert team.signature is not None
    assert (shipped.signature, team.signature.key, stack.until) == (None, place.keys.good, None)
    kept = signatures.place(place.profile)
    looked = {path: sha256(path.read_bytes()) for path in (place.folder / "keys.gpg", kept)}
    assert dict(stack.consulted) == looked


def test_what_is_not_signed_or_not_so_any_more_is_refused(place: Place) -> None:
    assert f"{place.profile}: this profile is not signed, which hardening.toml:2 requires" in place.refused()
    place.sign(place.keys.good)
    place.stack()
    place.profile.write_text(TEXT + "nofile = 1\n")
    assert (
        f"team.toml.sig: Invalid GPG signature: what key {place.keys.good[-16:]} signed has been changed"
        in place.refused()
    )
    for data in (b"", b"no signature", place.keys.signed(TEXT.encode())):
        place.signed(data)
        assert "team.toml.sig: Invalid GPG signature: " in place.refused()
    signatures.place(place.profile).unlink()
    os.mkfifo(signatures.place(place.profile))
    assert "cannot read the signature" in place.refused()


def test_other_keys_and_those_that_are_past_are_refused(place: Place) -> None:
    keys = place.keys
    place.sign(keys.other)
    assert f"made by the unknown key {keys.other}" in place.refused()
    place.stack(None, keys.good, keys.other)
    then = ("--local-user", keys.expired, "--faked-system-time", "20240102T000000")
    place.signed(keys.home.run("--detach-sign", *then, data=TEXT.encode()))
    assert f"key {keys.expired} expired on 2024-02-01" in place.refused(keys.expired)
    place.sign(keys.revoked)
    place.stack(None, keys.revoked)
    (place.folder / "keys.gpg").write_bytes(revoked_key(keys))
    with pytest.raises(HardeningError, match="is revoked"):
        signatures.verify({place.profile: TEXT}, Required((place.folder / "keys.gpg",), LINE))


def test_what_is_weak_past_or_of_another_file_is_refused(place: Place) -> None:
    keys, text = place.keys, TEXT.encode()
    detached = ("--detach-sign",)
    for options, now, says in (
        (
            ("--default-sig-expire", "1d", *detached),
            "20240105T000000",
            f"expired on 2024-01-06, made by key {keys.good}",
        ),
        (("--digest-algo", "SHA1", *detached), "", "its digest, SHA-1, is too weak"),
        (("--digest-algo", "RIPEMD160", *detached), "", "its digest, RIPEMD-160, is too weak"),
    ):
        place.signed(keys.signed(text, options=options, now=now))
        assert says in place.refused()
    # Of another profile, under the name of this one's.
    place.signed(keys.signed(b"[process]\n", options=detached))
    assert f"what key {keys.good[-16:]} signed has been changed" in place.refused()


def test_a_key_is_one_of_a_keyring_that_has_its_fingerprint(place: Place) -> None:
    keys = place.keys
    ring = place.file(keys.good, keys.other, keys.primary)

    def by(*fingerprints: str, files: tuple[Path, ...] = ()) -> Stack:
        return place.required(Required(files, LINE, tuple((one, LINE) for one in fingerprints), (ring,)))

    place.sign(keys.good)
    (_, team) = by(keys.other, keys.good).layers
    assert team.signature is not None
    assert team.signature.key == keys.good
    with pytest.raises(HardeningError, match=f"Signature by key {keys.good} is not accepted"):
        by(keys.other)
    by(keys.other, files=(ring,))  # whose keys are all accepted
    # What a subkey has signed is signed by its primary key, by whose fingerprint it is known.
    place.signed(keys.signed(TEXT.encode(), key=keys.subkey, options=("--detach-sign",)))
    (_, team) = by(keys.primary).layers
    assert team.signature is not None
    assert team.signature.key == keys.primary
    for wrong in (keys.subkey, keys.expired):
        with pytest.raises(HardeningError, match=f"hardening.toml:2: there is no key {wrong} in {ring}"):
            by(wrong)


def test_what_expires_is_valid_to_the_day_before(place: Place) -> None:
    ends = datetime.now(UTC) + timedelta(days=10)
    brief = place.keys.home.generate("brief", expires=time.strftime("%Y-%m-%d", ends.timetuple()))
    place.sign(brief)
    until = place.stack(None, brief).until
    assert until is not None
    assert timedelta(days=8) <= until - datetime.now(UTC).date() <= timedelta(days=10)


def test_nobody_types_an_exception_past_it(place: Place) -> None:
    place.sign(place.keys.good)
    place.stack({"process": {"umask": "077"}})
    with pytest.raises(
        HardeningError, match=r"--exception x: an exception is for a signed profile, which hardening.toml:2"
    ):
        place.stack({"exceptions": [{"setting": "process.umask", "reason": "r"}]})


def test_a_file_of_keys_that_is_missing_or_has_none_is_told_at_the_line_that_names_it(place: Place) -> None:
    place.file(place.keys.good)
    for name, says in (
        ("kyes.gpg", 'kyes.gpg: cannot read the key: No such file or directory\nhint: did you mean "keys.gpg"?'),
        ("team.toml", f"there is no OpenPGP key in {place.profile}\nhint: `gpg --export ID >FILE` writes one"),
    ):
        with pytest.raises(HardeningError) as caught:
            place.required(Required((place.folder / name,), LINE))
        assert str(caught.value).startswith(f"{LINE}: ")
        assert str(caught.value).endswith(says)
