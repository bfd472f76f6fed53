"""What profiles, files of assertions and the machine's configuration may say, for programs: as JSON Schema, and all settings
as a list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hardening.assertions import testfile
from hardening.mechanism import findings
from hardening.mechanism.mechanism import Mechanism
from hardening.mechanism.schema import STRINGS, Family, Scalar, Setting
from hardening.profile import exemption, fingerprint, metadata

Data = dict[str, Any]
DRAFT = "http://json-schema.org/draft-07/schema#"
#: A date of TOML is one for taplo, and a text for who converts it to JSON.
STRING: Data = {"type": "string"}
_DATE: Data = {"type": "string", "format": "date"}


def schema(mechanisms: Iterable[Mechanism[Any]]) -> Data:
    """The JSON Schema of a profile."""
    tables = {item.name: {**table(item), "description": item.summary} for item in mechanisms}
    limits = {
        name: {**table, "description": f"Ceilings of [{name}] for every later layer."} for name, table in tables.items()
    }
    return {"$schema": DRAFT, "title": "Profile of hardening", **closed({**_header(limits), **tables})}


def tests() -> Data:
    """The JSON Schema of a file of assertions (`hardening.assertions.testfile`)."""
    denied = {"anyOf": [STRING, closed({"what": STRING, "by": STRING}, "what")]}
    permitted = {"anyOf": [STRING, closed({"what": STRING}, "what")]}
    code = {"type": "integer", "minimum": 0, "maximum": testfile.MOST_EXIT}
    words = {**STRINGS, "minItems": 1}
    command = closed({"command": words, "exit": code, "prints": STRING}, "command")
    case = {
        "name": {**STRING, "description": "What it is told by."},
        "allows": {**_several(permitted), "description": "Operations that are to be permitted."},
        "denies": {**_several(denied), "description": "Operations that are to be denied, or by which mechanism."},
        "runs": {**_several(command), "description": "Commands, with their exit code and what they print."},
    }
    untested = closed({"setting": STRING, "reason": STRING}, "setting", "reason")
    stack = {**words, "description": "The stack, by name or path. Default: the profile beside the file."}
    members = {"profiles": stack, "test": _several(closed(case, "name")), "untested": _several(untested)}
    return {"$schema": DRAFT, "title": "Assertions of hardening", **closed(members, "test")}


def machine() -> Data:
    """The JSON Schema of the machine's configuration (`hardening.profile.machine`)."""
    names = {"anyOf": [STRING, {**STRINGS, "minItems": 1}]}
    signed = {**names, "description": "Files of keys, and fingerprints, one of which has to have signed every layer."}
    keyring = {**names, "description": "Files of keys, in which the fingerprints are looked up."}
    members = {
        "default": {**names, "description": "The profiles of a command that names none."},
        "profiles": closed({"require_signed_by": signed, "keyring": keyring}),
    }
    return {"$schema": DRAFT, "title": "Configuration of hardening", **closed(members)}


def _several(items: Mapping[str, Any]) -> Data:
    return {"type": "array", "items": items}


def _header(limits: Data) -> Data:
    severity = {"enum": [*map(str, findings.Severity), findings.NEVER]}
    exception = {**dict.fromkeys(exemption.OF_EXCEPTIONS, STRING), "expires": _DATE}
    rules = {"type": "object", "additionalProperties": severity}
    texts = dict.fromkeys(metadata.TEXTS, STRING)
    controls = {**dict.fromkeys(metadata.OF_CONTROLS, STRING), "ids": STRINGS}
    return {
        "description": {**STRING, "description": "One line for lists."},
        "extends": {"anyOf": [STRING, STRINGS], "description": "Profiles that come before this one, by name or path."},
        "complete": {
            "type": "boolean",
            "description": "Whether the strict default of what is unstated counts as stated.",
        },
        "exceptions": _several(closed(exception, "setting", "reason")),
        "limits": closed({**limits, "findings": closed({"at": severity, "rules": rules})}),
        "findings": closed({"refuse": severity, "rules": rules}),
        "learnt": {"type": "object", "properties": {key: {} for key in fingerprint.KEYS}},
        "profile": closed({**texts, "controls": _several(closed(controls))}),
    }


def listed(items: Mapping[str, Any]) -> Data:
    """A list that is replaced by an array, or changed with ``add`` and ``drop``."""
    changed = {"add": _several(items), "drop": STRINGS}
    return {"anyOf": [_several(items), closed(changed)]}


def closed(properties: Mapping[str, Any], *required: str) -> Data:
    """A table of these keys, and no other."""
    return {
        "type": "object", "properties": dict(properties), "additionalProperties": False,
        **({"required": list(required)} if required else {}),
    }  # fmt: skip


def table(mechanism: Mechanism[Any]) -> Data:
    """How the table of a mechanism is written: which keys it has, and their values."""
    forms = mechanism.forms()
    properties: Data = {}
    for setting in mechanism.schema.settings.values():
        if setting.name and setting.name.partition(".")[0] not in (forms or {}):
            _place(properties, setting.name.split("."), {**_of(setting), "description": _described(setting)})
    properties |= forms or {}
    return closed(properties) if forms is not None else {"type": "object", "properties": properties}


def _of(setting: Setting) -> Data:
    written = dict(setting.kind.json_schema())
    if isinstance(setting, Scalar):
        return written
    if setting.listed:
        return listed(STRING if written == {"type": "boolean"} else written)
    return {"type": "object", "additionalProperties": written}


def _described(setting: Setting) -> str:
    default = f" Default: {setting.kind.show(setting.default) or 'empty'}." if isinstance(setting, Scalar) else ""
    members = " By name." if isinstance(setting, Family) and not setting.listed else ""
    return f"{setting.help}{default}{members}"


def _place(properties: Data, parts: list[str], value: Data) -> None:
    for part in parts[:-1]:
        properties = properties.setdefault(part, closed({}))["properties"]
    properties[parts[-1]] = value


def settings(mechanisms: Iterable[Mechanism[Any]]) -> Iterator[Data]:
    """Each setting: ``table``, ``setting``, ``written``, ``default`` (as TOML data; null for a table of members) and
    ``meaning``."""
    for mechanism in mechanisms:
        for setting in mechanism.schema.settings.values():
            scalar = isinstance(setting, Scalar)
            yield {
                "table": mechanism.name,
                "setting": setting.name,
                "written": setting.kind.grammar().replace("\\|", "|"),
                "default": setting.kind.dump(setting.default) if scalar else None,
                "meaning": setting.help,
            }


def markdown(mechanisms: Iterable[Mechanism[Any]]) -> Iterator[str]:
    """The settings as Markdown, a section for each mechanism."""
    for mechanism in mechanisms:
        yield f"## `[{mechanism.name}]`: {mechanism.summary}\n"
        yield "| setting | written as | default | meaning |\n| --- | --- | --- | --- |"
        for setting in mechanism.schema.settings.values():
            shown = setting.kind.show(setting.default if isinstance(setting, Scalar) else setting.rest)
            name = f"`{setting.name}`" if setting.name else "members"
            cells = (name, setting.kind.grammar(), f"`{shown or chr(34) * 2}`", setting.help)
            yield f"| {' | '.join(' '.join(cell.split()).replace('|', f'{chr(92)}|') for cell in cells)} |"
        yield ""
