"""Which scope decides about an image."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardening.errors import UsageError
from hardening.images.reference import parse, resolved
from hardening.mechanism.schema import WILDCARD
from hardening_trust import scopes
from hardening_trust.requirements import ACCEPT, REJECT, Requirements
from hardening_trust.scopes import ScopeRule

DIGEST = "sha256:" + "0" * 64


def tried(image: str) -> list[str]:
    return [candidate.member for candidate in scopes.candidates(parse(image))]


def test_the_order_for_a_registry() -> None:
    found = list(scopes.candidates(parse("a.b.example.com:5000/ns/r:t")))
    assert [(item.member, item.rule) for item in found] == [
        ("docker.a.b.example.com:5000/ns/r:t", ScopeRule.REFERENCE),
        ("docker.a.b.example.com:5000/ns/r", ScopeRule.REPOSITORY),
        ("docker.a.b.example.com:5000/ns", ScopeRule.NAMESPACE),
        ("docker.a.b.example.com:5000", ScopeRule.HOST),
        ("docker.*.b.example.com", ScopeRule.WILDCARD),
        ("docker.*.example.com", ScopeRule.WILDCARD),
        ("docker.*.com", ScopeRule.WILDCARD),
        ("docker", ScopeRule.TRANSPORT),
        (WILDCARD, ScopeRule.DEFAULT),
    ]


def test_short_names_and_digests_are_spelt_out() -> None:
    assert tried("busybox")[:3] == [
        "docker.docker.io/library/busybox:latest",
        "docker.docker.io/library/busybox",
        "docker.docker.io/library",
    ]
    assert tried(f"busybox@{DIGEST}")[0] == f"docker.docker.io/library/busybox@{DIGEST}"
    assert tried("127.0.0.1/x")[3:5] == ["docker.*.0.0.1", "docker.*.0.1"]


def test_both_a_tag_and_a_digest_are_refused() -> None:
    with pytest.raises(UsageError, match="both a tag and a digest"):
        tried(f"busybox:1@{DIGEST}")


def test_paths_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    real = os.path.realpath(tmp_path / "real")
    above = [str(parent) for parent in Path(real).parents if str(parent) != "/"]
    assert tried(str(resolved(parse(f"dir:{tmp_path}/link")))) == [
        *(f"dir.{path}" for path in (real, *above)),
        "dir",
        WILDCARD,
    ]
    found = list(scopes.candidates(resolved(parse(f"oci:{tmp_path}/link:tag"))))
    assert [item.member for item in found] == [*(f"oci.{path}" for path in (real, *above)), "oci", WILDCARD]
    assert [item.rule for item in found[:2]] == [ScopeRule.PATH, ScopeRule.DIRECTORY]
    assert tried("docker-archive:/srv/x.tar") == ["docker-archive", WILDCARD]


@pytest.mark.parametrize(
    "image",
    ["a.b.example.com:5000/ns/r:t", "busybox", "localhost/x/y", f"[::1]:5000/x@{DIGEST}", "oci:/a/b:t", "dir:/a/b"],
)
def test_what_stands_above_a_scope_is_the_rest_of_the_look_up(image: str) -> None:
    found = tried(image)[:-1]
    for place, name in enumerate(found):
        assert list(scopes.above(name)) == found[place + 1 :]


def test_the_first_that_is_there_supplies_all() -> None:
    named = {"docker.docker.io": REJECT, "docker.docker.io/library/busybox": ACCEPT, "docker": REJECT}
    found = scopes.match(parse("busybox:1"), named, REJECT)
    assert (found.member, found.rule, found.requirements) == (
        "docker.docker.io/library/busybox",
        ScopeRule.REPOSITORY,
        ACCEPT,
    )
    assert [item.member for item in found.passed] == ["docker.docker.io/library/busybox:1"]
    other = scopes.match(parse("oci:/srv/x"), named, ACCEPT)
    assert (other.member, other.rule, other.requirements) == (WILDCARD, ScopeRule.DEFAULT, ACCEPT)
    assert [item.member for item in other.passed] == ["oci./srv/x", "oci./srv", "oci"]


class Asked(dict[str, Requirements]):
    """A policy that counts how often it is asked for a scope, and cannot be walked through."""

    times = 0

    def __contains__(self, name: object) -> bool:
        self.times += 1
        return super().__contains__(name)

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("a look-up went through all scopes")


@pytest.mark.parametrize("count", [10, 10_000])
def test_a_look_up_takes_as_many_steps_as_the_name_is_deep(count: int) -> None:
    named = Asked({f"docker.host{number}.example.com/team": REJECT for number in range(count)})
    found = scopes.match(parse("host7.example.com/team/app:1"), named, ACCEPT)
    assert found.requirements == REJECT
    assert named.times == 3
