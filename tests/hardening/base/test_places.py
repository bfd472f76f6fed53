"""Where things are kept. tests/hardening/base/test_state.py has the state directory of each caller."""

from __future__ import annotations

import ast
import os
import posix
import pwd
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardening.base import places, trusted
from tests.support.homes import set_home


def test_who_has_no_home_has_no_state_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posix, "getuid", lambda: 2**31)
    with pytest.raises(OSError, match="no home directory"):
        places.state({}, 48000)
    assert places.state({"HOME": "/h/"}, 48000) == "/h/.local/state/hardening"
    assert places.state({"HARDENING_STATE": "/a/../b"}, 48000) == "/b"


@pytest.mark.usefixtures("shared_group")
def test_what_others_can_write_is_not_own(tmp_path: Path) -> None:
    for mode, own in ((0o700, True), (0o755, True), (0o720, False), (0o702, False)):
        tmp_path.chmod(mode)
        assert trusted.is_own(tmp_path.stat(), str(tmp_path)) == own


def test_no_two_launches_have_one_name() -> None:
    assert len({places.new_id() for _ in range(100)}) == 100


@pytest.mark.usefixtures("shared_group")
def test_no_record_lies_in_a_state_directory_that_somebody_else_could_write(tmp_path: Path) -> None:
    asked = {"HARDENING_STATE": str(tmp_path)}
    assert next(iter(places.of_records(asked))) == str(tmp_path / "records")
    tmp_path.chmod(0o770)
    assert str(tmp_path / "records") not in list(places.of_records(asked))
    tmp_path.chmod(0o700)
    (tmp_path / "link").symlink_to(tmp_path)
    assert all("link" not in place for place in places.of_records({"HARDENING_STATE": str(tmp_path / "link")}))


def test_where_the_file_of_records_lies() -> None:
    explicit = list(places.of_records({"HARDENING_STATE": "/s", "HOME": "/h", "XDG_RUNTIME_DIR": "/r"}))
    assert explicit[0] == "/s/records"
    if os.geteuid() == 0:
        assert explicit[1:] == ["/var/log/hardening", "/run/hardening/records"]
    else:
        assert explicit[1] == f"{pwd.getpwuid(os.getuid()).pw_dir}/.local/state/hardening/records"
        assert explicit[-1] == "/r/hardening/records"
        assert next(iter(places.of_records({"XDG_STATE_HOME": "/x"}))) == "/x/hardening/records"


@pytest.mark.parametrize("value", ["", ".", "relative", "./x", "~/x"])
def test_a_relative_place_of_the_xdg_specification_is_ignored(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_home(monkeypatch, "/h")
    for name, below in places._BELOW_HOME:
        assert places.xdg({name: value, "HOME": "."}, name) == f"/h/{below}"
    assert places.xdg({"XDG_RUNTIME_DIR": value}, "XDG_RUNTIME_DIR") is None


def test_a_relative_place_for_what_nobody_needs_later_is_ignored() -> None:
    for value in ("", ".", "relative"):
        assert places.temporary({"TMPDIR": value}, "/var/tmp") == "/var/tmp"
    assert places.temporary({"TMPDIR": "/mnt"}) == "/mnt"


def test_home_is_the_account_s_whatever_the_variable_says() -> None:
    own = pwd.getpwuid(os.getuid()).pw_dir
    for environment in ({}, {"HOME": "."}, {"HOME": "/elsewhere"}, {"HOME": ""}):
        assert places.home(environment) == own


def test_no_module_but_one_knows_what_these_variables_mean() -> None:
    """A look-up of a home or of a directory of the XDG specification that is written anew has rules of its own."""
    root = Path(places.__file__).parents[2]
    found = {
        f"{file.relative_to(root)}: {node}"
        for file in (*root.glob("hardening/**/*.py"), *root.glob("plugins/**/*.py"))
        if any(word in (text := file.read_text()) for word in ("expanduser", "Path.home", "environ"))
        for node in _lookups(ast.parse(text))
    }
    # Another user's home, and what runtimes are handed as it is.
    assert found == {"hardening/base/state.py: os.path.expanduser(path)"}


def _lookups(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            first = ast.unparse(node.args[0]) if node.args else ""
            if name.endswith(("expanduser", "Path.home")) or (
                name.endswith("environ.get") and re.match(r"'(HOME|TMPDIR|XDG_|HARDENING_)", first)
            ):
                yield ast.unparse(node)
