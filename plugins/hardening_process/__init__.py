"""Process: who runs the command, with which environment, within which limits.

Owns `[process]`, and of the OCI spec ``/process`` except capabilities, labels and ``noNewPrivileges``, and
``/linux/resources`` with ``/linux/cgroupsPath``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hardening.mechanism.findings import Finding
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Inputs
from hardening.mechanism.mechanism import Context, Excess, Mechanism, Option, Reading, Shortfall, Verification, Wish
from hardening.mechanism.schema import REST, Say
from hardening.plugin.hookspecs import hookimpl
from hardening.profile.source import Node
from hardening_process import facts, host, inputs, settings, spec
from hardening_process.settings import ProcessSettings


class Process(Mechanism[ProcessSettings]):
    """The mechanism behind `[process]`."""

    name = "process"
    summary = "who runs the command, with which environment, within which limits"
    settings_type = ProcessSettings
    before_launch = ("resources.requirement",)
    owns = (
        *(f"/process/{name}" for name in ("user", "env", "rlimits", "oomScoreAdj", "terminal")),
        *(f"/linux/resources/{name}" for name in ("pids", "memory", "cpu", "unified")),
        "/linux/cgroupsPath",
    )

    def says(self, table: Node, reading: Reading) -> Iterator[Say]:
        return settings.read(self.schema, table)

    def expand(self, name: str) -> Sequence[str]:
        return settings.expand(name)

    def of_image(self, config: Mapping[str, Any]) -> tuple[Mapping[str, object], Sequence[Wish]]:
        from hardening_process import image

        return image.table(config), ()

    def samples(self) -> Sequence[tuple[str, str, Any]]:
        return [say for say in super().samples() if say[:2] != ("set_environment", REST)]

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

    def probe(self, host: Host) -> facts.ProcessFacts:
        return facts.probe()

    def inputs(self, settings: ProcessSettings, context: Context) -> Inputs:
        return inputs.inputs(settings, context)

    def check(self, settings: ProcessSettings, context: Context) -> Iterable[Shortfall]:
        return host.check(settings, context)

    def contribute(self, settings: ProcessSettings, context: Context, fragment: Fragment) -> None:
        spec.contribute(settings, context, fragment)

    def tighten(
        self, settings: ProcessSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
    ) -> Iterable[Excess]:
        from hardening_process.tighten import tighten  # no launch of a composition needs it

        return tighten(settings, document, context, fragment)

    def rules(self) -> Mapping[str, str]:
        from hardening_process.findings import RULES

        return RULES

    def findings(self, settings: ProcessSettings, context: Context) -> Iterable[Finding]:
        from hardening_process import findings  # no quiet launch needs it

        return findings.findings(settings, context)

    def verify(self, settings: ProcessSettings, context: Context, receipt: Mapping[str, Any]) -> Iterable[Verification]:
        from hardening_process import verify

        return verify.verify(settings, context, receipt)


@hookimpl
def hardening_mechanisms() -> Sequence[Mechanism[Any]]:
    """Register the mechanism."""
    return (Process(),)
