"""`docs/examples` and `hardening plugin new`: each is a distribution that pip builds and installs, whose own tests pass, and
which registers, keeps the laws, and does what it says beside ours."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from hardening.testing.scaffold import KINDS, files
from tests.docs.examples import ROOT
from tests.hardening.cli.samples import call, session
from tests.support import forking
from tests.support.features import require
from tests.support.runs import workplace

EXAMPLES = ROOT / "docs/examples"
NEW = {f"acme-{kind}": kind for kind in KINDS}


@attrs.frozen
class Installed:
    """Where the distributions were installed, and what their own tests said."""

    target: Path
    tests: str

    def call(self, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """The program with all of them."""
        code = f"import sys\nsys.path.insert(0, {str(self.target)!r})\nfrom hardening.cli import main"
        env = {**os.environ, "HARDENING_STATE": str(cwd / "state")}
        return forking.server(None).run(words, code=code, cwd=str(cwd), env=env)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    place = tmp_path_factory.mktemp("distributions")
    folders = [str(path.parent) for path in sorted(EXAMPLES.glob("*/pyproject.toml"))]
    for name, kind in NEW.items():
        for path, text in files(name, kind, "0.1").items():
            (place / name / path).parent.mkdir(parents=True, exist_ok=True)
            (place / name / path).write_text(text)
        folders.append(str(place / name))
    target = place / "target"
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(target))
    subprocess.run([sys.executable, "-m", "pip", "install", *options, *folders], check=True)
    # As their authors run them, but all in one process.
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", *folders],
        env={**os.environ, "PYTHONPATH": str(target)}, cwd=place, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return Installed(target, done.stdout)


def test_the_page_says_how_much_each_takes() -> None:
    code = {f"--kind {kind}": files("acme", kind, "0.1")["hardening_acme/__init__.py"] for kind in KINDS}
    code |= {"gvisor": (EXAMPLES / "gvisor/hardening_gvisor/__init__.py").read_text()}
    code |= {"site-policy": (EXAMPLES / "site-policy/acme_site/__init__.py").read_text()}
    taken = {}
    for plugin, text in code.items():
        imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
        names = [name for node in imports if node.module == "hardening.api" for name in node.names]
        taken[plugin] = (str(sum(bool(line.strip()) for line in text.splitlines())), str(len(names)))
    rows = re.findall(r"^\| `([^`]+)` \| (\d+) \| (\d+) \|$", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    assert {plugin: tuple(numbers) for plugin, *numbers in rows} == taken


def test_the_tests_of_each_pass(installed: Installed) -> None:
    assert installed.tests.rstrip().splitlines()[-1].startswith("17 passed"), installed.tests


def test_each_registers_and_keeps_the_laws(installed: Installed, tmp_path: Path) -> None:
    listed = installed.call("plugin", "list", "--json", cwd=tmp_path)
    rows = {row["name"]: row for row in json.loads(listed.stdout) if "acme" in row["name"] or "gvisor" in row["name"]}
    assert (listed.returncode, [row["problem"] for row in rows.values()]) == (0, [""] * len(rows))
    brings = ("mechanisms", "runtimes", "scanners", "secret_drivers")
    judges = ["hardening_inspect", "hardening_admit", "hardening_inputs"]
    found = {name: [key for key in brings if row[key]] + row["hooks"] + row["profiles"] for name, row in rows.items()}
    assert found.pop("gvisor") == ["runtimes"]
    assert found == {
        "acme-mechanism": ["mechanisms"],
        "acme-policy": [*judges, "acme-policy"],
        "acme-site": [*judges, "acme-site"],
        "acme-runtime": ["runtimes"],
        "acme-scanner": ["scanners"],
        "acme-secret-driver": ["secret_drivers"],
    }
    assert {row["interface"] for row in rows.values()} == {"1"}
    checked = installed.call("plugin", "check", "--json", *rows, cwd=tmp_path)
    assert (checked.returncode, json.loads(checked.stdout)) == (0, []), checked.stderr
    assert [line.partition(": ")[2].partition(":")[0] for line in checked.stderr.splitlines()] == [
        "runtime acme-runtime of acme-runtime",
        "secret driver acme-secret-driver of acme-secret-driver",
    ]


def test_a_new_mechanism_stands_beside_ours(installed: Installed, tmp_path: Path) -> None:
    done = installed.call("compose", "-q", "--set", "acme-mechanism.most=0", "--", "true", cwd=tmp_path)
    assert json.loads(done.stdout)["annotations"]["com.example.acme-mechanism.most"] == "0", done.stderr


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("Quota Two",), "is no name of small letters and digits", "hardening plugin new quota-two"),
        (("3d",), "is no name of small letters and digits", "hardening plugin new d"),
        (("limits",), "has a meaning of its own in profiles", "hardening plugin new my-limits"),
        (("requirement",), "has a meaning of its own in profiles", "hardening plugin new my-requirement"),
        (("../up",), "is no name of small letters and digits", "hardening plugin new up"),
        (("seccomp",), 'there is a plugin "seccomp" already', "hardening plugin show seccomp"),
        (("quota", "--into", "there"), "there: not empty", "name a new folder with --into"),
        (("quota", "--into", "there/file"), "there/file: ", "name another --into"),
        (("quota", "--kind", "mechanisms"), "'mechanisms' is not one of 'mechanism'", "--help` shows what there is"),
    ],
)
def test_what_is_no_new_plugin_is_refused(
    words: tuple[str, ...], message: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "there/file").touch()
    assert call(session(tmp_path), "plugin", "new", *words) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert hint in shown
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "there"]


def test_new_writes_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(session(tmp_path), "plugin", "new", "quota") == 0
    assert capsys.readouterr().out.startswith(
        f"hardening-quota: a mechanism. Next: pip install {tmp_path}/hardening-quota, then"
    )
    made = {str(path.relative_to("hardening-quota")) for path in Path("hardening-quota").rglob("*") if path.is_file()}
    assert made == set(files("quota", "mechanism", "0.1"))


def test_a_site_s_policy_binds_every_command(installed: Installed, tmp_path: Path) -> None:
    require("userns")
    (tmp_path / "team.toml").write_text('extends = ["acme"]\n[process]\numask = "000"\n')
    team = ("-p", "./team.toml")
    done = installed.call("run", "-q", *team, "--", "true", cwd=tmp_path)
    assert (done.returncode, "acme.toml" in done.stderr) == (2, True), done.stderr
    (tmp_path / "team.toml").write_text('extends = ["acme"]\n')
    done = installed.call("run", *team, "--", "echo", "ran", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "ran\n"), done.stderr
    assert "warning: team.toml: the profile team does not say what it is for" in done.stderr


@pytest.mark.system
def test_gvisor_runs_what_was_composed(installed: Installed) -> None:
    require("root")
    with workplace() as place:  # whose path is short enough for the sockets of runsc
        run = ("run", "-q", "--runtime", "gvisor", "-p", "strict")
        done = installed.call(*run, "--", "sh", "-c", "cat /proc/version; exit 7", cwd=place)
        assert done.returncode == 7, done.stderr
        assert done.stdout != Path("/proc/version").read_text()
        missing = installed.call(*run, "--", "/no/such/program", cwd=place)
        assert missing.returncode in (125, 127), missing.stderr
        refused = installed.call(*run, "--receipt", "r", "--", "true", cwd=place)
        assert (refused.returncode, "writes no receipts" in refused.stderr) == (2, True)
