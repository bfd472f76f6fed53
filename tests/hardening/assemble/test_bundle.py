from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from hardening.assemble.bundle import read_config, write
from hardening.assemble.spec import to_json
from hardening.base.jsontext import MAX_BYTES
from hardening.base.pointer import CONFIG
from hardening.errors import HardeningError, LaunchError
from hardening.mechanism.fragment import Directory, File, Spec, Symlink
from tests.support.features import require
from tests.support.users import ordinary


def spec(**files: File) -> Spec:
    return Spec(
        to_json({"ociVersion": "1.2.0"}), {}, {name.replace("__", "/"): content for name, content in files.items()}
    )


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_bundle_holds_its_configuration_and_its_files(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    write(spec(filter=b"\x00\x01", rootfs__etc=Directory(0o700), rootfs__bin=Symlink("usr/bin")), path)
    assert read_config(path) == read_config(path / CONFIG) == {"ociVersion": "1.2.0"}
    assert (path / "filter").read_bytes() == b"\x00\x01"
    assert os.readlink(path / "rootfs/bin") == "usr/bin"
    assert (mode(path / "rootfs/etc"), mode(path), mode(path / "filter")) == (0o700, 0o711, 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_the_caller_makes_the_working_directory_in_a_root_of_the_bundle_s_own(tmp_path: Path) -> None:
    files: dict[str, File] = {"rootfs/usr": Directory(), "rootfs/file": b"", "rootfs/link": Symlink("/tmp")}

    def made(cwd: str, root: str = "rootfs") -> list[str]:
        path = tmp_path / "bundle"
        document = {"root": {"path": root}, "process": {"cwd": cwd}, "mounts": [{"destination": "/usr"}]}
        write(Spec(to_json(document), {}, files | {"rootfs": Directory()}), path)
        there = [str(found.relative_to(path)) for found in path.rglob("*")]
        shutil.rmtree(path)
        return sorted({*there} - {*files, "rootfs", CONFIG})

    assert made("/a//b/./c") == ["rootfs/a", "rootfs/a/b", "rootfs/a/b/c"]
    for cwd in ("/", "/usr", "/usr/a", "/file/a", "/link/a", "/a/../b"):
        assert made(cwd) == []
    assert made("/a", root="/srv") == made("/a", root="usr") == []


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write(spec(rootfs__var__tmp=Directory(0o1777)), tmp_path / "bundle")
    finally:
        os.umask(before)
    assert mode(tmp_path / "bundle/rootfs/var/tmp") == 0o1777
    assert mode(tmp_path / "bundle") == 0o711
    assert mode(tmp_path / "bundle/config.json") == 0o600
    assert mode(tmp_path / "bundle/rootfs") == mode(tmp_path / "bundle/rootfs/var") == 0o755


def test_only_the_caller_reads_what_a_bundle_says(tmp_path: Path) -> None:
    files: dict[str, File] = {"seccomp.bpf": b"12345678", "rootfs__file": b""}
    before = os.umask(0)
    try:
        write(spec(**files), tmp_path / "written", private=True)
        write(spec(**files), tmp_path / "composed")
    finally:
        os.umask(before)
    for path in (tmp_path / "written", tmp_path / "composed"):
        assert mode(path / CONFIG) == mode(path / "seccomp.bpf") == 0o600
        assert mode(path / "rootfs/file") == 0o644


@pytest.mark.system
def test_a_full_disk_has_a_remedy_of_its_own(tmp_path: Path) -> None:
    require("root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "small", str(tmp_path)], check=True)
    try:
        with pytest.raises(LaunchError, match="No space left on device\\nhint: free space on that disk"):
            write(spec(large=bytes(1 << 16)), tmp_path / "bundle")
        with pytest.raises(
            LaunchError, match="No space left on device\\nhint: free space there: `hardening cache clear`"
        ):
            write(spec(large=bytes(1 << 16)), tmp_path / "kept", private=True)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_an_empty_directory_is_taken_and_a_full_one_refused(tmp_path: Path) -> None:
    empty, full = tmp_path / "empty", tmp_path / "full"
    empty.mkdir()
    full.mkdir()
    (full / "x").touch()
    write(spec(), empty)
    assert (empty / CONFIG).exists()
    with pytest.raises(LaunchError, match="cannot write the bundle: Directory not empty"):
        write(spec(), full)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "full"]
    assert os.listdir(full) == ["x"]


@pytest.mark.parametrize("place", ["file/bundle", "missing/bundle", "file"])
def test_a_place_that_takes_no_bundle_is_refused_and_nothing_left(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LaunchError) as caught:
        write(spec(), tmp_path / place)
    assert caught.value.exit_code == 125
    assert os.listdir(tmp_path) == ["file"]


def test_an_ordinary_user_cannot_write_where_they_may_not(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        with pytest.raises(LaunchError, match=r"Permission denied|Read-only"):
            write(spec(), Path("/bundle"))
        return
    user = ordinary()
    pid = os.fork()
    if pid == 0:
        os.setgid(user.gid)
        os.setuid(user.uid)
        try:
            write(spec(), Path("/etc/bundle"))
        except LaunchError as error:
            os._exit(42 if "Permission denied" in error.message else 1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "not a JSON configuration"),
        (b"\xff", "not a JSON configuration"),
        (b"[]", "a configuration is a JSON object"),
        (b'{"process": {"cwd": "/", "cwd": "/tmp"}}', "the key 'cwd' is given twice"),
        (b"[" * 200_000, "not a JSON configuration"),
    ],
)
def test_what_is_no_configuration_is_refused(tmp_path: Path, text: bytes, message: str) -> None:
    file = tmp_path / CONFIG
    file.write_bytes(text)
    with pytest.raises(HardeningError) as caught:
        read_config(tmp_path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{file}:")


def test_a_missing_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HardeningError, match=r"config\.json: cannot read the configuration: No such file"):
        read_config(tmp_path)


def test_a_configuration_that_does_not_end_or_come_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    for name in ("pipe", "endless"):
        with pytest.raises(HardeningError, match="is not a regular file"):
            read_config(tmp_path / name)
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", MAX_BYTES + 1)
    with pytest.raises(HardeningError, match="is larger than"):
        read_config(tmp_path / "large")
    (tmp_path / "elsewhere").write_text("{}")
    assert read_config(tmp_path / "elsewhere") == {}
    (tmp_path / CONFIG).symlink_to("elsewhere")
    with pytest.raises(HardeningError, match="symbolic links"):
        read_config(tmp_path)


def test_the_same_document_has_the_same_bytes() -> None:
    document = {"b": [1, "é"], "a": None}
    assert to_json(document) == to_json(document)
    assert json.loads(to_json(document)) == document
    assert "é".encode() in to_json(document)
