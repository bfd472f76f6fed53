"""The table against the headers and the kernel of this machine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from hardening_capabilities.table import ALL, BY_NAME, mask_names


def test_numbers_are_complete_and_in_order() -> None:
    assert [capability.number for capability in ALL] == list(range(len(ALL)))
    assert len(BY_NAME) == len(ALL)


def test_the_kernel_knows_no_capability_that_the_table_lacks() -> None:
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    assert last <= ALL[-1].number


def test_names_and_numbers_are_those_of_capsh() -> None:
    """libcap's own decoder reads a mask of one bit each."""
    for capability in ALL:
        mask = f"{1 << capability.number:016x}"
        shown = subprocess.run(["/sbin/capsh", f"--decode={mask}"], capture_output=True, text=True, check=True).stdout
        assert re.search(r"=(\w+)", shown)[1] == f"cap_{capability.name.lower()}"  # type: ignore[index]


def test_every_capability_has_a_meaning_and_every_risk_an_alternative() -> None:
    for capability in ALL:
        assert capability.meaning
        assert bool(capability.risk) == bool(capability.instead), capability.name


def test_a_mask_becomes_names() -> None:
    assert mask_names(0) == frozenset()
    assert mask_names(0b100001) == {"CHOWN", "KILL"}
    assert mask_names(2**63 - 1) == set(BY_NAME)
