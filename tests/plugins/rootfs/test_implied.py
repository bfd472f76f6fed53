"""What volumes amount to for other settings: the rights of a path follow its source."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from hardening.compose.implied import hold
from hardening.errors import HardeningError, ProfileError
from hardening.mechanism.inputs import Input
from hardening_rootfs import Rootfs, beneath, implied, sockets
from hardening_rootfs.paths import above
from hardening_rootfs.settings import RootfsSettings
from hardening_rootfs.tmpfs import Tmpfs
from tests.plugins.rootfs.stacks import composed, context_of, host, spec_of


def held(folder: Path, *texts: str) -> None:
    """Compose layers and hold them against this host; raises `ProfileError`."""
    hold(composed(folder, *texts), host())


def refusal(folder: Path, *texts: str) -> str:
    with pytest.raises(HardeningError) as caught:
        held(folder, *texts)
    return str(caught.value)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with a hidden one, and one that is shown."""
    for name in ("hid/sub", "pub/sub", "pub/private"):
        (tmp_path / "tree" / name).mkdir(parents=True)
    (tmp_path / "tree/hid/key").write_text("secret")
    return tmp_path / "tree"


def volume(source: object, target: str = "/x", options: str = "ro") -> str:
    return f'[rootfs]\nvolumes.add = ["{source}:{target}:{options}"]\n'


@pytest.mark.parametrize("source", ["hid", "hid/sub", "hid/key", "pub/../hid", "pub/link", "pub/link/key", "pub/hard"])
def test_a_source_is_hidden_under_all_its_names(tmp_path: Path, tree: Path, source: str) -> None:
    (tree / "pub/link").symlink_to("../hid")
    os.link(tree / "hid/key", tree / "pub/hard")
    path, profile = tree / "hid", volume(tree / source)
    paths = f'[rootfs]\nhidden_paths.add = ["{path}", "{path}/key"]\n'
    held(tmp_path, profile)
    assert f"limits.rootfs.hidden_paths.{path} is limited to true" not in (text := refusal(tmp_path, paths, profile))
    assert "is true, set at" in text
    assert "is limited to true at" in refusal(tmp_path, paths.replace("[", "[limits.", 1), profile)
    exceptions = "".join(
        f'[[exceptions]]\nsetting = "rootfs.hidden_paths.{name}"\nreason = "x"\n' for name in (path, f"{path}/key")
    )
    held(tmp_path, paths, profile + exceptions)


