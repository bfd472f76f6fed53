"""What lint says of files: where, taken back by comments, mended, and in the forms that other programs read."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hardening.cli import main
from hardening.cli.commands import COMMANDS, PROGRAM
from hardening.cli.session import Session
from hardening.compose.composition import Composition
from hardening.errors import HardeningError
from hardening.lint import fixing, linter
from hardening.lint.result import LintResult
from hardening.mechanism.findings import Finding, Severity
from hardening.mechanism.host import Host
from hardening.mechanism.schema import Leaf
from hardening.plugin.hookspecs import hookimpl
from hardening.plugin.plugincalls import Plugin
from hardening.plugin.plugins import Plugins
from hardening.profile import toml_lines
from hardening.report import lint as report
from tests.hardening.compose.test_rules import PLUGINS, RULES, TODAY
from tests.support import sarif

FAULTY = """\
extends = ["base"]
[process]
umsk = "2"
umask = "9"
rlimits.nofil = 3
[capabilities]
add = ["FOO", "NET_RAW"]
[nothing]
"""


def lint(path: Path) -> list[LintResult]:
    return linter.Linter(PLUGINS, Session(PLUGINS).search, TODAY).lint(str(path))


def lines(results: list[LintResult]) -> list[tuple[int, str]]:
    return [(result.line, result.ident) for result in results if not result.suppressed]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def written(text: str) -> Path:
        path = tmp_path / "example.toml"
        path.write_text(text)
        return path

    return written


def test_every_fault_of_a_file_is_a_result_with_its_line(write: Callable[[str], Path]) -> None:
    results = lint(write(FAULTY))
    faults = [result for result in results if result.ident == "HRD001"]
    assert [result.line for result in faults] == [3, 4, 5, 7, 8]
    assert [result.text[result.columns[0] - 1 : result.columns[1] - 1] for result in faults] == [
        "umsk", "umask", "rlimits.nofil", "FOO", "[nothing]",
    ]  # fmt: skip


def test_a_file_is_read_for_columns_once_however_many_results_it_has(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    spans = toml_lines.spans

    def counted(text: str) -> dict[toml_lines.Path, tuple[int, int]]:
        asked.append(text)
        return spans(text)

    monkeypatch.setattr(toml_lines, "spans", counted)
    exceptions = [f'[[exceptions]]\nsetting = "capabilities.{name}"\nreason = "x"\n' for name in ("CHOWN", "FOWNER")]
    assert len(lint(write("".join(exceptions)))) >= 2
    assert len(asked) == 1


HEADERS = """\
[profile]
titel = "x"
owner = 3
[[exceptions]]
seting = "process.umask"
reason = "x"
[[exceptions]]
setting = "process.umask"
reason = " "
expires = "soon"
[findings]
refus = "error"
rules.HRD501 = "erro"
rules."a b" = "note"
[limits]
findings = 3
[capabilities]
add = ["CHOWN", "none", "KILL"]
drop = [3]
[rootfs]
volumes.add = ["/a:/b:ro", "/{nosuch}:/c:ro"]
"""


def test_every_fault_of_a_header_is_told_beside_those_of_tables_at_its_words(write: Callable[[str], Path]) -> None:
    results = lint(write(HEADERS))
    assert {result.ident for result in results} == {"HRD001"}
    assert [result.line for result in results] == [2, 3, 5, 9, 10, 12, 13, 14, 16, 18, 19, 21]
    words = {result.line: result.text[result.columns[0] - 1 : result.columns[1] - 1] for result in results}
    assert (words[2], words[12], words[18], words[21]) == ("titel", "refus", "none", "/{nosuch}:/c:ro")
    hints = {result.line: result.finding.hint for result in results}
    assert all(hints.values())
    assert "{{nosuch}} is the text itself" in hints[21]


def test_a_cause_is_one_result_and_what_stands_before_all_files_is_none_of_theirs(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text('extends = ["corp"]\n')
    for number in range(5):
        (tmp_path / f"app{number}.toml").write_text('extends = ["base.toml"]\n')
    here = linter.Linter(PLUGINS, Session(PLUGINS).search, TODAY)
    results = [
        item
        for item in here.all(linter.files([str(tmp_path)], PLUGINS.mechanisms)[0])
        if item.severity is Severity.ERROR
    ]
    assert [os.path.basename(item.file) for item in results] == ["base.toml"]
    assert "until then no stack of" in results[0].hint
    assert "app2.toml and 2 more composes" in results[0].hint
    (alone,) = here.all([str(tmp_path / "app1.toml")])
    assert "base.toml:1: no such profile" in alone.finding.message, "of who looks at one file alone"
    with pytest.raises(HardeningError, match="no such profile") as caught:
        linter.Linter(PLUGINS, Session(PLUGINS).search, TODAY, (str(tmp_path / "base.toml"),))
    assert str(caught.value.origin) == f"{tmp_path}/base.toml:1"


def test_what_is_no_toml_or_no_file_is_a_result_too(write: Callable[[str], Path], tmp_path: Path) -> None:
    assert lines(lint(write("[process]\numask = \n"))) == [(2, "HRD001")]
    assert lines(lint(write("\ufeffa = 1"))) == [(1, "HRD001")]
    assert lines(lint(write("[process]\numask = [\n\n"))) == [(2, "HRD001")], "of a line that there is"
    (shown,) = lint(write("# a\u2028b\r\n[process\r\n"))
    assert (shown.line, shown.text) == (2, "[process"), "with its line, of which TOML alone says where it ends"
    assert lines(lint(tmp_path / "absent.toml")) == [(1, "HRD001")]


def test_what_a_parent_has_wrong_is_told_at_the_line_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "team.toml").write_text("[process]\numask = '9'\n")
    path = tmp_path / "app.toml"
    path.write_text('description = "x"\nextends = ["team.toml"]\n')
    (result,) = lint(path)
    assert (result.line, result.ident) == (2, "HRD002")
    assert f"{tmp_path}/team.toml:2: process.umask" in result.finding.message
    assert result.finding.leaf == "process.umask"
    (tmp_path / "team.toml").write_text("[process\n")
    assert {item.finding.leaf for item in lint(path)} == {""}, "a place is no setting"


def test_rules_of_a_site_are_those_of_its_plugins(write: Callable[[str], Path]) -> None:
    @hookimpl
    def hardening_inspect(composition: Composition, host: Host) -> list[Finding]:
        shared = composition.leaves[Leaf("namespaces", "net")].value == "host"
        return [Finding("site/net", Severity.ERROR, "not here", "namespaces.net", hint="ask us")] if shared else []

    module = ModuleType("site_rules")
    vars(module)["hardening_inspect"] = hardening_inspect
    plugins = Plugins([*PLUGINS.plugins, Plugin("site", module, "site", "1")])
    path = write('[process]\numask = "077"\n[namespaces]\nnet = "host"\n')
    results = linter.Linter(plugins, Session(PLUGINS).search, TODAY).lint(str(path))
    assert (4, "site/net") in lines(results)


def test_a_finding_of_a_plugin_is_told_also_where_it_names_no_line(tmp_path: Path) -> None:
    @hookimpl
    def hardening_inspect(composition: Composition, host: Host) -> list[Finding]:
        unsaid = [layer.place for layer in composition.stack.layers if not layer.description]
        leaf = Leaf("process", "nice")
        return [
            *(Finding("site/description", Severity.WARNING, "says nothing", origin=place) for place in unsaid),
            Finding("site/elsewhere", Severity.WARNING, "of a list", origin="/etc/acme/never"),
            Finding("site/stack", Severity.NOTE, "of nothing that has a name"),
            *(Finding(f"site/{item}", item, "of a default", str(leaf)) for item in (Severity.NOTE, Severity.WARNING)),
            Finding("site/umask", Severity.WARNING, "of what the layer below says", "process.umask"),
        ]

    module = ModuleType("site_rules")
    vars(module)["hardening_inspect"] = hardening_inspect
    site = linter.Linter(
        Plugins([*PLUGINS.plugins, Plugin("site", module, "site", "1")]), Session(PLUGINS).search, TODAY
    )
    base, app = tmp_path / "base.toml", tmp_path / "app.toml"
    base.write_text("[process]\numask = '077'\n")
    app.write_text(f"extends = ['{base}']\n[namespaces]\nnet = 'private'\n")
    everywhere = [(1, "site/description"), (1, "site/elsewhere"), (1, "site/stack"), (1, "site/warning")]
    told = {
        path: sorted((item.line, item.ident) for item in site.lint(str(path)) if "site/" in item.ident)
        for path in (base, app)
    }
    assert told == {base: [*everywhere, (2, "site/umask")], app: everywhere}


def test_what_only_a_host_tells_of_an_exception_is_not_said(write: Callable[[str], Path]) -> None:
    exception = "[[exceptions]]\nsetting = 'rootfs.volume_sockets'\nreason = 'a service'\nexpires = 2026-12-31\n"
    assert lines(lint(write(exception))) == [(1, "HRD005")]
    volume = "[rootfs]\nvolumes.add = ['/run/service:/run/service:ro']\n"
    assert lines(lint(write(exception + volume))) == [], "a socket may lie there"


def test_a_profile_may_stand_before_each_file(tmp_path: Path) -> None:
    (tmp_path / "org.toml").write_text("[limits.process]\numask = '027'\n")
    path = tmp_path / "app.toml"
    path.write_text("[process]\numask = '022'\n")
    before = (str(tmp_path / "org.toml"),)
    found = linter.Linter(PLUGINS, Session(PLUGINS).search, TODAY, before)
    (result,) = found.lint(str(path))
    assert (result.line, result.ident) == (2, "HRD002")
    assert "exceeds the limit 027" in result.finding.message
    assert found.lint(*before) == []
    assert lines(lint(path)) == []


def test_the_hook_of_pre_commit_calls_a_command_that_there_is() -> None:
    (hook,) = yaml.safe_load((Path(__file__).parents[3] / ".pre-commit-hooks.yaml").read_text())
    program, command = hook["entry"].split()
    assert (program, command in COMMANDS) == (PROGRAM, True)
    named = ("web.toml", "profiles/web.toml", "web.test.toml", "a/web.test.toml", "pyproject.toml", "a/hardening.toml")
    assert [name for name in named if not re.search(hook["exclude"], name)] == ["web.toml", "profiles/web.toml"]


def test_no_file_of_this_host_is_looked_at(write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = write('[rootfs]\nvolumes.add = ["/etc/shadow:/x:ro"]\n[process]\nuser = "nobody-has-this-name"\n')
    seen: list[str] = []
    stat = os.stat

    def seeing(name: Any, *rest: Any, **more: Any) -> os.stat_result:
        seen.append(str(name))
        return stat(name, *rest, **more)

    monkeypatch.setattr(os, "stat", seeing)
    (result,) = lint(path)
    assert "shows what is hidden" in result.finding.message
    assert not [name for name in seen if "shadow" in name or name == "/etc/passwd"]
    assert not lint(write('[secrets]\ngiven = ["nobody-has-this-secret"]\n'))


def test_a_comment_takes_back_what_it_names_on_its_line_alone(write: Callable[[str], Path]) -> None:
    text = '[process]\nuser = "0"  # hardening: ignore[HRD501] the installer writes to /usr\numask = "000"\n'
    results = lint(write(text))
    assert lines(results) == [(3, "HRD502")]
    assert [result.reason for result in results] == ["the installer writes to /usr", ""]
    unknown = lint(write(text.replace("HRD501", "HRD599")))
    for comment in ("ignore[HRD501]", "noqa"):
        unexplained = lint(write(f'[process]\nuser = "0"  # hardening: {comment}\n'))[0]
        assert unexplained.finding.hint == "write `# hardening: ignore[HRD501] why it has to be so`"
    assert lines(unknown) == [(2, "HRD014"), (2, "HRD501"), (3, "HRD502")]
    assert "did you mean" in unknown[0].finding.hint
    assert lines(lint(write('x = "# hardening: ignore[HRD001] no comment"\n'))) == [(1, "HRD001")]
    assert lines(lint(write("[process]\nx = 1 # hardening: ignore[HRD001] no\n"))) == [(2, "HRD001"), (2, "HRD014")]
    # Which comments are idle nobody knows of a profile that does not compose: most rules have not been asked.
    broken = "[process]\nx = 1\n[rootfs]\nread_only = true # hardening: ignore[HRD501] why\n"
    assert lines(lint(write(broken))) == [(2, "HRD001")]


def test_sarif_has_a_region_for_each_result_of_every_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for ident, rule in RULES.items():
        (tmp_path / f"{ident}.toml").write_text(rule.bad)
    (tmp_path / "back.toml").write_text(RULES["HRD014"].good)
    found = linter.Linter(PLUGINS, Session(PLUGINS).search, TODAY)
    results = found.all(linter.files(["."], PLUGINS.mechanisms)[0])
    log = report.log(results)
    sarif.check(log)
    assert len(results) > len([rule for rule in RULES.values() if rule.bad])
    for entry in log["runs"][0]["results"]:
        place = entry["locations"][0]["physicalLocation"]
        assert (tmp_path / place["artifactLocation"]["uri"]).is_file()
        assert 1 <= place["region"]["startColumn"] < place["region"]["endColumn"]
    assert [entry["suppressions"][0]["kind"] for entry in log["runs"][0]["results"] if "suppressions" in entry] == [
        "inSource"
    ]
    assert len(linter.files(["."], PLUGINS.mechanisms)[0]) >= linter.MANY
    assert results == found.all(linter.files(["."], PLUGINS.mechanisms)[0], alone=True), (
        "side by side as one after another"
    )


def test_the_command_shows_counts_and_fails(
    write: Callable[[str], Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write('[process]\nuser = "0"\numask = "000"  # a comment\n')
    monkeypatch.chdir(path.parent)

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["lint", *words], Session(PLUGINS))
        out = capsys.readouterr()
        return code, out.out, out.err

    code, out, err = run("example.toml")
    assert (code, err) == (0, "1 file: 1 warning, 1 note\n")
    assert '\n3 | umask = "000"  # a comment\n  | ^^^^^\n  = hint: write umask' in out
    assert run("--fail-on", "warning", ".")[0] == 1
    assert [item["id"] for item in json.loads(run("--format", "json", ".")[1])] == ["HRD501", "HRD502"]
    first, second = run("--format", "github", ".")[1].splitlines()
    assert first.startswith(
        "::notice file=example.toml,line=2,col=1,endColumn=5,title=HRD501::the command runs as uid 0"
    )
    assert "%0Awrite umask" in second
    assert "# file: web.toml" in run("--explain", "lint/shadowed-name")[1]
    path.write_text('[namespaces]\npid = "host"\n[capabilities]\nadd = ["SYS_PTRACE"]\n')
    assert "%0ADrop the capability, or deny the calls." in run("--format", "github", ".")[1], "as the rule says"
    (path.parent / "two\nlines.toml").write_text("x = 1")
    assert "two\\nlines.toml:1:1: error" in run("two\nlines.toml")[1], "a name begins no line of its own"
    for words in ((), ("-",), ("--explain", "HRD999"), ("absent.toml",)):
        assert run(*words)[0] == 2
    (path.parent / "empty").mkdir()
    code, _, err = run("empty")
    assert (code, "no profile in empty" in err) == (2, True)


def test_nothing_is_taken_out_of_what_no_plugin_has(write: Callable[[str], Path]) -> None:
    unknown = '[proces]\n# umask = "077"\n[other]\nx = ["a", "a"]\n'
    path = write(f"{unknown}[process]\n")
    here = linter.Linter(PLUGINS, Session(PLUGINS).search, TODAY)
    assert [line.partition(": ")[0] for line in fixing.fix(here, str(path))] == [f"{path}:5"]
    assert path.read_text() == unknown


def test_of_a_folder_profiles_alone_are_looked_at_and_what_is_passed_over_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    others = {
        "hardening.toml": 'default = ["web"]\n[profiles]\n',
        "pyproject.toml": '[project]\ndescription = "x"\n[tool]\n',
    }
    profiles = {"broken.toml": "[", "empty.toml": "", "typed.toml": "[proces]\n", "web.toml": 'extends = "strict"\n'}
    for name, text in {**others, **profiles, "web.test.toml": "[x]\n"}.items():
        Path(name).write_text(text)
    found = linter.files(["."], PLUGINS.mechanisms)
    assert [[Path(path).name for path in paths] for paths in found] == [[*profiles], [*others]]
    for command in ("lint", "exceptions"):
        assert main([command, "."], Session(PLUGINS)) in (1, 2)
        assert "passed over, no profile: ./hardening.toml, ./pyproject.toml\n" in capsys.readouterr().err
        assert main([command, "web.test.toml"], Session(PLUGINS)) == 2
        assert "hint: hardening test web.test.toml" in capsys.readouterr().err
    assert linter.files(["pyproject.toml", "."], PLUGINS.mechanisms)[0][0] == "pyproject.toml", "who names it means it"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mended") / "example.toml"


_PIECES = st.sampled_from(
    [
        "# about what follows",
        '[[exceptions]]\nsetting = "capabilities.NET_RAW" # ping\nreason = "x"\nexpires = 2030-01-01',
        '[[exceptions]]\nsetting = "namespaces.uts"\nreason = """\n[[exceptions]]\n"""',
        "[selinux]",
        '[trust]  # what may run\nrequirement = "best-effort"',
        '[scan]\nrequirement = "best-effort"  # hardening: ignore[HRD501] nothing',
        '[capabilities]\ndrop = ["CHOWN", "KILL", "CHOWN", # twice\n  "KILL",\n  "FOWNER",  # kept\n  "CHOWN",\n]',
        '[process]\numask = "077"  # hardening: ignore[HRD502] not so',
        "",
    ]
)


@given(st.lists(_PIECES, unique_by=lambda text: text.partition("\n")[0] or text, max_size=8), st.booleans())
def test_what_is_mended_says_the_rest_and_nothing_is_left_to_mend(one: Path, pieces: list[str], dos: bool) -> None:
    path = one
    text = "\n".join(pieces) + "\n"
    path.write_bytes((text.replace("\n", "\r\n") if dos else text).encode())
    lint = linter.Linter(PLUGINS, Session(PLUGINS).search, TODAY)
    list(fixing.fix(lint, str(path)))
    once = path.read_bytes()
    assert not [result for result in lint.lint(str(path)) if result.drop]
    assert list(fixing.fix(lint, str(path))) == []
    assert path.read_bytes() == once
    before, after = (tomllib.loads(data.decode()) for data in (text.encode(), once))
    assert after.get("capabilities", {}).get("drop", []) == list(
        dict.fromkeys(before.get("capabilities", {}).get("drop", []))
    )
    assert after.get("process") == before.get("process")
    assert not after.keys() & {"selinux", "trust", "scan", "exceptions"}
    for comment in ("# about what follows", "# kept", "# twice"):
        assert (comment.encode() in once) == (comment in text), "what is not about a line that went stays"
    assert once.count(b"\r\n") == (once.count(b"\n") if dos else 0)
