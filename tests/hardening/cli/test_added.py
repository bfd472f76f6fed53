"""Subcommands of other packages: real entry points, in a distribution of its own on `sys.path`."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardening.cli import added, main
from hardening.errors import PluginError
from tests.docs.examples import ROOT, blocks
from tests.hardening.cli.samples import process, profile, session

MODULE = """import click
from hardening.cli.options import stack
from hardening.cli.session import session

@click.command("survey", cls=stack.StackCommand)
@stack.stack_options
@click.argument("path")
@click.pass_context
def command(context, profiles, path):
    "Scan PATH under a stack."
    composition = session(context).compose(stack.request(context, profiles))
    print(path, [layer.name for layer in composition.stack.layers])
    return 9

class Nested:
    other = click.Command("other", callback=lambda: "done")

wrong = 7
"""


def distribution(folder: Path, name: str, *entries: str, module: str = MODULE) -> None:
    """An installed distribution: its metadata, and its one module."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hardening.commands]\n" + "\n".join(entries) + "\n")
    (folder / f"{name}.py").write_text(module)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "acme", raising=False)
    profile(tmp_path, "default", "[box]\nsize = 5\n")
    yield tmp_path
    # Code that is younger than this process would keep the tests of stored plans from storing any.
    for name in ("acme", "acme_survey"):
        sys.modules.pop(name, None)


def test_it_is_listed_without_being_imported_and_runs_with_its_exit_code(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    distribution(folder, "acme", "survey = acme:command")
    assert main(["--help"], session(folder)) == 0
    own, _, others = capsys.readouterr().out.partition("Commands of plugins")
    assert "survey Scan PATH under a stack. From acme." in [" ".join(line.split()) for line in others.splitlines()]
    assert "  secret      Keep secrets, which runs are given by name.\n" in own
    assert "acme" not in sys.modules
    assert main(["survey", "--size", "3", "etc"], session(folder)) == 9
    assert capsys.readouterr().out == "etc ['default', 'command line']\n"


def test_a_command_that_has_an_option_of_a_mechanism_is_told_with_its_package(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = MODULE.replace(
        '@click.argument("path")', '@click.option("--size", expose_value=False)\n@click.argument("path")'
    )
    distribution(folder, "acme", "survey = acme:command", module=module)
    assert main(["survey", "etc"], session(folder)) == PluginError.exit_code
    told = capsys.readouterr().err
    assert "plugin survey (acme 1.0): `hardening survey` has the option --size, which a mechanism offers" in told
    assert "hint: update or remove acme" in told


def test_what_is_said_of_the_program_s_own_is_what_they_say() -> None:
    own = {name: item for name, item in added.installed(()).items() if added.owner(item) == added.OWN}
    assert set(own) == {"scan", "secret", "trust"}
    assert {name: added.load(item).short_help for name, item in own.items()} == {
        name: added.summary(item) for name, item in own.items()
    }


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (
            '@click.command("survey", short_help="Look around.")\ndef command():\n    "Other."\n',
            "Look around. From acme.",
        ),
        ('@click.command(short_help=HELP)\ndef command():\n    "Other."\n', "From acme."),
        ("@click.command\ndef command():\n    pass\n", "From acme."),
        ("command = click.Command()\n", "From acme."),
        ("def command(:\n", "From acme."),
        ("\0", "From acme."),
    ],
)
def test_what_its_source_does_not_tell_is_left_out(folder: Path, module: str, said: str) -> None:
    distribution(folder, "acme", "survey = acme:command", module=module)
    (item,) = (item for item in added.installed(()).values() if item.distribution == "acme")
    assert added.summary(item) == said


def test_the_example_of_the_reference_is_a_command_beside_the_program_s_own(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = list(blocks(ROOT / "docs/reference/cli.md"))
    (entry,) = (block.text for block in examples if f'"{added.GROUP}"' in block.text)
    (code,) = (block.text for block in examples if block.language == "python")
    ((name, value),) = tomllib.loads(entry)["project"]["entry-points"][added.GROUP].items()
    distribution(folder, value.partition(":")[0], f"{name} = {value}", module=code)
    assert main([name, "etc"], session(folder)) == 0
    assert main(["--help"], session(folder)) == 0
    shown = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert f"{name} Say how PATH fares under a stack of profiles. From acme_survey." in shown


def test_it_is_there_for_the_installed_program(folder: Path) -> None:
    distribution(folder, "acme", "survey = acme:command", "other = acme:Nested.other")
    script = "import sys; sys.path.insert(0, sys.argv.pop(1)); from hardening.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder), "other"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_help_and_completion_and_the_nearest_name_know_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    distribution(folder, "acme", "survey = acme:command")
    assert main(["survey", "--help"], session(folder)) == 0
    assert "Usage: hardening survey [OPTIONS] PATH" in capsys.readouterr().out
    assert main(["survye"], session(folder)) == 2
    assert 'did you mean "survey"?' in capsys.readouterr().err
    done = process(folder, _HARDENING_COMPLETE="bash_complete", COMP_WORDS="hardening sur", COMP_CWORD="1")
    assert done.stdout == "plain,survey\n"


def test_two_packages_with_one_command_are_refused_with_both_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    distribution(folder, "acme", "survey = acme:command")
    distribution(folder, "bolt", "survey = bolt:command")
    for arguments in (["survey", "x"], ["compose"], ["--help"]):
        assert main(arguments, session(folder)) == 125
        assert 'acme and bolt both bring the command "survey"\nhint: uninstall one' in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["compose"], ["run", "--", "id"], ["--help"], ["nonsense"]])
def test_a_name_of_the_programs_own_is_refused_even_where_another_command_is_asked_for(
    arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    distribution(folder, "acme", "run = acme:command")
    assert main(arguments, session(folder)) == 125
    assert 'hardening and acme both bring the command "run"\nhint: update or remove acme' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("acme:missing", "cannot be imported: AttributeError: module 'acme' has no attribute 'missing'"),
        ("missing_module:command", "cannot be imported: ModuleNotFoundError: No module named 'missing_module'"),
        ("acme:wrong", "is int, not a click command"),
        ("acme", "is module, not a click command"),
    ],
)
def test_what_is_no_command_is_one_message(
    value: str, says: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    distribution(folder, "acme", f"survey = {value}")
    assert main(["survey"], session(folder)) == 125
    captured = capsys.readouterr()
    hint = "update or remove acme, or report this to its authors"
    assert captured.err == f"error: plugin survey (acme 1.0): its command {says}\nhint: {hint}\n"


def test_a_distribution_that_is_there_twice_counts_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As with an editable installation and its source."""
    distribution(folder, "acme", "survey = acme:command")
    source = folder / "source"
    source.mkdir()
    distribution(source, "acme", "survey = acme:command")
    monkeypatch.syspath_prepend(str(source))
    assert main(["survey", "x"], session(folder)) == 9
    assert capsys.readouterr().err == ""
