"""Requirements as policy.json has them: what is refused, with whose words, and what comes back as it was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.errors import ProfileError
from hardening_trust import policy
from hardening_trust.jsontree import document
from hardening_trust.requirements import (
    ACCEPT,
    REJECT,
    Accept,
    MatchExact,
    Reject,
    Requirements,
    SignedBy,
    SigstoreSigned,
    dump_all,
    read_all,
    together,
)
from tests.plugins.trust.policies import REFUSED, TAKEN, identity, signed_by, sigstore


def default_of(text: str) -> Requirements:
    return policy.parse(document(text.encode(), Path("policy.json"))).default


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_wrong_is_said_in_the_words_of_containers_tools(text: str) -> None:
    with pytest.raises(ProfileError) as caught:
        default_of(text)
    assert REFUSED[text] in caught.value.message
    assert str(caught.value.origin) == "policy.json:1"
    assert caught.value.hint


@pytest.mark.parametrize("text", TAKEN)
def test_what_is_taken_comes_back_from_what_is_written(text: str) -> None:
    found = policy.parse(document(text.encode(), Path("policy.json")))
    again = policy.parse(document(policy.dump(found).encode(), Path("again.json")))
    assert (again.default, again.transports) == (found.default, found.transports)


def test_the_line_of_the_wrong_key_is_named() -> None:
    text = '{\n "default": [\n  {"type": "reject"},\n  {"type": "signedBy",\n   "keyType": "GPGKeys",\n   "keypath": "/a"}]}'
    with pytest.raises(ProfileError) as caught:
        default_of(text)
    assert str(caught.value) == (
        'policy.json:6: default[1].keypath: Unknown key "keypath"\nhint: did you mean "keyPath"?'
    )


def test_one_file_is_the_same_however_it_is_written() -> None:
    assert default_of(signed_by('"keyPath": "/a"')) == default_of(signed_by('"keyPaths": ["/a", "/a"]'))
    assert default_of(signed_by('"keyPath": "/a"')) == default_of(identity('{"type": "matchRepoDigestOrExact"}'))
    assert default_of(identity('{"type": "matchExact"}')) == {SignedBy(("/a",), identity=MatchExact())}
    assert default_of(sigstore('"keyDatas": ["Yg==", "YQ=="]')) == {SigstoreSigned(key_datas=(b"a", b"b"))}


def test_a_set_has_one_form() -> None:
    signed = SignedBy(("/a",))
    assert together([]) == together([Accept()]) == ACCEPT
    assert together([signed, Accept()]) == {signed}
    assert together([signed, Reject()]) == REJECT
    assert dump_all(ACCEPT) == [{"type": "insecureAcceptAnything"}]


def test_what_is_carried_comes_back() -> None:
    text = sigstore('"keyPath": "/a", "rekorPublicKeyPaths": ["/r", "/s"]')
    (found,) = default_of(text)
    assert isinstance(found, SigstoreSigned)
    assert found.parts == {"rekorPublicKeyPaths": ["/r", "/s"]}
    assert dump_all(frozenset({found})) == [
        {"type": "sigstoreSigned", "keyPath": "/a", "rekorPublicKeyPaths": ["/r", "/s"]}
    ]


def test_requirements_are_a_list() -> None:
    node = document(b'{"default": {"type": "reject"}}', Path("p.json")).root.get("default")
    assert node is not None
    with pytest.raises(ProfileError, match="a list of requirements is expected"):
        read_all(node)
