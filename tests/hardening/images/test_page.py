"""`docs/reference/images.md` says what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.base.state import LOGINS, logins
from hardening.images import media, store
from hardening.images.reference import TRANSPORTS
from hardening.images.transport.http import CERTIFICATES, TransferBounds
from hardening.images.unpacking.tree import Limits
from hardening.images.unpacking.whiteouts import OPAQUE
from hardening.mechanism.findings import NOT_TAKEN
from hardening.mechanism.used import DIGEST, REFERENCE
from tests.support.homes import set_home

PAGE = (Path(__file__).parents[3] / "docs/reference/images.md").read_text()
GIB, MIB, KIB = 1 << 30, 1 << 20, 1 << 10


@pytest.mark.parametrize("name", [*TRANSPORTS, *CERTIFICATES, LOGINS, store.VARIABLE, REFERENCE, DIGEST, NOT_TAKEN])
def test_names_stand_on_the_page(name: str) -> None:
    assert name in PAGE


@pytest.mark.parametrize("folder", [store.BLOBS, store.NAMES, store.SIGNATURES, store.ROOTS, store.PARTIAL, store.LOCK])
def test_every_place_of_the_store_stands_on_the_page(folder: str) -> None:
    assert f"| `{folder}" in PAGE


def test_the_bounds_on_the_page_are_those_of_the_code() -> None:
    bounds, limits = TransferBounds(), Limits()
    for words in (
        f"{bounds.connect} seconds for a connection, {bounds.read} for the next byte, {bounds.document} for a manifest",
        f"has to bring {bounds.slowest // KIB} KiB a second",
        f"at most {media.MAX_MANIFEST // MIB} MiB and {media.MAX_LAYERS} layers",
        f"a layer at most {media.MAX_BLOB // GIB} GiB",
        f"One file has at most {limits.file // GIB} GiB, an image {limits.total // GIB} GiB and two million entries",
        "at most five redirects",
        f"`{OPAQUE.decode()}`",
    ):
        assert words in PAGE
    assert (limits.entries, bounds.redirects) == (2_000_000, 5)


def test_the_files_of_credentials_stand_on_the_page_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    set_home(monkeypatch, "/~")
    found = logins({"XDG_RUNTIME_DIR": "/$XDG_RUNTIME_DIR"}, 1000)
    places = [PAGE.index(f"`{path[1:]}`") for path in found]
    assert places == sorted(places)
    assert len(places) == 3
