"""What is scored: configurations of other programs, and what engines print of their containers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from hardening.base import jsontext
from hardening.errors import SpecError
from hardening.score import engines, scoring
from tests.fuzz.harness import target
from tests.fuzz.mutate import of_json
from tests.hardening.assemble.test_foreign import FULL
from tests.hardening.score.test_engines import of_engine, printed_by_docker
from tests.support import shipped


def _scored(found: dict[str, object]) -> None:
    """Every configuration has each item, with a share, and a score between nothing and everything."""
    plugins, host = shipped.here()
    score = scoring.of_document(plugins.mechanisms, found, host)
    assert 0 <= score.total <= 10
    assert len(score.items) == len(scoring.of_document(plugins.mechanisms, {}, host).items)


def _full() -> Iterator[bytes]:
    yield json.dumps(FULL).encode()


@target(
    of_json, "hardening.score.scoring hardening.mechanism.exposure hardening_rootfs.exposure", seeds=_full, short=100
)
def scored(data: bytes, _: Path) -> None:
    found = jsontext.parse(data, "here")
    if not isinstance(found, dict):
        raise SpecError("no object")
    _scored(found)


def _printed() -> Iterator[bytes]:
    options = ["no-new-privileges", "seccomp=unconfined", "unmask=/proc/kcore"]
    yield json.dumps(printed_by_docker("33:33", SecurityOpt=options, CapAdd=["ALL"], Tmpfs={"/a": "rw"})).encode()
    podman = {
        "BoundingCaps": ["CAP_KILL"],
        "EffectiveCaps": [],
        "Mounts": [{"Type": "bind", "Source": "/", "RW": True}],
    }
    maps = {"UidMap": ["0:1:1"], "GidMap": ["0:1:1"]}
    yield json.dumps([printed_by_docker(IDMappings=maps, Ulimits=[{"Name": "core", "Hard": -1}])[0] | podman]).encode()


@target(of_json, "hardening.score.engines", seeds=_printed, short=100)
def inspected(data: bytes, _: Path) -> None:
    for document in engines.read(data, "here", of_engine).values():
        _scored(document)
