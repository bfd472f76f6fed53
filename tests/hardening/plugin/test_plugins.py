"""Plugins: discovery, order, and the checks that keep one from quietly winning over another."""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import click
import pytest

import hardening
from hardening import __version__
from hardening.cli.session import Session
from hardening.errors import PluginError, UsageError
from hardening.launch.config.bundle import SECRETS
from hardening.mechanism import host
from hardening.mechanism.findings import Finding, Severity
from hardening.mechanism.inputs import Input, Unknown
from hardening.mechanism.mechanism import Option
from hardening.mechanism.roles import Privileges
from hardening.mechanism.runtime import Refusal
from hardening.mechanism.scanner import RootEntry, Scanner
from hardening.mechanism.secret_driver import SecretDriver, SecretError
from hardening.plugin import hookspecs, pluginchecks, plugins
from hardening.plugin.admission import Candidate, Verdict, require_admission
from hardening.plugin.hookspecs import hookimpl, hookspec
from hardening.plugin.plugins import Plugin, Plugins
from tests.support.thirdparty.acme_quota import Quota, QuotaSettings

THIRD_PARTY = Path(__file__).parents[2] / "support/thirdparty"


def plugin(name: str, *hooks: Callable[..., Any]) -> Plugin:
    module = ModuleType(f"{name}_module")
    for hook in hooks:
        setattr(module, hook.__name__, hook)
    return Plugin(name, module, f"{name}-dist", "1")


def _settings(name: str, *roles: type) -> type:
    return attrs.make_class(name, {}, bases=(QuotaSettings, *roles), frozen=True)


def mechanisms(*names: str, role: tuple[type, ...] = ()) -> Callable[[], Any]:
    made = [
        type("Named", (Quota,), {"name": name, "options": lambda self: (), "settings_type": _settings(name, *role)})()
        for name in names
    ]

    @hookimpl
    def hardening_mechanisms() -> Any:
        return made

    return hardening_mechanisms


def naming(*names: str) -> dict[str, Any]:
    """A configuration that names secrets."""
    rows = [{"name": name, "type": "mount", "target": f"/run/secrets/{name}"} for name in names]
    return {"annotations": {SECRETS: json.dumps(rows)}}


def refused(*loaded: Plugin) -> str:
    with pytest.raises(PluginError) as caught:
        Plugins(loaded)
    assert caught.value.exit_code == 125
    return str(caught.value)


# --- order and ownership ----------------------------------------------------------------------------------------------


def test_the_order_of_loading_does_not_matter() -> None:
    parts = [plugin("b", mechanisms("x")), plugin("a", mechanisms("z", "y"))]
    for order in (parts, parts[::-1]):
        loaded = Plugins(order)
        assert [mechanism.name for mechanism in loaded.mechanisms] == ["x", "y", "z"]
        assert [item.name for item in loaded.plugins] == ["a", "b"]


def test_a_mechanism_is_found_by_its_table() -> None:
    loaded = Plugins([plugin("a", mechanisms("x"))])
    assert (loaded.mechanism("x") or Quota()).name == "x"
    assert loaded.mechanism("y") is None


def test_two_plugins_of_one_name_are_refused() -> None:
    assert refused(plugin("a"), plugin("a")) == (
        "two plugins are called a: a_module and a_module\nhint: uninstall one of them"
    )


def test_two_owners_of_one_table_are_refused_by_name() -> None:
    assert refused(plugin("a", mechanisms("x")), plugin("b", mechanisms("x"))) == (
        'plugin a (a-dist 1) and plugin b (b-dist 1) both own the table "x"\nhint: uninstall one of them'
    )


def test_two_mechanisms_that_answer_for_one_role_are_refused() -> None:
    first, second = (mechanisms(name, role=(Privileges,)) for name in ("x", "y"))
    assert refused(plugin("a", first), plugin("b", second)) == (
        "plugin a (a-dist 1) with [x] and plugin b (b-dist 1) with [y] both have Privileges as their settings\n"
        "hint: uninstall one of them"
    )


