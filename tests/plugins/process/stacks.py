"""Layers as text -> composition, and hosts by hand, for the tests of `process`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from hardening.assemble.spec import assemble
from hardening.compose.composition import Composition, compose
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.host import Host
from hardening.mechanism.mechanism import Context, Unsupported
from hardening.mechanism.schema import Members, Scalar, Schema
from hardening.profile import toml_lines
from hardening.profile.layers import Stack, parse_layer
from hardening.profile.source import command_line
from hardening_namespaces.facts import NamespaceFacts
from hardening_namespaces.settings import TYPES, NamespacesSettings
from hardening_process import Process
from hardening_process.cgroups import Cgroups, Controller
from hardening_process.facts import ProcessFacts
from hardening_process.kinds import UNLIMITED, ResourceLimit
from hardening_process.settings import RLIMITS, ProcessSettings
from hardening_rootfs.paths import RootPath
from hardening_rootfs.settings import RootfsSettings
from tests.support.layers import written

S = TypeVar("S")
PROCESS = Process()
DAY = date(2030, 1, 1)
SUBIDS = ((100_000, 65_536),)
DELEGATED = Cgroups("v2", {name: Controller(2, "/user.slice") for name in ("cpu", "memory", "pids")})
NO_CGROUPS = Cgroups("none", {})


def host(
    uid: int = 1000,
    *,
    gid: int | None = None,
    groups: tuple[int, ...] = (),
    subids: tuple[tuple[int, int], ...] = SUBIDS,
    rlimits: Mapping[str, ResourceLimit] = MappingProxyType({}),
    sys_resource: bool = False,
    oom_score_adj: int = 0,
    cgroups: Cgroups = DELEGATED,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Host:
    """A host and caller; what is not named has no limit and no environment."""
    own = {name: rlimits.get(name, UNLIMITED) for name in RLIMITS}
    facts: dict[type, object] = {
        ProcessFacts: ProcessFacts(own, sys_resource, oom_score_adj, cgroups, environment),
        NamespaceFacts: NamespaceFacts(frozenset(TYPES), "", subids, subids, True),
    }
    gid = uid if gid is None else gid
    return Host((6, 12), "6.12.0", "x86_64", uid, gid, groups or (gid,), MappingProxyType(facts))


def composed(folder: Path, *texts: str, options: Mapping[str, object] | None = None) -> Composition:
    """The composition of layers written as TOML; ``options`` is the table that the command line says, the last layer."""
    layers = written(folder, *texts)
    if options is not None:
        places: dict[toml_lines.Path, str] = {("process", key): f"option {key}" for key in options}
        layers.append(parse_layer(command_line({"process": dict(options)}, places)))
    return compose(Stack(tuple(layers)), [PROCESS], host(), DAY)


def settings(folder: Path, *texts: str, options: Mapping[str, object] | None = None) -> ProcessSettings:
    """The composed settings of such a stack."""
    value = composed(folder, *texts, options=options).settings["process"]
    assert isinstance(value, ProcessSettings)
    return value


def strict(kind: type[S], **values: Any) -> S:
    """Settings of a mechanism, the defaults but for ``values``, by attribute."""
    found: dict[str, Any] = {}
    for attribute, setting in Schema.of(kind).fields.items():
        default = setting.default if isinstance(setting, Scalar) else Members(setting.default, setting.rest)
        found[attribute] = values.get(attribute, default)
    return kind(**found)


def context(
    on: Host,
    own: ProcessSettings | None = None,
    *,
    root: Path | None = None,
    bundle: Path | None = None,
    unsupported: tuple[Unsupported, ...] = (),
    **namespaces: Any,
) -> Context:
    """A context with settings of `process`, of `namespaces` (its defaults but for what is named) and of `rootfs`."""
    others: list[object] = [strict(NamespacesSettings, **namespaces)]
    others.append(own if own is not None else strict(ProcessSettings))
    if root is not None:
        others.append(strict(RootfsSettings, path=RootPath(str(root))))
    return Context(on, {type(other): other for other in others}, unsupported, bundle)


def contributed(own: ProcessSettings, within: Context) -> dict[str, Any]:
    """The configuration that `process` alone makes."""
    fragment = Fragment("process")
    PROCESS.contribute(own, within, fragment)
    return dict(assemble([fragment]).document)


def root_with(folder: Path, passwd: str = "", group: str = "") -> Path:
    """A root directory with these accounts."""
    (folder / "etc").mkdir(parents=True)
    (folder / "etc/passwd").write_text(passwd)
    (folder / "etc/group").write_text(group)
    return folder
