"""Where a layer is written to."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hardening.assemble.redaction import Redaction
from hardening.cli import command_runs
from hardening.errors import UsageError
from hardening.mechanism.roles import Volume


def test_a_pipe_or_a_device_is_written_to_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    command_runs.write(path, "a layer\n", Redaction())
    assert os.read(reader, 100) == b"a layer\n"
    assert stat.S_ISFIFO(path.stat().st_mode)
    os.close(reader)
    command_runs.write(tmp_path / "file", "a layer\n", Redaction())
    assert (tmp_path / "file").read_text() == "a layer\n"


def test_what_a_link_leads_to_is_written_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("before")
    (tmp_path / "link").symlink_to("file")
    command_runs.write(tmp_path / "link", "a layer\n", Redaction())
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "a layer\n"


def test_a_layer_that_holds_the_value_of_a_secret_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the value of a secret"):
        command_runs.write(tmp_path / "layer", "a hunter2hunter2\n", Redaction(("hunter2hunter2",)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("source", [".", "layer.toml", "other"])
def test_a_layer_does_not_lie_where_the_command_may_write(tmp_path: Path, source: str) -> None:
    target = tmp_path / "layer.toml"
    volume = Volume(str(tmp_path / source), "/v", frozenset({"rw"}))
    root = SimpleNamespace(mounted_volumes=lambda: [volume])
    assembly: Any = SimpleNamespace(context=SimpleNamespace(of=lambda kind: root))
    if source == "other":
        command_runs.require_apart(target, assembly)
        return
    with pytest.raises(UsageError, match="can decide nothing") as refused:
        command_runs.require_apart(target, assembly)
    beside = Path(str(refused.value.hint).rpartition(" ")[2])
    assert beside.parent in (tmp_path, tmp_path.parent)
    command_runs.require_apart(beside, assembly)


def test_who_writes_a_layer_is_told_how_it_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command_runs.write(tmp_path / "app.toml", "a layer\n", Redaction(()))
    assert f"-p {tmp_path}/app.toml, in the place of those that it extends" in capsys.readouterr().err
