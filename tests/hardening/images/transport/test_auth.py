"""Credentials come from where podman, skopeo and docker put them, and stand in no message."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from hardening.errors import ImageError, UsageError
from hardening.images.reference import parse_docker
from hardening.images.transport import auth
from hardening.images.transport.auth import Credentials
from tests.support.homes import set_home

SECRET = "correct-horse-battery"


def entry(user: str, password: str = SECRET) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def write(path: Path, data: object) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return str(path)


def find(name: str, **environment: str) -> Credentials | None:
    return auth.find(parse_docker(name), environment, 1000)


def user(name: str, **environment: str) -> str | None:
    found = find(name, **environment)
    return None if found is None else found.user


def test_the_longest_name_counts(tmp_path: Path) -> None:
    names = ("h.x:5000", "h.x:5000/team", "h.x:5000/team/app", "h.x")
    file = write(tmp_path / "auth.json", {"auths": {name: entry("u", name) for name in names}})
    for name, expected in {
        "h.x:5000/team/app:v1": "h.x:5000/team/app",
        "h.x:5000/team/other": "h.x:5000/team",
        "h.x:5000/teams/app": "h.x:5000",
        "h.x/a": "h.x",
        "other.x/a": None,
    }.items():
        found = find(name, REGISTRY_AUTH_FILE=file)
        assert (found.password if found is not None else None) == expected, name


def test_docker_hub_has_names_of_its_own(tmp_path: Path) -> None:
    for key in ("docker.io", "https://index.docker.io/v1/", "index.docker.io"):
        file = write(tmp_path / "auth.json", {"auths": {key: entry("hub")}})
        assert user("busybox", REGISTRY_AUTH_FILE=file) == "hub"


def test_the_first_file_that_has_any_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_home(monkeypatch, tmp_path)
    places = {"XDG_RUNTIME_DIR": str(tmp_path / "run")}
    write(tmp_path / ".docker/config.json", {"auths": {"h.example": entry("third")}})
    assert user("h.example/a", **places) == "third"
    write(tmp_path / ".config/containers/auth.json", {"auths": {"h.example": entry("second"), "x.example": {}}})
    assert user("h.example/a", **places) == "second"
    write(tmp_path / "run/containers/auth.json", {"auths": {"h.example/other": entry("first")}})
    assert user("h.example/a", **places) == "second"
    assert user("h.example/other", **places) == "first"
    assert find("y.example/a", **places) is None
    file = write(tmp_path / "explicit", {})
    assert find("h.example/a", **places, REGISTRY_AUTH_FILE=file) is None


def test_no_relative_place_has_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    set_home(monkeypatch, None)
    for name in ("run/containers/auth.json", "c/containers/auth.json", "containers/auth.json", ".docker/config.json",
                 ".config/containers/auth.json", "d/config.json"):  # fmt: skip
        write(tmp_path / name, {"auths": {"h.example": entry("planted")}})
    assert user("h.example/a", HOME=".", XDG_RUNTIME_DIR="run", XDG_CONFIG_HOME="c") is None
    for name, value in (("REGISTRY_AUTH_FILE", "run/containers/auth.json"), ("DOCKER_CONFIG", "d")):
        with pytest.raises(UsageError, match=f"^{name}: {value} is not an absolute path"):
            user("h.example/a", **{name: value})


def test_an_explicit_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="No such file"):
        find("h/a", REGISTRY_AUTH_FILE=str(tmp_path / "none"))


def test_tokens_and_plain_members(tmp_path: Path) -> None:
    file = write(tmp_path / "a", {"auths": {"h.x": {"identitytoken": "t"}, "i.x": {"username": "u", "password": "p"}}})
    found, plain = find("h.x/a", REGISTRY_AUTH_FILE=file), find("i.x/a", REGISTRY_AUTH_FILE=file)
    assert found is not None
    assert plain is not None
    assert (found.token, plain.user, plain.password) == ("t", "u", "p")
    assert plain.basic == "Basic dTpw"


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f'{{"auths": "{SECRET}"}}',
        json.dumps({"auths": {"h.x": {"auth": SECRET + "!"}}}),
        json.dumps({"auths": {"h.x": {"auth": base64.b64encode(SECRET.encode()).decode()}}}),
        f'["{SECRET}"]',
        "[" * 100_000,
        " " * (auth.MAX_BYTES + 1),
        json.dumps({"auths": {"h.x": {"auth": "é" + SECRET}}}),
        json.dumps({"auths": {"h.x": {"username": "\ud800", "password": SECRET}}}),
        json.dumps({"auths": {"h.x": {"identitytoken": SECRET + "\ud800"}}}),
    ],
    ids=range(10),
)
def test_a_broken_file_is_an_error_that_quotes_nothing_of_it(tmp_path: Path, text: str) -> None:
    file = write(tmp_path / "auth.json", text)
    with pytest.raises(ImageError) as refused:
        find("h.x/a", REGISTRY_AUTH_FILE=file)
    assert SECRET not in str(refused.value)
    assert str(refused.value.origin) == file


def test_credentials_have_no_text_form() -> None:
    assert SECRET not in repr(Credentials("someone", SECRET, SECRET))


def helper(folder: Path, text: str) -> None:
    path = folder / "docker-credential-test"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_helper_is_asked_for_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    helper(tmp_path, 'read -r server; printf \'{"Username": "%s", "Secret": "s"}\' "$server-$1"')
    file = write(tmp_path / "a", {"credHelpers": {"h.x": "test"}})
    assert user("h.x/a", REGISTRY_AUTH_FILE=file) == "h.x-get"
    assert find("i.x/a", REGISTRY_AUTH_FILE=file) is None
    store = write(tmp_path / "b", {"credsStore": "test"})
    assert user("i.x/a", REGISTRY_AUTH_FILE=store) == "i.x-get"
    assert user("busybox", REGISTRY_AUTH_FILE=store) == "https://index.docker.io/v1/-get"


@pytest.mark.parametrize(
    ("script", "message"),
    [("exit 1", None), (f"echo {SECRET}", "no credentials"), ("echo '[]'", "returned no credentials")],
)
def test_a_helper_that_has_nothing_or_fails(
    script: str, message: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    helper(tmp_path, script)
    file = write(tmp_path / "a", {"credHelpers": {"h.x": "test"}})
    if message is None:
        assert find("h.x/a", REGISTRY_AUTH_FILE=file) is None
        return
    with pytest.raises(ImageError, match=message) as refused:
        find("h.x/a", REGISTRY_AUTH_FILE=file)
    assert SECRET not in str(refused.value)


def test_a_helper_is_a_name_and_no_path(tmp_path: Path) -> None:
    file = write(tmp_path / "a", {"credHelpers": {"h.x": "../../bin/sh"}})
    with pytest.raises(ImageError, match="invalid name of a credential helper"):
        find("h.x/a", REGISTRY_AUTH_FILE=file)
    file = write(tmp_path / "b", {"credHelpers": {"h.x": "absent-helper"}})
    with pytest.raises(ImageError, match="docker-credential-absent-helper is not installed"):
        find("h.x/a", REGISTRY_AUTH_FILE=file)
