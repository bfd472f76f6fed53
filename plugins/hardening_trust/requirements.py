"""What has to be true of an image before it is used: the requirements of a policy.json, as frozen values.

A list of requirements is an AND, so it is kept as a set: the empty one accepts everything, and one with `Reject` in it
accepts nothing, whatever else it holds. Formats and messages are those of containers-policy.json(5) and of the programs
that read it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import attrs

from hardening.base.text import nearest
from hardening.base.values import frozen
from hardening.errors import HardeningError
from hardening.images import reference
from hardening.profile.source import Node
from hardening_trust.ends import ACCEPT as ACCEPT
from hardening_trust.ends import REJECT as REJECT
from hardening_trust.ends import Accept as Accept
from hardening_trust.ends import Reject as Reject
from hardening_trust.members import REKOR, carried, decoded, encoded, only

#: Key types of `signedBy`. Programs read all of them; only the first can be verified, by anybody.
GPG_KEYS = "GPGKeys"
KEY_TYPES = (GPG_KEYS, "signedByGPGKeys", "X509Certificates", "signedByX509CAs")


# --- which identity a signature has to name ----------------------------------------------------------------------------


@frozen(order=True)
class MatchRepoDigestOrExact:
    """The default: an image named by tag needs the same reference, one named by digest the same repository."""


@frozen(order=True)
class MatchExact:
    """The signature names exactly the reference that the image is named by."""


@frozen(order=True)
class MatchRepository:
    """The signature names the same repository, with any tag or digest."""


@frozen(order=True)
class ExactReference:
    """The signature names this reference, as it is written in the policy; it has a tag or a digest."""

    reference: str


@frozen(order=True)
class ExactRepository:
    """The signature names this repository, as it is written in the policy."""

    repository: str


@frozen(order=True)
class RemapIdentity:
    """As the default, after ``prefix`` of the image's repository is replaced by ``signed_prefix``."""

    prefix: str
    signed_prefix: str


Identity = MatchRepoDigestOrExact | MatchExact | MatchRepository | ExactReference | ExactRepository | RemapIdentity

#: type in a file -> class, and the members that its fields have there
_IDENTITIES: Mapping[str, tuple[type[Any], tuple[str, ...]]] = MappingProxyType(
    {
        "matchRepoDigestOrExact": (MatchRepoDigestOrExact, ()),
        "matchExact": (MatchExact, ()),
        "matchRepository": (MatchRepository, ()),
        "exactReference": (ExactReference, ("dockerReference",)),
        "exactRepository": (ExactRepository, ("dockerRepository",)),
        "remapIdentity": (RemapIdentity, ("prefix", "signedPrefix")),
    }
)


# --- requirements --------------------------------------------------------------------------------------------------------


@frozen
class SignedBy:
    """`signedBy`: one simple signature by a key that is in one of the files, or in ``key_data``.

    Exactly one of both is given: ``key_paths`` sorted and without repetitions, or ``key_data``, the bytes of a keyring
    or of armoured keys, with ``key_paths`` empty. Both may be empty: then nothing satisfies it.
    """

    key_paths: tuple[str, ...] = ()
    key_data: bytes | None = None
    identity: Identity = MatchRepoDigestOrExact()
    key_type: str = GPG_KEYS

    @property
    def datas(self) -> tuple[bytes, ...]:
        """The keys that stand in the requirement itself."""
        return () if self.key_data is None else (self.key_data,)


@frozen
class SigstoreSigned:
    """`sigstoreSigned`: one sigstore signature by a public key in one of the files (PEM), or by one of ``key_datas``.

    ``carried`` is canonical JSON text of the other members (`fulcio`, `pki`, `rekorPublicKey…`), empty without any.
    """

    key_paths: tuple[str, ...] = ()
    key_datas: tuple[bytes, ...] = ()
    identity: Identity = MatchRepoDigestOrExact()
    carried: str = ""

    @property
    def datas(self) -> tuple[bytes, ...]:
        """The keys that stand in the requirement itself."""
        return self.key_datas

    @property
    def parts(self) -> dict[str, Any]:
        """The other members as JSON data."""
        parts: dict[str, Any] = json.loads(self.carried) if self.carried else {}
        return parts


