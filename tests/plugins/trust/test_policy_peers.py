"""The same texts before `skopeo`: it takes what is taken here, and refuses the others with the same words."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.plugins.trust.policies import REFUSED, TAKEN


def message(text: str, folder: Path) -> str:
    """What skopeo says of a policy, empty where it goes on to look at the image, which there is none."""
    (folder / "policy.json").write_text(text)
    argv = ["skopeo", "copy", "--policy", "policy.json", "dir:none", "dir:copy"]
    found = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    said = re.search(r'msg="(.*)"$', found.stderr.strip().splitlines()[-1])
    assert said is not None
    text = said[1].replace('\\"', '"')
    assert "none/manifest.json" in text or "invalid policy" in text
    return text if "invalid policy" in text else ""


@pytest.mark.parametrize("text", REFUSED)
def test_skopeo_refuses_it_in_the_same_words(text: str, tmp_path: Path) -> None:
    assert REFUSED[text] in message(text, tmp_path)


@pytest.mark.parametrize("text", TAKEN)
def test_skopeo_takes_it(text: str, tmp_path: Path) -> None:
    assert not message(text, tmp_path)
