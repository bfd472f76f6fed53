"""What a bundle says of its own composition, in annotations: the launcher, which composes nothing, records it, and puts
values of variables into a receipt where they say that it may.

The records are written by `hardening.launch.record.record` and read by `hardening.runs.records`; the variables are read by
`hardening.launch.config.variables`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from hardening.assemble.enforcement import NOT_ASKED, enforcement
from hardening.base.pointer import ENVIRONMENT
from hardening.compose.composition import Composition
from hardening.launch.config.bundle import EXCEPTIONS, MECHANISMS, PROFILES, STATES, VARIABLES
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.host import Host
from hardening.mechanism.mechanism import Unsupported
from hardening.profile.layers import Layer

STATEMENTS = (PROFILES, EXCEPTIONS, MECHANISMS, VARIABLES)


def statements(
    composition: Composition, unsupported: Iterable[Unsupported], fragments: Iterable[Fragment], host: Host
) -> dict[str, str | None]:
    """What the launcher must know of a composition to record it and to write its receipt, as annotations of the bundle.
    None removes one."""
    # The command line's own layer has no digest: one over short values would betray them.
    profiles = [
        {"name": layer.name, "sha256": layer.document.digest or None, **_metadata(layer)}
        for layer in composition.stack.layers
    ]
    exceptions = {
        (exception.setting, str(exception.origin)): exception.data for _, exception in composition.used_exceptions()
    }
    states: dict[str, list[str]] = {state: [] for state in STATES}
    for item in enforcement(composition, unsupported, host):
        if item.state != NOT_ASKED:
            states[item.state.replace(" ", "_")].append(item.mechanism)
    public = sorted(
        name
        for fragment in fragments
        for (pointer, name), item in fragment.items.items()
        if pointer == ENVIRONMENT
        and item.public
        and (item.derived or not composition.is_typed(item.leaves, str(item.value).partition("=")[2]))
    )
    return {
        VARIABLES: _text(public) if public else None,
        PROFILES: _text(profiles),
        EXCEPTIONS: _text(list(exceptions.values())) if exceptions else None,
        MECHANISMS: _text(states),
        **(composition.image.annotations if composition.image is not None else {}),
    }


def _metadata(layer: Layer) -> dict[str, str]:
    """What a record says of a profile besides: which version it is, and whose."""
    said = layer.metadata
    fields = {"version": said.version, "owner": said.owner} if said is not None else {}
    return {name: text for name, text in fields.items() if text}


def with_statements_of(other: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with what ``other`` says of its own composition, so that both can be compared in all else."""
    said = {name: text for name, text in other.get("annotations", {}).items() if name in STATEMENTS}
    kept = {name: text for name, text in document.get("annotations", {}).items() if name not in STATEMENTS}
    return {**document, "annotations": kept | said} if kept or said else dict(document)


def _text(data: object) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))
