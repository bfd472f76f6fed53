"""Names that mean one thing: of classes, so that who searches for one finds it, and numbers of decisions."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_class_name_is_unique_across_the_packages() -> None:
    found = defaultdict(list)
    for folder in ("hardening", "plugins"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef):
                    found[node.name].append(str(path.relative_to(ROOT)))
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


def test_a_decision_has_a_number_of_its_own() -> None:
    files = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
    titles = [int(file.read_text().removeprefix("# ").partition(".")[0]) for file in files]
    assert (
        [int(file.name.partition("-")[0]) for file in files]
        == titles
        == list(range(titles[0], titles[0] + len(titles)))
    )
