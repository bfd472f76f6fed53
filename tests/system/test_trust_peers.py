"""Signatures cross over: what we sign skopeo and podman accept under the policy that we write, what they sign we accept, and
what is tampered with all of them refuse."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from hardening import cli
from hardening.base.digest import sha256
from tests.support.gpg import Keys, gpg_keys, no_agents
from tests.support.registry import PASSWORD, USER, registry

__all__ = ["gpg_keys"]

pytestmark = pytest.mark.system
#: podman's own files lie on a /run of its own, and go with it.
_APART = 'mount --make-rprivate / && mount -t tmpfs tmpfs /run && exec "$@"'


@attrs.frozen(eq=False)
class Site:
    """A registry, a key, and a home whose containers tools read the policy that we write."""

    host: str
    home: Path
    keys: Keys

    @property
    def repository(self) -> str:
        return f"{self.host}/team/app"

    @property
    def signatures(self) -> Path:
        return self.home / "signatures"

    def push(self, tag: str, *options: str) -> str:
        """Put an image of its own into the registry: its name."""
        layout = self.home / "layout"
        if not layout.exists():
            self.call("umoci", "init", "--layout", str(layout))
        self.call("umoci", "new", "--image", f"{layout}:{tag}")
        self.call("umoci", "config", "--image", f"{layout}:{tag}", "--author", tag)
        name = f"{self.repository}:{tag}"
        target = ["--insecure-policy", "--dest-tls-verify=false", f"oci:{layout}:{tag}", f"docker://{name}"]
        self.call("skopeo", "copy", "-q", *options, *target, home=True)
        return name

    def call(self, *argv: str, home: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a program that has to succeed; with ``home`` as somebody whose home this is, and who has the keys."""
        done = self.attempt(*argv) if home else subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done

    def attempt(self, *argv: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "HOME": str(self.home), "GNUPGHOME": str(self.keys.home.path)}
        return subprocess.run(argv, capture_output=True, text=True, check=False, env=environment, timeout=120)

    def policy(self) -> None:
        """Have the tools believe the good key for the repository, and look for signatures where they are."""
        key = self.home / "good.gpg"
        key.write_bytes(self.keys.public(self.keys.good))
        profile = self.home / "team.toml"
        profile.write_text(
            f'[trust]\ndefault = "reject"\n\n[trust.docker]\n"{self.repository}" = {{ signedBy = "{key}" }}\n\n'
            f'[trust.lookaside]\n"{self.host}" = {{ lookaside = "{self.signatures.as_uri()}", '
            f'lookaside-staging = "{self.signatures.as_uri()}" }}\n'
        )
        assert cli.main(["trust", "export", "-p", str(profile), str(self.home / ".config/containers")]) == 0

    def verdicts(self, name: str) -> dict[str, bool]:
        """Whether each of the programs accepts an image."""
        profile, home = str(self.home / "team.toml"), self.home
        ours = cli.main(["trust", "verify", "-p", profile, "--tls-verify=false", name])
        copy = ("skopeo", "copy", "-q", "--src-tls-verify=false", "--remove-signatures", f"docker://{name}")
        pull = ("podman", "--root", f"{home}/graph", "--runroot", "/run/podman", "--storage-driver", "vfs", "pull")
        apart = ("unshare", "--mount", "sh", "-c", _APART, "sh", *pull, "-q", "--tls-verify=false", name)
        return {
            "hardening": ours == 0,
            "skopeo": self.attempt(*copy, f"dir:{home}/copy").returncode == 0,
            **({"podman": self.attempt(*apart).returncode == 0} if os.geteuid() == 0 else {}),
        }

    def sign(self, name: str, *options: str) -> list[Path]:
        """Sign an image with the good key: the files."""
        before = set(self.signatures.rglob("signature-*"))
        directory = str(self.home / ".config/containers/registries.d")
        words = ["--key", self.keys.good, "--registries-d", directory, "--tls-verify=false", *options, name]
        assert cli.main(["trust", "sign", *words]) == 0
        return sorted(set(self.signatures.rglob("signature-*")) - before)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registry(tmp_path_factory.mktemp("registry")) as found:
        yield found.host


