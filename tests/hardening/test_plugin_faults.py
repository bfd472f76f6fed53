"""`hardening/plugin`: what becomes of one that fails, in every method of every interface and every hook, in each way that
there is. The answer is one error with plugin, version, method and line, exit code 125, and never one that a gate would
take for its own."""

from __future__ import annotations

import gc
import inspect
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import attrs
import click
import pytest

from hardening.base.values import freeze
from hardening.compose.composition import Composition, compose
from hardening.compose.implied import hold
from hardening.errors import PluginError, SpecError
from hardening.images.reference import parse
from hardening.launch.config.bundle import SECRETS
from hardening.launch.request import LaunchRequest
from hardening.mechanism import host
from hardening.mechanism.evidence import LearntStatement
from hardening.mechanism.findings import Finding, Severity
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.inputs import Input
from hardening.mechanism.kinds import Ceiling, Choice
from hardening.mechanism.mechanism import Context, Implied, Mechanism, Reading, Unsupported, Violation
from hardening.mechanism.runtime import Runtime
from hardening.mechanism.scanner import Scanner
from hardening.mechanism.schema import Leaf, family, listing, scalar
from hardening.mechanism.secret_driver import SecretDriver
from hardening.plugin import hookspecs, pluginanswers, plugincalls, pluginchecks, pluginfaces, plugins
from hardening.plugin.admission import Candidate, Verdict
from hardening.plugin.hookspecs import hookimpl
from hardening.plugin.installed import Brought
from hardening.plugin.plugincalls import face, fault
from hardening.plugin.plugins import Plugin, Plugins
from hardening.profile.layers import parse_layer
from hardening.profile.source import Document
from tests.support import forking, shipped
from tests.support.texts import TODAY, stack

HIDDEN = "hunter2"
HERE = Path(__file__)
NO_CONTEXT: Any = None


@attrs.frozen
class Settings:
    """Composed `[chaos]`."""

    level: int = scalar(Ceiling(), 0, "How much.")


class Chaos(Mechanism[Settings]):
    """A mechanism that does nothing wrong by itself."""

    name = "chaos"
    summary = "a mechanism"
    settings_type = Settings

    def check(self, settings: Settings, context: Context) -> Any:
        return ()

    def contribute(self, settings: Settings, context: Context, fragment: Fragment) -> None:
        fragment.put("/annotations/chaos", "1", "chaos.level")

    def tighten(
        self, settings: Settings, document: Mapping[str, Any], context: Context, fragment: Fragment
    ) -> Iterator[Violation]:
        yield from ()


class Engine(Runtime):
    """A runtime."""

    name = "engine"
    summary = "a runtime"

    def version(self) -> str | None:
        return "1"

    def check(self, document: Mapping[str, Any], host: Any) -> Any:
        return ()

    def command(self, bundle: Path, request: LaunchRequest) -> list[str]:
        return ["/bin/true"]


class Looker(Scanner):
    """A scanner."""

    name: ClassVar[str] = "looker"
    summary: ClassVar[str] = "a scanner"
    kinds: ClassVar[tuple[str, ...]] = ("external",)

    def entry(self, entry: Any) -> Any:
        return ()


class Keeper(SecretDriver):
    """A secret driver."""

    name: ClassVar[str] = "keeper"
    summary: ClassVar[str] = "a driver"

    def store(self, folder: Path, key: str, value: bytes, options: Mapping[str, Any]) -> None:
        return

    def read(self, folder: Path, key: str, options: Mapping[str, Any]) -> bytes:
        return b"x"

    def delete(self, folder: Path, key: str, options: Mapping[str, Any]) -> None:
        return


def loaded(*hooks: Callable[..., Any], mechanism: Any = None, runtime: Any = None) -> Plugins:
    """Plugins with one of each."""

    @hookimpl
    def hardening_mechanisms() -> Any:
        return (mechanism or Chaos(),)

    @hookimpl
    def hardening_runtimes() -> Any:
        return (runtime or Engine(),)

    @hookimpl
    def hardening_scanners() -> Any:
        return (Looker(),)

    @hookimpl
    def hardening_secret_drivers() -> Any:
        return (Keeper(),)

    module = ModuleType(__name__)
    for hook in (hardening_mechanisms, hardening_runtimes, hardening_scanners, hardening_secret_drivers, *hooks):
        setattr(module, hook.__name__, hook)
    return Plugins([Plugin("chaos", module, "chaos-dist", "1.0")])


PLUGIN = Plugin("chaos", ModuleType(__name__), "chaos-dist", "1.0")
FACES: dict[type[Any], Any] = {
    Chaos: pluginfaces.mechanism,
    Engine: pluginfaces.runtime,
    Looker: pluginfaces.scanner,
    Keeper: pluginfaces.secret_driver,
}


def methods(kind: type[Any]) -> list[str]:
    return [
        name
        for name, item in vars(kind.__mro__[1]).items()
        if inspect.isfunction(item) and name[0] != "_" and name != "leaf"
    ]


def arguments(kind: type[Any], name: str) -> list[Any]:
    """Something for each argument of a method."""
    layer = parse_layer(Document("x", Path("x.toml"), {"chaos": {"level": 1}}, {}))
    settings = Settings(level=1)
    known = {
        "table": layer.tables["chaos"], "reading": Reading(host.plain(), {}), "settings": settings,
        "context": Context(host.plain(), {}), "fragment": Fragment("chaos"), "document": {"process": {"args": ["x"]}},
        "leaves": {("level", ""): 1}, "receipt": {"pid": 1}, "options": {"a": "b"}, "config": {"Env": []},
    }  # fmt: skip
    parameters = list(inspect.signature(getattr(kind.__mro__[1], name)).parameters)[1:]
    return [known.get(parameter, "x") for parameter in parameters]


CASES = [(kind, name) for kind in FACES for name in methods(kind)
         if not (kind is Looker and name != "inputs")]  # fmt: skip
RAISED = [ValueError(HIDDEN), SystemExit(0), OSError(2, HIDDEN), ImportError(HIDDEN), MemoryError(HIDDEN),
          click.exceptions.Exit(0), BrokenPipeError(), RecursionError(), GeneratorExit()]  # fmt: skip


def misbehaving(kind: type[Any], name: str, deed: Callable[..., Any]) -> Any:
    """The face of an object whose method does this. ``schema`` and what a face asks of itself stay as they are."""
    return FACES[kind](PLUGIN, type(kind.__name__, (kind,), {name: deed})())


