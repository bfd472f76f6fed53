"""A first composition imports what it composes with, and nothing else.

An audit hook (PEP 578) tells which modules are there when the launcher takes the process over.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from hardening.cli import commands
from tests.support.cached import Place
from tests.support.runs import workplace

SHOW = """
import sys
def hook(event, arguments):
    if event == "os.exec":
        import json
        with open(sys.argv[1], "w") as file:
            json.dump(sorted(sys.modules), file)
sys.addaudithook(hook)
from hardening.cli import main
raise SystemExit(main(sys.argv[2:]))
"""
#: Of the standard library and of what is installed beside it: dear to import, and no part of composing.
SLOW = {
    *("argparse", "ast_serialize", "asyncio", "base64", "calendar", "cattrs", "concurrent", "configparser", "csv"),
    *(
        "cryptography",
        "dataclasses",
        "decimal",
        "email",
        "getpass",
        "gnupg",
        "hashlib",
        "hmac",
        "html",
        "http",
        "jinja2",
    ),
    *("importlib.metadata", "importlib.resources", "ipaddress", "logging", "multiprocessing", "optparse", "pickle"),
    *("pkgutil", "pprint", "queue", "random", "rich", "secrets", "shutil", "signal", "socket", "socketserver", "ssl"),
    *("statistics", "subprocess", "tarfile", "tempfile", "textwrap", "unittest", "urllib", "urllib3", "xml", "yaml"),
    *("zipfile", "zstandard"),
}
#: What of a mechanism's room only other commands use, and the findings that a quiet run does not show.
ELSEWHERE = {"findings", "tighten", "verify", "question", "docker", "ignored", "mcs", "requirements", "written"}
LAUNCH = (
    *("main", "native.native", "native.session", "native.translate", "native.root", "native.mounts"),
    *("oci.external", "record.record", "record.sinks"),
)
#: Rooms, and a folder of commands, of which a run needs nothing.
ROOMS = (
    *("hardening.assertions", "hardening.cli.commands.review", "hardening.compare", "hardening.images"),
    *("hardening.learn", "hardening.lint", "hardening.report", "hardening.score", "hardening.testing"),
    *("hardening.trace", "hardening.upgrade", "hardening.why"),
)
#: Modules of other commands and of what runs a bundle.
FOREIGN = {
    *(f"hardening.cli.commands.{path.stem}" for path in Path(commands.__file__).parent.glob("*.py")),
    *(
        "hardening.cli.options.elsewhere",
        "hardening.cli.fetching",
        "hardening.assemble.foreign",
        "hardening.testing.laws",
    ),
    *(f"hardening.runs.{name}" for name in ("containers", "logs", "receipt", "records")),
    *(f"hardening.launch.{name}" for name in (*LAUNCH, "supervise.supervise", "container.detached")),
} - {"hardening.cli.commands.__init__", "hardening.cli.commands.run"}


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The modules of a plain run when it becomes the launcher."""
    seen = tmp_path_factory.mktemp("seen") / "modules.json"
    with workplace() as folder:
        here = Place(folder, (sys.executable, "-c", SHOW, str(seen)))
        done = here.type("run", "-q", "-p", "strict", "--", "echo", "good")
        assert (done.returncode, done.stdout, done.stderr) == (0, "good\n", "")
    return set(json.loads(seen.read_text()))


def test_a_plain_run_imports_nothing_dear(imported: set[str]) -> None:
    assert "hardening.assemble.pipeline" in imported
    # Up to Python 3.12 pathlib brings a part of urllib.
    argv = [sys.executable, "-I", "-c", "import pathlib, sys; print(*sys.modules)"]
    brought = set(subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split())
    assert {name for name in imported - brought if {name, name.partition(".")[0]} & SLOW} == set()


def test_a_plain_run_imports_no_other_command_and_no_runtime(imported: set[str]) -> None:
    assert {name for name in FOREIGN if find_spec(name) is None} == set()
    assert imported & FOREIGN == set()
    assert {name for name in imported if name.startswith(ROOMS)} == set()
    assert {name for name in ROOMS if find_spec(name) is None} == set()


def test_a_plain_run_imports_of_a_mechanism_only_what_composes(imported: set[str]) -> None:
    rooms = {name for name in imported if name.startswith("hardening_")}
    assert "hardening_seccomp.compile" in rooms
    assert {name for name in rooms if name.partition(".")[2] in ELSEWHERE} == set()


#: What other commands have no use for.
USELESS = {
    ("compose", "-q", "-p", "strict"): (
        *("hardening.report.page", "hardening.report.sarif", "hardening.cli.stored", "hardening.cache.entries"),
        "hardening.runs.pruning",
    ),
    ("images",): ("hardening.mechanism.mechanism", "hardening.profile.layers", "hardening.images.check"),
    ("secret", "ls"): ("hardening.images.store", "hardening.cli.options.says"),
    ("profile", "list"): ("hardening.report.explain", "hardening.compose.implied"),
    ("run", "--dry-run", "-q", "-p", "strict", "--", "true"): ("hardening.runs.pruning",),
}


@pytest.mark.parametrize("words", USELESS, ids=" ".join)
def test_another_command_imports_nothing_that_it_does_not_use(words: tuple[str, ...]) -> None:
    show = "import sys; from hardening.cli import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    assert {name for name in USELESS[words] if find_spec(name) is None} == set()
    with workplace() as folder:
        done = Place(folder, (sys.executable, "-c", show)).type(*words)
    loaded = set(done.stderr.split())
    assert "hardening.cli.session" in loaded
    assert loaded & set(USELESS[words]) == set()
