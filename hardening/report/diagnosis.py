"""What a host can enforce, line by line; what a mechanism probed is shown without knowing the mechanism."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from hardening.assemble.enforcement import enforcement, refusal
from hardening.assemble.pipeline import examine
from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.errors import PluginError
from hardening.mechanism.host import Host
from hardening.mechanism.runtime import Runtime
from hardening.report.table import Table

OK, WARN, FAIL, FACT = "ok", "warn", "fail", ""
#: Characters of a collection whose length is worth knowing.
LONG = 120


@frozen
class DiagnosisLine:
    """One line: ``mark`` is ``ok``, ``warn``, ``fail``, or empty for a plain fact."""

    area: str
    name: str
    mark: str
    detail: str
    remedy: str = ""


def kernel(host: Host) -> Iterator[DiagnosisLine]:
    """The kernel and the caller."""
    yield DiagnosisLine("host", "kernel", FACT, f"{host.release} {host.machine}")
    yield DiagnosisLine("host", "user", FACT, f"uid {host.uid}, gid {host.gid}")


def facts(host: Host) -> Iterator[DiagnosisLine]:
    """What mechanisms probed, field by field."""
    for kind, value in sorted(host.facts.items(), key=lambda item: item[0].__name__):
        area = kind.__module__.partition(".")[0].removeprefix("hardening_")
        if not attrs.has(kind):
            yield DiagnosisLine(area, kind.__name__, FACT, str(value))
            continue
        fields = _shown_fields(kind)
        # What is not active has no state: the other fields are what nothing was asked about.
        if getattr(value, "inactive", ""):
            fields = [field for field in fields if field.name == "inactive"]
        for field in fields:
            yield DiagnosisLine(area, field.name.replace("_", " "), FACT, show(getattr(value, field.name), field.name))


def _shown_fields(kind: type) -> list[attrs.Attribute[Any]]:
    """The fields of a fact that are meant for people."""
    return [field for field in attrs.fields(kind) if field.repr is not False and not field.name.startswith("_")]


def show(value: Any, name: str = "") -> str:
    """A fact as people read it: long collections are counted. ``name`` is the field's."""
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple) and "version" in name:
        return ".".join(map(str, value))
    if attrs.has(type(value)) and "__str__" not in vars(type(value)):
        fields = [(field.name, getattr(value, field.name)) for field in _shown_fields(type(value))]
        return ", ".join(f"{name} {show(item, name)}" for name, item in fields if item not in ("", None))
    if isinstance(value, Mapping):
        return _some([f"{key} {show(item, str(key))}" for key, item in value.items()])
    if isinstance(value, frozenset | set):
        return _some(sorted(map(show, value)))
    if isinstance(value, tuple | list):
        return _some([f"({show(item)})" if isinstance(item, tuple) else show(item) for item in value])
    return re.sub(r"\s+", " ", str(value))


def _some(items: list[str]) -> str:
    if not items:
        return "none"
    text = ", ".join(items)
    return text if len(text) <= LONG else f"{len(items)}: {text}"


def plugins(faults: Iterable[PluginError]) -> Iterator[DiagnosisLine]:
    """The plugins that cannot be used."""
    for error in faults:
        yield DiagnosisLine("host", "plugin", FAIL, error.message, error.hint or "")


def runtimes(items: Iterable[Runtime]) -> Iterator[DiagnosisLine]:
    """The runtimes with their versions; none at all is a failure."""
    versions: dict[str, str | None] = {}
    for item in items:
        try:
            versions[item.name] = item.version()
        except PluginError as error:
            yield DiagnosisLine("runtime", item.name, FAIL, error.message, error.hint or "")
    for name, version in versions.items():
        if version is None:
            yield DiagnosisLine("runtime", name, WARN, "not installed", f"install {name} to launch with it")
        else:
            yield DiagnosisLine("runtime", name, OK, version)
    if not any(versions.values()):
        yield DiagnosisLine("runtime", "any", FAIL, "no runtime is installed", "reinstall hardening")


def mechanisms(composition: Composition, host: Host) -> Iterator[DiagnosisLine]:
    """Each mechanism of a composition held against the host."""
    able = {mechanism.name for mechanism in composition.mechanisms if mechanism.may_fall_short}
    for state in enforcement(composition, examine(composition, host).unsupported, host):
        if not state.unsupported:
            detail = state.state if state.mechanism in able else "needs nothing of this host"
            yield DiagnosisLine("mechanism", state.mechanism, OK, detail)
        for lacking in state.unsupported:
            error = refusal(composition, lacking)
            advice = (error.hint or "") if error is not None else lacking.remedy
            yield DiagnosisLine("mechanism", lacking.leaf, FAIL if error is not None else WARN, lacking.reason, advice)


def beyond_reach(host: Host) -> Iterator[DiagnosisLine]:
    """What stacks may ask for and this caller cannot have here, whatever the stack at hand asks for: the ``beyond_reach`` of
    facts, a leaf, why, and the remedy of each."""
    for fact in host.facts.values():
        for leaf, reason, remedy in getattr(fact, "beyond_reach", ()):
            yield DiagnosisLine("host", leaf, FACT, reason, remedy)


def essence(lines: Sequence[DiagnosisLine]) -> list[DiagnosisLine]:
    """What fits on a screen: what cannot be enforced first, with its remedy, then the host, its runtimes, and what can.
    What mechanisms probed is left out."""
    wrong = [line for mark in (FAIL, WARN) for line in lines if line.mark == mark]
    host = [line for line in lines if line.area == "host" and line.mark in (OK, FACT)]
    runtimes = [f"{line.name} {line.detail}" for line in lines if (line.area, line.mark) == ("runtime", OK)]
    enforced: dict[str, list[str]] = {"enforced": []}
    for line in lines:
        if (line.area, line.mark) == ("mechanism", OK):
            enforced.setdefault(line.detail, []).append(line.name)
    able = [
        DiagnosisLine("mechanism", detail.removesuffix(" of this host"), OK, ", ".join(names))
        for detail, names in enforced.items()
        if names
    ]
    return [
        *wrong,
        *able,
        *([DiagnosisLine("runtime", "installed", OK, ", ".join(runtimes))] if runtimes else []),
        *host,
    ]


def table(lines: Iterable[DiagnosisLine]) -> Table:
    """The lines as a table, a remedy below what it is for: beside it, one long detail would move all out of sight."""
    rows = list[tuple[str, ...]]()
    for line in lines:
        *cells, remedy = attrs.astuple(line)
        rows += [tuple(cells), *([("", "", "", f"hint: {remedy}")] if remedy else [])]
    return Table(("area", "what", "", "detail"), tuple(rows), last="detail", folded=True)
