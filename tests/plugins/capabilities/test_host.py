"""What the host hands on, and what it is short of."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hardening.errors import HostError
from hardening.mechanism.host import plain
from hardening.mechanism.mechanism import Unsupported
from hardening_capabilities import CapabilitiesSettings
from hardening_capabilities.host import CapabilityFacts, available, check, probe
from tests.plugins.capabilities.stacks import EVERY, composed, context, host, namespaces
from tests.support.features import require


def settings(folder: Path, *names: str) -> CapabilitiesSettings:
    value = composed(folder, f"[capabilities]\nadd = {list(names)}").settings["capabilities"]
    assert isinstance(value, CapabilitiesSettings)
    return value


def test_probe_reads_this_kernel() -> None:
    facts = probe(plain())
    shown = subprocess.run(["setpriv", "--dump"], capture_output=True, text=True, check=True).stdout
    line = next(line for line in shown.splitlines() if line.startswith("Capability bounding set"))
    names = {name.strip().upper() for name in line.partition(":")[2].split(",")}
    assert facts.bounding == names
    assert facts.last == int(Path("/proc/sys/kernel/cap_last_cap").read_text())


def test_without_procfs_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="No such file"):
        probe(plain(), tmp_path)


def test_the_bounding_set_cuts_only_without_a_user_namespace() -> None:
    cut = host(bounding=EVERY - {"SYS_RESOURCE"})
    assert available(context(cut)) == EVERY - {"SYS_RESOURCE"}
    assert available(context(cut, namespaces(user="host"))) == EVERY - {"SYS_RESOURCE"}
    assert available(context(cut, namespaces(user="private"))) == EVERY


def test_the_kernel_gives_the_full_set_in_a_new_user_namespace() -> None:
    """The rule that `available` relies on, asked of the kernel: the bounding set is full again inside."""
    require("userns")
    command = ["unshare", "--user", "--map-root-user", "cat", "/proc/self/status"]
    status = subprocess.run(
        ["setpriv", "--bounding-set=-chown", "--", *command] if "SETPCAP" in probe(plain()).effective else command,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert int(fields["CapBnd"], 16) == (1 << (probe(plain()).last + 1)) - 1


def test_a_capability_newer_than_the_kernel_is_a_gap(tmp_path: Path) -> None:
    old = host(last=36)
    found = list(check(settings(tmp_path, "BPF", "KILL"), context(old)))
    assert [item.leaf for item in found] == ["capabilities.BPF"]
    assert "number 39" in found[0].reason
    assert "5.8" in found[0].remedy


def test_a_caller_who_cannot_reduce_the_bounding_set(tmp_path: Path) -> None:
    weak = host(effective=frozenset())
    found: list[Unsupported] = list(check(settings(tmp_path, "KILL"), context(weak)))
    assert [item.leaf for item in found] == ["capabilities.*"]
    assert not list(check(settings(tmp_path, "KILL"), context(weak, namespaces(user="private"))))
    assert not list(check(settings(tmp_path, "ALL"), context(weak)))


def test_facts_know_only_what_the_kernel_knows() -> None:
    assert "BPF" not in CapabilityFacts(38, EVERY, EVERY).known
    assert "PERFMON" in CapabilityFacts(38, EVERY, EVERY).known
