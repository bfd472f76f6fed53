"""What is worth saying about a root file system."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import attrs
import pytest

from hardening.mechanism.findings import Severity
from hardening_rootfs import Rootfs
from tests.plugins.rootfs.stacks import composed, context_of, findings_of


def rules(folder: Path, *lines: str) -> dict[str, Severity]:
    text = "\n".join(["[rootfs]", *lines])
    return {finding.rule.removeprefix("rootfs/"): finding.severity for finding in findings_of(folder, text)}


def test_the_strict_defaults_are_worth_no_word(tmp_path: Path) -> None:
    assert rules(tmp_path) == {}


@pytest.mark.parametrize(
    ("line", "rule", "severity"),
    [
        ('volumes = ["/:/host:ro"]', "system-volume", Severity.ERROR),
        ('volumes = ["/etc:/data"]', "system-volume", Severity.ERROR),
        ('volumes = ["/etc:/data:ro"]', "system-volume", Severity.WARNING),
        ('volumes = ["/etc/shadow:/data:ro"]', "secret-volume", Severity.WARNING),
        ('volumes = ["/run/docker.sock:/run/docker.sock"]', "control-socket", Severity.ERROR),
        ('volumes = ["/srv:/data:suid"]', "suid-volume", Severity.WARNING),
        ('volumes = ["/srv:/data:dev"]', "dev-volume", Severity.WARNING),
        ('volumes = ["/srv:/data:rshared"]', "shared-volume", Severity.WARNING),
        ('volumes = ["/srv:/data"]', "exec-volume", Severity.NOTE),
        ('volumes = ["/srv:/data"]', "unmapped-volume", Severity.NOTE),
        ('volumes = ["/srv:/tmp:ro"]', "volume-over-tmpfs", Severity.NOTE),
        ('tmpfs."/tmp" = "size=1M,exec"', "exec-tmpfs", Severity.WARNING),
        ('tmpfs."/tmp" = "size=1M,suid"', "suid-tmpfs", Severity.WARNING),
        ('tmpfs."/tmp" = "size=1M,dev"', "dev-tmpfs", Severity.WARNING),
        ('proc.hidepid = "off"', "visible-processes", Severity.NOTE),
        ('propagation = "shared"', "shared-propagation", Severity.WARNING),
        ('masked_paths.drop = ["/proc/keys"]', "unmasked-path", Severity.NOTE),
        ('read_only_paths.drop = ["/proc/sys"]', "writable-kernel-path", Severity.WARNING),
        ('hidden_paths.drop = ["/etc/shadow"]', "shown-secret", Severity.WARNING),
        ('path = "/srv"\nread_only = false', "writable-root", Severity.WARNING),
        ('devices = ["/dev/null"]', "device", Severity.NOTE),
    ],
)
def test_what_is_said(tmp_path: Path, line: str, rule: str, severity: Severity) -> None:
    if "docker.sock" in line:
        # Sockets are known by name: the engine need not run where a profile is written.
        from hardening.mechanism.roles import Volume
        from hardening_rootfs.findings import of_volume

        found = {item.rule: item.severity for item in of_volume(Volume("/run/docker.sock", "/run/docker.sock"), ())}
        assert found["rootfs/control-socket"] is severity
        return
    assert rules(tmp_path, line)[rule] is severity


def test_processes_of_the_host_are_worth_more(tmp_path: Path) -> None:
    profile = '[namespaces]\npid = "host"\nuser = "host"\n[rootfs.proc]\nhidepid = "off"'
    found = {finding.rule: finding.severity for finding in findings_of(tmp_path, profile)}
    assert found["rootfs/visible-processes"] is Severity.WARNING


def test_a_finding_about_a_volume_names_its_place(tmp_path: Path) -> None:
    found = findings_of(tmp_path, '[rootfs]\nvolumes = ["/etc:/data:ro"]')
    assert all(finding.origin.endswith("layer0.toml:2") for finding in found if finding.severity is not Severity.NOTE)


@pytest.mark.parametrize("limit", ["devices = []", "shm_size = 0"])
@pytest.mark.parametrize("runtime", ["native", "crun", None])
def test_what_goes_with_a_run_is_told(tmp_path: Path, limit: str, runtime: str | None) -> None:
    composition = composed(tmp_path, f"[limits.rootfs]\n{limit}\n", '[rootfs]\npath = "/srv"\nread_only = false')
    context = attrs.evolve(context_of(composition), runtime=runtime, limit=composition.limit)
    found = {item.rule: item.message for item in Rootfs().findings(composition.settings["rootfs"], context)}
    assert ("rootfs/discarded-top" in found) == (runtime == "crun" and limit == "devices = []")
    assert "under crun" in found.get("rootfs/discarded-top", "under crun")


def test_kernel_parameters_need_a_proc_sys(tmp_path: Path) -> None:
    profile = '[namespaces.sysctls]\n"net.ipv4.ip_forward" = "0"'
    assert "rootfs/sysctls-without-proc-sys" in {finding.rule for finding in findings_of(tmp_path, profile)}
    whole = profile + '\n[rootfs.proc]\nsubset = ""'
    assert "rootfs/sysctls-without-proc-sys" not in {finding.rule for finding in findings_of(tmp_path, whole)}


def test_a_volume_that_can_be_written_to_is_not_told_to_be_unmapped(tmp_path: Path) -> None:
    for line in ('volumes = ["/srv:/data:idmap"]', 'volumes = ["/srv:/data:ro"]', 'volumes = ["/tmp:/data"]'):
        assert "unmapped-volume" not in rules(tmp_path, line)


def test_sockets_are_known_by_being_sockets(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    with socket.socket(socket.AF_UNIX) as service:
        service.bind(str(place / "anything"))
        for source in (place, place / "anything"):
            assert rules(tmp_path, f'volumes = ["{source}:/x:ro"]')["control-socket"] is Severity.ERROR
        if os.geteuid() == 0:
            os.chown(place / "anything", 12345, 12345)
            assert rules(tmp_path, f'volumes = ["{place}:/x:ro"]')["socket-volume"] is Severity.WARNING
