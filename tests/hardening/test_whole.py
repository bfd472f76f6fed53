"""The whole program, as `scripts/hardening-cli` calls it."""

from __future__ import annotations

import subprocess
import sys


def test_the_collector_of_cycles_waits_for_a_short_command_to_end() -> None:
    looks = "import gc, sys; gc.collect(); looks = []; gc.callbacks.append(lambda phase, _: looks.append(phase))"
    command = (
        "sys.argv[1:] = ['compose', '-p', 'strict', '--format', 'toml']; from hardening import whole; whole.main()"
    )
    facts = "print(looks, gc.isenabled(), len(gc.get_objects()) < gc.get_freeze_count())"
    argv = [sys.executable, "-I", "-c", f"{looks}\n{command}\n{facts}"]
    told = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    assert told.splitlines()[-1] == "[] True True"
