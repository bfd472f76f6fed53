"""The verdict on a candidate by the image that it names: on what is required of it, and on what the store has of it."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import attrs
import pytest

from hardening import host
from hardening.compose import Composition
from hardening.images.media import digest_of
from hardening.images.signatures import gather
from hardening.images.store import Store
from hardening.images.used import DIGEST, REFERENCE, Used
from hardening.inputs import Input
from hardening.runtime import Candidate, Verdict
from hardening_trust import Trust, hardening_admit, hardening_inputs
from hardening_trust.signing import signer
from tests.support.gpg import Keys
from tests.support.texts import composed

NAME = "registry.example.com/team/app:1"
MANIFEST = json.dumps({"schemaVersion": 2}).encode()
DIGEST_OF = digest_of(MANIFEST)
HOST = host.plain()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with a manifest, and without signatures."""
    made = Store.open(tmp_path / "images")
    with made.stage() as stage:
        made.add(DIGEST_OF, [MANIFEST], len(MANIFEST), stage)
    return made


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "state"))


def composition(text: str, store: Store | None = None, digest: str = DIGEST_OF, name: str = NAME) -> Composition:
    found = composed(text, by=[Trust()])
    return attrs.evolve(found, image=Used(name, digest, store.path) if store is not None else None)


def judged(found: Composition | None, name: str = NAME, digest: str = DIGEST_OF) -> Verdict | None:
    annotations = {REFERENCE: name} | ({DIGEST: digest} if digest else {})
    config = json.dumps({"ociVersion": "1.0.2", "annotations": annotations}).encode()
    return hardening_admit(Candidate(config, HOST, found))


def reason(found: Composition, name: str = NAME, digest: str = DIGEST_OF) -> str:
    verdict = judged(found, name, digest)
    assert verdict is not None
    return verdict.refusals[0].reason if verdict.refusals else ""


def sign(store: Store, *found: bytes) -> None:
    """Have these signatures of the image and no others."""
    place = store.signatures(DIGEST_OF, NAME)
    shutil.rmtree(place, ignore_errors=True)
    with store.stage() as stage:
        gather(store, found, stage, NAME).rename(place)


def required(path: Path, rest: str = "") -> str:
    return f'[trust.docker]\n"registry.example.com" = {{ signedBy = "{path}"{rest} }}'


def test_a_root_that_is_no_image_is_none_of_its_business() -> None:
    assert hardening_admit(Candidate(b'{"ociVersion": "1.0.2"}', HOST, composition(""))) is None
    config = json.dumps({"annotations": {"org.example": REFERENCE}}).encode()
    assert hardening_admit(Candidate(config, HOST, composition(""))) is None
    assert judged(None) is None


def test_what_nobody_permits_is_rejected_and_the_place_is_told() -> None:
    verdict = judged(composition(""))
    assert verdict is not None
    (refusal,) = verdict.refusals
    assert refusal.reason == f"Running image docker://{NAME} is rejected by policy."
    assert refusal.pointer == ""
    assert "no profile permits it" in refusal.hint
    assert "hardening trust set --into mine.toml -t accept registry.example.com/team/app`" in refusal.hint
    assert refusal.hint.endswith("for -p ./mine.toml after your other ones (without any: -p default)")
    verdict = judged(composition('[trust]\ndefault = "reject"'))
    assert verdict is not None
    hint = verdict.refusals[0].hint
    assert hint.startswith("trust.default is reject, said at a.toml:2: ")
    assert "`hardening explain trust.docker.registry.example.com/team/app`, with the profiles of the run" in hint
    verdict = judged(composition('[trust.docker]\n"registry.example.com" = "reject"'))
    assert verdict is not None
    assert verdict.refusals[0].hint.startswith("trust.docker.registry.example.com is reject, said at a.toml:2: ")


def test_what_is_accepted_is_accepted_with_and_without_a_store() -> None:
    assert reason(composition('[trust]\ndefault = "accept"')) == ""
    assert reason(composition('[trust]\ndefault = "accept"'), "oci:/srv/x:1") == ""


