"""What a signature says, to the byte, and what it must not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening_trust.payload import SIGSTORE, SIMPLE, Payload, PayloadError, read, write

DIGEST = "sha256:" + "a" * 64
SAID = Payload(DIGEST, "docker.io/library/busybox:latest", "hardening 0.1.0", 1700000000)


def document(**changes: Any) -> dict[str, Any]:
    """A payload as data; a dotted name replaces a member, None removes it."""
    found: dict[str, Any] = json.loads(write(SAID))
    for name, value in changes.items():
        *way, last = name.replace("__", ".").replace("_", "-").split(".")
        place = found
        for step in way:
            place = place[step]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return found


def bytes_of(data: object) -> bytes:
    return json.dumps(data).encode()


def test_the_bytes_are_those_that_containers_image_writes() -> None:
    assert write(SAID) == (
        b'{"critical":{"identity":{"docker-reference":"docker.io/library/busybox:latest"},'
        b'"image":{"docker-manifest-digest":"' + DIGEST.encode() + b'"},"type":"atomic container signature"},'
        b'"optional":{"creator":"hardening 0.1.0","timestamp":1700000000}}'
    )


def test_what_html_could_take_for_its_own_is_escaped() -> None:
    written = write(Payload(DIGEST, "a/b:c", "<é&\u2028>"))
    assert '"creator":"\\u003cé\\u0026\\u2028\\u003e"'.encode() in written
    assert read(written).creator == "<é&\u2028>"


@given(st.text(), st.one_of(st.none(), st.text()), st.one_of(st.none(), st.integers(-(2**53), 2**53)))
def test_what_is_written_is_read_back(reference: str, creator: str | None, timestamp: int | None) -> None:
    said = Payload(DIGEST, reference.encode("utf-8", "replace").decode(), creator, timestamp)
    for kind in (SIMPLE, SIGSTORE):
        assert read(write(said, kind), kind) == said


def test_half_of_a_surrogate_pair_is_no_character() -> None:
    said = read(write(SAID).replace(b"busybox:latest", b"\\ud800:\\ud83d\\ude00").replace(b'"hardening', b'"\\udfff'))
    assert (said.reference, said.creator) == ("docker.io/library/\ufffd:\U0001f600", "\ufffd 0.1.0")
    assert read(write(said)) == said


def test_unknown_members_of_optional_are_tolerated() -> None:
    assert read(bytes_of(document(optional__more={"a": [1, {"a": None}]}))) == SAID


def test_a_payload_needs_no_creator_and_no_timestamp() -> None:
    assert read(bytes_of(document(optional={}))) == Payload(SAID.digest, SAID.reference)


def test_cosign_leaves_optional_empty_in_its_own_payloads_only() -> None:
    data = json.loads(write(SAID, SIGSTORE))
    data["optional"] = None
    assert read(bytes_of(data), SIGSTORE) == Payload(SAID.digest, SAID.reference)
    data["critical"]["type"] = SIMPLE
    with pytest.raises(PayloadError, match="JSON object expected in optional"):
        read(bytes_of(data))


def test_brackets_are_no_depth() -> None:
    values: tuple[object, ...] = ("[" * 1000, '\\"[' * 1000, [[] for _ in range(1000)], [{"a": []}] * 1000)
    for value in values:
        assert read(bytes_of(document(optional={"more": value}))) == Payload(SAID.digest, SAID.reference)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "JSON object expected"),
        (b"\xef\xbb\xbf" + write(SAID), "not JSON"),
        (write(SAID).decode().encode("utf-16"), "not JSON"),
        (write(SAID) + b"{}", "not JSON"),
        (write(SAID).replace(b"1700000000", b"NaN"), "not JSON: NaN"),
        (write(SAID).replace(b"1700000000", b"1e999"), "too large"),
        (write(SAID).replace(b"1700000000", b"1.5"), "timestamp is not an integer"),
        (write(SAID).replace(b"1700000000", b'"now"'), "timestamp is not a number"),
        (write(SAID).replace(b"1700000000", b"true"), "timestamp is not a number"),
        (b'{"optional":{},' + write(SAID)[1:], 'Duplicate key "optional"'),
        (write(SAID).replace(b'{"identity"', b'{"type":"x","identity"'), 'Duplicate key "type" in critical'),
        (b"[" * 100_000, "nested too deeply"),
        (write(SAID).replace(b"1700000000", b'["]", ' * 250 + b"5" + b"]" * 250), "nested too deeply"),
    ],
)
def test_what_is_no_payload(data: bytes, problem: str) -> None:
    with pytest.raises(PayloadError, match=problem):
        read(data)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"more": 1}, 'Unknown key "more"'),
        ({"critical__more": 1}, 'Unknown key "more" in critical'),
        ({"critical__image__more": 1}, 'Unknown key "more" in critical.image'),
        ({"critical__identity__more": 1}, 'Unknown key "more" in critical.identity'),
        ({"optional": None}, 'Key "optional" missing'),
        ({"critical__type": None}, 'Key "type" missing in critical'),
        ({"critical__image": None}, 'Key "image" missing in critical'),
        ({"critical__identity__docker_reference": None}, 'Key "docker-reference" missing in critical.identity'),
        ({"critical__type": SIGSTORE}, "Unrecognized signature type"),
        ({"critical__image": {"docker-manifest-digest": "sha256:zz"}}, "invalid docker-manifest-digest"),
        ({"critical__identity": {"docker-reference": 5}}, "docker-reference is not a string"),
        ({"critical": []}, "JSON object expected in critical"),
        ({"optional__creator": 5}, "optional.creator is not a string"),
    ],
)
def test_a_member_that_is_missing_unknown_or_of_another_type_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(PayloadError, match=problem):
        read(bytes_of(document(**changes)))
