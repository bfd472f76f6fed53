"""What is foretold of an upgrade is what happens when it is run: pairs that are compiled here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import elves
from tests.support.features import require
from tests.system.upgrades.asking import ask
from tests.system.upgrades.pairs import AGED, STRICT, Pair

pytestmark = pytest.mark.system
START = "#define _GNU_SOURCE\n#include <unistd.h>\n#include <sys/syscall.h>\n"
#: On which processors it runs.
ASKED = "long set[128]; long size = syscall(SYS_sched_getaffinity, 0, sizeof set, set);"


@pytest.mark.sampled("works")
@pytest.mark.parametrize(
    ("stack", "source", "works"),
    [
        (AGED, 'int main(void) { return syscall(SYS_faccessat2, -100, "/", 0, 0) < 0; }', False),
        (AGED, "int main(void) { syscall(SYS_close_range, 100, 200, 0); close(100); return 0; }", True),
        (STRICT, f"int main(void) {{ {ASKED} return syscall(SYS_sched_setaffinity, 0, size, set) < 0; }}", False),
        (STRICT, "int main(void) { return getpgrp() < 0; }", True),
    ],
    ids=["faccessat2", "close_range", "sched_setaffinity", "getpgrp"],
)
def test_what_is_foretold_happens(tmp_path: Path, stack: str, source: str, works: bool) -> None:
    require("userns")
    require("x86-64")  # whose numbers those of Linux 5.2 are
    tmp_path.chmod(0o755)
    for version, text in (("old", "int main(void) { return getppid() < 0; }"), ("new", source)):
        elves.compiled(tmp_path / version, START + text, "-static", name="usr/bin/demo")
        for name in ("dev", "proc", "tmp", "etc"):
            (tmp_path / version / name).mkdir()
    told = ask(Pair("demo", ("demo",), "demo", stack, "old", "new"), tmp_path / "old", tmp_path / "new", tmp_path)
    assert (told.worked, told.works, told.verdict) == (True, works, "right" if works else "named as likely")
