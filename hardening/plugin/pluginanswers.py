"""The forms of what plugins declare and answer: each function takes a value as it has to be, and raises `Wrong` or
`PluginError` for any other (`hardening.plugin.plugincalls`)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

import attrs

from hardening.base.values import freeze
from hardening.errors import PluginError
from hardening.mechanism.denial import Cause, PathAccess, PathAnswer, Way
from hardening.mechanism.findings import Finding, FindingRule, Severity
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.inputs import Input, Unknown
from hardening.mechanism.kinds import Kind
from hardening.mechanism.mechanism import (
    Context,
    ImageRequest,
    Implied,
    Mechanism,
    MountPoint,
    Option,
    Reading,
    State,
    Unsupported,
    Verification,
    Violation,
)
from hardening.mechanism.runtime import Refusal
from hardening.mechanism.schema import REQUIREMENT, ConfigField, Family, Schema, Setting, Statement
from hardening.plugin.admission import Verdict
from hardening.plugin.plugincalls import Take, Wrong, items, nothing
from hardening.profile.layers import HEADER

if TYPE_CHECKING:
    from hardening.mechanism.evidence import LearntStatement, Witness
    from hardening.mechanism.exposure import Exposure

_NAME = r"[a-z][a-z0-9_-]*"
_SETTING = r"([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)?"
_POINTER = r"(/[^/]+)+"
_FLAG = r"-[A-Za-z]|--[a-z][a-z0-9-]+"
#: settings that make the root, whose owner decides about all mounts
_OF_THE_ROOT = ("/root/path", "/root/readonly")


def _name(answer: object, *_: object) -> str:
    if not isinstance(answer, str) or not re.fullmatch(_NAME, answer) or answer in HEADER:
        raise Wrong(answer, f"a name of letters, digits, _ and -, and not {', '.join(HEADER)}, as name")
    return answer


def _summary(answer: object, *_: object) -> str:
    if not isinstance(answer, str) or "\n" in answer:
        raise Wrong(answer, "one line of text as summary")
    return answer


NAMED: Mapping[str, Take] = {"name": _name, "summary": _summary}


def pointers(answer: object, *_: object) -> tuple[str, ...]:
    found: tuple[str, ...] = items(str)(answer)
    for pointer in found:
        if not re.fullmatch(_POINTER, pointer):
            raise Wrong(answer, f"JSON pointers, which {pointer!r} is not,")
    return found


def settings_type(answer: object, *_: object) -> type:
    if not isinstance(answer, type) or not attrs.has(answer):
        raise Wrong(answer, "a frozen attrs class as settings_type")
    return answer


def schema(answer: object, *_: object) -> Schema:
    if not isinstance(answer, Schema):
        raise Wrong(answer, "Schema as schema")
    names = [setting.name for setting in answer.fields.values()]
    for setting in answer.fields.values():
        if not isinstance(setting.name, str) or not re.fullmatch(_SETTING, setting.name):
            raise Wrong(
                setting.name, f"a name of letters, digits, _ and -, with dots between, which {setting.name!r} is not,"
            )
        if not isinstance(setting.kind, Kind):
            raise Wrong(setting.kind, f"a Kind for the setting {setting.name}")
        if not isinstance(setting.help, str):
            raise Wrong(setting.help, f"a text as help of the setting {setting.name}")
        for name, function in _functions(setting).items():
            if not callable(function):
                raise Wrong(function, f"a function as {name} of the setting {setting.name}")
        if setting.name == REQUIREMENT.name or names.count(setting.name) > 1:
            raise Wrong(setting, f"another name than {setting.name}, which there is already,")
    return answer


def _functions(setting: Setting) -> Mapping[str, object]:
    """What of a setting somebody calls."""
    if isinstance(setting, Family):
        given = {"read_member": setting.read_member, "read_item": setting.read_item, "above": setting.above}
        return {name: function for name, function in given.items() if function is not None}
    field = setting.field
    if field is None:
        return {}
    if not isinstance(field, ConfigField) or not re.fullmatch(_POINTER, str(field.pointer)):
        raise Wrong(field, f"a JSON pointer, or a ConfigField with one, as field of the setting {setting.name}")
    return {"write": field.write, "read": field.read}


def known(answer: object, *_: object) -> Mapping[str, str]:
    if not isinstance(answer, Mapping) or not all(isinstance(text, str) for pair in answer.items() for text in pair):
        raise Wrong(answer, "a mapping of texts as known")
    found: Mapping[str, str] = freeze(dict(answer))
    return found


# --- answers of mechanisms --------------------------------------------------------------------------------------------


#: What something looks at.
looked = items(Input, Unknown)
unsupported = items(Unsupported, texts=("leaf", "reason", "remedy"))


def _weighed(kind: type[Finding | ImageRequest], *texts: str) -> Take:
    """Values that have a severity."""

    def take(answer: object, *_: object) -> tuple[Finding | ImageRequest, ...]:
        found: tuple[Finding | ImageRequest, ...] = items(kind, texts=texts)(answer)
        for item in found:
            if not isinstance(item.severity, Severity):
                raise Wrong(item.severity, f"a Severity as severity of {kind.__name__}")
        return found

    return take


findings = _weighed(Finding, "rule", "message", "leaf", "origin", "hint")


def rules(answer: object, *_: object) -> Mapping[str, FindingRule | str]:
    if not isinstance(answer, Mapping) or not all(
        isinstance(name, str) and isinstance(rule, FindingRule | str) for name, rule in answer.items()
    ):
        raise Wrong(answer, "a mapping of names to texts, or to Rules,")
    return answer


def own_findings(answer: object, of: Mechanism[Any], *_: object) -> tuple[Finding, ...]:
    """Of the mechanism's own rules: profiles refuse findings by these names."""
    found: tuple[Finding, ...] = findings(answer)
    for finding in found:
        if not finding.rule.startswith(f"{of.name}/"):
            raise Wrong(finding, f"a rule of {of.name}/…, which {finding.rule!r} is not,")
    return found


