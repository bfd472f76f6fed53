"""Checks of what one mechanism does beyond its settings: what it contributes, what it makes of a foreign configuration, what
it looks at, and what it says of a process. Each gives what it found broken, as `hardening.testing.laws` does."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from hardening.assemble.pipeline import examine
from hardening.base.pointer import lookup
from hardening.compose.composition import Composition
from hardening.compose.rules import RuleRegistry
from hardening.errors import HardeningError, PluginError
from hardening.launch.config.bundle import HELPERS, Bundle
from hardening.launch.config.confinement import POINTER, helpers
from hardening.launch.record.receipt import Report
from hardening.mechanism.findings import Finding
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Input, Unknown
from hardening.mechanism.mechanism import Mechanism
from hardening.mechanism.schema import Family, Scalar
from hardening.runs.receipt import verify
from hardening.testing.kinds import Broken, check_kind
from hardening.testing.laws import Case, attempt, check_mechanism
from hardening.testing.stacks import contribute, registered, tighten

#: The file behind a kind of input whose argument is none.
_OF_KINDS = {"mounts": "/proc/self/mountinfo"}
#: Files that Python itself opens, whoever asks for what.
_LIBRARIES = tuple({os.path.realpath(path) for path in (sys.prefix, sys.base_prefix, os.path.dirname(os.__file__))})


def check_all(mechanism: Mechanism[Any], host: Host, others: Sequence[Mechanism[Any]] = ()) -> list[Broken]:
    """Every law and check of one mechanism, its kinds' too; ``others`` are those that it names in ``after``."""
    broken: list[Broken] = []
    for setting in mechanism.schema.fields.values():
        broken += check_kind(setting.kind, written=not (isinstance(setting, Family) and setting.listed))
    for check in (check_mechanism, check_contribute, check_tighten, check_inputs, check_verify):
        broken += check(mechanism, host, others)
    return list(dict.fromkeys(broken))


def check_contribute(mechanism: Mechanism[Any], host: Host, others: Sequence[Mechanism[Any]] = ()) -> list[Broken]:
    """For each sample: it contributes, by settings of its own, and the same when it is asked again."""
    face = registered(mechanism)
    return [*_each(mechanism, host, others, lambda found: _contributes(face, found, host))]


def _contributes(face: Mechanism[Any], found: Composition, host: Host) -> Iterator[Broken]:
    spec = contribute(face, found, host)
    if contribute(face, found, host).config != spec.config:
        yield Broken("contribute is deterministic", f"{face.name} contributes something else when it is asked again")


def check_tighten(mechanism: Mechanism[Any], host: Host, others: Sequence[Mechanism[Any]] = ()) -> list[Broken]:
    """What it contributes itself stays as it is, and nothing of it is told. What was tightened once stays as it is. What a
    looser setting contributes becomes, tightened, at most as loose as what the stricter one contributes: of a scalar, the
    same."""
    face = registered(mechanism)
    broken = [*_each(mechanism, host, others, lambda found: _fixed(face, found, host))]
    for setting in mechanism.schema.fields.values():
        if not isinstance(setting, Scalar) or setting.kind.unordered:
            continue
        for loose, strict in itertools.permutations(setting.kind.samples(), 2):
            if setting.kind.is_no_looser_than(strict, loose) and not setting.kind.is_no_looser_than(loose, strict):
                broken += _cut(face, mechanism, host, others, setting, loose, strict)
    return list(dict.fromkeys(broken))


def _fixed(face: Mechanism[Any], found: Composition, host: Host) -> Iterator[Broken]:
    document = contribute(face, found, host).document
    kept, violations = tighten(face, document, found, host)
    if violations:
        yield Broken("what is contributed is within the settings", f"{violations[0]}")
    elif _differs(kept, document):
        yield Broken("what is contributed stays as it is", _differs(kept, document))
    elif helpers(document) and not helpers(tighten(face, _without_helpers(document), found, host)[0]):
        yield Broken("tighten leaves nothing looser", f"{face.name} confines the command in contribute alone")
    again, more = tighten(face, kept, found, host)
    if _differs(again, kept) or more:
        yield Broken("tighten is idempotent", _differs(again, kept) or f"{more[0]}")


def _without_helpers(document: Mapping[str, Any]) -> dict[str, Any]:
    annotations = {key: text for key, text in document["annotations"].items() if key != HELPERS}
    return {**document, "annotations": annotations}


def _cut(
    face: Mechanism[Any],
    mechanism: Mechanism[Any],
    host: Host,
    others: Sequence[Mechanism[Any]],
    setting: Scalar[Any],
    loose: object,
    strict: object,
) -> Iterator[Broken]:
    stacks = [Case({(setting.name, ""): value}) for value in (loose, strict)]
    above, below = (attempt(mechanism, host, [case], others) for case in stacks)
    if not isinstance(above, Composition) or not isinstance(below, Composition):
        return
    try:
        asked, wanted = contribute(face, above, host), contribute(face, below, host)
        kept, violations = tighten(face, asked.document, below, host)
    except HardeningError:
        return  # told by `check_contribute`, or of a host that cannot
    name = str(mechanism.leaf(setting.name))
    # Each helper that a foreign configuration brings confines the command further: `_fixed` has those of its own.
    decided = [pointer for pointer, leaves in wanted.leaves.items() if leaves == (name,) and pointer != POINTER]
    for pointer in (place for place in decided if not place.rpartition("/")[2].isdigit()):  # items have no fixed place
        was, is_now, right = (lookup(document, pointer) for document in (asked.document, kept, wanted.document))
        shown = f"{name}: {setting.kind.show(loose)} under {setting.kind.show(strict)}: {pointer}"
        if was != right and is_now != right:
            yield Broken("tighten leaves nothing looser", f"{shown} is {_shown(is_now)} where {_shown(right)} is")
        elif was is not None and was != right and not violations:
            yield Broken("tighten tells what it cuts", f"{shown} was {_shown(was)}")


