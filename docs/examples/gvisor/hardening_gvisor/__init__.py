"""The runtime gVisor: a kernel of its own, in a process, between the command and that of the host (gvisor.dev).

`runsc` has options that no configuration says, so what is started is a script beside this module, which gives them. Its file
has the name that `hardening ps` and records show.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hardening.api import Host, Inputs, ProgramRuntime, Refusal, Unsupported, hookimpl, inputs

hardening_api = "1"

RUNSC = "/usr/bin/runsc"
#: What runsc says nothing of and does not do, as its source has it (release 20240729).
IGNORED = ("/linux/timeOffsets", "/linux/personality", "/process/scheduler", "/process/ioPriority", "/linux/intelRdt")


class Gvisor(ProgramRuntime):
    """gVisor: the command's system calls go to a kernel of its own."""

    name = "gvisor"
    program = str(Path(__file__).parent / "gvisor")
    host_kernel = False
    ignores = dict.fromkeys(IGNORED, "")

    def check(self, document: Mapping[str, Any], host: Host) -> tuple[Refusal, ...]:
        """What runsc would ignore, and what it cannot do: it needs root."""
        needs = () if host.root else (Refusal("", "runsc needs root", "use --runtime native"),)
        return (*super().check(document, host), *needs)

    def unsupported(self, document: Mapping[str, Any]) -> Iterator[Unsupported]:
        """Its kernel knows no SELinux: the label of the configuration binds nothing inside."""
        if "selinuxLabel" in document.get("process", {}):
            yield Unsupported("selinux", "gVisor has no SELinux", "use another runtime", whole=True)

    def inputs(self, host: Host) -> Inputs:
        """The script, and the program that it starts."""
        yield from super().inputs(host)
        yield from inputs.program(RUNSC)


@hookimpl
def hardening_runtimes() -> list[Gvisor]:
    """Register the runtime."""
    return [Gvisor()]
