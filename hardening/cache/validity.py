"""How long what was composed is valid: the fingerprints of everything that decided it.

These are taken after the host was checked and before anything is contributed: a change after that makes an entry that is
never valid, not one that is wrong. What was used before that says itself what was seen of it then (`Input.seen`): the
content of each profile, that no place before it had one of its name, and that a directory of packages did not exist. The
host is probed again, and code that is younger than this process is not vouched for.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hardening.base import files, state
from hardening.base.values import frozen
from hardening.launch import fingerprints
from hardening.mechanism import inputs
from hardening.mechanism.inputs import Input, Unknown
from hardening.plugin import installed
from hardening.plugin.plugins import GROUP
from hardening.profile.layers import SUFFIX, is_path

if TYPE_CHECKING:
    from hardening.compose.composition import Composition
    from hardening.mechanism.host import Host
    from hardening.mechanism.mechanism import Context
    from hardening.mechanism.runtime import Runtime
    from hardening.plugin.plugins import Plugins
    from hardening.profile.layers import SearchPath

#: What of a package is looked at as a module where it is loaded, or never read by a program.
_NO_DATA = (".py", ".pyc", ".pyi", ".so", "py.typed")


@frozen(eq=False)
class Validity:
    """What decides whether an entry is valid: ``seen`` are its fingerprints, ``until`` is its last day, ``unknown``
    says what nobody can look at again, and then nothing is kept."""

    seen: dict[str, dict[str, str]]
    until: str
    unknown: tuple[str, ...]

    @property
    def passed(self) -> tuple[str, ...]:
        """The variables that are passed on as the caller has them."""
        return tuple(name for name, seen in self.seen.get("passed", {}).items() if seen != fingerprints.ABSENT)


def of_composition(
    plugins: Plugins,
    search: SearchPath,
    composition: Composition,
    context: Context,
    runtime: Runtime,
    command: Sequence[str],
) -> Validity:
    """How long a bundle that is to be composed is valid. Where the runtime reads ``command`` and variables from the
    configuration, that is good for these alone."""
    found = [
        *_of_profiles(composition, search),
        *composition.looked,
        *(
            item
            for mechanism in composition.mechanisms
            for item in mechanism.inputs(composition.settings[mechanism.name], context)
        ),
    ]
    if not runtime.takes_variables:
        found = [_as_it_is(item) for item in found]
        found += inputs.command(command)
    until = composition.until.isoformat() if composition.until is not None else ""
    return _validity(plugins, context.host, composition, runtime, found, until)


def _as_it_is(item: Input | Unknown) -> Input | Unknown:
    """An input of which the value counts that is in the configuration."""
    return Input("variable", item.argument) if isinstance(item, Input) and item.kind == "passed" else item


def of_verdict(plugins: Plugins, host: Host, runtime: Runtime, looked: Iterable[Input]) -> Validity:
    """How long the verdict on a bundle that exists is valid; ``looked`` is what the verdicts of plugins rest on. The
    command is in its configuration, which is held to its digest."""
    found = [item for item in looked if item.kind != fingerprints.COMMAND]
    return _validity(plugins, host, None, runtime, found, "")


def _validity(
    plugins: Plugins,
    host: Host,
    composition: Composition | None,
    runtime: Runtime,
    found: Iterable[Input | Unknown],
    until: str,
) -> Validity:
    everything = [
        *_of_caller(host),
        *_of_packages(),
        *found,
        *runtime.inputs(host),
        *plugins.inputs(composition, host),
    ]
    unknown = tuple(item.reason for item in everything if isinstance(item, Unknown))
    seen = {} if unknown else inputs.take([item for item in everything if not isinstance(item, Unknown)])
    return Validity(seen, until, unknown)


def _of_caller(host: Host) -> inputs.Inputs:
    yield from inputs.kernel("/proc/sys/kernel/random/boot_id", "/proc/self/uid_map")
    yield from inputs.environment("XDG_CONFIG_HOME")
    yield from inputs.accounts(host.uid)


def _of_profiles(composition: Composition, search: SearchPath) -> Iterator[Input]:
    """The profiles as they were read, and every place where one of their names was looked for: but for the one that had it,
    the search saw nothing there, whatever is there by now."""
    for file, seen in composition.stack.consulted:
        yield from inputs.file(file, seen)
    stack = composition.stack
    if any(map(_is_relative, stack.named)) or any(layer.document.depends_on_folder for layer in stack.layers):
        yield from inputs.folder()
    for layer in stack.layers:
        if layer.document.file is not None:
            yield from inputs.file(layer.document.file, layer.document.digest)
    for found in composition.stack.found:
        for folder in search.folders:
            path = folder.path / (found.name + SUFFIX)
            same = os.path.realpath(path) == os.path.realpath(found.path)
            yield from (inputs.way if same else inputs.passed_over)(os.path.abspath(path))


def _is_relative(profile: str) -> bool:
    return is_path(profile) and not os.path.isabs(state.expanded(profile))


def _of_packages() -> Iterator[Input]:
    """Which packages there are, and what they announce to this program."""
    yield Input("code", sys.executable)
    yield Input("code", os.path.join(sys.prefix, "pyvenv.cfg"))
    library = os.path.dirname(os.__file__)
    for place in dict.fromkeys(os.path.abspath(entry) for entry in sys.path):
        # The standard library's directory has hundreds of names, and changes with the system only.
        yield Input("code" if place.startswith(library) and "-packages" not in place else "packages", place)
        for folder in installed.distributions(place):
            if f"[{GROUP}" in installed.announced(folder):
                # The headers say which version of this program each plugin is made for.
                for name in (installed.ENTRY_POINTS, *installed.HEADERS):
                    yield Input("code", os.path.join(folder, name))
    # One that is made in the meantime has not been asked for what it brings.
    yield from (Input("packages", place, fingerprints.ABSENT) for place in installed.awaited())


def _of_code() -> Iterator[Input]:
    """The modules that took part, but for those of the standard library, and the data that lies in their packages."""
    library = os.path.dirname(os.__file__)
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not file or (os.path.dirname(file).startswith(library) and "-packages" not in file):
            continue
        yield Input("code", os.path.abspath(file))
        for folder in getattr(module, "__path__", ()):
            yield from _of_data(os.path.abspath(folder))


def _of_data(package: str) -> Iterator[Input]:
    """The files of a package that are no modules: one may decide as much as code does (a table of groups)."""
    for folder, below, names in os.walk(package):
        below[:] = [
            name for name in below if name != "__pycache__" and not os.path.exists(f"{folder}/{name}/__init__.py")
        ]
        for name in sorted(names):
            if not name.endswith(_NO_DATA):
                yield Input("code", f"{folder}/{name}")


def _started() -> int:
    """When this process began, in nanoseconds since the epoch, not later than it did (proc_pid_stat(5))."""
    ticks = int(files.process("self")[files.STARTTIME])
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return time.time_ns() - int((uptime - ticks / os.sysconf("SC_CLK_TCK")) * 1e9) - 20_000_000


def with_code(seen: dict[str, dict[str, str]]) -> dict[str, dict[str, str]] | None:
    """Fingerprints with those of the modules that took part; None where one may have changed since it was loaded."""
    code = seen.get("code", {}) | {item.argument: fingerprints.take("code", item.argument) for item in _of_code()}
    started = _started()
    is_young = any(int(text.split()[1]) >= started for text in code.values() if " " in text)
    return None if is_young else seen | {"code": code}
