"""Images and what is attached to them, put into a registry."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from hardening.base.digest import sha256
from hardening_trust.signatures import Sigstore

_MANIFEST, _CONFIG = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json"


def push(folder: Path, target: str, tag: str) -> tuple[bytes, bytes]:
    """Make a small image as the OCI layout ``folder/oci``, and copy it to a registry: its manifest and configuration."""
    layout = f"{folder}/oci"
    for argv in (
        ["umoci", "init", "--layout", layout],
        ["umoci", "new", "--image", f"{layout}:{tag}"],
        ["skopeo", "copy", "-q", "--insecure-policy", "--dest-tls-verify=false", f"oci:{layout}:{tag}", target],
    ):
        subprocess.run(argv, check=True, capture_output=True, timeout=60)
    index = json.loads((folder / "oci/index.json").read_text())
    manifest = _blob(folder, index["manifests"][0]["digest"])
    return manifest, _blob(folder, json.loads(manifest)["config"]["digest"])


def _blob(folder: Path, digest: str) -> bytes:
    return (folder / "oci/blobs" / digest.replace(":", "/")).read_bytes()


def attach(host: str, repository: str, digest: str, signatures: Sequence[Sigstore]) -> None:
    """Have a registry hold these sigstore signatures of a manifest, and no others, as cosign(1) attaches them."""
    base = f"http://{host}/v2/{repository}"
    layers = [
        {**_upload(base, item.payload, item.media_type), "annotations": dict(item.annotations)} for item in signatures
    ]
    config = _upload(base, b'{"rootfs":{"type":"layers","diff_ids":[]}}', _CONFIG)
    manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": layers}
    _send("PUT", f"{base}/manifests/{digest.replace(':', '-')}.sig", json.dumps(manifest).encode(), _MANIFEST)


def _upload(base: str, data: bytes, media: str) -> dict[str, object]:
    """A blob of a registry (OCI distribution spec, pushing a blob): its descriptor."""
    digest = f"sha256:{sha256(data)}"
    place = _send("POST", f"{base}/blobs/uploads/", b"", "application/octet-stream")
    _send("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", data, "application/octet-stream")
    return {"mediaType": media, "digest": digest, "size": len(data)}


def _send(method: str, url: str, data: bytes, media: str) -> str:
    """Where the registry says that it goes on."""
    sent = urllib.request.Request(url, data=data, headers={"Content-Type": media}, method=method)
    with urllib.request.urlopen(sent, timeout=60) as answer:
        return str(answer.headers.get("Location", ""))
