"""The bytes of a signature, told apart by how they begin."""

from __future__ import annotations

import pytest

from hardening_trust.signatures import SIGSTORE_TYPE, Signature, Sigstore, Simple, UnreadableSignature, read, write


@pytest.mark.parametrize("first", [0xA3, 0x90, 0x88, 0xC4, 0xC8, 0xC2])
def test_a_signed_message_is_a_simple_signature(first: int) -> None:
    assert read(bytes([first, 1, 2]), "here") == Simple("here", bytes([first, 1, 2]))


def test_a_simple_signature_may_say_what_it_is() -> None:
    assert read(b"\0simple-signing\nabc", "here") == Simple("here", b"abc")


@pytest.mark.parametrize(
    "signature",
    [
        Simple("here", b"\xa3abc"),
        Sigstore("here", SIGSTORE_TYPE, b"payload\0\n", {"b": "2", "a": "1"}),
        Sigstore("here", "application/other", b"", {}),
    ],
)
def test_what_is_written_is_read_back(signature: Signature) -> None:
    assert read(write(signature), "here") == signature


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "here: empty signature"),
        (b"-----BEGIN PGP SIGNED MESSAGE-----", "starting with binary 0x2d: text, such as a cleartext"),
        (b"<html>", "starting with binary 0x3c: a web page"),
        (b"\xcb\0", "starting with binary 0xcb: a message that is not signed"),
        (b"\x8c\0", "starting with binary 0x8c: an encrypted message"),
        (b"hello", "starting with binary 0x68$"),
        (b"\0simple-signing", "missing newline"),
        (b"\0other\x1b\n", r"unrecognized signature format \"other\x1b\""),
        (b"\0sigstore-json\nx", "malformed sigstore"),
        (b"\0sigstore-json\n[]", "malformed sigstore"),
        (b'\0sigstore-json\n{"mimeType":1,"payload":"","annotations":{}}', "malformed sigstore"),
        (b'\0sigstore-json\n{"mimeType":"","payload":"*","annotations":{}}', "malformed sigstore"),
        (b'\0sigstore-json\n{"mimeType":"","payload":"","annotations":{"a":1}}', "malformed sigstore"),
    ],
)
def test_what_is_no_signature(data: bytes, problem: str) -> None:
    with pytest.raises(UnreadableSignature, match=problem):
        read(data, "here")
