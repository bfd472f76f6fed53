"""What the `[trust]` table may say, and how layers of it compose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hardening.errors import HardeningError
from hardening.images.reference import parse
from hardening_trust import Trust
from hardening_trust.kinds import Lookaside, RequirementsKind
from hardening_trust.requirements import ACCEPT, REJECT, MatchRepository, SignedBy, SigstoreSigned
from hardening_trust.settings import TrustSettings
from tests.support.texts import composed

TRUST = Trust()


def settings(*texts: str) -> TrustSettings:
    found = composed(*texts, by=[TRUST]).settings["trust"]
    assert isinstance(found, TrustSettings)
    return found


def required(image: str, *texts: str) -> Any:
    return settings(*texts).match(parse(image)).requirements


def test_what_nobody_permits_is_rejected() -> None:
    assert required("busybox") == required("oci:/srv/image") == REJECT


def test_the_narrowest_scope_decides() -> None:
    layer = """
        [trust]
        default = "reject"
        [trust.docker]
        "docker.io/library" = "accept"
        "docker.io/library/busybox:1" = { signedBy = "/k.gpg" }
        [trust.dir]
        "" = "accept"
        "/srv/bad" = "reject"
        """
    assert required("busybox", layer) == ACCEPT
    assert required("busybox:1", layer) == {SignedBy(("/k.gpg",))}
    assert required("example.com/x", layer) == REJECT
    assert required("dir:/srv/good", layer) == ACCEPT
    assert required("dir:/srv/bad/image", layer) == REJECT
    assert required("oci:/srv/good", layer) == REJECT


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('"accept"', ACCEPT),
        ('"reject"', REJECT),
        ('{ signedBy = "/k" }', {SignedBy(("/k",))}),
        ('{ signedBy = ["/k", "/l"] }', {SignedBy(("/k", "/l"))}),
        ('{ signedBy = "/k", signedIdentity = "matchRepository" }', {SignedBy(("/k",), identity=MatchRepository())}),
        ('{ signedBy = { keyData = "YQ==" } }', {SignedBy(key_data=b"a")}),
        ('{ sigstoreSigned = "/k" }', {SigstoreSigned(("/k",))}),
        ('{ type = "signedBy", keyType = "GPGKeys", keyPath = "/k" }', {SignedBy(("/k",))}),
        ('[{ signedBy = "/k" }, { sigstoreSigned = "/l" }]', {SignedBy(("/k",)), SigstoreSigned(("/l",))}),
        ('[{ signedBy = "/k" }, "reject"]', REJECT),
        ('["accept"]', ACCEPT),
    ],
)
def test_requirements_are_written_in_several_ways(text: str, meant: Any) -> None:
    assert required("busybox", f"[trust]\ndefault = {text}") == meant


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('default = "acept"', '"acept" is neither accept nor reject'),
        ("default = []", "requirements must not be empty"),
        ('docker.docker.io = "accept"', 'write "docker.io" = …'),
        ('[trust.docker]\na.example.com = { signedBy = "/k" }', 'write "a.example.com" = …'),
        ('default = { signedby = "/k" }', "a requirement has either signedBy or sigstoreSigned"),
        ('default = { signedBy = "/k", keyPath = "/l" }', '"keyPath" does not go beside signedBy'),
        ('default = { signedBy = "/k", signedIdentity = "exact" }', 'Unknown policy reference match type "exact"'),
        ('defaults = "reject"', "unknown key"),
        ('[trust.dokcer]\n"a" = "reject"', 'unknown transport "dokcer"'),
        ('[trust.dir]\n"a" = "reject"', '"a" is not a scope of dir'),
        ('[trust.lookaside]\n"a" = "ftp://x"', '"ftp://x" is not a URL'),
        ('[trust.lookaside]\n"a" = { lookaside-staging = "https://x" }', '"https://x" is not a URL'),
        ('[trust.lookaside]\n"a" = "https://me:secret@x/"', "a URL with a user or a password in it"),
        ('[trust.lookaside]\n"a" = { use-sigstore-attachments = "yes" }', "true or false"),
        ('[trust.lookaside]\n"a" = { staging = "file:///x" }', "unknown key"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(HardeningError) as caught:
        settings(f"[trust]\n{text}")
    assert message in str(caught.value)
    assert "a.toml:" in str(caught.value)
    assert "hint: " in str(caught.value)


def test_a_key_is_found_from_the_folder_of_the_profile() -> None:
    here = Path.cwd()  # where the texts are profiles
    text = '[trust]\ndefault = [{ signedBy = "keys/a.gpg" }, { signedBy = ["../b.gpg", "/c"] }]'
    assert required("busybox", text) == {SignedBy((f"{here}/keys/a.gpg",)), SignedBy(("/c", f"{here.parent}/b.gpg"))}


def test_a_narrower_acceptance_is_a_loosening() -> None:
    strict = '[trust]\ndefault = "reject"'
    looser = '[trust.docker]\n"docker.io/library" = "accept"'
    with pytest.raises(HardeningError, match=r"trust.docker.docker.io/library: accept is looser than reject"):
        required("busybox", strict, looser)
    reason = '[[exceptions]]\nsetting = "trust.docker.docker.io/library"\nreason = "agreed"\n'
    assert required("busybox", strict, reason + looser) == ACCEPT
    assert required("busybox", looser, strict) == REJECT


def test_an_exception_names_the_default() -> None:
    reason = '[[exceptions]]\nsetting = "trust.default"\nreason = "agreed"\n'
    assert required("busybox", '[trust]\ndefault = "reject"', f'{reason}[trust]\ndefault = "accept"') == ACCEPT


def test_requirements_of_several_layers_are_all_required() -> None:
    layers = ('[trust.docker]\n"a.example.com" = { signedBy = "/k" }', '[trust]\ndefault = { signedBy = "/l" }')
    assert required("a.example.com/x", *layers) == {SignedBy(("/k",)), SignedBy(("/l",))}


def test_places_of_signatures() -> None:
    found = settings(
        '[trust.lookaside]\n"a.example.com" = "https://a.example.com/sigs"\n'
        'default-docker = { lookaside = "file:///r", lookaside-staging = "file:///w" }'
    ).lookaside
    assert found["a.example.com"] == Lookaside("https://a.example.com/sigs")
    assert found["default-docker"] == Lookaside("file:///r", "file:///w")
    assert found["b.example.com"] is None


def test_what_is_shown_tells_values_apart() -> None:
    kind = RequirementsKind()
    shown = [kind.show(value) for value in kind.samples()]
    assert shown[:3] == ["accept", "reject", "signedBy /one.gpg"]
    assert "signedBy /other.gpg as matchRepository and sigstoreSigned /cosign.pub" in shown
