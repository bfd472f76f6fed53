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
    from hardening.launch.request import LaunchRequest
    from hardening.mechanism.mechanism import Unsupported


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


class Runtime(ABC):
    """Starts what a bundle describes."""

    name: ClassVar[str]
    summary: ClassVar[str]
    #: Whether it describes each step of a launch on standard error, for `--debug`.
    describes: ClassVar[bool] = False
    #: Whether its launcher can run on in the background, and has a name.
    detaches: ClassVar[bool] = False
    #: Whether its launcher puts the values of `LaunchRequest.secrets` into the container.
    takes_secrets: ClassVar[bool] = False
    #: Whether its launcher puts the values of `LaunchRequest.variables` into the command's environment; else they stand
    #: in the configuration, which goes with the run.
    takes_variables: ClassVar[bool] = False
    #: Whether its launcher writes `LaunchRequest.receipt`.
    writes_receipts: ClassVar[bool] = False
    #: Whether the command's system calls go to the kernel of this host, as `Context.host_kernel` tells mechanisms.
    host_kernel: ClassVar[bool] = True
    #: Fields of a configuration with which it can do nothing, and which it refuses: JSON pointers. What a mechanism would
    #: put there is not enforced under it (`Context.lacking`).
    lacking: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def version(self) -> str | None:
        """The installed version, or None where the runtime is not installed."""

    @abstractmethod
    def check(self, document: Mapping[str, Any], host: Host) -> Sequence[Refusal]:
        """The fields of an OCI configuration that this runtime would ignore or does not implement."""

    def unsupported(self, document: Mapping[str, Any]) -> Iterable[Unsupported]:
        """What this runtime does not enforce of a configuration that it runs all the same, by the settings of mechanisms:
        fatal where these are required or limited, and told where they are best-effort."""
        return ()

    def inputs(self, host: Host) -> Inputs:
        """Everything besides the configuration that decides `version`, `check` and `command`
        (`hardening.mechanism.inputs`)."""
        yield Unknown(f"the runtime {self.name} does not say what it looks at")

    @abstractmethod
    def command(self, bundle: Path, request: LaunchRequest) -> list[str]:
        """The argument vector of the launcher, which replaces the calling process."""
