"""What no command foresees has words, a place where there is one, and an exit code."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

from hardening.cli.session import Request, Session
from hardening.cli.unforeseen import UNFORESEEN, worded
from hardening.lint.linter import Linter
from hardening.mechanism.kinds import Ceiling
from hardening.mechanism.mechanism import Mechanism
from hardening.mechanism.schema import scalar
from hardening.plugin import plugincalls
from hardening.plugin.hookspecs import hookimpl
from hardening.plugin.plugins import Plugin, Plugins


def test_a_file_is_named() -> None:
    found = worded(FileNotFoundError(2, "No such file or directory", "/a/file"))
    assert str(found).startswith("/a/file: No such file or directory\nhint: check the file")
    assert found.exit_code == 125


def test_a_folder_that_is_gone_is_what_a_missing_name_is_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(FileNotFoundError) as caught:
        os.getcwd()
    assert str(worded(caught.value)).startswith("the working directory does not exist any more\nhint: ")
    assert worded(FileNotFoundError(2, "No such file or directory", "/a/file")).origin == "/a/file"


@pytest.mark.parametrize(
    ("error", "says", "code"),
    [
        (OSError("no home"), "no home\nhint: ", 125),
        (
            ImportError("No module named 'x'"),
            "a part of the program cannot be loaded: No module named 'x'\nhint: ",
            125,
        ),
        (MemoryError(), "out of memory\nhint: ", 125),
        (
            SystemError("error return"),
            "Python itself has failed, most likely out of memory: error return\nhint: ",
            125,
        ),
        (BrokenPipeError(32, "Broken pipe"), "broken pipe", 141),
    ],
)
def test_the_others_say_what_to_do(
    error: OSError | ImportError | MemoryError | SystemError, says: str, code: int
) -> None:
    found = worded(error)
    assert str(found).startswith(says)
    assert found.exit_code == code


def test_a_kind_of_values_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kinds are called directly: composing has one limit for all of them."""

    class Hanging(Ceiling):
        def is_no_looser_than(self, a: int, b: int) -> bool:
            if a == 3:
                time.sleep(5)
            return super().is_no_looser_than(a, b)

    quota: Any = type("Quota", (Mechanism,), {
        "name": "quota", "before_launch": ("*",), "settings_type": attrs.make_class(
            "Settings", {"files": scalar(Hanging(0, 9), 0, "x", field="/annotations/quota")}, frozen=True),
    })  # fmt: skip
    monkeypatch.setattr(plugincalls, "SECONDS", 0.05)
    module = ModuleType("acme_quota")
    vars(module)["hardening_mechanisms"] = hookimpl(lambda: (quota(),))
    loaded = Plugins([Plugin("quota", module, "acme", "1")])
    path = tmp_path / "app.toml"
    path.write_text("[quota]\nfiles = 3\n[limits.quota]\nfiles = 4\n")
    here = Session(loaded)
    for ask in (
        lambda: here.compose(Request((str(path),))),
        lambda: Linter(loaded, here.search, here.today).lint(str(path)),
    ):
        with pytest.raises(UNFORESEEN) as caught:
            ask()
        assert "PluginTimeoutError" in str(worded(caught.value))
