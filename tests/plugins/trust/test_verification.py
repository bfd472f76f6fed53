"""Requirements are all required, one good signature is enough for each, and a verdict says until when it holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from hardening.base.digest import sha256
from hardening.base.openpgp import keyrings as openpgp
from hardening.base.openpgp.keyrings import Keyrings, keyrings
from hardening.images.reference import parse_docker
from hardening_trust import verification
from hardening_trust.payload import Payload, write
from hardening_trust.requirements import (
    ACCEPT,
    REJECT,
    MatchRepository,
    SignedBaseLayer,
    SignedBy,
    SigstoreSigned,
    together,
)
from hardening_trust.signatures import Signature, Simple
from hardening_trust.verification import Image, judge
from tests.hardening.base.openpgp.test_keyrings import bomb
from tests.support.gpg import Keys

MANIFEST = b"{}"
NAME = "registry.example.com/team/app:1"
SAID = write(Payload(f"sha256:{sha256(MANIFEST)}", NAME))


@pytest.fixture
def rings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keyrings]:
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "state"))
    with keyrings() as found:
        yield found


def image(*messages: bytes) -> Image:
    found: Sequence[Signature] = [Simple(f"signature-{number}", data) for number, data in enumerate(messages, 1)]
    return Image(f"docker://{NAME}", parse_docker(NAME), lambda: MANIFEST, lambda _: found)


def _never(*_: object) -> NoReturn:
    raise AssertionError("nothing is to be looked at")


def test_nothing_is_fetched_of_what_is_rejected_and_no_signature_of_what_is_accepted(rings: Keyrings) -> None:
    found = judge(Image("dir:/x", None, _never, _never), REJECT, rings)
    assert (found.accepted, found.reason) == (False, "Running image dir:/x is rejected by policy.")
    found = judge(Image("dir:/x", None, lambda: MANIFEST, _never), ACCEPT, rings)
    assert (found.accepted, found.reason, found.digest) == (True, "", f"sha256:{sha256(MANIFEST)}")


def test_every_requirement_needs_a_signature_of_its_own(rings: Keyrings, gpg_keys: Keys) -> None:
    one = SignedBy(key_data=gpg_keys.public(gpg_keys.good))
    other = SignedBy(key_data=gpg_keys.public(gpg_keys.other))
    good, second = gpg_keys.signed(SAID), gpg_keys.signed(SAID, key=gpg_keys.other)
    both = together([one, other])
    assert judge(image(good, second), both, rings).accepted
    assert judge(image(second, good), both, rings).accepted
    missing = judge(image(good), both, rings)
    named = f"signedBy key data {sha256(gpg_keys.public(gpg_keys.other))[:12]}"
    assert missing.reason == f"{named}: Invalid GPG signature: made by the unknown key {gpg_keys.good}"
    assert not judge(image(), both, rings).accepted
    assert judge(image(), both, rings).reason == "A signature was required, but no signature exists"


def test_a_verdict_holds_until_the_first_signature_or_key_expires(rings: Keyrings, gpg_keys: Keys) -> None:
    one = SignedBy(key_data=gpg_keys.public(gpg_keys.good))
    other = SignedBy(key_data=gpg_keys.public(gpg_keys.other))
    made = "20250101T000000"
    years = [
        gpg_keys.signed(SAID, options=("--default-sig-expire", f"{count}y", "--sign"), now=made) for count in (20, 10)
    ]
    second = gpg_keys.signed(SAID, key=gpg_keys.other)
    assert judge(image(second), together([other]), rings).until is None
    # The one that was taken counts, not one that would have done as well.
    assert judge(image(years[0], years[1]), together([one]), rings).until == 1735689600 + 20 * 365 * 86400
    assert judge(image(years[1], second), together([one, other]), rings).until == 1735689600 + 10 * 365 * 86400


def test_what_nobody_implements_refuses(rings: Keyrings, gpg_keys: Keys) -> None:
    good = gpg_keys.signed(SAID)
    key = gpg_keys.public(gpg_keys.good)
    for requirement, reason in (
        (SignedBaseLayer(MatchRepository()), "signedBaseLayer is not implemented"),
        (SignedBy(key_data=key, key_type="X509Certificates"), 'Unimplemented "keyType" value "X509Certificates"'),
        (SigstoreSigned(carried='{"fulcio": {}}'), "sigstoreSigned with fulcio cannot be verified here"),
        (SigstoreSigned(key_datas=(b"x",)), "parsing public key"),
        (SignedBy(), "No public keys imported"),
    ):
        found = judge(image(good), together([requirement]), rings)
        assert not found.accepted
        assert found.reason.startswith(reason)


def test_a_home_of_gnupg_serves_all_images_of_one_requirement(rings: Keyrings, gpg_keys: Keys, tmp_path: Path) -> None:
    required = together([SignedBy(key_data=gpg_keys.public(gpg_keys.good))])
    for _ in range(3):
        assert judge(image(gpg_keys.signed(SAID)), required, rings).accepted
    (place,) = (tmp_path / "state/keyrings").iterdir()
    assert len(list(place.iterdir())) == 1


def test_signatures_that_take_too_long_are_looked_at_only_so_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpg_keys: Keys
) -> None:
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(openpgp, "_SECONDS", 1)
    monkeypatch.setattr(verification, "MOST_SLOW", 1)
    required = together([SignedBy(key_data=gpg_keys.public(gpg_keys.good), identity=MatchRepository())])
    with keyrings() as rings:
        (held,) = judge(image(*[bomb()] * 3), required, rings).requirements
    assert ["takes too long" in item.reason for item in held.signatures] == [True, False, False]
    assert "it is not looked at" in held.signatures[-1].reason


def test_what_cannot_be_used_as_a_key_is_told_with_its_file(rings: Keyrings, tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    junk.write_text("no key")
    said = judge(image(), together([SigstoreSigned((str(junk),))]), rings).reason
    assert said == f"parsing public key {junk}: it is not a public key in PEM"
    said = judge(image(), together([SignedBy((str(junk),))]), rings).reason
    assert said == f"No public keys imported: {junk} holds no OpenPGP key"
