"""A mechanism, a runtime and profiles for tests of the command line: it must work with whatever plugins there are."""

from __future__ import annotations

import atexit
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

from hardening.base.text import nearest
from hardening.cli import main
from hardening.cli.session import Session
from hardening.launch.request import LaunchRequest
from hardening.mechanism.findings import Finding, Severity
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.host import Host
from hardening.mechanism.kinds import Ceiling, Choice, Flag, Unordered
from hardening.mechanism.mechanism import Context, Mechanism, Option, Unsupported, Verification, Violation
from hardening.mechanism.runtime import Refusal, Runtime
from hardening.mechanism.schema import Members, family, scalar
from hardening.plugin.hookspecs import hookimpl
from hardening.plugin.plugins import Plugin, Plugins
from hardening.profile.layers import SearchDirectory, SearchPath
from hardening.profile.source import Node
from tests.support.forking import ForkServer

COLOURS = ("amber", "blue", "green", "red")


def _colour(node: Node) -> str:
    name = node.string().lower()
    if name not in COLOURS:
        raise node.error(f'unknown colour "{name}"', hint=nearest(name, COLOURS))
    return name


def _pair(node: Node) -> tuple[str, str]:
    key, mark, value = node.string().partition("=")
    if not mark:
        raise node.error("no NAME=VALUE", hint="write NAME=VALUE")
    return key, value


@attrs.frozen
class BoxSettings:
    """Composed `[box]`."""

    closed: bool = scalar(Flag(strict=True), True, "Whether the lid is closed.")
    size: int = scalar(Ceiling(0, 1000), 10, "How many things fit.")
    lock: str = scalar(Choice(("double", "single", "none")), "double", "How it is locked.", name="lid.lock")
    label: str = scalar(Unordered(Node.string, "any text", ("", "x")), "", "What stands on it.")
    colours: Members[bool] = family(
        Flag(strict=False),
        rest=False,
        absent=False,
        help="Which colours may be inside.",
        read_member=_colour,
        read_item=lambda node: (_colour(node), True),
    )
    env: Members[str] = family(
        Unordered(Node.string, "any text", ("", "x")),
        rest="",
        absent="",
        help="The environment.",
        read_member=Node.string,
        read_item=_pair,
    )


#: What its receipt is held against, beside the size.
SEEN = ("closed", "lid.lock", "colours.*")


@attrs.frozen
class BoxFacts:
    """What the host can do for boxes."""

    version: tuple[int, int, int] = (1, 2, 3)
    lids: frozenset[str] = frozenset({"oak", "pine"})
    broken: bool = False


class Box(Mechanism[BoxSettings]):
    """The mechanism behind `[box]`; ``broken`` stands for a host that cannot close it."""

    name = "box"
    summary = "a box"
    settings_type = BoxSettings

    def __init__(self, broken: bool = False) -> None:
        self.broken = broken

    def options(self) -> Sequence[Option]:
        return (
            Option(("-e", "--env"), "env.add", "Put something into the environment.", "NAME=VALUE", multiple=True),
            Option(("--size",), "size", "How many things fit.", "NUMBER"),
            Option(("--label",), "label", "What stands on it.", "TEXT"),
            Option(("--open",), "closed", "Open the lid.", value=False),
        )

    def dump(self, values: Mapping[tuple[str, str], Any]) -> dict[str, object]:
        pairs = {
            key: f"{key[1]}={value}" if key[0] == "env" and key[1] != "*" else value for key, value in values.items()
        }
        return super().dump(pairs)

    def probe(self, host: Host) -> BoxFacts:
        return BoxFacts(broken=self.broken)

    def check(self, settings: BoxSettings, context: Context) -> Iterable[Unsupported]:
        if context.host.of(BoxFacts).broken:
            yield Unsupported("box.closed", "the hinge is broken", "buy a hinge", whole=settings.size == 6)

    def contribute(self, settings: BoxSettings, context: Context, fragment: Fragment) -> None:
        fragment.put("/annotations/box", json.dumps(settings.size), "box.size")
        fragment.put("/process/env", [f"{key}={value}" for key, value in settings.env.named.items()], "box.env")

    def tighten(
        self, settings: BoxSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
    ) -> Iterable[Violation]:
        asked = int((document.get("annotations") or {}).get("box", 0))
        fragment.put("/annotations/box", json.dumps(min(asked, settings.size)), "box.size")
        if asked > settings.size:
            yield Violation("/annotations/box", str(asked), str(settings.size), "box.size")

    def findings(self, settings: BoxSettings, context: Context) -> Iterable[Finding]:
        if not settings.closed:
            yield Finding("box/open", Severity.WARNING, "the lid is open", leaf="box.closed", hint="close it")

    def verify(self, settings: BoxSettings, context: Context, receipt: Mapping[str, Any]) -> Iterable[Verification]:
        kernel = str(receipt["oom_score_adj"])
        seen = tuple(f"box.{name}" for name in SEEN)
        yield Verification.of("box.size", str(settings.size), kernel, kernel == str(settings.size), *seen)


