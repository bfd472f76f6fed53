"""Class names of hardening and its plugins: a name means one class, so that a reader who searches for it finds it."""

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