@frozen
class SignedBaseLayer:
    """`signedBaseLayer`: programs read it, and reject every image because of it."""

    identity: Identity


Requirement = Accept | Reject | SignedBy | SigstoreSigned | SignedBaseLayer
#: All of them are required; nothing is where there are none. Never holds `Accept`, nor anything beside `Reject`.
Requirements = frozenset[Requirement]


def key_paths(requirements: Iterable[Requirement]) -> list[str]:
    """The files of keys that any of ``requirements`` names, sorted."""
    signed = (item for item in requirements if isinstance(item, SignedBy | SigstoreSigned))
    return sorted({path for item in signed for path in item.key_paths})


def all_paths(requirements: Iterable[Requirement]) -> list[str]:
    """Every file that any of ``requirements`` names: keys, and what is only carried, such as certificates; sorted."""
    requirements = list(requirements)
    carried = [item.parts for item in requirements if isinstance(item, SigstoreSigned)]
    return sorted({*key_paths(requirements), *(path for parts in carried for path in _carried_paths(parts))})


def _carried_paths(parts: Mapping[str, Any]) -> Iterator[str]:
    for name, value in parts.items():
        if isinstance(value, dict):
            yield from _carried_paths(value)
        elif name.endswith(("Path", "Paths")):
            yield from [value] if isinstance(value, str) else value


def together(requirements: Iterable[Requirement]) -> Requirements:
    """The set that requires all of ``requirements``, in its one form."""
    found = frozenset(item for item in requirements if not isinstance(item, Accept))
    return REJECT if Reject() in found else found


# --- reading -------------------------------------------------------------------------------------------------------------

_KEY_SOURCES = ("keyPath", "keyPaths", "keyData")
_SIGSTORE_SOURCES = ("keyPath", "keyPaths", "keyData", "keyDatas", "fulcio", "pki")
_SIGSTORE_LIST = "keyPath, keyPaths, keyData, keyDatas, fulcio, and pki"


def read_all(node: Node) -> Requirements:
    """A list of requirements as policy.json has it. Raises `ProfileError` with the line."""
    if not isinstance(node.raw, list):
        raise node.error("a list of requirements is expected", hint='write [{"type": "reject"}]')
    if not node.raw:
        raise node.error(
            "List of verification policy requirements must not be empty",
            hint="what accepts every image is named insecureAcceptAnything",
        )
    return together([read_one(item) for item in node.items()])


def read_one(node: Node) -> Requirement:
    """One requirement: an object with its `type`. Raises `ProfileError`."""
    kind = _type(node, "requirement", _READERS)
    return _READERS[kind](node)


def read_identity(node: Node) -> Identity:
    """A `signedIdentity`: an object with its `type`. Raises `ProfileError`."""
    kind = _type(node, "reference match", _IDENTITIES)
    made, names = _IDENTITIES[kind]
    only(node, ("type", *names))
    values = []
    for name in names:
        member = node.get(name)
        if member is None:
            raise node.error(f'Key "{name}" missing in a JSON object', hint=f'{kind} needs "{name}"')
        values.append(member.string())
    identity: Identity = made(*values)
    _require_names(node, identity)
    return identity


def _type(node: Node, what: str, known: Iterable[str]) -> str:
    names = tuple(known)
    if not isinstance(node.raw, dict):
        raise node.error(f'a {what} is an object with a "type"', hint=f"types: {', '.join(names)}")
    member = node.get("type")
    if member is None:
        raise node.error(f'Unknown policy {what} type ""', hint=f'write "type": one of {", ".join(names)}')
    kind = member.string()
    if kind not in names:
        hint = nearest(kind, names) or f"types: {', '.join(names)}"
        raise member.error(f'Unknown policy {what} type "{kind}"', hint=hint)
    return kind


