"""Podman users' options are answered with what does the same here."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.cli import main
from hardening.cli.options.elsewhere import answer, published
from tests.hardening.cli.samples import call, profile, session


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--privileged", "hardening explain SETTING"),
        ("--publish=80:80", "--network host"),
        ("--platform=linux/arm64", "the one for this machine"),
        ("--restart", "a unit of systemd"),
        ("--mount=x", "-v SRC:DST"),
        ("--pid=host", "--set namespaces.pid=host"),
        ("--security-opt=x", "seccomp.profile"),
        ("--shm-size=1m", "--set rootfs.shm_size="),
        ("--gpus=all", "--device /dev/"),
    ],
)
def test_an_option_of_podman_is_answered(
    option: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(session(tmp_path), "run", option, "--", "id") == 2
    told = capsys.readouterr().err
    assert f"no such option: {option.partition('=')[0]}\nhint: " in told
    assert says in told
    assert "did you mean" not in told


@pytest.mark.parametrize(
    ("option", "hint"), [("--dryrun", "did you mean --dry-run?"), ("--priv", "`hardening run --help` shows")]
)
def test_only_a_name_that_is_nearly_right_is_suggested(
    option: str, hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(session(tmp_path), "run", option, "--", "id") == 2
    assert f"hint: {hint}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("images -q", "hardening images --json | jq"),
        ("images --digests", "digests are shown"),
        ("rmi --all", "| xargs hardening rmi"),
        ("pull --creds=x busybox", "podman login HOST"),
        ("pull --all-tags busybox", "name each tag"),
        ("pull busybox alpine", "write a line for each"),
        ("secret exists x", "its exit code tells"),
        ("secret create --replace x -", "hardening secret rotate NAME FILE"),
        ("secret rm --all", "| xargs hardening secret rm"),
        ("trust unset docker.io", "file and line"),
        ("image trust show", "hardening trust`"),
        ("image sign x", "hardening trust sign"),
        ("image frobnicate", "leave that word out"),
        ("run --policy p.json busybox", "hardening trust import FILE --into team.toml"),
        ("history x", "skopeo inspect --config"),
    ],
)
def test_what_podman_has_of_images_secrets_and_trust_is_answered(
    line: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    told = capsys.readouterr().err
    assert says in told.partition("\nhint: ")[2]
    assert "did you mean" not in told


def test_a_mechanism_takes_an_option_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile(tmp_path, "default", "")
    assert answer("--label")
    assert call(session(tmp_path), "compose", "--label", "x", "--", "id") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("port", ["8080:80", "80", "127.0.0.1:8080:80", "8080-8090:80-90", "53:53/udp"])
def test_a_port_is_no_profile(port: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert published(port)
    assert call(session(tmp_path), "run", "-p", port, "--", "id") == 2
    assert f'no such profile: "{port}"\nhint: no port is forwarded' in capsys.readouterr().err


def test_a_policy_in_the_place_of_a_profile_is_answered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "policy.json").write_text("{}")
    assert call(session(tmp_path), "run", "-p", f"{tmp_path}/policy.json", "--", "id") == 2
    assert "hint: a policy.json is taken over into a profile: `hardening trust import" in capsys.readouterr().err


def test_a_profile_of_this_folder_is_suggested_by_its_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "profiles").mkdir()
    profile(tmp_path, "webteam", "")
    assert call(session(tmp_path / "profiles"), "run", "-p", "webteam", "--", "id") == 2
    assert "-p ./webteam.toml" in capsys.readouterr().err
    assert published("webteam") is None
