"""Verdicts on many images: one `hardening trust verify` of all of them, and skopeo once for each, under the same policy.

``python -m tests.bench.verifying [NUMBER]`` measures this alone, and prints a table.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from tests.bench.signed import Hub, hub
from tests.bench.targets import OURS, THEIRS

IMAGES = 100
REPOSITORY = "app"


@attrs.frozen
class Spent:
    """Seconds of the wall clock, and of the processors by all processes."""

    wall: float
    cpu: float


@attrs.frozen(eq=False)
class Crowd:
    """Images that are signed, by transport."""

    hub: Hub
    program: Path
    images: Mapping[str, Sequence[str]]

    def ours(self, transport: str) -> Spent:
        """One command for all."""
        where = ["--policy", str(self.hub.policy), "--registries-d", str(self.hub.registries)]
        argv = [str(self.program), "trust", "verify", *where, "--tls-verify=false", *self.images[transport]]
        return self._spent([argv])

    def theirs(self, transport: str) -> Spent:
        """A command for each: skopeo judges what it copies."""
        head = ["skopeo", "--policy", str(self.hub.policy), "--registries.d", str(self.hub.registries), "copy", "-q"]
        target = ["--src-tls-verify=false", "--remove-signatures"]
        copy = f"dir:{self.hub.folder}/copy"
        return self._spent([[*head, *target, name, copy] for name in self.images[transport]])

    def _spent(self, commands: Sequence[Sequence[str]]) -> Spent:
        folder = self.hub.folder
        environment = {**os.environ, "HARDENING_STATE": f"{folder}/state", "TMPDIR": str(folder)}
        before, begun = _processors(), time.monotonic()
        for argv in commands:
            subprocess.run(argv, check=True, capture_output=True, env=environment)
        return Spent(time.monotonic() - begun, _processors() - before)


def _processors() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def crowd(found: Hub, program: Path, number: int) -> Crowd:
    """So many images, each with a manifest of its own, in the registry and in directories."""
    images: dict[str, list[str]] = {"docker": [], "dir": []}
    for count, (name, manifest, signature) in enumerate(found.push_all(REPOSITORY, number)):
        place = found.folder / f"{REPOSITORY}-{count}"
        place.mkdir()
        for blob in (found.folder / REPOSITORY / "blobs/sha256").iterdir():
            shutil.copy(blob, place)
        (place / "version").write_text("Directory Transport Version: 1.1\n")
        (place / "manifest.json").write_bytes(manifest)
        (place / "signature-1").write_bytes(signature)
        images["docker"].append(f"docker://{name}")
        images["dir"].append(f"dir:{place}")
    return Crowd(found, program, images)


def measured(found: Hub, program: Path, number: int) -> dict[str, dict[str, Spent]]:
    """What it took, by transport and by who judged."""
    all_of_them = crowd(found, program, number)
    return {
        transport: {OURS: all_of_them.ours(transport), THEIRS: all_of_them.theirs(transport)}
        for transport in all_of_them.images
    }


def main(arguments: Sequence[str]) -> None:
    """Print a table."""
    number = int(arguments[0]) if arguments else IMAGES
    program = Path(sys.executable).with_name("hardening")
    print(f"| {number} images | who | s | CPU s |\n| --- | --- | --: | --: |")
    with tempfile.TemporaryDirectory(prefix="verifying-") as folder, hub(Path(folder) / "hub") as found:
        for transport, taken in measured(found, program, number).items():
            for who, spent in taken.items():
                print(f"| `{transport}:` | {who} | {spent.wall:.1f} | {spent.cpu:.1f} |")


if __name__ == "__main__":
    main(sys.argv[1:])
