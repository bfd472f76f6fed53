"""Pulling on behalf of a stack: its policy is asked before anything is fetched, and again when the manifest is known."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from hardening.base import state
from hardening.base.text import listed
from hardening.cli import output
from hardening.errors import UsageError, quoted
from hardening.images import reference
from hardening.images.reference import Name

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from hardening.cli.session import Session
    from hardening.compose.composition import Composition
    from hardening.images.pull import Progress
    from hardening.images.store import ImageRecord, ImageStore, Unpacked

#: The most times a second that bars are drawn.
_A_SECOND = 10
#: The digits of a digest that are shown, and at least typed, and all that SHA-256 has.
SHORT, DIGITS = 12, 64

tls_option = click.option(
    "--tls-verify",
    type=click.BOOL,
    default=True,
    metavar="BOOLEAN",
    help="With false, a registry needs no certificate that is trusted, and may speak plain HTTP. Default: true.",
)


def store_of_caller() -> ImageStore:
    """The caller's store, which need not be there yet. Raises `ImageError`."""
    from hardening.images.store import ImageStore, location

    return ImageStore.at(location(os.environ, os.geteuid()))


def existing_store() -> ImageStore | None:
    """The caller's store; None where there is none. Raises `ImageError`."""
    from hardening.images.store import ImageStore, location

    return ImageStore.existing(location(os.environ, os.geteuid()))


def is_digest(text: str) -> bool:
    """Whether text is a digest, or the beginning of one, as `hardening images` shows it."""
    digits = text.removeprefix("sha256:")
    return SHORT <= len(digits) <= DIGITS and all(letter in "0123456789abcdef" for letter in digits)


def of_digest(store: ImageStore, text: str) -> list[ImageRecord]:
    """The names that stand for an image whose digest begins so. Raises `ImageError`."""
    digits = text.removeprefix("sha256:")
    return [record for record in store.records() if record.digest.partition(":")[2].startswith(digits)]


def meant(text: str) -> Name:
    """The image that somebody means, by its name or by the digest of what is here. Raises `UsageError`."""
    return parse(named(text, existing_store() if is_digest(text) else None))


def named(text: str, store: ImageStore | None) -> str:
    """The name of the image that is here with a digest that begins so; the text itself where there is none. Raises
    `UsageError` for the beginning of several, and for one with several names, which the policy may judge in several ways."""
    found = of_digest(store, text) if store is not None and is_digest(text) else []
    if len({record.digest for record in found}) > 1:
        raise UsageError(f"several images begin with {text}", hint="`hardening images --json` shows all digits")
    if len(found) > 1:
        names = " and ".join(record.name for record in found)
        raise UsageError(f"the image {text} is called {names}", hint="write one of these names")
    return found[0].name if found else text


def parse(text: str) -> Name:
    """The name that somebody typed. Raises `UsageError`, which names the transport of a file or directory that is here."""
    try:
        return reference.parse(text)
    except UsageError as error:
        error.hint = of_path(text) or error.hint
        raise


def of_path(text: str) -> str | None:
    """How an image at a path is named; None where there is nothing."""
    for path in (text, text.partition(":")[0]):
        if os.path.isfile(f"{path}/oci-layout"):
            return f"for the OCI layout that is there, write {quoted(f'oci:{text}')}"
        if os.path.isfile(f"{path}/manifest.json"):
            return f"for the image of skopeo's that is there, write {quoted(f'dir:{text}')}"
        if os.path.isdir(path):
            by = "an image is named by a transport, oci: or dir:"
            return f"for a root in that directory, write --rootfs {quoted(path)}; {by}"
        if os.path.isfile(path) and not os.access(path, os.X_OK):
            archive = f"for an archive of docker's, write {quoted(f'docker-archive:{text}')}"
            return f"{archive}; unpack one of OCI, and write oci:DIR"
    return None