def test_every_method_of_every_interface_is_there() -> None:
    assert len([name for kind, name in CASES if kind is Chaos]) >= 23
    declared = {name for name, _ in inspect.getmembers(hookspecs) if name.startswith("hardening_")}
    assert declared == set(HOOKS)


@pytest.mark.sampled
@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(("kind", "name"), CASES, ids=lambda item: getattr(item, "__name__", item))
def test_whatever_a_method_raises_is_one_error(kind: type[Any], name: str, error: BaseException) -> None:
    def deed(self: object, *_: object) -> Any:
        raise error

    with pytest.raises(PluginError) as caught:
        getattr(misbehaving(kind, name, deed), name)(*arguments(kind, name))
    assert caught.value.exit_code == 125
    head = f"plugin chaos (chaos-dist 1.0) failed in {kind.__name__}.{name}: {type(error).__name__}"
    assert caught.value.message.startswith(head)
    assert f"({HERE}:" in caught.value.message
    assert caught.value.hint == "update or remove chaos-dist, or report this to its authors"
    if kind is Keeper:
        assert HIDDEN not in str(caught.value)


@pytest.mark.parametrize(("kind", "name"), CASES, ids=lambda item: getattr(item, "__name__", item))
def test_what_is_raised_once_an_answer_is_looked_at_is_one_error_too(kind: type[Any], name: str) -> None:
    def deed(self: object, *_: object) -> Any:
        yield from ()
        raise ValueError(HIDDEN)

    with pytest.raises(PluginError, match=rf"plugin chaos \(chaos-dist 1\.0\).*{kind.__name__}\.{name}") as caught:
        getattr(misbehaving(kind, name, deed), name)(*arguments(kind, name))
    assert caught.value.exit_code == 125


def test_a_method_whose_answer_has_no_form_is_not_called() -> None:
    with pytest.raises(KeyError, match="entry"):
        face(Scanner, Looker(), PLUGIN, {}, {"inputs": pluginanswers.looked}, plain=("owners", "packages", "whole"))


@pytest.mark.sampled
@pytest.mark.parametrize(
    "answer", [object(), None, 42, [42], "text", lambda: None], ids=lambda answer: repr(answer)[:9]
)
@pytest.mark.parametrize(("kind", "name"), CASES, ids=lambda item: getattr(item, "__name__", item))
def test_an_answer_of_another_type_is_one_error(kind: type[Any], name: str, answer: object) -> None:
    """What is another type for a method is what its own annotation does not allow."""
    allowed = {
        None: ("contribute", "prepare", "store", "delete", "version", "answer", "covering", "probe"),
        "text": ("version", "answer", "covering", "meant", "meaning"),
    }
    try:
        fits = name in allowed.get(answer, ())  # type: ignore[call-overload]
    except TypeError:
        fits = False
    # A fact may be of any type of its own, not of Python's.
    fits = fits or (name == "probe" and type(answer).__module__ != "builtins")
    call = getattr(misbehaving(kind, name, lambda self, *_: answer), name)
    if fits:
        call(*arguments(kind, name))
        return
    with pytest.raises(
        PluginError, match=rf"plugin chaos \(chaos-dist 1\.0\): {kind.__name__}\.{name} answers with "
    ) as found:
        call(*arguments(kind, name))
    assert found.value.exit_code == 125


@pytest.mark.parametrize(("kind", "name"), CASES, ids=lambda item: getattr(item, "__name__", item))
def test_ctrl_c_stays_what_it_is_and_prints_go_aside(
    kind: type[Any], name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def deed(self: object, *_: object) -> Any:
        print("printed")
        subprocess.run(["echo", "by a child"], check=True)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        getattr(misbehaving(kind, name, deed), name)(*arguments(kind, name))
    out, err = capfd.readouterr()
    assert (out, err) == ("", "printed\nby a child\n")


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, name in CASES if any(isinstance(item, dict) for item in arguments(kind, name))]
)  # fmt: skip
def test_what_a_method_is_given_cannot_be_changed(kind: type[Any], name: str) -> None:
    def deed(self: object, *given: Any) -> Any:
        next(item for item in given if isinstance(item, dict))["added"] = 1

    with pytest.raises(PluginError, match="TypeError" if kind is Keeper else "TypeError: this data is frozen"):
        getattr(misbehaving(kind, name, deed), name)(*arguments(kind, name))


def test_tables_of_a_layer_cannot_be_changed() -> None:
    def deed(self: object, table: Any, reading: Any) -> Any:
        table.document.tables["namespaces"] = {"net": "host"}

    with pytest.raises(PluginError, match=r"failed in Chaos\.statements: TypeError: this data is frozen"):
        misbehaving(Chaos, "statements", deed).statements(*arguments(Chaos, "statements"))


def test_an_error_on_purpose_stays_what_it_is() -> None:
    def deed(self: object, *_: object) -> Any:
        raise SpecError("on purpose", hint="do")

    with pytest.raises(SpecError, match="on purpose\nhint: do"):
        misbehaving(Chaos, "check", deed).check(*arguments(Chaos, "check"))


def test_an_error_about_a_plugin_keeps_its_place_and_its_hint() -> None:
    def deed(self: object, *_: object) -> Any:
        raise PluginError("on purpose", origin="rules.toml:3", hint="do")

    with pytest.raises(PluginError) as caught:
        misbehaving(Chaos, "check", deed).check(*arguments(Chaos, "check"))
    assert str(caught.value) == "rules.toml:3: plugin chaos (chaos-dist 1.0): on purpose\nhint: do"


