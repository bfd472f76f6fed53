"""Each target holds for its seeds, for what was a finding once, and for a few hundred inputs that are made of them."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.images import media
from hardening.launch.config.bundle import SECRETS
from tests.fuzz.harness import HERE, ROOT, SECONDS, Run, fewest, in_child, targets
from tests.fuzz.images import berkeley
from tests.support import bundles
from tests.support.features import require
from tests.support.sample import is_whole

#: What a target needs of the host: for its model, its seeds, or to give its rights up.
NEEDS = {"apply": "userns", "launch": "userns", "layer": "no-rights", "seccomp": "x86_64"}


def _given(name: str, give: Callable[[Run], None]) -> dict[str, Any]:
    """What the process of a target reports that is given something."""
    if name in NEEDS:
        require(NEEDS[name])

    def work(folder: Path) -> Run:
        run = Run(targets()[name], folder, seconds=5 * SECONDS)
        give(run)
        return run

    return in_child(work)


@pytest.mark.every_row
@pytest.mark.parametrize("name", targets())
def test_a_reader_refuses_in_words_or_takes_what_its_model_says(name: str, pytestconfig: pytest.Config) -> None:
    share = 1 if is_whole(pytestconfig) else 4
    found = _given(name, lambda run: run.mutated(0, run.target.short // share))
    assert found["findings"] == {}
    assert found["accepted"]


def _rules(count: int, masks: bool) -> bytes:
    """A docker profile with many conditions on one call; tabs make it one of which a program is made."""
    tests = [
        [
            {"op": "SCMP_CMP_MASKED_EQ", "index": index,
             "value": (mask := (3 * number + index) * 0x9E3779B97F4A7C15 % 2**64), "valueTwo": mask & (mask << 7)}
            for index in range(3)
        ] if masks else [{"index": 1, "op": "SCMP_CMP_EQ", "value": number * 7919}]
        for number in range(count)
    ]  # fmt: skip
    rules = [{"names": ["ioctl"], "action": "SCMP_ACT_ERRNO", "args": args} for args in tests]
    data = json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}).encode()
    return data + b"\t" * (-sum(data) % 4)


def _sarif() -> bytes:
    bases = {f"B{number}": {"uri": "x/" * 10, "uriBaseId": f"B{number + 1}"} for number in range(1000)}
    result = {"locations": [{"physicalLocation": {"artifactLocation": {"uri": "a", "uriBaseId": "B0"}}}]}
    return json.dumps({"runs": [{"originalUriBaseIds": bases, "results": [result] * 1000}]}).encode()


def _index() -> bytes:
    (inner,) = json.loads((HERE / "corpus/manifest/index").read_bytes())["manifests"][:1]
    return json.dumps({"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": [inner] * 10_000}).encode()


def _lists() -> bytes:
    """A configuration of another program with long lists, all of whose members are judged."""
    document = bundles.config("true")
    mounts: list[dict[str, object]] = [
        {"destination": f"/m{number}", "type": "tmpfs", "source": "x"} for number in range(3000)
    ]
    mounts += [{"destination": "/dev/pts", "type": "devpts", "source": "x", "options": ["gid=5"]}] * 3000
    options = [["rw", "ro"] * 3000, [f"o{number}" for number in range(6000)], [f"uid={it}" for it in range(6000)]]
    mounts += [{"destination": "/tmp", "type": "tmpfs", "source": "x", "options": words} for words in options]
    document["mounts"] += mounts
    names = [f"CAP_{number}" for number in range(2500)]
    document["process"]["capabilities"] = dict.fromkeys(("bounding", "effective", "permitted"), names)
    document["process"]["user"] = {"uid": 0, "gid": 0, "additionalGids": [0] * 20_000 + list(range(20_000))}
    rules = [{"allow": bool(number % 2), "type": "c", "major": number, "minor": 1} for number in range(12_000)]
    maps = [{"containerID": number, "hostID": 2**20 + number, "size": 1} for number in range(3000)]
    document["linux"] |= {"resources": {"devices": rules}, "gidMappings": maps, "uidMappings": maps}
    return json.dumps(document | dict.fromkeys((f"k{number}" for number in range(6000)), 1)).encode()


#: What is larger than a fuzzer makes, of which time or memory once grew faster than its size, by target.
LARGE: Mapping[str, Callable[[], bytes]] = {
    "manifest: a key twice": lambda: b"{%s}" % b",".join(b'"k%d":1' % min(number, 38_000) for number in range(40_000)),
    "manifest: many images": _index,
    "database: a page that leads to itself": lambda: berkeley(b"x", 32_000_000),
    "seccomp: comparisons": lambda: _rules(2000, masks=False),
    "seccomp: masks": lambda: _rules(40, masks=True),
    "profile: a dotted key": lambda: b".".join([b"a"] * 12_000) + b" = 1\n",
    "profile: a key of quotes": lambda: b".".join([b'"\\""'] * 12_000) + b" = 1\n",
    "profile: escaped quotes": lambda: b'description = """' + b'\\"' * 100_000 + b'"""\n',
    "profile: a string of escapes": lambda: b'description = """' + b"\\n" * 400_000 + b'"""\n',
    "profile: a deep header": lambda: b"[" + b".".join([b"a"] * 12_000) + b"]\n",
    "profile: a scope": lambda: b'[trust.dir]\n"' + b"/a" * 30_000 + b'" = "accept"\n',
    "policy: a scope": lambda: b'{"default": [], "transports": {"docker": {"a%s": []}}}' % (b"/a" * 30_000),
    "registries: brackets": lambda: b"[" * 20_000,
    "status: lines": lambda: (HERE / "corpus/status/good").read_bytes() + b"[GNUPG:] NOTATION_DATA x\n" * 40_000,
    "record: beginnings": lambda: b"type=VIRT_CONTROL msg=audit(1.1:1): pid=1 uid=0 auid=0 ses=1 " * 20_000,
    "annotation: secrets": lambda: json.dumps(
        {SECRETS: [{"name": f"s{number}", "type": "env", "target": f"T{number}"} for number in range(20_000)]}
    ).encode(),
    "scanner: bases": _sarif,
    "apply: long lists": _lists,
    "words: a key": lambda: b"--set\n" + b"a." * 20_000 + b"b=1",
}  # fmt: skip