def test_one_plugin_owns_a_table_once() -> None:
    assert 'plugin a (a-dist 1) brings the table "x" twice' in refused(plugin("a", mechanisms("x", "x")))


def test_two_owners_of_one_option_are_refused_by_name() -> None:
    class First(Quota):
        name = "first"

    class SecondSettings(QuotaSettings):
        pass

    class Second(Quota):
        name = "second"
        settings_type = SecondSettings

        def options(self) -> tuple[Option, ...]:
            return (Option(("-z", "--quota-files"), "files", "."),)

    @hookimpl
    def hardening_mechanisms() -> Any:
        return (First(), Second())

    both = "plugin a (a-dist 1) with [first] and plugin a (a-dist 1) with [second]"
    assert refused(plugin("a", hardening_mechanisms)).startswith(f"{both} both own the option --quota-files\n")


def _composing(group: click.Group, context: click.Context) -> Iterator[click.Command]:
    """The commands that have the options of mechanisms, in groups, too."""
    from hardening.cli.options.stack import StackCommand

    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if isinstance(found, click.Group):
            yield from _composing(found, context)
        elif isinstance(found, StackCommand):
            yield found


def test_the_options_that_mechanisms_may_not_offer_are_those_of_all_commands_that_have_theirs() -> None:
    from hardening.cli.root import root

    with root.make_context("hardening", ["plugin"], obj=Session()) as context:
        commands = list(_composing(root, context))
        own = {
            flag
            for command in commands
            for parameter in click.Command.get_params(command, click.Context(command, parent=context))
            if isinstance(parameter, click.Option)
            for flag in (*parameter.opts, *parameter.secondary_opts)
        }
    assert len(commands) > 10
    assert own == pluginchecks.OWN_OPTIONS


@pytest.mark.parametrize("flag", sorted(pluginchecks.OWN_OPTIONS))
def test_an_option_that_a_command_has_itself_is_refused_as_the_plugin_is_loaded(flag: str) -> None:
    class Greedy(Quota):
        def options(self) -> tuple[Option, ...]:
            return (Option(("--of-its-own", flag), "files", "."),)

    assert refused(plugin("a", hookimpl(lambda: (Greedy(),), specname="hardening_mechanisms"))).startswith(
        f"plugin a (a-dist 1): quota offers the option {flag}, which commands of hardening have themselves"
    )


def test_an_unknown_runtime_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match='unknown runtime "crunn"'):
        Plugins([]).runtime("crunn")


# --- wrong hooks ------------------------------------------------------------------------------------------------------


def hardening_mechanism() -> Any:
    return ()


@pytest.mark.parametrize("option", ["wrapper", "hookwrapper", "tryfirst", "trylast", "optionalhook"])
def test_no_plugin_wraps_or_reorders_others(option: str) -> None:
    def hardening_mechanisms() -> Iterator[None]:
        yield

    options: dict[str, Any] = {option: True}
    marked = hookimpl(**options)(hardening_mechanisms)
    assert (
        f"plugin a (a-dist 1): hardening_mechanisms is marked {option}, but no plugin may wrap or reorder others"
        in refused(plugin("a", marked))
    )


def test_a_misspelt_hook_is_refused_with_the_nearest() -> None:
    message = refused(plugin("a", hookimpl(hardening_mechanism)))
    assert message == (
        'plugin a (a-dist 1): there is no hook hardening_mechanism\nhint: did you mean "hardening_mechanisms"?; '
        f"if it is of a newer hardening than {__version__}, update that, or remove a-dist"
    )


def test_a_hook_without_its_mark_is_refused() -> None:
    def hardening_mechanisms() -> Any:
        return ()

    assert refused(plugin("a", hardening_mechanisms)) == (
        "plugin a (a-dist 1): hardening_mechanisms lacks @hookimpl\nhint: mark it, or rename it"
    )


