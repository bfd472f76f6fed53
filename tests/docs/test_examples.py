"""Every example of the documentation runs, and prints what the page shows."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import attrs
import pytest

from hardening import host, plugins
from hardening.compose import compose
from hardening.layers import Stack
from tests.docs.examples import ROOT, Block, blocks, commands, differs, pages
from tests.support.features import require
from tests.support.texts import layer

#: What a block may be written in; only `console` is run, only `toml` and `python` may be written to files.
LANGUAGES = {"", "console", "toml", "python", "json", "text", "sh", "make", "mermaid"}


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the ids of a container can enter, unlike pytest's."""
    path = Path(tempfile.mkdtemp(prefix="hardening-docs-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("XDG_RUNTIME_DIR", "LANG", "CI") if name in os.environ}
    scripts = Path(sys.executable).parent
    home = folder / ".home"
    home.mkdir(mode=0o755)
    path = f"{scripts}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {**kept, "PATH": path, "HOME": str(home), "NO_COLOR": "1", "COLUMNS": "120", "TERM": "dumb"}


@pytest.mark.parametrize("page", pages(), ids=_name)
def test_examples_run_and_print_what_is_shown(page: Path, folder: Path) -> None:
    parts = [block for block in blocks(page) if block.language == "console" or "file" in block.marks]
    for block in parts:
        if "needs" in block.marks:
            require(block.marks["needs"])
    environment = _environment(folder)
    where = folder
    for block in parts:
        if block.language == "console":
            where = _run(block, where, environment)
        else:
            path = where / block.marks["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
            path.chmod(0o644)


def _run(block: Block, where: Path, environment: dict[str, str]) -> Path:
    """Run the commands of a block, beginning in the directory ``where``; the one in which a reader's shell is then."""
    left = Path(environment["HOME"], "left")
    for command in commands(block):
        done = subprocess.run(
            ["bash", "-c", f"trap {shlex.quote(f'pwd -P >{left}')} EXIT\n{command.text}"],
            cwd=where, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=120, check=False,
        )  # fmt: skip
        context = f"{block.place}: $ {command.text}\n{done.stdout}"
        assert done.returncode == command.code, f"exit {done.returncode}, not {command.code}: {context}"
        line = differs(command.output, done.stdout) if command.output else None
        assert line is None, f"not printed as shown, at {line!r}: {context}"
        where = Path(left.read_text().removesuffix("\n"))
    return where


def test_a_page_stays_in_the_directory_that_its_commands_went_to(folder: Path) -> None:
    environment = _environment(folder)
    moved = Block(Path(__file__), 1, "console", {}, "$ mkdir a && cd a\n$ (mkdir b && cd b); exit 3\n[exit 3]\n")
    assert _run(moved, folder, environment) == folder / "a"
    assert _run(attrs.evolve(moved, text="$ basename $PWD; ls\na\nb\n"), folder / "a", environment) == folder / "a"


PROFILES = [
    pytest.param(block, id=block.place) for page in pages() for block in blocks(page) if "profile" in block.marks
]


@pytest.mark.parametrize("block", PROFILES)
def test_profiles_on_the_pages_compose(block: Block) -> None:
    """Blocks marked ``profile`` stand for a whole layer; what they extend is left out."""
    mechanisms = plugins.load().mechanisms
    text = "".join(line for line in block.text.splitlines(keepends=True) if not line.startswith("extends"))
    compose(Stack((layer(text),)), mechanisms, host.probe(mechanisms), date(2026, 1, 1))


@pytest.mark.parametrize("page", pages(), ids=_name)
def test_blocks_are_marked_so_that_none_is_passed_over(page: Path) -> None:
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{block.place}: a block without a known language"
        if block.language != "console":
            assert not any(line.startswith("$ ") for line in block.text.splitlines()), f"{block.place}: not run"
        if block.language == "console":
            assert block.text.startswith("$ "), f"{block.place}: no command"
        if block.language == "toml":
            marked = {"file", "profile", "fragment"} & block.marks.keys()
            assert marked, f"{block.place}: mark it file=NAME, profile, or fragment"
            tomllib.loads(block.text)


def test_the_comparison_has_teeth() -> None:
    assert differs(("a", "...", "z"), "a\nb\nc\nz\n") is None
    assert differs(("a …c",), "a b c") is None
    assert differs(("a",), "b") == "a"
    assert differs(("a", "b"), "a\nc") == "b"
    assert differs(("a",), "a\nb") == "the end"
    assert differs(("a.c",), "abc") == "a.c"
