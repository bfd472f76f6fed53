"""One profile at a time: read, layered and composed for a host that nobody knows, and held against every rule.

What is said of a profile is about a line of its own. What its stack comes to elsewhere is said of the files that say it.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs

from hardening.assemble.pipeline import of_settings
from hardening.base import wholefile
from hardening.base.linux import children
from hardening.base.text import listed, nearest
from hardening.base.wholefile import Owner
from hardening.compose.composition import Composition
from hardening.compose.fold import Resolved
from hardening.compose.headers import wrong_headers
from hardening.compose.implied import compose_here
from hardening.compose.part import SharedParts, each_fault
from hardening.compose.rules import RuleRegistry
from hardening.errors import Gathering, HardeningError, PluginError, UsageError, quoted
from hardening.lint import document, suppression
from hardening.lint.result import LintResult, order
from hardening.mechanism import host as hosts
from hardening.mechanism.findings import MALFORMED, REFUSED, UNUSED, Finding, Severity
from hardening.mechanism.host import Host
from hardening.mechanism.mechanism import Context, Mechanism, Reading
from hardening.mechanism.schema import Leaf
from hardening.plugin import plugincalls
from hardening.plugin.plugincalls import aside
from hardening.plugin.plugins import Plugins
from hardening.profile import layers, machine, source, toml_lines
from hardening.profile.layers import FoundProfile, Layer, SearchPath, Stack, parse_layer, read_layer
from hardening.profile.source import Document, Origin

#: How many files are worth processes of their own.
MANY = 64
#: How much of a line is shown.
_LONGEST = 1000


class Linter:
    """Lints profiles that may have layers in common; what they share is read and composed once. ``before`` are profiles
    that stand before each of them in a stack, such as an organisation's. Raises as composing these does."""

    def __init__(self, plugins: Plugins, search: SearchPath, today: date, before: Sequence[str] = ()) -> None:
        self.plugins, self.search, self.today, self.before = plugins, _Search(search.folders), today, before
        mechanisms = self.mechanisms = plugins.mechanisms
        self.rules = RuleRegistry(mechanisms)
        self.host = hosts.neutral(mechanisms)
        self.memory = SharedParts()
        self.named = search.all()
        self._layers: dict[tuple[Path, Owner], Layer] = {}
        if before:  # what is wrong with these is the fault of no file
            stack = layers.resolve(before, self.search, reader=self._read)
            compose_here(stack, mechanisms, self.host, today, memory=self.memory)

    def lint(self, path: str) -> list[LintResult]:
        """The results of one file, those taken back by comments among them, in the order of its lines."""
        name = path if layers.is_path(path) else f"./{path}"
        try:
            stack = self.stack(path)
            with plugincalls.bounded(plugincalls.SECONDS):  # kinds of values are called directly
                composition = compose_here(stack, self.mechanisms, self.host, self.today, memory=self.memory)
            layer: Layer | None = stack.layers[-1]
            found = [*self._findings(composition), *document.in_stack(stack.layers[-1], composition)]
        except PluginError:
            raise
        except HardeningError as error:
            layer, found = self._faults(name, error)
        if layer is not None:
            found += document.findings(layer, self.named, [mechanism.name for mechanism in self.mechanisms])
        text = layer.document.text if layer is not None else _readable(name)
        lines = [line.removesuffix("\r")[:_LONGEST] for line in text.split("\n")]
        file = str(layer.document.file) if layer is not None else os.path.normpath(name)
        results = order(
            LintResult(
                finding,
                self.rules.described(finding.rule),
                file,
                line,
                lines[line - 1] if line <= len(lines) and finding.origin.startswith(f"{file}:") else "",
                drop,
                span=_span(layer.document, finding, drop) if layer is not None else None,
            )
            for finding, drop in found
            for line in [_line(finding.origin, file)]
        )
        if layer is None:
            return results
        self._layers.pop((Path(file), Owner.ANY), None)  # of thousands of files each is looked at once
        comments = suppression.comments(layer.document.text, self.rules)
        return order(suppression.applied(results, comments, self.rules, file, lines)) if comments else results

    def stack(self, path: str) -> Stack:
        """A file with what it extends, above what stands before all of them: it is the last layer. Raises `ProfileError`."""
        name = path if layers.is_path(path) else f"./{path}"
        found = layers.resolve((*self.before, name), self.search, reader=self._read)
        last = found.layers[-1].document.file
        if last is not None and os.path.realpath(last) != os.path.realpath(path):  # it is one of those before
            return layers.resolve((name,), self.search, reader=self._read)
        return found

    def all(self, paths: Sequence[str], *, alone: bool = False) -> list[LintResult]:
        """The results of several files, of many side by side unless this process does them ``alone``."""
        with aside():  # once for all of them: each call of a plugin would do it
            many = not alone and len(paths) >= MANY
            each = children.side_by_side(paths, self.lint) if many else map(self.lint, paths)
            return _once(order(result for results in each for result in results))

    def _read(self, path: Path, name: str, *, owner: Owner = Owner.ANY) -> Layer:
        known = self._layers.get((path, owner))
        if known is None:
            known = self._layers[path, owner] = read_layer(path, name, owner=owner)
        return known

    def forget(self, path: str) -> None:
        """Read a file anew, which has been changed."""
        real = os.path.realpath(path)
        self._layers = {key: item for key, item in self._layers.items() if os.path.realpath(key[0]) != real}

    def _findings(self, composition: Composition) -> Iterator[tuple[Finding, tuple[str | int, ...]]]:
        context = Context(
            self.host,
            composition.composed,
            profiles=composition.stack.files,
            limit=composition.limit,
            limits=composition.limits,
        )
        own = _Own(composition)
        for finding in composition.findings:
            if finding.rule == UNUSED and may_be_used(composition, self.host, own.layer, finding.leaf):
                continue
            if (placed := own.placed(finding)) is not None:
                yield placed, document.dropped(finding, own.exceptions)
        for finding in of_settings(self.plugins, composition, context):
            if (placed := own.placed(finding)) is not None:
                yield placed, ()

    def _faults(
        self, name: str, error: HardeningError
    ) -> tuple[Layer | None, list[tuple[Finding, tuple[str | int, ...]]]]:
        """Why a profile, or its stack, cannot be had: every fault of the file itself, and what its stack is refused for."""
        path = Path(os.path.normpath(name))
        each = Gathering()
        read = each.attempt(lambda: source.read(path, path.name.removesuffix(layers.SUFFIX)))
        layer = parse_layer(read, each) if read is not None else None
        if layer is not None:
            each.problems += self._malformed(layer)
        malformed = [fault for error in each.problems for fault in error.problems]
        known = {(str(item.origin), item.message) for item in malformed}
        refused = [item for item in error.problems if (str(item.origin), item.message) not in known]
        place = str(layer.document.origin(("extends",))) if layer is not None else f"{path}:1"
        found = [_fault(MALFORMED, item, str(path), place) for item in malformed]
        found += [_fault(REFUSED, item, str(path), place) for item in refused]
        return layer, [(finding, ()) for finding in found]

    def _malformed(self, layer: Layer) -> list[HardeningError]:
        # What has ended is no fault of the file: it was right once.
        found = list(wrong_headers(Stack((layer,)), self.mechanisms, date.min))
        for mechanism in self.mechanisms:
            found += each_fault(layer, mechanism, Reading(self.host, {}))
        return found


