"""Why a call failed: which errno of which call means which of the root's settings, and which means none of them."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import attrs
import pytest

from hardening.mechanism.denial import Caller, Cause, Size, SystemCall
from hardening.mechanism.roles import Volume
from hardening_rootfs import remedies
from hardening_rootfs.denied import denied
from hardening_rootfs.shown import Place
from hardening_rootfs.tmpfs import Tmpfs
from tests.plugins.rootfs.stacks import composed, context_of, host

ARGUMENTS = (0, 0, 0, 0, 0, 0)


def asked(
    name: str,
    error: int,
    path: str = "",
    access: Iterable[str] = (),
    *,
    target: str = "",
    address: str = "",
    arguments: tuple[int, ...] = ARGUMENTS,
) -> SystemCall:
    """A call that failed."""
    return SystemCall(name, 0, 0xC000003E, arguments, Caller(1), error=error, path=path, target=target,
                      access=frozenset(access), address=address)  # fmt: skip


@pytest.fixture
def shown(tmp_path: Path) -> Path:
    """A directory of the host with files, whose owner is nobody's inside."""
    (tmp_path / "host").mkdir(mode=0o755)
    for name in ("file", "other"):
        (tmp_path / "host" / name).touch()
        (tmp_path / "host" / name).chmod(0o777)
    (tmp_path / "host" / "closed").touch(mode=0o600)
    (tmp_path / "host/below").mkdir()
    (tmp_path / "host/below/file").touch()
    return tmp_path / "host"


def causes(folder: Path, said: str, call: SystemCall) -> list[Cause]:
    """What a stack of one layer says of a call."""
    composition = composed(folder, f"[rootfs]\n{said}\n")
    return list(denied(composition.settings["rootfs"], context_of(composition), call))


def leaves(found: Iterable[Cause]) -> list[str]:
    return [cause.leaf.removeprefix("rootfs.") for cause in found]


def test_a_place_in_memory_that_is_roots_is_named_to_whom_it_keeps_out(tmp_path: Path) -> None:
    said = 'tmpfs.add = ["/run:mode=755", "/closed:mode=700", "/open"]'
    made = [
        asked("openat", errno.EACCES, path, CREATE) for path in ("/run/pid", "/run/app/pid", "/closed/a/b", "/open/pid")
    ]
    assert [leaves(causes(tmp_path, said, call)) for call in made] == [["tmpfs./run"], [], ["tmpfs./closed"], []]
    (cause,) = causes(tmp_path, said, made[0])
    (way,) = cause.ways
    assert way.value == Tmpfs(mode=0o1777)


END = SystemCall("", 0, 0, ARGUMENTS, Caller(1), text="exit code 1")
READ, WRITE, CREATE, EXECUTE = ({"read"}, {"write"}, {"create"}, {"execute"})

