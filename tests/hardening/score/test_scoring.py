"""`hardening/score`: each item tells its own change of a configuration, whoever wrote that, and no other one."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hardening.assemble.spec import assemble
from hardening.base.pointer import lookup
from hardening.base.values import freeze
from hardening.cli.session import Session
from hardening.errors import HardeningError
from hardening.launch.config.bundle import HELPERS
from hardening.mechanism.exposure import helpers
from hardening.mechanism.fragment import Fragment
from hardening.score import scoring, weights
from hardening.score.scoring import Score
from hardening_capabilities.table import BY_NAME
from tests.docs.examples import ROOT
from tests.hardening.cli.samples import call
from tests.support import shipped

ALLOW = "SCMP_ACT_ALLOW"
BIND = {"destination": "/data", "type": "bind", "source": "/srv/data", "options": ["rbind", "rw", "noexec"]}


@cache
def strict() -> str:
    """What `strict` composes to, with a label, limits of a control group and a time namespace: nothing of it is open."""
    plugins, here = shipped.here()
    document = scoring.document_of(plugins, shipped.composed(("strict",)), here)
    document["process"]["selinuxLabel"] = "system_u:system_r:container_t:s0:c1,c2"
    document["process"]["user"] |= {"uid": 1000, "gid": 1000}
    document["linux"]["resources"] = {"memory": {"limit": 1 << 26}, "cpu": {"quota": 1000, "period": 10000}}
    document["linux"]["namespaces"].append({"type": "time"})
    return json.dumps(document)


def document(**changes: Any) -> dict[str, Any]:
    """`strict` with values at pointers; a list is added to one that is there."""
    found: dict[str, Any] = json.loads(strict())
    fragment = Fragment("test")
    for pointer, value in changes.items():
        there = lookup(found, pointer)
        fragment.put(pointer, [*there, *value] if isinstance(value, list) and isinstance(there, list) else value)
    return assemble([fragment], found).document


def score(found: Mapping[str, Any]) -> Score:
    plugins, here = shipped.here()
    return scoring.of_document(plugins.mechanisms, found, here)


def shares(found: Mapping[str, Any]) -> dict[str, float]:
    return {item.leaf: item.share for item in score(found).items if item.share}


def namespaces(name: str) -> dict[str, Any]:
    found = json.loads(strict())
    found["linux"]["namespaces"] = [item for item in found["linux"]["namespaces"] if item["type"] != name]
    return found  # type: ignore[no-any-return]


def mounts(*added: dict[str, Any], gone: str = "") -> dict[str, Any]:
    found = json.loads(strict())
    kept = [item for item in found["mounts"] if item["destination"] != gone]
    found["mounts"] = [*kept, *added]
    return found  # type: ignore[no-any-return]


def rlimits(gone: str) -> dict[str, Any]:
    found = json.loads(strict())
    found["process"]["rlimits"] = [item for item in found["process"]["rlimits"] if item["type"] != gone]
    return found  # type: ignore[no-any-return]


def calls(*names: str, **more: Any) -> dict[str, Any]:
    """`strict` with calls that its filter lets through; of those that it has a rule for, in the place of that."""
    found = json.loads(strict())
    entries = found["linux"]["seccomp"]["syscalls"]
    kept = [entry | {"names": [name for name in entry["names"] if name not in names]} for entry in entries]
    found["linux"]["seccomp"]["syscalls"] = [entry for entry in kept if entry["names"]]
    found["linux"]["seccomp"]["syscalls"].append({"names": [*names], "action": ALLOW})
    return {**found, **more}


PROC = {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid"]}
SYS = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]}
#: item -> what exposes it alone, and how much.
CHANGES: dict[str, tuple[dict[str, Any], float]] = {
    "capabilities.no_new_privileges": (document(**{"/process/noNewPrivileges": False}), 1),
    "namespaces.net": (namespaces("network"), 1),
    "namespaces.ipc": (namespaces("ipc"), 1),
    "namespaces.uts": (namespaces("uts"), 1),
    "namespaces.cgroup": (namespaces("cgroup"), 1),
    "namespaces.user": (namespaces("user"), 1),
    "namespaces.time": (namespaces("time"), 1),
    "process.user": (document(**{"/process/user/uid": 0}), 0.25),
    "process.groups": (document(**{"/process/user/additionalGids": [5]}), 1),
    "process.environment": (document(**{"/process/env": ["API_TOKEN=x"]}), 1),
    "process.umask": (document(**{"/process/user/umask": 0o022}), 1),
    "process.terminal": (document(**{"/process/terminal": True}), 1),
    "process.oom_score_adj": (document(**{"/process/oomScoreAdj": -1}), 1),
    "process.rlimits.core": (rlimits("RLIMIT_CORE"), 1),
    "process.rlimits.nofile": (rlimits("RLIMIT_NOFILE"), 1),
    "process.resources.pids": (rlimits("RLIMIT_NPROC"), 1),
    "process.resources.memory": (document(**{"/linux/resources/memory": None}), 1),
    "process.resources.cpu": (document(**{"/linux/resources/cpu": None}), 1),
    "rootfs.volumes": (mounts(BIND), 0.5),
    "rootfs.volume_sockets": (
        mounts(BIND | {"source": "/run/docker.sock", "options": ["bind", "ro"]}), 1,
    ),
    "rootfs.devices": (document(**{"/linux/devices": [{"path": "/dev/kvm", "type": "c", "major": 10, "minor": 232}]}), 0.5),
    "rootfs.masked_paths": (
        mounts(PROC | {"options": ["hidepid=2", "ro"]}, gone="/proc")
        | {"linux": document(**{"/linux/maskedPaths": None})["linux"]}, 0.75,
    ),
    "rootfs.sys": (mounts(SYS), 0.25),
    "rootfs.tmpfs": (
        mounts({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid"]}, gone="/tmp"), 1,
    ),
    "rootfs.propagation": (document(**{"/linux/rootfsPropagation": "rslave"}), 0.5),
    "seccomp.@mount": (calls("mount"), 1),
    "seccomp.@debug": (calls("ptrace"), 1),
    "seccomp.@module": (calls("init_module"), 1),
    "seccomp.@raw-io": (calls("iopl"), 1),
    "seccomp.@bpf": (calls("bpf"), 1),
    "seccomp.@clock": (calls("settimeofday"), 1),
    "seccomp.@reboot": (calls("reboot"), 1),
    "seccomp.@swap": (calls("swapon"), 1),
    "seccomp.@keyring": (calls("keyctl"), 1),
    "seccomp.@io-uring": (calls("io_uring_setup"), 1),
    "seccomp.@host": (calls("quotactl"), 1),
    "seccomp.@obsolete": (calls("uselib"), 1),
    "seccomp.clone": (calls("clone"), 1),
    "seccomp.socket": (calls("socket"), 1),
    "seccomp.ioctl": (calls("ioctl"), 1),
    "seccomp.personality": (calls("personality"), 1),
    "seccomp.restrict_suid_sgid": (calls("fchmod"), 1),
    "seccomp.architectures": (document(**{"/linux/seccomp/architectures": ["SCMP_ARCH_X86"]}), 0.5),
    "selinux.enabled": (document(**{"/process/selinuxLabel": None}), 1),
    "secrets.given": (
        document(**{"/annotations/org.hardening.secrets": '[{"name": "a", "type": "env", "target": "A"}]'}), 1,
    ),
}  # fmt: skip
#: What exposes several: without a mount namespace all that mounts hide, and a writable root can be executed from.
TOGETHER: dict[str, tuple[dict[str, Any], set[str]]] = {
    "rootfs.read_only": (document(**{"/root/readonly": False}), {"rootfs.tmpfs"}),
    "namespaces.pid": (
        {**namespaces("pid"), "mounts": mounts(PROC | {"options": ["subset=pid"]}, gone="/proc")["mounts"]},
        {"rootfs.proc.hidepid"},
    ),
    "namespaces.mount": (
        namespaces("mount"),
        {f"rootfs.{name}" for name in ("volumes", "volume_sockets", "devices", "propagation", "sys")},
    ),
    "rootfs.read_only_paths": (
        mounts(PROC, gone="/proc") | {"linux": document(**{"/linux/readonlyPaths": None})["linux"]},
        {"rootfs.masked_paths"},
    ),
}  # fmt: skip


def test_strict_with_everything_that_a_host_may_have_leaves_nothing_open() -> None:
    found = score(document())
    assert shares(document()) == {}
    assert (found.total, found.word) == (0, "tight")


def test_each_item_tells_its_own_change_and_no_other() -> None:
    assert {name: shares(found) for name, (found, _) in CHANGES.items()} == {
        name: {name: share} for name, (_, share) in CHANGES.items()
    }
    for name, (found, others) in TOGETHER.items():
        assert shares(found).keys() - others == {name}, name
    for bit in range(6):  # each capability is in another selection of these
        names = {name for name, item in BY_NAME.items() if item.number >> bit & 1}
        own = document(**{"/process/capabilities/permitted": [f"CAP_{name}" for name in sorted(names)]})
        # a quarter in a user namespace of its own
        assert shares(own) == {f"capabilities.{name}": 0.25 for name in names}
        whole = shares({**own, "linux": namespaces("user")["linux"]})
        assert {leaf for leaf, share in whole.items() if share == 1} - {"namespaces.user"} == shares(own).keys()
    tried = {*CHANGES, *TOGETHER, *(f"capabilities.{name}" for name in BY_NAME)}
    assert tried | {"rootfs.proc.hidepid"} == {item.leaf for item in score(document()).items}


def test_what_could_be_gained_counts_unless_nothing_can_be() -> None:
    bounding = {"/process/capabilities/bounding": ["CAP_SYS_ADMIN"]}
    assert shares(document(**bounding)) == {}
    assert shares(document(**bounding, **{"/process/noNewPrivileges": None})).keys() == {
        "capabilities.SYS_ADMIN", "capabilities.no_new_privileges",
    }  # fmt: skip


def test_nothing_at_all_is_as_exposed_as_it_gets() -> None:
    everything = {
        "process": {
            "terminal": True, "oomScoreAdj": -1, "env": ["A_TOKEN=b"],
            "user": {"uid": 0, "gid": 0, "umask": 0, "additionalGids": [1]},
            "capabilities": {"permitted": [f"CAP_{name}" for name in BY_NAME]},
        },
        "mounts": [{"destination": "/data", "type": "bind", "source": "/", "options": ["rbind"]}],
        "annotations": {"org.hardening.secrets": '[{"name": "a", "type": "env", "target": "A"}]'},
    }  # fmt: skip
    assert score(everything).total == pytest.approx(10)
    assert score(everything).word == "dangerous"


def test_a_rule_for_all_devices_and_a_device_that_every_container_has() -> None:
    rules = [{"allow": False, "access": "rwm"}, {"allow": True, "type": "a", "access": "rwm"}]
    assert shares(document(**{"/linux/resources/devices": rules})) == {"rootfs.devices": 1}
    assert shares(document(**{"/linux/resources/devices": rules[:1]})) == {}
    null = {"destination": "/dev/null", "type": "bind", "source": "/dev/null", "options": ["bind", "noexec"]}
    assert shares(mounts(null)) == {}


def test_a_stack_scores_as_the_configuration_that_it_composes_to() -> None:
    plugins, here = shipped.here()
    for profile in ("strict", "default", "build", "debug"):
        composition = shipped.composed((profile,))
        assert scoring.of_stack(plugins, composition, here) == score(scoring.document_of(plugins, composition, here))


@pytest.mark.complete
def test_a_score_takes_at_most_half_as_long_again_as_the_composition() -> None:
    def least(command: str) -> float:
        """Seconds of processor time."""
        found = []
        for _ in range(3):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            argv = [str(Path(sys.executable).with_name("hardening")), command, "-p", "strict"]
            subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return min(found)

    assert least("score") < 1.5 * least("compose")


def test_weights_of_ones_own_replace_those_of_the_items(tmp_path: Path) -> None:
    path = tmp_path / "weights.toml"
    path.write_text('[seccomp]\n"@mount" = 0\n[process.resources]\nmemory = 1.5\n')
    known = {item.leaf for item in score(document()).items}
    own = weights.read(path, known)
    assert own == {"seccomp.@mount": 0, "process.resources.memory": 1.5}
    exposed = score(calls("mount"))
    assert (exposed.total > 0, exposed.weighed(own).total) == (True, 0)
    item = next(item for item in exposed.items if item.share)
    assert exposed.gain(item) == pytest.approx(exposed.total)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('"@mont" = 1', "seccomp.@mont: no setting has this name did you mean @mount"),
        ('"@mount" = -1', "seccomp.@mount: a weight is a number from 0 on"),
        ('"@mount" = "1"', "seccomp.@mount: a weight is a number from 0 on"),
        ('"@mount" = inf', "seccomp.@mount: a weight is a number from 0 on"),
        ('"@mount" = true', "seccomp.@mount: a weight is a number from 0 on"),
        ('"@mount" = ', "not TOML"),
    ],
)
def test_a_wrong_weight_is_refused_at_its_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "weights.toml"
    path.write_text(f"[seccomp]\n{line}\n")
    with pytest.raises(HardeningError) as caught:
        weights.read(path, {"seccomp.@mount"})
    assert str(caught.value.origin) == f"{path}:2"
    assert message.partition(" did")[0] in caught.value.message
    assert message.partition("mean ")[2] in str(caught.value.hint)


def test_weights_that_are_not_there_are_not_called_a_profile_by_name(tmp_path: Path) -> None:
    with pytest.raises(HardeningError) as caught:
        weights.read(tmp_path / "x.toml", {"seccomp.@mount"})
    assert str(caught.value.hint).startswith("name a file of weights")


def test_the_command_gates_and_its_tables_fit_80_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps(calls("mount")))
    plugins, _ = shipped.here()

    def score_of(*words: str) -> tuple[int, str]:
        code = call(Session(plugins), "score", *words)
        found = capsys.readouterr()
        return code, found.out + found.err

    total = score(calls("mount")).total
    assert score_of("--config", str(tmp_path), "--threshold", str(total + 0.01))[0] == 0
    assert score_of("--config", str(config), "--threshold", str(total - 0.01))[0] == 1
    code, text = score_of("--config", str(config), "--all")
    assert (code, max(map(len, text.splitlines())) <= 80) == (0, True)
    rows = re.findall(r"^(\S+) +(tight|partly|exposed) +(\d+) +(\S+)  ", text, re.MULTILINE)
    assert len(rows) == len(score(calls("mount")).items)
    assert [row[:3] for row in rows if row[1] != "tight"] == [("@mount", "exposed", "1000")]
    data = json.loads(score_of("--config", str(config), "--json")[1])
    assert data["score"] == pytest.approx(total, abs=0.01)
    assert data["mechanisms"]["seccomp"] > data["mechanisms"]["rootfs"] == 0
    assert data["settings"][0].keys() == {"setting", "meaning", "weight", "exposed", "verdict", "found", "gain"}
    for words, hint in (
        (["--config", str(config), "-p", "strict"], "exclude each other"),
        (["--config", str(config), "--cap-add", "KILL"], "exclude each other"),
        (["--threshold", "11"], "--threshold"),
        (["--threshold", "nan"], "--threshold"),
        (["--config", str(tmp_path / "none")], "cannot read the configuration"),
    ):
        code, text = score_of(*words)
        assert (code, hint in text) == (2, True), text
    config.write_text("{}")
    assert score_of("--config", str(config))[0] == 2
    config.write_text('{"process": {"user": 5}}')
    code, text = score_of("--config", str(config))
    assert (code, "/process/user" in text) == (2, True)


def test_the_page_has_each_item_with_its_weight_and_no_other() -> None:
    page = (ROOT / "docs/reference/score.md").read_text()
    rows = re.findall(r"^\| `([\w.@-]+)` \| (\d+) \| (.*) \|$", page, re.MULTILINE)
    assert rows == [(item.leaf, f"{item.weight:.0f}", item.meaning) for item in score(document()).items]


def test_helpers_are_read_alike_of_a_stack_and_of_its_bundle() -> None:
    """A stack has no command yet, and so nothing in `/process/args`."""
    confining, running = Fragment("a"), Fragment("the core")
    confining.confine(["/bin/a", "-n"], "a.x")
    running.put("/process/args", ["sh"])
    bundle = assemble([confining, running]).document
    assert helpers(assemble([confining]).document) == helpers(freeze(bundle)) == [["/bin/a", "-n"]]
    assert helpers({**bundle, "process": {"args": ["sh"]}}) == [], "none is executed"
    assert helpers({"annotations": {HELPERS: "x"}}) == helpers({}) == []
