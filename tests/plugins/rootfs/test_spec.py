"""What the mechanism contributes to the OCI spec."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import attrs
import pytest

from hardening.assemble.spec import assemble
from hardening.compose.implied import hold
from hardening.errors import ProfileError, SpecError
from hardening.mechanism.fragment import Directory, Fragment
from hardening.mechanism.inputs import Input
from hardening_rootfs import Rootfs
from hardening_rootfs.settings import MASKED, READ_ONLY
from tests.plugins.rootfs.stacks import composed, context_of, host, mounts_of, spec_of, tightened
from tests.support.features import require


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A root with all the usual mount points."""
    root = tmp_path / "image"
    for name in ("bin", "dev", "proc", "sys", "run", "tmp", "var/tmp", "srv/data"):
        (root / name).mkdir(parents=True)
    return root


def test_the_hosts_root_is_a_skeleton(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "[rootfs]")
    assert spec.document["root"] == {"path": "rootfs", "readonly": True}
    assert spec.files["rootfs"] == Directory()
    usr = mounts_of(spec)["/usr"]
    assert (usr["type"], usr["source"]) == ("bind", "/usr")
    assert {"rbind", "rro", "rnosuid", "rnodev", "rprivate"} == set(usr["options"])
    for path in ("/home", "/root", "/boot", "/mnt", "/media"):
        assert path not in mounts_of(spec)
    assert not any(mount["source"] == "/" for mount in spec.document["mounts"])


def test_volatile_parts_of_the_host_are_ours(tmp_path: Path) -> None:
    mounts = mounts_of(spec_of(tmp_path, '[rootfs]\nsys = "read-only"'))
    kinds = {place: mounts[place]["type"] for place in ("/proc", "/sys", "/dev", "/run", "/tmp")}
    assert kinds == {"/proc": "proc", "/sys": "sysfs", "/dev": "tmpfs", "/run": "tmpfs", "/tmp": "tmpfs"}


def test_secrets_of_the_host_are_masked(tmp_path: Path) -> None:
    masked = spec_of(tmp_path, "[rootfs]").document["linux"]["maskedPaths"]
    assert "/etc/shadow" in masked
    assert "/root" not in masked
    shown = spec_of(tmp_path, '[rootfs]\nhidden_paths.drop = ["/etc/shadow", "/home"]')
    assert "/etc/shadow" not in shown.document["linux"]["maskedPaths"]
    assert mounts_of(shown)["/home"]["source"] == "/home"


def test_the_callers_directories_are_hidden(tmp_path: Path) -> None:
    home = tmp_path / "people/ann"
    home.mkdir(parents=True)
    spec = spec_of(tmp_path, "[rootfs]\ntmpfs = 'none'", on=host(private=("/usr/share",)))
    assert "/usr/share" in spec.document["linux"]["maskedPaths"]


@pytest.mark.parametrize("path", ["/sys", "/sys/kernel", "/dev/pts"])
def test_what_the_kernel_shows_of_itself_is_no_root(tmp_path: Path, path: str) -> None:
    (tmp_path / "link").symlink_to(path)
    for name in (path, f"{tmp_path}/link"):
        with pytest.raises(ProfileError, match="which is not a root"):
            spec_of(tmp_path, f'[rootfs]\npath = "{name}"')
        with pytest.raises(SpecError, match="is not a root"):
            tightened(tmp_path, {"root": {"path": name}}, "[rootfs]")


