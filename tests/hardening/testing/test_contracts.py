"""Each check of a driver, a scanner, a runtime and a policy finds what it is for, and nothing in one that is right."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from hardening.api import (
    Candidate,
    Detection,
    Host,
    LaunchRequest,
    ProgramRuntime,
    Refusal,
    RootEntry,
    Runtime,
    Scanner,
    SecretDriver,
    SecretError,
    Verdict,
    hookimpl,
    inputs,
)
from hardening.mechanism.inputs import Inputs
from hardening.testing import check_driver, check_policy, check_runtime, check_scanner, composed, plain
from tests.support import shipped

DOCUMENT = {"ociVersion": "1.2.0", "process": {"args": ["/bin/true"], "cwd": "/"}}


class Keeper(SecretDriver):
    """Files."""

    name = "keeper"

    def store(self, folder: Path, key: str, value: bytes, options: Mapping[str, Any]) -> None:
        (folder / key).write_bytes(value)

    def read(self, folder: Path, key: str, options: Mapping[str, Any]) -> bytes:
        try:
            return (folder / key).read_bytes()
        except OSError as error:
            raise SecretError(str(error.strerror)) from None

    def delete(self, folder: Path, key: str, options: Mapping[str, Any]) -> None:
        (folder / key).unlink(missing_ok=True)


class Cutting(Keeper):
    def read(self, folder: Path, key: str, options: Mapping[str, Any]) -> bytes:
        return super().read(folder, key, options).strip()


class Keeping(Keeper):
    def delete(self, folder: Path, key: str, options: Mapping[str, Any]) -> None:
        return


class Mixing(Keeper):
    def delete(self, folder: Path, key: str, options: Mapping[str, Any]) -> None:
        for path in folder.iterdir():
            path.write_bytes(b"gone")
        super().delete(folder, key, options)


class Telling(Keeper):
    values: ClassVar[list[bytes]] = []

    def store(self, folder: Path, key: str, value: bytes, options: Mapping[str, Any]) -> None:
        self.values.append(value)
        super().store(folder, key, value, options)

    def read(self, folder: Path, key: str, options: Mapping[str, Any]) -> bytes:
        if not (folder / key).exists():
            raise SecretError(f"gone: {self.values[0]!r}")
        return super().read(folder, key, options)


class Taking(Keeper):
    def options(self, given: Mapping[str, str]) -> dict[str, Any]:
        return dict(given)


@pytest.mark.parametrize(
    ("kind", "law"),
    [
        (Cutting, "what is stored is read"),
        (Keeping, "what is gone is not read"),
        (Mixing, "a key says nothing of another one"),
        (Telling, "no error has a value in it"),
        (Taking, "an unknown option is refused"),
    ],
)
def test_a_driver_is_held_to_what_it_promises(kind: type[SecretDriver], law: str) -> None:
    assert law in {item.law for item in check_driver(kind())}
    assert "planted" not in str(check_driver(kind()))
    assert check_driver(Keeper()) == []


class Quiet(Scanner):
    """Nothing."""

    name = "quiet"
    kinds = ("external",)

    def inputs(self) -> Inputs:
        return inputs.file("/etc/passwd")

    def entry(self, entry: RootEntry) -> Iterator[Detection]:
        Path("/etc/passwd").read_bytes()
        entry.read(4)
        yield from ()


def saying(*found: object) -> type[Scanner]:
    return type("Saying", (Quiet,), {"entry": lambda self, entry: found})


class Opening(Quiet):
    def entry(self, entry: RootEntry) -> Iterator[Detection]:
        Path("/etc/group").read_bytes()
        yield from ()


class Quoting(Quiet):
    def entry(self, entry: RootEntry) -> Iterator[Detection]:
        yield Detection("external", entry.path, entry.read(99).decode())


@pytest.mark.parametrize(
    ("kind", "law"),
    [
        (saying("text"), "entry gives detections"),
        (saying(Detection("setuid", "/empty", "")), "what is found is of its kinds"),
        (saying(Detection("external", "/elsewhere", "")), "what is found is of the file"),
        (Quoting, "no content of a file is told"),
        (Opening, "inputs name what is looked at"),
    ],
)
def test_a_scanner_is_held_to_what_it_promises(kind: type[Scanner], law: str) -> None:
    assert law in {item.law for item in check_scanner(kind())}
    assert check_scanner(Quiet()) == []


class Runs(ProgramRuntime):
    """A shell, which says a version."""

    name = "runs"
    program = "/bin/echo"


class Ignoring(Runs):
    def check(self, document: Mapping[str, Any], host: Host) -> tuple[Refusal, ...]:
        return ()


class Refusing(Runs):
    def check(self, document: Mapping[str, Any], host: Host) -> tuple[Refusal, ...]:
        return (Refusal("/process", "no"),)


class Relative(Runs):
    def command(self, bundle: Path, request: LaunchRequest) -> list[str]:
        return ["echo"]


class Reading(Runs):
    def check(self, document: Mapping[str, Any], host: Host) -> Any:
        Path("/etc/group").read_bytes()
        return super().check(document, host)


@pytest.mark.parametrize(
    ("kind", "law"),
    [
        (Ignoring, "check refuses what it does not know"),
        (Refusing, "check accepts what there is"),
        (Relative, "command answers"),
        (Reading, "inputs name what is looked at"),
    ],
)
def test_a_runtime_is_held_to_what_it_promises(kind: type[Runtime], law: str) -> None:
    assert law in {item.law for item in check_runtime(kind(), plain(), DOCUMENT)}
    assert check_runtime(Runs(), plain(), DOCUMENT) == []


def test_ours_keep_to_it() -> None:
    plugins, host = shipped.here()
    for scanner in plugins.scanners.values():
        assert check_scanner(scanner) == []
    assert check_driver(plugins.secret_drivers["file"]) == []
    assert check_runtime(plugins.runtime("crun"), host, DOCUMENT) == []


def judging(**hooks: Callable[..., object]) -> ModuleType:
    """A module with these hooks, which looks at nothing."""
    module = ModuleType("acme_policy")
    for name, deed in {"inputs": lambda: (), **hooks}.items():
        vars(module)[f"hardening_{name}"] = hookimpl(deed)
    return module


def nothing_wrong(candidate: Candidate) -> Verdict | None:
    return None if "process" in candidate.composed else Verdict("acme", (Refusal("/process", "there is none"),))


@pytest.mark.parametrize(
    ("hooks", "law"),
    [
        ({"inspect": lambda composition: 1 / 0}, "hardening_inspect answers"),
        ({"inputs": lambda: ["text"]}, "hardening_inputs answers"),
        ({"admit": lambda candidate: candidate.composed["process"] and None}, "hardening_admit raises nothing"),
        ({"admit": lambda candidate: Path("/etc/group").read_bytes() and None}, "inputs name what is looked at"),
        ({"admit": lambda candidate: Verdict(str(time.monotonic_ns()))}, "who is asked again says the same"),
    ],
)
def test_a_policy_is_held_to_what_it_promises(hooks: dict[str, Callable[..., object]], law: str) -> None:
    made = composed("", by=[])
    assert law in {item.law for item in check_policy(judging(**hooks), plain(), made, DOCUMENT)}
    assert check_policy(judging(admit=nothing_wrong), plain(), made, DOCUMENT) == []
    if "admit" in hooks and law.startswith("inputs"):
        assert check_policy(judging(**hooks, inputs=lambda: inputs.file("/etc/group")), plain(), made, DOCUMENT) == []