@pytest.mark.parametrize("withheld", ["/dev/kmsg", "/dev/full"])
def test_a_device_is_withheld_under_all_its_names(
    tmp_path: Path, withheld: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {
        "/dev/kmsg": ("c", 1, 11),
        "/dev/char/1:11": ("c", 1, 11),
        "/dev/full": ("c", 1, 7),
        "/dev/b": ("b", 1, 11),
    }
    monkeypatch.setattr(implied, "numbers", known.get)

    def shows(path: str) -> str:
        return f'[rootfs]\ndevices.add = ["{path}"]\n[[exceptions]]\nsetting = "rootfs.devices.{path}"\nreason = "x"\n'

    drop = f'[rootfs]\ndevices.drop = ["{withheld}"]\n'
    limit = drop.replace("[", "[limits.", 1)
    for other in ("/dev/char/1:11", "/dev/b", "/dev/gone"):
        held(tmp_path, shows(other))
        if known[withheld] != known.get(other):
            held(tmp_path, limit, drop, shows(other))
            continue
        assert f"devices.{withheld} is limited to false" in refusal(tmp_path, limit, shows(other))
        assert f"{other} is the same device (c 1:11)" in refusal(tmp_path, drop, shows(other))
        both = f'[[exceptions]]\nsetting = "rootfs.devices.{withheld}"\nreason = "x"\n'
        held(tmp_path, drop, shows(other) + both)


def test_a_stored_plan_looks_at_which_devices_there_are(tmp_path: Path) -> None:
    shows = (
        '[rootfs]\ndevices.add = ["/dev/zero"]\n[[exceptions]]\nsetting = "rootfs.devices./dev/zero"\nreason = "x"\n'
    )
    composition = composed(tmp_path, '[limits.rootfs]\ndevices.drop = ["/dev/gone"]\n', shows)
    found = set(Rootfs().inputs(composition.settings["rootfs"], context_of(composition)))
    assert {Input(kind, path) for kind in ("name", "inode") for path in ("/dev/zero", "/dev/gone")} <= found


def test_a_limit_on_one_device_forbids_a_volume_where_all_work(tmp_path: Path, tree: Path) -> None:
    profile = volume(tree / "pub", options="ro,dev")
    held(tmp_path, profile)
    limit = '[limits.rootfs]\ndevices.drop = ["/dev/fuse"]\n'
    assert "devices./dev/fuse is limited to false" in refusal(tmp_path, limit, profile)


def test_what_a_source_holds_stays_hidden(tmp_path: Path, tree: Path) -> None:
    profile = f'[rootfs]\nhidden_paths.add = ["{tree}/hid"]\n' + volume(tree).removeprefix("[rootfs]\n")
    held(tmp_path, profile)
    assert "/x/hid" in spec_of(tmp_path, profile).document["linux"]["maskedPaths"]
    # A mount in it is seen, and nothing else of it.
    spec = spec_of(tmp_path, profile + 'tmpfs."/x/hid/sub" = "1M"')
    mounts = {mount["destination"]: mount for mount in spec.document["mounts"]}
    assert "/x/hid" not in spec.document["linux"]["maskedPaths"]
    assert (mounts["/x/hid"]["type"], "ro" in mounts["/x/hid"]["options"]) == ("tmpfs", True)
    order = [mount["destination"] for mount in spec.document["mounts"]]
    assert order.index("/x") < order.index("/x/hid") < order.index("/x/hid/sub")


def test_who_shows_a_hidden_directory_does_not_show_what_is_hidden_in_it(tmp_path: Path, tree: Path) -> None:
    limit = f'[limits.rootfs]\nhidden_paths.add = ["{tree}/hid/sub"]\n'
    exception = f'[[exceptions]]\nsetting = "rootfs.hidden_paths.{tree}/hid"\nreason = "x"\n'
    hides = f'[rootfs]\nhidden_paths.add = ["{tree}/hid"]\n'
    profile = hides + volume(tree / "hid").removeprefix("[rootfs]\n") + exception
    held(tmp_path, limit, profile)
    assert "/x/sub" in spec_of(tmp_path, limit, profile).document["linux"]["maskedPaths"]
    me = host(private=(str(tree),))
    home = spec_of(tmp_path, limit, volume(tree / "hid"), on=me)
    assert "/x/sub" in home.document["linux"]["maskedPaths"]


def test_a_limit_hides_roots_in_a_home_too(tmp_path: Path, tree: Path) -> None:
    me = host(private=(str(tree),))
    root = f'[rootfs]\npath = "{tree}/pub"\n'
    hold(composed(tmp_path, root, on=me), me)
    for path in (tree, tree / "pub"):
        limit = f'[limits.rootfs]\nhidden_paths.add = ["{path}"]\n'
        with pytest.raises(ProfileError, match=f"rootfs.path: {tree}/pub shows what is hidden.* is limited to true"):
            hold(composed(tmp_path, limit, root, on=me), me)


def test_the_innermost_directory_is_the_one_that_needs_an_exception(tmp_path: Path, tree: Path) -> None:
    both = f'[rootfs]\nhidden_paths.add = ["{tree}", "{tree}/hid"]\n'
    exception = f'[[exceptions]]\nsetting = "rootfs.hidden_paths.{tree}/hid"\nreason = "x"\n'
    held(tmp_path, both, volume(tree / "hid/sub") + exception)
    limit = f'[limits.rootfs]\nhidden_paths.add = ["{tree}"]\n'
    assert f"hidden_paths.{tree} is limited" in refusal(tmp_path, limit, both, volume(tree / "hid/sub") + exception)


def test_people_work_in_their_homes(tmp_path: Path, tree: Path) -> None:
    me = host(private=(str(tree),))
    for name in ("pub", ".ssh"):
        (tree / name).mkdir(exist_ok=True)
    hold(composed(tmp_path, volume(tree / "pub"), on=me), me)
    for source in (tree, tree / ".ssh"):
        with pytest.raises(ProfileError, match=r"rootfs\.hidden_paths\.~ is true"):
            hold(composed(tmp_path, volume(source), on=me), me)
    limit = '[limits.rootfs]\nhidden_paths.add = ["~"]\n'
    with pytest.raises(ProfileError, match=r"rootfs\.hidden_paths\.~ is limited to true"):
        hold(composed(tmp_path, limit, volume(tree / "pub"), on=me), me)


@pytest.mark.parametrize("source", ["/proc", "/proc/sys/kernel", "/sys/firmware", "/dev", "/dev/null", "/proc/self/root/etc",
                                    "/dev/fd/0", "/proc/self/cwd"])  # fmt: skip
def test_the_kernel_is_no_source(tmp_path: Path, source: str) -> None:
    with pytest.raises(ProfileError, match="cannot be the source of a volume"):
        spec_of(tmp_path, volume(source))


def test_the_kernel_is_not_seen_through_a_directory_above_it(tmp_path: Path) -> None:
    masked = spec_of(tmp_path, volume("/")).document["linux"]["maskedPaths"]
    assert {"/x/proc", "/x/sys", "/x/dev"} <= set(masked)


def test_shared_memory_of_the_host_is_a_directory(tmp_path: Path) -> None:
    assert spec_of(tmp_path, volume("/dev/shm"))


def test_from_where_volumes_come(tmp_path: Path, tree: Path) -> None:
    (tree / "pub/out").symlink_to("../hid")
    (tree / "alias").symlink_to("pub")
    for name in ("pub", "alias"):
        limit = f'[limits.rootfs]\nvolume_sources = ["{tree}/{name}"]\n'
        held(tmp_path, limit, volume(tree / "pub/sub"))
        held(tmp_path, limit, volume(tree / "alias"))
        for source in ("hid", "pub/../hid", "pub/out", "."):
            assert "rootfs.volume_sources.* is limited to false" in refusal(tmp_path, limit, volume(tree / source))


def test_from_where_none_come(tmp_path: Path, tree: Path) -> None:
    table = (
        f'[limits.rootfs.volume_sources]\n"*" = false\n"{tree}" = true\n"{tree}/pub" = false\n"{tree}/pub/sub" = true\n'
    )
    held(tmp_path, table, volume(tree / "hid"))
    held(tmp_path, table, volume(tree / "pub/sub"))
    assert f"volume_sources.{tree}/pub is limited to false" in refusal(tmp_path, table, volume(tree / "pub/private"))
    held(tmp_path, table, volume(tree))
    assert "/x/pub" in spec_of(tmp_path, table, volume(tree)).document["linux"]["maskedPaths"]
    said = table.replace("[limits.", "[")
    exception = f'[[exceptions]]\nsetting = "rootfs.volume_sources.{tree}/pub/private"\nreason = "x"\n'
    assert f"volume_sources.{tree}/pub is false" in refusal(tmp_path, said, volume(tree / "pub/private"))
    held(tmp_path, said, volume(tree / "pub/private") + exception)


def test_to_where_and_with_which_options(tmp_path: Path, tree: Path) -> None:
    limit = '[limits.rootfs]\nvolume_destinations = ["/data"]\nvolume_options = ["rw"]\n'
    source = tree / "pub"
    held(tmp_path, limit, volume(source, "/data/a", "rw,noexec"))
    assert "volume_destinations.* is limited" in refusal(tmp_path, limit, volume(source, "/srv", "noexec"))
    for word in ("exec", "suid", "dev", "idmap", "slave", "rslave", "shared", "rshared", "z", "Z"):
        options = "noexec," * (word != "exec") + word
        assert "volume_options.* is limited to false" in refusal(tmp_path, limit, volume(source, "/data", options))


def test_sockets_are_known_by_being_sockets(tmp_path: Path, tree: Path) -> None:
    limit = "[limits.rootfs]\nvolume_sockets = false\n"
    held(tmp_path, limit, volume(tree / "pub"))
    with socket.socket(socket.AF_UNIX) as deep, socket.socket(socket.AF_UNIX) as plain:
        deep.bind(str(tree / "pub/sub/x"))
        deep.listen()
        plain.bind(str(tree / "s"))
        for source in ("pub", "pub/sub", "pub/sub/x", "s", "."):
            assert "volume_sockets is limited to false" in refusal(tmp_path, limit, volume(tree / source))
        held(tmp_path, limit, volume(tree / "hid"))


@pytest.mark.parametrize("way", ["relative", "renamed", "linked", "newline", "nobody listens"])
def test_a_socket_is_found_whatever_name_it_was_bound_by(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    limit, place = "[limits.rootfs]\nvolume_sockets = false\n", tree / "pub/sub"
    held(tmp_path, limit, volume(tree / "pub"))
    monkeypatch.chdir(place)
    name = {"relative": "s", "newline": f"{place}/s\ns", "nobody listens": f"{place}/s"}.get(way, f"{tree}/hid/s")
    with socket.socket(socket.AF_UNIX) as service:
        service.bind(name)
        service.listen()
        if way == "renamed":
            (tree / "hid/s").rename(place / "s")
        elif way == "linked":
            os.link(tree / "hid/s", place / "s")
        elif way == "nobody listens":
            service.close()
        assert "volume_sockets is limited to false" in refusal(tmp_path, limit, volume(tree / "pub"))
        hidden = f'[limits.rootfs]\nvolume_sockets = false\nhidden_paths.add = ["{place}"]\n'
        held(tmp_path, hidden, volume(tree / "pub"))


def test_where_sockets_cannot_be_looked_for_there_may_be_one(tree: Path) -> None:
    assert sockets.search(str(tree), most=10) is None
    assert "too many" in str(sockets.search(str(tree), most=3))


def test_a_place_in_memory_with_a_limit_keeps_its_bound(tmp_path: Path, tree: Path) -> None:
    limit = '[limits.rootfs]\ntmpfs = ["/tmp:size=1M"]\n'
    source = tree / "pub"
    for target, options in (("/tmp", "rw"), ("/tmp", "ro"), ("/tmp/x", "rw")):
        assert "rootfs.tmpfs./tmp is limited" in refusal(tmp_path, limit, volume(source, target, options))
    for target, options in (("/tmp/x", "ro"), ("/run/x", "rw"), ("/var/tmp", "rw")):
        held(tmp_path, limit, volume(source, target, options))
    bare = '[rootfs]\ntmpfs."/tmp" = "none"\n' + volume(source, "/tmp").removeprefix("[rootfs]\n")
    assert "rootfs.tmpfs./tmp is limited" in refusal(tmp_path, limit, bare)


def test_shared_memory_with_a_limit_keeps_its_bound(tmp_path: Path, tree: Path) -> None:
    limit, shm = '[limits.rootfs]\nshm_size = "1M"\n', "/dev/shm"
    for target in (shm, f"{shm}/x"):
        assert "rootfs.shm_size is limited to 1M" in refusal(tmp_path, limit, volume(tree / "pub", target, "rw"))
        assert "rootfs.shm_size is limited to 1M" in refusal(tmp_path, limit, f'[rootfs]\ntmpfs."{target}" = "2M"\n')
        held(tmp_path, volume(tree / "pub", target, "rw"))
    held(tmp_path, limit, f'[rootfs]\ntmpfs."{shm}" = "1M"\n')
    held(tmp_path, limit, f'[rootfs]\nshm_size = "512K"\ntmpfs."{shm}/x" = "512K"\n')
    assert "limited to 1M" in refusal(tmp_path, limit, f'[rootfs]\ntmpfs."{shm}/x" = "4K"\n')


def test_memory_below_a_place_in_memory_counts_as_its_own(tmp_path: Path) -> None:
    limit = '[limits.rootfs]\ntmpfs."/tmp" = "1M"\n'
    for more in ('"/tmp/x" = "2M"', '"/tmp/x" = "4K"', '"/tmp" = "512K"\n"/tmp/x" = "512K"\n"/tmp/y" = "4K"',
                 '"/tmp" = "4K"\n"/tmp/x" = "size=4K,exec"'):  # fmt: skip
        assert "rootfs.tmpfs./tmp is limited" in refusal(tmp_path, limit, f"[rootfs.tmpfs]\n{more}\n")
    held(tmp_path, limit, '[rootfs.tmpfs]\n"/tmp" = "512K"\n"/tmp/x" = "256K"\n"/tmp/y" = "256K"\n"/run/x" = "2M"\n')
    held(tmp_path, limit + 'tmpfs."/tmp/x" = "2M"\n', '[rootfs]\ntmpfs."/tmp/x" = "2M"\n')
    above = '[limits.rootfs]\ntmpfs."/srv/x" = "1M"\n'
    assert "rootfs.tmpfs./srv/x is limited" in refusal(tmp_path, above, '[rootfs]\ntmpfs."/srv" = "2M"\n')


def test_options_give_nothing_that_a_limit_withholds_by_another_name(tmp_path: Path, tree: Path) -> None:
    limit = '[limits.rootfs]\ndevices = ["/dev/fuse"]\npropagation = "slave"\n'
    held(tmp_path, limit, volume(tree / "pub", "/x", "ro,rslave"))
    assert "rootfs.devices.* is limited to false" in refusal(tmp_path, limit, volume(tree / "pub", "/x", "ro,dev"))
    for word in ("shared", "rshared"):
        assert "rootfs.propagation is limited to slave" in refusal(tmp_path, limit, volume(tree / "pub", "/x", word))
        held(tmp_path, volume(tree / "pub", "/x", word))


def test_directories_above_a_path() -> None:
    assert above("/a/b/c") == ["/a/b", "/a", "/"]
    assert above("/a") == ["/"]
    assert above("/") == []


@pytest.mark.parametrize("said", ["[limits.rootfs]\n", "[rootfs]\n"])
def test_what_is_hidden_below_a_source_that_can_be_written_is_at_its_top(tmp_path: Path, tree: Path, said: str) -> None:
    deep, top = (f'{said}hidden_paths.add = ["{tree}/{name}"]\n' for name in ("pub/private", "pub"))
    held(tmp_path, deep, volume(tree))
    held(tmp_path, top, volume(tree, options="rw"))
    held(tmp_path, deep, volume(tree / "pub", options="rw"))
    held(tmp_path, top, deep, volume(tree, options="rw"))
    assert "who renames a directory" in refusal(tmp_path, deep, volume(tree, options="rw"))
    exception = f'[[exceptions]]\nsetting = "rootfs.hidden_paths.{tree}/pub/private"\nreason = "x"\n'
    if "limits" in said:
        assert "is limited to true" in refusal(tmp_path, deep, volume(tree, options="rw") + exception)
    else:
        held(tmp_path, deep, volume(tree, options="rw") + exception)


def test_a_link_that_leads_to_what_is_hidden_cannot_be_replaced(tmp_path: Path, tree: Path) -> None:
    (tree / "pub/link").symlink_to("../hid")
    limit = f'[limits.rootfs]\nhidden_paths.add = ["{tree}/pub/link"]\n'
    held(tmp_path, limit, volume(tree / "pub"))
    assert "is limited to true" in refusal(tmp_path, limit, volume(tree / "pub", options="rw"))


def test_from_where_none_come_is_not_to_be_renamed(tmp_path: Path, tree: Path) -> None:
    table = f'[limits.rootfs.volume_sources]\n"*" = false\n"{tree}" = true\n"{tree}/pub/private" = false\n'
    held(tmp_path, table, volume(tree))
    assert "volume_sources" in refusal(tmp_path, table, volume(tree, options="rw"))


def test_a_root_that_can_be_written_holds_nothing_hidden_but_at_its_top(tmp_path: Path, tree: Path) -> None:
    root = f'[rootfs]\npath = "{tree}"\nread_only = false\n[[exceptions]]\nsetting = "rootfs.read_only"\nreason = "x"\n'
    held(tmp_path, f'[limits.rootfs]\nhidden_paths.add = ["{tree}/hid"]\n', root)
    text = refusal(tmp_path, f'[limits.rootfs]\nhidden_paths.add = ["{tree}/hid/sub"]\n', root)
    assert "rootfs.read_only" in text
    assert "is limited to true" in text


def test_an_exception_permits_what_its_own_layer_says(tmp_path: Path, tree: Path) -> None:
    exception = f'[[exceptions]]\nsetting = "rootfs.hidden_paths.{tree}/hid"\nreason = "x"\n'
    own = volume(tree / "hid/sub") + exception
    hides = f'[rootfs]\nhidden_paths.add = ["{tree}/hid"]\n'
    other = '[[exceptions]]\nsetting = "rootfs.volumes./x"\nreason = "x"\n'
    held(tmp_path, hides, own)
    assert f"hidden_paths.{tree}/hid is true" in refusal(tmp_path, hides, own, volume(tree / "hid") + other)
    held(tmp_path, hides, own, volume(tree / "hid") + other + exception)


NESTED = '[rootfs]\nvolumes.add = ["{tree}/pub:/data:rw", "{tree}/pub/sub:/data/sub:ro"]\n'
DROPPED = '[rootfs]\nvolumes.drop = ["/data/sub"]\n'
IN_MEMORY = '[rootfs]\ntmpfs.add = ["/data:size=1M,exec"]\nvolumes.add = ["{tree}/pub:/data:ro"]\n'


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (NESTED, DROPPED, "pub/sub is seen at /data/sub"),
        (IN_MEMORY, '[rootfs]\nvolumes.drop = ["/data"]\n', "the tmpfs at /data is seen at /data"),
        (
            '[rootfs]\nvolumes.add = ["{tree}/pub:/data:rw"]\ntmpfs.add = ["/data/sub:size=1M"]\n',
            '[rootfs]\ntmpfs.drop = ["/data/sub"]\n',
            "pub/sub is seen at /data/sub",
        ),
    ],
)
def test_what_is_left_out_shows_what_it_lay_over(
    tmp_path: Path, tree: Path, before: str, after: str, said: str
) -> None:
    """Nothing there is the strictest, and yet more than a mount that was read-only gives."""
    first, leaf = before.format(tree=tree), "tmpfs" if "tmpfs.drop" in after else "volumes"
    place = after.split('"')[1]
    assert said in refusal(tmp_path, first, after)
    held(tmp_path, first, f'{after}[[exceptions]]\nsetting = "rootfs.{leaf}.{place}"\nreason = "x"\n')
    limit = first.replace("[rootfs]", "[limits.rootfs]").replace(".add", "")
    limits = limit + first
    assert "is limited to" in refusal(
        tmp_path, limits, f'{after}[[exceptions]]\nsetting = "rootfs.{leaf}.{place}"\nreason = "x"\n'
    )


