"""The verdict on a candidate by the image that it names: on what is required of it, and on what the store has of it."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import attrs
import pytest

from hardening.base.openpgp.signing import signer
from hardening.compose.composition import Composition
from hardening.images.media import digest_of
from hardening.images.signatures import gather
from hardening.images.store import ImageStore
from hardening.launch import fingerprints
from hardening.mechanism import host
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context
from hardening.mechanism.used import DIGEST, REFERENCE, Used
from hardening.plugin.admission import Candidate, Verdict
from hardening_trust import Trust, hardening_admit, payload
from hardening_trust.annotation import ANNOTATION, POINTER
from tests.support.gpg import Keys, revoked_key
from tests.support.images import opened
from tests.support.texts import composed

NAME = "registry.example.com/team/app:1"
MANIFEST = json.dumps({"schemaVersion": 2}).encode()
DIGEST_OF = digest_of(MANIFEST)
HOST = host.plain()


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    """A store with a manifest, and without signatures."""
    made = opened(tmp_path / "images")
    with made.stage() as stage:
        made.add(DIGEST_OF, [MANIFEST], len(MANIFEST), stage)
    return made


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "state"))


def composition(text: str, store: ImageStore | None = None) -> Composition:
    found = composed(text, by=[Trust()])
    return attrs.evolve(found, image=Used(NAME, DIGEST_OF, store.path) if store is not None else None)


def judged(found: Composition | None, name: str = NAME, digest: str = DIGEST_OF) -> Verdict | None:
    """The verdict on an image of the composition's store."""
    place = found.image.store if found is not None and found.image is not None else Path("/absent")
    return judged_as(Used(name, digest, place).annotations, found)


def judged_as(annotations: dict[str, str], found: Composition | None = None) -> Verdict | None:
    config = json.dumps({"ociVersion": "1.0.2", "annotations": annotations}).encode()
    return hardening_admit(Candidate(config, HOST, found))


def said(found: Composition) -> dict[str, str]:
    """The annotations of a bundle that is composed so."""
    assert found.image is not None
    fragment = Fragment("trust")
    Trust().contribute(found.settings["trust"], Context(HOST, found.composed, image=found.image), fragment)
    return {**found.image.annotations, ANNOTATION: fragment.values[POINTER].value}


def refused(annotations: dict[str, str]) -> str:
    """Why a bundle is not launched, empty where it is."""
    verdict = judged_as(annotations)
    assert verdict is not None
    return verdict.refusals[0].reason if verdict.refusals else ""


def reason(found: Composition, name: str = NAME, digest: str = DIGEST_OF) -> str:
    verdict = judged(found, name, digest)
    assert verdict is not None
    return verdict.refusals[0].reason if verdict.refusals else ""


def sign(store: ImageStore, *found: bytes) -> None:
    """Have these signatures of the image and no others."""
    place = store.signatures(DIGEST_OF, NAME)
    shutil.rmtree(place, ignore_errors=True)
    with store.stage() as stage:
        gather(store, found, stage, NAME).rename(place)


def required(path: Path, rest: str = "") -> str:
    return f'[trust.docker]\n"registry.example.com" = {{ signedBy = "{path}"{rest} }}'


def test_a_root_that_is_no_image_is_none_of_its_business() -> None:
    assert hardening_admit(Candidate(b'{"ociVersion": "1.0.2"}', HOST, composition(""))) is None
    for found in (None, composition("")):
        assert judged_as({"org.example": REFERENCE}, found) is None
        assert hardening_admit(Candidate(b'{"ociVersion": "1.0.2"}', HOST, found)) is None


def test_what_nobody_permits_is_rejected_and_the_place_is_told() -> None:
    verdict = judged(composition(""))
    assert verdict is not None
    (refusal,) = verdict.refusals
    assert refusal.reason == f"Running image docker://{NAME} is rejected by policy."
    assert refusal.pointer == ""
    assert "no profile permits it" in refusal.hint
    assert "hardening trust set --into mine.toml -t accept registry.example.com/team/app`" in refusal.hint
    assert refusal.hint.endswith(f"`hardening run -p a -p ./mine.toml {NAME} …` names it after the others")
    verdict = judged(composition(""), "docker-archive:/srv/x.tar")
    assert verdict is not None
    assert "-t accept docker-archive:` writes" in verdict.refusals[0].hint
    verdict = judged(composition('[trust]\ndefault = "reject"'))
    assert verdict is not None
    hint = verdict.refusals[0].hint
    assert hint.startswith("trust.default is reject, set at a.toml:2: ")
    assert "`hardening explain -p a trust.docker.registry.example.com/team/app` shows the exception" in hint
    verdict = judged(composition('[trust.docker]\n"registry.example.com" = "reject"'))
    assert verdict is not None
    assert verdict.refusals[0].hint.startswith("trust.docker.registry.example.com is reject, set at a.toml:2: ")


