"""The other names of a path."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.base.linux import mountinfo
from hardening_rootfs import aliases
from hardening_rootfs.aliases import MountAlias, mounted, names, over, shown
from hardening_rootfs.layers import Layers


def test_a_path_has_a_name_in_each_mount_of_its_file_system(tmp_path: Path) -> None:
    (tmp_path / "a/keys").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b/keys").symlink_to("../a/keys")
    here = MountAlias("8:1", "/", str(tmp_path))
    secret = str(tmp_path / "a/keys")
    assert names(secret, [here]) == (secret,)
    # A mount that hides below another one leads somewhere else, and is no other name.
    assert names(secret, [here, MountAlias("8:1", "/a", str(tmp_path / "b"))]) == (secret,)
    twice = MountAlias("8:1", "/a", f"{tmp_path}/b/../a/.")
    assert names(secret, [here, twice, MountAlias("8:2", "/a", "/elsewhere")]) == (secret,)


def test_the_mounts_of_the_caller_are_read() -> None:
    assert any(item.place == "/proc" and item.top == "/" for item in mounted())
    assert names("/proc/self", mounted())[0] == "/proc/self"


def test_a_part_of_a_directory_that_is_mounted_once_more_shows_it() -> None:
    mounts = [
        MountAlias("8:1", "/", "/"),
        MountAlias("8:1", "/root/x", "/srv/x"),
        MountAlias("8:1", "/var/x", "/srv/other"),
    ]
    assert shown("/root", mounts) == ("/root", "/srv/x")


def test_what_is_mounted_in_a_directory_has_its_other_place(tmp_path: Path) -> None:
    """As where /home is hidden and /home/ann is a bind mount of /data/ann."""
    for name in ("home/ann", "data/ann"):
        (tmp_path / name).mkdir(parents=True)
    top = MountAlias("8:1", "/", "/")
    bound = MountAlias("8:1", f"{tmp_path}/data/ann", f"{tmp_path}/home/ann")
    elsewhere = MountAlias("8:1", f"{tmp_path}/data/ann/keys", "/media/keys")
    assert shown(f"{tmp_path}/home", [top, bound, elsewhere]) == ("/media/keys", f"{tmp_path}/home")


def test_the_systems_own_files_in_a_chroot_are_no_secret() -> None:
    mounts = [
        MountAlias("8:1", "/", "/"),
        MountAlias("8:1", "/usr", "/root/chroot/usr"),
        MountAlias("8:1", "/", "/root/all"),
    ]
    assert shown("/root", mounts) == ("/root",)


def test_a_part_of_it_at_the_system_s_own_place_shows_it_but_where_the_root_is_a_part_as_well(tmp_path: Path) -> None:
    for name in ("hid/in", "hid/etc"):
        (tmp_path / name).mkdir(parents=True)
    hid = f"{tmp_path}/hid"
    assert shown(hid, [MountAlias("8:1", "/", "/"), MountAlias("8:1", f"{hid}/sub", "/opt")]) == tuple(
        sorted(("/opt", hid))
    )
    deployed = [
        MountAlias("8:1", f"{hid}/1", "/"),
        MountAlias("8:1", f"{hid}/1/opt", "/opt"),
        MountAlias("8:1", hid, hid),
    ]
    assert shown(hid, deployed) == (hid,)


def test_what_is_mounted_in_it_is_the_system_s_where_a_chroot_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """And shown at its other place, wherever that is, where it has another name."""
    monkeypatch.setattr(aliases, "_same", lambda one, other: True)
    top = MountAlias("8:1", "/", "/")
    assert shown("/root", [top, MountAlias("8:1", "/etc/x", "/root/chroot/etc/x")]) == ("/root",)
    assert shown("/root", [top, MountAlias("8:1", "/etc/x", "/root/x")]) == ("/etc/x", "/root")


def test_of_several_mounts_at_one_place_the_last_is_seen() -> None:
    below, above = MountAlias("8:1", "/", "/srv"), MountAlias("8:2", "/", "/srv")
    assert over("/srv/x", [MountAlias("8:0", "/", "/"), below, above]) is above
    assert over("/var", [below]) is None


def test_an_overlay_of_a_part_of_a_directory_shows_it() -> None:
    merged = MountAlias("0:40", "/", "/srv/merged", "overlay", ("/root/low", "/srv/up"))
    assert shown("/root", [MountAlias("8:1", "/", "/"), merged]) == ("/root", "/srv/merged")


def test_an_overlay_of_an_unknown_layer_may_show_any_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = ("storage/l/A", "storage/1/merged", "snapshots/2/fs", "snapshots/7/fs", "run", "storage/hid", "low", "up")
    for name in folders:
        (tmp_path / name).mkdir(parents=True)
    storage, snapshots = tmp_path / "storage", tmp_path / "snapshots"

    def layers(place: Path, options: str, again: Path | None = None) -> tuple[str, tuple[str, ...]]:
        lines = [
            f"30 1 0:40 / {found} rw - overlay overlay rw,{options}" for found in (place, again) if found is not None
        ]
        monkeypatch.setattr(mountinfo, "read", lambda: mountinfo.parse(lines))
        return mounted()[-1].unknown, mounted()[-1].layers

    merged = storage / "1/merged"
    low, up = str(tmp_path / "low"), str(tmp_path / "up")
    assert layers(merged, f"lowerdir={low}:{storage},upperdir={up}") == ("", (low, str(storage), up))
    # What has the name is one that it may be, and not the one that it is.
    assert layers(merged, f"lowerdir=l/A,upperdir={up}") == ("l/A", (up, f"{storage}/l/A"))
    assert layers(merged, "lowerdir=l/A", again=tmp_path / "run") == ("l/A", (f"{storage}/l/A",))
    containerd = f"lowerdir=7/fs,upperdir={snapshots}/2/fs"
    assert layers(tmp_path / "run", containerd) == ("7/fs", (f"{snapshots}/2/fs", f"{snapshots}/7/fs"))
    for name in ("l/A", "l/B", "../hid", "../gone", f"{low}:gone"):
        assert layers(merged, f"lowerdir={name}")[0] == name.removeprefix(f"{low}:")
        assert set(shown("/root", [MountAlias("8:1", "/", "/"), *mounted()])) == {"/root", str(merged)}


@pytest.mark.parametrize("options", ["lowerdir={},redirect_dir=on", "lowerdir={},metacopy=on", "lowerdir=/usr::{}",
                                     "lowerdir+=/usr,datadir+={}", "lowerdir={}"])  # fmt: skip
def test_an_overlay_that_renames_directories_shows_them_somewhere(
    options: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("low/hid", "merged/moved"):
        (tmp_path / name).mkdir(parents=True)
    hid, merged = f"{tmp_path}/low/hid", f"{tmp_path}/merged"
    lines = [
        f"30 29 0:40 / {merged} rw - overlay o rw,{options.format(tmp_path / 'low')}",
        "29 1 8:1 / / rw - ext4 x rw",
    ]
    monkeypatch.setattr(mountinfo, "read", lambda: mountinfo.parse(lines))
    monkeypatch.setattr(Layers, "_explain", lambda *_: True)
    renames = "," in options or "::" in options
    assert shown(hid, mounted()) == ((hid, merged) if renames else (hid,))
    # What has its name there is there, and of what no layer holds it has none.
    (tmp_path / "low/kept").mkdir()
    (tmp_path / "merged/kept").mkdir()
    assert shown(f"{tmp_path}/low/kept", mounted()) == (f"{tmp_path}/low/kept", f"{merged}/kept")
    assert shown("/usr/share/doc" if "usr" not in options else "/var", mounted())[1:] == ()


def test_what_shows_a_name_is_a_name_as_well(tmp_path: Path) -> None:
    for name in ("vol/a/b", "low", "wd", "one/a/b", "two/a/b", "part/b"):
        (tmp_path / name).mkdir(parents=True)
    vol, low, wd, one, two, part = (str(tmp_path / name) for name in ("vol", "low", "wd", "one", "two", "part"))
    top = MountAlias("8:1", "/", "/")
    first = MountAlias("0:40", "/", one, "overlay", (vol, low))
    second = MountAlias("0:41", "/", two, "overlay", (one, low))
    assert shown(vol, [top, first, second]) == tuple(sorted((vol, one, two)))
    assert shown(vol, [top, first, MountAlias("0:40", "/a", part)]) == tuple(sorted((vol, one, part)))
    bound = MountAlias("8:1", f"{vol}/a", wd)
    assert shown(vol, [top, bound, MountAlias("0:42", "/", part, "overlay", (wd, low))]) == tuple(
        sorted((vol, wd, part))
    )
    assert vol in names(two, [top, first, second])
    # A layer beside the one that is hidden shows nothing of it.
    assert low not in shown(vol, [top, first, second])


def test_an_overlay_of_what_it_is_in_has_an_end(tmp_path: Path) -> None:
    (tmp_path / "a/m").mkdir(parents=True)
    (tmp_path / "a/self").symlink_to(".")
    mounts = [MountAlias("8:1", "/", "/"), MountAlias("0:40", "/", f"{tmp_path}/a/self", "overlay", (f"{tmp_path}/a",))]
    assert f"{tmp_path}/a/self/m" in names(f"{tmp_path}/a/m", mounts)


def test_a_host_of_many_overlays_is_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their layers are shared: what is asked grows with the mounts, and not with their square."""
    asked = 0
    join = aliases._join

    def counted(directory: str, below: str) -> str:
        nonlocal asked
        asked += 1
        return join(directory, below)

    monkeypatch.setattr(aliases, "_join", counted)
    counts = []
    for number in (100, 200):
        mounts = [MountAlias("8:1", "/", "/")]
        for each in range(number):
            layers = tuple(f"/var/lib/engine/{layer}" for layer in range(each, each + 20))
            mounts.append(MountAlias(f"0:{each}", "/", f"/run/engine/{each}", "overlay", layers))
        asked = 0
        assert len(shown("/var/lib/engine", mounts)) == number + 1
        counts.append(asked)
    assert counts[1] < 3 * counts[0]


