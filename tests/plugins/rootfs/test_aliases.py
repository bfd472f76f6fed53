"""The other names of a path."""

from __future__ import annotations

from pathlib import Path

from hardening_rootfs.aliases import Mounted, mounted, names


def test_a_path_has_a_name_in_each_mount_of_its_file_system(tmp_path: Path) -> None:
    (tmp_path / "a/keys").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b/keys").symlink_to("../a/keys")
    here = Mounted("8:1", "/", str(tmp_path))
    secret = str(tmp_path / "a/keys")
    assert names(secret, [here]) == (secret,)
    # A mount that hides below another one leads somewhere else, and is no other name.
    assert names(secret, [here, Mounted("8:1", "/a", str(tmp_path / "b"))]) == (secret,)
    twice = Mounted("8:1", "/a", f"{tmp_path}/b/../a/.")
    assert names(secret, [here, twice, Mounted("8:2", "/a", "/elsewhere")]) == (secret,)


def test_the_mounts_of_the_caller_are_read() -> None:
    assert any(item.place == "/proc" and item.top == "/" for item in mounted())
    assert names("/proc/self", mounted())[0] == "/proc/self"