def check_inputs(mechanism: Mechanism[Any], host: Host, others: Sequence[Mechanism[Any]] = ()) -> list[Broken]:
    """What it opens while it checks, contributes and looks for findings is what `inputs` declares (sys.addaudithook),
    for the strict defaults and each sample; what it probes is what it declares for some of them. What is only asked for its
    existence or status is not seen here. What it finds is of its `rules`, where it names any."""
    face, opened = registered(mechanism), OpenWatch()
    rules = RuleRegistry([face])
    everything: list[Input | Unknown] = []

    def looks(found: Composition) -> Iterator[Broken]:
        settings, context = found.settings[face.name], examine(found, host)
        declared = list(face.inputs(settings, context))
        everything.extend(declared)
        said: list[Iterable[Finding]] = []
        paths = opened.by(lambda: face.check(settings, context))
        paths |= opened.by(lambda: said.append(face.findings(settings, context)))
        paths |= opened.by(lambda: contribute(face, found, host, context))
        yield from (_forgotten(face, path) for path in undeclared(paths, declared))
        for rule in {item.rule for item in said[0] if face.rules() and rules.find(item.rule) is None}:
            yield Broken("rules name what is found", f"{rule} is none of them, so that no profile can name it")

    broken = [*_each(mechanism, host, others, looks)]
    broken += [_forgotten(face, path) for path in undeclared(opened.by(lambda: face.probe(host)), everything)]
    return list(dict.fromkeys(broken))


def _forgotten(mechanism: Mechanism[Any], path: str) -> Broken:
    return Broken("inputs name what is looked at", f"{mechanism.name} opens {path}, which its inputs leave out")


class OpenWatch:
    """The whole paths that are opened, or listed, while it watches, but for those of Python and of modules that are imported
    (sys.addaudithook: what was added stays, and hears nothing afterwards)."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self._libraries = (*_LIBRARIES, *(os.path.realpath(path) for path in sys.path if path))
        self._watches = False
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._watches and event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], str | bytes):
            path = os.fsdecode(arguments[0])
            if (
                path[:1] == "/"
                and path != "/"
                and not path.endswith((".py", ".pyc"))
                and not path.startswith(self._libraries)
            ):
                self.paths.add(os.path.normpath(path))

    def by(self, ask: Callable[[], object]) -> set[str]:
        """Those of one question."""
        self.paths.clear()
        self._watches = True
        try:
            ask()
        finally:
            self._watches = False
        return set(self.paths)


def undeclared(opened: Iterable[str], declared: Iterable[Input | Unknown]) -> list[str]:
    """The paths of which no input names what is in them; none where something is unknown, and nothing is stored."""
    known = set()
    for item in declared:
        if isinstance(item, Unknown):
            return []
        if item.kind != "name":  # which says that there is something of the name, and where it leads
            known.add(_OF_KINDS.get(item.kind, item.argument.partition("\n")[0].rstrip("/")))
    return sorted(set(opened) - known)


def gathered(pid: int | None = None, document: Mapping[str, Any] | None = None, directory: str = "/") -> dict[str, Any]:
    """What the launcher would write of a process, by default this one, whose configuration is ``document`` in a bundle."""
    bundle = Bundle(directory=directory, document=dict(document or {}), text=b"", sha256="")
    return Report(bundle, None).gather(os.getpid() if pid is None else pid)


def check_verify(mechanism: Mechanism[Any], host: Host, others: Sequence[Mechanism[Any]] = ()) -> list[Broken]:
    """Of a process, here this one, it says something of each setting that restricts it and that is not in `before_launch`;
    what no line names makes a receipt that never holds."""
    found = attempt(mechanism, host, [Case()], others)
    if not isinstance(found, Composition):
        return [Broken("strict defaults compose", str(found))]
    face = registered(mechanism)
    try:
        context = attrs.evolve(examine(found, host), spec=contribute(face, found, host))
        report = gathered()
        report |= {key: report[key].splitlines() for key in ("mountinfo", "caller_mountinfo")}
        lines = [line for line in verify(found, context, report) if line.leaf.startswith(f"{mechanism.name}.")]
    except HardeningError as error:
        return [Broken("verify answers", str(error))]
    return [
        Broken("verify names each setting", f"{line.leaf} is neither compared nor in before_launch")
        for line in lines
        if line.kernel.endswith("does not look at it")
    ]


def _each(
    mechanism: Mechanism[Any],
    host: Host,
    others: Sequence[Mechanism[Any]],
    ask: Callable[[Composition], Iterator[Broken]],
) -> Iterator[Broken]:
    """What is broken under the strict defaults, and under each sample alone that composes."""
    cases = [Case(), *(Case({(setting, member): value}) for setting, member, value in mechanism.samples())]
    for case in cases:
        found = attempt(mechanism, host, [case], others)
        if isinstance(found, Composition):
            try:
                yield from ask(found)
            except PluginError as error:
                yield Broken("it answers", f"{error}")
            except HardeningError:
                continue  # a sample that this host, or these settings, cannot have


def _differs(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """The first member in which two parts of configurations differ, with both values; empty where there is none. Mounts are
    of those who name mount points, and of whoever makes the root."""
    for key in sorted({*found, *wanted} - {"mounts"}):
        if found.get(key) != wanted.get(key):
            return f"/{key} is {_shown(found.get(key))} where {_shown(wanted.get(key))} is"
    return ""


def _shown(value: object) -> str:
    return json.dumps(value, sort_keys=True)[:200]
