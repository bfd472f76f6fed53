"""Which name in a signature is accepted for which image, by each kind of signed identity."""

from __future__ import annotations

import pytest

from hardening.images.reference import parse_docker
from hardening_trust.identities import accepts
from hardening_trust.requirements import (
    ExactReference,
    ExactRepository,
    Identity,
    MatchExact,
    MatchRepoDigestOrExact,
    MatchRepository,
    RemapIdentity,
)

D = "@sha256:" + "a" * 64
E = "@sha256:" + "b" * 64
DEFAULT = MatchRepoDigestOrExact()
REMAP = RemapIdentity("mirror.example.com/x", "example.com")


@pytest.mark.parametrize(
    ("identity", "image", "signed", "expected"),
    [
        (DEFAULT, "example.com/a:1", "example.com/a:1", True),
        (DEFAULT, "example.com/a:1", "example.com/a:2", False),
        (DEFAULT, "example.com/a:1", "example.com/a", False),
        (DEFAULT, "example.com/a:latest", "example.com/a", False),
        (DEFAULT, "example.com/a:1", f"example.com/a{D}", False),
        (DEFAULT, "example.com/a:1", f"example.com/a:1{D}", False),
        (DEFAULT, f"example.com/a{D}", f"example.com/a{D}", True),
        (DEFAULT, f"example.com/a{D}", f"example.com/a{E}", True),  # the manifest's digest is held elsewhere
        (DEFAULT, f"example.com/a{D}", "example.com/a:1", True),
        (DEFAULT, f"example.com/a{D}", "example.com/a", False),
        (DEFAULT, f"example.com/a{D}", "example.com/b:1", False),
        (DEFAULT, "busybox:1", "docker.io/library/busybox:1", True),
        (DEFAULT, "docker.io/library/busybox:1", "busybox:1", True),
        (DEFAULT, "example.com/a:1", "Example.com/A:1", False),
        (DEFAULT, "example.com/a:1", "", False),
        (DEFAULT, "example.com:5000/a:1", "example.com/a:1", False),
        (MatchExact(), "example.com/a:1", "example.com/a:1", True),
        (MatchExact(), "example.com/a:1", "example.com/a:2", False),
        (MatchExact(), "example.com/a:latest", "example.com/a", False),
        (MatchExact(), f"example.com/a{D}", f"example.com/a{D}", True),
        (MatchExact(), f"example.com/a{D}", "example.com/a:1", False),
        (MatchRepository(), "example.com/a:1", "example.com/a:2", True),
        (MatchRepository(), "example.com/a:1", "example.com/a", True),
        (MatchRepository(), "example.com/a:1", "example.com/a/b:1", False),
        (ExactReference("example.com/b:1"), "example.com/a:1", "example.com/b:1", True),
        (ExactReference("example.com/b:1"), None, "example.com/b:1", True),
        (ExactReference("example.com/b:1"), None, "example.com/b:2", False),
        (ExactReference("busybox:latest"), None, "busybox", False),
        (ExactReference("busybox"), None, "busybox:latest", False),
        (ExactReference(f"example.com/b{D}"), None, f"example.com/b{D}", True),
        (ExactRepository("example.com/b"), None, "example.com/b:2", True),
        (ExactRepository("example.com/b"), None, "example.com/b", True),
        (ExactRepository("busybox"), None, "docker.io/library/busybox:2", True),
        (ExactRepository("example.com/b"), "example.com/b:1", "example.com/c:1", False),
        (REMAP, "mirror.example.com/x/a:1", "example.com/a:1", True),
        (REMAP, "mirror.example.com/x/a:1", "mirror.example.com/x/a:1", False),
        (REMAP, "mirror.example.com/xy/a:1", "mirror.example.com/xy/a:1", True),
        (REMAP, "other.example.com/a:1", "other.example.com/a:1", True),
        (REMAP, f"mirror.example.com/x/a{D}", "example.com/a:1", True),
        (RemapIdentity("example.com", "example.com"), "example.com/a:1", "example.com/a:1", True),
        (RemapIdentity("example.com/a", "example.org/b"), "example.com/a:1", "example.org/b:1", True),
        (RemapIdentity("example.com", "docker.io"), "example.com/a:1", "docker.io/library/a:1", False),
        (RemapIdentity("example.com", "docker.io"), "example.com/b/a:1", "docker.io/b/a:1", True),
    ],
)
def test_which_name_is_accepted(identity: Identity, image: str | None, signed: str, expected: bool) -> None:
    assert accepts(identity, parse_docker(image) if image else None, signed) is expected


@pytest.mark.parametrize("identity", [DEFAULT, MatchExact(), MatchRepository(), REMAP])
def test_an_image_without_a_reference_matches_only_what_is_written_out(identity: Identity) -> None:
    assert not accepts(identity, None, "example.com/a:1")
