"""`hardening/cli/commands`: a FIFO or a device where a file is read is refused at once: nobody may ever write into the one,
and the other has no end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.forking import ForkServer

PROGRAM = str(Path(sys.executable).with_name("hardening"))
PLACE = "FILE"
COMMANDS = (
    ("run", "-p", PLACE, "--", "true"),
    ("compose", "-p", PLACE),
    ("receipt", "-p", "strict", PLACE),
    ("log", "--from", PLACE),
    ("secret", "create", "one", PLACE),
    ("apply", "-p", "default", PLACE),
    ("launch", PLACE),
    ("trust", "import", PLACE, "--into", "new.toml"),
    ("compose", "--set", f"seccomp.profile={PLACE}"),
)


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with closing(ForkServer([sys.executable, "-I"], os.environ)) as found:
        yield found


@pytest.mark.parametrize("kind", ["fifo", "device"])
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[:2]))
def test_is_refused_at_once(server: ForkServer, words: tuple[str, ...], kind: str, tmp_path: Path) -> None:
    place = tmp_path / "place.toml"
    if kind == "fifo":
        os.mkfifo(place)
    else:
        place.symlink_to("/dev/zero")
    environment = {**os.environ, "HARDENING_STATE": str(tmp_path / "s"), "HARDENING_SECRETS": str(tmp_path / "k")}
    typed = [word.replace(PLACE, str(place)) for word in words]
    done = server.run(typed, code="from hardening.whole import main", cwd=tmp_path, env=environment)
    assert done.returncode not in (0, 1), done.stdout
    assert str(place) in done.stderr
    assert "regular file" in done.stderr or words[0] == "launch"
    assert "Traceback" not in done.stderr


def test_credentials_likewise(tmp_path: Path) -> None:
    place = tmp_path / "auth.json"
    os.mkfifo(place)
    profile = tmp_path / "any.toml"
    profile.write_text('[trust]\ndefault = "accept"\n[selinux]\nrequirement = "best-effort"\n')
    environment = {**os.environ, "REGISTRY_AUTH_FILE": str(place), "HARDENING_IMAGES": str(tmp_path / "i")}
    argv = [PROGRAM, "pull", "-p", str(profile), "--tls-verify=false", "127.0.0.1:9/a/b:1"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert f"{place}: cannot read the credentials file: it is not a regular file" in done.stderr