def test_a_plugin_of_no_package_is_named_alike_loaded_or_announced() -> None:
    announced = Brought("lost", __name__, "", "")
    for item in (announced, plugins.loaded(announced)):
        error = fault(item, " fails")
        assert error.message == "plugin lost (unknown) fails"
        assert error.hint == "update or remove it, or report this to its authors"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody is waited for longer than it takes to see that. What ends a wait would be lost in what hypothesis does when
    garbage is collected."""
    kept, gc.callbacks[:] = gc.callbacks[:], []
    for module, name in (
        (plugincalls, "SECONDS"), (pluginfaces, "PATIENT"), (pluginfaces, "VERSION_SECONDS"), (plugins, "PATIENT")
    ):  # fmt: skip
        monkeypatch.setattr(module, name, 0.02)
    yield
    gc.callbacks[:] = kept


def hang(*_: object) -> Any:
    while True:
        try:
            time.sleep(60)
        except OSError:  # who tries again after whatever fails
            time.sleep(60)


@pytest.mark.usefixtures("impatient")
def test_whatever_hangs_is_named_with_its_method() -> None:
    before = signal.setitimer(signal.ITIMER_REAL, 250, 0.5), signal.getsignal(signal.SIGALRM)
    try:
        for kind, name in CASES:
            where = rf"plugin chaos \(chaos-dist 1\.0\) failed in {kind.__name__}\.{name}: PluginTimeoutError"
            with pytest.raises(PluginError, match=where) as caught:
                getattr(misbehaving(kind, name, hang), name)(*arguments(kind, name))
            # The text of what keeps secrets is left out.
            assert ("it takes longer than 0.02 seconds" in caught.value.message) is (kind is not Keeper)
            assert caught.value.exit_code == 125
        for name in HOOKS:
            with pytest.raises(PluginError, match=rf"failed in {name}: PluginTimeoutError"):
                ask(name, hang)
        # Whoever else waits for a signal goes on doing so.
        left, interval = signal.getitimer(signal.ITIMER_REAL)
        assert 200 < left <= 250
        assert (interval, signal.getsignal(signal.SIGALRM)) == (0.5, before[1])
    finally:
        signal.setitimer(signal.ITIMER_REAL, *before[0])


@pytest.mark.usefixtures("impatient")
def test_one_that_waits_for_another_is_told_of_that() -> None:
    inner = misbehaving(Chaos, "findings", hang)

    def outer(self: object, *given: Any) -> Any:
        inner.findings(*given)

    with pytest.raises(PluginError, match=r"failed in Chaos\.findings: PluginTimeoutError"):
        misbehaving(Chaos, "check", outer).check(*arguments(Chaos, "check"))


def test_only_the_main_thread_can_be_waited_for_in_vain() -> None:
    with ThreadPoolExecutor() as pool:
        assert pool.submit(misbehaving(Engine, "version", lambda self: "1").version).result() == "1"


# --- hooks ------------------------------------------------------------------------------------------------------------

NAMED = {"annotations": {SECRETS: json.dumps([{"name": "db", "type": "mount", "target": "/run/secrets/db"}])}}
HOOKS: dict[str, tuple[Callable[[Plugins, Any], Any], Sequence[object]]] = {
    "hardening_inspect": (lambda plugins, made: plugins.inspect(made, host.plain()), (None, 42, [42], "text")),
    "hardening_admit": (
        lambda plugins, made: plugins.admit(Candidate(b"{}", host.plain(), made)),
        (42, True, "text", Verdict("x", "no"), Verdict("x", (), [Finding]), Verdict("x", iter(()), ("file",))),  # type: ignore[arg-type]
    ),
    "hardening_inputs": (
        lambda plugins, made: plugins.inputs(made, host.plain()),
        (None, 42, [42], "/etc/banned", ["/etc/banned"], [iter([Input("file", "/x")])]),
    ),
    "hardening_signatures": (
        lambda plugins, made: plugins.signatures(parse("a.example.com/x:1"), "d", made, verify=True),
        (None, 42, ["text"], b"bytes"),
    ),
    "hardening_secrets": (lambda plugins, made: plugins.secrets(NAMED), (None, 42, [b"x"])),
    "hardening_secret_names": (lambda plugins, made: plugins.secrets(NAMED), (None, 42, [42], "db")),
    **dict.fromkeys(
        ("hardening_mechanisms", "hardening_runtimes", "hardening_scanners", "hardening_secret_drivers"),
        (lambda plugins, made: (plugins.scanners, plugins.secret_drivers), (None, 42, [42], "text", [Finding])),
    ),
}


def ask(name: str, deed: Callable[[], Any]) -> None:
    @hookimpl(specname=name)
    def hardening_chaos() -> Any:
        return deed()

    made = loaded(hardening_chaos)
    HOOKS[name][0](made, compose(stack(), [Chaos()], host.plain(), TODAY))


@pytest.mark.sampled
@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("name", HOOKS)
def test_whatever_a_hook_raises_is_one_error(name: str, error: BaseException) -> None:
    def deed() -> Any:
        raise error

    with pytest.raises(PluginError) as caught:
        ask(name, deed)
    head = f"plugin chaos (chaos-dist 1.0) failed in {name}: {type(error).__name__}"
    assert caught.value.message.startswith(head)
    assert caught.value.exit_code == 125
    if name == "hardening_secrets":
        assert HIDDEN not in str(caught.value)


@pytest.mark.sampled("name")
@pytest.mark.parametrize(
    ("name", "answer"),
    # Workers of xdist compare the names of tests, and repr() of some objects holds their address.
    [
        pytest.param(name, answer, id=f"{name}-{number}")
        for name, (_, answers) in HOOKS.items()
        for number, answer in enumerate(answers)
    ],
)
def test_a_hook_s_answer_of_another_type_is_one_error(name: str, answer: object) -> None:
    with pytest.raises(PluginError, match=rf"plugin chaos \(chaos-dist 1\.0\): {name} answers with ") as caught:
        ask(name, lambda: answer)
    assert caught.value.exit_code == 125


def test_an_input_of_a_kind_that_there_is_not_is_refused_when_it_is_made() -> None:
    with pytest.raises(PluginError, match='failed in hardening_inputs: ValueError: there is no kind of input "fiel"'):
        ask("hardening_inputs", lambda: [Input("fiel", "/x")])


# --- contributions ----------------------------------------------------------------------------------------------------


def _confine_twice(part: Fragment) -> None:
    part.confine(["/x"], "chaos.level")
    part.confine(["/y"], "chaos.level")


HOST_ROOT = {"destination": "/mnt", "type": "bind", "source": "/", "options": ["rbind", "rw"]}
CONTRIBUTED: dict[str, tuple[Callable[[Fragment], Any], str]] = {
    "no leaf": (lambda part: part.put("/x", 1), "without the setting that decided it"),
    "no such leaf": (lambda part: part.put("/x", 1, "no.such.leaf"), "which is not a setting of"),
    "a leaf of another": (lambda part: part.put("/x", 1, "rootfs.path"), "which is not a setting of"),
    "an item without a leaf": (lambda part: part.item("/process/rlimits", "x", {}), "without the setting"),
    "a file without a leaf": (lambda part: part.file("x", b""), "without the setting"),
    "a list replaced without a leaf": (lambda part: part.replace("/linux/devices"), "without the setting"),
    "a mount of its own": (
        lambda part: part.item("/mounts", "/mnt", HOST_ROOT, "chaos.level"),
        "none of its mount points",
    ),
    "a variable under another key": (
        lambda part: part.item("/process/env", "OTHER", "HOME=/x", "chaos.level"),
        "contributes HOME to /process/env as OTHER",
    ),
    "a helper without a leaf": (lambda part: part.confine(["/x"]), "without the setting"),
    "a helper by its name": (lambda part: part.confine(["x"], "chaos.level"), "no helper with an absolute path"),
    "a second helper": (lambda part: _confine_twice(part), "confines the command twice"),
    "no JSON": (lambda part: part.put("/x", {1}, "chaos.level"), "what is not JSON data"),
    "no pointer": (lambda part: part.put("x", 1, "chaos.level"), "not a JSON pointer"),
    "told in words": (lambda part: part.tell("less than that"), "answers with"),  # type: ignore[arg-type]
    "told of no setting": (lambda part: part.tell(Finding("chaos/less", Severity.WARNING, "less")), "not a setting of"),
    "another owner": (lambda part: setattr(part, "owner", "seccomp"), "AttributeError"),
    "a generator": (lambda part: iter(()), "answers with"),
}


@pytest.mark.parametrize("name", CONTRIBUTED)
def test_what_is_contributed_has_a_setting_of_its_own(name: str) -> None:
    deed, message = CONTRIBUTED[name]
    face = misbehaving(Chaos, "contribute", lambda self, settings, context, fragment: deed(fragment))
    with pytest.raises(PluginError, match=message) as caught:
        face.contribute(*arguments(Chaos, "contribute"))
    assert caught.value.message.startswith("plugin chaos (chaos-dist 1.0)")


LEARNT = {
    "spare": (["chaos.gone"], "chaos spares something because of chaos.gone, which is not a setting of"),
    "recording": (({"level": 3}, ["gone"]), "chaos records because of chaos.gone, which is not a setting of"),
    "learnt": (
        [LearntStatement(("level",), 3, "seen", loosens=frozenset({"gate.level"}))],
        "chaos learns something because of gate.level",
    ),
}


@pytest.mark.parametrize("name", LEARNT)
def test_what_is_learnt_is_of_a_setting_of_its_own(name: str) -> None:
    answer, message = LEARNT[name]
    method = getattr(misbehaving(Chaos, name, lambda self, *_: answer), name)
    with pytest.raises(PluginError, match=message) as caught:
        method(*arguments(Chaos, name))
    assert caught.value.message.startswith("plugin chaos (chaos-dist 1.0)")


@pytest.mark.parametrize("key", ["level", (), (3,)], ids=repr)
def test_a_statement_has_a_key(key: Any) -> None:
    learnt = misbehaving(Chaos, "learnt", lambda self, *_: [LearntStatement(key, 3, "seen")]).learnt
    with pytest.raises(
        PluginError, match=r"Chaos\.learnt answers with .* a tuple of texts as key of LearntStatement is expected"
    ):
        learnt(*arguments(Chaos, "learnt"))


GATE = type(
    "Gate", (Chaos,), {"name": "gate", "settings_type": attrs.make_class("Gates", {}, (Settings,), frozen=True)}
)
IMPLIED = {
    (Leaf("chaos", "level"), Leaf("gate", "gone")): "gate.gone is not a setting of [gate]",
    (Leaf("chaos", "level"), Leaf("chaos", "gone")): "chaos.gone is not a setting of [chaos]",
    (Leaf("chaos", "gone"), Leaf("gate", "level")): "chaos.gone is not a setting of [chaos]",
    (Leaf("gate", "level"), Leaf("gate", "level")): "gate.level is not a setting of [chaos]",
}


def implying(by: Leaf, leaf: Leaf) -> Composition:
    """The composition of a mechanism that implies this beside another one."""
    chaos = type("Chaos", (Chaos,), {"implies": lambda self, *_: [Implied(by, leaf, 0, "a gap")]})

    @hookimpl(specname="hardening_mechanisms")
    def more() -> Any:
        return (GATE(),)

    return hold(compose(stack(), loaded(more, mechanism=chaos()).mechanisms, host.plain(), TODAY), host.plain())


@pytest.mark.parametrize("leaves", IMPLIED, ids=str)
def test_what_is_implied_is_a_leaf_that_there_is(leaves: tuple[Leaf, Leaf]) -> None:
    with pytest.raises(PluginError) as caught:
        implying(*leaves)
    by, leaf = leaves
    assert caught.value.message == f"plugin chaos (chaos-dist 1.0): chaos implies {leaf} by {by}: {IMPLIED[leaves]}"


@pytest.mark.parametrize("leaf", [Leaf("gate", "level"), Leaf("absent", "gone")], ids=str)
def test_what_is_implied_of_another_mechanism_is_held_where_that_is_installed(leaf: Leaf) -> None:
    assert implying(Leaf("chaos", "level"), leaf).settings["chaos"] == Settings(level=0)


# --- what is refused when a plugin is loaded --------------------------------------------------------------------------

DECLARED = {
    "name": ("limits", "a.b", "Chaos", "", None),
    "summary": (None, "two\nlines"),
    "after": ("namespaces", None),
    "owns": ("/hooks", ("hooks",), ("/",), 3),
    "settings_type": (None, dict),
    "may_fall_short": ("no",),
}


@pytest.mark.parametrize("short", [Unsupported("seccomp", "why", ""), Unsupported("chaos.level", "why", "", also=("x.y",)),
                                   Unsupported("chaos", "why", "", requirement="process.requirement")])  # fmt: skip
def test_what_cannot_be_enforced_is_a_setting_of_its_own(short: Unsupported) -> None:
    """Else it would be another table that waives it."""

    class Short(Chaos):
        def check(self, settings: Settings, context: Context) -> Any:
            return (short,)

    (face,) = loaded(mechanism=Short()).mechanisms
    with pytest.raises(PluginError, match=r"plugin chaos .* cannot be enforced, which is not a setting of \[chaos\]"):
        face.check(Settings(level=0), NO_CONTEXT)


@pytest.mark.parametrize("severity", ["error", None, 2], ids=repr)
def test_a_finding_has_a_severity(severity: Any) -> None:
    class Told(Chaos):
        def findings(self, settings: Settings, context: Context) -> Any:
            return (Finding("chaos/x", severity, "x"),)

    (face,) = loaded(mechanism=Told()).mechanisms
    with pytest.raises(PluginError, match=r"plugin chaos .* where a Severity as severity of Finding is expected"):
        face.findings(Settings(level=0), NO_CONTEXT)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in DECLARED.items() for value in values])
def test_an_attribute_of_another_form_is_refused(name: str, value: object) -> None:
    with pytest.raises(PluginError, match=r"plugin chaos \(chaos-dist 1\.0\): Chaos answers with") as caught:
        loaded(mechanism=type("Chaos", (Chaos,), {name: value})())
    assert caught.value.exit_code == 125


def test_a_setting_that_nothing_does_anything_with_is_refused() -> None:
    class Idle(Mechanism[Settings]):
        """Nothing."""

        name = "idle"

    with pytest.raises(PluginError, match=r"plugin chaos \(chaos-dist 1\.0\): nothing does anything with idle\.level"):
        loaded(mechanism=Idle())
    (face,) = loaded(mechanism=type("Idle", (Idle,), {"before_launch": ("level",)})()).mechanisms
    assert (face.settings_type, list(face.inputs(Settings(level=1), NO_CONTEXT))) == (Settings, [])
    with pytest.raises(PluginError, match="Idle has a method contribute and no tighten"):
        loaded(mechanism=type("Idle", (Idle,), {"contribute": Chaos.contribute})())


@pytest.mark.parametrize("name", ["probe", "check", "contribute", "prepare", "findings"])
def test_a_mechanism_that_may_look_at_something_says_at_what(name: str) -> None:
    one = type("Looking", (Chaos,), {item: getattr(Mechanism, item) for item in ("check", "contribute")})
    assert list(one().inputs(Settings(level=1), NO_CONTEXT)) == []
    (unknown,) = type("Looking", (one,), {name: lambda self, *_: ()})().inputs(Settings(level=1), NO_CONTEXT)
    assert f"has a method {name}" in unknown.reason


@pytest.mark.parametrize(("version", "shown"), [("2", "'2'"), (1, "1"), (None, "None")])
def test_a_plugin_for_another_interface_is_refused(version: object, shown: str) -> None:
    module = ModuleType("chaos")
    vars(module)["hardening_api"] = "1"
    Plugins([Plugin("chaos", module, "chaos-dist", "1.0")])
    vars(module)["hardening_api"] = version
    message = rf"plugin chaos \(chaos-dist 1\.0\) is made for the interface hardening_api = {shown}, and hardening "
    with pytest.raises(PluginError, match=message):
        Plugins([Plugin("chaos", module, "chaos-dist", "1.0")])


def test_settings_that_can_be_changed_are_refused() -> None:
    loose = type("Chaos", (Chaos,), {"settings_type": Loose, "build": lambda self, leaves: Loose(level=1)})()
    with pytest.raises(PluginError, match=r"Chaos\.build answers with Loose where a frozen object"):
        pluginfaces.mechanism(PLUGIN, loose).build({})


@attrs.define
class Loose:
    """Settings that can be changed."""

    level: int = scalar(Ceiling(), 0, "How much.")


def test_frozen_data_is_data() -> None:
    data = freeze({"a": [1, {"b": 2}]})
    assert json.loads(json.dumps(data)) == {"a": [1, {"b": 2}]} == data
    for value, change in ((data["a"], "append"), (data["a"][1], "update"), (data, "pop")):
        with pytest.raises(TypeError, match="frozen"):
            getattr(value, change)({})


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (attrs.field(default=5), r"failed in .*: TypeError: S\.level is declared by none of scalar, family and listing"),
        (scalar(Ceiling, 0, "x"), "answers with ABCMeta where a Kind for the setting level"),  # type: ignore[arg-type]
        (scalar(Ceiling(0, 9), 10, "x"), r"chaos\.level: the default 10 is none of its kind: .*it must be from 0 to 9"),
        (scalar(Ceiling(0, 9), "0", "x"), "the default '0' is none of its kind: .*an integer is expected"),  # type: ignore[misc]
        (scalar(Ceiling("0", "9"), 0, "x"), r"failed in chaos\.level: TypeError"),  # type: ignore[arg-type]
        (scalar(Choice(("a", "b")), "c", "x"), 'the default .c. is none of its kind: .*"c" is none of a, b'),
        (scalar(Ceiling(), 0, "x", name="a b"), "a name of letters, digits, _ and -, with dots between, which 'a b' is not"),
        (scalar(Ceiling(), 0, "x", field="annotations/x"), "as field of the setting level"),
        (scalar(Ceiling(), 0, 5), "a text as help of the setting level"),  # type: ignore[arg-type]
        (family(Ceiling(), rest=0, absent=-1, help="x"), "the absent -1 is none of its kind"),
        (family(Ceiling(), rest=0, absent=0, default={"a": -1}, help="x"), "the default a -1 is none of its kind"),
        (family(Ceiling(), rest=0, absent=0, default=["a"], help="x"), r"failed in chaos\.level: AttributeError"),  # type: ignore[arg-type]
        (listing("x", "x"), "a function as read_member of the setting level"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_a_setting_that_is_declared_wrongly_is_named_with_its_plugin(declared: Any, message: str) -> None:
    made = attrs.make_class("S", {"level": declared}, frozen=True)
    with pytest.raises(PluginError, match=rf"^plugin chaos \(chaos-dist 1\.0\).*{message}"):
        loaded(mechanism=type("Chaos", (Chaos,), {"settings_type": made})())


def test_what_ours_declare_is_of_its_kind() -> None:
    theirs, (plugins, _) = attrs.evolve(PLUGIN, distribution="acme"), shipped.here()
    for mechanism in plugins.mechanisms:
        pluginchecks.declared(theirs, mechanism)


def test_a_finding_is_of_a_rule_of_its_own_mechanism() -> None:
    deed = lambda self, *_: [Finding("seccomp/kill", Severity.NOTE, "x")]  # noqa: E731
    with pytest.raises(PluginError, match=r"a rule of chaos/…, which 'seccomp/kill' is not"):
        misbehaving(Chaos, "findings", deed).findings(*arguments(Chaos, "findings"))


# --- the program ------------------------------------------------------------------------------------------------------

MODULE = """
import sys
from hardening.plugin.hookspecs import hookimpl
from hardening.mechanism.inputs import Input

