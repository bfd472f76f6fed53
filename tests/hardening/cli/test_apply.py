"""`hardening apply`: what it reports, writes and leaves."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from hardening.mechanism import Context, Excess
from hardening.spec import Directory, Fragment
from tests.hardening.cli import samples
from tests.hardening.cli.samples import call, foreign, profile, session, shown


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "state"))
    profile(tmp_path, "default", 'description = "the default"\n[box]\nclosed = true\nsize = 5\ncolours = ["red"]\n')
    profile(tmp_path, "open", "[box]\nclosed = false\nsize = 5\n")
    profile(tmp_path, "lax", "[box]\nrequirement = 'best-effort'\n")
    return tmp_path


def test_apply_check_reports_and_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = foreign(folder)
    before = path.read_bytes()
    report = shown(folder, capsys, "apply", "config.json", "--check", "--json", code=1)
    assert report["changes"] == [{"pointer": "/annotations/box", "before": "50", "after": "5", "leaves": ["box.size"]}]
    assert report["excesses"] == [{"pointer": "/annotations/box", "asked": "50", "allowed": "5", "leaf": "box.size"}]
    assert path.read_bytes() == before
    foreign(folder, 3)
    assert call(session(folder), "apply", "config.json", "--check") == 0
    assert "nothing to change" in capsys.readouterr().err


def test_apply_in_place_keeps_the_mode_and_leaves_nothing_else(folder: Path) -> None:
    path = foreign(folder)
    path.chmod(0o640)
    names = sorted(os.listdir(folder))
    assert call(session(folder), "apply", str(folder), "--in-place") == 0
    assert json.loads(path.read_bytes())["annotations"]["box"] == "5"
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(folder)) == names


def test_apply_writes_to_a_file_or_to_standard_output(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    foreign(folder)
    assert call(session(folder), "apply", "config.json", "-o", "new/tight.json") == 0
    capsys.readouterr()
    tight = json.loads((folder / "new/tight.json").read_bytes())
    assert tight == shown(folder, capsys, "apply", "config.json")


def test_what_apply_makes_has_its_mode_whatever_the_umask(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def tighten(
        self: samples.Box, settings: Any, document: Any, context: Context, fragment: Fragment
    ) -> Iterable[Excess]:
        fragment.file("inside", Directory(0o755), "box.size")
        fragment.file("data", b"x", "box.size")
        return ()

    monkeypatch.setattr(samples.Box, "tighten", tighten)
    foreign(folder)
    before = os.umask(0o077)
    try:
        assert call(session(folder), "apply", "config.json", "-q", "-o", "tight.json") == 0
    finally:
        os.umask(before)
    modes = {name: (folder / name).stat().st_mode & 0o777 for name in ("inside", "data", "tight.json")}
    assert modes == {"inside": 0o755, "data": 0o644, "tight.json": 0o644}