def unpacked(here: Session, composition: Composition, store: ImageStore, record: ImageRecord, name: Name) -> Unpacked:
    """The root of an image for what was composed, unpacked where it was not. Raises `ImageError`, and `SpecError` for one
    that is not to be used: that is asked before it is unpacked."""
    from hardening.images.unpacking import unpack
    from hardening.images.unpacking.tree import Limits

    ids = composition.image_ids(here.host)
    root = store.root(record.digest, ids)
    if root is None:
        require_admitted(here, composition, name, store, record.digest)
        with store.shared(), store.stage() as stage:
            root = unpack.ensure(store, record.digest, ids, stage, Limits())
    return root


def require_admitted(
    here: Session, composition: Composition, name: Name, store: ImageStore, digest: str = "", staged: Path | None = None
) -> None:
    """Ask every plugin for its verdict on an image of which there is no root yet; the digest is '' before it was looked for,
    and afterwards ``staged`` has the signatures that were found. Raises `SpecError` for a rejection."""
    from hardening.assemble import pipeline  # commands that only list what there is judge nothing
    from hardening.mechanism.used import Used
    from hardening.plugin.admission import Candidate

    image = Used(str(name), digest, store.path, staged)
    config = json.dumps({"ociVersion": "1.0.2", "annotations": image.annotations}).encode()
    pipeline.admit(here.plugins, Candidate(config, here.host, attrs.evolve(composition, image=image)), None)


def fetch(
    here: Session, composition: Composition, name: Name, store: ImageStore, *, verify: bool, quiet: bool
) -> ImageRecord:
    """Pull an image for a composition, and say what of it was left out. Raises `ImageError`, and `SpecError` for one that is
    not to be used."""
    from hardening.images import pull  # which brings all that speaks HTTP

    require_admitted(here, composition, name, store)
    ids = composition.image_ids(here.host)
    request = pull.PullRequest(
        name,
        ids,
        signatures=lambda name, digest: here.plugins.signatures(name, digest, composition, verify=verify),
        judge=lambda digest, staged: require_admitted(here, composition, name, store, digest, staged),
        verify=verify,
    )
    before = store.find(name)
    with _told(quiet=quiet) as told:
        record = pull.pull(store, request, told)
    if before is not None and before.digest != record.digest:
        store.prune()
    danger = None if quiet else state.danger(store.path)
    if danger is not None:
        output.note(f"warning: {'; '.join(danger)}")
    root = store.root(record.digest, ids)
    if root is not None and not quiet:
        for line in left_out(root.about):
            output.note(f"left out: {line}")
    return record


def left_out(about: Any) -> Iterator[str]:
    """What of an image is not in its root, a line for each kind."""
    kinds: dict[str, list[str]] = {}
    for why, path in about.get("skipped", ()):
        kinds.setdefault(str(why), []).append(str(path))
    for why, paths in sorted(kinds.items()):
        yield f"{why}: {listed(paths)}"


@contextmanager
def _told(*, quiet: bool) -> Iterator[Progress | None]:
    """Bars on a terminal, and nothing elsewhere."""
    if quiet or not output.is_terminal(sys.stderr):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description:>12}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    # Drawn by whoever reports, and by no thread of its own: a process that forks has one thread here.
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False) as bars:
        told = _Bars(bars)
        yield told
        told.end()
        bars.refresh()


class _Bars:
    """The parts of a pull as bars, one below the other."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._task: TaskID | None = None
        self._size = 0
        self._drawn = 0.0

    def begin(self, what: str, size: int) -> None:
        """A new part begins."""
        self.end()
        self._task, self._size = self._bars.add_task(what, total=size), size
        self._bars.refresh()

    def end(self) -> None:
        """The part is done: what of it was not counted, such as the end of an archive, is as well."""
        if self._task is not None:
            self._bars.update(self._task, completed=self._size)

    def done(self, size: int) -> None:
        """More of the part is done."""
        if self._task is not None:
            self._bars.advance(self._task, size)
        now = time.monotonic()
        if now - self._drawn > 1 / _A_SECOND:
            self._drawn = now
            self._bars.refresh()
