"""``hardening pull``, ``images`` and ``rmi``."""

from __future__ import annotations

from contextlib import suppress

import click

from hardening.base.units import timestamp
from hardening.cli import fetching, output
from hardening.cli.options import completed_by, stack
from hardening.cli.session import session
from hardening.errors import EXIT_FINDINGS, EndedError, Gathering, ImageError
from hardening.images import inuse, reference
from hardening.images.store import ImageRecord, ImageStore
from hardening.report.table import Table


@click.command(
    "pull",
    cls=stack.StackCommand,
    epilog="""\b
Examples:
  hardening pull docker.io/library/busybox
  hardening pull -p strict registry.example.com/team/app@sha256:…
  hardening pull oci:./image:v1
""",
)
@stack.stack_options
@click.option("-q", "--quiet", is_flag=True, help="Show no bars and no notes.")
@fetching.tls_option
@click.argument("image")
@click.pass_context
def pull(context: click.Context, profiles: tuple[str, ...], quiet: bool, tls_verify: bool, image: str) -> None:
    """Fetch IMAGE into the store, and print the digest of its manifest.

    IMAGE is HOST/REPOSITORY[:TAG][@DIGEST], oci:DIR[:NAME], dir:DIR, or docker-archive:FILE[:NAME].
    """
    name = reference.resolved(fetching.parse(image))
    here = session(context)
    composition = here.compose(stack.request(context, profiles))
    store = fetching.store_of_caller()
    output.show(fetching.fetch(here, composition, name, store, verify=tls_verify, quiet=quiet).digest)


@click.command("images", epilog="\b\nExamples:\n  hardening images --json\n  hardening images --check\n")
@click.option("--json", "as_json", is_flag=True, help="Show it as JSON.")
@click.option(
    "--check",
    is_flag=True,
    help="Hold blobs, names and manifests in the store against their digests, and look for roots that are not whole.",
)
def images(as_json: bool, check: bool) -> int:
    """List what was pulled."""
    store = fetching.existing_store()
    if check:
        return _check(store)
    entries = [_entry(store, record) for record in store.records()] if store is not None else []
    rows = tuple(
        (
            str(entry["name"]),
            str(entry["digest"]).partition(":")[2][: fetching.SHORT],
            str(entry["size"]) if entry["size"] is not None else "damaged",
            str(entry["pulled"]),
        )
        for entry in entries
    )
    columns = ("image", "digest", "bytes", "pulled")
    table = Table(columns, rows, last="image", narrow=("pulled", "bytes"), folded=True)
    output.show_either(entries, table, as_json=as_json)
    return 0


@click.command(
    "rmi",
    epilog="\b\nExamples:\n  hardening rmi docker.io/library/busybox\n  hardening rmi -f oci:./image:v1\n",
)
@click.option(
    "-f", "--force", is_flag=True, help="Take the name away also where the root is in use or there is no image."
)
@click.argument("names", nargs=-1, required=True, metavar="IMAGE...", shell_complete=completed_by("complete_image"))
def rmi(force: bool, names: tuple[str, ...]) -> None:
    """Remove images, by name or by digest, and what no other image needs. What a command runs from stays until it ends."""

    store, each = fetching.existing_store(), Gathering()
    for name in names:
        with each:
            _remove(store, name, force=force)
    if store is not None and not store.prune():
        output.note("somebody else uses the store: what is not needed any more goes with the next rmi")
    each.raise_all()


def _remove(store: ImageStore | None, name: str, *, force: bool) -> None:
    found = _find(store, name)
    if store is None or not found:
        if force:
            return
        raise EndedError(f"no such image: {name}", hint="`hardening images` lists them")
    remaining = {record.digest for record in store.records() if record not in found}
    for record in found:
        holders = [] if record.digest in remaining else store.roots(record.digest)
        user = next(filter(None, map(inuse.user, holders)), None)
        if user is not None and not force:
            raise EndedError(f"{record.name} is in use by {user}", hint="stop it first, or take the name away with -f")
        store.remove(record.name)
        output.show(f"{record.name} {record.digest}")


def _find(store: ImageStore | None, text: str) -> list[ImageRecord]:
    """The names that a name, a digest or the beginning of one means."""
    if store is None:
        return []
    if fetching.is_digest(text):
        return fetching.of_digest(store, text)
    name = fetching.parse(text)
    record = store.find(name) or store.find(reference.resolved(name))
    return [record] if record is not None else []


def _entry(store: ImageStore, record: ImageRecord) -> dict[str, object]:
    size: int | None = None
    with suppress(ImageError):  # --check says what is wrong with it
        size = sum(blob.size for blob in store.manifest(record.digest).blobs)
    pulled = timestamp(record.pulled * 10**9)
    return {"name": record.name, "digest": record.digest, "index": record.top, "size": size, "pulled": pulled}


def _check(store: ImageStore | None) -> int:
    if store is None:
        output.show("there are no images")
        return 0
    from hardening.images import check

    result = check.check(store)
    for problem in result.problems:
        output.show(problem)
    counts = ((result.names, "name"), (result.blobs, "blob"), (result.roots, "root"), (len(result.problems), "problem"))
    *stored, problems = (f"{number} {what}{'s' * (number != 1)}" for number, what in counts)
    output.show(f"{', '.join(stored)}: {problems}")
    if result.problems:
        output.note(
            "`hardening pull IMAGE` fetches what is damaged or missing anew; after `hardening rmi IMAGE`, all of it"
        )
    return EXIT_FINDINGS if result.problems else 0