@pytest.mark.parametrize("mark", [hookimpl, lambda item: item])
@pytest.mark.parametrize("kind", ["partial", "object", "int"])
def test_a_hook_that_is_no_function_is_refused_and_not_passed_over(kind: str, mark: Callable[[Any], Any]) -> None:
    class Judge:
        def __call__(self, candidate: Any) -> Any:
            return ()

    judge = {"partial": functools.partial(Judge()), "object": Judge(), "int": 5}[kind]
    module = ModuleType("a")
    vars(module)["hardening_admit"] = mark(judge) if kind != "int" else judge
    assert ": hardening_admit is " in refused(attrs.evolve(plugin("a"), module=module))


def test_a_hook_with_a_wrong_argument_is_refused() -> None:
    @hookimpl
    def hardening_inspect(composition: Any, hots: Any) -> Any:
        return ()

    assert refused(plugin("a", hardening_inspect)).startswith(
        "plugin a (a-dist 1): hardening_inspect(composition, hots) where hardening_inspect(composition, host) is expected\n"
    )


def test_a_hook_under_another_name_is_checked_as_what_it_is() -> None:
    @hookimpl(specname="hardening_inspect")
    def look(composition: Any, hots: Any) -> Any:
        return ()

    assert "is expected" in refused(plugin("a", look))


def test_a_hook_may_take_fewer_arguments() -> None:
    @hookimpl
    def hardening_inspect(host: Any) -> Any:
        return [Finding("a/x", Severity.NOTE, "seen")]

    loaded = Plugins([plugin("a", hardening_inspect)])
    composition: Any = None
    anything: Any = None
    assert [finding.rule for finding in loaded.inspect(composition, anything)] == ["a/x"]


# --- judgement --------------------------------------------------------------------------------------------------------


def admitting(verdict: Verdict | None) -> Callable[..., Any]:
    @hookimpl
    def hardening_admit() -> Verdict | None:
        return verdict

    return hardening_admit


ACCEPTS = Verdict("a")
REJECTS = Verdict("b", (Refusal("/linux", "not here", "do"), Refusal("", "nor there")))


@pytest.mark.parametrize("names", [("a", "b", "c"), ("c", "b", "a"), ("b", "c", "a")])
def test_all_verdicts_count_in_whatever_order_they_come(names: tuple[str, str, str]) -> None:
    verdicts = (ACCEPTS, REJECTS, None)
    loaded = Plugins([plugin(name, admitting(verdict)) for name, verdict in zip(names, verdicts, strict=True)])
    anything: Any = None
    given = loaded.admit(anything)
    assert len(given) == 2
    with pytest.raises(Exception, match=r"/linux: not here \(b\)\nhint: do\nnor there \(b\)"):
        require_admission(given)


def test_a_launch_needs_an_acceptance() -> None:
    require_admission([ACCEPTS])
    with pytest.raises(Exception, match="nothing accepted this configuration"):
        require_admission([])


def test_every_hook_s_order_of_calls_is_that_of_the_plugins_names() -> None:
    calls: list[str] = []

    def calling(name: str) -> Plugin:
        @hookimpl
        def hardening_mechanisms() -> Any:
            calls.append(f"{name} mechanisms")
            return ()

        @hookimpl
        def hardening_runtimes() -> Any:
            calls.append(f"{name} runtimes")
            return ()

        @hookimpl
        def hardening_inspect() -> Any:
            calls.append(f"{name} inspect")
            return ()

        @hookimpl
        def hardening_admit() -> Any:
            calls.append(f"{name} admit")

        @hookimpl
        def hardening_inputs() -> Any:
            calls.append(f"{name} inputs")
            return ()

        @hookimpl
        def hardening_secret_drivers() -> Any:
            calls.append(f"{name} secret drivers")
            return ()

        @hookimpl
        def hardening_scanners() -> Any:
            calls.append(f"{name} scanners")
            return ()

        @hookimpl
        def hardening_secrets() -> Any:
            calls.append(f"{name} secrets")
            return {}

        @hookimpl
        def hardening_secret_names() -> Any:
            calls.append(f"{name} secret names")
            return ()

        return plugin(
            name, hardening_mechanisms, hardening_runtimes, hardening_inspect, hardening_admit, hardening_inputs,
            hardening_secret_drivers, hardening_secrets, hardening_secret_names, hardening_scanners,
        )  # fmt: skip

    anything: Any = None
    loaded = Plugins([calling("c"), calling("a"), calling("b")])
    loaded.inspect(anything, anything)
    loaded.admit(anything)
    assert not loaded.inputs(anything, anything)
    with pytest.raises(SecretError):
        loaded.secrets(naming("one"))
    order = ("mechanisms", "runtimes", "inspect", "admit", "inputs", "secret drivers", "secrets", "secret names")
    assert calls == [f"{name} {hook}" for hook in order for name in "abc"]


