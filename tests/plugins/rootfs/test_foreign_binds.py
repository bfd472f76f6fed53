"""What a foreign configuration binds of the host: what the settings name, and what engines make for each container."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.assemble.spec import assemble
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import RIGHTS
from hardening_rootfs import Rootfs
from hardening_rootfs.rights import RequestedRights
from tests.plugins.rootfs.stacks import composed, host

ID = "5d66f18929f6dbc2f1bd7f95bb8e5fbe3965435d50792749665ea917b5f7928c"


def bound(
    folder: Path, entry: dict[str, Any], profile: str = "[rootfs]", origin: Path | None = None
) -> tuple[dict[str, Any] | None, dict[str, Any], list[str]]:
    """The entry as it is afterwards, ``/linux``, and the pointers of what was asked for beyond the profile."""
    on = attrs.evolve(host(private=("/srv/people/ann",)), uid=os.geteuid())
    composition = composed(folder, profile, on=on)
    fragment = Fragment("rootfs")
    document = {"root": {"path": "rootfs", "readonly": True}, "mounts": [entry], "linux": {}}
    context = Context(on, composition.composed, origin=origin, limit=composition.limit)
    violations = list(Rootfs().tighten(composition.settings["rootfs"], document, context, fragment))
    result = assemble([fragment], document).document
    return next(iter(result["mounts"]), None), result["linux"], [item.pointer for item in violations]


def bind(destination: str, source: object, *options: str, kind: str = "bind") -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": str(source), "options": ["rbind", *options]}


@pytest.mark.sampled
@pytest.mark.parametrize(
    "source",
    [
        "/",
        "/etc",
        "/etc/shadow",
        "/etc/ssl/private/x",
        "/run/docker.sock",
        "/run",
        "/var",
        "/root",
        "/root/.config",
        "/root/.ssh",
        "/home",
        "/srv/people/ann/x",
        "/proc",
        "/proc/sys",
        "/proc/self/root",
        "/proc/1/root/root",
        "/sys",
        "/sys/kernel/debug",
        "/dev",
        "/dev/sda",
        "/dev/console",
        "/dev/ptmx",
        "/usr",
        "data",
        "../x",
    ],
)
@pytest.mark.parametrize("destination", ["/data", "/etc/hosts", "/dev/x", "/proc/sys", "/sys/kernel"])
def test_what_the_profile_does_not_name_goes(tmp_path: Path, source: str, destination: str) -> None:
    mount, _, violations = bound(tmp_path, bind(destination, source, "ro"), origin=tmp_path)
    assert mount is None
    assert "/mounts/0" in violations


def test_a_link_to_what_the_profile_does_not_name_goes(tmp_path: Path) -> None:
    (tmp_path / "hosts").symlink_to("/etc/passwd")
    assert bound(tmp_path, bind("/etc/hosts", tmp_path / "hosts"), origin=tmp_path)[0] is None


def test_a_volume_is_bound_by_the_name_that_the_profile_gives_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    profile = f'[rootfs]\nvolumes = ["{tmp_path}/data:/data"]'
    mount, _, violations = bound(tmp_path, bind("/data", tmp_path / "link", "nosuid", "nodev"), profile)
    assert mount is not None
    assert mount["source"] == f"{tmp_path}/data"
    assert "/mounts/0" not in violations


@pytest.mark.parametrize(("place", "kept"), [("/data", True), ("/alias/x", False), ("/file", False), ("/alias", False)])
def test_a_volume_is_taken_by_the_name_of_the_place_where_it_lies(place: str, kept: bool, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "rootfs/etc").mkdir(parents=True)
    (tmp_path / "rootfs/alias").symlink_to("etc")
    (tmp_path / "rootfs/file").symlink_to("/etc/passwd")
    profile = f'[rootfs]\nvolumes = ["{tmp_path}/data:{place}"]'
    mount, _, violations = bound(tmp_path, bind(place, tmp_path / "data", "nosuid", "nodev"), profile, tmp_path)
    assert (mount is not None) == kept
    assert ("/mounts/0" in violations) != kept


@pytest.mark.parametrize("driver", ["overlay-containers", "vfs-containers"])
@pytest.mark.parametrize("place", ["/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/run/.containerenv"])
def test_files_that_an_engine_provides_stay_without_rights(tmp_path: Path, place: str, driver: str) -> None:
    source = tmp_path / driver / ID / "userdata" / os.path.basename(place)
    source.parent.mkdir(parents=True)
    for _ in ("missing", "there"):
        mount, _, violations = bound(tmp_path, bind(place, source, "rprivate"))
        assert mount is not None
        assert RequestedRights("", mount).rights == frozenset()
        assert {f"r{word}" for word in RIGHTS.values()} <= set(mount["options"])
        assert "/mounts/0" not in violations
        again, _, violations = bound(tmp_path, mount)
        assert (again, "/mounts/0" in violations) == (mount, False)
        source.touch()
    assert bound(tmp_path, bind("/etc/passwd", source))[0] is None
    assert bound(tmp_path, bind("/etc/hosts", source.with_name("other")))[0] is None


def test_files_beside_the_configuration_are_an_engines_too(tmp_path: Path) -> None:
    (tmp_path / "hosts").touch()
    assert bound(tmp_path, bind("/etc/hosts", tmp_path / "hosts"), origin=tmp_path)[0] is not None
    assert bound(tmp_path, bind("/etc/hosts", tmp_path / "hosts"), origin=tmp_path / "other")[0] is None


@pytest.mark.parametrize(
    ("limit", "kept"),
    [("volumes = []", True), ('volumes.drop = ["/etc/hosts"]', False), ('volumes.drop = ["/etc/hostname"]', True)],
)
def test_files_that_an_engine_provides_go_where_a_limit_names_them(tmp_path: Path, limit: str, kept: bool) -> None:
    (tmp_path / "hosts").touch()
    profile = f"[limits.rootfs]\n{limit}\n[rootfs]"
    assert (bound(tmp_path, bind("/etc/hosts", tmp_path / "hosts"), profile, tmp_path)[0] is not None) == kept


def test_what_others_can_write_is_no_engines(tmp_path: Path) -> None:
    folder = tmp_path / "overlay-containers" / ID / "userdata"
    folder.mkdir(parents=True)
    (folder / "hosts").mkdir()
    assert bound(tmp_path, bind("/etc/hosts", folder / "hosts"))[0] is None
    (folder / "hosts").rmdir()
    (folder / "hosts").touch()
    assert bound(tmp_path, bind("/etc/hosts", folder / "hosts"))[0] is not None
    # Who can write to any directory on the way can put another one in its place.
    for above in (folder, folder.parent, folder.parent.parent):
        mode = above.stat().st_mode
        above.chmod(0o777)
        assert bound(tmp_path, bind("/etc/hosts", folder / "hosts"))[0] is None
        above.chmod(mode)


def test_what_is_missing_of_a_sticky_directory_is_no_engines(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    assert bound(tmp_path, bind("/etc/hosts", tmp_path / "hosts"), origin=tmp_path)[0] is None
    (tmp_path / "hosts").touch()
    assert bound(tmp_path, bind("/etc/hosts", tmp_path / "hosts"), origin=tmp_path)[0] is not None


def test_secrets_of_this_container_stay_and_those_of_another_go(tmp_path: Path) -> None:
    source = tmp_path / "run/overlay-containers" / ID / "userdata/run/secrets"
    source.mkdir(parents=True)
    for own, kept in ((ID, True), (ID[::-1], False)):
        origin = tmp_path / "overlay-containers" / own / "userdata"
        mount, _, violations = bound(tmp_path, bind("/run/secrets", source), origin=origin)
        assert (mount is not None, "/mounts/0" not in violations) == (kept, kept)
    assert bound(tmp_path, bind("/run/secrets", source))[0] is None


def test_usual_devices_stay(tmp_path: Path) -> None:
    mount, _, violations = bound(tmp_path, bind("/x", "/dev/null", "suid"))
    assert mount is not None
    assert RequestedRights("", mount).rights == {"rw", "dev"}
    assert "/mounts/0" not in violations


def test_the_kernels_file_systems_are_the_containers_own(tmp_path: Path) -> None:
    own = '[rootfs]\nsys = "read-only"\n[namespaces]\nuser = "private"'
    for place, kind in (("/proc", "proc"), ("/sys", "sysfs")):
        for source in (place, "/root"):
            mount, _, violations = bound(tmp_path, bind(place, source), own)
            assert mount is not None
            assert (mount["type"], mount["source"]) == (kind, kind)
            assert "/mounts/0" in violations
    mount, _, _ = bound(tmp_path, bind("/sys/fs/cgroup", "/sys/fs/cgroup"), own)
    assert mount is not None
    assert mount["type"] == "tmpfs"
    assert bound(tmp_path, bind("/sys", "/sys"))[0] is None


def test_files_of_the_host_that_the_profile_shows_stay_with_its_secrets_hidden(tmp_path: Path) -> None:
    mount, linux, violations = bound(tmp_path, bind("/etc", "/etc", "rro", "rnosuid", "rnodev"))
    assert mount is not None
    assert RequestedRights("", mount).rights == {"exec"}
    assert "/etc/shadow" in linux["maskedPaths"]
    assert "/mounts/0" not in violations
    for place in ("/root", "/run", "/home", "/etc/shadow"):
        assert bound(tmp_path, bind(place, place, "ro"))[0] is None
    (tmp_path / "image").mkdir()
    assert bound(tmp_path, bind("/etc", "/etc", "ro"), f'[rootfs]\npath = "{tmp_path}/image"')[0] is None
