"""Each target holds for its seeds, for what was a finding once, and for a few hundred inputs that are made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.harness import SECONDS, Run, in_child, targets
from tests.support.features import require


@pytest.mark.parametrize("name", targets())
def test_a_reader_refuses_in_words_or_takes_what_its_model_says(name: str) -> None:
    def work(folder: Path) -> Run:
        run = Run(targets()[name], folder, seconds=5 * SECONDS)
        run.mutated(0, run.target.short)
        return run

    if name == "seccomp":
        require("x86_64")  # whose numbers the model asks for
    found = in_child(work)
    assert found["findings"] == {}
    assert found["accepted"]
