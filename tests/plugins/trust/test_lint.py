"""What `trust lint` finds: scopes that never match, and keys that nobody should rely on."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hardening_trust import keys, view
from hardening_trust.lint import docker_problem, lint
from tests.plugins.trust.policies import DIGEST, default, scope
from tests.support.gpg import Home, home


def rules(folder: Path, text: str) -> list[str]:
    path = folder / "policy.json"
    path.write_text(text)
    return [finding.rule for finding in lint(view.of_file(path))]


@pytest.mark.parametrize(
    "name",
    [
        "docker.io",
        "docker.io/library",
        "docker.io/library/busybox:1",
        f"localhost/x@{DIGEST}",
        "localhost:5000",
        "a.example.com:5000/team/app",
        "*.example.com",
        "*.com",
    ],
)
def test_a_scope_that_can_match_is_left_alone(name: str, tmp_path: Path) -> None:
    assert docker_problem(name) == ""
    assert rules(tmp_path, scope("docker", name)) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("busybox", "short names are spelt out"),
        ("library/busybox", "short names are spelt out"),
        ("docker.io/busybox:1", "it is spelt docker.io/library/busybox:1"),
        ("index.docker.io/library", "those of docker.io"),
        ("https://docker.io", "no scheme"),
        ("docker.io/", "not a part of a repository"),
        ("docker.io/Library", "not a part of a repository"),
        ("docker.io/library/busybox:", 'invalid tag ""'),
        ("docker .io", "is not a host"),
        ("*", "a wildcard is"),
        ("*.example.com:5000", "a wildcard is"),
        ("*.example.com/team", "a wildcard is"),
        ("a.*.example.com", "is not a host"),
        (f"docker.io/library/busybox:1@{DIGEST}", "a tag and a digest"),
        ("docker.io/library/busybox@sha256:12", "invalid digest"),
    ],
)
def test_a_scope_that_never_matches_is_told_with_its_reason(name: str, reason: str, tmp_path: Path) -> None:
    assert reason in docker_problem(name)
    assert rules(tmp_path, scope("docker", name)) == ["trust/never-matches"]


@pytest.mark.parametrize(
    ("name", "rule", "hint"),
    [
        ("docker.io/busybox", "trust/namespace", "the image busybox is docker.io/library/busybox"),
        (
            "Docker.io/busybox/x",
            "trust/capital-host",
            "write docker.io/busybox/x, unless images are named with capitals",
        ),
        ("*.Example.com", "trust/capital-host", "write *.example.com, unless images are named with capitals"),
    ],
)
def test_a_scope_that_looks_like_another_is_told(name: str, rule: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text(scope("docker", name))
    (found,) = lint(view.of_file(tmp_path / "policy.json"))
    assert (found.rule, found.hint) == (rule, hint)


def test_of_a_transport_without_scopes_none_are_asked_for(tmp_path: Path) -> None:
    accepted = '{"docker-archive": {"": [{"type": "insecureAcceptAnything"}]}}'
    (tmp_path / "policy.json").write_text(f'{{"default": [{{"type": "reject"}}], "transports": {accepted}}}')
    (found,) = lint(view.of_file(tmp_path / "policy.json"))
    assert (found.rule, str(found.severity)) == ("trust/accepts-transport", "note")
    assert found.hint == "it has no scopes to name; of `oci` there are"


def test_paths_that_links_lead_away_from_never_match(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert rules(tmp_path, scope("dir", f"{tmp_path}/link")) == ["trust/never-matches"]
    assert rules(tmp_path, scope("oci", f"{tmp_path.resolve()}/real:tag")) == ["trust/never-matches"]
    assert rules(tmp_path, scope("oci", "/x/:tag")) == ["trust/never-matches"]
    assert rules(tmp_path, scope("dir", f"{tmp_path.resolve()}/real")) == []


def test_a_transport_that_nobody_knows(tmp_path: Path) -> None:
    assert rules(tmp_path, scope("dokcer", "docker.io")) == ["trust/never-matches"]


def test_what_accepts_everything_is_told(tmp_path: Path) -> None:
    accept = '[{"type": "insecureAcceptAnything"}]'
    assert rules(tmp_path, f'{{"default": {accept}}}') == ["trust/accepts-all"]
    text = f'{{"default": [{{"type": "reject"}}], "transports": {{"docker": {{"": {accept}}}}}}}'
    assert rules(tmp_path, text) == ["trust/accepts-transport"]


def test_what_no_image_can_fulfil_is_told(tmp_path: Path) -> None:
    signed = '{"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchExact"}}'
    assert rules(tmp_path, default(signed)) == ["trust/never-holds"]


def of_key(path: Path, key: str = "keyPath") -> str:
    return default(f'{{"type": "signedBy", "keyType": "GPGKeys", "{key}": "{path}"}}')


def test_keys_that_nobody_should_rely_on(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    home = Home(tmp_path / "home")
    lasting, brief = home.generate("lasting"), home.generate("brief", expires="20240102T000000")
    good, old, junk = tmp_path / "good.gpg", tmp_path / "old.gpg", tmp_path / "junk.gpg"
    good.write_bytes(home.run("--export", lasting))
    old.write_bytes(home.run("--armor", "--export", brief))
    junk.write_text("no key")
    assert rules(tmp_path, of_key(good)) == []
    assert rules(tmp_path, of_key(old)) == ["trust/key-expired"]
    assert rules(tmp_path, of_key(junk)) == ["trust/key-unusable"]
    assert rules(tmp_path, of_key(tmp_path / "absent.gpg")) == ["trust/key-missing"]
    assert rules(tmp_path, of_key(Path("absent.gpg"))) == ["trust/key-relative", "trust/key-missing"]
    (found,) = keys.gpg(old.read_bytes())
    assert (found.fingerprint, found.user, found.expired) == (brief, "brief <brief@example.com>", True)
    good.chmod(0o666)
    assert rules(tmp_path, of_key(good)) == ["trust/key-unsafe"]
    home.run("--kill", check=False)


def test_a_key_in_a_folder_that_all_can_write_is_unsafe(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    (folder / "key.gpg").write_text("")
    folder.chmod(0o777)
    assert rules(tmp_path, of_key(folder / "key.gpg")) == ["trust/key-unsafe"]


def test_a_key_of_which_no_subkey_signs_any_more(tmp_path: Path) -> None:
    with home() as place:
        primary = place.generate("certifies", usage="cert")
        certifies = place.export(primary)
        revoked = place.add_subkey(primary)
        place.revoke_subkey(primary, 1)
        without = place.export(primary)
        place.add_subkey(primary)
        renewed = place.export(primary)
    path = tmp_path / "key.gpg"
    for data, expected in ((certifies, ["trust/key-unusable"]), (without, ["trust/key-revoked"]), (renewed, [])):
        path.write_bytes(data)
        assert rules(tmp_path, of_key(path)) == expected
    path.write_bytes(without)
    (found,) = lint(view.of_file(tmp_path / "policy.json"))
    assert found.message == f"the key {path}, subkey: {revoked[-16:]} (certifies <certifies@example.com>) is revoked"


def test_a_sigstore_key_that_makes_no_signature_count(tmp_path: Path) -> None:
    def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
        return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    good, curve, junk = tmp_path / "good.pub", tmp_path / "curve.pub", tmp_path / "image.signature"
    good.write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
    curve.write_bytes(pem(ec.generate_private_key(ec.SECP256K1())))
    junk.write_bytes(b"\x90\x01")
    text = default(f'{{"type": "sigstoreSigned", "keyPaths": ["{good}", "{curve}", "{junk}"]}}')
    assert rules(tmp_path, text) == ["trust/key-unusable", "trust/key-unusable"]
    said = [finding.message for finding in lint(view.of_file(tmp_path / "policy.json"))]
    assert said[0].startswith(
        f"the key {curve}: no signature by it is valid: its elliptic curve secp256k1 is not taken"
    )
    assert said[1] == f"the key {junk}: no signature by it is valid: it is not a public key in PEM"


def test_files_that_are_only_carried_are_looked_for(tmp_path: Path) -> None:
    text = default('{"type": "sigstoreSigned", "keyPath": "/absent", "rekorPublicKeyPaths": ["rekor.pub"]}')
    assert rules(tmp_path, text) == [
        "trust/never-holds", "trust/key-missing", "trust/key-relative", "trust/key-missing",
    ]  # fmt: skip