def may_be_used(composition: Composition, host: Host, layer: Layer, setting: str) -> bool:
    """Whether only a host tells if an exception of a layer for a setting is used: the layer states something that amounts to
    other values of that table there, as a volume does by what lies in it."""
    place, table = f"{layer.document.file}:", setting.partition(".")[0]
    return any(
        implied.leaf.mechanism == table and any(step.origin.startswith(place) for step in said.steps)
        for mechanism in composition.mechanisms
        for implied in mechanism.implies(composition.settings[mechanism.name], composition.limits(mechanism.name), host)
        if (said := composition.find(implied.by)) is not None
    )


class _Own:
    """Which of what is found is about the last layer of a stack, and where."""

    def __init__(self, composition: Composition) -> None:
        self.composition = composition
        self.layer = composition.stack.layers[-1]
        self.file = str(self.layer.document.file)
        self.prefix = f"{self.file}:"
        self.below = tuple(str(layer.document.file) for layer in composition.stack.layers[:-1])
        numbered = [*enumerate(self.layer.exceptions)]
        #: The number of the first exception at each line.
        self.exceptions = {str(exception.origin): number for number, exception in reversed(numbered)}

    def placed(self, finding: Finding) -> Finding | None:
        """A finding at its line there: where it is said to be, else where one of its leaves was stated or limited last, else
        at the first line, but for a note of what no layer speaks of, which each profile would have. None for what another
        layer says: that is told with the file of that one."""
        if finding.origin:
            if finding.origin.startswith(self.prefix):
                return finding
            return None if self._is_below(finding.origin) else attrs.evolve(finding, origin=f"{self.prefix}1")
        leaves = [leaf for leaf in (finding.leaf, *finding.also) if leaf]
        steps = [step for leaf in leaves for entry in self._entries(leaf) for step in entry.steps[::-1]]
        origin = next((step.origin for step in steps if step.origin.startswith(self.prefix)), None)
        below = any(self._is_below(step.origin) for step in steps)
        if origin is None and (below or (leaves and finding.severity is Severity.NOTE)):
            return None
        return attrs.evolve(finding, origin=origin or f"{self.prefix}1")

    def _is_below(self, origin: str) -> bool:
        return any(origin == file or origin.startswith(f"{file}:") for file in self.below)

    def _entries(self, leaf: str) -> Sequence[Resolved]:
        owner, _, below = leaf.partition(".")
        mechanism = self.composition.mechanism(owner)
        found = mechanism.schema.find(below) if mechanism is not None else None
        entry = self.composition.leaves.get(Leaf(owner, found[0].name, found[1])) if found is not None else None
        return [entry] if entry is not None else self.composition.meant(leaf)