def _read_accept(node: Node) -> Requirement:
    only(node, ("type",))
    return Accept()


def _read_reject(node: Node) -> Requirement:
    only(node, ("type",))
    return Reject()


def _read_signed_by(node: Node) -> Requirement:
    only(node, ("type", "keyType", *_KEY_SOURCES, "signedIdentity"))
    member = node.get("keyType")
    kind = member.string() if member is not None else None
    if member is not None and kind not in KEY_TYPES:
        hint = nearest(str(kind), KEY_TYPES) or f"it is {GPG_KEYS}"
        raise member.error(f'Unrecognized keyType value "{kind}"', hint=hint)
    given = [name for name in _KEY_SOURCES if node.get(name) is not None]
    if len(given) != 1:
        many = "more than one present" if given else "none of them present"
        raise node.error(
            f"Exactly one of keyPath, keyPaths and keyData must be specified, {many}",
            hint="several files of keys go into keyPaths",
        )
    paths = _paths(node, "keyPath", "exactly one of keyPath, keyPaths and keyData must be specified")
    data = node.get("keyData")
    if kind is None:
        raise node.error('invalid keyType ""', hint=f'write "keyType": "{GPG_KEYS}"')
    return SignedBy(paths, decoded(data) if data is not None else None, _identity(node), kind)


def _read_sigstore(node: Node) -> Requirement:
    only(node, ("type", *_SIGSTORE_SOURCES, *REKOR, "signedIdentity"))
    wrong = f"exactly one of {_SIGSTORE_LIST} must be specified"
    for name in ("keyPaths", "keyDatas", *REKOR):
        member = node.get(name)
        if member is not None and member.raw == []:
            raise member.error(f'"{name}" contains no entries', hint="leave it out, or name one")
    if sum(node.get(name) is not None for name in _SIGSTORE_SOURCES) != 1:
        raise node.error(wrong, hint="a signature is looked for in one way; write two requirements for two ways")
    others = carried(node)
    data, datas = node.get("keyData"), node.get("keyDatas")
    found = (
        [decoded(data)] if data is not None else [decoded(item) for item in datas.items()] if datas is not None else []
    )
    return SigstoreSigned(
        _paths(node, "keyPath", wrong),
        tuple(sorted(set(found))),
        _identity(node),
        json.dumps(others, sort_keys=True) if others else "",
    )


def _read_base_layer(node: Node) -> Requirement:
    only(node, ("type", "baseLayerIdentity"))
    identity = node.get("baseLayerIdentity")
    if identity is None:
        raise node.error(
            'Key "baseLayerIdentity" missing in a JSON object', hint="no program implements signedBaseLayer"
        )
    return SignedBaseLayer(read_identity(identity))


_READERS: Mapping[str, Callable[[Node], Requirement]] = MappingProxyType(
    {
        "insecureAcceptAnything": _read_accept,
        "reject": _read_reject,
        "signedBy": _read_signed_by,
        "sigstoreSigned": _read_sigstore,
        "signedBaseLayer": _read_base_layer,
    }
)


def _identity(node: Node) -> Identity:
    member = node.get("signedIdentity")
    return MatchRepoDigestOrExact() if member is None else read_identity(member)


def _paths(node: Node, name: str, empty: str) -> tuple[str, ...]:
    """The files of ``name``, or of its plural; ``empty`` is the message for an empty one."""
    one, several = node.get(name), node.get(name + "s")
    if one is not None:
        if not one.string():
            raise one.error(empty, hint="name a file")
        return (one.string(),)
    return tuple(sorted({item.string() for item in several.items()})) if several is not None else ()


