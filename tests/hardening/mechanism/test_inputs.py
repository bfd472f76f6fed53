"""What is looked at: ways, patterns, accounts."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from hardening.mechanism import inputs
from hardening.mechanism.inputs import Input


def names(path: str | Path, root: str = "/") -> list[str]:
    return [item.argument for item in inputs.way(path, root)]


def test_a_way_is_every_name_with_links_followed(tmp_path: Path) -> None:
    (tmp_path / "real/inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "absolute").symlink_to(tmp_path / "real")
    found = names(tmp_path / "link/inner")
    assert found[-3:] == [f"{tmp_path}/link", f"{tmp_path}/real", f"{tmp_path}/real/inner"]
    assert f"{tmp_path}/real" in names(tmp_path / "absolute")


def test_a_way_ends_at_what_is_not_there(tmp_path: Path) -> None:
    assert names(tmp_path / "absent/below/more")[-1] == f"{tmp_path}/absent"


def test_a_way_in_a_root_stays_there(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").symlink_to("/../../usr/passwd")
    found = names("etc/passwd", str(tmp_path))
    assert found == [f"{tmp_path}/etc", f"{tmp_path}/etc/passwd", f"{tmp_path}/usr"]


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    assert {f"{tmp_path}/one", f"{tmp_path}/two"} <= set(names(tmp_path / "one"))


def test_a_pattern_is_the_listing_of_each_directory_that_is_searched(tmp_path: Path) -> None:
    (tmp_path / "a1/x").mkdir(parents=True)
    (tmp_path / "a2").mkdir()
    (tmp_path / "b").mkdir()
    found = list(inputs.pattern(f"{tmp_path}/a*/x"))
    assert Input("entries", str(tmp_path)) in found
    assert Input("name", f"{tmp_path}/a1/x") in found
    assert Input("name", f"{tmp_path}/a2/x") in found
    assert Input("name", f"{tmp_path}/b") not in found


def test_what_was_read_counts_and_not_what_is_there_by_now(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("now")
    path = str(tmp_path / "file")
    taken = inputs.take([Input("file", path), Input("file", path, "then"), Input("name", path)])
    assert taken["file"] == {path: "then"}
    assert taken["name"][path] == f"100{os.stat(path).st_mode & 0o777:o} {os.getuid()}"


def test_what_was_passed_over_was_not_there_whatever_is_there_by_now(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("now")
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    assert inputs.take(inputs.passed_over(f"{tmp_path}/file"))["name"] == {f"{tmp_path}/file": "-"}
    assert inputs.take(inputs.passed_over(f"{tmp_path}/none/file"))["name"] == {f"{tmp_path}/none/file": "-"}
    assert inputs.take(inputs.passed_over(f"{loop}/file"))["name"] == {f"{loop}/file": f"!{errno.ELOOP}"}


def test_the_account_of_root_is_in_the_files() -> None:
    found = list(inputs.accounts(0))
    assert Input("file", "/etc/passwd") in found
    assert all(isinstance(item, Input) for item in found)
