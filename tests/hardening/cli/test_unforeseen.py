"""What no command foresees has words, a place where there is one, and an exit code."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hardening.cli.unforeseen import worded


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
