"""Verdicts on many images: one `hardening trust verify` of all of them, and skopeo once for each, under the same policy.

``python -m tests.bench.verifying [NUMBER]`` measures and prints a table. Needs skopeo, umoci, GnuPG and docker-registry.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

from hardening.images.reference import parse_docker
from hardening.launch.digest import sha256
from hardening_trust import lookaside
from hardening_trust.payload import Payload, write
from tests.support.gpg import Home, home, no_agents
from tests.support.registry import registry

IMAGES = 100
REPOSITORY = "team/app"


@attrs.frozen
class Spent:
    """Seconds of the wall clock, and of the processors by all processes."""

    wall: float
    cpu: float


@attrs.frozen(eq=False)
class Crowd:
    """Images that are signed, by transport, and the policy that accepts them."""

    folder: Path
    images: dict[str, list[str]]

    def ours(self, transport: str) -> Spent:
        """One command for all."""
        program = str(Path(sys.executable).with_name("hardening"))
        return self._spent(
            [[program, "trust", "verify", *self._where(), "--tls-verify=false", *self.images[transport]]]
        )

    def theirs(self, transport: str) -> Spent:
        """A command for each: skopeo judges what it copies."""
        policy, _, directory = self._where()[1:]
        head = ["skopeo", "--policy", policy, "--registries.d", directory, "copy", "-q", "--src-tls-verify=false"]
        target = f"dir:{self.folder}/copy"
        return self._spent([[*head, "--remove-signatures", name, target] for name in self.images[transport]])

    def _where(self) -> list[str]:
        return ["--policy", f"{self.folder}/policy.json", "--registries-d", f"{self.folder}/registries.d"]

    def _spent(self, commands: Sequence[Sequence[str]]) -> Spent:
        environment = {**os.environ, "HARDENING_STATE": f"{self.folder}/state", "TMPDIR": str(self.folder)}
        before, begun = _processors(), time.monotonic()
        for argv in commands:
            subprocess.run(argv, check=True, capture_output=True, env=environment)
        return Spent(time.monotonic() - begun, _processors() - before)


def _processors() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def crowd(number: int) -> Iterator[Crowd]:
    """So many images, each with a manifest of its own, in a registry and in directories."""
    folder = Path(tempfile.mkdtemp(prefix="verifying-"))
    try:
        with registry(folder) as running, home() as keys, no_agents(folder):
            yield _made(folder, running.host, keys, number)
    finally:
        shutil.rmtree(folder)


def _made(folder: Path, host: str, keys: Home, number: int) -> Crowd:
    key = keys.generate("bench")
    (folder / "key.gpg").write_bytes(keys.export(key))
    _call("umoci", "init", "--layout", f"{folder}/layout")
    _call("umoci", "new", "--image", f"{folder}/layout:1")
    _call("skopeo", "copy", "-q", "--insecure-policy", f"oci:{folder}/layout:1", f"dir:{folder}/image")
    manifest = json.loads((folder / "image/manifest.json").read_text())
    found: dict[str, list[str]] = {"dir": [], "docker": []}
    copy = ("skopeo", "copy", "-q", "--insecure-policy", "--preserve-digests", "--dest-tls-verify=false")
    for count in range(number):
        place = folder / f"image-{count}"
        shutil.copytree(folder / "image", place)
        data = json.dumps({**manifest, "annotations": {"number": str(count)}}).encode()
        (place / "manifest.json").write_bytes(data)
        name = f"{host}/{REPOSITORY}:{count}"
        _call(*copy, f"dir:{place}", f"docker://{name}")
        digest = f"sha256:{sha256(data)}"
        signature = keys.sign(write(Payload(digest, name)), key)
        lookaside.write((folder / "signatures").as_uri(), parse_docker(name), digest, signature)
        (place / "signature-1").write_bytes(signature)
        found["dir"].append(f"dir:{place}")
        found["docker"].append(f"docker://{name}")
    (folder / "registries.d").mkdir()
    base = (folder / "signatures").as_uri()
    (folder / "registries.d/a.yaml").write_text(f"docker:\n  {host}:\n    lookaside: {base}\n")
    identity = {"type": "exactRepository", "dockerRepository": f"{host}/{REPOSITORY}"}
    signed = {"type": "signedBy", "keyType": "GPGKeys", "keyPath": f"{folder}/key.gpg", "signedIdentity": identity}
    (folder / "policy.json").write_text(json.dumps({"default": [signed]}))
    return Crowd(folder, found)


def _call(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)


def measured(number: int) -> list[tuple[str, str, Spent]]:
    """Transport, who, and what it took."""
    with crowd(number) as found:
        who: dict[str, Callable[[str], Spent]] = {
            "hardening, one command": found.ours,
            "skopeo, one each": found.theirs,
        }
        return [(transport, name, run(transport)) for transport in found.images for name, run in who.items()]


def main(arguments: Sequence[str]) -> None:
    """Print a table."""
    number = int(arguments[0]) if arguments else IMAGES
    print(f"| {number} images | who | s | CPU s |\n| --- | --- | --: | --: |")
    for transport, name, spent in measured(number):
        print(f"| `{transport}:` | {name} | {spent.wall:.1f} | {spent.cpu:.1f} |")


if __name__ == "__main__":
    main(sys.argv[1:])
