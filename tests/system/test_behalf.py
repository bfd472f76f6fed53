"""A wrapper that forces a stack lends its rights to the command, and not to files that the caller names (SECURITY.md)."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from itertools import cycle
from pathlib import Path

import attrs
import pytest

from tests.support import runs
from tests.support.features import require
from tests.support.forking import typed
from tests.support.users import REPOSITORY, User, ordinary

pytestmark = pytest.mark.system

PROGRAM = str(Path(sys.executable).with_name("hardening"))
PRECIOUS = "precious"


@attrs.frozen
class Place:
    """Folders of root and of a person, whom sudo(8) names; the state directory is root's."""

    root: Path
    own: Path
    person: User

    def call(self, *argv: str, sudo: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        """Call a program as sudo(8) does for the person, or as root itself."""
        environment = {**os.environ, "HARDENING_STATE": str(self.root / "state"), **variables}
        if sudo:
            environment |= {"SUDO_UID": str(self.person.uid), "SUDO_GID": str(self.person.gid)}
        if argv[0] == PROGRAM:
            return typed(None, *argv[1:], env=environment, cwd=".")
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)

    def receipt(self, target: Path, *, sudo: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command with a receipt."""
        return self.call(PROGRAM, "run", "-q", "-p", "strict", "--receipt", str(target), "--", "echo", "ran", sudo=sudo)


@pytest.fixture
def place() -> Iterator[Place]:
    require("root")
    person = ordinary()
    with runs.workplace() as root, runs.workplace(person) as own:
        yield Place(root, own, person)


def test_a_receipt_is_written_with_the_rights_of_who_has_called(place: Place) -> None:
    for _ in range(2):  # what is theirs is replaced
        done = place.receipt(place.own / "receipt")
        assert (done.returncode, done.stdout) == (0, "ran\n"), done.stderr
        assert (place.own / "receipt").stat().st_uid == place.person.uid
    assert os.listdir(place.own) == ["receipt"]


#: What is written where the caller says, for the wrapper's program: the words, and the file that has been written.
WRITERS = {
    "receipt": (("run", "-q", "-p", "strict", "--receipt", "{}/file", "--", "true"), "file"),
    "compose": (("compose", "-q", "-p", "strict", "-o", "{}/bundle", "--", "true"), "bundle/config.json"),
    "apply": (("apply", "-q", "-p", "strict", "-o", "{}/out/file", "SOURCE"), "out/file"),
    "in place": (("apply", "-q", "-p", "strict", "--in-place", "{}/config.json"), "config.json"),
    "set": (("trust", "set", "--into", "{}/mine.toml", "-t", "reject", "quay.io/x"), "mine.toml"),
    "export": (("trust", "export", "-p", "strict", "{}/new"), "new/policy.json"),
    "report": (("report", "-p", "strict", "-o", "{}/report.html"), "report.html"),
    "new": (("profile", "new", "-o", "{}/new.toml", "new"), "new.toml"),
    "format": (("profile", "format", "{}/plain.toml"), "plain.toml"),
    "fix": (("lint", "--fix", "{}/plain.toml"), "plain.toml"),
    "plugin": (("plugin", "new", "quota", "--into", "{}/quota"), "quota/pyproject.toml"),
}
#: By which variable the caller is named, one after another: whom each names is held beside `behalf`.
NAMED = dict(zip(WRITERS, cycle(("SUDO_UID", "DOAS_USER", "PKEXEC_UID")), strict=False))
#: A profile with something to mend, and to lay out.
PLAIN = "# hardening: ignore[HRD005] nothing is there\n[process]\numask='077'\n"


@cache
def composed() -> str:
    """A configuration that `apply` reads."""
    return subprocess.run([PROGRAM, "compose", "-q", "--", "true"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", WRITERS)
def test_all_that_writes_does_so_with_the_rights_of_who_has_called(place: Place, name: str) -> None:
    (words, file), variable = WRITERS[name], NAMED[name]
    said = {variable: place.person.name if variable == "DOAS_USER" else str(place.person.uid)}
    source = place.root / "source.json"
    for path in (source, place.root / "config.json", place.own / "config.json"):
        path.write_text(composed())
    for folder in (place.root, place.own):
        (folder / "plain.toml").write_text(PLAIN)
    for path in place.own.iterdir():
        os.chown(path, place.person.uid, place.person.gid)
    argv = [str(source) if word == "SOURCE" else word for word in words]
    done = place.call(PROGRAM, *(word.format(place.own) for word in argv), sudo=False, **said)
    assert done.returncode == 0, done.stderr
    assert (place.own / file).stat().st_uid == place.person.uid
    before = {path: path.lstat().st_mtime_ns for path in place.root.iterdir() if path.name != "state"}
    done = place.call(PROGRAM, *(word.format(place.root) for word in argv), sudo=False, **said)
    assert done.returncode not in (0, 1), done.stderr
    assert any(words in done.stderr for words in ("Permission denied", "Operation not permitted")), done.stderr
    assert {path: path.lstat().st_mtime_ns for path in place.root.iterdir() if path.name != "state"} == before


def _root_s_folder(place: Place) -> Path:
    return place.root / "receipt"


def _root_s_file(place: Place) -> Path:
    (place.root / "file").write_text(PRECIOUS)
    return place.root / "file"


def _root_s_file_there(place: Place) -> Path:
    (place.own / "file").write_text(PRECIOUS)
    return place.own / "file"


def _link_to_a_file(place: Place) -> Path:
    (place.own / "link").symlink_to(_root_s_file(place))
    return place.own / "link"


def _link_to_a_folder(place: Place) -> Path:
    (place.own / "link").symlink_to(place.root)
    return place.own / "link/receipt"


def _fifo(place: Place) -> Path:
    os.mkfifo(place.own / "fifo")
    os.chown(place.own / "fifo", place.person.uid, place.person.gid)
    return place.own / "fifo"


KINDS = (_root_s_folder, _root_s_file, _root_s_file_there, _link_to_a_file, _link_to_a_folder, _fifo)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_else_is_written(place: Place, kind: Callable[[Place], Path]) -> None:
    target = kind(place)
    before = {path: path.lstat().st_ino for folder in (place.root, place.own) for path in folder.iterdir()}
    done = place.receipt(target)
    assert done.returncode == 2
    assert f"error: {target}: uid {place.person.uid}, who calls, cannot write it: " in done.stderr
    assert "ran" not in done.stdout
    after = {path: path.lstat().st_ino for folder in (place.root, place.own) for path in folder.iterdir()}
    after.pop(place.root / "state", None)
    assert after == before
    for path in before:
        assert not path.is_file() or path.read_text() == PRECIOUS


@pytest.mark.parametrize("kind", [_link_to_a_file, _fifo, "theirs"])
def test_root_itself_replaces_only_what_is_its_own(place: Place, kind: Callable[[Place], Path] | str) -> None:
    if isinstance(kind, str):
        target = place.own / "theirs"
        target.write_text(PRECIOUS)
        os.chown(target, place.person.uid, place.person.gid)
    else:
        target = kind(place)
    done = place.receipt(target, sudo=False)
    assert done.returncode == 2
    assert f"error: {target}: " in done.stderr
    assert not target.is_file() or target.read_text() == PRECIOUS


def test_root_itself_makes_no_folder_where_a_link_of_another_user_leads(place: Place) -> None:
    link = _link_to_a_folder(place).parent
    argv = (PROGRAM, "trust", "export", "-p", "strict", f"{link}/one/two")
    assert place.call(*argv, sudo=False).returncode == 0
    assert (place.root / "one/two/registries.d/hardening.yaml").is_file()
    os.chown(link, place.person.uid, place.person.gid, follow_symlinks=False)
    done = place.call(*argv[:-1], f"{link}/three/four", sudo=False)
    assert done.returncode == 125
    assert done.stderr.startswith(f"error: {link}/three/four/registries.d: cannot make the directory: ")
    assert not (place.root / "three").exists()


def test_the_recipe_of_the_page_gives_the_caller_the_command_alone(place: Place) -> None:
    text = (REPOSITORY / "SECURITY.md").read_text()
    match = re.search(r"```sh\n(#!/bin/sh\nexec /usr/bin/hardening run .*?)```", text, re.DOTALL)
    assert match is not None
    (place.root / "confined.toml").write_text('extends = ["strict"]\n[limits.rootfs]\nvolumes = []\n')
    script = match[1].replace("/usr/bin/hardening", shlex.quote(PROGRAM))
    wrapper = place.root / "confined"
    wrapper.write_text(script.replace("/etc/hardening/profiles/confined.toml", str(place.root / "confined.toml")))
    wrapper.chmod(0o755)
    assert place.call(str(wrapper), "echo", "ran").stdout == "ran\n"
    target = place.own / "receipt"
    for words in (
        ["--receipt", str(target)],
        ["-v", "/:/x"],
        ["--set", "namespaces.net=host"],
        ["-p", "default"],
        ["--"],
    ):
        done = place.call(str(wrapper), *words, "--", "echo", "ran")
        assert done.returncode == 127, done.stderr  # it is taken for the name of a command
        assert "ran" not in done.stdout
    assert not target.exists()
