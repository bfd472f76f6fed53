"""What says which images may be used: policies, places of signatures, and signatures."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from hardening.base.openpgp import gnupg
from hardening.base.openpgp import keyrings as openpgp
from hardening.errors import HardeningError
from hardening.images import reference
from hardening_trust import payload, policy, registriesd, scopes, sigstore
from hardening_trust import signatures as kept
from hardening_trust.jsontree import document
from tests.fuzz.harness import target
from tests.fuzz.mutate import of_json, of_lines

HEX = "0123456789abcdef" * 4
IMAGES = ("docker.io/library/busybox:latest", "a.b.example.com:5000/ns/r:t", f"q.io/x@sha256:{HEX}", "oci:/srv/images/x:tag",
          "dir:/srv/images/y", "docker-archive:/srv/z", "localhost/a/b/c:1")  # fmt: skip


def _wider(name: str) -> Iterator[tuple[str, str]]:
    """Transports and scopes that an image may be found by, as containers-policy.json(5) puts it."""
    transport, _, path = name.partition(":")
    if transport == "docker-archive":
        yield transport, ""
    elif transport in ("oci", "dir"):
        parts = path.partition(":")[0].split("/")
        yield from ((transport, "/".join(parts[:end])) for end in range(len(parts), 1, -1))
        yield transport, ""
    else:
        yield "docker", name
        bare = name.partition("@")[0]
        host, *below = (bare if "@" in name else bare.rpartition(":")[0]).split("/")
        yield from (("docker", "/".join([host, *below[:end]])) for end in range(len(below), -1, -1))
        labels = host.partition(":")[0].split(".")
        yield from (("docker", ".".join(["*", *labels[start:]])) for start in range(1, len(labels)))
        yield "docker", ""


@target(of_json, "hardening_trust.policy hardening_trust.jsontree hardening_trust.requirements hardening_trust.scopes")
def policy_(data: bytes, _: Path) -> None:
    """The scope that decides is that of the manual, and what is written says the same."""
    found = policy.parse(document(data, Path("policy.json")))
    named = {
        scopes.member(transport, scope): requirements
        for transport, members in found.transports.items()
        for scope, requirements in members.items()
    }
    for name in IMAGES:
        decided = scopes.match(reference.parse(name), named, found.default)
        wanted = next(
            ((transport, scope) for transport, scope in _wider(name) if scope in found.transports.get(transport, {})),
            None,
        )
        assert (scopes.split(decided.member) if wanted else decided.rule) == (wanted or scopes.ScopeRule.DEFAULT)
        assert decided.requirements == (found.transports[wanted[0]][wanted[1]] if wanted else found.default)
    again = policy.parse(document(policy.dump(found).encode(), Path("policy.json")))
    assert (again.default, again.transports) == (found.default, found.transports)


@target(of_lines, "hardening_trust.registriesd", short=150)
def registries(data: bytes, place: Path) -> None:
    """What is written of what was read says the same."""
    path = place / "a.yaml"
    path.write_bytes(data)
    path.chmod(0o644)
    found = registriesd.read(place)
    said = found.places()
    path.write_text(registriesd.dump(said))
    assert registriesd.read(place).places() == {
        scope: item for scope, item in said.items() if item.fields or scope in said
    }


FINGER, OTHER = "AB" * 20, "CD" * 20


class _Said:
    """GnuPG that has said this."""

    def __init__(self, text: bytes) -> None:
        self.result = gnupg.GnuPGResult(b"content", text.decode("utf-8", "replace"), 0, True)

    def verify(self, *_: Any, **__: Any) -> gnupg.GnuPGResult:
        return self.result


@target(of_lines, "hardening.base.openpgp.keyrings", refusals=(HardeningError, openpgp.OpenPGPNotSigned), short=1000)
def status(data: bytes, _: Path) -> None:
    """Accepted is what one good signature of our key says, and nothing else says more."""
    ring = openpgp.Keyring(_Said(data), Path(), frozenset({FINGER}), {FINGER: 1 << 40})
    found = ring.verify(b"\x90message")
    words = [line.split() for line in data.decode("utf-8", "replace").split("\n") if line.startswith("[GNUPG:] ")]
    said = [line[1] for line in words if len(line) > 1]
    assert said.count("GOODSIG") == said.count("VALIDSIG") == said.count("PLAINTEXT") == 1
    assert not set(said) & {"BADSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "ERRSIG", "UNEXPECTED", "DECRYPTION_INFO"}
    assert found.primary == next(line for line in words if line[1:2] == ["VALIDSIG"])[11] == FINGER
    assert found.expires is not None


@cache
def _key() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ed25519

    return ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))


def _signatures() -> Iterator[bytes]:
    said = payload.Payload(f"sha256:{HEX}", "docker.io/library/x:1", "me", 7)
    for kind in (payload.SIMPLE, payload.SIGSTORE):
        yield payload.write(said, kind)
    text = payload.write(said, payload.SIGSTORE)
    made = base64.b64encode(_key().sign(text)).decode()
    yield kept.write(kept.Sigstore("here", kept.SIGSTORE_TYPE, text, {kept.SIGSTORE_SIGNATURE: made}))
    yield b"\0simple-signing\n" + b"\x90message"
    yield b"\x90message"


@target(
    of_lines, "hardening_trust.payload hardening_trust.signatures hardening_trust.sigstore", seeds=_signatures, short=1000,
    refusals=(payload.PayloadError, kept.UnreadableSignature, sigstore.SigstoreNotSigned),
)  # fmt: skip
def signature(data: bytes, _: Path) -> None:
    """What is read is what would be written, and nothing that the key has not signed is accepted."""
    for kind in (payload.SIMPLE, payload.SIGSTORE):
        try:
            said = payload.read(data, kind)
        except payload.PayloadError as error:
            str(error).encode()
        else:
            assert payload.read(payload.write(said, kind), kind) == said
    found = kept.read(data, "here")
    assert kept.read(kept.write(found), "here") == found or isinstance(found, kept.Simple)
    if isinstance(found, kept.Sigstore):
        text, _name = sigstore.verify(found, [_key().public_key()])
        assert text == payload.write(
            payload.Payload(f"sha256:{HEX}", "docker.io/library/x:1", "me", 7), payload.SIGSTORE
        )
