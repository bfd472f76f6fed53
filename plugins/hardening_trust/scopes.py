"""Which scope of a policy decides about an image (containers-policy.json(5), "Supported transports and their scopes").

A scope is written ``TRANSPORT.NAME`` here, ``TRANSPORT`` for all of a transport, and ``*`` for the default. Scopes stand
below one another; the look-up tries those of one image from the narrowest to the widest, and the first that is there
supplies all requirements. It takes as long as the image's name is deep, however many scopes there are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from hardening.base.values import frozen
from hardening.errors import UsageError
from hardening.mechanism.schema import WILDCARD

if TYPE_CHECKING:
    from hardening.images.reference import Name
    from hardening_trust.requirements import Requirements

DOCKER, OCI, DIRECTORY, ARCHIVE, STORAGE = "docker", "oci", "dir", "docker-archive", "containers-storage"
ATOMIC, DAEMON = "atomic", "docker-daemon"

#: Transports whose scopes are the names of registries and repositories, and those whose scopes are paths.
NAMED = (DOCKER, ATOMIC, DAEMON)
OF_PATHS = (DIRECTORY, OCI, "oci-archive", "ostree", "sif")
#: Transports that containers tools know, and others whose scopes are only carried.
WITHOUT_SCOPES = (ARCHIVE, "tarball")
KNOWN = (*NAMED, *OF_PATHS, *WITHOUT_SCOPES, STORAGE)

#: Letters of a scope: as many as a path has (PATH_MAX).
_LONGEST = 4095
#: The hexadecimal digits of digests as containers tools have them in names.
_DIGITS = "[0-9a-f]{64}"
_DIGEST = f"(?:sha256:{_DIGITS}|sha384:[0-9a-f]{{96}}|sha512:[0-9a-f]{{128}})"
#: What scopes of some transports look like, and how that is written. Of `docker` nothing is checked.
_FORMS = {
    ATOMIC: (re.compile(r"[^/]*(?:/[^:/]*(?:/[^:/]*(?::[^:/]*)?)?)?"), "HOST[/NAMESPACE[/STREAM[:TAG]]]"),
    STORAGE: (
        re.compile(rf"\[(?:/[^]@]*|[^]@]+@/[^]]*)\][^@]*(?:@(?:{_DIGITS}|{_DIGEST}|{_DIGEST}@{_DIGITS}))?", re.DOTALL),
        "[/STORAGE] or [DRIVER@/STORAGE], and after it nothing, or NAME, NAME@ID, NAME@DIGEST or NAME@DIGEST@ID",
    ),
    DAEMON: (
        re.compile(rf"(?!{_DIGEST}\Z).*", re.DOTALL),
        "HOST/REPOSITORY:TAG: an id does not name an image that has a scope",
    ),
}


class ScopeRule(StrEnum):
    """Which kind of scope has matched."""

    REFERENCE = "the reference itself"
    REPOSITORY = "the repository"
    NAMESPACE = "a namespace above the repository"
    HOST = "the registry's host"
    WILDCARD = "a wildcard for the host"
    PATH = "the path"
    DIRECTORY = "a directory above the path"
    TRANSPORT = "all of the transport"
    DEFAULT = "the default"


@frozen
class ScopeCandidate:
    """A scope that may decide about an image, and by which rule."""

    member: str
    rule: ScopeRule


@frozen
class Match:
    """The scope that decides. ``passed`` are those that were tried before it and are not there."""

    member: str
    rule: ScopeRule
    requirements: Requirements
    passed: tuple[ScopeCandidate, ...]


def member(transport: str, scope: str) -> str:
    """The name of a scope here."""
    return f"{transport}.{scope}" if scope else transport


def split(name: str) -> tuple[str, str]:
    """Transport and scope of a name; both are empty for the default."""
    transport, _, scope = name.partition(".")
    return ("", "") if name == WILDCARD else (transport, scope)


def scope_problem(transport: str, scope: str) -> str:
    """Why containers tools refuse a scope's name, empty where they take it."""
    if not scope:
        return ""
    if len(scope) > _LONGEST:  # all that it stands below is asked for
        return f"a scope has at most {_LONGEST} letters"
    if transport in _FORMS:
        form, written = _FORMS[transport]
        return "" if form.fullmatch(scope) else f"a scope of {transport} is {written}"
    if transport in WITHOUT_SCOPES:
        return f'{transport} has no scopes but ""'
    if transport not in OF_PATHS:
        return ""
    if not scope.startswith("/"):
        return f"a scope of {transport} is an absolute path"
    if scope == "/":
        return 'all of the transport is the scope ""'
    if os.path.normpath(scope) != scope:
        return f"write the path without . and .. and slashes too many: {os.path.normpath(scope)}"
    return ""