def verifications(answer: object, of: Mechanism[Any], *_: object) -> tuple[Verification, ...]:
    found: tuple[Verification, ...] = items(Verification, texts=("leaf", "expected", "kernel"))(answer)
    for line in found:
        if not isinstance(line.state, State):
            raise Wrong(line.state, f"a State for {line.leaf}")
        _require_own(of, "verifies a setting", (line.leaf, *items(str)(line.also)))
    return found


def exposures(answer: object, *_: object) -> tuple[Exposure, ...]:
    from hardening.mechanism.exposure import Exposure

    found: tuple[Exposure, ...] = items(Exposure, texts=("name", "meaning", "found"))(answer)
    for item in found:
        if not (isinstance(item.weight, int | float) and isfinite(item.weight) and item.weight >= 0):
            raise Wrong(item.weight, f"a number from 0 on as weight of {item.name}")
        if not (isinstance(item.share, int | float) and 0 <= item.share <= 1):
            raise Wrong(item.share, f"a number from 0 to 1 as share of {item.name}")
    if len({item.name for item in found}) < len(found):
        raise Wrong([item.name for item in found], "each name once")
    return found


def own_unsupported(answer: object, of: Mechanism[Any], *_: object) -> tuple[Unsupported, ...]:
    """Of the mechanism's own table: what waives that of another, or limits it, says nothing of this one."""
    found: tuple[Unsupported, ...] = unsupported(answer)
    for item in found:
        for name in (item.leaf, item.requirement or item.leaf, *items(str)(item.also)):
            if name.partition(".")[0] != of.name:
                raise PluginError(
                    f"{of.name} says that {name} cannot be enforced, which is not a setting of [{of.name}]"
                )
    return found


def says(answer: object, of: Mechanism[Any], table: object, reading: Reading) -> tuple[Statement, ...]:
    said: tuple[Statement, ...] = items(Statement, texts=("setting", "member"))(answer)
    for statement in said:
        if statement.setting not in of.schema.settings:
            raise Wrong(statement, f"a setting of [{of.name}], which {statement.setting!r} is not,")
        if isinstance(statement.value, list | dict | set | bytearray):
            raise Wrong(statement.value, f"a value that cannot be changed for {of.name}.{statement.setting}")
    findings(reading.noted)
    looked(reading.looked)
    return said


def of_image(answer: object, *_: object) -> tuple[Mapping[str, object], tuple[ImageRequest, ...]]:
    if not isinstance(answer, tuple) or len(answer) != 2 or not isinstance(answer[0], Mapping):
        raise Wrong(answer, "a table and requests")
    return freeze(dict(answer[0])), _weighed(ImageRequest, "message", "hint")(answer[1])


