"""Print the names of docs/reference/plugin-api.md, which a test holds against the code: tools/plugin_api.py"""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import textwrap
from collections.abc import Iterator, Mapping
from enum import Enum
from types import ModuleType
from typing import Any

from hardening import api, testing
from hardening.plugin import hookspecs

#: The names of the page, by what somebody looks for.
SECTIONS = {
    "Registering": ("hookimpl",),
    "Mechanisms": (
        "Mechanism", "PackagedMechanism", "Context", "Reading", "Host", "Fragment", "Directory", "Symlink", "Spec",
    ),
    "Settings": (
        "scalar", "family", "listing", "annotation", "ConfigField", "Scalar", "Family", "Members", "Schema", "Leaf",
        "Statement", "Resolved", "read_table", "Node", "Origin", "WILDCARD", "Kind", "Flag", "Choice", "Ceiling",
        "Exact", "Unordered", "Order", "ValueChange",
    ),
    "What a mechanism answers with": (
        "Unsupported", "Violation", "Implied", "MountPoint", "Option", "ImageRequest", "Verification", "State", "Finding",
        "FindingRule", "FindingsOf", "Severity", "Exposure", "helpers",
    ),
    "What is denied, and what is learnt": (
        "SystemCall", "Caller", "Cause", "Way", "Size", "PathAnswer", "PathAccess", "Seen", "FileRights", "Evidence",
        "Usage", "LearntStatement", "Witness", "unless",
    ),
    "What is looked at": ("Input", "Inputs", "Unknown", "inputs"),
    "Runtimes and verdicts": (
        "Runtime", "ProgramRuntime", "oci_fields", "LaunchRequest", "Refusal", "Candidate", "Verdict", "Composition",
        "Stack", "Layer", "Exemption", "Name", "used",
    ),
    "Scanners": ("Scanner", "RootEntry", "ScannedRoot", "Detection", "Package", "KINDS"),
    "Secrets": ("SecretDriver", "SecretError"),
    "What mechanisms know of one another": ("roles",),
    "Errors": ("HardeningError", "ProfileError", "UsageError", "PluginError", "SpecError", "HostError", "ImageError"),
}  # fmt: skip


def api_page() -> Iterator[str]:
    """Every name of `hardening.api` with its members, their arguments and their docstrings, in Markdown lines."""
    for title, names in SECTIONS.items():
        yield from (f"## {title}", "")
        if names == ("hookimpl",):
            yield from (
                "`hookimpl` marks each of these functions of a plugin; [hooks](hooks.md) has their arguments.",
                "",
            )
            yield from ("| hook | what it is |", "| --- | --- |")
            for name, hook in vars(hookspecs).items():
                if name.startswith("hardening_"):
                    arguments = ", ".join(inspect.signature(hook).parameters)
                    yield f"| `{name}({arguments})` | {_cell(_first_paragraph(hook))} |"
            yield ""
            continue
        for name in names:
            yield from _entry(name, getattr(api, name))

    yield from ("## Tests", "", "`hardening.testing` has what tests of plugins take.", "")
    for name in testing.__all__:
        yield from _entry(name, getattr(testing, name))


def _entry(name: str, item: Any) -> Iterator[str]:
    if isinstance(item, type):
        yield from (f"### `{name}`", "", *_class(item), "")
    elif isinstance(item, ModuleType):
        yield from (f"### `{name}`", "", *_paragraphs(item), "", "| name | what it is |", "| --- | --- |")
        own = [(part, value) for part, value in vars(item).items() if getattr(value, "__module__", "") == item.__name__]
        for part, value in own:
            if part[0] != "_" and inspect.isfunction(value):
                yield f"| `{part}{_signature(value)}` | {_cell(inspect.getdoc(value) or '')} |"
        yield ""
        for part, value in own:
            if part[0] != "_" and isinstance(value, type):
                yield from (f"#### `{name}.{part}`", "", *_class(value), "")
        constants = [
            f"`{part}` is `{value!r}`"
            for part, value in vars(item).items()
            if part.isupper() and isinstance(value, str | tuple)
        ]
        yield from (", ".join(constants) + ".", "") if constants else ()
    elif inspect.isfunction(item):
        yield from (f"### `{name}{_signature(item)}`", "", *_paragraphs(item), "")
    else:
        yield from (f"### `{name}`", "", f"`{item!r}`", "")