def test_a_layer_that_may_have_been_another_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("low/in", "merged/in", "real/in", "bs/h", "open/low/in", "one"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "b:s").mkdir()
    place = f"{tmp_path}/merged"

    def unknown(options: str, where: str = place) -> str:
        lines = [f"30 1 0:40 / {where} rw - overlay overlay rw,{options}", "29 1 8:1 / / rw - ext4 x rw"]
        monkeypatch.setattr(mountinfo, "read", lambda: mountinfo.parse(lines))
        return mounted()[0].unknown

    assert unknown(f"lowerdir={tmp_path}/low:{tmp_path}/one") == ""
    # A link of the caller's counts as it leads now, and one that is gone does not.
    assert unknown(f"lowerdir={tmp_path}/link:{tmp_path}/one") == ""
    assert unknown(f"lowerdir={tmp_path}/low:{tmp_path}/gone") == f"{tmp_path}/gone"
    assert unknown(f"lowerdir={tmp_path}/open/low") == f"{tmp_path}/open/low"
    # Nothing has `in`, which the overlay shows.
    assert unknown(f"lowerdir={tmp_path}/one:{tmp_path}/bs") == f"{tmp_path}/one"
    assert unknown(f"lowerdir={place}") == place
    # A colon is escaped in one option, and not in the other, and so is what escapes it, but in names that are not said so.
    assert unknown(f"lowerdir+={tmp_path}/b:s,lowerdir+={tmp_path}/low") == ""
    for option in ("lowerdir", "upperdir", "lowerdir+", "datadir+"):
        said = f"{tmp_path}/bs" + chr(92) + "h"
        assert unknown(f"lowerdir+={tmp_path}/low,{option}={said.replace(chr(92), chr(92) + '134')}") == said
    # The layers of a container's own root lie outside.
    assert unknown("lowerdir=/gone/low,upperdir=/gone/up", "/") == ""
