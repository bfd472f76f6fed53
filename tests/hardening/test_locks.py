"""`tools/setup` and `tools/lock.py`: what is locked fits `pyproject.toml`, and what cannot be installed is one sentence."""

from __future__ import annotations

import hashlib
import http.server
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.examples import ROOT

#: This interpreter, as a lock names it.
HERE = f"# CPython {sys.version_info[0]}.{sys.version_info[1]} {platform.machine()}\n"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A tree with what set-up reads, and nothing to compile."""
    for name in ("hardening", "plugins", "profiles/hardening_profiles", "scripts"):
        (tmp_path / name).mkdir(parents=True)
    shutil.copytree(ROOT / "tools", tmp_path / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "scripts/hardening", "scripts/hardening-cli"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """The address of a package index that serves one wheel."""
    folder = tmp_path / "index/simple/trifle"
    folder.mkdir(parents=True)
    wheel = folder / "trifle-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("trifle-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: trifle\nVersion: 1.0\n")
    (folder / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path / "index"))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/simple"
        server.shutdown()
        thread.join()


def set_up(clone: Path, index: str) -> subprocess.CompletedProcess[str]:
    given = {"PATH": os.environ["PATH"], "HOME": str(clone), "PYTHON": sys.executable, "PIP_CONFIG_FILE": "/dev/null",
             "PIP_INDEX_URL": index, "PIP_RETRIES": "0"}  # fmt: skip
    return subprocess.run([clone / "tools/setup"], env=given, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("missing", ["a server", "the right hash", "the release", "the interpreter"])
def test_what_cannot_be_installed_is_one_sentence(missing: str, clone: Path, index: str) -> None:
    lock = clone / "tools/locks/run.txt"
    digest = hashlib.sha256((clone / "index/simple/trifle/trifle-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    pin = f"trifle==1.0 --hash=sha256:{'0' * 64 if missing == 'the right hash' else digest}\n"
    if missing == "the release":
        pin = pin.replace("1.0", "2.0")
    lock.write_text(("" if missing == "the interpreter" else HERE) + "# CPython 3.4 mips\n" + pin)
    done = set_up(clone, "http://127.0.0.1:1/simple" if missing == "a server" else index)
    assert done.returncode == 1
    assert done.stdout == ""
    sentence = {
        "a server": r"the package index cannot be reached, or lacks trifle==1\.0; `.* -m pip config list` shows which it is",
        "the right hash": r"the package index serves another trifle==1\.0 than tools/locks/run\.txt has the SHA-256 of; if "
        r"both are right, renew it with: make lock",
        "the release": r"the package index has no trifle==2\.0 for this Python, which tools/locks/run\.txt names",
        "the interpreter": r"tools/locks/run\.txt knows no Python such as CPython 3\S+ on \S+; it knows CPython 3\.4 mips",
    }[missing]
    *before, last = done.stderr.splitlines()
    assert re.fullmatch(f"setup: {sentence}", last)
    assert [line.partition(" ")[0] for line in before] == ["setup:", "setup:"]  # what it is about to do


def test_a_lock_that_does_not_fit_is_named_with_the_command_that_renews_it(clone: Path) -> None:
    def check() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(clone / "tools/lock.py"), "--check"]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = check()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    names = sorted(path.name for path in (clone / "tools/locks").iterdir())
    (clone / "tools/locks" / names[0]).unlink()
    advice = "does not fit pyproject.toml; renew it with: make lock"
    done = check()
    assert (done.returncode, done.stderr) == (1, f"tools/locks/{names[0]} {advice}\n")
    project = clone / "pyproject.toml"
    project.write_text(project.read_text().replace('"attrs>=', '"attrs>=99.'))
    done = check()
    assert done.returncode == 1
    assert sorted(done.stderr.splitlines()) == [f"tools/locks/{name} {advice}" for name in names]


def test_locks_agree_with_one_another() -> None:
    found: dict[tuple[str, str], set[str]] = {}
    for path in (ROOT / "tools/locks").iterdir():
        for line in path.read_text().splitlines():
            if match := re.match(r"(\S+)==(\S+)(.*)\\", line):
                found.setdefault((match[1], match[3]), set()).add(match[2])
    assert len(found) > 20
    assert {pin: versions for pin, versions in found.items() if len(versions) > 1} == {}
