"""Stacks that are loosened in many settings at once, run, and held against each stack that lacks one of the loosenings."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import tomli_w

from hardening.assemble import bundle, handover, pipeline
from hardening.assemble.pipeline import examine
from hardening.compose.composition import Composition
from hardening.launch.secret.secrets import named
from hardening.mechanism.mechanism import Verification
from hardening.plugin.plugins import Plugin, Plugins
from hardening.report import verification
from hardening.runs import receipt
from tests.support import runs
from tests.support.users import User

#: A variable that callers have.
TRIED = {"HARDENING_TRIED": "a value"}

#: The strict defaults of the mechanisms, without the limits of a shipped profile.
FIRST = '[selinux]\nrequirement = "best-effort"\n[namespaces]\ntime = "host"\n'


@attrs.frozen
class Loosening:
    """What one layer says of one leaf: ``value`` goes to ``path`` in the table of TOML, into the list that is there if it is
    a list."""

    leaf: str
    path: tuple[str, ...]
    value: Any

    @property
    def mechanism(self) -> str:
        return self.leaf.partition(".")[0]


def loosening(leaf: str, value: Any, *path: str) -> Loosening:
    """One whose table is named like its leaf, unless ``path`` names another place."""
    return Loosening(leaf, path or tuple(leaf.split(".")), value)


@attrs.frozen
class Group:
    """Loosenings of one stack that go together: ``base`` is TOML before their layer, ``others`` are modules of third
    parties' plugins."""

    name: str
    loosenings: Sequence[Loosening]
    base: str = ""
    callers: tuple[str, ...] = ("root", "user")
    runtimes: tuple[str, ...] = runs.RUNTIMES
    terminal: bool = False
    others: tuple[ModuleType, ...] = ()

    @property
    def plugins(self) -> Plugins:
        """The installed plugins, and those that third parties bring for this group."""
        theirs = (Plugin(module.__name__.rpartition(".")[2], module, "acme-hardening", "1") for module in self.others)
        return Plugins((*runs.installed().plugins, *theirs))

    def layers(self, without: Loosening | None = None) -> list[str]:
        """The TOML of a stack with all loosenings but one."""
        table: dict[str, Any] = {"exceptions": []}
        for item in self.loosenings:
            if item == without:
                continue
            at = table
            for key in item.path[:-1]:
                at = at.setdefault(key, {})
            last = item.path[-1]
            at[last] = [*at.get(last, []), *item.value] if isinstance(item.value, list) else item.value
            table["exceptions"].append({"setting": item.leaf, "reason": "a test"})
        return [FIRST, *([self.base] if self.base else []), tomli_w.dumps(table)]


@attrs.frozen
class Held:
    """A receipt held against a stack."""

    lines: Sequence[verification.ReceiptLine]

    @property
    def holds(self) -> bool:
        return verification.holds(self.lines)

    @property
    def failing(self) -> list[tuple[str, str, str, str]]:
        return [
            (line.leaf, line.expected, line.kernel, str(line.result))
            for line in self.lines
            if not verification.holds([line])
        ]


def taken(
    group: Group, runtime: str, user: User | None, plugins: Plugins, folder: Path, devices: Sequence[Any] = ()
) -> Mapping[str, Any]:
    """The receipt of a run of the loosened stack; ``devices`` are some of `/linux/devices` that no stack composed."""
    _, assembly = assembled(group.layers(), plugins, user, folder)
    bundle.write(assembly.spec, folder / "bundle")
    if devices:
        configuration = folder / "bundle" / "config.json"
        document = json.loads(configuration.read_text())
        document["linux"]["devices"] = [*document["linux"].get("devices", ()), *devices]
        configuration.write_text(json.dumps(document))
    return _run(group, runtime, user, assembly.spec.document, folder)


def taken_of_applied(
    group: Group, document: Mapping[str, Any], runtime: str, plugins: Plugins, folder: Path
) -> Mapping[str, Any]:
    """The receipt of a configuration that was made elsewhere, tightened to the loosened stack."""
    host = runs.host_of(None, plugins)
    composition = runs.composed(group.layers(), plugins, host, folder)
    assembly = pipeline.tighten(plugins, composition, host, document, bundle=folder / "bundle")
    bundle.write(assembly.spec, folder / "bundle")
    return _run(group, runtime, None, assembly.spec.document, folder)


def _run(group: Group, runtime: str, user: User | None, document: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    runs.hand_over(folder, user)
    path = folder / "receipt.json"
    values = {item.name: b"a value" for item in named(document)}
    fd = handover.seal(values) if values else -1
    argv = runs.launch_argv(runtime, folder, user, receipt=path, secrets_fd=fd)
    environment = {**(user.environment if user is not None else os.environ), **TRIED}
    if group.terminal:
        argv = ["script", "--quiet", "--return", "--command", subprocess.list2cmdline(argv), "/dev/null"]
    done = subprocess.run(argv, input="", capture_output=True, text=True, cwd="/", env=environment, timeout=120,
                          check=False, pass_fds=(fd,) if fd >= 0 else ())  # fmt: skip
    if fd >= 0:
        os.close(fd)
    assert done.returncode == 0, f"{group.name}: {done.stderr}{done.stdout}"
    return receipt.read(path)


def held(report: Mapping[str, Any], layers: Iterable[str], plugins: Plugins, user: User | None, folder: Path) -> Held:
    """A receipt held against a stack of TOML texts, as `hardening receipt` does it."""
    composition, assembly = assembled(list(layers), plugins, user, folder)
    context = attrs.evolve(assembly.context, spec=assembly.spec)
    found: list[Verification] = receipt.verify(composition, context, report)
    return Held(verification.judge(composition, found, context.unsupported))


def assembled(
    layers: Sequence[str], plugins: Plugins, user: User | None, folder: Path
) -> tuple[Composition, pipeline.Assembly]:
    """The composition of a stack of TOML texts, and what would be launched."""
    host = runs.host_of(user, plugins)
    composition = runs.composed(layers, plugins, host, folder)
    context = examine(composition, host)
    return composition, pipeline.assembled(
        plugins, composition, host, ("/bin/true",), context=context, bundle=folder / "bundle"
    )


def table(rows: Mapping[tuple[str, str, str], tuple[int, int]]) -> str:
    """Settings that were loosened, and of how many the receipt held, by mechanism, caller and runtime."""
    columns = sorted({key[1:] for key in rows})
    lines = ["| mechanism | " + " | ".join(map(" ".join, columns)) + " |", "| --- |" + " --- |" * len(columns)]
    for mechanism in sorted({key[0] for key in rows}):
        cells = [rows.get((mechanism, *column), (0, 0)) for column in columns]
        lines.append(
            f"| {mechanism} | " + " | ".join(f"{number} loosened, {hold} hold" for number, hold in cells) + " |"
        )
    return "\n".join(lines)
