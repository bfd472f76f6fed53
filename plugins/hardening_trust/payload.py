"""What a signature says: the JSON inside it, of simple signing and of sigstore, which differ in the name of their type.

``containers-signature(5)`` describes it. A reader of JSON that shrugs at a repeated or an unknown member lets two programs
read two meanings into one signature, so everything outside ``optional`` has to be exactly what it is meant to be.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping
from typing import Any

import attrs

from hardening import __version__

SIMPLE = "atomic container signature"
SIGSTORE = "cosign container image signature"

_DIGEST = "docker-manifest-digest"
_REFERENCE = "docker-reference"
#: As deep as JSON may be nested in a payload: far more than anybody writes, far less than Python's stack.
_DEEPEST = 200


class PayloadError(ValueError):
    """The bytes are no such payload; the text says why."""


@attrs.frozen
class Payload:
    """What has been signed: the digest of a manifest, and the name that it was signed under. ``creator`` and ``timestamp``
    (seconds since 1970) are for people to read; nothing is decided by them."""

    digest: str
    reference: str
    creator: str | None = None
    timestamp: int | None = None


def made(digest: str, reference: str) -> bytes:
    """The bytes to sign now that say: the manifest of this digest is ``reference``."""
    return write(Payload(digest, reference, f"hardening {__version__}", int(time.time())))


def write(payload: Payload, kind: str = SIMPLE) -> bytes:
    """The bytes to sign, as containers/image writes them: members sorted, no spaces, and `<`, `>` and `&` escaped."""
    optional: dict[str, object] = {}
    if payload.creator is not None:
        optional["creator"] = payload.creator
    if payload.timestamp is not None:
        optional["timestamp"] = payload.timestamp
    identity, image = {_REFERENCE: payload.reference}, {_DIGEST: payload.digest}
    document = {"critical": {"identity": identity, "image": image, "type": kind}, "optional": optional}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text.encode()


def read(data: bytes, kind: str = SIMPLE) -> Payload:
    """The payload that ``data`` is. Raises `PayloadError`."""
    top = _exact(_parsed(data), "", "critical", "optional")
    creator, timestamp = _optional(top["optional"], kind)
    critical = _exact(top["critical"], "critical", "type", "image", "identity")
    if critical["type"] != kind:
        raise PayloadError(f"Unrecognized signature type {_shown(critical['type'])}")
    image = _exact(critical["image"], "critical.image", _DIGEST)
    identity = _exact(critical["identity"], "critical.identity", _REFERENCE)
    digest = _text(image[_DIGEST], f"critical.image.{_DIGEST}")
    from hardening.base.digest import is_digest

    if not is_digest(digest):
        raise PayloadError(f"invalid {_DIGEST} value {_shown(digest)}")
    return Payload(digest, _text(identity[_REFERENCE], f"critical.identity.{_REFERENCE}"), creator, timestamp)


class _Object(list[tuple[str, Any]]):
    """The members of a JSON object, repeated ones too."""


def _parsed(data: bytes) -> object:
    text = data.decode(
        "utf-8", "replace"
    )  # a byte order mark, or UTF-16, is no JSON to the programs that we agree with
    if _depth(text) > _DEEPEST:
        raise PayloadError("the payload is nested too deeply")
    try:
        return json.loads(
            text, object_pairs_hook=_Object, parse_constant=_no_constant, parse_float=_number, parse_int=_number
        )
    except json.JSONDecodeError as error:
        raise PayloadError(f"the payload is not JSON: {error.msg} at byte {error.pos}") from None


def _depth(text: str) -> int:
    """How deep brackets are nested, whatever stands between them; those in strings are none."""
    deepest = depth = 0
    for mark in re.finditer(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', text, re.DOTALL):
        depth += (mark[0] in "[{") - (mark[0] in "]}")
        deepest = max(deepest, depth)
    return deepest


def _no_constant(word: str) -> object:
    raise PayloadError(f"the payload is not JSON: {word}")


def _number(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise PayloadError("a number in the payload is too large")
    return value


def _exact(value: object, place: str, *members: str) -> Mapping[str, Any]:
    """The members of an object that has these, each once, and no others."""
    found = _members(value, place)
    for name in found:
        if name not in members:
            raise PayloadError(f"Unknown key {_shown(name)}{_at(place)}")
    for name in members:
        if name not in found:
            raise PayloadError(f"Key {_shown(name)} missing{_at(place)}")
    return found


def _members(value: object, place: str) -> Mapping[str, Any]:
    if not isinstance(value, _Object):
        raise PayloadError(f"JSON object expected{_at(place)}")
    found: dict[str, Any] = {}
    for name, inner in value:
        if name in found:
            raise PayloadError(f"Duplicate key {_shown(name)}{_at(place)}")
        found[name] = inner
    return found


def _optional(value: object, kind: str) -> tuple[str | None, int | None]:
    """The creator and the timestamp. cosign(1) writes ``null`` where it has nothing to add."""
    if value is None and kind == SIGSTORE:
        return None, None
    found = _members(value, "optional")
    creator = None if found.get("creator") is None else _text(found["creator"], "optional.creator")
    timestamp = found.get("timestamp")
    if timestamp is None:
        return creator, None
    if isinstance(timestamp, bool) or not isinstance(timestamp, float):
        raise PayloadError("Field optional.timestamp is not a number")
    if not timestamp.is_integer() or abs(timestamp) >= 2**63:
        raise PayloadError("Field optional.timestamp is not an integer")
    return creator, int(timestamp)


def _text(value: object, place: str) -> str:
    if not isinstance(value, str):
        raise PayloadError(f"Field {place} is not a string")
    # What `\ud800` alone spells is no character, and Go reads it as this one (encoding/json, Unmarshal).
    return re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", value)


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, default=str)


def _at(place: str) -> str:
    return f" in {place}" if place else ""