def test_what_is_left_out_of_a_root_that_is_only_read_gives_nothing(tmp_path: Path, tree: Path) -> None:
    held(tmp_path, volume(tree / "pub", "/data"), '[rootfs]\nvolumes.drop = ["/data"]\n')
    held(tmp_path, '[rootfs]\nvolumes.drop = ["/data"]\n')
    held(tmp_path, NESTED.format(tree=tree).replace(":rw", ":ro"), DROPPED)


def test_what_is_mounted_is_looked_up_once_however_many_places_are_left_out(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else thousands of volumes take longer than a plugin has."""
    many = [f"/data/{number}" for number in range(50)]
    said = ", ".join(f'"{tree}/pub:{place}:rw"' for place in many)
    found = composed(
        tmp_path,
        f"[limits.rootfs]\nvolumes = [{said}]\n[rootfs]\nvolumes = [{said}]\nread_only = false\n",
        f"[rootfs]\nvolumes.drop = {many[1:]}\n[[exceptions]]\nsetting = 'rootfs.read_only'\nreason = 'x'\n",
    )
    asked: list[RootfsSettings] = []
    mounted = RootfsSettings.mounted_tmpfs

    def counted(self: RootfsSettings) -> dict[str, Tmpfs]:
        asked.append(self)
        return mounted(self)

    monkeypatch.setattr(RootfsSettings, "mounted_tmpfs", counted)
    left = [item.leaf.member for item in beneath.left_out(found.settings["rootfs"], found.limits("rootfs"))]
    assert (sorted(left), len(asked)) == (sorted(many[1:]), 1)
