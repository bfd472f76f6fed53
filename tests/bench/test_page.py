"""The page is what its result says."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.bench.page import number, page, summary
from tests.bench.results import result
from tests.support.users import REPOSITORY

PUBLISHED = REPOSITORY / "docs/bench"


def test_the_published_page_is_that_of_the_published_result() -> None:
    kept = json.loads((PUBLISHED / "bench.json").read_text())
    assert (PUBLISHED / "README.md").read_text() == page(kept)


def test_medians_ratios_and_verdicts() -> None:
    text = page(result())
    assert "| hardening launch | 15.0 | 14.5–15.5 | 3 |  | 1.88 | 0.50 | 0.19 |" in text
    assert "| `hardening run`, first composition / `podman run` | 2.5 | at most 1.5 | missed |" in text
    assert "| hardening run | 9.5 | — |" in text
    assert "| ms | 10.0 | 100.0 | 1,000.0 | 1.00 |" in text
    assert "| `strict`, crun | 3 | 6 | 7 | 326 (`ioctl`) |" in text
    assert "- Not measured as an ordinary user: runc ends with 1" in text


def test_what_trust_costs() -> None:
    text = page(result())
    assert "| native, root | 21.0 | 23.0 | +2.0 | 1.10 |" in text
    assert "| crun, root | 30.0 | 45.0 | +15.0 | 1.50 |" in text
    assert "| native, an ordinary user | 21.0 | 20.5 | -0.5 | 0.98 |" in text
    assert "| `docker:` | 2.50 | 10.00 | 0.25 |" in text
    assert "verdicts on 100 images" in text
    assert "| reading policy.json | 0.7 ms | 200 ms | 285.71 |" in text


def test_what_asking_costs() -> None:
    text = page(result())
    assert (
        "| `hardening why` of a command that is denied one system call | 600 | strace(1) of it | 200 | 3.00 |" in text
    )
    assert "| a hundred short processes, recorded by `hardening learn` | 1500 | unrecorded | 1000 | 1.50 |" in text
    assert (
        "| `hardening run` of a command that fails, with the line after it | 60 | of one that succeeds | 40 | 1.50 |"
        in text
    )
    assert "| `hardening score` | 250 | `hardening compose` | 200 | 1.25 |" in text
    assert "| `hardening inspect --all` of all containers, against a stack | 1500 | without one | 500 | 3.00 |" in text
    assert "| `hardening learn`, a hundred short processes recorded / unrecorded | 1.5 | at most 2 | reached |" in text


def test_where_the_time_goes_of_what_is_missed() -> None:
    text = page(result())
    assert (
        "`hardening run, first composition` misses a target. Of its 200 ms in the trace below, 180 pass until python is "
        "executed, of which importing modules takes 91." in text
    )
    assert "`hardening launch` misses" not in text


def test_a_result_of_an_ordinary_user_has_a_page() -> None:
    bare = {**result(), "memory": {}, "instructions": {}, "percall": {}}
    for what in ("images", "verifying", "explaining", "asking"):
        del bare[what]
    assert "not measured" in page(bare)
    assert "hardening launch" in summary(bare)


@pytest.mark.parametrize(("value", "text"), [(None, "—"), (0.0368, "0.0368"), (1.0, "1"), (12.345, "12.3"), (9.0, "9")])
def test_three_digits_count(value: float | None, text: str) -> None:
    assert number(value) == text


def test_the_same_result_gives_the_same_plots(tmp_path: Path) -> None:
    from tests.bench import plots  # which takes longer to import than most tests take

    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
        plots.draw(result(), folder)
    names = sorted(path.name for path in folders[0].iterdir())
    assert names == ["composing.svg", "instructions.svg", "launches.svg", "memory.svg"]
    for name in names:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
        assert ElementTree.parse(folders[0] / name).getroot().tag.endswith("svg")
