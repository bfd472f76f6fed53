"""Generated cases of images, requirements, identities and signatures: what skopeo makes of each, and what we do.

Three tables are multiplied out. One holds every kind of signed identity against every name that a signature can bear, one
every requirement against every state that signatures can be in, over all transports; and one every identity against every
name and every state of sigstore signatures, in a directory and in the registry itself.
"""

from __future__ import annotations

import base64
import itertools
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hardening.base.digest import sha256
from hardening_trust.payload import SIGSTORE, Payload, write
from hardening_trust.signatures import SIGSTORE_SIGNATURE, SIGSTORE_TYPE, Sigstore
from hardening_trust.signatures import read as read_signature
from hardening_trust.signatures import write as write_signature
from tests.plugins.trust.pushing import attach
from tests.support.gpg import Keys, revoked_key

REPOSITORY, TAG = "team/app", "1"
DIR, OCI, BY_TAG, BY_DIGEST = "dir", "oci", "docker, by tag", "docker, by digest"
#: By tag, with sigstore signatures in the registry. They are those of one state at a time: `World.attach`.
ATTACHED = "docker, attached"
PLACES = (DIR, OCI, BY_TAG, BY_DIGEST, ATTACHED)
TRANSPORTS = (DIR, OCI, BY_TAG, BY_DIGEST)
#: Where programs before the release of July 2025 refuse what the later ones accept.
SUBKEY = "good, by a subkey"


@attrs.frozen
class Case:
    """One image under one policy. ``signatures`` and ``requirements`` are keys of the tables of a `World`."""

    transport: str
    requirements: str
    identity: str
    signatures: str