@hookimpl
def hardening_inspect():
    print("printed")
    return ()

@hookimpl
def {hook}:
    {deed}
"""
DEEDS = {
    "exit": ("hardening_admit()", "sys.exit(0)", "failed in hardening_admit: SystemExit: 0"),
    "_exit": (
        "hardening_admit()",
        "import os; os._exit(0)",
        "failed in hardening_admit: PluginExitError: it calls os._exit",
    ),
    "exec": (
        "hardening_inputs()",
        "import posix; posix.execv('/bin/true', ['true'])",
        "failed in hardening_inputs: PluginExit",
    ),
    "raise": ("hardening_admit()", "raise ValueError('x')", "failed in hardening_admit: ValueError: x"),
    "inputs": (
        "hardening_inputs()",
        "return ['/etc/banned']",
        "hardening_inputs answers with str where Input or Unknown",
    ),
    "misspelt": ("hardening_admitt()", "return None", "there is no hook hardening_admitt"),
}


def call(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What came of a line, where what lies in a folder is installed, too."""
    code = f"import sys\nsys.path.insert(0, {str(folder)!r})\nfrom hardening.cli import main"
    return forking.server(None).run(words, code=code, cwd=".", env=os.environ)


def installed(folder: Path, code: str, requires: str = "hardening>=0.1") -> None:
    (folder / "acme_chaos.py").write_text(code)
    about = folder / "acme_chaos-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: acme-chaos\nVersion: 1.0\nRequires-Dist: {requires}\n"
    )
    (about / "entry_points.txt").write_text("[hardening]\nchaos = acme_chaos\n")