@pytest.mark.parametrize("setting", ["masked_paths", "read_only_paths"])
def test_patterns_reach_into_volumes(tmp_path: Path, image: Path, setting: str) -> None:
    for name in ("data/sub/key", "data/other/key", "data/sub/note"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (image / "srv/data/root").touch()
    given = ", ".join(
        f'"{path}"' for path in ("/srv/d*/*/key", "/srv/data/r*", "/srv/k*", "/srv/data/*/none", "/run/[x]*")
    )
    volumes = f'"{tmp_path}/data:/srv/data:ro", "{tmp_path}/data/sub/key:/srv/key:ro"'
    text = f'[rootfs]\npath = "image"\nvolumes = [{volumes}]\n{setting} = [{given}]'
    composition = composed(tmp_path, text)
    key = {"masked_paths": "maskedPaths", "read_only_paths": "readonlyPaths"}[setting]
    expected = {"/srv/data/sub/key", "/srv/data/other/key", "/srv/key", "/srv/data/root"}
    assert expected == set(spec_of(tmp_path, text).document["linux"][key])
    found = set(Rootfs().inputs(composition.settings["rootfs"], context_of(composition)))
    assert {Input("entries", f"{tmp_path}/data"), Input("name", f"{tmp_path}/data/sub/key")} <= found


@pytest.mark.parametrize("uid", [0, 1000])
@pytest.mark.parametrize("setting", ["masked_paths", "read_only_paths"])
def test_a_link_that_the_command_could_replace_holds_nothing(tmp_path: Path, setting: str, uid: int) -> None:
    for name in ("work/.git/hooks", "work/other"):
        (tmp_path / name).mkdir(parents=True)
    rows = {
        ".git/hooks": ("work/.git/hooks", "../other"),
        ".git": ("work/.git", "other"),
        ".none": ("work/.none", "gone"),
    }

    def text(options: str, *paths: str) -> str:
        said = ", ".join(f'"/data/{path}"' for path in paths)
        return f'[rootfs]\nvolumes = ["{tmp_path}/work:/data:{options}"]\n{setting} = [{said}]'

    for link, (place, leads) in rows.items():
        path = {".git": ".git/hooks"}.get(link, link)
        if (tmp_path / place).exists():
            assert spec_of(tmp_path, text("rw", path), on=host(uid=uid))
            (tmp_path / place).rename(tmp_path / "kept")
        (tmp_path / place).symlink_to(leads)
        with pytest.raises(
            ProfileError, match=f"/data/{path} cannot be held: /data/{link} is a symbolic link"
        ) as found:
            spec_of(tmp_path, text("rw", path), on=host(uid=uid))
        assert found.value.origin is not None
        # Nobody replaces it on a read-only mount.
        assert spec_of(tmp_path, text("ro", path), on=host(uid=uid))
        if (tmp_path / "kept").exists():
            (tmp_path / place).unlink()
            (tmp_path / "kept").rename(tmp_path / place)
    (tmp_path / "work/.git/hooks/link").symlink_to("/etc")
    assert spec_of(tmp_path, text("rw", ".git/hooks", ".git/hooks/link"), on=host(uid=uid))


def test_a_volume_in_a_hidden_directory_is_seen(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, '[rootfs]\nvolumes = ["/usr:/home/ann/usr:ro", "/usr:/var/log/usr:ro"]')
    assert spec.files["rootfs/home/ann/usr"] == Directory()
    assert spec.files["rootfs/var/log/usr"] == Directory()
    assert not {"/home", "/var/log"} & set(spec.document["linux"]["maskedPaths"])
    assert not {"/var/log", "/var", "/home"} & set(mounts_of(spec))


def test_a_volume_over_a_directory_leaves_its_secrets_masked(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, '[rootfs]\nvolumes = ["/etc:/etc:ro"]')
    assert "/etc/shadow" in spec.document["linux"]["maskedPaths"]


def test_nothing_of_a_root_of_ones_own_has_working_devices(tmp_path: Path, image: Path) -> None:
    (image / "marker").write_text("x")
    spec = spec_of(tmp_path, '[rootfs]\npath = "image"')
    assert spec.document["root"] == {"path": "rootfs", "readonly": True}
    shown = {place: mount for place, mount in mounts_of(spec).items() if mount["source"].startswith(f"{image}/")}
    assert set(shown) == {"/marker", "/srv", "/var"}  # what is empty needs no mount
    assert all({"rbind", "rro", "rnodev", "rnosuid"} <= set(mount["options"]) for mount in shown.values())
    assert "/etc/shadow" not in spec.document["linux"]["maskedPaths"]


def test_a_writable_root_is_used_as_it_is_so_that_files_can_be_made_at_its_top(tmp_path: Path, image: Path) -> None:
    spec = spec_of(tmp_path, '[rootfs]\npath = "image"\nread_only = false')
    assert spec.document["root"] == {"path": str(image), "readonly": False}
    assert not spec.files


@pytest.mark.parametrize("limit", ["devices = []", 'devices.drop = ["/dev/fuse"]', "shm_size = 0"])
@pytest.mark.parametrize("runtime", ["native", "crun", "runc", None])
def test_no_device_node_of_a_writable_root_works_where_a_limit_withholds_devices(
    tmp_path: Path, image: Path, limit: str, runtime: str | None
) -> None:
    composition = composed(tmp_path, f"[limits.rootfs]\n{limit}\n", '[rootfs]\npath = "image"\nread_only = false')
    context = attrs.evolve(context_of(composition), runtime=runtime, limit=composition.limit)
    fragment = Fragment("rootfs")
    Rootfs().contribute(composition.settings["rootfs"], context, fragment)
    spec = assemble([fragment])
    if runtime == "native" or "devices" not in limit:
        assert spec.document["root"]["path"] == str(image)
    else:
        assert spec.document["root"] == {"path": "rootfs", "readonly": False}
        assert {"rnodev"} <= set(mounts_of(spec)["/srv"]["options"])
        assert not {"ro", "rro"} & set(mounts_of(spec)["/srv"]["options"])


def test_a_root_that_lacks_mount_points_gets_a_skeleton(tmp_path: Path, image: Path) -> None:
    (image / "run").rmdir()
    (image / "srv/data/file").write_text("x")
    spec = spec_of(tmp_path, '[rootfs]\npath = "image"\nvolumes = ["/usr:/srv/more:ro"]')
    assert spec.document["root"]["path"] == "rootfs"
    assert mounts_of(spec)["/srv/data"]["source"] == str(image / "srv/data")
    assert "rro" in mounts_of(spec)["/srv/data"]["options"]
    assert {"rootfs/run", "rootfs/srv/more"} <= set(spec.files)
    writable = spec_of(tmp_path, '[rootfs]\npath = "image"\nread_only = false')
    assert "rro" not in mounts_of(writable)["/bin"]["options"]
    assert writable.document["root"]["readonly"] is False


def test_a_volume_is_said_of_the_place_where_it_lies(tmp_path: Path, image: Path) -> None:
    """By another name it would pass by a limit, or another layer's word, on that place."""
    (image / "var/run").symlink_to("/run")
    with pytest.raises(ProfileError, match=r"/var/run/usr is /run/usr in the root") as raised:
        spec_of(tmp_path, '[rootfs]\npath = "image"\nvolumes = ["/usr:/var/run/usr:ro"]')
    assert raised.value.hint == "name its target: /run/usr"
    spec = spec_of(tmp_path, '[rootfs]\npath = "image"\nvolumes = ["/usr:/run/usr:ro"]')
    assert mounts_of(spec)["/run/usr"]["source"] == "/usr"


def test_a_place_in_memory_is_said_of_the_place_where_it_lies(tmp_path: Path, image: Path) -> None:
    (image / "var/run").symlink_to("/run")
    with pytest.raises(ProfileError, match=r"rootfs.tmpfs./var/run/x: /var/run/x is /run/x in the root"):
        spec_of(tmp_path, '[rootfs]\npath = "image"\ntmpfs.add = ["/var/run/x"]')


def test_the_usual_places_in_memory_lie_where_links_of_the_root_lead(tmp_path: Path, image: Path) -> None:
    _linked(image)
    places = mounts_of(spec_of(tmp_path, '[rootfs]\npath = "image"'))
    assert {places[place]["type"] for place in ("/var/run", "/srv/data")} == {"tmpfs"}
    assert not {"/run", "/tmp"} & set(places)


@pytest.mark.parametrize(
    ("limit", "name"), [('"/srv/data" = "1M"', "/tmp"), ('"/srv" = "1M"', "/tmp"), ('"/var/run" = "1M"', "/run")]
)
def test_the_usual_places_are_held_against_limits_on_where_they_lie(
    tmp_path: Path, image: Path, limit: str, name: str
) -> None:
    _linked(image)
    with pytest.raises(ProfileError, match=rf"rootfs.tmpfs.{name}: it is .* in the root: rootfs.tmpfs.* is limited"):
        hold(composed(tmp_path, f'[rootfs]\npath = "image"\n[limits.rootfs.tmpfs]\n{limit}'), host())


def _linked(image: Path) -> None:
    for name, target in {"run": "var/run", "tmp": "/srv/data"}.items():
        (image / name).rmdir()
        (image / name).symlink_to(target)
    (image / "var/run").mkdir()


def test_a_link_in_a_volume_leads_no_mount_elsewhere(tmp_path: Path, image: Path) -> None:
    """It would pass by what a limit says of the place to which the link leads."""
    (tmp_path / "data/real").mkdir(parents=True)
    (tmp_path / "data/link").symlink_to("real")
    profile = f'[rootfs]\npath = "{image}"\nvolumes = ["./data:/srv/data"]\ntmpfs.add = ["/srv/data/{{}}"]'
    assert mounts_of(spec_of(tmp_path, profile.format("real")))["/srv/data/real"]["type"] == "tmpfs"
    with pytest.raises(ProfileError, match="/srv/data/link cannot be mounted: a link in"):
        spec_of(tmp_path, profile.format("link"))


def test_two_names_of_one_place_are_an_error(tmp_path: Path, image: Path) -> None:
    (image / "tmp").rmdir()
    (image / "tmp").symlink_to("/srv/data")
    with pytest.raises(ProfileError, match="are one place in the root, /srv/data") as raised:
        spec_of(tmp_path, '[rootfs]\npath = "image"\nvolumes = ["/etc:/srv/data:ro"]')
    assert "layer0.toml:" in str(raised.value.origin)


def test_a_volume_takes_the_place_of_a_tmpfs(tmp_path: Path, image: Path) -> None:
    mounts = mounts_of(spec_of(tmp_path, f'[rootfs]\npath = "{image}"\nvolumes = ["/usr:/tmp:ro", "/etc:/dev/shm:ro"]'))
    assert (mounts["/tmp"]["source"], mounts["/dev/shm"]["source"]) == ("/usr", "/etc")


def test_nothing_is_made_in_a_volume(tmp_path: Path, image: Path) -> None:
    (tmp_path / "data").mkdir()
    profile = f'[rootfs]\npath = "{image}"\nvolumes = ["./data:/srv/data", "/usr:/srv/data/usr:ro"]'
    with pytest.raises(ProfileError, match="/srv/data/usr cannot be mounted") as raised:
        spec_of(tmp_path, profile)
    assert raised.value.hint
    (tmp_path / "data/usr").mkdir()
    assert "/srv/data/usr" in mounts_of(spec_of(tmp_path, profile))


def test_an_id_mapped_volume_has_the_maps_of_the_container(tmp_path: Path, image: Path) -> None:
    profile = f"""
        [namespaces]
        uid_map = ["0:100000:65536"]
        gid_map = ["0:200000:65536"]
        [rootfs]
        path = "{image}"
        volumes = ["/usr:/srv/data:idmap"]
    """
    mount = mounts_of(spec_of(tmp_path, profile))["/srv/data"]
    assert "ridmap" in mount["options"]
    assert mount["uidMappings"] == [{"containerID": 0, "hostID": 100000, "size": 65536}]
    assert mount["gidMappings"] == [{"containerID": 0, "hostID": 200000, "size": 65536}]


def test_proc_has_its_options(tmp_path: Path) -> None:
    strict = mounts_of(spec_of(tmp_path, "[rootfs]"))["/proc"]["options"]
    assert {"nosuid", "nodev", "noexec", "hidepid=invisible", "subset=pid"} == set(strict)
    loose = mounts_of(spec_of(tmp_path, '[rootfs.proc]\nhidepid = "off"\nsubset = ""'))["/proc"]["options"]
    assert {"nosuid", "nodev", "noexec"} == set(loose)
    old = mounts_of(spec_of(tmp_path, "[rootfs]", on=host(kernel=(5, 4))))["/proc"]["options"]
    assert {"nosuid", "nodev", "noexec"} == set(old)


def test_what_a_user_namespace_cannot_mount_is_bound(tmp_path: Path) -> None:
    shared = '[namespaces]\nnet = "host"\npid = "host"\nipc = "host"\ncgroup = "host"\n[rootfs]\nsys = "read-only"\n'
    spec = spec_of(tmp_path, shared)
    mounts = mounts_of(spec)
    assert mounts["/proc"]["type"] == "bind"
    assert (mounts["/sys"]["type"], "rro" in mounts["/sys"]["options"]) == ("bind", True)
    assert mounts["/sys/fs/cgroup"]["type"] == "tmpfs"
    assert "/dev/mqueue" not in mounts
    assert "/sys/kernel/debug" in spec.document["linux"]["maskedPaths"]


def test_cgroup_trees_of_version_1_are_not_shown(tmp_path: Path) -> None:
    profile = '[rootfs]\nsys = "read-only"'
    assert mounts_of(spec_of(tmp_path, profile))["/sys/fs/cgroup"]["type"] == "cgroup"
    empty = mounts_of(spec_of(tmp_path, profile, on=host(unified=False)))["/sys/fs/cgroup"]
    assert (empty["type"], "ro" in empty["options"]) == ("tmpfs", True)


def test_dev_is_small_and_read_only(tmp_path: Path) -> None:
    mounts = mounts_of(spec_of(tmp_path, '[rootfs]\nshm_size = "1M"\ndevices = ["/dev/null"]'))
    assert {"ro", "nosuid", "noexec", "size=64k"} <= set(mounts["/dev"]["options"])
    assert "size=1048576" in mounts["/dev/shm"]["options"]
    assert mounts["/dev/null"]["options"] == ["bind", "ro", "nosuid", "noexec", "private"]
    assert "/dev/shm" not in mounts_of(spec_of(tmp_path, "[rootfs]\nshm_size = 0"))


def test_masked_and_read_only_paths(tmp_path: Path) -> None:
    linux = spec_of(tmp_path, "[rootfs]").document["linux"]
    assert {path for path in MASKED if "*" not in path} <= set(linux["maskedPaths"])
    assert not any("*" in path for path in linux["maskedPaths"])
    assert set(READ_ONLY) == set(linux["readonlyPaths"])
    edited = '[rootfs]\nmasked_paths.add = ["/etc/hostname"]\nmasked_paths.drop = ["/proc/acpi"]\nread_only_paths = []'
    linux = spec_of(tmp_path, edited).document["linux"]
    assert "/etc/hostname" in linux["maskedPaths"]
    assert "/proc/acpi" not in linux["maskedPaths"]
    assert linux["readonlyPaths"] == []


def test_patterns_are_looked_up_in_the_root(tmp_path: Path, image: Path) -> None:
    for name in ("a1", "a2"):
        (image / "srv" / name).mkdir()
    spec = spec_of(tmp_path, '[rootfs]\npath = "image"\nmasked_paths = ["/srv/a*"]')
    assert spec.document["linux"]["maskedPaths"] == ["/srv/a1", "/srv/a2"]


def test_propagation_has_the_word_of_the_spec(tmp_path: Path) -> None:
    assert spec_of(tmp_path, "[rootfs]").document["linux"]["rootfsPropagation"] == "private"


def test_a_skeleton_has_the_propagation_of_the_root(tmp_path: Path) -> None:
    mounts = mounts_of(spec_of(tmp_path, '[rootfs]\npropagation = "slave"'))
    assert "rslave" in mounts["/usr"]["options"]
    assert "rprivate" in mounts["/tmp"]["options"]


def test_an_old_kernel_gets_what_it_can_enforce(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, '[rootfs]\nvolumes = ["/usr:/srv/x:ro"]', on=host(kernel=(5, 10)))
    mounts = mounts_of(spec)
    for place in ("/usr", "/srv/x"):
        assert {"ro", "nosuid", "nodev"} <= set(mounts[place]["options"])
        assert "rro" not in mounts[place]["options"]


def test_every_value_names_the_leaves_behind_it(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, '[rootfs]\nvolumes = ["/usr:/srv/x:ro"]')
    index = [mount["destination"] for mount in spec.document["mounts"]].index("/srv/x")
    assert spec.leaves[f"/mounts/{index}"] == ("rootfs.volumes./srv/x",)
    assert spec.leaves["/root/readonly"] == ("rootfs.read_only",)


def test_the_source_is_where_the_caller_sees_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    mount = mounts_of(spec_of(tmp_path, '[rootfs]\nvolumes = ["data:/srv/x"]'))["/srv/x"]
    assert mount["source"] == os.path.join(tmp_path, "data")


SECRETS = """
[rootfs]
path = "image"
[rootfs.hidden_paths]
add = ["%s/keys", "%s/top"]
"""


def test_a_root_of_ones_own_hides_what_it_holds_of_the_host(tmp_path: Path, image: Path) -> None:
    (image / "srv/keys").mkdir()
    (image / "top").mkdir()
    profile = SECRETS % (image / "srv", image)
    linux = spec_of(tmp_path, profile).document["linux"]
    assert "/srv/keys" in linux["maskedPaths"]
    spec = spec_of(tmp_path, profile)
    assert "/top" not in mounts_of(spec)
    assert spec.files["rootfs/top"] == Directory()


def test_a_root_hides_what_is_mounted_in_it(tmp_path: Path, image: Path) -> None:
    require("root")
    (tmp_path / "store/keys").mkdir(parents=True)
    subprocess.run(["mount", "--bind", tmp_path / "store", image / "srv"], check=True)
    try:
        linux = spec_of(tmp_path, SECRETS % (tmp_path / "store", tmp_path)).document["linux"]
    finally:
        subprocess.run(["umount", image / "srv"], check=True)
    assert "/srv/keys" in linux["maskedPaths"]


def test_a_hidden_directory_is_no_root(tmp_path: Path, image: Path) -> None:
    hide = f'hidden_paths.add = ["{image}"]'
    for path in ("image", "image/srv"):
        with pytest.raises(ProfileError, match=f"is hidden: rootfs.hidden_paths names {image}"):
            spec_of(tmp_path, f'[rootfs]\npath = "{path}"\n{hide}')
    mine = host(private=(str(image),))
    for profile in ('[rootfs]\npath = "image/srv"', f'[rootfs]\npath = "image/srv"\n{hide}'):
        assert spec_of(tmp_path, profile, on=mine).document["root"]["path"] == "rootfs"
    with pytest.raises(ProfileError, match="is hidden"):
        spec_of(tmp_path, '[rootfs]\npath = "image"', on=mine)