KEPT = 'volumes.add = ["{}:/data"]\nread_only_paths.add = ["/data/below/file"]'
#: what a layer says, with `{}` for a directory of the host, the call, and the leaf that it blames; empty for none
CASES = [
    ("", asked("openat", errno.EROFS, "/usr/share/new", CREATE), "read_only"),
    ("", asked("openat", errno.EROFS, "/usr/bin/env", WRITE), "read_only"),
    ("", asked("openat", errno.EACCES, "/usr/bin/env", READ), ""),
    ("", asked("openat", errno.ENOENT, "/usr/share/nothing-of-this-name", READ), ""),
    ("", asked("openat", errno.ENOENT, "/etc/shadow", READ), "hidden_paths./etc/shadow"),
    ("", asked("openat", errno.ENOENT, "/var/log/nothing-of-this-name", READ), ""),
    ("", asked("openat", errno.EROFS, "/var/log/new", CREATE), "hidden_paths./var/log"),
    ("", asked("newfstatat", errno.ENOENT, "/proc/cpuinfo"), "proc.subset"),
    ("", asked("newfstatat", errno.ENOENT, "/proc/nothing-of-this-name"), ""),
    ('proc.subset = ""', asked("newfstatat", errno.ENOENT, "/proc/nothing-of-this-name"), ""),
    ("", asked("newfstatat", errno.ENOENT, "/sys/kernel"), "sys"),
    ('sys = "read-only"', asked("openat", errno.EROFS, "/sys/kernel/new", CREATE), "sys"),
    ("", asked("newfstatat", errno.ENOENT, "/proc/4194300/stat", READ), ""),
    ("", asked("openat", errno.ENOENT, "/tmp/nothing-of-this-name", READ), ""),
    ("", asked("openat", errno.ENOSPC, "/tmp/x", WRITE), "tmpfs./tmp"),
    ("", asked("write", errno.ENOSPC, "/dev/shm/x", WRITE), "shm_size"),
    ("", attrs.evolve(asked("", 0, "/dev/shm/x", WRITE), signal=signal.SIGBUS), "shm_size"),
    ('volumes.add = ["{}:/data"]', attrs.evolve(END, output="fatal: bad owner of '/data/file'.\n"), "volumes./data"),
    ('volumes.add = ["{}:/data:idmap"]', attrs.evolve(END, output="fatal: bad owner of '/data/file'\n"), ""),
    ('hidden_paths.add = ["/usr/bin/env"]', attrs.evolve(END, output="/usr/bin/env: no text"), "hidden_paths./usr/bin/env"),
    ("", attrs.evolve(END, output="in /usr/bin/env\nBad owner of /usr/bin/stat\n"), "volumes./usr/bin/stat"),
    ('volumes.add = ["{}:/data"]', attrs.evolve(END, output="/data/nothing, and no/data/file\n"), ""),
    ("shm_size = 0", asked("openat", errno.ENOENT, "/dev/shm/x", CREATE), "shm_size"),
    ("", asked("write", errno.ENOSPC, "/usr/x", WRITE), ""),
    ("", asked("execve", errno.EACCES, "/tmp/tool", EXECUTE), "tmpfs./tmp"),
    ("", asked("mmap", errno.EPERM, "/tmp/lib.so", arguments=(0, 1, 5, 2, 3, 0)), "tmpfs./tmp"),
    ("", asked("mmap", errno.EPERM, "/dev/shm/code", arguments=(0, 1, 5, 1, 3, 0)), "shm_size"),
    ("", asked("mmap", errno.EPERM, "/tmp/lib.so", arguments=(0, 1, 1, 2, 3, 0)), ""),
    ('tmpfs.add = ["/tmp:exec"]', asked("execve", errno.EACCES, "/tmp/tool", EXECUTE), ""),
    ('volumes.add = ["{}:/data:ro"]', asked("openat", errno.EROFS, "/data/file", WRITE), "volumes./data"),
    ('volumes.add = ["{}:/data"]', asked("openat", errno.EROFS, "/data/file", WRITE), ""),
    ('volumes.add = ["{}:/data"]', asked("openat", errno.EACCES, "/data/file", WRITE), ""),
    ('volumes.add = ["{}:/data"]', asked("openat", errno.EACCES, "/data/new", CREATE), "volumes./data"),
    ('volumes.add = ["{}:/data"]', asked("openat", errno.EACCES, "/data/closed", READ), "volumes./data"),
    ('volumes.add = ["{}:/data"]', asked("openat", errno.ENOENT, "/data/nothing", READ), ""),
    ('volumes.add = ["{}:/data:idmap"]', asked("openat", errno.EACCES, "/data/closed", READ), ""),
    ('volumes.add = ["{}:/data:noexec"]', asked("execve", errno.EACCES, "/data/file", EXECUTE), "volumes./data"),
    ('volumes.add = ["{}:/data"]', asked("execve", errno.EACCES, "/data/file", EXECUTE), ""),
    ('volumes.add = ["{}/file:/data"]', asked("rename", errno.EBUSY, "/tmp/new", CREATE, target="/data"), "volumes./data"),
    (KEPT, asked("rename", errno.EBUSY, "/data/new", CREATE, target="/data/below/file"), "read_only_paths./data/below/file"),
    (KEPT, asked("rename", errno.EBUSY, "/data/below", target="/data/other"), "read_only_paths./data/below/file"),
    (KEPT, asked("rename", errno.EBUSY, "/data/other", target="/data/file"), ""),
    ('volumes.add = ["{}:/data"]', asked("rename", errno.EXDEV, "/tmp/new", CREATE, target="/data/new"), "volumes./data"),
    ("", asked("rename", errno.EXDEV, "/tmp/new", CREATE, target="/var/tmp/new"), "tmpfs./var/tmp"),
    ("", asked("rename", errno.EXDEV, "/tmp/new", CREATE, target="/tmp/other"), ""),
    ('masked_paths.add = ["/usr/share"]', asked("openat", errno.ENOENT, "/usr/share/doc", READ), "masked_paths./usr/share"),
    ("", asked("mount", errno.EPERM, "/newroot/proc", {"mount"}), ""),
    ('proc.subset = ""', asked("mount", errno.EPERM, "/proc", {"mount"}, arguments=(0, 0, 0, 0x1000, 0, 0)), ""),
    ("", asked("mount", errno.EPERM, "/tmp", {"mount"}, arguments=(0, 0, 0, 0x20, 0, 0)), "tmpfs./tmp"),
    ("", asked("mount", errno.EPERM, "/mnt", {"mount"}, target="tmpfs"), ""),
]  # fmt: skip


