"""Files of assertions, as people write them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path

from hardening.base.text import nearest
from hardening.base.values import frozen
from hardening.errors import UsageError
from hardening.profile import source
from hardening.profile.layers import SUFFIX, TEST_SUFFIX
from hardening.profile.source import Node, Origin

_MOST_EXIT = 255


class Expected(StrEnum):
    """What is asserted of an operation."""

    ALLOWS = "allows"
    DENIES = "denies"


@frozen(eq=False)
class Assertion:
    """One operation that is to be permitted, or denied ``by`` a mechanism, any where that is empty. ``asked`` is the
    operation in the words of `hardening.assertions.operation`."""

    expected: Expected
    asked: str
    by: str
    origin: Origin


@frozen(eq=False)
class CommandAssertion:
    """A command, the exit code that it is to end with, and a text that is to be in what it prints."""

    command: tuple[str, ...]
    exit: int
    prints: str
    origin: Origin


@frozen(eq=False)
class TestCase:
    """Assertions that have a name together."""

    __test__ = False  # it is none of pytest's

    name: str
    assertions: tuple[Assertion, ...]
    commands: tuple[CommandAssertion, ...]


@frozen(eq=False)
class TestFile:
    """A file of assertions: the profiles of its stack, by name or path, and its cases."""

    __test__ = False

    path: str
    profiles: tuple[str, ...]
    cases: tuple[TestCase, ...]


def files(paths: Sequence[str]) -> list[str]:
    """The files of assertions that are meant: of a directory all in it, but for what is hidden; of a profile the one beside
    it."""
    found: dict[str, None] = {}
    for path in paths:
        if not os.path.isdir(path):
            beside = path.removesuffix(SUFFIX) + TEST_SUFFIX
            found[path if path.endswith(TEST_SUFFIX) or not path.endswith(SUFFIX) else beside] = None
            continue
        for folder, below, names in os.walk(path):
            below[:] = sorted(name for name in below if not name.startswith("."))
            wanted = (name for name in sorted(names) if name.endswith(TEST_SUFFIX) and not name.startswith("."))
            found |= {os.path.join(folder, name): None for name in wanted}
    return list(found)


def read(path: str) -> TestFile:
    """Raises `ProfileError`, with the line, for what is no file of assertions."""
    root = source.read(Path(path), path).root
    _require_known(root, ("profiles", "test"))
    named = root.get("profiles")
    profiles = (
        (f"{path.removesuffix(TEST_SUFFIX)}{SUFFIX}",) if named is None else tuple(_profiles(named, Path(path).parent))
    )
    tests = root.get("test")
    cases = [_case(node) for node in tests.items(tables=True)] if tests is not None else []
    if not cases:
        raise root.error("no assertions", hint='write [[test]] with a name, and allows = ["read /etc/hosts"]')
    names: set[str] = set()
    for case, node in zip(cases, tests.items(tables=True) if tests is not None else (), strict=True):
        if case.name in names:
            raise node.error(f'"{case.name}" is the name of another test', hint="give each a name of its own")
        names.add(case.name)
    return TestFile(path, profiles, tuple(cases))


def _profiles(node: Node, folder: Path) -> Iterator[str]:
    """Names as they are; paths as they are seen from the folder of the file."""
    for item in node.items():
        name = item.string()
        yield os.path.normpath(folder / name) if name.startswith(("./", "../")) else name


def _case(node: Node) -> TestCase:
    _require_known(node, ("name", *Expected, "runs"))
    name = node.get("name")
    if name is None:
        raise node.error("a test without a name", hint='write name = "serves on its port"')
    assertions = [
        _assertion(item, expected)
        for expected in Expected
        if (listed := node.get(expected)) is not None
        for item in listed.items()
    ]
    commands = node.get("runs")
    runs = [_command(item) for item in commands.items(tables=True)] if commands is not None else []
    if not assertions and not runs:
        raise node.error("a test that asserts nothing", hint="write allows, denies or runs")
    return TestCase(name.string(), tuple(assertions), tuple(runs))


def _assertion(node: Node, expected: Expected) -> Assertion:
    if not isinstance(node.raw, dict):
        return Assertion(expected, node.string(), "", node.origin)
    _require_known(node, ("what", "by"))
    what, by = node.get("what"), node.get("by")
    if what is None:
        raise node.error("no operation", hint='write { what = "write /etc", by = "rootfs" }')
    if by is not None and expected is Expected.ALLOWS:
        raise by.error("nothing denies what is permitted", hint="leave it out, or write it below denies")
    return Assertion(expected, what.string(), by.string() if by is not None else "", node.origin)


def _command(node: Node) -> CommandAssertion:
    _require_known(node, ("command", "exit", "prints"))
    words, code, prints = node.get("command"), node.get("exit"), node.get("prints")
    command = tuple(item.string() for item in words.items()) if words is not None else ()
    if not command:
        raise node.error("no command", hint='write command = ["nginx", "-t"]')
    return CommandAssertion(
        command,
        code.integer(0, _MOST_EXIT) if code is not None else 0,
        prints.string() if prints is not None else "",
        node.origin,
    )


def _require_known(node: Node, keys: Sequence[str]) -> None:
    """Raise `ProfileError` for a key that says nothing."""
    for key, child in node.members():
        if key not in keys:
            hint = nearest(key, keys) or f"the keys are {', '.join(keys)}"
            raise child.error("no such key", hint=hint)


def require_some(paths: Sequence[str]) -> list[str]:
    """The files that are meant. Raises `UsageError` where there is none."""
    if not paths:
        raise UsageError("no assertions to try", hint="name files or directories: `hardening test profiles/`")
    found = files(paths)
    if not found:
        raise UsageError(
            f"there are no assertions in {', '.join(paths)}", hint=f"they are files that end in {TEST_SUFFIX}"
        )
    return found
