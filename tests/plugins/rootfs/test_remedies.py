"""What would have a path seen, written to or executed: the smallest way first, and none that is of no use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from hardening.mechanism.denial import Way
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import Volume
from hardening_rootfs import remedies
from hardening_rootfs.settings import RootfsSettings
from hardening_rootfs.shown import place_of
from tests.plugins.rootfs.stacks import composed, context_of, host


def stack(folder: Path, said: str = "", **on: object) -> tuple[RootfsSettings, Context]:
    there = host(**on)  # type: ignore[arg-type]
    composition = composed(folder, f"[rootfs]\n{said}\n", on=there)
    settings = composition.settings["rootfs"]
    assert isinstance(settings, RootfsSettings)
    return settings, context_of(composition, there)


def leaves(ways: Sequence[Way]) -> list[str]:
    return [way.leaf.removeprefix("rootfs.") for way in ways]


@pytest.mark.parametrize(
    ("path", "ways"),
    [
        ("/usr/bin/env", ["volumes./usr/bin/env"]),
        ("/usr/bin/new", []),  # a directory of the system
        ("/proc/sys/kernel/hostname", []),
        ("/nowhere/new", ["tmpfs./nowhere"]),
    ],
)
def test_a_path_that_is_read_only_is_written_to_by_itself(path: str, ways: list[str], tmp_path: Path) -> None:
    settings, context = stack(tmp_path)
    place = place_of(settings, context, path)
    assert leaves(remedies.to_write(settings, context, place, "rootfs.read_only"))[:1] == ways[:1]


def test_a_volume_is_written_to_as_a_file_of_it_or_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings, context = stack(tmp_path, f'volumes.add = ["{tmp_path}:/data:ro"]')
    place = place_of(settings, context, "/data/file")
    found = remedies.to_write(settings, context, place, "rootfs.volumes./data")
    assert leaves(found)[0] == "volumes./data/file"
    assert leaves(found)[-1] == "volumes./data"
    assert all("rw" in way.value.rights for way in found)


def test_a_right_is_given_to_one_file_before_its_volume(tmp_path: Path) -> None:
    settings, context = stack(tmp_path, f'volumes.add = ["{tmp_path}:/data:noexec"]')
    found = remedies.with_right(settings, place_of(settings, context, "/data/tool"), "exec")
    assert leaves(found) == ["volumes./data/tool", "volumes./data"]
    own, whole = (way.value for way in found)
    assert (own.source, own.target, whole.source) == (f"{tmp_path}/tool", "/data/tool", str(tmp_path))
    memory = remedies.with_right(settings, place_of(settings, context, "/tmp/tool"), "exec")
    assert leaves(memory) == ["tmpfs./tmp"]


@pytest.mark.parametrize("path", ["/", "/proc/self", "/nothing/of/this/name"])
def test_no_volume_shows_the_kernel_the_root_or_nothing(path: str, tmp_path: Path) -> None:
    assert remedies.volume_here(*stack(tmp_path), path) == ()


def test_a_volume_of_a_socket_reaches_who_listens(tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{tmp_path}/s")
        (tmp_path / "file").touch()
        found = {
            name: remedies.volume_here(*stack(tmp_path), f"{tmp_path}/{name}")[0].reaches_host for name in ("s", "file")
        }
    assert found == {"s": True, "file": False}


def test_a_home_is_made_anew_in_memory(tmp_path: Path) -> None:
    home = str(tmp_path)
    stacked = stack(tmp_path, f'hidden_paths.add = ["{home}"]', private=(home,))
    assert leaves(remedies.begun(*stacked, f"{home}/.cache/x")) == [f"tmpfs.{home}"]


def test_a_file_is_shown_as_its_owners_where_nobody_inside_is_that(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    plain = stack(tmp_path, f'volumes.add = ["{tmp_path}:/data"]')
    (way,) = remedies.owned(*plain, "/data/file")
    assert isinstance(way.value, Volume)
    assert way.value.idmap
    assert remedies.owned(*stack(tmp_path, f'volumes.add = ["{tmp_path}:/data:idmap"]'), "/data/file") == ()
