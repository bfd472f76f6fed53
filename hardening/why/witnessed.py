"""What the kernel lets a program do under a stack that shows what that permits (`hardening.mechanism.evidence`)."""

from __future__ import annotations

import os
import signal

from hardening.assemble import handover, pipeline
from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.errors import HardeningError
from hardening.launch.request import LaunchRequest
from hardening.mechanism.evidence import PERMITTED, REFUSED, Witness
from hardening.mechanism.host import Host
from hardening.mechanism.runtime import Runtime
from hardening.plugin.plugins import Plugins
from hardening.why.runner import CommandRunner, listening, require_no_labels

#: Whoever runs a program of Python reads nothing of the place where the command stands, and no packages.
PYTHON = ("python3", "-I", "-S", "-c")
_SECONDS = 30.0
#: How the kernel ends who goes beyond a filter, or a ceiling of memory.
_KILLED = {int(signal.SIGSYS): "killed by the filter", int(signal.SIGKILL): "killed for its memory"}


@frozen
class WitnessOutcome:
    """How a program ended: ``text`` in words; ``permitted`` is None where it could not be tried."""

    text: str
    permitted: bool | None


@frozen(eq=False)
class WitnessRunner:
    """Runs programs under one stack, natively. They write to no volume, so that they get the volumes themselves."""

    composition: Composition
    plugins: Plugins
    engine: Runtime
    host: Host
    launch: LaunchRequest

    def run(self, witness: Witness) -> WitnessOutcome:
        """What comes of a program; where the stack cannot be launched, nothing."""
        try:
            return self._run((*PYTHON, witness.program))
        except HardeningError as error:
            return WitnessOutcome(f"could not be tried: {error.problems[0].message}", None)

    def _run(self, command: tuple[str, ...]) -> WitnessOutcome:
        assembly = pipeline.assembled(self.plugins, self.composition, self.host, command, runtime=self.engine)
        require_no_labels(assembly)
        secrets = handover.open_secrets_apart(self.plugins, self.engine, assembly.spec.config)
        runner = CommandRunner(
            plugins=self.plugins, engine=self.engine, host=self.host, command=command, launch=self.launch,
            secrets=secrets, seconds=_SECONDS, in_place=True,
        )  # fmt: skip
        try:
            with listening(runner) as (heard, said):
                trace, text = heard.run_unseen(self.composition).trace, said().strip()
        finally:
            if secrets >= 0:
                os.close(secrets)
        if trace.ended:
            return WitnessOutcome(f"could not be tried: it takes longer than {_SECONDS:.0f} seconds", None)
        return _outcome(trace.status, text)


def _outcome(status: int, text: str) -> WitnessOutcome:
    last = text.rpartition("\n")[2]
    if status == 0 and last == PERMITTED:
        return WitnessOutcome(PERMITTED, True)
    if status == 1 and last.startswith(REFUSED):
        return WitnessOutcome(last, False)
    if status - 128 in _KILLED:
        return WitnessOutcome(f"{REFUSED}{_KILLED[status - 128]}", False)
    return WitnessOutcome(f"could not be tried: {last or f'exit code {status}'}", None)