@pytest.mark.parametrize("name", DEEDS)
def test_a_gate_is_never_green_for_a_plugin_that_fails(name: str, tmp_path: Path) -> None:
    hook, deed, message = DEEDS[name]
    installed(tmp_path, MODULE.format(hook=hook, deed=deed))
    done = call(tmp_path, "run", "-q", "-p", "default", "--", "echo", "RAN")
    assert (done.returncode, done.stdout) == (125, ""), done.stderr
    assert "plugin chaos (acme-chaos 1.0)" in done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_child_of_a_plugin_ends_as_it_likes(tmp_path: Path) -> None:
    deed = "import os; pid = os.fork(); pid or os._exit(7); assert os.waitpid(pid, 0)[1] == 7 << 8; return ()"
    installed(tmp_path, MODULE.format(hook="hardening_inputs()", deed=deed))
    done = call(tmp_path, "compose", "-q", "-p", "default", "--", "true")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("deed", ["import os; os._exit(0)", "from os import execl; execl('/bin/true', 'true')"])
def test_a_module_that_ends_the_process_when_it_is_imported_is_told(deed: str, tmp_path: Path) -> None:
    installed(tmp_path, deed + MODULE.format(hook="hardening_inputs()", deed="return ()"))
    done = call(tmp_path, "explain", "-p", "default", "rootfs.read_only")
    assert done.returncode == 125
    assert "plugin chaos (acme-chaos 1.0) cannot be imported: PluginExitError: it calls os." in done.stderr