@attrs.frozen(eq=False)
class World:
    """All that cases are made of. ``host`` is that of the registry where the image is, too; ``manifest`` its manifest."""

    folder: Path
    host: str
    keys: Keys
    manifest: bytes
    config: bytes
    _made: dict[object, Any] = attrs.field(factory=dict)

    @property
    def digest(self) -> str:
        return f"sha256:{sha256(self.manifest)}"

    @property
    def repository(self) -> str:
        return f"{self.host}/{REPOSITORY}"

    # --- names in signatures, and identities in policies ------------------------------------------------------------

    def names(self) -> Mapping[str, str]:
        """Names that a signature bears."""
        other = "sha256:" + "0" * 64
        return {
            "same": f"{self.repository}:{TAG}",
            "its digest": f"{self.repository}@{self.digest}",
            "another digest": f"{self.repository}@{other}",
            "another tag": f"{self.repository}:2",
            "tag and digest": f"{self.repository}:{TAG}@{self.digest}",
            "no tag": self.repository,
            "another repository": f"{self.repository}/b:{TAG}",
            "a longer name": f"{self.repository}b:{TAG}",
            "remapped": f"example.com/{REPOSITORY}:{TAG}",
            "short": f"app:{TAG}",
            "short, spelt out": f"docker.io/library/app:{TAG}",
            "no name": "",
            "capitals": f"{self.host}/Team/App:{TAG}",
        }

    def identities(self) -> Mapping[str, dict[str, str] | None]:
        """Signed identities of a policy."""
        exact = {"type": "exactReference"}
        repository = {"type": "exactRepository"}
        remap = {"type": "remapIdentity", "signedPrefix": "example.com"}
        return {
            "default": None,
            "matchRepoDigestOrExact": {"type": "matchRepoDigestOrExact"},
            "matchExact": {"type": "matchExact"},
            "matchRepository": {"type": "matchRepository"},
            "exactReference": {**exact, "dockerReference": f"{self.repository}:{TAG}"},
            "exactReference, a digest": {**exact, "dockerReference": f"{self.repository}@{self.digest}"},
            "exactReference, short": {**exact, "dockerReference": f"app:{TAG}"},
            "exactRepository": {**repository, "dockerRepository": self.repository},
            "exactRepository, short": {**repository, "dockerRepository": "app"},
            "remapIdentity": {**remap, "prefix": self.host},
            "remapIdentity, longer": {**remap, "prefix": f"{self.host}/team", "signedPrefix": "example.com/team"},
            "remapIdentity, part of a name": {**remap, "prefix": f"{self.host}/tea"},
            "remapIdentity, of others": {**remap, "prefix": "other.example.com"},
        }

    # --- signatures ---------------------------------------------------------------------------------------------------

    def payload(self, name: str = "same", **changes: Any) -> bytes:
        """A payload with some members replaced; a dotted name goes down."""
        document = json.loads(write(Payload(self.digest, self.names()[name], "test", 1700000000)))
        for way, value in changes.items():
            *above, last = way.split("__")
            place = document
            for step in above:
                place = place[step]
            place[last.replace("_", "-")] = value
        return json.dumps(document).encode()

    def signatures(self, state: str) -> list[bytes]:
        """The files ``signature-1`` and so on."""
        if state not in self._made:
            self._made[state] = self._signatures(state)
        found: list[bytes] = self._made[state]
        return found

    def _signatures(self, state: str) -> list[bytes]:
        if state.startswith(_COSIGNED):
            return [self.sigstore(name=state.removeprefix(_COSIGNED))]
        if state.startswith("name: "):
            return [self.keys.signed(self.payload(state.removeprefix("name: ")))]
        if state in _PAYLOADS:
            return [self.keys.signed(_PAYLOADS[state](self))]
        if state in _MESSAGES:
            return [_MESSAGES[state](self)]
        return [item for name in _SEVERAL[state] for item in self.signatures(name)]

    def sigstore(
        self, *, kind: str = SIGSTORE, digest: str = "", changed: bool = False, media: str = "", name: str = "same"
    ) -> bytes:
        """A sigstore signature as `dir:` keeps it."""
        said = Payload(digest or self.digest, self.names()[name], "test", 1700000000)
        data = write(said, kind)
        value = self.private.sign(data, ec.ECDSA(hashes.SHA256()))
        annotations = {SIGSTORE_SIGNATURE: base64.b64encode(value).decode()}
        body = data.replace(b"test", b"tost") if changed else data
        return write_signature(Sigstore("", media or SIGSTORE_TYPE, body, annotations))

    @property
    def private(self) -> ec.EllipticCurvePrivateKey:
        """The key of sigstore signatures."""
        if "private" not in self._made:
            self._made["private"] = ec.generate_private_key(ec.SECP256R1())
        key: ec.EllipticCurvePrivateKey = self._made["private"]
        return key

    # --- policies -----------------------------------------------------------------------------------------------------

    def key_files(self) -> Mapping[str, Path]:
        """Files of keys: `ring` has all that signatures are by which are not unknown."""
        if "files" not in self._made:
            keys = self.keys
            known = keys.public(keys.good, keys.expired, keys.primary) + revoked_key(keys)
            form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            stranger = ec.generate_private_key(ec.SECP256R1())
            content = {
                "ring": known,
                "other": keys.public(keys.other),
                "nothing": b"no key\n",
                "cosign": self.private.public_key().public_bytes(*form),
                "stranger": stranger.public_key().public_bytes(*form),
            }
            self._made["files"] = {name: self._file(f"{name}.key", data) for name, data in content.items()}
        files: dict[str, Path] = self._made["files"]
        return files

    def requirements(self, name: str, identity: str) -> list[dict[str, object]]:
        """A list of requirements, as policy.json has it."""
        files = self.key_files()
        signed_identity = self.identities()[identity]
        with_identity = {} if signed_identity is None else {"signedIdentity": signed_identity}
        signed = {"type": "signedBy", "keyType": "GPGKeys", **with_identity}
        cosigned = {"type": "sigstoreSigned", **with_identity}
        ring, other = {"keyPath": str(files["ring"])}, {"keyPath": str(files["other"])}
        data = base64.b64encode(files["ring"].read_bytes()).decode()
        missing = str(self.folder / "missing.key")
        table: dict[str, list[dict[str, object]]] = {
            "accept": [{"type": "insecureAcceptAnything"}],
            "reject": [{"type": "reject"}],
            "signedBy": [{**signed, **ring}],
            "signedBy, keyPaths": [{**signed, "keyPaths": [str(files["ring"]), str(files["other"])]}],
            "signedBy, keyData": [{**signed, "keyData": data}],
            "signedBy twice": [{**signed, **ring}, {**signed, **other}],
            "signedBy, and accept": [{"type": "insecureAcceptAnything"}, {**signed, **ring}],
            "signedBy, and reject": [{**signed, **ring}, {"type": "reject"}],
            "signedBy, no such file": [{**signed, "keyPath": missing}],
            "signedBy, one file missing": [{**signed, "keyPaths": [str(files["ring"]), missing]}],
            "signedBy, a file without keys": [{**signed, "keyPath": str(files["nothing"])}],
            "signedBy, another key type": [{**signed, **ring, "keyType": "X509Certificates"}],
            "signedBaseLayer": [{"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchRepository"}}],
            "sigstoreSigned": [{**cosigned, "keyPath": str(files["cosign"])}],
            "sigstoreSigned, another key": [{**cosigned, "keyPath": str(files["stranger"])}],
            "sigstoreSigned, no key": [{**cosigned, "keyPath": str(files["nothing"])}],
            "sigstoreSigned and signedBy": [{**cosigned, "keyPath": str(files["cosign"])}, {**signed, **ring}],
        }
        return table[name]

    def policy(self, case: Case) -> Path:
        """The policy.json of a case."""
        text = json.dumps({"default": self.requirements(case.requirements, case.identity)})
        return self._file(f"policy-{sha256(text.encode())[:16]}.json", text.encode())

    # --- images -------------------------------------------------------------------------------------------------------

    def image(self, case: Case) -> str:
        """The name of the image of a case."""
        if case.transport in (BY_TAG, ATTACHED):
            return f"docker://{self.repository}:{TAG}"
        if case.transport == BY_DIGEST:
            return f"docker://{self.repository}@{self.digest}"
        return f"oci:{self.folder}/oci:{TAG}" if case.transport == OCI else f"dir:{self._directory(case.signatures)}"

    def registries(self, case: Case) -> Path:
        """The registries.d of a case: the registry's signatures lie in the directory of their state."""
        attached = case.transport == ATTACHED
        place = self.folder / f"registries-{sha256(f'{attached} {case.signatures}'.encode())[:16]}"
        if not place.exists():
            base = place / "sigs"
            where = base / f"{REPOSITORY}@{self.digest.replace(':', '=')}"
            where.mkdir(parents=True)
            self._signature_files(case.signatures, where, attached=attached)
            more = "    use-sigstore-attachments: true\n" * attached
            (place / "a.yaml").write_text(f"docker:\n  {self.host}:\n    lookaside: {base.as_uri()}\n{more}")
        return place

    def attach(self, state: str) -> None:
        """Have the registry hold the sigstore signatures of a state, and no others, beside the image."""
        found = [read_signature(data, "here") for data in self.signatures(state) if data[:1] == b"\0"]
        attach(self.host, REPOSITORY, self.digest, [item for item in found if isinstance(item, Sigstore)])

    def _directory(self, state: str) -> Path:
        place = self.folder / f"dir-{sha256(state.encode())[:16]}"
        if not place.exists():
            place.mkdir()
            (place / "version").write_text("Directory Transport Version: 1.1\n")
            (place / "manifest.json").write_bytes(self.manifest)
            (place / sha256(self.config)).write_bytes(self.config)
            self._signature_files(state, place)
        return place

    def _signature_files(self, state: str, place: Path, *, attached: bool = False) -> None:
        """With ``attached`` sigstore's are elsewhere."""
        first = 2 if state == "good, but the first number is missing" else 1
        found = [data for data in self.signatures(state) if not (attached and data.startswith(b"\0sigstore"))]
        for number, data in enumerate(found, first):
            (place / f"signature-{number}").write_bytes(data)

    def _file(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        if not path.exists():
            path.write_bytes(data)
        return path


def _flipped(world: World) -> bytes:
    data = world.payload()
    message = bytearray(world.keys.signed(data, options=("--compress-algo", "none", "--sign")))
    message[message.index(data) + 5] ^= 1
    return bytes(message)


_HOME = ("--pinentry-mode", "loopback", "--passphrase", "x")
#: State -> the payload, signed by a good key.
_PAYLOADS: Mapping[str, Any] = {
    "good": lambda world: world.payload(),
    "wrong digest": lambda world: world.payload(critical__image={"docker-manifest-digest": "sha256:" + "1" * 64}),
    "digest of sha512": lambda world: world.payload(critical__image={"docker-manifest-digest": "sha512:" + "1" * 128}),
    "no digest": lambda world: world.payload(critical__image={"docker-manifest-digest": "nonsense"}),
    "unknown member": lambda world: world.payload(more=1),
    "unknown critical member": lambda world: world.payload(critical__more=1),
    "unknown identity member": lambda world: world.payload(critical__identity__more=1),
    "unknown optional member": lambda world: world.payload(optional__more={"a": [None]}),
    "type of sigstore": lambda world: world.payload(critical__type=SIGSTORE),
    "no optional": lambda world: world.payload(optional=None),
    "timestamp with a fraction": lambda world: world.payload(optional__timestamp=1.5),
    "timestamp that is text": lambda world: world.payload(optional__timestamp="1"),
    "duplicate member": lambda world: b'{"optional":{},' + world.payload()[1:],
    "no JSON": lambda _: b"nonsense",
    "byte order mark": lambda world: b"\xef\xbb\xbf" + world.payload(),
    "more after it": lambda world: world.payload() + b" {}",
    "space after it": lambda world: world.payload() + b" \n",
    "a signed message inside": lambda world: world.keys.signed(world.payload()),
}
#: State -> the bytes of a signature.
_MESSAGES: Mapping[str, Any] = {
    SUBKEY: lambda world: world.keys.signed(world.payload(), key=world.keys.subkey),
    "by a key with a subkey": lambda world: world.keys.signed(world.payload(), key=world.keys.primary),
    "by another key": lambda world: world.keys.signed(world.payload(), key=world.keys.other),
    "expired": lambda world: world.keys.signed(
        world.payload(), options=("--default-sig-expire", "1d", "--sign"), now="20240105T000000"
    ),
    "not yet expired": lambda world: world.keys.signed(
        world.payload(), options=("--default-sig-expire", "30y", "--sign"), now="20240105T000000"
    ),
    "expired key": lambda world: world.keys.signed(world.payload(), key=world.keys.expired, now="20240105T000000"),
    "revoked key": lambda world: world.keys.signed(world.payload(), key=world.keys.revoked),
    "changed": _flipped,
    "cut off": lambda world: world.keys.signed(world.payload())[:-20],
    "twice in one file": lambda world: 2 * world.keys.signed(world.payload(), options=("-z0", "--sign")),
    "empty": lambda _: b"",
    "web page": lambda _: b"<html><body>404</body></html>",
    "compressed nonsense": lambda _: b"\xa3\x01" + b"x" * 60,
    "armoured": lambda world: world.keys.signed(world.payload(), options=("--armor", "--sign")),
    "cleartext": lambda world: world.keys.signed(world.payload(), options=("--clearsign",)),
    "detached": lambda world: world.keys.signed(world.payload(), options=("--detach-sign",)),
    "not signed": lambda world: world.keys.home.run("--store", data=world.payload()),
    "not signed, bare": lambda world: world.keys.home.run("-z0", "--store", data=world.payload()),
    "encrypted": lambda world: world.keys.home.run(*_HOME, "--symmetric", data=world.payload()),
    "two signers": lambda world: world.keys.home.run(
        "-u", f"{world.keys.good}!", "-u", f"{world.keys.other}!", "--sign", data=world.payload()
    ),
    "as text": lambda world: world.keys.signed(world.payload(), options=("--textmode", "--sign")),
    "not compressed": lambda world: world.keys.signed(world.payload(), options=("-z0", "--sign")),
    "digest of SHA-1": lambda world: world.keys.signed(world.payload(), options=("--digest-algo", "SHA1", "--sign")),
    "with its format": lambda world: b"\0simple-signing\n" + world.keys.signed(world.payload()),
    "unknown format": lambda world: b"\0other\n" + world.keys.signed(world.payload()),
    "sigstore": lambda world: world.sigstore(),
    "sigstore, changed": lambda world: world.sigstore(changed=True),
    "sigstore, wrong digest": lambda world: world.sigstore(digest="sha256:" + "1" * 64),
    "sigstore, type of simple signing": lambda world: world.sigstore(kind="atomic container signature"),
    "sigstore, an attestation": lambda world: world.sigstore(media="application/vnd.dsse.envelope.v1+json"),
}
#: State -> the states whose signatures it puts together.
_SEVERAL: Mapping[str, Sequence[str]] = {
    "none": (),
    "good, but the first number is missing": ("good",),
    "good and another's": ("good", "by another key"),
    "another's and good": ("by another key", "good"),
    "two that are bad": ("wrong digest", "expired"),
    "bad, bad, good": ("wrong digest", "expired", "good"),
    "good and a web page": ("good", "web page"),
    "a web page and good": ("web page", "good"),
    "sigstore and good": ("sigstore", "good"),
    "sigstore, changed, and good": ("sigstore, changed", "sigstore"),
}
STATES = (*_SEVERAL, *_PAYLOADS, *_MESSAGES)
REQUIREMENTS = (
    "accept", "reject", "signedBy", "signedBy, keyPaths", "signedBy, keyData", "signedBy twice", "signedBy, and accept",
    "signedBy, and reject", "signedBy, no such file", "signedBy, one file missing", "signedBy, a file without keys",
    "signedBy, another key type", "signedBaseLayer", "sigstoreSigned", "sigstoreSigned, another key",
    "sigstoreSigned, no key", "sigstoreSigned and signedBy",
)  # fmt: skip
#: Those that look into signatures: all states are tried with them, and a few with the others.
_LOOKING = ("signedBy", "signedBy, keyPaths", "signedBy twice", "sigstoreSigned", "sigstoreSigned and signedBy")
_FEW = ("none", "good", "wrong digest", "web page", "good and another's", "sigstore")


#: States of which many cases are accepted, where the others hardly are ever.
_GOOD = (
    "good", "unknown optional member", "space after it", SUBKEY, "by a key with a subkey", "not yet expired", "as text",
    "not compressed", "twice in one file", "with its format", "sigstore", "good and another's", "another's and good",
    "bad, bad, good", "sigstore and good", "name: same",
)  # fmt: skip


_HOLDING = (
    "accept", "signedBy", "signedBy, keyPaths", "signedBy, keyData", "signedBy twice", "signedBy, and accept",
    "sigstoreSigned", "sigstoreSigned and signedBy",
)  # fmt: skip


#: What is attached in a registry, and how the names of states begin that only differ in the name that was signed.
_ATTACHED = (
    "sigstore", "sigstore, changed", "sigstore, wrong digest", "sigstore, type of simple signing",
    "sigstore, an attestation", "sigstore and good", "sigstore, changed, and good",
)  # fmt: skip
_COSIGNED = "cosigned: "


def sample(every: Sequence[Case], number: int) -> list[Case]:
    """So many cases by chance, always the same: a third of them of the states that are good for something."""
    chance = random.Random(1)
    good = [case for case in every if case.signatures in _GOOD and case.requirements in _HOLDING]
    others = [case for case in every if case not in good]
    return chance.sample(good, number // 3) + chance.sample(others, number - number // 3)


def cases(world: World) -> Iterator[Case]:
    """Every case, each once."""
    yield from dict.fromkeys(_cases(world))


def _cases(world: World) -> Iterator[Case]:
    names = [f"name: {name}" for name in world.names()]
    for transport, identity, name in itertools.product(TRANSPORTS, world.identities(), names):
        yield Case(transport, "signedBy", identity, name)
    for transport, requirement, state in itertools.product(TRANSPORTS, REQUIREMENTS, STATES):
        # What lies beside a registry can be a simple signature only: sigstore's are in the registry itself.
        if (requirement in _LOOKING or state in _FEW) and not (transport == OCI and state not in _FEW):
            yield Case(transport, requirement, "exactReference", state)
    states = [*(f"{_COSIGNED}{name}" for name in world.names()), *_ATTACHED]
    for transport, identity, state in itertools.product((DIR, ATTACHED), world.identities(), states):
        yield Case(transport, "sigstoreSigned", identity, state)
    for requirement, state in itertools.product(REQUIREMENTS, _ATTACHED):
        if requirement != "sigstoreSigned":
            yield Case(ATTACHED, requirement, "exactReference", state)
