"""Repositories of git."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

#: What no configuration of whoever runs the tests decides.
_WHO = {
    name: value
    for role in ("AUTHOR", "COMMITTER")
    for name, value in ((f"GIT_{role}_NAME", "test"), (f"GIT_{role}_EMAIL", "test@example.com"))
}


class Repository:
    """A repository at a folder, which is made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "-q", "-b", "main")

    def commit(self, files: Mapping[str, str]) -> None:
        """Write files, and commit all that there is."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "files")

    def tree(self, *entries: tuple[bytes, bytes, str]) -> str:
        """A tree of modes, names and objects, whatever they are."""
        data = b"".join(mode + b" " + name + b"\0" + bytes.fromhex(item) for mode, name, item in entries)
        return self.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", text=data.decode("latin-1"))

    def git(self, *words: str, text: str = "") -> str:
        """What git prints for an input, without the line's end."""
        env = {**os.environ, **_WHO, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
        argv = ["git", "-C", str(self.folder), *words]
        done = subprocess.run(argv, check=True, env=env, input=text.encode("latin-1"), stdout=subprocess.PIPE)
        return done.stdout.decode().strip()