def test_what_a_plugin_prints_spoils_no_answer_and_its_container_is_as_strict(tmp_path: Path) -> None:
    installed(tmp_path, MODULE.format(hook="hardening_inputs()", deed="print('more'); return ()"))
    done = call(tmp_path, "compose", "--format", "settings", "--json", "-p", "default")
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)
    done = call(tmp_path, "run", "-p", "default", "--receipt", str(tmp_path / "r.json"), "--", "true")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert call(tmp_path, "receipt", "-p", "default", str(tmp_path / "r.json")).returncode == 0


@pytest.mark.parametrize(
    ("requires", "refused"),
    [
        ('hardening>=99; python_version >= "3.8"', "hardening >=99, and this is"),
        ('Hardening >=0.1, !=0.1.* ; sys_platform == "linux" and os_name == "posix"', "hardening !=0.1.*,>=0.1, and"),
        ("hardening~=9.1", "hardening ~=9.1, and this is"),
        ("hardening>=99; not a marker", "'hardening>=99; not a marker', which cannot be read: "),
        ("hardening >= x y", "'hardening >= x y', which cannot be read: "),
        ("hardening>=v99", "hardening >=v99, and this is"),
        ("hardening>=0!99", "hardening >=0!99, and this is"),
        ("hardening===0.1.0.foo", "hardening ===0.1.0.foo, and this is"),
        ('hardening>=99; "a" in extras', "'hardening>=99; \"a\" in extras', which cannot be read: "),
        (f"hardening{' ' * 4000})x", "'hardening  "),
        (f"hardening>={'9' * 4000}", "hardening >=999"),
        (f"hardening>={'9' * 5000}", "'hardening>=999"),
        (f"hardening>=99; {'-' * 100000}1", "'hardening>=99; ---"),
        (f"hardening>=99; {'(' * 1500}os_name == 'posix'{')' * 1500}", "'hardening>=99; ((("),
        ("hardening", ""),
        ("hardening (>=0.1)", ""),
        ('hardening>=99; python_version < "3.8"', ""),
        ("hardening[test]>=99; extra == 'dev'", ""),
        ('other>=99; python_version >= "3.8"', ""),
        ("other nonsense", ""),
    ],
    ids=lambda text: text[:30],
)
def test_a_condition_on_a_requirement_is_looked_at(requires: str, refused: str) -> None:
    item = Brought("chaos", "acme_chaos", "acme-chaos", "1.0", (requires,))
    if refused:
        with pytest.raises(
            PluginError, match=rf"^plugin chaos \(acme-chaos 1\.0\) requires {re.escape(refused)}"
        ) as raised:
            pluginchecks.requirement(item)
        assert len(str(raised.value)) < 800
    else:
        pluginchecks.requirement(item)


@pytest.mark.parametrize("requires", ["hardening>=99", "hardening\n  >=99", "\n\thardening\n \n >=99"], ids=ascii)
def test_a_plugin_for_another_version_is_refused_and_the_list_names_it(tmp_path: Path, requires: str) -> None:
    installed(tmp_path, MODULE.format(hook="hardening_inputs()", deed="return ()"), requires)
    done = call(tmp_path, "compose")
    assert (done.returncode, "requires hardening >=99, and this is 0.1.0" in done.stderr) == (125, True), done.stderr
    done = call(tmp_path, "plugin", "list", "--json")
    assert done.returncode == 125
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert "requires hardening >=99" in rows["chaos"]["problem"]
    assert [item["name"] for item in rows["secrets"]["secret_drivers"]] == ["command", "file", "gpg", "pass"]


KIND = """
import attrs
from hardening.plugin.hookspecs import hookimpl
from hardening.mechanism.kinds import Ceiling
from hardening.mechanism.mechanism import Mechanism
from hardening.mechanism.schema import scalar

class Bad(Ceiling):
    def is_no_looser_than(self, a, b):
        raise {raised}

@attrs.frozen
class Settings:
    level: int = scalar(Bad(), 0, "How much.")

class Chaos(Mechanism):
    name = "chaos"
    summary = "a mechanism"
    settings_type = Settings

    def inputs(self, settings, context):
        return ()

    def check(self, settings, context):
        return ()

    def contribute(self, settings, context, fragment):
        fragment.put("/annotations/chaos", context.runtime, "chaos.level")

    def tighten(self, settings, document, context, fragment):
        return ()

@hookimpl
def hardening_mechanisms():
    return (Chaos(),)
"""


