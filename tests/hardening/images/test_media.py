"""Manifests, indexes and configurations are believed only as far as they have been checked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.errors import ImageError
from hardening.images import media
from hardening.images.media import Platform

ONE, TWO, THREE = (f"sha256:{digit * 64}" for digit in "123")
AMD, ARM, OLD_ARM = Platform("linux", "amd64"), Platform("linux", "arm64", "v8"), Platform("linux", "arm", "v7")


def described(digest: str = ONE, kind: str = media.OCI_CONFIG, size: object = 5, **more: object) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest, "size": size, **more}


def manifest(**changes: object) -> dict[str, Any]:
    layer = described(TWO, "application/vnd.oci.image.layer.v1.tar+gzip")
    return {"schemaVersion": 2, "mediaType": media.OCI_MANIFEST, "config": described(), "layers": [layer], **changes}


def index(*platforms: Platform, **changes: object) -> dict[str, Any]:
    entries = [
        described(
            f"sha256:{number:064x}",
            media.OCI_MANIFEST,
            platform={"os": item.system, "architecture": item.architecture, "variant": item.variant},
        )
        for number, item in enumerate(platforms)
    ]
    return {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": entries, **changes}


def encoded(document: object) -> bytes:
    return json.dumps(document).encode()


def test_a_manifest_names_its_configuration_and_layers() -> None:
    found = media.read_manifest(encoded(manifest()), "x")
    assert (found.config.digest, [layer.digest for layer in found.layers]) == (ONE, [TWO])
    assert [blob.digest for blob in found.blobs] == [ONE, TWO]


def test_docker_manifests_are_read_too() -> None:
    layer = described(TWO, "application/vnd.docker.image.rootfs.diff.tar.gzip")
    docker = manifest(
        mediaType=media.DOCKER_MANIFEST, config=described(kind=media.DOCKER_CONFIG), layers=[layer, layer]
    )
    assert len(media.read_manifest(encoded(docker), "x").layers) == 2


def test_the_type_is_what_the_manifest_says_then_what_came_with_it() -> None:
    bare = manifest()
    del bare["mediaType"]
    assert media.read_manifest(encoded(bare), "x").config.digest == ONE
    with pytest.raises(ImageError, match="not an image manifest"):
        media.read_manifest(encoded(bare), "x", media.OCI_INDEX)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "not a JSON object"),
        ({}, "not an image manifest"),
        ({"schemaVersion": 1}, "docker's first version"),
        (manifest(mediaType="application/octet-stream"), "its media type is application/octet-stream"),
        (manifest(manifests=[]), "a manifest and an index at once"),
        (manifest(config=described(kind="application/vnd.oci.empty.v1+json")), "not a runnable image"),
        (manifest(config=None), "not a descriptor"),
        (manifest(layers=None), "or more than 512"),
        (manifest(layers=[{}] * 513), "or more than 512"),
        (manifest(layers=[described(kind="text/plain")]), "unsupported media type"),
        (manifest(config=described(digest="sha256:../../etc/passwd")), "no digest"),
        (manifest(config=described(size=-1)), "invalid size"),
        (manifest(config=described(size=True)), "invalid size"),
        (manifest(config=described(size=media.MAX_MANIFEST + 1)), "invalid size"),
    ],
    ids=range(14),
)
def test_what_is_no_manifest_is_refused(document: object, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        media.read_manifest(encoded(document), "x")


def test_json_that_two_programs_could_read_differently_is_refused() -> None:
    with pytest.raises(ImageError, match="the key 'layers' is given twice"):
        media.read_manifest(encoded(manifest()).replace(b'"schemaVersion"', b'"layers": [], "schemaVersion"'), "x")
    # Named in one pass: comparing all with all would take an hour here.
    many = ",".join(f'"{number}":0' for number in range(300_000))
    with pytest.raises(ImageError, match="the key '299999' is given twice"):
        media.parse(f'{{{many},"299999":1}}'.encode(), "x")
    for data in (b"{", b"\xff\xfe", b"[" * 100_000, b" " * (media.MAX_MANIFEST + 1)):
        with pytest.raises(ImageError):
            media.parse(data, "x")


@pytest.mark.parametrize(("machine", "chosen"), [(AMD, 0), (ARM, 1), (OLD_ARM, 2)])
def test_the_image_for_the_machine_is_chosen(machine: Platform, chosen: int) -> None:
    document = encoded(index(AMD, ARM, OLD_ARM, Platform("windows", "amd64")))
    found = media.choose(document, "x", machine)
    assert found is not None
    assert found.digest == f"sha256:{chosen:064x}"


def test_the_nearest_variant_is_chosen() -> None:
    found = media.choose(encoded(index(Platform("linux", "arm64"), ARM)), "x", ARM)
    assert found is not None
    assert found.digest == f"sha256:{1:064x}"


def test_an_index_without_a_fitting_image_says_what_it_has() -> None:
    with pytest.raises(ImageError, match="no image for linux/amd64") as refused:
        media.choose(encoded(index(ARM, Platform("windows", "amd64"))), "x", AMD)
    assert refused.value.hint == "it has linux/arm64/v8, windows/amd64"


def test_a_manifest_is_no_index() -> None:
    assert media.choose(encoded(manifest()), "x", AMD) is None
    with pytest.raises(ImageError, match="at once"):
        media.choose(encoded(index(AMD, layers=[])), "x", AMD)
    with pytest.raises(ImageError, match="without a list"):
        media.choose(encoded(index(AMD, manifests=5)), "x", AMD)


def test_a_configuration_needs_the_digests_of_its_layers() -> None:
    good = {"rootfs": {"diff_ids": [ONE]}, "config": None}
    assert media.read_config(encoded(good), "x")["config"] == {}
    for bad in ({}, {"rootfs": {"diff_ids": ["x"]}}, {"rootfs": {"diff_ids": [ONE]}, "config": "x"}):
        with pytest.raises(ImageError):
            media.read_config(encoded(bad), "x")


@pytest.mark.parametrize("key", ["Env", "Cmd", "Entrypoint", "WorkingDir"])
def test_half_a_character_is_no_text(key: str) -> None:
    document = {"rootfs": {"diff_ids": [ONE]}, "config": {key: ["A=\ud800"] if key != "WorkingDir" else "/\ud800"}}
    with pytest.raises(ImageError, match=f"has a malformed {key}"):
        media.read_config(encoded(document), "x")


def test_an_image_for_another_machine_is_refused() -> None:
    media.require_platform({"os": "linux", "architecture": "amd64"}, "x", AMD)
    with pytest.raises(ImageError, match="is for linux/s390x, and this machine is linux/amd64"):
        media.require_platform({"os": "linux", "architecture": "s390x"}, "x", AMD)


def test_digests_by_both_algorithms() -> None:
    assert media.digest_of(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert media.digest_of(b"", f"sha512:{'0' * 128}").startswith(
        "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc"
    )


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from([ONE, media.OCI_MANIFEST]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["schemaVersion", "mediaType", "config", "layers", "manifests", "digest", "size", "platform"]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_read_or_refused(document: object) -> None:
    for reader in (
        lambda data: media.read_manifest(data, "x"),
        lambda data: media.choose(data, "x", AMD),
        lambda data: media.read_config(data, "x"),
    ):
        try:
            reader(encoded(document))
        except ImageError:
            continue