def test_a_name_with_a_tag_and_a_digest_is_rejected() -> None:
    assert "both a tag and a digest" in reason(composition('[trust]\ndefault = "accept"'), f"{NAME}@{DIGEST_OF}")


def test_before_it_is_fetched_only_what_no_image_could_pass_counts(store: Store) -> None:
    layer = '[trust.docker]\n"a.example.com" = { signedBy = "/absent.gpg" }'
    assert reason(composition(layer, store), "a.example.com/x", "") == ""
    assert "rejected by policy" in reason(composition(layer, store), "b.example.com/x", "")


def test_signatures_of_the_store_are_held_against_the_keys(store: Store, tmp_path: Path, gpg_keys: Keys) -> None:
    key = tmp_path / "good.gpg"
    key.write_bytes(gpg_keys.public(gpg_keys.good))
    layer = composition(required(key), store)
    assert reason(layer) == "Source image rejected: A signature was required, but no signature exists"
    good = signer(gpg_keys.good, home=gpg_keys.home.path)
    sign(store, good.sign(DIGEST_OF, NAME))
    assert reason(layer) == ""
    sign(store, good.sign(DIGEST_OF, "registry.example.com/team/app:2"))
    assert "is not accepted" in reason(layer)
    assert reason(composition(required(key, ', signedIdentity = "matchRepository"'), store)) == ""
    sign(store, good.sign(f"sha256:{'0' * 64}", NAME))
    assert "does not match" in reason(layer)
    sign(store, signer(gpg_keys.other, home=gpg_keys.home.path).sign(DIGEST_OF, NAME))
    assert reason(layer).startswith("Source image rejected: ")
    key.unlink()
    assert "cannot read the key" in reason(layer)


def test_a_manifest_that_was_changed_is_rejected(store: Store, tmp_path: Path, gpg_keys: Keys) -> None:
    key = tmp_path / "good.gpg"
    key.write_bytes(gpg_keys.public(gpg_keys.good))
    sign(store, signer(gpg_keys.good, home=gpg_keys.home.path).sign(DIGEST_OF, NAME))
    store.blob(DIGEST_OF).chmod(0o600)
    store.blob(DIGEST_OF).write_bytes(MANIFEST + b" ")
    assert "is not what its name says" in reason(composition(required(key), store))


def test_it_says_what_it_looks_at(store: Store, tmp_path: Path, gpg_keys: Keys) -> None:
    key = tmp_path / "brief.gpg"
    brief = gpg_keys.home.generate("soon", expires=time.strftime("%Y-%m-%d", time.gmtime(time.time() + 864000)))
    key.write_bytes(gpg_keys.public(brief))
    sign(store, signer(brief, home=gpg_keys.home.path).sign(DIGEST_OF, NAME))
    assert reason(composition(required(key), store)) == ""
    found = [item for item in hardening_inputs(composition(required(key), store), HOST) if isinstance(item, Input)]
    files = {item.argument for item in found if item.kind == "file"}
    assert {str(key), str(store.blob(DIGEST_OF)), str(store.signatures(DIGEST_OF, NAME) / "signature-1")} <= files
    (until,) = [item.argument for item in found if item.kind == "before"]
    assert time.time() < int(until) < time.time() + 10 * 86400 + 86400
    assert list(hardening_inputs(composition('[trust]\ndefault = "accept"', store), HOST)) == []
    assert list(hardening_inputs(composition(""), HOST)) == []
    assert list(hardening_inputs(None, HOST)) == []


def test_of_a_path_it_looks_at_the_links_on_the_way(tmp_path: Path, store: Store) -> None:
    (tmp_path / "real").mkdir()
    os.symlink("real", tmp_path / "link")
    found = composition('[trust]\ndefault = "accept"', store, name=f"dir:{tmp_path}/link")
    names = [item.argument for item in hardening_inputs(found, HOST) if isinstance(item, Input)]
    assert f"{tmp_path}/link" in names