def test_a_plugin_that_judges_says_what_it_looks_at() -> None:
    @hookimpl
    def hardening_admit() -> Any:
        return None

    @hookimpl
    def hardening_inputs(composition: Any, host: Any) -> Any:
        return (Input("file", f"/etc/{composition}/{host}"),)

    anything: Any = "x"
    silent = Plugins([plugin("a", hardening_admit)]).inputs(anything, anything)
    assert silent == [Unknown("the plugin a judges, and does not say what it looks at")]
    open_ = Plugins([plugin("a", hardening_admit, hardening_inputs)]).inputs(anything, anything)
    assert open_ == [Input("file", "/etc/x/x")]


@pytest.mark.parametrize("of", [(), ("suid",)])
def test_a_scanner_finds_kinds_that_there_are(of: tuple[str, ...]) -> None:
    class Looker(Scanner):
        name = "looker"
        summary = "looks"
        kinds = of

        def entry(self, entry: RootEntry) -> Any:
            return ()

    @hookimpl
    def hardening_scanners() -> Any:
        return (Looker(),)

    with pytest.raises(PluginError, match=r"plugin a \(a-dist 1\): the scanner looker finds"):
        _ = Plugins([plugin("a", hardening_scanners)]).scanners


def test_signatures_of_all_plugins_are_put_together() -> None:
    @hookimpl
    def hardening_signatures(name: Any, digest: Any, composition: Any, verify: Any) -> Any:
        return [f"{name} {digest} {composition} {verify}".encode()]

    anything: Any = "x"
    both = Plugins([plugin("a", hardening_signatures), plugin("b", hardening_signatures)])
    assert both.signatures(anything, "d", anything, verify=False) == [b"x d x False", b"x d x False"]

    @hookimpl(specname="hardening_signatures")
    def hardening_wrong() -> Any:
        return ["text"]

    with pytest.raises(PluginError, match="hardening_signatures answers with str"):
        Plugins([plugin("odd", hardening_wrong)]).signatures(anything, "d", anything, verify=True)


def test_no_hook_takes_the_first_result_only() -> None:
    specs = [value for name, value in vars(hookspecs).items() if name.startswith("hardening_")]
    assert len(specs) == 10
    for spec in specs:
        options = getattr(spec, "hardening_spec", None)
        assert options is not None, spec
        assert not options["firstresult"], spec
    assert hookspec.project_name == "hardening"


# --- secrets ------------------------------------------------------------------------------------------------------------


def test_a_driver_s_name_is_owned_once() -> None:
    class Driver(SecretDriver):
        name = "vault"
        summary = "a vault"

        def store(self, folder: Path, key: str, value: bytes, options: Any) -> None:
            raise NotImplementedError

        def read(self, folder: Path, key: str, options: Any) -> bytes:
            raise NotImplementedError

        def delete(self, folder: Path, key: str, options: Any) -> None:
            raise NotImplementedError

    @hookimpl
    def hardening_secret_drivers() -> Any:
        return (Driver(),)

    loaded = Plugins([plugin("a", hardening_secret_drivers)])
    assert list(loaded.secret_drivers) == ["vault"]
    twice = Plugins([plugin("a", hardening_secret_drivers), plugin("b", hardening_secret_drivers)])
    with pytest.raises(PluginError, match=r'plugin b \(b-dist 1\) both own the secret driver "vault"'):
        _ = twice.secret_drivers


