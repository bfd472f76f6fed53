"""`plugins/hardening_trust/policy.py`, skopeo: it takes what is taken here, and refuses the others in the same words."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardening.errors import ProfileError
from hardening_trust import policy
from hardening_trust.jsontree import document
from tests.plugins.trust.policies import REFUSED, TAKEN
from tests.support.sample import examples


def message(text: str, folder: Path) -> str:
    """What skopeo says of a policy, empty where it goes on to look at the image, which there is none."""
    (folder / "policy.json").write_text(text)
    argv = ["skopeo", "copy", "--policy", "policy.json", "dir:none", "dir:copy"]
    found = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    said = re.search(r'msg="(.*)"$', found.stderr.strip().splitlines()[-1])
    assert said is not None
    text = said[1].replace('\\"', '"')
    assert "none/manifest.json" in text or "invalid policy" in text
    return text if "invalid policy" in text else ""


@pytest.mark.parametrize("text", REFUSED)
def test_skopeo_refuses_it_in_the_same_words(text: str, tmp_path: Path) -> None:
    assert REFUSED[text] in message(text, tmp_path)


@pytest.mark.parametrize("text", TAKEN)
def test_skopeo_takes_it(text: str, tmp_path: Path) -> None:
    assert not message(text, tmp_path)


WORDS = ("", "/a", "x", "GPGKeys", "YQ==", "busybox", "busybox:1", "localhost:5000/x", "A", "matchExact", "a@b")
SCOPES = ("", "docker.io", "not a host", "/srv/x", "/", "relative", "/srv/x:tag", "/srv/")
IDENTITIES = (
    "matchExact",
    "matchRepository",
    "exactReference",
    "exactRepository",
    "remapIdentity",
    "matchRepoDigestOrExact",
    "x",
)
TYPES = ("reject", "insecureAcceptAnything", "signedBy", "sigstoreSigned", "signedBaseLayer", "x")
KEYS = (
    "keyType", "keyPath", "keyPaths", "keyData", "keyDatas", "rekorPublicKeyPath", "rekorPublicKeyData", "unknown",
    "baseLayerIdentity", "signedIdentity",
)  # fmt: skip


@pytest.mark.parametrize("transport", ["*", "", "dir./srv/x", "docker.docker.io", "default.x", "Docker"])
def test_a_name_that_no_transport_has_is_no_scope_of_another(transport: str) -> None:
    """Containers tools pass over them; here such a name would be that of a scope."""
    text = json.dumps(
        {"default": [{"type": "reject"}], "transports": {transport: {"": [{"type": "insecureAcceptAnything"}]}}}
    )
    found = problem(text.encode())
    assert found is not None
    assert f'"{transport}" is not a transport' in found.message


@st.composite
def objects(draw: st.DrawFn, types: tuple[str, ...], keys: tuple[str, ...], values: Any) -> dict[str, Any]:
    chosen = draw(st.lists(st.sampled_from(keys), max_size=3, unique=True))
    return {"type": draw(st.sampled_from(types))} | {key: draw(values(key)) for key in chosen}


def identities() -> st.SearchStrategy[dict[str, Any]]:
    names = ("dockerReference", "dockerRepository", "prefix", "signedPrefix")
    return objects(IDENTITIES, names, lambda key: st.sampled_from(WORDS))


def value(key: str) -> st.SearchStrategy[Any]:
    words = st.sampled_from(WORDS)
    if key.endswith("Identity"):
        return identities()
    if key == "keyType":
        return st.sampled_from(("GPGKeys", "signedByGPGKeys", "x"))
    several = st.lists(words, max_size=2)
    return several if key.endswith("s") else words | st.integers(0, 1)


def policies() -> st.SearchStrategy[dict[str, Any]]:
    good = st.sampled_from([{"type": "reject"}, {"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/a"}])
    lists = st.lists(good | good | objects(TYPES, KEYS, value), min_size=0, max_size=2)
    names = st.sampled_from(("docker", "dir", "oci", "docker-archive", "tarball", "unknown"))
    transports = st.dictionaries(names, st.dictionaries(st.sampled_from(SCOPES), lists, max_size=2), max_size=2)
    return st.fixed_dictionaries({"default": lists}, optional={"transports": transports, "more": lists})


def problem(text: bytes) -> ProfileError | None:
    """What is wrong with a policy here."""
    try:
        policy.parse(document(text, Path("policy.json")))
    except ProfileError as error:
        return error
    return None


@settings(max_examples=examples(80), deadline=None)
@given(data=policies())
def test_made_up_policies_are_taken_and_refused_alike(
    data: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = json.dumps(data)
    found = problem(text.encode())
    assert found is None or (str(found.origin) == "policy.json:1" and found.hint)
    folder = tmp_path_factory.getbasetemp() / "policies"
    folder.mkdir(exist_ok=True)
    assert (found is None) == (not message(text, folder)), text


@settings(max_examples=examples(300))
@given(text=st.binary(max_size=60) | st.text(alphabet='{}[]":,defaultyprjc \n0', max_size=80).map(str.encode))
def test_nothing_but_an_error_with_a_line_comes_of_rubbish(text: bytes) -> None:
    found = problem(text)
    assert found is not None
    assert str(found.origin).startswith("policy.json:")