@pytest.mark.parametrize(("said", "call", "leaf"), CASES)
def test_an_errno_of_a_call_is_a_settings_doing_or_it_is_not(
    said: str, call: SystemCall, leaf: str, tmp_path: Path, shown: Path
) -> None:
    found = causes(tmp_path, said.replace("{}", str(shown)), call)
    assert leaves(found) == ([leaf] if leaf else [])


def test_a_place_in_memory_that_is_full_is_offered_twice_as_large_first(tmp_path: Path) -> None:
    (cause,) = causes(tmp_path, 'tmpfs.add = ["/tmp:size=64M"]', asked("write", errno.ENOSPC, "/tmp/x", WRITE))
    assert [way.value.size >> 20 for way in cause.ways][:2] == [128, 256]
    (cause,) = causes(tmp_path, 'shm_size = "16M"', asked("write", errno.ENOSPC, "/dev/shm/x", WRITE))
    assert cause.ways[0].value >> 20 == 32


def test_what_the_host_has_in_a_private_place_is_named_with_the_one_file(tmp_path: Path) -> None:
    """A socket, too, by its address."""
    file = tmp_path / "file"
    file.touch()
    assert str(file).startswith("/tmp/"), "pytest's own directory"
    found = causes(tmp_path, "", asked("openat", errno.ENOENT, str(file), READ))
    found += causes(tmp_path, "", asked("connect", errno.ENOENT, address=f"unix {file}"))
    assert leaves(found) == ["tmpfs./tmp"] * 2
    for cause in found:
        assert [way.leaf for way in cause.ways] == [f"rootfs.volumes.{file}"] * len(cause.ways)
        assert all("rw" not in way.value.rights for way in cause.ways)


def test_a_way_gives_what_the_call_wants_and_a_file_before_its_directory(tmp_path: Path, shown: Path) -> None:
    (cause,) = causes(tmp_path, "", asked("openat", errno.ENOENT, str(shown / "file"), WRITE))
    assert all("rw" in way.value.rights for way in cause.ways)
    volume = f'volumes.add = ["{shown}:/data:ro"]'
    (cause,) = causes(tmp_path, volume, asked("openat", errno.EROFS, "/data/file", WRITE))
    assert [way.leaf for way in cause.ways] == ["rootfs.volumes./data/file", *["rootfs.volumes./data"] * 2]
    assert [way.size for way in cause.ways] == sorted(way.size for way in cause.ways)
    (cause,) = causes(tmp_path, volume, asked("openat", errno.EROFS, "/data/new", CREATE))
    assert {way.leaf for way in cause.ways} == {"rootfs.volumes./data"}
    (shown / "project").mkdir()
    (cause,) = causes(tmp_path, volume, asked("openat", errno.EROFS, "/data/project/new", CREATE))
    assert [way.leaf for way in cause.ways][0::2] == ["rootfs.volumes./data/project", "rootfs.volumes./data"]
    (cause,) = causes(tmp_path, "", asked("execve", errno.EACCES, "/tmp/tool", EXECUTE))
    (way,) = cause.ways
    assert way.value == Tmpfs(rights=frozenset({"exec"}))


def test_no_parent_is_offered_that_is_the_systems_own(tmp_path: Path) -> None:
    """Instead it is said where can be written."""
    for path in ("/etc/new", "/usr/new", "/new"):
        (cause,) = causes(tmp_path, "", asked("openat", errno.EROFS, path, CREATE))
        assert not [way for way in cause.ways if isinstance(way.value, Volume)], path
        assert cause.advice == "write to /tmp or /var/tmp instead"
        assert cause.certain


