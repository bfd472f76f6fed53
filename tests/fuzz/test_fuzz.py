"""Each target holds for its seeds, for what was a finding once, and for a few hundred inputs that are made of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from hardening.images import media
from hardening.launch.bundle import SECRETS
from tests.fuzz.harness import HERE, SECONDS, Run, in_child, targets
from tests.fuzz.images import berkeley
from tests.support.features import require


@pytest.mark.parametrize("name", targets())
def test_a_reader_refuses_in_words_or_takes_what_its_model_says(name: str) -> None:
    def work(folder: Path) -> Run:
        run = Run(targets()[name], folder, seconds=5 * SECONDS)
        run.mutated(0, run.target.short)
        return run

    if name == "seccomp":
        require("x86_64")  # whose numbers the model asks for
    found = in_child(work)
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


#: What is larger than a fuzzer makes, of which time or memory once grew faster than its size, by target.
LARGE: Mapping[str, Callable[[], bytes]] = {
    "manifest: a key twice": lambda: b"{%s}" % b",".join(b'"k%d":1' % min(number, 38_000) for number in range(40_000)),
    "manifest: many images": _index,
    "database: a page that leads to itself": lambda: berkeley(b"x", 32_000_000),
    "seccomp: comparisons": lambda: _rules(2000, masks=False),
    "seccomp: masks": lambda: _rules(40, masks=True),
    "profile: a dotted key": lambda: b".".join([b"a"] * 12_000) + b" = 1\n",
    "profile: a key of quotes": lambda: b".".join([b'"\\""'] * 12_000) + b" = 1\n",
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
    "words: a key": lambda: b"--set\n" + b"a." * 20_000 + b"b=1",
}  # fmt: skip


@pytest.mark.parametrize("what", LARGE)
def test_no_size_takes_time_or_memory_that_grows_faster(what: str) -> None:
    name = what.partition(":")[0]
    if name == "seccomp":
        require("x86_64")

    def work(folder: Path) -> Run:
        run = Run(targets()[name], folder, seconds=5 * SECONDS)
        run.one(LARGE[what]())
        return run

    assert in_child(work)["findings"] == {}
