"""The bench itself, with as little of everything as there can be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import memory
from tests.bench.contenders import BenchError, Contender
from tests.bench.targets import (
    FAILING,
    FIRST,
    FORESEEN,
    INSPECT,
    LANDLOCK,
    LAUNCH,
    NEW,
    RECORDED,
    RUN,
    SCORE,
    WHY,
)
from tests.support.features import require
from tests.support.users import REPOSITORY


@pytest.mark.complete
@pytest.mark.system
def test_a_tiny_run_measures_everything(tmp_path: Path) -> None:
    require("userns")
    argv = [
        str(REPOSITORY / "tests/bench/apart"),
        sys.executable,
        "-m",
        "tests.bench",
        "--tiny",
        "--alone",
        "--output",
        str(tmp_path),
    ]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "bench.json").read_text())
    who = "root" if os.geteuid() == 0 else "an ordinary user"
    assert {LAUNCH, RUN, NEW, FIRST, "bubblewrap"} <= set(result["launches"][who])
    assert set(result["images"][who]) == {
        "directory, native", "signed image, native", "directory, crun", "signed image, crun",
    }  # fmt: skip
    assert set(result["verifying"]["seconds"]) == {"docker", "dir"}
    assert set(result["explaining"]["command"]) == {"2", "4"}
    assert (result["linting"]["files"], len(result["linting"]["seconds"])) == (4, 1)
    assert {what: set(found) for what, found in result["asking"].items()} == {
        what: {"hardening", "beside"} for what in (WHY, FORESEEN, FAILING, SCORE, INSPECT, LANDLOCK, *RECORDED)
    }
    assert set(result["comparing"]) == {"diff", "prove"}
    assert set(result["curves"]) == {"layers", "profiles", "search", "scopes"}
    assert result["imports"]["launcher"]
    if os.geteuid() == 0:
        assert {label for label, _ in result["steps"][LAUNCH]} >= {"the root is in place", "the filter is loaded"}
        assert {"crun", "runc", "podman"} <= set(result["launches"][who])
        assert set(result["memory"][who]) == set(result["launches"][who]) - {FIRST, NEW}
        assert set(result["instructions"]["strict"]) == {"hardening", "crun"}
        assert set(result["percall"]) == {"none", "hardening", "crun"}
    assert "targets" in done.stdout
    assert (tmp_path / "README.md").read_text().startswith("# Numbers")


def test_a_launcher_that_fails_is_no_measurement(tmp_path: Path) -> None:
    broken = Contender("broken", ("sh", "-c", "echo no >&2; exit 3"), dict(os.environ))
    with pytest.raises(BenchError, match="broken ends with 3: no"):
        broken.seconds(tmp_path / "errors")


def test_each_run_has_a_name_and_a_state_directory_of_its_own(tmp_path: Path) -> None:
    words = ("sh", "-c", f'echo {{id}} "$HARDENING_STATE" >>{tmp_path}/seen')
    one = Contender("one", words, {**os.environ, "HARDENING_STATE": "/state"}, fresh=True)
    for _ in range(2):
        one.seconds(tmp_path / "errors")
    seen = [line.split() for line in (tmp_path / "seen").read_text().splitlines()]
    assert [state for _, state in seen] == [f"/state/{identity}" for identity, _ in seen]
    assert seen[0] != seen[1]


def test_the_filter_is_descriptor_nine(tmp_path: Path) -> None:
    (tmp_path / "filter").write_text("instructions")
    one = Contender("one", ("sh", "-c", f"cat <&9 >{tmp_path}/seen"), dict(os.environ), filter=tmp_path / "filter")
    one.seconds(tmp_path / "errors")
    assert (tmp_path / "seen").read_text() == "instructions"


def test_all_that_waits_is_counted_and_the_command_is_not(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.bench.contenders import Contender; from tests.bench import memory;"
        "import os; command = ('sleep', '86397'); errors = Path(sys.argv[1]) / 'errors';"
        "one, two = (Contender(name, ('sh', '-c', line), dict(os.environ)) for name, line in"
        " (('one', 'sleep 86397; :'), ('two', 'sh -c \"sleep 86397; :\"; :')));"
        "print(memory.waiting(one, command, errors), memory.waiting(two, command, errors))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    one, two = map(float, done.stdout.split())
    assert 0 < one < two, done.stderr


def test_descendants_are_found_below_threads_too() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 86396 & wait"]) as process:
        while not list(memory.descendants(process.pid)):
            pass
        found = list(memory.descendants(os.getpid()))
        assert process.pid in found
        assert set(memory.descendants(process.pid)) < set(found)
        for pid in [*memory.descendants(process.pid), process.pid]:
            os.kill(pid, 9)
