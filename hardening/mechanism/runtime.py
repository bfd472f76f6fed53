"""The interface that a runtime implements: the native launcher, crun, runc, and those of third parties."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hardening.base.values import frozen
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Inputs, Unknown

if TYPE_CHECKING:
    from hardening.launch.command import Container, ExternalRuntime
    from hardening.mechanism.mechanism import Shortfall


@frozen
class Refusal:
    """Why something will not be run: ``pointer`` is the JSON pointer of the field, empty where it is none."""

    pointer: str
    reason: str
    hint: str = ""

    @property
    def origin(self) -> str | None:
        """The place of the field, as the launcher names it; None without one."""
        return f"config.json:{self.pointer}" if self.pointer else None


@frozen(eq=False)
class LaunchRequest:
    """How a bundle is to be launched. ``container_id`` names it; ``remove`` deletes the bundle afterwards; ``receipt``
    is a file to write the kernel's report to; ``sha256`` is the digest of the ``config.json`` that was admitted, and the
    launch stage refuses any other; it is empty for a bundle that the caller has just written. ``container`` says what is
    written down of it, and whether it is detached; that is asked only of a runtime that `Runtime.detaches`. ``hold`` is the
    descriptor that holds a bundle to be removed locked, -1 for none. ``secrets`` is the inheritable one with the values of
    the secrets that the configuration names, -1 for none; that is asked only of a runtime that `Runtime.takes_secrets`.
    ``variables`` is likewise the one with the values of variables, for a runtime that `Runtime.takes_variables`.
    ``typed`` says that the command was typed, and is not a bundle's.
    """

    container_id: str
    state: Path
    stdin: bool = False
    remove: bool = False
    receipt: Path | None = None
    sha256: str = ""
    container: Container | None = None
    hold: int = -1
    secrets: int = -1
    variables: int = -1
    typed: bool = False

    def stage(self, bundle: Path, runtime: ExternalRuntime | None = None) -> list[str]:
        """The argv of the launch stage for this request: the native launcher's, or the one that starts ``runtime``."""
        from hardening.launch.command import stage_command

        return stage_command(
            bundle,
            keep_stdin=self.stdin,
            remove=self.remove,
            typed=self.typed,
            receipt=self.receipt,
            sha256=self.sha256,
            identity=self.container_id,
            container=self.container,
            hold=self.hold,
            secrets=self.secrets,
            variables=self.variables,
            runtime=runtime,
        )


class Runtime(ABC):
    """Starts what a bundle describes."""

    name: ClassVar[str]
    summary: ClassVar[str]
    #: Whether its launch stage can run on in the background, and writes down what `LaunchRequest.container` says.
    detaches: ClassVar[bool] = False
    #: Whether its launch stage puts the values of `LaunchRequest.secrets` into the container.
    takes_secrets: ClassVar[bool] = False
    #: Whether its launch stage puts the values of `LaunchRequest.variables` into the command's environment; else they stand
    #: in the configuration, which goes with the run.
    takes_variables: ClassVar[bool] = False

    #: Whether its launch stage writes `LaunchRequest.receipt`.
    writes_receipts: ClassVar[bool] = False

    @abstractmethod
    def version(self) -> str | None:
        """The installed version, or None where the runtime is not installed."""

    @abstractmethod
    def check(self, document: Mapping[str, Any], host: Host) -> Sequence[Refusal]:
        """The fields of an OCI configuration that this runtime would ignore or does not implement."""

    def shortfalls(self, document: Mapping[str, Any]) -> Iterable[Shortfall]:
        """What this runtime does not enforce of a configuration that it runs all the same, by the settings of mechanisms:
        fatal where these are required or limited, and told where they are best-effort."""
        return ()

    def inputs(self, host: Host) -> Inputs:
        """Everything besides the configuration that decides `version`, `check` and `command`
        (`hardening.mechanism.inputs`)."""
        yield Unknown(f"the runtime {self.name} does not say what it looks at")

    @abstractmethod
    def command(self, bundle: Path, request: LaunchRequest) -> list[str]:
        """The argument vector of the launch stage, which replaces the calling process."""
