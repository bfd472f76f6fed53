"""registries.d: which URL an image's signatures are read from and written to, field by field."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hardening.errors import ProfileError
from hardening_trust import registriesd
from tests.support.homes import set_home

SCOPES = ("h.example.com/a/b:1", "h.example.com/a/b", "h.example.com/a", "h.example.com", "*.example.com", "*.com")


def read(folder: Path, **files: str) -> registriesd.Registries:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return registriesd.read(folder)


def test_each_field_is_looked_for_from_the_nearest_scope_on(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        one="default-docker:\n  lookaside: https://all.example\n  use-sigstore-attachments: true\n",
        two="docker:\n  h.example.com/a:\n    lookaside-staging: file:///staging\n"
        "  h.example.com:\n    lookaside: https://host.example\n    use-sigstore-attachments: false\n",
    )
    assert found.read_from(SCOPES) == "https://host.example"
    assert found.written_to(SCOPES) == "file:///staging"
    assert not found.has_attachments(SCOPES)
    assert found.read_from(["x.org/a:1"]) == found.written_to(["x.org/a:1"]) == "https://all.example"
    assert found.has_attachments(["x.org/a:1"])


def test_the_nearest_scope_with_a_place_to_write_wins_whichever_its_name(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        a="docker:\n  h.example.com/a/b:\n    lookaside: file:///near\n  h.example.com:\n    lookaside-staging: file:///far\n",
    )
    assert found.written_to(SCOPES) == "file:///near"


def test_old_names_count_where_the_new_ones_are_not_said(tmp_path: Path) -> None:
    found = read(tmp_path, a="default-docker:\n  sigstore: file:///old\n  sigstore-staging: file:///staging\n")
    assert (found.read_from(SCOPES), found.written_to(SCOPES)) == ("file:///old", "file:///staging")
    found = read(tmp_path, a="default-docker:\n  sigstore: file:///old\n  lookaside: file:///new\n")
    assert found.read_from(SCOPES) == "file:///new"


def test_without_a_file_signatures_lie_in_the_default_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_home(monkeypatch, "/home/somebody")
    wanted = "/var/lib" if os.geteuid() == 0 else "/home/somebody/.local/share"
    for found in (registriesd.read(tmp_path / "missing"), read(tmp_path, a="")):
        assert found.read_from(SCOPES) == found.written_to(SCOPES) == f"file://{wanted}/containers/sigstore"
        assert not found.has_attachments(SCOPES)


def test_the_user_s_directory_replaces_the_system_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_home(monkeypatch, None)
    assert registriesd.default_directory() == registriesd.SYSTEM
    set_home(monkeypatch, tmp_path)
    assert registriesd.default_directory() == registriesd.SYSTEM
    (tmp_path / registriesd.USER).mkdir(parents=True)
    assert registriesd.default_directory() == tmp_path / registriesd.USER


@pytest.mark.parametrize("text", ['docker:\n  "\\UFFFFFFFF": {}\n', f"%YAML 1.{'1' * 5000}\n---\ndocker: {{}}\n"])
def test_what_yaml_leaves_to_python_is_refused_as_well(tmp_path: Path, text: str) -> None:
    with pytest.raises(ProfileError, match="it is no YAML"):
        read(tmp_path, a=text)


def test_only_files_of_the_right_name_count(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("nonsense: [")
    (tmp_path / "b.yaml.bak").write_text("nonsense: [")
    assert not read(tmp_path, a="docker: {}\n").scopes


@pytest.mark.parametrize(
    ("text", "problem", "line"),
    [
        ("docker: [", "it is no YAML", 1),
        ("docker:\n  a: &a\n    lookaside: *b\n", "it is no YAML: found undefined alias", 3),
        ("- a\n", "a mapping is expected", 1),
        ("docker:\n- a\n", "a mapping is expected", 2),
        ("dockr:\n  a: {}\n", 'unknown key "dockr"', 1),
        ("docker:\n  a:\n    lokaside: b\n", 'unknown key "lokaside"', 3),
        ("docker:\n  a:\n    lookaside: 5\n", "a URL is expected", 3),
        ("docker:\n  a:\n    use-sigstore-attachments: perhaps\n", "true or false is expected", 3),
        ("docker:\n  a: {}\n  a: {}\n", 'duplicate key "a"', 3),
        ('docker:\n  "": {}\n', "a scope is empty", 2),
        ("docker:\n  ? [a]\n  : {}\n", "a key is no text", 2),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(tmp_path: Path, text: str, problem: str, line: int) -> None:
    with pytest.raises(ProfileError) as caught:
        read(tmp_path, a=text)
    assert problem in str(caught.value)
    assert f"{tmp_path}/a.yaml:{line}:" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["default-docker:\n  lookaside: file:///a\n", "docker:\n  a:\n    lookaside: file:///a\n"]
)
def test_what_two_files_say_is_refused_with_both(tmp_path: Path, text: str) -> None:
    with pytest.raises(ProfileError) as caught:
        read(tmp_path, a=text, b=text)
    assert "is defined twice" in str(caught.value)
    assert f"{tmp_path}/a.yaml" in str(caught.value)
    assert f"{tmp_path}/b.yaml" in str(caught.value)
