"""The stages in their order, with a mechanism and a runtime made for these tests."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

from hardening.assemble import pipeline
from hardening.cli import notes
from hardening.compose.composition import Composition, compose
from hardening.errors import HostError, PluginError, Problems, ProfileError, SpecError
from hardening.launch.request import LaunchRequest
from hardening.mechanism.findings import Finding, Severity
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Input
from hardening.mechanism.kinds import Ceiling
from hardening.mechanism.mechanism import Context, Mechanism, Unsupported, Violation
from hardening.mechanism.runtime import Refusal, Runtime
from hardening.mechanism.schema import scalar
from hardening.plugin.admission import Candidate, Verdict
from hardening.plugin.hookspecs import hookimpl
from hardening.plugin.plugins import Plugin, Plugins
from hardening.profile.layers import Stack, parse_layer
from hardening.profile.source import Document

HOST = Host((6, 12), "6.12.0", "x86_64", 0, 0, (0,))


@attrs.frozen
class GateSettings:
    """Settings of one number."""

    height: int = scalar(Ceiling(), 0, "How high.")


class Gate(Mechanism[GateSettings]):
    """Puts its height at ``/<name>/height``; the host lacks what ``unsupported`` say."""

    summary = "a gate"
    settings_type = GateSettings

    def __init__(self, name: str, *unsupported: Unsupported, also: str = "", calls: list[str] | None = None) -> None:
        self.name = name  # type: ignore[misc]
        # Settings are looked up by their class, so each gate has one of its own.
        own: Any = attrs.make_class(f"{name.title()}Settings", {}, bases=(GateSettings,), frozen=True)
        self.settings_type = own
        self.unsupported = unsupported
        self.also = also
        self.calls = calls if calls is not None else []

    def check(self, settings: GateSettings, context: Context) -> Iterable[Unsupported]:
        self.calls.append(f"{self.name} checks")
        self.seen = context.unsupported
        return self.unsupported

    def contribute(self, settings: GateSettings, context: Context, fragment: Fragment) -> None:
        self.calls.append(f"{self.name} contributes")
        value = None if context.lacks(f"{self.name}.height") else settings.height
        fragment.put(self.also or f"/{self.name}/height", value, f"{self.name}.height")
        fragment.put(f"/{self.name}/bundle", str(context.bundle), self.name)

    def tighten(
        self, settings: GateSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
    ) -> Iterator[Violation]:
        asked = document.get(self.name, {}).get("height", 0)
        fragment.put(f"/{self.name}/height", min(asked, settings.height), f"{self.name}.height")
        if asked > settings.height:
            yield Violation(f"/{self.name}/height", str(asked), str(settings.height), f"{self.name}.height")

    def findings(self, settings: GateSettings, context: Context) -> Iterable[Finding]:
        yield Finding(f"{self.name}/seen", Severity.NOTE, f"{len(context.unsupported)} gaps")


class Asking(Gate):
    """One that asks for its limit wherever it is given a context."""

    def check(self, settings: GateSettings, context: Context) -> Iterable[Unsupported]:
        self.calls.append(f"checks with {context.limit(self.leaf('height'))}")
        return ()

    def contribute(self, settings: GateSettings, context: Context, fragment: Fragment) -> None:
        self.calls.append(f"contributes with {context.limit(self.leaf('height'))}")


class Motor(Runtime):
    """A runtime that ignores one field."""

    name = "motor"
    summary = "a motor"

    def version(self) -> str | None:
        return "1"

    def check(self, document: Mapping[str, Any], host: Host) -> Sequence[Refusal]:
        assert host == HOST
        return [Refusal("/a/height", "the motor ignores heights", "use wheels")] if document["a"]["height"] else []

    def command(self, bundle: Path, request: LaunchRequest) -> list[str]:
        return ["motor", str(bundle), request.id]


def plugins(*gates: Gate, hooks: Sequence[Callable[..., Any]] = ()) -> Plugins:
    """Plugins with these mechanisms and further hooks."""

    @hookimpl
    def hardening_mechanisms() -> Sequence[Mechanism[Any]]:
        return gates

    found = []
    for number, hook in enumerate([hardening_mechanisms, *hooks]):
        module = ModuleType(f"module_{number}")
        setattr(module, hook.__name__, hook)
        found.append(Plugin(f"plugin-{number}", module, "tests", "1"))
    return Plugins(found)


def composed(loaded: Plugins, text: str = "") -> Composition:
    document = Document("layer", Path("layer.toml"), tomllib.loads(text), {})
    return compose(Stack((parse_layer(document),)), loaded.mechanisms, HOST, date(2026, 1, 1))


def assembled(loaded: Plugins, text: str = "", **more: Any) -> pipeline.Assembly:
    return pipeline.assembled(loaded, composed(loaded, text), HOST, **more)


# --- assembly ---------------------------------------------------------------------------------------------------------


def test_every_host_check_comes_before_the_first_contribution() -> None:
    calls: list[str] = []
    assembled(plugins(Gate("a", calls=calls), Gate("b", calls=calls)))
    assert calls == ["a checks", "b checks", "a contributes", "b contributes"]


def test_the_bundle_reaches_every_mechanism_and_the_command_the_spec_alone(tmp_path: Path) -> None:
    loaded = plugins(Gate("a"), Gate("b"))
    assembly = assembled(loaded, "a.height = 3", command=("true", "-x"), bundle=tmp_path)
    assert assembly.spec.document["a"] == {"height": 3, "bundle": str(tmp_path)}
    assert assembly.spec.document["process"] == {"args": ["true", "-x"]}
    assert assembly.spec.document["b"]["height"] == 0
    assert assembly.spec.leaves["/a/height"] == ("a.height",)
    assert assembly.violations == ()
    assert assembly.context.bundle == tmp_path


def test_what_becomes_of_the_bundle_reaches_every_mechanism(tmp_path: Path) -> None:
    loaded = plugins(Gate("a"))
    checked = pipeline.check(composed(loaded), HOST, None)
    plans = [assembled(loaded, bundle=tmp_path, stays=stays, context=checked) for stays in (True, False)]
    assert [(assembly.context.bundle, assembly.context.bundle_stays) for assembly in plans] == [
        (tmp_path, True),
        (tmp_path, False),
    ]


def test_the_same_stack_gives_the_same_plan() -> None:
    loaded = plugins(Gate("a"))
    assert assembled(loaded, "a.height = 3").spec == assembled(loaded, "a.height = 3").spec


def test_two_owners_of_one_place_are_named() -> None:
    with pytest.raises(PluginError, match=r"with \[a\] and plugin .* with \[b\] both set /a/height"):
        assembled(plugins(Gate("a"), Gate("b", also="/a/height")))


def test_whoever_is_given_a_context_may_ask_for_limits() -> None:
    gate = Asking("a")
    loaded = plugins(gate)
    composition = composed(loaded, "limits.a.height = 4")
    pipeline.assembled(loaded, composition, HOST)
    pipeline.examine(composition, HOST)
    assert gate.calls == ["checks with 4", "contributes with 4", "checks with 4"]


# --- hosts that give less ---------------------------------------------------------------------------------------------

SHORT = Unsupported("a.height", "the ground is soft", "dig")


def test_a_required_mechanism_stops_the_launch_with_reason_and_remedy() -> None:
    with pytest.raises(HostError) as caught:
        assembled(plugins(Gate("a", SHORT)))
    waiver = 'set requirement = "best-effort" in [a]'
    assert str(caught.value) == f"a.height cannot be enforced here: the ground is soft\nhint: dig, or {waiver}"
    assert caught.value.exit_code == 125


def test_without_a_remedy_best_effort_is_the_hint() -> None:
    with pytest.raises(HostError) as caught:
        assembled(plugins(Gate("a", attrs.evolve(SHORT, remedy=""))))
    assert caught.value.hint == 'set requirement = "best-effort" in [a]'


def test_all_gaps_are_reported_at_once() -> None:
    with pytest.raises(Problems) as caught:
        assembled(plugins(Gate("a", SHORT), Gate("b", attrs.evolve(SHORT, leaf="b.height"))))
    assert [problem.message.split(" ")[0] for problem in caught.value.problems] == ["a.height", "b.height"]
    assert caught.value.exit_code == 125


@pytest.mark.parametrize("tolerated", [False, True])
def test_best_effort_goes_on_leaves_it_out_and_says_so(tolerated: bool) -> None:
    gate = Gate("a", attrs.evolve(SHORT, tolerated=tolerated))
    assembly = assembled(plugins(gate), "" if tolerated else 'a.requirement = "best-effort"')
    assert "height" not in assembly.spec.document["a"]
    said = [item for item in assembly.findings if item.rule == "core/not-enforced"]
    assert [(item.leaf, item.severity, item.hint) for item in said] == [("a.height", Severity.NOTE, "dig")]
    assert "the ground is soft" in said[0].message


def test_best_effort_of_one_mechanism_does_not_excuse_another() -> None:
    with pytest.raises(HostError, match=r"b\.height"):
        assembled(
            plugins(Gate("a", SHORT), Gate("b", attrs.evolve(SHORT, leaf="b.height"))), 'a.requirement = "best-effort"'
        )


# --- findings ---------------------------------------------------------------------------------------------------------


def test_findings_come_from_composition_host_mechanisms_and_plugins_in_this_order() -> None:
    @hookimpl
    def hardening_inspect(composition: Composition, host: Host) -> Iterable[Finding]:
        return [Finding("other/inspected", Severity.NOTE, host.release)]

    loaded = plugins(Gate("a", SHORT), Gate("b"), hooks=[hardening_inspect])
    text = 'a.requirement = "best-effort"\n[[exceptions]]\nsetting = "a.height"\nreason = "none"'
    rules = [item.rule for item in assembled(loaded, text).findings]
    assert rules == ["core/unused-exception", "core/not-enforced", "a/seen", "b/seen", "other/inspected"]


# --- tighten ----------------------------------------------------------------------------------------------------------


def test_a_foreign_configuration_is_cut_down_and_what_nobody_answers_for_goes() -> None:
    keeping = Gate("a")
    keeping.owns = ("/a/kept",)  # type: ignore[misc]
    loaded = plugins(keeping, Gate("b"))
    process = {"args": ["sh", "-c", "x"]}
    foreign = {
        "a": {"height": 9, "kept": 1, "gone": 2},
        "b": {"height": 1},
        "hooks": {"prestart": []},
        "process": process,
    }
    assembly = pipeline.tighten(loaded, composed(loaded, "a.height = 5\nb.height = 5"), HOST, foreign)
    assert (assembly.spec.document["a"]["height"], assembly.spec.document["b"]["height"]) == (5, 1)
    assert assembly.spec.document["a"] == {"height": 5, "kept": 1}
    assert "hooks" not in assembly.spec.document
    assert assembly.violations[0] == Violation("/a/height", "9", "5", "a.height")
    assert [item.pointer for item in assembly.violations[1:]] == ["/a/gone", "/hooks"]
    assert foreign["a"] == {"height": 9, "kept": 1, "gone": 2}


def test_tightening_twice_changes_nothing_more() -> None:
    loaded = plugins(Gate("a"))
    composition = composed(loaded, "a.height = 5")
    once = pipeline.tighten(loaded, composition, HOST, {"a": {"height": 9}})
    again = pipeline.tighten(loaded, composition, HOST, once.spec.document)
    assert (again.spec.document, again.violations) == (once.spec.document, ())


class Confining(Gate):
    """One with a helper before a command of its own, and none before a command of others."""

    def contribute(self, settings: GateSettings, context: Context, fragment: Fragment) -> None:
        if self.also:
            raise ProfileError("no root")
        fragment.confine(["/usr/bin/nice"], f"{self.name}.height")


def test_what_confines_a_command_confines_those_of_others_too() -> None:
    loaded = plugins(Confining("a"))
    with pytest.raises(
        PluginError, match=r"with \[a\] confines the command by /usr/bin/nice in contribute, and by none"
    ):
        pipeline.tighten(loaded, composed(loaded), HOST, {})
    without_root = plugins(Confining("a", also="/x"))
    assert pipeline.tighten(without_root, composed(without_root), HOST, {}).spec.document


def test_the_host_is_held_against_a_foreign_configuration_too() -> None:
    loaded = plugins(Gate("a", SHORT))
    with pytest.raises(HostError):
        pipeline.tighten(loaded, composed(loaded), HOST, {})


def test_a_host_check_sees_the_unsupported_of_the_mechanisms_before_it() -> None:
    first, second = Gate("z", attrs.evolve(SHORT, leaf="z.height", tolerated=True)), Gate("a")
    second.after = ("z",)  # type: ignore[misc]
    assembled(plugins(first, second))
    assert first.seen == ()
    assert [lacking.leaf for lacking in second.seen] == ["z.height"]


def test_a_verdict_cannot_change_what_it_judges() -> None:
    @hookimpl
    def hardening_admit(candidate: Candidate) -> None:
        candidate.document["a"]["height"] = 99

    loaded = plugins(Gate("a"), hooks=[hardening_admit])
    assembly = assembled(loaded)
    before = assembly.spec.config
    pipeline.judge(assembly, Motor())
    assert assembly.spec.config == before
    assert assembly.spec.document["a"]["height"] == 0
    composed_settings: Any = assembly.context.composed
    with pytest.raises(TypeError):
        composed_settings[int] = 1


def test_writing_a_bundle_asks_for_verdicts_too() -> None:
    loaded = plugins(Gate("a"), hooks=[verdict(Refusal("", "not today"))])
    with pytest.raises(SpecError, match="not today"):
        pipeline.judge(assembled(loaded), None)
    pipeline.judge(assembled(plugins(Gate("a"))), None)


# --- admission --------------------------------------------------------------------------------------------------------


def candidate(assembly: pipeline.Assembly) -> Candidate:
    return Candidate(assembly.spec.config, assembly.host, assembly.composition)


def verdict(*refusals: Refusal, looked: tuple[Input, ...] = ()) -> Callable[..., Any]:
    @hookimpl
    def hardening_admit() -> Verdict | None:
        return Verdict("a gate keeper", refusals, looked)

    return hardening_admit


def test_what_the_runtime_ignores_is_refused_at_its_pointer() -> None:
    loaded = plugins(Gate("a"))
    pipeline.admit(loaded, candidate(assembled(loaded)), Motor())
    with pytest.raises(SpecError) as caught:
        pipeline.admit(loaded, candidate(assembled(loaded, "a.height = 1")), Motor())
    assert str(caught.value) == "config.json:/a/height: the motor ignores heights (motor)\nhint: use wheels"


def test_mechanisms_are_told_what_the_runtime_can_do_nothing_with() -> None:
    kind = type("Plain", (Motor,), {"lacking": ("/hostname",)})
    for runtime, lacking in ((kind(), ("/hostname",)), (Motor(), ()), (None, ())):
        assert pipeline.examine(composed(plugins(Gate("a"))), HOST, runtime=runtime).lacking == lacking


def test_no_judge_sees_a_configuration_with_values_of_other_types() -> None:
    seen: list[object] = []

    @hookimpl
    def hardening_admit(candidate: Candidate) -> None:
        seen.append(candidate.document)

    motor = type("Easy", (Motor,), {"check": lambda *_: ()})()
    judges = plugins(Gate("a"), hooks=[hardening_admit])
    wrong: list[dict[str, object]] = [{"process": []}, {"root": {"path": 7}}]
    for whole in wrong:
        with pytest.raises(SpecError, match=r"(process: an object|root/path: a string) is expected"):
            pipeline.admit(judges, Candidate(json.dumps(whole).encode(), HOST), motor)
    pipeline.admit(judges, Candidate(b'{"process": {}}', HOST), motor)
    assert seen == [{"process": {}}]


def test_what_one_runtime_lacks_is_told_again_of_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = plugins(Gate("a"))
    lacking = Unsupported("a", "no ground", "", whole=True)
    for name in ("motor", "engine", "motor"):
        kind = type("Other", (Motor,), {"name": name, "unsupported": lambda self, document: [lacking]})
        assembly = assembled(loaded, 'a.requirement = "best-effort"', runtime=kind())
        assert list(notes.of_run(assembly, tmp_path, interactive=True)) == []
    told = [f"not enforced: a: under {name}: no ground" for name in ("motor", "engine")]
    assert capsys.readouterr().err.splitlines() == told


def test_one_rejection_outweighs_every_acceptance() -> None:
    no = Refusal("", "not today")
    for hooks in ([verdict(), verdict(no)], [verdict(no), verdict()]):
        loaded = plugins(Gate("a"), hooks=hooks)
        with pytest.raises(SpecError, match=r"not today \(a gate keeper\)"):
            pipeline.admit(loaded, candidate(assembled(loaded)), Motor())


def test_what_verdicts_rest_on_is_told() -> None:
    one, other = Input("file", "/one", "1"), Input("name", "/other", "2")
    loaded = plugins(Gate("a"), hooks=[verdict(looked=(one,)), verdict(), verdict(looked=(other,))])
    assembly = assembled(loaded)
    for runtime in (Motor(), None):
        assert set(pipeline.admit(loaded, candidate(assembly), runtime)) == {one, other}
        assert set(pipeline.judge(assembly, runtime)) == {one, other}


def test_all_rejections_are_reported_together() -> None:
    loaded = plugins(Gate("a"), hooks=[verdict(Refusal("", "not today"))])
    with pytest.raises(Problems) as caught:
        pipeline.admit(loaded, candidate(assembled(loaded, "a.height = 1")), Motor())
    assert len(caught.value.problems) == 2