@pytest.mark.parametrize("raised", ["ValueError('x')", "SystemExit(0)", "BaseException('x')"])
def test_a_kind_of_values_that_fails_is_its_plugin_s(raised: str, tmp_path: Path) -> None:
    installed(tmp_path, KIND.format(raised=raised))
    (tmp_path / "low.toml").write_text("[chaos]\nlevel = 1\n")
    done = call(tmp_path, "compose", "-p", "default", "-p", str(tmp_path / "low.toml"), "--set", "chaos.level=0")
    assert (done.returncode, done.stdout) == (125, ""), done.stderr
    assert f"plugin chaos (acme-chaos 1.0) failed: {raised.partition('(')[0]}" in done.stderr
    assert f"{tmp_path}/acme_chaos.py:10" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_mechanism_knows_what_will_run_it(tmp_path: Path) -> None:
    installed(tmp_path, KIND.format(raised="ValueError").replace("def is_no_looser_than", "def other"))
    for runtime in ("native", "crun"):
        done = call(tmp_path, "run", "--dry-run", "--json", "--runtime", runtime, "--", "true")
        assert json.loads(done.stdout)["spec"]["annotations"]["chaos"] == runtime, done.stderr
    assert "chaos" not in json.loads(call(tmp_path, "compose").stdout)["annotations"]


@pytest.mark.parametrize(
    "error", [ValueError(HIDDEN), SystemExit(0), AssertionError(HIDDEN)], ids=lambda error: type(error).__name__
)
def test_a_fault_of_the_program_is_no_verdict(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hardening import cli

    def fails(*_: object) -> int:
        raise error

    monkeypatch.setattr(cli, "_run", fails)
    assert cli.main(["compose"]) == 125
    shown = capsys.readouterr().err
    assert shown.startswith(f"error: hardening itself has failed: {type(error).__name__} (")
    assert HIDDEN not in shown


def test_check_says_what_is_broken_of_one_that_is_installed(tmp_path: Path) -> None:
    installed(tmp_path, KIND.format(raised="x").replace("def is_no_looser_than", "def other"))
    done = call(tmp_path, "plugin", "check", "chaos", "--json")
    rows = json.loads(done.stdout)
    assert (done.returncode, {row["plugin"] for row in rows}, {row["of"] for row in rows}) == (
        1, {"chaos"}, {"table chaos"},
    ), done.stderr  # fmt: skip
    assert "verify names each setting" in {row["law"] for row in rows}
    done = call(tmp_path, "plugin", "check", "secrets")
    assert (done.returncode, done.stdout) == (0, "nothing is broken of secrets\n"), done.stderr
    done = call(tmp_path, "plugin", "check", "chaso")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, 'hint: did you mean "chaos"?')


LEFT_OUT = {
    "a mechanism": KIND.format(raised="x"),
    "a judge": MODULE.format(hook="hardening_admit()", deed="raise ValueError"),
    "who knows": "raise ImportError",
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_may_have_a_say_is_not_left_out_of_a_launch(name: str, tmp_path: Path) -> None:
    """All else goes on without it."""
    installed(tmp_path, LEFT_OUT[name])
    without = ("--without", "chaos")
    for words in (("run", "-q", "--", "echo", "RAN"), ("compose", "-o", str(tmp_path / "bundle"), "--", "true")):
        done = call(tmp_path, *without, *words)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert "the plugin chaos (acme-chaos 1.0) is left out, and nothing is launched without" in done.stderr
    assert not (tmp_path / "bundle").exists()
    done = call(tmp_path, *without, "explain", "seccomp.ptrace")
    assert (done.returncode, "seccomp" in done.stdout) == (0, True), done.stderr
    done = call(tmp_path, *without, "plugin", "list", "--json")
    assert (done.returncode, "chaos" in done.stdout) == (0, False), done.stderr
    (tmp_path / "own.toml").write_text("[chaos]\nlevel = 0\n")
    done = call(tmp_path, *without, "explain", "seccomp.ptrace", "-p", str(tmp_path / "own.toml"))
    assert (done.returncode, "no plugin owns this table" in done.stderr) == (2, True)


RUNTIME = """
from hardening.plugin.hookspecs import hookimpl
from hardening.mechanism.mechanism import Unsupported
from hardening.mechanism.runtime import Runtime

class Loose(Runtime):
    name = "loose"
    summary = "a runtime that has no use for the filter"

    def version(self):
        return {version}

    def check(self, document, host):
        return ()

    def unsupported(self, document):
        if "seccomp" in document["linux"]:
            yield Unsupported("seccomp.*", "loose has no filter", "use another runtime", whole=True)

    def command(self, bundle, request):
        return ["/bin/echo", "started"]

@hookimpl
def hardening_runtimes():
    return (Loose(),)
"""


def test_what_a_runtime_does_not_enforce_stops_a_required_launch_or_is_told(tmp_path: Path) -> None:
    installed(tmp_path, RUNTIME.format(version="'1'"))
    (tmp_path / "free.toml").write_text('[selinux]\nrequirement = "best-effort"\n')
    run = ("run", "--runtime", "loose", "-p", str(tmp_path / "free.toml"))
    done = call(tmp_path, *run, "--", "true")
    assert (done.returncode, done.stdout) == (125, "")
    assert "seccomp.* cannot be enforced here" in done.stderr
    assert "loose has no filter" in done.stderr
    done = call(tmp_path, *run, "--set", "seccomp.requirement=best-effort", "--dry-run", "--json", "--", "true")
    answer = json.loads(done.stdout)
    (state,) = [item for item in answer["mechanisms"] if item["mechanism"] == "seccomp"]
    assert state["state"] == "not enforced"
    assert "seccomp" in json.loads(answer["spec"]["annotations"]["org.hardening.mechanisms"])["not_enforced"]


def test_what_only_hands_something_over_may_be_left_out(tmp_path: Path) -> None:
    installed(tmp_path, RUNTIME.format(version="'1'"))
    done = call(tmp_path, "--without", "chaos", "run", "-q", "--", "echo", "RAN")
    assert (done.returncode, done.stdout) == (0, "RAN\n"), done.stderr
    done = call(tmp_path, "--without", "chaos", "run", "--runtime", "loose", "--", "true")
    assert (done.returncode, 'unknown runtime "loose"' in done.stderr) == (2, True)
    done = call(tmp_path, "--without", "chaoss", "run", "--", "true")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, 'hint: did you mean "chaos"?')


