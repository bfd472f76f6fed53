"""Changing a policy in its file: one statement, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hardening.errors import HardeningError, LaunchError
from hardening_trust import policy, writing
from hardening_trust.requirements import ACCEPT, REJECT, MatchRepository, SignedBy

SIGNED = frozenset({SignedBy(("/k.gpg",), identity=MatchRepository())})


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    return tmp_path / "team.toml"


def test_a_new_profile_begins_with_what_is_set(profile: Path) -> None:
    assert writing.into_profile(profile, "", "", REJECT) == '[trust]\ndefault = "reject"\n'
    assert writing.into_profile(profile, "docker", "docker.io", ACCEPT) == '[trust.docker]\n"docker.io" = "accept"\n'


def test_everything_else_of_a_profile_stays_as_it_is_written(profile: Path) -> None:
    profile.write_text(
        '# ours\n[trust]\ndefault = "accept" # for now\n\n[trust.docker] # registries\n"a.example.com" = "reject"\n'
    )
    text = writing.into_profile(profile, "docker", "b.example.com", SIGNED)
    assert text == (
        '# ours\n[trust]\ndefault = "accept" # for now\n\n[trust.docker] # registries\n'
        '"a.example.com" = "reject"\n"b.example.com" = {signedBy = "/k.gpg", signedIdentity = "matchRepository"}\n'
    )
    assert '"a.example.com" = "accept"\n' in writing.into_profile(profile, "docker", "a.example.com", ACCEPT)
    assert writing.into_profile(profile, "dir", "", ACCEPT).endswith('reject"\n\n[trust.dir]\n"" = "accept"\n')


def test_a_statement_of_several_lines_is_left_alone(profile: Path) -> None:
    profile.write_text('[trust.docker]\n"a.example.com" = [\n  "reject",\n]\n')
    below = writing.into_profile(profile, "docker", "b.example.com", ACCEPT)
    assert below.startswith('[trust.docker]\n"b.example.com" = "accept"\n"a.example.com" = [\n')
    with pytest.raises(HardeningError, match="is not written in a line of its own") as caught:
        writing.into_profile(profile, "docker", "a.example.com", ACCEPT)
    assert str(caught.value.origin) == f"{profile}:2"


def test_dotted_keys_and_inline_tables(profile: Path) -> None:
    profile.write_text('[trust]\ndocker."a.example.com" = "reject"\n')
    assert writing.into_profile(profile, "docker", "a.example.com", ACCEPT) == (
        '[trust]\ndocker."a.example.com" = "accept"\n'
    )
    profile.write_text('trust = { default = "reject" }\n')
    with pytest.raises(HardeningError, match="is not written in a line of its own"):
        writing.into_profile(profile, "", "", ACCEPT)


def test_a_malformed_profile_is_refused(profile: Path) -> None:
    profile.write_text("[trust\n")
    with pytest.raises(HardeningError, match="not TOML"):
        writing.into_profile(profile, "", "", ACCEPT)
    profile.write_text('[trust]\ndefault = "maybe"\n')
    with pytest.raises(HardeningError, match="neither accept nor reject"):
        writing.into_profile(profile, "docker", "a.example.com", ACCEPT)


def test_a_policy_keeps_its_other_scopes(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text(writing.into_policy(path, "docker", "docker.io", ACCEPT))
    path.write_text(writing.into_policy(path, "docker", "a.example.com", SIGNED))
    path.write_text(writing.into_policy(path, "", "", ACCEPT))
    found = policy.read(path)
    assert found.default == ACCEPT
    assert found.transports == {"docker": {"docker.io": ACCEPT, "a.example.com": SIGNED}}
    path.write_text('{"default": [], "default": []}')
    with pytest.raises(HardeningError, match="Duplicate key"):
        writing.into_policy(path, "", "", ACCEPT)


def test_what_cannot_be_written_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before")
    path.chmod(0o640)
    writing.replace(path, "after")
    assert path.read_text() == "after"
    assert path.stat().st_mode & 0o777 == 0o640
    with pytest.raises(UnicodeEncodeError):
        writing.replace(path, "half \ud800")
    assert path.read_text() == "after"
    assert os.listdir(tmp_path) == ["file"]
    with pytest.raises(LaunchError, match="cannot be written"):
        writing.replace(tmp_path / "absent/file", "x")


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("before")
    (tmp_path / "link").symlink_to("real")
    writing.replace(tmp_path / "link", "after")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "after"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("default", ("", "")),
        ("docker.io/library", ("docker", "docker.io/library")),
        ("localhost:5000/x", ("docker", "localhost:5000/x")),
        ("docker://docker.io", ("docker", "docker.io")),
        ("docker:", ("docker", "")),
        ("oci:/srv/x:tag", ("oci", "/srv/x:tag")),
        ("dir:", ("dir", "")),
        ("oci:5000/x", ("docker", "oci:5000/x")),
    ],
)
def test_what_is_typed_names_a_transport_and_a_scope(typed: str, meant: tuple[str, str]) -> None:
    assert writing.target(typed) == meant
