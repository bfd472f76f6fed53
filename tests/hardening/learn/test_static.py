"""What a program could call is read from its file, and that of a library; what is no program has nothing."""

from __future__ import annotations

import os
from pathlib import Path

from hardening.images.ids import Ids
from hardening.learn import static
from tests.support import elves

SOURCE = "#include <unistd.h>\n#include <sys/syscall.h>\nint main(void) { return syscall(SYS_getppid) == 0; }"


def test_the_calls_of_programs_are_read_from_their_files(tmp_path: Path) -> None:
    elves.compiled(tmp_path, SOURCE, "-static", name="usr/bin/one")
    (tmp_path / "usr/bin/script").write_text("#!/bin/sh\n")
    found = static.calls_of(
        ["/usr/bin/one", "/usr/bin/script", "/gone"], str(tmp_path), Ids(owner=(os.geteuid(), os.getegid()))
    )
    assert found["getppid"] == found["exit_group"] == ["/usr/bin/one"]
    assert "bpf" not in found
