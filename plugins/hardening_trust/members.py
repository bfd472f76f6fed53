"""What requirements are written with: checked keys, keys in base64, and the members that are only carried."""

from __future__ import annotations

import binascii
from collections.abc import Sequence

from hardening.base.text import nearest
from hardening.profile.source import Node

REKOR = ("rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData", "rekorPublicKeyDatas")
_REKOR_LIST = "rekorPublickeyPath, rekorPublicKeyPaths, rekorPublickeyData and rekorPublicKeyDatas"
_FULCIO = ("caPath", "caData", "oidcIssuer", "subjectEmail")
_PKI = (
    "caRootsPath", "caRootsData", "caIntermediatesPath", "caIntermediatesData", "subjectEmail", "subjectHostname",
)  # fmt: skip


def only(node: Node, known: Sequence[str]) -> None:
    """Refuse a table with a key that is not ``known``."""
    for key, member in node.members():
        if key not in known:
            raise member.error(f'Unknown key "{key}"', hint=nearest(key, known) or f"known: {', '.join(known)}")


def encoded(data: bytes) -> str:
    """Bytes in base64, on one line."""
    return binascii.b2a_base64(data, newline=False).decode()


def decoded(node: Node) -> bytes:
    """What a text in base64 stands for; lines may be broken. Raises `ProfileError`."""
    text = node.string().replace("\r", "").replace("\n", "")
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise node.error("illegal base64 data", hint="write what `base64 -w0 FILE` prints") from None


def carried(node: Node) -> dict[str, object]:
    """The members of a `sigstoreSigned` that are not looked at, whose form is checked all the same."""
    found: dict[str, object] = {}
    rekor = [name for name in REKOR if node.get(name) is not None]
    if len(rekor) > 1:
        raise node.error(f"at most one of {_REKOR_LIST} can be used simultaneously", hint=f"keep {rekor[0]}")
    for name in rekor:
        found[name] = _material(node.child(name, node.table()[name]), name.endswith("s"), "Data" in name)
    if rekor and node.get("pki") is not None:
        raise node.error(f"{_REKOR_LIST} are not supported for pki", hint=f"leave {rekor[0]} out")
    for name, known in (("fulcio", _FULCIO), ("pki", _PKI)):
        part = node.get(name)
        if part is not None:
            found[name] = _part(part, known)
            (_require_fulcio if name == "fulcio" else _require_pki)(part)
    if "fulcio" in found and not rekor:
        raise node.error(
            f"At least one of {_REKOR_LIST} must be specified if fulcio is used", hint="name its log's key"
        )
    return found


def _material(node: Node, several: bool, binary: bool) -> object:
    items = list(node.items()) if several else [node]
    texts = [encoded(decoded(item)) if binary else item.string() for item in items]
    return texts if several else texts[0]


def _part(node: Node, known: Sequence[str]) -> dict[str, object]:
    if not isinstance(node.raw, dict):
        raise node.error("JSON object expected", hint=f"with {', '.join(known)}")
    only(node, known)
    return {key: _material(member, False, key.endswith("Data")) for key, member in node.members()}


def _require_fulcio(node: Node) -> None:
    _one(node, "caPath", "caData", needed=True)
    for name in ("oidcIssuer", "subjectEmail"):
        if not node.table().get(name):
            raise node.error(
                f"{name} not specified", hint="both the subject and the issuer of a certificate are checked"
            )


def _require_pki(node: Node) -> None:
    _one(node, "caRootsPath", "caRootsData", needed=True)
    _one(node, "caIntermediatesPath", "caIntermediatesData", needed=False)
    if not node.table().get("subjectEmail") and not node.table().get("subjectHostname"):
        raise node.error("At least one of subjectEmail, subjectHostname must be specified", hint="say who has signed")


def _one(node: Node, path: str, data: str, *, needed: bool) -> None:
    given = [name for name in (path, data) if name in node.table()]
    if len(given) == 2:
        raise node.error(f"{path} and {data} cannot be used simultaneously", hint=f"keep {path}")
    if needed and not any(node.table().get(name) for name in given):
        raise node.error(f"At least one of {path} and {data} must be specified", hint="name the certificates to trust")
