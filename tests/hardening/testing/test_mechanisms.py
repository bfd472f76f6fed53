"""Each check of a mechanism finds what it is for, and nothing in one that is right."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.api import (
    Ceiling,
    Context,
    Finding,
    Flag,
    Fragment,
    Mechanism,
    Severity,
    Unsupported,
    Violation,
    annotation,
    inputs,
    scalar,
)
from hardening.mechanism.inputs import Inputs
from hardening.testing import check_all, check_golden, contributed, fake_host, plain, probe, tightened
from hardening.testing.mechanisms import check_contribute, check_inputs, check_tighten, check_verify
from tests.support import shipped

MOST = annotation("com.example.most", int)
OPENED = Path("/etc/passwd")


@attrs.frozen
class Settings:
    most: int = scalar(Ceiling(0, 99), 0, "How many.", field=MOST)
    quiet: bool = scalar(Flag(strict=True), True, "Whether it is told.", field=annotation("com.example.quiet", bool))


class Right(Mechanism[Settings]):
    """How many there may be."""

    name = "right"
    before_launch = ("*",)


class Looking(Right):
    def check(self, settings: Settings, context: Context) -> Iterable[Unsupported]:
        OPENED.read_bytes()
        return ()

    def inputs(self, settings: Settings, context: Context) -> Inputs:
        return inputs.file(OPENED)


_count = itertools.count()


class Held(Right):
    def tighten(
        self, settings: Settings, document: Mapping[str, Any], context: Context, fragment: Fragment
    ) -> Iterable[Violation]:
        return super().tighten(settings, document, context, fragment)


class Counting(Held):
    def contribute(self, settings: Settings, context: Context, fragment: Fragment) -> None:
        fragment.put(MOST.pointer, str(next(_count)), "right.most")


class Strange(Held):
    def contribute(self, settings: Settings, context: Context, fragment: Fragment) -> None:
        fragment.put(MOST.pointer, "1", "seccomp.ptrace")


class Loose(Right):
    def tighten(
        self, settings: Settings, document: Mapping[str, Any], context: Context, fragment: Fragment
    ) -> Iterator[Violation]:
        fragment.put(MOST.pointer, document["annotations"]["com.example.most"], "right.most")
        yield from ()


class Silent(Right):
    def tighten(
        self, settings: Settings, document: Mapping[str, Any], context: Context, fragment: Fragment
    ) -> Iterable[Violation]:
        list(super().tighten(settings, document, context, fragment))
        return ()


class Shrinking(Right):
    def tighten(
        self, settings: Settings, document: Mapping[str, Any], context: Context, fragment: Fragment
    ) -> Iterable[Violation]:
        fragment.put(MOST.pointer, str(int(document["annotations"]["com.example.most"]) // 2), "right.most")
        return ()


class Unconfining(Held):
    def contribute(self, settings: Settings, context: Context, fragment: Fragment) -> None:
        super().contribute(settings, context, fragment)
        fragment.confine(["/usr/bin/nice"], "right.quiet")


class Forgetful(Looking):
    def inputs(self, settings: Settings, context: Context) -> Inputs:
        return inputs.file("/etc/group")


class Probing(Right):
    def probe(self, host: object) -> None:
        OPENED.read_bytes()

    def inputs(self, settings: Settings, context: Context) -> Inputs:
        return ()


class Undeclaring(Right):
    def rules(self) -> dict[str, str]:
        return {"most": "More than one", "open-*": "Something open"}

    def findings(self, settings: Settings, context: Context) -> Iterator[Finding]:
        for rule in ("most", "open-door", "gone"):
            yield Finding(f"right/{rule}", Severity.NOTE, "x")


class Unseen(Right):
    before_launch = ("quiet",)


BROKEN = [
    (Counting, check_contribute, "contribute is deterministic"),
    (Strange, check_contribute, "it answers"),
    (Loose, check_tighten, "tighten leaves nothing looser"),
    (Silent, check_tighten, "tighten tells what it cuts"),
    (Shrinking, check_tighten, "tighten is idempotent"),
    (Unconfining, check_tighten, "tighten leaves nothing looser"),
    (Forgetful, check_inputs, "inputs name what is looked at"),
    (Probing, check_inputs, "inputs name what is looked at"),
    (Undeclaring, check_inputs, "rules name what is found"),
    (Unseen, check_verify, "verify names each setting"),
]


@pytest.mark.parametrize(("kind", "check", "law"), BROKEN)
def test_a_check_finds_what_it_is_for(kind: type[Mechanism[Any]], check: Any, law: str) -> None:
    assert law in {item.law for item in check(kind(), plain())}
    assert check(Right(), plain()) == []


@pytest.mark.parametrize("kind", [Right, Looking])
def test_nothing_is_broken_of_one_that_is_right(kind: type[Mechanism[Any]]) -> None:
    assert check_all(kind(), plain()) == []


@pytest.mark.parametrize("name", ["capabilities", "namespaces", "process", "secrets", "selinux", "trust", "scan"])
def test_nothing_is_broken_of_ours(name: str) -> None:
    plugins, _ = shipped.here()
    mechanism = plugins.mechanism(name)
    assert mechanism is not None
    others = [other for other in plugins.mechanisms if other.name in mechanism.after]
    for check in (check_contribute, check_tighten, check_inputs, check_verify):
        assert check(mechanism, probe(plugins.mechanisms), others) == []


def test_a_stack_is_a_line() -> None:
    spec = contributed(Right(), "[right]\nmost = 5", "[right]\nmost = 3")
    assert spec.document["annotations"] == {"com.example.most": "3", "com.example.quiet": "true"}
    assert spec.leaves[MOST.pointer] == ("right.most",)
    document, (violation,) = tightened(Right(), {"annotations": {"com.example.most": "7"}}, "[right]\nmost = 5")
    assert (document["annotations"]["com.example.most"], violation.allowed) == ("5", "5")


def test_a_host_is_what_it_is_said_to_be() -> None:
    fact = Settings(most=1, quiet=True)
    host = fake_host(fact, kernel=(5, 4), uid=0)
    assert (host.root, host.kernel, host.of(Settings)) == (True, (5, 4), fact)
    assert not fake_host().root


def test_a_golden_file_says_the_first_line_that_is_another(tmp_path: Path) -> None:
    file = tmp_path / "golden.json"
    (missing,) = check_golden({"a": 1}, file)
    assert missing.evidence == f"{file}: 0 lines, and 3 now"
    assert check_golden({"a": 1}, file, write=True) == check_golden({"a": 1}, file) == []
    (other,) = check_golden({"a": 2}, file)
    assert other.evidence == f'{file}:2: "a": 1 is "a": 2 now'


@pytest.mark.parametrize(("of", "value", "text"), [(int, 5, "5"), (bool, True, "true"), (str, "a", "a")])
def test_an_annotation_is_text(of: type, value: object, text: str) -> None:
    field = annotation("x/y", of)
    assert (field.pointer, field.write(value), field.read(text)) == ("/annotations/x~1y", text, value)
