"""Images that are signed, in a registry on loopback: what runs of images and verdicts are measured with."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from hardening.images.media import OCI_MANIFEST, digest_of
from hardening.images.reference import parse_docker
from hardening_trust import lookaside
from hardening_trust.payload import Payload, write
from tests.support.gpg import Home, home, no_agents
from tests.support.images import layout
from tests.support.registry import registry

TEAM = "team"
_COPY = ("skopeo", "copy", "-q", "--insecure-policy", "--preserve-digests", "--dest-tls-verify=false")


@attrs.frozen(eq=False)
class Hub:
    """A registry, a key, and the policy, as profile and as policy.json, that wants its signature of everything there.
    Signatures lie in a directory."""

    folder: Path
    host: str
    keys: Home
    key: str

    @property
    def profile(self) -> Path:
        return self.folder / "trust.toml"

    @property
    def policy(self) -> Path:
        return self.folder / "policy.json"

    @property
    def registries(self) -> Path:
        return self.folder / "registries.d"

    def name(self, repository: str, tag: object) -> str:
        return f"{self.host}/{TEAM}/{repository}:{tag}"

    def push(self, root: Path) -> str:
        """Push an image that has the content of a directory as its root, and sign it: its name."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for path in sorted(root.iterdir()):
                tar.add(path, path.name)
        digest = layout(self.folder / "layout", [packed.getvalue()], tag="1")
        name = self.name("root", 1)
        call(*_COPY, f"oci:{self.folder}/layout:1", f"docker://{name}")
        self.sign(name, digest)
        return name

    def push_all(self, repository: str, number: int) -> Iterator[tuple[str, bytes, bytes]]:
        """Push so many images without layers, each with a manifest of its own: name, manifest and signature."""
        layout(self.folder / repository, [], tag="1")
        call(*_COPY, f"oci:{self.folder}/{repository}:1", f"docker://{self.name(repository, 'first')}")
        url = f"http://{self.host}/v2/{TEAM}/{repository}/manifests"
        accepted = urllib.request.Request(f"{url}/first", headers={"Accept": OCI_MANIFEST})
        with urllib.request.urlopen(accepted) as answer:
            manifest = json.load(answer)
        for tag in range(number):
            data = json.dumps({**manifest, "annotations": {"number": str(tag)}}).encode()
            request = urllib.request.Request(
                f"{url}/{tag}", data=data, method="PUT", headers={"Content-Type": OCI_MANIFEST}
            )
            with urllib.request.urlopen(request):
                name = self.name(repository, tag)
                yield name, data, self.sign(name, digest_of(data))

    def sign(self, name: str, digest: str) -> bytes:
        """Sign a manifest under its name, and put the signature where the policy looks for it."""
        signature = self.keys.sign(write(Payload(digest, name)), self.key)
        lookaside.write((self.folder / "signatures").as_uri(), parse_docker(name), digest, signature)
        return signature


@contextmanager
def hub(folder: Path) -> Iterator[Hub]:
    """A registry that keeps everything in ``folder``, which is made, and which every user may read."""
    folder.mkdir()
    folder.chmod(0o755)
    with registry(folder) as running, home() as keys, no_agents(folder):
        found = Hub(folder, running.host, keys, keys.generate("bench"))
        _write(found)
        yield found


def _write(found: Hub) -> None:
    key, base = f"{found.folder}/key.gpg", (found.folder / "signatures").as_uri()
    Path(key).write_bytes(found.keys.export(found.key))
    found.registries.mkdir()
    (found.registries / "a.yaml").write_text(f"docker:\n  {found.host}:\n    lookaside: {base}\n")
    identity = {"type": "matchRepository"}
    signed = {"type": "signedBy", "keyType": "GPGKeys", "keyPath": key, "signedIdentity": identity}
    of_team = {"docker": {f"{found.host}/{TEAM}": [signed]}, "dir": {"": [{**signed, "signedIdentity": _exact(found)}]}}
    found.policy.write_text(json.dumps({"default": [{"type": "reject"}], "transports": of_team}))
    found.profile.write_text(
        f'[trust]\ndefault = "reject"\n\n[trust.docker]\n"{found.host}/{TEAM}" = {{ signedBy = "{key}" }}\n\n'
        f'[trust.lookaside]\n"{found.host}" = "{base}"\n'
    )


def _exact(found: Hub) -> dict[str, str]:
    """A directory has no name of its own."""
    return {"type": "exactRepository", "dockerRepository": f"{found.host}/{TEAM}/app"}


def call(*argv: str) -> None:
    """Run a command that has to work."""
    subprocess.run(argv, check=True, capture_output=True)