def _class(kind: type) -> Iterator[str]:
    yield from _paragraphs(kind)
    documented, bare = _attributes(kind)
    if bare:
        yield from ("", f"Fields: {', '.join(f'`{field}`' for field in bare)}.")
    rows = [*documented, *_methods(kind)]
    if rows:
        yield from ("", "| member | what it is |", "| --- | --- |", *rows)


def _attributes(kind: type) -> tuple[list[str], list[str]]:
    """Rows for the declared attributes of a class that have comments ``#:``, and the declarations of the others."""
    lines = textwrap.dedent(inspect.getsource(kind)).splitlines()
    (declared,) = ast.parse("\n".join(lines)).body
    documented, bare = [], []
    for node in declared.body if isinstance(declared, ast.ClassDef) else ():
        if isinstance(node, ast.Assign) and issubclass(kind, Enum):
            bare.append(ast.unparse(node))
        if not isinstance(node, ast.AnnAssign) or ast.unparse(node.target).startswith("_"):
            continue
        comments = list(
            itertools.takewhile(lambda line: line.strip().startswith("#:"), reversed(lines[: node.lineno - 1]))
        )
        text = " ".join(line.strip().removeprefix("#:") for line in reversed(comments))
        of = node.annotation
        if isinstance(of, ast.Subscript) and ast.unparse(of.value) == "ClassVar":
            of = of.slice
        value = "" if node.value is None or isinstance(node.value, ast.Call) else f" = {ast.unparse(node.value)}"
        shown = f"{ast.unparse(node.target)}: {ast.unparse(of)}{value}"
        if text:
            escaped = shown.replace("|", "\\|")
            documented.append(f"| `{escaped}` | {_cell(text)} |")
        else:
            bare.append(shown)
    return documented, bare


def _methods(kind: type) -> Iterator[str]:
    for name, member in vars(kind).items():
        bare = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        bare = getattr(bare, "fget", None) or getattr(bare, "func", None) or bare
        if name.startswith("_") or not inspect.isfunction(bare) or bare.__module__ != kind.__module__:
            continue
        shown = f"{name}{_signature(bare, bound=True)}" if bare is member or isinstance(member, classmethod) else name
        if bare.__doc__:  # one that has none says what the method says that it overrides
            yield f"| `{shown}` | {_cell(bare.__doc__)} |"


def _signature(function: Any, *, bound: bool = False) -> str:
    """The arguments of a function by name, with their defaults."""
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())[1 if bound else 0 :]
    without = [item.replace(annotation=item.empty, default=_Shown.of(item.default)) for item in parameters]
    return str(signature.replace(parameters=without, return_annotation=signature.empty)).replace("|", "\\|")


class _Shown:
    """A default as a page shows it: functions and types by their names."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text

    @classmethod
    def of(cls, default: object) -> object:
        if default is inspect.Parameter.empty:
            return default
        return cls(
            getattr(default, "__qualname__", None) or repr(dict(default) if isinstance(default, Mapping) else default)
        )


def _paragraphs(item: Any) -> Iterator[str]:
    text = inspect.getdoc(item) or ""
    yield from (_marked(line) for line in text.splitlines())


def _first_paragraph(item: Any) -> str:
    return (inspect.getdoc(item) or "").partition("\n\n")[0]


def _cell(text: str) -> str:
    return _marked(" ".join(text.split()).replace("|", "\\|"))


def _marked(text: str) -> str:
    """The marks of a docstring as Markdown has them."""
    parts = re.sub(r"``(.+?)``", r"`\1`", text).split("`")
    return "`".join(part if number % 2 else part.replace("<", "&lt;") for number, part in enumerate(parts))


if __name__ == "__main__":
    print("\n".join(api_page()))
