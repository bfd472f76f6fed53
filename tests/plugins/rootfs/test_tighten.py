"""Foreign configurations: nowhere looser than the settings, and what they asked for beyond is named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.launch.config.config_mounts import read_mounts
from hardening.launch.config.reader import ConfigTable
from hardening.mechanism.roles import RIGHTS
from hardening_rootfs.rights import RequestedRights
from hardening_rootfs.settings import MASKED, READ_ONLY
from tests.plugins.rootfs.stacks import host, mounts_of, tightened


def mount(destination: str, kind: str, source: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def document(*mounts: dict[str, Any], **linux: Any) -> dict[str, Any]:
    return {"ociVersion": "1.0.2", "root": {"path": "rootfs"}, "mounts": list(mounts), "linux": linux}


@attrs.frozen
class Result:
    mounts: dict[str, dict[str, Any]]
    linux: dict[str, Any]
    root: dict[str, Any]
    violations: dict[str, str]

    def rights(self, destination: str) -> frozenset[str]:
        return RequestedRights("", self.mounts[destination]).rights

    def options(self, destination: str) -> list[str]:
        options: list[str] = self.mounts[destination]["options"]
        return options


def tighten(folder: Path, foreign: dict[str, Any], profile: str = "[rootfs]") -> Result:
    on = host(private=("/srv/people/ann",))
    result, violations = tightened(folder, foreign, profile, on=on)
    spec = type("Spec", (), {"document": result})
    mounts = mounts_of(spec) if result.get("mounts") else {}  # type: ignore[arg-type]
    return Result(mounts, result["linux"], result["root"], {found.pointer: found.allowed for found in violations})


def test_the_root_becomes_read_only_and_stays_where_it_is(tmp_path: Path) -> None:
    found = tighten(tmp_path, document())
    assert found.root == {"path": "rootfs", "readonly": True}
    assert found.violations["/root/readonly"] == "true"
    already = tighten(tmp_path, document() | {"root": {"path": "/x", "readonly": True}})
    assert "/root/readonly" not in already.violations


def test_a_writable_root_gets_places_in_memory_where_it_has_the_directories(tmp_path: Path) -> None:
    (tmp_path / "image/tmp").mkdir(parents=True)
    found = tighten(tmp_path, document() | {"root": {"path": str(tmp_path / "image")}})
    assert set(found.mounts) == {"/tmp"}
    assert "noexec" in found.options("/tmp")


def test_a_bind_that_no_volume_names_goes(tmp_path: Path) -> None:
    found = tighten(tmp_path, document(mount("/data", "bind", str(tmp_path), "ro", "rbind")))
    assert found.mounts == {}
    assert found.violations == {"/root/readonly": "true", "/mounts/0": "none"} | paths_of(found)


def paths_of(found: Result) -> dict[str, str]:
    return {pointer: allowed for pointer, allowed in found.violations.items() if pointer.startswith("/linux/")}


def test_a_bind_within_a_volume_is_kept(tmp_path: Path) -> None:
    profile = f'[rootfs]\nvolumes = ["{tmp_path}:/data:noexec"]'
    found = tighten(
        tmp_path, document(mount("/data", "bind", str(tmp_path), "bind", "ro", "nodev", "nosuid", "noexec")), profile
    )
    assert found.rights("/data") == frozenset()
    assert "/mounts/0" not in found.violations
    found = tighten(tmp_path, document(mount("/data", "bind", str(tmp_path), "bind")), profile)
    assert found.rights("/data") == {"rw"}
    assert found.violations["/mounts/0"] == "nosuid,nodev,noexec"


@pytest.mark.parametrize("word", ["idmap", "ridmap", "idmap=uids=0-0-1;gids=0-0-1"])
def test_files_are_mapped_where_the_profile_maps_them_and_as_the_container_is(tmp_path: Path, word: str) -> None:
    maps = [{"containerID": 0, "hostID": 7, "size": 1}]
    entry = mount("/data", "bind", str(tmp_path), "rbind", "ro", "noexec", "nosuid", "nodev", word)
    for asked in (entry, entry | {"uidMappings": maps, "gidMappings": maps}):
        found = tighten(tmp_path, document(asked), f'[rootfs]\nvolumes = ["{tmp_path}:/data"]')
        kept = tighten(tmp_path, document(asked), f'[rootfs]\nvolumes = ["{tmp_path}:/data:idmap"]')
        assert not [option for option in found.options("/data") if "idmap" in option]
        assert [option for option in kept.options("/data") if "idmap" in option] == ["ridmap"]
        assert "uidMappings" not in found.mounts["/data"] | kept.mounts["/data"]
        assert ("/mounts/0" in kept.violations) is (asked is not entry or "=" in word)


def test_options_that_nobody_answers_for_go(tmp_path: Path) -> None:
    asked = document(
        mount("/proc", "proc", "proc", "gid=7", "hidepid=2"),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", "release_agent=/x", "ro"),
        mount("/tmp", "tmpfs", "tmpfs", "tmpcopyup", "new", "size=1k"),
    )
    found = tighten(tmp_path, asked, '[rootfs]\ntmpfs = ["/tmp:size=1M"]\nread_only = true')
    assert not {"gid=7", "release_agent=/x", "new"} & {
        word for entry in found.mounts.values() for word in entry["options"]
    }
    assert "tmpcopyup" in found.options("/tmp")
    assert "/mounts/2/options" in found.violations


def test_places_in_memory_are_bounded(tmp_path: Path) -> None:
    found = tighten(
        tmp_path,
        document(
            mount("/tmp", "tmpfs", "tmpfs", "size=1g", "exec", "mode=777"),
            mount("/run", "tmpfs", "tmpfs", "size=4k", "nosuid", "nodev", "noexec"),
            mount("/scratch", "tmpfs", "tmpfs", "size=1g", "tmpcopyup"),
        ),
    )
    assert found.rights("/tmp") == {"rw"}
    assert {"size=67108864", "mode=1777"} <= set(found.options("/tmp"))
    assert "size=4096" in found.options("/run")
    assert found.rights("/scratch") == frozenset()
    assert "size=4k" in found.options("/scratch")
    assert "tmpcopyup" not in found.options("/scratch")  # it is told to be empty
    assert set(found.violations) >= {"/mounts/0", "/mounts/2"}
    assert "/mounts/1" not in found.violations


def test_no_place_in_memory_holds_a_copy_of_what_is_hidden(tmp_path: Path) -> None:
    """No mask is over what is mounted at a hidden place, and one that is masked is copied for nothing."""
    image, data = tmp_path / "image", tmp_path / "data"
    for place in (image / "etc/private/key", image / "open", data / "hid"):
        place.mkdir(parents=True)
    places = ("/etc/private", "/etc", "/open", "/data/hid", "/elsewhere")
    asked = document(
        mount("/data", "bind", str(data), "rbind"),
        *(
            mount(place, "tmpfs", "tmpfs", "tmpcopyup", "size=4k", "ro", "nosuid", "nodev", "noexec")
            for place in places
        ),
    )
    asked["root"] = {"path": str(image), "readonly": True}
    given = ", ".join(f'"{place}:size=1M"' for place in places[:-1])
    profile = f'[rootfs]\nvolumes = ["{data}:/data:ro"]\ntmpfs.add = [{given}]\n'
    found = tighten(tmp_path, asked, f'{profile}hidden_paths.add = ["{image}/etc/private", "{data}/hid"]')
    assert [place for place in places if "tmpcopyup" in found.options(place)] == ["/open"]
    assert "/etc/private holds, which is hidden" in found.violations["/mounts/1/options"]
    assert found.violations["/mounts/5"] == "an empty read-only directory"
    plain = tighten(tmp_path, asked, profile)
    assert [place for place in places if "tmpcopyup" in plain.options(place)] == list(places[:-1])


@pytest.mark.parametrize("word", ["readonly", "writable"])
def test_no_mount_is_led_elsewhere_by_a_link(tmp_path: Path, word: str) -> None:
    """Of the root, or of what is mounted above it: what is said of the place where it lies would not meet it."""
    image, data = tmp_path / "image", tmp_path / "data"
    for place in (image / "var/real/tmp", image / "copied/there", image / "dev", image / "srv", data / "sub"):
        place.mkdir(parents=True)
    for link in (image / "alias", image / "dev/shm", image / "proc", image / "copied/link", data / "link"):
        link.symlink_to("/var")
    (image / "tmp").symlink_to("var/real/tmp")
    (image / "run").symlink_to("var/nowhere")
    asked = document(
        mount("/alias/x", "tmpfs", "tmpfs", "size=1m"),
        mount("/dev/shm", "tmpfs", "shm"),
        mount("/proc", "proc", "proc"),
        mount("/tmp", "tmpfs", "tmpfs"),
        mount("/srv/link/x", "bind", f"{data}/sub", "bind"),
        mount("/srv/sub", "bind", f"{data}/sub", "bind"),
        mount("/srv", "bind", str(data), "rbind"),
        mount("/copied", "tmpfs", "tmpfs", "tmpcopyup"),
        mount("/copied/link", "tmpfs", "tmpfs"),
        mount("/copied/there", "tmpfs", "tmpfs"),
        mount("/new", "tmpfs", "tmpfs"),
        mount("/new/link", "tmpfs", "tmpfs"),
    )
    asked["root"] = {"path": str(image), "readonly": word == "readonly"}
    volumes = f'volumes = ["{data}:/srv", "{data}/sub:/srv/link/x", "{data}/sub:/srv/sub"]'
    found = tighten(tmp_path, asked, f'[rootfs]\n{volumes}\ntmpfs.add = ["/alias/x", "/copied", "/copied/link"]')
    kept = {"/copied", "/copied/there", "/new", "/new/link", "/srv", "/srv/sub"}
    assert set(found.mounts) == kept, found.violations
    assert "it is /var/x in the root" in found.violations["/mounts/0"]
    assert f"a link in {data}" in found.violations["/mounts/4"]


def test_what_was_tightened_stays_as_it_is(tmp_path: Path) -> None:
    foreign = document(
        mount("/tmp", "tmpfs", "tmpfs", "size=1g", "exec", "mode=777"),
        mount("/scratch", "tmpfs", "tmpfs", "size=1g"),
        mount("/sys", "sysfs", "sysfs"),
        mount("/sys/fs/cgroup", "cgroup", "cgroup"),
    )
    foreign["root"]["readonly"] = False
    (tmp_path / "run").mkdir()
    foreign["root"]["path"] = str(tmp_path)
    for profile in ("[rootfs]", '[rootfs]\nsys = "read-only"'):
        first, _ = tightened(tmp_path, foreign, profile, on=host(unified=False))
        again, violations = tightened(tmp_path, first, profile, on=host(unified=False))
        assert again == first
        assert [found.pointer for found in violations] == []


def test_shared_memory_is_our_own(tmp_path: Path) -> None:
    engine = mount("/dev/shm", "bind", "/var/lib/containers/x/shm", "bind")
    found = tighten(tmp_path, document(engine))
    assert found.mounts["/dev/shm"]["type"] == "tmpfs"
    assert "size=16777216" in found.options("/dev/shm")
    assert "/dev/shm" not in tighten(tmp_path, document(engine), "[rootfs]\nshm_size = 0").mounts


def test_file_systems_of_the_kernel(tmp_path: Path) -> None:
    foreign = document(
        mount("/proc", "proc", "proc", "hidepid=1"),
        mount("/dev", "tmpfs", "tmpfs", "mode=755", "size=65536k"),
        mount("/dev/pts", "devpts", "devpts", "newinstance", "gid=5"),
        mount("/sys", "sysfs", "sysfs", "rw"),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", "rw", "relatime"),
    )
    found = tighten(tmp_path, foreign, '[rootfs]\nsys = "read-only"')
    assert {"hidepid=invisible", "subset=pid"} <= set(found.options("/proc"))
    assert found.rights("/proc") == {"rw"}
    assert {"ro", "size=64k", "noexec"} <= set(found.options("/dev"))
    assert found.rights("/dev/pts") == {"rw", "dev"}
    assert "gid=5" in found.options("/dev/pts")
    assert found.rights("/sys") == found.rights("/sys/fs/cgroup") == frozenset()
    assert {"/mounts/3", "/mounts/4"} <= set(found.violations)
    without = tighten(tmp_path, foreign)
    assert not [place for place in without.mounts if place.startswith("/sys")]


def test_a_stricter_proc_is_kept(tmp_path: Path) -> None:
    foreign = document(mount("/proc", "proc", "proc", "hidepid=4", "subset=pid"))
    found = tighten(tmp_path, foreign, '[rootfs.proc]\nhidepid = "off"\nsubset = ""')
    assert {"hidepid=ptraceable", "subset=pid"} <= set(found.options("/proc"))


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("proc", "/foo"),
        ("proc", "/proc/x"),
        ("sysfs", "/foo"),
        ("cgroup2", "/foo"),
        ("devpts", "/foo"),
        ("mqueue", "/foo"),
        ("ext4", "/disk"),
        ("ext4", "/proc"),
        ("none", "/proc"),
        ("none", "/"),
        ("tmpfs", "/"),
        ("", "/foo"),
        *(
            (kind, "/foo")
            for kind in ["overlay", "debugfs", "tracefs", "devtmpfs", "securityfs", "bpf", "9p", "nfs", "fuse", "ramfs"]
        ),
    ],
)
def test_file_systems_of_other_kinds_or_at_other_places_go(tmp_path: Path, kind: str, place: str) -> None:
    found = tighten(tmp_path, document(mount(place, kind, "x", "ro")), '[rootfs]\nsys = "read-only"')
    assert place not in found.mounts
    assert found.violations["/mounts/0"] == "none"


def test_a_mount_that_was_judged_is_not_mounted_anew(tmp_path: Path) -> None:
    asked = document(mount("/proc", "proc", "proc", "remount"), mount("/tmp", "tmpfs", "tmpfs", "remount", "size=4k"))
    found = tighten(tmp_path, asked)
    assert not [place for place in found.mounts if "remount" in found.options(place)]
    empty = document(mount("/x", "tmpfs", "tmpfs", "ro", "nosuid", "nodev", "noexec", "size=4k", "remount"))
    assert "remount" not in tighten(tmp_path, empty).options("/x")


def test_fields_of_a_mount_that_nobody_knows_go(tmp_path: Path) -> None:
    entry = mount("/proc", "proc", "proc") | {"new": 1, "uidMappings": []}
    assert set(tighten(tmp_path, document(entry)).mounts["/proc"]) == {"destination", "type", "source", "options"}


def test_paths_are_joined(tmp_path: Path) -> None:
    found = tighten(tmp_path, document(maskedPaths=["/proc/kcore", "/proc/own"], readonlyPaths=None))
    assert {path for path in MASKED if "*" not in path} | {"/proc/own"} <= set(found.linux["maskedPaths"])
    assert set(READ_ONLY) == set(found.linux["readonlyPaths"])
    assert "/linux/maskedPaths" in found.violations


def test_a_bundle_of_the_hosts_root_hides_its_secrets(tmp_path: Path) -> None:
    found = tighten(tmp_path, document() | {"root": {"path": "/"}})
    assert {"/etc/shadow", "/root", "/home"} <= set(found.linux["maskedPaths"])
    over = document(mount("/etc", "tmpfs", "tmpfs", "size=1M")) | {"root": {"path": "/"}}
    new = tighten(tmp_path, over, '[rootfs]\ntmpfs.add = ["/etc:size=1M"]\n')
    assert "/etc" in new.mounts
    assert not {path for path in new.linux["maskedPaths"] if path.startswith("/etc/")}  # nothing of it is seen there


@pytest.mark.parametrize(
    ("asked", "allowed", "result"),
    [
        ("rshared", "private", "private"),
        ("slave", "slave", "slave"),
        (None, "slave", "private"),
        ("unbindable", "private", "unbindable"),
    ],
)
def test_propagation(tmp_path: Path, asked: str | None, allowed: str, result: str) -> None:
    found = tighten(tmp_path, document(rootfsPropagation=asked), f'[rootfs]\npropagation = "{allowed}"')
    assert found.linux["rootfsPropagation"] == result
    assert ("/linux/rootfsPropagation" in found.violations) == (asked == "rshared")


def test_devices(tmp_path: Path) -> None:
    fuse = {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}
    null = {"path": "/dev/null", "type": "c", "major": 1, "minor": 3}
    found = tighten(tmp_path, document(mount("/dev/kvm", "bind", "/dev/kvm", "bind"), devices=[fuse, null]))
    assert "devices" not in found.linux
    assert "/dev/kvm" not in found.mounts
    assert {"/linux/devices/0", "/mounts/0"} <= set(found.violations)
    assert "/linux/devices/1" not in found.violations
    swapped = tighten(tmp_path, document(devices=[null | {"type": "b", "major": 254}]))
    assert "/linux/devices/0" in swapped.violations


def test_a_device_is_kept_where_it_is_the_hosts(tmp_path: Path) -> None:
    numbers = os.stat("/dev/null").st_rdev
    null = {"path": "/dev/null", "type": "c", "major": os.major(numbers), "minor": os.minor(numbers)}
    profile = '[rootfs]\ndevices = ["/dev/null", "/dev/kvm"]'
    kept = tighten(tmp_path, document(mount("/dev/kvm", "bind", "/dev/kvm", "bind"), devices=[null]), profile)
    assert kept.linux["devices"] == [null]
    assert "/dev/kvm" in kept.mounts
    wide = tighten(tmp_path, document(devices=[null | {"fileMode": 0o777, "uid": 7}]), profile)
    assert wide.linux["devices"] == [null | {"fileMode": 0o666, "uid": 0, "gid": 0}]
    assert "/linux/devices/0" in wide.violations
    for mode in (-1, 2**63):  # no modes, and no errors of the program itself
        assert tighten(tmp_path, document(devices=[null | {"fileMode": mode}]), profile).linux["devices"]
    for change in ({"type": "b"}, {"major": 254}, {"minor": 0}, {"path": "/dev/nix"}):
        found = tighten(tmp_path, document(devices=[null | change]), profile)
        assert "devices" not in found.linux
        assert "/linux/devices/0" in found.violations
    assert tighten(tmp_path, document(devices=[null | {"type": "u"}]), profile).linux["devices"]


def test_rules_permit_the_devices_of_the_profile_and_the_usual_ones(tmp_path: Path) -> None:
    def rule(allow: bool, **fields: object) -> dict[str, object]:
        return {"allow": allow, "access": "rwm", **fields}

    null, tty = os.stat("/dev/null").st_rdev, {"type": "c", "major": 136}
    kept = [
        rule(False),
        rule(True, type="c", major=os.major(null), minor=os.minor(null)),
        rule(True, **tty),
        rule(True, type="b", access="m"),
    ]
    beyond = [
        rule(True),
        rule(True, type="b", major=254),
        rule(True, type="c", major=10, minor=229),
        rule(True, type="c"),
    ]
    asked = document()
    asked["linux"]["resources"] = {"devices": [*kept, *beyond]}
    found = tighten(tmp_path, asked, "[rootfs]\ndevices = []")
    assert found.linux["resources"]["devices"] == kept
    assert sum(pointer.startswith("/linux/resources/devices/") for pointer in found.violations) == len(beyond)


OPTIONS = st.lists(
    st.sampled_from(
        [f"{depth}{word}" for pair in RIGHTS.items() for word in pair for depth in ("", "r")]
        + ["rbind", "bind", "relatime"]
    ),
    max_size=8,
)


@given(OPTIONS, st.sets(st.sampled_from(sorted(RIGHTS))))
def test_rights_are_cut_to_what_is_allowed_and_never_added(options: list[str], allowed: set[str]) -> None:
    asked = RequestedRights("", mount("/data", "bind", "/srv", *options))
    cut = RequestedRights("", mount("/data", "bind", "/srv", *asked.cut(allowed)))
    assert cut.rights == asked.rights & allowed
    assert cut.cut(allowed) == list(cut.options)


@given(OPTIONS, st.sets(st.sampled_from(sorted(RIGHTS))))
def test_the_launcher_takes_away_at_least_what_it_was_asked_to(options: list[str], allowed: set[str]) -> None:
    entry = mount("/data", "bind", "/srv", *options)
    cut = entry | {"options": RequestedRights("", entry).cut(allowed)}
    problems: list[tuple[str, str]] = []
    asked, kept = read_mounts(ConfigTable({"mounts": [entry, cut]}, "", problems), "")
    assert problems == []
    assert not (asked.add | asked.add_below) & ~(kept.add | kept.add_below)
    assert not (asked.recursive and asked.add_below & ~kept.add_below)


def test_the_last_word_on_a_right_counts() -> None:
    assert "rw" in RequestedRights("", mount("/d", "bind", "/s", "ro", "rw")).rights
    assert "rw" not in RequestedRights("", mount("/d", "bind", "/s", "rw", "rro")).rights
    # The native launcher keeps apart what holds for the mount and what for all below.
    assert "rw" not in RequestedRights("", mount("/d", "bind", "/s", "rro", "rw")).rights
    assert "suid" not in RequestedRights("", mount("/d", "bind", "/s", "nosuid", "rsuid")).rights
    assert "suid" in RequestedRights("", mount("/d", "bind", "/s", "rnosuid", "rsuid")).rights
    assert RequestedRights("", {"destination": "/d//x/"}).destination == "/d/x"
    assert RequestedRights("", {"destination": "../proc"}).destination == "/proc"
    assert RequestedRights("", {"destination": ""}).destination == "/"


def test_a_terminal_group_that_is_not_mapped_goes(tmp_path: Path) -> None:
    entry = mount("/dev/pts", "devpts", "devpts", "newinstance", "gid=5")
    maps = [{"containerID": 0, "hostID": 1000, "size": 1}]
    assert "gid=5" not in tighten(tmp_path, document(entry, gidMappings=maps)).options("/dev/pts")
    maps[0]["size"] = 6
    assert "gid=5" in tighten(tmp_path, document(entry, gidMappings=maps)).options("/dev/pts")
    one = '[namespaces]\nuid_map = ["0:1000:1"]\ngid_map = ["0:1000:1"]'
    assert "gid=5" not in tighten(tmp_path, document(entry), one).options("/dev/pts")


def test_cgroup_trees_of_version_1_are_not_shown(tmp_path: Path) -> None:
    foreign = document(mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro"))
    result, _ = tightened(tmp_path, foreign, '[rootfs]\nsys = "read-only"', on=host(unified=False))
    assert result["mounts"][0]["type"] == "tmpfs"
    assert "ro" in result["mounts"][0]["options"]
