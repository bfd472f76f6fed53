"""A profile as a revision of git has it, with what it names there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hardening.compare.revision import checked_out
from hardening.errors import UsageError
from tests.support.repository import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repository")
    made.commit({"org/base.toml": "one = 1", "org/deep/web.toml": 'extends = "../base.toml"', "other.toml": "no = 1"})
    return made


def test_what_a_profile_names_is_of_the_same_revision_and_nothing_else_is_written(repository: Repository) -> None:
    key = 'extends = "../base.toml"\n[trust.docker]\n"" = { signedBy = "../key.gpg" }\n'
    repository.commit({"org/base.toml": "two", "org/deep/web.toml": key, "org/key.gpg": "a key"})
    (repository.folder / "org/base.toml").write_text("not committed")
    for revision, base, files in (("HEAD~1", "one = 1", 2), ("HEAD", "two", 3)):
        with checked_out(revision, "org/deep/web.toml", str(repository.folder)) as copy:
            path, top = copy.path, copy.top
            written = [item for item in top.rglob("*") if item.is_file()]
            assert (Path(top, "org/base.toml").read_text(), len(written)) == (base, files)
            assert path == Path(top, "org/deep/web.toml")
        assert not os.path.lexists(top)


def test_a_path_counts_from_the_top_or_with_a_dot_from_the_folder(repository: Repository) -> None:
    folder = str(repository.folder / "org/deep")
    for path in ("org/deep/web.toml", "./web.toml", "../deep/web.toml", "org//deep/../deep/web.toml"):
        with checked_out("HEAD", path, folder) as copy:
            assert copy.path == copy.top / "org/deep/web.toml"


def test_a_link_is_followed_within_the_revision(repository: Repository) -> None:
    (repository.folder / "link.toml").symlink_to("org/base.toml")
    (repository.folder / "out.toml").symlink_to("/etc/passwd")
    repository.commit({})
    with checked_out("HEAD", "link.toml", str(repository.folder)) as copy:
        assert copy.path.read_text() == "one = 1"
        assert not copy.path.is_symlink()
    with pytest.raises(UsageError, match="a link to /etc/passwd, out of the revision"):
        checked_out("HEAD", "out.toml", str(repository.folder)).__enter__()


def test_a_name_that_leads_out_of_a_tree_is_none(repository: Repository) -> None:
    """git makes no such tree, and whoever writes objects by hand may."""
    blob = repository.git("hash-object", "-w", "--stdin", text="evil = 1")
    inner = repository.git("mktree", text=f"100644 blob {blob}\tevil.toml\n")
    profile = repository.git("hash-object", "-w", "--stdin", text='extends = "../evil.toml"')
    tree = repository.tree((b"40000", b"..", inner), (b"100644", b"web.toml", profile))
    commit = repository.git("commit-tree", tree, "-m", "hostile")
    with checked_out(commit, "web.toml", str(repository.folder)) as copy:
        assert [item.name for item in copy.top.rglob("*")] == ["web.toml"]
        assert not (copy.top.parent / "evil.toml").exists()


@pytest.mark.parametrize(
    ("revision", "path", "message"),
    [
        ("nowhere", "org/base.toml", "^nowhere: no such revision\n"),
        ("--all", "org/base.toml", "^--all: no such revision\n"),
        ("HEAD", "org/bse.toml", "no such file in HEAD"),
        ("HEAD", "../../etc/passwd", "no such file in HEAD"),
        ("HEAD", "org", "no such file in HEAD"),
    ],
)
def test_what_is_not_there_is_named(repository: Repository, revision: str, path: str, message: str) -> None:
    with (
        pytest.raises(UsageError, match=message) as caught,
        checked_out(revision, path, str(repository.folder)),
    ):
        pass
    assert str(caught.value).startswith(f"{revision}:")
    assert caught.value.hint


def test_paths_of_the_host_count_from_where_the_profile_belongs_and_what_is_read_from_the_copy(
    repository: Repository,
) -> None:
    with checked_out("HEAD", "org/base.toml", str(repository.folder)) as copy:
        document = copy.read(copy.path, "base")
        assert document.reached("./data") == repository.folder / "org/data"
        assert document.reached("filter.json", read=True) == copy.top / "org/filter.json"
        beside = copy.read(Path(os.path.realpath(repository.folder / "other.toml")), "other")
        assert beside.reached("./data") == repository.folder / "data"


def test_a_folder_of_no_repository_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a git repository"), checked_out("HEAD", "x.toml", str(tmp_path)):
        pass


def test_of_several_lines_git_says_what_is_wrong_in_the_first_and_advises_below(repository: Repository) -> None:
    with pytest.raises(UsageError, match=r"^HEAD: not a git repository"), checked_out("HEAD", "x.toml", "/proc"):
        pass
    if os.geteuid() == 0:
        os.chown(repository.folder, 12345, 12345)
        with pytest.raises(UsageError, match=r"^HEAD: detected dubious ownership") as caught:
            checked_out("HEAD", "other.toml", str(repository.folder)).__enter__()
        assert str(caught.value.hint).startswith("git config --global --add safe.directory /")


def test_no_program_of_the_repository_is_run(repository: Repository) -> None:
    mark = repository.folder / "ran"
    for name in ("filter.x.smudge", "core.fsmonitor", "core.pager"):
        subprocess.run(["git", "-C", repository.folder, "config", name, f"touch {mark}; cat"], check=True)
    (repository.folder / ".gitattributes").write_text("*.toml filter=x\n")
    with checked_out("HEAD", "other.toml", str(repository.folder)) as copy:
        assert copy.path.read_text() == "no = 1"
    assert not mark.exists()


def test_what_is_missing_of_a_revision_is_fetched_from_nowhere(repository: Repository) -> None:
    mark = repository.folder / "ran"
    for name, value in (
        ("extensions.partialClone", "origin"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.url", f"ext::sh -c touch% {mark}"),
        ("protocol.ext.allow", "always"),
    ):
        subprocess.run(["git", "-C", repository.folder, "config", name, value], check=True)
    blob = subprocess.check_output(["git", "-C", repository.folder, "rev-parse", "HEAD:other.toml"], text=True).strip()
    (repository.folder / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(UsageError), checked_out("HEAD", "other.toml", str(repository.folder)):
        pass
    assert not mark.exists()
