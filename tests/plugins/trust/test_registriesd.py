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


@pytest.fixture
def bases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path, Path]:
    """What a distribution, an administrator and a user say."""
    shipped, local, home = (tmp_path / name for name in ("share", "etc", "home"))
    monkeypatch.setattr(registriesd, "BASES", (shipped, local))
    set_home(monkeypatch, home)
    return shipped, local, home / registriesd.USER.parent


def put(place: Path, name: str, text: str) -> None:
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_text(text)


def test_directories_are_merged_and_a_file_replaces_those_of_its_name(bases: tuple[Path, Path, Path]) -> None:
    shipped, local, own = (base / "registries.d" for base in bases)
    put(shipped, "default.yaml", "default-docker:\n  lookaside: file:///shipped\n")
    put(shipped, "b.yaml", "docker:\n  b.example.com:\n    lookaside: file:///b\n")
    put(local, "a.yaml", "docker:\n  a.example.com:\n    lookaside: file:///a\n")
    put(own, "c.yaml", "docker:\n  c.example.com:\n    lookaside: file:///c\n")
    put(own, "default.yaml", "default-docker:\n  lookaside: file:///own\n")
    found = registriesd.configured()
    for host, place in (
        ("a.example.com", "a"),
        ("b.example.com", "b"),
        ("c.example.com", "c"),
        ("d.example.com", "own"),
    ):
        assert found.read_from([host]) == f"file:///{place}"
    assert registriesd.configured(shipped).read_from(["a.example.com"]) == "file:///shipped"
    put(own, "more.yaml", "docker:\n  a.example.com:\n    lookaside: file:///other\n")
    with pytest.raises(ProfileError, match="is defined twice") as caught:
        registriesd.configured()
    assert str(caught.value.origin) == f"{own}/more.yaml:2"
    assert f"{local}/a.yaml:2; a file of the same name" in (caught.value.hint or "")


def test_what_is_of_users_or_of_root_alone_is_read_by_these(bases: tuple[Path, Path, Path]) -> None:
    shipped, local, own = bases
    for base in (shipped, local):
        for name in ("rootless.d", "rootful.d", "rootless.d/1000", "rootless.d/1001"):
            put(base / f"registries.{name}", "a.yaml", f"default-docker:\n  lookaside: file:///{base.name}/{name}\n")

    def place(uid: int) -> str:
        return registriesd.read(*registriesd.directories(uid)).read_from(["a.example.com"])

    assert [place(uid) for uid in (0, 1000, 7)] == [
        f"file:///etc/{name}" for name in ("rootful.d", "rootless.d/1000", "rootless.d")
    ]
    put(own / "registries.d", "a.yaml", "default-docker:\n  lookaside: file:///own\n")
    assert place(0) == place(1000) == "file:///own"


@pytest.mark.parametrize("text", ['docker:\n  "\\UFFFFFFFF": {}\n', f"%YAML 1.{'1' * 5000}\n---\ndocker: {{}}\n"])
def test_what_yaml_leaves_to_python_is_refused_as_well(tmp_path: Path, text: str) -> None:
    with pytest.raises(ProfileError, match="it is not YAML"):
        read(tmp_path, a=text)


def test_only_files_of_the_right_name_count(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("nonsense: [")
    (tmp_path / "b.yaml.bak").write_text("nonsense: [")
    assert not read(tmp_path, a="docker: {}\n").scopes


@pytest.mark.parametrize(
    ("text", "problem", "line"),
    [
        ("docker: [", "it is not YAML", 1),
        ("docker:\n  a: &a\n    lookaside: *b\n", "it is not YAML: found undefined alias", 3),
        ('docker:\n  "\\ud800":\n', "are no characters", 2),
        ('default-docker:\n  lookaside: "file:///\\udfff"\n', "are no characters", 2),
        ("- a\n", "a mapping is expected", 1),
        ("docker:\n- a\n", "a mapping is expected", 2),
        ("dockr:\n  a: {}\n", 'unknown key "dockr"', 1),
        ("docker:\n  a:\n    lokaside: b\n", 'unknown key "lokaside"', 3),
        ("docker:\n  a:\n    lookaside: 5\n", "a URL is expected", 3),
        ("docker:\n  a:\n    use-sigstore-attachments: perhaps\n", "true or false is expected", 3),
        ("docker:\n  a: {}\n  a: {}\n", 'duplicate key "a"', 3),
        ('docker:\n  "": {}\n', "a scope is empty", 2),
        ("docker:\n  ? [a]\n  : {}\n", "a key is not text", 2),
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
