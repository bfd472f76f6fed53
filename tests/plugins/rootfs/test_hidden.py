"""What the host's own root does not show."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from hardening_rootfs import hidden
from hardening_rootfs.hidden import HOME, PATHS, expand, private_directories


def test_home_and_xdg_directories_of_an_environment() -> None:
    environment = {
        "HOME": "/srv/people/ann/",
        "XDG_DATA_HOME": "/data/ann",
        "XDG_CONFIG_HOME": "relative",
        "PATH": "/bin",
    }
    assert {*private_directories(environment.items())} == {"/data/ann", "/srv/people/ann", own()}


@pytest.mark.parametrize("environment", [{}, {"HOME": "/nonexistent"}, {"HOME": "."}, {"HOME": ""}], ids=str)
def test_the_home_of_the_account_is_the_caller_s_whatever_home_says(environment: dict[str, str]) -> None:
    assert private_directories(environment.items()) == (own(),)


def own() -> str:
    return pwd.getpwuid(os.getuid()).pw_dir


def test_homes_of_system_accounts_do_not_hide_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hidden, "_homes", lambda: ())
    for home in ("/", "/usr", "/usr/sbin", "/var", "/bin", "/nonexistent"):
        assert private_directories({"HOME": home}.items()) == ()


def test_patterns_stand_for_what_exists(tmp_path: Path) -> None:
    for name in ("ssh_host_rsa_key", "ssh_host_rsa_key.pub"):
        (tmp_path / name).touch()
    assert expand([f"{tmp_path}/ssh_host_*_key", f"{tmp_path}/none"], ()) == (f"{tmp_path}/ssh_host_rsa_key",)


def test_links_are_resolved_and_inner_paths_left_out(tmp_path: Path) -> None:
    (tmp_path / "real/inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    assert expand([f"{tmp_path}/link", f"{tmp_path}/real/inner"], ()) == (f"{tmp_path}/real",)


def test_the_caller_stands_for_its_directories(tmp_path: Path) -> None:
    assert expand([HOME], (str(tmp_path),)) == (str(tmp_path),)
    assert expand([], (str(tmp_path),)) == ()


def test_the_defaults_name_what_a_host_keeps_secret() -> None:
    wanted = {"/home", "/root", "/etc/shadow", "/etc/gshadow-", "/etc/ssh/ssh_host_*_key", "/etc/ssl/private",
              "/etc/sudoers", "/var/lib/docker", "/var/lib/postgresql", "/var/log", HOME}  # fmt: skip
    assert wanted <= set(PATHS)
    assert len(set(PATHS)) == len(PATHS)