def test_scanners_of_all_plugins_are_collected_and_a_name_has_one_owner_and_verdicts_are_given_them() -> None:
    class Looker(Scanner):
        name = "looker"
        summary = "looks"
        kinds = ("external",)

        def entry(self, entry: RootEntry) -> Any:
            return ()

    @hookimpl
    def hardening_scanners() -> Any:
        return (Looker(),)

    @hookimpl
    def hardening_admit(candidate: Any, scanners: Any) -> Any:
        return Verdict(" ".join(scanners()))

    loaded = Plugins([plugin("a", hardening_scanners, hardening_admit)])
    assert list(loaded.scanners) == ["looker"]
    assert [verdict.by for verdict in loaded.admit(Candidate(b"{}", host.plain()))] == ["looker"]
    twice = Plugins([plugin("a", hardening_scanners), plugin("b", hardening_scanners)])
    with pytest.raises(
        PluginError, match=r'plugin a \(a-dist 1\) and plugin b \(b-dist 1\) both own the scanner "looker"'
    ):
        _ = twice.scanners


def giving(values: object) -> Any:
    @hookimpl
    def hardening_secrets() -> Any:
        return values

    return hardening_secrets


def test_secrets_come_from_all_plugins_and_each_from_one() -> None:
    loaded = Plugins([plugin("a", giving({"one": b"1"})), plugin("b", giving({"two": b"2"}))])
    assert loaded.secrets(naming("two", "one")) == {"one": b"1", "two": b"2"}
    with pytest.raises(SecretError, match='no such secret: "three"') as caught:
        loaded.secrets(naming("one", "two", "three"))
    assert caught.value.hint == "hardening secret create three FILE"

    @hookimpl
    def hardening_secret_names() -> Any:
        return ["tree"]

    with pytest.raises(SecretError) as caught:
        Plugins([plugin("a", hardening_secret_names)]).secrets(naming("three"))
    assert caught.value.hint == 'did you mean "tree"?'
    twice = Plugins([plugin("a", giving({"one": b"hidden"})), plugin("b", giving({"one": b"hidden"}))])
    with pytest.raises(PluginError, match="plugins a and b both give the secret one") as refusal:
        twice.secrets(naming("one"))
    assert "hidden" not in str(refusal.value)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ([b"hidden"], "plugin odd \\(odd-dist 1\\): hardening_secrets answers with list"),
        ({"one": "hidden"}, "has not 1 to 511999 bytes: one"),
        ({"one": b""}, "has not 1 to 511999 bytes: one"),
        ({"one": b"hidden" * 100_000}, "has not 1 to 511999 bytes: one"),
        ({"two": b"hidden"}, "was not asked for: two"),
    ],
)
def test_what_is_no_value_of_a_secret_is_refused(answer: object, reason: str) -> None:
    with pytest.raises(PluginError, match=reason) as caught:
        Plugins([plugin("odd", giving(answer))]).secrets(naming("one"))
    assert "hidden" not in str(caught.value)


# --- discovery --------------------------------------------------------------------------------------------------------


def test_first_party_plugins_come_in_as_third_party_ones_do() -> None:
    named = {entry.name for entry in importlib.metadata.entry_points(group="hardening")}
    loaded = plugins.load()
    assert {plugin.name for plugin in loaded.plugins} == named
    assert {"namespaces", "capabilities", "seccomp", "rootfs", "selinux", "process"} <= {
        mechanism.name for mechanism in loaded.mechanisms
    }
    assert {"native", "crun", "runc"} <= {runtime.name for runtime in loaded.runtimes}
    items: list[Any] = [*loaded.mechanisms, *loaded.runtimes]
    for item in items:
        assert loaded.owner(item).distribution == "hardening"


