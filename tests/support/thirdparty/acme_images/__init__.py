"""What a third party knows of images: which programs are not to be in a root, who has signed what, and whose images nobody
is to use.

A real one would ask services over the network; here all of it lies in the directory that a variable names.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from hardening.errors import ImageError
from hardening.images.reference import Name
from hardening.mechanism import inputs, used
from hardening.mechanism.inputs import Input, Inputs
from hardening.mechanism.runtime import Refusal
from hardening.mechanism.scanner import EXTERNAL, Detection, RootEntry, Scanner
from hardening.plugin.admission import Candidate, Verdict
from hardening.plugin.hookspecs import hookimpl

VARIABLE = "ACME_IMAGES"


def _place(name: str) -> Path:
    return Path(os.environ.get(VARIABLE, "/nonexistent")) / name


def _lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


class Advisories(Scanner):
    """Finds files whose names are in a list that grows."""

    name: ClassVar[str] = "acme"
    summary: ClassVar[str] = "what Acme advises against"
    kinds: ClassVar[tuple[str, ...]] = (EXTERNAL,)

    def inputs(self) -> Inputs:
        yield from inputs.environment(VARIABLE)
        yield from inputs.file(_place("advisories"))

    def entry(self, entry: RootEntry) -> Iterable[Detection]:
        if os.path.basename(entry.path) in _lines(_place("advisories")):
            yield Detection(EXTERNAL, entry.path, "Acme advises against it")


@hookimpl
def hardening_scanners() -> Sequence[Scanner]:
    """Register the scanner."""
    return (Advisories(),)


@hookimpl
def hardening_signatures(name: Name, digest: str) -> Iterator[bytes]:
    """What Acme has of signatures for a manifest, whatever it is called."""
    folder = _place("signatures") / digest.replace(":", "-")
    try:
        for path in sorted(folder.iterdir()) if folder.exists() else ():
            yield path.read_bytes()
    except OSError as error:
        raise ImageError(
            f"the signatures of {name} cannot be read: {error.strerror}", origin=folder, hint="ask the people of Acme"
        ) from None


@hookimpl
def hardening_admit(candidate: Candidate) -> Verdict | None:
    """Judge an image by its name: before it is fetched nothing else of it is known."""
    image = used.of(candidate.document)
    if image is None or image.reference not in _lines(_place("banned")):
        return None
    return Verdict("acme", (Refusal("", f"Acme has banned {image.reference}", "use another image"),))


@hookimpl
def hardening_inputs() -> Iterable[Input]:
    """What the verdict rests on."""
    return (*inputs.environment(VARIABLE), *inputs.file(_place("banned")))
