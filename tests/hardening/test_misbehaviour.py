"""`docs/reference/hooks.md`, *A plugin that fails*: each row of its table is what is said of a plugin that does so, to the
letter. Each deed in each method and hook stands in `test_plugin_faults.py`."""

from __future__ import annotations

import operator
import os
import re
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import attrs
import pytest

from hardening.api import (
    Candidate,
    Ceiling,
    Finding,
    Fragment,
    Mechanism,
    Option,
    Runtime,
    Severity,
    State,
    Verification,
    hookimpl,
    scalar,
)
from hardening.assemble.pipeline import assembled
from hardening.compose.composition import compose
from hardening.errors import HardeningError
from hardening.mechanism.host import plain
from hardening.plugin import plugincalls, plugins
from hardening.plugin.installed import Brought
from hardening.plugin.plugins import Plugin, Plugins
from tests.docs.examples import ROOT
from tests.hardening.test_plugin_faults import NAMED
from tests.support.texts import TODAY, stack

PAGE = (ROOT / "docs/reference/hooks.md").read_text()
SECRET = "hunter2"


@attrs.frozen
class Settings:
    files: int = scalar(Ceiling(0, 99), 0, "How many.", field="/annotations/quota")


class Quota(Mechanism[Settings]):
    """How many files a command may make."""

    name = "quota"
    before_launch = ("*",)


@attrs.frozen
class Others:
    files: int = scalar(Ceiling(0, 99), 0, "How many.", field="/annotations/quota")


class Taken(Mechanism[Others]):
    """A table that somebody else has."""

    name = "taken"
    before_launch = ("*",)


def method(name: str, deed: Callable[..., Any]) -> list[Any]:
    """A hook that registers `Quota` with this method."""
    return registering("mechanisms", type("Quota", (Quota,), {name: deed})())


def registering(what: str, *items: object) -> list[Any]:
    return [hookimpl(specname=f"hardening_{what}")(lambda: items)]


def hook(name: str, deed: Callable[..., Any], **options: Any) -> list[Any]:
    """A hook of this name."""
    marked = hookimpl(**options)(deed) if options.pop("marked", True) else deed
    marked.__name__, marked.__module__ = name, "acme_quota"
    return [marked]


def raises(*_: object) -> Any:
    raise ValueError("no such number")


def use(given: list[Plugin]) -> None:
    """Everything that is asked of plugins, from their registration to a verdict."""
    loaded, host = Plugins(given), plain()
    made = compose(stack(), loaded.mechanisms, host, TODAY)
    assembly = assembled(loaded, made, host)
    assert not assembly.findings
    loaded.admit(Candidate(assembly.spec.config, host, made))
    loaded.inputs(made, host)
    for mechanism in loaded.mechanisms:
        mechanism.verify(made.settings[mechanism.name], assembly.context, {})
    loaded.secrets(NAMED)


def told(*hooks: Any, taken: bool = False, **given: Any) -> str:
    """What is said of a plugin with these hooks, from its registration to a verdict; ``taken`` where there is another one
    beside it."""
    module = ModuleType("acme_quota")
    for number, item in enumerate(hooks):
        setattr(module, item.__name__ if item.__name__.startswith("hardening_") else f"hook{number}", item)
    vars(module).update(given)
    other = ModuleType("others")
    vars(other)["hardening_mechanisms"] = hookimpl(lambda: (Taken(),))
    both = [Plugin("other", other, "others", "2.0")] if taken else []
    with pytest.raises(HardeningError) as caught:
        use([Plugin("quota", module, "acme-hardening", "1.0"), *both])
    assert caught.value.exit_code == 125
    assert SECRET not in caught.value.message
    return re.sub(r"\(/\S+\.py:\d+\)", "(acme_quota.py:33)", caught.value.message)


def hangs(*_: object) -> Any:
    time.sleep(60)


def secret(*_: object) -> Any:
    raise ValueError(SECRET)


def contributing(deed: Callable[[Fragment], Any]) -> list[Any]:
    """`Quota` that contributes so."""

    def contribute(self: Any, settings: object, context: object, fragment: Fragment) -> None:
        deed(fragment)

    return registering("mechanisms", type("Quota", (Quota,), {"contribute": contribute, "tighten": lambda *_: ()})())