def test_what_is_accepted_is_accepted_with_and_without_a_store() -> None:
    assert reason(composition('[trust]\ndefault = "accept"')) == ""
    assert reason(composition('[trust]\ndefault = "accept"'), "oci:/srv/x:1") == ""


def test_a_name_with_a_tag_and_a_digest_is_rejected() -> None:
    assert "both a tag and a digest" in reason(composition('[trust]\ndefault = "accept"'), f"{NAME}@{DIGEST_OF}")


def test_before_it_is_fetched_only_what_no_image_could_pass_counts(store: ImageStore) -> None:
    layer = '[trust.docker]\n"a.example.com" = { signedBy = "/absent.gpg" }'
    assert reason(composition(layer, store), "a.example.com/x", "") == ""
    assert "rejected by policy" in reason(composition(layer, store), "b.example.com/x", "")


def test_signatures_of_the_store_are_held_against_the_keys(store: ImageStore, tmp_path: Path, gpg_keys: Keys) -> None:
    key = tmp_path / "good.gpg"
    key.write_bytes(gpg_keys.public(gpg_keys.good))
    place = '\n[trust.lookaside]\n"registry.example.com" = "https://registry.example.com/sigs"'
    layer = composition(required(key) + place, store)
    looked = f"https://registry.example.com/sigs/team/app@{DIGEST_OF.replace(':', '=')}/signature-1"
    problem = "Source image rejected: A signature was required, but no signature exists"
    assert reason(layer) == f"{problem} (looked for {looked} when it was fetched)"
    verdict = judged(layer, NAME, DIGEST_OF)
    assert verdict is not None
    assert (
        f"`hardening trust explain -p a {NAME}` shows more" in verdict.refusals[0].hint
    )  # of the stack that refuses it
    good = signer(gpg_keys.good, home=gpg_keys.home.path)
    sign(store, good.sign(payload.made(DIGEST_OF, NAME)))
    assert reason(layer) == ""
    sign(store, good.sign(payload.made(DIGEST_OF, "registry.example.com/team/app:2")))
    assert "is not accepted" in reason(layer)
    assert reason(composition(required(key, ', signedIdentity = "matchRepository"'), store)) == ""
    sign(store, good.sign(payload.made(f"sha256:{'0' * 64}", NAME)))
    assert "does not match" in reason(layer)
    sign(store, signer(gpg_keys.other, home=gpg_keys.home.path).sign(payload.made(DIGEST_OF, NAME)))
    assert reason(layer).startswith("Source image rejected: ")
    key.unlink()
    assert "cannot read the key" in reason(layer)


def test_a_manifest_that_was_changed_is_rejected(store: ImageStore, tmp_path: Path, gpg_keys: Keys) -> None:
    key = tmp_path / "good.gpg"
    key.write_bytes(gpg_keys.public(gpg_keys.good))
    sign(store, signer(gpg_keys.good, home=gpg_keys.home.path).sign(payload.made(DIGEST_OF, NAME)))
    store.blob(DIGEST_OF).chmod(0o600)
    store.blob(DIGEST_OF).write_bytes(MANIFEST + b" ")
    assert "digest mismatch" in reason(composition(required(key), store))


def test_it_says_what_it_looks_at(store: ImageStore, tmp_path: Path, gpg_keys: Keys) -> None:
    key = tmp_path / "brief.gpg"
    brief = gpg_keys.home.generate("soon", expires=time.strftime("%Y-%m-%d", time.gmtime(time.time() + 864000)))
    key.write_bytes(gpg_keys.public(brief))
    sign(store, signer(brief, home=gpg_keys.home.path).sign(payload.made(DIGEST_OF, NAME)))
    found = composition(required(key), store)
    for verdict in (judged(found), judged_as(said(found))):
        assert verdict is not None
        assert verdict.accepts
        files = {item.argument for item in verdict.looked if item.kind == "file"}
        assert {str(key), str(store.blob(DIGEST_OF)), str(store.signatures(DIGEST_OF, NAME) / "signature-1")} <= files
        (until,) = [item.argument for item in verdict.looked if item.kind == "before"]
        assert time.time() < int(until) < time.time() + 10 * 86400 + 86400
        assert all(item.seen == fingerprints.take(item.kind, item.argument) for item in verdict.looked)
    accepted = judged(composition('[trust]\ndefault = "accept"', store))
    assert accepted is not None
    assert accepted.looked == ()


