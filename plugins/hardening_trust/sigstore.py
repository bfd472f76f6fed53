"""Verifying sigstore signatures by a public key: the annotation of an attachment over its payload, with SHA-256.

Certificates (`fulcio`, `pki`) and transparency logs (`rekorPublicKey…`) are not verified; what asks for them is refused.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hardening.launch.digest import sha256
from hardening_trust.signatures import SIGSTORE_SIGNATURE, Sigstore

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes


#: Those of FIPS 186-5, and no others, as for Go's crypto/x509.
_CURVES = ("secp224r1", "secp256r1", "secp384r1", "secp521r1")


class NotSigned(ValueError):
    """The attachment is no good signature by one of the keys; the text says why."""


class BadKey(ValueError):
    """A public key cannot be read; the text says why."""


def keys(data: Sequence[bytes]) -> tuple[PublicKeyTypes, ...]:
    """The public keys of PEM data, each. Raises `BadKey`."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    found = []
    for item in data:
        try:
            found.append(load_pem_public_key(item))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise BadKey(f"parsing public key: {str(error).splitlines()[0] if str(error) else 'no PEM'}") from None
    return tuple(found)


def verify(signature: Sigstore, trusted: Sequence[PublicKeyTypes]) -> tuple[bytes, str]:
    """The payload that one of the keys has signed, and that key's fingerprint (SHA-256 of its DER). Raises `NotSigned`."""
    text = signature.annotations.get(SIGSTORE_SIGNATURE)
    if text is None:
        raise NotSigned(f"missing {SIGSTORE_SIGNATURE} annotation")
    try:
        value = base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except (ValueError, binascii.Error):
        raise NotSigned("the signature is no base64") from None
    for key in trusted:
        if _is_by(key, value, signature.payload):
            return signature.payload, _fingerprint(key)
    raise NotSigned("cryptographic signature verification failed: none of the keys made it, or it was changed")


def _fingerprint(key: PublicKeyTypes) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _is_by(key: PublicKeyTypes, value: bytes, payload: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
            key.verify(value, payload, ec.ECDSA(SHA256()))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(value, payload, padding.PKCS1v15(), SHA256())
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(value, payload)
        else:
            return False
    except InvalidSignature:
        return False
    return True
