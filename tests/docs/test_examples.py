"""Every example of the documentation runs, and prints what the page shows."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.compose.composition import compose
from hardening.mechanism import host
from hardening.plugin import plugins
from hardening.profile.layers import Stack
from hardening.runs.containers import known, stop
from tests.docs.examples import ROOT, Block, blocks, commands, differs, pages
from tests.support import apart, audit
from tests.support.features import require
from tests.support.forking import typed
from tests.support.runs import deserted, hand_over
from tests.support.texts import layer
from tests.support.users import User, ordinary, owner, program

#: What a block may be written in; only `console` is run.
LANGUAGES = {"", "console", "toml", "python", "json", "text", "sh", "make", "mermaid", "c", "java", "javascript"}


#: What a shell may have to do something about.
_SHELLS = frozenset("$`|&;<>(){}[]*?~#!\\\n")

#: Where the program keeps what runs, in the folder of a page.
STATE = ".home/state"

#: How a fork of root's comes to a network of its own.
_APART = """
import subprocess
from hardening.base.linux import abi, kernel
kernel.unshare(abi.CLONE_NEWNET)
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
"""

#: These pages are read by root and by ordinary users: a caller who is root runs them as both.
FOR_BOTH = frozenset({*(ROOT / "docs/software").glob("*.md"), ROOT / "docs/howto/four-examples.md"})


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _readings() -> list[Any]:
    """Every page, one for ordinary users alone as one of them, and the pages for both once more as such."""
    both = [page for page in pages() if page in FOR_BOTH and os.geteuid() == 0]
    return [
        *(pytest.param(page, os.geteuid() == 0 and _is_for_users(page), id=_name(page)) for page in pages()),
        *(pytest.param(page, True, id=f"{_name(page)}-rootless") for page in both),
    ]


def _is_for_users(page: Path) -> bool:
    """Whether root reads none of a page's commands."""
    readers = {block.marks.get("as") for block in blocks(page) if block.language == "console"}
    return readers == {"user"}


@attrs.frozen
class Reader:
    """Who types what stands on a page; ``user`` is None for whoever runs the tests."""

    environment: Mapping[str, str]
    user: User | None = None
    #: Whether the network is one of the page's own, where no other service has the port that stands there.
    apart: bool = False

    def argv(self, text: str) -> list[str]:
        """A command line, as this reader's shell runs it."""
        argv = ["bash", "-c", text]
        argv = self.user.argv(argv) if self.user is not None else argv
        return ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *argv] if self.apart else argv

    def reads(self, block: Block) -> bool:
        """Whether a block is for this reader: ``as=root`` or ``as=user`` may say for whom it is."""
        root = self.user is None and os.geteuid() == 0
        return block.marks.get("as", "root" if root else "user") == ("root" if root else "user")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the ids of a container can enter, unlike pytest's."""
    path = apart.directory("hardening-docs-", "/var/tmp")
    path.chmod(0o755)
    yield path
    with owner(path):  # a page that runs nothing has no state
        left = known(path / STATE / "launches")
    stop(left, 0)
    deserted(path)  # what cleans up after a container takes a moment
    shutil.rmtree(path)


#: Where a reader's files are, who has the home of somebody else's account.
XDG = {"CONFIG": ".config", "DATA": ".local/share", "STATE": ".local/state"}


def _environment(folder: Path, user: User | None = None) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("XDG_RUNTIME_DIR", "LANG", "CI") if name in os.environ}
    if user is not None:
        kept["XDG_RUNTIME_DIR"] = str(user.runtime)
    scripts = Path(program(user)).parent if user is not None else Path(sys.executable).parent
    home = folder / ".home"
    home.mkdir(mode=0o755)
    path = f"{scripts}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    # Of its own, so that a page finds no other containers, and leaves none.
    own = {"STATE": STATE, "IMAGES": ".home/images", "SECRETS": ".home/secrets"}
    state = {f"HARDENING_{name}": str(folder / place) for name, place in own.items()}
    state |= {f"XDG_{name}_HOME": str(home / place) for name, place in XDG.items()}
    return {**kept, **state, "PATH": path, "HOME": str(home), "NO_COLOR": "1", "COLUMNS": "120", "TERM": "dumb"}


@pytest.mark.sampled("page")
@pytest.mark.parametrize(("page", "rootless"), _readings())
def test_examples_run_and_print_what_is_shown(page: Path, rootless: bool, folder: Path) -> None:
    parts = [block for block in blocks(page) if block.language == "console" or "file" in block.marks]
    for block in parts:
        if "needs" in block.marks:
            require(block.marks["needs"])
    if rootless:
        require("userns")
    user = ordinary() if rootless else None
    environment = _environment(folder, user)
    reader = Reader(environment, user, apart=page in FOR_BOTH and os.geteuid() == 0)
    hand_over(folder, user)
    where = folder
    # Records go to an audit daemon where one runs, and another test may have its own.
    with audit.alone() if any("hardening log" in block.text for block in parts) else nullcontext():
        for block in filter(reader.reads, parts):
            if block.language == "console":
                where = _run(block, where, reader)
            else:
                path = where / block.marks["file"]
                path.parent.mkdir(parents=True, exist_ok=True)
                hand_over(path.parent, user)
                path.write_text(block.text)
                path.chmod(0o644)
                hand_over(path, user)


def _run(block: Block, where: Path, reader: Reader) -> Path:
    """Run the commands of a block, beginning in the directory ``where``; the one in which a reader's shell is then."""
    left = Path(reader.environment["HOME"], "left")
    for command in commands(block):
        if _needs_shell(command.text) or (reader.apart and reader.user is not None):
            done = subprocess.run(
                reader.argv(f"trap {shlex.quote(f'pwd -P >{left}')} EXIT\n{command.text}"),
                cwd=where, env=reader.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, timeout=120, check=False,
            )  # fmt: skip
        else:
            _, *words = shlex.split(command.text)
            before = _APART if reader.apart else ""
            done = typed(reader.user, *words, cwd=where, env=reader.environment, merged=True, before=before)
        if left.exists():
            where = Path(left.read_text().removesuffix("\n"))
        context = f"{block.place}: $ {command.text}\n{done.stdout}"
        assert done.returncode == command.code, f"exit {done.returncode}, not {command.code}: {context}"
        line = differs(command.output, done.stdout) if command.output else None
        assert line is None, f"not printed as shown, at {line!r}: {context}"
    return where


def _needs_shell(text: str) -> bool:
    """Whether a command is more than the program's name and its words, or a word more than what is quoted."""
    return not text.startswith("hardening ") or not _SHELLS.isdisjoint(re.sub(r"'[^']*'", "", text))


def test_a_page_stays_in_the_directory_that_its_commands_went_to(folder: Path) -> None:
    reader = Reader(_environment(folder))
    moved = Block(Path(__file__), 1, "console", {}, "$ mkdir a && cd a\n$ (mkdir b && cd b); exit 3\n[exit 3]\n")
    assert _run(moved, folder, reader) == folder / "a"
    assert _run(attrs.evolve(moved, text="$ basename $PWD; ls\na\nb\n"), folder / "a", reader) == folder / "a"


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