def _fault(rule: str, error: HardeningError, file: str, otherwise: str) -> Finding:
    """An error as a finding of a file: what stands elsewhere is told where the file names it."""
    origin, message = str(error.origin or ""), error.message
    if not origin.startswith(f"{file}:"):
        message = f"{origin}: {message}" if origin and origin != file else message
        origin = otherwise if origin != file else f"{file}:1"
    return Finding(rule, Severity.ERROR, message, error.setting, origin, error.hint or "")


def _once(results: Sequence[LintResult]) -> list[LintResult]:
    """The results of several files, without what a stack is refused for and another of these files has as its own fault:
    that says which files wait for it."""
    own = {f"{item.finding.origin}: {item.finding.message}" for item in results}
    waiting: dict[str, list[str]] = {}
    for item in results:
        if item.finding.rule == REFUSED and item.finding.message in own:
            waiting.setdefault(item.finding.message, []).append(item.file)

    def told(item: LintResult) -> LintResult:
        files = waiting.get(f"{item.finding.origin}: {item.finding.message}")
        if files is None:
            return item
        hint = f"{item.hint}; until then no stack of {listed(files, 3)} composes"
        return attrs.evolve(item, finding=attrs.evolve(item.finding, hint=hint))

    return [told(item) for item in results if item.finding.rule != REFUSED or item.finding.message not in own]


def _span(document: Document, finding: Finding, drop: toml_lines.Path) -> tuple[int, int] | None:
    """The columns of the element of an array that a finding is about, by what `--fix` takes out, or by its setting."""
    path = drop or (document.elements.get(finding.leaf, ()) if finding.leaf.endswith("]") else ())
    if not path or not isinstance(path[-1], int):
        return None
    begins, ends = document.spans.get(path, (0, 0))
    text = document.text[begins:ends]
    if str(document.origin(path)) != finding.origin or text.startswith("[") or "\n" in text or not text:
        return None
    quotes = text[0] in "\"'" and len(text) > 2
    line = document.text.rfind("\n", 0, begins)
    return begins + quotes - line, ends - quotes - line


def _readable(name: str) -> str:
    """The text of a file that is no profile, whose lines are shown; empty where it cannot be read at all."""
    try:
        return wholefile.read(name, source.MAX_BYTES).decode(errors="replace")
    except OSError:
        return ""


class _Search(SearchPath):
    """Looks each name up once: most of many profiles extend the same few."""

    @cached_property
    def _known(self) -> dict[str, FoundProfile]:
        return {}

    def find(self, name: str, origin: Origin | None = None) -> FoundProfile:
        if name not in self._known:
            self._known[name] = super().find(name, origin)
        return self._known[name]


def _line(origin: str, file: str) -> int:
    number = origin.removeprefix(f"{file}:")
    return int(number) if number.isdecimal() and number != "0" else 1


def files(paths: Sequence[str], mechanisms: Sequence[Mechanism[Any]]) -> tuple[list[str], list[str]]:
    """The profiles that are meant: of a directory all in it, but for what is hidden, and for assertions beside a profile;
    and its other files of TOML, of which no key is one of a profile, or nearly. Raises `UsageError` for a path at which
    there is nothing, and for assertions."""
    found: dict[str, bool] = {}
    known = [*layers.HEADER, *(mechanism.name for mechanism in mechanisms)]
    for path in paths:
        if not os.path.lexists(path):
            hint = "name files or directories: names of profiles are looked up by -p"
            raise UsageError(f"there is no {path}", hint=wholefile.nearest_file(Path(path)) or hint)
        if not os.path.isdir(path):
            if path.endswith(layers.TEST_SUFFIX):
                raise UsageError("assertions are no profile", origin=path, hint=f"hardening test {quoted(path)}")
            found[path] = True
            continue
        for inner in layers.files_below(path):
            if not inner.endswith(layers.TEST_SUFFIX):
                found[inner] = found.get(inner) or not _is_another(inner, known)
    return [path for path, meant in found.items() if meant], [path for path, meant in found.items() if not meant]


def _is_another(path: str, known: Sequence[str]) -> bool:
    """Whether a file is TOML of another program, or of the machine; what cannot be read may be a profile."""
    try:
        keys = tomllib.loads(wholefile.read(path, source.MAX_BYTES).decode()).keys()
    except (OSError, ValueError, RecursionError):
        return False
    return bool(keys) and (keys <= {*machine.KEYS} or not any(key in known or nearest(key, known) for key in keys))
