"""Hostile layers stay inside the root; whiteouts, duplicates, owners and limits do what they say."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardening.errors import ImageError
from hardening.images import media
from hardening.images.ids import Ids
from hardening.images.store import ImageStore
from hardening.images.unpacking import child, unpack
from hardening.images.unpacking.tree import MAX_DEPTH, MAX_NOTED, Limits
from tests.support.features import require
from tests.support.images import archive, entry, folder, layout, link, opened, packed
from tests.support.sample import examples

OWN = Ids(owner=(os.geteuid(), os.getegid()))
MAPPED = Ids(((0, 100_000, 65_536),), ((0, 200_000, 65_536),))

Entries = list[tuple[tarfile.TarInfo, bytes]]


@pytest.fixture
def as_root() -> None:
    """Only root gives files to others."""
    require("root")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a file beside the root, which nothing may touch."""
    (tmp_path / "root").mkdir(mode=0o755)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    return tmp_path


def fill(
    place: Path, *layers: Entries, ids: Ids = OWN, limits: Limits | None = None, keep_ids: bool = False, how: str = "plain"
) -> dict[str, Any]:  # fmt: skip
    """Unpack layers into the root."""
    found = []
    for number, entries in enumerate(layers):
        plain = archive(entries)
        path = place / f"layer-{number}"
        path.write_bytes(packed(plain, how)[0])
        found.append(unpack.ImageLayer(path, f"layer-{number}", media.digest_of(plain)))
    return unpack.unpack(
        found, place / "root", ids, limits or Limits(), keep_ids=keep_ids, tell=lambda size: None
    )  # fmt: skip


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def untouched(place: Path) -> bool:
    return names(place / "outside") == ["secret"] and (place / "outside/secret").read_text() == "secret"


@pytest.mark.parametrize("how", ["plain", "gzip", "zstd"])
def test_a_plain_image_is_unpacked(place: Path, how: str) -> None:
    lower = [folder("etc", 0o750), entry("etc/a", b"one", mode=0o640), link("lib", "usr/lib"), folder("usr/lib")]
    upper = [entry("lib/b", b"two"), link("etc/c", "etc/a", hard=True), entry("new/deep/d", b"")]
    told = fill(place, lower, upper, how=how)
    root = place / "root"
    assert names(root) == [
        *("etc", "etc/a", "etc/c", "lib", "new", "new/deep", "new/deep/d", "usr", "usr/lib", "usr/lib/b")
    ]
    assert (root / "usr/lib/b").read_text() == "two"
    assert (root / "etc/a").stat().st_ino == (root / "etc/c").stat().st_ino
    assert stat.S_IMODE((root / "etc").stat().st_mode) == 0o750
    assert stat.S_IMODE((root / "etc/a").stat().st_mode) == 0o640
    assert (root / "etc").stat().st_mtime == (root / "etc/a").stat().st_mtime == 1_000_000_000
    assert (told["skipped"], told["entries"], told["bytes"]) == ([], 7, 6)


