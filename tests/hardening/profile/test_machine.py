"""What the administrator says to every call."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hardening.base.digest import sha256
from hardening.errors import ProfileError
from hardening.launch.fingerprints import ABSENT
from hardening.profile.machine import Machine, configured
from tests.support.features import require


def written(folder: Path, text: str) -> Path:
    folder.chmod(0o755)
    path = folder / "hardening.toml"
    path.write_text(text)
    path.chmod(0o644)
    return path


def refused(file: Path) -> str:
    with pytest.raises(ProfileError) as caught:
        configured(file)
    assert caught.value.hint
    return str(caught.value)


def test_without_a_file_the_default_is_the_one_that_is_shipped(tmp_path: Path) -> None:
    assert configured(tmp_path / "none") == Machine(("default",), ABSENT)


@pytest.mark.parametrize(
    ("said", "profiles"),
    [('"org"', ("org",)), ('["org", "./own.toml"]', ("org", "{}/own.toml")), ('"/srv/x.toml"', ("/srv/x.toml",)),
     ('"x.toml"', ("{}/x.toml",))],
)  # fmt: skip
def test_it_says_which_profiles_a_command_has_that_names_none(
    tmp_path: Path, said: str, profiles: tuple[str, ...]
) -> None:
    require("root")
    text = f"default = {said}\n"
    found = configured(written(tmp_path, text))
    assert found == Machine(tuple(name.format(tmp_path) for name in profiles), sha256(text.encode()))


@pytest.mark.parametrize(
    ("text", "says"),
    [("default = []", ":1: default: names no profile"), ("default = 1", ":1: default: an integer where an array"),
     ("defalt = 'x'", ":1: defalt: unknown key\nhint: did you mean"), ("[", ":1: not TOML"),
     ("[profiles]\nrequire_signed = 1", ":2: profiles.require_signed: unknown key\nhint: did you mean"),
     ("[profiles]\nrequire_signed_by = []", ":2: profiles.require_signed_by: names no key"),
     (f"[profiles]\nrequire_signed_by = '{'0A' * 20}'", ":2: profiles.require_signed_by: is a fingerprint, and there is no"),
     ("[profiles]\nkeyring = 'k'\nrequire_signed_by = ['a.gpg', '0x0A0A 0a0a 0a0a 0a0a']",
      ":3: profiles.require_signed_by[1]: is no whole fingerprint: it has 16 digits"),
     ("[profiles]\nrequire_signed_by = 'ABCD1234'",
      ":2: profiles.require_signed_by: is no whole fingerprint: it has 8 digits"),
     ("[profiles]\nkeyring = 'k'\nrequire_signed_by = 'a.gpg'", ":2: profiles.keyring: no fingerprint is looked up in it"),
     ("[profiles]\nkeyrings = 'k'", ":2: profiles.keyrings: unknown key\nhint: did you mean \"keyring\"")],
)  # fmt: skip
def test_what_is_malformed_is_an_error_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    require("root")
    assert says in refused(written(tmp_path, text))


def test_keys_lie_from_its_folder_on_and_the_enforced_stack_beside_it(tmp_path: Path) -> None:
    require("root")
    enforced = tmp_path / "enforced.toml"
    file = written(tmp_path, 'profiles.require_signed_by = ["a.gpg", "/k/b.gpg"]\n')
    found = configured(file, enforced)
    assert found.signed is not None
    assert (found.signed.keys, str(found.signed.origin), found.enforced) == (
        (tmp_path / "a.gpg", Path("/k/b.gpg")), f"{file}:1", None
    )  # fmt: skip
    said = f'profiles = {{ require_signed_by = ["a.gpg", "{"0a0A " * 10}"], keyring = "k.gpg" }}\n'
    signed = configured(written(tmp_path, said)).signed
    assert signed is not None
    assert (signed.keys, [name for name, _ in signed.fingerprints]) == ((tmp_path / "a.gpg",), ["0A" * 20])
    assert signed.keyring == (tmp_path / "k.gpg",)
    enforced.symlink_to("nowhere")  # which is no way to be without one
    assert configured(file, enforced).enforced == configured(tmp_path / "none", enforced).enforced == enforced


def test_what_cannot_be_looked_at_binds_nevertheless(tmp_path: Path) -> None:
    (tmp_path / "no folder").write_text("")
    with pytest.raises(ProfileError, match=r"no folder/enforced\.toml: cannot be looked at: Not a directory"):
        configured(tmp_path / "none", tmp_path / "no folder/enforced.toml")


def test_nobody_but_root_says_it(tmp_path: Path) -> None:
    path = written(tmp_path, 'default = "org"')
    if os.geteuid() == 0:
        path.chmod(0o664)
        assert "can be written by others" in refused(path)
        path.chmod(0o644)
        os.chown(path, 48000, 48000)
    assert "belongs to another user" in refused(path)