@pytest.mark.sampled(kinds=lambda row: [row["what"].partition(":")[0]])
@pytest.mark.parametrize("what", LARGE)
def test_no_size_takes_time_or_memory_that_grows_faster(what: str) -> None:
    assert _given(what.partition(":")[0], lambda run: run.one(LARGE[what]()))["findings"] == {}


def test_a_process_of_a_target_that_dies_is_told() -> None:
    with pytest.raises(AssertionError, match="the child ended with 3"):
        in_child(lambda _: os._exit(3))


def test_a_target_gives_its_rights_up_in_a_clone_that_only_root_may_enter() -> None:
    require("root")
    require("no-rights")
    script = """mount -t tmpfs -o mode=700 tmpfs /mnt && mkdir /mnt/clone && mount --bind "$1" /mnt/clone && cd /mnt/clone &&
        TMPDIR=/mnt exec "$0" -m tests.fuzz layer -n 20"""
    argv = ["unshare", "--mount", "sh", "-c", script, sys.executable.replace(str(ROOT), "/mnt/clone"), str(ROOT)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1].endswith(" | 0"), done.stdout + done.stderr
    assert done.returncode == 0


def test_what_is_kept_is_of_a_target_and_what_leads_is_there() -> None:
    kept = [path for folder in ("corpus", "reached", "words") for path in HERE.glob(f"{folder}/*")]
    assert {path.name for path in kept} <= targets().keys()
    led = {module for target in targets().values() for module in target.of}
    assert [module for module in led if importlib.util.find_spec(module) is None] == []


def test_of_inputs_the_fewest_are_kept_that_reach_new_lines(tmp_path: Path) -> None:
    target = attrs.evolve(
        targets()["name"], name="nothing is kept of it", seeds=lambda: [b"docker.io/library/busybox:1"]
    )
    found = [b"docker.io/library/busybox:2", b"UPPERCASE", b"UPPER", b"a/b:1"]
    assert fewest(Run(target, tmp_path), found) == ([b"UPPER"] if sys.version_info >= (3, 12) else [])
