"""`docs/reference/score.md` beside systemd-analyze(1): units and configurations that say the same, step by step."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hardening.assemble.spec import assemble
from hardening.base.linux import abi
from hardening.mechanism.fragment import Fragment
from hardening.score import scoring
from tests.docs.examples import ROOT
from tests.support import shipped

PAGE = (ROOT / "docs/reference/score.md").read_text()
TIGHT = ["nosuid", "nodev", "noexec"]
#: What a unit without any setting has (systemd.exec(5), and the manager's defaults for limits).
SERVICE: Mapping[str, Any] = {
    "/process/user": {"uid": 0, "gid": 0},
    "/process/capabilities": {name: [*abi.CAPABILITIES] for name in ("bounding", "permitted", "effective")},
    "/process/rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 524288}],
    "/linux/resources/pids": {"limit": 10000},
}


def mounts(*more: tuple[str, str, list[str]]) -> list[dict[str, Any]]:
    return [{"destination": place, "type": kind, "source": kind, "options": options} for place, kind, options in more]


def spaces(*kinds: str) -> list[dict[str, str]]:
    return [{"type": kind} for kind in ("mount", *kinds)]


_OWN = [("/dev", "tmpfs", TIGHT), ("/tmp", "tmpfs", ["nosuid", "nodev"])]
#: step -> lines of a unit, and values of a configuration, that take the same away.
STEPS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "nothing": ("", SERVICE),
    "no new privileges": ("NoNewPrivileges=yes", {"/process/noNewPrivileges": True}),
    "no capabilities": ("CapabilityBoundingSet=", {"/process/capabilities": {"bounding": []}}),
    "a user, and a mask": ("User=daemon UMask=0077", {"/process/user": {"uid": 1, "gid": 1, "umask": 0o77}}),
    "a filter of system calls": (
        "SystemCallFilter=@system-service SystemCallFilter=~@resources SystemCallFilter=~@privileged "
        "SystemCallArchitectures=native "
        "RestrictNamespaces=yes LockPersonality=yes RestrictSUIDSGID=yes RestrictRealtime=yes MemoryDenyWriteExecute=yes "
        "RestrictAddressFamilies=AF_INET",
        {"/linux/seccomp": "strict"},
    ),
    "a root and devices of its own": (
        "ProtectSystem=strict ProtectHome=yes PrivateTmp=yes PrivateDevices=yes",
        {"/root/readonly": True, "/linux/namespaces": spaces(),
         "/mounts": mounts(("/proc", "proc", TIGHT), ("/sys", "sysfs", TIGHT), *_OWN)},
    ),
    "less of /proc and /sys": (
        "ProtectKernelTunables=yes ProtectKernelModules=yes ProtectKernelLogs=yes ProtectControlGroups=yes ProtectClock=yes "
        "ProtectHostname=yes ProtectProc=invisible ProcSubset=pid",
        {"/linux/namespaces": spaces("uts"),
         "/mounts": mounts(("/proc", "proc", ["hidepid=invisible", "subset=pid"]), ("/sys", "sysfs", ["ro"]), *_OWN)},
    ),
    "no network": ("PrivateNetwork=yes IPAddressDeny=any", {"/linux/namespaces": spaces("uts", "network")}),
    "users and IPC of its own": (
        "PrivateUsers=yes PrivateIPC=yes",
        {"/linux/namespaces": spaces("uts", "network", "user", "ipc"),
         "/linux/uidMappings": [{"containerID": 1, "hostID": 1, "size": 1}]},
    ),
}  # fmt: skip


def of_systemd(unit: Path, *options: str) -> str:
    argv = ["systemd-analyze", "security", "--offline=true", "--no-pager", *options, str(unit)]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def measured(folder: Path) -> Iterator[tuple[str, float, float]]:
    """Each step with the score of systemd and ours."""
    plugins, host = shipped.here()
    filters = scoring.document_of(plugins, shipped.composed(("strict",)), host)["linux"]["seccomp"]
    unit = folder / "step.service"
    document: dict[str, Any] = {}
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    for step, (lines, values) in STEPS.items():
        unit.write_text(unit.read_text() + re.sub(r" (?=[A-Z]\w+=)", "\n", lines) + "\n")
        fragment = Fragment("unit")
        for pointer, value in values.items():
            fragment.put(pointer, filters if value == "strict" else value)
        document = assemble([fragment], document).document
        found = re.search(r"exposure level for step.service: ([\d.]+)", of_systemd(unit))
        assert found is not None
        yield step, float(found[1]), scoring.of_document(plugins.mechanisms, document, host).total


def test_the_table_is_what_both_say_and_they_agree(tmp_path: Path) -> None:
    rows = [*measured(tmp_path)]
    shown = re.findall(
        r"^\| ([\w ,/]+?) \| (\d+\.\d) \| (\d+\.\d) \|", PAGE.partition("## Beside systemd-analyze")[2], re.MULTILINE
    )
    # Another version of systemd may weigh a little otherwise.
    assert [row[0] for row in shown] == [row[0] for row in rows]
    for (step, theirs, ours), (_, *numbers) in zip(rows, shown, strict=True):
        assert abs(float(numbers[0]) - theirs) <= 0.2, (step, theirs)
        assert float(numbers[1]) == round(ours, 1), (step, ours)
        assert abs(theirs - ours) < 1, step
    assert [row[2] for row in rows] == sorted((row[2] for row in rows), reverse=True)


def test_the_page_says_of_each_check_of_systemd_what_stands_for_it_here(tmp_path: Path) -> None:
    unit = tmp_path / "one.service"
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    names = {re.split("=|_", row["json_field"])[0] for row in json.loads(of_systemd(unit, "--json=short"))}
    named = {*re.findall(r"`(\w+)=`", PAGE.partition("## Beside systemd-analyze")[2])}
    merged = {"RootDirectoryOrRootImage": "RootDirectory", "UserOrDynamicUser": "User"}
    assert {merged.get(name, name) for name in names} - named == set()
