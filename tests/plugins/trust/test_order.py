"""Which requirement is stricter, held against the verdict: every set of signatures of a small world, for every image."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from hardening.images.reference import parse_docker
from hardening_trust.identities import accepts, is_narrower
from hardening_trust.kinds import RequirementsKind
from hardening_trust.order import implies, minimal
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

D, E = ("@sha256:" + letter * 64 for letter in "ab")
IMAGES = [None, *(parse_docker(f"{name}{end}") for name in ("x.io/a", "x.io/b") for end in (":1", ":2", D))]
SIGNED = [f"{name}{end}" for name in ("x.io/a", "x.io/b", "y.io/a") for end in ("", ":1", ":2", D, E)]
IDENTITIES: list[Identity] = [
    MatchExact(),
    MatchRepoDigestOrExact(),
    MatchRepository(),
    ExactReference("x.io/a:1"),
    ExactReference("x.io/b:2"),
    ExactReference(f"x.io/a{D}"),
    ExactRepository("x.io/a"),
    ExactRepository("x.io/b"),
    RemapIdentity("x.io", "y.io"),
]
PATHS = [("/a",), ("/b",), ("/a", "/b"), ("/b", "/c")]


def _world(identity: Identity) -> set[tuple[int, str]]:
    """Which names it accepts, for which image."""
    return {
        (i, said) for (i, image), said in itertools.product(enumerate(IMAGES), SIGNED) if accepts(identity, image, said)
    }


@pytest.mark.parametrize("a", IDENTITIES, ids=str)
def test_an_identity_is_narrower_where_it_accepts_fewer_names_and_only_there(a: Identity) -> None:
    for b in IDENTITIES:
        assert is_narrower(a, b) == (_world(a) <= _world(b)), (a, b)


def _requirements() -> Iterator[SignedBy | SigstoreSigned]:
    for paths, identity in itertools.product(PATHS, IDENTITIES):
        yield SignedBy(paths, identity=identity)
        yield SigstoreSigned(paths, identity=identity)
    yield SignedBy(key_data=b"a")
    yield SigstoreSigned(key_datas=(b"a",))
    yield SigstoreSigned(key_datas=(b"a", b"b"))


def _satisfying(requirement: SignedBy | SigstoreSigned) -> set[tuple[str, object, int, str]]:
    """The single signatures that are enough: their kind, their key, the image and the name that was signed."""
    keys = [*requirement.key_paths, *requirement.datas]
    kind = type(requirement).__name__
    return {(kind, key, image, said) for key in keys for image, said in _world(requirement.identity)}


def test_a_requirement_implies_another_where_all_that_satisfies_it_satisfies_that_and_only_there() -> None:
    """One signature is enough for each of them, so sets of several show nothing more."""
    known = [(item, _satisfying(item)) for item in _requirements()]
    for (a, enough), (b, wanted) in itertools.product(known, repeat=2):
        assert implies(a, b) == (enough <= wanted), (a, b)


def _accepted(requirements: Requirements) -> set[tuple[int, frozenset[tuple[str, str]]]]:
    """The images and sets of up to two signatures, by key and name, that a set of `SignedBy` accepts."""
    single = [(key, said) for key in ("/a", "/b", "/c") for said in ("x.io/a:1", "x.io/a:2", f"x.io/a{D}")]
    sets = [frozenset(found) for size in (0, 1, 2) for found in itertools.combinations(single, size)]
    return {
        (number, found)
        for (number, image), found in itertools.product(enumerate(IMAGES), sets)
        if all(
            isinstance(item, SignedBy)
            and any(key in item.key_paths and accepts(item.identity, image, said) for key, said in found)
            for item in requirements
        )
    }


def test_the_meet_of_two_sets_accepts_what_both_accept() -> None:
    kind = RequirementsKind()
    some = [SignedBy(paths, identity=identity) for paths in PATHS[:3] for identity in IDENTITIES[:3]]
    sets = [ACCEPT, REJECT, *(frozenset({item}) for item in some), frozenset(some[:2]), frozenset(some[4:6])]
    for a, b in itertools.product(sets, repeat=2):
        met = kind.intersect(a, b)
        assert _accepted(met) == _accepted(a) & _accepted(b)
        assert not (a and b) or met in (REJECT, minimal(met))
        assert not kind.is_no_looser_than(a, b) or _accepted(a) <= _accepted(b)


def test_nothing_but_to_accept_everything_restricts_nothing() -> None:
    kind = RequirementsKind()
    assert kind.is_loosest(ACCEPT)
    for value in kind.samples():
        assert kind.is_loosest(value) == all(kind.is_no_looser_than(sample, value) for sample in kind.samples())


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        (SignedBy(("/a", "/b")), SignedBy(("/a",))),
        (SignedBy(("/a",), identity=MatchRepository()), SignedBy(("/a",), identity=MatchExact())),
        (SignedBy(("/a",), identity=MatchRepository()), SignedBy(("/a",))),
        (SigstoreSigned(("/a", "/b")), SigstoreSigned(("/b",), identity=MatchExact())),
    ],
)
def test_narrowing_is_free_and_widening_is_not(wide: SignedBy, narrow: SignedBy) -> None:
    kind = RequirementsKind()
    assert kind.is_no_looser_than(frozenset({narrow}), frozenset({wide}))
    assert not kind.is_no_looser_than(frozenset({wide}), frozenset({narrow}))
    assert kind.intersect(frozenset({narrow}), frozenset({wide})) == {narrow}
