"""Who could have written what decides something."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import hardening
from hardening.base import trusted
from tests.support.features import require
from tests.support.runs import workplace
from tests.support.users import User, ordinary, program

STRANGER = 48000
#: An access control list (acl(5)) by which one more user may write: tags, rights and ids, as the kernel has them.
_NOBODY = 0xFFFFFFFF
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, rights, number)
    for tag, rights, number in ((1, 6, _NOBODY), (2, 6, STRANGER), (4, 4, _NOBODY), (16, 6, _NOBODY), (32, 4, _NOBODY))
)


def put(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    path.chmod(0o644)
    return str(path)


def refused(path: str) -> str:
    with pytest.raises(trusted.UntrustedError) as caught:
        trusted.require_secure_path(path)
    assert caught.value.hint
    return str(caught.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("mode", [0o755, 0o1755, 0o1777])
def test_the_owner_of_a_directory_can_replace_what_lies_in_it_sticky_or_not(folder: Path, mode: int) -> None:
    require("root")
    path = put(folder / "theirs/file")
    (folder / "theirs").chmod(mode)
    trusted.require_secure_path(path)
    os.chown(folder / "theirs", STRANGER, STRANGER)
    assert refused(path) == f"{folder}/theirs belongs to another user (uid {STRANGER})"


def test_a_hint_closes_no_directory_that_is_meant_to_be_open(folder: Path) -> None:
    path = put(folder / "a b/file")
    (folder / "a b").chmod(0o777)
    with pytest.raises(trusted.UntrustedError) as caught:
        trusted.require_secure_path(path)
    assert caught.value.hint == f"chmod go-w '{folder}/a b'"
    (folder / "a b").chmod(0o1777)
    status = os.stat(folder / "a b")
    with pytest.raises(trusted.UntrustedError) as caught:
        trusted.require(status, "it", str(folder / "a b"), str(folder / "a b"), trusted.owners(), sticky=False)
    assert "chmod" not in caught.value.hint


def hint_of(path: str) -> str:
    with pytest.raises(trusted.UntrustedError) as caught:
        trusted.require(os.stat(path), "it", path, path)
    return caught.value.hint


@pytest.fixture
def reached() -> Iterator[Path]:
    """A folder that others than the caller can search."""
    with workplace() as place:
        yield place


@contextmanager
def opened_tree(folder: Path, gid: int | None = None) -> Iterator[list[str]]:
    """Files in a tree that an ordinary caller made with umask 0."""
    files = [put(folder / "a clone" / name) for name in ("profiles/own/a.toml", "profiles/b.toml", "c.toml")]
    uid = os.geteuid() or STRANGER
    for place in [folder / "a clone", *(folder / "a clone").rglob("*")]:
        os.chown(place, uid, os.getegid() if gid is None else gid)
        place.chmod(place.stat().st_mode | 0o022)
    own = os.geteuid()
    os.seteuid(uid)
    try:
        yield files
    finally:
        os.seteuid(own)


def test_the_hint_of_a_tree_made_with_another_umask_mends_all_of_it(
    reached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no more: the folders above it are as they were, and of a file alone it names that."""
    mend = f"chmod -R go-w '{reached}/a clone'"
    with opened_tree(reached) as files:
        assert {hint_of(path) for path in files} == {mend}
        monkeypatch.chdir(reached / "a clone/profiles")
        assert {hint_of("b.toml"), hint_of("./own/a.toml")} == {mend}
        assert hint_of("own/../b.toml") == "chmod go-w own/../b.toml"
        (reached / "a clone").chmod(0o1777)
        assert hint_of(files[0]) == f"chmod -R go-w '{reached}/a clone/profiles'"
        (reached / "a clone").chmod(0o777)
        subprocess.run(["sh", "-c", mend], check=True)
        for path in files:
            trusted.require(os.stat(path), "it", path, path)
            trusted.require_secure_path(path)
        Path(files[0]).chmod(0o666)
        assert hint_of(files[0]) == f"chmod go-w '{files[0]}'"


