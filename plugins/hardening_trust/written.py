"""Requirements as a profile has them: objects of a policy.json, and short forms of those that people write."""

from __future__ import annotations

import os
from collections.abc import Sequence

from hardening.base.text import nearest
from hardening.profile.source import Node
from hardening_trust.ends import WORDS, read_word
from hardening_trust.requirements import (
    ACCEPT,
    GPG_KEYS,
    REJECT,
    Accept,
    MatchExact,
    MatchRepository,
    Requirement,
    Requirements,
    SignedBy,
    SigstoreSigned,
    all_paths,
    dump_one,
    read_one,
    together,
)

_SHORT = ("signedBy", "sigstoreSigned")
_OF_KEYS = {"keyPath", "keyPaths"}


def read_all(nodes: Sequence[Node]) -> Requirements:
    """What requires all of the nodes. Raises `ProfileError`."""
    return together([_read(node) for node in nodes])


def samples() -> Sequence[Requirements]:
    """Sets that differ in every way the order knows."""
    one, other = SignedBy(("/one.gpg",)), SignedBy(("/other.gpg",), identity=MatchRepository())
    cosigned = SigstoreSigned(("/cosign.pub",))
    either, exact = SignedBy(("/one.gpg", "/other.gpg")), SignedBy(("/one.gpg",), identity=MatchExact())
    sets: list[set[Requirement]] = [{one}, {one, other}, {other, cosigned}, {either}, {exact}]
    return (ACCEPT, REJECT, *(frozenset(found) for found in sets))


def _read(node: Node) -> Requirement:
    """One requirement: a word, an object as policy.json has it, or the short form of one."""
    if isinstance(node.raw, str):
        (word,) = read_word(node) or (Accept(),)
        return word
    table = dict(node.table())
    if "type" not in table:
        table = _spelt_out(node, table)
    if isinstance(table.get("signedIdentity"), str):
        table["signedIdentity"] = {"type": table["signedIdentity"]}
    for name in _OF_KEYS & table.keys():
        table[name] = _rooted(node, table[name])
    found = read_one(Node(table, node.path, node.document))
    for path in all_paths([found]):
        if not path.startswith("/"):
            raise node.error(f'"{path}" is not an absolute path', hint="a key is a file of the host: /etc/…/key.gpg")
    return found


def _rooted(node: Node, keys: object) -> object:
    """The path of a file of keys, or several: a relative one starts at the folder of the profile that says it."""
    if isinstance(keys, list):
        return [_rooted(node, item) for item in keys]
    return os.path.abspath(node.document.reached(keys)) if isinstance(keys, str) and keys else keys


def _spelt_out(node: Node, table: dict[str, object]) -> dict[str, object]:
    """The object that `signedBy = KEY` stands for: a path, several, or a table with `keyData` and its like."""
    given = [kind for kind in _SHORT if kind in table]
    if len(given) != 1:
        scope = _unquoted(node, table)
        if scope:
            raise node.error(
                f"{scope} is read as tables in tables, because quotes are missing", hint=f'write "{scope}" = …'
            )
        key = next((key for key in table if key not in (*_SHORT, "signedIdentity")), "")
        hint = nearest(key, (*_SHORT, "signedIdentity")) or 'write { signedBy = "/path/to/key.gpg" }'
        raise node.error("a requirement has either signedBy or sigstoreSigned", hint=hint)
    kind, keys = given[0], table.pop(given[0])
    beside = next((key for key in table if key != "signedIdentity"), None)
    if beside is not None:
        raise node.error(f'"{beside}" does not go beside {kind}', hint=f"write it inside: {kind} = {{ {beside} = … }}")
    if isinstance(keys, str):
        sources: dict[str, object] = {"keyPath": keys}
    elif isinstance(keys, dict):
        sources = keys
    else:
        sources = {"keyPaths": keys}
    base: dict[str, object] = {"type": kind, **({"keyType": GPG_KEYS} if kind == "signedBy" else {})}
    return {**base, **sources, **table}


def _unquoted(node: Node, table: dict[str, object]) -> str:
    """The scope that was written without quotes, as in `docker.io = "accept"`; empty where that cannot be meant."""
    names = [str(node.path[-1])]
    found: object = table
    while isinstance(found, dict) and found and found.keys().isdisjoint((*_SHORT, "type")):
        key, found = next(iter(found.items()))
        names.append(key)
    said = found if isinstance(found, list) else [found]
    meant = all(item in WORDS if isinstance(item, str) else isinstance(item, dict) and item for item in said)
    return ".".join(names) if len(names) > 1 and meant else ""


def dump(requirement: Requirement) -> dict[str, object]:
    """The short form where there is one."""
    data = dump_one(requirement)
    kind = data.pop("type")
    if kind not in _SHORT or data.pop("keyType", GPG_KEYS) != GPG_KEYS:
        return dump_one(requirement)
    identity = data.pop("signedIdentity", None)
    keys = data.get("keyPath", data.get("keyPaths")) if len(data) == 1 else None
    short: dict[str, object] = {str(kind): data if keys is None else keys}
    if isinstance(identity, dict):
        short["signedIdentity"] = identity["type"] if len(identity) == 1 else identity
    return short
