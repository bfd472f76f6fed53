"""Signatures as they are kept: the bytes of `signature-N`, told apart by how they begin.

A simple signature is an OpenPGP message and says no more of itself; anything newer begins with a zero byte and its
format's name (the `dir:` transport of containers/image, and its lookaside directories).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from types import MappingProxyType

import attrs

SIGSTORE_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGSTORE_SIGNATURE = "dev.cosignproject.cosign/signature"

_SIMPLE, _SIGSTORE = "simple-signing", "sigstore-json"
_MEMBERS = ("mimeType", "payload", "annotations")
#: First bytes of a signed message: a compressed packet, a one-pass signature, a signature (RFC 9580, 4.2).
_OPENPGP = frozenset((0xA0, 0xA1, 0xA2, 0xA3, 0xC8, 0x90, 0x91, 0x92, 0x3D, 0xC4, 0x88, 0x89, 0x8A, 0x8B, 0xC2))
#: First bytes of what is often taken for one.
_OTHERS = MappingProxyType(
    {
        **dict.fromkeys((0xAC, 0xAD, 0xAE, 0xAF, 0xCB), "a message that is not signed"),
        **dict.fromkeys(
            (0x84, 0x85, 0x86, 0x87, 0xC1, 0x8C, 0x8D, 0x8E, 0x8F, 0xC3, 0xD2, 0xD4), "an encrypted message"
        ),
        ord("-"): "text, such as a cleartext or armoured signature",
        ord("<"): "a web page",
    }
)


class UnreadableSignature(ValueError):
    """Nothing that a signature can be; the text says why."""


@attrs.frozen
class Simple:
    """A simple signature: an OpenPGP message."""

    origin: str
    message: bytes


@attrs.frozen
class Sigstore:
    """A sigstore attachment: a signature where its media type says so."""

    origin: str
    media_type: str
    payload: bytes
    annotations: Mapping[str, str]

    @property
    def is_signature(self) -> bool:
        return self.media_type == SIGSTORE_TYPE


Signature = Simple | Sigstore


def read(data: bytes, origin: str) -> Signature:
    """The signature that ``data`` is, found at ``origin``. Raises `UnreadableSignature`."""
    if not data:
        raise UnreadableSignature(f"{origin}: empty signature")
    if data[0] in _OPENPGP:
        return Simple(origin, data)
    if data[0] != 0:
        what = f": {_OTHERS[data[0]]}" if data[0] in _OTHERS else ""
        raise UnreadableSignature(f"{origin}: unrecognized signature format, starting with binary {data[0]:#x}{what}")
    name, newline, chunk = data[1:].partition(b"\n")
    if not newline:
        raise UnreadableSignature(f"{origin}: invalid signature format, missing newline")
    if name == _SIMPLE.encode():
        return Simple(origin, chunk)
    if name == _SIGSTORE.encode():
        return _sigstore(chunk, origin)
    shown = name[:40].decode("ascii", "backslashreplace")
    raise UnreadableSignature(f'{origin}: unrecognized signature format "{shown}"')


def write(signature: Signature) -> bytes:
    """The bytes that `read` reads back."""
    if isinstance(signature, Simple):
        return signature.message
    values = (
        signature.media_type,
        base64.b64encode(signature.payload).decode(),
        dict(sorted(signature.annotations.items())),
    )
    document = json.dumps(dict(zip(_MEMBERS, values, strict=True)), separators=(",", ":"))
    return b"\0" + _SIGSTORE.encode() + b"\n" + document.encode()


def _sigstore(chunk: bytes, origin: str) -> Sigstore:
    wrong = UnreadableSignature(f"{origin}: a malformed sigstore signature")
    try:
        document = json.loads(chunk.decode())
        media_type, payload, annotations = (document[name] for name in _MEMBERS)
        decoded = base64.b64decode(payload, validate=True)
    except (ValueError, binascii.Error, KeyError, TypeError, RecursionError):
        raise wrong from None
    if not isinstance(media_type, str) or not isinstance(annotations, dict):
        raise wrong
    if not all(isinstance(value, str) for value in annotations.values()):
        raise wrong
    return Sigstore(origin, media_type, decoded, MappingProxyType(annotations))
