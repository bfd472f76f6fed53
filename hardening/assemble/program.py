"""Runtimes that are programs with the command line of runc: crun, runc, and those of third parties."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from hardening.base.places import OF_RUNTIMES
from hardening.base.pointer import lookup
from hardening.launch.request import LaunchRequest
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Inputs
from hardening.mechanism.inputs import program as inspected
from hardening.mechanism.runtime import Refusal, Runtime

_PATIENCE = 10.0  # seconds
HINT = "leave the field out, or use --runtime native, which refuses or enforces every field"


class ProgramRuntime(Runtime):
    """The launcher starts the program as its child, and keeps the promises of the native one: signals, exit code, nothing
    left behind. The program takes ``--root --log --log-format json`` and ``create --bundle --pid-file``, ``start``,
    ``state``, ``kill`` and ``delete``, and has for each container a first process that is its own child."""

    #: The program's name, where that is not the runtime's, or its whole path.
    program: ClassVar[str] = ""
    #: Whether the program behaves as crun does, and not as runc: its log is text, it takes cgroup2 alone, and an ordinary
    #: user calls it outside of the container's user namespace.
    like_crun: ClassVar[bool] = False
    #: The fields of a configuration that it leaves out without a word, by their JSON pointers, each with the version that
    #: first reads it, which is empty where none does: they are refused.
    ignores: ClassVar[Mapping[str, str]] = MappingProxyType({})
    detaches: ClassVar[bool] = True

    def find(self) -> str | None:
        """The whole path of the program, in the directories of runtimes; None where there is none."""
        from hardening.base import programs  # no native launch needs it

        name = self.program or self.name
        if os.path.isabs(name):
            return name if os.access(name, os.X_OK) else None
        return programs.find(name, ":".join(OF_RUNTIMES))

    def version(self) -> str | None:
        found = self.find()
        return version(found) if found is not None else None

    def check(self, document: Mapping[str, Any], host: Host) -> Sequence[Refusal]:
        """What no version of the specification has, values of other types than that gives them, of which no program is known
        to enforce any, and what this one ``ignores``. Whoever knows more of it overrides this, and adds that."""
        return (*_of_no_specification(self.name, document), *self._ignored(document))

    def _ignored(self, document: Mapping[str, Any]) -> Iterator[Refusal]:
        stated = [pointer for pointer in self.ignores if lookup(document, pointer) is not None]
        version = (self.version() or "") if stated else ""
        for pointer in stated:
            since = self.ignores[pointer]
            if not since or numbers(version) < numbers(since):
                yield Refusal(pointer, f"{self.name} {version.partition('+')[0]} ignores it", HINT)

    def inputs(self, host: Host) -> Inputs:
        """Which program has this name, and that it is the same."""
        name = self.program or self.name
        for directory in ("",) if os.path.isabs(name) else OF_RUNTIMES:
            yield from inspected(os.path.join(directory, name))

    def command(self, bundle: Path, request: LaunchRequest) -> list[str]:
        return request.changed(crun=self.like_crun).argv(bundle, self.find() or self.program or self.name)


def version(program: str | os.PathLike[str]) -> str | None:
    """The version that a runtime reports (`crun version 1.21` in its first line), or None when it does not run."""
    from subprocess import TimeoutExpired  # no native launch needs it

    from hardening.base import programs

    try:
        done = programs.run([os.fspath(program), "--version"], b"", _PATIENCE, env=programs.BARE)
    except (OSError, TimeoutExpired):
        return None
    words = done.stdout.decode("utf-8", "backslashreplace").split("\n", 1)[0].split()
    return words[-1] if done.returncode == 0 and words else None


def numbers(text: str) -> tuple[int, ...]:
    """The leading numbers of a version: `1.1.15+ds1` -> (1, 1, 15)."""
    parts = []
    for part in text.split("+")[0].split("-")[0].split("."):
        if not part.isdecimal():
            break
        parts.append(int(part))
    return tuple(parts)


def _of_no_specification(name: str, document: Mapping[str, Any]) -> Iterator[Refusal]:
    from hardening.assemble.oci_fields import misfits, unknown

    for item in unknown(document):
        reading = f", or read it as {item.taken_for}" if item.taken_for else ""
        yield Refusal(item.pointer, f"is not a field of the OCI runtime spec: {name} would ignore it{reading}", HINT)
    for pointer, wanted in misfits(document):
        yield Refusal(pointer, f"{wanted} is expected: {name} may ignore this", "correct it, or leave it out")