HOSTILE: dict[str, tuple[Entries, str | None]] = {
    "dotdot": ([entry("../outside/new", b"x")], "`..` in it"),
    "dotdot-inside": ([folder("a"), entry("a/../../outside/new", b"x")], "`..` in it"),
    "absolute": ([entry("/etc/new", b"x")], None),
    "link-out-absolute": ([link("out", "@outside"), entry("out/secret", b"mine")], "not a directory"),
    "link-out-relative": ([link("out", "../outside"), entry("out/secret", b"mine")], "not a directory"),
    "link-chain": ([link("a", "b"), link("b", "../../../..@outside"), entry("a/secret", b"mine")], "not a directory"),
    "link-loop": ([link("a", "b"), link("b", "a"), entry("a/x", b"mine")], "not a directory"),
    "link-to-itself-as-file": ([link("a", "@outside/secret"), entry("a", b"mine")], None),
    "hard-link-out": ([link("out", "@outside"), link("stolen", "out/secret", hard=True)], "hard link to something"),
    "hard-link-dotdot": ([link("stolen", "../outside/secret", hard=True)], "`..` in it"),
    "hard-link-absolute": ([link("stolen", "@outside/secret", hard=True)], "hard link to something"),
    "hard-link-to-directory": ([folder("a"), link("b", "a", hard=True)], "hard link to something"),
    "hard-link-over-its-own-directory": (
        [folder("d"), entry("d/a", b""), link("d", "d/a", hard=True)],
        "hard link to something",
    ),
    "hard-link-to-itself": ([link("a", "a", hard=True)], "hard link to itself"),
    "hard-link-then-write": (
        [link("l", "@outside/secret"), link("h", "l", hard=True), entry("h", b"mine")], None,
    ),
    "file-as-directory": ([entry("a", b"x"), entry("a/b", b"y")], "not a directory"),
    "whiteout-of-dotdot": ([entry(".wh...", b"")], "a whiteout of"),
    "whiteout-of-dot": ([entry("a/.wh..", b"")], "a whiteout of"),
    "whiteout-of-nothing": ([entry(".wh.", b"")], "a whiteout of"),
    "whiteout-through-link": ([link("out", "@outside"), entry("out/.wh.secret", b"")], None),
    "opaque-through-link": ([link("out", "@outside"), entry("out/.wh..wh..opq", b"")], None),
    "whiteout-as-directory": ([entry(".wh.a/b", b"")], "a whiteout that is a directory"),
    "whiteout-dotdot-path": ([entry("../outside/.wh.secret", b"")], "`..` in it"),
    "proc-magic-link": ([link("p", "/proc/self/root/"), entry("p@outside/secret", b"mine")], "not a directory"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_nothing_leaves_the_root(place: Path, case: str) -> None:
    entries, message = HOSTILE[case]
    for info, _ in entries:
        info.name = info.name.replace("@outside", str(place / "outside"))
        info.linkname = info.linkname.replace("@outside", str(place / "outside"))
    if message is None:
        fill(place, [], entries)
    else:
        with pytest.raises(ImageError, match=message):
            fill(place, [], entries)
    assert untouched(place)


def test_device_nodes_rights_and_attributes_are_left_out_with_a_word(place: Path) -> None:
    entries = [
        entry("dev/null", kind=tarfile.CHRTYPE, mode=0o666, device=(1, 3)),
        entry("dev/sda", kind=tarfile.BLKTYPE, device=(8, 0)),
        entry("bin/su", b"x", mode=0o4755),
        entry("bin/both", b"x", mode=0o6755),
        entry("bin/ping", b"x", mode=0o755, pax={"SCHILY.xattr.security.capability": "x"}),
        entry("run/pipe", kind=tarfile.FIFOTYPE, mode=0o622),
    ]
    told = fill(place, entries)
    assert told["skipped"] == [
        ("device node", "dev/null"),
        ("device node", "dev/sda"),
        ("set-user-ID bit", "bin/su"),
        ("set-user-ID bit", "bin/both"),
        ("set-group-ID bit", "bin/both"),
        ("extended attribute security.capability", "bin/ping"),
    ]
    root = place / "root"
    assert names(root) == ["bin", "bin/both", "bin/ping", "bin/su", "run", "run/pipe"]
    assert stat.S_IMODE((root / "bin/su").stat().st_mode) == 0o755
    assert stat.S_ISFIFO((root / "run/pipe").stat().st_mode)
    assert os.listxattr(root / "bin/ping") == []


def test_what_a_later_layer_takes_away_or_replaces_is_not_left_out(place: Path) -> None:
    below = [entry(path, b"x", mode=0o4755) for path in ("bin/su", "bin/stays", "old/su", "old/deep/su", "gone/su")]
    above = [
        entry("bin/su", b"x", mode=0o755),
        entry("old/.wh..wh..opq"),
        entry(".wh.gone"),
        entry("dev/sda", b"no device"),
    ]
    told = fill(place, [*below, entry("dev/sda", kind=tarfile.BLKTYPE)], above)
    assert (told["skipped"], told["count"]) == ([("set-user-ID bit", "bin/stays")], 1)


def test_what_is_left_out_is_named_up_to_a_number_and_counted(place: Path) -> None:
    told = fill(place, [entry(f"d{number}", kind=tarfile.CHRTYPE) for number in range(MAX_NOTED + 5)])
    assert (len(told["skipped"]), told["count"]) == (MAX_NOTED, MAX_NOTED + 5)


def test_set_id_bits_stay_where_the_ids_are_kept(place: Path) -> None:
    fill(place, [entry("su", b"x", mode=0o4755)], keep_ids=True)
    assert stat.S_IMODE((place / "root/su").stat().st_mode) == 0o4755


@pytest.mark.usefixtures("as_root")
def test_owners_are_those_of_the_map(place: Path) -> None:
    fill(
        place,
        [folder("home", uid=3), entry("home/a", b"x", uid=1000, gid=50), link("l", "a"), folder("made/by")],
        ids=MAPPED,
        keep_ids=True,
    )
    root = place / "root"
    found = {name: os.lstat(root / name) for name in ("home", "home/a", "l", "made", "made/by")}
    assert {name: (status.st_uid, status.st_gid) for name, status in found.items()} == {
        "home": (100_003, 200_000),
        "home/a": (101_000, 200_050),
        "l": (100_000, 200_000),
        "made": (100_000, 200_000),
        "made/by": (100_000, 200_000),
    }


@pytest.mark.usefixtures("as_root")
def test_an_owner_that_is_not_mapped_is_refused(place: Path) -> None:
    with pytest.raises(ImageError, match="a belongs to 70000:0, and the user namespace has no such ids"):
        fill(place, [entry("a", b"", uid=70_000)], ids=MAPPED)


LOWER = [folder("d"), entry("d/a", b"1"), entry("d/b", b"2"), folder("d/e"), entry("d/e/c", b"3"), link("l", "d")]


@pytest.mark.parametrize(
    ("upper", "left"),
    [
        ([entry("d/.wh.a", b"")], ["d", "d/b", "d/e", "d/e/c", "l"]),
        ([entry(".wh.d", b"")], ["l"]),
        ([entry("d/.wh..wh..opq", b"")], ["d", "l"]),
        ([entry("d/new", b""), entry("d/.wh..wh..opq", b"")], ["d", "d/new", "l"]),
        ([entry("d/.wh..wh..opq", b""), entry("d/new", b"")], ["d", "d/new", "l"]),
        ([entry("d/e/new", b""), entry("d/.wh..wh..opq", b"")], ["d", "d/e", "d/e/new", "l"]),
        ([entry(".wh.d", b""), entry("d/a", b"")], ["d", "d/a", "l"]),
        ([entry("d/a", b"mine"), entry("d/.wh.a", b"")], ["d", "d/a", "d/b", "d/e", "d/e/c", "l"]),
        ([entry(".wh.l", b""), folder("l"), entry("l/x", b"")], ["d", "d/a", "d/b", "d/e", "d/e/c", "l", "l/x"]),
        ([folder("l")], ["d", "d/a", "d/b", "d/e", "d/e/c", "l"]),
        ([entry("d", b"a file now")], ["d", "l"]),
        ([entry("d/.wh.nothing", b""), entry("nowhere/.wh.x", b"")], ["d", "d/a", "d/b", "d/e", "d/e/c", "l"]),
        ([entry("d/.wh..wh.plnk", b""), entry(".wh..wh.aufs", b"")], ["d", "d/a", "d/b", "d/e", "d/e/c", "l"]),
    ],
    ids=range(13),
)
def test_whiteouts_hide_what_is_below_and_nothing_else(place: Path, upper: Entries, left: list[str]) -> None:
    fill(place, LOWER, upper)
    assert [name for name in names(place / "root") if not name.startswith("l/a")] == left


def test_of_two_entries_of_one_name_the_later_counts(place: Path) -> None:
    fill(place, [entry("a", b"one"), entry("a", b"two"), folder("b"), link("b", "a"), link("c", "x"), folder("c")])
    assert (place / "root/a").read_text() == "two"
    assert os.readlink(place / "root/b") == "a"
    assert (place / "root/c").is_dir()
    assert not (place / "root/c").is_symlink()


def test_a_directory_that_was_replaced_keeps_no_mode_of_before(place: Path) -> None:
    fill(place, [folder("d", 0o700)], [entry(".wh.d", b""), entry("d/a", b"")])
    assert stat.S_IMODE((place / "root/d").stat().st_mode) == 0o755


def test_directories_that_nobody_may_enter_are_filled_all_the_same(place: Path) -> None:
    fill(place, [folder("d", 0), entry("d/a", b"x")], [entry("d/b", b"y")])
    assert stat.S_IMODE((place / "root/d").stat().st_mode) == 0
    (place / "root/d").chmod(0o755)
    assert names(place / "root") == ["d", "d/a", "d/b"]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(file=100), "a file of 101 bytes"),
        (Limits(total=150), "more than 150 bytes"),
        (Limits(entries=1), "more than 1 entries"),
    ],
)
def test_the_limits_hold(place: Path, limits: Limits, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        fill(place, [entry("a", b"x" * 101), entry("b", b"x" * 101)], limits=limits)


def test_headers_and_directories_that_no_entry_names_count_against_the_limits(place: Path) -> None:
    headed = [entry(name, b"", pax={"comment": "c" * 2000}) for name in "abc"]
    with pytest.raises(ImageError, match="more than 5 entries"):
        fill(place, headed, limits=Limits(entries=5))
    shutil.rmtree(place / "root")
    (place / "root").mkdir()
    with pytest.raises(ImageError, match="more than 5000 bytes"):
        fill(place, headed, limits=Limits(total=5000))
    with pytest.raises(ImageError, match="more than 20 entries"):
        fill(place, [entry("d/" * 30 + "a", b"")], limits=Limits(entries=20))


def test_nothing_lies_too_deep_neither_by_its_name_nor_by_links(place: Path) -> None:
    fill(place, [entry("d/" * (MAX_DEPTH - 1) + "a", b"x")])
    with pytest.raises(ImageError, match=f"below more than {MAX_DEPTH} directories: b'd/d/"):
        fill(place, [entry("d/" * MAX_DEPTH + "a", b"x")])
    half = "d/" * (MAX_DEPTH // 2)
    fill(place, [link("l", half), entry("l/e/a", b"")])
    with pytest.raises(ImageError, match=f"below more than {MAX_DEPTH} directories: b'l/e/"):
        fill(place, [entry("l/" + "e/" * (MAX_DEPTH // 2) + "a", b"")])


def test_names_are_remembered_only_so_far(place: Path) -> None:
    fill(
        place, [entry(f"{number:060}", b"") for number in range(15)], [], [folder("b" * 60)], limits=Limits(names=1000)
    )
    with pytest.raises(ImageError, match="names of more than 1000 bytes"):
        fill(place, [entry("c/" * 50 + f"{number:060}", b"") for number in range(15)], limits=Limits(names=1000))


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("uid", [2**40, 2**32 - 1])
def test_an_owner_that_nobody_can_be_is_refused_also_without_a_map(place: Path, uid: int) -> None:
    with pytest.raises(ImageError, match="an invalid uid"):
        fill(place, [entry("a", b"", pax={"uid": str(uid)})], ids=Ids())


def _fails(error: Exception) -> NoReturn:
    raise error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "there is not enough memory for it"),
        (
            OverflowError("uid is less than minimum"),
            r"cannot be done: OverflowError: uid is .* \(test_unpack.py:\d+\)",
        ),
        (ValueError("embedded null byte"), "cannot be done: ValueError: embedded null byte"),
    ],
)
def test_whatever_goes_wrong_in_the_child_is_an_error_of_the_image(error: Exception, message: str) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        child.run(lambda tell: _fails(error), OWN)
    assert caught.value.hint


def test_a_huge_file_is_refused_by_its_header(place: Path) -> None:
    info, _ = entry("huge", b"", pax={"size": str(1 << 50)})
    with pytest.raises(ImageError, match="a file of 1125899906842624 bytes"):
        fill(place, [(info, b"")])
    assert names(place / "root") == []


def test_an_archive_of_headers_alone_comes_to_an_end(place: Path) -> None:
    """A little of it becomes any number of them."""
    path = place / "layer"
    path.write_bytes(archive([entry("a", b"x")]) + b"\0" * 100_000)
    layer = unpack.ImageLayer(path, "layer", media.digest_of(path.read_bytes()))
    with pytest.raises(ImageError, match="too many entries"):
        unpack.unpack([layer], place / "root", OWN, Limits(total=9, entries=2), keep_ids=False, tell=lambda size: None)


def test_whiteouts_cannot_be_made_to_search_for_ever(place: Path) -> None:
    lower = [entry(f"d/{number}", b"") for number in range(50)]
    with pytest.raises(ImageError, match="cover too many entries"):
        fill(place, lower, [entry("d/.wh..wh..opq", b"")], limits=Limits(searched=20))


def test_contents_are_held_against_their_digest(place: Path) -> None:
    path = place / "layer"
    path.write_bytes(archive([entry("a", b"x")]))
    layer = unpack.ImageLayer(path, "layer", media.digest_of(b"else"))
    with pytest.raises(ImageError, match="digest mismatch"):
        unpack.unpack([layer], place / "root", OWN, Limits(), keep_ids=False, tell=lambda size: None)


NAMES = st.sampled_from(
    ["a", "b", "a/b", "a/b/c", "b/a", "/a", "./b", "a//b", ".wh.a", "a/.wh.b", "a/.wh..wh..opq", "..", "a/../b"]
)
TARGETS = st.sampled_from(
    ["a", "b", "/a", "../..", "../outside", "../outside/secret", "/", ".", "a/b", "../../../../etc"]
)
KINDS = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
ENTRY = st.tuples(NAMES, KINDS, TARGETS, st.integers(0, 0o7777))


@settings(max_examples=examples(150))
@given(layers=st.lists(st.lists(ENTRY, max_size=12), min_size=1, max_size=3))
def test_no_order_of_entries_leads_out(
    layers: list[list[tuple[str, bytes, str, int]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("hostile")
    (place / "root").mkdir()
    (place / "outside").mkdir()
    (place / "outside/secret").write_text("secret")
    made = [
        [
            entry(name, b"mine" if kind == tarfile.REGTYPE else None, kind=kind, mode=mode,
                  target=target if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else "")
            for name, kind, target, mode in entries
        ]
        for entries in layers
    ]  # fmt: skip
    with suppress(ImageError):
        fill(place, *made)
    assert untouched(place)
    assert sorted(os.listdir(place)) == [*(f"layer-{n}" for n in range(len(layers))), "outside", "root"]


# --- in the store -----------------------------------------------------------------------------------------------------


def stored(tmp_path: Path, layers: Sequence[bytes]) -> tuple[ImageStore, str]:
    """A store with the blobs of an image."""
    digest = layout(tmp_path / "layout", layers)
    store = opened(tmp_path / "store")
    with store.stage() as stage:
        for path in (tmp_path / "layout/blobs/sha256").iterdir():
            data = path.read_bytes()
            store.add(f"sha256:{path.name}", [data], len(data), stage)
    return store, digest


def test_a_root_is_made_once_for_each_map(tmp_path: Path) -> None:
    store, digest = stored(tmp_path, [archive([folder("d", 0o500), entry("d/a", b"x")])])
    told: list[int] = []
    with store.stage() as stage:
        first = unpack.ensure(store, digest, OWN, stage, Limits(), told.append)
        assert unpack.ensure(store, digest, OWN, stage, Limits()).path == first.path
    assert (first.path / "d/a").read_text() == "x"
    assert first.about["digest"] == digest
    assert not any((tmp_path / "store/partial").iterdir())
    assert len(store.roots(digest)) == 1


@pytest.mark.usefixtures("as_root")
def test_the_root_of_other_ids_is_closed_to_everybody_else(tmp_path: Path) -> None:
    store, digest = stored(tmp_path, [archive([entry("su", b"x", mode=0o4755)])])
    with store.stage() as stage:
        made = unpack.ensure(store, digest, MAPPED, stage, Limits())
    holder = made.path.parent.stat()
    assert (stat.S_IMODE(holder.st_mode), holder.st_uid, holder.st_gid) == (0o700, 100_000, 200_000)
    assert stat.S_IMODE((made.path / "su").stat().st_mode) == 0o4755


def test_a_hostile_layer_leaves_nothing_in_the_store(tmp_path: Path) -> None:
    store, digest = stored(tmp_path, [archive([entry("a", b"x"), entry("../b", b"x")])])
    with store.stage() as stage, pytest.raises(ImageError, match=r"`\.\.` in it"):
        unpack.ensure(store, digest, OWN, stage, Limits())
    assert store.roots() == []
    assert not any((tmp_path / "store/partial").iterdir())


# --- beside another program -------------------------------------------------------------------------------------------


def listing(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything below a root: type, mode, content or target, number of names, time."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        what: object = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        links = 0 if path.is_dir() else status.st_nlink
        mode = 0 if path.is_symlink() else stat.S_IMODE(status.st_mode)
        found[str(path.relative_to(root))] = (stat.S_IFMT(status.st_mode), mode, what, links, int(status.st_mtime))
    return found


def test_umoci_makes_the_same_of_an_image(tmp_path: Path) -> None:
    layers: list[Entries] = [
        [
            folder("etc", 0o751),
            entry("etc/a", b"1", mode=0o640),
            entry("etc/b", b"2"),
            folder("old"),
            entry("old/x", b"x"),
        ],
        [link("lib", "usr/lib"), folder("usr"), folder("usr/lib", 0o700), entry("usr/lib/so", b"so", mode=0o755)],
        [
            entry("etc/.wh.a", b""),
            link("etc/hard", "etc/b", hard=True),
            entry("old/.wh..wh..opq", b""),
            entry("old/y", b"y"),
        ],
        [
            entry("usr/lib/so", b"newer"),
            folder("etc", 0o711),
            link("etc/soft", "../usr/lib/so"),
            entry("run/pipe", kind=b"6"),
        ],
        [entry(".wh.lib", b""), folder("lib"), entry("lib/own", b"own"), entry("empty", b"")],
    ]
    store, digest = stored(tmp_path, [archive(layer) for layer in layers])
    with store.stage() as stage:
        ours = listing(unpack.ensure(store, digest, OWN, stage, Limits()).path)
    argv = ["umoci", "unpack", "--rootless", "--image", f"{tmp_path}/layout:v1", f"{tmp_path}/theirs"]
    subprocess.run(argv, check=True, capture_output=True, timeout=60)
    theirs = listing(tmp_path / "theirs/rootfs")
    # A directory that no layer has, and what was made in one afterwards, have times of their own.
    made = ("run", "old", "lib")
    assert {name: item for name, item in ours.items() if name not in made} == {
        name: item for name, item in theirs.items() if name not in made
    }
    assert ours.keys() == theirs.keys()
