"""`hardening/cli/commands`: a mechanism changes the host only for a bundle that is written, and right before that."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hardening.cli import start
from hardening.cli.session import Session
from hardening.mechanism.mechanism import Context
from hardening.mechanism.runtime import Refusal
from hardening.plugin.hookspecs import hookimpl
from hardening.plugin.plugins import Plugin, Plugins
from hardening.profile.layers import SearchDirectory, SearchPath
from tests.hardening.cli import samples
from tests.hardening.cli.samples import call


class Preparing(samples.Box):
    """Keeps what it is prepared with, and what of the bundle is there by then."""

    def __init__(self) -> None:
        super().__init__(False)
        self.calls: list[tuple[str, bool]] = []

    def prepare(self, settings: samples.BoxSettings, context: Context, document: Mapping[str, Any]) -> None:
        assert context.bundle is not None
        self.calls.append((document["annotations"]["box"], context.bundle.exists()))


def session(folder: Path, mechanism: Preparing) -> Session:
    samples.profile(folder, "default", "[box]\nsize = 5")
    module = ModuleType(__name__)
    module.hardening_mechanisms = hookimpl(lambda: (mechanism,))  # type: ignore[attr-defined]
    module.hardening_runtimes = hookimpl(lambda: (samples.Shell(),))  # type: ignore[attr-defined]
    return Session(Plugins([Plugin("box", module, "box-shop", "1")]), SearchPath((SearchDirectory(folder, "tests"),)))


def test_a_bundle_is_prepared_before_it_is_written(tmp_path: Path) -> None:
    mechanism = Preparing()
    assert call(session(tmp_path, mechanism), "compose", "-o", str(tmp_path / "bundle"), "--", "id") == 0
    assert mechanism.calls == [("5", False)]
    assert (tmp_path / "bundle/config.json").is_file()


@pytest.mark.parametrize("arguments", [("compose", "--", "id"), ("run", "--dry-run", "--", "id")])
def test_what_is_only_shown_is_not_prepared(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    mechanism = Preparing()
    assert call(session(tmp_path, mechanism), *arguments) == 0
    assert mechanism.calls == []


@pytest.mark.parametrize("refused", [False, True])
def test_a_run_is_prepared_unless_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: bool) -> None:
    """The hand-over, which would replace the tests, is left out."""
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(start, "start_new", lambda *arguments: None)
    if refused:
        monkeypatch.setattr(samples.Shell, "check", lambda *arguments: [Refusal("/x", "not known")])
    mechanism = Preparing()
    code = call(session(tmp_path, mechanism), "run", "--", "id")
    assert (code != 0, mechanism.calls) == (refused, [] if refused else [("5", False)])