def settings(answer: Any, of: Mechanism[Any], *_: object) -> object:
    """Settings that every stage, and every other mechanism, reads as they were composed."""
    if type(answer) is not of.settings_type:
        raise Wrong(answer, of.settings_type.__name__)
    name = next((field.name for field in attrs.fields(of.settings_type)), "")
    try:
        setattr(answer, name, getattr(answer, name, None))
    except AttributeError:
        return answer
    raise Wrong(answer, "a frozen object (attrs.frozen)")


def options(answer: object, of: Mechanism[Any], *_: object) -> tuple[Option, ...]:
    options: tuple[Option, ...] = items(Option, texts=("key", "help"))(answer)
    for option in options:
        flags = option.flags
        if not isinstance(flags, tuple) or not flags or not all(re.fullmatch(_FLAG, str(flag)) for flag in flags):
            raise Wrong(flags, "flags such as ('-q', '--quota')")
        if all(of.schema.find(name) is None for name in (option.key, *of.expand(option.key))):
            raise Wrong(option, f"a setting of [{of.name}], which the key {option.key!r} of {flags[0]} is not,")
    return options


def of_path(answer: object, *_: object) -> tuple[PathAnswer, ...]:
    found: tuple[PathAnswer, ...] = items(PathAnswer, texts=("leaf", "how", "denied"))(answer)
    for item in found:
        if item.asked not in tuple(PathAccess):  # nobody would look at it
            raise Wrong(item.asked, f"one of {', '.join(PathAccess)} as asked of PathAnswer")
    _require_ways(found)
    return found


def causes(answer: object, *_: object) -> tuple[Cause, ...]:
    found: tuple[Cause, ...] = items(Cause, texts=("leaf", "what", "advice"))(answer)
    _require_ways(found)
    return found


def witnesses(answer: object, *_: object) -> tuple[Witness, ...]:
    from hardening.mechanism.evidence import Witness  # no launch asks

    found: tuple[Witness, ...] = items(Witness, texts=("what", "attempt"))(answer)
    return found


def _require_ways(found: Iterable[PathAnswer | Cause]) -> None:
    for item in found:
        items(Way, texts=("leaf",))(item.ways)


def recording(answer: object, of: Mechanism[Any], *_: object) -> tuple[Mapping[str, object], tuple[str, ...]]:
    if not isinstance(answer, tuple) or len(answer) != 2 or not isinstance(answer[0], Mapping):
        raise Wrong(answer, "a table and names of what it loosens")
    names: tuple[str, ...] = items(str)(answer[1])
    for name in names:
        _require_own(of, "records", (f"{of.name}.{name}",))
    return freeze(dict(answer[0])), names


def spare(answer: object, of: Mechanism[Any], *_: object) -> tuple[str, ...]:
    leaves: tuple[str, ...] = items(str)(answer)
    for leaf in leaves:
        _require_own(of, "spares something", (leaf,))
    return leaves


def learnt_statements(answer: object, of: Mechanism[Any], *_: object) -> tuple[LearntStatement, ...]:
    from hardening.mechanism.evidence import LearntStatement  # no launch asks

    found: tuple[LearntStatement, ...] = items(LearntStatement, texts=("comment",))(answer)
    for statement in found:
        if (
            not isinstance(statement.key, tuple)
            or not statement.key
            or not all(isinstance(part, str) for part in statement.key)
        ):
            raise Wrong(statement.key, "a tuple of texts as key of LearntStatement")
        if loosened := items(str)(statement.loosens):
            _require_own(of, "learns something", loosened)
    return found


def fact(answer: object, *_: object) -> object:
    if answer is not None and type(answer).__module__ == "builtins":
        raise Wrong(answer, "a frozen object of a type of its own")
    return answer


def implied(installed: Callable[[str], Mechanism[Any] | None]) -> Take:
    """Two leaves that there are, unless nobody has the table of the second: what is said of none would hold nothing."""

    def take(answer: object, of: Mechanism[Any], *_: object) -> tuple[Implied, ...]:
        found: tuple[Implied, ...] = items(Implied, texts=("what", "instead", "remedy"))(answer)
        for item in found:
            for leaf, owner in ((item.by, of), (item.leaf, installed(item.leaf.mechanism))):
                setting = owner.schema.settings.get(leaf.setting) if owner is not None else None
                if owner is not None and (setting is None or leaf.mechanism != owner.name):
                    raise PluginError(
                        f"{of.name} implies {item.leaf} by {item.by}: {leaf} is not a setting of [{owner.name}]"
                    )
        return found

    return take


