"""What is there for the caller and not inside is told, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hardening.cli.options.missing import advice
from hardening.mechanism.fragment import Directory, File, Spec, Symlink

BOTH = '-v "$PWD:$PWD" -w "$PWD"'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The caller's working directory, with a script."""
    folder = tmp_path / "project"
    (folder / "bin").mkdir(parents=True)
    for name in ("s.py", "bin/tool"):
        (folder / name).write_text("")
    monkeypatch.chdir(folder)
    return folder


def spec(*mounts: dict[str, Any], root: str = "rootfs", cwd: str = "/", files: dict[str, File] | None = None) -> Spec:
    document = {"root": {"path": root}, "process": {"cwd": cwd}, "mounts": list(mounts)}
    return Spec(json.dumps(document).encode(), {}, files or {"rootfs": Directory(), "rootfs/tmp": Directory()})


def bind(source: object, destination: object) -> dict[str, Any]:
    return {"destination": str(destination), "type": "bind", "source": str(source), "options": ["rbind"]}


def tmpfs(destination: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": "tmpfs", "source": "tmpfs", "options": list(options)}


@pytest.mark.parametrize("name", ["./s.py", "bin/tool"])
def test_a_script_of_the_project_needs_the_project(name: str, project: Path) -> None:
    assert advice(spec(tmpfs("/tmp")), name) == f"{name} is not shown inside: add {BOTH}"


def test_a_project_that_is_shown_needs_only_to_be_the_working_directory(project: Path) -> None:
    told = advice(spec(bind(project, project)), "./s.py")
    assert told == './s.py is not below /, the working directory inside: add -w "$PWD"'
    assert advice(spec(bind(project, project), cwd=str(project)), "./s.py") is None
    assert advice(spec(bind(project, "/x"), cwd="/x"), "./s.py") is None


def test_a_script_elsewhere_needs_its_own_folder(project: Path, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("")
    assert advice(spec(), f"{tmp_path}/other") == f"{tmp_path}/other is not shown inside: add -v {tmp_path}:{tmp_path}"
    told = advice(spec(), "../other")
    assert told == f"../other is not shown inside: add -v {tmp_path}:{tmp_path}, and call it {tmp_path}/other"


def test_a_folder_with_a_colon_is_shown_by_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a:b c"
    folder.mkdir()
    (folder / "s.py").write_text("")
    shown = f"""--set 'rootfs.volumes.add=[{{source = "{folder}", target = "{folder}"}}]'"""
    assert advice(spec(), f"{folder}/s.py") == f"{folder}/s.py is not shown inside: add {shown}"
    monkeypatch.chdir(folder)
    assert advice(spec(), "./s.py") == f'./s.py is not shown inside: add {shown} -w "$PWD"'


def test_a_working_directory_that_is_not_shown(project: Path) -> None:
    assert advice(spec(cwd=str(project)), "id") == f'{project} is not shown inside: add -v "$PWD:$PWD"'
    assert advice(spec(cwd="/nowhere"), "id") is None


def test_nothing_is_said_of_what_is_missing_everywhere_or_needs_no_path(project: Path) -> None:
    for name in ("id", "./missing", "/nonexistent/id", "./bin"):
        assert advice(spec(), name) is None


def test_nothing_is_said_unless_it_is_certain(project: Path, tmp_path: Path) -> None:
    name = f"{project}/s.py"
    top = "/" + project.parts[1]
    assert advice(spec(tmpfs(top)), name)
    assert advice(spec(tmpfs(top, "tmpcopyup")), name) is None
    assert advice(spec({"destination": top, "type": "overlay", "source": "o"}), name) is None
    assert advice(spec(files={"rootfs": Directory(), f"rootfs{top}": Symlink("x")}), name) is None
    root = tmp_path / "root"
    root.mkdir()
    assert advice(spec(root=str(root)), name)
    (root / top[1:]).symlink_to("elsewhere")
    assert advice(spec(root=str(root)), name) is None
