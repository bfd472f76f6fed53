"""`docs/reference/process.md` says everything that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hardening_process.settings import RLIMITS
from tests.plugins.process.stacks import PROCESS, settings

PAGE = Path(__file__).parents[3] / "docs/reference/process.md"
TEXT = PAGE.read_text()


@pytest.mark.parametrize("name", [*PROCESS.schema.settings, *RLIMITS])
def test_every_setting_is_on_the_page(name: str) -> None:
    assert f"`{name}`" in TEXT


def test_every_option_is_on_the_page() -> None:
    for option in PROCESS.options():
        for flag in option.flags:
            assert re.search(rf"`{flag}[` ]", TEXT), flag


def test_the_example_is_a_profile(tmp_path: Path) -> None:
    example = re.search(r"```toml profile\n(.*?)```", TEXT, re.DOTALL)
    assert example
    found = settings(tmp_path, example[1])
    assert found.cpu == 150_000
    assert found.environment["EDITOR"]