#: Images of a host with an IPv6 address can be named here, and podman and skopeo read no policy that names one.
_ADDRESS, _NO_ADDRESS = (
    "[",
    "podman and skopeo take no policy with it: give the registry a name in the DNS or /etc/hosts",
)


def _require_names(node: Node, identity: Identity) -> None:
    """Refuse an identity that names what can be no image."""
    if isinstance(identity, ExactReference):
        _require_docker(node, "dockerReference", identity.reference)
        if not reference.is_tagged(identity.reference):
            raise node.error(
                f'dockerReference "{identity.reference}" contains neither a tag nor digest',
                hint=f"write {identity.reference}:latest, or use exactRepository",
            )
    elif isinstance(identity, ExactRepository):
        _require_docker(node, "dockerRepository", identity.repository)
    elif isinstance(identity, RemapIdentity):
        for text in (identity.prefix, identity.signed_prefix):
            if not reference.is_prefix(text) or text.startswith(_ADDRESS):
                hint = "write a host, or a host and the beginning of a repository: registry.example.com/team"
                raise node.error(f'prefix "{text}" is not valid', hint=_NO_ADDRESS if _ADDRESS in text else hint)


def _require_docker(node: Node, name: str, text: str) -> None:
    wrong = f'Invalid format of {name} "{text}"'
    try:
        reference.parse_docker(text)
    except HardeningError as error:
        raise node.error(f"{wrong}: {error.message.removeprefix(f'{text}: ')}", hint=error.hint) from None
    if text.startswith(_ADDRESS):
        raise node.error(f"{wrong}: an address in brackets is not a host there", hint=_NO_ADDRESS)


# --- writing -------------------------------------------------------------------------------------------------------------


def dump_all(requirements: Requirements) -> list[dict[str, object]]:
    """The list that `read_all` reads back, in one order."""
    if not requirements:
        return [{"type": "insecureAcceptAnything"}]
    return sorted((dump_one(item) for item in requirements), key=lambda data: json.dumps(data, sort_keys=True))


def dump_one(requirement: Requirement) -> dict[str, object]:
    """The object that `read_one` reads back."""
    if isinstance(requirement, SignedBy):
        data = {"type": "signedBy", "keyType": requirement.key_type, **_dump_paths(requirement.key_paths)}
        if requirement.key_data is not None:
            data = {"type": "signedBy", "keyType": requirement.key_type, "keyData": encoded(requirement.key_data)}
        return data | _dump_default(requirement.identity)
    if isinstance(requirement, SigstoreSigned):
        datas = [encoded(item) for item in requirement.key_datas]
        sources = _dump_paths(requirement.key_paths) if requirement.key_paths else {}
        if datas:
            sources = {"keyData": datas[0]} if len(datas) == 1 else {"keyDatas": datas}
        return {"type": "sigstoreSigned", **sources, **requirement.parts, **_dump_default(requirement.identity)}
    if isinstance(requirement, SignedBaseLayer):
        return {"type": "signedBaseLayer", "baseLayerIdentity": dump_identity(requirement.identity)}
    return {"type": "reject" if isinstance(requirement, Reject) else "insecureAcceptAnything"}


def dump_identity(identity: Identity) -> dict[str, object]:
    """The object that `read_identity` reads back."""
    kind = identity_type(identity)
    return {"type": kind, **dict(zip(_IDENTITIES[kind][1], attrs.astuple(identity), strict=True))}


def identity_type(identity: Identity) -> str:
    """The `type` of an identity in a file."""
    return next(kind for kind, (made, _) in _IDENTITIES.items() if made is type(identity))


def _dump_default(identity: Identity) -> dict[str, object]:
    return {} if isinstance(identity, MatchRepoDigestOrExact) else {"signedIdentity": dump_identity(identity)}


def _dump_paths(paths: tuple[str, ...]) -> dict[str, object]:
    return {"keyPath": paths[0]} if len(paths) == 1 and paths[0] else {"keyPaths": list(paths)}