def test_a_bundle_is_judged_by_what_it_requires_and_by_what_there_is_now(
    store: ImageStore, tmp_path: Path, gpg_keys: Keys
) -> None:
    key = tmp_path / "key.gpg"
    key.write_bytes(gpg_keys.public(gpg_keys.revoked))
    signed = signer(gpg_keys.revoked, home=gpg_keys.home.path).sign(payload.made(DIGEST_OF, NAME))
    sign(store, signed)
    bundle = said(composition(required(key), store))
    assert json.loads(bundle[ANNOTATION]) == [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": str(key)}]
    assert refused(bundle) == ""
    key.write_bytes(revoked_key(gpg_keys))
    assert "is revoked" in refused(bundle)
    key.write_bytes(gpg_keys.public(gpg_keys.other))
    assert "unknown key" in refused(bundle)
    key.write_bytes(gpg_keys.public(gpg_keys.revoked))
    sign(store)
    verdict = judged_as(bundle)
    assert verdict is not None
    (refusal,) = verdict.refusals
    assert refusal.reason == "Source image rejected: A signature was required, but no signature exists"
    assert f"the bundle requires of its image: signedBy {key}; " in refusal.hint
    sign(store, signed)
    assert refused(bundle) == ""
    assert "no signature exists" in refused({**bundle, REFERENCE: NAME.replace("app:1", "app:2")})
    store.blob(DIGEST_OF).write_bytes(MANIFEST + b" ")
    assert "digest mismatch" in refused(bundle)


def test_a_bundle_that_does_not_say_what_it_requires_is_refused(store: ImageStore, tmp_path: Path) -> None:
    bundle = said(composition('[trust]\ndefault = "accept"', store))
    assert bundle[ANNOTATION] == '[{"type":"insecureAcceptAnything"}]'
    assert refused(bundle) == ""
    for missing in (ANNOTATION, DIGEST):
        left = {name: text for name, text in bundle.items() if name != missing}
        assert refused(left) == f"nothing states what is required of the image {NAME}"
    wrong = ("", "[]", "{}", '["reject"]', '[{"type": "none"}]', '[{"type": "signedBy", "keyType": "GPGKeys"}]')
    relative = '[{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "a.gpg"}]'
    for text in (*wrong, '[{"type": "reject", "type": "insecureAcceptAnything"}]', relative):
        assert refused({**bundle, ANNOTATION: text}) != "", text
    assert "rejected by policy" in refused({**bundle, ANNOTATION: '[{"type": "reject"}]'})
    bundle = said(composition(required(tmp_path / "key.gpg"), store))
    bundle["org.hardening.image.store"] = str(tmp_path / "elsewhere")
    assert "there is no store" in refused(bundle)


def test_an_image_is_seen_however_its_name_is_spelt(store: ImageStore) -> None:
    """JSON can write each character as its number."""
    bundle = said(composition("", store))
    text = json.dumps({"annotations": bundle}).replace("org.hardening.image.", "org.hardening.\\u0069mage.")
    verdict = hardening_admit(Candidate(text.encode(), HOST))
    assert verdict is not None
    assert "is rejected by policy" in verdict.refusals[0].reason


def test_a_foreign_bundle_requires_what_it_did_and_what_the_stack_does(store: ImageStore) -> None:
    bundle = said(composition(required(Path("/one.gpg")), store))
    stricter = composition(required(Path("/other.gpg")))
    fragment = Fragment("trust")
    document = {"annotations": bundle}
    context = Context(HOST, stricter.composed)
    (violation,) = Trust().tighten(stricter.settings["trust"], document, context, fragment)
    assert (violation.pointer, violation.asked, violation.leaf) == (
        POINTER,
        "signedBy /one.gpg",
        "trust.docker.registry.example.com",
    )
    both = [item["keyPath"] for item in json.loads(fragment.values[POINTER].value)]
    assert both == ["/one.gpg", "/other.gpg"]
    assert [*Trust().tighten(stricter.settings["trust"], {"annotations": {"a": "b"}}, context, Fragment("trust"))] == []


def test_a_foreign_bundle_whose_image_is_named_without_a_digest_is_rejected_where_something_is_required() -> None:
    """Only an image that is still to be fetched has none."""
    place = Path("/absent")
    for text, reason in (
        (required(Path("/one.gpg")), f"nothing states which image {NAME} is"),
        ("", f"Running image docker://{NAME} is rejected by policy."),
        ('[trust]\ndefault = "accept"', ""),
    ):
        verdict = judged_as(Used(NAME, "", place).annotations, composition(text))
        assert verdict is not None
        assert [refusal.reason for refusal in verdict.refusals] == [reason] * bool(reason)


@pytest.mark.parametrize("annotations", [5, "org.hardening.image.digest", [DIGEST], [1], None])
def test_annotations_that_are_no_object_name_no_image(annotations: object) -> None:
    for found in (None, composition("")):
        assert hardening_admit(Candidate(json.dumps({"annotations": annotations}).encode(), HOST, found)) is None
