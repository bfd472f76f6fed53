"""What is wrong with a policy although it can be read: scopes that never match, policies that accept everything, and keys
that are missing, expired, or that others could write."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from hardening.base.values import frozen
from hardening.errors import HardeningError, HostError
from hardening.images import reference
from hardening.images.reference import DIRECTORY, DOCKER, OCI
from hardening.mechanism.findings import Finding, Severity
from hardening.mechanism.schema import WILDCARD
from hardening_trust import keys, scopes
from hardening_trust.requirements import (
    GPG_KEYS,
    ExactReference,
    ExactRepository,
    Requirement,
    SignedBaseLayer,
    SignedBy,
    SigstoreSigned,
    all_paths,
)
from hardening_trust.settings import TrustSettings
from hardening_trust.view import Scope, View

_SIGNED = (SignedBy, SigstoreSigned)


def lint(view: View) -> Iterator[Finding]:
    """All findings, scope by scope, and then key by key. Raises `HostError` where keys are to be read without GnuPG."""
    yield from _scopes(view)
    yield from _keys(view)


def of_settings(settings: TrustSettings) -> Iterator[Finding]:
    """What of the scopes can be told without a host: neither where links lead nor what is in keys."""
    members = {**settings.scopes.named, WILDCARD: settings.scopes.rest}
    view = View({member: Scope(member, required, "") for member, required in members.items()}, {})
    yield from _scopes(view, linked=False)


def _scopes(view: View, *, linked: bool = True) -> Iterator[Finding]:
    for scope in (view.default, *view.named()):
        yield from _accepting(scope)
        yield from _never_matching(scope, linked=linked)
        for requirement in scope.requirements:
            yield from _never_holding(scope, requirement)


def _finding(rule: str, scope: Scope, message: str, hint: str, severity: Severity = Severity.WARNING) -> Finding:
    return Finding(f"trust/{rule}", severity, message, leaf=f"trust.{scope.name}", origin=scope.origin, hint=hint)


def _accepting(scope: Scope) -> Iterator[Finding]:
    if scope.requirements:
        return
    if scope.member == WILDCARD:
        hint = 'set the default to "reject", and name what is accepted'
        yield _finding("accepts-all", scope, "every image that no scope names is accepted", hint)
        return
    transport, name = scopes.split(scope.member)
    if not name:
        unnamed = transport in scopes.WITHOUT_SCOPES
        hint = "it has no scopes to name; of `oci` there are" if unnamed else "name the scopes that are accepted"
        severity = Severity.NOTE if unnamed else Severity.WARNING
        yield _finding("accepts-transport", scope, f"every image of {transport} is accepted", hint, severity)


def _never_matching(scope: Scope, *, linked: bool) -> Iterator[Finding]:
    problem = "" if scope.member == WILDCARD else never(*scopes.split(scope.member), linked=linked)
    if problem:
        yield _finding("never-matches", scope, f"the scope never matches: {problem}", "correct it, or remove it")
    elif scope.member != WILDCARD:
        for item in misread(*scopes.split(scope.member)):
            yield _finding(item.rule, scope, item.message, item.hint, item.severity)


@frozen
class Misread:
    """What a scope matches although it looks like something else."""

    rule: str
    message: str
    hint: str
    severity: Severity = Severity.WARNING


def misread(transport: str, name: str) -> Iterator[Misread]:
    """What a scope that can match is probably not meant to be."""
    host, _, path = name.removeprefix("*.").partition("/")
    if transport != DOCKER:
        return
    if host != host.lower():
        message = f"{host} is another host than {host.lower()}: scopes are compared letter by letter"
        yield Misread("capital-host", message, f"write {name.lower()}, unless images are named with capitals")
    elif host == reference.DEFAULT_HOST and path and "/" not in path and path != reference.OFFICIAL:
        message = f"{name} is the namespace of images such as {name}/NAME"
        hint = f"the image {path} is {host}/{reference.OFFICIAL}/{path}"
        yield Misread("namespace", message, hint, Severity.NOTE)


def never(transport: str, name: str, *, linked: bool = True) -> str:
    """Why a scope never matches, empty where it can. Links of this host are followed unless they are not ``linked``."""
    if transport not in scopes.KNOWN:
        return f"unknown transport {transport}"
    if transport == DOCKER and name:
        return docker_problem(name)
    return _path_problem(transport, name, linked) if transport in scopes.OF_PATHS and name else ""


def docker_problem(name: str) -> str:
    """Why no image of a registry stands below a scope, empty where one can."""
    if name.startswith("*"):
        host = name[2:]
        if not name.startswith("*.") or not reference.is_prefix(host) or "/" in host or ":" in host or "*" in host:
            return "a wildcard is `*.` and a domain, without port and path"
        return ""
    if "://" in name:
        return "a scope has no scheme"
    host, slash, rest = name.partition("/")
    if host == "index.docker.io":
        return "images of index.docker.io are those of docker.io"
    if not slash:
        if not reference.is_prefix(name):
            return f'"{name}" is not a host'
        known = "." in host or ":" in host or host == "localhost"
        return "" if known else f"it has no host: short names are spelt out, as docker.io/library/{name}"
    if not ("." in host or ":" in host or host == "localhost"):
        return f"it has no host: short names are spelt out, as docker.io/{name}"
    if not reference.is_tagged(name):
        return "" if reference.is_prefix(name) else f'"{rest}" is not a part of a repository'
    try:
        found = reference.parse_docker(name)
    except HardeningError as error:
        return error.message.removeprefix(f"{name}: ")
    if found.tag and found.digest:
        return "it has a tag and a digest, and an image is looked up by one of them"
    return "" if str(found) == name else f"it is spelt {found}"


def _path_problem(transport: str, name: str, linked: bool) -> str:
    directory, colon, _ = name.partition(":")
    if transport == OCI and colon:
        return f"all images of a layout are looked up by its directory, {os.path.normpath(directory)}"
    real = os.path.realpath(name) if linked else name
    return f"links are followed, and {name} leads to {real}" if real != name else ""


def _never_holding(scope: Scope, requirement: Requirement) -> Iterator[Finding]:
    """A requirement that no image of its scope can fulfil."""
    reason, hint = "", "require something else"
    transport = scopes.split(scope.member)[0]
    if isinstance(requirement, SignedBaseLayer):
        reason = "no program implements signedBaseLayer"
    elif isinstance(requirement, SignedBy) and requirement.key_type != GPG_KEYS:
        reason = f"no program implements the key type {requirement.key_type}"
    elif isinstance(requirement, SigstoreSigned) and requirement.carried:
        parts = ", ".join(sorted(requirement.parts))
        reason = f"{parts} is carried for podman and skopeo, and cannot be verified here"
    elif isinstance(requirement, _SIGNED) and transport in (OCI, DIRECTORY) and not _is_exact(requirement):
        reason = f"images of {transport} have no name that a signature could match"
        hint = "use exactReference or exactRepository"
    if reason:
        yield _finding("never-holds", scope, f"no image can fulfil this: {reason}", hint)


def _is_exact(requirement: SignedBy | SigstoreSigned) -> bool:
    return isinstance(requirement.identity, ExactReference | ExactRepository)


def _keys(view: View) -> Iterator[Finding]:
    """Each file once, with the first scope that names it."""
    seen: set[tuple[str, str]] = set()
    for scope in (view.default, *view.named()):
        for requirement in sorted((item for item in scope.requirements if isinstance(item, _SIGNED)), key=repr):
            look = _gpg if isinstance(requirement, SignedBy) else _sigstore
            for path in all_paths([requirement]):
                kind = look if path in requirement.key_paths else _nothing  # what is only carried is not looked into
                if (path, kind.__name__) not in seen:
                    seen.add((path, kind.__name__))
                    yield from _key(scope, Path(path), kind)
            for data in requirement.datas:
                yield from look(scope, "the key in the policy", data)


def _key(scope: Scope, path: Path, look: Callable[[Scope, str, bytes], Iterator[Finding]]) -> Iterator[Finding]:
    if not path.is_absolute():
        hint = "write the whole path"
        yield _finding("key-relative", scope, f"the key {path} is looked up from the working directory", hint)
    if not path.exists():
        yield _finding(
            "key-missing", scope, f"the key {path} is missing", "install it, or name another", Severity.ERROR
        )
        return
    try:
        data = keys.read(path)
    except HostError:
        raise
    except HardeningError as error:
        yield _finding("key-unsafe", scope, f"the key {path}: {error.message}", error.hint or "", Severity.ERROR)
        return
    yield from look(scope, f"the key {path}", data)


def _nothing(scope: Scope, what: str, data: bytes) -> Iterator[Finding]:
    yield from ()


def _sigstore(scope: Scope, what: str, data: bytes) -> Iterator[Finding]:
    from hardening_trust import sigstore

    try:
        sigstore.key(data)
    except sigstore.BadKey as error:
        hint = "name a public key in PEM, as `cosign public-key` prints it"
        yield _finding("key-unusable", scope, f"{what}: no signature by it is valid: {error}", hint, Severity.ERROR)


def _gpg(scope: Scope, what: str, data: bytes) -> Iterator[Finding]:
    found = keys.gpg(data)
    if not found:
        hint = "export one: gpg --export KEY"
        yield _finding("key-unusable", scope, f"{what} holds no OpenPGP key", hint, Severity.ERROR)
    for key in found:
        if not (wrong := list(_state(scope, what, key))) and not key.signs:
            made = [subkey for subkey in key.subkeys if subkey.may_sign]
            wrong = [finding for subkey in made for finding in _state(scope, f"{what}, subkey", subkey)]
            if not wrong:
                message = f"{what}: {key.fingerprint[-16:]} ({key.user}) is not a key that signs"
                hint = "export one that does: gpg --export KEY"
                wrong = [_finding("key-unusable", scope, message, hint, Severity.ERROR)]
        yield from wrong


def _state(scope: Scope, what: str, key: keys.Key) -> Iterator[Finding]:
    """Whether a key is revoked or has expired."""
    named = f"{what}: {key.fingerprint[-16:]} ({key.user})"
    if key.revoked:
        yield _finding("key-revoked", scope, f"{named} is revoked", "replace it", Severity.ERROR)
    elif key.expired:
        hint = "have it prolonged by its owner, and export it again"
        yield _finding("key-expired", scope, f"{named} has expired", hint, Severity.ERROR)
