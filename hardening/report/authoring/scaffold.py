"""A new profile, to be filled in: what it may say, as comments beside what it says already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap
from typing import Any

from hardening.mechanism.mechanism import Mechanism
from hardening.mechanism.schema import REQUIREMENT, Scalar
from hardening.profile.toml_text import inline

WIDTH = 110


def scaffold(name: str, extends: Sequence[str], owner: str, mechanisms: Iterable[Mechanism[Any]]) -> str:
    """The text of a profile that extends others. It composes to what these do."""
    lines = [
        f"description = {inline(f'{name}: what it is for, in a line')}",
        f"extends = {inline(list(extends))}",
        "",
        "# What a layer loosens needs an exception in the same layer:",
        "# [[exceptions]]",
        '# setting = "rootfs.read_only"',
        '# reason = "why this is needed"',
        "# expires = 2030-12-31",
        *(line for mechanism in mechanisms for line in _table(mechanism)),
        "",
        "[profile]",
        f"title = {inline(name)}",
        f"owner = {inline(owner)}",
        'version = "1"',
    ]
    return "\n".join(lines) + "\n"


def _table(mechanism: Mechanism[Any]) -> Iterator[str]:
    yield ""
    yield from (f"# {line}" for line in wrap(f"[{mechanism.name}]: {mechanism.summary}", WIDTH))
    yield f"# [{mechanism.name}]"
    forms = mechanism.forms() or {}
    for setting in mechanism.schema.settings.values():
        plain = setting.name.partition(".")[0] not in forms
        if isinstance(setting, Scalar) and setting.name != REQUIREMENT.name and plain:
            yield from (f"#   {line}" for line in wrap(setting.help, WIDTH))
            yield f"# {setting.name} = {inline(setting.kind.dump(setting.default))}"
