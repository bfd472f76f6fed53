"""Process: who runs the command, with which environment, within which limits.

Owns `[process]`, and of the OCI spec ``/process`` except capabilities, labels and ``noNewPrivileges``, and
``/linux/resources`` with ``/linux/cgroupsPath``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hardening.mechanism.mechanism import Context, ImageRequest, Mechanism, Option, Reading
from hardening.mechanism.package import PackagedMechanism
from hardening.mechanism.schema import STRINGS, WILDCARD, Statement
from hardening.plugin.hookspecs import hookimpl
from hardening.profile.source import Node
from hardening_process import settings
from hardening_process.settings import ProcessSettings

if TYPE_CHECKING:
    from hardening.mechanism.evidence import Evidence, LearntStatement


class Process(PackagedMechanism[ProcessSettings]):
    """The mechanism behind `[process]`."""

    name = "process"
    summary = "who runs the command, with which environment, within which limits"
    before_launch = ("resources.requirement",)
    owns = (
        *(f"/process/{name}" for name in ("user", "env", "rlimits", "oomScoreAdj")),
        *(f"/linux/resources/{name}" for name in ("pids", "memory", "cpu", "unified")),
        "/linux/cgroupsPath",
    )

    def forms(self) -> Mapping[str, Any]:
        return dict.fromkeys(("env", "ulimit"), STRINGS)

    def statements(self, table: Node, reading: Reading) -> Iterator[Statement]:
        return settings.read(self.schema, table)

    def expand(self, name: str) -> Sequence[str]:
        return settings.expand(name)

    def of_image(self, config: Mapping[str, Any]) -> tuple[Mapping[str, object], Sequence[ImageRequest]]:
        return settings.of_image(config), ()

    def samples(self) -> Sequence[tuple[str, str, Any]]:
        return [statement for statement in super().samples() if statement[:2] != ("set_environment", WILDCARD)]

    def learnt(self, settings: ProcessSettings, context: Context, evidence: Evidence) -> Iterator[LearntStatement]:
        from hardening_process import learnt

        return learnt.learnt(settings, context, evidence)

    def options(self) -> Sequence[Option]:
        return (
            Option(("-e", "--env"), "env", "Set a variable, or pass the caller's (name alone).", "NAME[=VALUE]", True),
            Option(("-w", "--workdir"), "cwd", "Working directory.", "DIR"),
            Option(("-u", "--user"), "user", "User, and group, by id or by the root's /etc/passwd.", "USER[:GROUP]"),
            Option(("--group-add",), "groups.add", "Supplementary group.", "GROUP", True),
            Option(("--ulimit",), "ulimit", "Resource limit: nofile=1024, nofile=1024:4096.", "NAME=SOFT[:HARD]", True),
            Option(("--memory",), "resources.memory", "Most memory, such as 512M.", "SIZE"),
            Option(("--pids-limit",), "resources.pids", "Most processes and threads.", "NUMBER"),
            Option(("--cpus",), "resources.cpu", "Most processor time: 1.5 cores, or 50%.", "NUMBER"),
            Option(("-t", "--tty"), "terminal", "Give the command a terminal of its own.", value=True),
        )


@hookimpl
def hardening_mechanisms() -> Sequence[Mechanism[Any]]:
    """Register the mechanism."""
    return (Process(),)
