"""The reference pages are held against the code: hooks, settings, profiles."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from types import ModuleType, UnionType
from typing import Any, TypeVar, get_args, get_origin

import pytest

from hardening import api
from hardening.compose.rules import RuleRegistry
from hardening.mechanism.kinds import Kind
from hardening.mechanism.mechanism import Mechanism
from hardening.mechanism.schema import Scalar, Setting
from hardening.plugin import hookspecs, plugins
from hardening.profile import layers
from hardening.report import lint
from tests.docs.examples import ROOT
from tests.fuzz.harness import targets
from tests.support import shipped
from tools import man, picture, plugin_api

REFERENCE = ROOT / "docs/reference"
HOOKS = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("hardening_")}
MECHANISMS = plugins.load().mechanisms
SHIPPED = [path.stem for path in shipped.FILES]


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_is_documented_with_its_arguments(name: str) -> None:
    text = (REFERENCE / "hooks.md").read_text()
    arguments = ", ".join(inspect.signature(HOOKS[name]).parameters)
    assert f"## `{name}({arguments})`\n" in text


def test_no_hook_is_documented_that_does_not_exist() -> None:
    documented = set(re.findall(r"^## `(\w+)\(", (REFERENCE / "hooks.md").read_text(), re.MULTILINE))
    assert documented == HOOKS.keys()


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_has_a_test(name: str) -> None:
    assert f"def {name}(" in (ROOT / "tests/hardening/plugin/test_plugins.py").read_text()


def test_every_name_of_the_interface_of_plugins_is_documented_with_its_members() -> None:
    _, marked, names = (REFERENCE / "plugin-api.md").read_text().partition("tools/plugin_api.py -->\n\n")
    assert marked
    assert sorted(name for section in plugin_api.SECTIONS.values() for name in section) == sorted(api.__all__)
    assert names == "\n".join(plugin_api.api_page()) + "\n", ".venv/bin/python tools/plugin_api.py prints it anew"


#: What the program alone makes, and a plugin reads without naming what is in it.
SHOWN = (api.Layer, api.Stack, api.Resolved, api.Name, api.Node)


def _annotated(kind: type) -> Iterator[tuple[str, str]]:
    """What a class says of its fields and of the arguments of its methods, and an interface of their answers, too."""
    interface = kind in (api.Mechanism, api.Runtime, api.Scanner, api.SecretDriver)
    yield from ((name, text) for name, text in vars(kind).get("__annotations__", {}).items() if name[0] != "_")
    for name, member in vars(kind).items():
        function = getattr(member, "__func__", member)
        if inspect.isfunction(function) and function.__module__ == kind.__module__ and name[0] != "_":
            said = function.__annotations__.items()
            yield from ((f"{name}: {of}", text) for of, text in said if interface or of != "return")


def _named(annotation: Any, module: ModuleType) -> Iterator[str]:
    """The names in an annotation, and of one that stands for several types theirs."""
    for node in ast.walk(ast.parse(annotation, mode="eval")):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _named(node.value, module)
        if isinstance(node, ast.Name):
            meant = vars(module).get(node.id)
            parts = get_args(meant) if get_origin(meant) is not None or isinstance(meant, UnionType) else ()
            yield from (part.__name__ for part in parts if isinstance(part, type)) if parts else (node.id,)


def _of_the_program(name: str, module: ModuleType) -> bool:
    meant = vars(module).get(name, Kind)  # what is imported for type checkers alone is not there
    return not isinstance(meant, TypeVar) and getattr(meant, "__module__", "").startswith("hardening")


def test_plugins_can_import_every_type_that_they_are_given_or_give() -> None:
    exported = [getattr(api, name) for name in api.__all__]
    known = {*vars(builtins), "PathLike", *api.__all__, api.used.Used.__name__}
    kinds = [kind for kind in exported if isinstance(kind, type) and kind not in SHOWN]
    said = [(kind, sys.modules[kind.__module__], *item) for kind in kinds for item in _annotated(kind)]
    missing = [
        f"{kind.__name__}.{where}: {name}"
        for kind, module, where, annotation in said
        for name in set(_named(annotation, module)) - known
        if _of_the_program(name, module)
    ]
    assert not missing


def _settings() -> list[Any]:
    return [
        pytest.param(mechanism, setting, id=str(mechanism.leaf(setting.name)))
        for mechanism in MECHANISMS
        for setting in mechanism.schema.fields.values()
    ]


@pytest.mark.parametrize(("mechanism", "setting"), _settings())
def test_every_setting_is_documented(mechanism: Mechanism[Any], setting: Setting) -> None:
    text = (REFERENCE / f"{mechanism.name}.md").read_text()
    named = [part for part in re.split(r"\n\n+|\n(?=\|)", text) if f"`{setting.name}`" in part or not setting.name]
    assert named, f"docs/reference/{mechanism.name}.md does not name `{setting.name}`"
    assert any(_plain(setting.kind.grammar()) in _plain(part) for part in named), setting.kind.grammar()
    if isinstance(setting, Scalar):
        shown = _shown(setting.kind, setting.default)
        assert any(shown in _plain(part) for part in named), f"the default of {setting.name} is {shown}"


def _plain(text: str) -> str:
    return text.replace("`", "").replace("\\|", "|").replace('"', "")


def _shown(kind: Kind[Any], value: object) -> str:
    return _plain(kind.show(value))


@pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda mechanism: mechanism.name)
def test_every_option_is_documented(mechanism: Mechanism[Any]) -> None:
    text = (REFERENCE / f"{mechanism.name}.md").read_text()
    for option in mechanism.options():
        assert f"`{option.flags[0]}" in text or f"`{option.flags[-1]}" in text, option.flags


@pytest.mark.parametrize("key", layers.HEADER)
def test_every_key_of_a_profile_s_header_is_documented(key: str) -> None:
    assert f"`{key}`" in (REFERENCE / "profiles.md").read_text()


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_profile_is_listed(name: str) -> None:
    assert f"`{name}`" in (REFERENCE / "profiles.md").read_text()


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_profile_has_a_page_that_names_its_exceptions(name: str) -> None:
    page = (ROOT / f"docs/profiles/{name}.md").read_text()
    profile = tomllib.loads((ROOT / f"profiles/hardening_profiles/{name}.toml").read_text())
    assert page.startswith(f"# The profile `{name}`\n")
    for parent in profile.get("extends", []):
        assert f"]({parent}.md)" in page
    assert "exception" in page or "exceptions" not in profile


def test_the_page_of_rules_is_what_tools_reference_prints() -> None:
    assert (REFERENCE / "rules.md").read_text() == lint.page(RuleRegistry(MECHANISMS)), (
        "tools/reference.py rules > docs/reference/rules.md"
    )


def test_every_target_of_make_has_its_line_of_help_and_is_documented() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split()
    helped = subprocess.run(["make", "-s", "help"], cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True).stdout
    assert [line.split()[1] for line in helped.splitlines()] == targets
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    assert not [target for target in targets if f"| `make {target}` |" not in contributing]


def test_every_tool_for_people_is_documented() -> None:
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    for tool in ("beyond.py", "compare", "facts.py", "reference.py", "setup"):
        assert (ROOT / "tools" / tool).exists()
        assert f"`tools/{tool}`" in contributing or f"tools/{tool} " in contributing, tool


def test_every_target_of_the_fuzzer_is_on_the_page_of_hostile_input() -> None:
    table = (REFERENCE / "hostile-input.md").read_text().partition("\n## ")[0]
    cells = re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(cells))) == sorted(targets())


def test_the_pages_name_no_place_of_one_machine() -> None:
    for page in [*ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md"), *ROOT.glob("tests/fuzz/*/*/*")]:
        assert b"/work/" not in page.read_bytes(), page


def test_a_test_is_skipped_for_a_feature_of_the_host_alone() -> None:
    ways = {"skip", "skipif", "importorskip"}
    texts = {path: path.read_text() for path in (ROOT / "tests").rglob("*.py")}
    for path in (path for path, text in texts.items() if "skip" in text):  # which each of them has in it
        named = {node.attr for node in ast.walk(ast.parse(texts[path])) if isinstance(node, ast.Attribute)}
        assert path.name == "features.py" or not named & ways, path


def test_the_manual_page_is_what_the_commands_say() -> None:
    """`tools/man.py` writes it anew."""
    written, current = man.PAGE.read_text().splitlines(), man.page().splitlines()
    assert written == current, "write it anew: .venv/bin/python tools/man.py"
    assert [line for line in written if not line.isascii()] == []
    assert {f'.SS "hardening {name} ' in "\n".join(written) for name in ("run", "report", "secret create")} == {True}


def test_the_picture_of_the_readme_is_that_of_the_tutorial() -> None:
    assert picture.PICTURE.read_text() == picture.picture(), "write it anew: .venv/bin/python tools/picture.py"
