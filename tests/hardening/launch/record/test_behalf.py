"""Whose rights a file of the caller's choice is written with."""

from __future__ import annotations

import errno
import os
import posix
import pwd
from pathlib import Path

import pytest

from hardening.base.links import ForeignLinkError
from hardening.launch.record import behalf
from tests.support.features import require


@pytest.mark.parametrize(
    ("uid", "gid", "found"),
    [("1000", "100", (1000, 100)), ("1000", "", (1000, 1000)), ("0", "0", None), ("", "", None), ("root", "0", None)],
)
def test_whom_sudo_names_to_root(
    uid: str, gid: str, found: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(posix.environ, b"SUDO_UID", uid.encode())
    monkeypatch.setitem(posix.environ, b"SUDO_GID", gid.encode())
    for name in ("getuid", "geteuid"):
        monkeypatch.setattr(posix, name, lambda: 0)
    assert behalf.caller() == found
    monkeypatch.setattr(posix, "geteuid", lambda: 7)
    monkeypatch.setattr(posix, "getuid", lambda: 7)
    assert behalf.caller() is None  # an ordinary user lends nobody anything


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({"DOAS_USER": "nobody"}, "nobody"),
        ({"PKEXEC_UID": str(pwd.getpwnam("nobody").pw_uid)}, "nobody"),
        ({"SUDO_UID": "0", "DOAS_USER": "nobody"}, "nobody"),
        ({"DOAS_USER": "root", "PKEXEC_UID": "0", "SUDO_UID": "0"}, None),
        ({"DOAS_USER": "nobody", "PKEXEC_UID": str(pwd.getpwnam("nobody").pw_uid)}, "nobody"),
        ({"DOAS_USER": "nobody", "SUDO_UID": "12345"}, PermissionError),
        ({"DOAS_USER": "nobody-of-that-name"}, PermissionError),
    ],
)
def test_whom_other_wrappers_name_to_root(
    variables: dict[str, str], found: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setitem(posix.environ, name.encode(), value.encode())
    for name in ("getuid", "geteuid"):
        monkeypatch.setattr(posix, name, lambda: 0)
    if found is PermissionError:
        with pytest.raises(PermissionError):
            behalf.caller()
        return
    account = None if found is None else pwd.getpwnam(str(found))
    assert behalf.caller() == (account and (account.pw_uid, account.pw_gid))


def test_the_real_ids_count_in_a_program_with_the_set_user_id_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posix, "geteuid", lambda: 0)
    monkeypatch.setattr(posix, "getuid", lambda: 1000)
    monkeypatch.setattr(posix, "getgid", lambda: 100)
    assert behalf.caller() == (1000, 100)


def test_the_kernel_judges_each_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of what has changed since it was looked at, such as a folder that is a link by now."""
    require("root")
    monkeypatch.setitem(posix.environ, b"SUDO_UID", b"65533")
    with pytest.raises(PermissionError) as caught:
        behalf.write((tmp_path / "file").touch)
    assert caught.value.errno == errno.EACCES
    assert os.getuid() == os.geteuid() == 0
    assert not (tmp_path / "file").exists()


def test_links_of_others_lead_root_nowhere(tmp_path: Path) -> None:
    """Also where root acts for nobody but itself, in the folder of somebody else."""
    require("root")
    theirs, own = tmp_path / "theirs", tmp_path / "own"
    precious = own / "precious"
    for folder in (theirs, own):
        folder.mkdir()
    precious.write_text("precious")
    precious.chmod(0o640)
    for name, target in (("file", precious), ("folder", own), ("dangling", own / "new")):
        (theirs / name).symlink_to(target)
    for path in (theirs, *theirs.iterdir()):
        os.lchown(path, 65533, 65533)
    for name in ("file", "folder/precious", "folder/new", "dangling"):
        for replacing in (False, True):
            with pytest.raises(OSError, match=r"belongs to uid 65533|not a regular file"):
                behalf.save(str(theirs / name), b"x", own=replacing)
    with pytest.raises(ForeignLinkError):
        behalf.require_replaceable(str(theirs / "folder/new"))
    with pytest.raises(FileExistsError):
        behalf.save(str(theirs / "file"), b"x", new=True)
    assert ([path.name for path in own.iterdir()], precious.read_text()) == (["precious"], "precious")
    # What lies there is written nevertheless, and one's own links lead where they lead.
    for made in (theirs / "new", own / "new"):
        behalf.save(str(made), b"new", new=True)
        assert made.read_bytes() == b"new"
    (own / "link").symlink_to("precious")
    behalf.save(str(own / "link"), b"x")
    assert (precious.read_bytes(), precious.stat().st_mode & 0o777, (own / "link").is_symlink()) == (b"x", 0o640, True)


def test_a_stream_is_written_to(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    behalf.save(f"/dev/fd/{writer}", b"one")
    behalf.save("/dev/null", b"two")
    assert os.read(reader, 9) == b"one"
    with pytest.raises(IsADirectoryError):
        behalf.save(str(tmp_path), b"x")
    for descriptor in (reader, writer):
        os.close(descriptor)
