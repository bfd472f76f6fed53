"""The assertions of tests are rewritten once, on all processors, before workers collect: each would do it for itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from _pytest.assertion import rewrite

from tests.support.users import REPOSITORY


def prepare(config: pytest.Config) -> None:
    """Keep what pytest reads in place of a module that has changed, where the clone may be written to. Children do it, for
    it takes seconds; what one of them leaves undone is done by whoever collects."""
    tests = REPOSITORY / "tests"
    changed = [path for path in tests.rglob("*.py") if os.access(tests, os.W_OK) and not _is_kept(path)]
    count = len(os.sched_getaffinity(0))
    children = []
    for number in range(count):
        if child := os.fork():
            children.append(child)
            continue
        try:
            for path in changed[number::count]:
                _keep(path, config)
        finally:
            os._exit(0)
    for child in children:
        os.waitpid(child, 0)


def _kept(path: Path) -> Path:
    return rewrite.get_cache_dir(path) / f"{path.stem}{rewrite.PYC_TAIL}"


def _is_kept(path: Path) -> bool:
    """By its time: where that deceives, whoever collects reads that it is of another text."""
    kept = _kept(path)
    return kept.exists() and kept.stat().st_mtime >= path.stat().st_mtime


def _keep(path: Path, config: pytest.Config) -> None:
    if rewrite.try_makedirs(_kept(path).parent):
        digest, code = rewrite._rewrite_test(path, config)
        rewrite._write_pyc(config.stash[rewrite.assertstate_key], code, digest, _kept(path))
