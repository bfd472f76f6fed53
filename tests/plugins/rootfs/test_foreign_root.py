"""The root of a foreign configuration is judged by where it leads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hardening.assemble.spec import assemble
from hardening.errors import SpecError
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context
from hardening_rootfs import Rootfs
from tests.plugins.rootfs.stacks import composed, host


def rooted(
    folder: Path,
    path: str | None,
    *mounts: dict[str, Any],
    readonly: bool = True,
    private: str = "/srv/people/ann",
    bundle: Path | None = None,
    origin: Path | None = None,
) -> dict[str, Any]:
    on = host(private=(private,))
    composition = composed(folder, "[rootfs]", on=on)
    fragment = Fragment("rootfs")
    root = {"readonly": readonly} if path is None else {"path": path, "readonly": readonly}
    document = {"root": root, "mounts": list(mounts), "linux": {}}
    context = Context(on, composition.composed, origin=origin or folder, bundle=bundle)
    list(Rootfs().tighten(composition.settings["rootfs"], document, context, fragment))
    return assemble([fragment], document).document


@pytest.fixture
def link(tmp_path: Path) -> str:
    (tmp_path / "link").symlink_to("/")
    return str(tmp_path / "link")


@pytest.mark.parametrize("alias", ["/", "//", "/.", "/proc/self/root", "/usr/..", "../" * 40, "link", "LINK"])
def test_every_name_of_the_hosts_root_hides_its_secrets(tmp_path: Path, link: str, alias: str) -> None:
    result = rooted(tmp_path, link if alias == "LINK" else alias)
    assert result["root"] == {"path": "/", "readonly": True}
    assert {"/etc/shadow", "/root", "/home"} <= set(result["linux"]["maskedPaths"])


def test_the_running_host_is_not_shown(tmp_path: Path) -> None:
    result = rooted(tmp_path, "/", {"destination": "/proc", "type": "proc", "source": "proc"})
    mounts = {mount["destination"]: mount for mount in result["mounts"]}
    masked = set(result["linux"]["maskedPaths"])
    assert {"/run", "/tmp", "/dev"} <= set(mounts)
    assert {"/sys", "/mnt", "/media", "/boot"} & set(os.listdir("/")) <= masked | {name[1:] for name in masked}
    assert "/proc" not in masked
    assert "/proc" in set(rooted(tmp_path, "/")["linux"]["maskedPaths"])


def test_secrets_below_a_directory_are_hidden_in_it(tmp_path: Path) -> None:
    assert "/shadow" in rooted(tmp_path, "/etc")["linux"]["maskedPaths"]
    assert "/lib/private" in rooted(tmp_path, "/var")["linux"]["maskedPaths"] or not os.path.exists("/var/lib/private")


@pytest.mark.parametrize(
    "path",
    [
        "/root",
        "/home",
        "/root/.ssh",
        "/root/.config/x",
        "/etc/shadow",
        "/proc",
        "/proc/1",
        "/sys",
        "/dev",
        "/run",
        "/tmp",
        "/proc/self/root/root",
    ],
)
def test_a_hidden_directory_is_no_root(tmp_path: Path, path: str) -> None:
    with pytest.raises(SpecError) as caught:
        rooted(tmp_path, path)
    assert caught.value.origin == "/root/path"


def test_images_in_a_home_and_in_an_engines_storage_are_roots(tmp_path: Path) -> None:
    home = tmp_path / "ann"
    for below in ("image", "bundle/rootfs", ".local/share/containers/storage/overlay/x/merged"):
        (home / below).mkdir(parents=True)
        assert rooted(tmp_path, str(home / below), private=str(home))["root"]["path"] == str(home / below)
    (home / ".ssh").mkdir()
    for path in (home, home / ".ssh"):
        with pytest.raises(SpecError):
            rooted(tmp_path, str(path), private=str(home))
    assert rooted(tmp_path, "/var/lib/containers/storage/overlay/x/merged")["root"]["readonly"]


def test_a_root_that_is_what_it_says_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "rootfs").mkdir()
    assert rooted(tmp_path, "rootfs")["root"]["path"] == "rootfs"
    assert rooted(tmp_path, "missing")["root"]["path"] == "missing"
    (tmp_path / "other").symlink_to("rootfs")
    assert rooted(tmp_path, "other")["root"]["path"] == str(tmp_path / "rootfs")
    assert rooted(tmp_path, str(tmp_path / "other"))["root"]["path"] == str(tmp_path / "rootfs")


def test_a_root_is_named_as_a_whole_where_it_is_written_into_another_directory(tmp_path: Path) -> None:
    (tmp_path / "rootfs").mkdir()
    (tmp_path / "link").symlink_to(".")
    for said in ("rootfs", None):  # which a configuration need not say
        found = rooted(tmp_path, said, bundle=tmp_path / "elsewhere")
        assert found["root"]["path"] == str(tmp_path / "rootfs")
        assert rooted(tmp_path, said, bundle=tmp_path / "link")["root"].get("path") == said
    assert "/shadow" in rooted(tmp_path, "etc", bundle=tmp_path, origin=Path("/"))["linux"]["maskedPaths"]


def test_the_hosts_root_is_only_ever_read_only(tmp_path: Path) -> None:
    assert rooted(tmp_path, "//", readonly=False)["root"]["readonly"] is True
