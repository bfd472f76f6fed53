"""The contexts that the active policy has for containers: ``lxc_contexts``, a file of the policy."""

from __future__ import annotations

from pathlib import Path

import attrs

from hardening.base.values import frozen
from hardening.errors import HostError
from hardening_selinux.labels import Label, Level, Point


@frozen
class ContainerContexts:
    """Contexts for processes and files of containers; ``source`` is the file that they come from, or empty for the names
    that are built in."""

    process: Label
    init_process: Label
    kvm_process: Label
    file: Label
    ro_file: Label
    source: str = ""


_LOWEST = Level(Point(0), Point(0))

BUILT_IN = ContainerContexts(
    process=Label("system_u", "system_r", "container_t", _LOWEST),
    init_process=Label("system_u", "system_r", "container_init_t", _LOWEST),
    kvm_process=Label("system_u", "system_r", "container_kvm_t", _LOWEST),
    file=Label("system_u", "object_r", "container_file_t", _LOWEST),
    ro_file=Label("system_u", "object_r", "container_ro_file_t", _LOWEST),
)


def load(root: Path, policy: str) -> ContainerContexts:
    """The contexts of the policy called ``policy`` on the host whose root is ``root``; what no file says is built in.

    Raises `HostError` for a file that cannot be read or that holds what is no context.
    """
    for path in places(root, policy):
        try:
            text = path.read_text()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise HostError(f"cannot read the policy's contexts: {error}", origin=path) from None
        return attrs.evolve(BUILT_IN, source=str(path), **_parse(text, path))
    return BUILT_IN


def places(root: Path, policy: str) -> tuple[Path, Path]:
    """The files that may say the contexts, the one that counts first."""
    return (
        root / "usr/share/containers/selinux/contexts",
        root / "etc/selinux" / policy / "contexts/lxc_contexts",
    )


def _parse(text: str, path: Path) -> dict[str, Label]:
    wanted = {field.name for field in attrs.fields(ContainerContexts)} - {"source"}
    found: dict[str, Label] = {}
    for number, line in enumerate(text.splitlines(), 1):
        key, equals, value = line.partition("#")[0].partition("=")
        if equals and key.strip() in wanted:
            try:
                found[key.strip()] = Label.parse(value.strip().strip('"'))
            except ValueError as error:
                raise HostError(str(error), origin=f"{path}:{number}", hint="reinstall the policy") from None
    return found