@pytest.fixture
def site(running: str, gpg_keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("GNUPGHOME", str(gpg_keys.home.path))
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    found = Site(running, tmp_path, gpg_keys)
    found.policy()
    with no_agents(tmp_path):
        yield found


def all_of(verdicts: dict[str, bool]) -> bool:
    """What all programs say."""
    assert len(set(verdicts.values())) == 1, verdicts
    return verdicts["hardening"]


def test_what_we_sign_everybody_accepts_until_it_is_tampered_with(site: Site) -> None:
    name = site.push("ours")
    assert not all_of(site.verdicts(name))
    (path,) = site.sign(name)
    assert all_of(site.verdicts(name))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert not all_of(site.verdicts(name))


def test_what_skopeo_signs_everybody_accepts_until_it_is_tampered_with(site: Site) -> None:
    name = site.push("theirs", "--sign-by", site.keys.good)
    assert all_of(site.verdicts(name))
    (path,) = site.signatures.rglob("signature-1")
    path.write_bytes(path.read_bytes()[:-10])
    assert not all_of(site.verdicts(name))


def test_a_signature_of_another_image_or_name_is_refused_by_everybody(site: Site) -> None:
    signed, other = site.push("signed"), site.push("unsigned")
    (path,) = site.sign(signed)
    digest = site.call("skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{other}").stdout
    target = site.signatures / f"team/app@{digest.strip().replace(':', '=')}"
    target.mkdir()
    (target / "signature-1").write_bytes(path.read_bytes())
    assert not all_of(site.verdicts(other))
    # The same image, and its signature, under a name that was not signed.
    copy = ("skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false")
    site.call(*copy, "--remove-signatures", f"docker://{signed}", f"docker://{site.repository}:moved", home=True)
    assert not all_of(site.verdicts(f"{site.repository}:moved"))
    assert all_of(site.verdicts(signed))


def test_an_index_is_signed_for_every_platform(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    name = site.push("many")
    layout = site.home / "layout"
    entry = json.loads((layout / "index.json").read_text())["manifests"][-1]
    platforms = [("amd64", ""), ("arm64", "v8"), ("riscv64", ""), ("386", "")]
    entries = [
        {key: entry[key] for key in ("mediaType", "digest", "size")}
        | {"platform": {"os": "linux", "architecture": word}}
        for word, _ in platforms
    ]
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries}
    data = json.dumps(index).encode()
    url = f"http://{site.host}/v2/team/app/manifests/many"
    sent = ["curl", "-sf", "-X", "PUT", "-H", f"Content-Type: {index['mediaType']}", "--data-binary", "@-", url]
    subprocess.run(sent, input=data, check=True, capture_output=True, timeout=60)
    paths = site.sign(name)
    assert [path.parent.name for path in paths] == sorted(
        f"app@sha256={digest}" for digest in (sha256(data), entry["digest"].partition(":")[2])
    )
    assert all_of(site.verdicts(name))
    digest = entry["digest"].partition(":")[2]
    (site.signatures / f"team/app@sha256={digest}/signature-1").unlink()
    assert not all_of(site.verdicts(name))


def test_a_subkey_s_signature_is_its_primary_s(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    key = site.home / "good.gpg"
    name = site.push("subkey")
    site.sign(name, "--key", f"{site.keys.subkey}!")
    key.write_bytes(site.keys.public(site.keys.primary))
    assert site.verdicts(name)["hardening"]
    assert f"signed by {site.keys.primary}" in capsys.readouterr().out


def test_a_registry_with_tls_and_a_password(
    gpg_keys: Keys, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GNUPGHOME", str(gpg_keys.home.path))
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    with registry(tmp_path_factory.mktemp("secured"), secured=True) as found, no_agents(tmp_path):
        assert found.certificate is not None
        site = Site(found.host, tmp_path, gpg_keys)
        site.policy()
        trusted = tmp_path / ".config/containers/certs.d" / found.host
        trusted.mkdir(parents=True)
        (trusted / "ca.crt").write_bytes(found.certificate.read_bytes())
        words = ["--username", USER, "--password", PASSWORD, found.host]
        site.call("skopeo", "login", "--cert-dir", str(trusted), *words)
        name = site.push("secured", "--dest-cert-dir", str(trusted))
        profile = str(tmp_path / "team.toml")
        assert cli.main(["trust", "verify", "-p", profile, name]) == 1
        directory = str(tmp_path / ".config/containers/registries.d")
        assert cli.main(["trust", "sign", "--key", gpg_keys.good, "--registries-d", directory, name]) == 0
        assert cli.main(["trust", "verify", "-p", profile, name]) == 0
        copy = ("skopeo", "copy", "-q", "--src-cert-dir", str(trusted), "--remove-signatures", f"docker://{name}")
        assert site.attempt(*copy, f"dir:{tmp_path}/copy").returncode == 0
        Path(os.environ["REGISTRY_AUTH_FILE"]).unlink()
        assert cli.main(["trust", "verify", "-p", profile, name]) == 125


@pytest.fixture
def cosign(site: Site, monkeypatch: pytest.MonkeyPatch) -> str:
    """An image with a sigstore signature in the registry, which the tools look for."""
    monkeypatch.chdir(site.home)
    (site.home / "passphrase").write_text("")
    site.call("skopeo", "generate-sigstore-key", "--output-prefix", "key", "--passphrase-file", "passphrase")
    directory = site.home / ".config/containers/registries.d"
    (directory / "hardening.yaml").write_text(f"docker:\n  {site.host}:\n    use-sigstore-attachments: true\n")
    return site.push(
        "cosigned", "--sign-by-sigstore-private-key", "key.private", "--sign-passphrase-file", "passphrase"
    )


def _cosigned(site: Site, key: Path) -> dict[str, bool]:
    policy = site.home / ".config/containers/policy.json"
    policy.write_text(json.dumps({"default": [{"type": "sigstoreSigned", "keyPath": str(key)}]}))
    name = f"{site.repository}:cosigned"
    copy = ("skopeo", "copy", "-q", "--src-tls-verify=false", "--remove-signatures", f"docker://{name}")
    directory = str(policy.parent / "registries.d")
    words = ["--policy", str(policy), "--registries-d", directory, "--tls-verify=false", name]
    return {
        "hardening": cli.main(["trust", "verify", *words]) == 0,
        "skopeo": site.attempt(*copy, f"dir:{site.home}/copy").returncode == 0,
    }


def test_what_a_profile_requires_of_sigstore_the_others_look_for_too(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(site.home)
    (site.home / "passphrase").write_text("")
    for prefix in ("key", "other"):
        site.call("skopeo", "generate-sigstore-key", "--output-prefix", prefix, "--passphrase-file", "passphrase")

    def require(key: str) -> None:
        scope = f'"{site.repository}" = {{ sigstoreSigned = "{site.home}/{key}.pub" }}'
        (site.home / "team.toml").write_text(f'[trust]\ndefault = "reject"\n[trust.docker]\n{scope}\n')
        assert cli.main(["trust", "export", "-p", "./team.toml", ".config/containers"]) == 0

    require("key")
    options = ("--sign-by-sigstore-private-key", "key.private", "--sign-passphrase-file", "passphrase")
    signed, unsigned = site.push("attached", *options), site.push("unattached")
    assert all_of(site.verdicts(signed))
    assert not all_of(site.verdicts(unsigned))
    require("other")
    assert not all_of(site.verdicts(signed))


def test_a_sigstore_signature_of_skopeo_s_is_verified_by_its_key(site: Site, cosign: str) -> None:
    assert all_of(_cosigned(site, site.home / "key.pub"))
    site.call("skopeo", "generate-sigstore-key", "--output-prefix", "other", "--passphrase-file", "passphrase")
    assert not all_of(_cosigned(site, site.home / "other.pub"))
    assert not all_of(_cosigned(site, site.home / "good.gpg"))
    # Without attachments nobody looks for it.
    (site.home / ".config/containers/registries.d/hardening.yaml").write_text("{}")
    assert not all_of(_cosigned(site, site.home / "key.pub"))
