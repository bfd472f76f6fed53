"""Rules of one file, and of what it says beside the layers before it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence

from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.compose.fold import Outcome, Resolved
from hardening.compose.rules import LINT, OF_LINT
from hardening.mechanism.findings import IDLE_REQUIREMENT, UNUSED, Finding
from hardening.profile.layers import HEADER, FoundProfile, Layer
from hardening.profile.source import Origin
from hardening.profile.toml_lines import Path

Found = tuple[Finding, Path]


def findings(layer: Layer, named: Sequence[FoundProfile], mechanisms: Collection[str]) -> Iterator[Found]:
    """Those of the file alone, each with the path in the document that `--fix` takes out; ``named`` are the profiles that
    have a name. Of what no profile has, such as a name of one of the ``mechanisms`` that is mistyped, nobody knows that it
    says nothing."""
    known = {key: value for key, value in layer.document.tables.items() if key in mechanisms or key in HEADER}
    yield from _shadowed(layer, named)
    yield from _endless(layer)
    yield from _repeated(layer, known)
    yield from _empty(layer, known)


def dropped(finding: Finding, exceptions: Mapping[str, int]) -> Path:
    """What `--fix` takes out of a document for a finding of composing; nothing where a person decides. ``exceptions`` are
    the numbers of those of the document, by their lines."""
    if finding.rule == UNUSED:
        number = exceptions.get(finding.origin)
        return ("exceptions", number) if number is not None else ()
    if finding.rule == IDLE_REQUIREMENT:
        return tuple(finding.leaf.split("."))
    return ()


def _finding(rule: str, message: str, origin: Origin | str, hint: str, leaf: str = "") -> Finding:
    return Finding(f"{LINT}/{rule}", OF_LINT[rule].severity, message, leaf, str(origin), hint)


def _shadowed(layer: Layer, named: Sequence[FoundProfile]) -> Iterator[Found]:
    file = layer.document.file
    alike = [found for found in named if found.name == layer.name and file is not None]
    other = next((found for found in alike if os.path.realpath(found.path) != os.path.realpath(str(file))), None)
    if other is not None:
        text = f'"{layer.name}" is the name of another profile, {other.path} ({other.owner})'
        yield _finding("shadowed-name", text, f"{file}:1", "give this file a name of its own"), ()


def _endless(layer: Layer) -> Iterator[Found]:
    for exception in layer.exceptions:
        if exception.expires is None and not layer.shipped:
            text = f"the exception for {exception.setting} has no last day"
            hint = "add expires = YYYY-MM-DD, by which it is reviewed"
            yield _finding("endless-exception", text, exception.origin, hint, exception.setting), ()


def _repeated(layer: Layer, known: Mapping[str, object]) -> Iterator[Found]:
    def walk(value: object, path: Path) -> Iterator[Found]:
        if isinstance(value, Mapping):
            for key, item in value.items():
                yield from walk(item, (*path, key))
        elif isinstance(value, list):
            seen: set[str] = set()
            for index, item in enumerate(value):
                if isinstance(item, str) and item in seen:
                    origin = layer.document.origin((*path, index))
                    text = f'"{item}" stands there twice'
                    yield _finding("repeated-element", text, origin, "remove one"), (*path, index)
                elif isinstance(item, str):
                    seen.add(item)
                else:
                    yield from walk(item, (*path, index))

    yield from walk(known, ())


def _empty(layer: Layer, known: Mapping[str, object]) -> Iterator[Found]:
    for key, value in known.items():
        if isinstance(value, Mapping) and not value and key not in ("findings", "learnt"):
            text = f"[{key}] says nothing"
            yield _finding("empty-table", text, layer.document.origin((key,)), "remove it"), (key,)


@frozen(eq=False)
class _Statement:
    """What a line of the layer says of one leaf, and who said the same before; None where it changes something."""

    leaf: str
    before: str | None


def in_stack(layer: Layer, composition: Composition) -> Iterator[Found]:
    """Those of what it says beside the layers before it."""
    prefix = f"{layer.document.file}:"
    stated: dict[str, list[_Statement]] = {}
    unreached: dict[str, Finding] = {}
    spoken = {*layer.tables, *layer.limits} if layer.complete is None else {*composition.settings}
    for resolved in (entry for leaf, entry in composition.leaves.items() if leaf.mechanism in spoken):
        for index, step in enumerate(resolved.steps):
            if step.layer != layer.name or not step.origin.startswith(prefix):
                continue
            if step.outcome is Outcome.LIMIT:
                if (finding := _beyond(resolved, index)) is not None:
                    unreached.setdefault(step.origin, finding)
                continue
            # What a member of a family says may undo what the same layer says of all its members.
            same = step.outcome is Outcome.SAME and index and not resolved.leaf.member
            before = resolved.steps[index - 1].origin if same else None
            stated.setdefault(step.origin, []).append(_Statement(str(resolved.leaf), before))
    yield from ((finding, ()) for finding in unreached.values())
    for origin, statements in stated.items():
        if all(item.before is not None for item in statements):
            text = f"{statements[0].leaf} is said by {statements[0].before} already"
            yield _finding("restated", text, origin, "leave it out, or say why", statements[0].leaf), ()


def _beyond(resolved: Resolved, index: int) -> Finding | None:
    """A limit that an earlier one, which is stricter, leaves no room for."""
    step, kind = resolved.steps[index], resolved.kind
    before = [item for item in resolved.steps[:index] if item.outcome is Outcome.LIMIT]
    strictest = next(
        (item for item in before if not kind.is_no_looser_than(step.given, item.given) and item.origin != step.origin),
        None,
    )
    if strictest is None:
        return None
    text = (
        f"limits.{resolved.leaf}: {kind.show(step.given)} cannot be reached: the limit {kind.show(strictest.given)} set at "
        f"{strictest.origin} is stricter"
    )
    hint = f"stay within {kind.show(strictest.given)}, or have {strictest.origin} changed"
    return _finding("unreachable-limit", text, step.origin, hint, str(resolved.leaf))
