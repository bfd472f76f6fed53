"""Names of images are spelt out as docker and podman do, and what is none is refused with a hint."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.base.digest import is_digest
from hardening.errors import UsageError
from hardening.images.reference import Name, Reference, parse, parse_docker, require_digest, resolved

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("typed", "spelt"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
        ("index.docker.io/busybox", "docker.io/library/busybox:latest"),
        ("team/app", "docker.io/team/app:latest"),
        ("docker.io/library/team/app", "docker.io/library/team/app:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app:v1", "localhost:5000/app:v1"),
        ("host:5000/a/b/c", "host:5000/a/b/c:latest"),
        ("[::1]:5000/app", "[::1]:5000/app:latest"),
        ("Team.example/app", "Team.example/app:latest"),
        (f"busybox@{DIGEST}", f"docker.io/library/busybox@{DIGEST}"),
        (f"busybox:1@{DIGEST}", f"docker.io/library/busybox:1@{DIGEST}"),
        ("quay.io/a__b/c-d.e_f--g", "quay.io/a__b/c-d.e_f--g:latest"),
    ],
)
def test_spelt_out(typed: str, spelt: str) -> None:
    named = parse_docker(typed)
    assert str(named) == spelt
    assert parse_docker(spelt) == named
    assert parse(f"docker://{typed}") == parse(typed) == Name("docker", named)


def test_parts_that_scopes_are_made_of() -> None:
    named = parse_docker(f"a.b.example.com:5000/ns/r:t@{DIGEST}")
    assert named == Reference("a.b.example.com:5000", "ns/r", "t", DIGEST)
    assert named.repository == "a.b.example.com:5000/ns/r"


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("oci:/srv/image", Name("oci", path="/srv/image")),
        ("oci:/srv/image:v1", Name("oci", path="/srv/image", inner="v1")),
        ("oci:image:a:b", Name("oci", path=os.path.abspath("image"), inner="a:b")),
        ("dir:/srv/image:v1", Name("dir", path="/srv/image:v1")),
        ("docker-archive:/a/../b.tar", Name("docker-archive", path="/b.tar")),
        ("docker-archive:/b.tar:app", Name("docker-archive", path="/b.tar", inner="docker.io/library/app:latest")),
    ],
)
def test_transports_of_files(typed: str, name: Name) -> None:
    assert parse(typed) == name
    assert parse(str(name)) == name


def test_a_host_that_is_called_like_a_transport() -> None:
    name = parse("docker://oci:5000/app")
    assert name.docker == Reference("oci:5000", "app", "latest")
    assert parse(str(name)) == name
    assert parse("http:5000/app").docker == Reference("http:5000", "app", "latest")


@pytest.mark.parametrize(
    ("typed", "message", "hint"),
    [
        ("", "does not name an image", "HOST/REPOSITORY:TAG"),
        (" busybox", "does not name an image", "HOST/REPOSITORY:TAG"),
        ("BusyBox", "BusyBox: it has capital letters", "busybox"),
        ("Team/app", 'Team/app: "Team" has capital letters', "team"),
        ("Localhost/app", "capital letters", "localhost"),
        ("quay.io/", "is empty", "HOST/REPOSITORY:TAG"),
        ("quay.io//a", "is empty", "HOST/REPOSITORY:TAG"),
        ("a/-b", "invalid part of a repository", "small letters"),
        ("busybox:", "invalid tag", "a tag has"),
        ("busybox:-x", "invalid tag", "a tag has"),
        ("busybox:" + "x" * 129, "invalid tag", "at most 128"),
        ("-host.example/a", "invalid host", "a host has"),
        ("busybox@sha256:12", "it has 2 digits", "sha256 has 64"),
        ("busybox@" + DIGEST.upper().replace("SHA", "sha"), "it has capital letters", "0-9a-f"),
        ("busybox@md5:12", "invalid digest", "sha256"),
        ("busybox@", "invalid digest", "sha256"),
        ("0123456789abcdef" * 4, "id names no repository", "@sha256:"),
        ("a/" * 150 + "a", "has 311 letters with its host", "at most 255"),
        ("a" * 238, "has 256 letters with its host", "at most 255"),
        ("atomic:registry.example.com/ns/stream:tag", "unsupported transport atomic", "docker://HOST/NAMESPACE"),
        ("docker:busybox", "`//` is missing", "docker://busybox"),
        ("oci:", "the path is missing", "oci:PATH"),
        ("https://quay.io/a", "unsupported transport", "leave the scheme out"),
        ("containers-storage:a", "unsupported transport", "podman image save"),
        ("dokcer://a", "unknown transport", "docker"),
        (f"docker-archive:/a.tar:app@{DIGEST}", "no digests", "name a tag"),
    ],
)
def test_what_is_no_name_is_refused(typed: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(typed)
    assert message in str(refused.value)
    assert hint in (refused.value.hint or "")


def test_links_are_followed_to_a_place_that_has_a_name(tmp_path: Path) -> None:
    """`/srv/images:other` must not be read back as `/srv/images`, which other scopes decide about."""
    real = f"{os.path.realpath(tmp_path)}/real"
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "colon").symlink_to("real:other")
    assert resolved(parse(f"oci:{tmp_path}/link:v1")) == Name("oci", path=real, inner="v1")
    assert resolved(parse(f"dir:{tmp_path}/colon")) == parse(f"dir:{real}:other")
    with pytest.raises(UsageError, match="ends at its first colon"):
        resolved(parse(f"oci:{tmp_path}/colon:v1"))
    assert resolved(parse("busybox")) == parse("busybox")


def test_digests() -> None:
    assert is_digest(DIGEST)
    assert is_digest("sha512:" + "a" * 128)
    assert not is_digest(DIGEST + "\n")
    assert not is_digest("sha256:../../etc")
    assert require_digest(DIGEST) == DIGEST


@given(st.text(max_size=80))
def test_any_text_is_a_name_or_a_usage_error(text: str) -> None:
    try:
        name = parse(text)
    except UsageError:
        return
    assert parse(str(name)) == name
