"""The operations of each shipped profile, for root and for an ordinary user: the list in `golden`, from the configuration
beside it. `python -m tests.hardening.launch.native.test_translate` writes the lists anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hardening.base.frozen import Frozen
from hardening.launch.config import config
from hardening.launch.native.operation import STAGES, Operation
from hardening.launch.native.translate import translate
from tests.support import bundles

GOLDEN = Path(__file__).parent / "golden"


def fields(record: Frozen) -> Iterator[str]:
    """The fields of an operation, and of what it is handed whole those that say something."""
    for name, value in vars(record).items():
        if isinstance(value, Frozen):
            says = {key for key, item in vars(value).items() if item != getattr(type(value), key, None)}
            yield from (word for word in fields(value) if word.partition("=")[0] in says)
        elif name != "pointer":
            yield f"{name}={value!r}"


def listed(operations: tuple[Operation, ...]) -> Iterator[str]:
    for operation in operations:
        words = (operation.process, operation.pointer or "-", type(operation).__name__, *fields(operation))
        yield " ".join(word for word in words if word)


def of(document: dict[str, Any]) -> tuple[Operation, ...]:
    return translate(config.read(document))


def golden(path: Path) -> str:
    return "".join(f"{line}\n" for line in listed(of(json.loads(path.read_text()))))


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_the_operations_of_a_shipped_profile(path: Path) -> None:
    assert golden(path) == path.with_suffix(".txt").read_text()


def test_a_stage_follows_the_one_before_it() -> None:
    """A launch takes them stage by stage, whatever stands where: a list that is read is one that is run."""
    document = bundles.config("true", uid_maps=bundles.id_maps(0, 1))
    document["linux"]["namespaces"][1]["path"] = "/proc/self/ns/net"
    document["linux"]["namespaces"].append({"type": "time"})
    for found in (of(document), *(of(json.loads(path.read_text())) for path in GOLDEN.glob("*.json"))):
        ranks = [next(rank for rank, stage in enumerate(STAGES) if isinstance(one, stage)) for one in found]
        assert ranks == sorted(ranks)


def test_no_operation_holds_the_command() -> None:
    """Its words, variables, working directory and terminal are taken from the configuration at each launch."""
    document = bundles.config("true")
    process = {
        "args": ["other"],
        "env": ["A=B"],
        "cwd": "/tmp",
        "terminal": True,
        "consoleSize": {"height": 9, "width": 9},
    }
    assert of({**document, "process": {**document["process"], **process}}) == of(document)


if __name__ == "__main__":
    for file in GOLDEN.glob("*.json"):
        file.with_suffix(".txt").write_text(golden(file))
