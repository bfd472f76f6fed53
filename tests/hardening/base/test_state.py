from __future__ import annotations

import os
import pwd
import re
import stat
import sys
from pathlib import Path

import pytest

from hardening.base import places, state
from hardening.errors import LaunchError, UsageError
from hardening.images import store
from tests.support import features


def test_an_explicit_directory_is_made_and_closed_to_lookers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "a/b"))
    path = state.directory()
    assert path == tmp_path / "a/b"
    assert stat.S_IMODE(path.stat().st_mode) == 0o711
    assert state.directory() == path


def test_its_mode_does_not_depend_on_the_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "x"))
    before = os.umask(0o077)
    try:
        assert stat.S_IMODE(state.directory().stat().st_mode) == 0o711
    finally:
        os.umask(before)


@pytest.mark.parametrize("name", ["HARDENING_STATE", "HARDENING_SECRETS", "HARDENING_IMAGES"])
def test_a_relative_directory_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "x")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=f"^{name}: x is not an absolute path\nhint: "):
        state.private()
    assert not list(tmp_path.iterdir())


def test_where_it_is_for_an_ordinary_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARDENING_STATE", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 48000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert state.location() == tmp_path / "hardening"
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nowhere")
    monkeypatch.setenv("XDG_STATE_HOME", "/s")
    assert state.location() == Path("/s/hardening")
    for relative in ("", "s", "./s"):
        monkeypatch.setenv("XDG_STATE_HOME", relative)
        monkeypatch.setenv("HOME", "/home/x")
        assert state.location() == Path(pwd.getpwuid(os.getuid()).pw_dir, ".local/state/hardening")


def test_where_it_is_for_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARDENING_STATE", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert state.location() == Path("/run/hardening")


def refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HARDENING_STATE", str(path))
    with pytest.raises(LaunchError) as caught:
        state.directory()
    assert caught.value.exit_code == 125
    return str(caught.value)


def test_a_file_a_link_and_what_others_can_write_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    assert "cannot use the state directory: it is not a directory of uid" in refused(tmp_path / "file", monkeypatch)
    (tmp_path / "link").symlink_to(tmp_path)
    assert "not a directory of uid" in refused(tmp_path / "link", monkeypatch)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    message = refused(tmp_path / "open", monkeypatch)
    assert "others can write to it\nhint: set HARDENING_STATE" in message


def test_somebody_else_s_directory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    features.require("root")
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 48000, 48000)
    assert "not a directory of uid 0" in refused(tmp_path / "theirs", monkeypatch)


def test_a_read_only_place_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "cannot use the state directory: " in refused(Path("/proc/hardening"), monkeypatch)


def test_what_exists_is_found_and_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "x"))
    assert state.existing() is None
    assert list(tmp_path.iterdir()) == []
    made = state.directory()
    assert state.existing() == made


@pytest.mark.usefixtures("shared_group")
@pytest.mark.parametrize("mode", [0o777, 0o720])
def test_what_others_could_have_written_is_not_believed(
    mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "open"))
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(mode)
    with pytest.raises(LaunchError, match="others can write to it\nhint: set HARDENING_STATE"):
        state.existing()
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "file/x"))
    (tmp_path / "file").touch()
    with pytest.raises(LaunchError, match="cannot use the state directory: Not a directory"):
        state.existing()


def test_what_somebody_else_has_written_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    features.require("root")
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path))
    os.chown(tmp_path, 48000, 48000)
    with pytest.raises(LaunchError, match="not a directory of uid 0"):
        state.existing()


def test_what_others_can_replace_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a/b/state").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a/b")
    (tmp_path / "a").chmod(0o777)
    for way in ("a/b", "link"):
        assert f"{tmp_path}/a can be written by others than its owner (mode 0777)\n" in refused(
            tmp_path / way / "state", monkeypatch
        )
    (tmp_path / "a").chmod(0o1777)
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "a/b/state"))
    assert state.directory() == tmp_path / "a/b/state"
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "link/state"))
    assert state.directory() == tmp_path / "link/state"
    features.require("root")
    os.chown(tmp_path / "link", 48000, 48000, follow_symlinks=False)
    assert f"{tmp_path}/link belongs to another user (uid 48000)" in refused(tmp_path / "link/state", monkeypatch)
    os.chown(tmp_path / "a/b", 48000, 48000)
    assert f"{tmp_path}/a/b belongs to another user (uid 48000)" in refused(tmp_path / "a/b/state", monkeypatch)


def test_a_store_below_a_virtual_environment_is_in_danger(tmp_path: Path) -> None:
    place = tmp_path / "share/hardening/secrets"
    assert state.danger(place) is None
    place.mkdir(parents=True)
    (place.parent / "pyvenv.cfg").touch()
    what, remedy = state.danger(place) or ("", "")
    assert what.startswith(f"{place} lies in a virtual environment")
    assert f"another place than {place.parent}" in remedy


def test_the_installation_that_the_readme_shows_is_away_from_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "HARDENING_STATE",
        "HARDENING_SECRETS",
        "HARDENING_IMAGES",
        "XDG_DATA_HOME",
        "XDG_RUNTIME_DIR",
        "XDG_STATE_HOME",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(places, "home", lambda environment: str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 48000)
    kept = [Path(path) for path in state.private()]
    assert store.location(os.environ, 48000) in kept
    page = Path(__file__).parents[3].joinpath("README.md").read_text(encoding="utf-8")
    installed = [tmp_path / path for path in re.findall(r"^python3 -m venv ~/(\S+)", page, re.MULTILINE)]
    assert installed
    for path in installed:
        assert not [place for place in kept if path == place or path in place.parents or place in path.parents]


def test_what_decides_the_next_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", f"{tmp_path}/config")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", f"{tmp_path}/auth.json")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/hardening").touch()
    monkeypatch.setattr(sys, "argv", [f"{tmp_path}/bin/hardening"])
    monkeypatch.setattr(places, "home", lambda environment: f"{tmp_path}/home")
    found = state.deciding()
    program = Path(state.__file__).parents[2]
    wanted = {f"{tmp_path}/config/hardening", f"{tmp_path}/config/containers", f"{tmp_path}/auth.json",
              f"{tmp_path}/bin", f"{tmp_path}/home/.local/bin", "/etc/hardening", "/etc/containers",
              sys.prefix, str(program)}  # fmt: skip
    assert not {path for path in wanted if not any(Path(path).is_relative_to(top) for top in found)}
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert not [path for path in state.deciding() if "relative" in path]


def test_a_place_that_is_not_there_can_be_written_to_where_it_can_be_made(tmp_path: Path) -> None:
    assert state.may_write(f"{tmp_path}/a/b")
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a").chmod(0o555)
    assert state.may_write(f"{tmp_path}/a/b/c")
    assert state.may_write("/etc/a/b") is (os.geteuid() == 0)
