"""Runtimes that are programs with the command line of runc: crun, runc, and those of third parties."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from hardening.base.places import OF_RUNTIMES
from hardening.launch.request import LaunchRequest
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Inputs
from hardening.mechanism.inputs import program as inspected
from hardening.mechanism.runtime import Refusal, Runtime

_PATIENCE = 10.0  # seconds


class ProgramRuntime(Runtime):
    """The launcher starts the program as its child, and keeps the promises of the native one: signals, exit code, nothing
    left behind. The program takes ``--root --log --log-format json`` and ``create --bundle --pid-file``, ``start``,
    ``state``, ``kill`` and ``delete``, and has for each container a first process that is its own child."""

    #: The program's name, where that is not the runtime's, or its whole path.
    program: ClassVar[str] = ""
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
        """What no version of the specification has, and values of other types than that gives them: no program is known to
        enforce such. Whoever knows what this one ignores overrides it, and adds that."""
        return tuple(_of_no_specification(self.name, document))

    def inputs(self, host: Host) -> Inputs:
        """Which program has this name, and that it is the same."""
        name = self.program or self.name
        for directory in ("",) if os.path.isabs(name) else OF_RUNTIMES:
            yield from inspected(os.path.join(directory, name))

    def command(self, bundle: Path, request: LaunchRequest) -> list[str]:
        return request.argv(bundle, self.find() or self.program or self.name)


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


def of_other_types(name: str, document: Mapping[str, Any]) -> Iterator[Refusal]:
    """Values of other types than the specification gives them, which no program is known to enforce."""
    from hardening.assemble.oci_fields import misfits

    for pointer, wanted in misfits(document):
        yield Refusal(pointer, f"{wanted} is expected: {name} may ignore this", "correct it, or leave it out")


def _of_no_specification(name: str, document: Mapping[str, Any]) -> Iterator[Refusal]:
    from hardening.assemble.oci_fields import unknown

    for item in unknown(document):
        what = f"is not a field of the OCI runtime spec: {name} would ignore it"
        yield Refusal(item.pointer, what, "leave the field out, or use --runtime native")
    yield from of_other_types(name, document)