class Shell(Runtime):
    """A runtime that prints what it was given and then runs the command of the bundle."""

    name = "native"
    summary = "a shell"

    def version(self) -> str | None:
        return "1.0"

    def check(self, document: Mapping[str, Any], host: Host) -> Sequence[Refusal]:
        return (
            [Refusal("/linux/oddity", "it is not known", "remove it")] if "oddity" in document.get("linux", {}) else []
        )

    def command(self, bundle: Path, request: LaunchRequest) -> list[str]:
        script = (
            "import json,os,shutil,sys; d=json.load(open(sys.argv[1]+'/config.json')); a=d['process']['args'];"
            "sys.argv[2]=='True' and shutil.rmtree(os.path.dirname(sys.argv[1])); os.execvp(a[0],a)"
        )
        return [sys.executable, "-I", "-S", "-c", script, str(bundle), str(request.remove)]


class Absent(Shell):
    """A runtime that is not installed."""

    name = "crun"

    def version(self) -> str | None:
        return None


def plugins(*, broken: bool = False) -> Plugins:
    """The plugins of these tests, registered as installed ones are."""
    module = ModuleType(__name__)
    module.hardening_mechanisms = hookimpl(lambda: (Box(broken),))  # type: ignore[attr-defined]
    module.hardening_runtimes = hookimpl(lambda: (Shell(), Absent()))  # type: ignore[attr-defined]
    return Plugins([Plugin("box", module, "box-shop", "4.2")])


def session(folder: Path, *, broken: bool = False) -> Session:
    """A session whose profiles stand in ``folder``."""
    return Session(plugins(broken=broken), SearchPath((SearchDirectory(folder, "these tests"),)))


def profile(folder: Path, name: str, text: str) -> Path:
    """Write a profile that nobody else can write."""
    path = folder / f"{name}.toml"
    path.write_text(text)
    path.chmod(0o644)
    return path


def call(here: Session, *arguments: str) -> int:
    """The exit code of one command line."""
    return main(list(arguments), here)


def shown(
    folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0, broken: bool = False
) -> Any:
    """The JSON that a command shows."""
    return shown_by(session(folder, broken=broken), capsys, *arguments, code=code)


def shown_by(here: Session, capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    """The JSON that a command shows in a session."""
    assert call(here, *arguments) == code
    return json.loads(capsys.readouterr().out)


def foreign(folder: Path, size: int = 50) -> Path:
    """A configuration that another program wrote."""
    path = folder / "config.json"
    path.write_text(json.dumps({"ociVersion": "1.0.0", "annotations": {"box": str(size)}, "process": {"args": ["id"]}}))
    return path


@attrs.frozen
class Outcome:
    """What a process did."""

    code: int
    stdout: str
    stderr: str


@cache
def _server() -> ForkServer:
    """What command lines are forked from, which ends with the tests."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    server = ForkServer([sys.executable], environment, modules=[__name__])
    atexit.register(server.close)
    return server


def process(
    folder: Path, *arguments: str, broken: bool = False, stdin: int | None = None, **environment: str
) -> Outcome:
    """One command line in a process of its own, with the plugins of these tests; ``stdin`` is a descriptor of the tests'."""
    opened = "" if stdin is None else f"os.dup2(os.open('/proc/{os.getpid()}/fd/{stdin}', os.O_RDONLY), 0)"
    code = (
        "import os, sys; from pathlib import Path; from tests.hardening.cli import samples\n"
        f"{opened}\n"
        f"def main(): return samples.main(sys.argv[1:], samples.session(Path({str(folder)!r}), broken={broken}))"
    )
    own = {**os.environ, "HARDENING_STATE": str(folder / "state"), **environment}
    done = _server().run(arguments, code=code, cwd=folder, env=own)
    return Outcome(done.returncode, done.stdout, done.stderr)