@pytest.mark.parametrize(
    ("uid", "place", "first"),
    [(1000, "", "volumes"), (1001, "", "tmpfs"), (0, "", "tmpfs"), (0, "/srv", "volumes")],
)
@pytest.mark.parametrize("name", ["", "/new"])
def test_what_is_written_to_a_directory_of_the_callers_own_is_to_stay_there(
    uid: int, place: str, first: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A place in memory over one would lose it, however empty it is; the system's are kept as they are."""
    folder = tmp_path / "own"
    folder.mkdir()
    if place:  # for what is none of the system's
        monkeypatch.setattr(remedies, "_OF_ADDED", (str(tmp_path),))
    found = os.stat(folder)
    seen = os.stat_result((*found[:4], 1000 if uid else 0, *found[5:]))
    monkeypatch.setattr(remedies, "os", SimpleNamespace(**{**vars(os), "stat": lambda path: seen}))
    composition, path = composed(tmp_path, "[rootfs]\n", on=host(uid=uid)), f"{folder}{name}"
    where = Place(path, None, "rootfs.path", source=path, top="/")
    context = context_of(composition, host(uid=uid))
    ways = remedies.to_write(composition.settings["rootfs"], context, where, "rootfs.read_only")
    assert next(way.leaf for way in sorted(ways, key=lambda way: way.size)) == f"rootfs.{first}.{folder}"


def test_a_tmp_that_was_taken_away_is_given_back(tmp_path: Path) -> None:
    (cause,) = causes(tmp_path, 'tmpfs = "none"', asked("openat", errno.EROFS, "/tmp/sh-thd.1", CREATE))
    assert cause.ways[0].leaf == "rootfs.tmpfs./tmp"
    assert cause.ways[0].value == Tmpfs()


def test_a_directory_that_is_to_be_made_may_be_one_in_memory(tmp_path: Path) -> None:
    (cause,) = causes(tmp_path, "", asked("mkdir", errno.EROFS, "/var/lib/program", CREATE))
    assert cause.ways[0].leaf == "rootfs.tmpfs./var/lib/program"


@pytest.mark.parametrize(("path", "top"), [("/root/.cache/tool", "/root"), ("/var/log/tool.log", "/var/log")])
def test_what_is_made_at_a_hidden_place_is_first_offered_in_memory(path: str, top: str, tmp_path: Path) -> None:
    (cause,) = causes(tmp_path, "", asked("mkdir", errno.EROFS, path, CREATE))
    assert cause.leaf == f"rootfs.hidden_paths.{top}"
    assert cause.ways[0].leaf == f"rootfs.tmpfs.{top}"
    (cause,) = causes(tmp_path, "", asked("openat", errno.EROFS, path, WRITE))
    assert not [way for way in cause.ways if way.leaf.startswith("rootfs.tmpfs.")], "what is there is no other's"


def test_what_is_made_in_a_directory_that_a_private_place_lacks_needs_that(tmp_path: Path) -> None:
    folder = tmp_path / "lock"
    folder.mkdir()
    (cause,) = causes(tmp_path, "", asked("openat", errno.ENOENT, f"{folder}/tool.lock", CREATE))
    assert (cause.leaf, cause.ways[0].leaf) == ("rootfs.tmpfs./tmp", f"rootfs.tmpfs.{folder}")
    assert not causes(tmp_path, "", asked("openat", errno.ENOENT, f"{folder}/none/tool.lock", CREATE))


def test_a_new_proc_needs_all_at_once_that_is_covered_in_this_one(tmp_path: Path) -> None:
    said = 'proc.subset = ""\nmasked_paths.add = ["/proc/self", "/proc/nothing-of-this-name"]'
    (cause,) = causes(tmp_path, said, asked("mount", errno.EPERM, "/newroot/proc", {"mount"}))
    (way,) = cause.ways
    names = [one.leaf.removeprefix("rootfs.") for one in (way, *way.also)]
    assert {"masked_paths./proc/self", "read_only_paths./proc/sys"} <= set(names)
    assert all(name.split(".", 1)[1].startswith("/proc/") for name in names)
    assert "masked_paths./proc/nothing-of-this-name" not in names
    assert {(one.value, one.size) for one in (way, *way.also)} == {(False, Size.WIDER)}


def test_a_link_of_the_root_leads_where_the_kernel_would_go(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "data").mkdir(parents=True)
    (root / "link").symlink_to("/tmp/in")
    os.symlink("data", root / "short")
    said = f'path = "{root}"'
    assert leaves(causes(tmp_path, said, asked("execve", errno.EACCES, "/link/x", EXECUTE))) == ["tmpfs./tmp"]
    found = causes(tmp_path, said, asked("openat", errno.EROFS, "/short/new", CREATE))
    assert next(way.leaf for cause in found for way in cause.ways) == "rootfs.tmpfs./data"


def test_a_script_is_missing_where_its_interpreter_is_hidden(tmp_path: Path, shown: Path) -> None:
    home = shown / "home"
    (home / "bin").mkdir(parents=True)
    (home / "bin/python").touch()
    (shown / "script").write_text(f"#!{home}/bin/python -E\n")
    said = f'hidden_paths.add = ["{home}"]\nvolumes.add = ["{shown}:{shown}:ro"]'
    call = asked("execve", errno.ENOENT, str(shown / "script"), EXECUTE)
    (cause,) = causes(tmp_path, said, call)
    assert cause.leaf == f"rootfs.hidden_paths.{home}"
    (shown / "script").write_text("#!/nothing/of/this/name\n")
    assert not causes(tmp_path, said, call)
    (shown / "script").write_text("#!\n")
    assert not causes(tmp_path, said, call)


def test_a_set_user_id_file_on_a_mount_without_it_is_named_though_nothing_failed(tmp_path: Path, shown: Path) -> None:
    """The tracer tells it as a call of somebody's; a question, of nobody, is none."""
    (shown / "file").chmod(0o4755)
    call = asked("execve", 0, "/data/file", EXECUTE)
    said = f'volumes.add = ["{shown}:/data:ro,idmap"]'
    (cause,) = causes(tmp_path, said, call)
    assert (cause.leaf, cause.ways[0].value.rights) == ("rootfs.volumes./data", {"exec", "suid"})
    assert not causes(tmp_path, said, attrs.evolve(call, caller=Caller(0)))
    assert not causes(tmp_path, said.replace(":ro", ":ro,suid"), call)
    (shown / "file").chmod(0o755)
    assert not causes(tmp_path, said, call)


def test_what_is_made_in_a_directory_for_what_is_added_needs_that_directory(tmp_path: Path) -> None:
    (cause,) = causes(tmp_path, "", asked("mkdir", errno.EROFS, "/opt/nothing-of-this-name", CREATE))
    (way, *_) = [way for way in cause.ways if way.leaf == "rootfs.volumes./opt"]
    assert (way.size, way.value.source, "rw" in way.value.rights) == (Size.WIDER, "/opt", True)
    (cause,) = causes(tmp_path, "", asked("mkdir", errno.EROFS, "/usr/nothing-of-this-name", CREATE))
    assert [way.leaf for way in cause.ways] == ["rootfs.tmpfs./usr/nothing-of-this-name"]


def test_a_device_that_all_share_is_offered_and_said_to_be_the_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, wants: True)
    own = [Path("/dev/fuse"), Path("/dev/net/tun")]
    for path in filter(Path.exists, (*own, *(path for path in Path("/dev").iterdir() if path.is_block_device()))):
        (cause,) = causes(tmp_path, "", asked("openat", errno.ENOENT, str(path), {"write"}))
        assert cause.leaf == f"rootfs.devices.{path}"
        assert [way.reaches_host for way in cause.ways] == [path not in own]


@pytest.mark.parametrize("mode", [os.R_OK, os.W_OK])
def test_a_device_that_the_caller_may_not_open_is_not_offered(
    mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, wants: wants != mode)
    composition = composed(tmp_path, "[rootfs]\n")
    context = context_of(composition)
    for uid in (0, 1000):
        within = attrs.evolve(context, host=attrs.evolve(context.host, uid=uid))
        for access, wants in (("read", os.R_OK), ("write", os.W_OK)):
            call = asked("openat", errno.ENOENT, "/dev/kmsg", {access})
            (cause,) = denied(composition.settings["rootfs"], within, call)
            assert (cause.regardless, not cause.ways) == ((uid != 0 and wants == mode),) * 2
