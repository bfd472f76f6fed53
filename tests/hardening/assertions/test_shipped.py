"""`profiles/hardening_profiles`: what they promise holds by their compositions; whole, nothing could be looser unnoticed,
and the kernel says the same."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from hardening.cli import main
from hardening.profile.layers import SUFFIX, TEST_SUFFIX
from tests.support import shipped
from tests.support.features import require
from tests.support.users import ordinary, program

#: `base` only limits, and `agent` is of ordinary users, in a folder of their own.
NAMES = [path.stem for path in shipped.FILES if path.stem not in ("base", "agent")]


def test_each_profile_keeps_what_its_page_promises(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["test", *(word for name in NAMES for word in ("-p", name))])
    assert code == 0, capsys.readouterr().out
    assert {f"{name}{TEST_SUFFIX}" for name in (*NAMES, "agent")} == {
        path.name for path in shipped.FILES[0].parent.glob(f"*{TEST_SUFFIX}")
    }


@pytest.mark.complete
@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_it_could_be_looser_unnoticed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["test", "--mutate", "-p", name])
    assert code == 0, capsys.readouterr().out


@pytest.mark.complete
@pytest.mark.system
@pytest.mark.parametrize("name", [*NAMES, "agent"])
def test_the_kernel_says_the_same(name: str) -> None:
    require("userns")
    user = ordinary()
    with tempfile.TemporaryDirectory(dir=user.home) as folder:
        os.chown(folder, user.uid, user.gid)
        found = user.run([program(user), "test", "--live", "-p", name], cwd=Path(folder), timeout=3600)
    assert found.returncode == 0, found.stdout


def test_a_file_of_assertions_is_no_profile(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "list"]) == 0
    assert ".test" not in capsys.readouterr().out
    assert main(["compose", "-p", f"strict{TEST_SUFFIX.removesuffix(SUFFIX)}"]) == 2