def test_a_hint_closes_no_folder_that_a_group_shares_or_that_is_root_s(reached: Path) -> None:
    require("root")
    with opened_tree(reached, gid=STRANGER) as files:
        assert {hint_of(path) for path in files} == {f"chmod go-w '{path}'" for path in files}
    for path in files:
        os.chown(path, 0, 0)
    for place in (reached / "a clone", reached / "a clone/profiles"):
        os.chown(place, 0, 0)
    assert {hint_of(path) for path in files} == {f"chmod go-w '{path}'" for path in files}


def test_what_cannot_be_looked_at_for_a_hint_leaves_the_refusal(reached: Path) -> None:
    require("root")
    with opened_tree(reached) as files:
        status = os.stat(files[0])
        (reached / "a clone").chmod(0)
        with pytest.raises(trusted.UntrustedError) as caught:
            trusted.require(status, "it", files[0], files[0])
        (reached / "a clone").chmod(0o777)
    assert caught.value.hint == f"chmod go-w '{files[0]}'"


def test_what_stands_after_a_link_is_where_the_kernel_finds_it(folder: Path) -> None:
    """`link/../file` lies beside the target of the link, and not beside the link."""
    put(folder / "far/open/file")
    (folder / "far/open/inner").mkdir()
    (folder / "link").symlink_to("far/open/inner")
    (folder / "second").symlink_to("link/../file")
    (folder / "far/open").chmod(0o777)
    for name in ("link/../file", "second"):
        assert os.path.exists(folder / name)
        assert refused(str(folder / name)).startswith(f"{folder}/far/open can be written by others")


def test_links_that_go_in_a_circle_end(folder: Path) -> None:
    (folder / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="Too many levels"):
        trusted.require_secure_path(str(folder / "loop"))


def test_what_is_missing_counts_by_what_is_there_of_it(folder: Path) -> None:
    trusted.require_secure_path(str(folder / "none/below"))
    folder.chmod(0o777)
    refused(str(folder / "none/below"))


@pytest.fixture
def user() -> User:
    require("root")
    return ordinary()


def believed(user: User, path: Path, *, groups: str = "--clear-groups", gid: int | None = None) -> bool:
    """Whether a user takes what lies at a path for what nobody else could have written."""
    code = (
        "import sys; sys.path[:0] = sys.argv[2].split(':'); import os; from hardening.base import trusted;"
        "sys.exit(trusted.others_can_write(os.stat(sys.argv[1]), sys.argv[1]))"
    )
    ids = [f"--reuid={user.uid}", f"--regid={user.gid if gid is None else gid}", groups, "--inh-caps=-all"]
    python = str(Path(program(user)).with_name("python"))
    argv = ["setpriv", *ids, "--", python, "-I", "-S", "-c", code, str(path), str(path.parent / "lib")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode == 0


def test_a_user_s_own_group_is_nobody_else_while_it_is_theirs_alone(user: User) -> None:
    with workplace(user) as folder:
        ignore = shutil.ignore_patterns("__pycache__", "cli", "images", "report")
        shutil.copytree(Path(hardening.__file__).parent, folder / "lib/hardening", ignore=ignore)
        path = Path(put(folder / "file"))
        os.chown(path, user.uid, user.gid)
        for mode, mine in ((0o644, True), (0o664, True), (0o666, False), (0o662, False)):
            path.chmod(mode)
            assert believed(user, path) == mine, oct(mode)
        path.chmod(0o664)
        assert not believed(user, path, gid=STRANGER)
        os.chown(path, user.uid, STRANGER)
        assert not believed(user, path)
        os.chown(path, user.uid, user.gid)
        os.setxattr(path, "system.posix_acl_access", ACL)
        assert not believed(user, path)


def test_root_has_no_group_of_its_own(folder: Path) -> None:
    require("root")
    path = put(folder / "file")
    os.chmod(path, 0o664)
    assert trusted.others_can_write(os.stat(path), path)