#: The modules of the core that name a setting of a mechanism, by why they do.
NAMED = {
    "options of the command line that a user of podman looks for, and hints that are pasted": {
        *("cli/options/elsewhere.py", "cli/options/imaged.py", "cli/options/missing.py", "cli/options/says.py"),
        *("cli/options/stack.py", "images/unpacking/tree.py", "launch/native/setup.py"),
    },
    "examples": {
        *("assertions/testfile.py", "cli/commands/explain.py", "cli/commands/run.py", "compose/headers.py"),
        *("compose/rules.py", "report/authoring/scaffold.py", "testing/scaffold.py"),
    },
    "what a launch says of the kernel's answer, which asks no plugin": {"launch/supervise/denied.py"},
    "what a runtime does without": {"mechanism/roles.py"},
    "a file of a bundle or of a run, or a field of an image or a receipt": {
        *("images/media.py", "images/unpacking/unpack.py", "launch/config/bundle.py", "launch/config/config_linux.py"),
        *("launch/native/identity.py", "launch/oci/ociprogram.py", "runs/receipt.py"),
    },
}


def test_the_core_names_no_plugin_and_settings_of_a_mechanism_only_where_a_reason_is_given() -> None:
    modules = {entry.value for entry in importlib.metadata.entry_points(group="hardening")}
    modules -= vars(hookspecs).keys()  # a hook has such a name
    tables = "|".join(mechanism.name for mechanism in plugins.load().mechanisms)
    setting = re.compile(rf"(?<![\w./-])({tables})\.[a-z]")
    spoken = re.compile(rf"\b({tables})(\.[a-z]|\", \")|\bhardening_")  # parsing all takes seconds
    core = Path(hardening.__file__).parent
    naming: set[str] = set()
    for path in core.rglob("*.py"):
        name, source = str(path.relative_to(core)), path.read_text()
        for text in _strings(ast.parse(source)) if spoken.search(source) else ():
            assert text not in modules, name
            naming |= {name} if setting.search(text) else set()
    assert naming == set[str]().union(*NAMED.values())


def _strings(tree: ast.AST) -> Iterator[str]:
    """The texts of a module that are no docstrings, and tuples of such as the setting whose path they may be."""
    for node in ast.walk(tree):
        for below in ast.iter_child_nodes(node):
            if isinstance(below, ast.Constant) and isinstance(below.value, str) and not isinstance(node, ast.Expr):
                yield below.value
        if isinstance(node, ast.Tuple) and len(node.elts) == 2 and isinstance(node.ctx, ast.Load):
            pair = [item.value for item in node.elts if isinstance(item, ast.Constant)]
            yield ".".join(part for part in pair if isinstance(part, str) and part.isidentifier())


def test_a_plugin_that_cannot_be_imported_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "broken-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[hardening]\nbroken = no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        PluginError, match=r"plugin broken \(broken 1\) cannot be imported.*\nhint: reinstall or remove"
    ):
        plugins.load()


# --- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [None, 3, [3], ["x"]])
@pytest.mark.parametrize("hook", ["hardening_mechanisms", "hardening_runtimes"])
def test_an_answer_of_another_type_names_the_plugin(hook: str, answer: object) -> None:
    @hookimpl
    def function() -> Any:
        return answer

    function.__name__ = hook
    with pytest.raises(PluginError, match=rf"plugin odd \(odd-dist 1\): {hook} answers with"):
        Plugins([plugin("odd", function)])


def test_a_verdict_of_another_type_names_the_plugin() -> None:
    @hookimpl
    def hardening_admit() -> Any:
        return True

    anything: Any = None
    with pytest.raises(PluginError, match=r"plugin odd \(odd-dist 1\): hardening_admit answers with bool"):
        Plugins([plugin("odd", hardening_admit)]).admit(anything)


def test_where_nothing_is_wrong_plugins_are_registered_and_probed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    registries: list[Plugins] = []
    probed: list[Any] = []

    class Counted(Plugins):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            registries.append(self)

    def probe(found: Any, known: host.Host | None = None, *, by: Any = host.probe) -> host.Host:
        probed.append(found)
        return by(found, known)  # type: ignore[no-any-return]

    monkeypatch.setattr(plugins, "Plugins", Counted)
    monkeypatch.setattr(host, "probe", probe)
    here = Session()
    here.leave_out_faulty()
    assert {mechanism.name for mechanism in here.plugins.mechanisms} >= {"process", "seccomp"}
    assert here.host.facts
    assert (len(registries), len(probed), here.faults) == (1, 1, [])
