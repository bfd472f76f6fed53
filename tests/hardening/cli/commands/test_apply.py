"""`hardening apply`: what it reports, writes and leaves."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from hardening.base.jsontext import MAX_BYTES
from hardening.cli.session import Session
from hardening.mechanism.fragment import Directory, Fragment
from hardening.mechanism.mechanism import Context, Violation
from tests.hardening.cli import samples
from tests.hardening.cli.samples import call, foreign, profile, session, shown
from tests.support.features import require


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
    assert report["violations"] == [{"pointer": "/annotations/box", "asked": "50", "allowed": "5", "leaf": "box.size"}]
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


_KINDS = ("device", "fifo", "link", "dangling", "directory", "somebody else's")


@pytest.mark.parametrize(("option", "name", "kind"), [
    *((option, "data", kind) for option in ("-o", "--in-place") for kind in _KINDS),
    *(("-o", "config.json", kind) for kind in _KINDS),
    *(("--in-place", "config.json", kind) for kind in ("link", "somebody else's")),  # it is read before
])  # fmt: skip
def test_apply_replaces_nothing_but_files_of_the_caller(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, option: str, name: str, kind: str
) -> None:
    def tighten(
        self: samples.Box, settings: Any, document: Any, context: Context, fragment: Fragment
    ) -> Iterable[Violation]:
        fragment.file("before", b"x", "box.size")
        fragment.file("data", b"x", "box.size")
        fragment.file("inside/data", b"x", "box.size")
        return ()

    if kind in ("device", "somebody else's"):
        require("root")
    monkeypatch.setattr(samples.Box, "tighten", tighten)
    bundle, place = folder / "bundle", folder / "out"
    for path in (bundle, place):
        path.mkdir()
    source = foreign(bundle)
    target = (bundle if option == "--in-place" else place) / name
    existing = source.rename(folder / "kept") if source == target else foreign(folder).rename(folder / "kept")
    match kind:
        case "device":
            os.mknod(target, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        case "fifo":
            os.mkfifo(target)
        case "link":
            target.symlink_to(existing)
        case "dangling":
            target.symlink_to(folder / "nothing")
        case "directory":
            target.mkdir()
        case _:
            existing.rename(target)
            os.chown(target, 65534, 65534)
    before = [(path, path.lstat().st_ino, path.lstat().st_mode) for path in sorted(folder.rglob("*"))]
    words = ("--in-place",) if option == "--in-place" else ("-o", str(place / "config.json"))
    argument = source if source.exists() else bundle
    assert call(session(folder), "apply", "-q", str(argument), *words) == 2
    assert "cannot write the configuration: " in capsys.readouterr().err
    assert [(path, path.lstat().st_ino, path.lstat().st_mode) for path in sorted(folder.rglob("*"))] == before


def test_apply_writes_to_a_file_or_to_standard_output(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    foreign(folder)
    assert call(session(folder), "apply", "config.json", "-o", "new/tight.json") == 0
    capsys.readouterr()
    tight = json.loads((folder / "new/tight.json").read_bytes())
    assert tight == shown(folder, capsys, "apply", "config.json")


@pytest.mark.parametrize(("given", "message"), [
    (b"[]", "standard input: a configuration is a JSON object"),
    (b"{", "standard input: not a JSON configuration"),
    (b" " * (MAX_BYTES + 1), "standard input: the configuration is larger than"),
])  # fmt: skip
def test_apply_reads_standard_input(
    folder: Path, capfd: pytest.CaptureFixture[str], given: bytes, message: str
) -> None:
    path = foreign(folder)
    before = sorted(os.listdir(folder))
    _, expected = call(session(folder), "apply", "config.json"), capfd.readouterr().out
    assert _fed(path.read_bytes(), session(folder), "-") == 0
    assert capfd.readouterr().out == expected
    assert _fed(given, session(folder), "-") == 2
    found = capfd.readouterr()
    assert (found.out, message in found.err) == ("", True)
    assert _fed(path.read_bytes(), session(folder), "--in-place", "-") == 2
    assert "leave --in-place out" in capfd.readouterr().err
    assert sorted(os.listdir(folder)) == before


def _fed(text: bytes, here: Session, *words: str) -> int:
    """The exit code of `apply` with ``text`` as its standard input."""
    kept = os.dup(0)
    try:
        with tempfile.TemporaryFile() as file:
            file.write(text)
            file.seek(0)
            os.dup2(file.fileno(), 0)
            return call(here, "apply", *words)
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def test_what_apply_makes_has_its_mode_whatever_the_umask(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def tighten(
        self: samples.Box, settings: Any, document: Any, context: Context, fragment: Fragment
    ) -> Iterable[Violation]:
        fragment.file("inside", Directory(0o755), "box.size")
        fragment.file("data", b"x", "box.size")
        fragment.file("inside/data", b"x", "box.size")
        return ()

    monkeypatch.setattr(samples.Box, "tighten", tighten)
    foreign(folder)
    before = os.umask(0o077)
    try:
        assert call(session(folder), "apply", "config.json", "-q", "-o", "tight.json") == 0
    finally:
        os.umask(before)
    modes = {name: (folder / name).stat().st_mode & 0o777 for name in ("inside", "inside/data", "data", "tight.json")}
    private = {"data": 0o600, "tight.json": 0o600}
    assert modes == {"inside": 0o755, "inside/data": 0o644, **private}, "it has the variables of a command"
    for mode in (0o640, 0o600):
        (folder / "tight.json").chmod(mode)
        assert call(session(folder), "apply", "config.json", "-q", "-o", "tight.json") == 0
        assert (folder / "tight.json").stat().st_mode & 0o777 == mode, "what was there keeps its mode"
