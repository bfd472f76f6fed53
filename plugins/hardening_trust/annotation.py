"""What a configuration says is required of its image: the annotation that a launch is judged by.

A bundle is run without any profile, perhaps long after it was composed. So the policy of its stack goes with it, as far as
it concerns its image: the requirements of the scope that decided, as policy.json has them. They are part of what is audited,
like everything else in `config.json`; keys are named by their paths, and what lies there is looked at when a bundle is run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hardening.base import jsontext
from hardening.base.pointer import lookup
from hardening.errors import ProfileError
from hardening.images import reference
from hardening.mechanism import used
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Violation
from hardening.mechanism.schema import Leaf
from hardening.profile.source import Document, Node
from hardening_trust.kinds import RequirementsKind
from hardening_trust.requirements import Requirements, all_paths, dump_all, read_all, together

if TYPE_CHECKING:
    from hardening.mechanism.used import Used
    from hardening_trust.settings import TrustSettings

ANNOTATION = "org.hardening.trust.requirements"
POINTER = f"/annotations/{ANNOTATION}"
_HINT = "compose the bundle again"


def contribute(settings: TrustSettings, image: Used, fragment: Fragment) -> None:
    """Write down what the settings require of an image. Raises `UsageError` for a name that no scope is looked up by."""
    match = settings.match(reference.parse(image.reference))
    _write(match.requirements, match.member, fragment)


def tighten(settings: TrustSettings, document: Mapping[str, Any], fragment: Fragment) -> Iterator[Violation]:
    """Require of the image that a configuration names what the settings do, beside what it requires itself. Raises
    `ImageError`, `ProfileError` and `LaunchError` for annotations that are malformed."""
    image = used.of(document)
    if image is None:
        return
    match = settings.match(reference.parse(image.reference))
    asked = read(document)
    found = match.requirements if asked is None else together([*match.requirements, *asked])
    if asked is not None and found != asked:
        show = RequirementsKind().show
        yield Violation(POINTER, show(asked), show(found), str(_leaf(match.member)))
    _write(found, match.member, fragment)


def _write(requirements: Requirements, member: str, fragment: Fragment) -> None:
    text = json.dumps(dump_all(requirements), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    fragment.put(POINTER, text, str(_leaf(member)))


def _leaf(member: str) -> Leaf:
    from hardening_trust.settings import SCOPES

    return Leaf("trust", SCOPES, member)


def read(document: Mapping[str, Any]) -> Requirements | None:
    """What a configuration requires of its image; None where it does not say. Raises `ProfileError` and `LaunchError` for
    what is malformed: nobody knows what it would have required."""
    text = lookup(document, POINTER)
    if text is None:
        return None
    if not isinstance(text, str):
        raise ProfileError("must be a string", origin=POINTER, hint=_HINT)
    raw = jsontext.parse(text.encode("utf-8", "replace"), POINTER)
    found = read_all(Node(raw, (ANNOTATION,), Document("config.json", None, {}, {(ANNOTATION,): POINTER})))
    if not all(path.startswith("/") for path in all_paths(found)):
        raise ProfileError("the path of a file is absolute", origin=POINTER, hint=_HINT)
    return found
