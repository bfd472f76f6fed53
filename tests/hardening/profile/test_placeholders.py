"""What stands for the caller's own places: filled in where a profile is read, and nowhere else."""

from __future__ import annotations

import os
import pwd
from datetime import date
from pathlib import Path

import pytest

from hardening.cli.session import Request, Session
from hardening.compose.composition import Composition
from hardening.compose.implied import compose_here
from hardening.errors import HardeningError
from hardening.profile.layers import SearchPath, resolve
from tests.support.runs import host_of, installed

ME = pwd.getpwuid(os.getuid())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a name that would mean something where it was read again."""
    folder = tmp_path / "a:b {user}"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def composed(folder: Path, text: str, *more: str) -> Composition:
    paths = []
    for number, layer in enumerate((text, *more)):
        path = folder.parent / f"{number}.toml"
        path.write_text(layer)
        path.chmod(0o644)
        paths.append(str(path))
    plugins = installed()
    return compose_here(resolve(paths, SearchPath(())), plugins.mechanisms, host_of(None, plugins), date.today(), None)


def refused(folder: Path, text: str, *more: str) -> str:
    with pytest.raises(HardeningError) as caught:
        composed(folder, text, *more)
    return str(caught.value)


def test_a_value_has_what_they_stand_for_and_is_not_read_again(here: Path) -> None:
    text = """
[rootfs]
volumes.add = ["{cwd}/x:{cwd}:ro", { source = "/srv/{uid}-{gid}", target = "/of-{user}" }]
tmpfs.add = ["{home}"]
[process]
cwd = "{cwd}"
set_environment = { A = "{{cwd}} {user} {\\"a\\": 1}" }
"""
    found = composed(here, text)
    root, process = found.settings["rootfs"], found.settings["process"]
    assert root.sources() == {f"{here}": f"{here}/x", f"/of-{ME.pw_name}": f"/srv/{os.getuid()}-{os.getgid()}"}
    assert ME.pw_dir in root.mounted_tmpfs()
    assert process.cwd == str(here)
    assert process.set_environment["A"] == f'{{cwd}} {ME.pw_name} {{"a": 1}}'
    assert found.stack.layers[0].document.depends_on_folder
    (step,) = found.leaves[found.mechanism("process").leaf("cwd")].steps  # type: ignore[union-attr]
    assert step.said == f"{here} (written {{cwd}})"


def test_limits_bind_what_they_stand_for_and_exceptions_name_it(here: Path) -> None:
    limit = '[limits.rootfs]\nvolume_sources = ["{cwd}"]\n[rootfs]\nvolumes = []\n'
    asked = '[rootfs]\nvolumes.add = ["{cwd}:{cwd}"]\n[[exceptions]]\nsetting = "rootfs.volumes.{cwd}"\nreason = "r"\n'
    assert composed(here, limit, asked).settings["rootfs"].sources() == {str(here): str(here)}
    assert "stricter" in refused(here, limit, asked.replace('"rootfs.volumes.{cwd}"', '"rootfs.volumes./x"'))
    assert f"come from {here}" in refused(here, limit, asked.replace('"{cwd}:', '"/srv:'))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[process]\ncwd = "{cdw}"', "0.toml:2: process.cwd: {cdw} stands for nothing\nhint: did you mean {cwd}?; {{cdw}}"),
        ('[rootfs]\ntmpfs.add = ["/a", "{PWD}/x"]', "0.toml:2: rootfs.tmpfs.add[1]: {PWD} stands for nothing\nhint:"),
        ('[[exceptions]]\nsetting = "rootfs.volumes.{hom}"\nreason = "r"', "0.toml:2: exceptions[0].setting: {hom} stands"),
        ('extends = "{user}"', 'no such profile: "{user}"'),
        ('[process]\nuser = "{user}"', 'process.user: "{user}"'),
    ],
)  # fmt: skip
def test_what_stands_for_nothing_is_told_with_its_line(here: Path, text: str, says: str) -> None:
    assert says in refused(here, text)


def test_a_star_of_the_callers_is_no_pattern(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starred = here / "*"
    starred.mkdir()
    monkeypatch.chdir(starred)
    assert "has a *, which stands for any name here" in refused(here, '[rootfs]\nmasked_paths.add = ["{cwd}/x"]')
    assert composed(here, '[process]\ncwd = "{cwd}"').settings["process"].cwd == str(starred)


def test_without_a_working_directory_it_says_so(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = here / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert "there is no working directory" in refused(here, '[process]\ncwd = "{cwd}"')


@pytest.mark.parametrize(
    ("place", "says"), [("/", "cannot be a mount's destination"), ("/home", "shows what is hidden"), ("~", "hidden")]
)
def test_where_the_place_is_wrong_the_remedy_is_another_place(
    place: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(os.path.expanduser(place))
    with pytest.raises(HardeningError) as caught:
        Session(installed()).compose(Request(("agent",)))
    hint = str(caught.value.hint)
    assert says in str(caught.value)
    assert "[[exceptions]]" not in hint
    assert f"{{cwd}} is {os.getcwd()} here" in hint or (os.getcwd(), "/srv" in hint) == ("/root", True)
