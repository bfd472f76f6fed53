"""pip installs from a folder, offline, and code that runs while a package is built gets no further."""

from __future__ import annotations

import ast
import io
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.software.harness import Place, placed, unneeded
from tests.support.users import User

pytestmark = pytest.mark.system

PYTHON = "/usr/bin/python3"
PIP = (PYTHON, "-m", "pip", "install", "-q", "--no-index", "--find-links", "/wheels", "--target", "/app/lib")

#: A build backend that tries what a hostile one would, and puts what came of it into the package.
BACKEND = """
import os, socket
from zipfile import ZipFile

ATTEMPTS = {{
    "a file of the caller": lambda: open({secret!r}).read(),
    "passwords": lambda: open("/etc/shadow").read(),
    "the environment": lambda: os.environ["TOKEN"],
    "writing a library": lambda: open("/usr/lib/python3/dist-packages/evil.pth", "w"),
    "writing a package": lambda: open("/wheels/evil.whl", "w"),
    "the network": lambda: socket.create_connection(("127.0.0.1", 9)),
    "running what was built": lambda: os.execv("/tmp/evil", ["evil"]),
    "other processes": lambda: [name for name in os.listdir("/proc") if name.isdigit() and int(name) > 50] or None,
}}

def attempt(action):
    try:
        return action()
    except Exception as error:
        return type(error).__name__

def build_wheel(folder, config_settings=None, metadata_directory=None):
    with open("/tmp/evil", "w") as file:
        file.write("#!/bin/sh\\n")
    os.chmod("/tmp/evil", 0o755)
    info, name = "evil-1.0.dist-info", "evil-1.0-py3-none-any.whl"
    with ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("evil.py", f"RESULTS = {{ {{name: attempt(action) for name, action in ATTEMPTS.items()}} !r}}")
        wheel.writestr(f"{{info}}/METADATA", "Metadata-Version: 2.1\\nName: evil\\nVersion: 1.0\\n")
        wheel.writestr(f"{{info}}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{{info}}/RECORD", "".join(f"{{name}},,\\n" for name in [*wheel.namelist(), f"{{info}}/RECORD"]))
    return name
"""
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


@contextmanager
def packages(user: User | None, *, direct: bool = True) -> Iterator[Place]:
    with placed("pip", user, direct=direct) as place:
        place.folders("wheels", "app")
        made = place.outside(PYTHON, "make_wheel.py")
        assert made.returncode == 0, made.stderr
        yield place


def works(place: Place) -> None:
    shutil.rmtree(place.folder / "app/lib", ignore_errors=True)
    done = place.run(*PIP, "greeting")
    assert done.returncode == 0, done.stderr
    code = "import sys; sys.path.insert(0, '/app/lib'); import greeting; greeting.greet()"
    assert place.run(PYTHON, "-c", code).stdout == "hello\n"


def source(place: Place) -> None:
    """A source package with the backend."""
    files = {
        "pyproject.toml": PROJECT,
        "PKG-INFO": "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n",
        "backend.py": BACKEND.format(secret=str(place.folder / "secret")),
    }
    with tarfile.open(place.folder / "wheels/evil-1.0.tar.gz", "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"evil-1.0/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))


def test_it_installs_what_can_be_imported(user: User | None) -> None:
    with packages(user, direct=False) as place:
        works(place)


def test_code_that_builds_a_package_gets_no_further(user: User | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "secret")
    with packages(user) as place:
        place.file("secret", "secret\n")
        source(place)
        done = place.run(*PIP, "evil")
        assert done.returncode == 0, done.stderr
        results = ast.literal_eval((place.folder / "app/lib/evil.py").read_text().partition("= ")[2])
        assert results == {
            "a file of the caller": "FileNotFoundError",
            "passwords": "",  # an empty file lies over them
            "the environment": "KeyError",
            "writing a library": "OSError",
            "writing a package": "OSError",
            "the network": "PermissionError",
            "running what was built": "PermissionError",
            "other processes": None,
        }


@pytest.mark.complete
def test_nothing_on_the_page_can_be_left_out() -> None:
    with packages(None) as place:
        assert unneeded(place, works) == []


def test_the_shipped_profile_needs_no_exception(user: User | None) -> None:
    with packages(user) as place:
        idmap = ":idmap" if user is None else ""
        place.file("volumes.toml", f'[rootfs]\nvolumes.add = ["./wheels:/wheels:ro", "./app:/app{idmap}"]\n')
        done = place.run(*PIP, "greeting", profiles=("build", "./volumes.toml"))
        assert done.returncode == 0, done.stderr
        assert (place.folder / "app/lib/greeting/__init__.py").exists()
