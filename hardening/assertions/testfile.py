"""Files of assertions, as people write them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path

from hardening.base.values import frozen
from hardening.errors import Gathering, UsageError, gathered, raise_all
from hardening.profile import layers, source
from hardening.profile.exemption import is_placeholder
from hardening.profile.layers import SUFFIX, TEST_SUFFIX
from hardening.profile.source import Node, Origin, known_members

MOST_EXIT = 255
_NONE = "no assertions to try"
_A_NAME, _A_COMMAND = 'write name = "serves on its port"', 'write { command = ["nginx", "-t"] }'


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
class Untested:
    """A setting, or all below a name, that no assertion is to look at, for a ``reason``."""

    setting: str
    reason: str
    origin: Origin


@frozen(eq=False)
class TestFile:
    """A file of assertions: the profiles of its stack, by name or path, its cases, what it leaves out, and where the
    profiles are named."""

    __test__ = False

    path: str
    profiles: tuple[str, ...]
    cases: tuple[TestCase, ...]
    untested: tuple[Untested, ...]
    origin: Origin


def files(paths: Sequence[str]) -> list[str]:
    """The files of assertions that are meant: of a directory all in it, but for what is hidden; of a profile the one beside
    it."""
    found: dict[str, None] = {}
    for path in paths:
        if not os.path.isdir(path):
            beside = path.removesuffix(SUFFIX) + TEST_SUFFIX
            found[path if path.endswith(TEST_SUFFIX) or not path.endswith(SUFFIX) else beside] = None
            continue
        found |= dict.fromkeys(file for file in layers.files_below(path) if file.endswith(TEST_SUFFIX))
    return list(found)


def read(path: str) -> TestFile:
    """Raises `ProfileError`, or `Problems` with several, each with its line, for what is no file of assertions."""
    root = source.read(Path(path), path).root
    each, profiles = Gathering(), [f"{path.removesuffix(TEST_SUFFIX)}{SUFFIX}"]
    with each:
        _members(root, ("profiles", "test", "untested"))
    with each:
        profiles = [*_profiles(named, Path(path).parent)] if (named := root.get("profiles")) is not None else profiles
    cases: dict[str, TestCase] = {}
    with each:
        tests = root.get("test")
        nodes = [*tests.items(tables=True)] if tests is not None else []
        if not nodes and not each.problems:
            raise root.error("no assertions", hint='write [[test]] with a name, and allows = ["read /etc/hosts"]')
        for node in nodes:
            with each:
                case = _case(node)
                if case.name in cases:
                    raise node.error(f'"{case.name}" is the name of another test', hint="give each a name of its own")
                cases[case.name] = case
    untested: list[Untested] = []
    with each:
        left_out = root.get("untested")
        untested += gathered(_untested, left_out.items(tables=True)) if left_out is not None else []
    each.raise_all()
    return TestFile(
        path, tuple(profiles), tuple(cases.values()), tuple(untested), (root.get("profiles") or root).origin
    )


def _profiles(named: Node, folder: Path) -> Iterator[str]:
    """Names as they are; paths as they are seen from the folder of the file."""
    texts = gathered(Node.string, named.items())
    if not texts:
        raise named.error("no profile", hint="name one, or leave it out for the profile beside the file")
    for name in texts:
        yield os.path.normpath(folder / name) if name.startswith(("./", "../")) else name


def _untested(node: Node) -> Untested:
    keys = ("setting", "reason")
    texts = {key: item.string().strip() for key, item in _members(node, keys).items()}
    missing = next((key for key in keys if not texts.get(key)), "")
    if missing or is_placeholder(texts["reason"]):
        hint = 'write setting = "process.rlimits" and reason = "sizes, which no operation tells apart"'
        raise node.error(f"no {missing or 'reason'}", hint=hint)
    return Untested(texts["setting"], texts["reason"], node.origin)


def _case(node: Node) -> TestCase:
    each, name, table = Gathering(), "", node.table()
    with each:
        fields = _members(node, ("name", *Expected, "runs"))
        name = fields["name"].string().strip() if "name" in fields else ""
        if not name:
            raise fields.get("name", node).error("a test without a name", hint=_A_NAME)
    assertions: list[Assertion] = []
    commands: list[CommandAssertion] = []
    for key, raw in table.items():
        listed = node.child(key, raw)
        with each:
            if key == "runs":
                commands += gathered(_command, listed.items())
            elif key in [*Expected]:
                assertions += gathered(partial(_assertion, Expected(key)), listed.items())
    if not (assertions or commands or each.problems):
        raise node.error("a test that asserts nothing", hint="write allows, denies or runs")
    each.raise_all()
    return TestCase(name, tuple(assertions), tuple(commands))


def _assertion(expected: Expected, node: Node) -> Assertion:
    if not isinstance(node.raw, dict):
        return Assertion(expected, node.filled(), "", node.origin)
    fields = _members(node, ("what", "by"))
    if "what" not in fields:
        raise node.error("no operation", hint='write { what = "write /etc", by = "rootfs" }')
    if "by" in fields and expected is Expected.ALLOWS:
        raise fields["by"].error("nothing denies what is permitted", hint="leave it out, or write it below denies")
    texts = dict(zip(fields, gathered(Node.filled, fields.values()), strict=True))
    return Assertion(expected, texts["what"], texts.get("by", ""), node.origin)


def _command(node: Node) -> CommandAssertion:
    if not isinstance(node.raw, dict):
        raise node.error("no command", hint=_A_COMMAND)
    fields, each = _members(node, ("command", "exit", "prints")), Gathering()
    words, code, prints = [], 0, ""
    with each:
        words = gathered(Node.string, fields["command"].items()) if "command" in fields else []
        if not words:
            raise node.error("no command", hint=_A_COMMAND)
    with each:
        code = fields["exit"].integer(0, MOST_EXIT) if "exit" in fields else 0
    with each:
        prints = fields["prints"].string() if "prints" in fields else ""
    each.raise_all()
    return CommandAssertion(tuple(words), code, prints, node.origin)


def _members(node: Node, keys: Sequence[str]) -> dict[str, Node]:
    return known_members(node, keys, f"the keys are {', '.join(keys)}")


def require_some(paths: Sequence[str]) -> list[str]:
    """The files that are meant. Raises `UsageError` where there is none."""
    found = files(paths)
    if not found:
        hint = f"they are files that end in {TEST_SUFFIX}" if paths else "name files, directories or profiles: `-p web`"
        raise UsageError(f"there are no assertions in {', '.join(paths)}" if paths else _NONE, hint=hint)
    hint = f"those of a profile stand beside it: web{TEST_SUFFIX} beside web{SUFFIX}"
    missing = [path for path in found if not os.path.lexists(path)]
    raise_all([UsageError(f"{_NONE}: there is no {path}", hint=hint) for path in missing])
    return found
