"""A clone of root's that others can write to is named by `tools/setup`, with the one command that mends all of it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.docs.examples import ROOT
from tests.support.features import require


def test_a_clone_with_umask_002_is_told_how_to_be_mended(tmp_path: Path) -> None:
    require("root")
    clone = tmp_path / "clone"
    for name in ("tools", "profiles/hardening_profiles"):
        (clone / name).mkdir(parents=True)
    shutil.copy(ROOT / "tools/setup", clone / "tools/setup")
    (clone / "profiles/hardening_profiles/base.toml").touch()

    def told() -> str:
        # No Python: it ends before it makes anything.
        done = subprocess.run([clone / "tools/setup"], env={"PATH": "/usr/bin:/bin", "PYTHON": "/bin/false"},
                              capture_output=True, text=True, check=False)  # fmt: skip
        assert done.returncode == 1
        return done.stderr

    subprocess.run(["chmod", "-R", "g+w", clone], check=True)
    command = told().partition("mend it with: ")[2].partition("\n")[0]
    assert command == f"chmod -R go-w '{clone}'"
    subprocess.run(["sh", "-c", command], check=True)
    assert "mend it with" not in told()