def above(name: str) -> Sequence[str]:
    """The scopes above one, nearest first, without the default (`hardening.mechanism.schema.Family`)."""
    transport, scope = split(name)
    if not scope:
        return ()
    return [*(member(transport, wider) for wider in wider_scopes(transport, scope)), transport]


def wider_scopes(transport: str, scope: str) -> Iterator[str]:
    """The scopes of a transport that an image or scope stands below, nearest first, without ``""``."""
    if transport in NAMED:
        yield from _wider_names(scope)
    elif transport in OF_PATHS:
        head = scope.rpartition("/")[0]
        while head:
            yield head
            head = head.rpartition("/")[0]


def _wider_names(scope: str) -> Iterator[str]:
    """``host:port/ns/r:tag``, ``host:port/ns/r``, ``host:port/ns``, ``host:port``, ``*.domain`` …, as
    containers-policy.json(5) has it: a wildcard takes neither a port nor a path, and a host is not above host:port."""
    if scope.startswith("*."):
        host = scope[2:]
        while "." in host:
            host = host.partition(".")[2]
            yield f"*.{host}"
        return
    wider = scope.partition("@")[0]
    slash = wider.rfind("/")
    if slash >= 0 and ":" in wider[slash:]:
        wider = wider[: wider.index(":", slash)]
    if wider != scope:
        yield wider
    while "/" in wider:
        wider = wider.rpartition("/")[0]
        yield wider
    host = wider.partition(":")[0]
    while "." in host:
        host = host.partition(".")[2]
        yield f"*.{host}"


def candidates(image: Name) -> Iterator[ScopeCandidate]:
    """The scopes that may decide about an image, in the order of the look-up. Its path is one without links
    (`hardening.images.reference.resolved`): where it lay when it was fetched.

    Raises `UsageError` for a docker reference with a tag and a digest, which could be looked up in two ways.
    """
    transport = image.transport
    identity, rules = _identity(image)
    if identity:
        yield ScopeCandidate(member(transport, identity), rules[0])
        for wider in wider_scopes(transport, identity):
            yield ScopeCandidate(member(transport, wider), _rule(image, wider, rules[1:]))
    yield ScopeCandidate(transport, ScopeRule.TRANSPORT)
    yield ScopeCandidate(WILDCARD, ScopeRule.DEFAULT)


def match(image: Name, named: Mapping[str, Requirements], default: Requirements) -> Match:
    """The scope among ``named`` that decides about an image; raises as `candidates` does."""
    passed: list[ScopeCandidate] = []
    for candidate in candidates(image):
        if candidate.member in named:
            return Match(candidate.member, candidate.rule, named[candidate.member], tuple(passed))
        passed.append(candidate)
    return Match(WILDCARD, ScopeRule.DEFAULT, default, tuple(passed[:-1]))


def _identity(image: Name) -> tuple[str, tuple[ScopeRule, ScopeRule]]:
    """The narrowest scope of an image, and the rules of that and of the next."""
    if image.docker is not None:
        found = image.docker
        if found.tag and found.digest:
            raise UsageError(
                f"{image}: an image with both a tag and a digest is looked up by neither",
                hint=f"name it by its digest alone: {found.repository}@{found.digest}",
            )
        suffix = f"@{found.digest}" if found.digest else f":{found.tag}"
        return f"{found.repository}{suffix}", (ScopeRule.REFERENCE, ScopeRule.REPOSITORY)
    if image.transport == ARCHIVE:
        return "", (ScopeRule.TRANSPORT, ScopeRule.TRANSPORT)
    # Of an OCI layout all images: `dir` and `dir:tag` may be the same one.
    return image.path, (ScopeRule.PATH, ScopeRule.DIRECTORY)


def _rule(image: Name, wider: str, rules: Sequence[ScopeRule]) -> ScopeRule:
    if image.docker is None:
        return rules[0]
    if wider == image.docker.repository:
        return rules[0]
    if wider.startswith("*."):
        return ScopeRule.WILDCARD
    return ScopeRule.HOST if wider == image.docker.host else ScopeRule.NAMESPACE
