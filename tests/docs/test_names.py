"""Names that mean one thing: of classes, so that who searches for one finds it, and numbers of decisions."""

import ast
import re
import tomllib
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


def test_what_a_docstring_names_of_the_code_is_there() -> None:
    groups = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"])
    gone = []
    for folder in ("hardening", "plugins"):
        for path in (ROOT / folder).rglob("*.py"):
            named = re.findall(r"`(hardening(?:_\w+)?(?:\.\w+)+)`", path.read_text())
            gone += [
                (str(path.relative_to(ROOT)), name) for name in {*named} - groups if not _is_there(name.split("."))
            ]
    assert gone == []


def _is_there(parts: list[str]) -> bool:
    """Whether a module, with what is named in it, is in the tree."""
    place = ROOT if parts[0] == "hardening" else ROOT / "plugins"
    while parts and (place / parts[0]).is_dir():
        place /= parts.pop(0)
    module = (
        place.joinpath(parts.pop(0) + ".py") if parts and (place / f"{parts[0]}.py").exists() else place / "__init__.py"
    )
    return module.exists() and all(re.search(rf"\b{name}\b", module.read_text()) for name in parts)


def test_a_decision_has_a_number_of_its_own() -> None:
    files = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
    titles = [int(file.read_text().removeprefix("# ").partition(".")[0]) for file in files]
    assert (
        [int(file.name.partition("-")[0]) for file in files]
        == titles
        == list(range(titles[0], titles[0] + len(titles)))
    )
