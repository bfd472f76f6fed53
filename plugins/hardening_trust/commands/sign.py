"""``hardening trust sign``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from hardening.base import wholefile
from hardening.base.openpgp.signing import Signer, signer
from hardening.cli import api
from hardening.errors import LaunchError, UsageError, quoted
from hardening.images.reference import DIRECTORY, Name, Reference, is_tagged, parse, parse_docker
from hardening.images.signatures import PREFIX
from hardening.launch.record import behalf
from hardening_trust import lookaside
from hardening_trust.commands import chosen
from hardening_trust.payload import made
from hardening_trust.subjects import SignatureLocations, around_of


@click.command(
    "sign",
    short_help="Sign an image with a key of yours.",
    epilog="""\b
Examples:
  hardening trust sign --key release@example.com registry.example.com/team/app:1
  hardening trust sign --key release@example.com -p ./team.toml registry.example.com/team/app:1
  hardening trust sign --key 0123…CDEF --identity registry.example.com/team/app:1 dir:./image
  hardening trust sign --key release@example.com --passphrase-file ./passphrase docker.io/team/app:1
""",
)
@click.option("--key", required=True, metavar="ID", help="The secret key: a fingerprint, or what only one key has.")
@click.option(
    "--identity", metavar="REFERENCE", help="The name to sign it under. Default: the image's own, for a registry's."
)
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Read the key's passphrase from FILE. Default: the agent knows it, or asks for it on the terminal.",
)
@chosen.places_options
@click.option(
    "-o", "--output", "target", type=click.Path(path_type=Path), metavar="FILE", help="Write the signature to FILE."
)
@api.tls_option
@click.argument("image")
@click.pass_context
def command(
    context: click.Context,
    profiles: tuple[str, ...],
    key: str,
    identity: str | None,
    passphrase_file: Path | None,
    registries: Path | None,
    target: Path | None,
    tls_verify: bool,
    image: str,
) -> None:
    """Sign what IMAGE stands for, and keep the signature where verifiers look for it: in the lookaside directory that the
    profiles, or else registries.d, say for its registry, or in the directory of a dir: image.

    An index is signed as a whole, and each image in it, so that the signature holds on every platform. The places of the
    signatures are printed.
    """
    name = parse(image)
    reference = _identity(name, identity)
    places = SignatureLocations(chosen.places(context, profiles, registries), verify=tls_verify)
    digests = places.digests(name)
    with_key = signer(key, passphrase_file)
    if target is not None:
        if len(digests) > 1:
            raise UsageError(f"{image} is an index, whose images need a signature each", hint="leave --output out")
        _write(target, with_key.sign(made(digests[0], reference)))
        api.show(str(target))
        return
    for path in _keep(places, name, digests, with_key, reference):
        api.show(str(path))


def _identity(name: Name, said: str | None) -> str:
    """The name to sign. Raises `UsageError` for one without a tag or digest: verifiers refuse that."""
    if said is None:
        if name.docker is None:
            raise UsageError(
                f"an image of {name.transport} has no name to sign it under",
                hint="name it: --identity HOST/REPOSITORY:TAG",
            )
        around_of(name)  # refuses a tag together with a digest
        return str(name.docker)
    found: Reference = parse_docker(said)
    if not is_tagged(said):
        raise UsageError(f"{said} has neither a tag nor a digest", hint=f"write {quoted(str(found))}")
    return str(found)


def _keep(
    places: SignatureLocations, name: Name, digests: tuple[str, ...], with_key: Signer, reference: str
) -> Iterator[Path]:
    """Sign each manifest, and write the signature to its place."""
    for number, digest in enumerate(digests):
        if name.docker is not None:
            base = places.registries.written_to(around_of(name))
            lookaside.require_writable(base)
            yield lookaside.write(base, name.docker, digest, with_key.sign(made(digest, reference)))
        elif name.transport == DIRECTORY:
            prefix = f"{digest.partition(':')[2]}.{PREFIX}" if number else PREFIX
            yield lookaside.write_into(Path(name.path), with_key.sign(made(digest, reference)), prefix)
        else:
            raise UsageError(f"{name.transport} cannot keep signatures", hint="write it to a file: --output FILE")


def _write(path: Path, data: bytes) -> None:
    """Write a signature to a file, which is replaced as a whole, or to what is none: a pipe, a terminal."""
    with wholefile.errors_as(LaunchError, "cannot write the signature", origin=path, hint="name another file"):
        behalf.save(str(path), data)
