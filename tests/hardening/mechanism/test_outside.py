"""Files inside as they are seen from outside: where they lie, whose they are, and what their modes deny."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hardening.mechanism import outside
from hardening.mechanism.denial import EXECUTE, READ, WRITE, Caller, Seen, SystemCall
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import Volume
from hardening.mechanism.schema import Members
from hardening_process.settings import ProcessSettings
from hardening_rootfs.paths import RootPath
from hardening_rootfs.settings import RootfsSettings
from tests.plugins.process.stacks import context, host, strict

OWN = os.geteuid()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("root/etc", "root/data", "root/tmp", "shared/below"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "root/etc/secret").write_text("x")
    (tmp_path / "root/etc/secret").chmod(0o640)
    (tmp_path / "root/etc/link").symlink_to("/etc/secret")
    (tmp_path / "shared/below/file").write_text("x")
    (tmp_path / "shared/out").symlink_to("/etc/passwd")
    return tmp_path


def within(folder: Path, *, idmap: bool = False) -> Context:
    """The root and a volume at `/data`; root launches, and the command has ids from 100000 on where a volume maps them."""
    volumes = {"/data": Volume(str(folder / "shared"), "/data", idmap=idmap)}
    root = strict(RootfsSettings, path=RootPath(str(folder / "root")), volumes=Members(volumes, None))
    found = context(host(0), strict(ProcessSettings), user="private" if idmap else "host")
    return Context(found.host, {**found.composed, RootfsSettings: root})


def test_a_file_lies_in_the_root_or_in_a_volume(folder: Path) -> None:
    for path, place in (("/etc/secret", "root/etc/secret"), ("/data/below/file", "shared/below/file"), ("/", "root/")):
        seen = outside.look(within(folder), path)
        assert seen is not None
        assert (Path(seen.place), seen.uid) == (folder / place, OWN)
    linked = outside.look(within(folder), "/etc/link")
    assert linked is not None
    assert linked.place.endswith("root/etc/secret"), "a link leads inside"


@pytest.mark.parametrize("path", ["/gone", "/proc/1/mem", "/dev/null", "/sys/kernel", "/tmp/file", "/data/out"])
def test_what_cannot_be_told_is_not_told(path: str, folder: Path) -> None:
    assert outside.look(within(folder), path) is None


def test_a_volume_that_maps_owners_shows_them_as_the_kernel_takes_them(folder: Path) -> None:
    seen = outside.look(within(folder, idmap=True), "/data/below/file")
    if OWN == 0:
        assert seen is not None
        assert seen.uid == 100_000


@pytest.mark.parametrize(
    ("caller", "path", "access", "right"),
    [
        (Caller(1, uid=OWN + 1, gid=OWN + 1), "/etc/secret", {"read"}, READ),
        (Caller(1, uid=OWN + 1, gid=os.getegid()), "/etc/secret", {"read"}, None),
        (Caller(1, uid=OWN + 1, gid=os.getegid()), "/etc/secret", {"read", "write"}, WRITE),
        (Caller(1, uid=OWN, gid=OWN), "/etc/secret", {"read", "write"}, None),
        (Caller(1, uid=OWN, gid=OWN), "/etc/secret", {"execute"}, EXECUTE),
        (Caller(1, uid=OWN + 1, gid=OWN + 1), "/etc/new", {"create"}, WRITE),
        (Caller(1, uid=OWN + 1, gid=OWN + 1), "/etc/secret", {"remove"}, WRITE),
        (Caller(1, uid=OWN + 1, gid=OWN + 1), "/etc/secret", {"create", "read"}, READ),
        (Caller(1, uid=OWN, gid=OWN), "/etc/new", {"create", "write"}, None),
        (Caller(1, uid=OWN + 1, gid=OWN + 1), "", {"read"}, None),
    ],
)
def test_the_mode_of_the_first_file_on_the_way_that_denies_it(
    caller: Caller, path: str, access: set[str], right: int | None, folder: Path
) -> None:
    folder.joinpath("root").chmod(0o755)
    folder.joinpath("root/etc").chmod(0o755)
    call = SystemCall("openat", -1, 0, (0,) * 6, caller, 13, path=path, access=frozenset(access))
    found = outside.withheld(within(folder), call)
    assert (found[1] if found else None) == right
    folder.joinpath("root").chmod(0o700)
    if caller.uid != OWN and path:
        found = outside.withheld(within(folder), call)
        assert found is not None
        assert (Path(found[0].place), found[1]) == (folder / "root", EXECUTE)


def test_what_a_call_has_met_goes_before_what_is_there_now(folder: Path) -> None:
    """A file of a place in memory, which is gone when somebody asks."""
    way = tuple(Seen(place, 0, 0, mode) for place, mode in (("/", 0o40755), ("/tmp", 0o41777), ("/tmp/f", 0o100600)))
    call = SystemCall(
        "openat", -1, 0, (0,) * 6, Caller(1, uid=7), 13, path="/tmp/f", way=way, access=frozenset({"read"})
    )
    assert outside.withheld(within(folder), call) == (way[-1], READ)
    assert outside.found(within(folder), call, "/tmp") == way[1]
    assert outside.found(within(folder), call, "/etc/secret") == outside.look(within(folder), "/etc/secret")


def test_who_the_command_is_is_counted_as_the_host_does(folder: Path) -> None:
    shared, own = within(folder), within(folder, idmap=True)
    assert [outside.command(one).uid for one in (shared, own)] == [0, 100_000]
    assert outside.is_own_root(own, outside.command(own))
    assert not outside.is_own_root(own, Caller(1, uid=100_033)), "it has become another user"
    assert not outside.is_own_root(shared, outside.command(shared))
