"""``hardening trust set``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from hardening.base import places
from hardening.cli import api
from hardening.errors import HostError, LaunchError, UsageError, quoted
from hardening_trust import keys, sigstore, writing
from hardening_trust.lint import misread, never
from hardening_trust.requirements import (
    ACCEPT,
    REJECT,
    ExactReference,
    ExactRepository,
    Identity,
    MatchExact,
    MatchRepoDigestOrExact,
    MatchRepository,
    RemapIdentity,
    Requirements,
    SignedBy,
    SigstoreSigned,
)
from hardening_trust.scopes import WITHOUT_SCOPES, scope_problem

TYPES = ("signedBy", "sigstoreSigned", "accept", "reject")
_PLAIN: dict[str, Identity] = {
    "matchRepoDigestOrExact": MatchRepoDigestOrExact(),
    "matchExact": MatchExact(),
    "matchRepository": MatchRepository(),
}
_INTO = {".json": writing.into_policy, ".toml": writing.into_profile}
_WITH_VALUE = ("exactReference", "exactRepository", "remapIdentity")


@click.command(
    "set",
    short_help="Say what a scope requires, in a profile or a policy.json.",
    epilog="""\b
Examples:
  hardening trust set -t reject default
  hardening trust set -t accept docker.io/library
  hardening trust set -f ./team.gpg --identity matchRepository registry.example.com/team
  hardening trust set --into policy.json -t accept oci:/srv/images
""",
)
@click.option("-t", "--type", "kind", type=click.Choice(TYPES), default=TYPES[0], help="Default: signedBy.")
@click.option(
    "-f",
    "--pubkeysfile",
    "files",
    multiple=True,
    metavar="KEY",
    type=click.Path(path_type=Path),
    help="A file of public keys; with several of them, a signature by any will do.",
)
@click.option(
    "--identity",
    metavar="KIND[=VALUE]",
    help="Which image a signature has to name: matchExact, matchRepository, exactReference=REFERENCE, "
    "exactRepository=REPOSITORY, remapIdentity=PREFIX=SIGNED.",
)
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The profile (.toml) or policy.json (.json) to change. Default: the profile trust of the user's own.",
)
@click.argument("scope")
def command(kind: str, files: tuple[Path, ...], identity: str | None, into: Path | None, scope: str) -> None:
    """Say what images of SCOPE require: a registry, namespace, repository or reference, TRANSPORT:PATH, or default.

    The file is replaced as a whole, or left as it was. A profile keeps its comments; it counts where it is named with -p.
    """
    requirements = _requirements(kind, files, identity)
    transport, name = writing.target(scope)
    problem = scope_problem(transport, name) or (never(transport, name) if transport else "")
    if problem:
        hint = "write HOST/NAMESPACE/REPOSITORY, or TRANSPORT:PATH"
        if transport in WITHOUT_SCOPES:
            hint = f"write {transport}: for all of it"
        raise UsageError(f"{scope} never matches: {problem}", hint=hint)
    for item in misread(transport, name):
        api.note(f"{item.severity}: {item.message}; {item.hint}")
    path = into if into is not None else _own_profile()
    if path.suffix not in _INTO:
        raise UsageError(f"{path} is neither a profile nor a policy", hint="its name ends with .toml or .json")
    with writing.alone(path):
        writing.replace(path, _INTO[path.suffix](path, transport, name, requirements))
    api.show(str(path))
    if into is None:
        api.note(
            f"it applies where it is named, after others: hardening run -p default -p {quoted(path.stem)} IMAGE -- COMMAND"
        )


def _own_profile() -> Path:
    """The profile `trust` of the caller's own, whose folder is made. Raises `LaunchError`."""
    config = places.xdg(os.environ, "XDG_CONFIG_HOME")
    if config is None:
        raise LaunchError(
            "no directory for a profile: the caller has no home directory", hint="name a file: --into FILE"
        )
    folder = Path(config, "hardening/profiles")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LaunchError(
            f"cannot make the directory: {error.strerror}", origin=folder, hint="name a file: --into FILE"
        ) from None
    return folder / "trust.toml"


def _requirements(kind: str, files: tuple[Path, ...], identity: str | None) -> Requirements:
    if kind in ("accept", "reject"):
        if files or identity:
            raise UsageError(f"{kind} takes no key and no identity", hint="leave them out, or write -t signedBy")
        return ACCEPT if kind == "accept" else REJECT
    if not files:
        raise UsageError(f"At least one public key must be defined for type '{kind}'", hint="name it: -f KEY")
    paths = []
    for file in files:
        path = Path(os.path.abspath(file))
        if not path.is_file():
            raise UsageError(f"the key {file} is missing", hint="name a file that is there")
        _require_key(kind, file, path)
        paths.append(str(path))
    made = SignedBy if kind == "signedBy" else SigstoreSigned
    return frozenset({made(tuple(sorted(set(paths))), identity=_identity(identity))})


def _require_key(kind: str, file: Path, path: Path) -> None:
    """Raise `UsageError` for a file without a key of the kind. Where GnuPG is missing, that is said, and no obstacle."""
    data = keys.read(path)
    if kind == "sigstoreSigned":
        try:
            sigstore.key(data)
        except sigstore.BadKey as error:
            raise UsageError(
                f"{file} holds no public key that can be used: {error}", hint="name a file in PEM: cosign.pub"
            ) from None
        return
    try:
        found = keys.gpg(data)
    except HostError as error:
        api.note(f"warning: whether {file} holds a key was not looked at: {error.message}")
        return
    if not found:
        raise UsageError(f"{file} holds no OpenPGP key", hint="export one: gpg --export --output FILE KEY")


def _identity(text: str | None) -> Identity:
    if text is None:
        return MatchRepoDigestOrExact()
    kind, given, value = text.partition("=")
    if not given and kind in _PLAIN:
        return _PLAIN[kind]
    if kind == "exactReference" and value:
        return ExactReference(value)
    if kind == "exactRepository" and value:
        return ExactRepository(value)
    prefix, given, signed = value.partition("=")
    if kind == "remapIdentity" and prefix and signed:
        return RemapIdentity(prefix, signed)
    known = ", ".join([*_PLAIN, *(f"{name}=…" for name in _WITH_VALUE)])
    raise UsageError(f'"{text}" is not a kind of identity', hint=f"there are {known}")
