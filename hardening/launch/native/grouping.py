"""The control group of a container (`hardening.launch.cgroups`)."""

from __future__ import annotations

from hardening.base.linux.system import os
from hardening.launch import cgroups
from hardening.launch.config.wanted import Resources
from hardening.launch.native.operation import Mapping, Preparation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hardening.launch.native.operation import LaunchState


class CreateCgroup(Preparation):
    """A control group with its limits. ``path`` '' is one that is named by this process."""

    pointer = "/linux/cgroupsPath"
    path: str
    resources: Resources | None

    def describe(self) -> str:
        return f"make the control group {self.path}".rstrip()

    def execute(self, state: LaunchState) -> None:
        state.group = cgroups.Cgroup(state.tell)
        state.group.create(self.path or f"hardening-{os.getpid()}", cgroups.limits(self.resources))


class EnterCgroup(Mapping):
    """Before it runs anything, so that all that it starts is limited."""

    pointer = "/linux/cgroupsPath"
    text = "move the container into its cgroup"

    def execute(self, state: LaunchState) -> None:
        if state.group is not None:
            state.group.enter(state.pid)
