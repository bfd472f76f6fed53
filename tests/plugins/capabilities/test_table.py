"""The table against the headers and the kernel of this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hardening_capabilities.table import ALL, BY_NAME, mask_names


def test_numbers_are_complete_and_in_order() -> None:
    assert [capability.number for capability in ALL] == list(range(len(ALL)))
    assert len(BY_NAME) == len(ALL)


def test_the_kernel_knows_no_capability_that_the_table_lacks() -> None:
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    assert last <= ALL[-1].number


def test_names_and_numbers_are_those_of_libcap() -> None:
    """setpriv(1) lists the names that libcap-ng has, by number."""
    listed = subprocess.run(["setpriv", "--list-caps"], capture_output=True, text=True, check=True).stdout.split()
    assert listed
    assert listed == [capability.name.lower() for capability in ALL[: len(listed)]]


def test_every_capability_has_a_meaning_and_every_risk_an_alternative() -> None:
    for capability in ALL:
        assert capability.meaning
        assert bool(capability.risk) == bool(capability.instead), capability.name


def test_a_mask_becomes_names() -> None:
    assert mask_names(0) == frozenset()
    assert mask_names(0b100001) == {"CHOWN", "KILL"}
    assert mask_names(2**63 - 1) == set(BY_NAME)
