"""What the table ``[selinux]`` says."""

from __future__ import annotations

from hardening.base.values import frozen
from hardening.mechanism.kinds import Choice, Exact, Flag
from hardening.mechanism.schema import scalar
from hardening.profile.source import Node
from hardening_selinux.labels import Label, Level, is_name

AUTO = "auto"
READ_ONLY = "read-only"


def _name(node: Node) -> str:
    value = node.string()
    if not is_name(value):
        raise node.error(
            f'"{value}" is not the name of an SELinux user, role or type', hint='write one, such as "container_t"'
        )
    return value


def _level(node: Node) -> str:
    value = node.string()
    if value == AUTO:
        return value
    try:
        return str(Level.parse(value))
    except ValueError as error:
        raise node.error(str(error), hint='write "auto", or a level such as "s0:c1,c2"') from None


def _label(node: Node) -> str:
    value = node.string()
    if value in (AUTO, READ_ONLY):
        return value
    try:
        return str(Label.parse(value))
    except ValueError as error:
        raise node.error(
            str(error), hint='write "auto", or a context such as "system_u:object_r:container_file_t:s0"'
        ) from None


# Which of two policy types allows more, only the policy knows: a change between two names counts as a loosening, and one to
# `auto`, which stands for the policy's own plain container context, as well.
_WORD = '`"auto"` or a name of the policy'


@frozen
class SelinuxSettings:
    """Composed settings of `selinux`."""

    enabled: bool = scalar(Flag(strict=True), True, "Whether the command and its mounts get SELinux labels.")
    user: str = scalar(
        Exact(_name, _WORD, None, (AUTO, "system_u", "staff_u")), AUTO, "SELinux user of the process label."
    )
    role: str = scalar(
        Exact(_name, _WORD, None, (AUTO, "system_r", "staff_r")), AUTO, "SELinux role of the process label."
    )
    type: str = scalar(
        Exact(_name, _WORD, None, (AUTO, "container_init_t", "spc_t")),
        AUTO,
        "Type (domain) of the process label. `auto` is the policy's container domain, `init` and `kvm` its domains for an "
        "init system and for a virtual machine monitor.",
    )
    level: str = scalar(
        Exact(_level, '`"auto"` or a level', None, (AUTO, "s0", "s0:c1,c2", "s0:c0.c1023")),
        AUTO,
        "Level of the process label. `auto` reserves a pair of categories that no other container has, so that "
        "containers cannot reach each other's files.",
    )
    mount_label: str = scalar(
        Exact(
            _label,
            '`"auto"`, `"read-only"` or a context',
            None,
            (AUTO, READ_ONLY, "system_u:object_r:usr_t:s0"),
        ),
        AUTO,
        "Label of file systems that are made for the container. `auto` is the policy's container file type, "
        "`read-only` its type for files that containers may only read; both at the process's level.",
    )
    relabel: str = scalar(
        Choice(("never", "private", "shared")),
        "never",
        "Which volumes may be relabelled on the host: none, those marked `Z` (for this container alone), or those marked "
        "`z` (for all containers) too.",
    )
