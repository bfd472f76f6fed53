"""A root that somebody else has made: whatever stands in the place of a mount point, nothing outside of the root is made,
changed or mounted on. The launch is refused, or the mount lies within the root."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import bundles, runs
from tests.support.bundles import Stance
from tests.support.features import require

pytestmark = pytest.mark.system

#: Every kind of mount point of a strict configuration, and one with directories above it.
TARGETS = ("proc", "dev", "sys", "tmp", "data/deep/bind")


def to(target: str) -> Callable[[Path, Path], None]:
    """A link to somewhere."""
    return lambda place, _outside: place.symlink_to(target)


def special(kind: int) -> Callable[[Path, Path], None]:
    """A node of a kind: the device is the memory's."""
    return lambda place, _outside: os.mknod(place, kind | 0o666, os.makedev(1, 1))


LINKS: dict[str, Callable[[Path, Path], None]] = {
    "the root": to("/"),
    "upwards": to("../../../../../../../.."),
    "upwards and elsewhere": lambda place, outside: place.symlink_to(f"../../../../../../../..{outside}"),
    "the host": lambda place, outside: place.symlink_to(outside),
    "nothing": to("nowhere"),
    "itself": lambda place, _outside: place.symlink_to(place.name),
    "a magic link": to("/proc/1/root"),
}
OTHERS: dict[str, Callable[[Path, Path], None]] = {
    "a FIFO": special(stat.S_IFIFO),
    "a device": special(stat.S_IFCHR),
    "a file": lambda place, _outside: place.touch(),
}


@pytest.fixture
def stance() -> Stance:
    return bundles.stance("root")


@pytest.fixture
def folder() -> Iterator[Path]:
    with runs.workplace() as place:
        (place / "outside" / "deep").mkdir(parents=True)
        (place / "outside" / "deep" / "bind").mkdir()
        yield place


def seen(outside: Path) -> list[tuple[str, int]]:
    """What is outside of the root, and when it was changed."""
    return sorted((str(path), path.lstat().st_mtime_ns) for path in (outside, *outside.rglob("*")))


@pytest.mark.parametrize("runtime", runs.RUNTIMES)
@pytest.mark.parametrize("kind", [*LINKS, *OTHERS])
def test_what_stands_in_the_place_of_a_mount_point_leads_nowhere(
    folder: Path, stance: Stance, runtime: str, kind: str
) -> None:
    if runtime == "crun":
        require("cgroup2-mount")
    outside = folder / "outside"
    places = [*TARGETS, "data/deep", "data"] if runtime == "native" else ["proc", "data/deep/bind", "data"]
    document = stance.config("cat", "/proc/self/mountinfo")
    source = folder / "source"
    source.mkdir()
    document["mounts"].append(
        {"destination": "/data/deep/bind", "type": "bind", "source": str(source), "options": ["rbind", "ro"]}
    )
    mounts, before = Path("/proc/self/mountinfo").read_text(), seen(outside)
    for number, place in enumerate(places):
        bundle = bundles.write(folder / f"bundle-{number}", document)
        target = bundle / "rootfs" / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            target.rmdir()
        ({**LINKS, **OTHERS}[kind])(target, outside)
        done = bundles.launch(bundle, runtime)
        assert "Traceback" not in done.stderr
        assert done.returncode in (0, 125), done.stderr
        if done.returncode == 125:
            assert done.stdout == ""
            assert runtime != "native" or "/mounts/" in done.stderr, done.stderr
        assert seen(outside) == before
        assert Path("/proc/self/mountinfo").read_text() == mounts
