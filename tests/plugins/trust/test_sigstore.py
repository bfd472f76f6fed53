"""Sigstore signatures by keys: which kinds of keys, and what is refused."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa, x25519

from hardening_trust import sigstore
from hardening_trust.signatures import SIGSTORE_SIGNATURE, SIGSTORE_TYPE, Sigstore
from hardening_trust.sigstore import BadKey, SigstoreNotSigned, verify

PAYLOAD = b"payload"
#: Made by `openssl gendsa`, since cryptography will make none.
DSA = b"""\
-----BEGIN PUBLIC KEY-----
MIIBvjCCATMGByqGSM44BAEwggEmAoGBAJL0YeiPoYUssMUw8lxzlaA1XT6E7Fvj
siQUinUjGexhIEV9JUwBIfkvv2irj5wBlVEYzMQq+RjloWsxYL6PlvifzP9CLK5n
gTU4ozZjP1fifH78I6HJdZhuqmAzz/weP9uCMGm1egYgzi8mzmQ/MjCdLcoP3rwK
EUuiRRYKZWfNAh0A10CMxlSlRFT8PESQ6Vx49ZSqIj5pgvDi5WLHcQKBgFNHEPOE
bypdkFoX64Wu70P5pk9GPznrQ/FpFkW4qCRR9OuqRncAx8OwU9OfBkKQsTXdnzbI
9Oeq2jjScsfOG1izo4YuL5qpfA0+H38R7PGl1d05lO9GGt7SL+nptiDqBn8wtppP
My2fU02R+tKKNjsud60VKcw+04b7RYTE6s2tA4GEAAKBgCenY9SQ3viyicZ6SGM5
a4SgYK/DwAz75nD0X//wXWsWLvINAVJecYzPQosGFBcl6Z3zfVSlYCrxxNX7vouB
BR/PrJbuYd18Y+2W6OIctb9PAhUVf+Zqey6nU5tu0QBMtActm1Y89Bb09/jFTS1G
p4pcU6eSWA/V3Oc0U6fr1tIk
-----END PUBLIC KEY-----
"""
Maker = Callable[[bytes], tuple[bytes, bytes]]


def _pem(public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey) -> bytes:
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def by_ec(data: bytes) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    return _pem(key.public_key()), key.sign(data, ec.ECDSA(hashes.SHA256()))


def by_rsa(data: bytes) -> tuple[bytes, bytes]:
    key = rsa.generate_private_key(65537, 2048)
    return _pem(key.public_key()), key.sign(data, padding.PKCS1v15(), hashes.SHA256())


def by_ed25519(data: bytes) -> tuple[bytes, bytes]:
    key = ed25519.Ed25519PrivateKey.generate()
    return _pem(key.public_key()), key.sign(data)


def signed(value: bytes, payload: bytes = PAYLOAD) -> Sigstore:
    return Sigstore("here", SIGSTORE_TYPE, payload, {SIGSTORE_SIGNATURE: base64.b64encode(value).decode()})


@pytest.mark.parametrize("made", [by_ec, by_rsa, by_ed25519])
def test_a_signature_by_one_of_the_keys_is_good(made: Maker) -> None:
    public, value = made(PAYLOAD)
    stranger, _ = by_ec(b"")
    content, key = verify(signed(value), [sigstore.key(stranger), sigstore.key(public)])
    assert content == PAYLOAD
    assert len(key) == 64
    for wrong in (signed(value, b"another"), signed(value[:-1]), signed(b"")):
        with pytest.raises(SigstoreNotSigned, match="cryptographic signature verification failed"):
            verify(wrong, [sigstore.key(public)])
    with pytest.raises(SigstoreNotSigned, match="cryptographic signature verification failed"):
        verify(signed(value), [sigstore.key(stranger)])


def test_another_digest_than_sha_256_is_refused() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    value = key.sign(PAYLOAD, ec.ECDSA(hashes.SHA384()))
    with pytest.raises(SigstoreNotSigned):
        verify(signed(value), [sigstore.key(_pem(key.public_key()))])


@pytest.mark.parametrize(
    ("public", "reason"),
    [
        (
            ec.generate_private_key(ec.SECP256K1()).public_key(),
            "its elliptic curve secp256k1 is not taken; ECDSA on P-224",
        ),
        (ec.generate_private_key(ec.BrainpoolP256R1()).public_key(), "its elliptic curve brainpoolP256r1 is not taken"),
        (ed448.Ed448PrivateKey.generate().public_key(), "a key of the kind Ed448 is not taken"),
        (x25519.X25519PrivateKey.generate().public_key(), "a key of the kind X25519 is not taken"),
    ],
)
def test_a_key_of_another_kind_is_refused_as_that(public: Any, reason: str) -> None:
    with pytest.raises(BadKey, match=reason):
        sigstore.key(_pem(public))


@pytest.mark.filterwarnings("error")  # cryptography 51 announces that it will not read such keys
def test_a_dsa_key_is_refused_whether_cryptography_still_reads_it_or_not() -> None:
    with pytest.raises(BadKey, match=r"(a key of the kind DSA|it is of a kind that) is not taken"):
        sigstore.key(DSA)


@pytest.mark.parametrize("data", [b"", b"nonsense", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_what_is_no_key(data: bytes) -> None:
    with pytest.raises(BadKey, match="it is not a public key in PEM"):
        sigstore.key(data)


def test_an_annotation_that_is_missing_or_no_base64() -> None:
    public, _ = by_ec(b"")
    with pytest.raises(SigstoreNotSigned, match=r"missing dev\.cosignproject\.cosign/signature annotation"):
        verify(Sigstore("here", SIGSTORE_TYPE, PAYLOAD, {}), [sigstore.key(public)])
    with pytest.raises(SigstoreNotSigned, match="not base64"):
        verify(Sigstore("here", SIGSTORE_TYPE, PAYLOAD, {SIGSTORE_SIGNATURE: "*"}), [sigstore.key(public)])