ROWS: dict[str, list[Any]] = {
    "raises an exception, of whatever kind": method("check", raises),
    "ends the program": hook("hardening_admit", lambda candidate: sys.exit(0)),
    "ends the process, or has another program take its place": hook("hardening_admit", lambda candidate: os._exit(0)),
    "raises one where secrets are handled": hook("hardening_secrets", lambda document: secret()),
    "hangs, or answers late": method("check", hangs),
    "answers with another type": method("check", lambda *_: 42),
    "answers with items of one": hook("hardening_inputs", lambda: ["/etc/banned"]),
    "has a method with other arguments": method("check", lambda self: ()),
    "has a hook with other arguments": hook("hardening_admit", lambda what: None),
    "has a hook with a misspelt name": hook("hardening_admitt", lambda candidate: None),
    "wraps or reorders others": hook("hardening_admit", lambda candidate: None, tryfirst=True),
    "changes what it is given": method("build", lambda self, leaves: operator.setitem(leaves, ("files", ""), 9)),
    "takes an option of ours": method("options", lambda self: [Option(("--json",), "files", "x")]),
    "takes an option that it has no setting for": method("options", lambda self: [Option(("--quota",), "gone", "x")]),
    "brings a runtime of another's name twice": registering("runtimes", *([type("R", (Runtime,), {
        "name": "r", "summary": "", "version": lambda self: "1", "check": lambda *_: (), "command": lambda *_: []})()] * 2)),
    "contributes without a setting of its own": contributing(lambda part: part.put("/x", 1, "seccomp.ptrace")),
    "mounts what is none of its mount points": contributing(
        lambda part: part.item("/mounts", "/mnt", {"destination": "/mnt"}, "quota.files")
    ),
    "contributes what is no JSON data": contributing(lambda part: part.put("/x", {1}, "quota.files")),
    "declares a value that its kind does not read": registering("mechanisms", type("Quota", (Quota,), {
        "settings_type": attrs.make_class("Wrong", {"files": scalar(Ceiling(0, 99), 100, "x")}, frozen=True)})()),
    "finds something under a rule of another's": method(
        "findings", lambda *_: [Finding("seccomp/kill", Severity.NOTE, "x")]
    ),
    "finds something in a hook under a rule of another's": hook(
        "hardening_inspect", lambda composition: [Finding("core/refused", Severity.NOTE, "x")]
    ),
    "verifies a setting of another's": method(
        "verify", lambda *_: [Verification("seccomp.ptrace", "", "", State.HOLDS)]
    ),
    "contributes, and does not tighten": registering("mechanisms", type("Quota", (Quota,), {"contribute": raises})()),
    "has a setting that nothing does anything with": registering("mechanisms", type("Quota", (Mechanism,), {
        "name": "quota", "settings_type": attrs.make_class("Idle", {"files": scalar(Ceiling(), 0, "x")}, frozen=True)})()),
}  # fmt: skip


#: Where another plugin is there.
TAKEN = {
    "takes another's table": registering("mechanisms", type("Q", (Quota,), {"name": "taken"})()),
    "takes another's place in the configuration": registering("mechanisms", Quota()),
    "takes another's class of settings": registering("mechanisms", type("Q", (Quota,), {"settings_type": Others})()),
}


def rows() -> dict[str, str]:
    """The deeds of the page, with the message of each."""
    return dict(re.findall(r"^\| ([^|`]+) \| `([^`]+)` \|", PAGE.partition("## A plugin that fails")[2], re.MULTILINE))


@pytest.mark.parametrize("deed", ROWS)
def test_the_page_says_what_is_said(deed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if deed.startswith("hangs"):
        monkeypatch.setattr(plugincalls, "SECONDS", 0.02)
    assert told(*ROWS[deed]).replace("0.02 seconds", "60 seconds") == rows()[deed]


@pytest.mark.parametrize("deed", TAKEN)
def test_the_page_says_what_is_said_of_two(deed: str) -> None:
    assert told(*TAKEN[deed], taken=True) == rows()[deed]


def test_each_row_of_the_page_is_tried() -> None:
    others = {
        "is made for another version of the interface": told(hardening_api="2"),
        "requires another version of hardening": _loading(("hardening>=99",)),
        "cannot be imported": _loading(()),
    }
    assert {deed: message for deed, message in rows().items() if deed not in {**ROWS, **TAKEN}} == others


def _loading(requires: tuple[str, ...]) -> str:
    with pytest.raises(HardeningError) as caught:
        plugins.loaded(Brought("quota", "acme_no_such_module", "acme-hardening", "1.0", requires))
    return caught.value.message
