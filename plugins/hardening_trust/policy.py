"""policy.json, as containers-policy.json(5) has it: reading, writing, and where it is found."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from hardening.base import places, state, wholefile
from hardening.base.values import frozen
from hardening.errors import ProfileError, UsageError
from hardening.profile.source import Document, Node
from hardening_trust.members import only
from hardening_trust.requirements import Requirements, dump_all, read_all
from hardening_trust.scopes import KNOWN, scope_problem

MAX_BYTES = 16 << 20
#: Where containers tools look for theirs, since podman 6.
VARIABLE = "CONTAINERS_POLICY_JSON"
USER = Path(".config/containers/policy.json")
SYSTEM = (Path("/etc/containers/policy.json"), Path("/usr/share/containers/policy.json"))
_TRANSPORT = re.compile("[a-z][a-z0-9-]*")


@frozen(eq=False)
class Policy:
    """A policy: what holds where no scope does, and the scopes of each transport, ``""`` being all of the transport.
    ``origins`` maps a transport and a scope, and ``("", "")`` for the default, to where they are said."""

    default: Requirements
    transports: Mapping[str, Mapping[str, Requirements]]
    origins: Mapping[tuple[str, str], str]
    source: str = ""


def default_path() -> Path:
    """The policy.json that containers tools read for the caller: the one that a variable names, or else the first that is
    there. Raises `UsageError` where there is none, and for a relative path in the variable."""
    named = places.named(os.environ, VARIABLE)
    if named is not None:
        return Path(named)
    home = state.home()
    among = [*([] if home is None else [home / USER]), *SYSTEM]
    found = next((path for path in among if path.exists()), None)
    if found is None:
        raise UsageError(
            "there is no policy.json of containers tools", hint=f"name a file: {' or '.join(map(str, among))}"
        )
    return found


def read(path: Path) -> Policy:
    """The policy in a file. Raises `ProfileError` with the line for anything that containers tools would refuse."""
    from hardening_trust.jsontree import document

    hint = "name a policy.json, as podman and skopeo read it"
    return parse(document(wholefile.read_trusted(path, "the policy", MAX_BYTES, hint=hint), path))


def parse(document: Document) -> Policy:
    """The policy in a document. Raises `ProfileError`; also for a transport that nothing can be, which containers tools
    pass over."""
    root = document.root
    only(root, ("default", "transports"))
    default = root.get("default")
    if default is None:
        origin = f"{document.file}:1"
        raise ProfileError("Default policy is missing", origin=origin, hint='write "default": [{"type": "reject"}]')
    origins = {("", ""): str(default.origin)}
    transports: dict[str, dict[str, Requirements]] = {}
    found = root.get("transports")
    for transport, table in _members(found) if found is not None else []:
        if not _TRANSPORT.fullmatch(transport):
            raise table.error(f'"{transport}" is not a transport', hint=f"transports are {', '.join(KNOWN)}")
        scopes = transports.setdefault(transport, {})
        for scope, node in _members(table):
            problem = scope_problem(transport, scope)
            if problem:
                raise node.error(f'Unknown key "{scope}"', hint=problem)
            scopes[scope] = read_all(node)
            origins[transport, scope] = str(node.origin)
    return Policy(read_all(default), transports, origins, str(document.file))


def _members(node: Node) -> list[tuple[str, Node]]:
    if not isinstance(node.raw, dict):
        raise node.error("JSON object expected", hint='write {"docker": {"SCOPE": [{"type": "reject"}]}}')
    return list(node.members())


def dump(policy: Policy) -> str:
    """The text of a policy.json that says the same."""
    data: dict[str, object] = {"default": dump_all(policy.default)}
    if policy.transports:
        data["transports"] = {
            transport: {scope: dump_all(requirements) for scope, requirements in sorted(scopes.items())}
            for transport, scopes in sorted(policy.transports.items())
        }
    return json.dumps(data, indent=2) + "\n"