def test_a_receipt_that_no_one_would_write_is_refused_before_anything_runs(tmp_path: Path) -> None:
    installed(tmp_path, RUNTIME.format(version="'1'"))
    done = call(tmp_path, "run", "--runtime", "loose", "--receipt", str(tmp_path / "r.json"), "--", "true")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--receipt: the runtime loose writes no receipts" in done.stderr


def test_doctor_names_a_runtime_that_fails_and_goes_on(tmp_path: Path) -> None:
    installed(tmp_path, RUNTIME.format(version="1 / 0"))
    done = call(tmp_path, "doctor", "--json")
    rows = {(row["area"], row["name"]): row for row in json.loads(done.stdout)}
    assert (done.returncode, rows["runtime", "loose"]["mark"]) == (1, "fail"), done.stderr
    assert "failed in Loose.version: ZeroDivisionError" in rows["runtime", "loose"]["detail"]
    assert rows["runtime", "native"]["mark"] == "ok"


BROKEN = {
    "at import": ("raise ValueError('x')", "cannot be imported: ValueError: x"),
    "in a hook": ("@hookimpl\ndef hardening_runtimes():\n    raise OSError", "failed in hardening_runtimes: OSError"),
    "at import, not an error": ("raise type('Odd', (BaseException,), {})('x')", "cannot be imported: Odd: x"),
    "in a hook, not an error": (
        "@hookimpl\ndef hardening_runtimes():\n    raise BaseException", "failed in hardening_runtimes: BaseException"
    ),
    "in a hook, by an error of ours": (
        "from hardening.errors import HostError\n@hookimpl\ndef hardening_mechanisms():\n"
        "    raise HostError('cannot read /acme', hint='reinstall acme-chaos')",
        "plugin chaos (acme-chaos 1.0): cannot read /acme",
    ),
    "in probe, by an error of ours": (
        "from hardening.errors import HostError\n" + KIND.format(raised="x").replace(
            "def inputs", "def probe(self, host):\n        raise HostError('cannot read /acme')\n    def inputs"),
        "plugin chaos (acme-chaos 1.0): cannot read /acme",
    ),
    "in scanners": ("@hookimpl\ndef hardening_scanners():\n    return [1]", "hardening_scanners answers with int"),
    "in probe": (KIND.format(raised="x").replace("def inputs", "def probe(self, host):\n        1 / 0\n    def inputs"),
                 "failed in Chaos.probe: ZeroDivisionError"),
    "an option of ours": (KIND.format(raised="x").replace(
        "def inputs", "def options(self):\n        from hardening.mechanism.mechanism import Option\n"
        "        return [Option(('--json',), 'level', 'x')]\n    def inputs"), "offers the option --json, which"),
    "a name of ours": (RUNTIME.format(version="'1'").replace('"loose"', '"crun"'), "both own the runtime"),
    "another version": ("", "requires hardening >=99"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_doctor_goes_on_without_a_plugin_that_cannot_be_used(name: str, tmp_path: Path) -> None:
    deed, message = BROKEN[name]
    requires = "hardening>=99" if name == "another version" else "hardening"
    installed(tmp_path, f"from hardening.plugin.hookspecs import hookimpl\n{deed}\n", requires)
    done = call(tmp_path, "doctor", "-p", "strict", "--json")
    rows = json.loads(done.stdout)
    (row,) = [row for row in rows if row["name"] == "plugin"]
    assert (done.returncode, row["mark"], done.stderr) == (1, "fail", "")
    assert "plugin chaos (acme-chaos 1.0)" in row["detail"]
    assert message in row["detail"]
    assert "acme-chaos" in row["remedy"] or row["remedy"] == "uninstall one of them"
    names = {(row["area"], row["name"]) for row in rows}
    assert {("runtime", "native"), ("runtime", "crun"), ("mechanism", "seccomp"), ("host", "kernel")} <= names
    done = call(tmp_path, "plugin", "list", "--json")
    listed = [row["name"] for row in json.loads(done.stdout)]
    assert {"chaos", "seccomp"} <= set(listed), done.stderr


def test_doctor_goes_on_without_a_plugin_that_probes_what_another_one_does(tmp_path: Path) -> None:
    deed = "def probe(self, host):\n        from hardening_process import Process\n        return Process().probe(host)"
    kind = KIND.format(raised="x").replace("def inputs", f"{deed}\n    def inputs")
    installed(tmp_path, f"from hardening.plugin.hookspecs import hookimpl\n{kind}\n")
    rows = json.loads(call(tmp_path, "doctor", "--json").stdout)
    (row,) = [row for row in rows if row["name"] == "plugin"]
    assert row["detail"] == "chaos probes ProcessFacts, which another mechanism owns"
    assert {"native", "crun"} <= {row["name"] for row in rows if row["area"] == "runtime"}


VAULT = """
from hardening.plugin.hookspecs import hookimpl
from hardening.mechanism.secret_driver import SecretDriver

class Vault(SecretDriver):
    name = "vault"
    summary = "a vault"

    def store(self, folder, key, value, options):
        (folder / key).write_bytes(value)

    def read(self, folder, key, options):
        return (folder / key).read_bytes()

    def delete(self, folder, key, options):
        (folder / key).unlink()

    def {name}(self, *arguments):
        raise ValueError("{hidden}")

@hookimpl
def hardening_secret_drivers():
    return (Vault(),)
"""


@pytest.mark.parametrize(("name", "code"), [("store", 125), ("read", 0), ("delete", 0)])
def test_a_driver_that_fails_shows_no_value_and_blocks_no_store(
    name: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARDENING_SECRETS", str(tmp_path / "secrets"))
    (tmp_path / "value").write_text(HIDDEN)
    installed(tmp_path, VAULT.format(name=name, hidden=HIDDEN))
    made = call(tmp_path, "secret", "create", "db", str(tmp_path / "value"), "-d", "vault")
    assert (made.returncode, HIDDEN in made.stderr) == (code, False), made.stderr
    asked = [made]
    if name == "read":
        asked = [call(tmp_path, "secret", "inspect", "--showsecret", "db")]
        assert asked[0].returncode == 125
    if name == "delete":
        asked = [call(tmp_path, "secret", "rm", "db")]
        assert asked[0].returncode == 1
    assert f"plugin chaos (acme-chaos 1.0) failed in Vault.{name}: ValueError (" in asked[0].stderr
    assert HIDDEN not in asked[0].stderr + asked[0].stdout