def mount_points(answer: object, of: Mechanism[Any], *_: object) -> tuple[MountPoint, ...]:
    points: tuple[MountPoint, ...] = items(MountPoint, texts=("path",))(answer)
    for point in points:
        if not isinstance(point.mount, Mapping) or point.mount.get("destination") != point.path:
            raise Wrong(point.mount, f"an entry of /mounts whose destination is {point.path}")
        if not os.path.isabs(point.path) or os.path.normpath(point.path) != point.path:
            raise Wrong(point.path, f"the whole path of a place, which {point.path!r} is not,")
        _require_own(of, f"mounts {point.path}", point.leaves)
    return tuple(attrs.evolve(point, mount=freeze(dict(point.mount))) for point in points)


def contributed(answer: object, of: Mechanism[Any], settings: object, context: Context, fragment: Fragment) -> None:
    nothing(answer)
    _require_answerable(of, settings, context, fragment)


def tightened(
    answer: object, of: Mechanism[Any], settings: object, document: object, context: Context, fragment: Fragment
) -> tuple[Violation, ...]:
    violations: tuple[Violation, ...] = items(Violation, texts=("pointer", "asked", "allowed", "leaf"))(answer)
    _require_answerable(of, settings, context, fragment)
    return violations


def _require_answerable(of: Mechanism[Any], settings: object, context: Context, fragment: Fragment) -> None:
    """Everything that is contributed, and told, has a leaf that decided it, and can be asked for by it. The mounts of others
    come from their mount points, and from whoever makes the root."""
    makes_root = "/mounts" in fragment.replaced or not fragment.values.keys().isdisjoint(_OF_THE_ROOT)
    of_others = {point.leaves for point in context.mount_points}
    own = {point.path for point in of.mount_points(settings)} if fragment.items and not makes_root else set()
    parts = [("sets", pointer, value.leaves) for pointer, value in fragment.values.items()]
    parts += [("replaces", pointer, value.leaves) for pointer, value in fragment.replaced.items()]
    parts += [("contributes the bundle's", path, value.leaves) for path, value in fragment.files.items()]
    for (pointer, key), value in fragment.items.items():
        if pointer == "/mounts" and not makes_root and key not in own:
            raise PluginError(f"{of.name} mounts {key}, which is none of its mount points")
        if pointer != "/mounts" or value.leaves not in of_others:
            parts.append((f"contributes {key} to", pointer, value.leaves))
    if fragment.helper is not None:
        parts.append(("confines the command by", fragment.helper.value[0], fragment.helper.leaves))
    parts += [("tells", finding.rule, (finding.leaf,)) for finding in findings(fragment.told)]
    for verb, place, leaves in parts:
        _require_own(of, f"{verb} {place}", leaves)


def _require_own(of: Mechanism[Any], deed: str, leaves: object) -> None:
    if not isinstance(leaves, tuple) or not leaves:
        raise PluginError(f"{of.name} {deed} without the setting that decided it", hint="name one of its leaves")
    for leaf in leaves:
        table, _, name = str(leaf).partition(".")
        if table != of.name or (name and of.schema.find(name) is None):
            raise PluginError(f"{of.name} {deed} because of {leaf}, which is not a setting of [{of.name}]")


# --- answers of runtimes and judges -----------------------------------------------------------------------------------


refusals = items(Refusal, texts=("pointer", "reason", "hint"))


def argv(answer: object, *_: object) -> list[str]:
    if not isinstance(answer, list | tuple) or not answer or not all(isinstance(word, str) for word in answer):
        raise Wrong(answer, "a list of words")
    if not os.path.isabs(answer[0]):
        raise Wrong(answer, f"the whole path of a program, which {answer[0]!r} is not,")
    return list(answer)


def verdict(answer: object, *_: object) -> Verdict | None:
    """A verdict, or None for no opinion."""
    if answer is None:
        return None
    if not isinstance(answer, Verdict):
        raise Wrong(answer, "Verdict or None")
    if not isinstance(answer.by, str):
        raise Wrong(answer.by, "a text as by of Verdict")
    looked(answer.looked)
    return attrs.evolve(answer, refusals=refusals(answer.refusals), looked=items(Input)(answer.looked))
