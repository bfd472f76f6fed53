"""Verifying sigstore signatures by a public key: the annotation of an attachment over its payload, with SHA-256.

Certificates (`fulcio`, `pki`) and transparency logs (`rekorPublicKey…`) are not verified; what asks for them is refused.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hardening.base.digest import sha256
from hardening_trust.signatures import SIGSTORE_SIGNATURE, Sigstore

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes


#: Those of FIPS 186-5, and no others, as for Go's crypto/x509.
_CURVES = ("secp224r1", "secp256r1", "secp384r1", "secp521r1")
_TAKEN = "ECDSA on P-224, P-256, P-384 and P-521, RSA and Ed25519 are"


class SigstoreNotSigned(ValueError):
    """The attachment is no good signature by one of the keys; the text says why."""


class BadKey(ValueError):
    """A public key cannot be used; the text says why."""


def key(data: bytes) -> PublicKeyTypes:
    """Return the public key of PEM data. Raises `BadKey` if it is not a public key, or is of a kind that is not taken."""
    import warnings

    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what cryptography is about to drop is refused below
            found = load_pem_public_key(data)
    except UnsupportedAlgorithm:
        raise BadKey(f"it is of a kind that is not taken; {_TAKEN}") from None
    except ValueError:
        raise BadKey("it is not a public key in PEM") from None
    if isinstance(found, ec.EllipticCurvePublicKey):
        if found.curve.name not in _CURVES:
            raise BadKey(f"its elliptic curve {found.curve.name} is not taken; {_TAKEN}")
    elif not isinstance(found, rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
        kind = type(found).__name__.strip("_").removesuffix("PublicKey")
        raise BadKey(f"a key of the kind {kind} is not taken; {_TAKEN}")
    return found


def verify(signature: Sigstore, trusted: Sequence[PublicKeyTypes]) -> tuple[bytes, str]:
    """The payload that one of the keys has signed, and that key's fingerprint (SHA-256 of its DER). Raises
    `SigstoreNotSigned`."""
    text = signature.annotations.get(SIGSTORE_SIGNATURE)
    if text is None:
        raise SigstoreNotSigned(f"missing {SIGSTORE_SIGNATURE} annotation")
    try:
        value = base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except (ValueError, binascii.Error):
        raise SigstoreNotSigned("the signature is not base64") from None
    for key in trusted:
        if _is_by(key, value, signature.payload):
            return signature.payload, _fingerprint(key)
    raise SigstoreNotSigned("cryptographic signature verification failed: none of the keys made it, or it was changed")


def _fingerprint(key: PublicKeyTypes) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _is_by(key: PublicKeyTypes, value: bytes, payload: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
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
